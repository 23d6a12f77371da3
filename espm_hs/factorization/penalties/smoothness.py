"""Neighbouring pixels that are alike."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numba import njit

from espm_hs.factorization.kernels import CONTRACT
from espm_hs.factorization.kernels.arguments import HOOK
from espm_hs.factorization.penalties.base import Penalty, Scale


class NeighboursTerm(NamedTuple):
    """``weights / 2 * (h_p - h_q)**2`` over pairs of neighbours."""

    # (m, k) for each column of neighbours
    weights: np.ndarray
    # (n_pixels, m) int64, -1 where there is none
    neighbours: np.ndarray


@njit(**HOOK)
def _roughness(term, H, p):
    """Weighted squared differences of pixel p from its neighbours."""
    total = 0.0
    for m in range(term.neighbours.shape[1]):
        other = term.neighbours[p, m]
        for j in range(H.shape[1] if other >= 0 else 0):
            total += term.weights[m, j] * (H[p, j] - H[other, j]) ** 2
    return total


@njit(**HOOK, fastmath=CONTRACT)
def _value(term, F, H, p, colour):
    if colour == 1:
        F += 0.5 * _roughness(term, H, p)
    return F


@njit(**HOOK, fastmath=CONTRACT)
def _quadratic(term, h, H, p, b, q):
    for m in range(term.neighbours.shape[1]):
        other = term.neighbours[p, m]
        if other >= 0:
            for j in range(h.size):
                q[j] += term.weights[m, j]
                b[j] -= term.weights[m, j] * H[other, j]


@dataclass(frozen=True)
class Smoothness(Penalty):
    """``strength * N / 2 * sum((h_p - h_q)**2)`` over neighbouring pixels p, q.

    For h in units of N, the mean counts per pixel. Where pixels are not square, each
    pair weighs by the inverse square of its distance.

    Parameters
    ----------
    strength
        In nats: a number, or a tuple with one for each component.
    """

    strength: float | tuple[float, ...] = 0.0

    Term = NeighboursTerm
    value, quadratic = _value, _quadratic
    ties_pixels = by_component = True

    @property
    def acts(self) -> bool:
        """Whether the strength of any component is above zero."""
        return bool(np.any(np.asarray(self.strength) > 0))

    def check(self, n_components: int) -> None:
        """Raise ValueError unless there is one strength, or one for each component."""
        several = self.strength if isinstance(self.strength, tuple) else None
        if several is not None and len(several) != n_components:
            raise ValueError(
                f"`smoothness` must be a number, or {n_components} numbers for as "
                f"many components, got {len(several)}."
            )

    def strengths(self, n_components: int) -> np.ndarray:
        """Strength for each component, shape (n_components,)."""
        return np.full(n_components, self.strength, dtype=float)

    def term(self, scale: Scale) -> NeighboursTerm:
        """Return the weights in the unit of the abundances, and the neighbours."""
        strengths = self.strengths(scale.n_components)
        strengths = strengths * scale.mean_counts / scale.mean**2
        weights = np.outer(scale.grid.weights, strengths)
        return NeighboursTerm(weights, scale.grid.neighbours)

    def binned(self, bins, factor: int) -> Smoothness:
        """Return the term of bins.

        They differ ``factor`` times as much as neighbours do, and there are fewer
        pairs of them.
        """
        strength = np.asarray(self.strength, float) / factor**2
        several = isinstance(self.strength, tuple)
        return replace(self, strength=tuple(strength) if several else float(strength))
