"""How much of one component another one may hold before the counts object."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import permutations

import numpy as np
from joblib import effective_n_jobs
from scipy.linalg import block_diag
from scipy.optimize import nnls

from espm_hs.factorization.channel_sums import Sums
from espm_hs.factorization.counts.counts import AnyCounts
from espm_hs.factorization.executors import one_blas_thread, passes_over
from espm_hs.factorization.problem import Problem
from espm_hs.progress import tell

# The likelihood falls so much, in nats, at two standard errors.
RISE = 2.0
# Smaller shares are a matter of the errors; a component that consists of another one
# by more than the largest is the same.
LEAST, MOST = 0.005, 0.99
# Shares are found to this part of themselves.
PRECISION = 0.05
# Given fractions stay when they differ by less than this from those that are mixed in.
SAME_FRACTION = 1e-3
# Added to the information of W, as a share of its diagonal: columns may be the same.
INFORMATION_RIDGE = 1e-12


def mixing_ranges(
    counts: AnyCounts,
    problem: Problem,
    W: np.ndarray,
    H: np.ndarray,
    *,
    rise: float = RISE,
    pairs: Sequence[tuple[int, int]] | None = None,
    n_jobs: int | None = None,
) -> np.ndarray:
    """How far each component may move away from and towards each other one.

    The abundances make up for every such move as long as nothing becomes negative, so
    the counts cannot tell. What objects is the likelihood alone, where it gets worse by
    so many nats; no penalty counts.

    Parameters
    ----------
    counts
        The data, n_pixels x n_channels.
    problem
        G (not None) and constraints. Fixed fractions keep their values, ties hold, and
        no component gets to pixels outside of its support.
    W, H
        The fit, shapes (n_columns, n_components) and (n_pixels, n_components).
    rise
        Nats; 2 are those of two standard errors.
    pairs
        Of components i and j that are asked for; None: all.
    n_jobs
        Number of threads, as in `factorize`.

    Returns
    -------
    numpy.ndarray
        Shape (2, n_components, n_components), in shares of the simplex rows of W:
        ``[0, i, j]`` of component i may be component j, and ``[1, i, j]`` of component
        i may have been left to component j. 0 where it is less than 0.5 %, or where
        one of the two has no simplex rows.

    Notes
    -----
    Away: W_i = (1 - b) W_i' + b W_j, as far as W_i' can be non-negative. The likelihood
    is taken for a parabola in W_i and W_j, which may both move to help. Towards:
    W_i' = (1 - a) W_i + a W_j, as far as pixels have enough of j; those that have not
    are solved again. The rest of W cannot help: it is not there that pixels lack.
    """
    sums = Sums.suited_to(counts, problem)
    if sums is not None:
        counts, problem = sums.of_counts(counts), sums.of_problem(problem)
    k = W.shape[1]
    whole = W[problem.rows_on_simplex].sum(axis=0)
    unit = np.where(whole > 0, whole, 1.0)
    on_simplex = problem.simplex == "abundances"
    if not on_simplex:
        W, H = W / unit, H * unit
    plain = Problem(
        problem.n_channels, k, simplex=problem.simplex, support=problem.support
    )
    ranges = np.zeros((2, k, k))
    n_jobs = effective_n_jobs(n_jobs)
    with one_blas_thread(), passes_over(counts, plain, n_jobs) as passes:
        moves = _Moves(passes, problem, W, H)
        pairs = list(permutations(range(k), 2)) if pairs is None else pairs
        for n, (i, j) in enumerate(pairs):
            tell(n / len(pairs))
            if whole[i] > 0 and whole[j] > 0 and not _is_held(problem, W, i, j):
                if _may_follow(problem, H, i, j):
                    ranges[0, i, j] = _largest_share(moves.away(i, j), rise)
                ranges[1, i, j] = _largest_share(moves.towards(i, j), rise)
    return _of_simplex_rows(ranges, unit) if on_simplex else ranges


class _Moves:
    """Rise of the likelihood term with moves of W, from abundances at its minimum."""

    def __init__(self, passes, problem, W, H):
        self.passes, self.problem, self.W = passes, problem, W
        self.D = problem.spectra(W)
        self.H, self.lowest, self.S = self._solved(self.D, H, with_curvature=True)

    def away(self, i, j) -> Callable[[float], float]:
        """W_i less a share of W_j, which the map of j gets."""
        W = np.concatenate((self.W[:, i], self.W[:, j]))
        scale, R = self._root_information(i, j)
        one = np.eye(len(self.W))
        given = np.zeros(W.size, bool)
        if self.problem.fixed is not None:
            given = ~np.isnan(self.problem.fixed[:, [i, j]]).T.ravel()
        ties = np.eye(W.size)
        if self.problem.ties is not None:
            ties = block_diag(self.problem.ties[i], self.problem.ties[j])

        def rise(share):
            # from W_i' and W_j to what takes the place of W_i and W_j
            mix = np.block([[one, share * one], [np.zeros_like(one), one]])
            start = np.concatenate(((1 - share) * W[: len(one)], W[len(one) :]))
            A = R @ (mix / scale[:, None])
            b = R @ (W / scale) - A[:, given] @ start[given]
            A = A @ ties
            size = np.maximum(np.linalg.norm(A, axis=0), np.finfo(float).tiny)
            free = (A / size)[:, ~given & ties.any(axis=0)]
            if free.shape[1] == 0:  # all is given, and nnls needs something to move
                return b @ b / 2
            return nnls(free, b, maxiter=100 * W.size)[1] ** 2 / 2

        return rise

    def towards(self, i, j) -> Callable[[float], float]:
        """W_i with a share of W_j, which the map of j loses."""

        def rise(share):
            D, H = self.D.copy(), self.H.copy()
            D[:, i] = (1 - share) * D[:, i] + share * D[:, j]
            H[:, i] /= 1 - share
            H[:, j] = np.maximum(H[:, j] - share * H[:, i], 0.0)
            return self._solved(D, H)[1] - self.lowest

        return rise

    def _root_information(self, i, j):
        """Return s and R, R^T R the information of (W_i, W_j) / s for fixed abundances.

        With the G of one of them: what only differs in G counts as the same.
        """
        G = self.problem.G if self.problem.G.ndim == 2 else self.problem.G[i]
        blocks = [[G.T @ (self.S[a, b][:, None] * G) for b in (i, j)] for a in (i, j)]
        information = np.block(blocks)
        scale = 1 / np.sqrt(np.maximum(np.diag(information), np.finfo(float).tiny))
        information = information * np.outer(scale, scale)
        ridge = INFORMATION_RIDGE * np.eye(scale.size)
        return scale, np.linalg.cholesky(information + ridge).T

    def _solved(self, D, H, with_curvature=False):
        """Abundances at the minimum, the likelihood term there, and information.

        The latter, (k, k, n_channels), sums x / y**2 h_i h_j over the pixels.
        """
        k = D.shape[1]
        scale = np.ones(k)
        if not self.passes.on_simplex:  # spectra of sum 1, and counts
            scale = np.maximum(D.sum(axis=0), np.finfo(float).tiny)
        H = H * scale
        _, F, pairs = self.passes.solve_pixels(
            D / scale, H, with_A=with_curvature, with_curvature=with_curvature
        )
        if not with_curvature:
            return H / scale, F, None
        S = np.empty((k, k, D.shape[0]))
        for n, (i, j) in enumerate(zip(*np.tril_indices(k), strict=True)):
            S[i, j] = S[j, i] = pairs[:, n] / (scale[i] * scale[j])
        return H / scale, F, S


def _is_held(problem, W, i, j):
    """Whether the constraints of component i forbid what is in component j."""
    mixed = W.copy()
    mixed[:, i] = W[:, j]
    kept = problem.compose(problem.variables(mixed))
    fractions = np.stack([kept[:, i], W[:, j]])[:, problem.rows_on_simplex]
    fractions /= np.maximum(fractions.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    return bool(np.abs(np.diff(fractions, axis=0)).max() > SAME_FRACTION)


def _may_follow(problem, H, i, j):
    """Whether component j may be wherever i is."""
    if problem.support is None:
        return True
    return not np.any((H[:, i] > 0) & ~problem.support[:, j])


def _largest_share(rise: Callable[[float], float], limit: float) -> float:
    """Share with which the likelihood gets worse by a limit, 0 below `LEAST`."""
    if rise(LEAST) > limit:
        return 0.0
    low, high = LEAST, MOST
    if rise(high) <= limit:
        return high
    while high > (1 + PRECISION) * low:
        middle = float(np.sqrt(low * high))
        if rise(middle) > limit:
            high = middle
        else:
            low = middle
    return low


def _of_simplex_rows(ranges, unit):
    """Shares of abundances -> shares of the simplex rows, of which these have units."""
    away, towards = ranges
    ratio = unit / unit[:, None]
    whole = 1 - towards + towards * ratio
    return np.stack([np.minimum(away * ratio, 1.0), towards * ratio / whole])
