"""A multiplicative pass beside a plain kernel, on one thread, in one run.

Run it with

    python benchmarks/speed/plain.py [--threads 2]

The plain kernel is what one would write first: loops over the counts of a pixel with
the components written out, compiled with all that the compiler may do. Times are CPU
seconds, the shortest of several repeats that take turns, so that the ratios hold on a
machine that others use as well. The last table, of wall times, takes a machine at rest.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import numpy as np
from numba import njit
from threadpoolctl import threadpool_limits

from benchmarks.runner import argument, print_table, run
from benchmarks.speed.cases import data_set, iteration_time, problem_of
from espm_hs.factorization import Problem
from espm_hs.factorization.executors.threads import Passes
from espm_hs.factorization.solvers.base import MultiplicativeDescent
from espm_hs.factorization.solvers.initialization import start

REPEATS = 25
ITERATIONS = 50


def _sum(term: str, k: int) -> str:
    return " + ".join(term.format(j) for j in range(k))


def plain_kernel(k: int) -> Callable:
    """Return the kernel for ``k`` components, written out and compiled."""
    ratio = f"x[t] / (floor + {_sum('D[channels[t], {0}] * h{0}', k)})"
    loop = "        for t in range(indptr[p], indptr[p + 1]):"
    lines = [
        "def plain(indptr, channels, x, first, last, D, D_sum, floor, H, A):",
        "    for p in range(first, last):",
        *(f"        h{j}, a{j} = H[p, {j}], 0.0" for j in range(k)),
        loop,
        f"            ratio = {ratio}",
        *(f"            a{j} += D[channels[t], {j}] * ratio" for j in range(k)),
        *(f"        H[p, {j}] = h{j} = h{j} * a{j} / D_sum[{j}]" for j in range(k)),
        loop,
        f"            ratio = {ratio}",
        *(f"            A[channels[t], {j}] += h{j} * ratio" for j in range(k)),
    ]
    made: dict[str, Callable] = {}
    exec("\n".join(lines), made)
    return njit(nogil=True, error_model="numpy", fastmath=True)(made["plain"])


def plain_pass(kernel: Callable, passes: Passes, V: np.ndarray, H: np.ndarray):
    """Run the plain kernel over the blocks of the counts; H changes."""
    counts, edges = passes.counts, passes.counts.blocks
    D = passes.problem.spectra(passes.problem.compose(V))
    A = np.zeros((edges.size - 1, *D.shape))
    fixed = D, D.sum(axis=0), passes.floor, H
    for n in range(edges.size - 1):
        where = edges[n], edges[n + 1]
        kernel(counts.indptr, counts.channels, counts.values, *where, *fixed, A[n])
    return A.sum(axis=0)


def cpu_times(calls: dict[str, Callable], repeats: int) -> dict[str, float]:
    """CPU seconds of the fastest run of each; they take turns."""
    best = dict.fromkeys(calls, np.inf)
    for _ in range(repeats + 1):  # the first compiles
        for name, call in calls.items():
            begin = time.process_time()
            call()
            best[name] = min(best[name], time.process_time() - begin)
    return best


def beside_plain(names, numbers, repeats):
    """Print the time of a pass, of one with F and of an iteration of a fit."""
    rows = []
    for name in names:
        counts, G, element_rows = data_set(name)
        for k in numbers:
            problem = Problem(counts.n_channels, k, G=G, simplex_rows=element_rows)
            kernel = plain_kernel(k)
            with threadpool_limits(1), Passes(counts, problem, 1) as passes:
                V, H = start(counts, problem, "random", np.random.default_rng(0))

                def fit(passes=passes, V=V, H=H):
                    descent = MultiplicativeDescent(passes, V, H.copy(), 0.0, 10)
                    descent.advance(ITERATIONS)

                found = cpu_times(
                    {
                        "plain": partial(plain_pass, kernel, passes, V, H.copy()),
                        "pass": partial(passes.run, V, H.copy()),
                        "with F": partial(passes.run, V, H.copy(), with_loss=True),
                        "fit": fit,
                    },
                    repeats,
                )
            found["fit"] /= ITERATIONS
            plain = found.pop("plain")
            cells = [f"{seconds / plain:.2f}" for seconds in found.values()]
            rows.append((name, k, f"{1e3 * plain:.2f}", *cells))
    header = ("data", "k", "plain kernel, ms", "pass", "pass with F", "iteration")
    print_table("Beside a plain kernel, times its CPU time", header, rows)


def two_threads(name, threads):
    """Print the wall time of a pass on one thread and on several."""
    counts, problem = problem_of(name)
    one, many = (iteration_time(counts, problem, n) for n in (1, threads))
    row = name, counts.n_nonzeros, f"{1e3 * one:.2f}", f"{one / many:.2f}"
    header = (
        "data",
        "non-zeros",
        "one thread, ms",
        f"{threads} threads, times as fast",
    )
    print_table("Threads", header, [row])


def main(given):
    smoke = given.smoke
    names = ["mantle 18"] if smoke else ["mantle 18", "mantle 293"]
    beside_plain(names, (3,) if smoke else (3, 5, 8), 1 if smoke else REPEATS)
    if given.threads > 1:
        two_threads(names[-1], given.threads)


if __name__ == "__main__":
    run(
        main,
        __doc__,
        argument("--threads", type=int, default=2, smoke=1, help="of the last table"),
    )
