"""Compiled passes that solve the pixels by Newton's method.

For known spectra the abundances h of a pixel minimise

    phi(h) = b h - sum_e x_e log(d_e h) + strength * sum_k log(h_k + c),  sum(h) = n,

a problem in k numbers. `newton_pass` solves it and adds up the statistics that a step
on W needs; `curvature_pass` multiplies a change of the spectra with the second
derivative of F, the abundances following the change.

With other penalties, and neighbours that stand still, the abundances minimise

    b h - sum_e x_e log(d_e h) + sum_j q_j h_j^2 / 2 + other terms,  h >= 0,

b being the sums of the spectra less q_j times the mean of the neighbours, q the
curvature of the ties to them. `newton_pass` then takes one step, in the pixels of one
colour of a chessboard, which have no neighbours among themselves.

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
from typing import NamedTuple

import numpy as np
from numba import njit

from espm_hs.factorization.kernels import CALLED, CONTRACT, compiled
from espm_hs.factorization.kernels.arguments import (
    add_quadratics,
    add_slopes,
    any_alone,
)
from espm_hs.factorization.kernels.vectors import (
    gather_change,
    gather_twice,
    weigh_change,
    weigh_twice,
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
# Largest share of the neighbours in the curvature, for what follows from it.
TIED = 0.995
# A step is taken if it lowers the objective by this part of what its slope promises.
ENOUGH = 0.05
SMOOTH_HALVINGS = 30


class How(NamedTuple):
    """How pixels are solved."""

    # whether their totals are kept, and each of them is solved to its end
    keeps_total: bool
    n_steps: int
    # inverse root of the smallest count
    concordance: float
    # nats: a pixel whose last step promised less is left
    settled: float


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

    M may be larger.

    Returns whether the matrix is positive definite.
    """
    k = free.size
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
def step_length(M, g, h, d, concordance, strength, c):
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


@njit(**CALLED)
def _safe_length(M, h, g, d, q, weight, concordance):
    """How far to go along d (k,), up to 2, so that the objective falls for certain.

    M (w, w) is the curvature of the likelihood, q (k,) that of the ties, ``weight``
    the strength of the logarithm of the total. The more a pixel
    is tied to its neighbours, the further it goes beyond its own minimum, for they will
    follow (successive over-relaxation, Young 1954).
    """
    square = tie = 0.0
    for i in range(h.size):
        tie += q[i] * d[i] * d[i]
        for j in range(i + 1):
            square += (1.0 if i == j else 2.0) * M[i, j] * d[i] * d[j]
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


@njit(**CALLED)
def _fill_empty(p, rules, D_sum, h):
    """Set h (k,) of a pixel without counts to 0, or give all to what costs least."""
    best = -1
    for j in range(h.size):
        h[j] = 0.0
        open_to = rules.allowed.size == 0 or rules.allowed[p, j]
        if open_to and (best < 0 or D_sum[j] < D_sum[best]):
            best = j
    if rules.on_simplex:
        h[best] = 1.0


@njit(**CALLED)
def _leave_out(h, g, total):
    """Set to 0 what is negligible of h (k,) and costs more than the mean."""
    mean = 0.0
    for j in range(h.size):
        mean += h[j] * g[j] / total
    for j in range(h.size):
        if h[j] < NEGLIGIBLE * total and g[j] >= mean:
            h[j] = 0.0


@njit(**CALLED)
def _feasible(H, p, rules, counts, keeps_total, h):
    """Set h (k,) to row p of H within the support, and return its sum.

    With ``keeps_total`` that is 1 on the simplex, else the counts of the pixel.
    """
    held, n_open = 0.0, 0
    for j in range(h.size):
        h[j] = H[p, j]
        if rules.allowed.size > 0 and not rules.allowed[p, j]:
            h[j] = 0.0
        else:
            n_open += 1
        held += h[j]
    if not keeps_total:
        return held
    total = 1.0 if rules.on_simplex else counts
    for j in range(h.size):
        if held > 0.0:
            h[j] *= total / held
        elif rules.allowed.size == 0 or rules.allowed[p, j]:
            h[j] = total / n_open
    return total


