"""Options of fits, descents, and the one by multiplicative updates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from espm_hs.arguments import check_choice, generator
from espm_hs.factorization.executors import Executor
from espm_hs.factorization.kernels.pixel_updates import TINY
from espm_hs.factorization.problem import Problem

# The falls of F are taken to shrink by at least this share from check to check.
SLOWEST = 0.02
SOLVERS = ("auto", "mu", "newton")
# F costs one logarithm per non-zero, so it is looked at every so many iterations.
CHECK_EVERY = 10
# An extrapolation changes no number by more than this factor, in logarithms.
LEAP = 3.0


@dataclass(frozen=True)
class FitOptions:
    """How to go downhill; checks itself.

    Parameters
    ----------
    solver
        "newton": Newton's method on W, each pixel solved exactly; "mu": multiplicative
        updates with extrapolation. "auto" takes the first without penalties and the
        second with them: they may make F bend down in places, and small steps keep to
        the optimum near the start where long ones may pass it by. Penalties that are
        no functions of the shares of a pixel always take the second.
    n_init
        Number of starts; the best result is returned. After "nndsvd" comes "pure",
        then "clusters" and "random" by turns. They go on together, and those that trail
        far behind the best are not taken to their end. Where there are more than 4096
        pixels with a million counts, so many of them, drawn at random, say which start
        is best.
    max_iter
        Largest number of iterations of one start.
    tol
        A start ends when F, which is in nats, is expected to fall by less than ``tol``
        for each free number of W (with multiplicative updates, of W and H): Newton's
        method then leaves W within a few hundredths of its standard error, whatever
        the counts and the size.
    random_state
        Seed: None, int or `numpy.random.Generator`.
    n_jobs
        Number of threads, as in scikit-learn (None: 1, -1: all cores). The result
        does not depend on it.
    check_every
        How often F is computed.
    callback
        Called with the number of iterations and F at each check.
    """

    solver: str = "auto"
    n_init: int = 1
    max_iter: int = 1000
    tol: float = 1e-4
    random_state: Any = None
    n_jobs: int | None = None
    check_every: int = CHECK_EVERY
    callback: Callable[[int, float], None] | None = None

    def __post_init__(self):
        check_choice("solver", self.solver, SOLVERS)
        for name in ("n_init", "max_iter"):
            value = getattr(self, name)
            if not isinstance(value, (int, np.integer)) or value < 1:
                raise ValueError(f"`{name}` must be an integer >= 1, got {value!r}.")
        if not (isinstance(self.tol, Real) and self.tol >= 0):
            raise ValueError(f"`tol` must be a number >= 0, got {self.tol!r}.")
        generator(self.random_state)
        n_jobs = self.n_jobs
        if not isinstance(n_jobs, (int, np.integer, type(None))) or n_jobs == 0:
            raise ValueError(
                "`n_jobs` must be a number of threads, or -1 for all cores; got "
                f"{n_jobs!r}."
            )


class Descent:
    """Lowers F from a start, step by step.

    Parameters
    ----------
    passes
        The counts and the problem; several descents may share them.
    V, H
        The start, shapes (n_columns, n_components) and (n_pixels, n_components).

    Attributes
    ----------
    history : list of float
        F now and then, never rising.
    n_iter : int
        Passes over the counts so far.
    converged : bool
        Whether F has settled.
    leader : Descent
        One that had come to the same spectra and a lower F; else itself.
    settled : float
        It ends where F is expected to fall by less.
    """

    settled: float

    def __init__(self, passes: Executor, V: np.ndarray, H: Any):
        self.passes, self.problem = passes, passes.problem
        self.V, self.H = V, H
        self.history: list[float] = []
        self.n_iter = 0
        self.converged = False
        self.leader = self

    @property
    def ahead(self) -> Descent:
        """The descent in the lead, after all leaders of leaders."""
        return self if self.leader is self else self.leader.ahead

    def advance(self, until: int, callback=None) -> None:
        """Go on until ``n_iter`` reaches a number, or F has settled."""
        while self.n_iter < until and not self.converged:
            before, known = self.passes.n_passes, len(self.history)
            try:
                self.step(before + until - self.n_iter)
            finally:
                self.n_iter += self.passes.n_passes - before
            if callback is not None and len(self.history) > known:
                callback(self.n_iter, self.history[-1])

    def come(self, most: int) -> float:
        """Return how far it has come, 1 at its end.

        Parameters
        ----------
        most
            Passes that it may take; it ends before where F settles, the falls of which
            shrink by about the same factor each time.
        """
        if self.converged:
            return 1.0
        taken = self.n_iter / most
        if len(self.history) < 3 or self.settled == 0:
            return taken
        first, last = expected_fall(self.history[:3]), expected_fall(self.history)
        if min(first, last) <= self.settled:
            return 1.0
        return max(taken, float(np.log(first / last) / np.log(first / self.settled)))

    def step(self, max_passes: int) -> None:
        """Take one step, if possible before `passes` counts so many."""
        raise NotImplementedError

    def finish(self) -> None:
        """Leave F of the last V and H at the end of the history."""
        _, F = self.passes.run(self.V, self.H, n_steps=0, with_A=False, with_loss=True)
        self.history.append(F)


def expected_fall(history) -> float:
    """How far F will still fall, if its falls go on shrinking as they did last."""
    if len(history) < 3:
        return np.inf
    before, last = history[-3] - history[-2], history[-2] - history[-1]
    if last <= 0:
        return 0.0
    return last / max(1 - last / before if before > 0 else 0.0, SLOWEST)


def update_composition(
    problem: Problem, V: np.ndarray, A: np.ndarray, H: np.ndarray
) -> np.ndarray:
    """Return V after one multiplicative step that does not increase F.

    Parameters
    ----------
    problem
        Constraints and G.
    V
        Present variables of W, shape (n_columns, n_components).
    A
        Sum over pixels of (x / y) h, shape (n_channels, n_components).
    H
        Abundances, shape (n_pixels, n_components).

    Notes
    -----
    With target = V * (M^T G^T A) and counts = M^T G^T 1,
    ``sum(counts v sum(h) - target log v)`` bounds F from above and touches it at the
    present V (Lee & Seung 2001). Its minimum is target / (counts sum(h)); under the
    condition that the spectra sum to 1, the same up to a factor for each component.
    """
    pulled, counts = problem.balance(V, A)
    new = np.divide(V * pulled, counts, out=np.zeros_like(V), where=counts > 0)
    if problem.simplex == "abundances":
        new /= np.maximum(H.sum(axis=0), np.finfo(float).tiny)
        new[new < TINY] = 0.0
        return new
    return normalise(problem, new, V)


def normalise(problem: Problem, V: np.ndarray, fallback: np.ndarray) -> np.ndarray:
    """Scale V to spectra of sum 1; a component without counts keeps the fallback."""
    total = (V * problem.variable_sum).sum(axis=0)
    V = np.where(total > 0, V / np.where(total > 0, total, 1.0), fallback)
    V[V < TINY] = 0.0
    return V


class MultiplicativeDescent(Descent):
    """Alternates the multiplicative updates of H and W; leaps at every check of F.

    Multiplicative updates creep along curved valleys. What changed in V and H since the
    last check, in logarithms, is repeated ``length`` times; the length doubles with
    success and halves without.
    """

    def __init__(self, passes, V, H, tol, check_every):
        super().__init__(passes, V, H)
        n_free = np.count_nonzero(self.problem.variable_sum) + H.size
        self.settled = tol * passes.counts.unit * n_free
        self.check_every = check_every
        self.n_steps = 0
        self.last = None
        self.length = 1.0

    def step(self, max_passes):
        """Update H and W once."""
        check = self.n_steps % self.check_every == 0
        A, F = self.passes.run(self.V, self.H, with_loss=check)
        self.n_steps += 1
        if check:
            A, F = self._leap(A, F)
            self.history.append(F)
            self.converged = expected_fall(self.history) <= self.settled
        self.V = update_composition(self.problem, self.V, A, self.H)

    def finish(self):
        """Give each pixel its counts, which leaps may have moved, and note F."""
        super().finish()
        if self.passes.on_simplex or not self.problem.penalties.of_shares:
            return
        before, known = self.H, self.history
        total = np.maximum(before.sum(axis=1, keepdims=True), TINY)
        self.H = before * (self.passes.counts.per_pixel[:, None] / total)
        self.history = known[:-1]
        super().finish()
        # counts that no component may have belong to none
        if self.history[-1] > known[-1]:
            self.H, self.history = before, known

    def _leap(self, A, F):
        """Go to the extrapolated state if F is lower there; return A and F."""
        if self.last is not None:
            V = self._beyond(self.V, self.last[0])
            H = self._beyond(self.H, self.last[1])
            if self.passes.on_simplex:
                H /= H.sum(axis=1, keepdims=True)
            else:
                V = normalise(self.problem, V, self.V)
            A_far, F_far = self.passes.run(V, H, with_loss=True)
            if F_far < F:
                self.V, self.H, A, F = V, H, A_far, F_far
                self.length *= 2.0
            else:
                self.length = max(0.5, self.length / 2.0)
        self.last = self.V.copy(), self.H.copy()
        return A, F

    def _beyond(self, now, before):
        """Go on from ``before`` to ``now``, zeros staying zeros."""
        with np.errstate(divide="ignore", invalid="ignore"):
            change = self.length * np.log(now / before)
        known = np.isfinite(change)
        return now * np.exp(np.clip(np.where(known, change, 0.0), -LEAP, LEAP))
