"""What `estimate_binning` chooses, and what that is worth.

For simulated maps: the binning that `binning="auto"` finds phases with, the one that
is estimated, and the one whose maps are closest to the truth; how much larger the error
of these maps (mean squared error) is than the least possible with the first two; the
error of the maps that `decomposition` makes in full resolution by default, in the same
unit; and the largest angle of the phases that `decomposition` finds with the first two.
Run with

    python benchmarks/accuracy/binning.py [--seeds 1] [--write docs/validation.md]
"""

import time

from benchmarks.runner import SEEDS, publish, run, size, some
from espm_hs import metrics
from espm_hs.factorization import (
    Bins,
    Counts,
    Penalties,
    Problem,
    fit_maps,
    usual_binning,
)
from espm_hs.model_selection.n_phases_and_binning import BINNINGS, LEAST_BINS
from espm_hs.simulation import DATASETS

CASES = [
    ("particles", 20),
    ("particles", 100),
    ("grain_boundary", 12),
    ("grain_boundary", 60),
    ("core_shell", 8),
    ("core_shell", 40),
    ("mantle", 18),
    ("mantle", 293),
]
N_PHASES = 3
HEADER = (
    "data",
    "counts",
    "auto",
    "estimated",
    "best",
    "error, auto",
    "error, estimated",
    "error, full resolution",
    "angle, auto",
    "angle, estimated",
    "CPU s",
)


def decompose(s, binning):
    """Return phases, their partners among the true ones, and the largest angle."""
    found = s.decomposition(
        algorithm="espm",
        output_dimension=N_PHASES,
        binning=binning,
        print_info=False,
        return_info=True,
    )
    order, angles = metrics.match_phases(found.spectra, s.ground_truth().spectra)
    return found, order, angles.max()


def error(s, maps) -> float:
    """Mean squared error of maps of thickness over its mean."""
    thickness = s.ground_truth().thickness.reshape(-1, N_PHASES)
    return metrics.map_errors(maps, thickness / thickness.sum(axis=1).mean())[0].mean()


def binned_errors(s, found, order) -> dict[int, float]:
    """Error of the maps of each binning, for the phases that were found."""
    navigation, used = s.data.shape[:-1], found.channels
    counts = Counts.from_array(s.data, channels=used)
    problem = Problem(int(used.sum()), N_PHASES, penalties=Penalties(1.0))
    errors = {}
    for factor in BINNINGS:
        bins = Bins.from_shape(navigation, factor)
        if bins.n_bins >= LEAST_BINS:
            H, _ = fit_maps(bins.merge(counts), problem, found.spectra[used])
            errors[factor] = error(s, bins.spread(H)[:, order])
    return errors


def row(s, name, dose):
    """Return the cells of a map."""
    start = time.process_time()
    chosen = s.estimate_binning(N_PHASES)
    seconds = time.process_time() - start
    usual = usual_binning(Counts.from_array(s.data), s.data.shape[:-1])
    found, order, angle = decompose(s, "auto")
    full = error(s, s.learning_results.loadings[:, order])
    errors = binned_errors(s, found, order)
    best = min(errors, key=errors.get)
    ratios = errors[usual], errors[chosen], full
    angles = angle, decompose(s, chosen)[-1]
    return (
        name,
        dose,
        usual,
        chosen,
        best,
        *(f"{one / errors[best]:.2f}" for one in ratios),
        *(f"{one:.1f}" for one in angles),
        f"{seconds:.1f}",
    )


def main(given):
    # compile first
    DATASETS["particles"]((24, 24)).estimate_binning(N_PHASES, [2, 4])
    rows = []
    for name, dose in some(CASES, given):
        for seed in range(given.seeds):
            s = DATASETS[name](counts_per_pixel=dose, seed=seed, **size(given))
            rows.append(row(s, name, dose))
            print(*rows[-1], flush=True)
    publish(HEADER, rows, given.write, "binning")


if __name__ == "__main__":
    run(main, __doc__, SEEDS, page=True)
