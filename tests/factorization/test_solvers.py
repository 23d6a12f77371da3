"""The solvers against plain mathematics and against a general optimiser."""

import numpy as np
import pytest
from conftest import make_problem, roughness
from scipy.optimize import minimize

from espm_hs.factorization import Counts, Grid, Penalties, Problem, factorize
from espm_hs.factorization.counts import counts as counts_module
from espm_hs.factorization.executors.threads import Passes
from espm_hs.factorization.solvers.initialization import assigned, starting_spectra

BEND = 0.01


def plain_objective(x, X, G, k, sparsity, on_simplex):
    """F of the free numbers x and its gradient, with dense arrays and no tricks.

    G has shape (k, channels, columns). The scale between W and H is left open; the
    abundances of a pixel are divided by their sum ``on_simplex``.
    """
    n_columns = G.shape[-1]
    W = x[: n_columns * k].reshape(n_columns, k)
    raw = x[n_columns * k :].reshape(-1, k)
    whole = raw.sum(axis=1, keepdims=True) if on_simplex else 1.0
    H = raw / whole
    D = np.stack([G[j] @ W[:, j] for j in range(k)], axis=1)
    Y = H @ D.T + 1e-14
    F = Y.sum() - (X * np.log(Y)).sum()
    slope = 1 - X / Y
    dH, dD = slope @ D, slope.T @ H
    scale = np.ones(k) if on_simplex else D.sum(axis=0)
    part = H * scale
    S = np.maximum(part.sum(axis=1, keepdims=True), 1e-300)
    F += sparsity * (np.log1p(part / (BEND * S)).sum() - np.log1p(1 / BEND) * len(S))
    reach = 1 / (part + BEND * S)
    dpart = sparsity * (reach + BEND * reach.sum(axis=1, keepdims=True) - k / S)
    dH += dpart * scale
    if not on_simplex:
        dD += (dpart * H).sum(axis=0)
    dW = np.stack([G[j].T @ dD[:, j] for j in range(k)], axis=1)
    if on_simplex:
        dH = (dH - (dH * H).sum(axis=1, keepdims=True)) / whole
    return F, np.concatenate((dW.ravel(), dH.ravel()))


def random_problem(seed):
    """Counts, Problem and dense G of a small random problem without smoothness."""
    rng = np.random.default_rng(seed)
    k = int(rng.integers(1, 4))
    data = make_problem(seed, (6, 5), 24, 4, k, rng.choice([3.0, 30.0, 300.0]))
    G = data.G
    if seed % 3 == 0:  # a matrix of its own for each component
        G = np.stack([G * rng.uniform(0.5, 1.5, G.shape) for _ in range(k)])
    problem = Problem(
        24,
        k,
        G=G,
        simplex=("elements", "abundances", None)[seed % 4 % 3],
        penalties=Penalties(float(rng.choice([0.0, 0.0, 0.3, 2.0]))),
    )
    counts = Counts.from_array(data.X[data.X.sum(axis=1) > 0])
    return counts, problem, np.broadcast_to(G, (k, 24, 4))


@pytest.mark.parametrize("seed", range(50))
def test_a_general_optimiser_finds_nothing_lower(seed):
    counts, problem, G = random_problem(seed)
    X = counts.to_csr().toarray()
    k, s = problem.n_components, problem.penalties.sparsity
    on_simplex = problem.simplex == "abundances"
    found = factorize(
        counts,
        problem,
        solver="newton",
        init="random",
        random_state=seed,
        max_iter=3000,
        tol=1e-7,
    )
    assert found.converged
    x = np.concatenate((found.W.ravel(), found.H.ravel()))
    arguments = (X, G, k, s, on_simplex)
    F, _ = plain_objective(x, *arguments)
    saturated = (X * np.log(np.maximum(X, 1)) - X).sum()
    assert F + saturated == pytest.approx(found.objective, abs=1e-6)
    # a general optimiser goes on from there, all numbers free and inside
    inside = x + 1e-9 * np.abs(x).max()
    best = minimize(
        plain_objective,
        inside,
        arguments,
        jac=True,
        bounds=[(0, None)] * x.size,
        options={"maxiter": 500, "ftol": 1e-15, "gtol": 1e-12},
    )
    assert best.fun >= F - 1e-4


