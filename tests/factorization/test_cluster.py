"""Counts and maps on a dask cluster: the same bits as in one process."""

import os
import sys
import warnings

import dask
import dask.array as da
import numpy as np
import pytest
from conftest import make_map

from espm_hs.factorization import (
    Bins,
    Counts,
    Grid,
    Penalties,
    Problem,
    ScatteredCounts,
    channel_sums,
    composition_covariance,
    factorize,
    fit_loadings,
    fit_maps,
    mixing_ranges,
)
from espm_hs.factorization.counts import counts as counts_module
from espm_hs.factorization.counts import distributed as on_cluster
from espm_hs.factorization.counts.distributed import Scattered
from espm_hs.factorization.counts.reading import cluster_client, read_counts
from espm_hs.factorization.executors import passes_over
from espm_hs.factorization.single_pixels import SinglePixels
from espm_hs.factorization.solvers.initialization import even_abundances

distributed = pytest.importorskip("distributed")
pytestmark = pytest.mark.filterwarnings("ignore:The fit did not converge")
SHAPE = (13, 10)


@pytest.fixture(scope="module")
def client():
    """Two processes of one thread, as a user would make them."""
    settings = {"distributed.worker.daemon": False}
    with (
        dask.config.set(settings),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None
        ) as workers,
        distributed.Client(workers) as client,
    ):
        yield client


@pytest.fixture(autouse=True)
def many_small_groups(monkeypatch):
    monkeypatch.setattr(counts_module, "SMALL_NONZEROS", 100)
    monkeypatch.setattr(counts_module, "BLOCK_NONZEROS", 200)
    monkeypatch.setattr(on_cluster, "FEW", 0)
    monkeypatch.setattr(on_cluster, "PER_THREAD", 2)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(5)
    G = 0.02 + 5 * rng.random((60, 5)) ** 6
    W = rng.dirichlet(np.full(5, 0.6), 3).T
    H = rng.dirichlet(np.full(3, 0.5), 130) * 30 / (G @ W).sum(axis=0)
    X = rng.poisson(H @ (G @ W).T).astype(np.uint16).reshape(*SHAPE, 60)
    lazy = da.from_array(X, chunks=(4, 6, 25))
    return lazy, G, W / (G @ W).sum(axis=0)


def both(client, lazy, **masks):
    """Counts here and on the cluster."""
    with dask.config.set(scheduler="sync"):
        here = Counts.from_array(lazy, **masks)
    there = ScatteredCounts.from_array(client, lazy, **masks)
    assert here.blocks.size > 4
    assert len(there.groups) == 4
    return here, there


def test_arithmetic_of_scattered_maps(client):
    rng = np.random.default_rng(0)
    x, y = rng.random((50, 3)), rng.random((50, 3))
    edges = [0, 7, 20, 50]
    a, b = (Scattered.from_array(client, z, edges) for z in (x, y))

    def same(scattered, array):
        assert scattered.shape == array.shape
        np.testing.assert_array_equal(np.asarray(scattered), array)

    vector = np.array([1.0, 2.0, 3.0])
    same(a * vector + b / 2 - 1, x * vector + y / 2 - 1)
    same(np.maximum(a, 0.5 * a.mean(axis=0)), np.maximum(x, 0.5 * x.mean(axis=0)))
    same(np.where(a > b, a, 0.0), np.where(x > y, x, 0.0))
    same(np.clip(np.log(a), -1, 1), np.clip(np.log(x), -1, 1))
    same(a.sum(axis=1)[:, None] / 3 + np.zeros(3), x.sum(axis=1)[:, None] / 3 + 0 * x)
    same(a @ np.eye(3)[:, [2, 0, 1]], x[:, [2, 0, 1]])
    same(a[:, [2, 0]], x[:, [2, 0]])
    same(a[:, 1] * b[:, 2], x[:, 1] * y[:, 2])
    same(y + a, y + x)  # an array of as many pixels
    np.testing.assert_array_equal(a.sum(axis=0), x.sum(axis=0))
    np.testing.assert_array_equal(a[x[:, 0] > 0.5], x[x[:, 0] > 0.5])
    # as `take` brings counts of some pixels here
    assert isinstance(a[x[:, 0] > 0.5], np.ndarray)
    kept, z = a.copy(), x.copy()
    a /= a.sum(axis=1, keepdims=True)
    z /= z.sum(axis=1, keepdims=True)
    a[:, 0] += 2 * a[:, 1]
    z[:, 0] += 2 * z[:, 1]
    same(a, z)
    same(kept, x)
    same(a[3], z[3])
    # what a map is made of is in the memory order that kernels and sums need
    for one in (kept[:, [2, 0, 1]], kept.copy(), y + kept):
        assert all(piece.result().flags.c_contiguous for piece in one.pieces)


