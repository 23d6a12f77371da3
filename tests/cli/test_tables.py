"""Tables of the command line."""

import csv

import pytest

from espm_hs.cli import tables
from espm_hs.cli.workers import Outcome


def test_columns_stand_below_each_other():
    lines = tables.text_lines([["", "long head"], ["Fe", "1"], ["longer", "20"]])
    assert lines == ["        long head", "Fe              1", "longer         20"]
    assert tables.text_lines([["a", ""], ["bc", "d"]], n_left=2) == ["a", "bc  d"]


@pytest.fixture
def summary(tmp_path):
    (tmp_path / "a_composition.csv").write_text("phase,element\n0,Fe\n")
    outcomes = [
        Outcome("b\n.hspy", "failed", "it is empty"),
        Outcome("a.hspy", "done", "table", {"deviance ratio": "1.02"}),
    ]
    return tables.summarise(outcomes, ("a.hspy", "b\n.hspy"), tmp_path)


def test_summary_is_in_the_order_of_the_files(summary, tmp_path):
    assert summary.split()[:4] == ["file", "state", "deviance", "ratio"]
    assert summary.index("a.hspy") < summary.index("it is empty")
    with open(tmp_path / "summary.csv", newline="", encoding="utf-8") as file:
        head, done, failed = csv.reader(file)
    # programs know the deviance ratio by its first name
    assert head == ["file", "state", "misfit", "error"]
    assert done == ["a.hspy", "done", "1.02", ""]
    assert failed[1:] == ["failed", "", "it is empty"]


def test_compositions_have_the_file_in_front(summary, tmp_path):
    text = (tmp_path / "compositions.csv").read_text()
    assert text.splitlines() == ["file,phase,element", "a.hspy,0,Fe"]
