"""Names for phases and regions: what compounds their compositions are.

`espm_hs.compounds.identification` compares a composition with a table. Here is which
composition that is, with all its errors, and which elements can be compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from espm_hs.arguments import check_choice, check_number
from espm_hs.compounds.identification import NONE, Match, candidates, identify
from espm_hs.compounds.stoichiometry import Suggestion, suggest_formulas
from espm_hs.compounds.tables import (
    find_compound,
    prior_weights,
    read_compounds,
)
from espm_hs.decomposition.result import PhaseAnalysis
from espm_hs.physics import LinearModel, SpectrumModel
from espm_hs.quantification.percent_with_errors import FOUND, VALENCES, Basis, closed
from espm_hs.quantification.regions import Regions, Totals, of_phases, of_regions
from espm_hs.quantification.report import total_covariance
from espm_hs.shown_table import ShownTable, data_frame

if TYPE_CHECKING:
    import pandas

#: What ``known_phases`` has in the place of a composition that is in the table.
FROM_DATABASE = "from database"
OXYGEN = ("auto", "measured", "ignore")
# With an error above this, at.%, oxygen is badly known.
_BADLY_KNOWN = 10.0
# Names that are shown: so many, and no less probable.
_MOST_SHOWN, _LEAST_SHOWN = 5, 0.01
# A phase gets a name that is more probable than all others together.
NAMED = 0.5
# Ratios of atoms that agree within this are constant in a solid solution.
_SAME_RATIO = 1e-6


@dataclass(frozen=True)
class Choice:
    """How compositions are to be named; see `EDSespmSpectrum.identify_phases`."""

    database: Any = "all"
    elements: Sequence[str] | None = None
    oxygen: str = "auto"
    prior: Any = None
    none: float = NONE
    mixtures: bool = True

    def __post_init__(self) -> None:
        check_choice("oxygen", self.oxygen, OXYGEN)
        check_number("none", self.none, 0, 0.99, above=True)


@dataclass(frozen=True, eq=False, repr=False)
class PhaseNames(ShownTable):
    """Names of phases or regions, with probabilities.

    Parameters
    ----------
    labels
        What the phases or regions were called before.
    matches
        Names of each, the most probable first; none where there is no composition.
    formulas
        The simplest formulas within the errors of each.
    remarks
        What was left out of the comparison, and why.
    """

    labels: tuple[str, ...]
    matches: tuple[tuple[Match, ...], ...]
    formulas: tuple[tuple[Suggestion, ...], ...]
    remarks: tuple[str, ...]

    header = ("phase", "name", "probability", "formula", "or, of the same composition")
    n_left = len(header)

    @property
    def names(self) -> dict[str, str]:
        """Label -> most probable name, with its position in a solid solution."""
        best = {
            label: str(some[0])
            for label, some in zip(self.labels, self.matches, strict=True)
            if some
        }
        return dict.fromkeys(self.labels, "") | best

    @property
    def likely(self) -> dict[int, Match]:
        """Names that are more probable than all others together, by phase.

        Those of which one element alone is compared are none.
        """
        best = ((j, some[0]) for j, some in enumerate(self.matches) if some)
        return {
            j: match
            for j, match in best
            if match.probability > NAMED and match.names and not match.alone
        }

    def for_unnamed(self, names: Sequence[str]) -> list[str]:
        """Return the names of all phases; those without one get that which is likely.

        Parameters
        ----------
        names
            Of the phases, "" for those without one.
        """
        found = list(names)
        for j, match in self.likely.items():
            if not found[j]:
                # the position tells members of a series apart, the number the rest
                tries = (match.name, str(match), f"{match} ({j})")
                taken = {name.casefold() for name in found}
                found[j] = next(x for x in tries if x.casefold() not in taken)
        return found

    def rows(self) -> list[tuple[str, ...]]:
        """Return the lines as text: the probable names, and at least one of each."""
        rows: list[tuple[str, ...]] = []
        for label, some in zip(self.labels, self.matches, strict=True):
            likely = [one for one in some if one.probability >= _LEAST_SHOWN]
            for one in (likely or list(some))[:_MOST_SHOWN]:
                formula = " + ".join(one.formulas[: 1 + (one.kind == "mixture")])
                share = f"{100 * one.probability:.0f} %"
                rows.append((label, str(one), share, formula, one.others))
            if not some:
                rows.append((label, "empty", "", "", ""))
        return rows

    def footer(self) -> list[str]:
        """Return formulas without a table, and what was left out."""
        simple = [
            f"{label} {', '.join(map(str, some))}"
            for label, some in zip(self.labels, self.formulas, strict=True)
            if some
        ]
        text = f"Simplest formulas within the errors: {'; '.join(simple)}."
        return [*([text] if simple else []), *self.remarks]

    def to_dataframe(self) -> pandas.DataFrame:
        """Return all names as a table of pandas.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        columns = (
            *("phase", "name", "position", "kind", "probability", "p_value"),
            *("formula", "names"),
        )
        rows = [
            (
                *(label, one.name, one.where, one.kind, one.probability, one.p_value),
                *(" + ".join(one.formulas[:2]), ", ".join(one.names)),
            )
            for label, some in zip(self.labels, self.matches, strict=True)
            for one in some
        ]
        return data_frame(rows, columns)


