"""The composition of phases as a table with all that is known about its errors."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from prettytable import PrettyTable

from espm_hs.decomposition.result import PhaseAnalysis
from espm_hs.quantification.composition import ATOMIC, Basis, closed, propagated
from espm_hs.quantification.systematic_errors import line_errors, look_alikes

if TYPE_CHECKING:
    import pandas

# The model is said not to fit when its deviance is larger than expected by this factor.
BAD_FIT = 2.0
# A phase is not well known if half the counts would move a fraction by so much.
POOR = 0.02
# Said below the table.
ERRORS = (
    "Errors are one standard deviation: counts, their noise; bias, what half of them "
    "would change; atomic data, the uncertainty of yields and cross sections."
)
# An element is not found if its amount is below so many standard errors.
FOUND = 2.0


class Entry(NamedTuple):
    """One line of the report.

    Attributes
    ----------
    phase
        Number of the phase.
    element
        Symbol.
    percent
        Of the atoms or of the mass.
    statistical, bias, systematic
        Standard errors in percent: from the noise of the counts, from there being few
        of them in a pixel, from the uncertainty of the atomic data.
    limit
        For an element that is not found: what is above it would have been, with 95 %
        confidence (percent, 100 at most); else None.
    """

    phase: int
    element: str
    percent: float
    statistical: float
    bias: float
    systematic: float
    limit: float | None

    @property
    def error(self) -> float:
        """All three errors together."""
        return float(np.linalg.norm((self.statistical, self.bias, self.systematic)))


@dataclass(frozen=True, eq=False)
class Report:
    """Composition of the phases, with errors, limits and what to beware of.

    Parameters
    ----------
    units
        "atomic" or "weight".
    entries
        Phase after phase.
    misfit
        Deviance of the summed spectrum over its expectation.
    names
        Of the phases: those that were given, else their numbers.
    remarks
        What to know before trusting the numbers.
    """

    units: str
    entries: tuple[Entry, ...]
    misfit: float
    names: tuple[str, ...]
    remarks: tuple[str, ...]

    @property
    def header(self) -> tuple[str, ...]:
        """Names of the columns."""
        percent = {"atomic": "at.%", "weight": "wt.%"}[self.units]
        return ("phase", "element", percent, "counts", "bias", "atomic data", "total")

    def rows(self) -> list[tuple[str, ...]]:
        """Return the lines as text; "< limit" for what is not found."""
        return [
            (
                self.names[entry.phase],
                entry.element,
                _shown(entry),
                *(f"{x:.2f}" for x in (*entry[3:6], entry.error)),
            )
            for entry in self.entries
        ]

    def footer(self) -> list[str]:
        """Return goodness of fit and remarks."""
        fit = f"Deviance of the summed spectrum over its expectation: {self.misfit:.3g}"
        return [fit, *self.remarks]

    def _table(self, rows: list[tuple[str, ...]]) -> PrettyTable:
        table = PrettyTable(self.header, border=False)
        table.align = "r"
        table.align["phase"] = table.align["element"] = "l"
        table.add_rows([list(row) for row in rows])
        return table

    def __str__(self) -> str:
        rows = self.rows()
        before = ["", *(row[0] for row in rows)]
        # each phase is named once
        once = [
            ("" if row[0] == last else row[0], *row[1:])
            for row, last in zip(rows, before[:-1], strict=True)
        ]
        return "\n".join([self._table(once).get_string(), ERRORS, *self.footer()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        notes = "<br>".join(html.escape(line) for line in self.footer())
        return f"{self._table(self.rows()).get_html_string()}<p>{notes}</p>"

    def to_dataframe(self) -> pandas.DataFrame:
        """Return the entries as a table of pandas.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise ImportError(
                "A data frame needs pandas: install it, `pip install pandas`, or take "
                "the `entries` of the report."
            ) from None
        frame = pandas.DataFrame(list(self.entries))
        return frame.assign(total=[entry.error for entry in self.entries])


