"""Smoothness chosen by counts that were set aside."""

from dataclasses import replace

import numpy as np
import pytest

from espm_hs.factorization import (
    Counts,
    Grid,
    Penalties,
    Problem,
    choose_smoothness,
    fit_maps,
    smoothed_covariance,
)
from espm_hs.factorization.cross_validation import held_out, thin
from espm_hs.simulation import DATASETS, experiment

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


@pytest.mark.kernels
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
    assert min(chosen) > 0
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
    assert max(chosen) <= 0.03


def test_each_component_has_its_own_smoothness():
    """An even film under small particles, which one strength cannot serve."""
    rng = np.random.default_rng(0)
    W = np.zeros((30, 2))
    W[:20, 0], W[10:, 1] = rng.dirichlet(np.ones(20), 2)
    y, x = np.indices(SHAPE)
    particles = 100.0 * ((y // 3 + x // 3) % 4 == 0)
    H = np.stack([np.full(SHAPE, 20.0), particles], axis=-1).reshape(-1, 2)
    counts = Counts.from_array(rng.poisson(H @ W.T))
    problem = Problem(30, 2, grid=Grid.from_shape(SHAPE))
    film, spots = choose_smoothness(counts, problem, W, start=H.mean() + 0 * H)
    assert film > 100 * spots
    errors = []
    for smoothness in ((film, spots), film, spots):
        smooth = replace(problem, penalties=Penalties(smoothness=smoothness))
        found, _ = fit_maps(counts, smooth, W, start=H.mean() + 0 * H)
        errors.append(((found - H) ** 2).mean(axis=0))
    assert errors[0][0] < 0.1 * errors[2][0]  # the film, not as noisy
    assert errors[0][1] < 0.1 * errors[1][1]  # the particles, not blurred


def test_even_totals_do_not_blur_components():
    """Of stripes of few counts, whose totals the smoothest maps predict best."""
    share = np.where(np.arange(1024) // 32 // 6 % 2 == 0, 0.8, 0.2)
    H = 4.0 * np.stack([share, 1 - share], axis=-1)
    problem = Problem(20, 2, grid=Grid.from_shape((32, 32)))
    chosen = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        W = rng.dirichlet(np.full(20, 2.0), 2).T
        counts = Counts.from_array(rng.poisson(H @ W.T))
        chosen.append(choose_smoothness(counts, problem, W, start=H, random_state=0))
    # in one draw the counts may tell nothing
    assert 0.3 < np.median(chosen) < 5


def test_pixels_that_a_map_leaves_empty_do_not_spoil_the_choice():
    counts, problem, W, H = make(rough=False, dose=0.5)
    problem = replace(problem, penalties=Penalties(0.3))
    chosen = choose_smoothness(counts, problem, W, start=H, random_state=0)
    assert np.isfinite(chosen).all()
    assert min(chosen) > 0


def test_nothing_to_choose():
    counts, problem, W, H = make(rough=False)
    halves = Counts.from_array(0.5 * counts.to_csr().toarray())
    assert choose_smoothness(halves, problem, W, start=H) == (0.0, 0.0)
    alone = Problem(30, 2, grid=Grid.unconnected(counts.n_pixels))
    assert choose_smoothness(counts, alone, W, start=H) == (0.0, 0.0)


def test_the_same_seed_chooses_the_same():
    counts, problem, W, H = make(rough=False)
    chosen = {
        choose_smoothness(counts, problem, W, start=20 * H, random_state=3, n_jobs=n)
        for n in (1, 2)
    }
    assert len(chosen) == 1


@pytest.mark.parametrize("n_axes", [1, 2])
@pytest.mark.parametrize("strength", [0.01, 0.3, 20.0])
def test_variance_of_a_smooth_map(n_axes, strength):
    """Mean over the pixels of the inverse of a large precision matrix."""
    size = {1: 400, 2: 40}[n_axes]
    L = 2 * np.eye(size) - np.eye(size, k=1) - np.eye(size, k=-1)
    L[0, 0] = L[-1, -1] = 1
    if n_axes == 2:
        L = np.kron(L, np.eye(size)) + np.kron(np.eye(size), L)
    v = 0.7
    expected = np.linalg.inv(np.eye(len(L)) / v + strength * L).diagonal().mean()
    found = smoothed_covariance(np.full((1, 1, 1), v), strength, n_axes)
    # pixels at the border have fewer neighbours
    assert found[0, 0, 0] == pytest.approx(expected, rel=0.1)


def test_variance_of_maps_of_unequal_smoothness():
    """Mean over the waves of the inverse precision, one of them without a prior."""
    root = np.random.default_rng(0).standard_normal((3, 3))
    covariance, strengths = root @ root.T, np.array([0.0, 0.3, 40.0])
    q = np.pi * (np.arange(200) + 0.5) / 200
    precisions = [
        np.linalg.inv(covariance) + np.diag(strengths) * (2 - 2 * np.cos(one))
        for one in q
    ]
    expected = np.linalg.inv(precisions).mean(axis=0)
    found = smoothed_covariance(covariance[None], strengths, 1)[0]
    np.testing.assert_allclose(found, expected, rtol=0.02, atol=1e-3)


def test_smoothness_shrinks_what_is_least_known():
    rng = np.random.default_rng(0)
    roots = rng.standard_normal((50, 3, 3))
    covariance = roots @ roots.transpose(0, 2, 1)
    assert smoothed_covariance(covariance, 0.0, 2) is covariance
    smooth = smoothed_covariance(covariance, 2.0, 2)
    before, after = np.linalg.eigvalsh(covariance), np.linalg.eigvalsh(smooth)
    assert (after <= before + 1e-12).all()
    assert (after[:, -1] / before[:, -1] < after[:, 0] / before[:, 0] + 1e-12).all()
    tiny = smoothed_covariance(covariance, 1e-12, 2)
    np.testing.assert_allclose(tiny, covariance, atol=1e-8)


def test_errors_of_smooth_maps_cover():
    s = DATASETS["particles"](counts_per_pixel=100, seed=0)
    s.decomposition(algorithm="espm", output_dimension=3, print_info=False)
    assert s.analysis_results().smoothness.min() > 0
    truth = s.ground_truth()
    atoms = [phase.atoms_per_volume for phase in experiment("particles").phases]
    shares = truth.thickness.reshape(-1, 3) * atoms
    shares /= shares.sum(axis=1, keepdims=True)
    expected = dict(
        zip(truth.elements, 100 * truth.composition @ shares.T, strict=True)
    )
    # what is found as exactly 0 has other errors
    mixed = np.sort(shares, axis=1)[:, 1] > 0.1
    z = []
    for found in s.quantify("pixels"):
        element = found.metadata.Sample.elements[0]
        variance = found.metadata.Signal.Noise_properties.variance.data.ravel()
        errors = (found.data.ravel() - expected[element])[mixed]
        z.append(errors / np.sqrt(variance[mixed]))
    assert 0.7 < np.std(z) < 1.15
    assert 0.92 < (np.abs(z) < 1.96).mean() < 0.985


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


def test_no_phase_of_few_counts_is_lost_in_smooth_maps():
    s = DATASETS["mantle"](shape=(24, 24), counts_per_pixel=5)
    options = {"algorithm": "espm", "output_dimension": 3, "print_info": False}
    s.decomposition(smoothness=100.0, **options)
    maps = s.learning_results.loadings
    assert (maps.max(axis=0) < 5 * maps.mean(axis=0)).all()
    np.testing.assert_allclose(maps.sum(axis=0), s.analysis_results().counts)


def test_smoothness_that_makes_no_sense(eds):
    for smoothness in ("much", -1.0, np.nan):
        with pytest.raises(ValueError, match="`smoothness`"):
            eds.decomposition(
                algorithm="espm", output_dimension=2, smoothness=smoothness
            )
