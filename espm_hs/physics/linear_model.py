"""What a decomposition needs to know of a physics, and nothing more.

A `LinearModel` says which spectra a sample can give: the sums ``G @ w`` of the columns
of a known, non-negative matrix. Decomposition, errors, feasible ranges and maps use
this protocol alone, so that a second physics (bulk samples, another spectroscopy, a
toy for tests) is one class::

    @register_model("bands")
    class Bands(LinearModel):
        ...

A class that inherits from `LinearModel` has to give `G`, `channels`, `columns`,
`to_dict` and `from_dict`. The other members have defaults for a physics without
parameters and without an effect of the composition on G. A model does not change once
it is made: methods that change something return another one.

`kind`, the name under which the class is registered, is stored with a result, and
`read_model` finds the class by it. The files of earlier versions have no kind; they
hold X-ray models.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar

import numpy as np


@dataclass(frozen=True)
class Column:
    """What a column of a model stands for.

    Attributes
    ----------
    kind
        "element" for columns that are quantified and "background" for those that
        belong to no element. A physics may have others: in X-ray models, "line" is a
        part of an element of the sample with a free intensity, "stray" comes from
        outside the sample.
    element
        Name of the element (or whatever is quantified), None for background.
    family
        Which part of the spectrum of the element: in X-ray models the families of the
        lines, like "K", "L" or "KLM".
    label
        For legends; no two columns have the same: "Fe", "Fe L", "Cu K stray".
    """

    kind: str
    element: str | None
    family: str | None
    label: str


@dataclass(frozen=True)
class Parameter:
    """A number in a model that a spectrum may refine.

    Attributes
    ----------
    value
        What it is in the model, in `unit`.
    unit
        Symbol, "" if there is none.
    low, high
        Bounds.
    spread
        Standard deviation of the prior around `value`. It decides what the spectrum
        leaves open: a few hundred counts do not tell the width of a peak.
    """

    value: float
    unit: str
    low: float
    high: float
    spread: float


class Unknowns(NamedTuple):
    """What a model does not know of itself, and what that makes of amounts.

    Attributes
    ----------
    names
        What is not known.
    factors
        What the amounts of the elements that a fit finds have to be multiplied with, to
        be the mean over what may be; shape (n_elements, ...).
    responses
        Relative changes of the amounts by one standard deviation of each unknown, which
        moves all elements together; shape (n_unknowns, n_elements, ...).
    """

    names: tuple[str, ...]
    factors: np.ndarray
    responses: np.ndarray

    @classmethod
    def none(cls, *shape: int) -> Unknowns:
        """Return that all is known of amounts of a shape."""
        return cls((), np.ones(shape), np.zeros((0, *shape)))


class LinearModel(Protocol):
    """Spectra as non-negative sums of known columns; see the module."""

    #: Name under which the class is registered.
    kind: ClassVar[str] = ""

    @property
    @abstractmethod
    def G(self) -> np.ndarray:
        """The matrix, float64, non-negative, shape (n_channels, n_columns).

        Its unit is free. Quantified columns have the same one: weights in them are in
        proportion to numbers of atoms, whatever the element.
        """

    @property
    @abstractmethod
    def channels(self) -> np.ndarray:
        """Channels in which the model can be fitted, bool, shape (n_channels,)."""

    @property
    @abstractmethod
    def columns(self) -> tuple[Column, ...]:
        """What the columns of G stand for."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Numbers, strings, lists and dicts that describe the model completely."""

    @classmethod
    @abstractmethod
    def from_dict(cls, description: Mapping[str, Any]) -> LinearModel:
        """Return the model that `to_dict` describes; ValueError if it is damaged."""

    @property
    def elements(self) -> tuple[str, ...]:
        """Names of what is quantified, in the order of the columns."""
        return tuple(c.element or "" for c in self.columns if c.kind == "element")

    @property
    def element_columns(self) -> np.ndarray:
        """Columns that are quantified, bool, in the order of `elements`."""
        return np.array([column.kind == "element" for column in self.columns])

    @property
    def depends_on_composition(self) -> bool:
        """Whether G depends on the composition of the sample."""
        return False

    def refined(self, composition: Mapping[str, float]) -> LinearModel:
        """Return the model of a sample of another composition.

        This is called once per phase and round, so it must be cheap: what does not
        depend on the composition is neither checked nor calculated again.

        Parameters
        ----------
        composition
            Amounts of `elements` in proportion to numbers of atoms.
        """
        return self

    @property
    def weights(self) -> np.ndarray:
        """What an atom of each of `elements` adds to the amount of the sample."""
        return np.ones(len(self.elements))

    def G_at(self, composition: Mapping[str, float], amount: float) -> np.ndarray:
        """Return G in a place where the sample differs from its mean.

        Unlike that of `refined`, its columns have the same units everywhere: weights in
        them may be compared from place to place. For the composition of the model and
        an amount of 1 it is `G`.

        Parameters
        ----------
        composition
            As in `refined`.
        amount
            Of the sample, as a multiple of its mean amount.
        """
        return self.refined(composition).G

    def column_factors(self, composition: np.ndarray, amount: np.ndarray) -> np.ndarray:
        """Return what the sums of the columns are multiplied with in many places.

        It says which places are alike, so that parts of G that are the same wherever
        the element is need not be followed.

        Parameters
        ----------
        composition
            Fractions of `elements`, shape (n_places, n_elements).
        amount
            As in `G_at`, shape (n_places,).

        Returns
        -------
        numpy.ndarray
            Above 0, 1 for an amount of 0, shape (n_places, n_columns).
        """
        return np.ones((len(amount), len(self.columns)))

    def unknowns(self, amounts: np.ndarray) -> Unknowns:
        """Return what is not known of the model.

        Parameters
        ----------
        amounts
            Of `elements`, in proportion to numbers of atoms, as a fit of the model
            found them; shape (n_elements,), not all 0.
        """
        return Unknowns.none(amounts.size)

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """Parameters that a spectrum may refine, by name."""
        return {}

    def with_parameters(self, **values: float) -> LinearModel:
        """Return the model with other values of some `parameters`.

        Parameters
        ----------
        **values
            In the units of `parameters`; what is not named stays as it is.
        """
        if values:
            raise ValueError(f"This model has no parameters {sorted(values)}.")
        return self

    @property
    def differs_locally(self) -> bool:
        """Whether it is known well enough how G follows what is in a pixel."""
        return False

    @property
    def advice(self) -> Mapping[str, str]:
        """What the user can do, in the words of this physics, by occasion.

        "unsettled" follows the warning that the composition and the model that
        depends on it do not settle, "local" the error that nothing differs from place
        to place in a model that does not depend on the composition. "places" says that
        places have matrices of their own.
        """
        return {}


