"""What the counts of a pixel say about its abundances, the spectra being known."""

from __future__ import annotations

import numpy as np
from numba import njit
from scipy.special import erfcx

from espm_hs.factorization.counts.counts import Counts
from espm_hs.factorization.problem import SPARSITY_BEND

# A number counts as being zero below this share of what it is part of.
BOUND = 1e-7
# Model of a channel where there is none, as a share of the mean count per entry: far
# below one count, and its square far from 0.
FLOOR = 1e-9
# Added to each precision, as a share of it: components may be the same, and where a
# model of almost nothing meets counts, rounding would swamp what is known before.
RIDGE = 1e-10
# Beyond so many standard deviations the tail of a normal law is an exponential one.
FAR = 100.0


@njit(cache=True, nogil=True, error_model="numpy")
def _abundance_information(
    indptr, channels, values, first, D, floor, H, information, ratio
):
    """Sum d d^T x / y**2 (p, k, k) and d x / y (p, k) over channels, for H (p, k)."""
    k = H.shape[1]
    for p in range(H.shape[0]):
        for t in range(indptr[first + p], indptr[first + p + 1]):
            e = channels[t]
            y = floor
            for j in range(k):
                y += D[e, j] * H[p, j]
            weight = values[t] / (y * y)
            for i in range(k):
                ratio[p, i] += weight * y * D[e, i]
                for j in range(k):
                    information[p, i, j] += weight * D[e, i] * D[e, j]


def abundance_covariance(
    counts: Counts,
    D: np.ndarray,
    H: np.ndarray,
    *,
    dose: float | None = None,
    sparsity: float = 0.0,
) -> np.ndarray:
    """Covariance of the abundances of consecutive pixels, for known spectra.

    That of abundances above zero is the inverse of the observed information, to which
    two priors are added: the width of the abundances over the map (without it a pixel
    with fewer counts than components would have none), and that of the exponential law
    which has the slope of the sparsity term. One at zero may only be larger: it gets
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
    dose
        Mean counts per pixel of the map that the pixels are part of (None: theirs).
    sparsity
        Strength of the sparsity term in the fit.

    Returns
    -------
    numpy.ndarray
        Shape (n, n_components, n_components).
    """
    dose = counts.dose if dose is None else dose
    precision, slope = abundance_precision(counts, D, H, 0, sparsity, dose)
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
            curvature = np.maximum(curvature, RIDGE * here[:, j, j])
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
    sparsity: float,
    dose: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Precision of the abundances (p, k, k), and slope of the likelihood (p, k).

    Parameters
    ----------
    counts, D, sparsity, dose
        As in `abundance_covariance`.
    H
        Abundances of consecutive pixels, shape (p, k).
    first
        Which pixel of ``counts`` is the first of H.
    """
    k = H.shape[1]
    precision = np.zeros((H.shape[0], k, k))
    ratio = np.zeros_like(H)
    _abundance_information(
        counts.indptr,
        counts.channels,
        counts.values,
        first,
        D,
        FLOOR * dose / counts.n_channels,
        H,
        precision,
        ratio,
    )
    D_sum = D.sum(axis=0)
    D_sum = np.where(D_sum > 0, D_sum, 1.0)  # one that makes no counts: any width
    width = max(dose, 1e-300) / D_sum
    precision[:, range(k), range(k)] *= 1 + RIDGE
    precision[:, range(k), range(k)] += 1 / width**2
    if sparsity > 0:
        in_counts = H * D_sum
        total = in_counts.sum(axis=1, keepdims=True)
        reach = in_counts + SPARSITY_BEND * np.where(total > 0, total, 1.0)
        precision[:, range(k), range(k)] += (sparsity * D_sum / reach) ** 2
    return precision, D.sum(axis=0) - ratio
