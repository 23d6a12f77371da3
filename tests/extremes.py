"""Random problems at the edges of what is possible, and what must hold of any result.

`CHOICES` lists what is drawn; `draw` makes the data. Used by test_extremes.py and, for
an hour, by test_soak.py.
"""

import warnings
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
from conftest import roughness
from scipy.optimize import minimize
from sklearn.exceptions import ConvergenceWarning

from espm_hs import EspmNMF
from espm_hs.factorization import (
    Counts,
    Grid,
    Penalties,
    Problem,
    abundance_covariance,
    composition_covariance,
    factorize,
    fit_loadings,
    fit_maps,
    mixing_ranges,
)
from espm_hs.factorization.counts.rows import LARGEST
from espm_hs.factorization.kernels.pixel_updates import MODEL_FLOOR

BEND = 0.01
N_COLUMNS = 6

CHOICES = {
    "shape": [(1,), (5,), (2, 1), (4, 3), (7, 6)],
    "n_channels": [1, 2, 30],
    "k": [1, 2, 3, 5, 8],
    "dose": [0.5, 20.0, 3000.0],
    # what counts are multiplied with, and whether they have noise at all
    "scale": [1.0, 1e-6, 1e-3, 0.3, 1e3, 1e9],
    "noisy": [True, True, False],
    "dtype": ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8"],
    "holes": [None, "pixels", "channels", "nearly all"],
    "columns": [
        "usual",
        "none",
        "twins",
        "zero",
        "nearly collinear",
        "huge range",
        "lines",
        "each",
    ],
    "simplex": ["elements", "abundances", None],
    "fixed": [None, None, "zero", "part", "all"],
    "support": [None, None, "some", "nowhere"],
    "free_rows": [False, True],
    "sparsity": [0.0, 0.0, 0.01, 1.0, 1000.0],
    "smoothness": [0.0, 0.0, 1e-3, 3.0, 1e6],
    "init": ["nndsvd", "pure", "clusters", "random", "arrays", "zeros"],
    "solver": ["auto", "mu", "newton"],
    "seed": list(range(1000)),
}


def any_options(rng) -> dict:
    """Draw one of each of the choices."""
    return {name: some[rng.integers(len(some))] for name, some in CHOICES.items()}


def draw(**options) -> SimpleNamespace:
    """Counts, problem and start of a choice of options; None where all is zero."""
    o = SimpleNamespace(**options)
    rng = np.random.default_rng(o.seed)
    n_pixels = int(np.prod(o.shape))
    G = _columns(o.columns, o.n_channels, o.k, rng)
    n_columns = o.n_channels if G is None else N_COLUMNS
    X = _counts(o, G, n_pixels, n_columns, rng)
    if not X.any():
        return None
    fixed = _fixed(o.fixed, n_columns, o.k)
    problem = Problem(
        o.n_channels,
        o.k,
        G=G,
        simplex=o.simplex,
        simplex_rows=_rows(o.free_rows and o.fixed != "all", n_columns),
        fixed=fixed,
        support=_support(o.support, n_pixels, o.k, rng),
        penalties=Penalties(o.sparsity, o.smoothness),
        grid=Grid.from_shape(o.shape),
    )
    init = o.init
    if init in ("arrays", "zeros"):
        W, H = rng.random((n_columns, o.k)), rng.random((n_pixels, o.k))
        if init == "zeros":
            W[rng.random(W.shape) < 0.5] = 0.0
            H[rng.random(H.shape) < 0.5] = 0.0
            W[rng.integers(n_columns)] = 1.0
            H[rng.integers(n_pixels)] = 1.0
        init = W, H
    counts = Counts.from_array(X)
    return SimpleNamespace(X=X, counts=counts, problem=problem, init=init, options=o)


