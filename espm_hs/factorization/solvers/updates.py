"""The multiplicative step on the composition."""

from __future__ import annotations

import numpy as np

from espm_hs.factorization.kernels.pixel_updates import TINY
from espm_hs.factorization.problem import Problem


def update_composition(
    problem: Problem, V: np.ndarray, A: np.ndarray, H: np.ndarray
) -> np.ndarray:
    """Return V after one multiplicative step that does not increase F.

    Parameters
    ----------
    problem
        Constraints and G.
    V
        Present variables of W, shape (n_columns, n_components).
    A
        Sum over pixels of (x / y) h, shape (n_channels, n_components).
    H
        Abundances, shape (n_pixels, n_components).

    Notes
    -----
    With target = V * (M^T G^T A) and counts = M^T G^T 1,
    ``sum(counts v sum(h) - target log v)`` bounds F from above and touches it at the
    present V (Lee & Seung 2001). Its minimum is target / (counts sum(h)); under the
    condition that the spectra sum to 1, the same up to a factor for each component.
    """
    counts = problem.variable_sum
    new = np.divide(
        V * problem.project(A), counts, out=np.zeros_like(V), where=counts > 0
    )
    if problem.simplex == "abundances":
        new /= np.maximum(H.sum(axis=0), np.finfo(float).tiny)
        new[new < TINY] = 0.0
        return new
    return normalise(problem, new, V)


def normalise(problem: Problem, V: np.ndarray, fallback: np.ndarray) -> np.ndarray:
    """Scale V to spectra of sum 1; a component without counts keeps the fallback."""
    total = (V * problem.variable_sum).sum(axis=0)
    V = np.where(total > 0, V / np.where(total > 0, total, 1.0), fallback)
    V[V < TINY] = 0.0
    return V
