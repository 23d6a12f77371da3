"""What may come in and what it gets, as a table.

The cases are those of tests/signals/test_input.py.

Run with

    python benchmarks/robustness/inputs.py [--write docs/trust.md]
"""

import sys

from benchmarks.runner import ROOT, publish, run, some

sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "signals")]

from conftest import make_map  # noqa: E402
from test_input import FAILS, OPTIONS, WORKS, changed, decompose  # noqa: E402

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


def main(given):
    works, fails = some(WORKS.items(), given, 3), some(FAILS.items(), given, 3)
    rows = [(name, outcome(change, {})) for name, change in works]
    rows += [(name, outcome(change, {})) for name, (change, *_) in fails]
    rows += [
        (shown(options), outcome(lambda s: None, options))
        for options, *_ in some(OPTIONS, given, 3)
    ]
    publish(HEADER, [tuple(map(cell, row)) for row in rows], given.write, "inputs")


if __name__ == "__main__":
    run(main, __doc__, page=True)
