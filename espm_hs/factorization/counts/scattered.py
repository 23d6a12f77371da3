"""Maps whose pixels are spread over the workers of a dask cluster.

They behave like arrays where a fit needs it: arithmetic, columns, sums. Whatever else
is asked of them brings them here, as `numpy.asarray` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin


class Scattered(NDArrayOperatorsMixin):
    """Numbers of consecutive pixels in pieces, each a future of a numpy array.

    Pieces are never changed: what changes a map makes new ones. If a worker dies, dask
    makes the pieces that it held again, from those that they were made of.

    Parameters
    ----------
    client
        A `distributed.Client`.
    pieces
        Futures.
    edges
        First pixel of each piece, and the end.
    tail
        Shape of what a pixel has.
    """

    def __init__(
        self,
        client,
        pieces: Sequence,
        edges: Sequence[int],
        tail: tuple[int, ...] = (),
    ):
        self.client, self.pieces = client, list(pieces)
        self.edges, self.tail = list(edges), tuple(tail)

    @classmethod
    def from_array(cls, client, array: np.ndarray, edges: Sequence[int]) -> Scattered:
        """Send an array to the workers, piece by piece."""
        pieces = [
            client.submit(_same, np.ascontiguousarray(array[first:end]), pure=False)
            for first, end in pairwise(edges)
        ]
        return cls(client, pieces, edges, array.shape[1:])

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the whole."""
        return (self.edges[-1], *self.tail)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """How many numbers there are."""
        return int(np.prod(self.shape))

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        whole = np.concatenate(self.client.gather(self.pieces))
        return whole if dtype is None else whole.astype(dtype, copy=False)

    def copy(self) -> Scattered:
        """Return the same numbers; nothing is copied."""
        return Scattered(self.client, self.pieces, self.edges, self.tail)

    def map(self, function, *others, tail=None) -> Scattered:
        """Call a function with each piece, and the pieces of others beside it.

        Parameters
        ----------
        function
            Of arrays of the same pixels; returns one of as many pixels.
        others
            Maps like this one, arrays of as many pixels, which are sent to the workers,
            or anything that is the same for all pixels.
        tail
            Shape of what a pixel then has; None: as now.
        """
        tail = self.tail if tail is None else tail
        return self._call(function, (self, *others), tail)

    def _call(self, function, inputs, tail) -> Scattered:
        parts = zip(*(self._split(one) for one in inputs), strict=True)
        call = self.client.submit
        pieces = [call(_quietly, function, *part, pure=False) for part in parts]
        return Scattered(self.client, pieces, self.edges, tail)

    def _split(self, one) -> Sequence:
        if isinstance(one, Scattered):
            return one.pieces
        if isinstance(one, np.ndarray) and one.ndim == self.ndim and len(one) > 1:
            return [one[first:end] for first, end in pairwise(self.edges)]
        return [one] * len(self.pieces)

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **options):
        if method != "__call__" or options:
            return NotImplemented
        if ufunc is np.matmul:
            matrix = np.asarray(inputs[1])
            return self.map(partial(_times, matrix), tail=matrix.shape[1:])
        found = self._call(ufunc, inputs, self._common_tail(inputs))
        if out is None:
            return found
        out[0].pieces, out[0].tail = found.pieces, found.tail
        return out[0]

    def __array_function__(self, function, types, arguments, options):
        if function in (np.where, np.clip) and not options:
            return self._call(function, arguments, self._common_tail(arguments))
        arrays = [np.asarray(x) if isinstance(x, Scattered) else x for x in arguments]
        return function(*arrays, **options)

    def _common_tail(self, inputs) -> tuple[int, ...]:
        # not numpy's shape(): it would fetch the pieces
        shapes = (getattr(one, "shape", None) or np.shape(one) for one in inputs)
        shapes = ((1, *x[1:]) if len(x) == self.ndim else x for x in shapes)
        return np.broadcast_shapes(*shapes)[1:]

    def sum(self, axis: int, keepdims: bool = False):
        """Add up the pixels (0), in the order in which numpy does, or what each has."""
        if axis == 1:
            tail = (1,) if keepdims else ()
            return self.map(_sum_each, keepdims, tail=tail)
        total = None
        for piece in self.pieces:
            total = self.client.submit(_add_pixels, piece, total, pure=False)
        return total.result()

    def mean(self, axis: int, keepdims: bool = False):
        """As `sum`."""
        return self.sum(axis, keepdims) / self.shape[axis]

    def rows(self, first: int, end: int, get=None) -> list:
        """Return futures of the pixels ``first`` to ``end - 1``.

        Parameters
        ----------
        first, end
            Numbers of pixels.
        get
            Takes some of the pixels of a piece, as `take_rows`.
        """
        return [
            self.client.submit(
                get or take_rows, piece, max(first, a) - a, min(end, b) - a, pure=False
            )
            for piece, (a, b) in zip(self.pieces, pairwise(self.edges), strict=True)
            if a < end and b > first
        ]

    def with_pieces(self, pieces: Sequence) -> Scattered:
        """Return other numbers of the same pixels."""
        return Scattered(self.client, pieces, self.edges, self.tail)

    def __getitem__(self, key):
        """Columns, or, as an array that is here, the pixels of a mask."""
        if isinstance(key, np.ndarray) and key.dtype == bool and key.ndim == 1:
            parts = zip(self.pieces, self._split_pixels(key), strict=True)
            taken = [self.client.submit(_take, *part, pure=False) for part in parts]
            return np.concatenate(self.client.gather(taken))
        columns = _columns(key)
        tail = np.empty((0, *self.tail))[(slice(None), *columns)].shape[1:]
        return self.map(_get_columns, columns, tail=tail)

    def __setitem__(self, key, values) -> None:
        """Change columns."""
        self.pieces = self.map(_with_columns, _columns(key), values).pieces

    def _split_pixels(self, array) -> list[np.ndarray]:
        return [array[first:end] for first, end in pairwise(self.edges)]


def _columns(key) -> tuple:
    if not (isinstance(key, tuple) and key[0] == slice(None)):
        raise IndexError(f"Maps on a cluster are indexed by columns only, got {key!r}.")
    return key[1:]


def _same(array):
    return array


def _quietly(function, *arguments):
    with np.errstate(divide="ignore", invalid="ignore"):
        return function(*arguments)


def _times(matrix, piece):
    return piece @ matrix


def _sum_each(piece, keepdims):
    return piece.sum(axis=1, keepdims=keepdims)


def _add_pixels(piece, before):
    # numpy adds the rows of an array one after the other: here it goes on
    rows = piece if before is None else np.concatenate((before[None], piece))
    return rows.sum(axis=0)


def take_rows(piece: np.ndarray, first: int, end: int) -> np.ndarray:
    """Return some pixels, alone in memory."""
    return piece[first:end].copy()


def _take(piece, wanted):
    return piece[wanted]


def _get_columns(piece, columns):
    return piece[(slice(None), *columns)].copy()


def _with_columns(piece, columns, values):
    piece = piece.copy()
    piece[(slice(None), *columns)] = values
    return piece
