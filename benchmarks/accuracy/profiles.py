"""What the counts say between the phases that are found and the true ones.

Where a phase is missed, neither inclusions nor coatings being searched for, its
spectrum is moved to the true one in steps, the abundances being found anew for each.
On the way: the divergence of the expected counts from the true phases with this one
exchanged, by which any method could at best tell them apart; that of the counts that
were drawn; and F, with the sparsity term. Run with

    python benchmarks/accuracy/profiles.py [--seeds 1] [--write docs/validation.md]
"""

from __future__ import annotations

from unittest.mock import patch

import numpy as np

from benchmarks.accuracy.validation import divergence
from benchmarks.runner import SEEDS, publish, run, size, some
from espm_hs import metrics
from espm_hs.decomposition import search
from espm_hs.factorization import (
    Bins,
    Counts,
    Penalties,
    Problem,
    fit_loadings,
    fit_maps,
    usual_binning,
)
from espm_hs.simulation import DATASETS, experiment

# Data set, counts per pixel.
CASES = [
    ("mantle", 18),
    ("core_shell", 8),
    ("core_shell", 40),
    ("core_shell", 200),
    ("grain_boundary", 12),
]
STEPS = (0.0, 0.25, 0.5, 0.75, 1.0)
# Phases that are closer to the truth, in degrees, are not looked at.
MISSED = 3.0
HEADER = ("data", "counts", "phase", "angle (°)", "", *(f"{t:g}" for t in STEPS))


def profiles(name: str, dose: float, seed: int, **options) -> list[tuple[str, ...]]:
    """
    Rows of the table for one map.

    Parameters
    ----------
    name
        Data set.
    dose
        Counts per pixel.
    seed
        Draw of the counts.
    **options
        Of the data set.

    Returns
    -------
    list of tuple of str
        Three for each phase that is missed, the last two less what they are at the
        phase that was found.
    """
    signal = DATASETS[name](counts_per_pixel=dose, seed=seed, **options)
    found = signal.decomposition(
        algorithm="espm",
        output_dimension=3,
        smoothness=0,
        print_info=False,
        return_info=True,
    )
    truth, used = signal.ground_truth(), found.channels
    order, angles = metrics.match_phases(found.spectra, truth.spectra)
    counts, expected = _binned(signal, name, dose, used)
    spectra, true = found.spectra[used][:, order], truth.spectra[used]
    true = true / true.sum(axis=0)
    rows = []
    for j in np.flatnonzero(angles > MISSED).tolist():
        first = (name, f"{dose:g}", truth.names[j], f"{angles[j]:.1f}")
        for what, data, others, sparsity in (
            ("expected counts", expected, true, 0.0),
            ("counts", counts, spectra, 0.0),
            ("F", counts, spectra, 1.0),
        ):
            path = []
            for t in STEPS:
                D = others.copy()
                D[:, j] = (1 - t) * spectra[:, j] + t * true[:, j]
                problem = Problem(len(D), D.shape[1], penalties=Penalties(sparsity))
                if data is counts:
                    path.append(fit_maps(data, problem, D)[1])
                else:  # small numbers need more steps than counts
                    H = fit_loadings(data, problem, D, tol=1e-9)
                    path.append(divergence(data, H, D))
            base = path[0] if data is counts else 0.0
            # + 0.0: no negative zeros
            path = [round(F - base, 1) + 0.0 for F in path]
            rows.append((*first, what, *(f"{F:.1f}" for F in path)))
            first = ("",) * 4
    return rows


def _binned(signal, name, dose, used):
    """Return counts as phases are found from them, and their means."""
    navigation = signal.data.shape[:-1]
    means = experiment(name, navigation, dose).expected()
    counts = Counts.from_array(signal.data, channels=used)
    bins = Bins.from_shape(navigation, usual_binning(counts, navigation))
    expected = Counts.from_array(means, channels=used)
    return bins.merge(counts), bins.merge(expected)


def main(given):
    rows = []
    for name, dose in some(CASES, given):
        for seed in range(given.seeds):
            # a core is to be found with its shell
            with (
                patch.object(search, "find_inclusion", lambda *fit: None),
                patch.object(search, "coatings", lambda *fit: []),
            ):
                rows += profiles(name, dose, seed, **size(given))
    publish(HEADER, rows, given.write, "profiles")


if __name__ == "__main__":
    run(main, __doc__, SEEDS, page=True)
