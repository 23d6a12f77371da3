"""Settings of Sphinx: `make docs` builds these pages into build/docs."""

import json
import os
import re
import shutil
import warnings
from pathlib import Path

os.environ.setdefault("MPLBACKEND", "Agg")

import hyperspy.api as hs

import espm_hs

# Pages show results, and no progress on the way to them; the warning is about eXSpy.
hs.preferences.General.show_progressbar = False
hs.preferences.GUIs.warn_if_guis_are_missing = False
warnings.filterwarnings("ignore", "Importing `Lazy")

HERE = Path(__file__).parent

project = "espm_hs"
author = "The espm_hs developers"
copyright = author
release = version = espm_hs.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.doctest",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_click",
    "sphinx_gallery.gen_gallery",
    "sphinxcontrib.bibtex",
]
bibtex_bibfiles = ["references.bib"]
bibtex_reference_style = "author_year"
templates_path = ["_templates"]
exclude_patterns = ["_build", "_templates", "gallery/*.ipynb"]

# The scripts of examples/ are run, and their figures are those of the guide. What
# prints itself is not shown once more.
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"\.py$",
    "within_subsection_order": "ExampleTitleSortKey",
    "capture_repr": ("_repr_html_", "__repr__"),
    "ignore_repr_types": r"matplotlib\.|espm_hs\..*\.(Calibration|Report|Suggestions)'",
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
    "write_computation_times": False,
}

# Markdown: links to headings of other pages, equations
myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3

# `make notebooks` runs them; until then the pages have no figures
nb_execution_mode = "off"

# numpydoc sections, types from the annotations
autosummary_generate = True
# the pages of a module list its __all__
autosummary_imported_members = True
autosummary_ignore_module_all = False
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autodoc_member_order = "groupwise"
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
# `name` links where something of that name is documented
default_role = "py:obj"

html_theme = "pydata_sphinx_theme"
html_title = "espm_hs"
html_static_path = ["_static"]
html_css_files = ["style.css"]
html_show_sourcelink = False
html_theme_options = {
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "secondary_sidebar_items": ["page-toc"],
}

# Read the Docs says where the pages stand; anywhere else there is one version of them
html_baseurl = os.environ.get("READTHEDOCS_CANONICAL_URL", "")
if html_baseurl:
    html_theme_options |= {
        "navbar_start": ["navbar-logo", "version-switcher"],
        "switcher": {
            "json_url": "/en/latest/versions.json",
            "version_match": os.environ["READTHEDOCS_VERSION"],
        },
        "check_switcher": False,
    }

# one file to read without a network: `make epub`
epub_basename = "espm_hs"
epub_show_urls = "footnote"
epub_exclude_files = ["search.html", "llms.txt", "versions.json"]

# the pages in short, as plain text for programs that read them; versions to choose from
html_extra_path = ["llms.txt", "versions.json"]


def _copy_notebooks() -> None:
    """Bring notebooks into docs/notebooks, with output where they have been run."""
    target = HERE / "notebooks"
    target.mkdir(exist_ok=True)
    for notebook in (HERE.parent / "notebooks").glob("*.ipynb"):
        run = HERE.parent / "build" / "notebooks" / notebook.name
        fresh = run.exists() and run.stat().st_mtime > notebook.stat().st_mtime
        if fresh:
            _check_quiet(run)
        shutil.copy(run if fresh else notebook, target)


def _check_quiet(notebook: Path) -> None:
    """Refuse a notebook that shows warnings, which are what readers would see first."""
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        for output in cell.get("outputs", ()):
            if output.get("name") == "stderr":
                text = "".join(output["text"])
                raise ValueError(f"{notebook.name} shows a warning: {text}")


_copy_notebooks()


def _skip_foreign(app, what, name, member, skip, options):
    """Leave out what classes inherit from HyperSpy, scikit-learn and Python."""
    if type(member).__name__ == "_tuplegetter":  # is among the attributes of the class
        return True
    function = getattr(member, "fget", None) or getattr(member, "func", member)
    home = getattr(function, "__module__", None) or "espm_hs"
    return True if home.split(".")[0] != "espm_hs" else None


def _escape_stars(app, what, name, member, options, lines):
    """Keep the star of "shape (*navigation, n_channels)" from starting italics."""
    lines[:] = [re.sub(r"(?<![\w*\\])\*(?=\w+[,)])", r"\\*", line) for line in lines]


def setup(app):
    """Connect to Sphinx."""
    app.connect("autodoc-skip-member", _skip_foreign)
    # napoleon has priority 500
    app.connect("autodoc-process-docstring", _escape_stars, priority=900)
