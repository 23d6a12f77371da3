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
    """

    neighbours: np.ndarray
    colours: np.ndarray

    @classmethod
    def from_shape(cls, shape: tuple[int, ...], pixels=None) -> Grid:
        """Build the grid of a map.

        Parameters
        ----------
        shape
            Size of each navigation axis, in array (C) order.
        pixels
            Boolean, shape (prod(shape),): True for the pixels in use. A pixel that
            is not in use is nobody's neighbour.
        """
        used = np.ones(shape, bool) if pixels is None else np.reshape(pixels, shape)
        number = np.full(shape, -1, dtype=np.int64)
        number[used] = np.arange(used.sum())
        padded = np.pad(number, 1, constant_values=-1)
        centre = (slice(1, -1),) * len(shape)
        columns = []
        for axis in range(len(shape)):
            for move in (slice(None, -2), slice(2, None)):
                window = (*centre[:axis], move, *centre[axis + 1 :])
                columns.append(padded[window][used])
        neighbours = np.stack(columns, axis=1) if columns else np.empty((1, 0), int)
        colours = np.indices(shape).sum(axis=0)[used] % 2
        return cls(np.ascontiguousarray(neighbours), colours.astype(np.uint8))

    @classmethod
    def unconnected(cls, n_pixels: int) -> Grid:
        """Pixels without neighbours."""
        return cls(np.empty((n_pixels, 0), np.int64), np.zeros(n_pixels, np.uint8))

    @property
    def connected(self) -> bool:
        """Whether any pixel has a neighbour."""
        return bool((self.neighbours >= 0).any())

    def roughness(self, H: np.ndarray) -> float:
        """Sum over pairs of neighbours of their squared difference.

        Equal to ``tr(H^T L H)`` with the graph Laplacian L, for H of shape
        (n_pixels, n_components).
        """
        total = 0.0
        for column in self.neighbours[:, 1::2].T:  # each pair once
            pairs = column >= 0
            total += float(((H[pairs] - H[column[pairs]]) ** 2).sum())
        return total
