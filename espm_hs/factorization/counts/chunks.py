"""Dask arrays read chunk by chunk, however they are cut.

A chunk becomes compact rows as soon as it is there, a hundred times smaller, and only
a few chunks are asked for at a time: dask would otherwise read ahead for as long as
the disk is faster than what comes after. Chunks that lie side by side in a row of the
map, or hold parts of its spectra, are then sorted into whole spectra.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import dask
import dask.array as da
import numpy as np
from dask.array.core import slices_from_chunks
from dask.system import CPU_COUNT

from espm_hs.factorization.counts.rows import Reader, Rows, pieces, unfolded
from espm_hs.factorization.kernels import compiled

# Chunks are asked for together up to about this size of dense data ...
WINDOW_BYTES = 1 << 27
# ... but so many for each core at least, that none waits for the others.
PER_CORE = 2


def chunks(
    data: da.Array, reader: Reader, pixels: np.ndarray | None = None
) -> Iterator[Rows]:
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
        yield sorter(*itertools.islice(read, layout.per_row))


def computed(tasks: Iterator, in_window: int) -> Iterator:
    """Yield the results of delayed tasks in order, few of them being under way."""
    while window := list(itertools.islice(tasks, in_window)):
        yield from dask.compute(*window)


class Layout:
    """How the chunks of a dask array lie in the map.

    Chunks are numbered in C order, those of the first navigation axis being the rows.

    Attributes
    ----------
    places : list of tuple of slice
        Where each chunk lies.
    per_row : int
        Number of chunks of a row.
    in_window : int
        How many chunks to ask for at a time.
    """

    def __init__(self, data: da.Array, pixels: np.ndarray | None = None):
        self.data = data if data.ndim > 1 else data[None]
        shape = self.data.shape[:-1]
        self.used = np.ones(shape, bool) if pixels is None else pixels.reshape(shape)
        self.places = slices_from_chunks(self.data.chunks)
        self.per_row = int(np.prod(self.data.numblocks[1:]))
        largest = max(1, int(np.prod(self.data.chunksize)) * self.data.dtype.itemsize)
        self.in_window = max(PER_CORE * CPU_COUNT, WINDOW_BYTES // largest)

    def tasks(self, function: Callable, reader: Reader | None = None) -> Iterator:
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
        delayed = self.data.to_delayed().ravel()
        for chunk, where in zip(delayed, self.places, strict=True):
            part = () if reader is None else (reader.within(where[-1]),)
            used = self.used[where[:-1]].ravel()
            # masks of whole chunks would be sent to a cluster for nothing
            yield call(chunk, None if used.all() else used, *part)

    def sorters(self) -> Iterator[Sorter]:
        """Yield what sorts the chunks of each row."""
        along = [(slice(None), *where[1:-1]) for where in self.places[: self.per_row]]
        for where in self.places[:: self.per_row]:
            yield Sorter(self.used[where[0]], along)


@dataclass(frozen=True)
class Sorter:
    """Sorts the pixels of a row of chunks into C order.

    Parameters
    ----------
    used
        Boolean, of the shape of the row: pixels in use.
    places
        Where each chunk lies in the row.
    """

    used: np.ndarray
    places: list[tuple[slice, ...]]

    def __call__(self, *pieces: Rows) -> Rows:
        """Return the rows of all pixels, given those of each chunk in C order."""
        if len(pieces) == 1:
            return pieces[0]
        number = np.cumsum(self.used).reshape(self.used.shape) - 1
        slots = [number[where][self.used[where]] for where in self.places]
        per_row = np.zeros(int(self.used.sum()), np.int64)
        for piece, slot in zip(pieces, slots, strict=True):
            per_row[slot] += piece.per_row
        cursor = np.cumsum(per_row) - per_row
        value_type = np.result_type(*(piece.values.dtype for piece in pieces))
        channels = np.empty(int(per_row.sum()), pieces[0].channels.dtype)
        values = np.empty(channels.size, value_type)
        # pieces of the same spectra come in the order of channels
        for piece, slot in zip(pieces, slots, strict=True):
            _place(*piece, slot, cursor, channels, values)
        return Rows(per_row, channels, values)


def read_chunk(chunk, wanted: np.ndarray | None, reader: Reader) -> Rows:
    """Read a chunk, see `Reader.read`."""
    return reader.read(chunk, wanted)


@compiled()
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


def summed_spectrum(data, pixels: np.ndarray | None = None) -> np.ndarray:
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
        for part, where in zip(sums, layout.places, strict=True):
            total[where[-1]] += part
        return total
    for piece, wanted in pieces(data, pixels):
        total += _add_up(piece, wanted)
    return total


def _add_up(piece, wanted: np.ndarray | None) -> np.ndarray:
    """Sum of the wanted pixels of a piece, shape (its channels,)."""
    piece = unfolded(piece, wanted)
    if isinstance(piece, np.ndarray):
        return piece.sum(axis=0, dtype=float)
    rows = piece.tocoo()
    return np.bincount(rows.col, rows.data, rows.shape[1])
