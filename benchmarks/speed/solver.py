"""Speed of the fit: passes, convergence, starts, scaling, filling, peers.

Run all of it, or some parts, with

    python benchmarks/speed/solver.py [--parts passes convergence ...] [--threads 1 2]
        [--espm PYTHON] [--write docs/speed.md]

The measured map takes the folder named by ESPM_HS_TEST_DATA, the estimator of espm the
interpreter of an environment that has espm 1.1.3, given with ``--espm``. Times are the
shortest of several repeats; other programs should be at rest.
"""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.runner import ESPM, argument, parts, publish, run
from benchmarks.speed.cases import (
    data_set,
    iteration_time,
    large_map,
    problem_of,
    shortest,
    trace,
)
from benchmarks.speed.peers import peers
from espm_hs.factorization import Counts, Problem
from espm_hs.factorization.counts import counts as counts_module
from espm_hs.factorization.executors.threads import Passes
from espm_hs.factorization.solvers.initialization import start

USUAL_DENSE = counts_module.DENSE
FRACTIONS = (1e-3, 1e-4, 1e-6)
PARTS = ("passes", "convergence", "starts", "scaling", "dense", "peers")


def passes(page, names, threads):
    """Time of each kind of pass over the counts."""
    rows = []
    for name in names:
        for sparsity in (0.0, 1.0):
            counts, problem = problem_of(name, sparsity=sparsity)
            for n_jobs in threads:
                with (
                    threadpool_limits(1, user_api="blas"),
                    Passes(counts, problem, n_jobs) as over,
                ):
                    V, H = start(counts, problem, "random", np.random.default_rng(0))
                    H_mu = H.copy()
                    mu = shortest(partial(over.run, V, H_mu))
                    over.solve_pixels(V, H)
                    exact = shortest(partial(over.solve_pixels, V, H))
                    bend = shortest(partial(over.curvature, V, H, V))
                unit = 1e9 / counts.n_nonzeros
                times = [f"{unit * seconds:.2f}" for seconds in (mu, exact, bend)]
                rows.append((name, sparsity, n_jobs, f"{1e3 * mu:.2f}", *times))
    header = ("data", "sparsity", "threads", "MU, ms", "MU, ns per non-zero")
    header += ("pixels solved, ns", "curvature, ns")
    publish(header, rows, page, "passes")


def reached(seen, first, last):
    """Return passes and seconds at which F came within fractions of its range."""
    cells = []
    for fraction in FRACTIONS:
        within = [x for x in seen if x[2] - last <= fraction * (first - last)]
        cells.append(f"{within[0][0]} / {within[0][1]:.2f} s" if within else "no")
    return cells


def convergence(page, names, n_jobs):
    """Print passes and seconds to a fraction of the range above the own optimum."""
    rows = []
    for name in names:
        counts, problem = problem_of(name)
        trace(counts, problem, "auto", 0, n_jobs, 30)  # compile
        for seed in range(3):
            found, seen = trace(counts, problem, "newton", seed, n_jobs, 2000)
            _, slow = trace(counts, problem, "mu", seed, n_jobs, 1000)
            first, last = slow[0][2], found.objective
            for solver, points in (("newton", seen), ("mu", slow)):
                above = f"{points[-1][2] - last:.3g}"
                cells = reached(points, first, last)
                rows.append((name, seed, solver, *cells, f"{last:.3f}", above))
    fractions = [f"{fraction:g}" for fraction in FRACTIONS]
    header = ("data", "start", "solver", *fractions, "F of newton", "end above it")
    publish(header, rows, page, "convergence")


def starts(page, names, n_jobs):
    """Where ten random starts end, each alone to its end."""
    rows = []
    for name in names:
        for sparsity in (0.0, 1.0):
            counts, problem = problem_of(name, sparsity=sparsity)
            F = [
                trace(counts, problem, "newton", seed, n_jobs, 1500)[0].objective
                for seed in range(10)
            ]
            above = np.sort(F) - min(F)
            agree = int((above < 1e-6 * min(F)).sum())
            cells = " ".join(f"{x:.3g}" for x in above)
            rows.append((name, sparsity, f"{min(F):.3f}", agree, cells))
    header = ("data", "sparsity", "best F", "agree", "above the best")
    publish(header, rows, page, "starts")


