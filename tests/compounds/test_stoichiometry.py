"""Formulas without a table."""

import numpy as np
import pytest

from espm_hs.compounds import parse_formula
from espm_hs.compounds.stoichiometry import suggest_formulas
from espm_hs.quantification.percent_with_errors import VALENCES


def suggested(formula, error, seed=0):
    atoms = parse_formula(formula)
    exact = 100 * np.array(list(atoms.values())) / sum(atoms.values())
    found = exact + error * np.random.default_rng(seed).normal(size=exact.size)
    percent = 100 * found / found.sum()
    closing = np.eye(exact.size) - percent[:, None] / 100
    return suggest_formulas(
        percent, error**2 * closing @ closing.T, list(atoms), VALENCES
    )


@pytest.mark.parametrize(
    ("formula", "balanced"),
    [
        ("SrTiO3", True), ("CaAl2Si2O8", True), ("Fe3O4", True), ("Mg2SiO4", True),
        ("FePt3", None), ("GaAs", True), ("ZnS", True), ("Ca5P3O12F", True),
        ("YBa2Cu3O7", True), ("Mg3SiO4", False),
    ],
)  # fmt: skip
def test_simple_formulas_are_found(formula, balanced):
    best = suggested(formula, 0.3)[0]
    assert (best.formula, best.balanced) == (formula, balanced)
    assert 0 < best.p_value <= 1


def test_larger_errors_leave_more_formulas():
    few = {one.formula for one in suggested("SrTiO3", 0.1)}
    many = {one.formula for one in suggested("SrTiO3", 3.0)}
    assert "SrTiO3" in few & many
    assert len(many) >= len(few)


def test_elements_that_are_not_found_have_no_part():
    percent, errors = np.array([50.0, 49.9, 0.1]), np.array([1.0, 1.0, 0.2])
    best = suggest_formulas(percent, np.diag(errors**2), ["Mg", "O", "Fe"], VALENCES)[0]
    assert best.formula == "MgO"
    assert suggest_formulas(np.array([100.0]), np.eye(1), ["Mg"], VALENCES) == []


def test_many_elements_have_a_formula_too():
    best = suggested("KCaMgAlSiFO4", 0.1)[0]
    assert parse_formula(best.formula) == parse_formula("KCaMgAlSiFO4")


def test_charges_of_what_has_no_known_valence_are_not_summed():
    percent = np.array([50.0, 50.0])
    best = suggest_formulas(percent, np.eye(2), ["Ar", "O"], VALENCES)[0]
    assert (best.formula, best.balanced) == ("ArO", None)
