"""Maps of few counts: smooth and sparse maps against maps that are only one of them.

Correlation of the map of each phase with its true counts, with the defaults, with
`smoothness=0` and with `sparsity=0`; medians of some draws. The defaults should come up
to the better of the others, less 0.02, for every phase. Run with

    python benchmarks/accuracy/few_counts.py [--seeds 5] [--write docs/validation.md]
"""

from __future__ import annotations

import numpy as np

from benchmarks.accuracy.materials import Sample, layers, superalloy
from benchmarks.runner import argument, listed, publish, run, some
from espm_hs.metrics import match_phases
from espm_hs.physics import SpectrumModel
from espm_hs.simulation import Experiment, Phase, experiment, record

SHAPE = (64, 64)
COUNTS = {"mantle": (0.5, 1, 3, 5), "superalloy": (4,), "perovskite": (4,)}
OPTIONS: tuple[dict[str, float], ...] = ({}, {"smoothness": 0}, {"sparsity": 0})
MARGIN = 0.02
HEADER = ("map", "counts", "defaults", "smoothness=0", "sparsity=0", "short by")


def perovskite(rng, shape):
    """Layers of a solar cell, thin ones between thick ones, on glass."""
    phases = [
        Phase("glass", {"Si": 28, "O": 62, "Na": 10}, 2.5, 0.09),
        Phase("ITO", {"In": 36, "Sn": 4, "O": 60}, 7.1, 0.1),
        Phase("SnO2", {"Sn": 33.3, "O": 66.7}, 6.9, 0.1),
        Phase("perovskite", {"Cs": 20, "Pb": 20, "I": 60}, 5.4, 0.12),
        Phase("gold", {"Au": 100}, 19.3, 0.12),
    ]
    return Sample(phases, 80 * layers(shape, (14, 9, 5, 24)))


SAMPLES = {"superalloy": superalloy, "perovskite": perovskite}


def made(name, counts, shape):
    """Return the experiment behind a map."""
    if name == "mantle":
        return experiment(name, shape, counts)
    sample = SAMPLES[name](np.random.default_rng(0), shape)
    mean = sample.thickness.mean(axis=(0, 1))
    density = np.array([phase.density for phase in sample.phases])
    model = SpectrumModel(
        sample.offset + 0.01 * np.arange(sample.n_channels),
        beam_energy=sample.beam_energy,
        elements=sample.elements,
        stray_elements=list(sample.stray),
        take_off_angle=sample.take_off_angle,
        thickness=mean.sum(),
        density=mean @ density / mean.sum(),
    )
    return Experiment(
        model, sample.phases, sample.thickness, counts, stray=sample.stray
    )


def correlations(signal, **options):
    """Decompose a map; return the correlation of each map with the true one."""
    truth = signal.ground_truth()
    maps = np.reshape(truth.maps, (-1, truth.spectra.shape[1]))
    found = signal.decomposition(
        algorithm="espm",
        output_dimension=maps.shape[1],
        print_info=False,
        return_info=True,
        **options,
    )
    order, _ = match_phases(found.spectra, truth.spectra)
    pairs = zip(found.loadings[:, order].T, maps.T, strict=True)
    # an empty map is like none
    return [np.corrcoef(a, b)[0, 1] if np.ptp(a) > 0 else 0.0 for a, b in pairs]


def main(given):
    shape = (24, 24) if given.smoke else SHAPE
    rows = []
    for name in given.only or some(COUNTS, given):
        for counts in some(COUNTS[name], given):
            case = made(name, counts, shape)
            signals = [record(case, seed=seed) for seed in range(given.seeds)]
            usual, rough, dense = (
                np.median([correlations(s, **options) for s in signals], axis=0)
                for options in OPTIONS
            )
            short = np.maximum(rough, dense) - MARGIN - usual
            shown = (listed(x, ".2f") for x in (usual, rough, dense))
            rows.append((name, f"{counts:g}", *shown, f"{max(short.max(), 0):.3f}"))
            print(*rows[-1], sep="  ", flush=True)
    publish(HEADER, rows, given.write, "few_counts")


if __name__ == "__main__":
    run(
        main,
        __doc__,
        argument("--seeds", type=int, default=5, smoke=1, help="draws of the counts"),
        argument("--only", nargs="+", choices=COUNTS, help="these maps only"),
        page=True,
    )
