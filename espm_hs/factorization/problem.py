"""What is minimised: the known matrix, the constraints and the penalties."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from espm_hs.arguments import check_choice
from espm_hs.factorization.counts.grid import Grid
from espm_hs.factorization.penalties import Penalties

SIMPLEX = ("elements", "abundances", None)
_NONE = Penalties()


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
        Known matrix, shape (n_channels, n_columns), or one for each component, shape
        (n_components, n_channels, n_columns), non-negative; None stands for the
        identity, i.e. free spectra. A column of zeros has a row of zeros in W.
    simplex
        "elements": the rows of W named by ``simplex_rows`` sum to 1 in each
        component; "abundances": the components of each pixel sum to 1; None: the
        spectra G W sum to 1. The first and the last differ only in the scale between
        W and H.
    simplex_rows
        Boolean, shape (n_columns,): rows of W that are fractions of one whole (None:
        all).
    fixed
        Shape (n_columns, n_components): fractions that simplex rows must keep, and
        zeros anywhere; NaN where W is free (None: all free). Where the fractions of a
        component add up to 1, its other simplex rows are 0.
    ties
        Rows of W that go together, shape (n_components, n_columns, n_columns): column c
        holds how much of each row comes with one of row c, 1 for itself, or zeros for a
        row that comes with another one (None: each by itself). Not for fixed rows.
    support
        Boolean, shape (n_pixels, n_components): which components a pixel may hold, at
        least one of them (None: all).
    penalties
        Terms of F beside the likelihood.
    grid
        Neighbours of the pixels; only read when ``penalties.smooth``.
    places
        Place of each pixel, where they have channels of their own in each, one place
        after the other, see `AnyCounts.in_places`; shape (n_pixels,). None: one place.
    shares
        Share of each component that is in each place, which the fit takes as given,
        shape (n_places, n_components); needed with ``places``.
    free_scales
        Whether a loading makes as many counts in each place whatever W is: G then says
        what the spectra look like in a place, and not how high they are.

    Notes
    -----
    A fixed fraction ties one row of W to the sum of the free ones, which is linear, as
    other ties are: W = M V for each component, with free non-negative V. The fit works
    on V.
    """

    n_channels: int
    n_components: int
    G: np.ndarray | None = None
    simplex: str | None = "elements"
    simplex_rows: np.ndarray | None = None
    fixed: np.ndarray | None = None
    ties: np.ndarray | None = None
    support: np.ndarray | None = None
    penalties: Penalties = _NONE
    grid: Grid | None = None
    places: np.ndarray | None = None
    shares: np.ndarray | None = None
    free_scales: bool = False

    def __post_init__(self):
        check_choice("simplex", self.simplex, SIMPLEX)
        self._check_G()
        self.penalties.check(self.n_components)
        if self.penalties.smooth and self.grid is None:
            raise ValueError(
                "`smoothness` needs to know which pixels are neighbours: give the "
                "shape of the map (`navigation_shape`)."
            )
        self._check_fixed()
        self._check_ties()
        self._check_support()

    def _check_G(self):
        if self.G is None:
            return
        shapes = [(self.n_channels,), (self.n_components, self.n_channels)]
        if self.G.shape[:-1] not in shapes:
            raise ValueError(
                f"G must have one row per channel: its shape is {self.G.shape}, the "
                f"counts have {self.n_channels} channels."
            )
        if not np.isfinite(self.G).all() or self.G.min() < 0:
            raise ValueError("G must be finite and non-negative.")

    def _check_fixed(self):
        if self.fixed is None:
            return
        shape = (self.n_columns, self.n_components)
        if self.fixed.shape != shape:
            raise ValueError(
                f"`fixed` must have shape {shape}, got {self.fixed.shape}."
            )
        if (self.fixed < 0).any() or (self.fixed[~self.rows_on_simplex] > 0).any():
            raise ValueError(
                "Fixed values must be fractions of the simplex rows; other rows can "
                "only be fixed to 0, and none to a negative value."
            )
        for component, total in enumerate(np.nansum(self.fixed, axis=0)):
            free = np.isnan(self.fixed[:, component])
            some_free = free[self.rows_on_simplex].any()
            # a component of other rows alone has no fractions
            whole = total == 0 and free.any()
            if total > 1 + 1e-9 or not (some_free or whole or abs(total - 1) <= 1e-9):
                raise ValueError(
                    f"The fixed fractions of component {component} add up to "
                    f"{total:g}. They must not exceed 1, and make 1 if all are fixed."
                )

    def _check_ties(self):
        if self.ties is None:
            return
        shape = (self.n_components, self.n_columns, self.n_columns)
        if self.ties.shape != shape:
            raise ValueError(f"`ties` must have shape {shape}, got {self.ties.shape}.")
        if not np.isfinite(self.ties).all() or self.ties.min() < 0:
            raise ValueError("`ties` must be finite and non-negative.")
        own = np.diagonal(self.ties, axis1=1, axis2=2)
        twice = (self.ties > 0).sum(axis=2) > 1
        if (own != self.ties.any(axis=1)).any() or twice.any():
            raise ValueError(
                "`ties` must have each row in one column only, and 1 on the diagonal "
                "of every column that is not zero."
            )
        alone = self.ties == np.eye(self.n_columns)
        alone = alone.all(axis=1) & alone.all(axis=2)
        if self.fixed is not None and not alone[~np.isnan(self.fixed.T)].all():
            raise ValueError("Fixed rows cannot be tied to others as well.")

    def _check_support(self):
        if self.support is None:
            return
        if self.support.dtype != bool or self.support.shape[1:] != (self.n_components,):
            raise ValueError(
                f"`support` must be boolean, of shape (n_pixels, {self.n_components}); "
                f"got type {self.support.dtype}, shape {self.support.shape}."
            )
        if not self.support.any(axis=1).all():
            raise ValueError("`support` must leave a component to each pixel.")

    @cached_property
    def n_columns(self) -> int:
        """Number of rows of W."""
        return self.n_channels if self.G is None else self.G.shape[-1]

    @cached_property
    def rows_on_simplex(self) -> np.ndarray:
        """Boolean, shape (n_columns,)."""
        if self.simplex_rows is None:
            return np.ones(self.n_columns, bool)
        return np.asarray(self.simplex_rows, bool)

    @cached_property
    def tied(self) -> Grid | None:
        """The grid, where pixels have neighbours and penalties tie these; else None."""
        grid = self.grid if self.penalties.smooth else None
        return grid if grid is not None and grid.connected else None

    @cached_property
    def column_sum(self) -> np.ndarray:
        """Counts that W = 1 makes, ``G^T 1``, shape (n_columns, n_components)."""
        if self.shares is None:
            return self.place_sums[0]
        return (self.shares[:, None] * self.place_sums).sum(axis=0)

    @cached_property
    def place_sums(self) -> np.ndarray:
        """`column_sum` in each place, shape (n_places, n_columns, n_components)."""
        n = self.n_places
        channels = np.kron(np.eye(n), np.ones(self.n_channels // n))
        alike = np.ones(self.n_components)
        return np.stack([n * self._transposed(np.outer(x, alike)) for x in channels])

    @property
    def n_places(self) -> int:
        """Number of places that have channels of their own."""
        return 1 if self.shares is None else len(self.shares)

    @cached_property
    def _transforms(self) -> dict[int, np.ndarray]:
        """M of the components that have one, (n_columns, n_columns)."""
        transforms = {}
        for j in range(self.n_components):
            M = None
            if self.fixed is not None and not np.isnan(self.fixed[:, j]).all():
                M = self._keep(self.fixed[:, j])
            if self.ties is not None:
                M = self.ties[j] if M is None else M @ self.ties[j]
            if M is not None and not np.array_equal(M, np.eye(self.n_columns)):
                transforms[j] = M
        return transforms

    def _keep(self, fixed):
        """M that keeps fixed fractions."""
        free = np.isnan(fixed)
        fractions = np.where(free, 0.0, fixed)
        left = 1.0 - fractions.sum()
        M = np.diag(free.astype(float))
        if left > 1e-9:
            M[:, free & self.rows_on_simplex] += fractions[:, None] / left
        else:
            # all is fixed: one variable, in the place of the largest, scales the lot
            M[:, self.rows_on_simplex] = 0.0
            M[:, np.argmax(fractions)] = fractions
        return M

    @cached_property
    def variable_sum(self) -> np.ndarray:
        """Counts that V = 1 makes, (n_columns, n_components), 0 where not free."""
        return self._untied(self.column_sum)

    def compose(self, V: np.ndarray) -> np.ndarray:
        """W of the free variables V, both (n_columns, n_components)."""
        W = V.copy()
        for j, M in self._transforms.items():
            W[:, j] = M @ V[:, j]
        return W

    def variables(self, W: np.ndarray) -> np.ndarray:
        """V that comes closest to a given W, both (n_columns, n_components)."""
        V = np.array(W, dtype=np.float64)
        for j, M in self._transforms.items():
            if self.fixed is not None:
                fractions = np.nan_to_num(self.fixed[:, j])
                if fractions.sum() > 1 - 1e-9:
                    V[np.argmax(fractions), j] = V[self.rows_on_simplex, j].sum()
            if self.ties is not None:
                together = (self.ties[j] > 0).T @ V[:, j]
                V[:, j] = together / np.maximum(self.ties[j].sum(axis=0), 1.0)
            V[M.sum(axis=0) == 0, j] = 0.0
        return V

    def allowed(self, H: np.ndarray) -> np.ndarray:
        """H (n_pixels, n_components) within the support, 0 elsewhere."""
        return H if self.support is None else np.where(self.support, H, 0.0)

    def take(self, pixels: np.ndarray) -> Problem:
        """Return the problem of some pixels; boolean, shape (n_pixels,)."""
        support = None if self.support is None else self.support[pixels]
        places = None if self.places is None else self.places[pixels]
        grid = None if self.grid is None else self.grid.take(pixels)
        penalties = self.penalties.take(pixels)
        return replace(
            self, support=support, grid=grid, places=places, penalties=penalties
        )

    def spectra(self, W: np.ndarray) -> np.ndarray:
        """``G W``, shape (n_channels, n_components), C-contiguous."""
        if self.G is None:
            return np.ascontiguousarray(W)
        if self.G.ndim == 2:
            return self.G @ W
        if self.free_scales:
            D = np.empty((self.n_channels, self.n_components))
            for _, channels, columns, G in self._blocks:
                D[channels] = (G @ W[columns].T[..., None])[..., 0].T
            return D
        return np.ascontiguousarray((self.G @ W.T[..., None])[..., 0].T)

    def leveled(self, W: np.ndarray, H: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return spectra and H of a fit, of spectra that are as high in all places.

        Only then the sum of a spectrum over all channels is what a pixel has of it,
        which `free_scales` leave open.
        """
        D = self.spectra(W)
        if not self.free_scales:
            return D, H
        heights = self.heights(W)
        return D / self.in_channels(heights), H * heights[self.places]

    def made_by(self, H: Any) -> np.ndarray:
        """Return ``G^T 1`` of what all pixels hold, shape (n_columns, n_components)."""
        if self.places is None:
            return self.column_sum * H.sum(axis=0)
        sums = sums_in_places(self.places, H, self.n_places)
        return (sums[:, None] * self.place_sums).sum(axis=0)

    def totals(self, D: np.ndarray) -> np.ndarray:
        """Return the counts that spectra D (n_channels, n_components) make of H = 1."""
        return D.sum(axis=0) if self.shares is None else self.mean_of(D).sum(axis=0)

    def heights(self, W: np.ndarray) -> np.ndarray:
        """Return what W makes of H = 1 in each place, (n_places, n_components), > 0."""
        made = (self.place_sums * W).sum(axis=1)
        return np.maximum(made, np.finfo(float).tiny)

    def in_channels(self, of_places: np.ndarray) -> np.ndarray:
        """Repeat what places have for each of their channels."""
        return np.repeat(of_places, self.n_channels // self.n_places, axis=0)

    def balance(self, V: np.ndarray, A: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return ``M^T G^T A``, and what a step on V weighs it against.

        That is the counts of V = 1; the scale of each component does not matter. With
        ``free_scales`` the log of the height in a place, as often as it has counts of
        the component, lies below its tangent.
        """
        if not self.free_scales:
            return self.project(A), self.variable_sum
        W, pulled = self.compose(V), self._pulled(A)
        shares = (pulled * W).sum(axis=1) / self.heights(W)
        against = (shares[:, None] * self.place_sums).sum(axis=0)
        return self._untied(pulled.sum(axis=0)), self._untied(against)

    def _pulled(self, A: np.ndarray) -> np.ndarray:
        """``G^T A`` of each place, shape (n_places, n_columns, n_components)."""
        pulled = np.zeros((self.n_places, self.n_columns, A.shape[1]))
        for place, channels, columns, G in self._blocks:
            part = (G.transpose(0, 2, 1) @ A[channels].T[..., None])[..., 0]
            pulled[place, columns] = part.T
        return pulled

    @cached_property
    def _blocks(self) -> list[tuple[int, slice, np.ndarray, np.ndarray]]:
        """Number, channels, columns and G of each place, without columns of zeros."""
        blocks, size = [], self.n_channels // self.n_places
        G = np.asarray(self.G)
        whole = np.broadcast_to(G, (self.n_components, *G.shape[-2:]))
        for place in range(self.n_places):
            channels = slice(place * size, (place + 1) * size)
            G = whole[:, channels]
            columns = np.flatnonzero(G.any(axis=(0, 1)))
            blocks.append((place, channels, columns, G[:, :, columns].copy()))
        return blocks

    def mean_of(self, D: np.ndarray) -> np.ndarray:
        """Mean over the places of spectra D, shape (n_channels, n_components)."""
        if self.shares is None:
            return D
        n = self.n_places
        of_places = D.reshape(n, -1, self.n_components)
        return n * (self.shares[:, None] * of_places).sum(axis=0)

    def project(self, A: np.ndarray) -> np.ndarray:
        """Pull A (n_channels, n_components) back to the variables: ``M^T G^T A``."""
        return self._untied(self._transposed(A))

    def tied_matrices(self) -> list[np.ndarray]:
        """``G M`` of each component, each (n_channels, n_columns); G is not None."""
        G = np.asarray(self.G)
        matrices = [G] * self.n_components if G.ndim == 2 else list(G)
        for j, M in self._transforms.items():
            matrices[j] = matrices[j] @ M
        return matrices

    def _transposed(self, A):
        """``G^T A``."""
        if self.G is None:
            return A
        if self.G.ndim == 2:
            return self.G.T @ A
        if self.free_scales:
            return self._pulled(A).sum(axis=0)
        return (self.G.transpose(0, 2, 1) @ A.T[..., None])[..., 0].T

    def _untied(self, A):
        """``M^T A``."""
        if not self._transforms:
            return A
        A = A.copy()
        for j, M in self._transforms.items():
            A[:, j] = M.T @ A[:, j]
        return A


def sums_in_places(places: np.ndarray, H: Any, n_places: int) -> np.ndarray:
    """Add up what the pixels of each place hold, shape (n_places, n_components)."""
    columns = np.asarray(H).T
    sums = [np.bincount(places, column, minlength=n_places) for column in columns]
    return np.stack(sums, axis=1)
