"""Multiplicative updates, from starts to the best factorisation."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace

import numpy as np
from joblib import effective_n_jobs

from espm_hs.factorization.counts import Counts
from espm_hs.factorization.grid import Grid
from espm_hs.factorization.kernels import MODEL_FLOOR, block_pass
from espm_hs.factorization.problem import SPARSITY_BEND, Problem
from espm_hs.factorization.starts import (
    NAMED_STARTS,
    composition_of,
    starting_spectra,
)
from espm_hs.factorization.updates import constrain, update_composition

# F costs one logarithm per non-zero, so it is looked at every so many iterations.
CHECK_EVERY = 10


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
        F during the fit, every ``check_every`` iterations.
    n_iter
        Number of iterations.
    converged
        Whether the fit stopped because F settled.
    interrupted
        Whether the user stopped it.
    """

    W: np.ndarray
    H: np.ndarray
    objective: float
    history: np.ndarray
    n_iter: int
    converged: bool
    interrupted: bool = False


class _Passes:
    """Runs the kernel over the blocks of the counts, on threads."""

    def __init__(self, counts: Counts, problem: Problem, n_jobs: int, dose=None):
        self.counts = counts
        self.problem = problem
        self.n_workers = min(n_jobs, counts.blocks.size - 1)
        self.kernel = block_pass(problem.n_components)
        # mean counts per pixel, from which every scale below follows
        dose = dose or max(counts.total / counts.n_pixels, 1e-300)
        on_abundances = problem.simplex == "abundances"
        # Mean abundance of a pixel: 1 on its simplex, else its counts, G being
        # scaled to columns of sum 1 (see `factorize`).
        mean = 1.0 if on_abundances else dose
        self.sparsity_scale = SPARSITY_BEND * mean
        self.smoothness = problem.penalties.smoothness * dose / mean**2
        self.floor = MODEL_FLOOR * dose / counts.n_channels
        smooth = self.smoothness > 0
        self.grid = problem.grid if smooth else Grid.unconnected(counts.n_pixels)

    def __enter__(self):
        self.pool = (
            ThreadPoolExecutor(self.n_workers) if self.n_workers > 1 else nullcontext()
        )
        self.pool.__enter__()
        return self

    def __exit__(self, *error):
        return self.pool.__exit__(*error)

    def run(self, W, H, *, n_steps=1, step_tol=0.0, with_loss=False):
        """Update H in place ``n_steps`` times; return A and, if asked for, F.

        F is that of the W given and the H left behind; NaN unless ``with_loss``.
        """
        problem = self.problem
        D = problem.spectra(W)
        D_sum = np.maximum(D.sum(axis=0), np.finfo(float).tiny)
        n_blocks = self.counts.blocks.size - 1
        A = np.zeros((n_blocks, *D.shape))
        loss = np.zeros(n_blocks)

        def work(worker, colour):
            for block in range(worker, n_blocks, self.n_workers):
                loss[block] += self.kernel(
                    self.counts.indptr,
                    self.counts.channels,
                    self.counts.values,
                    self.counts.blocks[block],
                    self.counts.blocks[block + 1],
                    D,
                    D_sum,
                    self.floor,
                    H,
                    n_steps,
                    step_tol,
                    problem.simplex == "abundances",
                    problem.penalties.sparsity,
                    self.sparsity_scale,
                    self.smoothness,
                    self.grid.neighbours,
                    self.grid.colours,
                    colour,
                    with_loss,
                    A[block],
                )

        for colour in range(2 if self.grid.connected else 1):
            self._on_all_workers(work, colour)
        F = np.nan
        if with_loss:
            F = loss.sum() + self.counts.saturated
            if self.smoothness > 0:
                F += 0.5 * self.smoothness * self.grid.roughness(H)
        return A.sum(axis=0), float(F)

    def _on_all_workers(self, work, colour):
        if self.n_workers == 1:
            work(0, colour)
            return
        tasks = [self.pool.submit(work, i, colour) for i in range(self.n_workers)]
        try:
            for task in tasks:
                task.result()
        except KeyboardInterrupt:
            # H belongs to the threads until they are through
            for task in tasks:
                task.exception()
            raise


