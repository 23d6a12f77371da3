"""The way from atoms to percent, and that of their errors."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from espm_hs.quantification.percent_with_errors import (
    Basis,
    closed,
    oxide,
    propagated,
)

MEASURED = ["Ca", "Fe", "O", "Si"]
ATOMS = np.array([0.1, 0.25, 0.5, 0.15])
BASES = [
    Basis(),
    Basis("weight"),
    Basis("atomic", ["Fe", "Si"]),
    Basis("weight", ["Ca", "Si"], {"Si": 2}),
    Basis(oxygen="stoichiometry"),
]


def random_covariance(rng, n):
    root = rng.normal(size=(n, n))
    return 1e-5 * root @ root.T


@pytest.mark.parametrize("basis", BASES)
def test_the_response_is_the_derivative(basis):
    _, per_atom = basis.of(MEASURED)

    def percent(atoms):
        amounts = [sum(row * atoms) for row in per_atom]
        return np.array([100 * one / sum(amounts) for one in amounts])

    found, response = closed(per_atom, ATOMS)
    np.testing.assert_allclose(found, percent(ATOMS))
    expected = approx_fprime(ATOMS, percent, 1e-7)
    np.testing.assert_allclose(response, expected, atol=1e-3)
    # what all have in common does not change a share
    np.testing.assert_allclose(response @ ATOMS, 0, atol=1e-10)


@pytest.mark.parametrize("basis", BASES)
def test_the_variance_is_that_of_many_draws(basis):
    rng = np.random.default_rng(0)
    covariance = random_covariance(rng, 4)
    _, per_atom = basis.of(MEASURED)
    drawn = rng.multivariate_normal(ATOMS, covariance, 40_000) @ per_atom.T
    expected = (100 * drawn / drawn.sum(axis=1, keepdims=True)).std(axis=0)
    _, response = closed(per_atom, ATOMS)
    error = np.sqrt(propagated(response, covariance))
    np.testing.assert_allclose(error, expected, rtol=0.03, atol=1e-6)


def test_many_at_once_are_as_one_by_one():
    rng = np.random.default_rng(1)
    per_unit, units = rng.random((3, 2)), rng.random((5, 2))
    units[2] = 0
    covariance = np.array([random_covariance(rng, 2) for _ in units])
    percent, response = closed(per_unit, units)
    variance = propagated(response, covariance)
    assert np.isnan(percent[2]).all()
    assert np.isnan(variance[2]).all()
    for j in (0, 1, 3, 4):
        amounts = per_unit @ units[j]
        np.testing.assert_allclose(percent[j], 100 * amounts / amounts.sum())
        one = np.diag(response[j] @ covariance[j] @ response[j].T)
        np.testing.assert_allclose(variance[j], one)


def test_what_is_reported():
    symbols, per_atom = Basis("weight", ["Si", "Ca"], {"Si": 2}).of(MEASURED)
    assert symbols == ["Si", "Ca", "O"]
    # quartz would have two atoms of oxygen; here it is told to have one, and lime has
    # its own
    expected = [[0, 0, 0, 28.085], [40.078, 0, 0, 0], [15.999, 0, 0, 15.999]]
    np.testing.assert_allclose(per_atom, expected, rtol=1e-3)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"units": "molar"}, "`units` must be 'atomic', 'weight' or 'oxide'"),
        ({"oxygen": "guessed"}, "'measured', 'stoichiometry'"),
        ({"elements": ["Xe"]}, r"decomposition has \['Ca', 'Fe', 'O', 'Si'\]"),
        ({"elements": []}, "decomposition has"),
        ({"elements": ["Fe", "Fe"]}, "names Fe more than once"),
        ({"elements": ["Fe", 26]}, "decomposition has"),
    ],
)
def test_what_cannot_be_reported(given, message):
    with pytest.raises(ValueError, match=message):
        Basis(**given).of(MEASURED)


def test_what_takes_electrons_has_no_oxide():
    assert oxide("Fe", {"Fe": 8 / 3}).formula == "Fe3O4"
    with pytest.raises(ValueError, match="F does not: choose `elements` without it"):
        oxide("F", "measured")