def _columns(kind, n_channels, k, rng):
    """Known matrix of a kind."""
    if kind == "none":
        return None
    G = 0.02 + 5 * rng.random((n_channels, N_COLUMNS)) ** 6
    if kind == "twins":
        G[:, 1] = G[:, 0]
        G[:, 3] = 7.0 * G[:, 2]
    elif kind == "zero":
        G[:, [0, 4]] = 0.0
    elif kind == "nearly collinear":
        G[:, 1:4] = G[:, :1] * (1 + 1e-9 * rng.random((n_channels, 3)))
    elif kind == "huge range":
        G *= 10.0 ** np.array([-12, 12, 0, -6, 6, 0])
    elif kind == "lines":  # a column for each few channels, and channels without
        G *= np.arange(n_channels)[:, None] % (N_COLUMNS + 1) == np.arange(N_COLUMNS)
        G[0, 0] = 1.0
    elif kind == "each":
        G = np.stack([G * rng.uniform(0.5, 1.5, G.shape) for _ in range(k)])
    return G


def _counts(o, G, n_pixels, n_columns, rng):
    """Counts of the type asked for, as many as the type can hold."""
    W = rng.dirichlet(np.full(n_columns, 0.6), o.k).T
    D = Problem(o.n_channels, o.k, G=G).spectra(W)
    total = D.sum(axis=0)
    D = np.where(total > 0, D / np.where(total > 0, total, 1.0), 1 / o.n_channels)
    X = o.dose * rng.dirichlet(np.full(o.k, 0.5), n_pixels) @ D.T
    X = rng.poisson(X).astype(float) if o.noisy else X
    if o.holes == "pixels":
        X[rng.random(n_pixels) < 0.5] = 0.0
    elif o.holes == "channels":
        X[:, rng.random(o.n_channels) < 0.5] = 0.0
    elif o.holes == "nearly all":
        X *= np.arange(X.size).reshape(X.shape) == np.argmax(X)
    dtype = np.dtype(o.dtype)
    integer = dtype.kind in "iu"
    most = float(np.iinfo(dtype).max if integer else np.finfo(dtype).max)
    X *= max(o.scale, 1.0) if integer else o.scale
    X = np.minimum(X, 0.99 * min(most, LARGEST))
    return (np.rint(X) if integer else X).astype(dtype)


def _fixed(kind, n_columns, k):
    if kind is None or n_columns < 3:
        return None
    fixed = np.full((n_columns, k), np.nan)
    fixed[1, 0] = 0.0
    if kind == "part":
        fixed[:3:2, -1] = 0.3, 0.2
    elif kind == "all":
        fixed[:] = 0.0
        fixed[:3] = np.array([[0.25], [0.0], [0.75]])
    return fixed


def _rows(free, n_columns):
    return np.arange(n_columns) < n_columns - 2 if free and n_columns > 5 else None


def _support(kind, n_pixels, k, rng):
    if kind is None or k == 1:
        return None
    support = rng.random((n_pixels, k)) < 0.6
    if kind == "nowhere":
        support[:, -1] = False
    support[:, 0] |= ~support.any(axis=1)
    return support


def check_fit(case):
    """Factorise, and check the result against what was asked for; return it."""
    o, history = case.options, []
    found = factorize(
        case.counts,
        case.problem,
        solver=o.solver,
        init=case.init,
        n_init=1 + o.seed % 2,
        max_iter=60,
        tol=0 if o.seed % 3 else 1e-4,
        check_every=1 + 9 * (o.seed % 2),
        random_state=o.seed,
        callback=lambda n, F: history.append(F),
    )
    check_composition(case, found.W)
    check_abundances(case, found.H)
    check_falls(case, found.history)
    check_objective(case, found.W, found.H, found.objective)
    assert np.isfinite(history).all()
    return found


