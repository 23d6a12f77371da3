"""How often the number of phases is found, beside the elbow of HyperSpy's PCA.

Maps of two to five minerals in grains with blurred boundaries, at three doses. Run with

    python benchmarks/phase_number.py [maps of each kind]
"""

import sys
import warnings

import hyperspy.api as hs
import numpy as np

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


def simulate(n_phases: int, dose: float, seed: int):
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
    maps = 100.0 * random_fields(SHAPE, n_phases, length=6.0, contrast=6.0, seed=rng)
    made = Experiment(model, [MINERALS[i] for i in chosen], maps, dose)
    return record(made, seed)


def elbow(s) -> int:
    """Return HyperSpy's own estimate, from its PCA."""
    s.change_dtype(float)
    s.decomposition(True, print_info=False)
    return int(s.learning_results.number_significant_components or 0)


def main(n_maps: int = 5):
    hs.preferences.General.show_progressbar = False
    hs.set_log_level("ERROR")
    warnings.simplefilter("ignore")
    total = np.zeros(2, int)
    print(
        f"maps of {SHAPE[0]} x {SHAPE[1]} pixels, {n_maps} of each kind; number right"
    )
    print(f"{'phases':>6}{'counts per pixel':>18}{'espm_hs':>9}{'elbow':>7}   found")
    for n_phases in NUMBERS:
        for dose in DOSES:
            maps = [simulate(n_phases, dose, seed) for seed in range(n_maps)]
            ours = [s.estimate_number_of_phases(CANDIDATES) for s in maps]
            theirs = [elbow(s) for s in maps]
            right = np.array([np.sum(np.array(x) == n_phases) for x in (ours, theirs)])
            total += right
            print(
                f"{n_phases:6}{dose:18}{right[0]:9}{right[1]:7}   {ours} {theirs}",
                flush=True,
            )
    n = n_maps * len(NUMBERS) * len(DOSES)
    print(f"right in {total[0]} and {total[1]} of {n}")


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:2]))
