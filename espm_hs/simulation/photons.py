"""The photons that leave a sample, drawn one by one, and the counts they make.

There are two ways for a sample to absorb its own X-rays: `OwnAbsorption` and
`LocalAbsorption`.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

import numpy as np
from scipy.sparse import csr_array, vstack

from espm_hs.physics import escape_through
from espm_hs.simulation.emission import Emission

# Width in energy, relative, of what shares its absorption in sums over channels.
_GROUP = 0.02


# -- from the sample -----------------------------------------------------------------


class OwnAbsorption:
    """Each phase absorbs as if the foil were made of it: as the fit supposes.

    Parameters
    ----------
    spectra
        Shape (n_channels, n_phases). Counts per nm of each phase and unit of dose.
    """

    def __init__(self, spectra: np.ndarray):
        self.spectra = spectra
        self._sums = spectra.sum(axis=0)

    def means(self, thickness: np.ndarray) -> np.ndarray:
        """Return the expected counts per unit of dose.

        Parameters
        ----------
        thickness
            Shape (n, n_phases). nm.

        Returns
        -------
        array, shape (n, n_channels)
        """
        return thickness @ self.spectra.T

    def totals(self, thickness: np.ndarray) -> np.ndarray:
        """Return the sums over channels of `means`, shape (n,)."""
        return thickness @ self._sums

    def photons(
        self, thickness: np.ndarray, doses: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw photons.

        Parameters
        ----------
        thickness
            Shape (n, n_phases). nm.
        doses
            Shape (n,). Of the pixels.
        rng

        Returns
        -------
        pixel, channel : arrays of int, shape (n_photons,)
        """
        rates = thickness * self._sums * doses[:, None]
        pixel, phase = poisson_events(rates, rng)
        return pixel, self._table.draw(phase, rng)

    @cached_property
    def _table(self) -> Spectra:
        return Spectra(self.spectra)


