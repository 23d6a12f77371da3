"""Multiplicative updates: monotone, reproducible, and right."""

import numpy as np
import pytest
from conftest import make_problem, roughness
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numba import njit
from scipy.optimize import minimize

from espm_hs.factorization import (
    Counts,
    Grid,
    Penalties,
    Problem,
    abundance_covariance,
    check_options,
    composition_covariance,
    factorize,
    fit_loadings,
    fit_maps,
)
from espm_hs.factorization.counts import counts as counts_module
from espm_hs.factorization.kernels import pixel_updates
from espm_hs.factorization.uncertainty import abundances as abundance_errors
from espm_hs.factorization.uncertainty import composition as uncertainty
from espm_hs.factorization.uncertainty.composition import profiled_information


@njit
def solve_on_simplex(a, b, q, total, h):
    """Call what other kernels call."""
    pixel_updates.solve_on_simplex(a, b, q, total, h)


def plain_objective(X, G, W, H, *, sparsity=0.0, smoothness=0.0, mean=None, shape=None):
    """F written out with dense arrays; H in counts unless ``mean`` is given."""
    Y = H @ (G @ W).T
    with np.errstate(divide="ignore", invalid="ignore"):
        F = np.where(X > 0, X * np.log(X / Y), 0.0).sum() - X.sum() + Y.sum()
    dose = X.sum() / X.shape[0]
    mean = dose if mean is None else mean
    share = H / np.maximum(H.sum(axis=1, keepdims=True), 1e-300)
    F += sparsity * (
        np.log1p(share / 0.01).sum() - np.log(101) * (H.sum(axis=1) > 0).sum()
    )
    if np.any(smoothness):
        maps = H.reshape(*shape, -1) * np.sqrt(smoothness)
        rough = sum((np.diff(maps, axis=axis) ** 2).sum() for axis in range(len(shape)))
        F += 0.5 * dose / mean**2 * rough
    return F


OPTIONS = st.fixed_dictionaries(
    {
        "simplex": st.sampled_from(["elements", "abundances", None]),
        "sparsity": st.sampled_from([0.0, 0.1, 1.0, 10.0]),
        "smoothness": st.sampled_from([0.0, 0.1, 3.0]),
        "alike": st.booleans(),
        "init": st.sampled_from(["nndsvd", "pure", "clusters", "random"]),
        "solver": st.sampled_from(["newton", "mu"]),
        "counts": st.sampled_from([0.5, 5.0, 300.0]),
        "k": st.integers(1, 5),
        "with_G": st.booleans(),
        "fixed": st.sampled_from([None, "zero", "part", "all"]),
        "tied": st.booleans(),
        "located": st.booleans(),
        "free_rows": st.booleans(),
        "seed": st.integers(0, 10_000),
    }
)


def build(options):
    """Counts and Problem of one draw of OPTIONS."""
    o = dict(options)
    data = make_problem(o["seed"], (7, 6), 30, 6, o["k"], o["counts"])
    counts = Counts.from_array(data.X)
    n_columns = 6 if o["with_G"] else 30
    rows = np.arange(n_columns) < n_columns - 2 if o["free_rows"] else None
    fixed = None
    if o["fixed"]:
        fixed = np.full((n_columns, o["k"]), np.nan)
        fixed[1, 0] = 0.0
        if o["fixed"] != "zero":
            fixed[0, -1] = 0.3
            fixed[2, -1] = 0.7 if o["fixed"] == "all" else 0.2
    ties = None
    whole = o["fixed"] == "all" and o["k"] == 1  # which leaves nothing to tie
    if (
        o["tied"] and not whole
    ):  # one element half as frequent as another, in the first component
        ties = np.stack([np.eye(n_columns)] * o["k"])
        ties[0, 5, 3], ties[0, 5, 5] = 0.5, 0.0
    support = None
    if o["located"]:
        support = np.random.default_rng(o["seed"]).random((42, o["k"])) < 0.6
        support[:, 0] |= ~support.any(axis=1)
        support[:1] = True
    smoothness = o["smoothness"]
    if not o["alike"]:  # the first component is smooth, the others less and less
        smoothness = tuple(smoothness * 0.1**j for j in range(o["k"]))
    problem = Problem(
        30,
        o["k"],
        G=data.G if o["with_G"] else None,
        simplex=o["simplex"],
        simplex_rows=rows,
        fixed=fixed,
        ties=ties,
        support=support,
        penalties=Penalties(o["sparsity"], smoothness),
        grid=Grid.from_shape((7, 6)),
    )
    return counts, problem