def test_sums_over_pixels_have_the_bits_of_numpy(client):
    x = np.random.default_rng(1).lognormal(0, 9, (5000, 3))
    a = Scattered.from_array(client, x, [0, 700, 701, 5000])
    assert (a.sum(axis=0) == x.sum(axis=0)).all()
    assert ((a * x).mean(axis=0) == (x * x).mean(axis=0)).all()
    # dask adds up the sums of the pieces: this is why it is not asked
    assert (a.array.sum(axis=0).compute() != x.sum(axis=0)).any()


def test_maps_come_from_the_cluster_that_holds_them(client):
    x = np.random.default_rng(2).random((9, 2))
    a = Scattered.from_array(client, x, [0, 4, 9])
    with dask.config.set(scheduler="threads"):
        np.testing.assert_array_equal(np.log(a) + 1, np.log(x) + 1)


def test_zero_divided_by_zero_prints_no_warning(client):
    x = np.zeros((9, 2))
    a = Scattered.from_array(client, x, [0, 4, 9])

    def warn(action):
        warnings.simplefilter(action)

    client.run(warn, "error")
    try:
        assert np.isnan(np.asarray(np.log(a / a))).all()
    finally:
        client.run(warn, "default")


def test_counts(client, data):
    lazy, *_ = data
    masks = {"pixels": np.arange(130) % 7 != 2, "channels": np.arange(60) > 3}
    for given in ({}, masks):
        here, there = both(client, lazy, **given)
        for name in ("n_pixels", "n_nonzeros", "total", "saturated", "smallest"):
            assert getattr(here, name) == getattr(there, name)
        for name in ("blocks", "spectrum", "moments", "per_pixel"):
            np.testing.assert_array_equal(getattr(here, name), getattr(there, name))
        wanted = np.arange(here.n_pixels) % 3 == 1
        parts = [counts.take(wanted).to_csr().toarray() for counts in (here, there)]
        np.testing.assert_array_equal(*parts)
        part = there.part(5, 60).result().to_csr().toarray()
        np.testing.assert_array_equal(part, here.part(5, 60).to_csr().toarray())
        labels = 4 * np.arange(here.n_pixels) // here.n_pixels
        sums = [counts.spectra_of(labels, 4) for counts in (here, there)]
        np.testing.assert_array_equal(*sums)


def test_maps_lie_as_the_counts_do(client, data):
    lazy, *_ = data
    _, counts = both(client, lazy)
    x = np.random.default_rng(3).random((130, 2))
    elsewhere = Scattered.from_array(client, x, [0, 5, 130])
    for given in (x, elsewhere, counts.hold(x)):
        held = counts.hold(given)
        assert held.edges == counts.edges
        np.testing.assert_array_equal(held, x)
    rows = [piece.result() for piece in held.rows(3, 90)]
    np.testing.assert_array_equal(np.concatenate(rows), x[3:90])


def test_errors_of_the_data_are_those_of_one_process(client, data):
    lazy, *_ = data
    bad = lazy.astype(float) - (np.arange(60) == 7)
    with pytest.raises(ValueError, match="Negative values"):
        ScatteredCounts.from_array(client, bad)
    with pytest.raises(TypeError, match="complex"):
        ScatteredCounts.from_array(client, lazy.astype(complex))


def test_bins(client, data):
    lazy, *_ = data
    pixels = np.arange(130) % 5 != 1
    here, there = both(client, lazy, pixels=pixels)
    bins = Bins.from_shape(SHAPE, 3, pixels)
    merged = [bins.merge(counts) for counts in (here, there)]
    assert isinstance(merged[1], ScatteredCounts)
    every = np.ones(bins.n_bins, bool)
    tables = [counts.take(every).to_csr().toarray() for counts in merged]
    np.testing.assert_array_equal(*tables)
    H = np.random.default_rng(0).random((bins.n_bins, 3))
    spread = bins.spread(merged[1].hold(H), there.edges)
    np.testing.assert_array_equal(spread, bins.spread(H))


PROBLEMS = {
    "plain": {},
    "sparse": {"penalties": Penalties(0.7)},
    "smooth": {"penalties": Penalties(0.7, 2.0)},
    "unequal": {"penalties": Penalties(0.7, (2.0, 0.0, 30.0))},
    "abundances": {"penalties": Penalties(0.3, 2.0), "simplex": "abundances"},
    "somewhere": {"penalties": Penalties(0.7), "support": (2, 3)},
    "somewhere, smooth": {"penalties": Penalties(0.7, 2.0), "support": (2, 3)},
}


def somewhere(pixels, divisors):
    """Where components may be: the first one everywhere, others in some pixels."""
    number = np.flatnonzero(pixels)[:, None]
    others = number % np.array(divisors) == 0
    return np.hstack([np.ones_like(number, bool), others])


