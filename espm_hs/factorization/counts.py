"""Counts stored by pixel in compressed rows of compact integers.

Spectrum images are sparse (0.03 % to 7 % of the entries are not zero), and only
the non-zeros enter the cost of an iteration. `Counts` holds them once, in three
arrays: where each pixel begins, the channel of each non-zero, and its value.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from espm_hs.factorization.scanning import find_nonzeros

# Non-zeros per block: small enough that a thread's share stays balanced and its
# counts stay in the second-level cache, large enough to hide the call.
BLOCK_NONZEROS = 1 << 17
# Fewer where that makes no equal shares for several threads; all in one block if there
# are so few that threads would only wait for each other.
LEAST_BLOCKS, SMALL_NONZEROS = 8, 1 << 13
# Each block has its own sums of size channels x components; more of them than this
# would cost memory and balance no better.
MAX_BLOCKS = 64
# Reading all channels is faster than reading non-zeros, and takes no more memory, where
# so much of the counts is not zero.
DENSE = 0.4
# Dense input is read in slabs of about this size, so that no second copy of a
# large map ever exists.
SLAB_BYTES = 1 << 26


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


def _compact(values: np.ndarray) -> np.ndarray:
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


def _slabs(data) -> Iterator:
    """Cut an array (..., channels) into consecutive two-dimensional pieces."""
    if sp.issparse(data):
        yield data
        return
    if data.ndim == 1:
        data = data[None]
    if hasattr(data, "dask"):
        edges = np.cumsum((0, *data.chunks[0]))
    else:
        row_bytes = max(1, data.dtype.itemsize * int(np.prod(data.shape[1:])))
        step = max(1, SLAB_BYTES // row_bytes)
        edges = np.append(np.arange(0, data.shape[0], step), data.shape[0])
    for first, last in itertools.pairwise(edges):
        slab = data[first:last]
        if hasattr(slab, "dask"):
            slab = slab.compute()
        yield slab.reshape((-1, slab.shape[-1]))


def _sparse_rows(slab, keep, position):
    """(per_row, channels, values) of a scipy or pydata sparse matrix."""
    rows = sp.csr_matrix(slab if sp.issparse(slab) else slab.to_scipy_sparse())
    if not rows.has_canonical_format or not rows.data.all():
        rows = rows.copy()
        rows.sum_duplicates()
        rows.eliminate_zeros()
    kept = keep[rows.indices]
    before = np.concatenate(([0], np.cumsum(kept, dtype=np.int64)))
    per_row = np.diff(before[rows.indptr])
    return per_row, position[rows.indices[kept]], rows.data[kept]


@dataclass(frozen=True, eq=False)
class Counts:
    """Non-zero counts of a map, pixel after pixel.

    Parameters
    ----------
    indptr
        Shape (n_pixels + 1,), int64: pixel ``p`` owns the entries
        ``indptr[p]:indptr[p + 1]``.
    channels
        Shape (n_nonzeros,), uint16 or uint32: channel of each entry.
    values
        Shape (n_nonzeros,), unsigned integer or float64: the counts.
    n_channels
        Number of channels.
    """

    indptr: np.ndarray
    channels: np.ndarray
    values: np.ndarray
    n_channels: int

    @classmethod
    def from_array(cls, data, *, pixels=None, channels=None) -> Counts:
        """Read counts from an array, whole or in part, without a dense copy.

        Parameters
        ----------
        data
            Real numbers of shape (..., n_channels): a numpy array of any integer
            or float type, a scipy sparse matrix, a `sparse` array, or a dask array
            of either. The leading axes are unfolded in C order.
        pixels
            Boolean, one per unfolded pixel: True for those to keep.
        channels
            Boolean, shape (n_channels,): True for those to keep.

        Raises
        ------
        TypeError
            If the numbers are complex or not numbers at all.
        ValueError
            If a kept value is negative, NaN or infinite.
        """
        if data.dtype.kind not in "buif" or data.dtype.itemsize > 8:
            raise TypeError(
                "Counts must be real numbers of at most 64 bits, but the data are of "
                f"type {data.dtype}. Use `signal.real` or `change_dtype` first."
            )
        n_channels = data.shape[-1]
        keep = np.ones(n_channels, bool) if channels is None else np.asarray(channels)
        index_type = np.uint16 if keep.sum() <= 2**16 else np.uint32
        position = (np.cumsum(keep) - 1).clip(0).astype(index_type)

        parts, seen = [], 0
        for slab in _slabs(data):
            if pixels is not None:
                wanted = np.asarray(pixels)[seen : seen + slab.shape[0]]
                seen += slab.shape[0]
                if not wanted.all():
                    slab = slab[np.flatnonzero(wanted)]
            read = find_nonzeros if isinstance(slab, np.ndarray) else _sparse_rows
            per_row, index, values = read(slab, keep, position)
            _check_values(values)
            parts.append((per_row, index, _compact(values)))

        per_row, index, values = (
            np.concatenate(arrays) for arrays in zip(*parts, strict=True)
        )
        indptr = np.concatenate(([0], np.cumsum(per_row)))
        return cls(indptr, index, _compact(values), int(keep.sum()))

    @property
    def n_pixels(self) -> int:
        """Number of pixels."""
        return self.indptr.size - 1

    @property
    def n_nonzeros(self) -> int:
        """Number of stored entries."""
        return self.values.size

    @property
    def nbytes(self) -> int:
        """Memory held, in bytes."""
        return self.indptr.nbytes + self.channels.nbytes + self.values.nbytes

    @cached_property
    def per_pixel(self) -> np.ndarray:
        """Counts of each pixel, shape (n_pixels,), float64."""
        total = np.concatenate(([0.0], np.cumsum(self.values, dtype=np.float64)))
        return np.diff(total[self.indptr])

    @cached_property
    def spectrum(self) -> np.ndarray:
        """Counts of each channel, shape (n_channels,), float64."""
        return np.bincount(self.channels, self.values, self.n_channels)

    @property
    def total(self) -> float:
        """All counts."""
        return float(self.spectrum.sum())

    @property
    def dose(self) -> float:
        """Mean counts of a pixel."""
        return self.total / self.n_pixels

    @cached_property
    def saturated(self) -> float:
        """``sum(x log x - x)``: what turns the likelihood into a divergence."""
        x = self.values.astype(np.float64)
        return float((x * np.log(x) - x).sum())

    @cached_property
    def smallest(self) -> float:
        """Smallest count that is not zero; infinite where there is none."""
        return float(self.values.min()) if self.n_nonzeros else np.inf

    @cached_property
    def blocks(self) -> np.ndarray:
        """First pixel of each block, and the end: shape (n_blocks + 1,).

        The cuts depend on the counts alone, never on the number of workers, so
        that sums over blocks have the same bits on one thread and on many.
        """
        n_blocks = 1
        if self.n_nonzeros >= SMALL_NONZEROS:
            wanted = round(self.n_nonzeros / BLOCK_NONZEROS)
            n_blocks = min(max(LEAST_BLOCKS, wanted), MAX_BLOCKS)
        targets = np.linspace(0, self.n_nonzeros, n_blocks + 1)[1:-1]
        cuts = np.searchsorted(self.indptr, targets)
        return np.unique(np.concatenate(([0], cuts, [self.n_pixels])))

    @cached_property
    def table(self) -> np.ndarray | None:
        """All counts, zeros too, (n_pixels, n_channels); None if too many are zero."""
        size = self.n_pixels * self.n_channels
        if self.n_nonzeros < DENSE * size:
            return None
        counts = np.zeros((self.n_pixels, self.n_channels), self.values.dtype)
        pixels = np.repeat(np.arange(self.n_pixels), np.diff(self.indptr))
        counts[pixels, self.channels] = self.values
        return counts

    def take(self, pixels: np.ndarray) -> Counts:
        """Return the counts of some pixels; boolean, shape (n_pixels,)."""
        per_pixel = np.diff(self.indptr)
        kept = np.repeat(pixels, per_pixel)
        indptr = np.concatenate(([0], np.cumsum(per_pixel[pixels])))
        return Counts(indptr, self.channels[kept], self.values[kept], self.n_channels)

    def to_csr(self) -> sp.csr_array:
        """Return the counts as a scipy matrix of shape (n_pixels, n_channels)."""
        return sp.csr_array(
            (self.values.astype(np.float64), self.channels, self.indptr),
            shape=(self.n_pixels, self.n_channels),
        )