LOST_COMPONENT = {
    "simplex": "elements",
    "sparsity": 0.0,
    "smoothness": 0.0,
    "alike": True,
    "init": "nndsvd",
    "solver": "newton",
    "counts": 0.5,
    "k": 4,
    "with_G": True,
    "fixed": None,
    "tied": False,
    "located": False,
    "free_rows": False,
    "seed": 0,
}

# The fixed spectrum has none of the channels that a pure pixel has.
NOTHING_SHARED = LOST_COMPONENT | {
    "simplex": None,
    "init": "pure",
    "k": 1,
    "with_G": False,
    "fixed": "all",
    "seed": 240,
}


# Counts in channels that the one component of their pixel does not have.
NOTHING_ALLOWED = NOTHING_SHARED | {
    "simplex": "elements",
    "init": "nndsvd",
    "sparsity": 0.1,
    "k": 2,
    "located": True,
    "seed": 0,
}


@settings(max_examples=60)
@given(options=OPTIONS)
@example(options=NOTHING_ALLOWED)
@example(options=LOST_COMPONENT)
@example(options=NOTHING_SHARED)
def test_objective_never_increases_and_constraints_hold(options):
    counts, problem = build(options)
    if counts.n_nonzeros == 0:
        return
    found = factorize(
        counts,
        problem,
        solver=options["solver"],
        init=options["init"],
        max_iter=60,
        tol=0,
        check_every=1,
        random_state=options["seed"],
    )
    rise = np.diff(found.history).max(initial=0)
    assert rise <= 1e-11 * max(counts.total, abs(found.history).max())
    assert np.isfinite(found.W).all()
    assert np.isfinite(found.H).all()
    assert found.W.min() >= 0
    assert found.H.min() >= 0
    rows = problem.rows_on_simplex
    whole = found.W[rows].sum(axis=0)
    if problem.simplex == "elements":
        assert np.abs(whole[whole > 0] - 1).max(initial=0) < 1e-10
    elif problem.simplex == "abundances":
        np.testing.assert_allclose(found.H.sum(axis=1), 1, atol=1e-10)
    else:
        np.testing.assert_allclose(problem.spectra(found.W).sum(axis=0), 1, atol=1e-10)
    if problem.fixed is not None:
        kept = np.isfinite(problem.fixed)
        is_fixed = np.where(kept, problem.fixed * whole, found.W)
        np.testing.assert_allclose(found.W, is_fixed, atol=1e-10 * max(1, whole.max()))
    if problem.ties is not None:
        np.testing.assert_allclose(found.W[5, 0], 0.5 * found.W[3, 0], rtol=1e-12)
    if options["located"]:
        assert (found.H[~problem.support] == 0).all()


@pytest.mark.parametrize("simplex", ["elements", "abundances", None])
@pytest.mark.parametrize(
    ("sparsity", "smoothness"), [(0, 0), (0.7, 0), (0.4, 1.3), (0.4, (1.3, 0.0, 20.0))]
)
def test_objective_is_the_formula(small, simplex, sparsity, smoothness):
    problem = Problem(
        60,
        small.k,
        G=small.G,
        simplex=simplex,
        penalties=Penalties(sparsity, smoothness),
        grid=Grid.from_shape(small.shape),
    )
    counts = Counts.from_array(small.X)
    found = factorize(counts, problem, max_iter=20, tol=0)
    scale = 1.0 if simplex == "abundances" else problem.spectra(found.W).sum(axis=0)
    expected = plain_objective(
        small.X.astype(float),
        small.G,
        found.W / scale,
        found.H * scale,
        sparsity=sparsity,
        smoothness=smoothness,
        mean=1.0 if simplex == "abundances" else None,
        shape=small.shape,
    )
    assert found.objective == pytest.approx(expected, rel=1e-10)
    assert found.history[-1] == found.objective


