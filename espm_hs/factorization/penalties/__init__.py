"""Penalties: terms of F beside the likelihood, one class in each file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from espm_hs.factorization.penalties.base import STRONGEST, Penalty, Scale
from espm_hs.factorization.penalties.smoothness import Smoothness
from espm_hs.factorization.penalties.sparsity import SharesTerm, Sparsity

__all__ = [
    "STRONGEST",
    "Penalties",
    "Penalty",
    "Scale",
    "SharesTerm",
    "Smoothness",
    "Sparsity",
]


@dataclass(frozen=True)
class Penalties:
    """All terms beside the likelihood.

    They are in nats, as the likelihood is, and do not depend on the unit of G. Whoever
    needs other penalties derives them from these, so that none is forgotten.

    Parameters
    ----------
    sparsity
        Strength of `Sparsity`.
    smoothness
        Strength of `Smoothness`: a number, or a tuple with one for each component.
    others
        Further penalties.

    Attributes
    ----------
    members : tuple of Penalty
        All of them, in the order in which they are added up.
    acts : bool
        Whether there is any penalty.
    smooth : bool
        Whether any of them ties pixels together.
    of_shares : bool
        Whether they depend on the shares of each pixel alone, which is then exact. The
        totals of the pixels are those of their counts.
    ours : bool
        Whether all of them belong to this package, whose kernels are kept.
    """

    sparsity: float = 0.0
    smoothness: float | tuple[float, ...] = 0.0
    others: tuple[Penalty, ...] = ()
    members: tuple[Penalty, ...] = field(init=False, repr=False, compare=False)
    acts: bool = field(init=False, repr=False, compare=False)
    smooth: bool = field(init=False, repr=False, compare=False)
    of_shares: bool = field(init=False, repr=False, compare=False)
    ours: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self):
        # each checks itself
        members = Sparsity(self.sparsity), Smoothness(self.smoothness), *self.others
        acting = [one for one in members if one.acts]
        vars(self).update(
            members=members,
            acts=bool(acting),
            smooth=any(one.ties_pixels for one in acting),
            of_shares=all(one.of_shares for one in acting),
            ours=all(type(one).__module__.startswith(__name__) for one in self.others),
        )

    def _each(self, change: Callable[[Penalty], Penalty]) -> Penalties:
        ours: list[Any] = [change(one) for one in self.members[:2]]
        others = tuple(change(one) for one in self.others)
        return Penalties(ours[0].strength, ours[1].strength, others)

    def separable(self) -> Penalties:
        """Return these penalties without those that tie pixels together."""
        others = tuple(one for one in self.others if not one.ties_pixels)
        return replace(self, smoothness=0.0, others=others)

    def take(self, pixels: np.ndarray | slice) -> Penalties:
        """Return the penalties of some of the pixels."""
        return self._each(lambda one: one.take(pixels))

    def binned(self, bins, factor: int) -> Penalties:
        """Return penalties that act alike on bins, see `Penalty.binned`."""
        return self._each(lambda one: one.binned(bins, factor))

    def shared(self, share: float) -> Penalties:
        """Return what each pixel pays of what its bin has paid."""
        return self._each(lambda one: one.shared(share))

    def tied(
        self,
        smoothness: float | tuple[float, ...],
        n_neighbours: int,
        n_alike: float = 1.0,
    ) -> Penalties:
        """Return penalties of smooth maps, which do not let one component win.

        What a pixel pays for holding several components is weighed against its counts.
        Tied to its neighbours it cannot decide by itself: the counts of all that are
        tied decide, and they pay once, as the pixels of a bin do. Without that, many
        small payments would outweigh what all the counts say.

        Parameters
        ----------
        smoothness
            Strength, as in `Penalties`.
        n_neighbours
            Number of neighbours of a pixel: a component is told by
            ``1 + n_neighbours * smoothness`` pixels, which is how much stiffer the ties
            make the pixel than its counts do.
        n_alike
            Number of pixels that share already what their bin has paid.
        """
        ties = n_neighbours * np.asarray(smoothness, float)
        n_tied = float(np.exp(np.log1p(ties).mean()))
        shared = self.shared(min(1.0, n_alike / n_tied))
        return replace(shared, smoothness=smoothness)

    def strengths(self, n_components: int) -> np.ndarray:
        """Smoothness of each component, shape (n_components,)."""
        return Smoothness(self.smoothness).strengths(n_components)

    def check(self, n_components: int) -> None:
        """Raise ValueError if one of them does not fit so many components."""
        for one in self.members:
            one.check(n_components)

    def terms(self, scale: Scale) -> tuple[NamedTuple, ...]:
        """Return the terms of all members, for the kernels."""
        return tuple(one.term(scale) for one in self.members)

    def precision(self, in_counts: np.ndarray, unit: np.ndarray) -> np.ndarray | float:
        """Return the precision that they add as priors, see `Penalty.precision`."""
        return sum(
            (one.precision(in_counts, unit) for one in self.members if one.acts),
            start=0.0,
        )
