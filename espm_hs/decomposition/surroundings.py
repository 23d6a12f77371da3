"""Where phases lie in a map: in what, on what, and around what."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from espm_hs.factorization import Grid

# A phase lies in another one that takes the place of so much of it where it ends.
SURROUNDED = 0.5
# A phase accompanies another one if it has this share of the counts of a pixel where
# so much of the other one is: more than it gets where grains of both share a pixel.
LEAST_SHARE = 0.3
ALWAYS = 0.9
# A film is everywhere, and varies from place to place by this part at most: this share
# of the places may have less than this part of what there is on average.
UNEVEN, BARE, LEAST_FILM = 0.4, 0.05, 0.2
# What lies on a film has at least this part of what its elements say missing from the
# map of the film where it is, and its edges show that much of what is found there,
# within so many standard errors.
LEAST_MISSING, N_ERRORS = 0.5, 2.0
# Amounts tell how a film varies with them if they vary themselves by so many standard
# errors.
TELLS = 4.0
# Where phases go together everywhere, this part of how they vary tells them apart.
RIDGE = 1e-9
# A particle ends where there is less than this part of what there is on particles. What
# encloses it is there on all sides: in so much of its edge, and in each direction at
# least this part of what there is in the others. For each atom of what it encloses
# there is so many times more of it at the edge than elsewhere. What is so many times
# wider than what lies in it is around it for another reason.
EMPTY, CLOSED, SIDES, AT_EDGE, WIDEST = 0.05, 2 / 3, 0.3, 4.0, 4.0


def surroundings(H: np.ndarray, grid: Grid) -> np.ndarray:
    """Return how much of each phase (row) gives way to another one (column).

    Parameters
    ----------
    H
        Shape (n_pixels, n_phases), in counts.
    grid
        Neighbours of the pixels.

    Returns
    -------
    numpy.ndarray
        Shares of what changes from pixel to pixel, shape (n_phases, n_phases). What is
        outside of the map takes no place.
    """
    # on a cluster, amounts are no array that neighbours could be taken from
    neighbours, H = np.asarray(grid.neighbours), np.asarray(H)
    shares = H / np.maximum(H.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    there = (neighbours >= 0)[..., None]
    less = shares[:, None] - np.where(there, shares[neighbours], 0.0)
    more = np.where(there, np.maximum(-less, 0.0), 0.0)
    less = np.maximum(less, 0.0)
    replaced = np.minimum(less[..., None], more[..., None, :]).sum(axis=(0, 1))
    return replaced / np.maximum(less.sum(axis=(0, 1)), np.finfo(float).tiny)[:, None]


def hosts_of(
    H: np.ndarray, counts: np.ndarray, grid: Grid, held: np.ndarray
) -> np.ndarray:
    """Return which phases (row) others (column) may be everywhere with.

    A host encloses a phase, or is most of what lies around it, or a film that is
    everywhere: what lies between two others has no reason to hold one of them.

    Parameters
    ----------
    H, counts
        Loadings in atoms and in counts, shape (n_pixels, n_phases).
    grid
        Neighbours of the pixels.
    held
        Atoms of each phase (column) that an atom of each other one (row) may have.
    """
    H = np.asarray(H)
    films = films_of(H @ (np.eye(len(held)) + held), grid)
    enclosed = enclosed_in(np.where(films, 0.0, H), grid)
    return enclosed | (surroundings(counts, grid) > SURROUNDED) | films


def films_of(H: np.ndarray, grid: Grid) -> np.ndarray:
    """Return which phases are everywhere, in places of nothing else.

    Parameters
    ----------
    H
        Shape (n_pixels, n_phases), in atoms.
    grid
        Neighbours of the pixels.
    """
    H = np.asarray(H)
    even = np.array([unevenness(one, grid) < UNEVEN**2 for one in H.T])
    on_them = H[:, ~even].sum(axis=1)
    pairs = (np.stack((one, on_them), axis=1) for one in H.T)
    matrices = [missing_atoms(pair)[0][0, 1] > LEAST_MISSING for pair in pairs]
    return even & ~np.array(matrices)


def unevenness(map_: np.ndarray, grid: Grid) -> float:
    """Return by how much a film varies from place to place; inf for what is no film."""
    map_ = map_ / max(map_.mean(), np.finfo(float).tiny)
    if np.quantile(_with_neighbours(map_, grid), BARE) <= LEAST_FILM:
        return np.inf
    return _structure(map_, grid)


def missing_atoms(H: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what is missing of each phase (row) for each atom of others (columns).

    Parameters
    ----------
    H
        Amounts in pixels, or differences of these, in atoms, shape (n, n_phases).

    Returns
    -------
    missing, errors : numpy.ndarray
        What the amounts of all other phases together say, and standard errors from how
        uneven a phase is besides, shape (n_phases, n_phases).
    """
    n = max(len(H), 1)
    away = H - H.sum(axis=0) / n
    # what predicts one from all others stands in the inverse of their covariance
    spread = away.T @ away
    own = np.diagonal(spread)
    ridge = RIDGE * (own + own.mean()) + np.finfo(float).tiny
    inverse = np.linalg.inv(spread + np.diag(ridge))
    own = np.diagonal(inverse)
    missing = inverse / own[:, None]
    errors = np.sqrt(np.maximum(own / own[:, None] - missing**2, 0.0) / n)
    np.fill_diagonal(missing, -1.0)
    return missing, errors


