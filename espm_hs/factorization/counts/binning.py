"""Neighbouring pixels taken together: fewer spectra, with more counts each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import scipy.sparse as sp

from espm_hs.factorization.counts.counts import AnyCounts, Counts
from espm_hs.factorization.counts.rows import Reader, Rows

# Phases are found from spectra of so many counts, as far as so many bins are left: few
# counts turn the spectra, few bins leave out what is small.
ENOUGH = ((300.0, 256), (3000.0, 1024))
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
    full
        Pixels of a bin of which all are in use.
    """

    number: np.ndarray
    shape: tuple[int, ...]
    used: np.ndarray
    full: int

    @classmethod
    def from_shape(
        cls, shape: tuple[int, ...], factor: int, pixels: np.ndarray | None = None
    ) -> Bins:
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
        number = number.ravel() if pixels is None else number[np.reshape(pixels, shape)]
        used = np.zeros(int(np.prod(binned)), bool)
        used[number] = True
        full = int(np.prod([min(size, factor) for size in shape]))
        return cls((np.cumsum(used) - 1)[number], binned, used, full)

    @property
    def n_bins(self) -> int:
        """Number of bins in use."""
        return int(self.used.sum())

    def merge(self, counts: AnyCounts, *, as_full: bool = False) -> AnyCounts:
        """Return the summed counts of each bin, where the counts are.

        ``as_full``: as if all pixels were in use, and had the same.
        """
        weights = self.full / self._n_pixels if as_full else np.ones(self.n_bins)
        strips = (
            (self._matrix(bins, pixels, weights), counts.part(*pixels))
            for bins, pixels in self.strips(counts.n_nonzeros)
        )
        return counts.rebuilt(_merged, strips)

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
        ones = np.ones(self.n_bins)
        return self._matrix((0, self.n_bins), (0, self.number.size), ones) @ H

    def spread(self, H, edges: Sequence[int] = (), *, as_full: bool = False):
        """Share out what the bins have, (n_bins, k) -> (n_pixels, k).

        Parameters
        ----------
        H
            Array, or `Scattered` over a cluster.
        edges
            First pixel of each piece of the result, and the end, if it is scattered.
        as_full
            As in `merge`.
        """
        shared_by = np.full(self.n_bins, self.full) if as_full else self._n_pixels
        shared = H / shared_by[:, None]
        if isinstance(H, np.ndarray):
            return shared[self.number]
        return shared.taken(self.number, edges)

    @property
    def _n_pixels(self) -> np.ndarray:
        """Pixels in use of each bin, shape (n_bins,)."""
        return np.bincount(self.number)

    def _matrix(self, bins, pixels, weights) -> sp.csr_array:
        """Sum over pixels of some bins, times the weights of the bins."""
        columns = np.arange(pixels[1] - pixels[0])
        number = self.number[slice(*pixels)]
        shape = (bins[1] - bins[0], columns.size)
        indices = number - bins[0], columns
        return sp.csr_array((weights[number], indices), shape=shape)


def _merged(matrix: sp.csr_array, counts: Counts) -> Rows:
    return Reader(counts.n_channels).read(matrix @ counts.to_csr())


def usual_binning(counts: AnyCounts, shape: tuple[int, ...]) -> int:
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
    factors = [1]
    for enough, least in ENOUGH:
        wanted = (enough * counts.n_pixels / counts.total) ** (1 / n_axes)
        largest = (counts.n_pixels / least) ** (1 / n_axes)
        factors.append(min(int(np.ceil(wanted - 1e-9)), int(largest + 1e-9)))
    return max(factors)