@pytest.mark.parametrize("seed", range(6))
def test_solvers_agree_where_there_is_one_optimum(seed):
    """One component, or known spectra: F is convex."""
    counts, problem, _ = random_problem(4 * seed)
    one = Problem(24, 1, G=np.array(problem.G if problem.G.ndim == 2 else problem.G[0]))
    results = [
        factorize(counts, one, solver=name, max_iter=20_000, tol=1e-9).objective
        for name in ("mu", "newton")
    ]
    assert results[0] == pytest.approx(results[1], rel=1e-7)


def test_newton_ends_lower_and_sooner(small):
    counts = Counts.from_array(small.X)
    problem = Problem(60, 3, G=small.G)
    options = {"tol": 1e-6, "random_state": 1}
    newton = factorize(counts, problem, solver="newton", max_iter=400, **options)
    slow = factorize(counts, problem, solver="mu", max_iter=400, **options)
    assert newton.converged
    assert newton.objective < slow.objective


@pytest.mark.kernels
@pytest.mark.parametrize("simplex", ["elements", "abundances"])
@pytest.mark.parametrize("sparsity", [0.0, 1.0])
def test_pixels_are_solved_exactly(small, simplex, sparsity):
    problem = Problem(60, 3, G=small.G, simplex=simplex, penalties=Penalties(sparsity))
    counts = Counts.from_array(small.X)
    W = small.W / (small.G @ small.W).sum(axis=0)
    on_simplex = simplex == "abundances"
    if on_simplex:
        W = W * counts.total / counts.n_pixels
    total = 1.0 if on_simplex else counts.per_pixel
    H = np.random.default_rng(0).dirichlet(np.ones(3), 120)
    H *= np.reshape(total, (-1, 1))
    with Passes(counts, problem, 1) as passes:
        before = passes.run(W, H, n_steps=0, with_loss=True)[1]
        after = passes.solve_pixels(W, H)[1]
        same = passes.run(W, H.copy(), n_steps=0, with_loss=True)[1]
    assert after < before
    assert after == pytest.approx(same, rel=1e-12)
    np.testing.assert_allclose(H.sum(axis=1), total, rtol=1e-12)
    D = small.G @ W
    slope = D.sum(axis=0) - (small.X / np.maximum(H @ D.T, 1e-300)) @ D
    share = H / np.reshape(total, (-1, 1))
    slope += sparsity / (share + BEND) / np.reshape(total, (-1, 1))
    # equal slopes where there is something, no lower ones where there is nothing
    least = (slope * share).sum(axis=1, keepdims=True)
    scale = np.abs(slope).max()
    assert np.abs((slope - least)[share > 1e-9]).max() < 1e-4 * scale
    assert (slope - least)[share <= 1e-9].min(initial=0) > -1e-4 * scale


@pytest.mark.parametrize("simplex", ["elements", "abundances"])
def test_curvature_is_the_derivative_of_the_profiled_gradient(small, simplex):
    problem = Problem(60, 3, G=small.G, simplex=simplex, penalties=Penalties(0.5))
    counts = Counts.from_array(small.X)
    found = factorize(
        counts, problem, solver="newton", random_state=0, max_iter=40, tol=0
    )
    scale = 1.0 if simplex == "abundances" else problem.spectra(found.W).sum(axis=0)
    V, H = found.W / scale, found.H * scale
    step = 1e-6 * V * np.random.default_rng(0).normal(size=V.shape)
    if simplex == "elements":
        step -= V * (problem.spectra(step).sum(axis=0))
    with Passes(counts, problem, 1) as passes:
        sides = []
        for sign in (-1, 1):
            near = H.copy()
            A, _, _ = passes.solve_pixels(V + sign * step, near)
            sides.append((A, near.sum(axis=0)))
        dA, dH_sum = passes.curvature(V, H, step)
    numeric = [(after - before) / 2 for before, after in zip(*sides, strict=True)]
    np.testing.assert_allclose(dA, numeric[0], atol=2e-3 * np.abs(dA).max())
    np.testing.assert_allclose(dH_sum, numeric[1], atol=2e-3 * np.abs(dH_sum).max())


