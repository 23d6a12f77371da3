"""What the kernels are given: things that travel together, and the hooks of penalties.

A penalty reaches the kernels as a NamedTuple of numbers and arrays, its `term`. The
type of the term says which functions belong to it; the compiler chooses them, so that
terms of any number and kind become one compiled kernel. Terms on which no hook acts
cost nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numba.extending import overload

from espm_hs.factorization.kernels import CALLED, CONTRACT


class Block(NamedTuple):
    """Counts of consecutive pixels, and which of these to work on."""

    # (n_pixels + 1,) int64: where the counts of each pixel begin
    indptr: np.ndarray
    # (n_nonzeros,) integers
    channels: np.ndarray
    # (n_nonzeros,), or (n_pixels * n_channels,) where all channels are read
    values: np.ndarray
    first: int
    last: int
    # whether all channels are read
    dense: bool


class Spectra(NamedTuple):
    """Spectra D = G W of the components, float64."""

    # (n_channels, w), w being k padded with zeros to whole vectors, or (w, n_channels)
    # where all channels are read, so many that they fill vectors too
    D: np.ndarray
    # (k,), never zero
    D_sum: np.ndarray
    # added to the model of every channel
    floor: float


class Rules(NamedTuple):
    """What abundances are held to, and in which order they are visited."""

    # whether the abundances of a pixel sum to 1
    on_simplex: bool
    # (n_pixels, k) bool: where not, H stays 0; (0, k) if it is nowhere so
    allowed: np.ndarray
    # (n_pixels,) uint8: colour of each pixel on the chessboard, and the one to visit
    colours: np.ndarray
    colour: int


class Hooks(NamedTuple):
    """Compiled functions of a penalty, each with its term as the first argument.

    Parameters
    ----------
    value
        ``value(term, F, H, p, colour)`` returns F with the penalty of pixel p added.
        One that ties two pixels counts with the one of colour 1, the last to be
        visited.
    quadratic
        ``quadratic(term, h, H, p, b, q)`` adds to b and q (k,) so that
        ``sum(b h + q h**2 / 2)`` bounds the penalty of pixel p from above, but for a
        constant, and touches it at the present h (k,). H holds the other pixels.
    bound
        ``bound(term, h, total, a, b)`` adds to a and b (k,) so that
        ``sum(b h - a h' log h)``, with h' the present h and ``total`` its sum, bounds
        what is not in ``quadratic``.
    slope
        ``slope(term, h, total, on_simplex, g, M)`` adds the gradient of what is not in
        ``quadratic`` to g (k,), and the curvature of a convex bound on it to M (k, k).
        Returns w: the bound holds for steps if -w log(sum(h)) is counted as such.
    alone
        ``alone(term)`` says whether a pixel without counts may be filled by one
        component only.
    """

    value: Callable
    quadratic: Callable
    bound: Callable
    slope: Callable
    alone: Callable


# How hooks are best compiled. What takes terms is not kept on disk by itself: those of
# a penalty that somebody has defined in a notebook cannot be loaded anywhere else.
HOOK = {**CALLED, "forceinline": True, "cache": False}
_OVERLOAD = {
    "error_model": "numpy",
    "_nrt": False,
    "no_cfunc_wrapper": True,
    "forceinline": True,
    "fastmath": CONTRACT,
}


@njit(**HOOK)
def no_quadratic(term, h, H, p, b, q):
    """Add nothing, as `Hooks.quadratic`."""


@njit(**HOOK)
def no_bound(term, h, total, a, b):
    """Add nothing, as `Hooks.bound`."""


@njit(**HOOK)
def no_slope(term, h, total, on_simplex, g, M):
    """Add nothing, as `Hooks.slope`."""
    return 0.0


@njit(**HOOK)
def not_alone(term):
    """Let any component fill a pixel, as `Hooks.alone`."""
    return False


# What adds nothing is not called at all: each call is a function to compile.
NOTHING = no_quadratic, no_bound, no_slope, not_alone
# Type of a term -> its hooks.
HOOKS: dict[type, Hooks] = {}


def _calls(name: str, follow: Callable, none: Callable) -> Callable:
    """Return a function that calls a hook of all terms, one after the other.

    ``follow(others, hook, n)`` calls a hook after those of the n terms before it, and
    ``none`` is what there is without terms.
    """

    @cache
    def for_terms(*kinds: type) -> Callable:
        if not kinds:
            return none
        *before, last = kinds
        hook = getattr(HOOKS[last], name)
        if hook in NOTHING:
            return for_terms(*before)
        others = njit(**HOOK)(for_terms(*before))
        return follow(others, hook, len(before))

    def function(terms: tuple, *given: Any) -> Any:
        return for_terms(*map(type, terms))(terms, *given)

    @overload(function, jit_options=_OVERLOAD, strict=False)
    def _compiled(terms: Any, *given: Any) -> Callable:
        return for_terms(*(one.instance_class for one in terms.types))

    return function


def _one_by_one(others: Callable, hook: Callable, n: int) -> Callable:
    def run(terms, *given):
        others(terms, *given)
        hook(terms[n], *given)

    return run


def _handed_on(others: Callable, hook: Callable, n: int) -> Callable:
    def run(terms, F, *given):
        return hook(terms[n], others(terms, F, *given), *given)

    return run


def _summed(others: Callable, hook: Callable, n: int) -> Callable:
    def run(terms, *given):
        return others(terms, *given) + hook(terms[n], *given)

    return run


def _any(others: Callable, hook: Callable, n: int) -> Callable:
    def run(terms):
        return others(terms) or hook(terms[n])

    return run


# F with the penalties of pixel p.
add_values = _calls("value", _handed_on, lambda terms, F, *given: F)
# What `Hooks.quadratic` and `Hooks.bound` of all terms add.
add_quadratics = _calls("quadratic", _one_by_one, lambda terms, *given: None)
add_bounds = _calls("bound", _one_by_one, lambda terms, *given: None)
# What `Hooks.slope` of all terms adds; returned is the sum of the weights.
add_slopes = _calls("slope", _summed, lambda terms, *given: 0.0)
# Whether one of the terms wants a single component in an empty pixel.
any_alone = _calls("alone", _any, lambda terms: False)
