"""What a model knows to shine, before the sample absorbs part of it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from espm_hs.physics.xray.absorption import mass_absorption_coefficient
from espm_hs.physics.xray.columns import FittedRange, LineColumn, Split, line_columns
from espm_hs.physics.xray.detector import FWHM_PER_SIGMA, Detector
from espm_hs.physics.xray.elements import normalised_fractions
from espm_hs.physics.xray.emission import EmissionLine
from espm_hs.physics.xray.peaks import (
    ESCAPE_ENERGY,
    TAIL_WINDOW,
    Channels,
    PeakShape,
    PeakSum,
    with_escape_peaks,
)

#: Number of terms of the bremsstrahlung; a non-negative mixture of them describes it.
N_TERMS = 3
# Decay of the third term, keV.
_DECAY = 10.0

# The columns of lines are in barn inside of a model: numbers near 1.
_CM2_PER_BARN = 1e-24
# Lines this far (keV) outside the fitted channels still reach them with their tail.
_MARGIN = 0.5


class Lines(NamedTuple):
    """
    Lines that reach the fitted channels.

    Attributes
    ----------
    energy
        keV, shape (n_lines,).
    area
        Emission cross section (barn) x detector efficiency, shape (n_lines,).
    column
        Column of each line in the matrix of the model, integers of shape (n_lines,).
    absorbed
        Whether it comes from the sample, which absorbs part of it, shape (n_lines,).
    """

    energy: np.ndarray
    area: np.ndarray
    column: np.ndarray
    absorbed: np.ndarray


class Sources(NamedTuple):
    """
    All that a model knows to shine, before absorption by the sample.

    Attributes
    ----------
    lines
        Characteristic lines.
    line_spectra
        What the detector makes of each line, barn, shape (n_channels, n_lines).
    background
        Shapes of the bremsstrahlung times the efficiency of the detector; 0 outside
        the fitted channels, arbitrary scale, shape (n_channels, n_terms).
    """

    lines: Lines
    line_spectra: np.ndarray
    background: np.ndarray


class Setting(NamedTuple):
    """
    The arguments of a model on which everything but the absorption depends.

    They can be hashed; mappings are tuples of pairs.
    """

    axis: Channels
    beam_energy: float
    elements: tuple[str, ...]
    stray_elements: tuple[str, ...]
    split_lines: tuple[tuple[str, Split], ...]
    line_factors: tuple[tuple[str, float], ...]
    detector: Detector
    minimum_energy: float


@lru_cache(maxsize=16)
def unabsorbed(setting: Setting) -> Unabsorbed:
    """Return the same object for equal settings, as models are often made again."""
    return Unabsorbed(setting)


class Unabsorbed:
    """
    Lines, peaks and bremsstrahlung of a model; each is calculated when asked for.

    Parameters
    ----------
    setting
        What they depend on.
    """

    def __init__(self, setting: Setting):
        self._setting = setting
        self._coefficients: dict[str, np.ndarray] = {}

    @cached_property
    def energy(self) -> np.ndarray:
        """Centres of the channels, keV, shape (n_channels,)."""
        offset, scale, size = self._setting.axis
        return read_only(offset + scale * np.arange(size))

    @cached_property
    def channels(self) -> np.ndarray:
        """Channels to be fitted, bool, shape (n_channels,)."""
        lowest = max(self._setting.minimum_energy, np.finfo(float).tiny)
        fitted = (self.energy >= lowest) & (self.energy < self._setting.beam_energy)
        return read_only(fitted)

    @cached_property
    def dark(self) -> np.ndarray:
        """Channels at energies that no photon has, bool, shape (n_channels,)."""
        return (self.energy <= 0) | (self.energy >= self._setting.beam_energy)

    @cached_property
    def fitted_energy(self) -> np.ndarray:
        """Centres of the fitted channels, keV."""
        return self.energy[self.channels]

    @cached_property
    def fitted_range(self) -> FittedRange:
        """Energies of the first and the last fitted channel, keV."""
        return FittedRange(float(self.fitted_energy[0]), float(self.fitted_energy[-1]))

    @cached_property
    def line_columns(self) -> list[LineColumn]:
        """Columns of characteristic lines, with their lines."""
        setting = self._setting
        return line_columns(
            setting.elements,
            setting.stray_elements,
            dict(setting.split_lines),
            dict(setting.line_factors),
            setting.beam_energy,
            self.fitted_range,
        )

    @cached_property
    def emission_lines(self) -> tuple[EmissionLine, ...]:
        """Lines in the fitted range, by increasing energy."""
        lines = (line for entry in self.line_columns for line in entry.lines)
        visible = (line for line in lines if line.energy in self.fitted_range)
        return tuple(sorted(visible, key=lambda line: (line.energy, line.name)))

    @cached_property
    def lines(self) -> Lines:
        """Lines that reach the fitted channels."""
        low, high = self.fitted_range
        detector = self._setting.detector
        # its tail and its escape peak decide how far above a line still shows
        reach = _MARGIN + ESCAPE_ENERGY * detector.escape_peak
        reach += 1e-3 * TAIL_WINDOW * detector.tail_length if detector.tail else 0.0
        found = [
            (line.energy, line.cross_section, i, entry.column.kind != "stray")
            for i, entry in enumerate(self.line_columns)
            for line in entry.lines
            if low - _MARGIN <= line.energy <= high + reach
        ]
        fields = zip(*found, strict=True)
        energy, cross_section, column, absorbed = (np.array(f) for f in fields)
        # a line outside is seen by its tail in the first or last channel; so a
        # user's efficiency curve has to cover the fitted channels only
        area = detector.efficiency(np.clip(energy, low, high))
        area *= cross_section / _CM2_PER_BARN
        return Lines(energy, area, column, absorbed)

    @cached_property
    def efficiency(self) -> np.ndarray:
        """Efficiency of the detector in the fitted channels."""
        return self._setting.detector.efficiency(self.fitted_energy)

    @cached_property
    def background(self) -> np.ndarray:
        """Bremsstrahlung x efficiency in the fitted channels, (n_fitted, n_terms)."""
        shapes = bremsstrahlung(self.fitted_energy, self._setting.beam_energy)
        return shapes * self.efficiency[:, None]

    @cached_property
    def _peaks(self) -> tuple[np.ndarray, np.ndarray, PeakShape]:
        """Line of each peak, share of the counts of the line in it, and shape."""
        detector, energy = self._setting.detector, self.lines.energy
        line, share = np.arange(len(energy)), np.ones(len(energy))
        if detector.escape_peak:
            line, share, energy = with_escape_peaks(energy)
        sigma = 1e-3 * detector.fwhm(energy) / FWHM_PER_SIGMA
        length = 1e-3 * detector.tail_length
        position = detector.peak_energy(energy)
        return line, share, PeakShape(position, sigma, detector.tail, length)

    @cached_property
    def _by_column(self) -> PeakSum:
        line, _, shape = self._peaks
        column = self.lines.column[line]
        return PeakSum(self._setting.axis, shape, column, len(self.line_columns))

    def line_matrix(self, area: np.ndarray) -> np.ndarray:
        """
        Spectra of the lines, summed by column.

        Parameters
        ----------
        area
            Of each line, shape (n_lines,).

        Returns
        -------
        numpy.ndarray
            Shape (n_channels, n_line_columns).
        """
        line, share, _ = self._peaks
        matrix = self._by_column(area[line] * share)
        matrix[self.dark] = 0
        return matrix

    def line_spectra(self) -> np.ndarray:
        """Spectrum of each line, barn, shape (n_channels, n_lines)."""
        line, share, shape = self._peaks
        area = self.lines.area
        matrix = PeakSum(self._setting.axis, shape, line, len(area))(area[line] * share)
        matrix[self.dark] = 0
        return matrix

    def absorption(self, mass_fractions: Mapping[str, float]) -> np.ndarray:
        """
        Mass absorption coefficient of a mixture for all that it absorbs.

        Parameters
        ----------
        mass_fractions
            By symbol.

        Returns
        -------
        numpy.ndarray
            cm2/g, for the lines of the sample and then the fitted channels.
        """
        energy = np.append(self.lines.energy[self.lines.absorbed], self.fitted_energy)
        total = np.zeros(energy.shape)
        for name, share in normalised_fractions(mass_fractions).items():
            if name not in self._coefficients:
                own = mass_absorption_coefficient(name, energy)
                self._coefficients[name] = np.asarray(own)
            total += share * self._coefficients[name]
        return total


def bremsstrahlung(energy: ArrayLike, beam_energy: float) -> np.ndarray:
    """
    Three non-negative shapes whose mixtures describe the bremsstrahlung of a foil.

    1. (E0 - E) / E0, the slow fall towards the beam energy;
    2. (E0 - E) / (E0 E), H. A. Kramers' law (Phil. Mag. 46 (1923) 836) for the
       energy loss per photon energy;
    3. exp(-E / 10 keV) / E: real spectra rise more steeply towards low energies
       than the first two allow; found on measured spectra, without theory.

    Parameters
    ----------
    energy
        keV, shape (n,).
    beam_energy
        E0, keV.

    Returns
    -------
    numpy.ndarray
        Non-negative, arbitrary scale, shape (n, 3); 0 where the energy is not between
        0 and the beam energy.
    """
    e = np.asarray(energy, dtype=float)
    valid = (e > 0) & (e < beam_energy)
    e = np.where(valid, e, beam_energy)
    linear = (beam_energy - e) / beam_energy
    shapes = (linear, linear / e, np.exp(-e / _DECAY) / e)
    return np.where(valid, shapes, 0.0).T


def read_only(array: np.ndarray) -> np.ndarray:
    """Protect an array, which is changed in place and returned."""
    array.flags.writeable = False
    return array
