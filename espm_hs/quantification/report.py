"""The composition of phases as a table with all that is known about its errors."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from espm_hs.decomposition.result import PhaseAnalysis
from espm_hs.quantification.composition import amounts_of, closed
from espm_hs.quantification.systematic_errors import line_errors, look_alikes

# The model is said not to fit when its deviance is larger than expected by this factor.
BAD_FIT = 2.0
# A phase is not well known if half the counts would move a fraction by so much.
POOR = 0.02
# Said below the table.
ERRORS = (
    "Errors are one standard deviation: counts, their noise; bias, what half of them "
    "would change; line data, of yields and cross sections."
)
# An element is not found if its amount is below so many standard errors.
FOUND = 2.0


class Entry(NamedTuple):
    """One line of the report.

    Attributes
    ----------
    phase : int
    element : str
    percent : float
    statistical, bias, systematic : float
        Standard errors in percent: from the noise of the counts, from there being few
        of them in a pixel, from the data of the lines.
    limit : float or None
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
        return ("phase", "element", percent, "counts", "bias", "line data", "total")

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

    def __str__(self) -> str:
        lines, last = [], None
        width = max(5, *(len(name) for name in self.names)) + 2
        for row in (self.header, *self.rows()):
            # the phase is said once
            first = "" if row[0] == last else row[0]
            last = row[0]
            lines.append(
                f"{first:{width}}{row[1]:9}" + "".join(f"{x:>11}" for x in row[2:])
            )
        return "\n".join([*lines, ERRORS, *self.footer()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        def cells(row, tag):
            return "".join(f"<{tag}>{html.escape(x)}</{tag}>" for x in row)

        body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in self.rows())
        notes = "<br>".join(html.escape(line) for line in self.footer())
        head = f"<thead><tr>{cells(self.header, 'th')}</tr></thead>"
        return f"<table>{head}<tbody>{body}</tbody></table><p>{notes}</p>"

    def to_dataframe(self):
        """Return the entries as a table of pandas.

        Returns
        -------
        pandas.DataFrame

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
    units: str = "atomic",
    elements: Sequence[str] | None = None,
    oxygen: str | Mapping[str, float] = "measured",
    errors: Mapping[str, float] | None = None,
) -> Report:
    """Compose the report of a decomposition.

    Parameters
    ----------
    analysis
        Result of a decomposition.
    units, elements, oxygen
        As in `amounts_of`.
    errors
        Relative errors of line data, see `line_errors`.

    Returns
    -------
    Report
    """
    symbols, per_atom = amounts_of(analysis, units, elements, oxygen)
    relative = line_errors(analysis, errors)
    rows = analysis.model.element_columns
    entries = []
    for j in range(analysis.n_phases):
        atoms = analysis.composition[:, j]
        if not atoms.any():  # a component of background or stray elements
            continue
        percent, jacobian = closed(per_atom @ atoms)
        response = jacobian @ per_atom
        counted = analysis.covariance[j][np.ix_(rows, rows)]
        statistical = np.sqrt(np.einsum("ea,ab,eb->e", response, counted, response))
        bias = np.abs(response @ analysis.pull[rows, j])
        measured = np.isnan(analysis.knowledge.fixed[rows, j])
        systematic = np.sqrt(response**2 @ (relative * measured * atoms) ** 2)
        limits = _limits(percent, np.hypot(statistical, bias))
        entries += [
            Entry(j, symbol, *(float(x) for x in numbers), limit)
            for symbol, limit, *numbers in zip(
                symbols, limits, percent, statistical, bias, systematic, strict=True
            )
        ]
    names = tuple(name or str(j) for j, name in enumerate(analysis.knowledge.names))
    remarks = tuple(_remarks(analysis))
    return Report(units, tuple(entries), analysis.misfit, names, remarks)


def _limits(percent, error):
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


def _remarks(analysis):
    """Say what speaks against taking the numbers as they are."""
    if analysis.n_starts > 1:
        yield (
            f"{analysis.n_agreeing} of {analysis.n_starts} starts ended in this "
            "optimum."
        )
    yield from map(str, analysis.doubts)
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
    moves = np.abs(analysis.pull[analysis.model.element_columns])
    poor = [
        label
        for label, most in zip(analysis.labels, moves.max(axis=0), strict=True)
        if most > POOR
    ]
    if poor:
        yield (
            f"Not well known: {', '.join(poor)}. Half the counts would change more "
            "than 2 at.%. Find phases in larger bins, "
            "`s.decomposition(..., binning=...)`, or say what you know of them, "
            "`known_phases`."
        )
