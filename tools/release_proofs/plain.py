"""The main job without any extra: simulate, decompose, quantify, save, load."""

from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import hyperspy.api as hs
import numpy as np

from espm_hs import simulation

s = simulation.particles((24, 24))
s.decomposition(algorithm="espm", output_dimension=3, print_info=False)
before = [float(one.data.sum()) for one in s.quantify()]
s.plot_phases().savefig("phases.png")
for suffix in ("hspy", "zspy") if find_spec("zarr") else ("hspy",):
    s.save(f"map.{suffix}", overwrite=True)
    loaded = hs.load(f"map.{suffix}")
    assert type(loaded).__name__ == "EDSespmSpectrum", type(loaded)
    after = [float(one.data.sum()) for one in loaded.quantify()]
    np.testing.assert_allclose(after, before)
home = Path(simulation.__file__)
assert "site-packages" in home.parts, home
print(f"espm-hs {version('espm-hs')} finds {s.analysis_results().n_phases} phases")