def check_maps(case, W):
    """Find abundances for a W, with the penalties and without."""
    history = []
    H, F = fit_maps(
        case.counts, case.problem, W, callback=lambda n, F: history.append(F)
    )
    check_abundances(case, H)
    check_falls(case, [*history, F])
    check_objective(case, W, H, F)
    bare = replace(case.problem, penalties=Penalties())
    plain = SimpleNamespace(**(vars(case) | {"problem": bare}))
    if bare.simplex == "abundances":  # a sum of 1 means something
        W = W * case.counts.dose / max(bare.spectra(W).sum(axis=0).max(), 1e-300)
    for H in (fit_maps(case.counts, bare, W)[0], fit_loadings(case.counts, bare, W)):
        check_abundances(plain, H)
        check_lowest(plain, W, H)


def check_lowest(case, W, H):
    """No pixel can have a much lower F, which is convex, by Frank and Wolfe's bound."""
    X, D = case.X.astype(float), case.problem.spectra(W)
    counts = X.sum(axis=1)
    scale = 1.0
    if case.problem.simplex != "abundances":
        scale = np.maximum(D.sum(axis=0), np.finfo(float).tiny)
    D, H = D / scale, H * scale
    Y = H @ D.T + MODEL_FLOOR * counts.mean() / X.shape[1]
    slope = D.sum(axis=0) - (X / Y) @ D
    support = case.problem.support
    allowed = slope if support is None else np.where(support, slope, np.inf)
    gap = (H * slope).sum(axis=1) - H.sum(axis=1) * allowed.min(axis=1)
    unit = min(1.0, X[X > 0].mean())
    limit = 1e-3 * unit + 1e-4 * counts
    for p in np.flatnonzero((counts > 0) & (gap > limit)):
        may = np.isfinite(allowed[p])
        floor = MODEL_FLOOR * counts.mean() / X.shape[1]
        assert above_minimum(X[p], D[:, may], H[p, may], floor) <= limit[p]


def above_minimum(x, D, h, floor):
    """How much F of a pixel can fall at most, from another point than h.

    The bound is the sharper the nearer that is to the minimum.
    """
    total, on = h.sum(), x > 0

    def F(h):
        return D.sum(axis=0) @ h - x[on] @ np.log(D[on] @ h + floor)

    def slope(h):
        return D.sum(axis=0) - (x[on] / (D[on] @ h + floor)) @ D[on]

    found = minimize(
        F, np.full(h.size, total / h.size), jac=slope, method="SLSQP",
        bounds=[(0, total)] * h.size, options={"ftol": 1e-15, "maxiter": 1000},
        constraints={"type": "eq", "fun": lambda h: h.sum() - total},
    )  # fmt: skip
    lowest = np.maximum(found.x, 0.0)
    lowest *= total / lowest.sum()
    gap = lowest @ slope(lowest) - total * slope(lowest).min()
    return F(h) - F(lowest) + gap


def check_errors(case, W, H):
    """Errors and ranges are finite, and within what they can be."""
    counts, problem = case.counts, case.problem
    covariance, pull = composition_covariance(counts, problem, W, H)
    check_covariance(covariance)
    assert np.isfinite(pull).all()
    assert (pull <= W * (1 + 1e-9)).all()
    if problem.fixed is not None:
        given = np.isfinite(problem.fixed).T
        variance = np.diagonal(covariance, axis1=1, axis2=2)
        assert not variance[given].any()
    D = problem.spectra(W)
    sparsity = problem.penalties.sparsity
    check_covariance(abundance_covariance(counts, D, H, sparsity=sparsity))
    ranges = mixing_ranges(counts, problem, W, H)
    assert (ranges >= 0).all()
    assert (ranges <= 1).all()


def check_covariance(covariance):
    """Matrices (n, m, m) are finite, symmetric and positive semi-definite."""
    assert np.isfinite(covariance).all()
    largest = np.abs(covariance).max(axis=(1, 2), initial=0)
    difference = np.abs(covariance - covariance.transpose(0, 2, 1)).max(axis=(1, 2))
    assert (difference <= 1e-9 * largest).all()
    assert (np.linalg.eigvalsh(covariance)[:, 0] >= -1e-5 * largest).all()


