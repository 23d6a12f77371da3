"""Vectors over the components of a pixel, kept in registers.

Inside a kernel such a vector is a tuple of numbers. An array would live in memory, and
since the compiler cannot know that it does not overlap the spectra, each sum over the
counts of a pixel would be stored and loaded again at every count: two to three times
slower. The functions here are written out for the length of their first argument.
"""

from __future__ import annotations

import operator

import numpy as np
from numba import njit
from numba.extending import overload

from espm_hs.factorization.kernels import COMPILE, CONTRACT

_COMPILE = {"error_model": "numpy", "fastmath": CONTRACT}
# Sums over channels may be taken in another order, so that several go on at a time.
IN_ANY_ORDER = {"contract", "reassoc", "nsz", "arcp"}
_VECTORS = {"error_model": "numpy", "fastmath": IN_ANY_ORDER}


def _written_out(arguments, first, term, indices, last):
    """Return a function of the named arguments, ``term`` repeated for all indices.

    All that is not written in this module are the indices, which are integers.
    """
    terms = "".join(term.format(*map(operator.index, one)) for one in indices)
    return eval(f"lambda {arguments}: {first}{terms}{last}")


def load(like, H, p):
    """Row p of H (p, k) as a tuple as long as ``like``."""
    return tuple(H[p, j] for j in range(len(like)))


def dot(h, D, e, y):
    """Return ``y + D[e] @ h``."""
    return y + sum(D[e, j] * h[j] for j in range(len(h)))


def add_row(a, D, e, factor):
    """Return ``a + D[e] * factor``."""
    return tuple(a[j] + D[e, j] * factor for j in range(len(a)))


def dot_column(h, D, e, y):
    """Return ``y + h @ D[:, e]``."""
    return y + sum(D[j, e] * h[j] for j in range(len(h)))


def add_column(a, D, e, factor):
    """Return ``a + D[:, e] * factor``."""
    return tuple(a[j] + D[j, e] * factor for j in range(len(a)))


def times(a, h):
    """Return ``a * h``, number by number."""
    return tuple(a[j] * h[j] for j in range(len(a)))


def add_square(m, h, D, e, factor):
    """Add ``factor * D[e] D[e]^T`` to m, the lower triangle row after row."""
    pairs = [(i, j) for i in range(len(h)) for j in range(i + 1)]
    rows = zip(m, pairs, strict=True)
    return tuple(x + factor * D[e, i] * D[e, j] for x, (i, j) in rows)


@overload(load, jit_options=_COMPILE)
def _load(like, H, p):
    return _written_out(
        "like, H, p", "(", "H[p, {0}],", [(j,) for j in range(len(like))], ")"
    )


@overload(dot, jit_options=_COMPILE)
def _dot(h, D, e, y):
    return _written_out(
        "h, D, e, y", "y", " + D[e, {0}] * h[{0}]", [(j,) for j in range(len(h))], ""
    )


@overload(add_row, jit_options=_COMPILE)
def _add_row(a, D, e, factor):
    term = "a[{0}] + D[e, {0}] * factor,"
    return _written_out(
        "a, D, e, factor", "(", term, [(j,) for j in range(len(a))], ")"
    )


@overload(dot_column, jit_options=_VECTORS)
def _dot_column(h, D, e, y):
    return _written_out(
        "h, D, e, y", "y", " + D[{0}, e] * h[{0}]", [(j,) for j in range(len(h))], ""
    )


@overload(add_column, jit_options=_VECTORS)
def _add_column(a, D, e, factor):
    term = "a[{0}] + D[{0}, e] * factor,"
    return _written_out(
        "a, D, e, factor", "(", term, [(j,) for j in range(len(a))], ")"
    )


@overload(times, jit_options=_COMPILE)
def _times(a, h):
    return _written_out(
        "a, h", "(", "a[{0}] * h[{0}],", [(j,) for j in range(len(a))], ")"
    )


@overload(add_square, jit_options=_COMPILE)
def _add_square(m, h, D, e, factor):
    pairs = [(i, j) for i in range(len(h)) for j in range(i + 1)]
    term = "m[{0}] + factor * D[e, {1}] * D[e, {2}],"
    indices = [(n, i, j) for n, (i, j) in enumerate(pairs)]
    return _written_out("m, h, D, e, factor", "(", term, indices, ")")


# Products of models stay within these, of which the logarithm is taken once in a while.
_SMALL, _LARGE = 1e-200, 1e200


@njit(**COMPILE)
def add_log(logs, x, y):
    """Add ``x log(y)`` to a sum kept as (sum, product of y with x = 1, with x = 2).

    Most counts are 1 or 2: a multiplication instead of a logarithm.
    """
    known, ones, twos = logs
    if x == 1:
        ones *= y
        if ones < _SMALL or ones > _LARGE:
            known += np.log(ones)
            ones = 1.0
    elif x == 2:
        twos *= y
        if twos < _SMALL or twos > _LARGE:
            known += 2.0 * np.log(twos)
            twos = 1.0
    else:
        known += x * np.log(y)
    return known, ones, twos


@njit(**COMPILE)
def total_log(logs):
    """Return what `add_log` has summed."""
    return logs[0] + np.log(logs[1]) + 2.0 * np.log(logs[2])
