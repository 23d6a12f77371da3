"""Multiplicative updates, with extrapolation."""

from __future__ import annotations

import numpy as np

from espm_hs.factorization.solvers.base import (
    Descent,
    expected_fall,
    normalise,
    update_composition,
)

# An extrapolation changes no number by more than this factor, in logarithms.
LEAP = 3.0


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
