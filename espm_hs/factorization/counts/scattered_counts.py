"""Counts on the workers of a dask cluster.

Chunks are read where dask has them read, become rows there, and these are sorted into
groups of whole blocks: the blocks that the same counts have in one process, so that
sums over blocks have the same bits here and there. What is read and sorted is a chain
of dask's tasks. If a worker dies, dask runs again what is needed to make its groups
anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from espm_hs.factorization.counts.chunks import Layout, read_chunk
from espm_hs.factorization.counts.counts import (
    DENSE,
    Counts,
    add_moments,
    block_ends,
    every,
)
from espm_hs.factorization.counts.rows import Reader, Rows, check_type
from espm_hs.factorization.counts.scattered import Scattered

# Groups for each thread; more would cost messages.
PER_THREAD = 1
# Fewer entries than these are worked on here: a pass over them takes no longer than the
# messages to the workers do.
FEW = 1 << 24


class Facts(NamedTuple):
    """What is known of some counts here."""

    n_pixels: int
    n_nonzeros: int
    spectrum: np.ndarray
    smallest: float
    integer: bool


class ScatteredCounts:
    """Counts as `Counts` has them, the pixels in groups on the workers.

    Parameters
    ----------
    client
        A `distributed.Client`.
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

    def __init__(self, client, slabs: Sequence, n_channels: int):
        self.client, self.n_channels = client, n_channels
        facts = client.gather([client.submit(_facts, s, pure=False) for s in slabs])
        self.n_nonzeros = sum(one.n_nonzeros for one in facts)
        self.spectrum = np.sum([one.spectrum for one in facts], axis=0)
        self.smallest = min(one.smallest for one in facts)
        self.integer = all(one.integer for one in facts)
        ends = np.cumsum([0] + [one.n_pixels for one in facts])
        self.n_pixels = int(ends[-1])
        self.blocks = self._cut(slabs, facts, ends)
        n_threads = max(1, sum(client.nthreads().values()))
        n_groups = min(self.blocks.size - 1, PER_THREAD * n_threads)
        cuts = np.linspace(0, self.blocks.size - 1, n_groups + 1).round().astype(int)
        self.first_blocks = cuts.tolist()
        self.edges = self.blocks[cuts].tolist()
        places = ends.tolist()
        self.groups = [
            joined(client, slabs, places, first, end)
            for first, end in pairwise(self.edges)
        ]

    @classmethod
    def from_array(
        cls, client, data, *, pixels=None, channels=None
    ) -> ScatteredCounts | Counts:
        """Read a dask array, see `Counts.from_array`; a few counts come here."""
        check_type(data)
        reader = Reader(data.shape[-1], channels)
        used = None if pixels is None else np.asarray(pixels, dtype=bool)
        layout = Layout(data, used)
        read = client.compute(list(layout.tasks(read_chunk, reader)))
        slabs = []
        for row, sorter in enumerate(layout.sorters()):
            pieces = read[row * layout.per_row : (row + 1) * layout.per_row]
            task = client.submit(_slab, sorter, reader.n_channels, *pieces, pure=False)
            slabs.append(task)
        return cls(client, slabs, reader.n_channels)._or_here()

    @staticmethod
    def from_parts(
        function: Callable, parts, like: ScatteredCounts
    ) -> ScatteredCounts | Counts:
        """As `Counts.from_parts`."""
        slabs = [
            like.client.submit(_from_rows, function, *one, pure=False) for one in parts
        ]
        return ScatteredCounts(like.client, slabs, like.n_channels)._or_here()

    def _or_here(self) -> ScatteredCounts | Counts:
        """Return few counts as `Counts`."""
        if self.n_nonzeros >= FEW:
            return self
        return self.take(np.ones(self.n_pixels, bool))

    def _cut(self, slabs, facts, ends) -> np.ndarray:
        """First pixel of each block, and the end, as `Counts.blocks`."""
        counted = np.cumsum([0] + [one.n_nonzeros for one in facts])
        targets = block_ends(self.n_nonzeros)
        holder = np.searchsorted(counted[1:], targets)
        asked = {
            i: self.client.submit(
                _positions, slabs[i], targets[holder == i] - counted[i], pure=False
            )
            for i in np.unique(holder).tolist()
        }
        found = self.client.gather(list(asked.values()))
        cuts = [ends[i] + where for i, where in zip(asked, found, strict=True)]
        return np.unique(np.concatenate(([0], *cuts, [self.n_pixels])))

    @property
    def there(self) -> bool:
        """Whether the cluster still has them, or can make them again."""
        running = self.client.status == "running"
        lost = {"cancelled", "lost", "error"}
        return running and all(group.status not in lost for group in self.groups)

    @property
    def total(self) -> float:
        """All counts."""
        return float(self.spectrum.sum())

    @property
    def dose(self) -> float:
        """Mean counts of a pixel."""
        return self.total / self.n_pixels

    @property
    def unit(self) -> float:
        """As of `Counts`."""
        return min(1.0, self.total / self.n_nonzeros) if self.n_nonzeros else 1.0

    @property
    def dense(self) -> bool:
        """As of `Counts`."""
        return self.n_nonzeros >= DENSE * self.n_pixels * self.n_channels

    @cached_property
    def saturated(self) -> float:
        """As of `Counts`."""
        return float(np.sum(self.over_blocks(_saturated)))

    @cached_property
    def moments(self) -> np.ndarray:
        """As of `Counts`."""
        return add_moments(self.over_blocks(Counts.own_moments))

    @cached_property
    def per_pixel(self) -> Scattered:
        """Counts of each pixel."""
        sums = [self.client.submit(_per_pixel, one, pure=False) for one in self.groups]
        return Scattered(self.client, sums, self.edges)

    def over_blocks(self, function: Callable, *maps, n_jobs: int = 1) -> list:
        """Call a function with each block of counts, on the workers.

        As `Counts.over_blocks`; the maps are `Scattered` over the groups.
        """
        tasks = []
        for i, group in enumerate(self.groups):
            pieces = [one.pieces[i] for one in maps]
            task = (_over_blocks, function, self.cuts(i), group, *pieces)
            tasks.append(self.client.submit(*task, pure=False))
        return [one for some in self.client.gather(tasks) for one in some]

    def cuts(self, i: int) -> list[int]:
        """First pixel of each block of a group, and the end, counted in the group."""
        blocks = self.blocks[self.first_blocks[i] : self.first_blocks[i + 1] + 1]
        return (blocks - self.edges[i]).tolist()

    def take(self, pixels: np.ndarray) -> Counts:
        """Return the counts of some pixels here; boolean, shape (n_pixels,)."""
        parts = zip(self.groups, pairwise(self.edges), strict=True)
        rows = [
            self.client.submit(Counts.rows_of, group, pixels[first:end], pure=False)
            for group, (first, end) in parts
        ]
        return Counts.from_rows(self.client.gather(rows), self.n_channels)

    def sample(self, n_pixels: int) -> Counts:
        """As `Counts.sample`, here."""
        return self.take(every(self, n_pixels))

    def part(self, first: int, end: int):
        """Return a future of the counts of pixels ``first`` to ``end - 1``."""
        return joined(self.client, self.groups, self.edges, first, end)

    def send(self, array):
        """Return a future of an array."""
        return self.client.submit(_same, array, pure=False)

    def hold(self, H) -> Scattered:
        """Return a map that is spread as the groups are."""
        if isinstance(H, Scattered) and H.edges == self.edges:
            return H
        return Scattered.from_array(self.client, np.asarray(H), self.edges)