def check_estimator(case):
    """EspmNMF on the same problem: components and loadings that make the model."""
    o, problem = case.options, case.problem
    nmf = EspmNMF(
        o.k,
        problem.G,
        simplex=o.simplex,
        simplex_rows=problem.simplex_rows,
        fixed=problem.fixed,
        sparsity=o.sparsity,
        smoothness=o.smoothness,
        navigation_shape=o.shape,
        solver=o.solver,
        init=case.init,
        max_iter=30,
        random_state=o.seed,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        loadings = nmf.fit_transform(case.X)
    everywhere = replace(problem, support=None)
    case = SimpleNamespace(**(vars(case) | {"problem": everywhere}))
    check_composition(case, nmf.W_)
    check_falls(case, nmf.objective_history_)
    for H in (loadings, nmf.transform(case.X)):
        check_abundances(case, H)
        assert np.isfinite(nmf.inverse_transform(H)).all()


def rounding(case) -> float:
    """Size of the numbers that F is the difference of."""
    x = case.counts.values.astype(float)
    terms = x * (1 + np.abs(np.log(x)) + abs(np.log(case.counts.dose)) + 40)
    n = case.counts.n_pixels * case.problem.n_components
    return float(terms.sum() + 10 * n * case.problem.penalties.sparsity)


def plain_objective(case, W, H) -> float:
    """F with dense arrays, from its definition."""
    X, problem = case.X.astype(float), case.problem
    D = problem.spectra(W)
    Y, dose = H @ D.T, X.sum() / len(X)
    x = X[X > 0]
    y = Y[X > 0] + MODEL_FLOOR * dose / X.shape[1]
    F = Y.sum() + (x * np.log(x / y) - x).sum()
    on_simplex = problem.simplex == "abundances"
    part = H if on_simplex else H * D.sum(axis=0)
    whole = part.sum(axis=1)
    share = part[whole > 0] / whole[whole > 0, None]
    penalty = np.log1p(share / BEND).sum() - np.log1p(1 / BEND) * len(share)
    F += problem.penalties.sparsity * penalty
    if problem.penalties.smoothness > 0:
        unit = 1.0 if on_simplex else dose
        rough = roughness(problem.grid, part / unit)
        F += 0.5 * problem.penalties.smoothness * dose * rough
    return float(F)


def check_composition(case, W):
    """W is finite and keeps the constraints."""
    problem = case.problem
    assert np.isfinite(W).all()
    assert W.min() >= 0
    whole = W[problem.rows_on_simplex].sum(axis=0)
    if problem.simplex == "elements":
        assert np.abs(whole[whole > 0] - 1).max(initial=0) < 1e-10
    elif problem.simplex is None:
        sums = problem.spectra(W).sum(axis=0)
        np.testing.assert_allclose(sums[sums > 0], 1, atol=1e-10)
    if problem.fixed is not None:
        kept = np.isfinite(problem.fixed)
        is_fixed = np.where(kept, problem.fixed * whole, W)
        np.testing.assert_allclose(W, is_fixed, atol=1e-10 * max(1, whole.max()))


def check_abundances(case, H):
    """H is finite and keeps the constraints."""
    problem = case.problem
    assert H.shape == (case.counts.n_pixels, problem.n_components)
    assert np.isfinite(H).all()
    assert H.min() >= 0
    if problem.simplex == "abundances":
        np.testing.assert_allclose(H.sum(axis=1), 1, atol=1e-10)
    if problem.support is not None:
        assert not H[~problem.support].any()


def check_falls(case, history):
    """F never rises."""
    assert np.isfinite(history).all()
    rise = np.diff(history).max(initial=0)
    assert rise <= 1e-13 * rounding(case) + 1e-11 * np.abs(history).max(initial=0)


def check_objective(case, W, H, F):
    """F is what the definition says of W and H."""
    expected = plain_objective(case, W, H)
    assert abs(F - expected) <= 1e-11 * rounding(case) + 1e-9 * abs(expected)
