"""Other programs on the same counts: scikit-learn, and the estimator of espm."""

from __future__ import annotations

import subprocess
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
from sklearn.decomposition import NMF
from threadpoolctl import threadpool_limits

from benchmarks.runner import publish
from benchmarks.speed.cases import iteration_time, problem_of, shortest, trace
from espm_hs.factorization.executors.threads import Passes
from espm_hs.factorization.solvers.base import update_composition
from espm_hs.factorization.solvers.initialization import start

# Iterations of espm; its further way is that of its updates as espm_hs makes them, of
# which so many are made at most.
ESPM_ITERATIONS = 60
MOST = 10_000
# Part of the range of F above the optimum that counts as having arrived.
ARRIVED = 1e-6
ESPM = """
import sys, time
import numpy as np
from espm.estimators import SmoothNMF
data = np.load(sys.argv[1])
n, k = int(sys.argv[2]), data["W"].shape[1]
options = dict(n_components=k, G=data["G"], no_stop_criterion=True, verbose=0,
               shape_2d=tuple(data["shape"]), simplex_W=True, simplex_H=False)
X = data["X"].astype(float)
def run(n):
    start = time.perf_counter()
    model = SmoothNMF(max_iter=n, **options)
    model.fit_transform(X, W=data["W"].copy(), H=data["H"].copy())
    return time.perf_counter() - start, model
few, _ = run(2)
many, model = run(n)
losses = model.get_losses()["full_loss"] * model.GWH_numel_
np.savez(sys.argv[3], seconds=(many - few) / (n - 2), losses=losses)
"""


def peers(page, names, n_jobs, espm):
    """Print time per iteration, and to the optimum, beside other programs."""
    rows, ways = [], []
    for name in names:
        counts, problem = problem_of(name)
        ours = 1e3 * iteration_time(counts, problem, n_jobs)
        csr = counts.to_csr()
        theirs = {
            "scikit-learn, CSR": _scikit_learn(csr),
            "scikit-learn, dense": _scikit_learn(csr.toarray()),
        }
        if espm:
            runs = [_espm(espm, csr, problem, counts, seed) for seed in range(3)]
            theirs["espm 1.1.3"] = min(seconds for seconds, _ in runs)
            for seed, (seconds, losses) in enumerate(runs):
                way = _compare(counts, problem, seed, n_jobs, seconds, losses)
                ways.append((name, seed, *way))
        rows.append((name, "espm_hs, MU", f"{ours:.2f}", "1"))
        for program, seconds in theirs.items():
            times = 1e3 * seconds / ours
            rows.append((name, program, f"{1e3 * seconds:.1f}", f"{times:.0f}"))
    header = ("data", "program", "ms per iteration", "times ours")
    publish(header, rows, page, "an iteration")
    if ways:
        n = ESPM_ITERATIONS
        header = ("data", "start", f"espm after {n}", f"updates after {n}")
        more = ("there: espm / espm_hs, s", "times less", "updates to 1e-6")
        last = ("to 1e-6: espm / espm_hs, s", "times less")
        publish((*header, *more, *last), ways, page, "ways")


def _scikit_learn(X):
    options = {"solver": "mu", "beta_loss": "kullback-leibler", "init": "random"}

    def run(n):
        NMF(3, max_iter=n, tol=0, random_state=0, **options).fit(X)

    few, many = (shortest(partial(run, n), 2) for n in (2, 8))
    return (many - few) / 6


def _espm(python, csr, problem, counts, seed):
    """Return seconds per iteration and F after each, from a start of ours."""
    V, H = start(counts, problem, "random", np.random.default_rng(seed))
    whole = V[problem.rows_on_simplex].sum(axis=0)
    size = round(counts.n_pixels**0.5)
    with tempfile.TemporaryDirectory() as folder:
        data, found = Path(folder, "data.npz"), Path(folder, "found.npz")
        np.savez(
            data,
            X=csr.toarray().T.astype(np.uint16),
            G=problem.G,
            W=V / whole,
            H=(H * whole).T,
            shape=(size, size),
        )
        subprocess.run(
            [python, "-c", ESPM, data, str(ESPM_ITERATIONS), found],
            check=True,
            capture_output=True,
        )
        result = np.load(found)
        return float(result["seconds"]), result["losses"]


def _compare(counts, problem, seed, n_jobs, seconds, losses):
    """Cells: where espm came to, and what both need to get there and to the end."""
    ours, seen = trace(counts, problem, "newton", seed, n_jobs, 2000)
    first, last = seen[0][2], ours.objective
    enough = last + ARRIVED * (first - last)
    same = next((x[1] for x in seen if x[2] <= losses[-1]), np.inf)
    arrived = next(x[1] for x in seen if x[2] <= enough)
    plain, needed = _plain_updates(counts, problem, seed, n_jobs, len(losses), enough)
    spent, whole = len(losses) * seconds, (needed or MOST) * seconds
    more = "" if needed else "> "
    return (
        f"{losses[-1] - last:.0f}",
        f"{plain - last:.0f}",
        f"{spent:.0f} / {same:.2f}",
        f"{spent / same:.0f}",
        f"{more}{needed or MOST}",
        f"{more}{whole:.0f} / {arrived:.2f}",
        f"{more}{whole / arrived:.0f}",
    )


def _plain_updates(counts, problem, seed, n_jobs, n_iter, enough):
    """Return F after so many plain updates, and how many it takes to ``enough``.

    Plain multiplicative updates are what espm does; None if the most do not suffice.
    """
    V, H = start(counts, problem, "random", np.random.default_rng(seed))
    with (
        threadpool_limits(1, user_api="blas"),
        Passes(counts, problem, n_jobs) as passes,
    ):
        for n in range(1, MOST + 1):
            look = n == n_iter or n % 100 == 0
            A, F = passes.run(V, H, with_loss=look)
            V = update_composition(problem, V, A, H.sum(axis=0))
            if n == n_iter:
                then = F
            if look and enough >= F:
                return then, n
    return then, None
