"""Maps of known phases whose neighbours are alike, and fits of parts of a map."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import make_problem, roughness
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from espm_hs.factorization import (
    Counts,
    Grid,
    Penalties,
    Problem,
    coarse_maps,
    factorize,
    fit_maps,
)
from espm_hs.factorization.counts import counts as counts_module
from espm_hs.factorization.executors.threads import Passes
from espm_hs.factorization.solvers import multi_start as solver_module

BEND = 0.01


def unit_spectra(data):
    W = data.W / (data.G @ data.W).sum(axis=0)
    return W, data.G @ W


def plain_objective(X, H, D, grid, sparsity, smoothness):
    """F with dense arrays; ``smoothness`` of the components, for H as it is."""
    Y = H @ D.T
    with np.errstate(divide="ignore", invalid="ignore"):
        F = Y.sum() + np.where(X > 0, X * np.log(X / Y) - X, 0).sum()
    whole = H.sum(axis=1)
    share = H[whole > 0] / whole[whole > 0, None]
    F += sparsity * (np.log1p(share / BEND).sum() - np.log1p(1 / BEND) * len(share))
    return F + 0.5 * roughness(grid, H * np.sqrt(smoothness))


@given(
    seed=st.integers(0, 10_000),
    sparsity=st.sampled_from([0.0, 0.004, 1.0]),
    smoothness=st.sampled_from([0.01, 1.0, 300.0]),
    alike=st.booleans(),
    simplex=st.sampled_from(["elements", "abundances"]),
    counts=st.sampled_from([0.7, 20, 2000]),
    scale=st.sampled_from([1.0, 0.3]),
)
@settings(max_examples=60)
def test_every_visit_lowers_F(
    seed, sparsity, smoothness, alike, simplex, counts, scale
):
    rng = np.random.default_rng(seed)
    k = int(rng.integers(1, 5))
    strengths = smoothness * np.array([1.0, 0.0, 0.01, 1.0])[:k] ** (not alike)
    data = make_problem(seed, (7, 6), 40, 5, k, counts)
    used = rng.random(42) < 0.8
    X = scale * data.X[used]
    if X.sum() == 0:
        return
    W, _ = unit_spectra(data)
    grid = Grid.from_shape((7, 6), used, scales=(1.0, 1.5))
    problem = Problem(
        40,
        k,
        G=data.G,
        simplex=simplex,
        penalties=Penalties(sparsity, tuple(strengths)),
        grid=grid,
    )
    counted = Counts.from_array(X)
    on_simplex = simplex == "abundances"
    W = W * counted.dose if on_simplex else W
    D = data.G @ W
    H = rng.dirichlet(np.ones(k), used.sum())
    H = H if on_simplex else H * X.sum(axis=1, keepdims=True)
    tie = strengths * counted.dose if on_simplex else strengths / counted.dose
    F = [plain_objective(X, H, D, grid, sparsity, tie)]
    with Passes(counted, problem, 1) as passes:
        for _ in range(15):
            told = passes.smooth_pixels(W, H, with_loss=True)
            F.append(plain_objective(X, H, D, grid, sparsity, tie))
            assert told == pytest.approx(F[-1], rel=1e-7, abs=1e-6)
            assert H.min() >= 0
            if on_simplex:
                np.testing.assert_allclose(H.sum(axis=1), 1, atol=1e-10)
    assert (np.diff(F) <= 1e-9 * (1 + np.abs(F[1:]))).all()


@pytest.mark.parametrize("smoothness", [0.1, 2.0, 100.0, (0.5, 0.0, 30.0)])
def test_against_a_general_optimiser(small, smoothness):
    """Without the concave term the minimum is the only one."""
    shape, X = (3, 4), small.X[:12].astype(float)
    W, D = unit_spectra(small)
    grid = Grid.from_shape(shape)
    counts = Counts.from_array(X)

    def objective(h):
        H = h.reshape(12, 3)
        strengths = np.asarray(smoothness) / counts.dose
        return plain_objective(X, H, D, grid, 0.0, strengths)

    best = minimize(
        objective,
        np.full(36, counts.dose / 3),
        bounds=[(1e-9, None)] * 36,
        tol=1e-15,
        options={"maxiter": 5000, "maxfun": 10**6},
    )
    problem = Problem(60, 3, G=small.G, penalties=Penalties(0.0, smoothness), grid=grid)
    H, F = fit_maps(counts, problem, W, tol=1e-9, max_iter=5000)
    assert best.fun + 1e-5 >= F
    np.testing.assert_allclose(H, best.x.reshape(12, 3), atol=0.02 * counts.dose)


def test_neighbours_fill_an_empty_pixel(small):
    X = small.X.copy()
    X[50] = 0
    W, _ = unit_spectra(small)
    grid = Grid.from_shape(small.shape)
    problem = Problem(60, 3, G=small.G, penalties=Penalties(0.0, 30.0), grid=grid)
    H, _ = fit_maps(Counts.from_array(X), problem, W)
    around = H[grid.neighbours[50]].mean(axis=0)
    assert 0 < H[50].sum() < around.sum()


def test_threads_give_the_same_bits(small, monkeypatch):
    monkeypatch.setattr(counts_module, "SMALL_NONZEROS", 100)
    W, _ = unit_spectra(small)
    problem = Problem(
        60,
        3,
        G=small.G,
        penalties=Penalties(0.1, 3.0),
        grid=Grid.from_shape(small.shape),
    )
    counts = Counts.from_array(small.X)
    assert counts.blocks.size > 4
    found = [fit_maps(counts, problem, W, n_jobs=n) for n in (1, 2, 3)]
    for H, F in found[1:]:
        np.testing.assert_array_equal(H, found[0][0])
        assert found[0][1] == F


def test_parts_of_counts_and_grid(small):
    rng = np.random.default_rng(0)
    pixels = rng.random(small.X.shape[0]) < 0.5
    part = Counts.from_array(small.X).take(pixels)
    np.testing.assert_array_equal(part.to_csr().toarray(), small.X[pixels])
    taken = Grid.from_shape(small.shape, scales=(1, 2)).take(pixels)
    cut = Grid.from_shape(small.shape, pixels, scales=(1, 2))
    np.testing.assert_array_equal(taken.neighbours, cut.neighbours)
    np.testing.assert_array_equal(taken.colours, cut.colours)
    np.testing.assert_array_equal(taken.weights, cut.weights)


class TestStartsComparedOnAPart:
    @pytest.fixture
    def few(self, monkeypatch):
        monkeypatch.setattr(solver_module, "PIXELS_TO_COMPARE", 60)
        monkeypatch.setattr(solver_module, "COUNTS_TO_COMPARE", 1000)

    @pytest.mark.parametrize("simplex", ["elements", "abundances"])
    @pytest.mark.parametrize("sparsity", [0.0, 0.5])
    def test_ends_as_all_of_them_do(self, small, few, simplex, sparsity):
        counts = Counts.from_array(small.X)
        problem = Problem(
            60, 3, G=small.G, simplex=simplex, penalties=Penalties(sparsity)
        )
        options = {"max_iter": 4000, "tol": 1e-6, "random_state": 0}
        found = factorize(counts, problem, n_init=4, **options)
        assert len(found.objectives) == 4
        assert found.H.shape == (120, 3)
        singles = [
            factorize(counts, problem, init=init, **options).objective
            for init in ("nndsvd", "pure")
        ]
        assert found.objective <= min(singles) + 0.5

    def test_a_start_given_as_arrays(self, small, few):
        counts = Counts.from_array(small.X)
        problem = Problem(60, 3, G=small.G, penalties=Penalties(0.5))
        init = small.W, small.H
        found = factorize(counts, problem, init=init, n_init=2, random_state=0)
        alone = factorize(counts, problem, init=init)
        assert found.objective <= alone.objective + 0.5

    def test_smooth_fits_are_compared_without_neighbours(self, small, few):
        counts = Counts.from_array(small.X)
        grid = Grid.from_shape(small.shape)
        problem = Problem(60, 3, G=small.G, penalties=Penalties(0, 1.0), grid=grid)
        found = factorize(counts, problem, n_init=2, max_iter=3000, random_state=0)
        assert found.converged

    def test_interrupted(self, small, few):
        def stop(n_iter, F):
            if n_iter >= 20:
                raise KeyboardInterrupt

        counts = Counts.from_array(small.X)
        problem = Problem(60, 3, G=small.G, penalties=Penalties(0.5))
        found = factorize(counts, problem, n_init=3, callback=stop, random_state=0)
        assert found.interrupted
        assert found.H.shape == (120, 3)
        # better than equal shares of the spectra it came to
        even = np.repeat(counts.per_pixel[:, None] / 3, 3, axis=1)
        D = small.G @ found.W
        share = found.H * D.sum(axis=0)
        np.testing.assert_allclose(share.sum(axis=1), counts.per_pixel, rtol=0.01)
        assert not np.allclose(share, even, rtol=0.05)


@pytest.mark.parametrize("masked", [False, True])
def test_coarse_maps_begin_close_to_smooth_ones(masked):
    shape = (32, 40)
    waves = 1 + np.sin(np.arange(32) / 9)[:, None] * np.cos(np.arange(40) / 11)
    data = make_problem(3, shape, 50, 5, 2, 2.0)
    H = np.stack((waves.ravel(), 2 - waves.ravel()), axis=1)
    W, D = unit_spectra(data)
    used = np.ones(1280, bool)
    if masked:
        used[100:400] = used[7::11] = False
    X = np.random.default_rng(0).poisson(H @ D.T)[used]
    counts, grid = Counts.from_array(X), Grid.from_shape(shape, used)

    def problem(smoothness, **options):
        penalties = Penalties(0.001, smoothness)
        return Problem(50, 2, G=data.G, penalties=penalties, grid=grid, **options)

    even = np.full((used.sum(), 2), counts.dose / 2)
    start = coarse_maps(counts, problem(40.0), W, even)
    best, _ = fit_maps(counts, problem(40.0), W, tol=1e-7)

    def visits(H):
        seen = []
        options = {"start": H, "tol": 1e-5, "callback": lambda n, F: seen.append(n)}
        fit_maps(counts, problem(40.0), W, **options)
        return seen[-1]

    assert visits(start) < 0.7 * visits(even)
    np.testing.assert_allclose(start, best, atol=0.25 * counts.dose)
    # what is not smooth has nothing to gain, shares of a pixel do not add up
    assert coarse_maps(counts, problem(3.9), W, even) is even
    # bins of very smooth maps begin with bins of their own
    flat, _ = fit_maps(counts, problem(300.0), W, tol=1e-7)
    start = coarse_maps(counts, problem(300.0), W, even)
    np.testing.assert_allclose(start, flat, atol=0.1 * counts.dose)
    assert coarse_maps(counts, problem(40.0, simplex="abundances"), W, even) is even
    # where a component may not be, it is not
    support = np.ones((used.sum(), 2), bool)
    support[:50, 0] = False
    kept = coarse_maps(counts, problem(40.0, support=support), W, even)
    assert not kept[:50, 0].any()
    assert kept[50:].all()


def test_a_map_without_its_component_is_left_early():
    shape = (24, 24)
    data = make_problem(4, shape, 50, 5, 3, 2.0)
    W, D = unit_spectra(data)
    across = np.linspace(0, 1, 24)[:, None] * np.ones(24)
    H = 50 * np.stack((across.ravel(), 1 - across.ravel()), axis=1)
    counts = Counts.from_array(np.random.default_rng(0).poisson(H @ D[:, :2].T))
    penalties, grid = Penalties(1.0, 500.0), Grid.from_shape(shape)
    problem = Problem(50, 3, G=data.G, penalties=penalties, grid=grid)
    start = np.column_stack((H, np.full(H.shape[0], 1e-3)))

    def visits(totals, until_lost):
        seen = []
        options = {"totals": np.array(totals), "until_lost": until_lost}
        options["callback"] = lambda n, F: seen.append(n)
        fit_maps(counts, problem, W, start=start, **options)
        return seen[-1]

    there = [*H.sum(axis=0), 0.0]
    missing = [*H.sum(axis=0), 0.2 * H.sum()]
    assert visits(missing, True) < visits(missing, False)
    assert visits(there, True) == visits(there, False)


class TestMapsOfFewCounts:
    """Stripes of a component that is nowhere the larger one, 4 counts per pixel."""

    @pytest.fixture
    def stripes(self):
        rng = np.random.default_rng(0)
        W = rng.dirichlet(np.full(20, 2.0), 2).T
        share = np.where(np.arange(1024) // 32 // 8 % 2 == 0, 0.25, 0.05)
        H = 4.0 * np.stack([1 - share, share], axis=-1)
        return Counts.from_array(rng.poisson(H @ W.T)), W, H

    @pytest.mark.parametrize("smoothness", [30.0, 300.0])
    def test_no_component_wins_everywhere(self, stripes, smoothness):
        counts, W, H = stripes

        def totals(penalties):
            grid = Grid.from_shape((32, 32))
            problem = Problem(20, 2, grid=grid, penalties=penalties)
            found, _ = fit_maps(counts, problem, W, start=2 + 0 * H)
            return found.sum(axis=0) / H.sum(axis=0)

        shared = Penalties(1 / 16)
        assert totals(replace(shared, smoothness=smoothness))[1] < 0.1
        tied = totals(shared.tied(smoothness, 4, 16.0))
        np.testing.assert_allclose(tied, 1, atol=0.2)

    @pytest.mark.parametrize(("factor", "scaled"), [(1.5, True), (3.0, False)])
    def test_maps_are_not_scaled_far(self, stripes, factor, scaled):
        counts, W, H = stripes
        problem = Problem(
            20,
            2,
            grid=Grid.from_shape((32, 32)),
            penalties=Penalties(smoothness=10.0),
        )
        alone, _ = fit_maps(counts, problem, W, start=H)
        totals = alone.sum(axis=0) * [1.0, factor]
        found, _ = fit_maps(counts, problem, W, start=H, totals=totals)
        expected = totals if scaled else alone.sum(axis=0)
        np.testing.assert_allclose(found.sum(axis=0), expected)
