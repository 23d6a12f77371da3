"""Sums of channels: what they keep, and that fits may begin with them."""

import numpy as np
import pytest

from espm_hs.factorization import Counts, Penalties, Problem, channel_sums, factorize
from espm_hs.factorization.channel_sums import Sums, alike
from espm_hs.factorization.matching import match_phases


@pytest.fixture(scope="module")
def peaks():
    """Three elements, each with two peaks, and a background: (n_channels, 4)."""
    x = np.arange(300)
    centres = [(40, 180), (60, 200), (75, 260)]
    columns = [
        sum(
            h * np.exp(-(((x - c) / 6) ** 2) / 2)
            for h, c in zip((1, 0.3), pair, strict=True)
        )
        for pair in centres
    ]
    return np.stack([*columns, 0.1 * np.exp(-x / 90)], axis=1)


def information(G, y):
    """Of Poisson counts of mean y on the weights of the columns."""
    return G.T @ (G / y[:, None])


@pytest.mark.parametrize("lost", [0.001, 0.01, 0.1])
def test_no_more_information_is_lost_than_allowed(peaks, lost):
    y = peaks @ [300.0, 100.0, 30.0, 500.0]
    group = alike(peaks, y, lost)
    assert set(np.diff(group)) <= {0, 1}
    n = group[-1] + 1
    G = np.stack([np.bincount(group, column) for column in peaks.T], axis=1)
    whole, left = information(peaks, y), information(G, np.bincount(group, y))
    share = np.trace(np.linalg.solve(whole, whole - left)) / 4
    assert 0.3 * lost < share <= lost
    # and no direction in W loses much more than the mean of them
    kept = np.linalg.eigvals(np.linalg.solve(whole, left)).real
    assert kept.min() > 1 - 4 * lost
    assert n < 100
    # as many sums of equal width lose more
    even = np.arange(300) * n // 300
    G = np.stack([np.bincount(even, column) for column in peaks.T], axis=1)
    worse = whole - information(G, np.bincount(even, y))
    assert np.trace(np.linalg.solve(whole, worse)) / 4 > 2 * share


def test_proportional_channels_are_one():
    """Nothing is lost then, whatever is allowed."""
    rows = np.array([[1.0, 0, 2], [0, 1, 1], [3, 1, 0], [1, 1, 1]])
    which = np.repeat([0, 1, 2, 3, 0], [5, 1, 7, 2, 4])
    heights = np.random.default_rng(0).uniform(0.5, 2, which.size)
    G = heights[:, None] * rows[which]
    group = alike(G, G.sum(axis=1), 1e-9)
    np.testing.assert_array_equal(group, np.repeat(range(5), [5, 1, 7, 2, 4]))


def test_empty_channels_and_columns():
    G = np.zeros((8, 2))
    G[2:5, 0] = [1, 2, 1]
    group = alike(G, G[:, 0])
    assert group.shape == (8,)
    assert set(np.diff(group)) <= {0, 1}


def test_counts_and_columns_are_added_up(peaks, monkeypatch):
    rng = np.random.default_rng(1)
    X = rng.poisson(rng.dirichlet(np.ones(4), 50) * 200 @ peaks.T / peaks.sum())
    counts, problem = Counts.from_array(X), Problem(300, 2, G=peaks)
    assert Sums.suited_to(counts, problem) is None  # they are few
    monkeypatch.setattr(channel_sums, "MANY", 0)
    both = Sums.suited_to(counts, problem)
    sums, of_sums = both.of_counts(counts), both.of_problem(problem)
    assert sums.n_channels == of_sums.n_channels < 150
    np.testing.assert_allclose(of_sums.G.sum(axis=0), peaks.sum(axis=0))
    # which channels are in a sum shows in G
    ends = np.searchsorted(peaks[:, 3].cumsum(), of_sums.G[:, 3].cumsum() - 1e-9) + 1
    first = [0, *ends[:-1]]
    expected = np.add.reduceat(X, first, axis=1)
    np.testing.assert_array_equal(sums.to_csr().toarray(), expected)
    np.testing.assert_allclose(of_sums.G, np.add.reduceat(peaks, first, axis=0))
    # where each component has its own factors of the columns, the channels are the same
    own = np.stack([peaks * [0.9, 1.1, 1, 1], peaks * [1.1, 0.9, 1, 1]])
    again = Sums.suited_to(counts, Problem(300, 2, G=own))
    np.testing.assert_array_equal(again.first, first)
    np.testing.assert_allclose(again.of_matrix(own), np.add.reduceat(own, first, 1))
    assert Sums.suited_to(counts, Problem(300, 2)) is None


@pytest.fixture(scope="module")
def mixed(peaks):
    """Counts of three phases in 400 pixels, and the spectra of these."""
    rng = np.random.default_rng(3)
    W = np.array([[0.8, 0.1, 0.1, 1], [0.1, 0.7, 0.2, 1], [0.2, 0.2, 0.6, 1]]).T
    H = rng.dirichlet(np.full(3, 0.3), 400)
    D = peaks @ W
    D /= D.sum(axis=0)
    X = rng.poisson(500 * H @ D.T)
    return Counts.from_array(X), D


def test_starts_in_sums_come_to_the_optimum_of_all_channels(mixed, peaks, monkeypatch):
    counts, D = mixed
    rows = np.array([True, True, True, False])
    problem = Problem(300, 3, G=peaks, simplex_rows=rows, penalties=Penalties(1.0))
    options = {"n_init": 3, "random_state": 0, "tol": 1e-6, "max_iter": 3000}
    whole = factorize(counts, problem, **options)
    monkeypatch.setattr(channel_sums, "MANY", 0)
    fits = [factorize(counts, problem, n_jobs=n, **options) for n in (1, 2)]
    assert fits[0].n_iter < whole.n_iter
    assert fits[0].objective < whole.objective + 0.5
    off = [match_phases(problem.spectra(one.W), D)[1].max() for one in (whole, fits[0])]
    assert off[1] < off[0] + 0.1
    assert off[1] < 5
    # and threads change no bit
    for name in ("W", "H", "history", "objectives"):
        np.testing.assert_array_equal(*(getattr(fit, name) for fit in fits))
