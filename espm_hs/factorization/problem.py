"""What is minimised: the known matrix, the constraints and the penalties."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from espm_hs.factorization.grid import Grid

SIMPLEX = ("elements", "abundances", None)
# The log penalty bends at this share of the mean abundance of a pixel.
SPARSITY_BEND = 0.01


@dataclass(frozen=True)
class Penalties:
    """Strength of the terms beside the likelihood.

    Both are measured in counts, so that a value means the same at any dose and for
    any unit of G.

    Parameters
    ----------
    sparsity
        ``sparsity * sum(log(1 + h / bend))``, bend being 1 % of the mean abundance
        of a pixel: pulls small abundances to zero and leaves large ones alone.
    smoothness
        ``smoothness * N / 2 * sum((h_p - h_q)**2)`` over neighbouring pixels p, q,
        for abundances relative to the mean abundance of a pixel and N counts per
        pixel on average.
    """

    sparsity: float = 0.0
    smoothness: float = 0.0

    def __post_init__(self):
        for name in ("sparsity", "smoothness"):
            value = getattr(self, name)
            if not (np.isscalar(value) and np.isreal(value) and 0 <= value < np.inf):
                raise ValueError(
                    f"`{name}` must be a finite number >= 0, got {value!r}."
                )


@dataclass(frozen=True, eq=False)
class Problem:
    """The model G W H^T with its constraints.

    Parameters
    ----------
    n_channels
        Number of channels.
    n_components
        Number of components (phases), at least 1.
    G
        Known matrix, shape (n_channels, n_columns), non-negative; None stands for
        the identity, i.e. free spectra.
    simplex
        "elements": the rows of W named by ``simplex_rows`` sum to 1 in each
        component; "abundances": the components of each pixel sum to 1; None: no
        constraint, the scale between W and H is free.
    simplex_rows
        Boolean, shape (n_columns,): rows of W that share in the simplex (None: all).
    fixed
        Shape (n_columns, n_components): values that W must keep, NaN where it is
        free (None: all free). Values other than 0 need ``simplex="elements"``; where
        those of a component add up to 1, its other fractions are 0.
    penalties
        Strength of sparsity and smoothness.
    grid
        Neighbours of the pixels; only read when ``penalties.smoothness > 0``.
    """

    n_channels: int
    n_components: int
    G: np.ndarray | None = None
    simplex: str | None = "elements"
    simplex_rows: np.ndarray | None = None
    fixed: np.ndarray | None = None
    penalties: Penalties = field(default_factory=Penalties)
    grid: Grid | None = None

    def __post_init__(self):
        if self.simplex not in SIMPLEX:
            raise ValueError(
                f"`simplex` must be 'elements', 'abundances' or None, got "
                f"{self.simplex!r}."
            )
        self._check_G()
        self._check_penalties()
        self._check_fixed()

    def _check_G(self):
        if self.G is None:
            return
        if self.G.ndim != 2 or self.G.shape[0] != self.n_channels:
            raise ValueError(
                f"G must have one row per channel: its shape is {self.G.shape}, the "
                f"counts have {self.n_channels} channels."
            )
        if not np.isfinite(self.G).all() or self.G.min() < 0:
            raise ValueError("G must be finite and non-negative.")
        empty = np.flatnonzero(self.G.sum(axis=0) == 0)
        if empty.size:
            raise ValueError(
                f"Columns {empty.tolist()} of G are zero in every channel in use: "
                "nothing can be said about them. Remove them, or use more channels."
            )

    def _check_penalties(self):
        active = self.penalties.sparsity > 0 or self.penalties.smoothness > 0
        if self.simplex is None and active:
            raise ValueError(
                "`sparsity` and `smoothness` act on H, whose scale is free with "
                "simplex=None. Use simplex='elements' or simplex='abundances', or set "
                "both penalties to 0."
            )
        if self.penalties.smoothness > 0 and self.grid is None:
            raise ValueError(
                "`smoothness` needs to know which pixels are neighbours: give the "
                "shape of the map (`navigation_shape`)."
            )

    def _check_fixed(self):
        if self.fixed is None:
            return
        shape = (self.n_columns, self.n_components)
        if self.fixed.shape != shape:
            raise ValueError(
                f"`fixed` must have shape {shape}, got {self.fixed.shape}."
            )
        given = self.fixed[~np.isnan(self.fixed)]
        if (given < 0).any():
            raise ValueError("Fixed values must not be negative.")
        if self.simplex != "elements" and (given > 0).any():
            raise ValueError(
                "Fixed fractions other than 0 need simplex='elements', which is what "
                "makes W read as fractions."
            )
        if self.simplex == "elements":
            self._close_fixed_fractions()

    def _close_fixed_fractions(self):
        """Check the sums of fixed fractions; where they reach 1 the rest is 0."""
        rows = self.rows_on_simplex
        closed = self.fixed.copy()
        for component, total in enumerate(np.nansum(self.fixed[rows], axis=0)):
            free = rows & np.isnan(self.fixed[:, component])
            if total > 1 + 1e-9:
                raise ValueError(
                    f"The fixed fractions of component {component} add up to "
                    f"{total:g}; fractions must not exceed 1 in sum."
                )
            if total > 1 - 1e-9:
                closed[free, component] = 0.0
            elif not free.any():
                raise ValueError(
                    f"All fractions of component {component} are fixed, but they add "
                    f"up to {total:g} instead of 1. Leave at least one free."
                )
        object.__setattr__(self, "fixed", closed)

    @property
    def n_columns(self) -> int:
        """Number of rows of W."""
        return self.n_channels if self.G is None else self.G.shape[1]

    @property
    def rows_on_simplex(self) -> np.ndarray:
        """Boolean, shape (n_columns,)."""
        if self.simplex_rows is None:
            return np.ones(self.n_columns, bool)
        return np.asarray(self.simplex_rows, bool)

    @cached_property
    def column_sum(self) -> np.ndarray:
        """``G^T 1``, shape (n_columns,)."""
        return np.ones(self.n_columns) if self.G is None else self.G.sum(axis=0)

    def free_on_simplex(self, component: int) -> tuple[np.ndarray, float]:
        """Rows of W that share what the fixed ones leave of 1, and that share."""
        rows = self.rows_on_simplex
        if self.fixed is None:
            return rows, 1.0
        free = rows & np.isnan(self.fixed[:, component])
        return free, 1.0 - float(np.nansum(self.fixed[rows, component]))

    def spectra(self, W: np.ndarray) -> np.ndarray:
        """``G W``, shape (n_channels, n_components), C-contiguous."""
        return np.ascontiguousarray(W if self.G is None else self.G @ W)

    def project(self, A: np.ndarray) -> np.ndarray:
        """``G^T A``, shape (n_columns, n_components)."""
        return A if self.G is None else self.G.T @ A
