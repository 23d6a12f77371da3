"""What may come in and what it gets: the cases of tests/test_input.py as a table.

Run with

    python benchmarks/inputs.py [--write docs/trust.md]
"""

import argparse
import sys
from pathlib import Path

from report import as_markdown, quiet, write_between

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from conftest import make_map
from test_input import FAILS, OPTIONS, WORKS, changed, decompose

HEADER = ("input", "gets")


def outcome(change, options) -> str:
    """Return what a small map gets that was changed, or decomposed with options."""
    s = changed(make_map((4, 3), 200, size=300), change)
    try:
        decompose(s, **options)
    except (TypeError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    return "a result"


def shown(options) -> str:
    """Return options as they are given, arrays by type and shape."""
    name, value = next(iter(options.items()))
    text = repr(value)
    if hasattr(value, "shape"):
        text = f"{value.dtype} array of shape {value.shape}"
    return f"`{'output_dimension' if name == 'n' else name}` = {text}"


def cell(text: str) -> str:
    """Make a text a cell of a table."""
    return " ".join(text.split()).replace("|", r"\|").replace("<", r"\<")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", type=Path, help="page that gets the table")
    arguments = parser.parse_args()
    rows = [(name, outcome(change, {})) for name, change in WORKS.items()]
    rows += [(name, outcome(change, {})) for name, (change, *_) in FAILS.items()]
    rows += [
        (shown(options), outcome(lambda s: None, options)) for options, *_ in OPTIONS
    ]
    rows = [tuple(map(cell, row)) for row in rows]
    for row in rows:
        print(": ".join(row))
    if arguments.write:
        write_between(arguments.write, "inputs", as_markdown(HEADER, rows))


if __name__ == "__main__":
    quiet()
    main()
