"""Whatever the scale, the type and the shape of a problem: finite, allowed, downhill.

Warnings of numpy are errors here. A few examples are drawn in each run; the tests that
are marked slow draw thousands.
"""

import os
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import make_map, make_problem
from extremes import (
    CHOICES,
    check_covariance,
    check_errors,
    check_estimator,
    check_fit,
    check_lowest,
    check_maps,
    draw,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from espm_hs.factorization import (
    Counts,
    Grid,
    Penalties,
    Problem,
    abundance_covariance,
    composition_covariance,
    factorize,
    fit_maps,
    mixing_ranges,
)
from espm_hs.factorization.executors import Passes

pytestmark = [
    pytest.mark.filterwarnings("error::RuntimeWarning"),
    pytest.mark.kernels,
]
# Without compilation, every example takes a hundred times as long.
COMPILED = os.environ.get("NUMBA_DISABLE_JIT", "0") == "0"
SMALL = {} if COMPILED else {"shape": [(1,), (2, 1), (2, 2)]}


def options(**some):
    """Draw options; ``some`` in the place of the usual choices."""
    choices = CHOICES | some
    return st.fixed_dictionaries(
        {name: st.sampled_from(values) for name, values in choices.items()}
    )


def few(**some):
    """Draw options that few kernels are compiled for: each k and type takes its own."""
    usual = options(k=[3], **SMALL, **some)
    return usual | options(k=[1], dtype=["f8"], **SMALL, **some)


def check_all(o):
    case = draw(**o)
    if case is None:
        return
    found = check_fit(case)
    check_maps(case, found.W)
    if case.problem.G is not None:
        check_errors(case, found.W, found.H)


@settings(max_examples=60)
@given(o=few())
def test_a_few_problems(o):
    check_all(o)


@settings(max_examples=20)
@given(o=few(support=[None]))
def test_a_few_estimators(o):
    case = draw(**o)
    if case is not None:
        check_estimator(case)


USUAL = {
    "shape": (4, 3), "n_channels": 30, "k": 3, "dose": 20.0, "scale": 1.0,
    "noisy": True, "dtype": "f8", "holes": None, "columns": "usual",
    "simplex": "abundances", "fixed": None, "support": None, "free_rows": False,
    "sparsity": 0.0, "smoothness": 0.0, "init": "random", "solver": "auto",
}  # fmt: skip


def test_a_direction_without_an_end():
    """F bends down along it, and no bound or radius is on the way."""
    case = draw(
        **USUAL
        | {"k": 2, "scale": 1e3, "dtype": "i8", "holes": "channels", "columns": "none"}
        | {"fixed": "all", "sparsity": 1000.0, "solver": "newton", "seed": 303}
    )
    check_estimator(case)


def test_components_whose_squares_are_no_numbers():
    check_all(
        USUAL
        | {"shape": (5,), "n_channels": 2, "k": 5, "dose": 0.5, "scale": 1e3}
        | {"dtype": "i4", "holes": "nearly all", "columns": "huge range"}
        | {"fixed": "part", "free_rows": True, "init": "zeros", "solver": "mu"}
        | {"seed": 81}
    )


def test_slopes_whose_squares_are_no_numbers():
    check_all(
        USUAL
        | {"scale": 1e-3, "holes": "nearly all", "columns": "zero", "fixed": "zero"}
        | {"sparsity": 0.01, "seed": 689}
    )


@pytest.mark.slow
@settings(max_examples=5000)
@given(o=options())
def test_many_problems(o):
    check_all(o)


@pytest.mark.slow
@settings(max_examples=2000)
@given(o=options(support=[None]))
def test_many_estimators(o):
    case = draw(**o)
    if case is not None:
        check_estimator(case)


@settings(max_examples=8)
@given(
    kind=st.sampled_from(["u1", "i2", "u4", "i8", "f4", "f8"]),
    scale=st.sampled_from([1e-6, 0.1, 1.0, 1e9]),
    k=st.sampled_from([1, 3]),
    sparsity=st.sampled_from([0.0, 1.0, 1000.0]),
    smoothness=st.sampled_from([0.0, "auto", 1e6]),
    seed=st.integers(0, 99),
)
@pytest.mark.skipif(not COMPILED, reason="a map is too large without compilation")
def test_signals(kind, scale, k, sparsity, smoothness, seed):
    """From a map to percentages without a warning of numpy."""
    s = make_map((4, 3), 200, seed=seed, size=300)
    X = s.data * (scale if kind[0] == "f" else max(scale, 1.0))
    most = np.iinfo(kind).max if kind[0] in "ui" else np.inf
    s.data = np.minimum(X, most).astype(kind)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The fit did not converge")
        s.decomposition(
            algorithm="espm",
            output_dimension=k,
            sparsity=sparsity,
            smoothness=smoothness,
            n_init=1,
            max_iter=20,
            print_info=False,
        )
    for target in ("phases", "pixels"):
        total = sum(one.data for one in s.quantify(target))
        np.testing.assert_allclose(total[np.isfinite(total)], 100)
    assert np.isfinite(s.learning_results.loadings).all()


def plain_case(X, problem):
    return SimpleNamespace(X=X, counts=Counts.from_array(X), problem=problem)


class TestScale:
    """Without penalties a map is the same in any unit."""

    @pytest.fixture
    def known(self):
        data = make_problem(3, (4, 3), 30, 4, 2, 80)
        return data, Problem(30, 2, G=data.G)

    @pytest.mark.parametrize("scale", [2.0**-40, 2.0**-20, 2.0**10, 2.0**30])
    def test_of_maps(self, known, scale):
        data, problem = known
        X = data.H @ (data.G @ data.W).T  # fractions, from far below 1
        H, F = fit_maps(Counts.from_array(X), problem, data.W)
        other, F_scaled = fit_maps(Counts.from_array(scale * X), problem, data.W)
        np.testing.assert_allclose(H, data.H, rtol=1e-4, atol=1e-5 * data.H.max())
        np.testing.assert_allclose(
            other / scale, data.H, rtol=1e-4, atol=1e-5 * data.H.max()
        )
        assert pytest.approx(0, abs=1e-6) == F
        assert F_scaled == pytest.approx(0, abs=1e-6 * max(scale, 1))

    @pytest.mark.parametrize("solver", ["mu", "newton"])
    @pytest.mark.parametrize("scale", [2.0**-40, 2.0**20])
    def test_of_fits(self, known, scale, solver):
        data, problem = known
        # a fit of counts ends when nats do not matter: finer than that, it is the same
        settings = {"solver": solver, "init": (data.W + 0.1, None), "tol": 1e-7}
        one, other = (
            factorize(Counts.from_array(X), problem, max_iter=2000, **settings)
            for X in (data.X, data.X * scale)
        )
        assert one.converged
        assert other.converged
        assert other.objective / scale == pytest.approx(one.objective, abs=1e-2)
        np.testing.assert_allclose(other.W, one.W, atol=2e-3)


@pytest.mark.parametrize("scale", [1e-6, 1e9])
@pytest.mark.parametrize("simplex", ["elements", "abundances"])
def test_maps_of_any_counts_reach_their_minimum(scale, simplex):
    """The smallest count alone says little of how long a step may be."""
    data = make_problem(0, (4, 3), 60, 5, 3, 80)
    X = scale * data.H @ (data.G @ data.W).T
    W = np.random.default_rng(0).dirichlet(np.ones(5), 3).T
    if simplex == "abundances":
        W = W * X.sum() / 12 / (data.G @ W).sum(axis=0)
    case = plain_case(X, Problem(60, 3, G=data.G, simplex=simplex))
    H, _ = fit_maps(case.counts, case.problem, W)
    check_lowest(case, W, H)


@pytest.mark.parametrize("simplex", ["elements", "abundances"])
def test_a_pixel_that_is_solved_stays(simplex):
    """What was left to gain was rounding, and the step it asked for was not small."""
    data = make_problem(7, (4, 3), 20, 4, 2, 6)
    counts = Counts.from_array(data.X)
    W = data.W / (data.G @ data.W).sum(axis=0)
    W = W * counts.dose if simplex == "abundances" else W
    problem = Problem(20, 2, G=data.G, simplex=simplex)
    H = np.full((12, 2), 0.5)
    with Passes(counts, problem, 1) as passes:
        F = [passes.solve_pixels(W, H, n_steps=1)[1] for _ in range(40)]
    assert np.diff(F).max() <= 1e-12 * counts.total


def test_components_that_a_pixel_may_not_hold_do_not_slow_it():
    """Counts in channels that only they have make their curvature enormous."""
    W = np.array([[1.0, 0, 0], [0, 0.5, 0.45], [0, 0.3, 0.32], [0, 0.2, 0.23]])
    X = np.random.default_rng(0).poisson(W @ [0, 4000, 1000], (3, 4))
    support = np.array([[False, True, True]] * 3)
    problem = Problem(4, 3, simplex=None, support=support)
    alone, _ = fit_maps(Counts.from_array(X), problem, W)
    X[:, 0] = 500
    H, _ = fit_maps(Counts.from_array(X), problem, W)
    # counts that nothing explains go to all in proportion
    more = X.sum(axis=1, keepdims=True) / X[:, 1:].sum(axis=1, keepdims=True)
    np.testing.assert_allclose(H, alone * more, rtol=1e-5, atol=1e-3)


def test_counts_that_no_component_has():
    """F is linear: all goes to the component that costs least."""
    X = np.zeros((2, 3))
    X[:, 2], X[1, 0] = 9, 5
    W = np.array([[3.0, 0.5, 2.0], [1.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
    problem = Problem(3, 3, simplex="abundances")
    H, _ = fit_maps(Counts.from_array(X), problem, W)
    np.testing.assert_allclose(H[0], [0, 1, 0])
    # with neighbours it is not linear, but alone a pixel of a smooth map is
    smooth = Problem(
        3, 3, simplex=None, penalties=Penalties(0, 1.0), grid=Grid.from_shape((1,))
    )
    H, _ = fit_maps(Counts.from_array(X[:1]), smooth, W)
    assert H.max() < 1e-9


@pytest.mark.parametrize("init", ["nndsvd", "pure", "clusters"])
def test_starts_of_data_with_fewer_directions_than_components(init):
    X = np.zeros((6, 2), int)
    X[2, 1] = 7
    found = factorize(Counts.from_array(X), Problem(2, 3), init=init, random_state=0)
    assert found.objective == pytest.approx(0, abs=1e-6)


def test_ranges_of_components_that_are_given_as_a_whole():
    """Nothing moves; an empty problem made scipy's nnls end the process."""
    data = make_problem(2, (4, 3), 20, 4, 2, 60)
    fixed = np.repeat(np.array([[0.25], [0.0], [0.75], [0.0]]), 2, axis=1)
    problem = Problem(20, 2, G=data.G, fixed=fixed)
    counts = Counts.from_array(data.X)
    found = factorize(counts, problem, max_iter=10)
    ranges = mixing_ranges(counts, problem, found.W, found.H)
    # one is the other
    assert (ranges[:, [0, 1], [1, 0]] == 0.99).all()


@pytest.mark.parametrize("scale", [1, 10**9])
def test_errors_where_some_is_known_far_better_than_the_rest(scale):
    data = make_problem(2, (4, 3), 20, 6, 2, 60)
    G = data.G * 10.0 ** np.array([-12, 12, 0, -6, 6, 0])
    problem = Problem(20, 2, G=G, penalties=Penalties(1.0))
    counts = Counts.from_array(data.X.astype(np.int64) * scale)
    found = factorize(counts, problem, max_iter=30)
    covariance, pull = composition_covariance(counts, problem, found.W, found.H)
    check_covariance(covariance)
    assert np.sqrt(np.diagonal(covariance, axis1=1, axis2=2)).max() <= 0.31
    assert np.isfinite(pull).all()


def test_errors_of_components_that_make_no_counts():
    data = make_problem(2, (4, 3), 20, 4, 2, 60)
    G = data.G.copy()
    G[:, 3] = 0.0
    rows = np.array([True, True, True, False])
    problem = Problem(20, 2, G=G, simplex_rows=rows)
    counts = Counts.from_array(data.X)
    W, H = data.W * [[1, 0]], data.H * [[1, 0]]
    covariance, pull = composition_covariance(counts, problem, W, H)
    check_covariance(covariance)
    assert np.isfinite(pull).all()
    check_covariance(abundance_covariance(counts, G @ W, H))


def test_errors_where_the_model_is_almost_nothing():
    """Counts over a model of 1e-9 know the abundances of like components too well."""
    problem = Problem(2, 3, G=np.eye(2))
    for seed in range(30):
        rng = np.random.default_rng(seed)
        D = rng.random((2, 3)) * [[1.0], [1e-9]]
        X = rng.poisson(300, (8, 2))
        H = 300 * rng.dirichlet(np.ones(3), 8) * (rng.random((8, 1)) < 0.7)
        counts = Counts.from_array(X)
        check_covariance(abundance_covariance(counts, D, H))
        check_covariance(composition_covariance(counts, problem, D, H)[0])
