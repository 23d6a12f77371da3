"""Held-out counts: one part is fitted, the other judges the strength of penalties."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np

from espm_hs.factorization.channel_sums import Sums
from espm_hs.factorization.counts.counts import AnyCounts, Counts
from espm_hs.factorization.counts.grid import Grid
from espm_hs.factorization.counts.rows import Rows
from espm_hs.factorization.counts.storage import Store
from espm_hs.factorization.kernels.arguments import Block, Rules, Spectra
from espm_hs.factorization.kernels.pixel_updates import loss_pass
from espm_hs.factorization.kernels.vectors import (
    emitted_width,
    widened,
)
from espm_hs.factorization.penalties import Penalties, Scale, Sparsity
from espm_hs.factorization.problem import Problem
from espm_hs.factorization.solvers.maps import fit_maps
from espm_hs.factorization.solvers.multi_start import factorize, uninterrupted
from espm_hs.progress import stage

# The part of the counts that is fitted.
FITTED = 0.8
# Strengths of smoothness that are tried. All of them: counts that hit a model of zero
# make the loss of rough maps a matter of chance.
SMOOTHNESS_TRIED = (0.0, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
# The strength of a component is moved if the loss falls by so much.
CHANCE_FALL = 1.0
# Visits of a pixel for each: the maps of one strength are the start of the next.
VISITS = 30
VISIT_TOL = 3e-4
# Of large maps no more pixels are looked at, in so many strips.
PIXELS_TO_TELL = 1 << 14
STRIPS = 8
# Model of a count where there is none, as a share of the mean count per entry.
HELD_OUT_FLOOR = 1e-6
# Mean counts per pixel below which one component may win all of a smooth map, and maps
# are judged by the shares of the channels alone.
FEW_COUNTS = 10.0
# Totals of pixels are taken for so much at least where something is divided by them.
EMPTY = 1e-200
# Strengths of sparsity that are tried: the usual one is taken unless another one is
# better by so many standard errors.
USUAL_SPARSITY = Sparsity.default
SPARSITY_TRIED = (0.1, 0.3, USUAL_SPARSITY, 3.0, 10.0)
USUAL = SPARSITY_TRIED.index(USUAL_SPARSITY)
SIGNIFICANT = 2.0
# Draws of the held-out counts.
N_DRAWS = 3


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
        Abundances, shape (n_pixels, n_components), in the units of these counts.
    """
    floor = HELD_OUT_FLOOR * counts.mean_counts / counts.n_channels
    edges = counts.blocks
    losses = [
        block_loss(part, D, H[first:last], floor)
        for part, first, last in zip(counts.parts(), edges[:-1], edges[1:], strict=True)
    ]
    return float(np.sum(losses))


def block_loss(part: Counts, D: np.ndarray, H: np.ndarray, floor: float) -> float:
    """Return what a block of counts adds to `held_out`."""
    no_tie = Grid.unconnected(part.n_pixels)
    everywhere = np.empty((0, D.shape[1]), bool)
    scale = Scale(1.0, 1.0, D.shape[1], no_tie)
    loss = loss_pass(emitted_width(D.shape[1]), True)
    return loss(
        Block(part.indptr, part.channels, part.read_values, 0, part.n_pixels, False),
        Spectra(widened(D), D.sum(axis=0), floor),
        Rules(False, everywhere, no_tie.colours, 0),
        Penalties().terms(scale),
        np.ascontiguousarray(H),
    )


