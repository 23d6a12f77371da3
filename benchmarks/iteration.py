"""Time of one multiplicative iteration, ours against scikit-learn's on sparse counts.

A map of 128 x 128 pixels and 1980 channels of 10 eV from 0.3 keV with three phases, as
in the paper of Teurtrie et al. (2024), at two doses. Run with

    python benchmarks/iteration.py
"""

import argparse
import functools
import time

import numpy as np
from sklearn.decomposition import NMF

from espm_hs.factorization import Counts, Penalties, Problem, factorize
from espm_hs.physics import SpectrumModel
from espm_hs.simulation import Experiment, Phase

PHASES = [
    {"Mg": 0.245, "Fe": 0.035, "Ca": 0.031, "Si": 0.219, "Al": 0.024, "O": 0.436},
    {"Mg": 0.522, "Fe": 0.104, "O": 0.374},
    {"Mg": 0.02, "Fe": 0.018, "Ca": 0.188, "Si": 0.173, "Al": 0.01, "O": 0.572},
]


def build(counts_per_pixel):
    """Simulate the map; return its counts and its model."""
    model = SpectrumModel(
        0.3 + 0.01 * np.arange(1980), 200.0, ["Al", "Ca", "Fe", "Mg", "O", "Si"]
    )
    shares = np.random.default_rng(0).dirichlet(np.ones(3), (128, 128))
    phases = [Phase("", composition, 4.5) for composition in PHASES]
    return Experiment(model, phases, shares, counts_per_pixel).counts(), model


def seconds_per_iteration(run, few=5, many=35, repeats=5):
    """Median time of an iteration: the difference of long and short runs."""
    run(few)  # compile
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run(few)
        middle = time.perf_counter()
        run(many)
        end = time.perf_counter()
        times.append(((end - middle) - (middle - start)) / (many - few))
    return float(np.median(times))


def measure(dose, threads):
    """Return (name, seconds per iteration) of each solver, and the non-zeros."""
    data, model = build(dose)
    counts = Counts.from_array(data, channels=model.channels)
    problem = Problem(
        counts.n_channels,
        3,
        model.G[model.channels],
        simplex_rows=model.element_columns,
        penalties=Penalties(1.0),
    )
    csr = counts.to_csr()

    def ours(n, n_jobs):
        factorize(counts, problem, max_iter=n, tol=0, n_jobs=n_jobs, random_state=0)

    def peer(n):
        options = {"solver": "mu", "beta_loss": "kullback-leibler", "init": "random"}
        NMF(3, max_iter=n, tol=0, random_state=0, **options).fit(csr)

    rows = [
        (
            f"espm_hs, {n_jobs} thread(s)",
            seconds_per_iteration(functools.partial(ours, n_jobs=n_jobs)),
        )
        for n_jobs in threads
    ]
    rows.append(("scikit-learn, CSR", seconds_per_iteration(peer, 2, 7, 3)))
    return rows, counts.n_nonzeros


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    arguments = parser.parse_args()
    print("128 x 128 pixels, 1980 channels, k = 3")
    header = ("counts/pixel", "solver", "ms/iteration", "ns/non-zero")
    print("{:>12} {:>24} {:>13} {:>12}".format(*header))
    for dose in (18, 293):
        rows, n_nonzeros = measure(dose, arguments.threads)
        for name, seconds in rows:
            per_nonzero = seconds / n_nonzeros * 1e9
            print(f"{dose:>12} {name:>24} {1e3 * seconds:>13.2f} {per_nonzero:>12.2f}")
        print(f"{'':>12} ratio to scikit-learn: {rows[-1][1] / rows[-2][1]:.0f}")


if __name__ == "__main__":
    main()
