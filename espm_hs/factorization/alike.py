"""Sums of pixels that look alike: they keep thin layers apart, which bins mix.

One half of the counts says which pixels look alike, and the other half of these is
summed, and the other way round. What is chosen by its noise is never what is summed, so
that the sums are Poisson counts like any others (count splitting, Neufeld et al. 2024).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import scipy.sparse as sp
from joblib import effective_n_jobs

from espm_hs.factorization.counts.counts import AnyCounts, Counts
from espm_hs.factorization.counts.grid import Grid
from espm_hs.factorization.counts.rows import Reader
from espm_hs.factorization.cross_validation import strips, thin

# Each sum has as many counts, more where there would be too many sums.
COUNTS, MOST_SUMS = 1000.0, 1024
# Components are compared with those of bins where each half has so many sums for each.
LEAST_SUMS = 8
# Pixels are smoothed before they are compared, by this part of the width of a bin: it
# lowers the noise of small bins and of few counts by about as much.
WIDTH = 0.15
# Directions in which components do not differ are left out, relative to the largest.
RANK = 1e-9
SEED = 0


@dataclass(frozen=True, eq=False)
class AlikePixels:
    """Puts pixels into groups by what they look like.

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

    @cached_property
    def to_tell(self) -> AlikePixels:
        """Some strips of a large map, which tell whether all of it is worth it."""
        seen = strips(self.counts.n_pixels)
        if seen.all():
            return self
        some = self.counts.take(seen)
        return AlikePixels(some, self.grid.take(seen), self.binning)

    @property
    def n_sums(self) -> int:
        """How many sums are made of each half."""
        return int(min(self.counts.total / COUNTS, MOST_SUMS)) // 2

    def sums(self, D: np.ndarray, mean: np.ndarray, n_jobs: int | None = 1) -> Counts:
        """Return the sums: twice `n_sums` pixels, each count in one of them.

        Parameters
        ----------
        D
            Spectra that tell pixels apart, shape (n_channels, n_components).
        mean
            Expected spectrum of the whole, shape (n_channels,).
        n_jobs
            Number of threads.
        """
        counts, jobs = self.counts, effective_n_jobs(n_jobs)
        numbers = counts.hold(np.arange(counts.n_pixels))
        compare = partial(_looks, _projection(D, mean))
        looks = counts.over_blocks(compare, numbers, n_jobs=jobs)
        first, second = map(self._labels, np.concatenate(looks, axis=1))
        # each half is summed by the labels of the other one
        labels = counts.hold(np.column_stack([second, first + self.n_sums]))
        add = partial(_summed, 2 * self.n_sums)
        sums = counts.over_blocks(add, numbers, labels, n_jobs=jobs)
        reader = Reader(counts.n_channels)
        return Counts.from_rows([reader.read(sum(sums[1:], sums[0]))], len(D))

    def _labels(self, looks: np.ndarray) -> np.ndarray:
        """Return the group of each pixel by (counts, projections) of one half."""
        width = WIDTH * self.binning
        smooth = np.stack([self.grid.blurred(one, width) for one in looks.T], axis=1)
        per_pixel = smooth[:, :1]
        empty = per_pixel <= 0
        place = np.where(empty, 0.0, smooth[:, 1:] / np.where(empty, 1.0, per_pixel))
        return halved(place, looks[:, 0], self.n_sums)


def halved(place: np.ndarray, weight: np.ndarray, n: int) -> np.ndarray:
    """Cut points into groups of equal weight, by halves along the longest axis.

    Parameters
    ----------
    place
        Shape (n_points, n_axes).
    weight
        Of each point, shape (n_points,).
    n
        Number of groups.

    Returns
    -------
    numpy.ndarray
        Group of each point, from 0 to n - 1, shape (n_points,).
    """
    labels = np.zeros(len(place), np.int64)
    to_cut = [(np.arange(len(place)), 0, n)]
    while to_cut:
        points, first, parts = to_cut.pop()
        if parts == 1 or points.size < 2:
            labels[points] = first
            continue
        own = weight[points]
        around = place[points] - place[points].mean(axis=0)
        *_, axes = np.linalg.svd((around * own[:, None]).T @ around)
        order = np.argsort(around @ axes[0], kind="stable")
        so_far = np.cumsum(own[order])
        less = parts // 2
        cut = int(np.searchsorted(so_far, so_far[-1] * less / parts))
        cut = min(max(cut, 1), points.size - 1)
        to_cut.append((points[order[:cut]], first, less))
        to_cut.append((points[order[cut:]], first + less, parts - less))
    return labels


def _projection(D: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Return what turns counts into amounts of D of equal, independent noise.

    Least squares with the weights of the mean, whitened: (n_channels, n_axes).
    """
    D = D / np.maximum(D.sum(axis=0), np.finfo(float).tiny)
    weighted = np.divide(D, mean[:, None], where=mean[:, None] > 0, out=0 * D)
    size, axes = np.linalg.eigh(D.T @ weighted)
    kept = size > RANK * size.max()
    return weighted @ (axes[:, kept] / np.sqrt(size[kept]))


def _halves(part: Counts, numbers: np.ndarray) -> tuple[Counts, Counts]:
    """Return both halves of a block, the same at each call."""
    return thin(part, 0.5, np.random.default_rng((SEED, int(numbers[0]))))


def _looks(projection: np.ndarray, part: Counts, numbers: np.ndarray) -> np.ndarray:
    """Return counts and projections of the pixels of a block, for both halves."""
    return np.stack(
        [
            np.column_stack([half.per_pixel, half.to_csr() @ projection])
            for half in _halves(part, numbers)
        ]
    )


def _summed(
    n_rows: int, part: Counts, numbers: np.ndarray, labels: np.ndarray
) -> sp.csr_array:
    """Return the sums of a block, of both halves by their labels."""
    pixels, ones = np.arange(part.n_pixels), np.ones(part.n_pixels)
    first, second = (
        sp.csr_array((ones, (own, pixels)), (n_rows, pixels.size)) @ half.to_csr()
        for half, own in zip(_halves(part, numbers), labels.T, strict=True)
    )
    return first + second
