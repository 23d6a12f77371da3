"""Counts split in two, to fit one part and to judge the fit by the other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numba import njit

from espm_hs.factorization.counts.counts import Counts
from espm_hs.factorization.counts.rows import Rows
from espm_hs.factorization.counts.storage import Store
from espm_hs.factorization.kernels.registers import add_log, total_log
from espm_hs.factorization.problem import Penalties, Problem
from espm_hs.factorization.solvers.maps import fit_maps

# The part of the counts that is fitted.
FITTED = 0.8
# Strengths of smoothness that are tried. All of them: counts that hit a model of zero
# make the loss of rough maps a matter of chance.
STRENGTHS = (0.0, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
# The strength of a component is moved if the loss falls by so much.
CHANCE = 1.0
# Visits of a pixel for each: the maps of one strength are the start of the next.
MAX_ITER = 30
TOL = 1e-3
# Of large maps no more pixels are looked at, in so many strips.
ENOUGH_PIXELS = 1 << 14
STRIPS = 8
# Model of a count where there is none, as a share of the mean count per entry.
FLOOR = 1e-6


def thin(counts: Counts, share: float, rng) -> tuple[Counts, Counts]:
    """Send each count to the first part or the second.

    Both are Poisson and independent, with ``share`` and ``1 - share`` of the means.

    Parameters
    ----------
    counts
        Integer counts.
    share
        Probability of the first part.
    rng
        `numpy.random.Generator`.
    """
    halves = Store(), Store()
    for part in counts.parts():
        first = rng.binomial(part.values, share).astype(part.values.dtype)
        halves[0].append(_kept(part, first))
        halves[1].append(_kept(part, part.values - first))
    first, second = (Counts(*store.finish(), counts.n_channels) for store in halves)
    return first, second


def _kept(part, values) -> Rows:
    """Return the rows of a block with other values, and without zeros."""
    kept = values > 0
    before = np.concatenate(([0], np.cumsum(kept)))
    return Rows(np.diff(before[part.indptr]), part.channels[kept], values[kept])


def held_out(counts: Counts, D: np.ndarray, H: np.ndarray) -> float:
    """Negative log-likelihood of counts under D H^T, but for a constant, in nats.

    Parameters
    ----------
    counts
        Counts that were not fitted.
    D
        Spectra, shape (n_channels, n_components).
    H
        Abundances, shape (n_pixels, n_components), for the dose of the counts.
    """
    floor = FLOOR * counts.dose / counts.n_channels
    edges = counts.blocks
    losses = [
        block_loss(part, D, H[first:last], floor)
        for part, first, last in zip(counts.parts(), edges[:-1], edges[1:], strict=True)
    ]
    return float(np.sum(losses))


def block_loss(part: Counts, D: np.ndarray, H: np.ndarray, floor: float) -> float:
    """Return what a block of counts adds to `held_out`."""
    logs = _log_likelihood(part.indptr, part.channels, part.values, D, H, floor)
    return float(H.sum(axis=0) @ D.sum(axis=0) - logs)


@njit(cache=True, nogil=True, error_model="numpy")
def _log_likelihood(indptr, channels, values, D, H, floor):
    """Sum x log y over the pixels of H (p, k), for spectra D (e, k)."""
    logs = 0.0, 1.0, 1.0
    for p in range(H.shape[0]):
        for t in range(indptr[p], indptr[p + 1]):
            y = floor
            for j in range(H.shape[1]):
                y += H[p, j] * D[channels[t], j]
            logs = add_log(logs, values[t], y)
    return total_log(logs)


def choose_smoothness(
    counts: Counts,
    problem: Problem,
    W: np.ndarray,
    *,
    start: np.ndarray,
    random_state=None,
    n_jobs: int | None = None,
) -> tuple[float, ...]:
    """Smoothness with which maps of most of the counts predict the others best.

    Parameters
    ----------
    counts
        The data, n_pixels x n_channels.
    problem
        G, sparsity and grid.
    W
        Composition, shape (n_columns, n_components).
    start
        First H, shape (n_pixels, n_components).
    random_state
        Seed: None, int or `numpy.random.Generator`.
    n_jobs
        As in `factorize`.

    Returns
    -------
    tuple of float
        That of each component; 0 if pixels have no neighbours, or if the values are not
        integers, i.e. not what a detector counted.

    Notes
    -----
    First one strength is found for all components, then that of each, one after the
    other, is moved for as long as the loss falls. Between the strengths that are tried
    the loss is taken for a parabola in their logarithm. If the differences of
    neighbours have a variance, the best smoothness is its inverse over the counts per
    pixel: that of all counts is the smaller by the share that was fitted. Of a large
    map some strips are enough to tell.
    """
    none = (0.0,) * problem.n_components
    if not counts.integer or not problem.grid.connected:
        return none
    seen, dose = strips(counts.n_pixels), counts.dose
    counts, problem, start = counts.take(seen), problem.take(seen), start[seen]
    rng = np.random.default_rng(random_state)
    fitted, others = thin(counts, FITTED, rng)
    if not (fitted.n_nonzeros and others.n_nonzeros):
        return none
    # shares add up to 1 whatever the dose, which then is in W
    on_simplex = problem.simplex == "abundances"
    W, H = (FITTED * W, start) if on_simplex else (W, FITTED * start)
    D = (1 / FITTED - 1) * problem.spectra(W)

    def trial(places, H):
        """Loss of the strengths at places of their list, and their maps."""
        strengths = tuple(STRENGTHS[n] for n in places)
        penalties = Penalties(problem.penalties.sparsity, strengths)
        smooth = replace(problem, penalties=penalties)
        settings = {"max_iter": MAX_ITER, "tol": TOL, "n_jobs": n_jobs}
        H, _ = fit_maps(fitted, smooth, W, start=H, **settings)
        return held_out(others, D, H), H

    best = _best_strengths(trial, problem.n_components, H)
    return tuple((FITTED * dose / counts.dose * np.array(best)).tolist())


def _best_strengths(trial, k, H) -> list[float]:
    """Strengths of k components with the lowest loss, from ``trial``."""
    losses, maps = [], []
    for n in range(len(STRENGTHS)):
        loss, H = trial([n] * k, H)
        losses.append(loss)
        maps.append(H)
    n = int(np.argmin(losses))
    if k == 1:
        return [_lowest(n, dict(enumerate(losses)))]
    best, places, H = losses[n], [n] * k, maps[n]
    strengths = []
    for j in range(k):
        around = {places[j]: best}
        for step in (1, -1):
            while 0 <= places[j] + step < len(STRENGTHS):
                tried = list(places)
                tried[j] += step
                if tried[j] in around:
                    break
                around[tried[j]], there = trial(tried, H)
                if around[tried[j]] > best - CHANCE:
                    break
                best, places, H = around[tried[j]], tried, there
        strengths.append(_lowest(places[j], around))
    return strengths


def strips(n_pixels: int) -> np.ndarray:
    """Pixels to look at, boolean: all of a small map, of a large one some strips."""
    length = -(-n_pixels // STRIPS)
    within = np.arange(n_pixels) % length
    return within < max(1, min(length, ENOUGH_PIXELS // STRIPS))


def _lowest(n: int, losses: dict[int, float]) -> float:
    """Strength at the bottom of a parabola through the loss at n and its neighbours."""
    # there is none between 0 and the weakest
    if n < 2 or not {n - 1, n + 1} <= losses.keys():
        return STRENGTHS[n]
    around = np.log(STRENGTHS[n - 1 : n + 2])
    bend, slope, _ = np.polyfit(around, [losses[n - 1], losses[n], losses[n + 1]], 2)
    lowest = -slope / (2 * bend) if bend > 0 else around[1]
    return float(np.exp(np.clip(lowest, around[0], around[2])))
