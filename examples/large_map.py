"""
A map that is not in memory
===========================

Lazy signals are read chunk by chunk into the counts that are not zero. Nothing else
changes.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import hyperspy.api as hs

from espm_hs.simulation import particles

folder = TemporaryDirectory()
path = Path(folder.name) / "map.zspy"
particles((128, 128), counts_per_pixel=5, lazy=True).save(path)

s = hs.load(path, lazy=True)
s

# %%
# With five counts in a pixel nothing can be said of a pixel alone. Phases are found
# in bins and mapped in full resolution, as smoothly as held-out counts suggest.

s.decomposition(algorithm="espm", output_dimension=3)
s.plot_phases()

# %%

folder.cleanup()