def choose_smoothness(
    counts: AnyCounts,
    problem: Problem,
    W: np.ndarray,
    *,
    start: np.ndarray,
    n_alike: float = np.inf,
    random_state=None,
    n_jobs: int | None = None,
) -> tuple[float, ...]:
    """Smoothness with which maps of most of the counts predict the others best.

    Parameters
    ----------
    counts
        The data, n_pixels x n_channels.
    problem
        G, penalties and grid.
    W
        Composition, shape (n_columns, n_components).
    start
        First H, shape (n_pixels, n_components).
    n_alike
        As in `Penalties.tied`; by default pixels that are tied do not share.
    random_state
        Seed: None, int or `numpy.random.Generator`.
    n_jobs
        As in `factorize`.

    Returns
    -------
    tuple of float
        That of each component; 0 if pixels have no neighbours, or if the values are not
        integers, i.e. no counts.

    Notes
    -----
    First one strength is found for all components, then that of each, one after the
    other, is moved for as long as the loss falls. Between the strengths that are tried
    the loss is taken for a parabola in their logarithm. If the differences of
    neighbours have a variance, the best smoothness is its inverse over the counts per
    pixel: that of all counts is the smaller by the share that was fitted. Of a large
    map some strips are enough to tell.

    Maps of few counts are asked how the held-out counts of a pixel are shared by the
    channels, not how many there are: where the totals are even, the smoothest maps
    would predict them best, whatever becomes of the components. With more counts the
    totals are a good witness.
    """
    none = (0.0,) * problem.n_components
    grid = problem.grid
    if not counts.integer or not (grid and grid.connected):
        return none
    seen, mean_counts = strips(counts.n_pixels), counts.mean_counts
    few = mean_counts < FEW_COUNTS
    counts, problem, start = counts.take(seen), problem.take(seen), start[seen]
    rng = np.random.default_rng(random_state)
    fitted, others = thin(counts, FITTED, rng)
    if not (fitted.n_nonzeros and others.n_nonzeros):
        return none
    sums = Sums.suited_to(counts, problem)
    if sums is not None:
        problem = sums.of_problem(problem)
        # these are here, as what they are made of is
        fitted, others = (cast(Counts, sums.of_counts(x)) for x in (fitted, others))
    # shares add up to 1 whatever the counts, which then are in W
    on_simplex = problem.simplex == "abundances"
    W, H = (FITTED * W, start) if on_simplex else (W, FITTED * start)
    D = (1 / FITTED - 1) * problem.spectra(W)

    # those that are alike, and about three for each component
    trials = iter(range(len(SMOOTHNESS_TRIED) + 3 * problem.n_components, 0, -1))

    def trial(places, H):
        """Loss of the strengths at places of their list, and their maps."""
        strengths = tuple(SMOOTHNESS_TRIED[n] for n in places)
        penalties = problem.penalties.tied(strengths, grid.weights.size, n_alike)
        smooth = replace(problem, penalties=penalties)
        settings: dict[str, Any] = {
            "max_iter": VISITS,
            "tol": VISIT_TOL,
            "n_jobs": n_jobs,
        }
        with stage(1 / next(trials, 1)):
            H, _ = fit_maps(fitted, smooth, W, start=H, **settings)
        totals = np.maximum(H @ D.sum(axis=0), EMPTY)
        told = H * (others.per_pixel / totals)[:, None] if few else H
        return held_out(others, D, told), H

    best = _best_strengths(trial, problem.n_components, H)
    return tuple((FITTED * mean_counts / counts.mean_counts * np.array(best)).tolist())


def _best_strengths(trial, k, H) -> list[float]:
    """Strengths of k components with the lowest loss, from ``trial``."""
    losses, maps = [], []
    for n in range(len(SMOOTHNESS_TRIED)):
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
            while 0 <= places[j] + step < len(SMOOTHNESS_TRIED):
                tried = list(places)
                tried[j] += step
                if tried[j] in around:
                    break
                around[tried[j]], there = trial(tried, H)
                if around[tried[j]] > best - CHANCE_FALL:
                    break
                best, places, H = around[tried[j]], tried, there
        strengths.append(_lowest(places[j], around))
    return strengths