@pytest.mark.parametrize("name", PROBLEMS)
def test_passes(client, data, name):
    lazy, G, W = data
    pixels = np.arange(130) % 11 != 2
    counts = both(client, lazy, pixels=pixels)
    grid = Grid.from_shape(SHAPE, pixels, (1.0, 1.5))
    options = dict(PROBLEMS[name])
    if "support" in options:
        options["support"] = somewhere(pixels, options["support"])
    problem = Problem(60, 3, G=G, grid=grid, **options)
    smooth = problem.penalties.smooth
    results = []
    for one in counts:
        with passes_over(one, problem, 1) as passes:
            H = passes.hold(even_abundances(one, problem))
            found = [*passes.run(W, H), *passes.run(W, H, n_steps=2, with_loss=True)]
            if smooth:
                found.append(passes.smooth_pixels(W, H, with_loss=True))
            else:
                found += passes.solve_pixels(W, H, with_curvature=True)
                found += passes.curvature(W, H, W[:, ::-1])
            results.append([*found, H, passes.n_passes])
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


def test_counts_that_are_dense(client, data):
    _, G, W = data
    rng = np.random.default_rng(0)
    lazy = da.from_array(rng.poisson(3.0, (*SHAPE, 60)), chunks=(5, 10, 60))
    problem = Problem(60, 3, G=G, penalties=Penalties(0.1))
    found = [
        factorize(one, problem, init=(W, None), max_iter=3, n_init=1)
        for one in both(client, lazy)
    ]
    assert found[0].objective == found[1].objective
    np.testing.assert_array_equal(found[0].H, found[1].H)


@pytest.mark.parametrize("solver", ["mu", "newton"])
def test_fits(client, data, solver):
    lazy, G, _ = data
    problem = Problem(60, 3, G=G, penalties=Penalties(0.5 if solver == "mu" else 0.0))
    options = {"solver": solver, "max_iter": 13, "tol": 1e-9, "random_state": 0}
    results = []
    for counts in both(client, lazy):
        found = factorize(counts, problem, init="random", **options)
        W, H = found.W, found.H
        errors = composition_covariance(counts, problem, W, H)
        loadings = fit_loadings(counts, problem, W, max_iter=2)
        smooth = Problem(
            60, 3, G=G, penalties=Penalties(0.5, 1.0), grid=Grid.from_shape(SHAPE)
        )
        maps = fit_maps(counts, smooth, W, start=H, max_iter=4)
        results.append([W, H, found.history, *errors, loadings, *maps])
    assert isinstance(results[1][1], Scattered)
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


def test_starts_in_sums_of_channels(client, data, monkeypatch):
    monkeypatch.setattr(channel_sums, "MANY", 0)
    lazy, G, _ = data
    problem = Problem(60, 3, G=G, penalties=Penalties(0.5))
    options = {"n_init": 2, "max_iter": 13, "random_state": 0}
    fits = [factorize(counts, problem, **options) for counts in both(client, lazy)]
    assert isinstance(fits[1].H, Scattered)
    for name in ("W", "H", "history", "objectives"):
        np.testing.assert_array_equal(*(getattr(fit, name) for fit in fits))


def test_what_is_known_of_components(client, data):
    lazy, G, W = data
    support = somewhere(np.ones(130, bool), (2, 3))
    fixed = np.full(W.shape, np.nan)
    fixed[0, 1] = 0.0
    penalties = Penalties(0.5)
    problem = Problem(60, 3, G=G, fixed=fixed, support=support, penalties=penalties)
    results = []
    for counts in both(client, lazy):
        found = factorize(counts, problem, init="random", max_iter=20, random_state=0)
        again = factorize(counts, problem, init=(W, found.H), max_iter=3)
        mixing = mixing_ranges(counts, problem, again.W, again.H)
        results.append([found.W, found.H, again.W, again.H, again.history, mixing])
    assert isinstance(results[1][1], Scattered)
    assert (np.asarray(results[1][3])[~support] == 0).all()
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


def test_few_counts_come_home(client, data, monkeypatch):
    monkeypatch.setattr(on_cluster, "FEW", 10**6)
    lazy, *_ = data
    counts = read_counts(lazy)
    assert isinstance(counts, Counts)
    assert counts.total == lazy.sum().compute()


def test_only_the_cluster_of_the_user_is_taken(client):
    assert cluster_client() is client
    with dask.config.set(scheduler="threads"):
        assert cluster_client() is None
    with dask.config.set(scheduler=client):
        assert cluster_client() is client
    loaded = sys.modules.pop("distributed")
    try:
        assert cluster_client() is None
    finally:
        sys.modules["distributed"] = loaded


