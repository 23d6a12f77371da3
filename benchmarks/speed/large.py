"""Maps larger than the memory: reading, fits in little memory, clusters, their cost.

Run all of it, or some parts, with

    python benchmarks/speed/large.py [--folder FOLDER] [--parts local cluster ...]
        [--size 2048] [--clusters 1 2 "2, one killed"] [--kill-after 30]

The map, ``size`` x ``size`` pixels of 2048 channels with 10 counts each, is drawn once
and kept in the folder. `local`, `stream` and `cluster` need Linux, `cluster` needs
dask.distributed, too.
Other programs should be at rest.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import dask
import hyperspy.api as hs
import numpy as np

from benchmarks.runner import ROOT, argument, parts, print_table, run
from espm_hs.factorization import Counts
from espm_hs.simulation import grain_boundary

N_CHANNELS, COUNTS = 2048, 10
LIMIT_KB = 3 * 2**20
OPTIONS = {
    "algorithm": "espm",
    "output_dimension": 3,
    "n_jobs": -1,
    "print_info": False,
}
PARTS = ("ingest", "local", "stream", "cluster")
# of the processes that run this file again
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
}


# -- data --------------------------------------------------------------------------


def map_file(folder: Path, size: int, tile: int = 64) -> Path:
    """Path of the map, which is drawn if it is not there."""
    path = folder / f"map_{size}.zspy"
    if not path.exists():
        s = grain_boundary((size, size), counts_per_pixel=COUNTS, seed=0, lazy=True)
        # the truth of each pixel takes more room than its counts
        del s.metadata.EDS_espm.truth
        s.data = s.data.rechunk((tile, tile, N_CHANNELS))
        s.save(path)
    return path


def load(path: Path):
    """Load a map, lazily."""
    return hs.load(path, lazy=True)


# -- reading -----------------------------------------------------------------------


def ingest(folder, size):
    """Rate at which dense chunks become sparse counts."""
    s = load(map_file(folder, size))
    used = s.physical_model().channels
    Counts.from_array(s.data[:32, :32], channels=used)  # compile
    rows = []
    for n_threads in (1, 2):
        with dask.config.set(scheduler="threads", num_workers=n_threads):
            begin, spent = time.perf_counter(), time.process_time()
            counts = Counts.from_array(s.data, channels=used)
            seconds, spent = time.perf_counter() - begin, time.process_time() - spent
        megabytes = s.data.nbytes / 1e6
        cells = (f"{x:.0f}" for x in (megabytes, counts.nbytes / 1e6))
        rates = (f"{megabytes / x:.0f}" for x in (seconds, spent))
        rows.append((n_threads, *cells, f"{seconds:.1f}", *rates))
    header = ("threads", "dense, MB", "sparse, MB", "seconds", "MB/s", "MB/s per core")
    print_table("Reading", header, rows)


# -- fits in little memory -----------------------------------------------------------


def peaks() -> tuple[float, float]:
    """Largest address space and resident memory so far, MB."""
    with open("/proc/self/status") as file:
        lines = dict(line.split(":", 1) for line in file)
    return tuple(int(lines[name].split()[0]) / 1024 for name in ("VmPeak", "VmHWM"))


def forget_peak():
    """Let `peaks` begin anew, but for the address space."""
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def fit(path: Path) -> tuple:
    """Decompose a map and quantify phases and pixels; seconds of each."""
    s = load(path)
    times = [time.perf_counter()]
    found = s.decomposition(return_info=True, **OPTIONS)
    times.append(time.perf_counter())
    s.quantify()
    maps = s.quantify("pixels")
    # together: the covariance of a pixel is that of all of its elements
    mean = dask.compute(*(m.data.mean() for m in maps))
    times.append(time.perf_counter())
    return found, mean, np.diff(times)


def local(folder, size):
    """Decompose and quantify under a limit of the address space."""
    path = map_file(folder, size)
    rows = []
    for what, limit in (("no limit", "unlimited"), ("3 GB", LIMIT_KB)):
        code = f"ulimit -v {limit}; exec {sys.executable} {__file__} --fit {path}"
        done = subprocess.run(
            ["bash", "-c", code],
            check=True,
            capture_output=True,
            text=True,
            env=ENVIRONMENT,
        )
        rows.append((what, *done.stdout.split()[-5:]))
    header = ("limit", "digest", "decomposition, s", "quantification, s")
    memory = ("address space, MB", "resident, MB")
    print_table(f"{size} x {size} x {N_CHANNELS}, one process", header + memory, rows)


def stream(size, n_channels):
    """Decompose a sparse stream like those of Velox, which must never be dense."""
    done = subprocess.run(
        [sys.executable, __file__, "--stream", str(size), str(n_channels)],
        check=True,
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
    )
    header = ("stream", "dense (uint32), MB", "before, MB", "peak, MB", "seconds")
    cells = (f"{size} x {size} x {n_channels}", *done.stdout.split()[-4:])
    print_table("Sparse stream", header, [cells])


def fit_stream(size, n_channels):
    """Print dense size, memory before and at most, and seconds."""
    import dask.array as da
    import sparse

    particles = grain_boundary((16, 16), counts_per_pixel=50, seed=0)
    particles.decomposition(**OPTIONS)  # compile
    s = grain_boundary((size, size), counts_per_pixel=20, seed=0, lazy=True)
    blocks = [block.compute() for block in s.data.to_delayed().ravel()]
    parts = [sparse.COO.from_numpy(block.astype(np.uint32)) for block in blocks]
    del blocks
    events = sparse.concatenate(parts)
    coords = events.coords.copy()
    coords[2] *= n_channels // s.data.shape[-1]
    events = sparse.COO(coords, events.data, (size, size, n_channels))
    # as RosettaSciIO gives the stream of a Velox file to HyperSpy
    s.data = da.from_array(events, chunks=(64, 64, n_channels))
    axis = s.axes_manager[-1]
    axis.scale *= s.axes_manager[-1].size / n_channels
    s.get_dimensions_from_data()
    forget_peak()
    before, begin = peaks()[1], time.perf_counter()
    s.decomposition(**OPTIONS)
    [m.data.compute() for m in s.quantify("pixels")]
    seconds = time.perf_counter() - begin
    dense = 4 * np.prod(s.data.shape) / 2**20
    print(f"{dense:.0f} {before:.0f} {peaks()[1]:.0f} {seconds:.1f}")


# -- clusters ------------------------------------------------------------------------


@contextlib.contextmanager
def local_cluster(n_workers):
    """Yield a client of so many processes of one thread."""
    from distributed import Client, LocalCluster

    with (
        dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 GB"}),
        LocalCluster(
            n_workers=n_workers, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


def cluster(folder, size, cases, kill_after):
    """Fit on clusters; results are equal to the last bit where the digests are."""
    path = map_file(folder, size)
    rows = []
    for case in cases:
        with local_cluster(int(case[0])) as client:
            fit(map_file(folder, 256))  # compile
            forget_peak()
            pids = set(client.run(os.getpid).values())
            if case.endswith("killed"):
                # without warning, as the system does when memory runs out
                threading.Timer(kill_after, os.kill, (min(pids), 9)).start()
            found, mean, seconds = fit(path)
            died = len(pids - set(client.run(os.getpid).values()))
            memory = max(one[1] for one in client.run(peaks).values())
        one = sum(rows[0][3:5]) if rows else sum(seconds)
        rows.append(
            (
                case,
                died,
                digest(found, mean),
                *seconds,
                one / sum(seconds),
                memory,
                peaks()[1],
            )
        )
    header = ("workers", "died", "digest", "decomposition, s", "quantification, s")
    header += ("speed", "largest worker, MB", "client, MB")
    table = [
        (
            *row[:3],
            *(f"{x:.1f}" for x in row[3:5]),
            f"{row[5]:.2f}",
            *map(round, row[6:]),
        )
        for row in rows
    ]
    print_table(f"{size} x {size} x {N_CHANNELS}, cluster", header, table)


def digest(found, mean) -> str:
    """Short text that changes with any bit of the phases and their maps."""
    arrays = [found.W, found.loadings, found.covariance, found.pull, found.mixing, mean]
    data = b"".join(np.ascontiguousarray(one).tobytes() for one in arrays)
    return hashlib.sha256(data).hexdigest()[:12]


def main(given):
    if given.fit:
        found, mean, seconds = fit(given.fit)
        cells = *(f"{x:.1f}" for x in seconds), *(f"{x:.0f}" for x in peaks())
        print(digest(found, mean), *cells)
        return
    if given.stream:
        fit_stream(*given.stream)
        return
    given.folder.mkdir(parents=True, exist_ok=True)
    place = given.folder, given.size
    part = {
        "ingest": lambda: ingest(*place),
        "local": lambda: local(*place),
        "stream": lambda: stream(64 if given.smoke else 512, 4096),
        "cluster": lambda: cluster(*place, given.clusters, given.kill_after),
    }
    for name in given.parts:
        part[name]()


if __name__ == "__main__":
    run(
        main,
        __doc__,
        argument("--folder", type=Path, default=Path("build/large"), help="of the map"),
        parts(*PARTS, smoke=("ingest", "stream")),
        argument("--size", type=int, default=2048, smoke=64, help="rows and columns"),
        argument(
            "--clusters", nargs="+", default=("1", "2", "2, one killed"), help="workers"
        ),
        argument("--kill-after", type=float, default=30.0, metavar="SECONDS"),
        argument("--fit", type=Path, help=argparse.SUPPRESS),
        argument("--stream", type=int, nargs=2, help=argparse.SUPPRESS),
    )