def joined(client, parts, edges, first: int, end: int):
    """Return a future of pixels ``first`` to ``end - 1`` of counts in several parts.

    Parameters
    ----------
    client
        A `distributed.Client`.
    parts
        Futures of `Counts`.
    edges
        First pixel of each part, and the end.
    """
    which = [i for i, (a, b) in enumerate(pairwise(edges)) if a < end and b > first]
    cuts = [
        (max(first, edges[i]) - edges[i], min(end, edges[i + 1]) - edges[i])
        for i in which
    ]
    return client.submit(_join, cuts, *(parts[i] for i in which), pure=False)


def _join(cuts, *parts) -> Counts:
    rows = (part.part(*cut).rows for part, cut in zip(parts, cuts, strict=True))
    return Counts.from_rows(rows, parts[0].n_channels)


def _from_rows(function, *arguments) -> Counts:
    n_channels = next(x for x in arguments if isinstance(x, Counts)).n_channels
    return Counts.from_rows([function(*arguments)], n_channels)


def _slab(sorter, n_channels, *pieces: Rows) -> Counts:
    return Counts.from_rows([sorter(list(pieces))], n_channels)


def _facts(counts) -> Facts:
    sizes = counts.n_pixels, counts.n_nonzeros
    return Facts(*sizes, counts.spectrum, counts.smallest, counts.integer)


def _same(array):
    return array


def _positions(counts, targets):
    return np.searchsorted(counts.indptr, targets)


def _saturated(counts) -> float:
    return counts.own_saturated()


def _per_pixel(counts):
    return counts.per_pixel


def _over_blocks(function, cuts, counts, *maps) -> list:
    return [
        function(counts.part(*edge), *(array[slice(*edge)] for array in maps))
        for edge in pairwise(cuts)
    ]
