"""What components would take up of others if there were fewer counts."""

from __future__ import annotations

import numpy as np
from joblib import effective_n_jobs

from espm_hs.factorization.counts.counts import Counts
from espm_hs.factorization.problem import Problem
from espm_hs.factorization.uncertainty.composition import SPREAD, profiled_information
from espm_hs.factorization.uncertainty.slopes import slope_of_parts

# Counts are dealt to so many parts, so many times: the fewer there are, the more the
# sparsity term has to say.
N_PARTS = 8
SEEDS = (0, 1, 2)


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
    with many. Where it is alone because the sparsity term wants it so, against the
    counts, it takes up more of what lies beside it the fewer counts there are.

    Parameters
    ----------
    counts
        The data, n_pixels x n_channels.
    problem
        G (not None), constraints and sparsity.
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
