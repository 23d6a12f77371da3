"""How far components may be mixed before the counts object."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from espm_hs.factorization import Counts, Problem, fit_loadings, mixing_ranges
from espm_hs.factorization.uncertainty.ambiguity import LEAST, MOST, PRECISION, RISE

N_CHANNELS = 40


def peaks(n_columns, seed=0):
    """Return a matrix of spectra that overlap little, like lines of elements."""
    rng = np.random.default_rng(seed)
    centres = np.linspace(3, N_CHANNELS - 4, n_columns)
    e = np.arange(N_CHANNELS)[:, None]
    G = np.exp(-0.5 * ((e - centres) / 1.5) ** 2) + 1e-3
    return G * rng.uniform(0.5, 2, n_columns) / G.sum(axis=0)


def poisson(G, W, H, seed=0):
    rng = np.random.default_rng(seed)
    return Counts.from_array(rng.poisson(H @ (G @ W).T).astype(np.uint16))


def lowest(counts, D, n_iter=3000):
    """Return the likelihood term with H at its minimum, by plain EM."""
    X = counts.to_csr().toarray()
    H = np.full((len(X), D.shape[1]), X.sum(axis=1, keepdims=True) / D.shape[1])
    for _ in range(n_iter):
        H *= (X / np.maximum(H @ D.T, 1e-300)) @ D / D.sum(axis=0)
    y = H @ D.T
    return float((y - X * np.log(np.maximum(y, 1e-300))).sum())


# the first has what the second lacks, and the second what the first lacks
W = np.array([[0.6, 0.0], [0.4, 0.3], [0.0, 0.7]])
# the last two have the same elements
BOTH = np.array([[0.6, 0.2], [0.4, 0.3], [0.0, 0.5]])


def fit(W, shares, counts_per_pixel=2000, seed=0):
    G = peaks(3)
    H = shares * counts_per_pixel / (G @ W).sum(axis=0)
    counts = poisson(G, W, H, seed)
    return counts, Problem(N_CHANNELS, 2, G=G), H


def mixtures(least, n=200, seed=0):
    """Return shares of which that of the second is at least so much."""
    rng = np.random.default_rng(seed)
    share = least + (1 - least) * rng.random(n)
    share[:2] = 1.0
    return np.stack([1 - share, share], axis=1)


def test_pure_pixels_and_elements_of_their_own_leave_no_room():
    shares = mixtures(0.0)
    shares[:20], shares[20:40] = [1, 0], [0, 1]
    counts, problem, H = fit(W, shares)
    assert mixing_ranges(counts, problem, W, H).max() < 0.02


def test_the_purest_pixel_limits_what_may_be_lacking():
    """W_0' = (1 - a) W_0 + a W_1 takes a / (1 - a) of each h_0 from h_1."""
    counts, problem, H = fit(W, mixtures(0.4), counts_per_pixel=20000)
    a = mixing_ranges(counts, problem, W, H)[1, 0, 1]
    ratio = (H[:, 1] / np.maximum(H[:, 0], 1e-300)).min()
    assert a == pytest.approx(ratio / (1 + ratio), rel=0.05)


def test_the_first_element_that_runs_out_limits_what_may_be_taken_away():
    W = BOTH[:, ::-1]
    counts, problem, H = fit(W, mixtures(0.2), counts_per_pixel=20000)
    b = mixing_ranges(counts, problem, W, H)[0, 0, 1]
    # 0.2 / 0.6 of the first element
    assert b == pytest.approx(1 / 3, rel=0.05)


def test_at_the_end_of_the_range_the_likelihood_is_2_nats_worse():
    counts, problem, H = fit(W, mixtures(0.3), counts_per_pixel=300)
    a = mixing_ranges(counts, problem, W, H)[1, 0, 1]
    D = problem.spectra(W)
    before = lowest(counts, D)

    def rise(share):
        moved = D.copy()
        moved[:, 0] = (1 - share) * D[:, 0] + share * D[:, 1]
        return lowest(counts, moved) - before

    assert LEAST < a < MOST
    assert rise(a) <= RISE + 0.01
    assert rise(a * (1 + PRECISION)) >= RISE - 0.01


