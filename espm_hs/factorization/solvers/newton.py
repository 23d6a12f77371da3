"""Newton's method on the composition, the abundances solved exactly."""

from __future__ import annotations

from collections import deque

import numpy as np

from espm_hs.factorization.solvers.base import Descent
from espm_hs.factorization.solvers.quadratic import QuadraticModel
from espm_hs.factorization.solvers.updates import normalise, update_composition

# Multiplicative updates before the first step: they are cheap, and safe far away.
WARM_UP = 10
# Products with the second derivative that later steps make use of.
REMEMBERED = 40
# A step is halved so many times at most.
HALVINGS = 4


class NewtonDescent(Descent):
    """Newton steps on W within a radius of trust, every pixel solved for each.

    There must be no smoothness, which ties the pixels together.
    """

    def __init__(self, passes, V, H, tol):
        super().__init__(passes, V, H)
        n_free = np.count_nonzero(self.problem.variable_sum)
        self.settled = tol * passes.counts.unit * n_free
        self.products: deque = deque(maxlen=REMEMBERED)
        self.radius = None
        self.state = None  # A, F and S at V and H

    def step(self, max_passes):
        """Take one step."""
        if self.n_iter < WARM_UP:
            A, _ = self.passes.run(self.V, self.H)
            self.V = update_composition(self.problem, self.V, A, self.H)
            return
        if self.state is None:
            self._accept(*self._at(self.V))
        A, F, S = self.state
        model = QuadraticModel(self.passes, self.V, self.H, A, S, self.products)
        if self.radius is None:
            self.radius = model.first_radius()
        move = model.minimise(self.radius, self.settled, max_passes)
        if move.complete and move.fall <= self.settled:
            self.converged = True
            return
        if move.fall <= 0:  # not a pass was left to look with
            return
        for n, V in enumerate(self._trials(move.dV, A)):
            found = self._at(V)
            if found[2][1] < F:
                self._accept(*found)
                self._adapt_radius(n, (F - found[2][1]) / move.fall)
                return
        # not even the safe step lowers F: only rounding is left
        self.converged = True

    def _trials(self, dV, A):
        """Ever closer points on the way, and at last one where F cannot be higher."""
        for n in range(HALVINGS + 1):
            V = np.maximum(self.V + 0.5**n * dV, 0.0)
            on_scale = not self.passes.on_simplex
            yield normalise(self.problem, V, self.V) if on_scale else V
        yield update_composition(self.problem, self.V, A, self.H)

    def _at(self, V):
        """Solve the pixels for a given V."""
        H = self.H.copy()
        return V, H, self.passes.solve_pixels(V, H, with_curvature=True)

    def _accept(self, V, H, state):
        self.V, self.H, self.state = V, H, state
        self.history.append(state[1])

    def _adapt_radius(self, halvings, ratio):
        """Trust the model further where it was right."""
        if halvings == 0 and ratio > 0.75:
            self.radius *= 3.0
        elif halvings > 0 or ratio < 0.25:
            self.radius *= 0.5 ** max(halvings, 1)

    def finish(self):
        """Leave F of the last V and H at the end of the history."""
        # an interruption may have come before the history
        if self.state is None or self.history[-1:] != [self.state[1]]:
            super().finish()
