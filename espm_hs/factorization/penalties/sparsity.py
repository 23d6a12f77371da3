"""Few components in each pixel."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

import numpy as np
from numba import njit

from espm_hs.factorization.kernels import CONTRACT
from espm_hs.factorization.kernels.arguments import HOOK
from espm_hs.factorization.penalties.base import Penalty

# The term bends at this share of the abundances of a pixel.
BEND = 0.01


class SharesTerm(NamedTuple):
    """``strength * sum(log(1 + share / bend))``, less its value for a pure pixel."""

    strength: float
    bend: float


@njit(**HOOK, fastmath=CONTRACT)
def _value(term, F, H, p, colour):
    total = 0.0
    for j in range(H.shape[1]):
        total += H[p, j]
    if term.strength > 0.0 and total > 0.0:
        F -= term.strength * np.log1p(1.0 / term.bend)
        for j in range(H.shape[1]):
            F += term.strength * np.log1p(H[p, j] / (term.bend * total))
    return F


@njit(**HOOK, fastmath=CONTRACT)
def _bound(term, h, total, a, b):
    """Bound the term from above, see `Hooks.bound`.

    With S = total the penalty is sum(log(h + bend S)) - k log(S): the first part is
    concave and bounded by its tangent, which adds to b; the second by Jensen's
    inequality, which adds k / S to a. Both add the same to the sum over components, so
    that the counts of a pixel are kept.
    """
    if term.strength == 0.0 or total == 0.0:
        return
    every = 0.0
    for j in range(h.size):
        slope = term.strength / (h[j] + term.bend * total)
        b[j] += slope
        every += term.bend * slope
    for j in range(h.size):
        b[j] += every
        a[j] += term.strength * h.size / total


@njit(**HOOK, fastmath=CONTRACT)
def _slope(term, h, total, on_simplex, g, M):
    """Add gradient and curvature of a convex bound, see `Hooks.slope`.

    ``strength * sum(log(h + bend S)) - w log(S)`` with S = sum(h), w = strength * k.
    The first part is concave and bounded by its tangent.
    """
    if term.strength == 0.0 or total == 0.0:
        return 0.0
    every = 0.0
    for j in range(h.size):
        slope = term.strength / (h[j] + term.bend * total)
        g[j] += slope
        every += term.bend * slope
    if on_simplex:
        return 0.0
    weight = term.strength * h.size
    for i in range(h.size):
        g[i] += every - weight / total
        for j in range(i + 1):
            M[i, j] += weight / (total * total)
    return weight


@njit(**HOOK)
def _alone(term):
    """Shares are not defined in an empty pixel; the term is zero for a pure one."""
    return term.strength > 0.0


@dataclass(frozen=True)
class Sparsity(Penalty):
    """``strength * (sum(log(1 + share / 0.01)) - log(101))`` in each pixel.

    A share is h over the sum of h, with h in counts: the term is zero for a pure pixel,
    pulls small shares to zero and leaves the counts of each pixel alone.

    Parameters
    ----------
    strength
        In nats.
    """

    strength: float = 0.0

    Term = SharesTerm
    value, bound, slope, alone = _value, _bound, _slope, _alone
    of_shares = True
    # The usual strength.
    default: ClassVar[float] = 1.0

    @property
    def acts(self) -> bool:
        """Whether the strength is above zero."""
        return self.strength > 0

    def term(self, scale) -> SharesTerm:
        """Return strength and bend."""
        return SharesTerm(self.strength, BEND)

    def precision(self, in_counts: np.ndarray, unit: np.ndarray) -> np.ndarray:
        """Precision of the exponential law that has the slope of the term."""
        total = in_counts.sum(axis=1, keepdims=True)
        reach = in_counts + BEND * np.where(total > 0, total, 1.0)
        return (self.strength * unit / reach) ** 2

    def binned(self, bins, factor: int) -> Sparsity:
        """Return the term of bins whose pixels all pay."""
        return replace(self, strength=self.strength * bins.full)

    def shared(self, share: float) -> Sparsity:
        """Return the share of a pixel in what its bin has paid."""
        return replace(self, strength=self.strength * share)
