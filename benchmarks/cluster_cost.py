"""What a fit on a dask cluster reads, holds and sends, and how far that scales.

    python benchmarks/cluster_cost.py --folder FOLDER [--size 1024] [--workers 1 2 4 8]

There is one group of blocks for each worker, so that the number of workers is that of
the pieces in which counts and maps are held. The map is that of `large.py`. More
workers than cores show what is sent, not how fast it is. Other programs should rest.
"""

from __future__ import annotations

import time
from contextlib import contextmanager

import numpy as np
from large import OPTIONS, local_cluster, peaks

from espm_hs.factorization import Grid, Penalties, Problem, ScatteredCounts
from espm_hs.factorization.cluster_passes import ClusterPasses
from espm_hs.factorization.starts import even_abundances

K = 3
REPEATS = 5
# Of so small a map the passes cost messages alone.
FEW_ROWS = 64
KINDS = {
    "multiplicative": lambda passes, V, H: passes.run(V, H),
    "exact": lambda passes, V, H: passes.solve_pixels(V, H, with_curvature=True),
    "smooth": lambda passes, V, H: passes.smooth_pixels(V, H),
}
# To extrapolate to: rows and columns, channels, counts per pixel.
MAPS = {
    "2048 x 2048 x 2048": (2048**2, 2048, 10),
    "16k x 16k x 4096": (16384**2, 4096, 10),
}
# Bytes per second of a network between workers and client.
NETWORK = 1e9


# -- measured ------------------------------------------------------------------------


def sent(client) -> np.ndarray:
    """Bytes that workers have sent so far: to the client, and to each other."""

    def of_worker(dask_worker):
        log = dask_worker.transfer_outgoing_log
        to_client = sum(one["total"] for one in log if one["who"] is None)
        return to_client, sum(one["total"] for one in log) - to_client

    return np.sum(list(client.run(of_worker).values()), axis=0)


def held(client, kind) -> int:
    """Bytes of all results of a function that the workers hold."""

    def of_worker(dask_worker):
        tasks = dask_worker.state.tasks.values()
        there = [t for t in tasks if t.state == "memory"]
        return sum(t.nbytes for t in there if kind in str(t.key))

    return sum(client.run(of_worker).values())


def time_of(kind, counts, G, shape) -> tuple[float, np.ndarray]:
    """Seconds of a pass, and bytes sent to the client and between workers."""
    options = {}
    if kind == "smooth":
        options = {"penalties": Penalties(0.1, 1.0), "grid": Grid.from_shape(shape)}
    problem = Problem(G.shape[0], K, G=G, **options)
    V = np.random.default_rng(0).random((G.shape[1], K))
    V /= (G @ V).sum(axis=0)
    passes = ClusterPasses(counts, problem)
    H = passes.hold(even_abundances(counts, problem))
    KINDS[kind](passes, V, H)  # compile, and make what stays
    H.sum(axis=0)
    before, begin = sent(counts.client), time.perf_counter()
    for _ in range(REPEATS):
        KINDS[kind](passes, V, H)
    H.sum(axis=0)  # smooth maps are not waited for
    seconds = (time.perf_counter() - begin) / REPEATS
    return seconds, (sent(counts.client) - before) / REPEATS


def measure(n_workers, s) -> dict:
    """Return what reading, holding and each kind of pass cost."""
    model, data = s.physical_model(), s.data
    used, few = model.channels, data[:FEW_ROWS, :FEW_ROWS]
    with local_cluster(n_workers) as client:
        little = ScatteredCounts.from_array(client, few, channels=used)  # compile
        at_rest, begin = sent(client), time.perf_counter()
        counts = ScatteredCounts.from_array(client, data, channels=used)
        counts.per_pixel.sum(axis=0)
        facts = {
            "reading": time.perf_counter() - begin,
            "shuffled": (sent(client) - at_rest)[1],
            "held": held(client, "_join"),
            "pixels": counts.n_pixels,
            "entries": counts.n_nonzeros,
            "blocks": counts.blocks.size - 1,
        }
        for kind in KINDS:
            facts[kind] = time_of(kind, counts, model.G[used], data.shape[:2])
            facts[kind, "few"] = time_of(kind, little, model.G[used], few.shape[:2])[0]
    return facts


@contextmanager
def watched(log):
    """Let passes over a cluster write down pixels, entries, number and seconds."""
    everywhere = ClusterPasses._everywhere

    def timed(self, *arguments, **options):
        before, begin = self.n_passes, time.perf_counter()
        found = everywhere(self, *arguments, **options)
        facts = self.counts.n_pixels, self.counts.n_nonzeros, self.n_passes - before
        log.append((*facts, time.perf_counter() - begin))
        return found

    ClusterPasses._everywhere = timed
    try:
        yield
    finally:
        ClusterPasses._everywhere = everywhere


def whole_fit(s, reading) -> dict:
    """Return how often a fit visits the pixels and the bins of a map, and for how long.

    What is neither reading nor passes is the time of the client, which works on a part
    of the map: starts, the smoothness, errors.
    """
    log = []
    with local_cluster(2), watched(log):
        s.decomposition(**OPTIONS, max_iter=3)  # compile
        log.clear()
        begin = time.perf_counter()
        s.decomposition(**OPTIONS)
        seconds = time.perf_counter() - begin
    n_pixels, entries, n, spent = np.array(log).T
    whole = n_pixels == n_pixels.max()
    return {
        "entries": entries.max(),
        "of pixels": n[whole].sum(),
        "of bins": n[~whole].sum(),
        "visits": n @ entries / entries.max(),
        "passes": spent.sum(),
        "client": seconds - spent.sum() - reading,
        "memory": peaks()[1],
    }
