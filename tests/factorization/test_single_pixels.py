"""Spectra that make the few counts of single pixels most probable."""

from itertools import product

import numpy as np
import pytest

from espm_hs.factorization import (
    Counts,
    Grid,
    Problem,
    cross_validation,
    factorize,
    fit_maps,
    off_zero,
)
from espm_hs.factorization.single_pixels import (
    Pixels,
    SinglePixels,
    _along_lines,
    first_shares,
)

SHAPE = (32, 32)


def matrix(n_channels=40, n_columns=5, seed=3):
    """Columns of a linear model, each of sum 1."""
    G = np.random.default_rng(seed).dirichlet(np.full(n_channels, 0.3), n_columns).T
    return G + 1e-4


def striped(mean_counts, width=3, share=1.0, seed=0):
    """Stripes that have a share of a second component; counts, problem and truth."""
    G = matrix()
    W = np.array([[0.6, 0.2, 0.1, 0.1, 0.0], [0.1, 0.2, 0.1, 0.1, 0.5]]).T
    stripe = np.zeros(SHAPE)
    stripe[:, np.arange(SHAPE[1]) % (2 * width) >= width] = share
    H = mean_counts * np.stack([1 - stripe, stripe], axis=-1).reshape(-1, 2)
    D = G @ W
    counts = np.random.default_rng(seed).poisson(H @ (D / D.sum(axis=0)).T)
    return Counts.from_array(counts), Problem(len(G), 2, G=G), W


def far(W, true):
    """Largest difference between fractions, in each component."""
    return np.abs(W / W.sum(axis=0) - true / true.sum(axis=0)).max(axis=0)


# -- chains --------------------------------------------------------------------------


@pytest.mark.kernels
@pytest.mark.parametrize("begins", [[1, 0, 0, 0, 0], [1, 0, 1, 0, 0]])
def test_chains_are_summed_over_all_ways(begins):
    rng = np.random.default_rng(1)
    n, c = 5, 3
    b, order, begins = rng.random((n, c)), rng.permutation(n), np.array(begins, bool)
    stays, new, often = rng.random(c), *rng.dirichlet(np.ones(c), 2)
    posterior, moves = np.zeros((n, c)), np.zeros((3, c))
    given = b, order, begins, stays, new, often
    found = _along_lines(*given, np.empty((n, c)), posterior, moves)

    total, known, made = 0.0, np.zeros((n, c)), np.zeros((3, c))
    # at each place a class, and whether that of the place before has gone on
    for way in product(product(range(c), (True, False)), repeat=n):
        chance = 1.0
        for t, (i, same) in enumerate(way):
            before = way[t - 1][0]
            if begins[t]:
                chance *= often[i] * (not same)
            elif same:
                chance *= stays[i] * (i == before)
            else:
                chance *= (1 - stays[before]) * new[i]
            chance *= b[order[t], i]
        total += chance
        for t, (i, same) in enumerate(way):
            known[order[t], i] += chance
            if not begins[t]:
                made[0, i] += chance * same
                made[1, way[t - 1][0]] += chance * (not same)
                made[2, i] += chance * (not same)
    assert found == pytest.approx(np.log(total))
    np.testing.assert_allclose(posterior, known / total)
    np.testing.assert_allclose(moves, made / total, atol=1e-12)


@pytest.mark.parametrize("shape", [(7,), (5, 6), (1, 8), (3, 4, 2)])
def test_lines_hold_each_pair_of_neighbours_once(shape):
    used = np.random.default_rng(0).random(shape) < 0.8
    places = [tuple(place) for place in np.argwhere(used).tolist()]
    pairs = set()
    for order, begins in Grid.from_shape(shape, used.ravel()).lines():
        assert sorted(order) == list(range(len(places)))
        assert begins[0]
        for a, b, begun in zip(order[:-1], order[1:], begins[1:], strict=True):
            if not begun:
                assert (a, b) not in pairs
                pairs |= {(a, b), (b, a)}
    expected = {
        (i, j)
        for i, a in enumerate(places)
        for j, b in enumerate(places)
        if max(abs(x - y) for x, y in zip(a, b, strict=True)) == 1
    }
    assert pairs == expected


def test_classes_begin_with_all_pairs_and_triples():
    shares = first_shares(3)
    np.testing.assert_array_equal(shares[:3], np.eye(3))
    np.testing.assert_allclose(shares.sum(axis=1), 1.0)
    assert len(np.unique(shares, axis=0)) == len(shares) == 3 + 3 * 7 + 3
    assert (first_shares(6) > 0).sum(axis=1).max() == 2


# -- spectra -------------------------------------------------------------------------


def mixed(W, amount=0.4):
    """W, of which the second component has an amount of the first."""
    return W @ np.array([[1.0, amount], [0.0, 1 - amount]])


@pytest.mark.parametrize("seed", range(3))
def test_what_bins_mix_single_pixels_of_few_counts_show_apart(seed):
    counts, problem, W = striped(6, seed=seed)
    single = SinglePixels(counts, Grid.from_shape(SHAPE), 2)
    found, gain, alone = single.fit(problem, mixed(W), 2.0)
    assert far(mixed(W), W)[1] > 0.15
    assert far(found, W).max() < 0.05
    assert gain > 20
    assert alone.all()