@pytest.mark.kernels
def test_one_iteration_against_plain_numpy(small):
    """The fused sparse pass is the textbook update, H first and then W."""
    X = small.X.astype(float)
    rng = np.random.default_rng(3)
    W0 = rng.random(small.W.shape)
    W0 /= (small.G @ W0).sum(axis=0)
    H0 = rng.random(small.H.shape)
    H0 *= X.sum() / H0.sum()
    D = small.G @ W0
    H = H0 * ((X / (H0 @ D.T)) @ D) / D.sum(axis=0)
    A = (X / (H @ D.T)).T @ H
    W = W0 * (small.G.T @ A) / np.outer(small.G.sum(axis=0), H.sum(axis=0))
    W /= (small.G @ W).sum(axis=0)

    problem = Problem(60, small.k, G=small.G, simplex=None)
    counts = Counts.from_array(small.X)
    found = factorize(counts, problem, init=(W0, H0), max_iter=1, tol=0)
    np.testing.assert_allclose(found.H, H, rtol=1e-9)
    np.testing.assert_allclose(found.W, W, rtol=1e-9)


def test_reaches_the_optimum_of_a_general_optimiser():
    """One component, no penalty: convex, so L-BFGS-B must end at the same F."""
    data = make_problem(4, (5, 4), 25, 4, 1, 60)
    X = data.X.astype(float)
    dose = X.sum(axis=1)

    def objective(w):
        y = np.outer(dose, data.G @ w / (data.G @ w).sum())
        return y.sum() - (X * np.log(y)).sum()

    best = minimize(objective, np.ones(4), bounds=[(1e-9, None)] * 4, tol=1e-14)
    saturated = np.where(X > 0, X * np.log(np.maximum(X, 1)), 0).sum() - X.sum()
    found = factorize(
        Counts.from_array(data.X), Problem(25, 1, G=data.G), max_iter=5000, tol=0
    )
    assert found.objective == pytest.approx(best.fun + saturated, rel=1e-9)
    w = best.x / best.x.sum()
    np.testing.assert_allclose(found.W[:, 0], w, atol=1e-4)


def test_smooth_penalised_pixels_against_a_general_optimiser(small):
    """H alone, with every penalty but the concave one: convex in H."""
    shape = (3, 4)
    X = small.X[:12].astype(float)
    D = small.G @ small.W
    D /= D.sum(axis=0)
    dose = X.sum() / 12

    def objective(h):
        H = h.reshape(12, 3)
        y = H @ D.T
        maps = H.reshape(*shape, 3)
        rough = sum((np.diff(maps, axis=axis) ** 2).sum() for axis in (0, 1))
        return y.sum() - (X * np.log(y)).sum() + 0.5 * 2.0 / dose * rough

    start = np.full(36, dose / 3)
    best = minimize(
        objective,
        start,
        bounds=[(1e-9, None)] * 36,
        tol=1e-15,
        options={"maxiter": 5000, "maxfun": 10**6},
    )
    fixed = np.where(small.W > 0, small.W, 0)
    problem = Problem(
        60,
        3,
        G=small.G,
        fixed=fixed / fixed.sum(axis=0),
        penalties=Penalties(0, 2.0),
        grid=Grid.from_shape(shape),
    )
    found = factorize(Counts.from_array(small.X[:12]), problem, max_iter=5000, tol=0)
    saturated = np.where(X > 0, X * np.log(np.maximum(X, 1)), 0).sum() - X.sum()
    assert found.objective <= best.fun + saturated + 1e-4


def test_threads_and_repeats_give_the_same_bits(small, monkeypatch):
    monkeypatch.setattr(counts_module, "BLOCK_NONZEROS", 200)
    monkeypatch.setattr(counts_module, "SMALL_NONZEROS", 200)
    problem = Problem(
        60,
        3,
        G=small.G,
        penalties=Penalties(0.3, 0.5),
        grid=Grid.from_shape(small.shape),
    )
    counts = Counts.from_array(small.X)
    assert counts.blocks.size > 8
    results = [
        factorize(counts, problem, max_iter=30, tol=0, random_state=5, n_jobs=n)
        for n in (1, 2, 4, 4)
    ]
    for other in results[1:]:
        np.testing.assert_array_equal(results[0].W, other.W)
        np.testing.assert_array_equal(results[0].H, other.H)
        np.testing.assert_array_equal(results[0].history, other.history)


