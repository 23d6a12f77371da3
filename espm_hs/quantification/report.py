"""The composition of phases as a table with all that is known about its errors."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from espm_hs.arguments import check_mapping
from espm_hs.calibration.automatic import calibration_text, drift_text
from espm_hs.decomposition.cautions import in_short
from espm_hs.decomposition.result import PhaseAnalysis
from espm_hs.physics import BulkModel, SpectrumModel
from espm_hs.physics.bulk import unknowns as bulk_unknowns
from espm_hs.physics.xray.emission import FAMILIES
from espm_hs.physics.xray.uncertainty import LineErrors, multiplets
from espm_hs.physics.xray.unknowns import (
    ABSORPTION,
    ANGLE,
    BULK,
    COATING,
    DETECTOR,
    GENERATION,
    THICKNESS,
    USUAL_ANGLES,
    USUAL_FACTOR,
    USUAL_THICKNESS,
)
from espm_hs.quantification.percent_with_errors import (
    ATOMIC,
    ERROR_PARTS,
    FOUND,
    LARGEST_ERROR,
    PERCENT,
    Basis,
    closed,
    fit_response,
    not_found,
    nothing_found,
    oxygen_text,
    propagated,
)
from espm_hs.shown_table import ShownTable, data_frame, html_table, text_table

if TYPE_CHECKING:
    import pandas


# A column is at zero when it makes this share of the counts of a phase, or less.
SHOWN = 1e-6


def atomic_data_covariance(
    analysis: PhaseAnalysis, errors: Mapping[str, float] | LineErrors | None = None
) -> np.ndarray:
    """Return the covariance of the atoms of each phase that atomic data cause.

    Each multiplet of lines has an error, see `multiplets`. If it is stronger than the
    model has it, the fit makes up for the surplus with what looks like it: the element
    itself, and others whose lines overlap. What is at zero stays there.

    Parameters
    ----------
    analysis
        Result of a decomposition.
    errors
        Family ("K", "L", "M") or element -> relative standard uncertainty of its
        emission that differs from the spread of tables; a standard that was measured
        makes it small.

    Returns
    -------
    numpy.ndarray
        Shape (n_phases, n_elements, n_elements).

    Raises
    ------
    ValueError
        If a name is neither family nor element, or a value is no share.
    TypeError
        If they are no mapping.
    """
    if not isinstance(errors, LineErrors):
        errors = LineErrors(_checked(errors, analysis.elements))
    model, rows, known = analysis.model, analysis.element_columns, analysis.knowledge
    covariance = np.zeros((analysis.n_phases, rows.sum(), rows.sum()))
    if not isinstance(model, SpectrumModel):  # another physics has no such data
        return covariance
    for j in np.flatnonzero(~analysis.empty & analysis.composition.any(axis=0)):
        w, G = analysis.W[:, j], analysis.G[j][analysis.channels]
        atoms = dict(zip(analysis.elements, w[rows], strict=True))
        own = model if known.single_elements else model.refined(atoms)
        parts = multiplets(own, errors)
        shown = w * G.sum(axis=0) > SHOWN * (G @ w).sum()
        free = np.isnan(known.fixed[:, j]) & shown & known.ties[j].any(axis=0)
        tied = known.ties[j][:, free]
        changes = parts.spectra[analysis.channels] * w[parts.column]
        moved = tied[rows] @ fit_response(G @ w, G @ tied, changes)
        moved = moved * analysis.amount_factors[:, j, None]
        covariance[j] = moved @ parts.covariance @ moved.T
    return covariance


def _checked(
    given: Mapping[str, float] | None, elements: Sequence[str]
) -> dict[str, float]:
    """Relative errors of families and elements; ValueError for what is none."""
    given = {} if given is None else given
    what = "families or elements to relative errors, such as {'L': 0.05}"
    check_mapping("line_errors", given, what)
    known = [*FAMILIES, *elements]
    for name, value in given.items():
        if name not in known or not isinstance(value, Real) or not 0 <= value < 1:
            raise ValueError(
                f"`line_errors` has {name!r}: {value!r}; needed are relative errors "
                f"from 0 to 1 by {', '.join(known)}, such as {{'L': 0.05}}."
            )
    return dict(given)


# What is said of what is not stated, and the call that states it.
_NOT_STATED = {
    THICKNESS: (
        f"the thickness, {USUAL_THICKNESS:g} nm within a factor of {USUAL_FACTOR:g}",
        "thickness=, density=",
    ),
    ANGLE: (
        "the take-off angle, {:g} to {:g} degrees".format(*USUAL_ANGLES),
        "take_off_angle=",
    ),
    DETECTOR: ("whether the detector has a window", "detector="),
}
# The same of bulk samples, whose detectors have a window.
_NOT_STATED_OF_BULK = _NOT_STATED | {
    DETECTOR: (
        f"what the detector is, and up to {1e3 * bulk_unknowns.GROWN:g} nm of "
        "carbon in front of it",
        "detector=",
    ),
    ANGLE: (
        "the take-off angle, {:g} to {:g} degrees".format(*bulk_unknowns.USUAL_ANGLES),
        "take_off_angle=",
    ),
    COATING: (
        f"the coating, 0 to {bulk_unknowns.USUAL_COATING:g} nm of carbon",
        "coating=",
    ),
}
# Columns of the report.
_PARTS = ((THICKNESS, ANGLE, COATING, ABSORPTION, GENERATION), (DETECTOR,))


def instrument_errors(analysis: PhaseAnalysis) -> list[np.ndarray]:
    """Return how far unknowns move the atoms of each phase.

    Parameters
    ----------
    analysis
        Result of a decomposition.

    Returns
    -------
    list of numpy.ndarray
        Of absorption and of the detector; shape (n_phases, n_elements, n_unknowns),
        one standard deviation of each unknown, which moves all elements together.
    """
    found = analysis.unknowns
    if found is None or found.factors.shape != analysis.composition.shape:
        return [np.zeros((analysis.n_phases, len(analysis.elements), 0))] * len(_PARTS)
    moved = (found.responses * analysis.composition).transpose(2, 1, 0)
    which = [[name in part for name in found.names] for part in _PARTS]
    return [moved[..., chosen] for chosen in which]


def total_covariance(analysis: PhaseAnalysis) -> np.ndarray:
    """Return the covariance of `PhaseAnalysis.composition` that all errors make.

    Parameters
    ----------
    analysis
        Result of a decomposition.

    Returns
    -------
    numpy.ndarray
        Shape (n_phases, n_elements, n_elements): the `ERROR_PARTS` together.
    """
    found = analysis.composition_covariance + atomic_data_covariance(analysis)
    for moved in instrument_errors(analysis):
        found = found + moved @ moved.transpose(0, 2, 1)
    return found


def unknowns_text(analysis: PhaseAnalysis) -> Iterator[str]:
    """Say what standards tell, and what is not stated and taken as usual."""
    model = analysis.model
    if analysis.unknowns is None or not isinstance(model, SpectrumModel):
        return
    if known := ", ".join(sorted(model.line_factor_errors)):
        yield f"Line factors by standards or tables: {known}."
    open_ = [x for x in dict.fromkeys(analysis.unknowns.names) if x in model.unknown]
    if open_:
        of_bulk = isinstance(model, BulkModel)
        texts = _NOT_STATED_OF_BULK if of_bulk else _NOT_STATED
        what, calls = zip(*(texts[name] for name in open_), strict=True)
        yield (
            f"Not stated, and in the errors: {'; '.join(what)}. State it with "
            f"s.set_analysis_parameters({', '.join(calls)})."
        )


# Said below the table, of films and of bulk samples.
_ERRORS = (
    "Errors are one standard deviation: counting, the noise of the counts; bias, what "
    "half of them would change; atomic-data uncertainty, how tables of lines differ; "
    "absorption, that of {}; detector, that of its efficiency. The range is what the "
    "counts allow besides, where that is wider."
)
ERRORS = _ERRORS.format("thickness and take-off angle")
ERRORS_OF_BULK = _ERRORS.format(
    "the take-off angle, the coating and the physics of a bulk sample"
)


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
    counting, bias, atomic_data
        Standard errors in percent, the `ERROR_PARTS`: from the noise of the counts,
        from there being few of them in a pixel, from the uncertainty of the atomic
        data. Where the model does not fit, the first is larger by the root of the
        deviance ratio.
    limit
        For an element that is not found: what is above it would have been, with 95 %
        confidence (percent, 100 at most); else None.
    low, high
        Range of what the counts allow, errors aside, see `PhaseAnalysis.ranges`.
    absorption, detector
        Standard errors in percent: from the thickness and the take-off angle, and from
        the efficiency of the detector, as far as they are not known.
    """

    phase: int
    element: str
    percent: float
    counting: float
    bias: float
    atomic_data: float
    limit: float | None
    low: float
    high: float
    absorption: float = 0.0
    detector: float = 0.0

    @property
    def errors(self) -> tuple[float, ...]:
        """Those of the `ERROR_PARTS`, percent."""
        found = self.counting, self.bias, self.atomic_data
        return *found, self.absorption, self.detector

    @property
    def error(self) -> float:
        """All errors together, at most 100 %."""
        return min(float(np.linalg.norm(self.errors)), LARGEST_ERROR)

    @classmethod
    def nothing(cls, phase: int, element: str) -> Entry:
        """Return the entry of a phase in which none of the elements was found."""
        none = float("nan")
        amounts = none, none, none, none
        return cls(phase, element, *amounts, None, *amounts)

    @property
    def statistical(self) -> float:
        """First name of `counting`."""
        return self.counting

    @property
    def systematic(self) -> float:
        """First name of `atomic_data`."""
        return self.atomic_data


