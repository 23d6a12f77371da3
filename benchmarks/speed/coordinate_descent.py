"""Poisson factorisation by coordinate descent with extrapolation, without physics.

Written from the papers: abundances and spectra are updated in turn, each pixel and each
channel by Newton steps on one number after the other (Lin and Boutros 2020), and both
are extrapolated, further where that lowered F (Ang and Gillis 2019). It begins with
multiplicative updates (Carbonetto, Sarkar, Wang and Stephens 2021, from where the
constants are).
"""

from __future__ import annotations

import numpy as np
from numba import njit

# Times that a pixel or a channel is gone through in an iteration.
SWEEPS = 4
BEGIN, MORE, LESS, MOST_MORE, MOST = 0.5, 1.1, 0.75, 1.05, 0.99
SMALLEST = 1e-15


@njit(nogil=True, error_model="numpy", fastmath=True)
def _descend(indptr, channels, x, D, D_sum, H, n_sweeps):
    """Update H (p, k) in place: by coordinates, or multiplicatively without sweeps."""
    k = D.shape[1]
    y, sums = np.empty(np.diff(indptr).max()), np.empty(k)
    for p in range(H.shape[0]):
        first, n = indptr[p], indptr[p + 1] - indptr[p]
        for t in range(n):
            y[t] = SMALLEST
            for j in range(k):
                y[t] += D[channels[first + t], j] * H[p, j]
        if n_sweeps == 0:
            sums[:] = 0.0
            for t in range(n):
                ratio = x[first + t] / y[t]
                for j in range(k):
                    sums[j] += ratio * D[channels[first + t], j]
            for j in range(k):
                H[p, j] *= sums[j] / D_sum[j]
        for _ in range(n_sweeps):
            for j in range(k):
                slope = bend = 0.0
                for t in range(n):
                    share = D[channels[first + t], j] / y[t]
                    slope += x[first + t] * share
                    bend += x[first + t] * share * share
                if bend == 0.0:
                    continue
                moved = max(H[p, j] + (slope - D_sum[j]) / bend, 0.0) - H[p, j]
                H[p, j] += moved
                for t in range(n):
                    y[t] = max(y[t] + moved * D[channels[first + t], j], SMALLEST)


@njit(nogil=True, error_model="numpy", fastmath=True)
def _objective(indptr, channels, x, D, D_sum, H):
    """Return F without constant terms."""
    F = 0.0
    for p in range(H.shape[0]):
        for j in range(D.shape[1]):
            F += D_sum[j] * H[p, j]
        for t in range(indptr[p], indptr[p + 1]):
            y = SMALLEST
            for j in range(D.shape[1]):
                y += D[channels[t], j] * H[p, j]
            F -= x[t] * np.log(y)
    return F


def factorize(X, k: int, n_iter: int, seed: int = 0) -> tuple[np.ndarray, list[float]]:
    """
    Factorise sparse counts.

    Parameters
    ----------
    X
        Counts, CSR of shape (n_pixels, n_channels).
    k
        Number of components.
    n_iter
        Iterations, of which the first half are multiplicative.
    seed
        Of the start.

    Returns
    -------
    tuple
        Spectra, shape (n_channels, k), and F after each iteration.
    """
    rng = np.random.default_rng(seed)
    by_pixel, by_channel = X, X.T.tocsr()
    H, D = (rng.random((n, k)) + 0.1 for n in X.shape)
    H *= X.sum() / (H.sum(axis=0) * D.sum(axis=0)).sum()
    ahead_H, ahead_D = H, D
    step = before = BEGIN
    most, seen = MOST, [np.inf]

    def solved(counts, table, other):
        new = table.copy()
        arrays = counts.indptr, counts.indices, counts.data
        _descend(*arrays, other, other.sum(axis=0), new, sweeps)
        return new

    for n in range(n_iter):
        sweeps = 0 if n < n_iter // 2 else SWEEPS
        beta = step if sweeps else 0.0
        new_H = solved(by_pixel, ahead_H, ahead_D)
        tried_H = np.maximum(new_H + beta * (new_H - H), 0.0)
        new_D = solved(by_channel, ahead_D, tried_H)
        tried_D = np.maximum(new_D + beta * (new_D - D), 0.0)
        arrays = X.indptr, X.indices, X.data
        F = _objective(*arrays, new_D, new_D.sum(axis=0), tried_H)
        if seen[-1] < F and sweeps:
            # from the last one that is no extrapolation, and less far from now on
            ahead_H, ahead_D = H, D
            most, step = before, LESS * step
        else:
            H, D, ahead_H, ahead_D = tried_H, new_D, tried_H, tried_D
            if sweeps:
                before, most = step, min(MOST, MOST_MORE * most)
                step = min(most, MORE * step)
            seen.append(float(F))
    return D, seen[1:]
