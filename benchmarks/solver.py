"""Speed of the fit: passes, convergence, starts, scaling, memory, peers.

Run all of it, or some parts, with

    python benchmarks/solver.py [--parts passes convergence ...] [--threads 1 2]

The measured map takes the folder named by ESPM_HS_TEST_DATA, the estimator of espm the
interpreter of an environment that has espm 1.1.3, given with ``--espm``. Times are the
shortest of several repeats; other programs should be at rest.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from functools import cache, partial
from pathlib import Path

import numpy as np
from sklearn.decomposition import NMF
from threadpoolctl import threadpool_limits

from espm_hs.factorization import Counts, Penalties, Problem, factorize
from espm_hs.factorization.passes import Passes
from espm_hs.factorization.starts import start
from espm_hs.physics import SpectrumModel
from espm_hs.simulation import mantle
from espm_hs.simulation.phantoms import random_fields

FRACTIONS = (1e-3, 1e-4, 1e-6)
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
np.savez(sys.argv[3], seconds=(many - few) / (n - 2), W=model.W_, H=model.H_,
         losses=losses)
"""


@cache
def data_set(name):
    """Return (counts, G, simplex_rows) of a named data set."""
    if name == "minerals":
        return _minerals()
    if name == "large":
        return large_map(512, 2048, 20.0)
    signal = mantle(counts_per_pixel=float(name.split()[1]), seed=0)
    return _of_signal(signal)


def _of_signal(signal):
    model = signal.physical_model()
    used = model.channels
    counts = Counts.from_array(signal.data, channels=used)
    return counts, model.G[used], model.element_columns


def _minerals():
    import hyperspy.api as hs

    folder = Path(os.environ["ESPM_HS_TEST_DATA"])
    signal = hs.load(folder / "mantle_minerals_80x80.hspy")
    signal.set_signal_type("EDS_espm")
    signal.set_elements(["Mg", "Al", "Si", "Ca", "Fe", "Ti", "Nd", "Sm", "Lu", "Hf"])
    signal.set_analysis_parameters(stray_elements=["Cu", "Ga", "Mo"])
    return _of_signal(signal)


def large_map(size, n_channels, dose, k=3, seed=0):
    """Draw counts of a map of blurred grains, ``size`` x ``size`` pixels."""
    rng = np.random.default_rng(seed)
    energy = 0.01 * np.arange(n_channels)
    elements = ["Al", "Ca", "Fe", "Mg", "O", "Si", "Ti"]
    model = SpectrumModel(energy, 200.0, elements)
    G = model.G[model.channels]
    W = rng.dirichlet(np.full(G.shape[1], 0.5), k).T
    D = G @ W
    D /= D.sum(axis=0)
    fields = random_fields((size, size), k, size / 16, contrast=10.0, seed=rng)
    shares = fields.reshape(-1, k)
    rows, channels = [], []
    per_pixel = rng.multinomial(round(dose * size**2), np.full(size**2, size**-2.0))
    for j in range(k):
        events = rng.binomial(per_pixel, shares[:, j])
        rows.append(np.repeat(np.arange(size**2), events))
        channels.append(rng.choice(len(D), events.sum(), p=D[:, j]))
    table = _table(np.concatenate(rows), np.concatenate(channels), size**2, len(D))
    return Counts.from_array(table), G, model.element_columns


def _table(rows, channels, n_rows, n_channels):
    import scipy.sparse as sp

    ones = np.ones(rows.size, np.uint16)
    return sp.coo_array((ones, (rows, channels)), (n_rows, n_channels)).tocsr()


def problem_of(name, k=3, sparsity=0.0):
    """Return counts and problem of a data set."""
    counts, G, rows = data_set(name)
    return counts, Problem(
        counts.n_channels,
        k,
        G=G,
        simplex_rows=rows,
        penalties=Penalties(sparsity),
    )


def shortest(run, repeats=7):
    """Seconds of the fastest of several runs."""
    run()  # compile
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        run()
        times.append(time.perf_counter() - begin)
    return min(times)


def print_table(title, columns, rows):
    """Print a table in Markdown."""
    print(f"\n### {title}\n")
    print("| " + " | ".join(columns) + " |")
    print("|" + "---|" * len(columns))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |", flush=True)


def passes(names, threads):
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
    print_table("Passes", (*header, "pixels solved, ns", "curvature, ns"), rows)


