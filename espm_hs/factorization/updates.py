"""The multiplicative step on W."""

from __future__ import annotations

import numpy as np

from espm_hs.factorization.kernels import TINY, solve_on_simplex
from espm_hs.factorization.problem import Problem


def constrain(problem: Problem, W: np.ndarray) -> np.ndarray:
    """Return W with its fixed values in place and its fractions adding up to 1."""
    W = W.astype(np.float64)
    if problem.fixed is not None:
        W = np.where(np.isnan(problem.fixed), W, problem.fixed)
    if problem.simplex == "elements":
        for j in range(W.shape[1]):
            free, share = problem.free_on_simplex(j)
            total = W[free, j].sum()
            W[free, j] = share * (
                W[free, j] / total if total else 1 / max(1, free.sum())
            )
    return W


def update_composition(
    problem: Problem, W: np.ndarray, A: np.ndarray, H_sum: np.ndarray
) -> np.ndarray:
    """Return W after one multiplicative step that does not increase F.

    Parameters
    ----------
    problem
        Constraints and G.
    W
        Present W, shape (n_columns, n_components), within the constraints.
    A
        Sum over pixels of (x / y) h, shape (n_channels, n_components).
    H_sum
        Sum over pixels of h, shape (n_components,).

    Notes
    -----
    ``sum(weight w - target log w)``, with target = W * (G^T A) and
    weight = (G^T 1) H_sum, bounds F from above and touches it at the present W
    (Lee & Seung 2001). It is minimised exactly, on the simplex with the help of one
    multiplier per component.
    """
    target = W * problem.project(A)
    weight = np.maximum(np.outer(problem.column_sum, H_sum), np.finfo(float).tiny)
    new = target / weight
    if problem.fixed is not None:
        new = np.where(np.isnan(problem.fixed), new, problem.fixed)
    if problem.simplex == "elements":
        for j in range(W.shape[1]):
            free, share = problem.free_on_simplex(j)
            if share > 0 and free.any():
                fractions = W[free, j].copy()
                solve_on_simplex(
                    target[free, j], weight[free, j], 0.0, share, fractions
                )
                new[free, j] = fractions
    new[new < TINY] = 0.0
    return new