# the same examples each time: where many entries run out, this does not bound the rise
@settings(max_examples=15, derandomize=True)
@given(
    seed=st.integers(0, 1000),
    dose=st.sampled_from([30, 300, 3000]),
    least=st.floats(0.0, 0.6),
)
def test_mixtures_within_the_range_are_no_worse(seed, dose, least):
    """Away and towards: the likelihood of both ends, with H and W_i fitted anew."""
    counts, problem, H = fit(BOTH, mixtures(least, n=60, seed=seed), dose, seed)
    away, towards = mixing_ranges(counts, problem, BOTH, H)
    assert ((away >= 0) & (away <= MOST)).all()
    assert ((towards >= 0) & (towards <= MOST)).all()
    assert (np.diagonal(away) == 0).all()
    assert (np.diagonal(towards) == 0).all()
    before = lowest(counts, problem.spectra(BOTH))
    for i, j in ((0, 1), (1, 0)):
        moved = BOTH.copy()
        moved[:, i] -= away[i, j] * BOTH[:, j]
        rise = lowest(counts, problem.spectra(np.maximum(moved, 0.0))) - before
        # entries that ran out are refitted there, which this does not do
        assert rise < 2 * RISE
        moved = BOTH.copy()
        moved[:, i] += towards[i, j] / (1 - towards[i, j]) * BOTH[:, j]
        assert lowest(counts, problem.spectra(moved)) - before < RISE + 0.05


def test_units_and_threads_change_nothing():
    counts, problem, H = fit(BOTH, mixtures(0.4))
    usual = mixing_ranges(counts, problem, BOTH, H)
    again = mixing_ranges(counts, problem, BOTH, H, n_jobs=2)
    np.testing.assert_array_equal(again, usual)
    unit = np.array([3.0, 0.2])
    free = Problem(N_CHANNELS, 2, G=problem.G, simplex=None)
    scaled = mixing_ranges(counts, free, BOTH * unit, H / unit)
    np.testing.assert_allclose(scaled, usual)


def test_shares_of_pixels_become_shares_of_atoms():
    """A pixel of the second has three times the atoms of one of the first."""
    G = peaks(3)
    W = BOTH * [1000.0, 3000.0]
    shares = mixtures(0.4)
    counts = poisson(G, W, shares)
    even = Problem(N_CHANNELS, 2, G=G, simplex="abundances")
    atoms = Problem(N_CHANNELS, 2, G=G)
    found = mixing_ranges(counts, even, W, shares)
    usual = mixing_ranges(counts, atoms, BOTH, shares * [1000.0, 3000.0])
    # that they add up to 1 says more: ranges are narrower, up to the precision
    assert (found <= usual * (1 + 2 * PRECISION) + LEAST).all()
    H = fit_loadings(counts, even, W)
    np.testing.assert_allclose(H.sum(axis=1), 1)
    a = found[1, 0, 1]
    assert a > 0.1
    # a of the atoms is less of the thickness
    thickness = a / (a + 3 * (1 - a))
    rest = H[:, 1] - thickness / (1 - thickness) * H[:, 0]
    assert rest.min() > -0.1


def test_what_is_given_stays():
    fixed = np.full((3, 2), np.nan)
    fixed[2, 0] = 0.0
    counts, problem, H = fit(BOTH, mixtures(0.4))
    assert mixing_ranges(counts, problem, BOTH, H)[1, 0, 1] > 0.1
    held = Problem(N_CHANNELS, 2, G=problem.G, fixed=fixed)
    ranges = mixing_ranges(counts, held, BOTH, H)
    assert (ranges[:, 0] == 0).all()
    assert ranges[0, 1, 0] == pytest.approx(1 / 3, rel=0.1)


def test_components_without_simplex_rows_are_not_mixed():
    rows = np.array([True, True, False])
    W = np.array([[0.6, 0.0], [0.4, 0.0], [0.3, 1.0]])
    G = peaks(3)
    H = mixtures(0.4) * 2000
    counts = poisson(G, W, H)
    problem = Problem(N_CHANNELS, 2, G=G, simplex_rows=rows)
    assert (mixing_ranges(counts, problem, W, H) == 0).all()
