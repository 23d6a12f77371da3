"""Spectra that make the few counts of single pixels most probable.

A fit takes what it finds in a pixel for what the pixel holds. Where a pixel has few
counts that is noise, which drives spectra apart, and bins, which have less of it, mix
what lies side by side. Here what a pixel holds is not found, but averaged over: each
pixel belongs to one of some classes, and most likely to that of the pixel beside it.
The lines through a map in each direction are hidden Markov chains, whose likelihoods
are taken together (Baum et al. 1970, Varin et al. 2011); expectation-maximisation
fits the spectra, what the classes hold, and how often they change.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, product

import numpy as np

from espm_hs.factorization.counts.counts import AnyCounts
from espm_hs.factorization.counts.grid import Grid
from espm_hs.factorization.cross_validation import strips
from espm_hs.factorization.kernels import compiled
from espm_hs.factorization.problem import Problem

# Pixels of more counts tell shares that no class has, as the noise of a share, at most
# 1 / (2 sqrt(counts)), is below the steps between classes.
MOST_COUNTS = 32.0
# Up to so many components, classes begin with shares of two in eighths and of three in
# quarters; of more components, with shares of two in quarters: three are rare there.
MOST_IN_EIGHTHS = 4
# First shares and changes of classes are found for given spectra, then all of it.
FIRST, MOST = 30, 30
# So many looks tell which of given spectra are more probable.
COMPARED = 20
# Steps on spectra and on shares for each look at the pixels.
INNER = 3
# Where so many looks gain less than this part of what is needed, no more are taken.
FEW, PROMISING = 8, 0.25
# A component is alone somewhere if so many pixels are expected to hold nothing else.
ONE = 1.0
# A pixel of a class begins another one so often, from 0 to 1.
RARELY, OFTEN = 0.01, 0.99
# Less is never (and numbers close to zero are slow).
NEVER = 1e-30
TINY = np.finfo(float).tiny


@compiled()
def _along_lines(b, order, begins, stays, new, often, filtered, posterior, moves):
    """Pass along lines and back; return the log likelihood.

    b (p, c): likelihood of each class in each pixel; order (p,): pixels, line after
    line; begins (p,) bool; stays, new, often (c,): how a class stays, and probabilities
    of a new one and of any. Adds to posterior (p, c) and to moves (3, c): how often
    a class stays, is left and is begun. filtered (p, c) is for work.
    """
    n, c = b.shape
    total = 0.0
    scale = np.empty(n)
    behind = np.empty(c)
    for t in range(n):
        p = order[t]
        left = 0.0
        if not begins[t]:
            for i in range(c):
                left += filtered[t - 1, i] * (1.0 - stays[i])
        size = 0.0
        for i in range(c):
            ahead = often[i]
            if not begins[t]:
                ahead = filtered[t - 1, i] * stays[i] + left * new[i]
            filtered[t, i] = ahead * b[p, i]
            size += filtered[t, i]
        for i in range(c):
            filtered[t, i] /= size
        scale[t] = size
        total += np.log(size)
    for t in range(n - 1, -1, -1):
        p = order[t]
        if t == n - 1 or begins[t + 1]:
            behind[:] = 1.0
        for i in range(c):
            posterior[p, i] += filtered[t, i] * behind[i]
        if begins[t]:
            continue
        begun = left = 0.0
        for i in range(c):
            behind[i] *= b[p, i] / scale[t]
            begun += new[i] * behind[i]
            left += filtered[t - 1, i] * (1.0 - stays[i])
        for i in range(c):
            before = filtered[t - 1, i]
            moves[0, i] += before * stays[i] * behind[i]
            moves[1, i] += before * (1.0 - stays[i]) * begun
            moves[2, i] += left * new[i] * behind[i]
            behind[i] = behind[i] * stays[i] + (1.0 - stays[i]) * begun
    return total


@dataclass(frozen=True, eq=False)
class Pixels:
    """Pixels of a map, which may tell what bins do not.

    Parameters
    ----------
    counts
        Integers.
    grid
        Which pixels are neighbours.
    binning
        Pixels along each axis of the bins that are known.
    """

    counts: AnyCounts
    grid: Grid
    binning: int

    @property
    def to_tell(self) -> Pixels:
        """Some strips of a large map, which tell which of two fits is better."""
        seen = strips(self.counts.n_pixels)
        if seen.all():
            return self
        return Pixels(self.counts.take(seen), self.grid.take(seen), self.binning)


class SinglePixels:
    """Pixels of few counts, and the classes to which they belong.

    Parameters
    ----------
    counts
        Integers; of a large map some strips are looked at.
    grid
        Which pixels are neighbours.
    n_components
        Number of components.
    """

    def __init__(self, counts: AnyCounts, grid: Grid, n_components: int):
        seen = strips(counts.n_pixels)
        self.all = bool(seen.all())
        self.counts = counts.take(seen).to_csr()
        self.lines = grid.take(seen).lines()
        self.n_components = n_components
        self._begin()

    def _begin(self) -> None:
        """Begin with classes of which those of one component are wide and frequent."""
        self.shares = first_shares(self.n_components)
        pure = np.arange(len(self.shares)) < self.n_components
        self.often = np.where(pure, 3.0, 1.0)
        self.often /= self.often.sum()
        self.changes = np.where(pure, 0.2, 0.6)
        self.new = self.often * self.changes / (self.often @ self.changes)

    def fit(
        self, problem: Problem, W: np.ndarray, each: float
    ) -> tuple[np.ndarray, float, np.ndarray]:
        """Return W that makes the counts most probable.

        Parameters
        ----------
        problem
            G, ties and what is fixed.
        W
            Where to begin, shape (n_columns, n_components).
        each
            What is worth it, in nats for each number that says how components are
            mixed, or for each in W if these pixels are a part of the map. Where a part
            of that is not gained soon, no more is tried.

        Returns
        -------
        W : numpy.ndarray
            Components that no pixel shows alone are as they were, and so are all where
            there is just one other: how they are mixed is not known from pixels.
        gain : float
            What the counts gain, in nats; 0 if that is not worth it.
        alone : numpy.ndarray
            Which components pixels show alone, boolean.
        """
        free = np.ones(self.n_components, bool)
        while free.sum() > 1:
            found, gain, free, lost = self._moved(problem, W, each, free)
            if not lost:
                return found, gain, free
            self._begin()
        return W, 0.0, free

    def compare(self, problem: Problem, W: np.ndarray) -> tuple[float, np.ndarray]:
        """Return what the counts say of given components, and which stand alone.

        Parameters
        ----------
        problem
            G of these components.
        W
            Shape (n_columns, n_components).

        Returns
        -------
        likelihood : float
            In nats, with the best shares of the classes.
        alone : numpy.ndarray
            Which components pixels show alone, boolean.
        """
        self._begin()
        D = problem.spectra(W)
        D = D / np.maximum(D.sum(axis=0), TINY)
        for _ in range(COMPARED):
            likelihood, known = self._look(D)
            self._hold(D, self.counts.T @ known)
        self._begin()
        return likelihood, known[:, : self.n_components].sum(axis=0) >= ONE

    def _moved(
        self, problem: Problem, W: np.ndarray, each: float, free: np.ndarray
    ) -> tuple[np.ndarray, float, np.ndarray, bool]:
        """Move components that are free; as `fit`, and whether one was lost by that."""
        V, k = problem.variables(W), self.n_components
        begin = needed = gain = 0.0
        for n in range(FIRST + MOST + 1):
            D = problem.spectra(problem.compose(V))
            heights = np.maximum(D.sum(axis=0), TINY)
            V, D = V / heights, D / heights
            likelihood, known = self._look(D)
            alone = free & (known[:, :k].sum(axis=0) >= ONE)
            if n == FIRST:
                begin, free = likelihood, alone
                # what was found from all pixels fits some of them worse by chance
                numbers = free.sum() * (k - 1) if self.all else (V[:, free] > 0).sum()
                needed = each * numbers
            gain = likelihood - begin
            few = n == FIRST + FEW and gain < PROMISING * needed
            if few or (n == FIRST and free.sum() < 2):
                break
            sums = self.counts.T @ known
            if n >= FIRST:
                V = np.where(free, self._of_sums(problem, V, sums), V)
            self._hold(D, sums)
        if gain <= needed or free.sum() < 2:
            return W, 0.0, free, False
        W = problem.compose(V)
        whole = W[problem.rows_on_simplex].sum(axis=0)
        lost = not np.array_equal(alone, free)
        return W / np.where(whole > 0, whole, 1.0), gain, alone, lost

    def _look(self, D: np.ndarray) -> tuple[float, np.ndarray]:
        """Return log likelihood and probabilities of classes, mean of all directions.

        How often classes change follows from them.
        """
        logs = self.counts @ np.log(np.maximum(D @ self.shares.T, TINY))
        largest = logs.max(axis=1, keepdims=True)
        b = np.maximum(np.exp(logs - largest), NEVER)
        known, work = np.zeros_like(b), np.empty_like(b)
        moves = np.zeros((3, b.shape[1]))
        total = 0.0
        stays = 1 - self.changes
        for order, begins in self.lines:
            given = b, order, begins, stays, self.new, self.often
            total += _along_lines(*given, work, known, moves)
        n = len(self.lines)
        stayed, left, begun = moves
        # as if each class had been left once in two
        self.changes = np.clip((left + 0.5) / (stayed + left + 1), RARELY, OFTEN)
        self.new = np.maximum(left + begun, NEVER)
        self.new /= self.new.sum()
        self.often = self.new / self.changes
        self.often /= self.often.sum()
        return total / n + float(largest.sum()), known / n

    def _of_sums(self, problem: Problem, V: np.ndarray, sums: np.ndarray) -> np.ndarray:
        """Return the variables that fit the sums of classes better."""
        H = self.shares * sums.sum(axis=0)[:, None]
        against = np.maximum(problem.variable_sum * H.sum(axis=0), TINY)
        for _ in range(INNER):
            mean = problem.spectra(problem.compose(V)) @ H.T
            V = V * problem.project(sums / np.maximum(mean, TINY) @ H) / against
        return V

    def _hold(self, D: np.ndarray, sums: np.ndarray) -> None:
        """Fit what the classes hold that are not of one component."""
        k = D.shape[1]
        for _ in range(INNER):
            mean = np.maximum(D @ self.shares[k:].T, TINY)
            held = self.shares[k:] * ((sums[:, k:] / mean).T @ D)
            self.shares[k:] = held / np.maximum(held.sum(axis=1, keepdims=True), TINY)


def first_shares(n_components: int) -> np.ndarray:
    """Return shares of pixels of one component, then of several.

    Shape (n_classes, n_components); each sums to 1.
    """
    pure = np.eye(n_components)
    shares = [pure]
    few = n_components <= MOST_IN_EIGHTHS
    for several, parts in ((2, 8), (3, 4)) if few else ((2, 4),):
        steps = product(range(1, parts), repeat=several)
        some_of = np.array([one for one in steps if sum(one) == parts]) / parts
        for some in combinations(range(n_components), several):
            shares.append(some_of @ pure[list(some)])
    return np.concatenate(shares)