QUIET = {"algorithm": "espm", "print_info": False, "return_info": True}


def test_a_worker_that_dies_changes_nothing(client, monkeypatch):
    s = make_map((12, 10), counts_per_pixel=60)
    lazy = s.as_lazy()
    lazy.data = da.from_array(s.data, chunks=(4, 5, 300))
    options = {"output_dimension": 2, "n_init": 1, "max_iter": 15, "smoothness": 0.3}
    with dask.config.set(scheduler="threads"):
        expected = lazy.decomposition(**QUIET, **options)
        maps = [m.data.compute() for m in lazy.quantify("pixels")]

    from espm_hs import signals

    pids = client.run(os.getpid)
    killed = []

    class Bar:
        """In the place of the progress bar: sees the fit go on."""

        n = 0

        def __init__(self, *args, **kwargs):
            pass

        def set_postfix(self, *args, **kwargs):
            pass

        close = set_description_str = set_postfix

        def update(self, n):
            if not killed and lazy_counts_are_there():
                killed.append(next(iter(pids.values())))
                os.kill(killed[0], 9)

    def lazy_counts_are_there():
        return any(str(key).startswith("_prepared") for key in client.who_has())

    monkeypatch.setattr(signals._masks, "progressbar", Bar)
    found = lazy.decomposition(**QUIET, **options)
    assert killed
    assert found.objective == expected.objective
    for name in ("W", "loadings", "covariance", "pull", "mixing", "fingerprint"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = [m.data.compute() for m in lazy.quantify("pixels")]
    for a, b in zip(again, maps, strict=True):
        np.testing.assert_array_equal(a, b)
    assert killed[0] not in client.run(os.getpid).values()


def test_tasks_that_fail_change_nothing(client, monkeypatch):
    """While the map is read, and in a pass; whatever the workers raise."""
    from espm_hs.factorization.executors import dask as cluster_passes

    s = make_map((6, 5), counts_per_pixel=60)
    lazy = s.as_lazy()
    whole = da.from_array(s.data, chunks=(2, 5, 300))
    options = {"output_dimension": 2, "n_init": 1, "max_iter": 15, "smoothness": 0.3}

    def broken(block, block_info=None):
        if block_info[0]["chunk-location"][0] == 1:
            raise OSError("no such disk")
        return block

    def failing(call, *arguments):
        if call[1].__name__ == "smooth_pixels":
            raise MemoryError("too large")
        return usual(call, *arguments)

    usual = cluster_passes._pass
    before = str(lazy.metadata.as_dictionary())
    lazy.data = whole.map_blocks(broken, dtype=whole.dtype)
    with pytest.raises(OSError, match="no such disk"):
        lazy.decomposition(**QUIET, **options)
    lazy.data = whole
    with monkeypatch.context() as patch:
        patch.setattr(cluster_passes, "_pass", failing)
        with pytest.raises(MemoryError, match="too large"):
            lazy.decomposition(**QUIET, **options)
    assert str(lazy.metadata.as_dictionary()) == before
    assert lazy.learning_results.loadings is None
    # and the cluster is still of use
    assert np.isfinite(lazy.decomposition(**QUIET, **options).loadings).all()


def test_counts_in_places_have_the_same_bits(client):
    rng = np.random.default_rng(3)
    data = rng.poisson(2.0, (*SHAPE, 8))
    place = rng.integers(3, size=data[..., 0].size)
    lazy = da.from_array(data, (5, 4, 8))
    here, there = Counts.from_array(data), ScatteredCounts.from_array(client, lazy)
    apart = here.in_places(place, 3), there.in_places(place, 3)
    assert isinstance(apart[1], ScatteredCounts)
    np.testing.assert_array_equal(apart[0].spectrum, apart[1].spectrum)
    shares = rng.dirichlet(np.ones(3), 2).T
    G = rng.random((2, 24, 5))
    problem = Problem(24, 2, G=G, places=place, shares=shares)
    fits = [factorize(one, problem, max_iter=12, random_state=0) for one in apart]
    assert fits[0].objective == fits[1].objective
    np.testing.assert_array_equal(fits[0].W, fits[1].W)
    errors = [
        composition_covariance(one, problem, fit.W, fit.H)
        for one, fit in zip(apart, fits, strict=True)
    ]
    np.testing.assert_array_equal(errors[0][0], errors[1][0])


def test_single_pixels(client, data):
    lazy, G, W = data
    problem = Problem(len(G), W.shape[1], G=G)
    found = [
        SinglePixels(counts, Grid.from_shape(SHAPE), W.shape[1]).fit(problem, W, 0.0)
        for counts in both(client, lazy)
    ]
    assert np.array_equal(found[0][0], found[1][0])
    assert found[0][1] == found[1][1]
