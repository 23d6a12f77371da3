"""Poisson regression of one spectrum."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from espm_hs.factorization import (
    deviance_residuals,
    divergence,
    expected_deviance,
    fit_spectrum,
)


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), dose=st.sampled_from([0.3, 5.0, 1e4]))
@example(seed=1683, dose=0.3)  # Fisher scoring alone swings about the optimum
def test_finds_the_optimum_of_a_general_optimiser(seed, dose):
    rng = np.random.default_rng(seed)
    G = 0.05 + rng.random((40, 4)) ** 3
    x = rng.poisson(dose * G @ rng.choice([0.0, 1.0, 3.0], 4)).astype(float)
    if x.sum() == 0:
        return
    w, y = fit_spectrum(G, x)
    assert w.min() >= 0
    np.testing.assert_allclose(y, G @ w, rtol=1e-5)

    def objective(v):
        mean = G @ v + 1e-12
        return mean.sum() - x @ np.log(mean)

    start = np.full(4, x.sum() / G.sum())
    best = minimize(
        objective, start, bounds=[(0, None)] * 4, tol=1e-14, method="L-BFGS-B"
    )
    assert objective(w) <= best.fun + 1e-5 * max(1.0, abs(best.fun))


def test_same_and_empty_columns_and_a_known_start():
    rng = np.random.default_rng(0)
    g = rng.random((30, 1))
    G = np.hstack([g, g, rng.random((30, 1)), np.zeros((30, 1))])
    x = rng.poisson(50 * G @ [1.0, 0.0, 2.0, 0.0]).astype(float)
    w, y = fit_spectrum(G, x)
    again, y_again = fit_spectrum(G, x, start=w)
    np.testing.assert_allclose(y_again, y, rtol=1e-6)
    assert np.isfinite(again).all()


def test_deviance_is_twice_the_divergence():
    x, y = np.array([0.0, 1.0, 7.0]), np.array([0.5, 2.0, 6.0])
    by_hand = 2 * (0.5 + (np.log(0.5) + 1) + (7 * np.log(7 / 6) - 1))
    assert 2 * divergence(x, y) == pytest.approx(by_hand)
    np.testing.assert_array_equal(np.sign(deviance_residuals(x, y)), [-1, -1, 1])


def test_expected_deviance_is_the_mean_over_draws():
    rng = np.random.default_rng(1)
    y = np.concatenate([np.full(50, m) for m in (0.01, 0.3, 2.0, 20.0, 45.0, 1e4)])
    draws = rng.poisson(y, (4000, y.size))
    mean = (deviance_residuals(draws, y) ** 2).sum(axis=1).mean()
    assert expected_deviance(y) == pytest.approx(mean, rel=0.01)


def test_columns_of_zeros_get_no_weight():
    """Nor does a fit that starts from one with them end otherwise."""
    G = np.column_stack([np.linspace(1, 2, 20), np.zeros(20)])
    x = np.full(20, 30.0)
    w, _ = fit_spectrum(G, x, tol=1e-2)
    assert w[1] == 0
    assert np.isfinite(w).all()
    again, _ = fit_spectrum(G, x, start=w)
    assert again[1] == 0
    assert np.isfinite(again).all()


def test_means_of_counts_are_not_negative():
    with pytest.raises(ValueError, match="must not be negative, got -2"):
        expected_deviance(np.array([1.0, -2.0]))
