"""Errors of abundances whose neighbours are tied."""

from __future__ import annotations

import numpy as np

# Wave numbers along each axis, and strengths for which the mean over them is tabulated.
WAVES = 32
TABLE = np.concatenate(([0.0], np.geomspace(1e-4, 1e6, 201)))
# As good as no smoothness, beside that of another abundance.
WEAK = 1e-8


def smoothed_covariance(
    covariance: np.ndarray, strength: float | np.ndarray, n_axes: int
) -> np.ndarray:
    """Covariance of the abundances of a pixel in a smooth map.

    Parameters
    ----------
    covariance
        Of pixels that are left to themselves, shape (n_pixels, k, k).
    strength
        Factor of half the sum of squared differences of neighbours, in nats; one for
        each abundance, shape (k,), or for all.
    n_axes
        Number of axes of the map.

    Returns
    -------
    numpy.ndarray
        Shape (n_pixels, k, k).

    Notes
    -----
    Taken as a prior, the smoothness adds ``strength * w`` to the precision of a wave in
    the map, w being the sum of 2 (1 - cos q) over the axes. The variance v of a pixel,
    its neighbours being known as well as itself, thus becomes the mean of
    1 / (1 / v + strength w) over the wave numbers q, which covers bias and noise
    (Wahba 1983). Of several abundances it is that of h sqrt(strength), for which all
    strengths are 1. Pixels are taken as square.
    """
    strength = np.full(covariance.shape[-1], strength, dtype=float)
    if not strength.any() or n_axes == 0:
        return covariance
    unit = np.sqrt(np.maximum(strength, WEAK * strength.max()))
    variances, axes = np.linalg.eigh(covariance * np.outer(unit, unit))
    variances = np.maximum(variances, 0.0)
    reduced = np.interp(variances, TABLE, _reduction(n_axes))
    smooth = (axes * (reduced * variances)[:, None, :]) @ axes.transpose(0, 2, 1)
    return smooth / np.outer(unit, unit)


def _reduction(n_axes):
    """Mean of 1 / (1 + t w) over the waves, for each t of the table."""
    wave = 2 - 2 * np.cos(np.pi * (np.arange(WAVES) + 0.5) / WAVES)
    w = np.zeros(1)
    for _ in range(n_axes):
        w = np.add.outer(w, wave).ravel()
    return (1 / (1 + TABLE[:, None] * w)).mean(axis=1)
