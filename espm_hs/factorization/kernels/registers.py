"""Vectors over the components of a pixel, kept in registers.

Inside a kernel such a vector is a tuple of numbers. An array would live in memory, and
since the compiler cannot know that it does not overlap the spectra, each sum over the
counts of a pixel would be stored and loaded again at every count: two to three times
slower. The functions here are written out for the length of their first argument.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numba import njit
from numba.extending import overload

from espm_hs.factorization.kernels import COMPILE, CONTRACT

_COMPILE = {"error_model": "numpy", "fastmath": CONTRACT}
# Sums over channels may be taken in another order, so that several go on at a time.
IN_ANY_ORDER = {"contract", "reassoc", "nsz", "arcp"}
_VECTORS = {"error_model": "numpy", "fastmath": IN_ANY_ORDER}


def _written_out(
    arguments: str,
    first: str,
    term: str,
    last: str = "",
    *,
    options: dict[str, Any] = _COMPILE,
    of_pairs: bool = False,
) -> Callable:
    """Return a function of the named arguments, ``term`` repeated for all components.

    All that is not written in this module are the indices, which are integers: that of
    each component of the first argument or, ``of_pairs``, the number of each pair of
    components of the second argument, and the pair.
    """

    @cache
    def for_components(k: int) -> Callable:
        indices: list[tuple[int, ...]] = [(j,) for j in range(k)]
        if of_pairs:
            pairs = [(i, j) for i in range(k) for j in range(i + 1)]
            indices = [(n, *pair) for n, pair in enumerate(pairs)]
        terms = "".join(term.format(*one) for one in indices)
        return eval(f"lambda {arguments}: {first}{terms}{last}")

    def function(*given: Any) -> Any:
        return for_components(len(given[of_pairs]))(*given)

    @overload(function, jit_options=options, strict=False)
    def _compiled(*given: Any) -> Callable:
        return for_components(len(given[of_pairs]))

    return function


# Row p of H (p, k) as a tuple as long as ``like``.
load = _written_out("like, H, p", "(", "H[p, {0}],", ")")
# ``y + D[e] @ h``, and ``a + D[e] * factor``.
dot = _written_out("h, D, e, y", "y", " + D[e, {0}] * h[{0}]")
add_row = _written_out("a, D, e, factor", "(", "a[{0}] + D[e, {0}] * factor,", ")")
# ``y + h @ D[:, e]``, and ``a + D[:, e] * factor``.
dot_column = _written_out("h, D, e, y", "y", " + D[{0}, e] * h[{0}]", options=_VECTORS)
add_column = _written_out(
    "a, D, e, factor", "(", "a[{0}] + D[{0}, e] * factor,", ")", options=_VECTORS
)
# ``factor * D[e] D[e]^T`` added to m, the lower triangle row after row; h is as long as
# a row of D.
add_square = _written_out(
    "m, h, D, e, factor",
    "(",
    "m[{0}] + factor * D[e, {1}] * D[e, {2}],",
    ")",
    of_pairs=True,
)


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
