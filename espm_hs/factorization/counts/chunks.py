"""Dask arrays read chunk by chunk, however they are cut.

A chunk becomes compact rows as soon as it is there, a hundred times smaller, and only
a few chunks are asked for at a time: dask would otherwise read ahead for as long as
the disk is faster than what comes after. Chunks that lie side by side in a row of the
map, or hold parts of its spectra, are then sorted into whole spectra.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import dask
import numpy as np
import scipy.sparse as sp
from dask.system import CPU_COUNT
from numba import njit

from espm_hs.factorization.counts.rows import Reader, Rows, pieces

# Chunks are asked for together up to about this size of dense data ...
WINDOW_BYTES = 1 << 27
# ... but so many for each core at least, that none waits for the others.
PER_CORE = 2


def chunks(data, reader: Reader, pixels=None) -> Iterator[Rows]:
    """Read a dask array, each chunk once and a few at a time.

    Parameters
    ----------
    data
        Dask array of shape (..., n_channels), its chunks dense or `sparse`.
    reader
        Of its channels.
    pixels
        Boolean, one per unfolded pixel: those in use; None for all.

    Yields
    ------
    Rows
        Of the pixels of one row of chunks, in C order.
    """
    layout = Layout(data, pixels)
    read = computed(layout.tasks(read_chunk, reader), layout.in_window)
    for sorter in layout.sorters():
        yield sorter(list(itertools.islice(read, layout.per_row)))


def computed(tasks: Iterator, in_window: int) -> Iterator:
    """Yield the results of delayed tasks in order, few of them being under way."""
    while window := list(itertools.islice(tasks, in_window)):
        yield from dask.compute(*window)


class Layout:
    """How the chunks of a dask array lie in the map.

    Chunks are numbered in C order, those of the first navigation axis being the rows.
    """

    def __init__(self, data, pixels=None):
        self.data = data if data.ndim > 1 else data[None]
        self.used = None if pixels is None else pixels.reshape(self.data.shape[:-1])
        self.edges = [np.cumsum((0, *sizes)).tolist() for sizes in self.data.chunks]
        self.per_row = int(np.prod(self.data.numblocks[1:]))

    @property
    def in_window(self) -> int:
        """How many chunks to ask for at a time."""
        largest = max(1, int(np.prod(self.data.chunksize)) * self.data.dtype.itemsize)
        return max(PER_CORE * CPU_COUNT, WINDOW_BYTES // largest)

    def places(self) -> Iterator[tuple[slice, ...]]:
        """Yield where each chunk lies."""
        for index in np.ndindex(self.data.numblocks):
            yield self._slices(index)

    def tasks(self, function, reader: Reader | None = None) -> Iterator:
        """Yield a delayed call of a function for each chunk.

        Parameters
        ----------
        function
            Takes a chunk, which of its pixels are in use (None: all), and, if there is
            a reader, that of the channels of the chunk.
        reader
            Of the channels of the map.
        """
        call = dask.delayed(function, pure=False)
        delayed = self.data.to_delayed()
        places = zip(np.ndindex(delayed.shape), self.places(), strict=True)
        for index, where in places:
            wanted = None if self.used is None else self.used[where[:-1]].ravel()
            channels = where[-1].start, where[-1].stop
            part = () if reader is None else (reader.within(*channels),)
            yield call(delayed[index], wanted, *part)

    def sorters(self) -> Iterator[Sorter]:
        """Yield what sorts the chunks of each row."""
        for first, last in pairwise(self.edges[0]):
            used = None if self.used is None else self.used[first:last]
            yield Sorter((last - first, *self.data.shape[1:-1]), self.edges[1:], used)

    def _slices(self, index) -> tuple[slice, ...]:
        edges = zip(self.edges, index, strict=True)
        return tuple(slice(e[i], e[i + 1]) for e, i in edges)


@dataclass(frozen=True)
class Sorter:
    """Sorts the pixels of a row of chunks into C order.

    Parameters
    ----------
    shape
        Of the pixels of the row.
    edges
        Where chunks begin, and the end, along all axes but the first.
    used
        Boolean, of this shape: pixels in use, None for all.
    """

    shape: tuple[int, ...]
    edges: list[list[int]]
    used: np.ndarray | None

    def __call__(self, pieces: list[Rows]) -> Rows:
        """Return the rows of all pixels, given those of each chunk in C order."""
        if len(pieces) == 1:
            return pieces[0]
        used = np.ones(self.shape, bool) if self.used is None else self.used
        number = np.cumsum(used).reshape(self.shape) - 1
        slots = []
        for along in itertools.product(*map(pairwise, self.edges)):
            where = (slice(None), *(slice(*ends) for ends in along[:-1]))
            slots.append(number[where][used[where]])
        return merge(pieces, slots, int(used.sum()))


def read_chunk(chunk, wanted, reader: Reader) -> Rows:
    """Read a chunk, see `Reader.read`."""
    return reader.read(chunk, wanted)


def merge(pieces: list[Rows], slots: list[np.ndarray], n_pixels: int) -> Rows:
    """Put the pixels of several pieces where they belong.

    Parameters
    ----------
    pieces
        Those that hold parts of the same spectra must come in the order of energy.
    slots
        For each piece, the number of each of its pixels, (n,) int64.
    n_pixels
        Number of pixels of the result.
    """
    per_row = np.zeros(n_pixels, np.int64)
    for piece, slot in zip(pieces, slots, strict=True):
        per_row[slot] += piece.per_row
    cursor = np.cumsum(per_row) - per_row
    value_type = np.result_type(*(piece.values.dtype for piece in pieces))
    channels = np.empty(int(per_row.sum()), pieces[0].channels.dtype)
    values = np.empty(channels.size, value_type)
    for piece, slot in zip(pieces, slots, strict=True):
        _place(*piece, slot, cursor, channels, values)
    return Rows(per_row, channels, values)


@njit(cache=True, nogil=True)
def _place(per_row, channels, values, slot, cursor, all_channels, all_values):
    """Copy the entries of row i (n,) to cursor[slot[i]], which moves on."""
    t = 0
    for i in range(slot.size):
        at = cursor[slot[i]]
        for _ in range(per_row[i]):
            all_channels[at] = channels[t]
            all_values[at] = values[t]
            at += 1
            t += 1
        cursor[slot[i]] = at


def summed_spectrum(data, pixels=None) -> np.ndarray:
    """Add up the spectra of a map.

    Parameters
    ----------
    data
        Shape (..., n_channels): numpy, `sparse` or dask.
    pixels
        Boolean, one per unfolded pixel: those to add; None for all.

    Returns
    -------
    numpy.ndarray
        Shape (n_channels,), float64.
    """
    total = np.zeros(data.shape[-1])
    if hasattr(data, "dask"):
        layout = Layout(data, pixels)
        sums = computed(layout.tasks(_add_up), layout.in_window)
        for part, where in zip(sums, layout.places(), strict=True):
            total[where[-1]] += part
        return total
    for piece, wanted in pieces(data, pixels):
        total += _add_up(piece, wanted)
    return total


def _add_up(piece, wanted) -> np.ndarray:
    """Sum of the wanted pixels of a piece, shape (its channels,)."""
    if not sp.issparse(piece):
        piece = piece.reshape((-1, piece.shape[-1]))
    if wanted is not None and not wanted.all():
        piece = piece[np.flatnonzero(wanted)]
    if isinstance(piece, np.ndarray):
        return piece.sum(axis=0, dtype=float)
    rows = sp.coo_array(piece if sp.issparse(piece) else piece.to_scipy_sparse())
    return np.bincount(rows.col, rows.data, rows.shape[1])
