"""Whole maps of a usual dose, with the default options, beside scikit-learn.

Run it with

    python benchmarks/speed/whole_maps.py [--size 512] [--phases 3 5]

The map is the simulated data set `particles`. CPU seconds are those of all threads.
scikit-learn factorises the same counts (CSR, Kullback-Leibler, multiplicative updates)
without bins, penalties and errors; 200 of its iterations are counted, of which a few
are measured.
"""

from __future__ import annotations

import time
import warnings

import numpy as np
from sklearn.decomposition import NMF
from sklearn.exceptions import ConvergenceWarning

from benchmarks.runner import argument, print_table, run
from espm_hs.factorization import Counts
from espm_hs.quantification.percent_with_errors import to_percent
from espm_hs.simulation import metrics, particles

COUNTS, ITERATIONS, MEASURED = 100, 200, (1, 4)


def decompose(s, k: int) -> tuple[float, float, float, float]:
    """Return CPU seconds, seconds, angle and at.% of the phase that is furthest off."""
    cpu, begin = time.process_time(), time.perf_counter()
    found = s.decomposition(
        algorithm="espm",
        output_dimension=k,
        print_info=False,
        show_progressbar=False,
        return_info=True,
    )
    taken = time.process_time() - cpu, time.perf_counter() - begin
    truth = s.ground_truth()
    order, angles = metrics.match_phases(found.spectra, truth.spectra)
    elements, percent, _ = to_percent(found)
    rows = [elements.index(name) for name in truth.elements]
    off = np.abs(percent[rows][:, order] - 100 * truth.composition)
    return *taken, float(np.max(angles)), float(off.max())


def scikit_learn(s, k: int) -> float:
    """Return the CPU seconds of `ITERATIONS`."""
    X = Counts.from_array(s.data, channels=s.physical_model().channels).to_csr()
    cpu = []
    for n in MEASURED:
        model = NMF(k, init="random", solver="mu", beta_loss=1, max_iter=n, tol=0)
        begin = time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.set_params(random_state=0).fit(X)
        cpu.append(time.process_time() - begin)
    return ITERATIONS * (cpu[1] - cpu[0]) / (MEASURED[1] - MEASURED[0])


def main(given):
    size = given.size
    for k in given.phases:  # compile
        decompose(particles((24, 24), counts_per_pixel=COUNTS, seed=1), k)
    s = particles((size, size), counts_per_pixel=COUNTS, seed=0)
    rows = []
    for k in given.phases:
        cpu, seconds, angle, off = decompose(s, k)
        theirs = scikit_learn(s, k)
        cells = f"{cpu:.1f}", f"{seconds:.1f}", f"{theirs:.0f}", f"{theirs / cpu:.0f}"
        rows.append((k, *cells, f"{angle:.2f}", f"{off:.2f}"))
    header = ("phases", "CPU seconds", "seconds", "scikit-learn, CPU seconds")
    header += ("times ours", "largest angle, °", "largest error, at.%")
    n_channels = s.data.shape[-1]
    title = f"Whole maps: {size} x {size} x {n_channels}, {COUNTS} counts per pixel"
    print_table(title, header, rows)


if __name__ == "__main__":
    run(
        main,
        __doc__,
        argument("--size", type=int, default=512, smoke=24, help="pixels of a side"),
        argument(
            "--phases", type=int, nargs="+", default=(3, 5), smoke=(3,), help="how many"
        ),
    )
