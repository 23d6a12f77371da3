"""Split-panel jackknife: what a fit of fewer counts would be, and so its bias."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from joblib import effective_n_jobs

from espm_hs.factorization.counts.counts import Counts
from espm_hs.factorization.cross_validation import strips, thin
from espm_hs.factorization.executors import passes_over
from espm_hs.factorization.problem import Problem
from espm_hs.factorization.solvers.maps import fit_loadings
from espm_hs.factorization.uncertainty.information import SPREAD, profiled_information

# Abundances of a part of the counts only tell where W would go.
PART_TOL = 1e-4
# Seed of the halves: the same fit has the same errors.
HALVES_SEED = 0
# Counts are dealt to so many parts, so many times: the fewer there are, the more the
# penalties have to say.
N_PARTS = 8
SEEDS = (0, 1, 2)


def slope_of_composition(
    counts: Counts, problem: Problem, W: np.ndarray, H: np.ndarray
) -> np.ndarray:
    """Return the derivative of F with respect to W, for constant H in counts."""
    free = replace(problem, fixed=None, ties=None)
    with passes_over(counts, free, n_jobs=1) as passes:
        A, _ = passes.run(W, H, n_steps=0)
    slope = problem.column_sum * H.sum(axis=0) - free.project(A)
    # the scale of a component does not matter
    whole = np.maximum((problem.column_sum * W).sum(axis=0), np.finfo(float).tiny)
    return slope - problem.column_sum * (slope * W).sum(axis=0) / whole


def slope_of_parts(
    counts: Counts,
    problem: Problem,
    W: np.ndarray,
    whole: np.ndarray,
    n_parts: int,
    seed: int,
    n_jobs: int,
) -> np.ndarray:
    """Slope in W of F for parts of the counts, all of these, less that of the whole.

    Each count goes to one of the parts, and abundances are found for each. The noise
    that parts and whole have in common is left out, to first order.

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
    seed, n_jobs
        Of the draw, and number of threads.
    """
    seen = strips(counts.n_pixels)
    share = counts.n_pixels / seen.sum()
    penalties = problem.penalties.separable()
    problem = replace(problem, penalties=penalties, grid=None).take(seen)
    counts = counts.take(seen)
    slope = np.zeros_like(W)
    rng = np.random.default_rng(seed)
    parts = [(part, 1 / n_parts, 1) for part in _dealt(counts, n_parts, rng)]
    for part, given, sign in (*parts, (counts, 1, -1)):
        if part.n_nonzeros > 0:
            # shares add up to 1 whatever the counts, whose share then is in W
            unit = given * whole if problem.simplex == "abundances" else 1.0
            H = fit_loadings(part, problem, W * unit, tol=PART_TOL, n_jobs=n_jobs)
            one = slope_of_composition(part, problem, W, H * unit)
            slope += sign * share * one
    return slope


def _dealt(counts, n_parts, rng):
    """Return the counts in as many parts, which are Poisson and independent."""
    parts = []
    for left in range(n_parts, 1, -1):
        part, counts = thin(counts, 1 / left, rng)
        parts.append(part)
    return [*parts, counts]


def jackknife_bias(
    counts: Counts,
    problem: Problem,
    W: np.ndarray,
    whole: np.ndarray,
    free: np.ndarray,
    known: tuple[np.ndarray, np.ndarray],
    n_jobs: int,
) -> np.ndarray:
    """W less that of half the counts: a Newton step among mixtures.

    What acts on abundances can, to first order, only mix the columns of W. Restricted
    to that the step is far less noisy (split-panel jackknife).

    Parameters
    ----------
    counts, problem, W, whole, n_jobs
        As in `slope_of_parts`.
    free
        Boolean, shape (n_columns, n_components): entries that may move.
    known
        Information of W, component after component, and the diagonal of its prior
        precision.
    """
    k = W.shape[1]
    information, prior = known
    if k == 1 or not counts.integer:
        return np.zeros_like(W)
    halves = slope_of_parts(counts, problem, W, whole, 2, HALVES_SEED, n_jobs)
    mixtures = np.zeros((k, k - 1, k, W.shape[0]))
    for j in range(k):
        mixtures[j, :, j] = (np.delete(W, j, axis=1) - W[:, [j]]).T
    if problem.ties is not None:
        together = np.maximum(problem.ties.sum(axis=1), 1.0)
        mixtures = np.einsum("jic,ayji->ayjc", problem.ties > 0, mixtures) / together
    mixtures[:, :, ~free.T] = 0.0
    if problem.ties is not None:
        mixtures = np.einsum("jic,ayjc->ayji", problem.ties, mixtures)
    mixtures = mixtures.reshape(k * (k - 1), -1)
    # in units of the widths that are known before, so that squares are numbers; those
    # of components that are huge beside others are not, whatever the unit
    width = 1 / np.sqrt(prior)
    huge = np.abs(mixtures / width).max(axis=1, keepdims=True) / 1e50
    mixtures = mixtures / np.maximum(huge, 1.0)
    scaled = mixtures / width
    precision = information * width * width[:, None] + np.eye(width.size)
    amounts = np.linalg.lstsq(
        scaled @ precision @ scaled.T, mixtures @ halves.T.ravel(), rcond=1e-10
    )[0]
    step = (amounts @ mixtures).reshape(W.shape[::-1]).T
    lowest = np.where(problem.rows_on_simplex[:, None], W - 1.0, -np.inf)
    return np.clip(step, lowest, W)


def uptake(
    counts: Counts,
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
    slopes = [
        slope_of_parts(counts, problem, W, whole, N_PARTS, seed, n_jobs)
        for seed in SEEDS
    ]
    slope = np.mean(slopes, axis=0)
    for i, j in pairs:
        step = W[:, j] - W[:, i]
        own = slice(i * len(W), (i + 1) * len(W))
        known = step @ information[own, own] @ step
        # more than that fractions lie between 0 and 1
        if known > (step[problem.rows_on_simplex] ** 2).sum() / SPREAD**2:
            taken[i, j] = float(-slope[:, i] @ step / np.sqrt(N_PARTS * known))
    return taken
