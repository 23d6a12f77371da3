"""A phase whose composition is another one in each map, within a stated spread.

The fractions of a map are drawn towards those of all maps by a Gaussian of that spread,
and away from them by the counts of the map: a map that holds little of the phase keeps
the common composition. Both are found in turn, all other phases staying common.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from joblib import effective_n_jobs

from espm_hs.factorization import Problem, profiled_information, slope_of_composition
from espm_hs.factorization.counts.counts import AnyCounts

# A path has settled when no fraction moves by more.
SETTLED = 5e-4
MOST_ROUNDS = 12
# Factors of fractions of the common composition that are about zero.
LARGEST_FACTOR = 1e6


class Path(NamedTuple):
    """Composition of a phase from map to map.

    Attributes
    ----------
    fractions
        Of the elements, shape (n_maps, n_elements).
    covariance
        Of each map, shape (n_maps, n_elements, n_elements): counts of the map and
        spread.
    """

    fractions: np.ndarray
    covariance: np.ndarray

    @property
    def errors(self) -> np.ndarray:
        """Standard errors of the fractions, shape (n_maps, n_elements)."""
        variance = np.diagonal(self.covariance, axis1=1, axis2=2)
        return np.sqrt(np.maximum(variance, 0.0))


def own_composition(
    counts: AnyCounts,
    problem: Problem,
    W: np.ndarray,
    H: np.ndarray,
    phase: int,
    common: np.ndarray,
    spread: float,
    reach: float,
    n_jobs: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the fractions of a phase that the counts of one map ask for.

    One Newton step, the abundances following.

    Parameters
    ----------
    counts, problem, W, H
        The map and its fit; H is the best for W.
    phase
        Number of the phase.
    common
        Fractions in all maps, shape (n_elements,).
    spread
        Standard deviation of fractions between maps.
    reach
        How far a fraction may move.
    n_jobs
        Number of threads, as in `espm_hs.factorization.factorize`.

    Returns
    -------
    fractions, covariance
        Shapes (n_elements,) and (n_columns, n_columns).
    """
    n_columns, rows = len(W), problem.rows_on_simplex
    information = profiled_information(counts, problem, W, H, effective_n_jobs(n_jobs))
    slope = slope_of_composition(counts, problem, W, H)[:, phase]
    own = slice(phase * n_columns, (phase + 1) * n_columns)
    # other rows make no more counts than the phase has
    sums = problem.column_sum[:, phase]
    width = (W[:, phase] @ sums) / np.where(sums > 0, sums, np.inf)
    width[rows] = spread
    away = np.zeros(n_columns)
    away[rows] = (W[rows, phase] - common) / spread
    # fractions keep their sum; what is at zero and would be negative stays there
    free = (sums > 0) & ~((W[:, phase] <= 0) & (slope > 0))
    moves = np.diag(width)[:, free]
    inside = rows[free]
    if inside.any():
        sum_of_rows = inside / np.sqrt(inside.sum())
        moves = moves @ np.linalg.svd(sum_of_rows[None, :])[2][1:].T
    told, turned = np.linalg.eigh(moves.T @ information[own, own] @ moves)
    # of some directions the data say nothing
    root = moves @ turned / np.sqrt(1.0 + np.maximum(told, 0.0))
    covariance = root @ root.T
    steep = slope + np.divide(away, width, out=np.zeros(n_columns), where=width > 0)
    step = -covariance @ steep
    # the counts tell the way, and not how far the parabola goes on
    step *= min(1.0, reach / max(np.abs(step[rows]).max(initial=0.0), 1e-300))
    found = np.maximum(W[:, phase] + step, 0.0)[rows]
    # at zero an entry has the width of the exponential law that the slope implies
    curvature = np.maximum(np.diagonal(information[own, own]), 0.0)
    steepness = np.maximum(slope, 0.0) ** 2 + curvature
    bound = ~free & (steepness > 0) & (sums > 0)
    covariance[bound, bound] = 1 / steepness[bound]
    return found / found.sum(), covariance


def shortened(reach: np.ndarray, last: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Return how far the next steps may go: half as far where the last ones turned.

    Parameters
    ----------
    reach
        Of each map, shape (n_maps,).
    last, before
        Steps of the fractions, shape (n_maps, n_elements).
    """
    return np.where((last * before).sum(axis=1) < 0, reach / 2, reach)


def factors(own: np.ndarray, common: np.ndarray) -> np.ndarray:
    """Return by what common fractions are multiplied to be those of each map.

    Parameters
    ----------
    own
        Shape (n_maps, n_elements).
    common
        Shape (n_elements,).
    """
    known = common > 0
    ratio = own / np.where(known, common, 1.0)
    return np.where(known, np.minimum(ratio, LARGEST_FACTOR), 1.0)