@settings(max_examples=15)
@given(seed=st.integers(0, 1000), factor=st.sampled_from([1e-6, 0.5, 1e9]))
def test_unit_of_G_only_scales_the_abundances(seed, factor):
    data = make_problem(seed, (6, 5), 30, 4, 2, 50)
    counts = Counts.from_array(data.X)
    results = [
        factorize(
            counts,
            Problem(30, 2, G=G, penalties=Penalties(0.5)),
            max_iter=20,
            random_state=seed,
        )
        for G in (data.G, factor * data.G)
    ]
    np.testing.assert_allclose(results[1].W, results[0].W, rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(
        factor * results[1].H, results[0].H, rtol=1e-6, atol=1e-9 * results[0].H.max()
    )


@settings(max_examples=15)
@given(seed=st.integers(0, 1000))
def test_order_of_pixels_does_not_matter(seed):
    data = make_problem(seed, (6, 5), 30, 4, 2, 50)
    order = np.random.default_rng(seed).permutation(30)
    W0 = np.random.default_rng(seed + 1).random((4, 2))
    problem = Problem(30, 2, G=data.G, penalties=Penalties(0.3))
    straight, shuffled = (
        factorize(Counts.from_array(X), problem, init=(W0, None), max_iter=15, tol=0)
        for X in (data.X, data.X[order])
    )
    np.testing.assert_allclose(shuffled.W, straight.W, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(
        shuffled.H, straight.H[order], rtol=1e-8, atol=1e-9 * straight.H.max()
    )


def test_finds_the_truth_of_an_easy_map():
    data = make_problem(11, (40, 40), 60, 5, 3, 2000)
    problem = Problem(60, 3, G=data.G, penalties=Penalties(1.0))
    found = factorize(
        Counts.from_array(data.X), problem, init="random", n_init=3, random_state=0
    )
    distance = np.abs(found.W[:, :, None] - data.W[:, None, :]).max(axis=0)
    assert distance.min(axis=0).max() < 0.03


@pytest.mark.parametrize("dose", [0.5, 6.0, 300.0])
def test_sparsity_keeps_the_counts_of_every_pixel(dose):
    data = make_problem(7, counts=dose)
    counts = Counts.from_array(data.X)
    problem = Problem(60, 3, G=data.G, penalties=Penalties(2.0))
    found = factorize(counts, problem, max_iter=300, tol=0, random_state=0)
    in_counts = found.H * problem.spectra(found.W).sum(axis=0)
    assert in_counts.sum() == pytest.approx(counts.total, rel=1e-3)


def test_interrupt_returns_the_best_so_far(small):
    def stop(n_iter, objective):
        if n_iter > 11:
            raise KeyboardInterrupt

    counts = Counts.from_array(small.X)
    problem = Problem(60, 3, G=small.G)
    found = factorize(counts, problem, max_iter=500, tol=0, callback=stop)
    assert found.interrupted
    assert found.n_iter < 500
    assert np.diff(found.history).max() <= 0
    np.testing.assert_allclose(found.W.sum(axis=0), 1)


def test_several_starts_keep_the_best(small):
    counts = Counts.from_array(small.X)
    problem = Problem(60, 3, G=small.G)
    options = {"init": "random", "max_iter": 40, "random_state": 2}
    one = factorize(counts, problem, **options)
    four = factorize(counts, problem, n_init=4, **options)
    assert four.objective <= one.objective


def test_empty_pixels_and_channels_stay_out_of_the_way(small):
    X = small.X.copy()
    X[::4] = 0
    X[:, :7] = 0
    problem = Problem(60, 3, G=small.G, penalties=Penalties(0.5))
    found = factorize(Counts.from_array(X), problem, max_iter=30)
    assert np.isfinite(found.objective)
    assert found.H[::4].max() == 0


def test_loadings_of_known_components_are_exact(small):
    problem = Problem(60, 3, G=small.G)
    counts = Counts.from_array(small.X)
    H = fit_loadings(counts, problem, small.W, max_iter=20_000, tol=1e-12)
    D = small.G @ small.W
    slope = D.sum(axis=0) - (small.X / np.maximum(H @ D.T, 1e-300)) @ D
    assert np.abs(slope * H).max() < 1e-4 * small.X.sum(axis=1).max()
    assert slope[1e-9 * H.max() > H].min(initial=0) > -1e-3 * D.sum(axis=0).max()


@pytest.mark.kernels
def test_simplex_root():
    rng = np.random.default_rng(0)
    for _ in range(200):
        k = rng.integers(1, 8)
        a, b = rng.exponential(size=k), rng.normal(size=k) * 10
        q = rng.choice([0.0, 0.3, 50.0], size=k)
        h = np.full(k, 1.0 / k)
        solve_on_simplex(a, b, q, 1.0, h)
        assert h.sum() == pytest.approx(1, abs=1e-13)
        # the derivative of -a log h + b h + q h**2 / 2 is the same everywhere
        slope = -a / h + b + q * h
        assert np.ptp(slope) < 1e-6 * np.abs(slope).max()


@pytest.mark.kernels
def test_simplex_root_next_to_a_pole():
    """A component almost without counts bounds the multiplier, but gets nothing."""
    a = np.array([3.0, 1.0, 1e-250])
    b = np.array([6.2, 3.6, 1.9])
    h = np.full(3, 1 / 3)
    solve_on_simplex(a, b, np.zeros(3), 1.0, h)
    assert h.sum() == pytest.approx(1)
    assert h[2] < 1e-200
    assert a[0] / h[0] - b[0] == pytest.approx(a[1] / h[1] - b[1])


def test_simplex_root_without_counts_follows_the_neighbours():
    h = np.array([0.0, 0.1, 0.9])
    b = np.array([0.5, 0.17, 1.07])
    solve_on_simplex(np.array([0.0, 0.0, 1.0]), b, np.full(3, 0.26), 1.0, h)
    assert h.sum() == pytest.approx(1)
    slope = np.array([b[0], b[1], b[2] - 1.0 / h[2]]) + 0.26 * h
    assert slope[0] >= slope[1] - 1e-12  # an empty component would cost more
    best = minimize(
        lambda x: -np.log(x[2]) + b @ x + 0.13 * (x @ x),
        [0.3, 0.3, 0.4],
        bounds=[(0, 1)] * 3,
        constraints={"type": "eq", "fun": lambda x: x.sum() - 1},
        tol=1e-12,
    )
    np.testing.assert_allclose(h, best.x, atol=1e-5)


def test_information_against_the_full_hessian():
    data = make_problem(0, (5, 6), 40, 4, 2, 80)
    G, k, n_columns, P = data.G, 2, 4, 30
    X = data.X.astype(float)
    counts = Counts.from_array(data.X)
    found = factorize(counts, Problem(40, 2, G=G), max_iter=200)
    W, H = found.W, found.H
    D, Y = G @ W, H @ (G @ W).T
    n = n_columns * k
    J = np.zeros((P, 40, n + P * k))
    for i in range(k):
        J[:, :, i * n_columns : (i + 1) * n_columns] = H[:, i, None, None] * G
        for p in range(P):
            J[p, :, n + p * k + i] = D[:, i]
    full = np.einsum("pea,pe,peb->ab", J, X / Y**2, J)
    slope = (1 - X / Y) @ G
    width = X.sum() / P / D.sum(axis=0)
    for p in range(P):
        for i in range(k):
            rows, column = slice(i * n_columns, (i + 1) * n_columns), n + p * k + i
            full[rows, column] += slope[p]
            full[column, rows] += slope[p]
            full[column, column] += 1 / width[i] ** 2
    zero = n + np.flatnonzero(H.ravel() <= 1e-7 * np.repeat(H.sum(axis=1), k))
    full[:n, zero] = full[zero, :n] = 0
    schur = full[:n, :n] - full[:n, n:] @ np.linalg.solve(full[n:, n:], full[n:, :n])
    profiled = profiled_information(counts, Problem(40, 2, G=G), W, H)
    np.testing.assert_allclose(profiled, schur, atol=1e-9 * np.abs(schur).max())


def test_standard_errors_match_the_scatter_of_replicates():
    """One component: the error of W is that of a plain Poisson regression."""
    data = make_problem(2, (4, 4), 50, 3, 1, 500)
    rng = np.random.default_rng(0)
    problem = Problem(50, 1, G=data.G)
    found, sigma = [], []
    for _ in range(120):
        counts = Counts.from_array(rng.poisson(data.H @ (data.G @ data.W).T))
        fit = factorize(counts, problem, max_iter=3000, tol=0, check_every=500)
        found.append(fit.W[:, 0])
        cov = composition_covariance(counts, problem, fit.W, fit.H)[0][0]
        sigma.append(np.sqrt(np.diag(cov)))
    ratio = np.std(found, axis=0) / np.mean(sigma, axis=0)
    inner = np.mean(found, axis=0) > 0.05
    assert inner.any()
    assert np.all((ratio[inner] > 0.8) & (ratio[inner] < 1.25))


@pytest.mark.parametrize("max_iter", [5, 500])
def test_errors_stay_within_what_a_fraction_can_be(max_iter):
    """Without sparsity the components of a mixture may turn into each other."""
    data = make_problem(3, (12, 10), 60, 5, 3, 80)
    counts = Counts.from_array(data.X)
    problem = Problem(60, 3, G=data.G)
    found = factorize(counts, problem, max_iter=max_iter, tol=0, random_state=0)
    for covariance in composition_covariance(counts, problem, found.W, found.H)[0]:
        assert np.isfinite(covariance).all()
        assert np.linalg.eigvalsh(covariance).min() > -1e-12
        assert np.sqrt(np.diag(covariance)).max() <= 0.31


def test_convergence_means_that_the_composition_stands_still():
    data = make_problem(2)
    counts = Counts.from_array(data.X)
    problem = Problem(60, 3, G=data.G, penalties=Penalties(1.0))
    options = {"max_iter": 20_000, "random_state": 0}
    loose = factorize(counts, problem, **options)
    strict = factorize(counts, problem, tol=1e-8, **options)
    assert loose.converged
    assert strict.converged
    errors, _ = composition_covariance(counts, problem, loose.W, loose.H)
    sigma = np.sqrt(np.diagonal(errors, axis1=1, axis2=2)).T
    inner = loose.W > 1e-3
    assert np.abs((loose.W - strict.W)[inner] / sigma[inner]).max() < 0.1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"init": "pca"}, "nndsvd"),
        ({"init": (np.zeros((5, 3)), None)}, "all zero"),
        ({"init": (None, np.zeros((120, 3)))}, "all zero"),
        ({"n_jobs": 0}, "n_jobs"),
        ({"tol": "a"}, "tol"),
        ({"init": (np.ones((2, 2)), None)}, "shape"),
        ({"init": (-np.ones((5, 3)), None)}, "non-negative"),
        ({"n_init": 0}, "n_init"),
        ({"max_iter": 0}, "max_iter"),
        ({"tol": -1}, "tol"),
        ({"init": 3}, r"a pair \(W, H\).* got int"),
        ({"init": (None, None, None)}, r"a pair \(W, H\).* got tuple"),
    ],
)
def test_bad_options_of_the_solver(small, changes, message):
    counts = Counts.from_array(small.X)
    with pytest.raises(ValueError, match=message):
        factorize(counts, Problem(60, 3, G=small.G), **changes)


