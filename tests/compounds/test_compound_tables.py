"""Tables of compounds."""

import csv
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from espm_hs import compounds
from espm_hs.compounds import find_compound, parse_formula, read_compounds
from espm_hs.compounds.tables import prior_weights
from espm_hs.physics import atomic_to_mass_fractions
from tools import mineral_table

FOLDER = os.environ.get("ESPM_HS_TEST_DATA")
SOURCE = Path(FOLDER or "", "minerals.csv")
needs_source = pytest.mark.skipif(not FOLDER, reason="ESPM_HS_TEST_DATA is not set")


@needs_source
def test_the_table_is_made_by_its_command(tmp_path):
    made = tmp_path / "made.csv"
    mineral_table.main(str(SOURCE), made)
    # that of the package, wherever it is installed
    table = Path(compounds.__file__).parent / "data" / mineral_table.TARGET.name
    assert made.read_bytes() == table.read_bytes()


@needs_source
def test_formulas_have_the_mass_fractions_of_the_source():
    """Rows whose fractions add up to 1; the source misreads numbers such as 0.5."""
    with open(SOURCE, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    words = ("name", "formula", "subclass", "description")
    n_recomputed = 0
    for row in rows:
        stated = {k: float(x) for k, x in row.items() if k not in words and float(x)}
        if abs(sum(stated.values()) - 1) > 1e-6:
            n_recomputed += 1
            continue
        if "." in row["formula"]:
            continue
        found = atomic_to_mass_fractions(parse_formula(row["formula"]))
        assert found == pytest.approx(stated, abs=2e-3), row["name"]
    assert (len(rows), n_recomputed) == (3711, 47)


def test_all_formulas_are_read():
    for compound in read_compounds("all"):
        symbols = {x for _, atoms in compound.members for x in atoms}
        assert compound.elements == symbols
        assert compound.may_vary or len(compound.members) == 1
        assert compound.name


@pytest.mark.parametrize("database", ["minerals", "compounds"])
def test_no_compound_is_there_twice(database):
    rows = Counter(
        (one.name.casefold(), one.formula) for one in read_compounds(database)
    )
    assert [row for row, n in rows.items() if n > 1] == []


def test_what_the_source_lacks_is_there():
    assert find_compound("Ferropericlase").formula == "MgO | FeO"
    assert find_compound("talc", "minerals").elements == {"Mg", "Si", "O", "H"}
    with pytest.raises(ValueError, match="Did you mean `anorthite`"):
        find_compound("anortite")


def test_own_tables(tmp_path):
    path = tmp_path / "own.csv"
    path.write_text("formula,name\nMgO,magnesia\n(Mg,Fe)O,\n")
    with pytest.raises(ValueError, match=r"own\.csv, line 3 .* in quotes"):
        read_compounds(path)
    path.write_text('formula,name,weight\nMgO,magnesia,3\n"(Mg,Fe)O",,\n')
    one, other = read_compounds(str(path))
    assert (one.name, one.weight) == ("magnesia", 3)
    assert (other.name, len(other.members)) == ("(Mg,Fe)O", 2)
    assert read_compounds(["MgO", str(path)])[0].formula == "MgO"
    assert read_compounds({"mine": "SiO2"})[0].name == "mine"
    assert prior_weights([one, other], "frequency") == [3, 1]
    assert prior_weights([one, other], {"Magnesia": 2}) == [2, 1]
    path.write_text("name\nMgO\n")
    with pytest.raises(ValueError, match="needed is 'formula'"):
        read_compounds(path)


@pytest.mark.parametrize(
    ("database", "error", "words"),
    [
        ("mineral", ValueError, "must be 'minerals', 'compounds' or 'all'"),
        ([], ValueError, "no compound"),
        (["MgO", "Xx"], ValueError, "'Xx' is no element"),
        (3, TypeError, "list of formulas"),
        ([3], TypeError, "list of formulas"),
        ({"a": np.nan}, TypeError, "A formula is text"),
        ("nowhere.csv", FileNotFoundError, "nowhere"),
    ],
)
def test_what_is_no_database(database, error, words):
    with pytest.raises(error, match=words):
        read_compounds(database)


@pytest.mark.parametrize(
    ("prior", "words"),
    [
        ("often", "must be 'frequency'"),
        ({"x": 2}, "no database"),
        ({"a": 0}, "above 0"),
    ],
)
def test_what_is_no_prior(prior, words):
    with pytest.raises(ValueError, match=words):
        prior_weights(read_compounds({"a": "MgO"}), prior)


def test_a_compound_is_its_own_database():
    quartz = find_compound("quartz")
    assert read_compounds(quartz) == (quartz,)
    assert read_compounds([quartz, "MgO"])[0] is quartz
    assert str(quartz) == quartz.name


@pytest.mark.parametrize("weight", ["0", "-1", "often", "inf", "nan"])
def test_weights_are_above_zero(tmp_path, weight):
    path = tmp_path / "own.csv"
    path.write_text(f"formula,name,weight\nMgO,magnesia,{weight}\n")
    with pytest.raises(ValueError, match=f"line 2: the weight is '{weight}'"):
        read_compounds(path)
