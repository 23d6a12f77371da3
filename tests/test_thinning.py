"""Smoothness chosen by counts that were set aside."""

import numpy as np
import pytest

from espm_hs.factorization import (
    Counts,
    Grid,
    Penalties,
    Problem,
    choose_smoothness,
    fit_maps,
)
from espm_hs.factorization.thinning import held_out, thin

SHAPE = (24, 24)


def make(rough, simplex="elements", dose=40.0, seed=0):
    """Return counts, problem, W and true shares of a smooth or a rough map."""
    rng = np.random.default_rng(seed)
    W = rng.dirichlet(np.full(30, 0.3), 2).T
    y, x = np.indices(SHAPE) / SHAPE[0]
    share = rng.random(SHAPE) ** 4 if rough else 0.5 + 0.4 * np.sin(3 * x + 2 * y)
    H = np.stack([share, 1 - share], axis=-1).reshape(-1, 2)
    counts = Counts.from_array(rng.poisson(dose * H @ W.T))
    problem = Problem(30, 2, simplex=simplex, grid=Grid.from_shape(SHAPE))
    return counts, problem, W, H


def test_thinned_counts_are_independent_poisson():
    counts = Counts.from_array(np.random.default_rng(0).poisson(2.0, (200, 200)))
    first, second = thin(counts, 0.3, np.random.default_rng(1))
    a, b = (part.to_csr().toarray() for part in (first, second))
    assert np.array_equal(a + b, counts.to_csr().toarray())
    assert first.values.min() > 0
    for part, mean in ((a, 0.6), (b, 1.4)):
        # standard errors of mean and variance of 40000 numbers
        assert abs(part.mean() - mean) < 5 * np.sqrt(mean / part.size)
        assert abs(part.var() - mean) < 5 * mean * np.sqrt(3 / part.size)
    assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 5 / np.sqrt(a.size)


def test_held_out_is_the_likelihood():
    counts, _, W, H = make(rough=False)
    y = 10 * H @ W.T
    x = counts.to_csr().toarray()
    expected = (y - x * np.log(y)).sum()
    # the model has a floor
    assert held_out(counts, W, 10 * H) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("simplex", ["elements", "abundances"])
def test_smooth_maps_are_made_smooth_and_become_truer(simplex):
    counts, problem, W, H = make(rough=False, simplex=simplex)
    if simplex == "abundances":
        W = 40.0 * W
    start = np.full_like(H, 0.5 if simplex == "abundances" else 20.0)
    chosen = choose_smoothness(counts, problem, W, start=start, random_state=0)
    assert chosen > 0
    errors = []
    for smoothness in (0.0, chosen):
        smooth = Problem(
            30,
            2,
            simplex=simplex,
            grid=problem.grid,
            penalties=Penalties(smoothness=smoothness),
        )
        found, _ = fit_maps(counts, smooth, W, start=start)
        found = found / found.sum(axis=1, keepdims=True)
        errors.append(((found - H) ** 2).mean())
    assert errors[1] < 0.3 * errors[0]


def test_rough_maps_are_left_alone():
    """Neighbours that have nothing in common, and counts enough to see that."""
    counts, problem, W, H = make(rough=True, dose=2000.0)
    chosen = choose_smoothness(counts, problem, W, start=1000 + 0 * H, random_state=0)
    assert chosen <= 0.03


def test_nothing_to_choose():
    counts, problem, W, H = make(rough=False)
    halves = Counts.from_array(0.5 * counts.to_csr().toarray())
    assert choose_smoothness(halves, problem, W, start=H) == 0.0
    alone = Problem(30, 2, grid=Grid.unconnected(counts.n_pixels))
    assert choose_smoothness(counts, alone, W, start=H) == 0.0


def test_the_same_seed_chooses_the_same():
    counts, problem, W, H = make(rough=False)
    chosen = {
        choose_smoothness(counts, problem, W, start=20 * H, random_state=3, n_jobs=n)
        for n in (1, 2)
    }
    assert len(chosen) == 1


def test_smoothness_of_an_eds_map(eds):
    options = {"algorithm": "espm", "output_dimension": 3, "print_info": False}
    eds.decomposition(smoothness="auto", **options)
    chosen, maps = eds.analysis_results(), eds.learning_results.loadings
    eds.decomposition(smoothness=chosen.smoothness, **options)
    np.testing.assert_array_equal(eds.learning_results.loadings, maps)
    eds.decomposition(smoothness=1.0, **options)
    smooth = eds.analysis_results()
    # smoothness acts on the maps alone
    np.testing.assert_array_equal(smooth.W, chosen.W)
    assert np.abs(eds.learning_results.loadings - maps).max() > 0


def test_smoothness_that_makes_no_sense(eds):
    for smoothness in ("much", -1.0, np.nan):
        with pytest.raises(ValueError, match="`smoothness`"):
            eds.decomposition(
                algorithm="espm", output_dimension=2, smoothness=smoothness
            )