def trace(counts, problem, solver, seed, n_jobs, max_iter):
    """Return the result and (passes, seconds, F) at every look."""
    seen = []
    begin = time.perf_counter()

    def look(n_iter, F):
        seen.append((n_iter, time.perf_counter() - begin, F))

    found = factorize(
        counts,
        problem,
        solver=solver,
        init="random",
        tol=1e-9,
        max_iter=max_iter,
        random_state=seed,
        n_jobs=n_jobs,
        callback=look,
    )
    return found, seen


def reached(seen, first, last):
    """Return passes and seconds at which F came within fractions of its range."""
    cells = []
    for fraction in FRACTIONS:
        within = [x for x in seen if x[2] - last <= fraction * (first - last)]
        cells.append(f"{within[0][0]} / {within[0][1]:.2f} s" if within else "no")
    return cells


def convergence(names, n_jobs):
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
    print_table("Passes / seconds to a fraction of the range", header, rows)


def starts(names, n_jobs):
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
    print_table("Ten starts", header, rows)


def scaling(n_jobs):
    """Time of 20 multiplicative iterations against size."""
    rows = []
    sizes = [(64, 2), (64, 20), (128, 20), (256, 20), (512, 20), (512, 60)]
    found = []
    for size, dose in sizes:
        counts, G, element_rows = large_map(size, 1000, dose)
        problem = Problem(counts.n_channels, 3, G=G, simplex_rows=element_rows)
        seconds = _iteration(counts, problem, n_jobs)
        found.append((counts.n_nonzeros, seconds))
        rows.append((f"{size} x {size}, {dose} counts", *_cells(counts, seconds)))
    n, t = np.log(found).T
    exponent = np.polyfit(n, t, 1)[0]
    for n_channels in (500, 2000, 4000):
        counts, G, element_rows = large_map(128, n_channels, 50)
        problem = Problem(counts.n_channels, 3, G=G, simplex_rows=element_rows)
        seconds = _iteration(counts, problem, n_jobs)
        rows.append((f"{n_channels} channels", *_cells(counts, seconds)))
    counts, G, element_rows = data_set("mantle 293")
    for k in (2, 3, 5, 8, 12):
        problem = Problem(counts.n_channels, k, G=G, simplex_rows=element_rows)
        seconds = _iteration(counts, problem, n_jobs)
        rows.append((f"mantle 293, k = {k}", *_cells(counts, seconds)))
    header = ("data", "non-zeros", "ms per iteration", "ns per non-zero")
    print_table("Scaling", header, rows)
    print(f"\ntime ~ non-zeros ** {exponent:.2f}")


def _iteration(counts, problem, n_jobs):
    with (
        threadpool_limits(1, user_api="blas"),
        Passes(counts, problem, n_jobs) as over,
    ):
        V, H = start(counts, problem, "random", np.random.default_rng(0))
        return shortest(partial(over.run, V, H))


def _cells(counts, seconds):
    per_nonzero = 1e9 * seconds / counts.n_nonzeros
    return counts.n_nonzeros, f"{1e3 * seconds:.2f}", f"{per_nonzero:.2f}"


def peers(names, n_jobs, espm):
    """Time per iteration of other programs, on the same counts."""
    rows = []
    for name in names:
        counts, problem = problem_of(name)
        ours = _iteration(counts, problem, n_jobs)
        rows.append((name, "espm_hs, MU", f"{1e3 * ours:.2f}", "1"))
        csr = counts.to_csr()
        for kind, X in (("CSR", csr), ("dense", csr.toarray())):
            seconds = _scikit_learn(X)
            cells = (f"{1e3 * seconds:.1f}", f"{seconds / ours:.0f}")
            rows.append((name, f"scikit-learn, {kind}", *cells))
        if espm:
            seconds, text = _espm(espm, csr, problem, counts)
            cells = (f"{1e3 * seconds:.0f}", f"{seconds / ours:.0f}")
            rows.append((name, "espm 1.1.3", *cells))
            print(f"\n{name}: {text}")
    header = ("data", "program", "ms per iteration", "times ours")
    print_table("Peers", header, rows)


def _scikit_learn(X):
    options = {"solver": "mu", "beta_loss": "kullback-leibler", "init": "random"}

    def run(n):
        NMF(3, max_iter=n, tol=0, random_state=0, **options).fit(X)

    few, many = (shortest(partial(run, n), 2) for n in (2, 8))
    return (many - few) / 6


