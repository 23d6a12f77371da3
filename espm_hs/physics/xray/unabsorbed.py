"""The emission and detection of a model, before the sample absorbs part of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from typing import NamedTuple

import numpy as np
import xraylib
from numpy.typing import ArrayLike
from scipy.interpolate import BSpline
from scipy.linalg import solve_banded
from scipy.special import erf, log_ndtr, ndtr

from espm_hs.physics.xray.absorption import (
    Angles,
    escape_through,
    mass_absorption_coefficient,
)
from espm_hs.physics.xray.detector import FWHM_PER_SIGMA, Detector
from espm_hs.physics.xray.elements import atomic_to_mass_fractions, normalised_fractions
from espm_hs.physics.xray.emission import (
    EmissionLine,
    Emitters,
    FittedRange,
    LineColumn,
    line_columns,
)

#: Half width of the window in which a peak is evaluated, standard deviations.
WINDOW = 6.0
#: Decay lengths after which nothing of a tail is left.
TAIL_WINDOW = 15.0
# Standard deviations below a peak from which nothing but its tail is left.
TAIL_ALONE = 9.0

# Places that are handled at once: they are many, and each has all lines.
_PLACES_AT_ONCE = 1 << 14

_SI = 14
#: Energy that an escaping photon of silicon (Ka) takes away, keV.
ESCAPE_ENERGY = xraylib.LineEnergy(_SI, xraylib.KA_LINE)


class Channels(NamedTuple):
    """Channels of equal width.

    Attributes
    ----------
    offset, scale
        Centre of the first channel and width of the channels, keV.
    size
        Number of channels.
    """

    offset: float
    scale: float
    size: int


class PeakShape(NamedTuple):
    """Shape of the peaks of a detector.

    Attributes
    ----------
    position, sigma
        Centre and standard deviation of each peak in keV, arrays of shape (n_peaks,).
    tail
        Share of every peak in its tail, 0 to 1: the Gaussian folded with an
        exponential towards low energies.
    tail_length
        Mean of that exponential, keV.
    """

    position: np.ndarray
    sigma: np.ndarray
    tail: float = 0.0
    tail_length: float = 0.1


class PeakSum:
    """The linear map from the areas of peaks to the columns of a matrix.

    The integrals over the channels, which do not depend on the areas, are calculated
    once. Each peak is cut 6 standard deviations from its centre (2e-9 of its area is
    lost). Below, its tail is an exponential, so that those of all peaks of a column are
    one recursion from channel to channel.

    Parameters
    ----------
    channels
        Where to integrate.
    shape
        What to integrate.
    column
        Column of each peak, integers of shape (n_peaks,).
    n_columns
        Number of columns.
    """

    def __init__(
        self, channels: Channels, shape: PeakShape, column: np.ndarray, n_columns: int
    ):
        self._size = (channels.size, n_columns)
        self._whole: Part | None = None
        self._ends: Part | None = None
        if len(shape.position) == 0:
            return
        channel, z = _windows(channels, shape)
        inside = (channel >= 0) & (channel < channels.size)
        index = (channel * n_columns + column[:, None])[inside]
        below = (1 - shape.tail) * _gaussian(z)
        if shape.tail > 0:
            tailed = _tailed(z, shape.sigma[:, None] / shape.tail_length)
            below += shape.tail * tailed
            # what is left below the window begins in the channel under it, which may
            # still be above the axis
            first = channel[:, 0] - 1
            self._n_above = max(0, int(first.max()) + 1 - channels.size)
            self._decay = np.exp(-channels.scale / shape.tail_length)
            left, seen = shape.tail * tailed[:, 0], first >= 0
            self._ends = Part(left, seen, (first * n_columns + column)[seen])
        self._whole = Part(np.diff(below, axis=1), inside, index)

    def __call__(self, area: np.ndarray) -> np.ndarray:
        """Sum the peaks into their columns.

        Parameters
        ----------
        area
            Integral of each peak, shape (n_peaks,).

        Returns
        -------
        numpy.ndarray
            Integrals over the channels, shape (n_channels, n_columns).
        """
        size, n_columns = self._size
        if self._whole is None:
            return np.zeros(self._size)
        total = self._whole.summed(area[:, None], size * n_columns)
        matrix = total.reshape(self._size)
        if self._ends is not None:
            steps = np.ones((2, size + self._n_above))
            begin = self._ends.summed(area, steps.shape[1] * n_columns)
            begin = (1 - self._decay) * begin.reshape(-1, n_columns)
            # each channel has so much of the tails in the one above it
            steps[0] = -self._decay
            matrix += solve_banded((0, 1), steps, begin)[:size]
        return matrix


class Part(NamedTuple):
    """Part of all peaks, of area 1, in some channels.

    Attributes
    ----------
    integral
        Over the channels, one row for each peak.
    inside
        Whether the channel is on the axis.
    place
        Where those that are belong in the matrix, row by row.
    """

    integral: np.ndarray
    inside: np.ndarray
    place: np.ndarray

    def summed(self, area: np.ndarray, size: int) -> np.ndarray:
        """Return the sum over the peaks, of these areas, in a matrix of that size."""
        content = (area * self.integral)[self.inside]
        return np.bincount(self.place, content, minlength=size)


def _gaussian(z: np.ndarray) -> np.ndarray:
    """Integral of the normal distribution up to z, less 1/2."""
    return 0.5 * erf(z / np.sqrt(2))


def _tailed(z: np.ndarray, rate: np.ndarray) -> np.ndarray:
    """Integral up to z of a normal less an exponential deviate of that rate."""
    # far out in the tail the logarithm is 0 to the last digit
    above = z + rate
    near = above > -TAIL_ALONE
    logarithm = np.zeros_like(above)
    logarithm[near] = log_ndtr(-above[near])
    return ndtr(z) + np.exp(rate * (z + 0.5 * rate) + logarithm)


def _windows(channels: Channels, shape: PeakShape) -> tuple[np.ndarray, np.ndarray]:
    """Channels near each peak, and their edges in standard deviations from it."""
    offset, scale, _ = channels
    half = int(np.ceil(WINDOW * float(shape.sigma.max()) / scale)) + 1
    centre = np.rint((shape.position - offset) / scale).astype(np.int64)
    channel = centre[:, None] + np.arange(-half, half + 1)
    # one edge more than channels
    edges = offset + scale * (
        centre[:, None] + np.arange(-half, half + 2, dtype=float) - 0.5
    )
    return channel, (edges - shape.position[:, None]) / shape.sigma[:, None]


@cache
def _silicon() -> tuple[float, float, float]:
    """Coefficient at Si Ka, largest share of escape, and K edge (keV) of silicon."""
    omega = xraylib.FluorYield(_SI, xraylib.K_SHELL)
    jump = xraylib.JumpFactor(_SI, xraylib.K_SHELL)
    edge = xraylib.EdgeEnergy(_SI, xraylib.K_SHELL)
    own = float(mass_absorption_coefficient("Si", ESCAPE_ENERGY))
    return own, 0.5 * omega * (1 - 1 / jump), edge


def escape_share(energy: np.ndarray) -> np.ndarray:
    """Share of the counts of a line that a silicon detector shows in the escape peak.

    Parameters
    ----------
    energy
        Energy of the line, keV.

    Returns
    -------
    numpy.ndarray
        0 up to the K edge of silicon; shape of `energy`.

    Notes
    -----
    S. J. B. Reed and N. G. Ware, J. Phys. E 5 (1972) 582: of the photons absorbed in
    a thick crystal, hit at right angles,
    omega (1 - 1/r) / 2 * (1 - mu_K / mu * ln(1 + mu / mu_K)) lose a Si K photon
    through the front, where omega is the K fluorescence yield of silicon, r its K
    edge jump, mu its absorption coefficient at the line and mu_K that at Si Ka.
    """
    energies = np.asarray(energy, dtype=float)
    own, largest, edge = _silicon()
    ratio = mass_absorption_coefficient("Si", energies) / own
    share = largest * (1 - np.log1p(ratio) / ratio)
    return np.where(energies > edge, share, 0.0)


def with_escape_peaks(
    energy: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the peaks in which a silicon detector shows lines.

    Parameters
    ----------
    energy
        Energy of each line, keV.

    Returns
    -------
    tuple of three numpy.ndarray
        Number of the line, share of its counts, and energy of each peak: first the
        main peak of every line, then the escape peaks.
    """
    lost = escape_share(energy)
    some = np.flatnonzero(lost)
    return (
        np.append(np.arange(len(energy)), some),
        np.append(1 - lost, lost[some]),
        np.append(energy, energy[some] - ESCAPE_ENERGY),
    )


