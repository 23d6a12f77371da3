"""Chemical formulas."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from espm_hs.compounds import end_members, parse_formula
from espm_hs.compounds.formulas import plain_formula
from espm_hs.physics.xray.elements import SYMBOLS


@pytest.mark.parametrize(
    ("formula", "atoms"),
    [
        ("Mg2SiO4", {"Mg": 2, "Si": 1, "O": 4}),
        ("Ca5(PO4)3F", {"Ca": 5, "P": 3, "O": 12, "F": 1}),
        ("CuSO₄·5H₂O", {"Cu": 1, "S": 1, "O": 9, "H": 10}),
        ("Fe³⁺₂Fe²⁺O₄", {"Fe": 3, "O": 4}),
        ("CaTe₄+₂Te₆+O₈", {"Ca": 1, "Te": 3, "O": 8}),
        ("Mn2+Mn3+6SiO12", {"Mn": 7, "Si": 1, "O": 12}),
        ("AlF₃.3H₂O", {"Al": 1, "F": 3, "H": 6, "O": 3}),
        ("₂CuFeS₂ * H₂O", {"Cu": 2, "Fe": 2, "S": 4, "H": 2, "O": 1}),
        ("Fe0.95O", {"Fe": 0.95, "O": 1}),
        ("(Mg0.9,Fe0.1)2SiO4", {"Mg": 1.8, "Fe": 0.2, "Si": 1, "O": 4}),
        ("Na[B₃O₃{OH}₄]", {"Na": 1, "B": 3, "O": 7, "H": 4}),
    ],
)
def test_formulas_as_they_are_written(formula, atoms):
    assert parse_formula(formula) == pytest.approx(atoms)


@given(st.dictionaries(st.sampled_from(SYMBOLS), st.integers(1, 99), min_size=1))
def test_any_formula_is_read_back(atoms):
    written = "".join(f"{symbol}{n}" for symbol, n in atoms.items())
    assert parse_formula(written) == atoms
    assert parse_formula(f"({written})3") == {x: 3 * n for x, n in atoms.items()}


def read(text):
    """Atoms of a formula; None for what is refused, and nothing else is raised."""
    try:
        return parse_formula(text)
    except ValueError:
        return None


@given(st.text(max_size=12) | st.text("MgSiOFe(),.·|:2{}[]⁺₂", max_size=12))
def test_any_text_is_read_or_refused(text):
    found = read(text)
    assert found is None or (found and set(found) <= set(SYMBOLS))


@pytest.mark.parametrize("formula", ["", "Mg2Xx", "mgO", "(MgO", "MgO)", "MgO··", "2"])
def test_what_is_no_formula(formula):
    with pytest.raises(ValueError, match="is no chemical formula"):
        parse_formula(formula)


def test_solid_solutions():
    assert end_members("(Mg,Fe)2SiO4") == (
        ("Mg", {"Mg": 2, "Si": 1, "O": 4}),
        ("Fe", {"Fe": 2, "Si": 1, "O": 4}),
    )
    assert end_members("Fo: Mg2SiO4 | Fe2SiO4")[0] == ("Fo", parse_formula("Mg2SiO4"))
    assert [label for label, _ in end_members("Fo: Mg2SiO4 | Fe2SiO4")] == [
        "Fo",
        "Fe2SiO4",
    ]
    assert len(end_members("(Mg0.9,Fe0.1)O")) == 1
    with pytest.raises(ValueError, match="on 2 sites"):
        end_members("(Mg,Fe)(Si,Al)O3")


def test_plain_formulas_stay():
    for formula in ("Mg2SiO4", "CuSO4·5H2O", "Ca5(PO4)3F"):
        assert plain_formula(formula) == formula


def test_what_is_no_text_is_no_formula():
    with pytest.raises(TypeError, match="A formula is text such as 'Mg2SiO4', got 2"):
        parse_formula(2)
