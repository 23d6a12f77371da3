"""Compiled passes that solve each pixel exactly, by Newton's method.

For known spectra the abundances h of a pixel minimise

    phi(h) = b h - sum_e x_e log(d_e h) + strength * sum_k log(h_k + c),  sum(h) = n,

a problem in k numbers. `exact_pass` solves it and adds up the statistics that a step on
W needs; `curvature_pass` multiplies a change of the spectra with the second derivative
of F, the abundances following the change. The functions for one pixel also serve
smooth maps.

Along a direction each y becomes ``y (1 + t u)``, and where u > -r in all channels,
``-log(1 + t u) <= -t u + (u / r)**2 (-t r - log(1 - t r))``. So the likelihood term
lies below ``-a t + (-t r - log(1 - t r)) square / r**2``, with slope -a and curvature
``square``. Steps taken by that bound lower the objective for certain, without a
logarithm being computed. Two numbers may be r: the inverse of the t at which the first
abundance becomes zero, since no y does so before; and, since no channel has more than
all of the curvature, its root over that of the smallest count (counts are at least 1:
self-concordance, Nesterov & Nemirovskii 1994).
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numba import njit

from espm_hs.factorization.kernels import CALLED, CONTRACT, compiled
from espm_hs.factorization.kernels.registers import (
    add_log,
    add_row,
    add_square,
    dot,
    load,
    total_log,
)

# Added to the diagonal, as a share of it and of its smallest: there may be fewer counts
# than components.
RIDGE = 1e-10
# What bends less than this, as a share of what bends most, does not bend at all.
FLAT = 1e-20
# Below this share of its pixel an abundance that costs more than others is zero.
NEGLIGIBLE = 1e-13
# Slope of an abundance that has to stay at zero: never worth it.
CLOSED = 1e300


@njit(**CALLED)
def total_of(x):
    """Return the sum of x (k,)."""
    total = 0.0
    for j in range(x.size):
        total += x[j]
    return total


@njit(**CALLED)
def lowest(x):
    """Return the place of the first of the smallest numbers of x (k,)."""
    least = 0
    for j in range(1, x.size):
        if x[j] < x[least]:
            least = j
    return least


@njit(**CALLED)
def cholesky(M, bent, free, L):
    """Lower factor L (k, k) of M - diag(bent) on the free rows, others identity.

    Returns whether the matrix is positive definite.
    """
    k = M.shape[0]
    least, most = np.inf, 0.0
    for j in range(k):
        if free[j] and M[j, j] > 0.0:
            least, most = min(least, M[j, j]), max(most, M[j, j])
    if most == 0.0:
        return False
    least = max(least, FLAT * most)
    for i in range(k):
        for j in range(i + 1):
            s = M[i, j] if free[i] and free[j] else 0.0
            for n in range(j):
                s -= L[i, n] * L[j, n]
            if i != j:
                L[i, j] = s / L[j, j]
            elif not free[i]:
                L[i, i] = 1.0
            else:
                s += RIDGE * (M[i, i] + least) - bent[i]
                # far from singular: a step of a bent function must not be a leap
                if s <= (0.1 * M[i, i] if bent[i] > 0.0 else 0.0):
                    return False
                L[i, i] = np.sqrt(s)
    return True


@njit(**CALLED)
def solve(L, free, x):
    """Solve L L^T x = x in place on the free rows, zero elsewhere."""
    k = L.shape[0]
    for i in range(k):
        if not free[i]:
            x[i] = 0.0
        for n in range(i):
            x[i] -= L[i, n] * x[n]
        x[i] /= L[i, i]
    for i in range(k - 1, -1, -1):
        for n in range(i + 1, k):
            x[i] -= L[n, i] * x[n]
        x[i] /= L[i, i]


@njit(**CALLED)
def _straight(g, h, keeps_sum, d):
    """Direction d (k,) where nothing bends: all to where it costs least, or away."""
    for j in range(h.size):
        d[j] = -h[j] if keeps_sum or g[j] > 0.0 else 0.0
    if keeps_sum:
        d[lowest(g)] += total_of(h)


@njit(**CALLED)
def direction(M, bent, g, h, keeps_sum, free, L, one, d):
    """Newton direction d that leaves h (k,) non-negative, and its sum if asked for.

    ``bent`` (k,) is what a concave term takes from the diagonal of M; set to zero where
    the difference is not positive.
    """
    k = h.size
    total = mean = 0.0
    if keeps_sum:
        for j in range(k):
            total += h[j]
            mean += h[j] * g[j]
        mean /= total
    for j in range(k):
        free[j] = h[j] > 0.0 or g[j] < mean
    while True:
        # one alone has nothing to give to: what came out would be rounding
        if keeps_sum and total_of(free) < 2:
            d[:] = 0.0
            return
        if not cholesky(M, bent, free, L):
            bent[:] = 0.0
            if not cholesky(M, bent, free, L):
                _straight(g, h, keeps_sum, d)
                return
        for j in range(k):
            one[j] = 1.0
            d[j] = g[j]
        solve(L, free, d)
        multiplier = 0.0
        if keeps_sum:
            solve(L, free, one)
            multiplier = total_of(d) / total_of(one)
        for j in range(k):
            d[j] = multiplier * one[j] - d[j]
        if keeps_sum:
            # that of the flattest may be a difference of huge numbers
            flattest = 0
            for j in range(k):
                if abs(one[j]) > abs(one[flattest]):
                    flattest = j
            d[flattest] = 0.0
            d[flattest] = -total_of(d)
        again = False
        for j in range(k):
            if h[j] == 0.0 and d[j] < 0.0:
                free[j] = False
                again = True
        if not again:
            return


@njit(**CALLED)
def step_length(M, bent, g, h, d, concordance, strength, c):
    """Return (t, promised): how far to go along d so that phi falls for certain."""
    k = h.size
    a = square = bend2 = bend3 = 0.0
    furthest = np.inf
    for i in range(k):
        a -= g[i] * d[i]
        for j in range(k):
            square += d[i] * M[i, j] * d[j] if j <= i else d[i] * M[j, i] * d[j]
        if d[i] < 0.0:
            furthest = min(furthest, -h[i] / d[i])
        if strength > 0.0:
            u = d[i] / (h[i] + c)
            bend2 += strength * u * u
            bend3 += strength * u * u * u
    if a <= 0.0:
        return 0.0, 0.0
    square = max(square, 0.0)  # below it by rounding alone
    r = min(concordance * np.sqrt(square), 1.0 / furthest)
    # minimum of the bound with the concave term replaced by its tangent; beyond 1 only
    # by rounding, when nothing is left to gain
    far = min(1.0, furthest)
    t = min(far, a / (square + a * r)) if square > 0.0 else far
    reach = far * r
    if 0.0 < reach < 0.7:
        rise = (-reach - np.log1p(-reach)) * square / (r * r)
        # log(1 + u) <= u - u**2 / 2 + u**3 / 3
        if -far * a + rise - far**2 * bend2 / 2 + far**3 * bend3 / 3 < -0.05 * far * a:
            t = max(t, far)
    return t, a


@cache
def exact_pass(k: int):
    """Return the kernel for ``k`` components."""
    zero = (0.0,) * k
    zeros = (0.0,) * (k * (k + 1) // 2)

    @compiled(fastmath=CONTRACT)
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

    @compiled(fastmath=CONTRACT)
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
