"""What the defaults find: medians over draws of the counts, at several doses.

Nothing is given but the number of phases. Run with

    python benchmarks/accuracy/defaults.py [--seeds 5] [--write docs/validation.md]
"""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from benchmarks.accuracy.methods import ours
from benchmarks.accuracy.validation import N_PHASES, Run, measure, median, simulate
from benchmarks.runner import argument, listed, publish, run, size, some
from espm_hs.simulation import DATASETS

# Data set -> counts per pixel.
DOSES = {
    "mantle": (18, 293),
    "particles": (20, 100, 500),
    "core_shell": (8, 40, 200),
    "grain_boundary": (12, 60, 300),
}
HEADER = (
    "data",
    "counts",
    "CPU s",
    "angles (°)",
    "largest",
    "MSE of maps",
    "R²",
    "composition (at.%)",
    "largest",
)


def row(name: str, dose: float, n_seeds: int, **options) -> tuple[str, ...]:
    """
    Decompose draws of a data set.

    Parameters
    ----------
    name
        Data set.
    dose
        Counts per pixel.
    n_seeds
        Number of draws.
    **options
        Of the data set.

    Returns
    -------
    tuple of str
        Cells of the table.
    """
    runs = []
    for seed in range(n_seeds):
        signal = simulate(name, dose, seed, **options)
        runs.append(measure(signal, ours(signal, N_PHASES)))
    middle = median(runs)
    worst = Run(**{name: _largest(runs, name) for name in asdict(middle)})
    return (
        name,
        f"{dose:g}",
        f"{middle.cpu:.1f}",
        listed(middle.angles, ".1f"),
        listed(worst.angles, ".1f"),
        listed(middle.mse),
        listed(middle.r2, ".2f"),
        listed(middle.composition, ".1f"),
        listed(worst.composition, ".1f"),
    )


def _largest(runs, name):
    return np.max([getattr(run, name) for run in runs], axis=0)


def main(given):
    rows = []
    for name in given.data:
        for dose in some(DOSES[name], given):
            rows.append(row(name, dose, given.seeds, **size(given)))
            print(" ".join(rows[-1]), flush=True)
    print(f"\nmedian of {given.seeds} seeds")
    publish(HEADER, rows, given.write, "defaults")


if __name__ == "__main__":
    run(
        main,
        __doc__,
        argument("--seeds", type=int, default=5, smoke=1, help="draws of the counts"),
        argument(
            "--data",
            nargs="+",
            choices=DATASETS,
            default=list(DOSES),
            smoke=["particles"],
            help="these maps only",
        ),
        page=True,
    )
