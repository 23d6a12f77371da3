"""Tables of the benchmarks: as text, as Markdown, and in a page of the docs."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import hyperspy.api as hs

Row = Sequence[str]


def quiet() -> None:
    """Let a benchmark print its tables and nothing else."""
    warnings.simplefilter("ignore")
    hs.set_log_level("ERROR")
    hs.preferences.General.show_progressbar = False


def publish(
    header: Row, rows: Sequence[Row], page: Path | None, name: str, title: str = ""
) -> None:
    """Print a table, and put it in its place in a page if there is one."""
    print(f"\n{title}\n{as_text(header, rows)}", flush=True)
    if page:
        head = f"**{title}**\n\n" if title else ""
        write_between(page, name, head + as_markdown(header, rows))


def as_text(header: Row, rows: Sequence[Row]) -> str:
    """Align columns, the first to the left and the others to the right."""
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    lines = []
    for first, *others in (header, *rows):
        cells = [
            cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)
        ]
        lines.append("  ".join([first.ljust(widths[0]), *cells]))
    return "\n".join(lines)


def as_markdown(header: Row, rows: Sequence[Row]) -> str:
    """Write the same as a table of a page."""
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, rule, *rows))


def write_between(page: Path, name: str, content: str) -> None:
    """
    Put a table in its place in a page.

    Parameters
    ----------
    page : Path
        Text with the lines ``<!-- name -->`` and ``<!-- /name -->``.
    name : str
        Of the place.
    content : str
        Replaces what is between these lines.

    Raises
    ------
    ValueError
        If the page has no such place.
    """
    text = page.read_text(encoding="utf-8")
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    if begin not in text or end not in text:
        raise ValueError(f"{page} needs the lines {begin} and {end} for the table.")
    before, after = text.split(begin)[0], text.split(end)[1]
    page.write_text(f"{before}{begin}\n\n{content}\n\n{end}{after}", encoding="utf-8")


def read_between(page: Path, name: str) -> dict[str, list[list[str]]]:
    """Read tables back that `write_between` has put in a page: bold title -> rows."""
    text = page.read_text(encoding="utf-8")
    inside = text.split(f"<!-- {name} -->")[1].split(f"<!-- /{name} -->")[0]
    tables, rows = {}, []
    for line in inside.splitlines():
        if line.startswith("**"):
            rows = tables.setdefault(line.strip("*"), [])
        elif line.startswith("|"):
            rows.append([cell.strip() for cell in line.strip("|").split("|")])
    # without header and rule
    return {title: rows[2:] for title, rows in tables.items()}


def listed(values, form: str = ".2g") -> str:
    """Numbers of the phases in one cell, a dash for those that do not exist."""
    return " ".join("–" if value != value else f"{value:{form}}" for value in values)
