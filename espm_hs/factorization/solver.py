"""Multiplicative updates, from starts to the best factorisation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from numbers import Real

import numpy as np
from joblib import effective_n_jobs
from threadpoolctl import threadpool_limits

from espm_hs.factorization.counts import Counts
from espm_hs.factorization.passes import Passes
from espm_hs.factorization.problem import Problem
from espm_hs.factorization.starts import (
    NAMED_STARTS,
    composition_of,
    starting_spectra,
)
from espm_hs.factorization.updates import normalise, update_composition

# F costs one logarithm per non-zero, so it is looked at every so many iterations.
CHECK_EVERY = 10
# An extrapolation changes no number by more than this factor, in logarithms.
LEAP = 3.0
# The falls of F are taken to shrink by at least this share from check to check.
SLOWEST = 0.02


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


def _iterate(passes, V, H, max_iter, tol, check_every, callback) -> Factorization:
    """Alternate the two updates until F settles."""
    problem = passes.problem
    settled = tol * (np.count_nonzero(problem.variable_sum) + H.size)
    leap = _Leap()
    history: list[float] = []
    converged = interrupted = False
    n_iter = 0
    try:
        while n_iter < max_iter and not converged:
            check = n_iter % check_every == 0
            A, F = passes.run(V, H, with_loss=check)
            n_iter += 1
            if check:
                V, H, A, F, tried = leap(passes, V, H, A, F)
                n_iter += tried
                history.append(F)
                converged = _expected_fall(history) <= settled
                if callback is not None:
                    callback(n_iter, F)
            V = update_composition(problem, V, A, H.sum(axis=0))
    except KeyboardInterrupt:
        # each pixel of H is either updated or not: V and H are a valid result
        interrupted = True
    _, F = passes.run(V, H, n_steps=0, with_loss=True)
    history.append(F)
    return Factorization(V, H, F, np.array(history), n_iter, converged, interrupted)


def _expected_fall(history) -> float:
    """How far F will still fall, if its falls go on shrinking as they did last."""
    if len(history) < 3:
        return np.inf
    before, last = history[-3] - history[-2], history[-2] - history[-1]
    if last <= 0:
        return 0.0
    return last / max(1 - last / before if before > 0 else 0.0, SLOWEST)


class _Leap:
    """Extrapolation from one check to the next, kept only where F falls.

    Multiplicative updates creep along curved valleys. What changed in V and H since the
    last check, in logarithms, is repeated ``length`` times; the length doubles with
    success and halves without.
    """

    def __init__(self):
        self.last = None
        self.length = 1.0

    def __call__(self, passes, V, H, A, F):
        """Return the better of the present and the extrapolated state, and its cost."""
        tried = self.last is not None
        if tried:
            V_far = self._beyond(V, self.last[0])
            H_far = self._beyond(H, self.last[1])
            if passes.problem.simplex == "abundances":
                H_far /= H_far.sum(axis=1, keepdims=True)
            else:
                V_far = normalise(passes.problem, V_far, V)
            A_far, F_far = passes.run(V_far, H_far, with_loss=True)
            if F_far < F:
                V, H, A, F = V_far, H_far, A_far, F_far
                self.length *= 2.0
            else:
                self.length = max(0.5, self.length / 2.0)
        self.last = V.copy(), H.copy()
        return V, H, A, F, int(tried)

    def _beyond(self, now, before):
        """Go on from ``before`` to ``now``, zeros staying zeros."""
        with np.errstate(divide="ignore", invalid="ignore"):
            change = self.length * np.log(now / before)
        known = np.isfinite(change)
        return now * np.exp(np.clip(np.where(known, change, 0.0), -LEAP, LEAP))


def _start(passes: Passes, init, rng) -> tuple[np.ndarray, np.ndarray]:
    """First V and H of a fit: spectra of sum 1 and counts, or shares and counts."""
    counts, problem = passes.counts, passes.problem
    W, H = (None, None) if isinstance(init, str) else init
    if W is None:
        name = init if isinstance(init, str) else "nndsvd"
        D = starting_spectra(counts, problem.n_components, name, rng)
        V = composition_of(problem, D)
        scale = np.full(problem.n_components, 1.0)
    else:
        V = problem.variables(W)
        scale = (V * problem.variable_sum).sum(axis=0)
        V = normalise(problem, V, V)
    if problem.simplex == "abundances":
        V = V * (counts.total / counts.n_pixels)
    if H is None:
        return V, _even_abundances(counts, problem)
    H = np.array(H, dtype=np.float64, order="C") * scale
    if problem.simplex == "abundances":
        total = H.sum(axis=1, keepdims=True)
        return V, np.where(total > 0, H / np.where(total > 0, total, 1), 1 / H.shape[1])
    return V, H * (counts.total / max(H.sum(), np.finfo(float).tiny))


def _even_abundances(counts: Counts, problem: Problem) -> np.ndarray:
    """H in which the components share each pixel equally."""
    k = problem.n_components
    if problem.simplex == "abundances":
        return np.full((counts.n_pixels, k), 1.0 / k)
    return np.repeat(counts.per_pixel[:, None] / k, k, axis=1)


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
        empty = np.flatnonzero(array.sum(axis=0) == 0)
        if empty.size:
            raise ValueError(
                f"Components {empty.tolist()} of the start {name} are all zero, and "
                "zeros never leave a multiplicative update."
            )


def _check_numbers(n_init, max_iter, tol, n_jobs):
    for name, value in (("n_init", n_init), ("max_iter", max_iter)):
        if not isinstance(value, (int, np.integer)) or value < 1:
            raise ValueError(f"`{name}` must be an integer >= 1, got {value!r}.")
    if not (isinstance(tol, Real) and tol >= 0):
        raise ValueError(f"`tol` must be a number >= 0, got {tol!r}.")
    if n_jobs == 0 or not isinstance(n_jobs, (int, np.integer, type(None))):
        raise ValueError(
            "`n_jobs` must be a number of threads, or -1 for all cores; got "
            f"{n_jobs!r}."
        )


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
        A start ends when F, which is in nats, is expected to fall by less than ``tol``
        for each free number of W and H: then no number moves by more than a small
        part of its standard error any more, at any dose and size.
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
    _check_numbers(n_init, max_iter, tol, n_jobs)
    if counts.n_channels != problem.n_channels:
        raise ValueError(
            f"The counts have {counts.n_channels} channels, the model has "
            f"{problem.n_channels}."
        )
    if counts.n_nonzeros == 0:
        raise ValueError("All counts are zero: there is nothing to decompose.")
    _check_init(init, problem, counts.n_pixels)

    rng = np.random.default_rng(random_state)
    best = None
    # the matrix products between passes are small: BLAS threads would only spin
    # on the cores that the passes need
    one_blas_thread = threadpool_limits(1, user_api="blas")
    with one_blas_thread, Passes(counts, problem, effective_n_jobs(n_jobs)) as passes:
        for start in range(n_init):
            named = "random" if start and isinstance(init, str) else init
            try:
                V, H = _start(passes, named, rng)
            except KeyboardInterrupt:
                if best is None:
                    raise
                best = replace(best, interrupted=True)
                break
            found = _iterate(passes, V, H, max_iter, tol, check_every, callback)
            if best is None or found.objective < best.objective:
                best = replace(found, interrupted=False)
            if found.interrupted:
                best = replace(best, interrupted=True)
                break
    return _in_fractions(best, problem)


def _in_fractions(found: Factorization, problem: Problem) -> Factorization:
    """Turn V into W, its simplex rows into fractions if asked for."""
    W = problem.compose(found.W)
    if problem.simplex != "elements":
        return replace(found, W=W)
    whole = W[problem.rows_on_simplex].sum(axis=0)
    whole = np.where(whole > 0, whole, 1.0)  # a component of other rows alone
    return replace(found, W=W / whole, H=found.H * whole)


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
        Mean counts per pixel of the map the components come from (None: those of
        ``counts``): sets the floor of the model.
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
    penalties = replace(problem.penalties, smoothness=0.0)
    problem = replace(problem, penalties=penalties, fixed=None)
    on_abundances = problem.simplex == "abundances"
    scale = np.maximum(problem.spectra(W).sum(axis=0), np.finfo(float).tiny)
    with Passes(counts, problem, effective_n_jobs(n_jobs), dose) as passes:
        H = _even_abundances(counts, problem)
        V = W if on_abundances else W / scale
        passes.run(V, H, n_steps=max_iter, step_tol=tol)
    return H if on_abundances else H / scale