# -- what is compared ----------------------------------------------------------------


def unseen_elements(model: LinearModel) -> frozenset[str]:
    """Elements without a line that the model could show, such as H, Li and Be."""
    return model.unseen if isinstance(model, SpectrumModel) else frozenset()


# -- names ---------------------------------------------------------------------------


def name_phases(
    analysis: PhaseAnalysis,
    choice: Choice,
    regions: tuple[Sequence[str], np.ndarray] | None = None,
    loadings: np.ndarray | None = None,
) -> PhaseNames:
    """Return names for phases or regions.

    Parameters
    ----------
    analysis
        Result of a decomposition.
    choice
        What they may be.
    regions
        Names, and which pixels belong to each, boolean, shape (n_pixels, n_regions).
        None: the phases are named.
    loadings
        Of the pixels of the regions, shape (n_pixels, n_phases), NaN where there are
        none.

    Raises
    ------
    ValueError, TypeError, OSError
        If the database, the prior or the elements make no sense.
    """
    compounds = read_compounds(choice.database)
    weights = prior_weights(compounds, choice.prior)
    basis = Basis(elements=choice.elements)
    elements, _ = basis.of(analysis.elements)
    labels = analysis.labels if regions is None else list(regions[0])
    # a phase that may be another mixture may have another name, too
    known = total_covariance(analysis) + analysis.range_covariance
    if regions is None or loadings is None:
        found = of_phases(analysis, basis, known)
    else:
        totals = Totals.of(analysis, loadings, Regions.of(regions[1]))
        found = of_regions(analysis, basis, totals, known)
    unseen = unseen_elements(analysis.model)
    # what was decomposed and is not compared may be there, too
    hidden = unseen | (set(analysis.elements) - set(elements))
    matches: list[tuple[Match, ...]] = []
    formulas: list[tuple[Suggestion, ...]] = []
    without: list[str] = []
    among: dict[tuple[str, ...], list] = {}
    for label, percent, covariance in zip(labels, *found, strict=True):
        if not np.isfinite(percent).all():
            matches.append(())
            formulas.append(())
            continue
        compared, percent, covariance, left_out = _without_oxygen(
            choice.oxygen, elements, percent, covariance
        )
        without += [label] * left_out
        if compared not in among:
            left = hidden | ({"O"} if left_out else set())
            among[compared] = candidates(compounds, compared, left, weights)
        matches.append(
            tuple(
                identify(
                    percent,
                    covariance,
                    among[compared],
                    none=choice.none,
                    mixtures=choice.mixtures,
                )
            )
        )
        formulas.append(
            tuple(suggest_formulas(percent, covariance, compared, VALENCES))
        )
    remarks = tuple(_remarks(analysis.elements, unseen, without))
    return PhaseNames(tuple(labels), tuple(matches), tuple(formulas), remarks)


