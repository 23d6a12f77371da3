"""Penalties: those of the package, and one that is defined here alone."""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import config as numba_config
from numba import njit
from numba.core.caching import NullCache
from scipy.optimize import minimize

import espm_hs
from espm_hs.factorization import (
    Counts,
    Grid,
    Penalties,
    Penalty,
    Problem,
    ScatteredCounts,
    Smoothness,
    Sparsity,
    factorize,
    fit_loadings,
    fit_maps,
)
from espm_hs.factorization.executors import passes_over
from espm_hs.factorization.kernels.arguments import (
    no_bound,
    no_quadratic,
    no_slope,
    not_alone,
)
from espm_hs.factorization.kernels.pixel_updates import _bounded

SHAPE = (12, 10)
STARTED = time.time()


class RidgeTerm(NamedTuple):
    strength: float
    target: np.ndarray


@njit
def ridge_value(term, F, H, p, colour):
    for j in range(H.shape[1]):
        F += 0.5 * term.strength * (H[p, j] - term.target[p, j]) ** 2
    return F


@njit
def ridge_quadratic(term, h, H, p, b, q):
    for j in range(h.size):
        b[j] -= term.strength * term.target[p, j]
        q[j] += term.strength


@dataclass(frozen=True, eq=False)
class Ridge(Penalty):
    """``strength / 2 * sum((h - target)**2)``, with target (n_pixels, k)."""

    strength: float
    target: np.ndarray

    Term = RidgeTerm
    value, quadratic = ridge_value, ridge_quadratic

    def term(self, scale):
        return RidgeTerm(self.strength, self.target)

    def take(self, pixels):
        return replace(self, target=self.target[pixels])


class LogTerm(NamedTuple):
    strength: float


@njit
def log_value(term, F, H, p, colour):
    for j in range(H.shape[1]):
        F += term.strength * np.log1p(H[p, j])
    return F


@njit
def log_quadratic(term, h, H, p, b, q):
    """The tangent of a concave function."""
    for j in range(h.size):
        b[j] += term.strength / (1.0 + h[j])


@dataclass(frozen=True)
class Logarithm(Penalty):
    """``strength * sum(log(1 + h))``."""

    strength: float

    Term = LogTerm
    value, quadratic = log_value, log_quadratic

    def term(self, scale):
        return LogTerm(self.strength)


@pytest.fixture(scope="module")
def data():
    """Counts X (120, 60) of three components, with G and W."""
    rng = np.random.default_rng(3)
    G = 0.01 + rng.random((60, 6)) ** 4
    W = rng.dirichlet(np.full(6, 0.5), 3).T
    H = 3.0 * rng.dirichlet(np.full(3, 0.5), 120)
    X = rng.poisson(H @ (G @ W).T)
    return SimpleNamespace(X=X, G=G, W=W)


def ridge(data, strength=0.05):
    rng = np.random.default_rng(0)
    counts = Counts.from_array(data.X)
    return Ridge(strength, counts.dose * rng.random((120, 3)))


def plain_objective(counts, D, H):
    """Divergence of the counts from D H^T, without the help of a kernel."""
    X, Y = counts.to_csr().toarray(), H @ D.T
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.where(X > 0, X * np.log(X / Y), 0.0)
    return float((logs + Y - X).sum())


@pytest.mark.parametrize("kind", ["ridge", "logarithm", "both, and ours"])
def test_one_of_the_user_is_in_the_objective_which_never_rises(data, kind):
    counts, target = Counts.from_array(data.X), ridge(data)
    others = {
        "ridge": (target,),
        "logarithm": (Logarithm(2.0),),
        "both, and ours": (target, Logarithm(2.0)),
    }[kind]
    strengths = (0.3, 0.5) if kind == "both, and ours" else (0.0, 0.0)
    problem = Problem(
        60,
        3,
        G=data.G,
        penalties=Penalties(*strengths, others=others),
        grid=Grid.from_shape(SHAPE),
    )
    found = factorize(counts, problem, max_iter=60, random_state=0)
    history = found.history
    assert (np.diff(history) <= 1e-9 * np.abs(history[0])).all()
    bare = replace(problem, penalties=replace(problem.penalties, others=()))
    difference = 0.0
    D = problem.spectra(found.W)
    scale = D.sum(axis=0)
    H = found.H * scale
    for one in others:
        if isinstance(one, Ridge):
            difference += 0.5 * one.strength * ((H - one.target) ** 2).sum()
        else:
            difference += one.strength * np.log1p(H).sum()
    with passes_over(counts, bare, 1) as passes:
        _, F = passes.run(found.W / scale, H.copy(), n_steps=0, with_loss=True)
    assert found.objective == pytest.approx(F + difference, rel=1e-9)
    if strengths == (0.0, 0.0):
        assert pytest.approx(plain_objective(counts, D / scale, H), rel=1e-6) == F


