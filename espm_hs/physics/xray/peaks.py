"""Peaks, Gaussian or with a tail, integrated over the channels of a spectrum."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import erf, log_ndtr, ndtr

#: Half width of the window in which a peak is evaluated, standard deviations.
WINDOW = 6.0
#: Length of the window of a tail, decay lengths.
TAIL_WINDOW = 15.0


class Peaks(NamedTuple):
    """
    Peaks to be summed.

    Attributes
    ----------
    position, sigma, area : array, shape (n_peaks,)
        Centre and standard deviation in keV, integral of each peak.
    column : array of int, shape (n_peaks,)
        Column of each peak.
    """

    position: np.ndarray
    sigma: np.ndarray
    area: np.ndarray
    column: np.ndarray


class Channels(NamedTuple):
    """
    Equal channels.

    Attributes
    ----------
    offset, scale : float
        Centre of the first channel and width of the channels, keV.
    size : int
        Number of channels.
    """

    offset: float
    scale: float
    size: int


def peak_matrix(
    channels: Channels,
    peaks: Peaks,
    n_columns: int,
    *,
    tail: float = 0.0,
    tail_length: float = 0.1,
) -> np.ndarray:
    """
    Sum peaks into the columns of a matrix.

    Parameters
    ----------
    channels : Channels
        Where to integrate.
    peaks : Peaks
        What to integrate.
    n_columns : int
        Number of columns.
    tail : float
        Share of every peak in its tail, 0 to 1: the Gaussian folded with an
        exponential towards low energies.
    tail_length : float
        Mean of that exponential, keV.

    Returns
    -------
    array, shape (channels.size, n_columns)
        Integral of the peaks over every channel. Each is cut 6 standard deviations
        from its centre (2e-9 of its area is lost), a tail 15 lengths further (3e-7).
    """
    shape = (channels.size, n_columns)
    if len(peaks.position) == 0:
        return np.zeros(shape)
    half = WINDOW * float(peaks.sigma.max())
    main = peaks._replace(area=peaks.area * (1 - tail))
    total = _deposit(channels, main, (half, half), _gaussian, n_columns)
    if tail > 0:
        folded = peaks._replace(area=peaks.area * tail)
        window = (half + TAIL_WINDOW * tail_length, half)
        rate = peaks.sigma[:, None] / tail_length
        total += _deposit(
            channels, folded, window, lambda z: _tailed(z, rate), n_columns
        )
    return total.reshape(shape)


def _gaussian(z: np.ndarray) -> np.ndarray:
    """Integral of the normal distribution up to z, less 1/2."""
    return 0.5 * erf(z / np.sqrt(2))


def _tailed(z: np.ndarray, rate: np.ndarray) -> np.ndarray:
    """Integral up to z of a normal less an exponential deviate of that rate."""
    return ndtr(z) + np.exp(rate * (z + 0.5 * rate) + log_ndtr(-(z + rate)))


def _deposit(
    channels: Channels,
    peaks: Peaks,
    window: tuple[float, float],
    distribution: Callable[[np.ndarray], np.ndarray],
    n_columns: int,
) -> np.ndarray:
    """
    Integrate peaks of one shape, each within a window below and above its centre.

    The distribution takes standard deviations from the centre, shape (n_peaks, n).
    Returns an array of shape (size * n_columns,).
    """
    offset, scale, size = channels
    below, above = (int(np.ceil(width / scale)) + 1 for width in window)
    centre = np.rint((peaks.position - offset) / scale).astype(np.int64)
    channel = centre[:, None] + np.arange(-below, above + 1)
    # edges of the channels of each window, one more than channels
    edges = offset + scale * (
        centre[:, None] + np.arange(-below, above + 2, dtype=float) - 0.5
    )
    z = (edges - peaks.position[:, None]) / peaks.sigma[:, None]
    content = peaks.area[:, None] * np.diff(distribution(z), axis=1)
    inside = (channel >= 0) & (channel < size)
    index = channel * n_columns + peaks.column[:, None]
    return np.bincount(index[inside], content[inside], minlength=size * n_columns)
