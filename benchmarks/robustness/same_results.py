"""Whether two states of the package give the same bits.

    python benchmarks/robustness/same_results.py --write before.npz
    python benchmarks/robustness/same_results.py --compare before.npz

The built-in data sets, eager and lazy, and the measured maps if the environment
variable ESPM_HS_TEST_DATA names their folder, are decomposed and quantified. The
comparison prints a row for each number that is stored: "same bits", or the largest
difference. ``--small`` takes maps of 24 x 24 pixels, in half a minute.
"""

from __future__ import annotations

import os
from pathlib import Path

import hyperspy.api as hs
import numpy as np

from benchmarks.runner import SMALL, argument, measured, run
from espm_hs import simulation

MAPS = ("particles", "grain_boundary", "core_shell", "mantle")
MEASURED = {
    "mantle_minerals_80x80.hspy": ("Al Ca Fe Hf Lu Mg Nd Si Sm U", "Cu Ga Mo"),
    "bruker_tem_64x64.bcf": ("O Pd Ti", "Cu Si C"),
}


def maps(small: bool):
    """Yield the name of each map, and the map."""
    size = {"shape": SMALL} if small else {}
    for name in MAPS:
        yield name, getattr(simulation, name)(**size)
    yield "particles lazy", simulation.particles(**size, lazy=True)
    yield "particles 5 counts", simulation.particles(**size, counts_per_pixel=5)
    there = "ESPM_HS_TEST_DATA" in os.environ
    for file, (elements, stray) in MEASURED.items() if there and not small else ():
        loaded = hs.load(measured(file))
        loaded = loaded if isinstance(loaded, list) else [loaded]
        s = next(s for s in loaded if s.metadata.Signal.signal_type.startswith("EDS_"))
        s = max((s, *loaded), key=lambda one: one.data.size)
        s.set_signal_type("EDS_espm")
        s.set_elements(elements.split())
        s.set_analysis_parameters(stray_elements=stray.split())
        yield file, s


def results(s) -> dict[str, np.ndarray]:
    """Everything that the decomposition of a map says, as arrays."""
    s.decomposition(algorithm="espm", output_dimension=3, print_info=False)
    found = s.analysis_results()
    arrays = {
        name: np.asarray(getattr(found, name))
        for name in ("W", "covariance", "spectra", "objective", "n_iter", "smoothness")
    }
    arrays["loadings"] = np.asarray(s.learning_results.loadings)
    for target in ("phases", "pixels"):
        for one in s.quantify(target):
            variance = one.metadata.Signal.Noise_properties.variance
            symbol = one.metadata.Sample.elements[0]
            arrays[f"{target} {symbol}"] = np.asarray(one.data)
            arrays[f"variance of {target} {symbol}"] = np.asarray(variance.data)
    return arrays


def difference(a: np.ndarray, b: np.ndarray) -> str:
    """Say how far apart two arrays are."""
    if a.shape != b.shape:
        return f"shape {a.shape} became {b.shape}"
    if np.array_equal(a, b, equal_nan=True):
        return "same bits"
    return f"differs by up to {np.nanmax(np.abs(a - b)):.3g} of {np.nanmax(abs(a)):.3g}"


def main(given) -> None:
    """Write the results, or compare them with others."""
    found = {
        f"{name}: {key}": value
        for name, s in maps(given.small or given.smoke)
        for key, value in results(s).items()
    }
    if given.write:
        np.savez_compressed(given.write, **found)
    if given.compare:
        before = np.load(given.compare)
        rows = {
            key: difference(before[key], value) if key in before else "is new"
            for key, value in found.items()
        }
        same = sum(text == "same bits" for text in rows.values())
        for key, text in rows.items():
            if text != "same bits":
                print(f"{key}: {text}")
        print(f"{same} of {len(rows)} arrays have the same bits.")


if __name__ == "__main__":
    run(
        main,
        __doc__,
        argument("--write", type=Path, help="file that gets the results"),
        argument("--compare", type=Path, help="file that holds those of before"),
        argument("--small", action="store_true", help="maps of 24 x 24 pixels"),
    )
