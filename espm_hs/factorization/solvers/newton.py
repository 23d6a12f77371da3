"""Newton's method on the composition, the abundances solved exactly.

With every pixel at its minimum, F is a function of W. Its gradient is that of F for
fixed H; its second derivative also knows that H follows W, and multiplying it with a
direction takes one pass over the counts. So its minimum is found by conjugate
gradients, preconditioned with the second derivative for fixed H, a small matrix.
"""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from espm_hs.factorization.executors import Executor
from espm_hs.factorization.problem import Problem
from espm_hs.factorization.solvers.base import Descent, normalise, update_composition

# Multiplicative updates before the first step: they are cheap, and safe far away.
WARM_UP = 10
# Products with the second derivative that later steps make use of.
REMEMBERED = 40
# A step is halved so many times at most.
HALVINGS = 4
# Entries below this share of their component that cost more than others go to zero.
ACTIVE = 1e-7
# Added to the diagonal of the preconditioner, relative: columns of G may be dependent.
RIDGE = 1e-10
# A second derivative below this part of the largest is rounding.
FLAT = 1e-24
MAX_CONJUGATE = 40
# Below this part of its largest the (squared) slope is rounding.
SOLVED = 1e-12
# Conjugate gradients end when an iteration adds less than this part of the mean gain.
STALLED = 0.3
# The same where all that is left to gain would be little enough to end the fit.
LAST_STALLED = 0.03


class NewtonDescent(Descent):
    """Newton steps on W within a radius of trust, every pixel solved for each.

    There must be no smoothness, which ties the pixels together.
    """

    def __init__(self, passes, V, H, tol):
        super().__init__(passes, V, H)
        n_free = np.count_nonzero(self.problem.variable_sum)
        self.settled = tol * passes.counts.unit * n_free
        self.products: deque = deque(maxlen=REMEMBERED)
        self.radius: Any = None
        self.state: Any = None  # A, F and S at V and H

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


class Move(NamedTuple):
    """A change of V, by how much F should fall, and whether the model ends there."""

    dV: np.ndarray
    fall: float
    complete: bool


class QuadraticModel:
    """F around V up to second order, H following V.

    Vectors hold the free entries of V: those not at zero, or that leave it. With
    `simplex` "abundances" V is only bounded; otherwise each spectrum keeps its sum.

    Parameters
    ----------
    passes
        The counts and the problem.
    V, H
        Where we are; H exact.
    A, S
        Statistics of `Executor.solve_pixels` there.
    products
        Pairs (change of V, second derivative times it) of earlier models; those of
        this one are added.
    """

    def __init__(self, passes: Executor, V, H, A, S, products):
        self.passes, self.problem = passes, passes.problem
        self.V, self.H, self.products = V, H, products
        counts = self.problem.variable_sum
        share = V * counts
        total = np.maximum(share.sum(axis=0), np.finfo(float).tiny)
        if passes.on_simplex:
            gradient = counts * H.sum(axis=0) - self.problem.project(A)
        else:
            gradient = -self.problem.project(A)
            # less the multiplier of the sum of the spectrum
            gradient -= counts * ((V * gradient).sum(axis=0) / total)
        at_zero = (share <= ACTIVE * total) & (gradient > 0)
        self.free = (counts > 0) & ~at_zero
        self.gradient = gradient[self.free]
        self.inner = _Inner(self.problem, S, self.free)
        self.moving = np.ones(self.gradient.size, bool)
        self._prepare()

    def minimise(self, radius, settled, max_passes) -> Move:
        """Find the minimum within the bounds and within ``radius``.

        Conjugate gradients (Steihaug 1983); an entry that reaches zero is left there,
        and the iterations begin anew with the others (Polyak 1969). The radius is in
        the norm of the second derivative for fixed H.
        """
        d = np.zeros_like(self.gradient)
        r = -self.gradient
        room = self.V[self.free]
        z = towards = self._precondition(r)
        rz, fall, complete = float(r @ z), 0.0, True
        largest = rz
        for n in range(1, MAX_CONJUGATE + 1):
            largest = max(largest, rz)
            if rz <= SOLVED * largest:
                break
            if self.passes.n_passes >= max_passes:
                complete = False
                break
            bent = self._curvature(towards)
            square = float(towards @ bent)
            with np.errstate(divide="ignore", invalid="ignore"):
                reach = np.where(towards < 0, -(room + d) / towards, np.inf)
            bound = float(reach.min(initial=np.inf))
            trusted = self.inner.length_to(d, towards, radius)
            # where F bends down the way ends at a bound or at the radius
            best = rz / square if square > 1e-12 * rz else np.inf
            length = min(best, bound, trusted)
            if length == np.inf:  # a way without an end is one of rounding
                complete = False
                break
            d = d + length * towards
            r = r - length * bent
            gain = length * rz - 0.5 * length**2 * square
            fall += gain
            if trusted <= min(best, bound):
                complete = False
                break
            if bound <= best:
                stopped = reach <= length
                d[stopped] = -room[stopped]
                self.moving &= ~stopped
                self._prepare()
            elif n * gain <= (STALLED if fall > settled else LAST_STALLED) * fall:
                break
            z = self._precondition(r)
            rz, last = float(r @ z), rz
            towards = z if bound <= best else z + (rz / last) * towards
        # entries at zero that are not free go there for good
        dV = np.where(self.free, 0.0, -self.V)
        dV[self.free] = d
        return Move(dV, fall, complete)

    def first_radius(self) -> float:
        """Length of the step that would be right if H stood still."""
        return float(np.sqrt(max(-self.gradient @ self._inner_step(-self.gradient), 0)))

    def _prepare(self):
        """Set up the preconditioner for the entries that move."""
        moving = self.free.copy()
        moving[self.free] = self.moving
        self.pairs = []
        for dV, bent in self.products:
            s, y = dV[self.free], bent[self.free] * self.moving
            if s @ y > 0 and not dV[~moving].any():
                self.pairs.append((s, y, s @ y))
        self.divide = self.inner.inverse(self.moving)
        if self.passes.on_simplex:
            return
        component = np.nonzero(moving)[1]
        self.sums = np.zeros((self.V.shape[1], component.size))
        self.sums[component, np.arange(component.size)] = self.problem.variable_sum[
            moving
        ]
        towards = [self.divide(row) for row in self.sums]
        self.towards_sums = np.stack(towards, axis=1)
        self.inverse_sums = np.linalg.pinv(self.sums @ self.towards_sums)

    def _precondition(self, r):
        """Step that what is known of the second derivative asks for.

        What earlier products with it have told corrects the matrix for fixed H, as in
        the limited-memory quasi-Newton method (Morales & Nocedal 2000).
        """
        weights = []
        for s, y, sy in reversed(self.pairs):
            weights.append((s @ r) / sy)
            r = r - weights[-1] * y
        z = self._inner_step(r)
        for (s, y, sy), weight in zip(self.pairs, reversed(weights), strict=True):
            z = z + (weight - (y @ z) / sy) * s
        return z

    def _inner_step(self, r):
        """Step for fixed H, which leaves the sums of the spectra alone."""
        z = np.zeros_like(r)
        step = self.divide(r[self.moving])
        if not self.passes.on_simplex:
            step -= self.towards_sums @ (self.inverse_sums @ (self.sums @ step))
        z[self.moving] = step
        return z

    def _curvature(self, d):
        """Second derivative of F times d, H following."""
        dV = np.zeros_like(self.V)
        dV[self.free] = d
        dA, dH_sum = self.passes.curvature(self.V, self.H, dV)
        bent = -self.problem.project(dA)
        if self.passes.on_simplex:
            bent += self.problem.variable_sum * dH_sum
        self.products.append((dV, bent))
        return bent[self.free]


