"""What effects that the model does not know do to the phases.

A map with an effect is decomposed twice, with the model that the user states
(`calibration="never"`) and with the defaults, which refine a model that does not fit;
and beside it the map without. The first row of the table has no effect but other
counts: what noise alone does. Run with

    python benchmarks/accuracy/mismatch.py [--write docs/validation.md]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.runner import argument, publish, run, size, some
from espm_hs import metrics
from espm_hs.simulation import DATASETS, Effects

CASES = {"particles": 100.0, "mantle": 293.0}
NONE = "none, other counts"
# Strengths as one meets them, or a little worse.
EFFECTS = {
    "local absorption": {"local_absorption": True},
    "low-energy shift, 30 eV": {"low_energy_shift": 30.0},
    "tail, 5 %": {"tail": 0.05},
    "gain drift, 0.2 %": {"gain_drift": 0.002},
    "tilt, 5°": {"tilt": 5.0},
    "shadowing, 30 %": {"shadowing": 0.3},
    "dead time, 40 %": {"dead_time": 0.4},
    "background, exponent 0.3": {"background_exponent": 0.3},
    "hole counts, 5 % Cu": {"hole_counts": {"Cu": 0.05}},
}
STUDY = {
    NONE: Effects(),
    **{label: Effects(**strength) for label, strength in EFFECTS.items()},
    # an element that neither model has
    "hole counts, 5 % Mo": Effects(hole_counts={"Mo": 0.05}),
    "all, with Cu": Effects(
        **{k: v for one in EFFECTS.values() for k, v in one.items()}
    ),
}
# As stated, and refined where it does not fit.
CALIBRATIONS = ("never", "auto")
HEADER = (
    "effect",
    "change of angle (°)",
    "composition moves (at.%)",
    "deviance ratio",
    "angle, refined",
    "composition, refined",
    "deviance ratio, refined",
)


@dataclass
class Phases:
    """
    What was found, in the order of the true phases.

    Attributes
    ----------
    angles
        Shape (n_phases,). To the true spectra, which have the effect; degrees.
    composition
        Shape (n_elements, n_phases), at.%.
    misfit
        Deviance of the summed spectrum over its expectation.
    """

    angles: np.ndarray
    composition: np.ndarray
    misfit: float


def decompose(signal, calibration: str) -> Phases:
    """Find the phases from one start, without the maps, on which they do not depend."""
    found = signal.decomposition(
        algorithm="espm",
        output_dimension=3,
        n_init=1,
        smoothness=0.0,
        calibration=calibration,
        print_info=False,
        return_info=True,
    )
    truth = signal.ground_truth()
    order, angles = metrics.match_phases(found.spectra, truth.spectra)
    return Phases(angles, 100 * found.composition[:, order], found.misfit)


def study(name: str, effects: Effects, seed: int, given) -> list[Phases]:
    """Decompose a map with effects, with the model as stated and refined."""
    counted = {"counts_per_pixel": CASES[name], "seed": seed}
    signal = DATASETS[name](effects=effects, **counted, **size(given))
    return [decompose(signal, calibration) for calibration in CALIBRATIONS]


def changes(found: Sequence[Phases], plain: Sequence[Phases]) -> tuple[str, str, str]:
    """Cells of a table: means over the seeds, with their standard deviations."""
    angles = np.array([a.angles - b.angles for a, b in zip(found, plain, strict=True)])
    moves = np.array(
        [
            metrics.composition_errors(a.composition, b.composition)
            for a, b in zip(found, plain, strict=True)
        ]
    )
    misfit = np.mean([phases.misfit for phases in found])
    return _spread(angles, "+.1f"), _spread(moves, ".1f"), f"{misfit:.3g}"


def _spread(values, form: str) -> str:
    cells = zip(values.mean(axis=0), values.std(axis=0), strict=True)
    return ", ".join(f"{mean:{form}} ± {std:.1f}" for mean, std in cells)


def table(name: str, given):
    """Return title and rows of a data set."""
    n_seeds = given.seeds
    plain = [study(name, Effects(), seed, given)[-1] for seed in range(n_seeds)]
    rows = []
    for label, effects in some(STUDY.items(), given, 3):
        first = n_seeds * (label == NONE)
        found = [study(name, effects, first + i, given) for i in range(n_seeds)]
        stages = [changes(stage, plain) for stage in zip(*found, strict=True)]
        rows.append((label, *(cell for stage in stages for cell in stage)))
        print(*rows[-1], sep=" | ", flush=True)
    angles = np.mean([p.angles for p in plain], axis=0)
    title = (
        f"{name}, {CASES[name]:g} counts per pixel, {n_seeds} seeds; angles without "
        f"effects {', '.join(f'{angle:.1f}' for angle in angles)}°"
    )
    return title, rows


def main(given):
    for name in given.data:
        title, rows = table(name, given)
        publish(HEADER, rows, given.write, f"mismatch {name}", title)


if __name__ == "__main__":
    run(
        main,
        __doc__,
        argument("--seeds", type=int, default=3, smoke=1, help="draws of the counts"),
        argument(
            "--data",
            nargs="+",
            choices=CASES,
            default=list(CASES),
            smoke=["particles"],
            help="these maps only",
        ),
        page=True,
    )
