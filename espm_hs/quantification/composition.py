"""From numbers of atoms to percent with errors: the one delta method of the package.

Everything that can be chosen about a composition is linear in the atoms x of each
element, but for the last step. A `Basis` makes these choices a matrix A, so that
the amounts are a = A x. The last step closes them to 100 %, p = 100 a / sum(a). To
first order an error dx of the atoms makes an error J dx of the percentages, with

    J = dp/dx = 100 (A - a / sum(a) * (1^T A)) / sum(a),

and a covariance C of the atoms makes the covariance J C J^T. `closed` gives p and J,
`propagated` the variances. The same J carries the noise of the counts, the bias, the
uncertainty of the atomic data (`report`) and, with the loadings of a pixel in the place
of the atoms, the noise of maps (`pixels`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from espm_hs.arguments import check_choice
from espm_hs.decomposition.result import PhaseAnalysis
from espm_hs.physics import atomic_weight
from espm_hs.quantification.stoichiometry import oxygen_per_atom

UNITS = ("atomic", "weight")
OXYGEN = ("measured", "stoichiometry")


@dataclass(frozen=True)
class Basis:
    """On what basis amounts are reported: which unit, which elements, which oxygen.

    Parameters
    ----------
    units
        "atomic" or "weight".
    elements
        Symbols of those that count (None: all that were decomposed).
    oxygen
        "measured", "stoichiometry", or valences as in `oxygen_per_atom`.

    Raises
    ------
    ValueError
        If a unit or a word for the oxygen is unknown.
    """

    units: str = "atomic"
    elements: Sequence[str] | None = None
    oxygen: str | Mapping[str, float] = "measured"

    def __post_init__(self) -> None:
        check_choice("units", self.units, UNITS)
        is_word = isinstance(self.oxygen, str) and self.oxygen in OXYGEN
        if not (is_word or isinstance(self.oxygen, Mapping)):
            raise ValueError(
                f"`oxygen` must be one of {OXYGEN} or a mapping of valences such as "
                f"{{'Fe': 3}}, got {self.oxygen!r}."
            )

    def of(self, measured: Sequence[str]) -> tuple[list[str], np.ndarray]:
        """Return what is reported of the elements that were decomposed.

        Parameters
        ----------
        measured
            Their symbols.

        Returns
        -------
        symbols
            Elements that are reported. With oxygen by stoichiometry O is among them,
            whether it was measured or not.
        per_atom
            Amounts (atoms, or atoms times atomic weight) per measured atom, shape
            (n_symbols, n_measured).

        Raises
        ------
        ValueError, TypeError
            If an element cannot be chosen, or a valence is missing.
        """
        measured = list(measured)
        symbols = _chosen(measured, self.elements)
        per_atom = np.eye(len(measured))[[measured.index(e) for e in symbols]]
        if self.oxygen != "measured":
            cations = [symbol for symbol in symbols if symbol != "O"]
            row = np.zeros(len(measured))
            bound = oxygen_per_atom(cations, self.oxygen)
            row[[measured.index(symbol) for symbol in cations]] = bound
            if "O" not in symbols:
                symbols, per_atom = [*symbols, "O"], np.vstack([per_atom, row])
            per_atom[symbols.index("O")] = row
        if self.units == "weight":
            per_atom = per_atom * [[atomic_weight(symbol)] for symbol in symbols]
        return symbols, per_atom


#: Atomic percent of all elements, as they were measured.
ATOMIC = Basis()


def _chosen(measured: list[str], elements: Sequence[str] | None) -> list[str]:
    """Symbols that count; ValueError or TypeError for what cannot be chosen."""
    if elements is None:
        return measured
    if not isinstance(elements, Iterable):
        raise TypeError(
            f"`elements` must be a list of symbols, got {elements!r}; the "
            f"decomposition has {measured}."
        )
    elements = [elements] if isinstance(elements, str) else list(elements)
    unknown = [e for e in elements if not isinstance(e, str) or e not in measured]
    if unknown or not elements:
        raise ValueError(
            f"`elements` is {elements}, but the decomposition has {measured}. Choose "
            "among these, or set others with `s.set_elements(...)` and decompose again."
        )
    if twice := sorted({e for e in elements if elements.count(e) > 1}):
        raise ValueError(
            f"`elements` is {elements}, which names {', '.join(twice)} more than "
            "once. Name each element once: `s.quantify(elements=[...])`."
        )
    return elements


def closed(per_unit: np.ndarray, units: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return percentages of amounts, and their derivative.

    Parameters
    ----------
    per_unit
        Amounts in one unit of each of n_units things that the errors are known of,
        such as atoms or loadings, shape (n_amounts, n_units).
    units
        How many units there are, shape (..., n_units).

    Returns
    -------
    percent
        Shape (..., n_amounts); NaN where there is nothing.
    response
        Derivative by the units, shape (..., n_amounts, n_units).
    """
    amounts = units @ per_unit.T
    total = amounts.sum(axis=-1, keepdims=True)
    total = np.where(total > 0, total, np.nan)
    fractions = amounts / total
    response = per_unit - fractions[..., None] * per_unit.sum(axis=0)
    return 100 * fractions, 100 * response / total[..., None]


def propagated(response: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Return the variances of quantities that respond to others with a covariance.

    Parameters
    ----------
    response
        Shape (..., n_amounts, n_units).
    covariance
        Shape (..., n_units, n_units).

    Returns
    -------
    numpy.ndarray
        Shape (..., n_amounts).
    """
    return np.einsum("...ek,...kl,...el->...e", response, covariance, response)


def to_percent(
    analysis: PhaseAnalysis, basis: Basis = ATOMIC
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Return the composition of the phases.

    Parameters
    ----------
    analysis
        Result of a decomposition.
    basis
        What makes up 100 %.

    Returns
    -------
    elements
        Symbols.
    percent, variance
        In percent and percent squared, shape (n_elements, n_phases). The variance is
        that of the counts and of the bias.
    """
    symbols, per_atom = basis.of(analysis.elements)
    percent, response = closed(per_atom, analysis.composition.T)
    variance = propagated(response, analysis.composition_covariance)
    return symbols, percent.T, variance.T


def atoms_per_loading(analysis: PhaseAnalysis) -> np.ndarray:
    """Atoms of each element in a loading of 1, shape (n_elements, n_phases)."""
    composition = analysis.composition
    total = composition.sum(axis=0)
    fractions = composition / np.where(total > 0, total, 1.0)
    return fractions * analysis.atoms
