"""How often the number of phases is found, beside the elbow of HyperSpy's PCA.

Maps of two to five minerals in grains with blurred boundaries, at three doses. Run with

    python benchmarks/accuracy/phase_number.py [--maps 5] [--write docs/validation.md]
"""

import numpy as np

from benchmarks.runner import argument, publish, run, size, some
from espm_hs.physics import SpectrumModel
from espm_hs.simulation import Experiment, Phase, record
from espm_hs.simulation.phantoms import random_fields

MINERALS = [
    Phase("olivine", {"Mg": 1.8, "Fe": 0.2, "Si": 1, "O": 4}, 3.3, 0.05),
    Phase("anorthite", {"Ca": 1, "Al": 2, "Si": 2, "O": 8}, 2.7, 0.05),
    Phase("ilmenite", {"Fe": 1, "Ti": 1, "O": 3}, 4.7, 0.05),
    Phase("diopside", {"Ca": 1, "Mg": 1, "Si": 2, "O": 6}, 3.3, 0.05),
    Phase("spinel", {"Mg": 1, "Al": 2, "O": 4}, 3.6, 0.05),
]
ELEMENTS = ["Al", "Ca", "Fe", "Mg", "O", "Si", "Ti"]
DOSES = (10, 50, 250)
NUMBERS = range(2, 6)
SHAPE = (48, 48)
CANDIDATES = range(1, 8)
HEADER = ("phases", "counts per pixel", "espm_hs", "elbow")


def simulate(n_phases: int, dose: float, seed: int, shape=SHAPE):
    """Return a map of the given number of minerals, chosen at random."""
    rng = np.random.default_rng((seed, n_phases, int(dose)))
    model = SpectrumModel(
        0.01 * np.arange(1024),
        200.0,
        ELEMENTS,
        take_off_angle=22.0,
        thickness=100.0,
        density=3.5,
    )
    chosen = rng.permutation(len(MINERALS))[:n_phases]
    maps = 100.0 * random_fields(shape, n_phases, length=6.0, contrast=6.0, seed=rng)
    made = Experiment(model, [MINERALS[i] for i in chosen], maps, dose)
    return record(made, seed)


def elbow(s) -> int:
    """Return HyperSpy's own estimate, from its PCA."""
    s.change_dtype(float)
    s.decomposition(True, print_info=False)
    return int(s.learning_results.number_significant_components or 0)


def main(given):
    n_maps, rows = given.maps, []
    total = np.zeros(2, int)
    candidates = some(CANDIDATES, given, 3)
    # one thread: such a map is too small for more
    options = {"n_jobs": 1} | ({"n_thinnings": 2, "n_init": 1} if given.smoke else {})
    for n_phases in some(NUMBERS, given):
        for dose in some(DOSES, given):
            maps = [
                simulate(n_phases, dose, seed, **size(given)) for seed in range(n_maps)
            ]
            ours = [s.estimate_number_of_phases(candidates, **options) for s in maps]
            theirs = [elbow(s) for s in maps]
            found = np.array([ours, theirs])
            total += (found == n_phases).sum(axis=1)
            rows.append((str(n_phases), str(dose), *map(_listed, found)))
            print("  ".join(rows[-1]), flush=True)
    n = n_maps * len(rows)
    rows.append(("right", "", *(f"{right} of {n}" for right in total)))
    publish(HEADER, rows, given.write, "phase_number")


def _listed(numbers):
    return " ".join(map(str, numbers))


if __name__ == "__main__":
    maps = argument("--maps", type=int, default=5, smoke=1, help="of each kind")
    run(main, __doc__, maps, page=True)