_MODELS: dict[str, type[LinearModel]] = {}

# files of earlier versions do not say what they hold
_WITHOUT_KIND = "xray"

_Model = TypeVar("_Model", bound=type[LinearModel])


def register_model(kind: str) -> Callable[[_Model], _Model]:
    """Let stored models of a class be read again (class decorator).

    Parameters
    ----------
    kind
        Name that is stored with the model, and becomes the attribute `kind` of the
        class.

    Raises
    ------
    ValueError
        If another class has that name.
    """

    def register(model: _Model) -> _Model:
        known = _MODELS.setdefault(kind, model)
        # the same class may be defined again, as notebooks do
        if known.__qualname__ != model.__qualname__:
            raise ValueError(f"The kind {kind!r} of model is {known.__name__} already.")
        model.kind, _MODELS[kind] = kind, model
        return model

    return register


def read_model(kind: str | None, stored: Mapping[str, Any]) -> LinearModel:
    """Return the model that `LinearModel.to_dict` described.

    Parameters
    ----------
    kind
        Name under which its class is registered; None in files of earlier versions.
    stored
        The description.

    Raises
    ------
    ValueError
        If no such class is registered, or the description cannot be used.
    """
    name = kind or _WITHOUT_KIND
    if name not in _MODELS:
        raise ValueError(
            f"The stored model is of the kind {name!r}, but only {sorted(_MODELS)} are "
            "known. Import the module that registers it."
        )
    return _MODELS[name].from_dict(stored)
