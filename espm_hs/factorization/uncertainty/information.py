"""What all counts say of W, and what parts of them would.

Information is what the counts say, less what the abundances can make up for.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from weakref import WeakKeyDictionary

import numpy as np
from joblib import effective_n_jobs

from espm_hs.factorization.channel_sums import Sums
from espm_hs.factorization.counts.counts import AnyCounts, Counts
from espm_hs.factorization.cross_validation import strips, thin
from espm_hs.factorization.executors import one_blas_thread, passes_over
from espm_hs.factorization.problem import Problem
from espm_hs.factorization.solvers.maps import fit_loadings
from espm_hs.factorization.uncertainty.abundances import (
    BOUND,
    abundance_precision,
    ratios,
)

# Numbers in the largest array of a thread.
LARGEST_ARRAY = 1 << 19
# Standard deviation of the prior of a fraction, which lies between 0 and 1: no error is
# larger than that of not knowing at all.
SPREAD = 0.3
# Abundances of a part of the counts only tell where W would go.
PART_TOL = 1e-4
# Counts are dealt to so many parts, so many times: the fewer there are, the more the
# penalties have to say.
N_PARTS = 8
SEEDS = (0, 1, 2)
# Parts of counts, for as long as these are needed.
_DEALT: WeakKeyDictionary = WeakKeyDictionary()


def profiled_information(
    counts: AnyCounts, problem: Problem, W: np.ndarray, H: np.ndarray, n_jobs: int = 1
) -> np.ndarray:
    """Information of W, component after component, less what H can make up for."""
    k, n_columns = W.shape[1], W.shape[0]
    G = np.ascontiguousarray(problem.G)
    G = G if G.ndim == 3 else G[None]
    D = problem.spectra(W)
    facts = G, D, problem.place_sums, problem.penalties, counts.mean_counts
    work = partial(_block_information, *facts)
    S = np.zeros((problem.n_channels, k, k))
    profiled = np.zeros((k * n_columns, k * n_columns))
    with one_blas_thread():
        for part, taken in counts.over_blocks(work, H, n_jobs=n_jobs):
            S += part
            profiled -= taken
    for i in range(k):
        for j in range(k):
            rows = slice(i * n_columns, (i + 1) * n_columns)
            columns = slice(j * n_columns, (j + 1) * n_columns)
            profiled[rows, columns] += G[i % len(G)].T @ (
                S[:, i, j, None] * G[j % len(G)]
            )
    return profiled


def _block_information(G, D, G_sum, penalties, mean_counts, counts, H):
    """Return S (e, k, k) and what abundances make up for, of a block of pixels."""
    k, n_columns = H.shape[1], G.shape[2]
    S = np.zeros((D.shape[0], k, k))
    taken = np.zeros((k * n_columns, k * n_columns))
    # the mixed derivatives are the largest array: some pixels at a time
    step = max(1, LARGEST_ARRAY // (k * k * n_columns))
    for first in range(0, H.shape[0], step):
        h = np.ascontiguousarray(H[first : first + step])
        precision, _ = abundance_precision(counts, D, h, first, penalties, mean_counts)
        once, twice = ratios(counts, D, h, first, mean_counts)
        pairs = h[:, :, None] * h[:, None, :]
        S += (twice.T @ pairs.reshape(-1, k * k)).reshape(-1, k, k)
        Z = _mixed(once, twice, G, D, G_sum, h)
        Z = _solved_lower(precision, Z).reshape(-1, k * n_columns)
        taken += Z.T @ Z
    return S, taken


def _mixed(once, twice, G, D, G_sum, H):
    """Return the second derivatives of h_j and W_ci, (p, k, k c) for j and i c.

    ``once`` and ``twice`` as `ratios` returns them; G (m, e, c) with m = 1 or k, G_sum
    (n, c, k) of each of the n places that channels are of.
    """
    k, n_columns = H.shape[1], G.shape[2]
    # an abundance at zero stays there and makes up for nothing
    free = BOUND * H.sum(axis=1, keepdims=True) < H
    # where there are no counts all places are alike
    place = np.zeros(len(H), int)
    seen = np.diff(once.indptr) > 0
    of_place = once.shape[1] // len(G_sum)
    place[seen] = once.indices[once.indptr[:-1][seen]] // of_place
    of_pixel = G_sum[place]
    Z = np.zeros((len(H), k, k, n_columns))
    for n, known in enumerate(G):
        components = range(k) if len(G) == 1 else [n]
        alone = once @ known
        for j in range(k):
            both = twice @ (D[:, j, None] * known)
            for i in components:
                Z[:, j, i] = H[:, i, None] * both
                if i == j:
                    Z[:, j, i] += of_pixel[:, :, i] - alone
    Z *= free[:, :, None, None]
    return Z.reshape(len(H), k, k * n_columns)


def _solved_lower(precision, Z):
    """L^-1 Z for each pixel, L L^T the precision (p, k, k); NaN where there is no L."""
    L = np.zeros_like(precision)
    with np.errstate(invalid="ignore", divide="ignore"):
        for j in range(L.shape[1]):
            for i in range(j + 1):
                x = precision[:, j, i] - (L[:, j, :i] * L[:, i, :i]).sum(axis=1)
                L[:, j, i] = np.sqrt(x) if i == j else x / L[:, i, i]
            Z[:, j] -= np.einsum("pn,pnc->pc", L[:, j, :j], Z[:, :j])
            Z[:, j] /= L[:, j, j, None]
    return Z


def slope_of_composition(
    counts: AnyCounts, problem: Problem, W: np.ndarray, H: np.ndarray
) -> np.ndarray:
    """Return the derivative of F with respect to W, for constant H in counts."""
    free = replace(problem, fixed=None, ties=None)
    with passes_over(counts, free, n_jobs=1) as passes:
        A, _ = passes.run(W, H, n_steps=0)
    slope = problem.made_by(H) - free.project(A)
    # the scale of a component does not matter
    whole = np.maximum((problem.column_sum * W).sum(axis=0), np.finfo(float).tiny)
    return slope - problem.column_sum * (slope * W).sum(axis=0) / whole


def slope_of_parts(
    counts: AnyCounts,
    problem: Problem,
    W: np.ndarray,
    whole: np.ndarray,
    n_parts: int,
    seeds: tuple[int, ...],
    n_jobs: int,
) -> np.ndarray:
    """Slope in W of F for parts of the counts, all of these, less that of the whole.

    Each count goes to one of the parts, and abundances are found for each. The noise
    that parts and whole have in common is left out, to first order. Returned is the
    mean over several draws.

    Parameters
    ----------
    counts, problem
        The data, of integers, and G, constraints and penalties.
    W
        Composition, the simplex rows of sum 1, shape (n_columns, n_components).
    whole
        Sum of the simplex rows before, shape (n_components,).
    n_parts
        Number of parts, of as many counts each.
    seeds, n_jobs
        Of the draws, and number of threads.
    """
    seen = strips(counts.n_pixels)
    share = counts.n_pixels / seen.sum()
    penalties = problem.penalties.separable()
    problem = replace(problem, penalties=penalties, grid=None).take(seen)
    here = isinstance(counts, Counts)
    local = counts if here and seen.all() else counts.take(seen)
    sums = Sums.suited_to(local, problem)
    if sums is not None:
        local = sums.of_counts(local)
        problem = sums.of_problem(problem)
    slope = np.zeros_like(W)
    for part, given, weight in _weighted(local, n_parts, seeds):
        if part.n_nonzeros > 0:
            # shares add up to 1 whatever the counts, whose share then is in W
            unit = given * whole if problem.simplex == "abundances" else 1.0
            H = fit_loadings(part, problem, W * unit, tol=PART_TOL, n_jobs=n_jobs)
            one = slope_of_composition(part, problem, W, H * unit)
            slope += weight * share * one
    return slope


def _weighted(counts, n_parts, seeds):
    """Yield the whole and its parts, their share of the counts, and their weight."""
    yield counts, 1.0, -1.0
    for seed in seeds:
        for part in _dealt(counts, n_parts, seed):
            yield part, 1 / n_parts, 1 / len(seeds)


def _dealt(counts, n_parts, seed):
    """Return the counts in as many parts, which are Poisson and independent.

    A search asks for the same parts again and again.
    """
    known = _DEALT.setdefault(counts, {})
    if (n_parts, seed) not in known:
        known[n_parts, seed] = _draw(counts, n_parts, np.random.default_rng(seed))
    return known[n_parts, seed]


def _draw(counts, n_parts, rng):
    parts = []
    for left in range(n_parts, 1, -1):
        part, counts = thin(counts, 1 / left, rng)
        parts.append(part)
    return [*parts, counts]


def uptake(
    counts: AnyCounts,
    problem: Problem,
    W: np.ndarray,
    H: np.ndarray,
    pairs: list[tuple[int, int]],
    *,
    n_jobs: int | None = None,
) -> dict[tuple[int, int], float]:
    """How much more of another component each would hold with an eighth of the counts.

    Where a component is alone in some pixels these say what it is, with few counts as
    with many. Where it is alone because a penalty wants it so, against the
    counts, it takes up more of what lies beside it the fewer counts there are.

    Parameters
    ----------
    counts
        The data, n_pixels x n_channels.
    problem
        G (not None), constraints and penalties.
    W, H
        The fit, shapes (n_columns, n_components) and (n_pixels, n_components).
    pairs
        Components i, j: how much of j would be in i.
    n_jobs
        Number of threads, as in `factorize`.

    Returns
    -------
    dict
        For each pair, in standard errors of a fit of an eighth of the counts, along the
        direction that puts W_j in the place of W_i; 0 where the counts are not integers
        or say nothing of this direction.

    Notes
    -----
    With g_n the slopes of F in W for parts of 1/8 of the counts, abundances being at
    their minimum in each, g that of all, I the information of all and m the direction,
    the mean Newton step of the parts is m (g - sum(g_n)) / (m I m), and its standard
    error in one of them sqrt(8 / (m I m)).
    """
    taken = dict.fromkeys(pairs, 0.0)
    if not (pairs and counts.integer):
        return taken
    n_jobs = effective_n_jobs(n_jobs)
    whole = W[problem.rows_on_simplex].sum(axis=0)
    whole = np.where(whole > 0, whole, 1.0)
    W, H = W / whole, H * whole
    information = profiled_information(counts, problem, W, H, n_jobs)
    slope = slope_of_parts(counts, problem, W, whole, N_PARTS, SEEDS, n_jobs)
    for i, j in pairs:
        step = W[:, j] - W[:, i]
        own = slice(i * len(W), (i + 1) * len(W))
        known = step @ information[own, own] @ step
        # more than that fractions lie between 0 and 1
        if known > (step[problem.rows_on_simplex] ** 2).sum() / SPREAD**2:
            taken[i, j] = float(-slope[:, i] @ step / np.sqrt(N_PARTS * known))
    return taken
