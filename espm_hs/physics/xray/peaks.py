"""Peaks of a silicon detector, integrated over the channels of a spectrum."""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
import xraylib
from scipy.special import erf, log_ndtr, ndtr

from espm_hs.physics.xray.absorption import mass_absorption_coefficient

#: Half width of the window in which a peak is evaluated, standard deviations.
WINDOW = 6.0
#: Length of the window of a tail, decay lengths.
TAIL_WINDOW = 15.0

# Integral up to so many standard deviations from the centre, shape (n_peaks, n)
Distribution = Callable[[np.ndarray], np.ndarray]

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
    lost), a tail 15 lengths further (3e-7).

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
        self._parts = []
        if len(shape.position) == 0:
            return
        half = WINDOW * float(shape.sigma.max())
        parts: list[tuple[float, float, Distribution]]
        parts = [(1 - shape.tail, half, _gaussian)]
        if shape.tail > 0:
            rate = shape.sigma[:, None] / shape.tail_length
            below = half + TAIL_WINDOW * shape.tail_length
            parts.append((shape.tail, below, lambda z: _tailed(z, rate)))
        for share, below, distribution in parts:
            channel, integral = _integrals(channels, shape, (below, half), distribution)
            inside = (channel >= 0) & (channel < channels.size)
            index = channel * n_columns + column[:, None]
            self._parts.append((share, integral, inside, index[inside]))

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
        total = np.zeros(np.prod(self._size))
        for share, integral, inside, index in self._parts:
            content = (area * share)[:, None] * integral
            total += np.bincount(index, content[inside], minlength=total.size)
        return total.reshape(self._size)


def _gaussian(z: np.ndarray) -> np.ndarray:
    """Integral of the normal distribution up to z, less 1/2."""
    return 0.5 * erf(z / np.sqrt(2))


def _tailed(z: np.ndarray, rate: np.ndarray) -> np.ndarray:
    """Integral up to z of a normal less an exponential deviate of that rate."""
    return ndtr(z) + np.exp(rate * (z + 0.5 * rate) + log_ndtr(-(z + rate)))


def _integrals(
    channels: Channels,
    shape: PeakShape,
    window: tuple[float, float],
    distribution: Distribution,
) -> tuple[np.ndarray, np.ndarray]:
    """Channels within a window (keV) of each peak, and the integrals over them."""
    offset, scale, _ = channels
    below, above = (int(np.ceil(width / scale)) + 1 for width in window)
    centre = np.rint((shape.position - offset) / scale).astype(np.int64)
    channel = centre[:, None] + np.arange(-below, above + 1)
    # edges of the channels of each window, one more than channels
    edges = offset + scale * (
        centre[:, None] + np.arange(-below, above + 2, dtype=float) - 0.5
    )
    z = (edges - shape.position[:, None]) / shape.sigma[:, None]
    return channel, np.diff(distribution(z), axis=1)


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