@cache
def newton_pass(wide: int, keep: bool):
    """Return the kernel for a width, see `block_pass`."""

    @compiled(cache=keep, fastmath=CONTRACT)
    def run(block, spectra, rules, terms, H, how, A, S):
        """Pass over the pixels of a block of one colour of the chessboard.

        H (p, k) is updated in place. Without ``how.keeps_total`` that is one step, the
        neighbours of the pixel standing still. With it, the first of the terms is all
        there is beside the likelihood, and steps are made until a full one promises to
        lower the F of the pixel by less than ``how.settled``. A (e, w) and S (e, v) are
        added to, unless they are empty: A += (x / y) h, S += (x / y**2) h h^T, the
        lower half of it padded to whole vectors.
        """
        indptr, channels, x, first, last, _ = block
        D, D_sum, floor = spectra
        allowed, on_simplex, shares = rules.allowed, rules.on_simplex, terms[0]
        exact = how.keeps_total
        keeps_sum = exact or on_simplex
        k, w = H.shape[1], D.shape[1]
        rows, a, told = np.zeros((1, w)), np.empty(w), np.zeros((w, w))
        h, pairs = rows[0, :k], np.zeros(S.shape[1])
        g, d, b, q = np.empty(k), np.empty(k), np.empty(k), np.empty(k)
        one, bent, free = np.empty(k), np.zeros(k), np.empty(k, np.bool_)
        M, L = np.empty((k, k)), np.empty((k, k))
        for p in range(first, last):
            if rules.colours[p] != rules.colour:
                continue
            start, stop = indptr[p], indptr[p + 1]
            counts = 0.0
            for t in range(start, stop if exact else start):
                counts += x[t]
            total = _feasible(H, p, rules, counts, keeps_sum, h)
            if exact and start == stop:
                _fill_empty(p, rules, D_sum, h)
            for _ in range(how.n_steps if start < stop or not exact else 0):
                for j in range(k):
                    b[j] = D_sum[j] if on_simplex or not exact else 1.0
                    q[j] = 0.0
                if not exact:
                    add_quadratics(terms, h, H, p, b, q)
                weigh_twice(wide, channels, x, start, stop, D, rows, 0, floor, a, told)
                for i in range(k):
                    g[i] = b[i] - a[i] + q[i] * h[i]
                    for j in range(i + 1):
                        M[i, j] = told[i, j]
                weight = 0.0
                if not exact:
                    weight = add_slopes(terms, h, total, on_simplex, g, M)
                elif shares.strength > 0.0:
                    for j in range(k):
                        slope = 1.0 / (h[j] + shares.bend * total)
                        g[j] += shares.strength * slope
                        bent[j] = shares.strength * slope * slope
                for j in range(k):
                    M[j, j] += q[j]
                    if allowed.size > 0 and not allowed[p, j]:
                        g[j] = CLOSED
                if total == 0.0 and any_alone(terms):
                    # such a term is zero for a pixel of one component, and has no
                    # limit where an empty one begins to be filled
                    best = lowest(g)
                    for j in range(k):
                        if j != best:
                            g[j] = max(g[j], 0.0)
                if exact:
                    _leave_out(h, g, total)
                direction(M, bent, g, h, keeps_sum, free, L, one, d)
                promised = np.inf
                if exact:
                    c = shares.bend * total
                    t, promised = step_length(
                        M, g, h, d, how.concordance, shares.strength, c
                    )
                else:
                    t = _safe_length(told, h, g, d, q, weight, how.concordance)
                if exact and t == 0.0:
                    break
                held = 0.0
                for j in range(k):
                    ahead = h[j] + t * d[j]
                    h[j] = ahead if ahead > NEGLIGIBLE * h[j] else 0.0
                    held += h[j]
                for j in range(k if keeps_sum else 0):
                    h[j] *= total / held
                if promised <= how.settled and t >= 1.0:
                    break
            for j in range(k):
                H[p, j] = h[j]
            if A.size:
                n_pair = 0
                for i in range(k):
                    for j in range(i + 1 if S.size else 0):
                        pairs[n_pair] = h[i] * h[j]
                        n_pair += 1
                gather_twice(
                    wide, channels, x, start, stop, D, rows, 0, floor, A, pairs, S
                )

    return run


@cache
def curvature_pass(wide: int):
    """Return the kernel for a width, see `emitted_width`."""

    @compiled(fastmath=CONTRACT)
    def run(block, spectra, dD, dD_sum, shares, H, dA, dH_sum):
        """Pass over the pixels of a block for the derivatives of A and sum(H) along dD.

        dD (e, w), dD_sum (k,), H (p, k) exact, dA (e, w) and dH_sum (k,) added to.
        """
        indptr, channels, x, first, last, _ = block
        D, _, floor = spectra
        strength, bend = shares
        k, w = H.shape[1], D.shape[1]
        rows, a, M = np.zeros((2, w)), np.empty(w), np.zeros((w, w))
        h, d = rows[0, :k], rows[1, :k]
        one, L = np.empty(k), np.empty((k, k))
        bent, free = np.zeros(k), np.empty(k, np.bool_)
        for p in range(first, last):
            start, stop = indptr[p], indptr[p + 1]
            if start == stop:
                continue
            total = 0.0
            for j in range(k):
                h[j] = H[p, j]
                total += h[j]
            weigh_change(wide, channels, x, start, stop, D, dD, rows, 0, floor, a, M)
            for j in range(k):
                free[j] = h[j] > 0.0
                d[j] = a[j] - dD_sum[j]
                one[j] = 1.0
                if strength > 0.0:
                    bent[j] = strength / (h[j] + bend * total) ** 2
            if not cholesky(M, bent, free, L):
                bent[:] = 0.0
                if not cholesky(M, bent, free, L):
                    continue
            solve(L, free, one)
            solve(L, free, d)
            multiplier = total_of(d) / total_of(one)
            for j in range(k):
                d[j] -= multiplier * one[j]
                dH_sum[j] += d[j]
            gather_change(wide, channels, x, start, stop, D, dD, rows, 0, 1, floor, dA)

    return run
