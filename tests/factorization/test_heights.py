"""Places in which the height of the spectra is open: one W, several matrices."""

from dataclasses import replace

import numpy as np
import pytest

from espm_hs.factorization import Counts, Grid, Penalties, Problem, factorize, joined
from espm_hs.factorization.problem import sums_in_places

SHARED, OWN, K = 4, 2, 2


def two_maps(seed=0, n_pixels=(120, 80), n_channels=(40, 30)):
    """Counts of two maps with matrices of their own, and the stack of these."""
    rng = np.random.default_rng(seed)
    W = rng.dirichlet(np.full(SHARED, 0.5), K).T
    maps, parts = [], []
    for pixels, channels in zip(n_pixels, n_channels, strict=True):
        G = 0.02 + rng.random((channels, SHARED + OWN)) ** 4
        own = rng.random((OWN, K)) * 0.5
        D = G @ np.vstack([W, own])
        H = rng.dirichlet(np.full(K, 0.4), pixels) * rng.uniform(5, 30) / D.sum(axis=0)
        maps.append(rng.poisson(200 * H @ D.T / 10).astype(np.uint16))
        parts.append(G)
    return maps, parts, W


def stacked(maps, parts, **options):
    """The problem of both maps, and their counts."""
    n, most = len(maps), max(len(G) for G in parts)
    G = np.zeros((K, n * most, SHARED + n * OWN))
    for i, part in enumerate(parts):
        first = i * most
        G[:, first : first + len(part), :SHARED] = part[:, :SHARED] / n
        own = slice(SHARED + i * OWN, SHARED + (i + 1) * OWN)
        G[:, first : first + len(part), own] = part[:, SHARED:] / n
    number = np.repeat(range(n), [len(x) for x in maps])
    rows = np.arange(G.shape[-1]) < SHARED
    shares = np.full((n, K), 1 / n)
    counts = replace(joined([Counts.from_array(x) for x in maps]), n_channels=most)
    problem = Problem(
        n * most,
        K,
        G=G,
        simplex_rows=rows,
        places=number,
        shares=shares,
        free_scales=True,
        **options,
    )
    return counts.in_places(number, n), problem


def divergence(maps, parts, W, H, number):
    """F as it is defined, of each map with its matrix."""
    total = 0.0
    for i, (X, G) in enumerate(zip(maps, parts, strict=True)):
        own = np.vstack([W[:SHARED], W[SHARED + i * OWN : SHARED + (i + 1) * OWN]])
        Y = H[number == i] @ (G @ own).T
        seen = X > 0
        total += Y.sum() - X.sum() + np.sum(X[seen] * np.log(X[seen] / Y[seen]))
    return total


def plain(maps, parts, W, H, number, n_iter):
    """Multiplicative updates of a W that all maps share, as plain as can be."""
    for _ in range(n_iter):
        pulled, against = np.zeros_like(W), np.zeros_like(W)
        for i, (X, G) in enumerate(zip(maps, parts, strict=True)):
            rows = [*range(SHARED), *range(SHARED + i * OWN, SHARED + (i + 1) * OWN)]
            here = number == i
            D = G @ W[rows]
            H[here] *= (X / (H[here] @ D.T)) @ D / D.sum(axis=0)
            ratio = X / (H[here] @ D.T)
            pulled[rows] += G.T @ (ratio.T @ H[here])
            against[rows] += np.outer(G.sum(axis=0), H[here].sum(axis=0))
        W *= pulled / against
    return W, H


def test_the_optimum_is_that_of_plain_updates():
    maps, parts, _ = two_maps()
    counts, problem = stacked(maps, parts)
    number = problem.places
    found = factorize(counts, problem, random_state=0, tol=1e-9, max_iter=4000)
    assert found.converged
    F = divergence(maps, parts, found.W, found.H, number)
    np.testing.assert_allclose(found.objective, F, rtol=1e-6)
    W, H = plain(maps, parts, found.W.copy(), found.H.copy(), number, 500)
    assert F - divergence(maps, parts, W, H, number) < 1e-2
    np.testing.assert_allclose(
        W[:SHARED] / W[:SHARED].sum(axis=0), found.W[:SHARED], atol=2e-3
    )
    # from elsewhere the plain updates come to the same fractions
    rng = np.random.default_rng(5)
    start = found.W * rng.uniform(0.7, 1.4, found.W.shape)
    W, _ = plain(maps, parts, start, found.H + 0.01, number, 3000)
    np.testing.assert_allclose(
        W[:SHARED] / W[:SHARED].sum(axis=0), found.W[:SHARED], atol=5e-3
    )


@pytest.mark.parametrize("seed", range(4))
def test_no_step_raises_the_objective(seed):
    maps, parts, _ = two_maps(seed)
    counts, problem = stacked(maps, parts, penalties=Penalties(0.5))
    found = factorize(counts, problem, random_state=seed, check_every=1, max_iter=150)
    assert (np.diff(found.history) <= 1e-9 * abs(found.history[0])).all()


def test_heights_are_the_sums_of_spectra():
    maps, parts, _ = two_maps()
    _, problem = stacked(maps, parts)
    W = np.random.default_rng(1).random((problem.n_columns, K))
    D = problem.spectra(W)
    np.testing.assert_allclose(D, (problem.G @ W.T[..., None])[..., 0].T)
    each = 2 * D.reshape(2, -1, K).sum(axis=1)
    np.testing.assert_allclose(problem.heights(W), each)
    A = np.random.default_rng(2).random(D.shape)
    same = replace(problem, free_scales=False)
    np.testing.assert_allclose(problem.project(A), same.project(A))


def test_maps_are_joined_one_after_the_other():
    maps, _, _ = two_maps()
    both = joined([Counts.from_array(x) for x in maps])
    assert (both.n_pixels, both.n_channels) == (200, 40)
    wide = np.pad(maps[1], ((0, 0), (0, 10)))
    np.testing.assert_array_equal(
        both.to_csr().toarray(), np.concatenate([maps[0], wide])
    )


def test_grids_are_joined_without_neighbours_between_them():
    grids = Grid.from_shape((3, 4)), Grid.from_shape((5,)), Grid.from_shape((2, 2))
    both = Grid.joined(grids)
    np.testing.assert_array_equal(both.neighbours[:12], grids[0].neighbours)
    line = both.neighbours[12:17]
    assert (line[:, 2:] == -1).all()
    np.testing.assert_array_equal(line[:, 0], [-1, 12, 13, 14, 15])
    np.testing.assert_array_equal(both.neighbours[17], [-1, 19, -1, 18])
    pixel, column = np.nonzero(both.neighbours >= 0)
    other = both.neighbours[pixel, column]
    assert (both.colours[pixel] != both.colours[other]).all()


def test_sums_in_places_are_those_of_their_pixels():
    H = np.arange(8.0).reshape(4, 2)
    found = sums_in_places(np.array([0, 1, 0, 1]), H, 2)
    np.testing.assert_array_equal(found, [[4, 6], [8, 10]])
