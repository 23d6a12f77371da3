"""Compositions of phases as tables for other programs: all units side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from espm_hs.decomposition.result import PhaseAnalysis
from espm_hs.quantification.formula_units import formula_units
from espm_hs.quantification.percent_with_errors import PERCENT, VALENCES, Basis, oxide
from espm_hs.quantification.report import Entry, report

# As in an entry of the report, under the names that programs read.
ERRORS = ("counts", "bias", "line data", "absorption", "detector")
_UNITS = ("atomic", "weight")
_OF_OXIDES = (
    *("oxide", "oxide percent", "error of oxide percent"),
    *("oxygens of the formula unit", "atoms per formula unit"),
    "error of atoms per formula unit",
)
Oxygen = str | Mapping[str, float]


def composition_rows(
    analysis: PhaseAnalysis,
    oxygens: float | Mapping[int, float] | None = None,
    oxygen: Oxygen = "measured",
) -> list[list[str]]:
    """Return the table of the compositions, a line for each phase and element.

    Parameters
    ----------
    analysis
        Result of a decomposition.
    oxygens
        Of a formula unit, see `formula_units`.
    oxygen
        Valences that differ from the usual ones, for oxides and formula units.

    Returns
    -------
    list of list of str
        The head first: atomic and weight percent with their errors, for elements that
        are not found the limits of detection, the ranges; and in phases that are
        oxides the percent of the mass of each oxide and the atoms per formula unit,
        with one standard error, all of them together.
    """
    names = ["{}", *(f"error of {{}}: {x}" for x in ERRORS), "detection limit of {}"]
    head = [name.format(f"{unit} percent") for unit in _UNITS for name in names]
    range_ = [
        f"{end} {unit} percent" for unit in _UNITS for end in ("lowest", "highest")
    ]
    rows = [["phase", "element", *head, *range_, *_OF_OXIDES]]
    of_oxides = _oxide_cells(analysis, oxygens, oxygen)
    pairs = zip(
        *(report(analysis, Basis(unit)).entries for unit in _UNITS), strict=True
    )
    for atomic, weight in pairs:
        found = [(one.percent, *one.errors, one.limit) for one in (atomic, weight)]
        ends = [(one.low, one.high) for one in (atomic, weight)]
        numbers = [x for part in (*found, *ends) for x in part]
        cells = ["" if x is None else f"{x:.4f}" for x in numbers]
        key = atomic.phase, atomic.element
        last = of_oxides.get(key, [""] * len(_OF_OXIDES))
        rows.append([str(atomic.phase), atomic.element, *cells, *last])
    return rows


def _oxide_cells(
    analysis: PhaseAnalysis, oxygens: float | Mapping[int, float] | None, oxygen: Oxygen
) -> dict[tuple[int, str], list[str]]:
    """Return phase and element -> what the table says of its oxide."""
    units = formula_units(analysis, oxygens, oxygen)
    percent = oxide_entries(analysis, oxygen) if units.numbers else {}
    cells = {}
    for place, j in enumerate(units.numbers):
        for i, symbol in enumerate(units.elements):
            of_oxide = ["", "", ""]
            if one := percent.get((j, symbol)):
                of_oxide = [one.element, f"{one.percent:.4f}", f"{one.error:.4f}"]
            atoms = f"{units.atoms[i, place]:.4f}", f"{units.errors[i, place]:.4f}"
            cells[j, symbol] = [*of_oxide, f"{units.oxygens[place]:g}", *atoms]
    return cells


def oxide_entries(
    analysis: PhaseAnalysis, oxygen: Oxygen = "measured"
) -> dict[tuple[int, str], Entry]:
    """Return phase and element -> mass percent of its oxide, where it has one.

    Parameters
    ----------
    analysis
        Result of a decomposition.
    oxygen
        Valences that differ from the usual ones.
    """
    own = VALENCES | dict(oxygen if isinstance(oxygen, Mapping) else {})
    cations = [x for x in analysis.elements if x != "O" and own.get(x, 0) > 0]
    if not cations:
        return {}
    of = {oxide(symbol, oxygen).formula: symbol for symbol in cations}
    entries = report(analysis, Basis("oxide", cations, oxygen)).entries
    return {(one.phase, of.get(one.element, one.element)): one for one in entries}


def latex_tables(
    analysis: PhaseAnalysis,
    oxygens: float | Mapping[int, float] | None = None,
    oxygen: Oxygen = "measured",
) -> str:
    """Return the compositions as tables of LaTeX, a line for each phase.

    Parameters
    ----------
    analysis, oxygens, oxygen
        As in `composition_rows`.

    Returns
    -------
    str
        A ``tabular`` of atomic percent and one of weight percent; if there are oxides,
        one of their mass percent and one of the atoms per formula unit. Their rules are
        those of the package booktabs.
    """
    parts = ["% Needs \\usepackage{booktabs}; errors are one standard deviation."]
    for units in _UNITS:
        entries = report(analysis, Basis(units)).entries
        found = {(one.phase, one.element): one for one in entries}
        columns = {symbol: symbol for _, symbol in found}
        phases = sorted({phase for phase, _ in found})
        parts.append(_latex_percent(analysis, units, phases, found, columns))
    formula = formula_units(analysis, oxygens, oxygen)
    if formula.numbers:
        found = oxide_entries(analysis, oxygen)
        columns = {symbol: one.element for (_, symbol), one in found.items()}
        phases = list(formula.numbers)
        parts.append(_latex_percent(analysis, "oxide", phases, found, columns))
        head, *rows = [formula.header, *formula.rows()]
        cells = [[latex_text(x).replace("±", "$\\pm$") for x in row] for row in rows]
        parts += ["% atoms per formula unit", latex_tabular(head, cells)]
    return "\n".join(parts)


def _latex_percent(
    analysis: PhaseAnalysis,
    units: str,
    phases: Sequence[int],
    found: Mapping[tuple[int, str], Entry],
    columns: Mapping[str, str],
) -> str:
    """Return a table of percent, of which the columns are elements and their heads."""
    head = ["phase", *(_subscripts(name) for name in columns.values())]
    rows = [
        [
            latex_text(analysis.labels[j]),
            *(_latex_cell(found.get((j, symbol))) for symbol in columns),
        ]
        for j in phases
    ]
    return f"% {PERCENT[units]}\n{latex_tabular(head, rows)}"


def latex_tabular(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return lines of cells, which are LaTeX already, as a ``tabular``."""
    lines = [f"{' & '.join(row)} \\\\" for row in rows]
    return "\n".join(
        [
            f"\\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}",
            "\\toprule",
            f"{' & '.join(head)} \\\\",
            "\\midrule",
            *lines,
            "\\bottomrule",
            "\\end{tabular}",
            "",
        ]
    )


def _latex_cell(entry: Entry | None) -> str:
    if entry is None or np.isnan(entry.percent):
        return "--"
    if entry.limit is not None:
        return f"$<{entry.limit:.2g}$"
    return f"${entry.percent:.2f} \\pm {entry.error:.2f}$"


def _subscripts(formula: str) -> str:
    """Return a formula with its numbers as subscripts."""
    return "".join(f"$_{{{x}}}$" if x.isdigit() else x for x in formula)


def latex_text(text: str) -> str:
    """Return text in which no character commands LaTeX."""
    names = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\^{}"}
    marks = dict.fromkeys("#$%&_{}")
    return "".join(
        names.get(x) or (f"\\{x}" if x in marks else x if x.isprintable() else " ")
        for x in text
    )