@pytest.mark.parametrize("changes", [{"tol": -1}, {"max_iter": 0}, {"solver": "x"}])
def test_options_are_checked_without_a_problem(changes):
    check_options(tol=1e-3, max_iter=3)
    with pytest.raises(ValueError, match=next(iter(changes))):
        check_options(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"simplex": "rows"}, "simplex"),
        ({"G": np.ones((3, 2))}, "one row per channel"),
        ({"G": -np.ones((60, 2))}, "non-negative"),
        ({"fixed": np.full((5, 2), np.nan)}, "shape"),
        ({"fixed": np.full((5, 3), 0.5)}, "add up to 2.5"),
        ({"fixed": np.full((5, 3), -0.5)}, "negative"),
        ({"fixed": np.full((5, 3), 0.1)}, "add up to 0.5"),
        ({"penalties": Penalties(0, 1.0)}, "neighbours"),
        (
            {"penalties": Penalties(0, (1.0, 2.0)), "grid": Grid.from_shape((12, 10))},
            "or 3 numbers",
        ),
        ({"ties": np.eye(5)}, "`ties` must have shape"),
        ({"ties": -np.ones((3, 5, 5))}, "non-negative"),
        ({"ties": np.ones((3, 5, 5))}, "one column only"),
        ({"support": np.ones((120, 3))}, "boolean"),
        ({"support": np.ones((120, 2), bool)}, "shape"),
        ({"support": np.zeros((120, 3), bool)}, "leave a component"),
    ],
)
def test_bad_problems(small, changes, message):
    with pytest.raises(ValueError, match=message):
        Problem(60, 3, **{"G": small.G, **changes})


