"""Tables of the phases of a map and of what became of many maps: text and CSV.

The table of many maps is made where the command runs, which is to start at once: what
imports HyperSpy or takes long to import is imported in the functions that need it.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from espm_hs.cli.files import results_of
from espm_hs.cli.workers import Outcome
from espm_hs.output import finished_files, write_csv

if TYPE_CHECKING:
    from espm_hs.signals import EDSespmSpectrum

# Programs read the summary by the name that this column had first.
_COLUMNS = {"deviance ratio": "misfit"}


# -- as text and as CSV --------------------------------------------------------------


def text_lines(rows: Sequence[Sequence[str]], n_left: int = 1) -> list[str]:
    """Lines of cells in columns, the first ones flush left, the others flush right.

    Parameters
    ----------
    rows
        Equally many cells in each, the head first.
    n_left
        Number of columns that are flush left.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    signs = "<" * n_left + ">" * (len(widths) - n_left)
    lines = []
    for row in rows:
        cells = zip(row, signs, widths, strict=True)
        line = "  ".join(f"{cell:{sign}{width}}" for cell, sign, width in cells)
        lines.append(line.rstrip())
    return lines


# -- of one map ----------------------------------------------------------------------


def composition_table(signal: EDSespmSpectrum) -> str:
    """Atomic percent of each phase as text.

    Parameters
    ----------
    signal
        Decomposed.

    Returns
    -------
    str
        A line for each element, a column for each phase: percent and one standard
        deviation. Above, the share of the counts that each phase explains.
    """
    from espm_hs.quantification.percent_with_errors import to_percent

    found = signal.analysis_results()
    symbols, percent, variance = to_percent(found)
    loadings = signal._kept_loadings(found)
    counts = np.nansum(loadings, axis=0) * np.nansum(found.spectra, axis=0)
    rows = [
        ["at.%", *found.labels],
        ["counts", *(f"{100 * share:.1f}%" for share in counts / counts.sum())],
    ]
    for symbol, values, errors in zip(symbols, percent, variance**0.5, strict=True):
        cells = zip(values, errors, strict=True)
        shown = ["empty" if p != p else f"{p:.2f} ± {e:.2f}" for p, e in cells]
        rows.append([symbol, *shown])
    return "\n".join(text_lines(rows))


def write_composition(signal: EDSespmSpectrum, path: Path) -> None:
    """Write a table with a line for each phase and element.

    Parameters
    ----------
    signal
        Decomposed.
    path
        A CSV file; what its columns are, `composition_rows` says.
    """
    from espm_hs.quantification.tables import composition_rows

    write_csv(path, composition_rows(signal.analysis_results()))


def fit_facts(signal: EDSespmSpectrum, seconds: float | None = None) -> dict[str, str]:
    """Say what the table of many maps has of one.

    Parameters
    ----------
    signal
        Decomposed.
    seconds
        How long it took.

    Returns
    -------
    dict
        Name -> text.
    """
    from espm_hs.metadata.describe import counts_per_pixel, shape_text

    found = signal.analysis_results()
    return {
        "map": shape_text(signal),
        "counts per pixel": f"{counts_per_pixel(signal):.1f}",
        "phases": str(found.n_phases),
        "deviance ratio": f"{found.misfit:.3g}",
        "starts that agree": f"{found.n_agreeing} of {found.n_starts}",
        "converged": "yes" if found.converged else "no",
        "seconds": "" if seconds is None else f"{seconds:.1f}",
    }


# -- of many maps --------------------------------------------------------------------


def summarise(
    outcomes: Sequence[Outcome], files: Sequence[str], folder: str | Path
) -> str:
    """Write summary.csv, a line for each file, and compositions.csv of all phases.

    Parameters
    ----------
    outcomes
        Of all files, in any order.
    files
        Their order.
    folder
        Of the results.

    Returns
    -------
    str
        The summary as text, errors at full length.
    """
    folder = Path(folder)
    outcomes = sorted(outcomes, key=lambda outcome: files.index(outcome.path))
    tables = {
        outcome.path: results_of(Path(outcome.path), folder)[2]
        for outcome in outcomes
        if outcome.state != "failed"
    }
    names = list(dict.fromkeys(name for one in outcomes for name in one.facts))
    rows = [
        [one.path, one.state, *(one.facts.get(name, "") for name in names)]
        for one in outcomes
    ]
    errors = [one.text if one.state == "failed" else "" for one in outcomes]
    columns = ["file", "state", *(_COLUMNS.get(name, name) for name in names), "error"]
    with finished_files(folder) as new:
        with new("summary.csv") as file:
            whole = ([*row, error] for row, error in zip(rows, errors, strict=True))
            write_csv(file, [columns, *whole])
        with new("compositions.csv") as file:
            write_csv(file, _joined(tables))
    head = ["file", "state", *names]
    lines = zip(text_lines([head, *rows], len(head)), ["", *errors], strict=True)
    return "\n".join(f"{line}  {error}".rstrip() for line, error in lines)


def _joined(tables: Mapping[str, Path]) -> Iterator[list[str]]:
    """Lines of the tables of several maps, with the name of the map in front."""
    for number, (name, table) in enumerate(tables.items()):
        with open(table, newline="", encoding="utf-8") as source:
            for line, row in enumerate(csv.reader(source)):
                # the heads are all the same
                if line > 0 or number == 0:
                    yield ["file" if line == 0 else name, *row]
