"""Examples of the gallery run without a warning, and the guide shows their figures."""

import re
import runpy
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
from conftest import FORMATS

ROOT = Path(__file__).parents[2]
EXAMPLES = {path.stem: path for path in sorted((ROOT / "examples").glob("*.py"))}
# Deprecations of other packages, which eXSpy and zarr are to mend, and those of an old
# matplotlib and ipympl beside new ones
FOREIGN = (
    "Importing `Lazy|NestedDirectoryStore|^'[a-zA-Z]+' deprecated - use '|"
    "^Passing unrecognized arguments to super\\(Toolbar\\)"
)


def figures(page: Path) -> list[tuple[str, int]]:
    """Return example and number of each figure of a page."""
    text = page.read_text(encoding="utf-8")
    found = re.findall(r"gallery/images/sphx_glr_([a-z_]+)_(\d{3})\.png", text)
    return [(name, int(number)) for name, number in found]


PAGES = sorted((ROOT / "docs").glob("*.md"))
SHOWN = {figure for page in PAGES for figure in figures(page)}


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_runs(name, monkeypatch, recwarn):
    if ".zspy" in EXAMPLES[name].read_text("utf-8") and "zspy" not in FORMATS:
        pytest.skip("zarr 2 is not there")
    monkeypatch.chdir(ROOT / "examples")
    runpy.run_path(str(EXAMPLES[name]))
    numbers = plt.get_fignums()
    drawn = [any(axes.has_data() for axes in plt.figure(n).axes) for n in numbers]
    plt.close("all")
    assert drawn
    assert all(drawn)
    assert max(number for shown, number in SHOWN if shown == name) <= len(drawn)
    warned = [str(one.message) for one in recwarn]
    assert not [text for text in warned if not re.search(FOREIGN, text)]


def test_every_page_of_the_guide_has_a_figure():
    guide = (ROOT / "docs" / "user_guide.md").read_text(encoding="utf-8")
    listed = re.search(r"```{toctree}\n:maxdepth: 2\n\n(.*?)```", guide, re.DOTALL)
    pages = ["getting_started", *listed[1].split()]
    assert len(pages) > 15
    for name in pages:
        assert figures(ROOT / "docs" / f"{name}.md"), name


def test_every_figure_is_of_an_example_and_every_example_is_shown():
    assert {name for name, _ in SHOWN} == set(EXAMPLES)
