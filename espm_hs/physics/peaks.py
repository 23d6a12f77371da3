"""Gaussian peaks integrated over the channels of a spectrum."""

import numpy as np
from scipy.special import erf

#: Half width of the window in which a peak is evaluated, standard deviations.
WINDOW = 6.0


def peak_matrix(
    offset: float,
    scale: float,
    size: int,
    position: np.ndarray,
    sigma: np.ndarray,
    area: np.ndarray,
    column: np.ndarray,
    n_columns: int,
) -> np.ndarray:
    """
    Sum Gaussian peaks into the columns of a matrix.

    Parameters
    ----------
    offset, scale : float
        Centre of the first channel and width of the channels, keV.
    size : int
        Number of channels.
    position, sigma, area : array, shape (n_peaks,)
        Centre and standard deviation in keV, integral of each peak.
    column : array of int, shape (n_peaks,)
        Column of each peak.
    n_columns : int
        Number of columns.

    Returns
    -------
    array, shape (size, n_columns)
        Integral of the peaks over every channel; each peak is cut 6 standard
        deviations from its centre (2e-9 of its area is lost).
    """
    matrix = np.zeros(size * n_columns)
    if len(position) == 0:
        return matrix.reshape(size, n_columns)
    half = int(np.ceil(WINDOW * sigma.max() / scale)) + 1
    centre = np.rint((position - offset) / scale).astype(np.int64)
    channel = centre[:, None] + np.arange(-half, half + 1)
    # edges of the channels of each window, shape (n_peaks, 2 half + 2)
    steps = np.arange(-half, half + 2) - 0.5
    edges = offset + scale * (centre[:, None] + steps)
    z = (edges - position[:, None]) / (np.sqrt(2) * sigma[:, None])
    content = 0.5 * area[:, None] * np.diff(erf(z), axis=1)
    inside = (channel >= 0) & (channel < size)
    index = channel * n_columns + column[:, None]
    matrix += np.bincount(index[inside], content[inside], minlength=matrix.size)
    return matrix.reshape(size, n_columns)
