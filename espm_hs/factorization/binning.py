"""Neighbouring pixels taken together: fewer spectra, with more counts each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import scipy.sparse as sp

from espm_hs.factorization.counts import Counts
from espm_hs.factorization.rows import Reader, Rows
from espm_hs.factorization.scattered import Scattered

# Phases are found from spectra of so many counts, where a map has enough of them.
ENOUGH_COUNTS = 300.0
# No fewer spectra than that, however few counts they have.
LEAST_BINS = 256
# Non-zeros that are summed at a time.
STRIP = 1 << 21


@dataclass(frozen=True, eq=False)
class Bins:
    """Rectangular groups of pixels.

    Parameters
    ----------
    number
        Shape (n_pixels,), int64: bin of each pixel in use, from 0 to ``n_bins - 1``.
    shape
        Of the binned map.
    used
        Boolean, shape (prod(shape),): bins that have a pixel in use.
    """

    number: np.ndarray
    shape: tuple[int, ...]
    used: np.ndarray

    @classmethod
    def from_shape(cls, shape: tuple[int, ...], factor: int, pixels=None) -> Bins:
        """Bin a map.

        Parameters
        ----------
        shape
            Size of each navigation axis, in array (C) order.
        factor
            Pixels along each axis of a bin; the last bins have what is left over.
        pixels
            Boolean, shape (prod(shape),): pixels in use, None for all.
        """
        binned = tuple(-(-size // factor) for size in shape)
        number = np.ravel_multi_index(tuple(np.indices(shape) // factor), binned)
        number = number.ravel() if pixels is None else number.ravel()[pixels]
        used = np.zeros(int(np.prod(binned)), bool)
        used[number] = True
        return cls((np.cumsum(used) - 1)[number], binned, used)

    @property
    def n_bins(self) -> int:
        """Number of bins in use."""
        return int(self.used.sum())

    def merge(self, counts):
        """Return the summed counts of each bin, where the counts are."""
        strips = (
            (self._matrix(bins, pixels), counts.part(*pixels))
            for bins, pixels in self.strips(counts.n_nonzeros)
        )
        return counts.from_parts(_merged, strips, counts)

    def strips(self, n_nonzeros: int) -> list[tuple[tuple[int, int], tuple[int, int]]]:
        """Cut the map along the first axis, between bins.

        Parameters
        ----------
        n_nonzeros
            Of the whole map: each strip shall have some `STRIP` of them.

        Returns
        -------
        list of ((first_bin, end_bin), (first_pixel, end_pixel))
        """
        before = np.cumsum((0, *self.used.reshape(self.shape[0], -1).sum(axis=1)))
        n_strips = min(max(1, n_nonzeros // STRIP), self.shape[0])
        cuts = np.linspace(0, self.shape[0], n_strips + 1).round().astype(int)
        bins = np.unique(before[cuts])
        # pixels of a strip follow each other, those of a bin do not
        strip = np.searchsorted(bins, self.number, side="right")
        pixels = np.searchsorted(strip, np.arange(1, bins.size + 1))
        return list(
            zip(pairwise(bins.tolist()), pairwise(pixels.tolist()), strict=True)
        )

    def sum(self, H: np.ndarray) -> np.ndarray:
        """Add up what the pixels have, (n_pixels, k) -> (n_bins, k)."""
        return self._matrix((0, self.n_bins), (0, self.number.size)) @ H

    def spread(self, H, edges: Sequence[int] = ()):
        """Share out what the bins have, (n_bins, k) -> (n_pixels, k).

        Parameters
        ----------
        H
            Array, or `Scattered` over a cluster.
        edges
            First pixel of each piece of the result, and the end, if it is scattered.
        """
        n_pixels = np.bincount(self.number)[:, None]
        if isinstance(H, np.ndarray):
            return (H / n_pixels)[self.number]
        pieces = []
        for first, end in pairwise(edges):
            number = self.number[first:end]
            bins = number.min(), number.max() + 1
            rows = H.rows(*bins)
            task = (_spread, number - bins[0], n_pixels[slice(*bins)], *rows)
            pieces.append(H.client.submit(*task, pure=False))
        return Scattered(H.client, pieces, edges, H.tail)

    def _matrix(self, bins, pixels) -> sp.csr_array:
        """Sum over pixels of some bins."""
        columns = np.arange(pixels[1] - pixels[0])
        rows = self.number[slice(*pixels)] - bins[0]
        shape = (bins[1] - bins[0], columns.size)
        return sp.csr_array((np.ones(columns.size), (rows, columns)), shape=shape)


def _merged(matrix, counts) -> Rows:
    return Reader(counts.n_channels).read(matrix @ counts.to_csr())


def _spread(number, n_pixels, *rows):
    return (np.concatenate(rows) / n_pixels)[number]


def usual_binning(counts: Counts, shape: tuple[int, ...]) -> int:
    """Smallest factor with which the bins have enough counts.

    Abundances of pixels with few counts are noise that a fit turns into wrong spectra:
    there are as many of them as of the counts that tell them (Neyman & Scott 1948).

    Parameters
    ----------
    counts
        The map.
    shape
        Size of each navigation axis.
    """
    n_axes = max(1, sum(size > 1 for size in shape))
    wanted = (ENOUGH_COUNTS * counts.n_pixels / counts.total) ** (1 / n_axes)
    largest = (counts.n_pixels / LEAST_BINS) ** (1 / n_axes)
    return max(1, min(int(np.ceil(wanted - 1e-9)), int(largest + 1e-9)))
