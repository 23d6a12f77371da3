"""From starts to the best factorisation."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from joblib import effective_n_jobs
from scipy.optimize import linear_sum_assignment

from espm_hs.factorization.channel_sums import Sums
from espm_hs.factorization.counts.counts import AnyCounts
from espm_hs.factorization.executors import one_blas_thread, passes_over
from espm_hs.factorization.penalties import Penalties
from espm_hs.factorization.problem import Problem
from espm_hs.factorization.solvers.base import (
    Descent,
    FitOptions,
    MultiplicativeDescent,
)
from espm_hs.factorization.solvers.initialization import (
    MAPPED_STARTS,
    check_start,
    even_abundances,
    name_of_start,
    start,
)
from espm_hs.factorization.solvers.newton import WARM_UP, NewtonDescent
from espm_hs.progress import stage, tell

# Several starts are compared after so many passes over the counts, and each time that
# these have doubled.
FIRST_LOOK = 50
# One that trails the best by more than so many times what it gained since the last look
# will not catch up: multiplicative updates rest on plateaus and then go on.
PATIENCE = 10.0
# On maps of more pixels and counts the starts are compared on so much of them, drawn at
# random: what the phases are, and which start is best, a part of them tells.
PIXELS_TO_COMPARE = 1 << 12
COUNTS_TO_COMPARE = 1 << 20
# Sums of channels, where they come first, take such a share of the time.
STARTS_IN_SUMS = 0.5
# So much of the time goes into that, as a rule, and into making several starts.
STARTS_ON_A_PART, MAKING_STARTS = 0.6, 0.2
# All pixels are taken of components that may be in fewer than this share of them.
RARE = 0.01
# Abundances found for known spectra start at this share of their pixel at least.
LEAST_OF_PIXEL = 1e-3
# Starts go to the same optimum if the cosines of their spectra are above this: angles
# below half a degree.
SAME_SPECTRUM = 1 - 4e-5
# Starts agree when their F differ by less than this part of the range of F.
AGREEMENT = 1e-6


@dataclass(frozen=True, eq=False)
class Factorization:
    """Result of a fit.

    Parameters
    ----------
    W
        Composition, shape (n_columns, n_components), in the units of G.
    H
        Abundances, shape (n_pixels, n_components): G W H^T are the counts.
    objective
        F at (W, H): Kullback-Leibler divergence of the counts from the model, in
        nats (half the deviance), plus the penalties.
    history
        F during the fit, whenever it was computed.
    n_iter
        Number of passes over the counts; a multiplicative iteration is one.
    converged
        Whether the fit stopped because F settled.
    interrupted
        Whether the user stopped it.
    objectives
        F at the end of every start, best first, over the pixels on which they were
        compared; a start that came to the spectra of another one has its F.
    n_agreeing
        How many starts ended in this optimum.
    ends
        F and W at the end of every start that ended in spectra of its own, where there
        were several starts.
    """

    W: np.ndarray
    H: np.ndarray
    objective: float
    history: np.ndarray
    n_iter: int
    converged: bool
    interrupted: bool = False
    objectives: tuple[float, ...] = ()
    n_agreeing: int = 1
    ends: tuple[tuple[float, np.ndarray], ...] = ()


def check_options(**options: Any) -> None:
    """Raise ValueError if an option of `factorize` is out of range."""
    FitOptions(**options)


def factorize(
    counts: AnyCounts,
    problem: Problem,
    *,
    init: str | tuple = "nndsvd",
    options: FitOptions | None = None,
    **changes: Any,
) -> Factorization:
    """Minimise F over W and H.

    Parameters
    ----------
    counts
        The data, n_pixels x n_channels.
    problem
        G, constraints and penalties.
    init
        "nndsvd"; "pure", from the pixels that are least like mixtures; "clusters", from
        clusters of pixels; "random"; or a pair of arrays (W, H), either of them None.
        Arrays are brought into the constraints first.
    options
        How to go downhill; None: the defaults.
    **changes
        Options by name, which take the place of those in ``options``.

    Returns
    -------
    Factorization
        The best result so far, also after a KeyboardInterrupt.

    Raises
    ------
    ValueError
        If an argument is out of range, or the counts are all zero.
    """
    options = replace(options or FitOptions(), **changes)
    if counts.n_channels != problem.n_channels:
        raise ValueError(
            f"The counts have {counts.n_channels} channels, the model has "
            f"{problem.n_channels}."
        )
    if problem.support is not None and len(problem.support) != counts.n_pixels:
        raise ValueError(
            f"The counts have {counts.n_pixels} pixels, `support` has "
            f"{len(problem.support)}."
        )
    if counts.n_nonzeros == 0:
        raise ValueError("All counts are zero: there is nothing to decompose.")
    check_start(init, problem, counts.n_pixels)

    rng = np.random.default_rng(options.random_state)
    names = [name_of_start(number, init) for number in range(options.n_init)]
    several = options.n_init > 1
    sums = Sums.suited_to(counts, problem) if several else None
    if sums is None:
        found = _best_of(counts, problem, names, rng, options)
    else:
        coarse = sums.of_counts(counts), sums.of_problem(problem)
        with stage(STARTS_IN_SUMS):
            found = _best_of(*coarse, names, rng, options)
        first = found.W, np.asarray(found.H)  # which lies as the sums do
        found = _gone_on(counts, problem, first, found, options)
    return _in_fractions(found, problem)


def _best_of(counts, problem, names, rng, options):
    """Go downhill from starts; of a large map find the best on some of its pixels."""
    pixels = _pixels_to_compare(counts, rng) if options.n_init > 1 else None
    if pixels is not None:
        return _compared_on_a_part(counts, problem, names, pixels, rng, options)
    starts = _starts(counts, problem, names, rng, options.n_jobs)
    return _descend(counts, problem, starts, options)


def uninterrupted(found):
    """Return a fit that is a part of more; raise KeyboardInterrupt if it was stopped.

    Parameters
    ----------
    found
        A `Factorization`, or another result with ``interrupted``.
    """
    if found.interrupted:
        raise KeyboardInterrupt
    return found


def _pixels_to_compare(
    counts: AnyCounts, rng: np.random.Generator
) -> np.ndarray | None:
    """Draw the pixels on which starts are compared; None: all of a small map."""
    if counts.n_pixels <= PIXELS_TO_COMPARE:
        return None
    enough = max(PIXELS_TO_COMPARE, round(COUNTS_TO_COMPARE / counts.mean_counts))
    if counts.n_pixels <= enough:
        return None
    pixels = np.zeros(counts.n_pixels, bool)
    pixels[rng.choice(counts.n_pixels, enough, replace=False)] = True
    return pixels


def _compared_on_a_part(counts, problem, names, pixels, rng, options):
    """Find the best start on some pixels, and go on from there with all of them."""
    # they are no neighbours any more
    penalties = problem.penalties.separable()
    alone = replace(problem, penalties=penalties, grid=None)
    if problem.support is not None:
        rare = problem.support.mean(axis=0) < RARE
        pixels |= problem.support[:, rare].any(axis=1)
    part, part_of = counts.take(pixels), alone.take(pixels)
    names = [_of_pixels(name, pixels) for name in names]
    starts = _starts(part, part_of, names, rng, options.n_jobs)
    with stage(STARTS_ON_A_PART):
        best = _descend(part, part_of, starts, options)
    first = best.W, _abundances(counts, alone, best.W, options.n_jobs)
    return _gone_on(counts, problem, first, best, options)


def _gone_on(counts, problem, first, best, options):
    """Go on with all counts from where a fit to a part of them ended."""
    # an interrupted fit is brought to all of them, no more
    last = replace(options, max_iter=WARM_UP) if best.interrupted else options
    found = _descend(counts, problem, [first], replace(last, n_init=1))
    return replace(
        found,
        interrupted=found.interrupted or best.interrupted,
        objectives=best.objectives,
        n_agreeing=best.n_agreeing,
        ends=best.ends,
    )


def _starts(counts, problem, names, rng, n_jobs):
    """Make V and H of all starts, one after the other.

    Where each cluster is a component, its maps follow from the spectra, without
    penalties: an equal share of all components in all pixels would draw the spectra
    towards each other before there are maps, and those between two others do not come
    back. The other starts are free to move, which is better where clusters are wrong.
    """
    free = replace(problem, penalties=Penalties(), grid=None)
    for init in names:
        V, H = start(counts, problem, init, rng)
        if init in MAPPED_STARTS:
            H = _abundances(counts, free, V, n_jobs)
        yield V, H


def _abundances(counts, problem, V, n_jobs):
    """First H of all pixels for a V that is known."""
    with passes_over(counts, problem, effective_n_jobs(n_jobs)) as passes:
        H = passes.hold(even_abundances(counts, problem))
        passes.run(V, H, n_steps=WARM_UP, with_A=False)
        if problem.penalties.of_shares:
            passes.solve_pixels(V, H, with_A=False, with_loss=False)
    # zeros would stay zeros
    H = problem.allowed(np.maximum(H, LEAST_OF_PIXEL * H.mean(axis=1, keepdims=True)))
    if problem.simplex == "abundances":
        return H / H.sum(axis=1, keepdims=True)
    return H


def _of_pixels(init, pixels):
    """Return a start for a part of the pixels."""
    if isinstance(init, str) or init[1] is None:
        return init
    return init[0], np.asarray(init[1])[pixels]


def _descend(counts, problem, starts, options) -> Factorization:
    """Go downhill from all starts, pairs of V and H; the W of the result is V."""
    n_jobs = effective_n_jobs(options.n_jobs)
    with (
        one_blas_thread(),
        passes_over(counts, problem, n_jobs) as passes,
    ):
        descents: list[Descent] = []
        interrupted = False
        try:
            for V, H in starts:
                H = passes.hold(H)
                descent: Descent
                if _takes_newton(options.solver, problem):
                    descent = NewtonDescent(passes, V, H, options.tol)
                else:
                    descent = MultiplicativeDescent(
                        passes, V, H, options.tol, options.check_every
                    )
                descents.append(descent)
                if options.n_init > 1:
                    tell(MAKING_STARTS * len(descents) / options.n_init)
            with stage():
                _advance_together(descents, options.max_iter, options.callback)
        except KeyboardInterrupt:
            # each pixel of H is either updated or not: V and H are a valid result
            if not descents:
                raise
            interrupted = True
        for one in descents:
            one.finish()
    return _best(descents, interrupted)


def _takes_newton(solver: str, problem: Problem) -> bool:
    penalties = problem.penalties
    # the second derivative knows of one height of each spectrum
    if solver == "mu" or not penalties.of_shares or problem.free_scales:
        return False
    return solver == "newton" or not penalties.acts


def _advance_together(descents, max_iter, callback):
    """Advance all descents together; leave behind those without hope.

    A descent that has the spectra of a lower one follows it.
    """
    look = max_iter if len(descents) == 1 else min(FIRST_LOOK, max_iter)
    hopeful = descents

    def heard(n_iter, F):
        left = sum(1 - one.come(max_iter) for one in hopeful)
        tell(1 - left / len(descents))
        if callback is not None:
            callback(n_iter, F)

    before: dict[Descent, float] = {}
    while True:
        for descent in hopeful:
            descent.advance(look, heard)
        if look == max_iter:
            return
        F = {descent: descent.history[-1] for descent in hopeful if descent.history}
        best = min(F.values(), default=np.inf)
        _find_leaders(sorted(F, key=F.__getitem__))
        hopeful = [
            descent
            for descent in hopeful
            if descent.leader is descent
            and (
                descent not in before
                or F[descent] - best <= PATIENCE * (before[descent] - F[descent])
            )
        ]
        before, look = F, min(2 * look, max_iter)


def _find_leaders(descents):
    """Let each descent follow the first in the list that has its spectra."""
    spectra = [_unit_spectra(descent) for descent in descents]
    for i, j in itertools.combinations(range(len(descents)), 2):
        cosines = spectra[i].T @ spectra[j]
        pairs = linear_sum_assignment(cosines, maximize=True)
        if descents[j].leader is descents[j] and cosines[pairs].min() > SAME_SPECTRUM:
            descents[j].leader = descents[i].leader


def _unit_spectra(descent):
    D = descent.problem.spectra(descent.problem.compose(descent.V))
    return D / np.maximum(np.linalg.norm(D, axis=0), np.finfo(float).tiny)


def _best(descents, interrupted) -> Factorization:
    """Make the result of the descent that came lowest."""
    best = min(descents, key=lambda descent: descent.history[-1])
    objectives = tuple(sorted(descent.ahead.history[-1] for descent in descents))
    spread = AGREEMENT * (max(d.history[0] for d in descents) - objectives[0])
    return Factorization(
        best.V,
        best.H,
        best.history[-1],
        np.array(best.history),
        best.n_iter,
        best.converged,
        interrupted,
        objectives,
        sum(objectives[0] + spread >= F for F in objectives),
        tuple((d.history[-1], d.V) for d in descents if d.leader is d)
        if len(descents) > 1
        else (),
    )


def _in_fractions(found: Factorization, problem: Problem) -> Factorization:
    """Turn V into W, its simplex rows into fractions if asked for."""
    ends = tuple((F, _composed(problem, V)[0]) for F, V in found.ends)
    W, whole = _composed(problem, found.W)
    H = found.H if problem.simplex != "elements" else found.H * whole
    if problem.free_scales:
        heights = problem.heights(problem.compose(found.W))
        H = H / heights[problem.places]
    return replace(found, W=W, H=H, ends=ends)


def _composed(problem: Problem, V: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return W, and what its simplex rows added up to before they were fractions."""
    W = problem.compose(V)
    if problem.simplex != "elements":
        return W, np.ones(W.shape[1])
    whole = W[problem.rows_on_simplex].sum(axis=0)
    whole = np.where(whole > 0, whole, 1.0)  # a component of other rows alone
    return W / whole, whole
