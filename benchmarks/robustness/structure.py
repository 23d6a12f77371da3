"""How large the package is, and how long the way of its two most frequent calls.

    python benchmarks/robustness/structure.py [--modules]

Lines of code hold a token outside of docstrings and comments. The second decomposition
of a map of 16 x 16 pixels, and the quantification of its phases, are traced: a hop is a
pair of files, of which a function of one calls one of the other, directly or through
other packages. `tests/whole/test_structure.py` has the limits.
"""

from __future__ import annotations

import ast
import io
import sys
import time
import tokenize
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import espm_hs
from benchmarks.runner import argument, publish, run
from espm_hs.simulation import particles

PACKAGE = Path(espm_hs.__file__).parent
NO_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


# -- size ------------------------------------------------------------------------------


def modules() -> list[Path]:
    """Return the files of the package."""
    return sorted(PACKAGE.rglob("*.py"))


def code_lines(source: str) -> int:
    """Return how many lines hold a token outside of docstrings and comments."""
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in NO_CODE:
            lines |= set(range(token.start[0], token.end[0] + 1))
    return len(lines - _docstring_lines(ast.parse(source)))


def _docstring_lines(tree: ast.Module) -> set[int]:
    found: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node, False) is not None:
            text = node.body[0]
            found |= set(range(text.lineno, (text.end_lineno or text.lineno) + 1))
    return found


# -- ways ------------------------------------------------------------------------------


class Way(NamedTuple):
    """
    What a call runs through.

    Attributes
    ----------
    modules
        Names of the files of the package, relative to its folder.
    hops
        Pairs of them: a function of the first calls one of the second.
    functions
        How many different functions of the package are called.
    """

    modules: set[str]
    hops: set[tuple[str, str]]
    functions: int


def trace(call: Callable[[], object]) -> Way:
    """Return the way of a call; frames of other packages are passed over."""
    root = f"{PACKAGE}/"
    hops: set[tuple[str, str]] = set()
    functions: set[tuple[str, int]] = set()

    def see(frame, event, _):
        file = frame.f_code.co_filename
        if event != "call" or not file.startswith(root):
            return
        functions.add((file[len(root) :], frame.f_code.co_firstlineno))
        caller = frame.f_back
        while caller and not caller.f_code.co_filename.startswith(root):
            caller = caller.f_back
        if caller and caller.f_code.co_filename != file:
            hops.add((caller.f_code.co_filename[len(root) :], file[len(root) :]))

    before = sys.getprofile()  # that of the coverage
    sys.setprofile(see)
    try:
        call()
    finally:
        sys.setprofile(before)
    return Way({file for file, _ in functions}, hops, len(functions))


def ways() -> tuple[Way, Way, Callable[[], object]]:
    """Return the ways of a second decomposition and of a second quantification.

    The quantification is returned, too, for its time to be taken.
    """
    s = particles((16, 16), counts_per_pixel=100)

    def decompose():
        s.decomposition(
            algorithm="espm", output_dimension=3, n_jobs=1, print_info=False
        )

    decompose()
    s.quantify()
    return trace(decompose), trace(s.quantify), s.quantify


def shortest(call: Callable[[], object], repeats: int = 5) -> float:
    """Return the seconds of the fastest of several calls."""
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return min(times)


def main(given):
    lines: Counter[str] = Counter()
    files: Counter[str] = Counter()
    for path in modules():
        for folder in (str(path.parent.relative_to(PACKAGE.parent)), "all"):
            lines[folder] += code_lines(path.read_text(encoding="utf-8"))
            files[folder] += 1
    rows = [
        (folder, files[folder], lines[folder]) for folder in lines if folder != "all"
    ]
    rows.append(("all", files["all"], lines["all"]))
    publish(("folder", "modules", "lines of code"), rows)
    decomposition, quantification, quantify = ways()
    rows = [
        (name, len(way.modules), len(way.hops), way.functions)
        for name, way in (
            ("decomposition", decomposition),
            ("quantify", quantification),
        )
    ]
    publish(("call", "modules", "hops", "functions"), rows)
    print(f"\nquantify() takes {1e3 * shortest(quantify):.1f} ms.")
    if given.modules:
        for way in (decomposition, quantification):
            print("", *sorted(way.modules), sep="\n")


if __name__ == "__main__":
    run(main, __doc__, argument("--modules", action="store_true", help="name them"))