# Decay of the third law of the bremsstrahlung, keV.
_DECAY = 10.0
# Number and degree of the splines of a background. On most axes their knots are a
# factor of two in energy apart: wide beside any line.
N_SPLINES, _DEGREE = 10, 3
# keV, of which logarithms are taken at least.
_LEAST_ENERGY = 1e-3

# Cross sections are in cm2 outside of a model and in barn inside, see `SpectrumModel`.
CM2_PER_BARN = 1e-24
# Lines this far (keV) outside the fitted channels still reach them with their tail.
_MARGIN = 0.5


class Lines(NamedTuple):
    """Lines that reach the fitted channels.

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
    emitted
        The lines themselves.
    """

    energy: np.ndarray
    area: np.ndarray
    column: np.ndarray
    absorbed: np.ndarray
    emitted: tuple[EmissionLine, ...]


class Sources(NamedTuple):
    """All that emits photons in a model, before absorption by the sample.

    Attributes
    ----------
    lines
        Characteristic lines.
    line_spectra
        What the detector makes of each line, barn, shape (n_channels, n_lines).
    background
        Laws of the bremsstrahlung, see `bremsstrahlung`, times the efficiency of the
        detector; 0 outside the fitted channels, arbitrary scale, shape (n_channels,
        n_laws).
    """

    lines: Lines
    line_spectra: np.ndarray
    background: np.ndarray