class LocalAbsorption:
    """Each pixel absorbs by the mixture and the mass thickness that it has.

    Takes and returns what `OwnAbsorption` does.

    Parameters
    ----------
    emission
        Of a model that has a take-off angle.

    Raises
    ------
    ValueError
        If it has none.
    """

    def __init__(self, emission: Emission):
        if emission.take_off_angle is None:
            raise ValueError(
                "Local absorption needs a take-off angle, and the model has none: "
                "build it with SpectrumModel(..., take_off_angle=22)."
            )
        self.emission = emission
        self.take_off_angle = emission.take_off_angle
        self._area = emission.line_spectra.sum(axis=0)
        # counts of each line, then of each channel of the background
        self._weights = np.vstack(
            [emission.lines * self._area[:, None], emission.background]
        )

    def means(self, thickness: np.ndarray) -> np.ndarray:
        """Return expected counts per unit of dose, shape (n, n_channels)."""
        lines, background = self._escaping(thickness)
        return lines @ self.emission.line_spectra.T + background

    def totals(self, thickness: np.ndarray) -> np.ndarray:
        """Return the sums over channels of `means`, to some 1e-5, shape (n,)."""
        weights, absorption = self._groups
        share = escape_through(thickness @ absorption.T, self.take_off_angle)
        return ((thickness @ weights.T) * share).sum(axis=1)

    @cached_property
    def _groups(self) -> tuple[np.ndarray, np.ndarray]:
        """Weights and mean absorption of sources that are near in energy.

        The sum over channels does not need each of them by itself.
        """
        order = np.argsort(self.emission.energy, kind="stable")
        weights, absorption = self._weights[order], self.emission.absorption[order]
        group = np.floor(np.log(self.emission.energy[order]) / _GROUP)
        # a group ends at an edge, and stray lines are not absorbed at all
        jumps = np.abs(np.diff(np.log(absorption + 1e-9), axis=0)).max(axis=1) > 0.1
        group[1:] += np.cumsum(jumps)
        first = np.flatnonzero(np.diff(group, prepend=group[0] - 1))
        total = weights.sum(axis=1, keepdims=True)
        sums = np.add.reduceat(total, first)
        mean = np.add.reduceat(total * absorption, first) / np.where(sums > 0, sums, 1)
        return np.add.reduceat(weights, first), mean

    def _escaping(self, thickness: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Lines, by number, and background behind the mixture of each pixel."""
        emission = self.emission
        depth = thickness @ emission.absorption.T
        share = escape_through(depth, self.take_off_angle)
        n_lines = len(emission.lines)
        return (
            thickness @ emission.lines.T * share[:, :n_lines],
            thickness @ emission.background.T * share[:, n_lines:],
        )

    def photons(
        self, thickness: np.ndarray, doses: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw photons at their source and let the sample take its share of them."""
        emission = self.emission
        rates = thickness * self._weights.sum(axis=0) * doses[:, None]
        pixel, phase = poisson_events(rates, rng)
        origins, lines = self._tables
        origin = origins.draw(phase, rng)
        # what is taken away at random from Poisson numbers leaves Poisson numbers
        depth = np.einsum("ij,ij->i", thickness[pixel], emission.absorption[origin])
        escapes = rng.random(pixel.size) < escape_through(depth, self.take_off_angle)
        pixel, origin = pixel[escapes], origin[escapes]
        channel = origin - len(emission.lines)
        line = channel < 0
        channel[line] = lines.draw(origin[line], rng)
        return pixel, channel

    @cached_property
    def _tables(self) -> tuple[Spectra, Spectra]:
        """Sources of the photons of each phase, channels of each line."""
        return Spectra(self._weights), Spectra(self.emission.line_spectra)


# -- photon by photon ----------------------------------------------------------------


class Spectra:
    """Distributions over channels, from which photons are drawn.

    Parameters
    ----------
    spectra
        Shape (n_channels, n_spectra). Non-negative; a spectrum of zeros must not be
        drawn from.
    """

    def __init__(self, spectra: np.ndarray):
        self.n_channels, self.n_spectra = spectra.shape
        cumulated = np.cumsum(spectra, axis=0)
        cumulated /= np.where(cumulated[-1] > 0, cumulated[-1], 1.0)
        # one rising table of all: each distribution fills the step of its number
        self._table = (cumulated + np.arange(self.n_spectra)).T.ravel()

    def draw(self, which: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw a channel from each of the named spectra.

        Parameters
        ----------
        which
            Shape (n,). Numbers of spectra.
        rng

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
    """Draw photons: Poisson numbers of them from each source of each pixel.

    Parameters
    ----------
    rates
        Shape (n_pixels, n_sources). Expected numbers.
    rng

    Returns
    -------
    pixel, source : arrays of int, shape (n_photons,)
    """
    numbers = rng.poisson(rates).ravel()
    return np.divmod(np.repeat(np.arange(numbers.size), numbers), rates.shape[1])


# -- counts --------------------------------------------------------------------------


def counted(
    pixel: np.ndarray, channel: np.ndarray, shape: tuple[int, int]
) -> csr_array:
    """Count photons.

    Parameters
    ----------
    pixel, channel
        Shape (n_photons,).
    shape
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
    """Move photons to the channels in which a drifted gain puts them.

    Parameters
    ----------
    pixel, channel
        Shape (n_photons,). Before.
    energy
        Shape (n_channels,). Centres of the channels in equal steps, keV.
    gains
        Shape (n_pixels,). Factors on the energy.
    rng
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
    """Means of what `stretched` does to photons with these means.

    Parameters
    ----------
    means
        Shape (n_pixels, n_channels).
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
    """Put blocks of pixels below each other.

    Parameters
    ----------
    blocks
        Of as many columns.

    Returns
    -------
    csr_array
        In the smallest unsigned type that holds the counts.
    """
    whole = vstack(list(blocks), format="csr")
    whole.data = _smallest(whole.data)
    return whole


def _smallest(counts: np.ndarray) -> np.ndarray:
    """Convert counts to the smallest unsigned type that holds them."""
    return counts.astype(np.min_scalar_type(counts.max(initial=0)), copy=False)
