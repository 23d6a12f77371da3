"""Channels taken together that say the same: as much is known from fewer numbers."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import scipy.sparse as sp

from espm_hs.factorization.counts.counts import AnyCounts, Counts
from espm_hs.factorization.counts.rows import Reader, Rows
from espm_hs.factorization.problem import Problem
from espm_hs.factorization.regression import fit_spectrum

# Channels of as many non-zeros are not summed.
MANY = 1 << 19
# Share of the information on each column of G that sums of channels may lose, on
# average.
LOST = 0.01
# Added to the information on columns, relative: columns of G may be dependent.
RIDGE = 1e-9
# Share of the counts that each column is taken for at least.
LEAST = 1e-4


def alike(G: np.ndarray, spectrum: np.ndarray, lost: float = LOST) -> np.ndarray:
    """Put neighbouring channels into groups whose sums tell the columns of G apart.

    Channels with proportional rows of G are one measurement: the sum of their counts
    says all that they say. Where they are not, two channels of y and z counts lose
    ``y z / (y + z) v v^T`` of the Fisher information ``sum g g^T / y``, with v the
    difference of their rows ``g / y``. The pairs that lose least, compared with what
    all channels know, are summed first.

    Parameters
    ----------
    G
        Shape (n_channels, n_columns), non-negative.
    spectrum
        Counts that are expected in each channel, shape (n_channels,).
    lost
        Share of the information that may be lost, mean over the columns.

    Returns
    -------
    numpy.ndarray
        Group of each channel, from 0 on, rising, shape (n_channels,).
    """
    y = np.maximum(spectrum, np.finfo(float).tiny)
    rows = _independent(G, y)
    # neighbours of each group, by the first channel of it, and how often it has grown
    before, after = np.arange(y.size) - 1, np.arange(y.size) + 1
    grown, first = np.zeros(y.size, int), np.ones(y.size, bool)

    def pair(i: int, j: int) -> tuple[float, int, int, int, int]:
        apart = rows[i] / y[i] - rows[j] / y[j]
        loss = y[i] * y[j] / (y[i] + y[j]) * (apart @ apart)
        return float(loss), i, j, grown[i], grown[j]

    pairs = [pair(i, i + 1) for i in range(y.size - 1)]
    heapq.heapify(pairs)
    left = lost * G.shape[1]
    while pairs and left >= pairs[0][0]:
        loss, i, j, *then = heapq.heappop(pairs)
        if then != [grown[i], grown[j]]:
            continue
        left -= loss
        rows[i], y[i], first[j] = rows[i] + rows[j], y[i] + y[j], False
        grown[[i, j]] += 1
        after[i] = after[j]
        if after[i] < y.size:
            before[after[i]] = i
            heapq.heappush(pairs, pair(i, after[i]))
        if before[i] >= 0:
            heapq.heappush(pairs, pair(before[i], i))
    return np.cumsum(first) - 1


def _independent(G: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return G in columns of which each is known as well, and apart from the others."""
    unit = np.sqrt((G**2 / y[:, None]).sum(axis=0))
    rows = G / np.where(unit > 0, unit, 1.0)
    information = rows.T @ (rows / y[:, None])
    known = np.linalg.inv(information + RIDGE * np.eye(len(information)))
    return rows @ np.linalg.cholesky(known)


@dataclass(frozen=True, eq=False)
class Sums:
    """Which channels are taken together.

    Parameters
    ----------
    first
        First channel of each sum, shape (n_sums,).
    n_channels
        Number of channels.
    """

    first: np.ndarray
    n_channels: int

    @classmethod
    def suited_to(cls, counts: AnyCounts, problem: Problem) -> Sums | None:
        """Return sums from which as much is known; None where they do not pay.

        So it is with a few counts, without G, and in several places.
        """
        G = problem.G
        if counts.n_nonzeros <= MANY or G is None or problem.places is not None:
            return None
        # those of components differ by factors of the columns: what is alike stays so
        columns = G.mean(axis=0) if G.ndim == 3 else G
        group = alike(columns, columns @ _weights(columns, counts.spectrum))
        return cls(np.flatnonzero(np.diff(group, prepend=-1)), len(group))

    def of_matrix(self, G: np.ndarray) -> np.ndarray:
        """Return matrices (..., n_channels, n_columns) of the sums."""
        return np.add.reduceat(G, self.first, axis=-2)

    def of_problem(self, problem: Problem) -> Problem:
        """Return the problem of the sums, of which W and H stay the same."""
        G = self.of_matrix(np.asarray(problem.G))
        return replace(problem, n_channels=len(self.first), G=G)

    def of_counts(self, counts: AnyCounts) -> AnyCounts:
        """Return the counts of the sums, where the counts are."""
        ends = pairwise(counts.blocks.tolist())
        parts = ((self, counts.part(first, end)) for first, end in ends)
        return counts.rebuilt(_summed, parts, len(self.first))


def _weights(G: np.ndarray, spectrum: np.ndarray) -> np.ndarray:
    """Return how much of each column there is in a spectrum, of none nothing."""
    weights, _ = fit_spectrum(G, spectrum)
    made = G.sum(axis=0)
    return weights + LEAST * spectrum.sum() / np.where(made > 0, made, np.inf)


def _summed(sums: Sums, counts: Counts) -> Rows:
    group = np.repeat(
        np.arange(len(sums.first)), np.diff(sums.first, append=sums.n_channels)
    )
    matrix = sp.csr_array((np.ones(group.size), (np.arange(group.size), group)))
    return Reader(len(sums.first)).read(counts.to_csr() @ matrix)
