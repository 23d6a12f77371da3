"""A script of Python that reproduces a result: settings and options as calls."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from pprint import pformat
from typing import Any

import numpy as np

from espm_hs.metadata.reader import read
from espm_hs.metadata.schema import ITEMS, Tree

# Stored options by another name than the argument's, and those that are none.
_ARGUMENTS = {"local": "local_absorption"}
_NO_ARGUMENTS = {"pixel_size"}
# How the text begins that stands for what is no text.
_WRITTEN_OUT = "{", "(", "[", "<", "array", "Generator", "RandomState"
# Items that others set, or that come with the file.
_NOT_CALLED = {"thickness_units", "standards", "extra_spectra", "live_time_pixels"}
# Larger differences than at.% that rounding makes are worth a look.
_DIGITS = 3

_TEMPLATE = '''\
"""Reproduce the phases of {title}.

Run it beside {beside}: python {name}
{versions}
"""

import hyperspy.api as hs
import numpy as np

s = hs.load({source!r})
s.set_signal_type("EDS_espm")
{settings}
s.decomposition(
    algorithm="espm",
    output_dimension={n_phases},
{options}
)
{after}
# at.% of {elements} (rows) in each phase (columns), as they were found
expected = np.array({expected})
found = s.quantify(elements={elements!r})
difference = np.abs([one.data for one in found] - expected)
print("Largest difference, at.%:", np.nanmax(difference, initial=0.0))
'''


def script_text(
    trees: tuple[Tree, Tree | None],
    options: Mapping[str, Any],
    *,
    name: str,
    source: str,
    title: str,
    versions: Mapping[str, str],
    masks: Mapping[str, str],
    edits: Sequence[str],
    elements: Sequence[str],
    percent: np.ndarray,
) -> str:
    """Write a script that finds the phases of a map again.

    Parameters
    ----------
    trees
        Metadata and original metadata.
    options
        Of the decomposition, as `read_options` returns them.
    name, source
        Of the script and of the file of the map.
    title
        Of the map.
    versions
        Of the packages.
    masks
        Argument of the decomposition -> expression for its value.
    edits
        What was done to the phases by hand, which is told and not repeated.
    elements, percent
        Composition that was found, at.%, shape (n_elements, n_phases).
    """
    lines, lost = [], []
    for key, value in options.items():
        if key in _NO_ARGUMENTS or not key.isidentifier():
            continue
        argument = _ARGUMENTS.get(key, key)
        known, plain = _read_back(value)
        if known:
            lines.append(f"    {argument}={_literal(plain)},")
        else:
            lost.append(f"# {argument} was {_in_a_comment(value)}: give it by hand.")
    lines += [f"    {argument}={text}," for argument, text in masks.items()]
    after = [f"# then by hand: {_in_a_comment(edit)}" for edit in edits]
    return _TEMPLATE.format(
        title=_in_words(title),
        name=_in_words(name),
        beside=_in_words(source),
        source=source,
        versions=_in_words(
            f"Made with {', '.join(f'{x} {y}' for x, y in versions.items())}."
        ),
        settings="\n".join([*_settings(trees), *lost]),
        n_phases=percent.shape[1],
        options="\n".join(lines),
        after="\n".join([*after, ""] if after else []),
        elements=list(elements),
        expected=_rows(percent),
    )


def _settings(trees: tuple[Tree, Tree | None]) -> Iterable[str]:
    """Return the calls that set what the metadata say."""
    by_method: dict[str, list[str]] = {}
    for item in ITEMS.values():
        value = None if item.name in _NOT_CALLED else read(item.name, *trees)
        if value is None:
            continue
        before = f"{item.name}=" if item.argument is None else item.argument
        by_method.setdefault(item.method, []).append(f"{before}{_literal(value)}")
    for method, arguments in by_method.items():
        if len(arguments) == 1:
            yield f"s.{method}({arguments[0]})"
            continue
        yield f"s.{method}(\n" + "".join(f"    {one},\n" for one in arguments) + ")"


def _read_back(value: Any) -> tuple[bool, Any]:
    """Return whether a stored option can be given again, and as what.

    Mappings and tuples are stored as text, in which arrays are described.
    """
    if isinstance(value, np.ndarray):
        return True, value.tolist()
    if not isinstance(value, str):
        return True, value
    if value == "previous":  # an earlier result, which is gone
        return False, None
    if not value.startswith(_WRITTEN_OUT):
        return True, value
    try:
        return True, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return False, None


def _literal(value: Any) -> str:
    """Write a value as Python reads it."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    elif isinstance(value, np.generic):
        value = value.item()
    elif isinstance(value, tuple):
        value = list(value)
    text = pformat(value, width=76, compact=True, sort_dicts=False)
    return text.replace("\n", "\n    ")


def _rows(percent: np.ndarray) -> str:
    """Write a table as a list of lists."""
    lines = [
        ", ".join("np.nan" if x != x else f"{x:.{_DIGITS}f}" for x in row)
        for row in percent.tolist()
    ]
    inner = "".join(f"    [{line}],\n" for line in lines)
    return f"[\n{inner}]"


def _in_words(text: str) -> str:
    """Return text that cannot end a docstring."""
    return _in_a_comment(text).replace('"', "'").replace("\\", "/")


def _in_a_comment(text: Any) -> str:
    """Return text that cannot end a comment."""
    return "".join(x if x.isprintable() else " " for x in str(text))
