"""Where counts are kept: in memory, or on disk where they are too many for it."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dask
import numpy as np
import psutil
from dask.utils import parse_bytes

from espm_hs.factorization.counts.rows import Rows, compact

# The part of the memory that counts may take: a fit holds copies of them, and maps.
SHARE = 0.2
# Entries copied at a time when a file is written anew.
STEP = 1 << 22
# Where Linux tells of the control groups of a process.
PROC, CGROUP = Path("/proc"), Path("/sys/fs/cgroup")


def memory_for_counts() -> float:
    """Bytes of counts that are kept in memory.

    What ``dask.config.set({"espm_hs.counts-in-memory": "2 GB"})`` says; without it a
    fifth of the memory that is free.
    """
    stated = dask.config.get("espm_hs.counts-in-memory", None)
    return SHARE * available_memory() if stated is None else parse_bytes(stated)


def available_memory() -> float:
    """Bytes that this process can still take.

    The least of what the machine has left, of the limit of the control group (that of
    a container or of a job on a cluster), and of the limit on the address space.
    """
    left = psutil.virtual_memory().available, left_to_group(), left_to_process()
    return float(max(0, min(left)))


def left_to_process() -> float:
    """Bytes that the limit on the address space leaves, where there is one."""
    process = psutil.Process()
    if not hasattr(process, "rlimit"):  # only some systems have it
        return np.inf
    most, _ = process.rlimit(psutil.RLIMIT_AS)
    unlimited = most == psutil.RLIM_INFINITY
    return np.inf if unlimited else most - process.memory_info().vms


def left_to_group() -> float:
    """Bytes that the control group and those around it leave, of both versions.

    What distributed and psutil tell is the limit of the outermost group, and not what
    is in use.
    """
    least = np.inf
    try:
        lines = (PROC / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return least
    for line in lines:
        _, controllers, path = line.split(":", 2)
        folder, names = CGROUP, ("memory.max", "memory.current")
        if "memory" in controllers.split(","):
            folder = CGROUP / "memory"
            names = "memory.limit_in_bytes", "memory.usage_in_bytes"
        elif controllers:
            continue
        innermost = folder / path.lstrip("/")
        for group in (innermost, *innermost.parents):
            if group.is_relative_to(CGROUP):
                least = min(least, _left(group, *names))
    return least


def _left(group: Path, limit: str, used: str) -> float:
    """Return what a group has left; infinite where it has no limit."""
    try:
        most, taken = (group / limit).read_text().strip(), (group / used).read_text()
        held = (group / "memory.stat").read_text().split()
    except OSError:
        return np.inf
    # what was read from files makes room when it is needed
    sizes = dict(zip(held[::2], map(float, held[1::2]), strict=True))
    files = sizes.get("active_file", 0.0) + sizes.get("inactive_file", 0.0)
    return np.inf if most == "max" else float(most) - float(taken) + files


class Store:
    """Rows of counts, one after the other.

    They go to files in a folder of their own, in dask's ``temporary-directory`` or the
    system's, as soon as they are too large for the memory. The folder is removed when
    the last array that reads it is gone.
    """

    def __init__(self):
        self.limit = memory_for_counts()
        self.rows: list[Rows] = []
        self.n_bytes = 0
        self.files = None

    def append(self, rows: Rows) -> None:
        """Add the rows of the next pixels."""
        rows = rows._replace(per_row=rows.per_row.astype(np.uint32))
        self.n_bytes += rows.channels.nbytes + rows.values.nbytes
        if self.files is None and self.n_bytes > self.limit:
            self.files = _Files()
            for i, kept in enumerate(self.rows):
                self.rows[i] = self.files.append(kept)
        self.rows.append(rows if self.files is None else self.files.append(rows))

    def finish(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return indptr, channels and values of all rows."""
        per_row, channels, values = map(list, zip(*self.rows, strict=True))
        self.rows.clear()
        indptr = np.concatenate(([0], *per_row), dtype=np.int64)
        np.cumsum(indptr, out=indptr)
        if self.files is not None:
            return indptr, *self.files.finish()
        # one after the other, so that never both are there twice
        all_channels = _joined(channels)
        return indptr, all_channels, compact(_joined(values))


def _joined(arrays: list[np.ndarray]) -> np.ndarray:
    """Concatenate arrays and let go of them."""
    whole = np.concatenate(arrays) if len(arrays) > 1 else arrays[0]
    arrays.clear()
    return whole


class _Files:
    """Channels and values in two files."""

    def __init__(self):
        parent = dask.config.get("temporary-directory", None)
        self.folder = Path(tempfile.mkdtemp(prefix="espm_hs-", dir=parent))
        # also when the program ends before all is read
        self.remove = weakref.finalize(self, shutil.rmtree, self.folder, True)
        self.types: dict[str, np.dtype] = {}
        self.n_entries = 0

    def append(self, rows: Rows) -> Rows:
        """Write rows; return them without what is written."""
        for name in ("channels", "values"):
            array = getattr(rows, name)
            kind = self.types[name] if self.n_entries else array.dtype
            self.types[name] = np.result_type(kind, array.dtype)
            if self.types[name] != kind:
                self._widen(name, kind)
            with self._named(), open(self.folder / name, "ab") as file:
                # not by tofile, which ignores what goes wrong at the end
                file.write(np.ascontiguousarray(array, self.types[name]).data)
        self.n_entries += rows.values.size
        return Rows(rows.per_row, rows.channels[:0], rows.values[:0])

    def _widen(self, name: str, kind: np.dtype) -> None:
        """Write a file anew in a type that holds larger numbers."""
        old = np.memmap(self.folder / name, kind, "r")
        with self._named(), open(self.folder / "wider", "wb") as file:
            for first in range(0, old.size, STEP):
                file.write(old[first : first + STEP].astype(self.types[name]).data)
        del old
        (self.folder / "wider").replace(self.folder / name)

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Say what could not be written, and where else it may go."""
        try:
            yield
        except OSError as error:
            self.remove()
            raise OSError(
                f"{self.folder} cannot be written, where counts go that are too many "
                f"for the memory: is the disk full? ({error}) Name a folder on another "
                "one with `dask.config.set({'temporary-directory': ...})`, or in the "
                "environment variable DASK_TEMPORARY_DIRECTORY."
            ) from error

    def finish(self) -> tuple[np.ndarray, np.ndarray]:
        """Return channels and values as arrays that read the files."""
        arrays = []
        for name, kind in self.types.items():
            mapped = np.memmap(self.folder / name, kind, "r")
            weakref.finalize(mapped, shutil.rmtree, self.folder, True)
            # the kernels take plain arrays
            arrays.append(np.asarray(mapped))
        self.remove.detach()
        return arrays[0], arrays[1]
