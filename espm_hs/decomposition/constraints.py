"""What is known of the phases before they are looked for, as constraints of a fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from espm_hs.physics.linear_model import LinearModel


@dataclass(frozen=True, eq=False)
class Knowledge:
    """Constraints of the phases of a map.

    Parameters
    ----------
    names
        Name of each phase, "" where it has none.
    fixed
        Shape (n_columns, n_phases): fractions that W keeps, NaN where it is free.
    ties
        Shape (n_phases, n_columns, n_columns): rows of W that go together, as in
        `espm_hs.factorization.Problem`.
    support
        Boolean, shape (n_pixels, n_phases): pixels of the whole map in which a phase
        may be; None: all of them.
    single_elements
        Whether the phases are elements, whose matrix is that of the sample as a whole.
    """

    names: tuple[str, ...]
    fixed: np.ndarray
    ties: np.ndarray
    support: np.ndarray | None = None
    single_elements: bool = False

    @classmethod
    def nothing(cls, n_phases: int, n_columns: int) -> Knowledge:
        """Return that nothing is known."""
        fixed = np.full((n_columns, n_phases), np.nan)
        return cls(("",) * n_phases, fixed, np.stack([np.eye(n_columns)] * n_phases))

    @classmethod
    def single(cls, model: LinearModel) -> Knowledge:
        """Return that each element is a phase, and the background another one.

        All columns that name an element belong to its phase; their proportion is
        fitted.
        """
        owners = [column.element or "background" for column in model.columns]
        names = list(dict.fromkeys(owners))
        fixed = np.zeros((len(owners), len(names)))
        for i, (owner, quantified) in enumerate(
            zip(owners, model.element_columns, strict=True)
        ):
            fixed[i, names.index(owner)] = 1.0 if quantified else np.nan
        ties = cls.nothing(len(names), len(owners)).ties
        return cls(tuple(names), fixed, ties, single_elements=True)

    @property
    def n_phases(self) -> int:
        """Number of phases."""
        return len(self.names)

    def also_named(self, names: tuple[str, ...]) -> Knowledge:
        """Return the same, with names for phases that have none and share none."""
        taken = {name.casefold() for name in self.names if name}
        free = [name if name.casefold() not in taken else "" for name in names]
        pairs = zip(self.names, free, strict=True)
        return replace(self, names=tuple(own or other for own, other in pairs))

    @property
    def labels(self) -> list[str]:
        """What to call each phase: by its name, or "phase 0"."""
        return [name or f"phase {j}" for j, name in enumerate(self.names)]

    @property
    def free(self) -> np.ndarray:
        """Boolean, shape (n_phases,): phases of whose spectrum nothing is known."""
        tied = (self.ties != np.eye(len(self.fixed))).any(axis=(1, 2))
        return np.isnan(self.fixed).all(axis=0) & ~tied

    @property
    def located(self) -> np.ndarray:
        """Boolean, shape (n_phases,): phases that may not be everywhere."""
        if self.support is None:
            return np.zeros(self.n_phases, bool)
        return np.logical_not(self.support.all(axis=0))

    def apart(self, elements: np.ndarray) -> np.ndarray:
        """Return whether phase i may have been found together with j lying over it.

        It cannot if all of its composition is known, or if j is not where i may be.

        Parameters
        ----------
        elements
            Boolean, shape (n_columns,): columns that are elements of the sample.

        Returns
        -------
        numpy.ndarray
            Boolean, shape (n_phases, n_phases).
        """
        # rows that vary by themselves, and one of them is what the others add up to
        moving = np.isnan(self.fixed.T) & self.ties.any(axis=1) & elements
        open_ = moving.sum(axis=1) > 1
        if self.support is None:
            return np.repeat(open_[:, None], self.n_phases, axis=1)
        missing = self.support.T.astype(int) @ ~self.support
        return open_[:, None] & (missing == 0)

    def constraints(self, pixels: np.ndarray | None) -> dict[str, Any]:
        """Return arguments of `espm_hs.factorization.Problem` for the pixels in use.

        Parameters
        ----------
        pixels
            Boolean, shape (n_pixels,); None: all.
        """
        support = self.support
        if support is not None and pixels is not None:
            support = np.ascontiguousarray(support[pixels])
        return {
            "fixed": None if np.isnan(self.fixed).all() else self.fixed,
            "ties": None if (self.ties == np.eye(len(self.fixed))).all() else self.ties,
            "support": support,
        }

    def to_dict(self) -> dict[str, Any]:
        """Return arrays and text that HyperSpy can write to a file."""
        stored = {**vars(self), "names": list(self.names)}
        return {name: value for name, value in stored.items() if value is not None}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Knowledge:
        """Read what `to_dict` wrote."""
        support = stored.get("support")
        return cls(
            tuple(str(name) for name in stored["names"]),
            np.asarray(stored["fixed"], float),
            np.asarray(stored["ties"], float),
            None if support is None else np.asarray(support, bool),
            bool(stored["single_elements"]),
        )