def _without_oxygen(
    oxygen: str, elements: list[str], percent: np.ndarray, covariance: np.ndarray
) -> tuple[tuple[str, ...], np.ndarray, np.ndarray, bool]:
    """Leave oxygen out if that is wanted, or it is badly known and others are not."""
    if "O" not in elements or oxygen == "measured" or len(elements) == 1:
        return tuple(elements), percent, covariance, False
    errors = np.sqrt(np.diag(covariance))
    row = elements.index("O")
    rest = np.delete(np.arange(len(elements)), row)
    others = (percent[rest] > FOUND * errors[rest]).sum()
    badly = errors[row] > _BADLY_KNOWN and others > 1
    if not (oxygen == "ignore" or badly) or not percent[rest].any():
        return tuple(elements), percent, covariance, False
    kept = np.eye(len(elements))[rest]
    shares, response = closed(kept, percent)
    spread = response @ covariance @ response.T
    return tuple(elements[i] for i in rest), shares, spread, True


def _remarks(
    elements: Sequence[str], unseen: frozenset[str], without: Sequence[str]
) -> Iterator[str]:
    """Say what was left out of the comparison."""
    usual = ("H", "Li", "Be", "B", "C", "N", "O", "F")
    shown = [one for one in usual if one in unseen and one not in elements]
    if shown:
        yield (
            f"Not compared, as they cannot be measured: {', '.join(shown)}. Compounds "
            "that differ in these look the same."
        )
    if without:
        yield (
            f"Oxygen is badly known or left out, and not compared: "
            f"{', '.join(dict.fromkeys(without))}."
        )
    yield (
        f"Compounds of other elements than {', '.join(elements)} are left out: add "
        "what may be there, s.add_elements([...]), and decompose again."
    )


# -- and back again ------------------------------------------------------------------


def known_from_database(name: Any, model: LinearModel) -> dict:
    """Return what a table says of a phase, in the words of ``known_phases``.

    Parameters
    ----------
    name
        Of a compound or solid solution.
    model
        Says which elements are decomposed, and which cannot be.

    Returns
    -------
    dict
        The composition of a compound; of a solid solution what is the same in all of
        it: elements that are absent, and ratios.

    Raises
    ------
    ValueError
        If there is no such name, or the compound has an element that could be
        decomposed and is not.
    TypeError
        If the name is a number.
    """
    where = f"`known_phases[{name!r}]`"
    if not isinstance(name, str):
        raise TypeError(
            f"{where} is {FROM_DATABASE!r}; needed is a name of the database, such as "
            f"{{'anorthite': {FROM_DATABASE!r}}}."
        )
    try:
        compound = find_compound(name)
    except ValueError as error:
        listed = "`espm_hs.compounds.read_compounds()` lists those that there are."
        raise ValueError(f"{where}: {error} {listed}") from None
    unseen = unseen_elements(model)
    elements = list(model.elements)
    if lacking := sorted(compound.elements - unseen - set(elements)):
        raise ValueError(
            f"{where}: {compound.formula} has {', '.join(lacking)}, not among the "
            f"elements {elements}. Add it with `s.add_elements({lacking})`."
        )
    amounts = np.array(
        [
            [atoms.get(symbol, 0.0) for symbol in elements]
            for _, atoms in compound.members
        ]
    )
    if not amounts.any(axis=1).all():
        raise ValueError(f"{where}: nothing of {compound.formula} can be decomposed.")
    if len(amounts) == 1:
        shares = (amounts[0] / amounts.sum()).tolist()
        return {"composition": dict(zip(elements, shares, strict=True))}
    return _of_solid_solution(amounts, elements)


def _of_solid_solution(amounts: np.ndarray, elements: Sequence[str]) -> dict:
    """Return what all members of a solid solution have in common."""
    known: dict[str, Any] = {}
    there = amounts.any(axis=0)
    if not np.all(there):
        known["absent"] = [elements[i] for i in np.flatnonzero(~there).tolist()]
    fixed: list[int] = []
    ratios: dict[str, float] = {}
    for i in np.flatnonzero((amounts > 0).all(axis=0)).tolist():
        for j in fixed:
            ratio = amounts[:, i] / amounts[:, j]
            if np.ptp(ratio) <= _SAME_RATIO * ratio[0]:
                ratios[f"{elements[i]}/{elements[j]}"] = float(ratio[0])
                break
        else:
            fixed.append(i)
    if ratios:
        known["ratio"] = ratios
    return known