@pytest.mark.parametrize("mean_counts", [100, 200])
def test_components_beyond_what_pixels_show_are_not_preferred(mean_counts):
    """The likeliest maps of single pixels prefer them by far: they fit more noise."""
    counts, problem, W = striped(mean_counts)
    beyond = mixed(W, -0.15)
    assert beyond.min() >= 0
    maps = [fit_maps(counts, problem, some)[1] for some in (W, beyond)]
    single = SinglePixels(counts, Grid.from_shape(SHAPE), 2)
    likelihood, alone = single.compare(problem, W)
    more, _ = single.compare(problem, beyond)
    assert maps[0] - maps[1] > 20
    assert more - likelihood < 2
    assert alone.all()
    # of one that lies within what pixels show they think worse
    within, _ = single.compare(problem, mixed(W, 0.3))
    assert likelihood - within > 20
    # classes are as they were
    assert single.compare(problem, W)[0] == likelihood


def test_right_components_stay_right_though_maps_are_noise():
    """The likeliest maps of single pixels drive components apart; these do not."""
    counts, problem, W = striped(6)
    H, _ = fit_maps(counts, problem, W)
    share = H[:, 1] / np.maximum(H.sum(axis=1), 1e-9)
    assert np.mean((share > 0.1) & (share < 0.9)) > 0.2
    alone = factorize(counts, problem, init=(W, off_zero(H)))
    assert far(alone.W, W).max() > 0.1
    single = SinglePixels(counts, Grid.from_shape(SHAPE), 2)
    found, *_ = single.fit(problem, W, 0.0)
    assert far(found, W).max() < 0.05


def test_a_component_that_is_nowhere_alone_stays():
    counts, problem, W = striped(20, share=0.5)
    single = SinglePixels(counts, Grid.from_shape(SHAPE), 2)
    found, gain, alone = single.fit(problem, W, 0.0)
    assert alone.tolist() == [True, False]
    # and there is no other one left from which the first could be told apart
    assert found is W
    assert gain == 0.0


def test_what_is_nowhere_alone_stays_beside_what_is_told_apart():
    G = matrix()
    W = np.array([[6, 2, 1, 1, 0], [1, 2, 1, 1, 5], [0, 0, 5, 5, 0]]).T / 10
    column, row = np.arange(SHAPE[1]) % 6 >= 3, np.arange(SHAPE[0]) % 8 >= 4
    second = np.broadcast_to(column, SHAPE).astype(float)
    third = 0.5 * (row[:, None] & ~column)
    H = np.stack([1 - second - third, second, third], axis=-1).reshape(-1, 3)
    D = G @ W
    counts = np.random.default_rng(0).poisson(12 * H @ (D / D.sum(axis=0)).T)
    problem, grid = Problem(len(G), 3, G=G), Grid.from_shape(SHAPE)
    start = W @ np.array([[1.0, 0.4, 0.0], [0.0, 0.6, 0.0], [0.0, 0.0, 1.0]])
    single = SinglePixels(Counts.from_array(counts), grid, 3)
    found, gain, alone = single.fit(problem, start, 2.0)
    assert alone.tolist() == [True, True, False]
    assert gain > 20
    np.testing.assert_allclose(found[:, 2], W[:, 2])
    assert far(start, W)[1] > 0.15
    assert far(found, W).max() < 0.06


def test_nothing_changes_where_nothing_is_gained():
    counts, problem, W = striped(6, width=16)
    single = SinglePixels(counts, Grid.from_shape(SHAPE), 2)
    found, gain, _ = single.fit(problem, W, 10.0)
    assert gain == 0.0
    assert found is W


def test_what_is_known_stays():
    counts, problem, W = striped(6)
    fixed = np.full(W.shape, np.nan)
    fixed[:, 0] = W[:, 0]
    fixed[1, 1] = W[1, 1]
    problem = Problem(problem.n_channels, 2, G=problem.G, fixed=fixed)
    single = SinglePixels(counts, Grid.from_shape(SHAPE), 2)
    start = mixed(W)
    start[1, 1] = W[1, 1]
    found, *_ = single.fit(problem, start / start.sum(axis=0), 2.0)
    np.testing.assert_allclose(found[:, 0], W[:, 0])
    assert found[1, 1] == pytest.approx(W[1, 1])
    assert far(found, W)[1] < 0.05


def test_strips_of_a_large_map_are_enough(monkeypatch):
    counts, problem, W = striped(12)
    monkeypatch.setattr(cross_validation, "PIXELS_TO_TELL", 512)
    single = SinglePixels(counts, Grid.from_shape(SHAPE), 2)
    assert single.counts.shape[0] == 512
    found, *_ = single.fit(problem, mixed(W), 2.0)
    assert far(found, W).max() < 0.07


def test_strips_of_a_large_map_tell(monkeypatch):
    counts, *_ = striped(12)
    pixels = Pixels(counts, Grid.from_shape(SHAPE), 4)
    assert pixels.to_tell is pixels
    monkeypatch.setattr(cross_validation, "PIXELS_TO_TELL", 512)
    some = pixels.to_tell
    seen = cross_validation.strips(counts.n_pixels)
    assert some.counts.n_pixels == 512
    assert some.binning == 4
    assert np.array_equal(some.counts.spectrum, counts.take(seen).spectrum)
    assert np.array_equal(some.grid.neighbours, pixels.grid.take(seen).neighbours)
