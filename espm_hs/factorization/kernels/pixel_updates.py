"""Compiled passes over the non-zeros of a block of pixels.

One pass updates the abundances of each pixel and, with the new ones, adds to the
statistics from which W is updated: the counts of a pixel are read twice while they
are in the first-level cache, and nothing of size channels x pixels is ever made.

The kernels release the GIL and write only to their own pixels and their own
statistics, so that any number of threads gives the same bits.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numba import njit

from espm_hs.factorization.kernels import CALLED, COMPILE, CONTRACT, compiled
from espm_hs.factorization.kernels.arguments import (
    HOOK,
    add_bounds,
    add_quadratics,
    add_values,
    any_alone,
)
from espm_hs.factorization.kernels.newton import lowest
from espm_hs.factorization.kernels.vectors import (
    TINY,
    gather,
    gather_all,
    log_likelihood,
    log_likelihood_all,
    multiply,
    weigh,
    weigh_all,
)

# Added to the model of every channel (as a share of the mean count per entry), so
# that a count where the model is zero costs much but not infinitely much.
MODEL_FLOOR = 1e-12
# Pixels go together through each of the steps of a pass, so that the processor need not
# wait for one before it begins the next.
TOGETHER = 32

_INLINE = {**COMPILE, "inline": "always"}


@njit(**_INLINE)
def _positive_root(a, b, q):
    """Positive root h of q h**2 + b h - a = 0, for a, q >= 0."""
    if q == 0.0:
        return a / b if b > 0.0 else 0.0
    root = np.sqrt(b * b + 4.0 * q * a)
    if b > 0.0:
        return 2.0 * a / (b + root)
    return (root - b) / (2.0 * q)


@njit(**CALLED)
def solve_on_simplex(a, b, q, total, h):
    """Minimise sum(-a log h + b h + q h**2 / 2) with sum(h) = total, in place.

    a, b, q, h (k,) float64, total a scalar. The multiplier is found by Newton's
    method from the left, where the sum is too large. It is counted from the pole of
    the component that bounds it, because with a tiny ``a`` it may lie closer to the
    pole than b has digits. With a = 0 and q = 0 (nothing speaks) h stays as it is.
    """
    pole = -1
    bound = -np.inf
    for j in range(a.size):
        if a[j] == 0.0 and q[j] == 0.0:
            continue
        if a[j] / total - b[j] - q[j] * total > bound:
            bound = a[j] / total - b[j] - q[j] * total
            pole = j
    if pole < 0:
        return
    shift = a[pole] / total - q[pole] * total
    flat = True
    for j in range(q.size):
        flat = flat and q[j] == 0.0
    for _ in range(100):
        value, slope = 0.0, 0.0
        for j in range(a.size):
            from_pole = (b[j] - b[pole]) + shift
            speaks = a[j] > 0.0 or q[j] > 0.0
            h[j] = _positive_root(a[j], from_pole, q[j]) if speaks else 0.0
            if h[j] == 0.0:
                continue
            value += h[j]
            if q[j] == 0.0:
                slope += h[j] / from_pole  # its square might underflow
            else:
                slope += h[j] / np.sqrt(from_pole * from_pole + 4.0 * q[j] * a[j])
        if value <= total * (1.0 + 1e-14):
            break
        step = (value - total) / slope
        if flat:
            # Newton on the reciprocal, which is linear for a single pole and
            # concave for several: as safe, and many times fewer steps
            step *= value / total
        if shift + step == shift:
            break
        shift += step
    for j in range(a.size):
        h[j] *= total / value


@njit(**_INLINE)
def _keep_steepest(b):
    """Let an empty pixel, b (k,), be filled by one component only.

    Shares are not defined in it: `Hooks.alone`.
    """
    best = lowest(b)
    for j in range(b.size):
        if j != best:
            b[j] = max(b[j], 0.0)


@njit(**HOOK, fastmath=CONTRACT)
def _bounded(a, D_sum, rules, terms, H, p, h, b, q):
    """Set a, b, q (k,) so that sum(-a log h + b h + q h**2 / 2) bounds F of pixel p.

    Given are a = sum(d x / y) and the present h (k,).
    """
    total = 0.0
    for j in range(h.size):
        total += h[j]
        b[j] = D_sum[j]
        q[j] = 0.0
    add_bounds(terms, h, total, a, b)
    add_quadratics(terms, h, H, p, b, q)
    if rules.allowed.size > 0:
        for j in range(h.size):
            if not rules.allowed[p, j]:
                b[j] = np.inf
    if total == 0.0 and any_alone(terms):
        _keep_steepest(b)
    for j in range(h.size):
        a[j] *= h[j]


@njit(**CALLED)
def _has_settled(before, rows, i, tol):
    """Whether no number of row i moved by more than a part of their sum."""
    change = total = 0.0
    for j in range(before.size):
        change = max(change, abs(rows[i, j] - before[j]))
        total += rows[i, j]
    return change <= tol * total


@cache
def block_pass(wide: int, on_simplex: bool, keep: bool):
    """Return the kernel for a width, and for abundances that sum to 1 or do not.

    ``wide``: see `emitted_width`; ``keep``: compiled code is kept on disk. What only
    the simplex needs, which few ask for, is compiled with it.
    """

    @compiled(cache=keep, fastmath=CONTRACT)
    def run(block, spectra, rules, terms, H, plain, n_steps, step_tol, A):
        """Pass over the pixels of a block of one colour of the chessboard.

        ``plain``: without penalties on H, and without the simplex. One kernel does
        both, as most of it is the same and would be compiled twice.
        H (p, k) is updated in place n_steps times, or until no abundance moves by more
        than step_tol times their sum; A (e, w), or (0, w) if not wanted, is added to:
        A += (x / y) h. Of dense counts it is (w, e) or (w, 0).
        """
        indptr, channels, x, first, last, dense = block
        D, D_sum, floor = spectra
        k, w = H.shape[1], D.shape[0] if dense else D.shape[1]
        rows, scale, sums = np.zeros((TOGETHER, w)), np.zeros(w), np.empty(w)
        h, a, b, q = np.empty(k), np.empty(k), np.empty(k), np.empty(k)
        for j in range(k):
            scale[j] = 1.0 / D_sum[j]
        for begin in range(first, last, TOGETHER):
            end = min(begin + TOGETHER, last)
            for p in range(begin, end):
                for j in range(k):
                    rows[p - begin, j] = H[p, j]
            for p in range(begin, end):
                i, start, stop = p - begin, indptr[p], indptr[p + 1]
                for _ in range(n_steps if rules.colours[p] == rules.colour else 0):
                    if n_steps > 1 or not plain:
                        for j in range(k):
                            h[j] = rows[i, j]
                    if dense:
                        weigh_all(wide, x, start, D, rows, i, floor, sums)
                    else:
                        weigh(wide, channels, x, start, stop, D, rows, i, floor, sums)
                    if plain:
                        multiply(rows, i, sums, scale)
                    else:
                        for j in range(k):
                            a[j] = sums[j]
                        _bounded(a, D_sum, rules, terms, H, p, h, b, q)
                        if on_simplex:
                            solve_on_simplex(a, b, q, 1.0, h)
                        else:
                            for j in range(k):
                                h[j] = _positive_root(a[j], b[j], q[j])
                        for j in range(k):
                            a[j] = rows[i, j]
                            rows[i, j] = h[j] if h[j] >= TINY else 0.0
                            h[j] = a[j]
                    if n_steps > 1 and _has_settled(h, rows, i, step_tol):
                        break
            for p in range(begin, end):
                for j in range(k):
                    H[p, j] = rows[p - begin, j]
            for p in range(begin, end if A.size else begin):
                i, start, stop = p - begin, indptr[p], indptr[p + 1]
                if rules.colours[p] != rules.colour:
                    continue
                if dense:
                    gather_all(wide, x, start, D, rows, i, floor, A)
                else:
                    gather(wide, channels, x, start, stop, D, rows, i, floor, A)

    return run


@cache
def loss_pass(wide: int, keep: bool):
    """Return the kernel for a width, see `block_pass`."""

    @compiled(cache=keep, fastmath=CONTRACT)
    def run(block, spectra, rules, terms, H):
        """Return the share in F of the pixels of one colour, without constant terms.

        H is (p, k). In a kernel of its own: logarithms take long, and most passes need
        none.
        """
        indptr, channels, x, first, last, dense = block
        D, D_sum, floor = spectra
        rows = np.zeros((1, D.shape[0] if dense else D.shape[1]))
        loss = 0.0
        for p in range(first, last):
            if rules.colours[p] != rules.colour:
                continue
            for j in range(H.shape[1]):
                rows[0, j] = H[p, j]
                loss += D_sum[j] * H[p, j]
            loss = add_values(terms, loss, H, p, rules.colour)
            start, stop = indptr[p], indptr[p + 1]
            if dense:
                loss -= log_likelihood_all(wide, x, start, D, rows, 0, floor)
            else:
                loss -= log_likelihood(
                    wide, channels, x, start, stop, D, rows, 0, floor
                )
        return loss

    return run
