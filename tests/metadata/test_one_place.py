"""Metadata are read and written by `espm_hs.metadata` alone."""

import re
from pathlib import Path

import espm_hs

PACKAGE = Path(espm_hs.__file__).parent


def test_nothing_else_reads_or_writes_metadata():
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        if PACKAGE / "metadata" in path.parents:
            continue
        text = path.read_text(encoding="utf-8")
        # the tree of the file may be handed on, and not looked into
        calls = re.findall(
            r"\b(?:get_item|set_item|has_item)\(|original_metadata[.\[].*"
            # titles and the type of a signal are HyperSpy's
            r"|[\w)]\.metadata\.(?!General\.title|Signal\.signal_type)[A-Z][\w.]*",
            re.sub(r'"""(?:.|\n)*?"""|".*?"', "", text),
        )
        found += [(str(path.relative_to(PACKAGE)), call) for call in calls]
    # messages name calls for the user
    assert found == []


def test_units_of_an_axis_are_read_in_one_place():
    """No other table says how many keV a unit is."""
    table = re.compile(r"\.units\)?\.(?:strip|lower)|[\"']k?ev[\"']")
    found = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if table.search(path.read_text(encoding="utf-8"))
    }
    assert found == {"metadata/schema.py"}
