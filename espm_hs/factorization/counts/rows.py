"""From arrays of any kind to rows of compact integers, a piece at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from espm_hs.factorization.kernels import compiled

# Dense input is read in slabs of about this size, so that no second copy of a
# large map ever exists.
SLAB_BYTES = 1 << 26
# Larger values than this are not counts, and their squares would overflow.
LARGEST = 1e18
# Most of a spectrum image is zeros: reading it costs hardly more than fetching it from
# memory if zeros are passed over by the word of so many bytes.
WORD = 8


class Rows(NamedTuple):
    """Counts of consecutive pixels.

    ``per_row`` (n,) int64 non-zeros of each pixel, and the ``channels`` and ``values``
    of these, one pixel after the other.
    """

    per_row: np.ndarray
    channels: np.ndarray
    values: np.ndarray


class Reader:
    """Reads the channels in use of pieces of a map.

    Parameters
    ----------
    n_channels
        Number of channels of the map.
    channels
        Boolean, shape (n_channels,): those in use; None for all.
    """

    def __init__(self, n_channels: int, channels: np.ndarray | None = None):
        self.keep = np.ones(n_channels, bool)
        if channels is not None:
            self.keep[:] = channels
        index_type = np.uint16 if self.n_channels <= 2**16 else np.uint32
        self.position = (np.cumsum(self.keep) - 1).clip(0).astype(index_type)

    @property
    def n_channels(self) -> int:
        """Number of channels in use."""
        return int(self.keep.sum())

    def within(self, channels: slice) -> Reader:
        """Return the reader of pieces that have these channels alone."""
        part = object.__new__(Reader)
        part.keep, part.position = self.keep[channels], self.position[channels]
        return part

    def read(self, piece, wanted: np.ndarray | None = None) -> Rows:
        """Read a piece of a map.

        Parameters
        ----------
        piece
            Shape (..., channels of this reader): numpy, scipy or `sparse`. The leading
            axes are unfolded in C order.
        wanted
            Boolean, one for each pixel of the piece: those in use; None for all.

        Raises
        ------
        ValueError
            If a value in use is negative, NaN or infinite.
        """
        piece = unfolded(piece, wanted)
        if isinstance(piece, np.ndarray):
            rows = Rows(*find_nonzeros(piece, self.keep, self.position))
        else:
            rows = self._sparse(piece)
        _check_values(rows.values)
        return rows._replace(values=compact(rows.values))

    def _sparse(self, rows: sp.csr_array) -> Rows:
        if not rows.has_canonical_format or not rows.data.all():
            rows = rows.copy()
            rows.sum_duplicates()
            rows.eliminate_zeros()
        kept = self.keep[rows.indices]
        before = np.concatenate(([0], np.cumsum(kept, dtype=np.int64)))
        per_row = np.diff(before[rows.indptr])
        return Rows(per_row, self.position[rows.indices[kept]], rows.data[kept])


def unfolded(piece, wanted: np.ndarray | None):
    """Return the wanted pixels of a piece as a numpy array or a matrix of scipy.

    Arguments as of `Reader.read`; the result is (n_wanted, n_channels).
    """
    if not sp.issparse(piece):
        piece = piece.reshape((-1, piece.shape[-1]))
        if not isinstance(piece, np.ndarray):
            piece = piece.to_scipy_sparse()
    if sp.issparse(piece):
        piece = piece.tocsr()
    if wanted is None or wanted.all():
        return piece
    return piece[np.flatnonzero(wanted)]


def check_type(data) -> None:
    """Raise TypeError unless the data are real numbers of at most 64 bits."""
    if data.dtype.kind not in "buif" or data.dtype.itemsize > 8:
        raise TypeError(
            "Counts must be real numbers of at most 64 bits, but the data are of "
            f"type {data.dtype}. Use `signal.real` or `change_dtype` first."
        )


def _check_values(values: np.ndarray) -> None:
    """Raise ValueError unless every value is finite and positive."""
    if values.size == 0:
        return
    if not np.isfinite(values).all():
        raise ValueError(
            "The counts contain NaN or infinity. Set them to zero, or exclude their "
            "pixels or channels with `navigation_mask` or `signal_mask`."
        )
    smallest = values.min()
    if smallest < 0:
        raise ValueError(
            f"Negative values in data: the smallest is {smallest:g}, and counts are "
            "never below zero. Undo a background subtraction, or exclude these "
            "pixels or channels with `navigation_mask` or `signal_mask`."
        )
    if values.max() > LARGEST:
        raise ValueError(
            f"The largest value in the data is {values.max():g}, more than can "
            "be counted. Divide the data by what they were multiplied with."
        )


def compact(values: np.ndarray) -> np.ndarray:
    """Smallest unsigned type that holds the values exactly, else float64."""
    if values.size == 0:
        return values.astype(np.uint8)
    if values.dtype.kind == "f" and not (
        values.max() < 2**32 and np.array_equal(values, np.rint(values))
    ):
        return values.astype(np.float64, copy=False)
    largest = int(values.max())
    if largest >= 2**32:
        return values.astype(np.float64)
    return values.astype(np.min_scalar_type(largest), copy=False)


def slabs(data, reader: Reader, pixels: np.ndarray | None = None) -> Iterator[Rows]:
    """Read an array in memory, some megabytes at a time.

    Parameters
    ----------
    data
        Shape (..., n_channels): numpy, scipy or `sparse`.
    reader
        Of its channels.
    pixels
        Boolean, one per unfolded pixel: those in use; None for all.
    """
    for piece, wanted in pieces(data, pixels):
        yield reader.read(piece, wanted)


def pieces(data, pixels: np.ndarray | None = None) -> Iterator[tuple]:
    """Cut an array in memory into pieces, each with its part of the mask."""
    data = data.tocsr() if sp.issparse(data) else data
    data = data[None] if data.ndim == 1 else data
    row_bytes = max(1, data.dtype.itemsize * int(np.prod(data.shape[1:])))
    per_row = int(np.prod(data.shape[1:-1]))
    step = max(1, SLAB_BYTES // row_bytes)
    for first in range(0, data.shape[0], step):
        end = first + step
        used = None if pixels is None else pixels[first * per_row : end * per_row]
        yield data[first:end], used


def find_nonzeros(
    rows: np.ndarray, keep: np.ndarray, position: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the non-zeros of a matrix, row after row.

    Parameters
    ----------
    rows
        Real numbers, shape (n_rows, n_channels).
    keep
        Boolean, shape (n_channels,): channels in use.
    position
        Shape (n_channels,), unsigned: number of each channel among those in use.

    Returns
    -------
    per_row : ndarray of shape (n_rows,), int64
        Non-zeros of each row.
    channels : ndarray of the type of ``position``
        Position of the channel of each non-zero.
    values : ndarray of the type of ``rows``
        The non-zeros.
    """
    if not rows.dtype.isnative:
        rows = rows.astype(rows.dtype.newbyteorder("="))
    if rows.dtype.kind == "b":
        rows = rows.view(np.uint8)
    elif rows.dtype == np.float16:
        rows = rows.astype(np.float32)
    entries = np.ascontiguousarray(rows).ravel()
    n_words = entries.nbytes // WORD
    words = entries[: n_words * WORD // entries.itemsize].view(np.uint64)
    per_row = np.zeros(rows.shape[0], np.int64)
    # room for all of them costs nothing as long as it is not written to
    channels = np.empty(entries.size, position.dtype)
    values = np.empty(entries.size, entries.dtype)
    n = _scan(entries, words, keep, position, per_row, channels, values)
    return per_row, channels[:n].copy(), values[:n].copy()


@compiled()
def _scan(entries, words, keep, position, per_row, channels, values):
    """Return how many non-zeros were written to channels and values.

    entries (n * e,) any real, words the same memory as uint64 but for a rest, keep and
    position (e,), per_row (n,) int64 zeros, channels and values (n * e,).
    """
    n_channels = keep.size
    per_word = WORD // entries.itemsize
    t, row, start = 0, 0, 0
    for w in range(words.size + 1):
        first, last = w * per_word, (w + 1) * per_word
        if w == words.size:  # what is left over
            last = entries.size
        elif words[w] == 0:
            continue
        for i in range(first, last):
            if entries[i] != 0:
                while i >= start + n_channels:
                    row += 1
                    start += n_channels
                e = i - start
                if keep[e]:
                    channels[t] = position[e]
                    values[t] = entries[i]
                    per_row[row] += 1
                    t += 1
    return t
