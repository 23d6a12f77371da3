"""Smooth random fields."""

from __future__ import annotations

import numpy as np
from scipy import fft
from scipy.ndimage import fourier_gaussian
from scipy.special import softmax

from espm_hs.arguments import check_number
from espm_hs.simulation.phantoms.pixels import checked_shape


def random_fields(
    shape: tuple[int, int],
    n_phases: int,
    length: float,
    contrast: float = 3.0,
    seed: int | np.random.Generator = 0,
) -> np.ndarray:
    """
    Phases that pass smoothly into each other, without any order.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the map.
    n_phases : int
        Number of phases.
    length : float
        Correlation length, pixels: at this distance the correlation of the fields has
        fallen to 1/e. At most the longer side of the map.
    contrast : float
        0 mixes the phases evenly, 1 mixes them everywhere; with 3 each is nearly pure
        somewhere, and from 10 up there are grains with blurred boundaries.
    seed : int or numpy.random.Generator
        The same seed gives the same maps.

    Returns
    -------
    array, shape (ny, nx, n_phases)
        Of sum 1 in each pixel. Opposite sides of the map continue each other.

    Raises
    ------
    ValueError
        If the shape is not that of a map or a number is out of range.

    Notes
    -----
    White noise, smoothed by a Gaussian of standard deviation length/2, so that the
    correlation at distance r is exp(-(r/length)^2); each field is shifted and scaled to
    mean 0 and variance 1. The shares are the softmax of contrast times the fields.
    """
    ny, nx = checked_shape(shape)
    check_number("n_phases", n_phases, 1, whole=True)
    check_number("length", length, 0, max(ny, nx), above=True)
    check_number("contrast", contrast, 0)
    noise = np.random.default_rng(seed).standard_normal((n_phases, ny, nx))
    fields = np.stack([_smoothed(field, length / 2) for field in noise], axis=-1)
    fields -= fields.mean(axis=(0, 1))
    # a map of one pixel has no variance
    fields /= np.maximum(fields.std(axis=(0, 1)), np.finfo(float).tiny)
    return softmax(contrast * fields, axis=-1)


def _smoothed(field: np.ndarray, sigma: float) -> np.ndarray:
    """Periodic convolution with a Gaussian, whose cost does not grow with its width."""
    spectrum = fourier_gaussian(fft.rfft2(field), sigma, n=field.shape[1])
    return fft.irfft2(spectrum, s=field.shape)
