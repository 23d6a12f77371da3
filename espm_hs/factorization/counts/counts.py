"""Counts stored by pixel in compressed rows of compact integers.

Spectrum images are sparse (0.03 % to 7 % of the entries are not zero), and only
the non-zeros enter the cost of an iteration. `Counts` holds them once, in three
arrays: where each pixel begins, the channel of each non-zero, and its value.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import pairwise
from typing import Any

import numpy as np
import scipy.sparse as sp

from espm_hs.factorization.counts.chunks import chunks
from espm_hs.factorization.counts.rows import Reader, Rows, check_type, slabs
from espm_hs.factorization.counts.storage import Store
from espm_hs.factorization.kernels import compiled
from espm_hs.factorization.kernels.vectors import padded

# Non-zeros per block: small enough that a thread's share stays balanced and its
# counts stay in the second-level cache, large enough to hide the call.
BLOCK_NONZEROS = 1 << 17
# Fewer where that makes no equal shares for several threads; all in one block if there
# are so few that threads would only wait for each other.
LEAST_BLOCKS, SMALL_NONZEROS = 8, 1 << 13
# Each block has its own sums of size channels x components; more of them than this
# would cost memory and balance no better.
MAX_BLOCKS = 64
# Reading all channels is faster than reading non-zeros, and takes no more memory, where
# so much of the counts is not zero.
DENSE = 0.4
# Up to so many entries, kernels are given values of two bytes or more (8 MB).
WIDENED_NONZEROS = 1 << 22
# Entries from which a common factor of integers is none by chance.
ENOUGH_TO_TELL = 20
# The smallest value may be up to so many times what all are multiples of.
MOST_PARTS = 4


@compiled()
def _sum_rows(indptr, values, sums):
    """Add up the values of each pixel: sums (p,) float64."""
    for p in range(sums.size):
        for t in range(indptr[p], indptr[p + 1]):
            sums[p] += values[t]


@compiled()
def _sum_channels(channels, values, sums):
    """Add values (n,) to the sums (e,) float64 of their channels."""
    for t in range(values.size):
        sums[channels[t]] += values[t]


@compiled()
def _saturated(values):
    """Sum x log x - x over values (n,)."""
    total = 0.0
    for t in range(values.size):
        x = float(values[t])
        total += x * np.log(x) - x
    return total


class AnyCounts(ABC):
    """What counts here and counts on a cluster have in common.

    Attributes
    ----------
    n_pixels, n_channels, n_nonzeros : int
        Numbers of pixels, of channels, and of stored entries.
    spectrum : numpy.ndarray
        Counts of each channel, shape (n_channels,), float64.
    per_pixel : numpy.ndarray, or what holds one on a cluster
        Counts of each pixel, shape (n_pixels,), float64.
    smallest : float
        Smallest count that is not zero; infinite where there is none.
    integer : bool
        Whether all counts are integers.
    edges : sequence of int
        First pixel of each place in which the counts are, and the end.
    """

    # to be read only: set once, or computed when they are needed
    n_pixels: int
    n_channels: int
    n_nonzeros: int
    spectrum: np.ndarray
    per_pixel: Any
    smallest: float
    integer: bool
    edges: Sequence[int]
    blocks: np.ndarray

    @abstractmethod
    def take(self, pixels: np.ndarray) -> Counts:
        """Return the counts of some pixels here; boolean, shape (n_pixels,)."""

    @abstractmethod
    def over_blocks(self, function: Callable, *maps, n_jobs: int = 1) -> list:
        """Call a function with each block of counts, where they are.

        Parameters
        ----------
        function
            Of `Counts`, and of the same pixels of each map.
        maps
            Arrays of as many pixels, held where the counts are.
        n_jobs
            Number of threads, if the counts are here.
        """

    @abstractmethod
    def hold(self, H: Any) -> Any:
        """Return a map of as many pixels, where the counts are."""

    @abstractmethod
    def part(self, first: int, end: int) -> Any:
        """Return the counts of pixels ``first`` to ``end - 1``, or a future of them."""

    @abstractmethod
    def rebuilt(
        self,
        function: Callable,
        parts: Iterable[tuple],
        n_channels: int | None = None,
    ) -> AnyCounts:
        """Put together what a function makes of parts of these counts.

        Parameters
        ----------
        function
            Returns `Rows`.
        parts
            Its arguments, `part` of the counts among them.
        n_channels
            Of the result; None: as many as here.
        """

    @cached_property
    def total(self) -> float:
        """All counts."""
        return float(self.spectrum.sum())

    @cached_property
    def mean_counts(self) -> float:
        """Mean counts of a pixel."""
        return self.total / self.n_pixels

    @property
    def dose(self) -> float:
        """The former name of ``mean_counts``."""
        return self.mean_counts

    @cached_property
    def unit(self) -> float:
        """What counts as one nat: 1, less where values are below 1 on average."""
        return min(1.0, self.total / self.n_nonzeros) if self.n_nonzeros else 1.0

    @cached_property
    def scale(self) -> float:
        """What all values are multiples of, 1 for counts as they were measured.

        0 where there is no such number, as in data that were smoothed.
        """
        # of a few counts all may be even by chance
        few = self.integer and self.n_nonzeros < ENOUGH_TO_TELL
        if self.n_nonzeros == 0 or few or (self.integer and self.smallest == 1):
            return 1.0
        for parts in range(1, MOST_PARTS + 1):
            scale = self.smallest / parts
            multiples = partial(Counts.own_multiples, scale=scale)
            if all(self.over_blocks(multiples)):
                whole = round(scale)
                return float(whole) if abs(scale - whole) < 1e-6 * scale else scale
        return 1.0 if self.integer else 0.0

    @cached_property
    def dense(self) -> bool:
        """Whether so many entries are not zero that reading all channels is faster."""
        return self.n_nonzeros >= DENSE * self.n_pixels * self.n_channels

    @cached_property
    def saturated(self) -> float:
        """``sum(x log x - x)``: what turns the likelihood into a divergence."""
        return float(np.sum(self.over_blocks(Counts.own_saturated)))

    @cached_property
    def moments(self) -> np.ndarray:
        """Number of pixels, all counts, and the sum of pixel number times counts.

        Exact where counts are integers, however large the map is.
        """
        n_pixels, total, weighted = 0, 0, 0
        for n, counts, own in self.over_blocks(Counts.own_moments):
            weighted += own + n_pixels * counts
            n_pixels, total = n_pixels + n, total + counts
        return np.array([n_pixels, total, weighted], dtype=float)

    def spectra_of(self, labels: np.ndarray, n: int) -> np.ndarray:
        """Sum the spectra of pixels that have the same label.

        Parameters
        ----------
        labels
            Of each pixel, integers from 0 to n - 1, shape (n_pixels,).
        n
            Number of labels.

        Returns
        -------
        numpy.ndarray
            Shape (n, n_channels).
        """
        sums = self.over_blocks(partial(Counts.own_spectra, n=n), self.hold(labels))
        return np.sum(sums, axis=0)

    def in_places(self, place: np.ndarray, n_places: int) -> AnyCounts:
        """Return the counts with channels of their own for the pixels of each place.

        The spectra of a component then may differ from place to place: they are one
        spectrum over all channels, of which a pixel sees the part of its place. It is
        divided by the number of places, so that its sum is that of one place.

        Parameters
        ----------
        place
            Of each pixel, from 0 to ``n_places - 1``, shape (n_pixels,).
        n_places
            Number of places.
        """
        n_channels = n_places * self.n_channels
        parts = (
            (n_channels, place[first:end], self.part(first, end))
            for first, end in pairwise(self.blocks.tolist())
        )
        counts = self.rebuilt(_in_places, parts, n_channels)
        # means are divided as well, which F is not to show
        vars(counts)["saturated"] = self.saturated - self.total * np.log(n_places)
        return counts

    def sample(self, n_pixels: int) -> Counts:
        """Return every pixel of a small map, every n-th one of a large one, here.

        Parameters
        ----------
        n_pixels
            How many at most; more than half of that where there are as many.
        """
        step = -(-self.n_pixels // n_pixels)
        return self.take(np.arange(self.n_pixels) % step == 0)


@dataclass(frozen=True, eq=False)
class Counts(AnyCounts):
    """Non-zero counts of a map, pixel after pixel.

    Parameters
    ----------
    indptr
        Shape (n_pixels + 1,), int64: pixel ``p`` owns the entries
        ``indptr[p]:indptr[p + 1]``.
    channels
        Shape (n_nonzeros,), uint16 or uint32: channel of each entry.
    values
        Shape (n_nonzeros,), unsigned integer or float64: the counts.
    n_channels
        Number of channels.
    """

    indptr: np.ndarray
    channels: np.ndarray
    values: np.ndarray
    n_channels: int

    def __post_init__(self):
        vars(self).update(
            n_pixels=self.indptr.size - 1,
            n_nonzeros=self.values.size,
            # first pixel and end: all of them are in one place
            edges=(0, self.indptr.size - 1),
            integer=self.values.dtype.kind == "u",
        )

    @classmethod
    def from_array(
        cls,
        data,
        *,
        pixels: np.ndarray | None = None,
        channels: np.ndarray | None = None,
    ) -> Counts:
        """Read counts from an array, whole or in part, without a dense copy.

        Parameters
        ----------
        data
            Real numbers of shape (..., n_channels): a numpy array of any integer
            or float type, a scipy sparse matrix, a `sparse` array, or a dask array
            of either. The leading axes are unfolded in C order.
        pixels
            Boolean, one per unfolded pixel: True for those to keep.
        channels
            Boolean, shape (n_channels,): True for those to keep.

        Raises
        ------
        TypeError
            If the numbers are complex or not numbers at all.
        ValueError
            If a kept value is negative, NaN or infinite.
        """
        check_type(data)
        reader = Reader(data.shape[-1], channels)
        used = None if pixels is None else np.asarray(pixels, dtype=bool)
        read = chunks if hasattr(data, "dask") else slabs
        return cls.from_rows(read(data, reader, used), reader.n_channels)

    @classmethod
    def from_rows(cls, rows: Iterable[Rows], n_channels: int) -> Counts:
        """Put rows of consecutive pixels together, on disk if they are too many.

        Parameters
        ----------
        rows
            At least one, of the same channels.
        n_channels
            Number of channels.

        See Also
        --------
        espm_hs.factorization.counts.storage : how much is too many, and where they go.
        """
        store = Store()
        for some in rows:
            store.append(some)
        return cls(*store.finish(), n_channels)

    def rebuilt(
        self,
        function: Callable,
        parts: Iterable[tuple],
        n_channels: int | None = None,
    ) -> Counts:
        """As of all counts, one part after the other."""
        rows = (function(*one) for one in parts)
        return Counts.from_rows(rows, n_channels or self.n_channels)

    @property
    def nbytes(self) -> int:
        """Memory held, in bytes, without `read_values`."""
        return self.indptr.nbytes + self.channels.nbytes + self.values.nbytes

    @cached_property
    def read_values(self) -> np.ndarray:
        """Values as the kernels read them: of two bytes at least, if not too many.

        Every further type is another compilation of all kernels, and the sums of pixels
        whose counts fit a byte often do not.
        """
        if self.n_nonzeros > WIDENED_NONZEROS:
            return self.values
        kind = np.result_type(self.values.dtype, np.uint16)
        return self.values.astype(kind, copy=False)

    @cached_property
    def per_pixel(self) -> np.ndarray:
        """Counts of each pixel, shape (n_pixels,), float64."""
        sums = np.zeros(self.n_pixels)
        _sum_rows(self.indptr, self.read_values, sums)
        return sums

    @cached_property
    def spectrum(self) -> np.ndarray:  # type: ignore[override]
        """Counts of each channel, shape (n_channels,), float64."""
        sums = np.zeros(self.n_channels)
        _sum_channels(self.channels, self.read_values, sums)
        return sums

    def own_spectra(self, labels: np.ndarray, n: int) -> np.ndarray:
        """Return `spectra_of` a few pixels."""
        row = np.repeat(labels.astype(np.int64), np.diff(self.indptr))
        place = row * self.n_channels + self.channels
        sums = np.bincount(place, self.values, n * self.n_channels)
        return sums.reshape(n, self.n_channels)

    def own_saturated(self) -> float:
        """Return `saturated` of a few pixels."""
        return _saturated(self.read_values)

    def own_multiples(self, scale: float) -> bool:
        """Return whether the values of a few pixels are multiples of a number."""
        ratio = self.values / scale
        # float32 has seven digits
        return bool(np.all(np.abs(ratio - np.rint(ratio)) <= 1e-3 + 1e-6 * ratio))

    def own_moments(self) -> tuple:
        """Return `moments` of a few pixels, as numbers of Python."""
        per_pixel = self.per_pixel
        if self.integer:
            per_pixel = per_pixel.astype(np.int64)
        weighted = np.arange(self.n_pixels) * per_pixel
        return self.n_pixels, per_pixel.sum().item(), weighted.sum().item()

    @cached_property
    def smallest(self) -> float:  # type: ignore[override]
        """Smallest count that is not zero; infinite where there is none."""
        return float(self.values.min()) if self.n_nonzeros else np.inf

    @cached_property
    def blocks(self) -> np.ndarray:  # type: ignore[override]
        """First pixel of each block, and the end: shape (n_blocks + 1,).

        The cuts depend on the counts alone, never on the number of workers, so
        that sums over blocks have the same bits on one thread and on many.
        """
        cuts = np.searchsorted(self.indptr, block_ends(self.n_nonzeros))
        return np.unique(np.concatenate(([0], cuts, [self.n_pixels])))

    @cached_property
    def table(self) -> np.ndarray | None:
        """All counts, zeros too, one row a pixel; None if too many of them are zero.

        Its rows have whole vectors of channels: those beyond the last one are 0.
        """
        if not self.dense:
            return None
        shape = self.n_pixels, padded(self.n_channels)
        counts = np.zeros(shape, self.read_values.dtype)
        pixels = np.repeat(np.arange(self.n_pixels), np.diff(self.indptr))
        counts[pixels, self.channels] = self.values
        return counts

    # counts on a cluster can be lost
    there = True

    def over_blocks(self, function: Callable, *maps, n_jobs: int = 1) -> list:
        """Call a function with each block of counts, on threads."""
        edges = list(pairwise(self.blocks.tolist()))

        def one(edge):
            return function(self.part(*edge), *(array[slice(*edge)] for array in maps))

        if n_jobs == 1:
            return list(map(one, edges))
        with ThreadPoolExecutor(n_jobs) as pool:
            return list(pool.map(one, edges))

    def take(self, pixels: np.ndarray) -> Counts:
        """Return the counts of some pixels; boolean, shape (n_pixels,)."""
        return Counts.from_rows([self.rows_of(pixels)], self.n_channels)

    def rows_of(self, pixels: np.ndarray) -> Rows:
        """Return the rows of some pixels; boolean, shape (n_pixels,)."""
        where = np.flatnonzero(pixels)
        firsts, ends = self.indptr[where], self.indptr[where + 1]
        before = np.concatenate(([0], np.cumsum(ends - firsts)))
        entries = np.repeat(firsts - before[:-1], ends - firsts)
        entries += np.arange(before[-1])
        return Rows(ends - firsts, self.channels[entries], self.values[entries])

    def known(self, **facts) -> Counts:
        """Return the same counts, with what is known and need not be computed."""
        same = Counts(self.indptr, self.channels, self.values, self.n_channels)
        same.__dict__.update(facts)
        return same

    @property
    def rows(self) -> Rows:
        """What they can be put together from."""
        return Rows(np.diff(self.indptr), self.channels, self.values)

    def send(self, array):
        """Return an array where the counts are."""
        return array

    def hold(self, H):
        """Return a map of as many pixels, where the counts are."""
        return H

    def part(self, first: int, end: int) -> Counts:
        """Return the counts of pixels ``first`` to ``end - 1``, not copied."""
        where = slice(self.indptr[first], self.indptr[end])
        return Counts(
            self.indptr[first : end + 1] - self.indptr[first],
            self.channels[where],
            self.values[where],
            self.n_channels,
        )

    def parts(self) -> Iterator[Counts]:
        """Yield the counts of each block."""
        return map(self.part, self.blocks[:-1], self.blocks[1:])

    def sample(self, n_pixels: int) -> Counts:
        """As of all counts; all of them, where they are few, are not copied."""
        return self if self.n_pixels <= n_pixels else super().sample(n_pixels)

    def to_csr(self) -> sp.csr_array:
        """Return the counts as a scipy matrix of shape (n_pixels, n_channels)."""
        return sp.csr_array(
            (self.values.astype(np.float64), self.channels, self.indptr),
            shape=(self.n_pixels, self.n_channels),
        )


def joined(maps: Sequence[AnyCounts]) -> Counts:
    """Return the pixels of several maps, one after the other, here.

    Channels have the numbers that they have in their own map, of which there may be
    fewer than in another one. Counts on a cluster are brought from there.
    """
    here = map(_here, maps)
    n_channels = max(one.n_channels for one in maps)
    return Counts.from_rows((one.rows for one in here), n_channels)


def side_by_side(maps: Sequence[AnyCounts]) -> Counts:
    """Return the channels of several maps of the same pixels, one after the other.

    Counts on a cluster are brought from there.
    """
    here = [_here(one) for one in maps]
    n_channels = sum(one.n_channels for one in here)
    edges = np.unique(np.concatenate([one.blocks for one in here])).tolist()
    strips = (
        sp.hstack([one.part(*ends).to_csr() for one in here], format="csr")
        for ends in pairwise(edges)
    )
    rows = (Reader(n_channels).read(strip) for strip in strips)
    return Counts.from_rows(rows, n_channels)


def _here(counts: AnyCounts) -> Counts:
    """Return counts here; those on a cluster are brought from there."""
    if isinstance(counts, Counts):
        return counts
    return counts.take(np.ones(counts.n_pixels, bool))


def _in_places(n_channels: int, place: np.ndarray, counts: Counts) -> Rows:
    """Move the channels of each pixel to those of its place."""
    per_row, channels, values = counts.rows
    kind = Reader(n_channels).position.dtype
    first = (place * counts.n_channels).astype(kind)
    return Rows(per_row, channels.astype(kind) + np.repeat(first, per_row), values)


def block_ends(n_nonzeros: int) -> np.ndarray:
    """Return how many entries are before the end of each block but the last."""
    n_blocks = 1
    if n_nonzeros >= SMALL_NONZEROS:
        wanted = round(n_nonzeros / BLOCK_NONZEROS)
        n_blocks = min(max(LEAST_BLOCKS, wanted), MAX_BLOCKS)
    return np.linspace(0, n_nonzeros, n_blocks + 1)[1:-1]