def test_newton_on_threads_gives_the_same_bits(small, monkeypatch):
    monkeypatch.setattr(counts_module, "BLOCK_NONZEROS", 200)
    monkeypatch.setattr(counts_module, "SMALL_NONZEROS", 200)
    counts = Counts.from_array(small.X)
    problem = Problem(60, 3, G=small.G, penalties=Penalties(0.3))
    results = [
        factorize(counts, problem, solver="newton", tol=1e-6, random_state=5, n_jobs=n)
        for n in (1, 2, 3)
    ]
    for other in results[1:]:
        np.testing.assert_array_equal(results[0].W, other.W)
        np.testing.assert_array_equal(results[0].H, other.H)
        np.testing.assert_array_equal(results[0].history, other.history)


def test_smoothness_takes_the_multiplicative_updates(small):
    """They are what "newton" falls back to where pixels are tied together."""
    counts = Counts.from_array(small.X)
    problem = Problem(
        60, 3, G=small.G, penalties=Penalties(0, 1.0), grid=Grid.from_shape((12, 10))
    )
    one, other = (
        factorize(counts, problem, solver=name, max_iter=60, random_state=0)
        for name in ("mu", "newton")
    )
    np.testing.assert_array_equal(one.W, other.W)


def test_starts_that_agree_are_counted():
    data = make_problem(11, (20, 20), 60, 5, 2, 500)
    found = factorize(
        Counts.from_array(data.X),
        Problem(60, 2, G=data.G),
        init="random",
        n_init=5,
        tol=1e-7,
        random_state=0,
    )
    assert len(found.objectives) == 5
    assert found.objectives[0] == found.objective
    assert list(found.objectives) == sorted(found.objectives)
    assert found.n_agreeing == 5


def test_counts_below_one_are_solved_as_well(small):
    """The length of the steps rests on the smallest count."""
    X = small.X * 0.01
    found = factorize(
        Counts.from_array(X), Problem(60, 3, G=small.G), tol=1e-8, max_iter=3000
    )
    assert found.converged
    assert np.diff(found.history).max() <= 0


@pytest.mark.kernels
@pytest.mark.parametrize("simplex", ["elements", "abundances"])
@pytest.mark.parametrize("sparsity", [0.0, 0.5])
def test_dense_counts_are_fitted_as_sparse_ones(monkeypatch, simplex, sparsity):
    data = make_problem(counts=400)
    assert (data.X > 0).mean() > 0.5
    problem = Problem(
        60, 3, G=data.G, simplex=simplex, penalties=Penalties(sparsity, 0.0)
    )
    V = data.W / (data.G @ data.W).sum(axis=0)
    found = []
    for share in (0.0, 2.0):
        monkeypatch.setattr(counts_module, "DENSE", share)
        counts = Counts.from_array(data.X)
        assert (counts.table is not None) == (share == 0.0)
        H = np.full((120, 3), 1 / 3 if simplex == "abundances" else counts.dose / 3)
        with Passes(counts, problem, 1) as passes:
            found.append((*passes.run(V, H, n_steps=3, with_loss=True), H))
    for dense, sparse in zip(*found, strict=True):
        np.testing.assert_allclose(dense, sparse, rtol=1e-12)


def test_bad_solver(small):
    with pytest.raises(ValueError, match=r"`solver` must be 'auto', .* got 'lbfgs'"):
        factorize(Counts.from_array(small.X), Problem(60, 3, G=small.G), solver="lbfgs")


@pytest.mark.parametrize("with_G", [True, False])
@pytest.mark.parametrize("init", ["pure", "clusters", "clusters 4"])
def test_a_start_finds_pure_pixels(init, with_G):
    data = make_problem(5, (40, 40), 60, 5, 3, 500)
    problem = Problem(60, 3, G=data.G if with_G else None)
    rng = np.random.default_rng(0)
    D = starting_spectra(Counts.from_array(data.X), problem, init, rng)
    truth = data.G @ data.W
    cosine = D.T @ truth
    cosine /= np.linalg.norm(D, axis=0)[:, None] * np.linalg.norm(truth, axis=0)
    assert (cosine.max(axis=1) > 0.97).all()
    assert sorted(cosine.argmax(axis=1)) == [0, 1, 2]


