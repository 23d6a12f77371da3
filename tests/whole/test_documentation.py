"""The code in README and docs runs; links, files and modules that they name exist."""

import importlib
import importlib.util
import json
import re
from functools import partial
from pathlib import Path

import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np
import pytest
from conftest import FORMATS

import espm_hs
from espm_hs import simulation

ROOT = Path(__file__).parents[2]
PACKAGE = Path(espm_hs.__file__).parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
CHANGELOG = ROOT / "CHANGELOG.md"
# pages name files from here; the page of the architecture from inside a folder, too
STARTS = [ROOT, ROOT / "docs", PACKAGE.parent, PACKAGE, PACKAGE / "factorization"]
# what is written, and not found, where a page names it
MADE = ["build/", ".venv/", "demo/", "espm-env/", ".espm-hs-", "docs/PAGE.md", "NAME_"]
# a block that begins so shows a piece of something
NOT_RUN = "# not run"


def code(page: Path) -> str:
    """Python of a page; lines keep their numbers, so that errors name them."""
    text = page.read_text(encoding="utf-8")
    lines = [""] * (text.count("\n") + 1)
    for block in re.finditer(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        if block[1].startswith(NOT_RUN):
            continue
        first = text.count("\n", 0, block.start(1))
        for i, line in enumerate(block[1].splitlines()):
            lines[first + i] = line
    return "\n".join(lines)


def _small(full, shape=None, **options):
    """A data set of a few pixels, whatever its usual size."""
    return full((24, 24), **options)


@pytest.mark.parametrize(
    "page", [page for page in PAGES if code(page).strip()], ids=lambda page: page.stem
)
def test_code_runs(page, tmp_path, monkeypatch, toolkit):
    """In the order of the page, with a small map wherever a file is read."""
    if ".zspy" in code(page) and "zspy" not in FORMATS:
        pytest.skip("zarr 2 is not there")
    monkeypatch.chdir(tmp_path)
    for name in ("particles", "core_shell", "mantle"):
        full = getattr(simulation, name)
        monkeypatch.setattr(simulation, name, partial(_small, full))
    measured = simulation.particles(counts_per_pixel=60)
    load = hs.load

    def read(name, **options):
        return load(name) if Path(name).exists() else measured.deepcopy()

    monkeypatch.setattr(hs, "load", read)
    decomposed = measured.deepcopy()
    decomposed.decomposition(algorithm="espm", output_dimension=3, print_info=False)
    names = {"s": decomposed, "hs": hs, "np": np}
    exec(compile(code(page), str(page), "exec"), names)
    plt.close("all")


def test_the_reference_has_what_the_package_offers():
    """By itself, or as one of the names of a module, all of which are on its page."""
    index = (ROOT / "docs" / "api" / "index.rst").read_text(encoding="utf-8")
    listed = set(re.findall(r"^   ([\w.]+)$", index, re.MULTILINE))
    modules = {name for name in listed if name.startswith("espm_hs.")}
    found = {
        id(getattr(module, name))
        for module in map(importlib.import_module, modules)
        for name in module.__all__
    }
    for name in espm_hs.__all__:
        known = {name, f"espm_hs.{name}"} & listed
        assert known or id(getattr(espm_hs, name)) in found, name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", text)
    for target in targets:
        if not target.startswith(("http:", "https:", "mailto:")):
            assert (page.parent / target).exists(), target


def paths(page: Path) -> list[str]:
    """Files and folders that a page names as code, but for those that commands make."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```|^((?: {4}\S.*\n)+)", text, re.M | re.DOTALL)
    text = re.sub(r"^```.*?^```", "", text, flags=re.M | re.DOTALL)
    words = " ".join([*map("".join, blocks), *re.findall(r"`([^`]+)`", text)]).split()
    kinds = r"[\w./-]+(\.(py|md|rst|ipynb|yaml|cff)|/)|(benchmarks|docs|tests)/[\w./-]+"
    found = [word for word in words if re.fullmatch(kinds, word)]
    return [w for w in found if not w.startswith(tuple(MADE))]


@pytest.mark.parametrize("page", [*PAGES, CHANGELOG], ids=lambda page: page.stem)
def test_paths_exist(page):
    folders = [PACKAGE / word for word in paths(page) if word.endswith("/")]
    for word in paths(page):
        starts = STARTS if "/" in word.strip("/") else [*STARTS, *folders]
        assert any((start / word).exists() for start in starts), word


@pytest.mark.parametrize("page", [*PAGES, CHANGELOG], ids=lambda page: page.stem)
def test_targets_of_make_exist(page):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"^make ([\w-]+)|`make ([\w-]+)`", text, re.MULTILINE):
        assert re.search(rf"^{''.join(target)}:", makefile, re.MULTILINE), target


def test_modules_that_moved_are_where_the_changelog_says():
    text = CHANGELOG.read_text(encoding="utf-8")
    rows = re.findall(r"^\| `.*\| *(`.*`) *\|$", text, re.MULTILINE)
    modules = {name for row in rows for name in re.findall(r"`([\w.]+)`", row)}
    assert len(modules) > 40
    for module in sorted(modules):
        assert importlib.util.find_spec(f"espm_hs.{module}") is not None, module


@pytest.mark.parametrize(
    "notebook", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem
)
def test_notebooks_are_kept_without_output(notebook):
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert code
    assert all(not cell["outputs"] for cell in code)
    assert all(cell["execution_count"] is None for cell in code)


def test_every_page_is_in_the_list_for_programs():
    text = (ROOT / "docs" / "llms.txt").read_text(encoding="utf-8")
    listed = set(re.findall(r"\]\((\w+)\.html\)", text))
    pages = {page.stem for page in (ROOT / "docs").glob("*.md")}
    # these lead to others, and nowhere else
    assert pages - listed == {"index", "user_guide", "how_it_works", "development"}
    assert listed <= pages