@pytest.mark.parametrize("value", [-1, np.nan, np.inf, "much", 1j])
def test_bad_penalties(value):
    with pytest.raises(ValueError, match="sparsity"):
        Penalties(sparsity=value)


def test_fixed_rows_cannot_be_tied(small):
    fixed = np.full((5, 3), np.nan)
    fixed[2, 1] = 0.0
    ties = np.stack([np.eye(5)] * 3)
    ties[1, 3, 2], ties[1, 3, 3] = 2.0, 0.0
    with pytest.raises(ValueError, match="Fixed rows"):
        Problem(60, 3, G=small.G, fixed=fixed, ties=ties)


def test_support_of_other_pixels(small):
    problem = Problem(60, 3, G=small.G, support=np.ones((7, 3), bool))
    with pytest.raises(ValueError, match="120 pixels, `support` has 7"):
        factorize(Counts.from_array(small.X), problem)


@pytest.mark.parametrize("simplex", [None, "abundances"])
@pytest.mark.parametrize("sparsity", [0.0, 0.5])
@pytest.mark.parametrize("smoothness", [0.0, 1e-9])
def test_pixels_with_a_support_are_those_without_the_others(
    small, simplex, sparsity, smoothness
):
    """Leaving components out of a pixel is the same as not having them.

    The weak smoothness makes the multiplicative updates do it.
    """
    used = np.array([[True, True, False], [False, True, True], [True, False, False]])
    which = np.arange(len(small.X)) % 3
    counts = Counts.from_array(small.X)
    options = {"G": small.G, "simplex": simplex}
    # the scale of spectra that simplex "abundances" needs: counts of a pure pixel
    W = small.W * 80 / (small.G @ small.W).sum(axis=0)
    problem = Problem(
        60,
        3,
        support=used[which],
        penalties=Penalties(sparsity, smoothness),
        grid=Grid.from_shape(small.shape),
        **options,
    )
    H, _ = fit_maps(counts, problem, W, max_iter=3000, tol=1e-9)
    assert (H[~used[which]] == 0).all()
    for kind, columns in enumerate(used):
        part = Counts.from_array(small.X[which == kind])
        alone = Problem(60, columns.sum(), penalties=Penalties(sparsity), **options)
        expected, _ = fit_maps(part, alone, W[:, columns])
        np.testing.assert_allclose(
            H[which == kind][:, columns], expected, atol=2e-3 * expected.max()
        )


