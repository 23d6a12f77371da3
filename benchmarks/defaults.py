"""What the defaults find: medians over draws of the counts, at several doses.

Nothing is given but the number of phases. Run with

    python benchmarks/defaults.py [--seeds 5] [--write docs/validation.md]
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

import numpy as np
from methods import ours
from report import listed, publish, quiet
from validation import N_PHASES, Run, measure, median, simulate

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


def row(name: str, dose: float, n_seeds: int) -> tuple[str, ...]:
    """
    Decompose draws of a data set.

    Parameters
    ----------
    name : str
        Data set.
    dose : float
        Counts per pixel.
    n_seeds : int
        Number of draws.

    Returns
    -------
    tuple of str
        Cells of the table.
    """
    runs = []
    for seed in range(n_seeds):
        signal = simulate(name, dose, seed)
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


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--data", nargs="+", choices=DATASETS, default=list(DOSES))
    parser.add_argument("--write", type=Path, help="page that gets the table")
    arguments = parser.parse_args()
    rows = []
    for name in arguments.data:
        for dose in DOSES[name]:
            rows.append(row(name, dose, arguments.seeds))
            print(" ".join(rows[-1]), flush=True)
    print(f"\nmedian of {arguments.seeds} seeds")
    publish(HEADER, rows, arguments.write, "defaults")


if __name__ == "__main__":
    quiet()
    main()
