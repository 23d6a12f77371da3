"""What it helps to know something of one phase.

The built-in maps are decomposed with the defaults and something that is known of one of
their phases. Run with

    python benchmarks/accuracy/known_phases.py [--seeds 5]
        [--write docs/prior_knowledge.md]
"""

from __future__ import annotations

import numpy as np

from benchmarks.runner import argument, listed, publish, run, size
from espm_hs import metrics
from espm_hs.simulation import DATASETS

HEADER = ("known", "angles (°)", "composition (at.%)", "MSE of maps (nm²)")
# Data set -> counts per pixel, phase of which something is known, ratio of it.
CASES = {
    "core_shell": (40.0, "core", {"Fe/Pt": 0.16 / 0.84}),
    "grain_boundary": (12.0, "glass", {"Al/Si": 0.4, "O/Si": 2.9}),
    "mantle": (18.0, "sphere 2", {"Ca/Si": 0.188 / 0.173}),
}


def knowledge(signal, phase: str, ratio: dict) -> dict[str, dict]:
    """
    Say what could be known of a phase, in the words of ``known_phases``.

    Parameters
    ----------
    signal
        Simulated.
    phase
        Its name in the truth.
    ratio
        Of atoms.

    Returns
    -------
    dict
        Title -> known_phases.
    """
    truth = signal.ground_truth()
    j = truth.names.index(phase)
    fractions = dict(zip(truth.elements, truth.composition[:, j].tolist(), strict=True))
    thickness = truth.thickness[..., j]
    pairs = ", ".join(ratio)
    kinds = {
        "the elements it lacks": {
            "absent": [e for e, x in fractions.items() if x == 0]
        },
        f"ratio {pairs}": {"ratio": ratio},
        "where it is": {"map": thickness > 0.01 * thickness.max()},
        "composition": {"composition": fractions},
        "spectrum": {"spectrum": truth.spectra[:, j]},
    }
    return {title: {phase: kind} for title, kind in kinds.items()}


def errors(signal, known) -> np.ndarray:
    """Angles, errors of compositions and of maps, shape (3, n_phases)."""
    signal.decomposition(
        algorithm="espm", output_dimension=3, known_phases=known, print_info=False
    )
    found, truth = signal.analysis_results(), signal.ground_truth()
    order, angles = metrics.match_phases(found.spectra, truth.spectra)
    rows = [found.elements.index(symbol) for symbol in truth.elements]
    composition = 100 * found.composition[rows][:, order]
    maps = signal.learning_results.loadings[:, order].reshape(truth.thickness.shape)
    return np.array(
        [
            angles,
            metrics.composition_errors(composition, 100 * truth.composition),
            metrics.map_errors(maps, truth.thickness)[0],
        ]
    )


def table(name: str, n_seeds: int, **options):
    """Return title and rows of a data set."""
    counts, phase, ratio = CASES[name]
    results: dict[str, list[np.ndarray]] = {}
    for seed in range(n_seeds):
        signal = DATASETS[name](counts_per_pixel=counts, seed=seed, **options)
        known = {"nothing": None, **knowledge(signal, phase, ratio)}
        for title, one in known.items():
            results.setdefault(title, []).append(errors(signal, one))
    rows = [
        (title, *(listed(row) for row in np.median(found, axis=0).round(3)))
        for title, found in results.items()
    ]
    names = ", ".join(signal.ground_truth().names)
    return f"{name}, {counts:g} counts per pixel ({names}): {phase} known", rows


def main(given):
    for name in given.data:
        title, rows = table(name, given.seeds, **size(given))
        publish(HEADER, rows, given.write, name, title)


if __name__ == "__main__":
    run(
        main,
        __doc__,
        argument("--seeds", type=int, default=5, smoke=1, help="draws of the counts"),
        argument(
            "--data",
            nargs="+",
            choices=CASES,
            default=list(CASES),
            smoke=["core_shell"],
            help="these maps only",
        ),
        page=True,
    )
