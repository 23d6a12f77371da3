"""A fit under way: from a start downhill, some passes at a time."""

from __future__ import annotations

import numpy as np

from espm_hs.factorization.executors.threads import Passes

# The falls of F are taken to shrink by at least this share from check to check.
SLOWEST = 0.02


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
    """

    def __init__(self, passes: Passes, V, H):
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

    def step(self, max_passes: int) -> None:
        """Take one step, if possible before `passes` counts so many."""
        raise NotImplementedError

    def finish(self) -> None:
        """Leave F of the last V and H at the end of the history."""
        _, F = self.passes.run(self.V, self.H, n_steps=0, with_loss=True)
        self.history.append(F)


def expected_fall(history) -> float:
    """How far F will still fall, if its falls go on shrinking as they did last."""
    if len(history) < 3:
        return np.inf
    before, last = history[-3] - history[-2], history[-2] - history[-1]
    if last <= 0:
        return 0.0
    return last / max(1 - last / before if before > 0 else 0.0, SLOWEST)
