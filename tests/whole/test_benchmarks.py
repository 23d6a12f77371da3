"""What the benchmarks share; `make benchmarks-smoke` runs them."""

import ast
import importlib
import re
import sys
from pathlib import Path

import pytest

from benchmarks import runner
from benchmarks.robustness.structure import code_lines

ROOT = Path(__file__).parents[2]
# Imported by benchmarks, or run by another interpreter.
PARTS = {
    *("materials", "samples", "methods", "espm_peer", "relaxation_tables"),
    *("cases", "peers", "program", "coordinate_descent"),
}


def test_every_script_is_a_benchmark_or_a_part_of_one():
    scripts = {path.stem for path in ROOT.glob("benchmarks/*/*.py")}
    assert {path.stem for path in runner.benchmarks()} == scripts - PARTS
    assert scripts >= PARTS


def test_commands_of_the_docs_name_scripts_that_exist():
    pages = [*ROOT.glob("docs/*.md"), ROOT / "README.md"]
    named = {
        name
        for page in pages
        for name in re.findall(r"benchmarks/[\w/]+\.py", page.read_text("utf-8"))
    }
    assert named
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_what_benchmarks_import_exists():
    imported = {
        (line.module, name.name)
        for path in ROOT.glob("benchmarks/*/*.py")
        for line in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(line, ast.ImportFrom) and line.module.startswith("espm_hs")
        for name in line.names
    }
    assert imported
    missing = [
        (module, name)
        for module, name in sorted(imported)
        if not hasattr(importlib.import_module(module), name)
    ]
    assert missing == []


def test_a_table_is_put_in_its_place_and_read_back(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- here -->\nold\n<!-- /here -->\nafter\n")
    runner.publish(("a", "b"), [("x", 1), ("y", 22)], page, "here", "Title")
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert runner.read_between(page, "here") == {"Title": [["x", "1"], ["y", "22"]]}
    with pytest.raises(ValueError, match="<!-- there -->"):
        runner.publish(("a",), [("x",)], page, "there")


def test_columns_are_aligned():
    assert runner.as_text(("name", "n"), [("x", 1), ("yy", 22)]) == (
        "name   n\nx      1\nyy    22"
    )


@pytest.mark.parametrize(
    ("words", "expected"), [([], 5), (["--smoke"], 1), (["--smoke", "--seeds", "3"], 3)]
)
def test_defaults_of_a_smoke_run(monkeypatch, words, expected):
    seen = []
    seeds = runner.argument("--seeds", type=int, default=5, smoke=1, help="draws")
    monkeypatch.setattr(sys, "argv", ["script", *words])
    monkeypatch.setattr(runner, "quiet", lambda: None)
    runner.run(seen.append, "What it is.\n\nMore.", seeds)
    assert seen[0].seeds == expected
    assert seen[0].smoke == bool(words)


def test_lines_of_code_are_those_with_tokens():
    source = '''"""Module."""

# comment
def f(x):
    """Docstring
    of two lines."""
    text = """of
    two lines"""
    return x, text  # comment
'''
    assert code_lines(source) == 4
