"""Several spectra of the same pixels as one spectrum.

Each has a linear model of its own. The channels of all stand one after the other, and
what belongs to the sample has one weight in all of them: the matrices are stacked. How
many counts a model has as a whole is a number of its own, its gain. All else, such as a
background, is free in each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from espm_hs.decomposition.self_consistency import self_consistent_model
from espm_hs.factorization import fit_spectrum
from espm_hs.physics.linear_model import (
    Column,
    LinearModel,
    Unknowns,
    read_model,
    register_model,
)

# Gains have settled when none moves by more than this part of it.
SETTLED = 1e-4
MOST_ROUNDS = 30
# A gain is never less: there would be nothing to raise.
LEAST_GAIN = 1e-6


@register_model("stacked")
@dataclass(frozen=True, eq=False)
class StackedModel(LinearModel):
    """Linear models of the same sample, their channels one after the other.

    Parameters
    ----------
    models
        At least one; all have the elements of the first, in any order.
    gains
        What each model is multiplied with, above 0.
    """

    models: tuple[LinearModel, ...]
    gains: tuple[float, ...]

    @cached_property
    def places(self) -> tuple[np.ndarray, ...]:
        """Columns of the stack that those of each model are."""
        number = {column.label: i for i, column in enumerate(self._of_sample)}
        first, places = len(number), []
        for model in self.models:
            own = []
            for column in model.columns:
                place = number.get(column.label)
                if place is None or column.element not in self.elements:
                    place, first = first, first + 1
                own.append(place)
            places.append(np.array(own))
        return tuple(places)

    @cached_property
    def _of_sample(self) -> list[Column]:
        """Columns that all models share, those of the elements first."""
        elements = [c for c in self.models[0].columns if c.kind == "element"]
        others: dict[str, Column] = {}
        for model in self.models:
            for column in model.columns:
                if column.kind != "element" and column.element in self.elements:
                    others.setdefault(column.label, column)
        return [*elements, *others.values()]

    @property
    def n_shared(self) -> int:
        """Number of columns, the first ones, that have one weight in all models."""
        return len(self._of_sample)

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """Those of the sample, and then the others of each model."""
        n_columns = 1 + max(int(own.max()) for own in self.places)
        columns: list[Any] = [*self._of_sample, *(None,) * n_columns]
        for i, (model, own) in enumerate(zip(self.models, self.places, strict=True)):
            for column, place in zip(model.columns, own, strict=True):
                if place >= len(self._of_sample):
                    columns[place] = replace(column, label=f"{column.label} ({i})")
        return tuple(columns[:n_columns])

    @property
    def elements(self) -> tuple[str, ...]:
        """Those of all models, in the order of the first."""
        return self.models[0].elements

    @cached_property
    def channels(self) -> np.ndarray:
        """Channels of all models, boolean."""
        return np.concatenate([model.channels for model in self.models])

    @cached_property
    def parts(self) -> tuple[slice, ...]:
        """Channels of each model among those of all."""
        sizes = (model.channels.size for model in self.models)
        return tuple(slice(*ends) for ends in pairwise(accumulate(sizes, initial=0)))

    @cached_property
    def G(self) -> np.ndarray:
        """The matrices, each in the rows of its channels."""
        G = np.zeros((self.channels.size, len(self.columns)))
        for model, gain, own, part in zip(
            self.models, self.gains, self.places, self.parts, strict=True
        ):
            G[part, own] = gain * model.G
        return G

    @property
    def depends_on_composition(self) -> bool:
        """Whether any of the models does."""
        return any(model.depends_on_composition for model in self.models)

    def refined(self, composition: Mapping[str, float]) -> StackedModel:
        """Return the stack of the models of another composition."""
        models = tuple(model.refined(composition) for model in self.models)
        return replace(self, models=models)

    @property
    def weights(self) -> np.ndarray:
        """Those of the first model."""
        return self.models[0].weights

    def unknowns(self, amounts: np.ndarray) -> Unknowns:
        """Return the mean over the models, by the counts that each makes of amounts.

        What is unknown to one of them alone does not move what the others tell.
        """
        made, all_of = [], []
        for model, gain in zip(self.models, self.gains, strict=True):
            order = [self.elements.index(name) for name in model.elements]
            rows = model.element_columns
            made.append(gain * float(model.G[:, rows].sum(axis=0) @ amounts[order]))
            own = model.unknowns(amounts[order])
            back = np.argsort(order)
            all_of.append(
                Unknowns(own.names, own.factors[back], own.responses[:, back])
            )
        shares = np.array(made) / sum(made)
        names = tuple(dict.fromkeys(name for own in all_of for name in own.names))
        responses = np.zeros((len(names), amounts.size))
        for share, own in zip(shares, all_of, strict=True):
            for name, response in zip(own.names, own.responses, strict=True):
                responses[names.index(name)] += share * response
        factors = sum(x * own.factors for x, own in zip(shares, all_of, strict=True))
        return Unknowns(names, np.asarray(factors), responses)

    @property
    def advice(self) -> Mapping[str, str]:
        """That of the first model."""
        return self.models[0].advice

    def to_dict(self) -> dict[str, Any]:
        """Return what `from_dict` reads."""
        models = [{"kind": m.kind, "model": m.to_dict()} for m in self.models]
        return {"models": models, "gains": list(self.gains)}

    @classmethod
    def from_dict(cls, description: Mapping[str, Any]) -> StackedModel:
        """Read what `to_dict` wrote."""
        models = description["models"]
        read = tuple(read_model(one["kind"], one["model"]) for one in models)
        return cls(read, tuple(float(gain) for gain in description["gains"]))


def with_gains(
    models: Sequence[LinearModel],
    spectra: Sequence[np.ndarray],
    channels: Sequence[np.ndarray],
) -> StackedModel:
    """Return the stack of models, with the gains that the summed spectra imply.

    The spectrum of the sample and the gains are found in turn; the first gain is 1.

    Parameters
    ----------
    models
        The models.
    spectra
        Summed counts of each in its channels in use.
    channels
        Channels in use of each, boolean.
    """
    used, counts = np.concatenate(channels), np.concatenate(spectra)
    stack = StackedModel(tuple(models), (1.0,) * len(models))
    for _ in range(MOST_ROUNDS):
        settled: Any = self_consistent_model(stack, counts, used)
        weights, _ = fit_spectrum(settled.G[used], counts)
        of_sample = np.arange(len(weights)) < stack.n_shared
        steps = []
        for i, part in enumerate(stack.parts):
            here = np.zeros(used.size, bool)
            here[part] = channels[i]
            own = settled.places[i]
            others = own[~of_sample[own]]
            sample = settled.G[here] @ np.where(of_sample, weights, 0.0)
            D = np.column_stack([sample, settled.G[np.ix_(here, others)]])
            steps.append(max(float(fit_spectrum(D, spectra[i])[0][0]), LEAST_GAIN))
        moved = np.array(steps) / steps[0]
        stack = replace(stack, gains=tuple((np.array(stack.gains) * moved).tolist()))
        if np.abs(moved - 1).max() < SETTLED:
            break
    return stack