def test_smoothness_does_not_fill_what_the_support_leaves_out(small):
    support = np.ones((120, 3), bool)
    support[:60, 1] = False
    problem = Problem(
        60,
        3,
        G=small.G,
        support=support,
        penalties=Penalties(1.0, 30.0),
        grid=Grid.from_shape(small.shape),
    )
    counts = Counts.from_array(small.X)
    H, _ = fit_maps(counts, problem, small.W, start=np.ones((120, 3)), max_iter=100)
    assert (H[~support] == 0).all()
    assert (H[support] > 0).mean() > 0.7


def test_errors_of_tied_rows_are_those_of_one_column(monkeypatch):
    """A tie is a column of G that is the sum of two."""
    # the prior is that of each fraction, and of the sum, which is not the same
    monkeypatch.setattr(uncertainty, "SPREAD", 100.0)
    data = make_problem(5, (20, 20), 60, 5, 3, 30_000)
    ratio = 0.5
    ties = np.stack([np.eye(5)] * 3)
    ties[:, 4, 3], ties[:, 4, 4] = ratio, 0.0
    problem = Problem(60, 3, G=data.G, ties=ties, penalties=Penalties(1.0))
    joined = np.stack([*data.G.T[:3], (data.G[:, 3] + ratio * data.G[:, 4]) / 1.5], 1)
    one = Problem(60, 3, G=joined, penalties=Penalties(1.0))
    W = np.vstack([data.W[:3], data.W[3:].sum(axis=0)])
    X = np.random.default_rng(0).poisson(data.H @ one.spectra(W).T)
    counts, H = Counts.from_array(X), data.H
    both = np.vstack([W[:3], W[3] / 1.5, W[3] * ratio / 1.5])
    np.testing.assert_allclose(problem.spectra(both), one.spectra(W))
    errors, pull = composition_covariance(counts, problem, both, H)
    expected, expected_pull = composition_covariance(counts, one, W, H)
    expand = np.zeros((5, 4))
    expand[range(4), range(4)] = 1, 1, 1, 1 / 1.5
    expand[4, 3] = ratio / 1.5
    expected = expand @ expected @ expand.T
    np.testing.assert_allclose(errors, expected, atol=1e-3 * np.abs(expected).max())
    expected_pull = expand @ expected_pull
    np.testing.assert_allclose(
        pull, expected_pull, atol=1e-3 * np.abs(expected_pull).max() + 1e-15
    )


