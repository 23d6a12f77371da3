"""Data sets of the speed measurements, and how their times are taken."""

from __future__ import annotations

import time
from functools import cache, partial
from typing import NamedTuple

import hyperspy.api as hs
import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.runner import measured
from espm_hs.factorization import Counts, Penalties, Problem, factorize
from espm_hs.factorization.executors.threads import Passes
from espm_hs.factorization.solvers.initialization import start
from espm_hs.physics import SpectrumModel
from espm_hs.simulation import mantle, particles
from espm_hs.simulation.phantoms import random_fields

# Of `grains`; energies in keV.
SCALE, BEAM_ENERGY = 0.01, 200.0
ELEMENTS = ["Al", "Ca", "Fe", "K", "Mg", "O", "Si", "Ti"]


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
    signal = hs.load(measured("mantle_minerals_80x80.hspy"))
    signal.set_signal_type("EDS_espm")
    signal.set_elements(["Mg", "Al", "Si", "Ca", "Fe", "Ti", "Nd", "Sm", "Lu", "Hf"])
    signal.set_analysis_parameters(stray_elements=["Cu", "Ga", "Mo"])
    return _of_signal(signal)


class Grains(NamedTuple):
    """A simulated map: its counts, what is known of them, and the truth."""

    counts: Counts
    model: SpectrumModel
    # (n_channels in use, k), of sum 1
    spectra: np.ndarray


def large_map(size, n_channels, dose):
    """Return (counts, G, simplex_rows) of a map of three phases."""
    counts, model, _ = grains(size, n_channels, dose)
    return counts, model.G[model.channels], model.element_columns


def grains(size, n_channels, dose, k=3, seed=0):
    """Draw counts of a map of blurred grains, ``size`` x ``size`` pixels."""
    rng = np.random.default_rng(seed)
    model = SpectrumModel(SCALE * np.arange(n_channels), BEAM_ENERGY, ELEMENTS)
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
    return Grains(Counts.from_array(table), model, D)


def signal_of(given):
    """Return the signal of counts in a file, see `program.Map`, ready to decompose."""
    used, size = given.stored["used"], given.size
    data = np.zeros((size**2, used.size), np.min_scalar_type(given.csr.data.max()))
    rows = np.repeat(np.arange(size**2), np.diff(given.csr.indptr))
    data[rows, np.flatnonzero(used)[given.csr.indices]] = given.csr.data
    data = data.reshape(size, size, -1)
    if given.stored["name"] == "particles":
        s = particles((8, 8))
        s.data = data
        s.get_dimensions_from_data()
        return s
    s = hs.signals.Signal1D(data)
    axis = s.axes_manager[-1]
    axis.name, axis.units, axis.offset, axis.scale = "Energy", "keV", 0.0, SCALE
    s.set_signal_type("EDS_espm")
    s.set_microscope_parameters(beam_energy=BEAM_ENERGY)
    s.set_elements(ELEMENTS)
    return s


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


def shortest(run, repeats=15):
    """Seconds of the fastest of several runs."""
    run()  # compile
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        run()
        times.append(time.perf_counter() - begin)
    return min(times)


def iteration_time(counts, problem, n_jobs):
    with (
        threadpool_limits(1, user_api="blas"),
        Passes(counts, problem, n_jobs) as over,
    ):
        V, H = start(counts, problem, "random", np.random.default_rng(0))
        return shortest(partial(over.run, V, H))


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
