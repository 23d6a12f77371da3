"""The neighbours of each pixel, for the smoothness term."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property

import numpy as np


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

    @property
    def connected(self) -> bool:
        """Whether any pixel has a neighbour."""
        if self.arrays is None and self.pixels is None:
            return max(self.shape, default=1) > 1
        return bool((self.neighbours >= 0).any())
