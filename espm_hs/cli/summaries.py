"""Tables of what became of many maps, as text for the terminal and as CSV."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from espm_hs.cli.atomic_output import finished_files, results_of
from espm_hs.cli.workers import Outcome, printable

# Spreadsheets take cells that begin with these for formulas, unless they are numbers.
_FORMULA = re.compile(r"[=+\-@\t\r]")
_NUMBER = re.compile(r"-?[\d.]+(e[+-]?\d+)?")


class _Table:
    """Writer of rows in which no text is a formula."""

    def __init__(self, file):
        self.writer = csv.writer(file)

    def writerow(self, row: Sequence) -> None:
        """Write a row."""
        self.writer.writerow([_harmless(str(cell)) for cell in row])


@contextmanager
def csv_table(path: Path) -> Iterator[_Table]:
    """
    Open a table to write rows to.

    Parameters
    ----------
    path : Path
        A CSV file; an older one is replaced.

    Yields
    ------
    object
        Its ``writerow`` takes a sequence. Names from files and metadata that a
        spreadsheet would take for a formula get an apostrophe in front.
    """
    with open(path, "w", newline="", encoding="utf-8") as file:
        yield _Table(file)


def _harmless(cell: str) -> str:
    text = printable(cell)
    is_formula = _FORMULA.match(cell) and not _NUMBER.fullmatch(cell)
    return f"'{text}" if is_formula else text


def summarise(outcomes: Sequence[Outcome], files, folder: str | Path) -> str:
    """
    Write summary.csv, a line for each file, and compositions.csv of all phases.

    Parameters
    ----------
    outcomes : sequence of Outcome
        Of all files, in any order.
    files : sequence of str
        Their order.
    folder : str or Path
        Of the results.

    Returns
    -------
    str
        The same table as text.
    """
    outcomes = sorted(outcomes, key=lambda outcome: files.index(outcome.path))
    tables = {
        outcome.path: results_of(Path(outcome.path), Path(folder))[2]
        for outcome in outcomes
        if outcome.state != "failed"
    }
    with finished_files(Path(folder)) as new:
        with new("summary.csv") as file:
            write_summary(outcomes, file)
        with new("compositions.csv") as file:
            join_compositions(tables, file)
    return summary_table(outcomes)


def join_compositions(tables: Mapping[str, Path], path: Path) -> None:
    """
    Write the tables of several maps as one, with the name of the map in front.

    Parameters
    ----------
    tables : mapping of str to Path
        Map -> its table, as `write_composition` wrote it.
    path : Path
        A CSV file; without any table it has no lines.
    """
    with csv_table(path) as target:
        for number, (name, table) in enumerate(tables.items()):
            with open(table, newline="", encoding="utf-8") as source:
                for line, row in enumerate(csv.reader(source)):
                    # the heads are all the same
                    if line > 0 or number == 0:
                        target.writerow(["file" if line == 0 else name, *row])


def summary_table(outcomes: Sequence[Outcome]) -> str:
    """
    Table of what became of many maps, as text.

    Parameters
    ----------
    outcomes : sequence of Outcome
        In the order of the table.

    Returns
    -------
    str
        A line for each, errors at full length.
    """
    rows = _summary(outcomes)
    facts = [row[:-1] for row in rows]
    widths = [max(map(len, column)) for column in zip(*facts, strict=True)]
    lines = []
    for row, outcome in zip(rows, [None, *outcomes], strict=True):
        cells = [cell.ljust(n) for cell, n in zip(row, widths, strict=False)]
        if outcome is not None and outcome.state == "failed":
            cells = [*cells[:2], row[-1]]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def write_summary(outcomes: Sequence[Outcome], path: Path) -> None:
    """
    Write the table of `summary_table` for other programs.

    Parameters
    ----------
    outcomes : sequence of Outcome
        In the order of the table.
    path : Path
        A CSV file.
    """
    with csv_table(path) as table:
        for row in _summary(outcomes):
            table.writerow(row)


def _summary(outcomes) -> list[list[str]]:
    """Cells of the summary, its head first."""
    names: list[str] = []
    for outcome in outcomes:
        names += [name for name in outcome.facts if name not in names]
    rows = [["file", "state", *names, "error"]]
    for outcome in outcomes:
        facts = [outcome.facts.get(name, "") for name in names]
        error = outcome.text if outcome.state == "failed" else ""
        rows.append([outcome.path, outcome.state, *facts, error])
    return rows
