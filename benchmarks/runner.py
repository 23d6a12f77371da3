"""What all benchmarks share: arguments, tables, places in the docs, a smoke run.

A benchmark is a script in `accuracy/`, `speed/` or `robustness/` that ends with
`run(main, __doc__, ...)`. It is run from the root of the repository, with

    python benchmarks/accuracy/defaults.py [--smoke] [--write docs/validation.md]

`--smoke` takes seconds and says only that the script works. All of them, or those whose
names are given, make their smoke run with

    python benchmarks/runner.py [names]
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import hyperspy.api as hs

ROOT = Path(__file__).parents[1]
FOLDERS = ("accuracy", "speed", "robustness")
SMALL = (24, 24)
# How a benchmark ends.
RUNS = re.compile(r"^    run\(\s*main,", re.MULTILINE)
# What ends a script whose measured maps, or packages, are not there.
WITHOUT_DATA = "ESPM_HS_TEST_DATA does not name the folder of the measured maps."
WITHOUT_PACKAGES = "Packages that this benchmark needs are not installed:"

Row = Sequence[object]


class Argument(NamedTuple):
    """An argument of a benchmark, and its default in a smoke run."""

    flag: str
    options: dict[str, Any]
    smoke: dict[str, Any]


def argument(flag: str, **options: Any) -> Argument:
    """Describe an argument; ``smoke`` is the default of a smoke run."""
    smoke = {"default": options.pop("smoke")} if "smoke" in options else {}
    return Argument(flag, options, smoke)


def parts(*names: str, smoke: Sequence[str]) -> Argument:
    """Describe the argument by which a benchmark runs some of its parts only."""
    options = {"nargs": "+", "choices": names, "default": names}
    return argument("--parts", **options, smoke=smoke, help="these only")


ESPM = argument("--espm", help="interpreter of an environment with espm 1.1.3")
SEEDS = argument("--seeds", type=int, default=1, smoke=1, help="draws of the counts")


def run(
    main: Callable[[argparse.Namespace], None],
    doc: str | None,
    *arguments: Argument,
    page: bool = False,
) -> None:
    """
    Read the arguments of a benchmark and call it.

    Parameters
    ----------
    main
        Gets the arguments, of which ``smoke`` is always one.
    doc
        Docstring of the script; its first line is shown as help.
    *arguments
        Those that the script has beside.
    page
        Whether its tables have a place in a page, which ``--write`` names.
    """
    parser = argparse.ArgumentParser(description=(doc or "").splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="of seconds, says nothing")
    if page:
        parser.add_argument("--write", type=Path, help="page that gets the tables")
    smoke = "--smoke" in sys.argv
    for one in arguments:
        parser.add_argument(one.flag, **one.options | (one.smoke if smoke else {}))
    quiet()
    main(parser.parse_args())


def quiet() -> None:
    """Let a benchmark print its tables and nothing else."""
    warnings.simplefilter("ignore")
    hs.set_log_level("ERROR")
    hs.preferences.General.show_progressbar = False


def size(given: argparse.Namespace) -> dict[str, tuple[int, int]]:
    """Return the arguments that make simulated maps small in a smoke run."""
    return {"shape": SMALL} if given.smoke else {}


def some(cases: Iterable, given: argparse.Namespace, n: int = 1) -> list:
    """Return all cases, or the first few in a smoke run."""
    return list(cases)[:n] if given.smoke else list(cases)


def measured(name: str = "") -> Path:
    """Return the path of a measured map, or end the script where there are none."""
    folder = os.environ.get("ESPM_HS_TEST_DATA")
    if not folder:
        raise SystemExit(WITHOUT_DATA)
    return Path(folder) / name


def needs(*packages: str) -> None:
    """End the script if packages are not installed."""
    if missing := [name for name in packages if not find_spec(name)]:
        raise SystemExit(f"{WITHOUT_PACKAGES} {', '.join(missing)}")


# -- tables --------------------------------------------------------------------------


def publish(
    header: Row,
    rows: Sequence[Row],
    page: Path | None = None,
    name: str = "",
    title: str = "",
    lines: Sequence[str] = (),
) -> None:
    """Print a table and what it comes to; put both in their place in a page.

    Parameters
    ----------
    header, rows
        Of the table.
    page, name
        Page, if there is one, and what the place in it is called.
    title
        Over the table.
    lines
        Sentences below the table, in the page as a list.
    """
    text = f"\n{title}\n{as_text(header, rows)}".lstrip("\n")
    print(text, *lines, sep="\n", flush=True)
    if page:
        head = f"**{title}**\n\n" if title else ""
        below = "".join(f"\n- {line}" for line in lines)
        table = head + as_markdown(header, rows)
        write_between(page, name, f"{table}\n{below}" if lines else table)


def print_table(title: str, header: Row, rows: Sequence[Row]) -> None:
    """Print a table in Markdown under a heading."""
    print(f"\n### {title}\n\n{as_markdown(header, rows)}", flush=True)


def as_text(header: Row, rows: Sequence[Row]) -> str:
    """Align columns, the first to the left and the others to the right."""
    table = [[str(cell) for cell in row] for row in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = []
    for first, *others in table:
        cells = map(str.rjust, others, widths[1:])
        lines.append("  ".join([first.ljust(widths[0]), *cells]))
    return "\n".join(lines)


def as_markdown(header: Row, rows: Sequence[Row]) -> str:
    """Write the same as a table of a page."""
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join(
        f"| {' | '.join(map(str, row))} |" for row in (header, rule, *rows)
    )


def write_between(page: Path, name: str, content: str) -> None:
    """
    Put a table in its place in a page.

    Parameters
    ----------
    page
        Text with the lines ``<!-- name -->`` and ``<!-- /name -->``.
    name
        Of the place.
    content
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
    tables: dict[str, list[list[str]]] = {}
    title = ""
    for line in inside.splitlines():
        if line.startswith("**"):
            title = line.strip("*")
        elif line.startswith("|"):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            tables.setdefault(title, []).append(cells)
    # without header and rule
    return {title: rows[2:] for title, rows in tables.items()}


def listed(values: Iterable[float], form: str = ".2g") -> str:
    """Numbers of the phases in one cell, a dash for those that do not exist."""
    return " ".join("–" if value != value else f"{value:{form}}" for value in values)


# -- all in seconds ------------------------------------------------------------------


def benchmarks() -> list[Path]:
    """Return the scripts that are benchmarks; the others are parts of them."""
    scripts = [
        path for name in FOLDERS for path in (ROOT / "benchmarks" / name).glob("*.py")
    ]
    return sorted(path for path in scripts if RUNS.search(path.read_text("utf-8")))


def smoke(script: Path) -> str:
    """Make the smoke run of a benchmark: "", or why it was left out; else raise."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, script, "--smoke"],
        env={**os.environ, "PYTHONPATH": path},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if done.returncode == 0:
        return ""
    for missing, what in (
        (WITHOUT_DATA, "measured maps"),
        (WITHOUT_PACKAGES, "packages that are not installed"),
    ):
        if missing in done.stderr:
            return f"left out, it needs {what}"
    raise SystemExit(f"{script} --smoke failed:\n{done.stdout}\n{done.stderr}")


if __name__ == "__main__":
    for one in benchmarks():
        if len(sys.argv) == 1 or one.stem in sys.argv[1:]:
            begin = time.perf_counter()
            remark = smoke(one)
            seconds = f"{time.perf_counter() - begin:.0f} s"
            print(f"{one.parent.name}/{one.name}: {remark or seconds}", flush=True)
