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

from espm_hs.factorization.kernels.reading import (
    add_logs,
    add_logs_of_all,
    gather,
    gather_all,
    weigh,
    weigh_all,
)
from espm_hs.factorization.kernels.registers import load, total_log

# Added to the model of every channel (as a share of the mean count per entry), so
# that a count where the model is zero costs much but not infinitely much.
MODEL_FLOOR = 1e-12
# Below this an abundance or a composition is set to zero: denormal numbers would
# slow every later pass by two orders of magnitude.
TINY = 1e-100


@njit(cache=True, nogil=True, error_model="numpy")
def roughness(smoothness, neighbours, H, p):
    """Squared differences of pixel p from its neighbours, times smoothness (m, k)."""
    total = 0.0
    for m in range(neighbours.shape[1]):
        other = neighbours[p, m]
        for j in range(H.shape[1] if other >= 0 else 0):
            total += smoothness[m, j] * (H[p, j] - H[other, j]) ** 2
    return total


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _positive_root(a, b, q):
    """Positive root h of q h**2 + b h - a = 0, for a, q >= 0."""
    if q == 0.0:
        return a / b if b > 0.0 else 0.0
    root = np.sqrt(b * b + 4.0 * q * a)
    if b > 0.0:
        return 2.0 * a / (b + root)
    return (root - b) / (2.0 * q)


@njit(cache=True, nogil=True, error_model="numpy")
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
    flat = q.max() == 0.0
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


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _add_sparsity(h, total, sparsity, bend, a, b):
    """Bound sparsity * sum(log(1 + share / bend)) from above, shares h / total.

    h, a, b (k,). With S = total the penalty is sum(log(h + bend S)) - k log(S): the
    first part is concave and bounded by its tangent, which adds to b; the second by
    Jensen's inequality, which adds k / S to a (before its multiplication by h). Both
    add the same to the sum over components, so that the counts of a pixel are kept.
    """
    every = 0.0
    for j in range(h.size):
        slope = sparsity / (h[j] + bend * total)
        b[j] += slope
        every += bend * slope
    for j in range(h.size):
        b[j] += every
        a[j] += sparsity * h.size / total


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _keep_steepest(b):
    """Let an empty pixel, b (k,), be filled by one component only.

    Shares are not defined in it, and the sparsity term is zero for a pure pixel.
    """
    best = np.argmin(b)
    for j in range(b.size):
        if j != best:
            b[j] = max(b[j], 0.0)


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _penalised_update(
    a,
    D_sum,
    on_simplex,
    sparsity,
    bend,
    smoothness,
    neighbours,
    allowed,
    H,
    p,
    h,
    b,
    q,
):
    """Update h (k,) of pixel p under constraints and penalties, a = sum(d x / y)."""
    total = 0.0
    for j in range(h.size):
        total += h[j]
        b[j] = D_sum[j]
        q[j] = 0.0
    if sparsity > 0.0 and total > 0.0:
        _add_sparsity(h, total, sparsity, bend, a, b)
    for m in range(neighbours.shape[1]):
        other = neighbours[p, m]
        if other >= 0:
            for j in range(h.size):
                q[j] += smoothness[m, j]
                b[j] -= smoothness[m, j] * H[other, j]
    if allowed.size > 0:
        for j in range(h.size):
            if not allowed[p, j]:
                b[j] = np.inf
    if sparsity > 0.0 and total == 0.0:
        _keep_steepest(b)
    for j in range(h.size):
        a[j] *= h[j]
    if on_simplex:
        solve_on_simplex(a, b, q, 1.0, h)
        return
    for j in range(h.size):
        h[j] = _positive_root(a[j], b[j], q[j])


@njit(cache=True, nogil=True, error_model="numpy")
def _has_settled(before, now, tol):
    """Whether no number of now (k,) moved by more than a part of their sum."""
    change = total = 0.0
    for j in range(now.size):
        change = max(change, abs(now[j] - before[j]))
        total += now[j]
    return change <= tol * total


@cache
def block_pass(k: int, plain: bool, dense: bool):
    """Return the kernel for ``k`` components, ``plain`` without penalties on H.

    Of its own, because code that is never reached takes registers from the loops.
    ``dense``: for counts of all channels, see `reading`.
    """
    zero = (0.0,) * k

    @njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
    def run(
        indptr,
        channels,
        values,
        first,
        last,
        D,
        D_sum,
        floor,
        H,
        n_steps,
        step_tol,
        on_simplex,
        sparsity,
        bend,
        smoothness,
        neighbours,
        allowed,
        colours,
        colour,
        with_loss,
        A,
    ):
        """Pass over pixels first..last of one colour of the chessboard.

        indptr (p + 1,) int64, channels and values (n,), D (e, k), D_sum (k,),
        H (p, k) updated in place n_steps times, or until no abundance moves by more
        than step_tol times their sum, smoothness (m, k) for each column of neighbours
        (p, m) int64, allowed (p, k) bool: where not, H stays 0 (nowhere if empty),
        colours (p,) uint8, A (e, k), or (0, k) if not wanted, added to: A += (x / y) h.
        Of dense counts values is (p, e), D and A are (k, e) or (k, 0). Returns the
        block's share of F, without constant terms (0 unless with_loss).
        """
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
                        a,
                        D_sum,
                        on_simplex,
                        sparsity,
                        bend,
                        smoothness,
                        neighbours,
                        allowed,
                        H,
                        p,
                        h,
                        b,
                        q,
                    )
                for j in range(k):
                    H[p, j] = h[j] if h[j] >= TINY else 0.0
                if n_steps > 1 and _has_settled(row, h, step_tol):
                    break
            row = load(zero, H, p)
            if with_loss:
                if colour == 1:  # of two neighbours one, the last to be visited
                    loss += 0.5 * roughness(smoothness, neighbours, H, p)
                total = 0.0
                for j in range(k):
                    loss += D_sum[j] * row[j]
                    total += row[j]
                if sparsity > 0.0 and total > 0.0:
                    loss -= sparsity * np.log1p(1.0 / bend)
                    for j in range(k):
                        loss += sparsity * np.log1p(row[j] / (bend * total))
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