def scaling(page, threads):
    """Time of a multiplicative iteration against all that a map is made of."""
    rows, found, most = [], {}, max(threads)

    def add(label, counts, problem, n_jobs=most):
        seconds = iteration_time(counts, problem, n_jobs)
        unit = 1e9 * seconds / counts.n_nonzeros
        rows.append((label, counts.n_nonzeros, f"{1e3 * seconds:.2f}", f"{unit:.2f}"))
        return seconds

    # three decades of non-zeros, and as many pixels
    for size in (40, 126, 400, 1265):
        counts, problem = _of_large_map(size, 1000, 20)
        for n_jobs in threads:
            label = f"{size} x {size} pixels, 20 counts each, {n_jobs} thread(s)"
            point = counts.n_nonzeros, add(label, counts, problem, n_jobs)
            found.setdefault(n_jobs, []).append(point)
    for dose in (2, 200):
        add(f"126 x 126 pixels, {dose} counts each", *_of_large_map(126, 1000, dose))
    for n_channels in (500, 2000, 4000):
        label = f"{n_channels} channels, 126 x 126 pixels, 50 counts each"
        add(label, *_of_large_map(126, n_channels, 50))
    counts, problem = _of_large_map(126, 1000, 50)
    add("1000 channels", counts, problem)
    add("1000 channels, as many empty ones", *_with_empty_channels(counts, problem))
    add("1000 channels, as many empty pixels", _with_empty_pixels(counts), problem)
    counts, G, element_rows = data_set("mantle 293")
    for k in (2, 3, 5, 8, 12):
        problem = Problem(counts.n_channels, k, G=G, simplex_rows=element_rows)
        add(f"mantle 293, k = {k}", counts, problem)
    header = ("data", "non-zeros", "ms per iteration", "ns per non-zero")
    publish(header, rows, page, "scaling")
    for n_jobs, points in found.items():
        n, t = np.log(points).T
        exponent = np.polyfit(n, t, 1)[0]
        print(f"\nOn {n_jobs} thread(s) the first rise as non-zeros ** {exponent:.2f}")


def _of_large_map(size, n_channels, dose):
    counts, G, element_rows = large_map(size, n_channels, dose)
    return counts, Problem(counts.n_channels, 3, G=G, simplex_rows=element_rows)


def _with_empty_channels(counts, problem):
    """Twice as many channels, the second half without counts."""
    n_channels = 2 * counts.n_channels
    G = np.vstack((problem.G, 0 * problem.G))
    return replace(counts, n_channels=n_channels), replace(
        problem, n_channels=n_channels, G=G
    )


def _with_empty_pixels(counts):
    """Twice as many pixels, every other one without counts."""
    indptr = np.repeat(counts.indptr, 2)[1:]
    return replace(counts, indptr=indptr)


def dense(page, n_jobs):
    """Time of a multiplicative iteration against the share of non-zeros."""
    rows = []
    for share in (0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0):
        rng = np.random.default_rng(0)
        X = rng.integers(1, 6, (2048, 2000)) * (rng.random((2048, 2000)) < share)
        times = []
        for threshold in (2.0, 0.0):
            counts_module.DENSE = threshold
            counts = Counts.from_array(X)
            seconds = iteration_time(counts, Problem(2000, 3), n_jobs)
            times.append(1e9 * seconds / X.size)
        cells = [f"{x:.2f}" for x in times]
        rows.append((f"{share:.0%}", *cells, f"{times[0] / times[1]:.2f}"))
    header = ("not zero", "non-zeros read, ns per entry", "all channels, ns per entry")
    publish((*header, "ratio"), rows, page, "filling")
    print(f"\nAll channels are read from {USUAL_DENSE:.0%} on.")


def main(given):
    names = ["mantle 18"]
    if not given.smoke:
        names.append("mantle 293")
        names += ["minerals"] if "ESPM_HS_TEST_DATA" in os.environ else []
    page, n_jobs = given.write, max(given.threads)
    part = {
        "passes": lambda: passes(
            page, names if given.smoke else [*names, "large"], given.threads
        ),
        "convergence": lambda: convergence(page, names, n_jobs),
        "starts": lambda: starts(page, names, n_jobs),
        "scaling": lambda: scaling(page, given.threads),
        "dense": lambda: dense(page, n_jobs),
        "peers": lambda: peers(page, names[:2], n_jobs, given.espm),
    }
    for name in given.parts:
        part[name]()


if __name__ == "__main__":
    run(
        main,
        __doc__,
        parts(*PARTS, smoke=("passes",)),
        argument(
            "--threads", type=int, nargs="+", default=[1, 2], smoke=[1], help="numbers"
        ),
        ESPM,
        page=True,
    )
