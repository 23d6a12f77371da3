"""Poisson counts, drawn photon by photon into a sparse matrix."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy.sparse import csr_array


class Spectra:
    """
    Distributions over channels, from which photons are drawn.

    Parameters
    ----------
    spectra : array, shape (n_channels, n_spectra)
        Non-negative; a spectrum of zeros must not be drawn from.
    """

    def __init__(self, spectra: np.ndarray):
        self.n_channels, self.n_spectra = spectra.shape
        cumulated = np.cumsum(spectra, axis=0)
        cumulated /= np.where(cumulated[-1] > 0, cumulated[-1], 1.0)
        # one rising table of all: each distribution fills the step of its number
        self._table = (cumulated + np.arange(self.n_spectra)).T.ravel()

    def draw(self, which: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """
        Draw a channel from each of the named spectra.

        Parameters
        ----------
        which : array of int, shape (n,)
            Numbers of spectra.
        rng : numpy.random.Generator

        Returns
        -------
        array of int, shape (n,)
        """
        position = rng.random(which.size) + which
        found = np.searchsorted(self._table, position, side="right")
        channel = found - which * self.n_channels
        # rounding of the sum may leave a step just below its end
        return np.minimum(channel, self.n_channels - 1)


def poisson_events(
    rates: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """
    Draw photons: Poisson numbers of them from each source of each pixel.

    Parameters
    ----------
    rates : array, shape (n_pixels, n_sources)
        Expected numbers.
    rng : numpy.random.Generator

    Returns
    -------
    pixel, source : arrays of int, shape (n_photons,)
    """
    numbers = rng.poisson(rates).ravel()
    return np.divmod(np.repeat(np.arange(numbers.size), numbers), rates.shape[1])


def counted(
    pixel: np.ndarray, channel: np.ndarray, shape: tuple[int, int]
) -> csr_array:
    """
    Count photons.

    Parameters
    ----------
    pixel, channel : arrays of int, shape (n_photons,)
    shape : tuple of int
        Pixels and channels.

    Returns
    -------
    csr_array of that shape
    """
    cell, counts = np.unique(pixel * shape[1] + channel, return_counts=True)
    row, column = np.divmod(cell, shape[1])
    starts = np.searchsorted(row, np.arange(shape[0] + 1))
    return csr_array((_smallest(counts), column.astype(np.int32), starts), shape)


def stretched(
    pixel: np.ndarray,
    channel: np.ndarray,
    energy: np.ndarray,
    gains: np.ndarray,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """
    Move photons to the channels in which a drifted gain puts them.

    Parameters
    ----------
    pixel, channel : arrays of int, shape (n_photons,)
        Before.
    energy : array, shape (n_channels,)
        Centres of the channels in equal steps, keV.
    gains : array, shape (n_pixels,)
        Factors on the energy.
    rng : numpy.random.Generator
        Says where in its channel a photon was.

    Returns
    -------
    pixel, channel : arrays of int
        After; without the photons that have left the axis.
    """
    step = energy[1] - energy[0]
    place = energy[0] + step * (channel + rng.random(channel.size) - 0.5)
    moved = np.rint((place * gains[pixel] - energy[0]) / step).astype(np.int64)
    inside = (moved >= 0) & (moved < energy.size)
    return pixel[inside], moved[inside]


def stretched_means(
    means: np.ndarray, energy: np.ndarray, gains: np.ndarray
) -> np.ndarray:
    """
    Means of what `stretched` does to photons with these means.

    Parameters
    ----------
    means : array, shape (n_pixels, n_channels)
    energy, gains
        As in `stretched`.

    Returns
    -------
    array, shape (n_pixels, n_channels)
    """
    if np.all(gains == 1):
        return means
    step = energy[1] - energy[0]
    edges = energy[0] + step * (np.arange(energy.size + 1) - 0.5)
    result = np.empty_like(means)
    for i, gain in enumerate(gains):
        up_to = np.concatenate([[0.0], np.cumsum(means[i])])
        result[i] = np.diff(np.interp(edges / gain, edges, up_to))
    return result


def stacked(blocks: Iterable[csr_array]) -> csr_array:
    """
    Put blocks of pixels below each other.

    Parameters
    ----------
    blocks : iterable of csr_array
        Of as many columns.

    Returns
    -------
    csr_array
        In the smallest unsigned type that holds the counts.
    """
    values, columns, lengths = [], [], []
    for block in blocks:
        values.append(block.data)
        columns.append(block.indices)
        lengths.append(np.diff(block.indptr))
    data = np.concatenate(values)
    starts = np.concatenate([[0], np.cumsum(np.concatenate(lengths))])
    shape = (len(starts) - 1, block.shape[1])
    return csr_array((_smallest(data), np.concatenate(columns), starts), shape)


def _smallest(counts: np.ndarray) -> np.ndarray:
    return counts.astype(np.min_scalar_type(counts.max(initial=0)), copy=False)
