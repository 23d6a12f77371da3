"""Slope of F in W: of a fit, and of what its abundances would be with fewer counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from espm_hs.factorization.counts.counts import Counts
from espm_hs.factorization.cross_validation import strips, thin
from espm_hs.factorization.executors import passes_over
from espm_hs.factorization.problem import Penalties, Problem
from espm_hs.factorization.solvers.maps import fit_loadings

# Abundances of a part of the counts only tell where W would go.
TOL = 1e-4


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
        The data, of integers, and G, constraints and sparsity.
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
    sparsity = Penalties(problem.penalties.sparsity)
    problem = replace(problem, penalties=sparsity, grid=None).take(seen)
    counts = counts.take(seen)
    slope = np.zeros_like(W)
    rng = np.random.default_rng(seed)
    parts = [(part, 1 / n_parts, 1) for part in _dealt(counts, n_parts, rng)]
    for part, dose, sign in (*parts, (counts, 1, -1)):
        if part.n_nonzeros > 0:
            # shares add up to 1 whatever the dose, which then is in W
            unit = dose * whole if problem.simplex == "abundances" else 1.0
            H = fit_loadings(part, problem, W * unit, tol=TOL, n_jobs=n_jobs)
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
