"""Information of W: what the counts say, less what the abundances can make up for."""

from __future__ import annotations

from functools import partial

import numpy as np
from numba import njit
from threadpoolctl import threadpool_limits

from espm_hs.factorization.counts.counts import Counts
from espm_hs.factorization.problem import Problem
from espm_hs.factorization.uncertainty.abundances import (
    BOUND,
    INFORMATION_FLOOR,
    abundance_precision,
)

# Numbers in the largest array of a thread.
LARGEST_ARRAY = 1 << 19
# Standard deviation of the prior of a fraction, which lies between 0 and 1: no error is
# larger than that of not knowing at all.
SPREAD = 0.3


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _mixed_information(
    indptr, channels, values, first, G, D, floor, H, G_sum, precision, bound, Z, S
):
    """Add up what each pixel of H (p, k) says of W, and what it takes back.

    G (m, e, c) with m = 1 or k, G_sum (c, k), precision (p, k, k) of the abundances.
    Z (p, k, k c) becomes L^-1 C with C[j, i c] the mixed second derivatives of h_j and
    W_ci and L L^T the precision. S (e, k, k) sums h_i h_j x / y**2.
    """
    k = H.shape[1]
    m, _, n_columns = G.shape
    one = np.empty((m, n_columns))
    two = np.empty((m, k, n_columns))
    for p in range(H.shape[0]):
        one[:] = 0.0
        two[:] = 0.0
        total = 0.0
        for j in range(k):
            total += H[p, j]
        for t in range(indptr[first + p], indptr[first + p + 1]):
            e = channels[t]
            y = floor
            for j in range(k):
                y += D[e, j] * H[p, j]
            ratio = values[t] / y
            for i in range(k):
                for j in range(k):
                    S[e, i, j] += ratio / y * H[p, i] * H[p, j]
            for i in range(m):
                for c in range(n_columns):
                    one[i, c] += ratio * G[i, e, c]
                for j in range(k):
                    factor = ratio / y * D[e, j]
                    for c in range(n_columns):
                        two[i, j, c] += factor * G[i, e, c]
        for j in range(k):
            # an abundance at zero stays there and makes up for nothing
            fixed = H[p, j] <= bound * total
            for i in range(k):
                n = i if m > 1 else 0
                for c in range(n_columns):
                    mixed = 0.0 if fixed else H[p, i] * two[n, j, c]
                    if i == j and not fixed:
                        mixed += G_sum[c, i] - one[n, c]
                    Z[p, j, i * n_columns + c] = mixed
        for j in range(k):
            for i in range(j + 1):
                x = precision[p, j, i]
                for n in range(i):
                    x -= precision[p, j, n] * precision[p, i, n]
                precision[p, j, i] = np.sqrt(x) if i == j else x / precision[p, i, i]
            for n in range(j):
                for c in range(k * n_columns):
                    Z[p, j, c] -= precision[p, j, n] * Z[p, n, c]
            for c in range(k * n_columns):
                Z[p, j, c] /= precision[p, j, j]


def profiled_information(
    counts: Counts, problem: Problem, W: np.ndarray, H: np.ndarray, n_jobs: int = 1
) -> np.ndarray:
    """Information of W, component after component, less what H can make up for."""
    k, n_columns = W.shape[1], W.shape[0]
    G = np.ascontiguousarray(problem.G if problem.G.ndim == 3 else problem.G[None])
    D = problem.spectra(W)
    facts = G, D, problem.column_sum, problem.penalties, counts.dose
    work = partial(_block_information, *facts)
    S = np.zeros((problem.n_channels, k, k))
    profiled = np.zeros((k * n_columns, k * n_columns))
    with threadpool_limits(1, user_api="blas"):
        for part, taken in counts.over_blocks(work, H, n_jobs=n_jobs):
            S += part
            profiled -= taken
    for i in range(k):
        for j in range(k):
            rows = slice(i * n_columns, (i + 1) * n_columns)
            columns = slice(j * n_columns, (j + 1) * n_columns)
            profiled[rows, columns] += G[i % len(G)].T @ (
                S[:, i, j, None] * G[j % len(G)]
            )
    return profiled


def _block_information(G, D, G_sum, penalties, mean_counts, counts, H):
    """Return S (e, k, k) and what abundances make up for, of a block of pixels."""
    k, n_columns = H.shape[1], G.shape[2]
    S = np.zeros((D.shape[0], k, k))
    taken = np.zeros((k * n_columns, k * n_columns))
    # the mixed derivatives are the largest array: some pixels at a time
    step = max(1, LARGEST_ARRAY // (k * k * n_columns))
    for first in range(0, H.shape[0], step):
        h = np.ascontiguousarray(H[first : first + step])
        Z = np.empty((h.shape[0], k, k * n_columns))
        precision, _ = abundance_precision(counts, D, h, first, penalties, mean_counts)
        _mixed_information(
            counts.indptr,
            counts.channels,
            counts.values,
            first,
            G,
            D,
            INFORMATION_FLOOR * mean_counts / counts.n_channels,
            h,
            G_sum,
            precision,
            BOUND,
            Z,
            S,
        )
        Z = Z.reshape(-1, k * n_columns)
        taken += Z.T @ Z
    return S, taken