@pytest.mark.parametrize("fit", ["map", "pixels"])
@pytest.mark.parametrize("kind", [Ridge, Logarithm])
def test_abundances_are_those_of_a_general_optimiser(data, kind, fit):
    counts = Counts.from_array(data.X)
    other = ridge(data) if kind is Ridge else Logarithm(2.0)
    problem = Problem(60, 3, G=data.G, penalties=Penalties(others=(other,)))
    D = data.G @ data.W
    W = data.W / D.sum(axis=0)
    D = D / D.sum(axis=0)
    if fit == "map":
        H, _ = fit_maps(counts, problem, W, tol=1e-9)
    else:
        H = fit_loadings(counts, problem, W, tol=1e-9)
    X = counts.to_csr().toarray()

    def objective(h, p):
        y = D @ h + 1e-12
        value = y.sum() - X[p] @ np.log(y)
        if kind is Ridge:
            return value + 0.5 * other.strength * ((h - other.target[p]) ** 2).sum()
        return value + other.strength * np.log1p(h).sum()

    for p in range(0, 120, 17):
        best = minimize(
            objective,
            H[p] + 0.1,
            args=(p,),
            bounds=[(0, None)] * 3,
            method="L-BFGS-B",
            tol=1e-12,
        )
        assert objective(H[p], p) <= best.fun + 1e-4


def test_a_part_of_the_pixels_takes_its_part_of_the_penalty(data):
    penalties = Penalties(1.0, 2.0, others=(ridge(data),))
    pixels = np.arange(120) % 3 == 0
    part = Problem(
        60, 3, G=data.G, penalties=penalties, grid=Grid.from_shape(SHAPE)
    ).take(pixels)
    np.testing.assert_array_equal(
        part.penalties.others[0].target, penalties.others[0].target[pixels]
    )


def test_threads_and_cluster_see_the_same(data):
    distributed = pytest.importorskip("distributed")
    problem = Problem(
        60, 3, G=data.G, penalties=Penalties(0.3, others=(Logarithm(2.0),))
    )
    X = np.ascontiguousarray(data.X.reshape(*SHAPE, -1))
    import dask.array as da

    here = Counts.from_array(data.X)
    W = data.W / (data.G @ data.W).sum(axis=0)
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None
        ) as workers,
        distributed.Client(workers) as client,
    ):
        lazy = da.from_array(X, chunks=(5, 5, -1))
        there = ScatteredCounts.from_array(client, lazy)
        results = []
        for counts, n_jobs in ((here, 1), (here, 2), (there, 1)):
            with passes_over(counts, problem, n_jobs) as passes:
                H = passes.hold(np.ones((120, 3)))
                A, F = passes.run(W, H, n_steps=3, with_loss=True)
                F_newton = passes.smooth_pixels(W, H, with_loss=True)
                results.append((A, F, F_newton, np.asarray(H)))
    for one in results[1:]:
        for a, b in zip(results[0], one, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12)


def test_derived_penalties_keep_what_they_do_not_know():
    class Mine(Sparsity):
        """A penalty that inherits from one of the package, and is another one."""

    # two of one class among them
    extra = Logarithm(2.0), Logarithm(4.0), Mine(0.5)
    penalties = Penalties(1.0, (0.5, 2.0, 0.0), others=extra)
    assert penalties.separable() == Penalties(1.0, 0.0, others=extra)
    assert replace(penalties, sparsity=3.0).others == extra
    assert penalties.shared(0.25).sparsity == 0.25
    assert penalties.shared(0.25).others == (*extra[:2], Mine(0.125))
    tied = penalties.tied((0.75, 0.75, 0.75), 4)
    assert tied == replace(penalties.shared(0.25), smoothness=(0.75, 0.75, 0.75))
    assert penalties.take(slice(2)) == penalties
    assert penalties.smooth
    assert penalties.acts
    assert not penalties.of_shares
    assert Penalties(1.0).of_shares
    assert not Penalties().acts


def test_wrong_strengths_are_refused():
    with pytest.raises(ValueError, match="`sparsity` must be"):
        Sparsity(-1.0)
    with pytest.raises(ValueError, match="`smoothness` must be"):
        Smoothness((1.0, np.nan))


def test_nothing_of_them_is_kept_on_disk(data):
    """A penalty of a notebook could not be loaded in the next one.

    The index of what is kept for a function would not open anywhere else, and nothing
    would be fitted any more.
    """
    counts = Counts.from_array(data.X)
    grid = Grid.from_shape(SHAPE)
    penalties = Penalties(others=(Logarithm(2.0),))
    problem = Problem(60, 3, G=data.G, penalties=penalties, grid=grid)
    found = factorize(counts, problem, max_iter=3, random_state=0)
    fit_maps(counts, problem, found.W, start=found.H, max_iter=2)
    root = numba_config.CACHE_DIR or Path(espm_hs.__file__).parent
    indices = [one for one in Path(root).rglob("*.nbi") if "espm_hs" in str(one)]
    kept = [one for one in indices if one.stat().st_mtime >= STARTED]
    assert not [one for one in kept if __name__.encode() in one.read_bytes()]
    ours = no_bound, no_quadratic, no_slope, not_alone, _bounded
    assert all(isinstance(one._cache, NullCache) for one in ours)


@given(
    smoothness=st.lists(st.floats(0, 1e6), min_size=1, max_size=4),
    n_alike=st.floats(1, 100),
    factor=st.floats(1, 100),
)
def test_what_is_tied_together_pays_once(smoothness, n_alike, factor):
    penalties = Penalties(1.0)
    tied = penalties.tied(tuple(smoothness), 4, n_alike)
    assert 0 < tied.sparsity <= 1
    assert tied.smoothness == tuple(smoothness)
    # the smoother, the more pixels share; a bin has shared before
    smoother = tuple(factor * one for one in smoothness)
    assert penalties.tied(smoother, 4, n_alike).sparsity <= tied.sparsity
    assert penalties.tied(tuple(smoothness), 4, factor * n_alike).sparsity >= (
        tied.sparsity
    )
    assert penalties.tied(0.0, 4, n_alike) == penalties
