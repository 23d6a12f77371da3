"""Abundances of known components."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
from joblib import effective_n_jobs

from espm_hs.factorization.channel_sums import Sums
from espm_hs.factorization.counts.counts import AnyCounts, Counts
from espm_hs.factorization.counts.grid import Bins, Grid
from espm_hs.factorization.executors import passes_over
from espm_hs.factorization.penalties import Penalties
from espm_hs.factorization.problem import Problem
from espm_hs.factorization.solvers.base import Descent, expected_fall
from espm_hs.factorization.solvers.initialization import even_abundances
from espm_hs.factorization.solvers.newton import WARM_UP
from espm_hs.progress import tell

# How often F is computed.
SWEEPS_PER_CHECK = 2
# A component with less than this share of its total, after so many sweeps, is lost.
LOST, SWEEPS_TO_RETURN = 0.05, 4
# A coarser map has bins of as many pixels along each axis at most.
COARSER = 4
# Maps start at this share of their mean at least.
LEAST_OF_MAP = 1e-3
# Maps whose totals are further off than this factor are not scaled to them.
FURTHEST = 2.0
# What spectra tell apart less than by this part of what they tell best is not told.
RANK = 1e-12


class MapDescent(Descent):
    """Newton steps on the pixels of a smooth map, the spectra being known."""

    def __init__(self, passes, V, H, tol, least=None):
        super().__init__(passes, V, H)
        self.settled = tol * passes.counts.unit * H.size
        self.n_sweeps = 0
        self.least = least  # sums of H below which it ends, (n_components,) or None

    def step(self, max_passes):
        """Visit every pixel once."""
        check = self.n_sweeps % SWEEPS_PER_CHECK == 0
        F = self.passes.smooth_pixels(self.V, self.H, with_loss=check)
        self.n_sweeps += 1
        if check:
            self.history.append(F)
            # over-relaxed maps swing about their minimum: F rests where they turn back
            last = self.history, self.history[:-1]
            self.converged = max(map(expected_fall, last)) <= self.settled
            if self.least is not None and self.n_sweeps > SWEEPS_TO_RETURN:
                self.converged |= bool((self.H.sum(axis=0) < self.least).any())


def fit_loadings(
    counts: AnyCounts,
    problem: Problem,
    W: np.ndarray,
    *,
    mean_counts: float | None = None,
    max_iter: int = 1000,
    tol: float = 1e-7,
    n_jobs: int | None = None,
    dose: float | None = None,
) -> np.ndarray:
    """Abundances of known components: minimise F over H alone, pixel by pixel.

    Parameters
    ----------
    counts
        The data, n_pixels x n_channels.
    problem
        G, constraints and penalties; what ties pixels together is left out, so that a
        pixel's result does not depend on the pixels it comes with.
    W
        Composition, shape (n_columns, n_components).
    mean_counts
        Mean counts per pixel of the map the components come from (None: those of
        ``counts``): sets the floor of the model.
    max_iter
        Largest number of updates of a pixel.
    tol
        A pixel is left when no abundance moves by more than ``tol`` times their sum.
    n_jobs
        Number of threads, as in `factorize`.
    dose
        The former name of ``mean_counts``.

    Returns
    -------
    numpy.ndarray
        H, shape (n_pixels, n_components).
    """
    mean_counts = dose if mean_counts is None else mean_counts
    penalties = problem.penalties.separable()
    problem = replace(problem, penalties=penalties, fixed=None, ties=None)
    V, scale = _spectra_of_sum_one(problem, W)
    with passes_over(counts, problem, effective_n_jobs(n_jobs), mean_counts) as passes:
        H = passes.hold(even_abundances(counts, problem))
        steps = {"n_steps": min(max_iter, WARM_UP), "step_tol": tol}
        passes.run(V, H, with_A=False, **steps)
        if penalties.of_shares:
            only_H = {"with_A": False, "with_loss": False}
            passes.solve_pixels(V, H, n_steps=max_iter, **only_H)
        else:
            MapDescent(passes, V, H, tol).advance(max_iter)
    return H / scale


def fit_maps(
    counts: AnyCounts,
    problem: Problem,
    W: np.ndarray,
    *,
    start: np.ndarray | None = None,
    totals: np.ndarray | None = None,
    until_lost: bool = False,
    max_iter: int = 1000,
    tol: float = 1e-4,
    n_jobs: int | None = None,
    callback=None,
) -> tuple[np.ndarray, float]:
    """Abundances of known components on a map, where neighbours may be alike.

    Parameters
    ----------
    counts
        The data, n_pixels x n_channels.
    problem
        G, constraints, penalties and grid.
    W
        Composition, shape (n_columns, n_components).
    start
        First H, shape (n_pixels, n_components); None for equal shares. Only needed
        with smoothness: without it each pixel is solved by itself.
    totals
        Shape (n_components,): sums over the pixels to which smooth maps are scaled in
        the end, smoothness having pulled down what is high. None: as they come, and so
        are maps with a component that is off by more than `FURTHEST`: it is not there
        to be scaled.
    until_lost
        Whether to end once a smooth map is certain to come out so.
    max_iter
        Largest number of iterations.
    tol
        The fit ends when F is expected to fall by less for each number of H.
    n_jobs, callback
        As in `factorize`.

    Returns
    -------
    H : numpy.ndarray
        Shape (n_pixels, n_components).
    objective : float
        F of W and H, in nats.
    """
    problem = replace(problem, fixed=None, ties=None)
    V, scale = _spectra_of_sum_one(problem, W)
    with passes_over(counts, problem, effective_n_jobs(n_jobs)) as passes:
        H = even_abundances(counts, problem)
        if start is not None:
            H = problem.allowed(start * scale)
        H = passes.hold(H)
        if not problem.penalties.of_shares:
            least = LOST * totals * scale if until_lost and totals is not None else None
            descent = MapDescent(passes, V, H, tol, least)

            def heard(n_iter, F):
                tell(descent.come(max_iter))
                if callback is not None:
                    callback(n_iter, F)

            descent.advance(max_iter, heard)
            if totals is not None:
                factors = _factors(descent.H.sum(axis=0), totals * scale)
                descent.H *= factors
            descent.finish()
            return descent.H / scale, descent.history[-1]
        passes.run(V, H, n_steps=WARM_UP, with_A=False)
        _, F, _ = passes.solve_pixels(V, H, with_A=False)
    return H / scale, F


def divergence_of_fit(
    counts: AnyCounts,
    problem: Problem,
    W: np.ndarray,
    H: np.ndarray,
    *,
    n_jobs: int | None = None,
) -> float:
    """Return what the counts say of a fit, without the penalties.

    Parameters
    ----------
    counts, problem
        As in `fit_maps`.
    W, H
        Shapes (n_columns, n_components) and (n_pixels, n_components).
    n_jobs
        As in `factorize`.

    Returns
    -------
    float
        Kullback-Leibler divergence of the counts from the model, in nats.
    """
    problem = replace(problem, penalties=Penalties(), fixed=None, ties=None)
    V, scale = _spectra_of_sum_one(problem, W)
    with passes_over(counts, problem, effective_n_jobs(n_jobs)) as passes:
        _, F = passes.run(V, passes.hold(H * scale), n_steps=0, with_loss=True)
    return F


def coarse_maps(
    counts: AnyCounts,
    problem: Problem,
    W: np.ndarray,
    start: np.ndarray | None,
    **options,
) -> np.ndarray | None:
    """First H of a smooth map, for `fit_maps`: that of a coarser one.

    Parameters
    ----------
    counts, problem, W
        As in `fit_maps`.
    start
        What is returned if the maps are not smooth enough for coarser ones.
    **options
        ``max_iter``, ``tol`` and ``n_jobs`` of `fit_maps`.

    Notes
    -----
    Long waves in a map take many visits of each pixel, but few of each bin. Bins of b
    pixels along each axis differ b times as much as neighbours do, and there are fewer
    pairs of them: their smoothness is less by b**2. Bins are as large as leaves 1 to
    the smoothest component, and those of many pixels begin with bins of their own.
    """
    penalties = problem.penalties
    strengths = penalties.strengths(problem.n_components)
    factor = 2 ** int(np.log2(max(strengths.max(), 1.0)) / 2)
    factor = min(factor, COARSER)
    # shares do not add up as counts do
    grid = problem.grid
    if grid is None or factor == 1 or problem.simplex == "abundances":
        return start
    bins = Bins.from_shape(grid.shape, factor, grid.pixels)
    support = problem.support
    coarse = replace(
        problem,
        penalties=penalties.binned(bins, factor),
        grid=Grid(grid.weights, bins.shape, bins.used.reshape(bins.shape)),
        support=None if support is None else bins.sum(support) > 0,
    )
    # neighbours are alike in what a pixel has, not in how many pixels they have
    merged = bins.merge(counts, as_full=True)
    sums = Sums.suited_to(merged, coarse)
    if sums is not None:
        merged, coarse = sums.of_counts(merged), sums.of_problem(coarse)
    first = coarse_maps(merged, coarse, W, None, **options)
    H, _ = fit_maps(merged, coarse, W, start=first, **options)
    return problem.allowed(off_zero(bins.spread(H, counts.edges, as_full=True)))


def off_zero(H):
    """Return a first H without zeros, which would stay zeros."""
    return np.maximum(H, LEAST_OF_MAP * H.mean(axis=0))


def _factors(found, totals):
    """By how much to scale maps to their totals; 1 if that is too far."""
    # what is to be empty may be; a map that has become so stays empty
    factors = totals / np.where(found > 0, found, np.inf)
    off = (found > 0) | (totals > 0)
    near = (factors <= FURTHEST) & (factors * FURTHEST >= 1)
    return factors if near[off].all() else np.ones_like(factors)


def _spectra_of_sum_one(problem, W):
    """W scaled as a fit has it, and what H is then multiplied by."""
    if problem.simplex == "abundances":
        return W, 1.0
    scale = np.maximum(problem.totals(problem.spectra(W)), np.finfo(float).tiny)
    return W / scale, scale


def linear_maps(counts: AnyCounts, D: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return least-squares amounts of spectra in the pixels, and their noise.

    All pixels have the weights of the mean spectrum. Amounts may be negative, so that
    they are right on average wherever there is none, and their mean covariance follows
    from the Poisson law alone.

    Parameters
    ----------
    counts
        Of the pixels.
    D
        Spectra, shape (n_channels, n_components).

    Returns
    -------
    H : numpy.ndarray
        Shape (n_pixels, n_components).
    noise : numpy.ndarray
        Mean covariance of the amounts of a pixel, shape (n_components, n_components).
    """
    mean = counts.spectrum / counts.n_pixels
    weighted = np.divide(D, mean[:, None], where=mean[:, None] > 0, out=0 * D)
    back = weighted @ np.linalg.pinv(D.T @ weighted, rcond=RANK, hermitian=True)
    H = np.concatenate(counts.over_blocks(partial(_amounts, back)))
    return H, back.T @ (mean[:, None] * back)


def _amounts(back: np.ndarray, part: Counts) -> np.ndarray:
    return part.to_csr() @ back
