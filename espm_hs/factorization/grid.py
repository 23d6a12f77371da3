"""The neighbours of each pixel, for the smoothness term."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Grid:
    """Nearest neighbours of the pixels of a map with any number of axes.

    Parameters
    ----------
    neighbours
        Shape (n_pixels, 2 n_axes), int64: pixel numbers, -1 where there is none.
    colours
        Shape (n_pixels,), uint8: 0 or 1 as on a chessboard. No pixel has a
        neighbour of its own colour, so all pixels of one colour can be updated at
        once and exactly while the others stand still.
    weights
        Shape (2 n_axes,): how much the neighbours of each column count.
    """

    neighbours: np.ndarray
    colours: np.ndarray
    weights: np.ndarray

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
        used = np.ones(shape, bool) if pixels is None else np.reshape(pixels, shape)
        number = np.full(shape, -1, dtype=np.int64)
        number[used] = np.arange(used.sum())
        padded = np.pad(number, 1, constant_values=-1)
        centre = (slice(1, -1),) * len(shape)
        columns: list[np.ndarray] = []
        for axis in range(len(shape)):
            for move in (slice(None, -2), slice(2, None)):
                window = (*centre[:axis], move, *centre[axis + 1 :])
                columns.append(padded[window][used])
        neighbours = np.stack(columns, axis=1) if columns else np.empty((1, 0), int)
        colours = np.indices(shape).sum(axis=0)[used] % 2
        return cls(np.ascontiguousarray(neighbours), colours.astype(np.uint8), weights)

    @classmethod
    def unconnected(cls, n_pixels: int) -> Grid:
        """Pixels without neighbours."""
        neighbours = np.empty((n_pixels, 0), np.int64)
        return cls(neighbours, np.zeros(n_pixels, np.uint8), np.empty(0))

    def take(self, pixels: np.ndarray) -> Grid:
        """Return the grid of some pixels; boolean, shape (n_pixels,)."""
        number = np.where(pixels, np.cumsum(pixels) - 1, -1)
        old = self.neighbours[pixels]
        return Grid(
            np.where(old >= 0, number[old], -1), self.colours[pixels], self.weights
        )

    @property
    def connected(self) -> bool:
        """Whether any pixel has a neighbour."""
        return bool((self.neighbours >= 0).any())