def _ipython() -> Any:
    """Return the shell of IPython in which this runs; None where it runs elsewhere."""
    # who is in IPython has it imported; others need not wait for it
    module = sys.modules.get("IPython")
    return module.get_ipython() if module else None


@dataclass(frozen=True, eq=False, repr=False)
class Report(ShownTable):
    """Composition of the phases, with errors, limits and what to beware of.

    Parameters
    ----------
    units
        "atomic", "weight" or "oxide".
    entries
        Phase after phase.
    misfit
        Deviance of the summed spectrum over its expectation.
    names
        Of the phases: those that were given, else their numbers.
    remarks
        What to know before trusting the numbers.
    empty
        Numbers of the phases without a composition, whose entries are NaN.
    shown_in
        Number of the cell of IPython that shows the table already; None: there is none.
    errors_text
        What the columns of errors hold.
    """

    units: str
    entries: tuple[Entry, ...]
    misfit: float
    names: tuple[str, ...]
    remarks: tuple[str, ...]
    empty: tuple[int, ...] = ()
    shown_in: int | None = None
    errors_text: str = ERRORS

    n_left = 2

    @property
    def header(self) -> tuple[str, ...]:
        """Names of the columns."""
        return ("phase", "element", PERCENT[self.units], *ERROR_PARTS, "total", "range")

    def rows(self) -> list[tuple[str, ...]]:
        """Return the lines as text; "< limit" for what is not found."""
        blank = ("",) * (len(self.header) - 2)
        found = (entry for entry in self.entries if entry.phase not in self.empty)
        rows = [(entry.phase, self._row(entry)) for entry in found]
        rows += [(j, (self.names[j], "empty", *blank)) for j in self.empty]
        return [row for _, row in sorted(rows, key=itemgetter(0))]

    def _row(self, entry: Entry) -> tuple[str, ...]:
        errors = (f"{x:.2f}" for x in (*entry.errors, entry.error))
        name = self.names[entry.phase]
        return (name, entry.element, _shown(entry), *errors, _range(entry))

    def footer(self) -> list[str]:
        """Return goodness of fit and remarks."""
        fit = f"Deviance of the summed spectrum over its expectation: {self.misfit:.3g}"
        return [fit, *self.remarks]

    def __str__(self) -> str:
        table = text_table(self.header, self.rows(), self.header[: self.n_left])
        return "\n".join([table, self.errors_text, *self.footer()])

    def _repr_html_(self) -> str:
        return html_table(self.header, self.rows(), [self.errors_text, *self.footer()])

    def __repr__(self) -> str:
        """Say what it is in a line: who printed it has seen the table."""
        names = ", ".join(self.names)
        return f"<Report of phases {names} in {PERCENT[self.units]}>"

    def show(self) -> Report:
        """Show the table: as HTML in notebooks, else as text.

        Returns
        -------
        Report
            The same, which the cell of IPython that showed it does not show again.
        """
        shell = _ipython()
        if shell is None:
            print(self)
            return self
        self._ipython_display_()
        return replace(self, shown_in=shell.execution_count)

    def _ipython_display_(self) -> None:
        """Show the table in IPython, unless the present cell has shown it."""
        from IPython.display import display

        shell = _ipython()
        if shell is None or shell.execution_count != self.shown_in:
            both = {"text/plain": str(self), "text/html": self._repr_html_()}
            display(both, raw=True)

    def to_dataframe(self) -> pandas.DataFrame:
        """Return the entries as a table of pandas.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        frame = data_frame(list(self.entries), Entry._fields)
        low, high = frame.pop("low"), frame.pop("high")
        named = {
            name: [getattr(entry, name) for entry in self.entries]
            for name in ("statistical", "systematic", "error")
        }
        frame = frame.assign(**named).rename(columns={"error": "total"})
        return frame.assign(low=low, high=high)


def _shown(entry: Entry) -> str:
    if entry.limit is None:
        return f"{entry.percent:.2f}"
    return f"< {entry.limit:.2f}" if entry.limit >= 0.1 else f"< {entry.limit:.1g}"


def _range(entry: Entry) -> str:
    """Range as text; nothing where the error says more."""
    if not entry.high - entry.low > 2 * entry.error:
        return ""
    digits = 0 if entry.high >= 10 else 1
    return f"{entry.low:.{digits}f}-{entry.high:.{digits}f}"


def report(
    analysis: PhaseAnalysis,
    basis: Basis = ATOMIC,
    errors: Mapping[str, float] | LineErrors | None = None,
    remarks: Sequence[str] = (),
) -> Report:
    """Compose the report of a decomposition.

    Parameters
    ----------
    analysis
        Result of a decomposition.
    basis
        What makes up 100 %.
    errors
        Relative uncertainties of the lines, see `atomic_data_covariance`.
    remarks
        What is said before all others.
    """
    symbols, per_atom = basis.of(analysis.elements)
    atoms, biases = analysis.composition, analysis.composition_bias
    counted = analysis.counting_covariance
    of_data = atomic_data_covariance(analysis, errors)
    instrument = instrument_errors(analysis)
    entries = []
    known, of_bulk = analysis.knowledge, isinstance(analysis.model, BulkModel)
    # where components are elements, nobody looks for any in that of the background
    background = (known.fixed[analysis.element_columns] == 0).all(axis=0)
    background &= known.single_elements
    nothing = not_found(analysis, per_atom) & ~background
    for j in np.flatnonzero(~background).tolist():
        if nothing[j]:
            entries += [Entry.nothing(j, symbol) for symbol in symbols]
            continue
        percent, response = closed(per_atom, atoms[:, j])
        counting = np.sqrt(propagated(response, counted[j]))
        bias = np.abs(response @ biases[:, j])
        atomic_data = np.sqrt(np.maximum(propagated(response, of_data[j]), 0))
        parts = [np.linalg.norm(response @ x[j], axis=1) for x in instrument]
        # what is between 0 and 100 has no larger error
        counting, bias, atomic_data, *parts = (
            np.minimum(x, LARGEST_ERROR) for x in (counting, bias, atomic_data, *parts)
        )
        numbers = [x.tolist() for x in (percent, counting, bias, atomic_data)]
        limits = _limits(percent, np.hypot(counting, bias))
        ranges = _ranges(per_atom, analysis.ranges[:, :, j], percent).tolist()
        of_instrument = [x.tolist() for x in parts]
        rows_of_phase = zip(
            symbols, *numbers, limits, *ranges, *of_instrument, strict=True
        )
        entries += [Entry(j, *row) for row in rows_of_phase]
    return Report(
        basis.units,
        tuple(entries),
        analysis.misfit,
        tuple(name or str(j) for j, name in enumerate(analysis.knowledge.names)),
        (
            *remarks,
            *nothing_found(analysis, basis),
            *_not_found_text(analysis, symbols, nothing),
            *_remarks(analysis),
            *oxygen_text(analysis, _oxygen(entries, basis)),
        ),
        tuple(np.flatnonzero(nothing).tolist()),
        errors_text=ERRORS_OF_BULK if of_bulk else ERRORS,
    )


def _not_found_text(
    analysis: PhaseAnalysis, symbols: Sequence[str], nothing: np.ndarray
) -> Iterator[str]:
    """Say of each phase without a composition what it has instead."""
    said = {one.phase: one.sentence for one in analysis.cautions if one.kind == "empty"}
    names = ", ".join(symbols)
    for j in np.flatnonzero(nothing).tolist():
        label = analysis.labels[j]
        usual = f"{label[0].upper()}{label[1:]}: none of {names} found"
        yield f"{said.get(j, usual)}."


def _oxygen(entries: list[Entry], basis: Basis) -> dict[int, tuple[float, float]]:
    """Return at.% of oxygen with its error by phase, where it was measured."""
    if basis != ATOMIC:
        return {}
    found = (x for x in entries if x.element == "O" and np.isfinite(x.percent))
    return {x.phase: (x.percent, x.error) for x in found}


def _ranges(per_atom: np.ndarray, ranges: np.ndarray, percent: np.ndarray):
    """Return the range of each amount in percent, shape (2, n_amounts).

    Where an element is at an end of its range, the others share the rest as they do in
    the middle of theirs. An amount of several elements takes the ends of all of them.
    """
    one = np.eye(ranges.shape[1])
    others = ranges.mean(axis=0) * (1 - one)
    total = others.sum(axis=1)
    share = (1 - ranges) / np.where(total > 0, total, 1.0)
    ends, _ = closed(per_atom, others * share[..., None] + one * ranges[..., None])
    concerned = (per_atom.T != 0) & np.isfinite(ends)
    low = np.where(concerned, ends, np.inf).min(axis=(0, 1))
    high = np.where(concerned, ends, -np.inf).max(axis=(0, 1))
    return np.stack([np.minimum(low, percent), np.maximum(high, percent)])


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


# Counts have a deviance of about 1; data with less than this one are no counts.
TOO_GOOD = 0.5
# ... if there are so many that it is known.
ENOUGH_COUNTS = 1000.0


def scale_text(analysis: PhaseAnalysis) -> Iterator[str]:
    """Say so where the data are not counts as they were measured."""
    scale, ratio = analysis.scale, analysis.misfit
    if scale == 0:
        yield (
            "The data are no whole numbers, nor multiples of one: they were smoothed, "
            "averaged or corrected, and errors are right for counts alone. Start from "
            "the counts."
        )
    elif scale != 1:
        yield (
            f"All data are multiples of {scale:.6g}: these are counts that were "
            "scaled, and errors are right for counts alone. Take the scale out, "
            f"`s.data = s.data / {scale:.6g}`."
        )
    elif ratio < TOO_GOOD and analysis.fingerprint[1] > ENOUGH_COUNTS:
        yield (
            f"The deviance ratio is {ratio:.2g}, where counts have 1: the data were "
            "scaled, averaged or smoothed, and errors are right for counts alone. "
            "Start from the counts."
        )


def film_text(model: Any) -> Iterator[str]:
    """Say so where the beam energy is that of bulk samples, and no film is stated."""
    if isinstance(model, SpectrumModel) and model.is_bulk:
        yield f"{BULK.format(model.beam_energy)}."


def fit_problems(analysis: PhaseAnalysis) -> Iterator[str]:
    """Say what is wrong with the fit as a whole."""
    yield from film_text(analysis.model)
    yield from scale_text(analysis)
    yield from drift_text(analysis.calibration)
    if analysis.misfit_text:
        yield analysis.misfit_text
    if not analysis.converged:
        yield (
            f"The fit did not converge in {analysis.n_iter} iterations: look at the "
            "maps before you trust the numbers, and raise max_iter or tol."
        )


def _remarks(analysis: PhaseAnalysis) -> Iterator[str]:
    """Say in short what speaks against taking the numbers as they are."""
    yield from calibration_text(analysis.calibration)
    yield from fit_problems(analysis)
    yield from unknowns_text(analysis)
    if analysis.places_text:
        yield analysis.places_text
    yield from analysis.gains
    if analysis.steps:
        yield f"Choices: {' '.join(analysis.steps)}"
    if analysis.edits:
        yield f"Edited by hand: {'; '.join(analysis.edits)}."
    if analysis.cautions:
        yield f"Caution: {in_short(analysis.cautions, analysis.labels)}."
