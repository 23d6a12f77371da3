"""Phases that are nowhere without another one, of which they share some elements."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from espm_hs.decomposition.separation import (
    AGREEMENT,
    CERTAIN,
    Overlap,
    ratios,
    shared_part,
    standard_errors,
)

# A phase is nowhere alone if an eighth of the counts would put more of the other one
# into it by so many of their standard errors.
ENOUGH = 2.5
# Less of it is a matter of what the phase is made of.
LEAST_AMOUNT = 0.2

Pairs = list[tuple[int, int]]


def find_inclusion(
    W: np.ndarray,
    covariance: np.ndarray,
    elements: np.ndarray,
    allowed: np.ndarray,
    uptake: Callable[[Pairs], dict[tuple[int, int], float]],
) -> Overlap | None:
    """Return what is surest to be another phase in a phase, None if nothing is.

    Parameters
    ----------
    W
        Shape (n_columns, n_phases).
    covariance
        Of W, shape (n_phases, n_columns, n_columns).
    elements
        Boolean, shape (n_columns,): columns that are elements of the sample.
    allowed
        Boolean, shape (n_phases, n_phases): whether the phase of a row may have that of
        a column taken out of it.
    uptake
        As `espm_hs.factorization.uptake`, of pairs of phases; called once if there are
        any.

    Notes
    -----
    An overlap of one or two elements cannot be told by their amounts. It can where the
    sparsity term has gone further than the counts like: a phase that no pixel shows
    alone takes up more of its host the fewer counts there are. Its host is taken out as
    far as elements permit, since among answers that the counts allow, that with the
    fewer elements is the simpler.

    In a solid solution no pixel need show its end members either, and they need not be
    simple. A phase is one if it has no element that the other one lacks, or if two of
    the elements that are left are in both in the same proportion.
    """
    errors = standard_errors(covariance)
    found = {}
    for i, j in np.argwhere(allowed & ~np.eye(len(allowed), dtype=bool)).tolist():
        shared = shared_part(W, errors, elements, i, j)
        if shared is None or shared.amount < LEAST_AMOUNT:
            continue
        if not _solid_solution(W, errors, elements, shared):
            found[i, j] = shared
    if not found:
        return None
    taken = uptake(list(found))
    surest = max(found, key=taken.__getitem__)
    return found[surest] if taken[surest] > ENOUGH else None


def _solid_solution(W, errors, elements, shared) -> bool:
    i, j = shared.phase, shared.other
    present = elements[:, None] & (CERTAIN * errors < W)
    if not (present[:, i] & ~present[:, j]).any():
        return True
    left = present[:, j].copy()
    left[shared.columns] = False
    ratio, error = ratios(W, errors, left, i, j)
    apart = np.abs(np.subtract.outer(ratio, ratio)) / np.hypot.outer(error, error)
    np.fill_diagonal(apart, np.inf)
    return bool((apart < AGREEMENT).any())
