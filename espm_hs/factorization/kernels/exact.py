"""Compiled passes that solve each pixel exactly, by Newton's method.

For known spectra the abundances h of a pixel minimise

    phi(h) = b h - sum_e x_e log(d_e h) + strength * sum_k log(h_k + c),  sum(h) = n,

a problem in k numbers. `exact_pass` solves it and adds up the statistics that a step on
W needs; `curvature_pass` multiplies a change of the spectra with the second derivative
of F, the abundances following the change.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numba import njit

from espm_hs.factorization.kernels.pixel_newton import (
    CLOSED,
    COMPILE,
    NEGLIGIBLE,
    cholesky,
    direction,
    solve,
    step_length,
)
from espm_hs.factorization.kernels.registers import (
    add_log,
    add_row,
    add_square,
    dot,
    load,
    total_log,
)


@cache
def exact_pass(k: int):
    """Return the kernel for ``k`` components."""
    zero = (0.0,) * k
    zeros = (0.0,) * (k * (k + 1) // 2)

    @njit(**COMPILE, fastmath={"contract"})
    def run(block, spectra, rules, shares, H, n_steps, concordance, settled, A, S):
        """Pass over the pixels of a block.

        H (p, k) is updated in place until a full step promises to lower the F of the
        pixel by less than ``settled``; A (e, k) is added to: A += (x / y) h; S (e,
        k (k + 1) / 2), unless empty: S += (x / y**2) h h^T. ``shares`` has strength and
        bend of the term in log(h). Returns the block's share of F without constant
        terms.
        """
        indptr, channels, values, first, last = block
        D, D_sum, floor = spectra
        strength, bend = shares
        allowed, on_simplex = rules.allowed, rules.on_simplex
        g, h, d, one = np.empty(k), np.empty(k), np.empty(k), np.empty(k)
        bent, free = np.zeros(k), np.empty(k, np.bool_)
        M, L = np.empty((k, k)), np.empty((k, k))
        may = np.ones(k, np.bool_)
        loss = 0.0
        logs = 0.0, 1.0, 1.0
        for p in range(first, last):
            pixel_channels = channels[indptr[p] : indptr[p + 1]]
            pixel_values = values[indptr[p] : indptr[p + 1]]
            n = pixel_values.size
            total, held, n_open = 0.0, 0.0, 0
            for j in range(k):
                if allowed.size > 0:
                    may[j] = allowed[p, j]
                if not may[j]:
                    H[p, j] = 0.0
                held += H[p, j]
                n_open += may[j]
            if on_simplex:
                total = 1.0
            else:
                for t in range(n):
                    total += pixel_values[t]
            if n == 0:
                for j in range(k):
                    H[p, j] = 0.0
                    d[j] = D_sum[j] if may[j] else np.inf
                if on_simplex:
                    H[p, np.argmin(d)] = 1.0
                    loss += d.min()
                continue
            for j in range(k):
                even = may[j] * total / n_open
                h[j] = H[p, j] * (total / held) if held > 0.0 else even
            c = bend * total
            for _ in range(n_steps):
                for j in range(k):
                    H[p, j] = h[j]
                held_row = load(zero, H, p)
                a, m = zero, zeros
                for t in range(n):
                    e = pixel_channels[t]
                    inverse = 1.0 / dot(held_row, D, e, floor)
                    ratio = pixel_values[t] * inverse
                    a = add_row(a, D, e, ratio)
                    m = add_square(m, a, D, e, ratio * inverse)
                n_pair = 0
                for i in range(k):
                    g[i] = (D_sum[i] if on_simplex else 1.0) - a[i]
                    for j in range(i + 1):
                        M[i, j] = m[n_pair]
                        n_pair += 1
                    if strength > 0.0:
                        slope = 1.0 / (h[i] + c)
                        g[i] += strength * slope
                        bent[i] = strength * slope * slope
                    if not may[i]:
                        g[i] = CLOSED
                mean = 0.0
                for j in range(k):
                    mean += h[j] * g[j] / total
                for j in range(k):
                    if h[j] < NEGLIGIBLE * total and g[j] >= mean:
                        h[j] = 0.0
                direction(M, bent, g, h, True, free, L, one, d)
                t, promised = step_length(M, bent, g, h, d, concordance, strength, c)
                if t == 0.0:
                    break
                held = 0.0
                for j in range(k):
                    ahead = h[j] + t * d[j]
                    h[j] = ahead if ahead > NEGLIGIBLE * h[j] else 0.0
                    held += h[j]
                for j in range(k):
                    h[j] *= total / held
                if promised <= settled and t >= 1.0:
                    break
            for j in range(k):
                H[p, j] = h[j]
                loss += D_sum[j] * h[j]
                if strength > 0.0:
                    loss += strength * np.log1p(h[j] / c)
            if strength > 0.0:
                loss -= strength * np.log1p(1.0 / bend)
            held_row = load(zero, H, p)
            for t in range(n):
                e = pixel_channels[t]
                y = dot(held_row, D, e, floor)
                inverse = 1.0 / y
                ratio = pixel_values[t] * inverse
                logs = add_log(logs, pixel_values[t], y)
                for j in range(k):
                    A[e, j] += held_row[j] * ratio
                if S.shape[0] > 0:
                    n_pair = 0
                    ratio *= inverse
                    for i in range(k):
                        for j in range(i + 1):
                            S[e, n_pair] += held_row[i] * held_row[j] * ratio
                            n_pair += 1
        return loss - total_log(logs)

    return run


@cache
def curvature_pass(k: int):
    """Return the kernel for ``k`` components."""
    zero = (0.0,) * k
    zeros = (0.0,) * (k * (k + 1) // 2)

    @njit(**COMPILE, fastmath={"contract"})
    def run(block, spectra, dD, dD_sum, shares, H, dA, dH_sum):
        """Pass over the pixels of a block for the derivatives of A and sum(H) along dD.

        dD (e, k), dD_sum (k,), H (p, k) exact, dA (e, k) and dH_sum (k,) added to.
        """
        indptr, channels, values, first, last = block
        D, _, floor = spectra
        strength, bend = shares
        h, d, one = np.empty(k), np.empty(k), np.empty(k)
        bent, free = np.zeros(k), np.empty(k, np.bool_)
        M, L, move = np.empty((k, k)), np.empty((k, k)), np.empty((1, k))
        for p in range(first, last):
            pixel_channels = channels[indptr[p] : indptr[p + 1]]
            pixel_values = values[indptr[p] : indptr[p + 1]]
            n = pixel_values.size
            if n == 0:
                continue
            held_row = load(zero, H, p)
            a, m = zero, zeros
            for t in range(n):
                e = pixel_channels[t]
                inverse = 1.0 / dot(held_row, D, e, floor)
                ratio = pixel_values[t] * inverse
                bend_e = ratio * inverse
                a = add_row(a, dD, e, ratio)
                a = add_row(a, D, e, -bend_e * dot(held_row, dD, e, 0.0))
                m = add_square(m, a, D, e, bend_e)
            total = 0.0
            n_pair = 0
            for i in range(k):
                h[i] = H[p, i]
                total += h[i]
                free[i] = h[i] > 0.0
                d[i] = a[i] - dD_sum[i]
                one[i] = 1.0
                for j in range(i + 1):
                    M[i, j] = m[n_pair]
                    n_pair += 1
            if strength > 0.0:
                for j in range(k):
                    bent[j] = strength / (h[j] + bend * total) ** 2
            if not cholesky(M, bent, free, L):
                bent[:] = 0.0
                if not cholesky(M, bent, free, L):
                    continue
            solve(L, free, one)
            solve(L, free, d)
            multiplier = d.sum() / one.sum()
            for j in range(k):
                d[j] -= multiplier * one[j]
                dH_sum[j] += d[j]
                move[0, j] = d[j]
            move_row = load(zero, move, 0)
            for t in range(n):
                e = pixel_channels[t]
                inverse = 1.0 / dot(held_row, D, e, floor)
                ratio = pixel_values[t] * inverse
                dy = dot(held_row, dD, e, dot(move_row, D, e, 0.0))
                bend_e = ratio * inverse * dy
                for j in range(k):
                    dA[e, j] += ratio * move_row[j] - bend_e * held_row[j]

    return run
