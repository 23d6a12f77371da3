"""What the counts of a pixel say about its abundances, the spectra being known."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.special import erfcx

from espm_hs.factorization.counts.counts import Counts
from espm_hs.factorization.penalties import Penalties

# A number counts as being zero below this share of what it is part of.
BOUND = 1e-7
# Model of a channel where there is none, as a share of the mean count per entry: far
# below one count, and its square far from 0.
INFORMATION_FLOOR = 1e-9
# Added to each precision, as a share of it: components may be the same, and where a
# model of almost nothing meets counts, rounding would swamp what is known before.
PRECISION_RIDGE = 1e-10
# Beyond so many standard deviations the tail of a normal law is an exponential one.
FAR = 100.0
# Wave numbers along each axis, and variances for which the mean over them is tabulated.
WAVES = 32
VARIANCES = np.concatenate(([0.0], np.geomspace(1e-4, 1e6, 201)))
# As good as no smoothness, beside that of another abundance.
WEAK = 1e-8


def ratios(
    counts: Counts, D: np.ndarray, H: np.ndarray, first: int, mean_counts: float
) -> tuple[sp.csr_array, sp.csr_array]:
    """Return x / y and x / y**2 of consecutive pixels, both (p, n_channels).

    Arguments as of `abundance_precision`.
    """
    indptr = counts.indptr[first : first + len(H) + 1]
    where = slice(indptr[0], indptr[-1])
    channels, indptr = counts.channels[where], indptr - indptr[0]
    pixels = np.repeat(np.arange(len(H)), np.diff(indptr))
    floor = INFORMATION_FLOOR * mean_counts / counts.n_channels
    y = floor + np.einsum("tk,tk->t", D[channels], H[pixels])
    ratio, shape = counts.values[where] / y, (len(H), counts.n_channels)
    once, twice = (
        sp.csr_array((x, channels, indptr), shape) for x in (ratio, ratio / y)
    )
    return once, twice


def abundance_covariance(
    counts: Counts,
    D: np.ndarray,
    H: np.ndarray,
    *,
    mean_counts: float | None = None,
    penalties: Penalties | None = None,
    **former: Any,
) -> np.ndarray:
    """Covariance of the abundances of consecutive pixels, for known spectra.

    That of abundances above zero is the inverse of the observed information, to which
    two priors are added: the width of the abundances over the map (without it a pixel
    with fewer counts than components would have none), and that for which the penalties
    stand, see `Penalty.precision`. One at zero may only be larger: it gets
    the mean square of the half of a normal law that its slope and its curvature there
    imply, and the others make up for it.

    Parameters
    ----------
    counts
        The data, n_pixels x n_channels.
    D
        Spectra, shape (n_channels, n_components).
    H
        Abundances, shape (n_pixels, n_components).
    mean_counts
        Mean counts per pixel of the map that the pixels are part of (None: theirs).
    penalties
        Those of the fit (None: none).
    **former
        ``dose`` stands for ``mean_counts``; other names are strengths as `Penalties`
        takes them.

    Returns
    -------
    numpy.ndarray
        Shape (n, n_components, n_components).
    """
    mean_counts = former.pop("dose", mean_counts)
    mean_counts = counts.mean_counts if mean_counts is None else mean_counts
    penalties = penalties or Penalties(**former)
    precision, slope = abundance_precision(counts, D, H, 0, penalties, mean_counts)
    above = BOUND * H.sum(axis=1, keepdims=True) < H
    covariance = np.zeros_like(precision)
    # all pixels with zeros in the same places at once
    for pattern in np.unique(above, axis=0):
        pixels = np.flatnonzero((above == pattern).all(axis=1))
        free, here = np.flatnonzero(pattern), precision[pixels]
        inverse = np.linalg.inv(here[:, free[:, None], free])
        inverse = (inverse + inverse.transpose(0, 2, 1)) / 2
        covariance[pixels[:, None, None], free[:, None], free] = inverse
        for j in np.flatnonzero(~pattern):
            move = np.zeros((pixels.size, H.shape[1]))
            move[:, j] = 1.0
            move[:, free] = -(inverse @ here[:, free, j, None])[..., 0]
            curvature = np.einsum("pk,pk->p", here[:, j], move)
            curvature = np.maximum(curvature, PRECISION_RIDGE * here[:, j, j])
            square = _mean_square_above(slope[pixels, j], curvature)
            covariance[pixels] += square[:, None, None] * (
                move[:, :, None] * move[:, None, :]
            )
    return covariance


def _mean_square_above(slope, curvature):
    """Mean of x**2 for x >= 0 under exp(-slope x - curvature x**2 / 2), elementwise."""
    t = np.maximum(slope, 0.0) / np.sqrt(curvature)
    hazard = np.sqrt(2 / np.pi) / erfcx(t / np.sqrt(2))
    # the difference of large numbers loses its digits; its limit is exponential
    square = np.where(t > FAR, 2 / np.maximum(t, FAR) ** 2, 1 + t**2 - t * hazard)
    return square / curvature


def abundance_precision(
    counts: Counts,
    D: np.ndarray,
    H: np.ndarray,
    first: int,
    penalties: Penalties,
    mean_counts: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Precision of the abundances (p, k, k), and slope of the likelihood (p, k).

    Parameters
    ----------
    counts, D, penalties, mean_counts
        As in `abundance_covariance`.
    H
        Abundances of consecutive pixels, shape (p, k).
    first
        Which pixel of ``counts`` is the first of H.
    """
    k = H.shape[1]
    once, twice = ratios(counts, D, H, first, mean_counts)
    ratio, pairs = once @ D, D[:, :, None] * D[:, None, :]
    precision = (twice @ pairs.reshape(-1, k * k)).reshape(-1, k, k)
    D_sum = D.sum(axis=0)
    D_sum = np.where(D_sum > 0, D_sum, 1.0)  # one that makes no counts: any width
    width = max(mean_counts, 1e-300) / D_sum
    precision[:, range(k), range(k)] *= 1 + PRECISION_RIDGE
    precision[:, range(k), range(k)] += 1 / width**2
    precision[:, range(k), range(k)] += penalties.precision(H * D_sum, D_sum)
    return precision, D.sum(axis=0) - ratio


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
    reduced = np.interp(variances, VARIANCES, _reduction(n_axes))
    smooth = (axes * (reduced * variances)[:, None, :]) @ axes.transpose(0, 2, 1)
    return smooth / np.outer(unit, unit)


def _reduction(n_axes):
    """Mean of 1 / (1 + t w) over the waves, for each t of the table."""
    wave = 2 - 2 * np.cos(np.pi * (np.arange(WAVES) + 0.5) / WAVES)
    w = np.zeros(1)
    for _ in range(n_axes):
        w = np.add.outer(w, wave).ravel()
    return (1 / (1 + VARIANCES[:, None] * w)).mean(axis=1)
