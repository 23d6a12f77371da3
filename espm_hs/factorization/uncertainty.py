"""Fisher information of a fit: what the counts say about W and H."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numba import njit

from espm_hs.factorization.counts import Counts
from espm_hs.factorization.passes import Passes
from espm_hs.factorization.problem import SPARSITY_BEND, Problem

# An entry of W counts as being at its bound below this share of its column's counts.
BOUND = 1e-7
# Model of a channel where there is none, as a share of the mean count per entry.
FLOOR = 1e-9
# Standard deviation of the prior of a fraction, which lies between 0 and 1: no error is
# larger than that of not knowing at all.
SPREAD = 0.3


@njit(cache=True, nogil=True, error_model="numpy")
def _abundance_information(indptr, channels, values, first, D, floor, H, information):
    """Sum over channels of d d^T x / y**2 for each pixel of H (p, k)."""
    k = H.shape[1]
    for p in range(H.shape[0]):
        for t in range(indptr[first + p], indptr[first + p + 1]):
            e = channels[t]
            y = floor
            for j in range(k):
                y += D[e, j] * H[p, j]
            weight = values[t] / (y * y)
            for i in range(k):
                for j in range(k):
                    information[p, i, j] += weight * D[e, i] * D[e, j]


@njit(cache=True, nogil=True, error_model="numpy")
def _mixed_information(indptr, channels, values, first, G, D, floor, H, G_sum, C, S):
    """Mixed second derivatives C (p, k, k, c) of h and W, and S (e, k, k).

    G (k, e, c), G_sum (c, k). C[p, j, i, c] is that of h_pj and w_ci; S[e, i, j] sums
    h_i h_j x / y**2.
    """
    k = H.shape[1]
    n_columns = G.shape[2]
    for p in range(H.shape[0]):
        for j in range(k):
            for c in range(n_columns):
                C[p, j, j, c] += G_sum[c, j]
        for t in range(indptr[first + p], indptr[first + p + 1]):
            e = channels[t]
            y = floor
            for j in range(k):
                y += D[e, j] * H[p, j]
            ratio = values[t] / y
            for i in range(k):
                for j in range(k):
                    S[e, i, j] += ratio / y * H[p, i] * H[p, j]
            for i in range(k):
                for c in range(n_columns):
                    g = G[i, e, c] * ratio
                    if g == 0.0:
                        continue
                    C[p, i, i, c] -= g
                    for j in range(k):
                        C[p, j, i, c] += g / y * D[e, j] * H[p, i]


def abundance_covariance(
    counts: Counts,
    D: np.ndarray,
    H: np.ndarray,
    *,
    first: int = 0,
    sparsity: float = 0.0,
) -> np.ndarray:
    """Covariance of the abundances of consecutive pixels, for known spectra.

    The observed information, to which two priors are added: the width of the
    abundances over the map (without it a pixel with fewer counts than components
    would have none), and that of the exponential law which has the slope of the
    sparsity term.

    Parameters
    ----------
    counts
        The data, n_pixels x n_channels.
    D
        Spectra, shape (n_channels, n_components).
    H
        Abundances, shape (n, n_components): of all pixels, or of some.
    first
        Which pixel of ``counts`` is the first of H.
    sparsity
        Strength of the sparsity term in the fit.

    Returns
    -------
    numpy.ndarray
        Shape (n, n_components, n_components).
    """
    return np.linalg.inv(_abundance_precision(counts, D, H, first, sparsity))


def _abundance_precision(counts, D, H, first, sparsity):
    k = H.shape[1]
    precision = np.zeros((H.shape[0], k, k))
    _abundance_information(
        counts.indptr,
        counts.channels,
        counts.values,
        first,
        D,
        _floor(counts),
        H,
        precision,
    )
    D_sum = np.maximum(D.sum(axis=0), np.finfo(float).tiny)
    width = max(counts.total / counts.n_pixels, 1e-300) / D_sum
    precision[:, range(k), range(k)] += 1 / width**2
    if sparsity > 0:
        in_counts = H * D_sum
        total = in_counts.sum(axis=1, keepdims=True)
        reach = in_counts + SPARSITY_BEND * np.where(total > 0, total, 1.0)
        precision[:, range(k), range(k)] += (sparsity * D_sum / reach) ** 2
    return precision


def composition_covariance(
    counts: Counts, problem: Problem, W: np.ndarray, H: np.ndarray
) -> np.ndarray:
    """Covariance of W with the abundances profiled out.

    The inverse of the observed information of (W, H), block of W, along the
    directions that leave the sum of the simplex rows of each component unchanged
    (the scale between W and H is a convention). Fixed entries have no variance.
    A fraction is known to lie between 0 and 1, which bounds its error where the data
    say nothing. Entries at zero are left out of the inverse and get the variance of the
    exponential law that the slope of F there implies.

    Parameters
    ----------
    counts
        The data.
    problem
        G (not None), the fixed entries and the sparsity; smoothness is left out.
    W, H
        The fit, shapes (n_columns, n_components) and (n_pixels, n_components).

    Returns
    -------
    numpy.ndarray
        Shape (n_components, n_columns, n_columns): covariance within each component.
    """
    # fractions of a whole, whatever the scale between W and H
    whole = W[problem.rows_on_simplex].sum(axis=0)
    whole = np.where(whole > 0, whole, 1.0)
    W, H = W / whole, H * whole
    information = _profiled_information(counts, problem, W, H)
    prior = _prior_precision(problem, W)
    slope = _slope(counts, problem, W, H)

    k, n_columns = W.shape[1], W.shape[0]
    free = problem.variable_sum > 0
    if problem.fixed is not None:
        free &= np.isnan(problem.fixed)
    share = W * problem.column_sum * H.sum(axis=0)
    inner = free & (share > BOUND * counts.total)
    flat = inner.T.ravel()  # component after component
    gauge = np.kron(np.eye(k), problem.rows_on_simplex[None, :].astype(float))[:, flat]
    moves = _null_space(gauge)
    inverse = moves @ _safe_inverse(
        moves.T @ information[np.ix_(flat, flat)] @ moves,
        moves.T @ (prior[flat, None] * moves),
    )
    full = np.zeros_like(information)
    full[np.ix_(flat, flat)] = inverse @ moves.T

    covariance = np.empty((k, n_columns, n_columns))
    for j in range(k):
        part = slice(j * n_columns, (j + 1) * n_columns)
        covariance[j] = full[part, part]
        for c in np.flatnonzero(free[:, j] & ~inner[:, j]):
            curvature = information[part, part][c, c]
            steepness = max(slope[c, j], 0.0) ** 2 + max(curvature, 0.0)
            covariance[j, c, c] = 1.0 / steepness if steepness > 0 else 0.0
    return covariance * whole[:, None, None] ** 2


def _profiled_information(counts, problem, W, H):
    """Information of W, component after component, less what H can make up for."""
    k, n_columns = W.shape[1], W.shape[0]
    G = np.ascontiguousarray(np.broadcast_to(problem.G, (k, *problem.G.shape[-2:])))
    D = problem.spectra(W)
    sparsity = problem.penalties.sparsity
    S = np.zeros((problem.n_channels, k, k))
    profiled = np.zeros((k * n_columns, k * n_columns))
    # a slab of pixels at a time: the mixed derivatives are the largest array
    step = max(1, (1 << 24) // (k * k * n_columns))
    for first in range(0, counts.n_pixels, step):
        h = np.ascontiguousarray(H[first : first + step])
        C = np.zeros((h.shape[0], k, k, n_columns))
        _mixed_information(
            counts.indptr,
            counts.channels,
            counts.values,
            first,
            G,
            D,
            _floor(counts),
            h,
            problem.column_sum,
            C,
            S,
        )
        C = C.reshape(h.shape[0], k, k * n_columns)
        # an abundance at zero stays there and makes up for nothing
        C[h <= BOUND * h.sum(axis=1, keepdims=True)] = 0.0
        precision = _abundance_precision(counts, D, h, first, sparsity)
        Z = np.linalg.solve(np.linalg.cholesky(precision), C)
        Z = Z.reshape(-1, k * n_columns)
        profiled -= Z.T @ Z
    for i in range(k):
        for j in range(k):
            rows = slice(i * n_columns, (i + 1) * n_columns)
            columns = slice(j * n_columns, (j + 1) * n_columns)
            profiled[rows, columns] += G[i].T @ (S[:, i, j, None] * G[j])
    return profiled


def _slope(counts, problem, W, H):
    """Return the derivative of the likelihood term with respect to W."""
    free = replace(problem, fixed=None)
    with Passes(counts, free, n_jobs=1) as passes:
        A, _ = passes.run(W, H, n_steps=0)
    return problem.column_sum * H.sum(axis=0) - free.project(A)


def _floor(counts):
    """Least model of a channel; far below one count, and its square far from 0."""
    return FLOOR * counts.total / (counts.n_pixels * counts.n_channels)


def _null_space(constraints):
    """Orthonormal directions, as columns, that the constraints leave free."""
    _, s, Vt = np.linalg.svd(constraints)
    rank = int((s > 1e-10 * s.max(initial=1.0)).sum())
    return Vt[rank:].T


def _prior_precision(problem, W):
    """Precision of each entry of W, component after component, before any data.

    A fraction has the spread of a number between 0 and 1; any other row makes no more
    counts than the component has.
    """
    spread = W * problem.column_sum
    spread = spread.sum(axis=0) / np.maximum(problem.column_sum, np.finfo(float).tiny)
    spread[problem.rows_on_simplex] = SPREAD
    return 1 / np.maximum(spread, np.finfo(float).tiny).T.ravel() ** 2


def _safe_inverse(matrix, prior):
    """Inverse of matrix + prior, both symmetric; the prior is positive definite.

    Away from the exact optimum the observed information may have negative eigenvalues:
    directions of which the data say nothing.
    """
    if matrix.size == 0:
        return matrix
    scale = np.sqrt(np.diag(prior))
    values, vectors = np.linalg.eigh(matrix / np.outer(scale, scale))
    known = (vectors * np.maximum(values, 0.0)) @ vectors.T
    return np.linalg.inv(known + prior / np.outer(scale, scale)) / np.outer(
        scale, scale
    )
