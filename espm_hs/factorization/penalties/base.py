"""What a penalty has to say of itself."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import Any, ClassVar, NamedTuple

import numpy as np

from espm_hs.factorization.counts.grid import Bins, Grid
from espm_hs.factorization.kernels.arguments import (
    HOOKS,
    Hooks,
    no_bound,
    no_quadratic,
    no_slope,
    not_alone,
)

# Nats: beyond it, the counts have no say.
STRONGEST = 1e9


class Scale(NamedTuple):
    """Units of the abundances that the kernels see.

    Parameters
    ----------
    mean_counts
        Mean counts per pixel.
    mean
        Mean sum of the abundances of a pixel: 1 if they are shares, else
        ``mean_counts``.
    n_components
        Number of components.
    grid
        Neighbours of the pixels, without any where nothing ties them together.
    """

    mean_counts: float
    mean: float
    n_components: int
    grid: Grid


@dataclass(frozen=True, eq=False)
class Penalty:
    """A term of F beside the likelihood, in nats, that depends on H.

    A subclass is a frozen dataclass. It names the type of its term, a NamedTuple of
    numbers and arrays, and gives the compiled functions of
    `espm_hs.factorization.kernels.arguments.Hooks` under their names: ``value`` and
    ``quadratic`` are enough, the others may stay as they are. H is in counts, or in
    shares of a pixel with `simplex` "abundances".

    A penalty is on its own, or ties pixels together (``ties_pixels``). Where it is no
    function of the shares of a pixel alone (``of_shares``), pixels cannot be solved
    exactly with their totals kept, and multiplicative updates take the place of
    Newton's method for W.
    """

    Term: ClassVar[type]
    value: ClassVar[Any]
    quadratic: ClassVar[Any] = no_quadratic
    bound: ClassVar[Any] = no_bound
    slope: ClassVar[Any] = no_slope
    alone: ClassVar[Any] = not_alone
    ties_pixels: ClassVar[bool] = False
    of_shares: ClassVar[bool] = False
    # Whether the strength may differ from component to component.
    by_component: ClassVar[bool] = False

    def __post_init__(self):
        # those that others write need not have a strength
        strength = vars(self).get("strength", 0.0)
        several = self.by_component and isinstance(strength, tuple)
        for one in (several and strength) or (strength,):
            check_strength(type(self).__name__.lower(), one)

    def __init_subclass__(cls, **options: Any):
        super().__init_subclass__(**options)
        HOOKS[cls.Term] = Hooks(*(getattr(cls, name) for name in Hooks._fields))

    @property
    def acts(self) -> bool:
        """Whether the penalty is anything but zero."""
        return True

    def check(self, n_components: int) -> None:
        """Raise ValueError if the penalty does not fit so many components."""

    def term(self, scale: Scale) -> NamedTuple:
        """Return what the hooks are given, an instance of ``Term``."""
        raise NotImplementedError

    def precision(self, in_counts: np.ndarray, unit: np.ndarray) -> float | np.ndarray:
        """Return the precision that the penalty stands for as a prior.

        Parameters
        ----------
        in_counts
            Abundances, shape (n_pixels, n_components), in counts.
        unit
            Counts that an abundance of 1 makes, shape (n_components,).
        """
        return 0.0

    def take(self, pixels: np.ndarray | slice) -> Penalty:
        """Return the penalty of some of the pixels."""
        return self

    def binned(self, bins: Bins, factor: int) -> Penalty:
        """Return the penalty that acts alike on bins, ``factor`` pixels along an axis.

        Abundances of a bin are the mean of those of its pixels.
        """
        return self

    def shared(self, share: float) -> Penalty:
        """Return what each pixel pays if a bin, of which it is a share, has paid."""
        return self


def check_strength(name: str, value: Any) -> None:
    """Raise ValueError for a strength that is not a number from 0 to `STRONGEST`."""
    if not (isinstance(value, Real) and 0 <= float(value) <= STRONGEST):
        raise ValueError(
            f"`{name}` must be a finite number >= 0, at most {STRONGEST:g}; "
            f"got {value!r}."
        )