def test_no_counts_at_all(small):
    counts = Counts.from_array(np.zeros((4, 60)))
    with pytest.raises(ValueError, match="nothing to decompose"):
        factorize(counts, Problem(60, 2, G=small.G))


def test_grid_of_a_masked_map():
    used = np.ones((3, 4), bool)
    used[1, 2] = False
    grid = Grid.from_shape((3, 4), used)
    H = np.random.default_rng(0).random((11, 2))
    maps = np.full((3, 4, 2), np.nan)
    maps[used] = H
    rough = sum(np.nansum(np.diff(maps, axis=axis) ** 2) for axis in (0, 1))
    assert roughness(grid, H) == pytest.approx(rough)
    for p, row in enumerate(grid.neighbours):
        for q in row[row >= 0]:
            assert grid.colours[p] != grid.colours[q]
            assert p in grid.neighbours[q]


class TestAbundanceCovariance:
    def test_mean_square_above_the_bound(self):
        """As the integral; of a half normal law and of an exponential one, too."""
        for slope, curvature in ((0.0, 4.0), (0.7, 0.3), (5.0, 0.2), (300.0, 1.0)):
            x = np.linspace(0, 12 / (slope + np.sqrt(curvature)), 200_001)
            weight = np.exp(-slope * x - curvature * x**2 / 2)
            expected = (weight * x**2).sum() / weight.sum()
            found = abundance_errors._mean_square_above(slope, curvature)
            assert found == pytest.approx(expected, rel=3e-3)
        assert abundance_errors._mean_square_above(-1.0, 4.0) == pytest.approx(1 / 4)

    def test_of_pixels_with_and_without_zeros(self, small):
        """The inverse of the information, and a zero that others make up for."""
        counts = Counts.from_array(small.X[:2])
        D, H = small.G @ small.W, np.array(small.H[:2])
        H[1, 2] = 0.0
        found = abundance_covariance(counts, D, H)
        y = H @ D.T
        width = counts.dose / D.sum(axis=0)
        plain = [
            (D.T * (x / mean**2)) @ D + np.diag(1 / width**2)
            for x, mean in zip(small.X, y, strict=False)
        ]
        np.testing.assert_allclose(found[0], np.linalg.inv(plain[0]), rtol=1e-5)
        inner = np.linalg.inv(plain[1][:2, :2])
        move = np.append(-inner @ plain[1][:2, 2], 1.0)
        slope = (D * (1 - small.X[1] / y[1])[:, None]).sum(axis=0)[2]
        square = abundance_errors._mean_square_above(slope, plain[1][2] @ move)
        expected = square * np.outer(move, move)
        expected[:2, :2] += inner
        np.testing.assert_allclose(found[1], expected, rtol=1e-4)


def test_grid_of_some_pixels_is_that_of_their_map():
    rng = np.random.default_rng(0)
    whole = Grid.from_shape((4, 5))
    pixels = rng.random(20) < 0.7
    listed = Grid(whole.weights, arrays=(whole.neighbours, whole.colours))
    found, expected = listed.take(pixels), whole.take(pixels)
    np.testing.assert_array_equal(found.neighbours, expected.neighbours)
    np.testing.assert_array_equal(found.colours, expected.colours)


def test_counts_of_other_channels(small):
    with pytest.raises(ValueError, match="counts have 60 channels, the model has 59"):
        factorize(Counts.from_array(small.X), Problem(59, 3, G=small.G[:59]))


def test_memory_of_counts_is_that_of_their_arrays(small):
    counts = Counts.from_array(small.X)
    expected = counts.indptr.nbytes + counts.channels.nbytes + counts.values.nbytes
    assert counts.nbytes == expected
