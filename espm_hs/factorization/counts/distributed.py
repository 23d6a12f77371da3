"""Counts and abundances on the workers of a dask cluster.

Chunks are read where dask has them read, become rows there, and these are sorted into
groups of whole blocks: the blocks that the same counts have in one process, so that
sums over blocks have the same bits here and there. All of it is a chain of dask's
tasks: if a worker dies, dask runs again what is needed to make its part anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property, partial
from itertools import accumulate, islice, pairwise
from operator import attrgetter
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import dask.array as da
import numpy as np
from dask.array.core import elemwise
from dask.core import flatten
from dask.utils import funcname
from numpy.lib.mixins import NDArrayOperatorsMixin

from espm_hs.factorization.counts.chunks import Layout, read_chunk
from espm_hs.factorization.counts.counts import AnyCounts, Counts, block_ends
from espm_hs.factorization.counts.rows import Reader, check_type

if TYPE_CHECKING:
    from distributed import Client, Future

# Groups for each thread; more would cost messages.
PER_THREAD = 1
# Fewer entries than these are worked on here: a pass over them takes no longer than the
# messages to the workers do.
FEW = 1 << 24


class Scattered(NDArrayOperatorsMixin):
    """Abundances, or other numbers of each pixel, that are spread over a cluster.

    A dask array does the arithmetic. It is wrapped for four reasons: sums over pixels
    must have the bits of numpy's; a division of zero by zero must not print a warning
    on each worker; a pass changes abundances in place; and the numbers must come from
    the client that holds them, whichever scheduler dask would choose by then.

    Parameters
    ----------
    client
        What holds the numbers.
    array
        Cut along its first axis only.
    pieces
        Futures of its chunks; None if they are only planned so far.
    """

    def __init__(
        self, client: Client, array: da.Array, pieces: list[Future] | None = None
    ):
        self.client, self.array, self._pieces = client, array, pieces
        self.shape, self.ndim, self.size = array.shape, array.ndim, array.size

    @classmethod
    def made(
        cls,
        client: Client,
        edges: Sequence[int],
        tail: Sequence[int],
        function: Callable,
        *inputs: Iterable,
        dtype: np.dtype | type = float,
    ) -> Scattered:
        """Call a function for each piece.

        Parameters
        ----------
        client
            What the function is sent to.
        edges
            First pixel of each piece, and the end.
        tail
            Shape of what a pixel has.
        function
            Returns the numbers of the pixels of a piece.
        inputs
            For each argument of the function what it is for each piece: futures, lists
            of futures, or anything else.
        dtype
            Of the numbers.
        """
        name = f"{funcname(function)}-{uuid4().hex}"
        pieces = {
            (key := (name, i, *(0 for _ in tail))): client.submit(
                function, *arguments, key=key, pure=False
            )
            for i, arguments in enumerate(zip(*inputs, strict=True))
        }
        chunks = (tuple(np.diff(edges).tolist()), *((size,) for size in tail))
        array = da.Array(pieces, name, chunks, dtype=dtype)
        return cls(client, array, list(pieces.values()))

    @classmethod
    def from_array(
        cls, client: Client, array: np.ndarray, edges: Sequence[int]
    ) -> Scattered:
        """Send an array to the workers, piece by piece."""
        pieces = (np.ascontiguousarray(array[slice(*ends)]) for ends in pairwise(edges))
        return cls.made(
            client, edges, array.shape[1:], np.asarray, pieces, dtype=array.dtype
        )

    def become(self, other: Scattered) -> None:
        """Change in place to other numbers of the same pixels."""
        vars(self).update(vars(other))

    @property
    def edges(self) -> list[int]:
        """First pixel of each piece, and the end."""
        return list(accumulate(self.array.chunks[0], initial=0))

    @property
    def pieces(self) -> list[Future]:
        """Futures of numpy arrays; what has only been planned so far is started."""
        if self._pieces is None:
            self.array = self.client.persist(self.array)
            keys = flatten(self.array.__dask_keys__())
            self._pieces = [self.array.dask[key] for key in keys]
        return self._pieces

    def rows(self, first: int, end: int) -> list[Future]:
        """Return futures of the pixels ``first`` to ``end - 1``."""
        return rows_of(self.client, self.pieces, self.edges, first, end)

    def taken(self, pixels: np.ndarray, edges: Sequence[int]) -> Scattered:
        """Return the numbers of some pixels.

        Parameters
        ----------
        pixels
            Their numbers here; those of a piece of the result lie near each other.
        edges
            First pixel of each piece of the result, and the end.
        """
        wanted = [pixels[slice(*ends)] for ends in pairwise(edges)]
        ends = [(int(some.min()), int(some.max()) + 1) for some in wanted]
        inside = (some - first for some, (first, _) in zip(wanted, ends, strict=True))
        rows = (self.rows(*one) for one in ends)
        return Scattered.made(self.client, edges, self.shape[1:], _taken, inside, rows)

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return np.concatenate(self.client.gather(self.pieces), dtype=dtype)

    def copy(self) -> Scattered:
        """Return the same numbers; nothing is copied."""
        return Scattered(self.client, self.array, self._pieces)

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **options):
        if method != "__call__" or options:
            return NotImplemented
        if ufunc is np.matmul:
            return Scattered(self.client, np.matmul(*map(self._dask, inputs)))
        found = self._each(ufunc, inputs)
        if out is None:
            return found
        out[0].become(found)
        return out[0]

    def __array_function__(self, function, types, arguments, options):
        if function in (np.where, np.clip) and not options:
            return self._each(function, arguments)
        arrays = [np.asarray(x) if isinstance(x, Scattered) else x for x in arguments]
        return function(*arrays, **options)

    def _each(self, function: Callable, inputs: Iterable) -> Scattered:
        """Call a function of numpy that takes each number by itself."""
        call = partial(_quietly, function)
        return Scattered(self.client, elemwise(call, *map(self._dask, inputs)))

    def _dask(self, one: Any) -> Any:
        """Return what dask can calculate with; what is large is sent in pieces."""
        if isinstance(one, np.ndarray) and one.ndim and len(one) == len(self) > 1:
            one = Scattered.from_array(self.client, one, self.edges)
        return one.array if isinstance(one, Scattered) else one

    def sum(self, axis: int, keepdims: bool = False):
        """Add up the pixels (0), in the order in which numpy does, or what each has."""
        if axis == 1:
            return Scattered(self.client, self.array.sum(axis=1, keepdims=keepdims))
        total: Any = None
        for piece in self.pieces:
            total = self.client.submit(_add_pixels, piece, total, pure=False)
        return total.result()

    def mean(self, axis: int, keepdims: bool = False):
        """Return the mean, as `sum` returns the sum."""
        return self.sum(axis, keepdims) / self.shape[axis]

    def __getitem__(self, key):
        """Return some columns, or the pixels of a mask as an array that is here."""
        # in the memory order in which numpy's copies are
        taken = self.array[key].map_blocks(np.array, order="C")
        taken = Scattered(self.client, taken)
        masked = isinstance(key, np.ndarray) and key.dtype == bool
        return np.asarray(taken) if masked else taken

    def __setitem__(self, key, values) -> None:
        changed = self.array.copy()
        if changed[key].size:  # dask refuses to change nothing
            changed[key] = self._dask(values)
        self.become(Scattered(self.client, changed))


def _taken(pixels, rows):
    return np.concatenate(rows)[pixels]


def _quietly(function, *arguments):
    with np.errstate(divide="ignore", invalid="ignore"):
        return function(*arguments)


def _add_pixels(piece, before):
    # numpy adds the rows of an array one after the other: here it goes on
    rows = piece if before is None else np.concatenate((before[None], piece))
    return rows.sum(axis=0)


def rows_of(
    client: Client,
    pieces: Sequence[Future],
    edges: Sequence[int],
    first: int,
    end: int,
    get: Callable | None = None,
) -> list[Future]:
    """Return futures of the pixels ``first`` to ``end - 1`` of what is in pieces.

    Parameters
    ----------
    client
        What holds the pieces.
    pieces
        Futures of something that ``get`` takes pixels of.
    edges
        First pixel of each piece, and the end.
    first, end
        Numbers of pixels.
    get
        Of a piece and the first and end of pixels in it; None for those of an array.
    """
    return [
        client.submit(
            get or take_rows, piece, max(first, a) - a, min(end, b) - a, pure=False
        )
        for piece, (a, b) in zip(pieces, pairwise(edges), strict=True)
        if a < end and b > first
    ]


def take_rows(piece: np.ndarray, first: int, end: int) -> np.ndarray:
    """Return some pixels, alone in memory."""
    return piece[first:end].copy()


# What a client knows of counts that it does not hold.
FACTS = attrgetter("n_pixels", "n_nonzeros", "spectrum", "smallest", "integer")


class ScatteredCounts(AnyCounts):
    """Counts as `Counts` has them, the pixels in groups on the workers.

    Parameters
    ----------
    client
        What holds the counts.
    slabs
        Futures of `Counts` that follow each other, cut anywhere.
    n_channels
        Number of channels.

    Attributes
    ----------
    blocks : numpy.ndarray
        As of `Counts`.
    edges : list of int
        First pixel of each group, and the end.
    groups : list
        Futures of `Counts`.
    """

    def __init__(self, client: Client, slabs: Sequence[Future], n_channels: int):
        self.client, self.n_channels = client, n_channels
        facts = client.gather(client.map(FACTS, slabs, pure=False))
        n_pixels, n_nonzeros, spectra, smallest, integer = zip(*facts, strict=True)
        self.n_pixels, self.n_nonzeros = sum(n_pixels), sum(n_nonzeros)
        self.spectrum = np.sum(spectra, axis=0)
        self.smallest, self.integer = min(smallest), all(integer)
        # as of `Counts`: pixels before which there are fewer entries than these
        wanted = block_ends(self.n_nonzeros)
        left = [wanted - n for n in accumulate(n_nonzeros[:-1], initial=0)]
        before = client.gather(client.map(_pixels_before, slabs, left, pure=False))
        self.blocks = np.unique([0, *(1 + np.sum(before, axis=0)), self.n_pixels])
        n_threads = max(1, sum(client.nthreads().values()))
        n_groups = min(self.blocks.size - 1, PER_THREAD * n_threads)
        groups = np.linspace(0, self.blocks.size - 1, n_groups + 1).round().astype(int)
        self.edges = self.blocks[groups].tolist()
        # first pixel of each block of a group, and the end, counted in the group
        self.cuts = [
            (self.blocks[first : end + 1] - self.blocks[first]).tolist()
            for first, end in pairwise(groups)
        ]
        places = list(accumulate(n_pixels, initial=0))
        self.groups = [
            self._joined(slabs, places, *ends) for ends in pairwise(self.edges)
        ]

    @classmethod
    def from_array(
        cls,
        client: Client,
        data: da.Array,
        *,
        pixels: np.ndarray | None = None,
        channels: np.ndarray | None = None,
    ) -> ScatteredCounts | Counts:
        """Read a dask array, see `Counts.from_array`; a few counts come here."""
        check_type(data)
        reader = Reader(data.shape[-1], channels)
        used = None if pixels is None else np.asarray(pixels, dtype=bool)
        layout = Layout(data, used)
        read = iter(client.compute(list(layout.tasks(read_chunk, reader))))
        slabs = ((sorter, *islice(read, layout.per_row)) for sorter in layout.sorters())
        return cls._made(client, slabs, reader.n_channels)

    def rebuilt(
        self,
        function: Callable,
        parts: Iterable[tuple],
        n_channels: int | None = None,
    ) -> ScatteredCounts | Counts:
        """As `Counts.rebuilt`."""
        slabs = ((function, *arguments) for arguments in parts)
        return self._made(self.client, slabs, n_channels or self.n_channels)

    @classmethod
    def _made(cls, client, slabs, n_channels) -> ScatteredCounts | Counts:
        """Return counts of rows that functions make; few of them come here."""
        futures = [
            client.submit(_from_rows, n_channels, *call, pure=False) for call in slabs
        ]
        counts = cls(client, futures, n_channels)
        few = counts.n_nonzeros < FEW
        return counts.take(np.ones(counts.n_pixels, bool)) if few else counts

    @property
    def there(self) -> bool:
        """Whether the cluster still has them, or can make them again."""
        running = self.client.status == "running"
        lost = {"cancelled", "lost", "error"}
        return running and all(group.status not in lost for group in self.groups)

    @cached_property
    def per_pixel(self) -> Scattered:
        """Counts of each pixel."""
        return Scattered.made(
            self.client, self.edges, (), attrgetter("per_pixel"), self.groups
        )

    def over_blocks(
        self, function: Callable, *maps: Scattered, n_jobs: int = 1
    ) -> list:
        """Call a function with each block of counts, on the workers.

        As `Counts.over_blocks`; the maps lie as the groups do.
        """
        pieces = (one.pieces for one in maps)
        call = partial(_over_blocks, function)
        tasks = self.client.map(call, self.cuts, self.groups, *pieces, pure=False)
        return [one for some in self.client.gather(tasks) for one in some]

    def take(self, pixels: np.ndarray) -> Counts:
        """Return the counts of some pixels here; boolean, shape (n_pixels,)."""
        wanted = [pixels[slice(*ends)] for ends in pairwise(self.edges)]
        rows = self.client.map(Counts.rows_of, self.groups, wanted, pure=False)
        return Counts.from_rows(self.client.gather(rows), self.n_channels)

    def part(self, first: int, end: int) -> Future:
        """Return a future of the counts of pixels ``first`` to ``end - 1``."""
        return self._joined(self.groups, self.edges, first, end)

    def _joined(self, parts, edges, first, end) -> Future:
        """Return a future of some pixels of counts in several parts."""
        rows = rows_of(self.client, parts, edges, first, end, _rows)
        return self.client.submit(_join, self.n_channels, *rows, pure=False)

    def send(self, array: np.ndarray) -> Future:
        """Return a future of an array."""
        return self.client.submit(np.asarray, array, pure=False)

    def hold(self, H: np.ndarray | Scattered) -> Scattered:
        """Return a map that is spread as the groups are."""
        if not isinstance(H, Scattered):
            return Scattered.from_array(self.client, np.asarray(H), self.edges)
        if H.edges == self.edges:
            return H
        sizes = tuple(np.diff(self.edges).tolist())
        return Scattered(self.client, H.array.rechunk({0: sizes}))


def _rows(counts, first, end):
    return counts.part(first, end).rows


def _join(n_channels, *rows) -> Counts:
    return Counts.from_rows(rows, n_channels)


def _from_rows(n_channels, function, *arguments) -> Counts:
    return Counts.from_rows([function(*arguments)], n_channels)


def _pixels_before(counts, n_entries):
    """Return how many pixels end before there are so many entries."""
    return np.searchsorted(counts.indptr[1:], n_entries)


def _over_blocks(function, cuts, counts, *maps) -> list:
    return [
        function(counts.part(*edge), *(array[slice(*edge)] for array in maps))
        for edge in pairwise(cuts)
    ]
