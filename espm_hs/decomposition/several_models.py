"""One composition for maps that have linear models of their own.

Maps of one model are one map in several pieces. Those of another model make other
spectra of the same composition: they have channels of their own, one model after the
other, as places of a map have in `espm_hs.decomposition.self_consistency`. The rows of
W that are fractions of elements belong to all maps; all others, such as a background,
to those of one model.

A fit leaves the height of spectra open under each model, since a map has loadings of
its own. When it is done, matrices are scaled so that a loading makes the same number of
counts everywhere, which is what all that looks at a fit takes for granted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from espm_hs.decomposition.ambiguity import closed
from espm_hs.decomposition.constraints import Knowledge
from espm_hs.decomposition.search import Errors, PhaseSearch
from espm_hs.decomposition.self_consistency import (
    consistent_fit,
    in_places,
    of_places,
    phase_matrices,
    self_consistent_model,
    warn_unsettled,
)
from espm_hs.factorization import (
    Factorization,
    FitOptions,
    Problem,
    factorize,
    fit_spectrum,
)
from espm_hs.physics.linear_model import LinearModel


def same_model(one: LinearModel, other: LinearModel) -> bool:
    """Return whether two models make the same spectra of everything."""
    return one.kind == other.kind and one.to_dict() == other.to_dict()


@dataclass(frozen=True, eq=False)
class Stack:
    """Linear models of the same elements, one after the other.

    Parameters
    ----------
    models
        The models; the first one has the order of the elements.
    channels
        Channels in use of each, boolean.
    number
        Which model each pixel has, shape (n_pixels,).
    drifts
        How the fractions of phases differ from the common ones under each model, as
        factors, shape (n_models, n_elements, n_phases); None: nowhere.
    """

    models: tuple[LinearModel, ...]
    channels: tuple[np.ndarray, ...]
    number: np.ndarray
    drifts: np.ndarray | None = None

    @cached_property
    def elements(self) -> tuple[str, ...]:
        """Elements of all models."""
        return self.models[0].elements

    @cached_property
    def columns(self) -> tuple[np.ndarray, ...]:
        """Rows of the common W that are those of each model, in the order of these."""
        first, columns = len(self.elements), []
        for model in self.models:
            number = np.zeros(len(model.columns), int)
            rows = np.asarray(model.element_columns)
            number[rows] = [self.elements.index(name) for name in model.elements]
            number[~rows] = first + np.arange((~rows).sum())
            first += int((~rows).sum())
            columns.append(number)
        return tuple(columns)

    @property
    def rows(self) -> np.ndarray:
        """Boolean, shape (n_columns,): rows of the common W that all models have."""
        n_columns = max(int(columns.max()) for columns in self.columns) + 1
        return np.arange(n_columns) < len(self.elements)

    @property
    def n_channels(self) -> int:
        """Channels of each model: as many as the one with the most has."""
        return max(int(used.sum()) for used in self.channels)

    def in_units_of(self, place: int, W: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return W of one model, and by how much its loadings are then larger."""
        columns = self.columns[place]
        own, rows = W[columns], columns < len(self.elements)
        if self.drifts is None:
            return own, np.ones(W.shape[1])
        before = own[rows].sum(axis=0)
        own[rows] *= self.drifts[place, columns[rows]]
        whole = own[rows].sum(axis=0) / np.where(before > 0, before, 1.0)
        whole = np.where(whole > 0, whole, 1.0)
        return own / whole, whole

    def matrices(self, W: np.ndarray) -> np.ndarray:
        """Return the matrix of each phase under each model, by its composition.

        Shape (n_models, n_phases, n_channels, n_columns).
        """
        shape = len(self.models), W.shape[1], self.n_channels, len(W)
        matrices = np.zeros(shape)
        for place, (model, used) in enumerate(
            zip(self.models, self.channels, strict=True)
        ):
            own, _ = self.in_units_of(place, W)
            rows = self.columns[place] < len(self.elements)
            G = phase_matrices(model, closed(own[rows]))[:, used]
            for j in range(W.shape[1]):
                matrices[place, j, : used.sum(), self.columns[place]] = G[j].T
        if self.drifts is not None:
            matrices[..., : len(self.elements)] *= self.drifts.swapaxes(1, 2)[
                :, :, None
            ]
        return matrices

    def knowledge(self, known: Sequence[Knowledge]) -> Knowledge:
        """Put together what is known of the phases under each model.

        Raises
        ------
        ValueError
            If something is known that is different for other models.
        """
        k, rows = known[0].n_phases, self.rows
        joint = Knowledge.nothing(k, rows.size)
        for columns, one in zip(self.columns, known, strict=True):
            shared = rows[columns]
            tied = one.ties[:, shared][:, :, ~shared].any()
            tied = tied or one.ties[:, ~shared][:, :, shared].any()
            if tied or one.single_elements:
                raise ValueError(
                    "The maps have models of their own, under which a phase has "
                    "another spectrum in each. Give its 'composition' or 'ratio' in "
                    "`known_phases`, not its 'spectrum', nor \"elements\"."
                )
            joint.fixed[columns] = one.fixed
            joint.ties[:, columns[:, None], columns] = one.ties
        return replace(joint, names=known[0].names)


