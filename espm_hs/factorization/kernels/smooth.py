"""Compiled Newton steps on pixels with penalties, their neighbours standing still.

With known spectra and neighbours the abundances h of a pixel minimise

    b h - sum_e x_e log(d_e h) + sum_j q_j h_j^2 / 2 + other terms,  h >= 0,

b being the sums of the spectra less q_j times the mean of the neighbours, q the
curvature of the ties to them. Pixels are visited in the order of a chessboard: those of
one colour have no neighbours among themselves.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numba import njit

from espm_hs.factorization.kernels import CALLED, CONTRACT, compiled
from espm_hs.factorization.kernels.arguments import (
    add_quadratics,
    add_slopes,
    add_values,
    any_alone,
)
from espm_hs.factorization.kernels.exact import (
    CLOSED,
    NEGLIGIBLE,
    direction,
    lowest,
)
from espm_hs.factorization.kernels.vectors import log_likelihood, weigh_twice

# Largest share of the neighbours in the curvature, for what follows from it.
TIED = 0.995
# A step is taken if it lowers the objective by this part of what its slope promises.
ENOUGH = 0.05
SMOOTH_HALVINGS = 30


@njit(**CALLED)
def _safe_length(h, g, d, square, tie, weight, concordance):
    """How far to go along d (k,), up to 2, so that the objective falls for certain.

    ``square`` is the curvature of the likelihood along d, ``tie`` that of the
    smoothness, ``weight`` the strength of the logarithm of the total. The more a pixel
    is tied to its neighbours, the further it goes beyond its own minimum, for they will
    follow (successive over-relaxation, Young 1954).
    """
    square = max(square, 0.0)  # below it by rounding alone
    tied = min(tie / (square + tie), TIED) if tie > 0.0 else 0.0
    a = total = change = 0.0
    furthest = np.inf
    t = 2.0 / (1.0 + np.sqrt(1.0 - tied * tied))
    for j in range(h.size):
        a -= g[j] * d[j]
        total += h[j]
        change += d[j]
        if d[j] < 0.0:
            furthest = min(furthest, -h[j] / d[j])
    if a <= 0.0:
        return 0.0
    t = min(t, furthest)
    r = min(concordance * np.sqrt(square), 1.0 / furthest)
    u = change / total if weight > 0.0 else 0.0
    for _ in range(SMOOTH_HALVINGS):
        if t * r < 0.99 and t * u > -0.99:
            # -x - log(1 - x) <= x**2 / 2 / (1 - x), which needs no logarithm
            rise = (
                square / (1.0 - t * r) + tie + weight * u * u / (1.0 + min(t * u, 0.0))
            )
            rise *= 0.5 * t * t
            if rise < (1.0 - ENOUGH) * t * a:
                return t
        t *= 0.5
    return 0.0


@cache
def smooth_pass(wide: int, keep: bool):
    """Return the kernel for a width, see `block_pass`."""

    @compiled(cache=keep, fastmath=CONTRACT)
    def run(block, spectra, rules, terms, H, concordance, with_loss):
        """Pass over the pixels of a block of one colour of the chessboard.

        H (p, k) is updated in place by a Newton step. Returns the block's share of F,
        without constant terms (0 unless with_loss).
        """
        indptr, channels, x, first, last, _ = block
        D, D_sum, floor = spectra
        on_simplex, allowed, colours, colour = rules
        k, w = H.shape[1], D.shape[1]
        rows, a, told = np.zeros((1, w)), np.empty(w), np.zeros((w, w))
        h = rows[0, :k]
        g, d, b, q = np.empty(k), np.empty(k), np.empty(k), np.empty(k)
        one, bent, free = np.empty(k), np.zeros(k), np.empty(k, np.bool_)
        M, L = np.empty((k, k)), np.empty((k, k))
        loss = 0.0
        for p in range(first, last):
            if colours[p] != colour:
                continue
            start, stop = indptr[p], indptr[p + 1]
            total = 0.0
            for j in range(k):
                if allowed.size > 0 and not allowed[p, j]:
                    H[p, j] = 0.0
                h[j] = H[p, j]
                total += h[j]
                b[j] = D_sum[j]
                q[j] = 0.0
            add_quadratics(terms, h, H, p, b, q)
            weigh_twice(wide, channels, x, start, stop, D, rows, 0, floor, a, told)
            for i in range(k):
                g[i] = b[i] - a[i] + q[i] * h[i]
                for j in range(i + 1):
                    M[i, j] = told[i, j]
            weight = add_slopes(terms, h, total, on_simplex, g, M)
            if total == 0.0 and any_alone(terms):
                # such a term is zero for a pixel of one component, and has no limit
                # where an empty one begins to be filled
                if allowed.size > 0:
                    for j in range(k):
                        g[j] = g[j] if allowed[p, j] else CLOSED
                best = lowest(g)
                for j in range(k):
                    if j != best:
                        g[j] = max(g[j], 0.0)
            for i in range(k):
                M[i, i] += q[i]
                if allowed.size > 0 and not allowed[p, i]:
                    g[i] = CLOSED
            direction(M, bent, g, h, on_simplex, free, L, one, d)
            square = tie = 0.0
            for i in range(k):
                tie += q[i] * d[i] * d[i]
                for j in range(i + 1):
                    twice = 1.0 if i == j else 2.0
                    square += twice * told[i, j] * d[i] * d[j]
            t = _safe_length(h, g, d, square, tie, weight, concordance)
            held = 0.0
            for j in range(k):
                ahead = h[j] + t * d[j]
                h[j] = ahead if ahead > NEGLIGIBLE * h[j] else 0.0
                held += h[j]
            for j in range(k):
                if on_simplex:
                    h[j] /= held
                H[p, j] = h[j]
            if with_loss:
                for j in range(k):
                    loss += D_sum[j] * h[j]
                loss = add_values(terms, loss, H, p, colour)
                loss -= log_likelihood(
                    wide, channels, x, start, stop, D, rows, 0, floor
                )
        return loss

    return run