class _Inner:
    """Second derivative of F for fixed H, over the free entries of V."""

    def __init__(self, problem: Problem, S, free):
        k = problem.n_components
        self.free = free
        pairs = [(i, j) for i in range(k) for j in range(i + 1)]
        self.per_channel = np.empty((S.shape[0], k, k))
        for n, (i, j) in enumerate(pairs):
            self.per_channel[:, i, j] = self.per_channel[:, j, i] = S[:, n]
        self.matrix = None
        if problem.G is None:
            return
        n_columns = problem.n_columns
        parts = problem.tied_matrices()
        P = np.empty((n_columns, k, n_columns, k))
        for i, j in pairs:
            P[:, i, :, j] = parts[i].T @ (self.per_channel[:, i, j, None] * parts[j])
            P[:, j, :, i] = P[:, i, :, j].T
        chosen = free.ravel()
        self.matrix = P.reshape(free.size, free.size)[np.ix_(chosen, chosen)]

    def times(self, d):
        """Multiply with a vector of the free entries."""
        if self.matrix is not None:
            return self.matrix @ d
        whole = np.zeros(self.free.shape)
        whole[self.free] = d
        return np.einsum("eij,ej->ei", self.per_channel, whole)[self.free]

    def length_to(self, d, towards, radius):
        """How far to go from d to leave the sphere of that radius."""
        bent = self.times(towards)
        a, b, c = towards @ bent, d @ bent, d @ self.times(d) - radius**2
        if a <= 0:
            return np.inf
        return (-b + np.sqrt(max(b * b - a * c, 0.0))) / a

    def inverse(self, moving):
        """Return a function that divides by the part that moves (of the free)."""
        if self.matrix is None:
            free = self.free.copy()
            free[self.free] = moving
            return _per_channel(self.per_channel, free)
        P = self.matrix[np.ix_(moving, moving)]
        curvature = np.diag(P)
        # components that have left every pixel are not moved
        bent = curvature > FLAT * curvature.max(initial=0.0)
        scale = np.sqrt(np.where(bent, curvature, np.inf))
        P = P / scale / scale[:, None]
        P[np.diag_indices_from(P)] = 1 + RIDGE
        factor = cho_factor(P, lower=True)
        return lambda r: cho_solve(factor, r / scale) / scale


def _per_channel(full, free):
    """Divide by blocks (n_channels, k, k), as without G."""
    blocks = full * (free[:, :, None] & free[:, None, :])
    k = full.shape[1]
    trace = np.trace(full, axis1=1, axis2=2)
    trace = np.where(trace > 0, trace, 1.0)
    blocks[:, range(k), range(k)] += 1e-8 * trace[:, None] + ~free
    inverse = np.linalg.inv(blocks)

    def divide(r):
        whole = np.zeros(free.shape)
        whole[free] = r
        return np.einsum("eij,ej->ei", inverse, whole)[free]

    return divide