@dataclass(frozen=True)
class Unabsorbed:
    """Lines, peaks and bremsstrahlung of a model, each calculated when it is asked for.

    Attributes
    ----------
    axis
        Energies of the channels.
    minimum_energy
        Energy (keV) from which channels are fitted.
    emitters
        Elements, and how their lines are grouped.
    detector
        Detector with which the lines are seen.
    """

    axis: Channels
    minimum_energy: float
    emitters: Emitters
    detector: Detector

    @cached_property
    def energy(self) -> np.ndarray:
        """Centres of the channels, keV, shape (n_channels,)."""
        offset, scale, size = self.axis
        return read_only(offset + scale * np.arange(size))

    @cached_property
    def channels(self) -> np.ndarray:
        """Channels to be fitted, bool, shape (n_channels,)."""
        lowest = max(self.minimum_energy, np.finfo(float).tiny)
        fitted = (self.energy >= lowest) & (self.energy < self.emitters.beam_energy)
        return read_only(fitted)

    @cached_property
    def _dark(self) -> np.ndarray:
        """Channels at energies that no photon has."""
        return (self.energy <= 0) | (self.energy >= self.emitters.beam_energy)

    @cached_property
    def fitted(self) -> slice:
        """The fitted channels, which are neighbours; a slice is faster than a mask."""
        first = int(np.argmax(self.channels))
        return slice(first, first + int(self.channels.sum()))

    @cached_property
    def fitted_energy(self) -> np.ndarray:
        """Centres of the fitted channels, keV."""
        return self.energy[self.channels]

    @cached_property
    def fitted_range(self) -> FittedRange:
        """Energies of the first and the last fitted channel, keV."""
        return FittedRange(float(self.fitted_energy[0]), float(self.fitted_energy[-1]))

    @cached_property
    def line_columns(self) -> tuple[LineColumn, ...]:
        """Columns of characteristic lines, with their lines."""
        return line_columns(self.emitters, self.fitted_range)

    @cached_property
    def emission_lines(self) -> tuple[EmissionLine, ...]:
        """Lines in the fitted range, by increasing energy."""
        lines = (line for entry in self.line_columns for line in entry.lines)
        visible = (line for line in lines if line.energy in self.fitted_range)
        return tuple(sorted(visible, key=lambda line: (line.energy, line.name)))

    @cached_property
    def lines(self) -> Lines:
        """Lines that reach the fitted channels."""
        low, high = self.fitted_range.low, self.fitted_range.high
        # its tail and its escape peak decide how far above a line still shows
        reach = _MARGIN + ESCAPE_ENERGY * self.detector.escape_peak
        if self.detector.tail:
            reach += 1e-3 * TAIL_WINDOW * self.detector.tail_length
        found = [
            (line, line.energy, line.cross_section, i, entry.column.kind != "stray")
            for i, entry in enumerate(self.line_columns)
            for line in entry.lines
            if low - _MARGIN <= line.energy <= high + reach
        ]
        emitted, *numbers = zip(*found, strict=True)
        energy, cross_section, column, absorbed = map(np.array, numbers)
        # a line outside is seen by its tail in the first or last channel; so a
        # user's efficiency curve has to cover the fitted channels only
        area = self.detector.efficiency(np.clip(energy, low, high))
        area *= cross_section / CM2_PER_BARN
        return Lines(energy, area, column, absorbed, emitted)

    @cached_property
    def efficiency(self) -> np.ndarray:
        """Efficiency of the detector in the fitted channels."""
        return self.detector.efficiency(self.fitted_energy)

    def background(self, form: str, bends: tuple[float, ...] = ()) -> np.ndarray:
        """Return what is detected of the bremsstrahlung in the fitted channels.

        Parameters
        ----------
        form
            One of `BACKGROUNDS`.
        bends
            Weights of the `splines` that all shapes are multiplied with; empty: none.

        Returns
        -------
        numpy.ndarray
            Shape (n_fitted, n_shapes).
        """
        if (form, bends) not in self._backgrounds:
            shapes, _ = BACKGROUNDS[form]
            detected = self.efficiency
            if bends:
                detected = detected * (splines(self.fitted_energy) @ bends)
            emitted = shapes(self.fitted_energy, self.emitters.beam_energy)
            self._backgrounds[form, bends] = emitted * detected[:, None]
        return self._backgrounds[form, bends]

    @cached_property
    def _backgrounds(self) -> dict[tuple, np.ndarray]:
        """Backgrounds that were asked for."""
        return {}

    @cached_property
    def _peaks(self) -> tuple[np.ndarray, np.ndarray, PeakShape]:
        """Line of each peak, share of the counts of the line in it, and shape."""
        detector, energy = self.detector, self.lines.energy
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
        return PeakSum(self.axis, shape, column, len(self.line_columns))

    def line_matrix(self, area: np.ndarray) -> np.ndarray:
        """Sum the spectra of the lines by column.

        Parameters
        ----------
        area
            Of each line, shape (n_lines,).

        Returns
        -------
        numpy.ndarray
            Shape (n_channels, n_line_columns).
        """
        return self._spectra(self._by_column, area)

    def line_spectra(self) -> np.ndarray:
        """Spectrum of each line, barn, shape (n_channels, n_lines)."""
        line, _, shape = self._peaks
        each = PeakSum(self.axis, shape, line, len(self.lines.area))
        return self._spectra(each, self.lines.area)

    def _spectra(self, peaks: PeakSum, area: np.ndarray) -> np.ndarray:
        line, share, _ = self._peaks
        matrix = peaks(area[line] * share)
        matrix[self._dark] = 0
        return matrix

    def escaping(
        self, composition: Mapping[str, float], mass_thickness: float, angle: Angles
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the fraction of the emitted photons that leaves the sample.

        Parameters
        ----------
        composition
            Atomic fractions of the sample by symbol, in any unit.
        mass_thickness
            kg/m2.
        angle
            Take-off angles of the detectors, degrees.

        Returns
        -------
        tuple of two numpy.ndarray
            Fraction of each line (1 for stray ones) and in each fitted channel.
        """
        mu = np.zeros(len(self.lines.energy) + len(self.fitted_energy))
        fractions = normalised_fractions(atomic_to_mass_fractions(composition))
        for name, share in fractions.items():
            mu += share * self._coefficient(name)
        fraction = escape_through(0.1 * mass_thickness * mu, angle)
        of_lines, in_channels = np.split(fraction, [len(self.lines.energy)])
        return np.where(self.lines.absorbed, of_lines, 1.0), in_channels

    def column_escape(
        self, elements: Sequence[str], mass: np.ndarray, angle: Angles
    ) -> np.ndarray:
        """Return the fraction of the photons of each line column that leaves places.

        Parameters
        ----------
        elements
            Symbols.
        mass
            Mass thickness of each in each place, kg/m2, shape (n_places, n_elements).
        angle
            Take-off angles of the detectors, degrees.

        Returns
        -------
        numpy.ndarray
            Shape (n_places, n_line_columns).
        """
        lines, n = self.lines, len(self.line_columns)
        mu = np.stack([self._coefficient(e)[: len(lines.energy)] for e in elements])
        of_column = np.eye(n)[lines.column] * lines.area[:, None]
        # the lines of a column may all be out of reach
        seen = of_column.any(axis=0)
        of_column[:, seen] /= of_column[:, seen].sum(axis=0)
        found = np.empty((len(mass), n))
        for first in range(0, len(mass), _PLACES_AT_ONCE):
            some = slice(first, first + _PLACES_AT_ONCE)
            fraction = escape_through(0.1 * mass[some] @ mu, angle)
            found[some] = np.where(lines.absorbed, fraction, 1.0) @ of_column + ~seen
        return found

    def _coefficient(self, element: str) -> np.ndarray:
        """Mass absorption coefficients for the lines, then the channels, cm2/g."""
        if element not in self._coefficients:
            energy = np.append(self.lines.energy, self.fitted_energy)
            found = mass_absorption_coefficient(element, energy)
            self._coefficients[element] = np.asarray(found)
        return self._coefficients[element]

    @cached_property
    def _coefficients(self) -> dict[str, np.ndarray]:
        """Mass absorption coefficients of elements that were asked for, cm2/g."""
        return {}


#: Models of equal settings are made again and again: they share one object.
unabsorbed = lru_cache(maxsize=8)(Unabsorbed)


def bremsstrahlung(energy: ArrayLike, beam_energy: float) -> np.ndarray:
    """Three laws whose mixtures are near to the bremsstrahlung of a foil.

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


def splines(energy: np.ndarray) -> np.ndarray:
    """Return cubic B-splines in the logarithm of the energy, which add up to 1.

    Parameters
    ----------
    energy
        keV, shape (n,), increasing; below 1 eV it is taken for 1 eV.

    Returns
    -------
    numpy.ndarray
        Non-negative, shape (n, N_SPLINES).
    """
    # a trial of the energy scale may put the first channels below 0
    position = np.log(np.maximum(energy, _LEAST_ENERGY))
    # one channel alone still has a range
    inner = np.linspace(position[0], position[-1] + 1e-9, N_SPLINES - _DEGREE + 1)
    knots = np.pad(inner, _DEGREE, mode="edge")
    return BSpline.design_matrix(position, knots, _DEGREE).toarray()


def local_bremsstrahlung(energy: ArrayLike, beam_energy: float) -> np.ndarray:
    """Ten non-negative shapes whose mixtures describe any smooth bremsstrahlung.

    They are H. A. Kramers' law times `splines`: equal amounts of all are his law, and
    each changes it within a part of the energy range. No law is known well enough:
    where a stiff shape is wrong, the absorption by the sample would seem to be, and
    amounts of light elements with it. A line is narrower by far and cannot hide in
    them.

    Parameters
    ----------
    energy
        keV, shape (n,), increasing, between 0 and the beam energy.
    beam_energy
        keV.

    Returns
    -------
    numpy.ndarray
        Arbitrary scale, shape (n, N_SPLINES).
    """
    e = np.asarray(energy, dtype=float)
    valid = (e > 0) & (e < beam_energy)
    kramers = np.where(valid, (beam_energy - e) / np.where(valid, e, 1.0), 0.0)
    return splines(e) * kramers[:, None]


#: Forms of the bremsstrahlung: its shapes, and how many they are.
BACKGROUNDS = {
    "laws": (bremsstrahlung, 3),
    "splines": (local_bremsstrahlung, N_SPLINES),
}


def read_only(array: np.ndarray) -> np.ndarray:
    """Protect an array, which is changed in place and returned."""
    array.flags.writeable = False
    return array
