"""What counts that are set aside say about the sparsity, and what that is worth.

For simulated maps: how much worse than with a sparsity of 1 the counts are predicted
with other strengths, what `sparsity="auto"` chooses, and the angles between found and
true phases with 1 and with that. Run with

    python benchmarks/accuracy/sparsity.py [--write docs/validation.md]
"""

from __future__ import annotations

from benchmarks.accuracy.defaults import DOSES
from benchmarks.runner import argument, listed, publish, run, size, some
from espm_hs import metrics
from espm_hs.decomposition.decompose import weight_of_sparsity
from espm_hs.decomposition.self_consistency import self_consistent_model
from espm_hs.factorization import (
    Bins,
    Counts,
    Problem,
    sparsity_losses,
    usual_binning,
)
from espm_hs.factorization.cross_validation import SPARSITY_TRIED as STRENGTHS
from espm_hs.factorization.cross_validation import USUAL
from espm_hs.simulation import DATASETS

N_PHASES = 3
HEADER = (
    "data",
    "counts",
    *(f"{strength:g}" for strength in STRENGTHS),
    "auto",
    "angles with 1 (°)",
    "angles with auto (°)",
)


def losses(signal):
    """Return mean losses (nats) of binned counts, less that of the usual strength."""
    model = signal.physical_model()
    used, navigation = model.channels, signal.data.shape[:-1]
    counts = Counts.from_array(signal.data, channels=used)
    counts = Bins.from_shape(navigation, usual_binning(counts, navigation)).merge(
        counts
    )
    model = self_consistent_model(model, counts.spectrum, used)
    problem = Problem(
        counts.n_channels,
        N_PHASES,
        G=model.G[used],
        simplex_rows=model.element_columns,
    )
    how = {"weight": weight_of_sparsity(counts), "n_init": 4, "n_jobs": -1}
    loss = sparsity_losses(counts, problem, random_state=0, **how)
    return (loss - loss[:, [USUAL]]).mean(axis=0)


def angles(signal, sparsity):
    """Decompose; return the strength that was used, and angles to the true phases."""
    found = signal.decomposition(
        algorithm="espm",
        output_dimension=N_PHASES,
        sparsity=sparsity,
        smoothness=0,
        print_info=False,
        return_info=True,
    )
    truth = signal.ground_truth()
    return found.sparsity, metrics.match_phases(found.spectra, truth.spectra)[1]


def main(given):
    rows = []
    for name in given.data:
        for dose in some(DOSES[name], given):
            signal = DATASETS[name](counts_per_pixel=dose, **size(given))
            _, usual = angles(signal, STRENGTHS[USUAL])
            chosen, other = angles(signal, "auto")
            loss = [f"{x:+.0f}" if x else "0" for x in losses(signal)]
            shown = (listed(a, ".1f") for a in (usual, other))
            rows.append((name, f"{dose:g}", *loss, f"{chosen:g}", *shown))
            print("  ".join(rows[-1]), flush=True)
    publish(HEADER, rows, given.write, "sparsity")


if __name__ == "__main__":
    data = argument(
        "--data",
        nargs="+",
        choices=DATASETS,
        default=list(DOSES),
        smoke=["particles"],
        help="these maps only",
    )
    run(main, __doc__, data, page=True)
