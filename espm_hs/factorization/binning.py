"""Neighbouring pixels taken together: fewer spectra, with more counts each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from espm_hs.factorization.counts import Counts

# Phases are found from spectra of so many counts, where a map has enough of them.
ENOUGH_COUNTS = 300.0
# No fewer spectra than that, however few counts they have.
LEAST_BINS = 256


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

    def merge(self, counts: Counts) -> Counts:
        """Return the summed counts of each bin."""
        return Counts.from_array(self._matrix @ counts.to_csr())

    def sum(self, H: np.ndarray) -> np.ndarray:
        """Add up what the pixels have, (n_pixels, k) -> (n_bins, k)."""
        return self._matrix @ H

    def spread(self, H: np.ndarray) -> np.ndarray:
        """Share out what the bins have, (n_bins, k) -> (n_pixels, k)."""
        return (H / np.bincount(self.number)[:, None])[self.number]

    @property
    def _matrix(self) -> sp.csr_array:
        pixels = np.arange(self.number.size)
        ones = np.ones(pixels.size)
        return sp.csr_array(
            (ones, (self.number, pixels)), shape=(self.n_bins, pixels.size)
        )


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