def strips(n_pixels: int) -> np.ndarray:
    """Pixels to look at, boolean: all of a small map, of a large one some strips."""
    length = -(-n_pixels // STRIPS)
    within = np.arange(n_pixels) % length
    return within < max(1, min(length, PIXELS_TO_TELL // STRIPS))


def _lowest(n: int, losses: dict[int, float]) -> float:
    """Strength at the bottom of a parabola through the loss at n and its neighbours."""
    # there is none between 0 and the weakest
    if n < 2 or not {n - 1, n + 1} <= losses.keys():
        return SMOOTHNESS_TRIED[n]
    around = np.log(SMOOTHNESS_TRIED[n - 1 : n + 2])
    bend, slope, _ = np.polyfit(around, [losses[n - 1], losses[n], losses[n + 1]], 2)
    lowest = -slope / (2 * bend) if bend > 0 else around[1]
    return float(np.exp(np.clip(lowest, around[0], around[2])))


def choose_sparsity(
    counts: AnyCounts,
    problem: Problem,
    *,
    weight: float = 1.0,
    n_init: int = 1,
    random_state=None,
    n_jobs: int | None = None,
) -> float:
    """Sparsity with which components of most of the counts predict the others best.

    Parameters
    ----------
    counts
        The data, n_pixels x n_channels.
    problem
        G and constraints.
    weight
        Part of each strength that acts, less than 1 where there are few counts.
    n_init
        Starts of the fit with the usual strength, from which the others go on.
    random_state
        Seed: None, int or `numpy.random.Generator`.
    n_jobs
        As in `factorize`.

    Returns
    -------
    float
        1, the usual strength, unless another one is better by two standard errors of
        the difference over three draws; also if the values are not integers.

    Notes
    -----
    Held-out counts see what the term does to abundances: too weak it leaves their
    noise, too strong it makes mixtures pure. They do not see how far components are
    mixed with each other, since that leaves all means as they are.
    """
    options = {"n_init": n_init, "random_state": random_state, "n_jobs": n_jobs}
    loss = sparsity_losses(counts, problem, weight=weight, **options)
    gain = loss[:, [USUAL]] - loss
    error = gain.std(axis=0, ddof=1) / np.sqrt(N_DRAWS)
    certain = gain.mean(axis=0) > SIGNIFICANT * error
    best = np.argmax(np.where(certain, gain.mean(axis=0), 0.0))
    return SPARSITY_TRIED[best] if certain.any() else USUAL_SPARSITY


def sparsity_losses(
    counts: AnyCounts,
    problem: Problem,
    *,
    weight: float = 1.0,
    n_init: int = 1,
    random_state=None,
    n_jobs: int | None = None,
) -> np.ndarray:
    """Negative log-likelihood of held-out counts, for each strength.

    Parameters
    ----------
    counts, problem, weight, n_init, random_state, n_jobs
        As in `choose_sparsity`.

    Returns
    -------
    numpy.ndarray
        Shape (n_thinnings, n_strengths), in nats but for a constant; zeros if there is
        nothing to hold out.
    """
    loss = np.zeros((N_DRAWS, len(SPARSITY_TRIED)))
    fits_left = iter(range(loss.size, 0, -1))
    if not counts.integer:
        return loss
    seen = strips(counts.n_pixels)
    penalties = problem.penalties.separable()
    problem = replace(problem, grid=None, penalties=penalties).take(seen)
    counts = counts.take(seen)
    rng = np.random.default_rng(random_state)
    options = {"random_state": rng, "n_jobs": n_jobs}
    for row in loss:
        fitted, others = thin(counts, FITTED, rng)
        if not (fitted.n_nonzeros and others.n_nonzeros):
            return np.zeros_like(loss)
        fits = _fits(fitted, problem, weight, n_init, options, fits_left)
        row[:] = [_loss(others, problem, fits[x]) for x in SPARSITY_TRIED]
    return loss


def _fits(counts, problem, weight, n_init, options, fits_left):
    """Fit with each strength, outwards from the usual one."""
    fits: dict[float, tuple] = {}
    for way in (SPARSITY_TRIED[USUAL:], SPARSITY_TRIED[USUAL::-1]):
        last = fits.get(USUAL_SPARSITY)
        for strength in way:
            if strength not in fits:
                start = {"n_init": n_init} if last is None else {"init": last}
                penalties = replace(problem.penalties, sparsity=weight * strength)
                sparse = replace(problem, penalties=penalties)
                with stage(1 / next(fits_left)):
                    found = factorize(counts, sparse, **start, **options)
                uninterrupted(found)
                fits[strength] = found.W, found.H
            last = fits[strength]
    return fits


def _loss(others, problem, fit):
    D, H = problem.leveled(*fit)
    return held_out(others, (1 / FITTED - 1) * D, H)