def from_place_to_place(H: np.ndarray, grid: Grid) -> np.ndarray:
    """Return differences of neighbours, each once, shape (n_pairs, n_phases)."""
    neighbours = np.asarray(grid.neighbours)
    pixels, column = np.nonzero(neighbours > np.arange(len(neighbours))[:, None])
    return H[pixels] - H[neighbours[pixels, column]]


def thicker_under(
    H: np.ndarray, film: int, phase: int, grid: Grid
) -> tuple[float, float]:
    """Return by how much a film is thicker for each atom of a phase, and the error.

    0 where the edges of the phase deny it: a film may be thicker somewhere by itself.

    Parameters
    ----------
    H
        Shape (n_pixels, n_phases), in atoms, as counts alone have them.
    film, phase
        Their numbers.
    grid
        Neighbours of the pixels.
    """
    missing, errors = missing_atoms(H)
    at_edges, spread = missing_atoms(from_place_to_place(H, grid))
    most = N_ERRORS * spread[film, phase] - at_edges[film, phase]
    more = -float(missing[film, phase])
    return more if most > LEAST_MISSING * more else 0.0, float(errors[film, phase])


def evened(
    H: np.ndarray, noise: np.ndarray, film: int
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return how much of others must belong to a phase for it to be even.

    Parameters
    ----------
    H, noise
        Amounts in pixels, and their mean covariance, as
        `espm_hs.factorization.linear_maps` returns them.
    film
        Number of the phase.

    Returns
    -------
    amounts : numpy.ndarray
        For each unit of the other phases, 0 for the phase itself, shape (n_phases,).
    errors : numpy.ndarray
        Standard errors, infinite where the others do not vary, shape (n_phases,).
    uneven : float
        By which part of its mean it varies even then, squared; infinite where the
        others do not tell, or nothing would be left of it. Noise is left out.
    """
    n, k = H.shape
    others, mean = np.delete(np.arange(k), film), H.mean(axis=0)
    away = H - mean
    varies = away.T @ away / n - noise
    amounts, errors = np.zeros(k), np.full(k, np.inf)
    here = np.ix_(others, others)
    among = varies[here]
    sure = np.linalg.eigvalsh(among - TELLS / np.sqrt(n) * noise[here])
    if sure.min() <= RIDGE * among.trace():
        return amounts, errors, np.inf
    inverse = np.linalg.inv(among)
    amounts[others] = -inverse @ varies[others, film]
    whole = amounts.copy()
    whole[film] = 1.0
    left = away @ whole
    scores = (away[:, others] * left[:, None] - noise[others] @ whole) @ inverse
    errors[others] = np.sqrt((scores**2).sum(axis=0)) / n
    there = mean @ whole  # less than nothing of what others are even with
    uneven = float(whole @ varies @ whole) / there**2 if there > 0 else np.inf
    return amounts, errors, uneven


def _with_neighbours(map_: np.ndarray, grid: Grid) -> np.ndarray:
    """Return a map of which each place is the mean of it and of its neighbours."""
    there = grid.neighbours >= 0
    around = np.where(there, map_[grid.neighbours], 0.0).sum(axis=1)
    return (map_ + around) / (1 + there.sum(axis=1))


def _structure(map_: np.ndarray, grid: Grid) -> float:
    """Covariance of neighbours, which noise has not."""
    away = map_ - map_.mean()
    pixels, column = np.nonzero(grid.neighbours >= 0)
    if pixels.size == 0:
        return 0.0
    return float((away[pixels] * away[grid.neighbours[pixels, column]]).mean())


def accompanying(H: np.ndarray, phases: np.ndarray) -> set[int]:
    """Return the phases that are found wherever one of some phases is.

    Parameters
    ----------
    H
        Shape (n_pixels, n_phases), in counts.
    phases
        Boolean, shape (n_phases,): phases that are known not to hold others.
    """
    if not phases.any():
        return set()
    H = np.asarray(H)
    there = LEAST_SHARE * H.sum(axis=1, keepdims=True) < H
    together = H.T @ there / np.maximum(H.sum(axis=0), np.finfo(float).tiny)[:, None]
    np.fill_diagonal(together, 0.0)
    return set(np.flatnonzero((together[phases] > ALWAYS).any(axis=0)).tolist())


def enclosed_in(H: np.ndarray, grid: Grid) -> np.ndarray:
    """Return whether particles of a phase (row) have another one (column) around them.

    Parameters
    ----------
    H
        Shape (n_pixels, n_phases), in atoms, without films.
    grid
        Neighbours of the pixels.
    """
    neighbours, whole = np.asarray(grid.neighbours), H.sum(axis=1)
    found = np.zeros((H.shape[1], H.shape[1]), bool)
    if not neighbours.size or not whole.any():
        return found
    there = _is_there(whole)
    open_to = there[:, None] & (neighbours >= 0) & ~there[neighbours]
    edge, particle = open_to.any(axis=1), _particles(there, neighbours)
    summed = H + np.where((neighbours >= 0)[..., None], H[neighbours], 0.0).sum(axis=1)
    inside, half = H[there & ~edge].sum(axis=0), summed.sum(axis=1) / 2
    least = EMPTY * np.bincount(particle, whole)
    holds = [(np.bincount(particle, one) > least)[particle] for one in H.T]
    for i, j in np.ndindex(found.shape):
        wide = (there & holds[i]).sum() > WIDEST * _is_there(H[:, i]).sum()
        here = edge & holds[i] & (summed[:, [i, j]].sum(axis=1) > half)
        if i == j or wide or not _on_all_sides(open_to[here]):
            continue
        shell, at_edge = summed[here, j], H[here].sum(axis=0)
        more = at_edge[j] * inside[i] > AT_EDGE * inside[j] * at_edge[i]
        shown = (shell > shell.mean() / 4).sum()
        found[i, j] = more and shown > CLOSED * (edge & holds[i]).sum()
    return found


def _on_all_sides(open_to: np.ndarray) -> bool:
    """Whether the edge of particles looks both ways of an axis, and along all others.

    A slanting edge looks along two axes, and one way of each.
    """
    sides = open_to.sum(axis=0)
    return bool((sides > SIDES * sides.max(initial=0)).sum() > sides.size / 2)


def _is_there(amount: np.ndarray) -> np.ndarray:
    """Return where there is more than a little of what there is around a mean atom."""
    return amount * amount.sum() > EMPTY * (amount @ amount)


def _particles(there: np.ndarray, neighbours: np.ndarray) -> np.ndarray:
    """Return the number of the particle that each pixel belongs to."""
    pixels, column = np.nonzero(there[:, None] & (neighbours >= 0) & there[neighbours])
    pairs = pixels, neighbours[pixels, column]
    graph = coo_array((np.ones(len(pixels)), pairs), shape=(len(there),) * 2)
    return connected_components(graph, directed=False)[1]