def _shown(entry: Entry) -> str:
    if entry.limit is None:
        return f"{entry.percent:.2f}"
    return f"< {entry.limit:.2f}" if entry.limit >= 0.1 else f"< {entry.limit:.1g}"


def report(
    analysis: PhaseAnalysis,
    basis: Basis = ATOMIC,
    errors: Mapping[str, float] | None = None,
) -> Report:
    """Compose the report of a decomposition.

    Parameters
    ----------
    analysis
        Result of a decomposition.
    basis
        What makes up 100 %.
    errors
        Relative uncertainties of the atomic data, see `line_errors`.
    """
    symbols, per_atom = basis.of(analysis.elements)
    relative = line_errors(analysis, errors)
    rows = analysis.element_columns
    atoms, biases = analysis.composition, analysis.bias[rows]
    counted = analysis.covariance[:, rows][:, :, rows]
    atomic_data = relative[:, None] * np.isnan(analysis.knowledge.fixed[rows]) * atoms
    entries = []
    for j in range(analysis.n_phases):
        if not atoms[:, j].any():  # a component of background or spurious elements
            continue
        percent, response = closed(per_atom, atoms[:, j])
        statistical = np.sqrt(propagated(response, counted[j]))
        bias = np.abs(response @ biases[:, j])
        systematic = np.sqrt(response**2 @ atomic_data[:, j] ** 2)
        numbers = [x.tolist() for x in (percent, statistical, bias, systematic)]
        limits = _limits(percent, np.hypot(statistical, bias))
        rows_of_phase = zip(symbols, *numbers, limits, strict=True)
        entries += [Entry(j, *row) for row in rows_of_phase]
    names = tuple(name or str(j) for j, name in enumerate(analysis.knowledge.names))
    remarks = tuple(_remarks(analysis))
    return Report(basis.units, tuple(entries), analysis.misfit, names, remarks)


def _limits(percent: np.ndarray, error: np.ndarray) -> list[float | None]:
    """Limits of detection of elements that are not found, None for the others.

    One-sided, 95 %: an amount at its bound has an exponential law, of which 5 % lie
    beyond 3 standard deviations; other amounts have a normal one.
    """
    limits = np.where(percent > 0, percent + 1.645 * error, 3.0 * error)
    missing = percent < FOUND * error
    missing |= percent == 0
    missing &= error > 0  # what was known beforehand is no finding
    limits = np.minimum(limits, 100.0)
    return [float(x) if no else None for x, no in zip(limits, missing, strict=True)]


def _remarks(analysis: PhaseAnalysis) -> Iterator[str]:
    """Say what speaks against taking the numbers as they are."""
    if analysis.n_starts > 1:
        yield (
            f"{analysis.n_agreeing} of {analysis.n_starts} starts ended in this "
            "optimum."
        )
    yield from map(str, analysis.ambiguities)
    if analysis.misfit > BAD_FIT:
        yield (
            "The model does not fit: errors are larger than stated. Look at "
            "s.plot_residuals(), ask s.suggest_elements(), run s.refine_calibration()."
        )
    if not analysis.converged:
        yield (
            f"The fit did not converge in {analysis.n_iter} iterations: look at the "
            "maps before you trust the numbers, and raise max_iter or tol."
        )
    if groups := look_alikes(analysis):
        yield f"Hardly to be told apart: {'; '.join(groups)}."
    bias = np.abs(analysis.bias[analysis.element_columns])
    if poor := [
        label
        for label, largest in zip(analysis.labels, bias.max(axis=0), strict=True)
        if largest > POOR
    ]:
        yield (
            f"Not well known: {', '.join(poor)}. Half the counts would change more "
            "than 2 at.%. Find phases in larger bins, "
            "`s.decomposition(..., binning=...)`, or say what you know of them, "
            "`known_phases`."
        )
