"""The neighbours of each pixel, and neighbours taken together in bins."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, product

import numpy as np
import scipy.sparse as sp

from espm_hs.factorization.counts.counts import AnyCounts, Counts
from espm_hs.factorization.counts.rows import Reader, Rows

# Phases are found from spectra of so many counts, as far as so many bins are left: few
# counts turn the spectra, few bins leave out what is small.
ENOUGH_COUNTS = 300.0
ENOUGH = ((90.0, 40), (ENOUGH_COUNTS, 256), (3000.0, 1024))
# Non-zeros that are summed at a time.
STRIP = 1 << 21


@dataclass(frozen=True, eq=False)
class Grid:
    """Nearest neighbours of the pixels of a map with any number of axes.

    Parameters
    ----------
    weights
        Shape (2 n_axes,): how much the neighbours of each column count.
    shape
        Size of each navigation axis, in array (C) order.
    pixels
        Boolean, of this shape: pixels in use, None for all.
    first_row
        Of which map this is a part: the number of its first row there.
    arrays
        Neighbours and colours, where they do not follow from the shape.
    """

    weights: np.ndarray
    shape: tuple[int, ...] = ()
    pixels: np.ndarray | None = None
    first_row: int = 0
    arrays: tuple[np.ndarray, np.ndarray] | None = None

    @classmethod
    def from_shape(
        cls,
        shape: tuple[int, ...],
        pixels=None,
        scales: tuple[float, ...] | None = None,
    ) -> Grid:
        """Build the grid of a map.

        Parameters
        ----------
        shape
            Size of each navigation axis, in array (C) order.
        pixels
            Boolean, shape (prod(shape),): True for the pixels in use. A pixel that
            is not in use is nobody's neighbour.
        scales
            Size of a pixel along each axis, in one unit (None: all equal). What
            counts is the slope, so that neighbours weigh by the inverse square of
            their distance; the geometric mean of the weights is 1.
        """
        size = np.abs(np.ones(len(shape)) if scales is None else np.asarray(scales))
        log_size = np.log(size)
        weights = np.repeat(np.exp(2 * (log_size.mean() - log_size)), 2)
        if pixels is not None:
            pixels = np.reshape(pixels, shape)
        return cls(weights, tuple(shape), pixels)

    @classmethod
    def unconnected(cls, n_pixels: int) -> Grid:
        """Pixels without neighbours."""
        neighbours = np.empty((n_pixels, 0), np.int64)
        return cls(np.empty(0), arrays=(neighbours, np.zeros(n_pixels, np.uint8)))

    @classmethod
    def joined(cls, grids: Sequence[Grid]) -> Grid:
        """Several maps as one, of which none has a neighbour in another."""
        n_columns = max(grid.neighbours.shape[1] for grid in grids)
        neighbours, before = [], 0
        for grid in grids:
            own = grid.neighbours
            own = np.where(own >= 0, own + before, -1)
            missing = (0, n_columns - own.shape[1])
            neighbours.append(np.pad(own, ((0, 0), missing), constant_values=-1))
            before += len(own)
        colours = np.concatenate([grid.colours for grid in grids])
        weights = np.ones(n_columns)
        return cls(weights, arrays=(np.concatenate(neighbours), colours))

    @property
    def neighbours(self) -> np.ndarray:
        """Shape (n_pixels, 2 n_axes), int64: pixel numbers, -1 where there is none."""
        return self._arrays[0]

    @property
    def colours(self) -> np.ndarray:
        """Shape (n_pixels,), uint8: 0 or 1 as on a chessboard.

        No pixel has a neighbour of its own colour, so all pixels of one colour can be
        updated at once and exactly while the others stand still.
        """
        return self._arrays[1]

    @cached_property
    def _arrays(self) -> tuple[np.ndarray, np.ndarray]:
        if self.arrays is not None:
            return self.arrays
        shape, used = self.shape, self._used
        number = np.full(shape, -1, dtype=np.int64)
        number[used] = np.arange(used.sum())
        padded = np.pad(number, 1, constant_values=-1)
        centre = (slice(1, -1),) * len(shape)
        neighbours = np.empty((int(used.sum()), 2 * len(shape)), np.int64)
        for column in range(2 * len(shape)):
            axis, ahead = divmod(column, 2)
            move = slice(2, None) if ahead else slice(None, -2)
            window = (*centre[:axis], move, *centre[axis + 1 :])
            neighbours[:, column] = padded[window][used]
        colours = np.full(shape, self.first_row % 2, np.uint8)
        for axis, size in enumerate(shape):
            along = (slice(None), *(None,) * (len(shape) - axis - 1))
            colours ^= (np.arange(size, dtype=np.uint8) % 2)[along]
        return neighbours, colours[used]

    @property
    def _used(self) -> np.ndarray:
        """Boolean, of the shape of the map."""
        return np.ones(self.shape, bool) if self.pixels is None else self.pixels

    def take(self, pixels: np.ndarray) -> Grid:
        """Return the grid of some pixels; boolean, shape (n_pixels,)."""
        if self.arrays is None:
            used = np.zeros(self.shape, bool)
            used[self._used] = pixels
            return Grid(self.weights, self.shape, used, self.first_row)
        number = np.where(pixels, np.cumsum(pixels) - 1, -1)
        old = self.neighbours[pixels]
        neighbours = np.where(old >= 0, number[old], -1)
        return Grid(self.weights, arrays=(neighbours, self.colours[pixels]))

    def rows_around(self, first: int, end: int) -> tuple[Grid, int, int]:
        """Return the rows of the map that hold some pixels and all their neighbours.

        Parameters
        ----------
        first, end
            Of pixels in use that follow each other.

        Returns
        -------
        grid : Grid
            Of these rows; nothing of the size of the map is computed.
        first, end : int
            The pixels in use that they hold.
        """
        top = max(bisect_right(self._before, first) - 2, 0)
        bottom = min(bisect_right(self._before, end - 1) + 1, self.shape[0])
        shape = (bottom - top, *self.shape[1:])
        pixels = None if self.pixels is None else self.pixels[top:bottom]
        grid = Grid(self.weights, shape, pixels, top)
        return grid, self._before[top], self._before[bottom]

    @cached_property
    def _before(self) -> list[int]:
        """Pixels in use before each row, and all."""
        per_row = np.full(self.shape[0], int(np.prod(self.shape[1:])))
        if self.pixels is not None:
            per_row = self.pixels.reshape(self.shape[0], -1).sum(axis=1)
        return [0, *np.cumsum(per_row).tolist()]

    def lines(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return the lines through the map, for each direction to a nearest pixel.

        Diagonals are among these. For each the pixels, line after line, shape
        (n_pixels,), and whether a line begins there: at the edge of the map or behind
        pixels that are not in use. Only of maps that have a shape.
        """
        found = []
        places = np.argwhere(self._used)
        for step in product((1, 0, -1), repeat=len(self.shape)):
            wide = all(n > 1 for n, one in zip(self.shape, step, strict=True) if one)
            if step <= (0,) * len(step) or not wide:
                continue  # the same lines backwards, or none
            along = places[:, step.index(1)]
            line = places - along[:, None] * np.array(step)
            order = np.lexsort((along, *line.T))
            line, along = line[order], along[order]
            same = (line[1:] == line[:-1]).all(axis=1) & (np.diff(along) == 1)
            found.append((order, np.concatenate(([True], ~same))))
        return found

    @property
    def connected(self) -> bool:
        """Whether any pixel has a neighbour."""
        if self.arrays is None and self.pixels is None:
            return max(self.shape, default=1) > 1
        return bool((self.neighbours >= 0).any())