@dataclass(eq=False)
class JointSearch(PhaseSearch):
    """Finds phases of maps with models of their own.

    Parameters
    ----------
    stack
        Their models; ``model`` and ``channels`` are the first of these.
    """

    stack: Stack | None = None

    def __post_init__(self):
        super().__post_init__()
        self.rows = self.several.rows

    @property
    def several(self) -> Stack:
        """The models."""
        if self.stack is None:
            raise TypeError("JointSearch needs a `stack` of models.")
        return self.stack

    def begin(self) -> None:
        """Begin with a problem in which all phases are the mean of their map."""
        models, known = [], []
        n, k = len(self.several.models), self.problem.n_components
        spectra = self.counts.spectrum.reshape(n, -1)
        for model, used, spectrum in zip(
            self.several.models, self.several.channels, spectra, strict=True
        ):
            own = spectrum[: used.sum()]
            models.append(self_consistent_model(model, own, used))
            known.append(fit_spectrum(models[-1].G[used], own)[0])
        self.stack = replace(self.several, models=tuple(models))
        W = np.zeros((self.rows.size, k))
        for columns, weights, counts in zip(
            self.several.columns, known, spectra.sum(axis=1), strict=True
        ):
            shared = self.rows[columns]
            whole = weights[shared].sum() or 1.0
            share = counts / self.counts.total
            W[columns[shared]] += share * weights[shared, None] / whole
            W[columns[~shared]] = weights[~shared, None] / whole
        H = np.repeat(np.asarray(self.counts.per_pixel)[:, None] / k, k, axis=1)
        matrices = self.several.matrices(W)
        self.problem, _, _ = of_places(
            self.problem, W, H, matrices, self.several.number
        )
        self.first = self.problem

    def _alike(self) -> Problem:
        return self.first

    def _fit(self, init: str | tuple, options: FitOptions) -> Factorization:
        found = factorize(self.counts, self.problem, init=init, options=options)
        return self._consistent(found, options)

    def _consistent(self, found: Factorization, options: FitOptions) -> Factorization:
        """Go on until matrices and composition agree."""
        found, self.problem, settled = consistent_fit(
            self.counts, self.problem, found, self.rows, self._own, options
        )
        if not settled:
            warn_unsettled(self.model)
        self.problem, H = self._own(self.problem, found)
        return replace(found, H=H)

    def _own(
        self, problem: Problem, found: Factorization
    ) -> tuple[Problem, np.ndarray]:
        """Return the problem with the matrices of what was found, and its H there."""
        matrices = self.several.matrices(found.W)
        return in_places(problem, found, matrices, self.several.number)[:2]

    def _with_matrices(self, found: Factorization, mixing: np.ndarray) -> Factorization:
        # what is taken out of a phase may be a little more than there is of an element
        found = replace(found, W=np.maximum(found.W, 0.0))
        self.problem, H = self._own(self.problem, found)
        return replace(found, H=H)

    def drifted(self, found: Factorization, drifts: np.ndarray) -> Factorization:
        """Go on with other drifts of the phases."""
        self.stack = replace(self.several, drifts=drifts)
        self.problem, H = self._own(self.problem, found)
        found = replace(found, H=H, n_iter=0)
        return self._consistent(found, self.options)

    def of_model(
        self, place: int, pixels: slice, found: Factorization, errors: Errors
    ) -> tuple[Factorization, Errors, LinearModel, np.ndarray]:
        """Return phases, errors, model and G of maps of one model.

        Parameters
        ----------
        place
            Number of the model.
        pixels
            Those wanted.
        found, errors
            Of all maps.
        """
        columns = self.several.columns[place]
        matrices = self.several.matrices(found.W)
        _, H, atoms = in_places(self.problem, found, matrices, self.several.number)
        W, whole = self.several.in_units_of(place, found.W)
        model, used = self.several.models[place], self.several.channels[place]
        G = phase_matrices(model, closed(W[self.rows[columns]]))[:, used]
        own = replace(
            errors,
            covariance=errors.covariance[:, columns][:, :, columns],
            bias=errors.bias[columns],
        )
        here = replace(found, W=W, H=H[pixels] * atoms[place] * whole)
        return here, own, model, G
