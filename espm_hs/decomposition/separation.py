"""Phases that were found together with what lies above or below them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Ratios agree when they lie within so many standard errors.
AGREEMENT = 2.0
# A fraction is not zero if it is so many times its error.
CERTAIN = 3.0
# A fraction is taken as known to this part of itself at best.
BEST = 0.005
# Phases are separated if chance would make their elements agree less often than this,
# ratios being spread evenly over a factor of 100 ...
LARGEST_CHANCE = 0.001
DECADES = np.log(100.0)
# ... and if at least so much of the other phase is in it.
LEAST_AMOUNT = 0.05
# A phase accompanies another one if it has this share of the counts of a pixel where
# so much of the other one is: more than it gets where grains of both share a pixel.
LEAST_SHARE = 0.3
ALWAYS = 0.9


@dataclass(frozen=True)
class Overlap:
    """A phase whose spectrum contains that of another one.

    Parameters
    ----------
    phase, other
        Numbers of the phases.
    amount
        Atoms of the other phase for each atom of the phase.
    columns
        Columns of the model that the phase has from the other one alone.
    chance
        Probability that their amounts agree by chance.
    """

    phase: int
    other: int
    amount: float
    columns: np.ndarray
    chance: float


def find_overlap(
    W: np.ndarray,
    covariance: np.ndarray,
    elements: np.ndarray,
    hosts=frozenset(),
    apart: np.ndarray | None = None,
) -> Overlap | None:
    """Return the overlap that is least likely by chance, None if all may be chance.

    Parameters
    ----------
    W
        Shape (n_columns, n_phases).
    covariance
        Of W, shape (n_phases, n_columns, n_columns).
    elements
        Boolean, shape (n_columns,): columns that are elements of the sample.
    hosts
        Phases that another one was taken out of: the foil is thicker than what lies in
        them, which is why they are in every phase that has all of their elements.
    apart
        Boolean, shape (n_phases, n_phases): whether the phase of a row may have that of
        a column taken out of it; None: all may.

    Notes
    -----
    Where a phase i lies everywhere in another one, j, the counts cannot tell W_i from
    W_i + a W_j, the rest of W_j H_j being so much less; the sparsity term prefers the
    sum, which has fewer phases in a pixel. Of every element that only j has, the sum
    has a times as much as j: the smallest of the ratios W_ci / W_cj agree.
    """
    errors = standard_errors(covariance)
    others = ~np.eye(W.shape[1], dtype=bool)
    pairs = np.argwhere(others if apart is None else others & apart)
    found = [shared_part(W, errors, elements, i, j) for i, j in pairs.tolist()]
    likely = [
        one
        for one in found
        if one is not None and (one.chance < LARGEST_CHANCE or one.other in hosts)
    ]
    return min(likely, key=lambda one: one.chance, default=None)


def standard_errors(covariance: np.ndarray) -> np.ndarray:
    """Return those of W, shape (n_columns, n_phases)."""
    return np.sqrt(np.maximum(np.diagonal(covariance, axis1=1, axis2=2).T, 0.0))


def ratios(W, errors, columns, i, j) -> tuple[np.ndarray, np.ndarray]:
    """Return what phase i has of some columns over what j has, and standard errors."""
    ratio = W[columns, i] / W[columns, j]
    error = np.hypot(errors[columns, i], ratio * errors[columns, j]) / W[columns, j]
    return ratio, np.maximum(error, BEST)


def shared_part(W, errors, elements, i, j) -> Overlap | None:
    """Return what of phase j may be in phase i, None if that is less than its error."""
    known = np.flatnonzero(elements & (CERTAIN * errors[:, j] < W[:, j]))
    if known.size == 0:
        return None
    ratio, error = ratios(W, errors, known, i, j)
    if not np.isfinite(error).all():
        return None
    alike = ratio - AGREEMENT * error <= (ratio + AGREEMENT * error).min()
    ratio, error = ratio[alike], error[alike]
    weight = error**-2.0
    amount = float(weight @ ratio / weight.sum())
    if amount < max(CERTAIN / np.sqrt(weight.sum()), LEAST_AMOUNT):
        return None
    width = np.minimum(2 * AGREEMENT * error / amount / DECADES, 1.0)
    # the one that is known best says where the others would have to be
    chance = float(np.prod(np.sort(width)[1:]))
    return Overlap(i, j, amount, known[alike], chance)


def accompanying(H: np.ndarray, phases: np.ndarray) -> set[int]:
    """Phases that are found wherever one of some phases is.

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


def separate(
    W: np.ndarray, H: np.ndarray, overlap: Overlap, elements: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Take the other phase out of a phase, and map it where it was.

    Parameters
    ----------
    W
        Shape (n_columns, n_phases).
    H
        Shape (n_pixels, n_phases).
    overlap
        From `find_overlap`.
    elements
        Boolean, shape (n_columns,): rows of W that add up to 1.

    Returns
    -------
    W, H
        New arrays with nearly the same product.
    """
    W, H = W.copy(), H.copy()
    i, j = overlap.phase, overlap.other
    W[:, i] = np.maximum(W[:, i] - overlap.amount * W[:, j], 0.0)
    W[overlap.columns, i] = 0.0
    H[:, j] += overlap.amount * H[:, i]
    whole = W[elements, i].sum()
    if whole > 0:
        W[:, i] /= whole
        H[:, i] *= whole
    return W, H
