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
from espm_hs.factorization.kernels.exact import lowest
from espm_hs.factorization.kernels.registers import (
    IN_ANY_ORDER,
    add_column,
    add_log,
    add_row,
    dot,
    dot_column,
    load,
    total_log,
)

# Added to the model of every channel (as a share of the mean count per entry), so
# that a count where the model is zero costs much but not infinitely much.
MODEL_FLOOR = 1e-12
# Below this an abundance or a composition is set to zero: denormal numbers would
# slow every later pass by two orders of magnitude.
TINY = 1e-100


_INLINE = {**COMPILE, "inline": "always"}


# How a kernel reads the counts of a pixel: non-zeros one by one, or all channels.
# Where many channels have counts it is faster to go through all of them: nothing is
# looked up, and the processor takes several channels at a time.
# Here y = D row are the means of a pixel, x its counts; D and A are (e, k), or (k, e)
# where all channels are read.


@njit(**_INLINE, fastmath=CONTRACT)
def weigh(channels, x, D, row, floor, sums):
    """Add D x / y to sums, over the non-zeros."""
    for t in range(x.size):
        e = channels[t]
        sums = add_row(sums, D, e, x[t] / dot(row, D, e, floor))
    return sums


@njit(**_INLINE, fastmath=CONTRACT)
def gather(channels, x, D, row, floor, A):
    """Add row x / y to A, at the non-zeros."""
    for t in range(x.size):
        e = channels[t]
        ratio = x[t] / dot(row, D, e, floor)
        for j in range(len(row)):
            A[e, j] += row[j] * ratio


@njit(**_INLINE, fastmath=CONTRACT)
def add_logs(channels, x, D, row, floor, logs):
    """Add x log(y) to logs, over the non-zeros."""
    for t in range(x.size):
        logs = add_log(logs, x[t], dot(row, D, channels[t], floor))
    return logs


@njit(**COMPILE, fastmath=IN_ANY_ORDER)
def weigh_all(x, D, row, floor, sums):
    """Add D x / y to sums."""
    for e in range(x.size):
        sums = add_column(sums, D, e, x[e] / dot_column(row, D, e, floor))
    return sums


@njit(**COMPILE, fastmath=IN_ANY_ORDER)
def gather_all(x, D, row, floor, A, ratios):
    """Add row x / y to A; ratios (e,) is working space."""
    for e in range(x.size):
        ratios[e] = x[e] / dot_column(row, D, e, floor)
    for j in range(len(row)):
        for e in range(x.size):
            A[j, e] += row[j] * ratios[e]


@njit(**COMPILE, fastmath=IN_ANY_ORDER)
def add_logs_of_all(x, D, row, floor, logs):
    """Add x log(y) to logs."""
    for e in range(x.size):
        if x[e] > 0:
            logs = add_log(logs, x[e], dot_column(row, D, e, floor))
    return logs


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
def _penalised_update(a, D_sum, on_simplex, allowed, terms, H, p, h, b, q):
    """Update h (k,) of pixel p under constraints and penalties, a = sum(d x / y)."""
    total = 0.0
    for j in range(h.size):
        total += h[j]
        b[j] = D_sum[j]
        q[j] = 0.0
    add_bounds(terms, h, total, a, b)
    add_quadratics(terms, h, H, p, b, q)
    if allowed.size > 0:
        for j in range(h.size):
            if not allowed[p, j]:
                b[j] = np.inf
    if total == 0.0 and any_alone(terms):
        _keep_steepest(b)
    for j in range(h.size):
        a[j] *= h[j]
    if on_simplex:
        solve_on_simplex(a, b, q, 1.0, h)
        return
    for j in range(h.size):
        h[j] = _positive_root(a[j], b[j], q[j])


@njit(**CALLED)
def _has_settled(before, now, tol):
    """Whether no number of now (k,) moved by more than a part of their sum."""
    change = total = 0.0
    for j in range(now.size):
        change = max(change, abs(now[j] - before[j]))
        total += now[j]
    return change <= tol * total


@cache
def block_pass(k: int, plain: bool, dense: bool, keep: bool):
    """Return the kernel for ``k`` components, ``plain`` without penalties on H.

    Of its own, because code that is never reached takes registers from the loops.
    ``dense``: for counts of all channels; ``keep``: compiled code is kept on disk.
    """
    zero = (0.0,) * k

    @compiled(cache=keep, fastmath=CONTRACT)
    def run(block, spectra, rules, terms, H, n_steps, step_tol, with_loss, A):
        """Pass over the pixels of a block of one colour of the chessboard.

        H (p, k) is updated in place n_steps times, or until no abundance moves by more
        than step_tol times their sum; A (e, k), or (0, k) if not wanted, is added to:
        A += (x / y) h. Of dense counts it is (k, e) or (k, 0). Returns the block's
        share of F, without constant terms (0 unless with_loss).
        """
        indptr, channels, values, first, last = block
        D, D_sum, floor = spectra
        on_simplex, allowed, colours, colour = rules
        h, a, b, q = np.empty(k), np.empty(k), np.empty(k), np.empty(k)
        per_sum = np.empty(k)
        # written out: an error message on shapes would take seconds to compile
        for j in range(k):
            per_sum[j] = 1.0 / D_sum[j]
        ratios = np.empty(D.size // k)
        loss = 0.0
        logs = 0.0, 1.0, 1.0
        for p in range(first, last):
            if colours[p] != colour:
                continue
            # slices: loops over them need no check for negative positions
            where = channels[indptr[p] : indptr[p + 1]]
            if dense:  # noqa: SIM108, one of them is not compiled
                x = values[p]
            else:
                x = values[indptr[p] : indptr[p + 1]]
            for _ in range(n_steps):
                row = load(zero, H, p)
                if dense:
                    sums = weigh_all(x, D, row, floor, zero)
                else:
                    sums = weigh(where, x, D, row, floor, zero)
                for j in range(k):
                    a[j] = sums[j]
                    h[j] = row[j] * sums[j] * per_sum[j] if plain else row[j]
                if not plain:
                    _penalised_update(
                        a, D_sum, on_simplex, allowed, terms, H, p, h, b, q
                    )
                for j in range(k):
                    H[p, j] = h[j] if h[j] >= TINY else 0.0
                if n_steps > 1 and _has_settled(row, h, step_tol):
                    break
            row = load(zero, H, p)
            if with_loss:
                for j in range(k):
                    loss += D_sum[j] * row[j]
                loss = add_values(terms, loss, H, p, colour)
            if dense and A.size:
                gather_all(x, D, row, floor, A, ratios)
            elif A.size:
                gather(where, x, D, row, floor, A)
            if with_loss and dense:
                logs = add_logs_of_all(x, D, row, floor, logs)
            elif with_loss:
                logs = add_logs(where, x, D, row, floor, logs)
        return loss - total_log(logs)

    return run
