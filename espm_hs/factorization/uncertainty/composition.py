"""Errors of the composition: its covariance and its bias."""

from __future__ import annotations

import numpy as np
from joblib import effective_n_jobs
from scipy.linalg import block_diag

from espm_hs.factorization.counts.counts import AnyCounts
from espm_hs.factorization.problem import Problem
from espm_hs.factorization.uncertainty.abundances import BOUND
from espm_hs.factorization.uncertainty.information import (
    SPREAD,
    profiled_information,
    slope_of_composition,
    slope_of_parts,
)

# Seeds of the halves: the same fit has the same errors.
HALVES_SEEDS = (0,)


def composition_covariance(
    counts: AnyCounts,
    problem: Problem,
    W: np.ndarray,
    H: np.ndarray,
    *,
    n_jobs: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Covariance of W with the abundances profiled out, and its bias.

    The inverse of the observed information of (W, H), block of W, along the
    directions that leave the sum of the simplex rows of each component unchanged
    (the scale between W and H is a convention). Fixed entries have no variance.
    A fraction is known to lie between 0 and 1, which bounds its error where the data
    say nothing. An entry which F drives to zero has in addition the precision of the
    exponential law that the slope of F implies; those at zero are left out of the
    inverse.

    There are as many abundances as pixels, so W has a bias that does not average out:
    the noise of abundances, which cannot be negative, drives compositions apart, and
    penalties pull them together. Both fade with the counts per pixel, and so
    show in half of them: the bias is how far the fits of two halves would move from
    that of the whole (a split-panel jackknife; Dhaene & Jochmans 2015), in one Newton
    step. No covariance holds that.

    Parameters
    ----------
    counts
        The data.
    problem
        G (not None), the fixed entries and the penalties, without those that tie
        pixels together.
    W, H
        The fit, shapes (n_columns, n_components) and (n_pixels, n_components).
    n_jobs
        Number of threads, as in scikit-learn (None: 1, -1: all cores).

    Returns
    -------
    covariance : numpy.ndarray
        Shape (n_components, n_columns, n_columns): covariance within each component.
    bias : numpy.ndarray
        Shape (n_columns, n_components): W less what it would be with half the counts
        in each pixel; at most W, and 0 for one component and where values are not
        integers.
    """
    # fractions of a whole, whatever the scale between W and H
    whole = W[problem.rows_on_simplex].sum(axis=0)
    whole = np.where(whole > 0, whole, 1.0)
    W, H = W / whole, H * whole
    n_jobs = effective_n_jobs(n_jobs)
    information = profiled_information(counts, problem, W, H, n_jobs)
    prior = _prior_precision(problem, W)
    slope = slope_of_composition(counts, problem, W, H)

    k, n_columns = W.shape[1], W.shape[0]
    T = _ties(problem)
    free = problem.variable_sum > 0
    if problem.fixed is not None:
        free &= np.isnan(problem.fixed)
    share = problem.column_sum * H.sum(axis=0) * W
    share = ((T > 0).T @ share.T.ravel()).reshape(k, n_columns).T
    inner = free & (share > BOUND * counts.total)
    full = _inverse(information, prior, slope, T[:, inner.T.ravel()], problem)
    known = information, prior
    bias = _jackknife_bias(counts, problem, W, whole, free, known, n_jobs)

    covariance = np.empty((k, n_columns, n_columns))
    for j in range(k):
        part = slice(j * n_columns, (j + 1) * n_columns)
        covariance[j] = full[part, part]
        for c in np.flatnonzero(free[:, j] & ~inner[:, j]):
            tied = T[part, j * n_columns + c]
            curvature = tied @ information[part, part] @ tied
            steepness = max(tied @ slope[:, j], 0.0) ** 2 + max(curvature, 0.0)
            if steepness > np.finfo(float).tiny:
                covariance[j] += np.outer(tied, tied) / steepness
    return covariance * whole[:, None, None] ** 2, bias * whole


def _ties(problem):
    """Matrix that makes W of what moves by itself, component after component."""
    one = np.eye(problem.n_columns)
    ties = [one] * problem.n_components if problem.ties is None else problem.ties
    return block_diag(*ties)


def _inverse(information, prior, slope, T, problem):
    """Inverse of the information and what is known before, sums of fractions kept.

    T (n, m) makes W, component after component, of what moves by itself. Away from the
    exact optimum the observed information may have negative eigenvalues: directions of
    which the data say nothing.
    """
    steep = np.maximum(T.T @ slope.T.ravel(), 0.0) ** 2
    # in units of its width what is known before is the identity: nothing that is known
    # far better can swamp it
    T = T / np.sqrt((T**2).T @ prior + steep)
    k = problem.n_components
    gauge = np.kron(np.eye(k), problem.rows_on_simplex[None, :].astype(float))
    moves = T @ _null_space(gauge @ T)
    values, vectors = np.linalg.eigh(moves.T @ information @ moves)
    root = moves @ vectors / np.sqrt(1.0 + np.maximum(values, 0.0))
    return root @ root.T


def _null_space(constraints):
    """Orthonormal directions, as columns, that the constraints leave free."""
    length = np.linalg.norm(constraints, axis=1, keepdims=True)
    _, s, Vt = np.linalg.svd(constraints / np.where(length > 0, length, 1.0))
    return Vt[np.count_nonzero(s > 1e-10) :].T


def _prior_precision(problem, W):
    """Precision of each entry of W, component after component, before any data.

    A fraction has the spread of a number between 0 and 1; any other row makes no more
    counts than the component has.
    """
    made = (W * problem.column_sum).sum(axis=0)
    spread = made / np.where(problem.column_sum > 0, problem.column_sum, 1.0)
    spread[problem.rows_on_simplex] = SPREAD
    # what makes no counts may be anything
    return 1 / np.where(spread > 0, spread, 1.0).T.ravel() ** 2


def _jackknife_bias(
    counts: AnyCounts,
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
    halves = slope_of_parts(counts, problem, W, whole, 2, HALVES_SEEDS, n_jobs)
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
