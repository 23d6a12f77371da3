"""Atoms per formula unit, as mineralogists write compositions.

The amounts x of the elements are scaled so that the cations bind N atoms of oxygen:
n = N x / (v^T x), with half the valences v. An error dx makes N (1 - n v^T / N) dx /
(v^T x), which carries the covariance that all errors together have.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np

from espm_hs.decomposition.result import PhaseAnalysis
from espm_hs.quantification.percent_with_errors import (
    VALENCES,
    not_found,
    oxygen_per_atom,
    propagated,
)
from espm_hs.quantification.report import total_covariance
from espm_hs.shown_table import ShownTable, data_frame

if TYPE_CHECKING:
    import pandas

# Of a formula unit that nobody names, the cations are a whole number within this.
WHOLE = 0.05
# ... for the smallest of these numbers of oxygen atoms.
USUAL_OXYGENS = range(1, 13)
# A phase is an oxide if it has at least this share of what its cations could bind.
_LEAST_OXYGEN = 0.3


@dataclass(frozen=True, eq=False, repr=False)
class FormulaUnits(ShownTable):
    """Atoms of each element per formula unit; printed it is a table.

    Attributes
    ----------
    phases
        Names or numbers of the phases that have a formula unit.
    numbers
        Their numbers.
    elements
        Symbols; O, if it was measured, has the atoms that were measured.
    oxygens
        Atoms of oxygen that the cations of a formula unit bind, shape (n_phases,).
    atoms, errors
        Shape (n_elements, n_phases), with one standard error, all of them together.
    """

    phases: tuple[str, ...]
    numbers: tuple[int, ...]
    elements: tuple[str, ...]
    oxygens: np.ndarray
    atoms: np.ndarray
    errors: np.ndarray

    @property
    def header(self) -> tuple[str, ...]:
        """Names of the columns."""
        return ("phase", "oxygens", *self.elements)

    def rows(self) -> list[tuple[str, ...]]:
        """Return a line of text for each phase."""
        return [
            (
                name,
                f"{n:g}",
                *(f"{x:.3f} ± {e:.3f}" for x, e in zip(atoms, errors, strict=True)),
            )
            for name, n, atoms, errors in zip(
                self.phases, self.oxygens, self.atoms.T, self.errors.T, strict=True
            )
        ]

    def to_dataframe(self) -> pandas.DataFrame:
        """Return a table with a line for each phase and element.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        lines = [
            (name, n, symbol, self.atoms[i, j], self.errors[i, j])
            for j, (name, n) in enumerate(
                zip(self.phases, self.oxygens.tolist(), strict=True)
            )
            for i, symbol in enumerate(self.elements)
        ]
        return data_frame(lines, ["phase", "oxygens", "element", "atoms", "error"])


def formula_units(
    analysis: PhaseAnalysis,
    oxygens: float | Mapping[int, float] | None = None,
    oxygen: str | Mapping[str, float] = "stoichiometry",
) -> FormulaUnits:
    """Return the atoms per formula unit of the phases that are oxides.

    Parameters
    ----------
    analysis
        Result of a decomposition.
    oxygens
        Atoms of oxygen of a formula unit, of all phases or by their numbers; phases
        that are named so are taken for oxides. None: the smallest number for which
        the cations are a whole number, in the phases that have at least 30 % of the
        oxygen that their cations could bind.
    oxygen
        Valences that differ from the usual ones; see `oxygen_per_atom`.

    Returns
    -------
    FormulaUnits

    Raises
    ------
    ValueError, TypeError
        If a number or a valence makes no sense.
    """
    elements = analysis.elements
    cations = np.array([symbol != "O" for symbol in elements])
    of_all = VALENCES | dict(oxygen if isinstance(oxygen, Mapping) else {})
    known = [of_all.get(symbol, 0) > 0 for symbol in elements]
    bound = np.zeros(len(elements))
    binding = cations & known
    bound[binding] = oxygen_per_atom(
        [symbol for symbol, yes in zip(elements, binding, strict=True) if yes], oxygen
    )
    atoms = np.where(np.isfinite(analysis.composition), analysis.composition, 0.0)
    per_unit = bound @ atoms
    chosen = _chosen(analysis, oxygens, per_unit)
    covariance = total_covariance(analysis)
    numbers, found, errors = [], [], []
    for j, wanted in chosen.items():
        unit = atoms[:, j] / per_unit[j]
        n = wanted or _usual(unit[cations].sum())
        response = n * (np.eye(len(elements)) - np.outer(unit, bound)) / per_unit[j]
        numbers.append(float(n))
        found.append(n * unit)
        errors.append(np.sqrt(np.maximum(propagated(response, covariance[j]), 0)))
    names = analysis.knowledge.names
    shape = (len(chosen), len(elements))
    return FormulaUnits(
        tuple(names[j] or str(j) for j in chosen),
        tuple(chosen),
        elements,
        np.array(numbers),
        np.reshape(found, shape).T,
        np.reshape(errors, shape).T,
    )


def _chosen(
    analysis: PhaseAnalysis,
    oxygens: float | Mapping[int, float] | None,
    per_unit: np.ndarray,
) -> dict[int, float | None]:
    """Return number of each phase that is an oxide -> oxygens of its formula unit."""
    there = (per_unit > 0) & ~not_found(analysis, np.eye(len(analysis.elements)))
    phases = np.flatnonzero(there).tolist()
    if isinstance(oxygens, Mapping):
        return {
            j: _positive(number) for j, number in sorted(oxygens.items()) if j in phases
        }
    has_oxygen = set()
    if "O" in analysis.elements:
        measured = analysis.composition[analysis.elements.index("O")]
        has_oxygen = {j for j in phases if measured[j] >= _LEAST_OXYGEN * per_unit[j]}
    if oxygens is None:
        return dict.fromkeys(j for j in phases if j in has_oxygen)
    number = _positive(oxygens)
    # where oxygen was not measured, all of them are meant
    return dict.fromkeys(
        (j for j in phases if j in has_oxygen or "O" not in analysis.elements), number
    )


def _positive(number: float) -> float:
    is_number = isinstance(number, Real) and not isinstance(number, bool | np.bool_)
    if not (is_number and 0 < number <= 1000):
        raise ValueError(
            f"`oxygens` is {number!r}; needed is the number of oxygen atoms of a "
            "formula unit, such as 4 for olivine, of all phases or by phase: "
            "`oxygens={'olivine': 4}`."
        )
    return float(number)


def _usual(cations: float) -> int:
    """Return how many oxygens make a whole number of cations, of so many per oxygen."""
    off = [abs(n * cations - round(n * cations)) for n in USUAL_OXYGENS]
    whole = [
        n
        for n, x in zip(USUAL_OXYGENS, off, strict=True)
        if x < WHOLE and n * cations > 0.5
    ]
    return whole[0] if whole else 1