@dataclass(frozen=True, eq=False)
class Bins:
    """Rectangular groups of pixels: fewer spectra, with more counts each.

    Parameters
    ----------
    number
        Shape (n_pixels,), int64: bin of each pixel in use, from 0 to ``n_bins - 1``.
    shape
        Of the binned map.
    used
        Boolean, shape (prod(shape),): bins that have a pixel in use.
    full
        Pixels of a bin of which all are in use.
    """

    number: np.ndarray
    shape: tuple[int, ...]
    used: np.ndarray
    full: int

    @classmethod
    def from_shape(
        cls, shape: tuple[int, ...], factor: int, pixels: np.ndarray | None = None
    ) -> Bins:
        """Bin a map.

        Parameters
        ----------
        shape
            Size of each navigation axis, in array (C) order.
        factor
            Pixels along each axis of a bin; the last bins have what is left over.
        pixels
            Boolean, shape (prod(shape),): pixels in use, None for all.
        """
        binned = tuple(-(-size // factor) for size in shape)
        number = np.ravel_multi_index(tuple(np.indices(shape) // factor), binned)
        number = number.ravel() if pixels is None else number[np.reshape(pixels, shape)]
        used = np.zeros(int(np.prod(binned)), bool)
        used[number] = True
        full = int(np.prod([min(size, factor) for size in shape]))
        return cls((np.cumsum(used) - 1)[number], binned, used, full)

    @property
    def n_bins(self) -> int:
        """Number of bins in use."""
        return int(self.used.sum())

    def merge(self, counts: AnyCounts, *, as_full: bool = False) -> AnyCounts:
        """Return the summed counts of each bin, where the counts are.

        ``as_full``: as if all pixels were in use, and had the same.
        """
        weights = self.full / self._n_pixels if as_full else np.ones(self.n_bins)
        strips = (
            (self._matrix(bins, pixels, weights), counts.part(*pixels))
            for bins, pixels in self.strips(counts.n_nonzeros)
        )
        return counts.rebuilt(_merged, strips)

    def strips(self, n_nonzeros: int) -> list[tuple[tuple[int, int], tuple[int, int]]]:
        """Cut the map along the first axis, between bins.

        Parameters
        ----------
        n_nonzeros
            Of the whole map: each strip shall have some `STRIP` of them.

        Returns
        -------
        list of ((first_bin, end_bin), (first_pixel, end_pixel))
        """
        before = np.cumsum((0, *self.used.reshape(self.shape[0], -1).sum(axis=1)))
        n_strips = min(max(1, n_nonzeros // STRIP), self.shape[0])
        cuts = np.linspace(0, self.shape[0], n_strips + 1).round().astype(int)
        bins = np.unique(before[cuts])
        # pixels of a strip follow each other, those of a bin do not
        strip = np.searchsorted(bins, self.number, side="right")
        pixels = np.searchsorted(strip, np.arange(1, bins.size + 1))
        return list(
            zip(pairwise(bins.tolist()), pairwise(pixels.tolist()), strict=True)
        )

    def sum(self, H: np.ndarray) -> np.ndarray:
        """Add up what the pixels have, (n_pixels, k) -> (n_bins, k)."""
        ones = np.ones(self.n_bins)
        return self._matrix((0, self.n_bins), (0, self.number.size), ones) @ H

    def spread(self, H, edges: Sequence[int] = (), *, as_full: bool = False):
        """Share out what the bins have, (n_bins, k) -> (n_pixels, k).

        Parameters
        ----------
        H
            Array, or `Scattered` over a cluster.
        edges
            First pixel of each piece of the result, and the end, if it is scattered.
        as_full
            As in `merge`.
        """
        shared_by = np.full(self.n_bins, self.full) if as_full else self._n_pixels
        shared = H / shared_by[:, None]
        if isinstance(H, np.ndarray):
            return shared[self.number]
        return shared.taken(self.number, edges)

    @property
    def _n_pixels(self) -> np.ndarray:
        """Pixels in use of each bin, shape (n_bins,)."""
        return np.bincount(self.number)

    def _matrix(self, bins, pixels, weights) -> sp.csr_array:
        """Sum over pixels of some bins, times the weights of the bins."""
        columns = np.arange(pixels[1] - pixels[0])
        number = self.number[slice(*pixels)]
        shape = (bins[1] - bins[0], columns.size)
        indices = number - bins[0], columns
        return sp.csr_array((weights[number], indices), shape=shape)


def _merged(matrix: sp.csr_array, counts: Counts) -> Rows:
    return Reader(counts.n_channels).read(matrix @ counts.to_csr())


def usual_binning(
    counts: AnyCounts, shape: tuple[int, ...], n_together: int | None = None
) -> int:
    """Smallest factor with which the bins have enough counts.

    Abundances of pixels with few counts are noise that a fit turns into wrong spectra:
    there are as many of them as of the counts that tell them (Neyman & Scott 1948).

    Parameters
    ----------
    counts
        The map.
    shape
        Size of each navigation axis.
    n_together
        Pixels of all maps, where phases are found in several; None: in this one.
    """
    # what is small in a map needs bins of this map, and counts may come from all
    together = n_together or counts.n_pixels
    spread_over = together, together, counts.n_pixels
    n_axes = max(1, sum(size > 1 for size in shape))
    factors = [1]
    for (enough, least), n_pixels in zip(ENOUGH, spread_over, strict=True):
        wanted = (enough * counts.n_pixels / counts.total) ** (1 / n_axes)
        largest = (n_pixels / least) ** (1 / n_axes)
        factors.append(min(int(np.ceil(wanted - 1e-9)), int(largest + 1e-9)))
    return max(factors)