def _scaled(problem: Problem) -> tuple[Problem, float]:
    """Problem with G scaled to columns of mean sum 1, and the factor used.

    With W on its simplex the abundances are then counts, whatever unit G has.
    """
    if problem.G is None:
        return problem, 1.0
    factor = 1.0 / problem.column_sum[problem.rows_on_simplex].mean()
    return replace(problem, G=np.ascontiguousarray(problem.G * factor)), factor


def _iterate(passes, W, H, max_iter, tol, check_every, callback) -> Factorization:
    """Alternate the two updates until F settles; H is changed in place."""
    problem = passes.problem
    history: list[float] = []
    converged = interrupted = False
    n_iter = 0
    try:
        while n_iter < max_iter and not converged:
            check = n_iter % check_every == 0
            A, F = passes.run(W, H, with_loss=check)
            W = update_composition(problem, W, A, H.sum(axis=0))
            n_iter += 1
            if not check:
                continue
            if history:
                decrease = history[-1] - F
                converged = decrease < tol * max(history[0] - F, 0.0) or decrease <= 0
            history.append(F)
            if callback is not None:
                callback(n_iter, F)
    except KeyboardInterrupt:
        # each pixel of H is either updated or not: W and H are a valid result
        interrupted = True
    _, F = passes.run(W, H, n_steps=0, with_loss=True)
    history.append(F)
    return Factorization(W, H, F, np.array(history), n_iter, converged, interrupted)


def _start(passes: _Passes, init, rng) -> tuple[np.ndarray, np.ndarray]:
    """First W and H of a scaled problem."""
    counts, problem = passes.counts, passes.problem
    k = problem.n_components
    W, H = (None, None) if isinstance(init, str) else init
    if W is None:
        name = init if isinstance(init, str) else "nndsvd"
        W = composition_of(problem, starting_spectra(counts, k, name, rng))
    W = constrain(problem, W)
    if H is not None:
        H = np.array(H, dtype=np.float64, order="C")
        if problem.simplex == "abundances":
            H /= H.sum(axis=1, keepdims=True)
        return W, H
    if problem.simplex == "abundances":
        # W carries the counts: bring its spectra to the mean counts of a pixel
        dose = counts.total / counts.n_pixels
        W = W * (dose / np.maximum(problem.spectra(W).sum(axis=0), 1e-300))
    return W, _even_abundances(passes, W)


def _even_abundances(passes: _Passes, W) -> np.ndarray:
    """H in which the components share the counts of each pixel equally."""
    counts, problem = passes.counts, passes.problem
    k = problem.n_components
    if problem.simplex == "abundances":
        return np.full((counts.n_pixels, k), 1.0 / k)
    D_sum = np.maximum(problem.spectra(W).sum(axis=0), 1e-300)
    return counts.per_pixel[:, None] / (k * D_sum)


def _check_init(init, problem: Problem, n_pixels: int):
    """Raise ValueError unless init is a known name or fitting arrays."""
    if isinstance(init, str):
        if init not in NAMED_STARTS:
            raise ValueError(
                f"`init` must be one of {NAMED_STARTS} or a pair of arrays (W, H), "
                f"got {init!r}."
            )
        return
    if not (isinstance(init, tuple) and len(init) == 2):
        raise ValueError(
            f"`init` must be one of {NAMED_STARTS} or a pair (W, H), either of which "
            f"may be None; got {type(init).__name__}."
        )
    k = problem.n_components
    for name, array, rows in zip(
        "WH", init, (problem.n_columns, n_pixels), strict=True
    ):
        if array is None:
            continue
        array = np.asarray(array)
        if array.shape != (rows, k):
            raise ValueError(
                f"The start {name} has shape {array.shape}, needed is {(rows, k)}."
            )
        if not np.isfinite(array).all() or array.min() < 0:
            raise ValueError(f"The start {name} must be finite and non-negative.")


def _check_numbers(n_init, max_iter, tol):
    for name, value in (("n_init", n_init), ("max_iter", max_iter)):
        if not isinstance(value, (int, np.integer)) or value < 1:
            raise ValueError(f"`{name}` must be an integer >= 1, got {value!r}.")
    if not (np.isscalar(tol) and tol >= 0):
        raise ValueError(f"`tol` must be a number >= 0, got {tol!r}.")