def _espm(python, csr, problem, counts, n_iter=120):
    """Return seconds per iteration, and how far it comes in so many."""
    V, H = start(counts, problem, "random", np.random.default_rng(0))
    ours, seen = trace(counts, problem, "newton", 0, 2, 2000)
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
            [python, "-c", ESPM, data, str(n_iter), found],
            check=True,
            capture_output=True,
        )
        result = np.load(found)
        seconds, losses = float(result["seconds"]), result["losses"]
    # both from the same start; what the peer still has to go is not extrapolated
    within = next((x[1] for x in seen if x[2] <= losses[-1]), np.inf)
    whole = n_iter * seconds
    return seconds, (
        f"after {n_iter} iterations and {whole:.0f} s espm is "
        f"{losses[-1] - ours.objective:.0f} nats above the F of espm_hs, which was as "
        f"low after {within:.2f} s ({whole / within:.0f} times less) and had converged "
        f"after {seen[-1][1]:.2f} s"
    )


def memory(n_jobs):
    """Time and peak memory from a dense array to quantified phases."""
    rows = []
    for size, n_channels, dose in ((512, 4096, 308_000 / 512**2), (512, 2048, 20.0)):
        code = MEMORY.format(size=size, n_channels=n_channels, dose=dose, jobs=n_jobs)
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
        environment["PYTHONPATH"] += os.pathsep + os.environ.get("PYTHONPATH", "")
        done = subprocess.run(
            [os.sys.executable, "-W", "ignore", "-c", code],
            check=True,
            capture_output=True,
            text=True,
            env=environment,
        )
        rows.append((f"{size} x {size} x {n_channels}", *done.stdout.split()[-3:]))
    header = ("data (uint8)", "input, MB", "seconds", "MB beyond the input")
    print_table("From array to quantified phases", header, rows)


MEMORY = """
import resource, time
import hyperspy.api as hs
import numpy as np
from solver import large_map

def signal(counts, shape):
    data = np.zeros((counts.n_pixels, shape[2]), np.uint8)
    rows = np.repeat(np.arange(counts.n_pixels), np.diff(counts.indptr))
    data[rows, counts.channels + shape[2] - counts.n_channels] = counts.values
    s = hs.signals.Signal1D(data.reshape(shape))
    axis = s.axes_manager[-1]
    axis.name, axis.units, axis.offset, axis.scale = "Energy", "keV", 0.0, 0.01
    s.set_signal_type("EDS_espm")
    s.set_microscope_parameters(beam_energy=200)
    s.set_elements(["Al", "Ca", "Fe", "Mg", "O", "Si", "Ti"])
    return s

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

def fit(s):
    s.decomposition(algorithm="espm", output_dimension=3, n_jobs={jobs},
                    print_info=False, show_progressbar=False)
    s.quantify()

fit(signal(large_map(32, {n_channels}, 50.0)[0], (32, 32, {n_channels})))  # compile
counts = large_map({size}, {n_channels}, {dose})[0]
s = signal(counts, ({size}, {size}, {n_channels}))
del counts
def now():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")  # forget the peak
before = now()
begin = time.perf_counter()
fit(s)
seconds = time.perf_counter() - begin
with open("/proc/self/status") as file:
    high = [line for line in file if line.startswith("VmHWM")][0]
print(f"{{s.data.nbytes / 2**20:.0f}} {{seconds:.2f}} "
      f"{{int(high.split()[1]) / 1024 - before:.0f}}")
"""


def main():
    parts = ("passes", "convergence", "starts", "scaling", "memory", "peers")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", choices=parts, default=parts)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--espm", help="interpreter with espm 1.1.3")
    arguments = parser.parse_args()
    names = ["mantle 18", "mantle 293"]
    if "ESPM_HS_TEST_DATA" in os.environ:
        names.append("minerals")
    n_jobs = max(arguments.threads)
    run = {
        "passes": lambda: passes([*names, "large"], arguments.threads),
        "convergence": lambda: convergence(names, n_jobs),
        "starts": lambda: starts(names, n_jobs),
        "scaling": lambda: scaling(n_jobs),
        "memory": lambda: memory(n_jobs),
        "peers": lambda: peers(names[:2], n_jobs, arguments.espm),
    }
    for part in arguments.parts:
        run[part]()


if __name__ == "__main__":
    main()
