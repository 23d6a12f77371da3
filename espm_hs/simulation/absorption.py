"""The photons that leave a sample: two ways for it to absorb its own X-rays."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from espm_hs.physics import escape_through
from espm_hs.simulation.drawing import Spectra, poisson_events
from espm_hs.simulation.emission import Emission

# Width in energy, relative, of what shares its absorption in sums over channels.
_GROUP = 0.02


class OwnAbsorption:
    """
    Each phase absorbs as if the foil were made of it: as the fit supposes.

    Parameters
    ----------
    spectra : array, shape (n_channels, n_phases)
        Counts per nm of each phase and unit of dose.
    """

    def __init__(self, spectra: np.ndarray):
        self.spectra = spectra
        self._sums = spectra.sum(axis=0)

    def means(self, thickness: np.ndarray) -> np.ndarray:
        """
        Return the expected counts per unit of dose.

        Parameters
        ----------
        thickness : array, shape (n, n_phases)
            nm.

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
        """
        Draw photons.

        Parameters
        ----------
        thickness : array, shape (n, n_phases)
            nm.
        doses : array, shape (n,)
            Of the pixels.
        rng : numpy.random.Generator

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
    """
    Each pixel absorbs by the mixture and the mass thickness that it has.

    Takes and returns what `OwnAbsorption` does.

    Parameters
    ----------
    emission : Emission
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