def factorize(
    counts: Counts,
    problem: Problem,
    *,
    init: str | tuple = "nndsvd",
    n_init: int = 1,
    max_iter: int = 1000,
    tol: float = 1e-4,
    random_state=None,
    n_jobs: int | None = None,
    check_every: int = CHECK_EVERY,
    callback: Callable[[int, float], None] | None = None,
) -> Factorization:
    """Minimise F over W and H.

    Parameters
    ----------
    counts
        The data, n_pixels x n_channels.
    problem
        G, constraints and penalties.
    init
        "nndsvd", "random", or a pair of arrays (W, H), either of them None. Arrays
        are brought into the constraints first.
    n_init
        Number of starts; the best result is returned. Starts after the first use
        "random" when the named start is deterministic in all but its seed.
    max_iter
        Largest number of iterations of one start.
    tol
        A start ends when F has fallen by less than ``tol`` times its fall since the
        start, over ``check_every`` iterations.
    random_state
        Seed: None, int or `numpy.random.Generator`.
    n_jobs
        Number of threads, as in scikit-learn (None: 1, -1: all cores). The result
        does not depend on it.
    check_every
        How often F is computed.
    callback
        Called with the number of iterations and F at each check.

    Returns
    -------
    Factorization
        The best result so far, also after a KeyboardInterrupt.

    Raises
    ------
    ValueError
        If an argument is out of range, or the counts are all zero.
    """
    _check_numbers(n_init, max_iter, tol)
    if counts.n_channels != problem.n_channels:
        raise ValueError(
            f"The counts have {counts.n_channels} channels, the model has "
            f"{problem.n_channels}."
        )
    if counts.n_nonzeros == 0:
        raise ValueError("All counts are zero: there is nothing to decompose.")
    _check_init(init, problem, counts.n_pixels)
    scaled, factor = _scaled(problem)
    if not isinstance(init, str) and init[1] is not None:
        init = _into_scaled_units(init, problem, factor)

    rng = np.random.default_rng(random_state)
    best = None
    with _Passes(counts, scaled, effective_n_jobs(n_jobs)) as passes:
        for start in range(n_init):
            named = "random" if start and isinstance(init, str) else init
            W, H = _start(passes, named, rng)
            found = _iterate(passes, W, H, max_iter, tol, check_every, callback)
            if best is None or found.objective < best.objective:
                best = replace(found, interrupted=False)
            if found.interrupted:
                best = replace(best, interrupted=True)
                break
    return _from_scaled_units(best, problem, factor)


def _into_scaled_units(init, problem, factor):
    W, H = init
    if problem.simplex == "abundances":
        return (None if W is None else np.asarray(W) / factor), H
    return W, np.asarray(H) / factor


def _from_scaled_units(found, problem, factor):
    """G W H^T is the same with G in the user's unit."""
    if problem.simplex == "abundances":
        return replace(found, W=found.W * factor)
    return replace(found, H=found.H * factor)


def fit_loadings(
    counts: Counts,
    problem: Problem,
    W: np.ndarray,
    *,
    dose: float | None = None,
    max_iter: int = 1000,
    tol: float = 1e-7,
    n_jobs: int | None = None,
) -> np.ndarray:
    """Abundances of known components: minimise F over H alone, pixel by pixel.

    Parameters
    ----------
    counts
        The data, n_pixels x n_channels.
    problem
        G, constraints and sparsity; smoothness is left out, so that a pixel's
        result does not depend on the pixels it comes with.
    W
        Composition, shape (n_columns, n_components).
    dose
        Mean counts per pixel that set the scale of the sparsity term (None: those of
        ``counts``).
    max_iter
        Largest number of updates of a pixel.
    tol
        A pixel is left when no abundance moves by more than ``tol`` times their sum.
    n_jobs
        Number of threads, as in `factorize`.

    Returns
    -------
    numpy.ndarray
        H, shape (n_pixels, n_components).
    """
    scaled, factor = _scaled(problem)
    penalties = replace(problem.penalties, smoothness=0.0)
    scaled = replace(scaled, penalties=penalties)
    on_abundances = problem.simplex == "abundances"
    with _Passes(counts, scaled, effective_n_jobs(n_jobs), dose) as passes:
        W = W / factor if on_abundances else W
        H = _even_abundances(passes, W)
        passes.run(W, H, n_steps=max_iter, step_tol=tol)
    return H if on_abundances else H * factor
