"""What a fit on a dask cluster reads, holds and sends, and how far that scales.

    python benchmarks/speed/cluster_cost.py [--folder FOLDER]
        [--size 1024] [--workers 1 2 4 8]

There is one group of blocks for each worker, so that the number of workers is that of
the pieces in which counts and maps are held. The map is that of `large.py`. More
workers than cores show what is sent, not how fast it is. Other programs should rest.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from benchmarks.runner import argument, print_table, run
from benchmarks.speed.large import COUNTS, N_CHANNELS, load, local_cluster, map_file
from espm_hs.factorization import Grid, Penalties, Problem, ScatteredCounts
from espm_hs.factorization.counts import distributed as on_cluster
from espm_hs.factorization.executors.dask import ClusterPasses
from espm_hs.factorization.solvers.initialization import even_abundances

K = 3
# The fastest of so many rounds of so many passes.
ROUNDS, REPEATS = 4, 5
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
# What the fit of `large.py` takes at any size: rounds over all pixels; rounds over
# bins, and how many entries these have for each of the pixels; seconds of the client.
SWEEPS, BIN_ROUNDS, BIN_SHARE, CLIENT = 29, 135, 1 / 3, 4.0
# Seconds for each entry of bins that are with the client, and the bytes for each pixel
# there: the difference of its peaks with 2048 x 2048 and 1024 x 1024 pixels.
VISIT, CLIENT_BYTES = 5e-9, 90
FEW = on_cluster.FEW


# -- measured ------------------------------------------------------------------------


def sent(client) -> np.ndarray:
    """Bytes that workers have sent so far: to the client, and to each other."""

    def of_worker(dask_worker):
        log = dask_worker.transfer_outgoing_log
        to_client = sum(one["total"] for one in log if one["who"] is None)
        return to_client, sum(one["total"] for one in log) - to_client

    return np.sum(list(client.run(of_worker).values()), axis=0)


def nbytes(counts) -> int:
    """Bytes of some counts."""
    return counts.nbytes


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
    before, times = sent(counts.client), []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        for _ in range(REPEATS):
            KINDS[kind](passes, V, H)
        H.sum(axis=0)  # smooth maps are not waited for
        times.append((time.perf_counter() - begin) / REPEATS)
    return min(times), (sent(counts.client) - before) / (ROUNDS * REPEATS)


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
            "held": sum(client.gather(client.map(nbytes, counts.groups))),
            "pixels": counts.n_pixels,
            "entries": counts.n_nonzeros,
            "dense": data.nbytes,
        }
        for kind in KINDS:
            facts[kind] = time_of(kind, counts, model.G[used], data.shape[:2])
            facts[kind, "few"] = time_of(kind, little, model.G[used], few.shape[:2])[0]
    return facts


# -- tables --------------------------------------------------------------------------


def main(arguments):
    arguments.folder.mkdir(parents=True, exist_ok=True)
    s = load(map_file(arguments.folder, arguments.size))
    on_cluster.FEW = 0  # to measure messages with little to do
    facts = {n: measure(n, s) for n in arguments.workers}
    title = f"{arguments.size} x {arguments.size} x {N_CHANNELS}, {COUNTS} counts"
    rows = [
        (
            n,
            f"{one['reading']:.1f}",
            f"{one['dense'] / one['pixels']:.0f}",
            f"{one['shuffled'] / one['pixels']:.1f}",
            f"{one['held'] / one['pixels']:.1f}",
            f"{one['held'] / one['entries']:.2f}",
            f"{8 * K}",
        )
        for n, one in facts.items()
    ]
    header = ("pieces", "reading, s", "read, B per pixel", "sent to another worker, B")
    header += ("counts held, B per pixel", "B per entry", "maps held, B per pixel")
    print_table(f"Reading and holding: {title}", header, rows)
    rows = [
        (
            kind,
            n,
            f"{1e3 * one[kind][0]:.0f}",
            f"{1e3 * one[kind, 'few']:.0f}",
            *(f"{x / 1e3:.0f}" for x in one[kind][1]),
        )
        for kind in KINDS
        for n, one in facts.items()
    ]
    header = ("pass", "pieces", "ms", "ms of messages", "to the client, kB")
    header += ("between workers, kB",)
    print_table(f"A pass: {title}", header, rows)
    extrapolate(facts)


def extrapolate(facts):
    """Print what larger maps would cost, from what one and all workers cost here."""
    few, most = min(facts), max(facts)
    one, many = facts[few], facts[most]

    def messages(kind, n):
        """Seconds of a round: those of the scheduler grow with the tasks."""
        first = one[kind, "few"]
        return first + (many[kind, "few"] - first) * (n - few) / (most - few)

    read = one["reading"] / one["dense"]
    visits = {
        kind: (one[kind][0] - one[kind, "few"]) / one["entries"] for kind in KINDS
    }
    rows = []
    for name, (pixels, n_channels, counts) in MAPS.items():
        entries = counts * pixels * one["entries"] / (COUNTS * one["pixels"])
        for n in (1, 2, 8, 32, 64):
            reading = read * pixels * n_channels / n
            sweeps = visits["smooth"] * entries / n + messages("smooth", n)
            bins = BIN_SHARE * entries
            if bins < FEW:
                bins *= VISIT
            else:
                bins *= visits["multiplicative"] / n
                bins += messages("multiplicative", n)
            parts = reading, BIN_ROUNDS * bins, SWEEPS * sweeps, CLIENT
            held = (one["held"] / one["pixels"] + 2 * 8 * K) * pixels / n
            memory = held, CLIENT_BYTES * pixels
            cells = *(f"{x:.0f}" for x in parts), f"{sum(parts):.0f}"
            rows.append((name, n, *cells, *(f"{x / 1e9:.2f}" for x in memory)))
    header = ("map", "workers", "reading, s", "phases, s", "maps, s", "client, s")
    header += ("all, s", "held by a worker, GB", "by the client, GB")
    print_table("Extrapolated", header, rows)


if __name__ == "__main__":
    run(
        main,
        __doc__,
        argument("--folder", type=Path, default=Path("build/large"), help="of the map"),
        argument("--size", type=int, default=1024, smoke=64, help="rows and columns"),
        argument(
            "--workers",
            type=int,
            nargs="+",
            default=(1, 2, 4, 8),
            smoke=(1, 2),
            help="numbers of them",
        ),
    )