@pytest.mark.parametrize("init", ["pure", "nndsvd", "clusters"])
def test_named_starts_with_more_components_than_pixels(init):
    X = np.random.default_rng(0).poisson(3.0, (3, 20))
    found = factorize(Counts.from_array(X), Problem(20, 5), init=init, random_state=0)
    assert np.isfinite(found.objective)


def test_smoothness_weighs_neighbours_by_their_distance():
    grid = Grid.from_shape((3, 4), scales=(2.0, 0.5))
    H = np.random.default_rng(0).random((12, 2))
    maps = H.reshape(3, 4, 2)
    rows, columns = ((np.diff(maps, axis=axis) ** 2).sum() for axis in (0, 1))
    assert roughness(grid, H) == pytest.approx(rows / 4 + columns * 4)
    assert roughness(Grid.from_shape((3, 4), scales=(7, 7)), H) == pytest.approx(
        roughness(Grid.from_shape((3, 4)), H)
    )


def test_smoothness_on_long_pixels_falls_and_evens_out_the_short_way():
    data = make_problem(1)
    counts = Counts.from_array(data.X)

    def fit(scales):
        grid = Grid.from_shape((12, 10), scales=scales)
        problem = Problem(60, 3, G=data.G, penalties=Penalties(0, 3.0), grid=grid)
        return factorize(counts, problem, max_iter=200, tol=0, random_state=0)

    rough = []
    for scales in ((1.0, 1.0), (1.0, 10.0)):
        found = fit(scales)
        assert np.diff(found.history).max() <= 1e-9 * counts.total
        maps = found.H.reshape(12, 10, 3)
        rough.append([(np.diff(maps, axis=axis) ** 2).sum() for axis in (0, 1)])
    assert rough[1][0] < rough[0][0]
    assert rough[1][1] > rough[0][1]


def test_auto_is_newton_without_penalties_alone(small):
    counts = Counts.from_array(small.X)
    for sparsity, name in ((0.0, "newton"), (0.5, "mu")):
        problem = Problem(60, 3, G=small.G, penalties=Penalties(sparsity))
        chosen, named = (
            factorize(counts, problem, solver=solver, max_iter=30, random_state=0)
            for solver in ("auto", name)
        )
        np.testing.assert_array_equal(chosen.history, named.history)


@pytest.mark.parametrize("known", ["fixed", "ties"])
def test_starts_go_to_the_components_that_they_suit(known):
    data = make_problem(3)
    D = data.G @ data.W
    D /= D.sum(axis=0)
    fixed, ties = None, None
    if known == "fixed":
        fixed = np.full((5, 3), np.nan)
        fixed[:, 0] = data.W[:, 2]
    else:
        ties = np.stack([np.eye(5)] * 3)
        i, j = np.argsort(-data.W[:, 2])[:2]
        ties[0, j, i], ties[0, j, j] = data.W[j, 2] / data.W[i, 2], 0.0
    problem = Problem(60, 3, G=data.G, fixed=fixed, ties=ties)
    for order in ([0, 1, 2], [2, 0, 1], [1, 2, 0]):
        np.testing.assert_array_equal(assigned(problem, D[:, order])[:, 0], D[:, 2])


def test_no_order_of_starts_without_knowledge(small):
    D = small.G @ small.W
    assert assigned(Problem(60, 3, G=small.G), D) is D


def test_newton_respects_the_support(small):
    """The optimum of a fit in which components may not be everywhere."""
    support = np.random.default_rng(0).random((120, 3)) < 0.7
    support[:, 0] |= ~support.any(axis=1)
    problem = Problem(60, 3, G=small.G, support=support)
    counts = Counts.from_array(small.X)
    start = (small.W, None)
    newton = factorize(counts, problem, solver="newton", init=start, tol=1e-8)
    slow = factorize(
        counts, problem, solver="mu", init=start, tol=1e-9, max_iter=20_000
    )
    assert newton.converged
    assert (newton.H[~support] == 0).all()
    assert newton.objective == pytest.approx(slow.objective, abs=1e-2)
    everywhere = factorize(
        counts, Problem(60, 3, G=small.G), solver="newton", init=start, tol=1e-8
    )
    assert everywhere.objective < newton.objective - 10
