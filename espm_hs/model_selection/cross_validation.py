"""Candidates compared by how well they predict counts that are held out.

Each count goes to the fitted ones or the others by chance, which leaves both Poisson
and independent. What is real in the model of some counts helps to predict the others;
what fits their noise makes the prediction worse.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, ClassVar, TypeVar

import dask.array as da
import numpy as np

from espm_hs.arguments import check_number, generator
from espm_hs.decomposition.decompose import (
    Changes,
    DecompositionOptions,
    Refinement,
    asked_channels,
    check_counts,
    check_lines,
    check_size,
    read_to_fit,
)
from espm_hs.decomposition.segments import SegmentsToFit
from espm_hs.decomposition.self_consistency import self_consistent_model
from espm_hs.decomposition.together import MapsToFit, OneOfMaps, read_maps
from espm_hs.factorization import (
    Bins,
    Counts,
    Factorization,
    Penalties,
    Problem,
    factorize,
    held_out,
    thin,
    uninterrupted,
    usual_binning,
)
from espm_hs.factorization.cross_validation import FITTED
from espm_hs.physics.linear_model import LinearModel

_Comparison = TypeVar("_Comparison", bound="Comparison")


@dataclass(frozen=True, eq=False)
class Comparison:
    """How well models of some of the counts predict the others.

    Parameters
    ----------
    numbers
        The candidates, rising.
    loss
        Shape (n_numbers, n_thinnings): negative log-likelihood of the held-out counts,
        in nats, less the lowest mean.
    """

    # A candidate is worse when its loss is larger by so many standard errors of the
    # difference.
    significant: ClassVar[float] = 2.0

    numbers: np.ndarray
    loss: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        """Mean loss of each number."""
        return self.loss.mean(axis=1)

    @property
    def error(self) -> np.ndarray:
        """Standard error of the difference to the number with the lowest loss."""
        apart = self.loss - self.loss[np.argmin(self.mean)]
        return apart.std(axis=1, ddof=1) / np.sqrt(self.loss.shape[1])

    @property
    def best(self) -> int:
        """Smallest number that predicts no worse than the best one, within errors."""
        worse = self.mean - self.mean.min() > self.significant * self.error
        return int(self.numbers[np.argmin(worse)])

    def of(self, number: int) -> tuple[float, float]:
        """Return mean loss and error of a number, NaN if it was not tried."""
        where = np.flatnonzero(self.numbers == number)
        if where.size == 0:
            return np.nan, np.nan
        return float(self.mean[where[0]]), float(self.error[where[0]])

    def to_dict(self) -> dict[str, Any]:
        """Return arrays and numbers that HyperSpy can write to a file."""
        return vars(self) | {"best": self.best}

    @classmethod
    def from_dict(cls: type[_Comparison], stored: Mapping[str, Any]) -> _Comparison:
        """Read what `to_dict` wrote."""
        values: dict[str, Any] = {one.name: stored[one.name] for one in fields(cls)}
        for name, value in values.items():
            values[name] = value if np.isscalar(value) else np.asarray(value)
        return cls(**values)


@dataclass(frozen=True, eq=False, kw_only=True)
class Trial(ABC):
    """Fits some of the counts and predicts the others.

    Parameters
    ----------
    penalties
        Of the fits.
    n_thinnings
        How often counts are held out, at least twice.
    n_init, random_state, n_jobs
        As in `espm_hs.EspmNMF`.
    callback
        Called after each prediction with how many are done and how many there are.

    Raises
    ------
    ValueError
        If counts are held out less than twice.
    """

    penalties: Penalties
    n_thinnings: int = 4
    n_init: int = 4
    random_state: int | np.random.Generator | None = None
    n_jobs: int | None = None
    callback: Callable[[int, int], None] | None = None

    def __post_init__(self) -> None:
        check_number("n_thinnings", self.n_thinnings, 2, whole=True)

    @abstractmethod
    def check(self, *sizes: int) -> None:
        """Raise ValueError if the data cannot bear one of some numbers of phases."""

    @property
    @abstractmethod
    def binned(self) -> tuple[Counts, int]:
        """Counts of bins that phases are found from, and pixels along each axis."""

    @abstractmethod
    def problem(self, n_phases: int) -> Problem:
        """Return what a fit with so many phases minimises."""

    @cached_property
    def rng(self) -> np.random.Generator:
        """What draws the counts, and the starts of the fits."""
        return generator(self.random_state)

    def fit(self, counts: Counts, problem: Problem, **options: Any) -> Factorization:
        """Factorise some counts; Ctrl-C ends the comparison."""
        options = {"n_init": self.n_init, "n_jobs": self.n_jobs} | options
        found = factorize(counts, problem, random_state=self.rng, **options)
        return uninterrupted(found)

    def draws(self, counts: Counts) -> Iterator[tuple[Counts, Counts]]:
        """Draw the fitted counts and the others, as often as they are held out."""
        for _ in range(self.n_thinnings):
            yield thin(counts, FITTED, self.rng)

    def loss(self, others: Counts, D: np.ndarray, H: np.ndarray) -> float:
        """Return what spectra and loadings of the fitted counts fail to predict."""
        return held_out(others, (1 / FITTED - 1) * D, H)

    def tell(self, done: int, n_candidates: int) -> None:
        """Say how many predictions have been judged."""
        if self.callback is not None:
            self.callback(done, n_candidates * self.n_thinnings)


def judged_by_counts(counts: Counts) -> Counts:
    """Return counts that can be held out; ValueError for other data."""
    check_counts(counts)
    if counts.values.dtype.kind != "u":
        raise ValueError(
            "Held-out counts are to judge, but the data are no whole numbers of "
            "counts. Give the counts as they were measured."
        )
    return counts


@dataclass(frozen=True, eq=False)
class CrossValidation(Trial):
    """Fits some of the counts of a map and predicts the others.

    Parameters
    ----------
    data
        Counts, shape (*navigation, n_channels): numpy, dask or sparse; integers. They
        are read when they are needed.
    start
        Physics over the same channels.
    penalties, n_thinnings, n_init, random_state, n_jobs, callback
        As in `Trial`.
    pixels, channels, refinement
        As in `decompose`.

    Raises
    ------
    ValueError
        If counts are held out less than twice.
    """

    data: np.ndarray | da.Array
    start: LinearModel
    pixels: np.ndarray | None = field(default=None, kw_only=True)
    channels: np.ndarray | None = field(default=None, kw_only=True)
    refinement: Refinement | None = field(default=None, kw_only=True)

    @property
    def navigation(self) -> tuple[int, ...]:
        """Shape of the map."""
        return self.data.shape[:-1] or (1,)

    @cached_property
    def _asked(self) -> np.ndarray:
        """Channels that are to be fitted, boolean."""
        return asked_channels(self.start, self.channels)

    @cached_property
    def _read(self) -> tuple[Counts, LinearModel, np.ndarray, Changes]:
        """Counts, and the model that fits their sum with its channels and changes."""
        what = self.data, self.start, self.pixels, self._asked, self.refinement
        return read_to_fit(*what, Counts.from_array)

    @property
    def used(self) -> np.ndarray:
        """Channels that are fitted, boolean."""
        return self._read[2]

    @property
    def calibration(self) -> Changes:
        """What was changed in the model to fit the sum of the counts."""
        return self._read[3]

    def check(self, *sizes: int) -> None:
        """Raise ValueError if the data cannot bear one of some numbers of phases."""
        for n_phases in sizes:
            check_size(n_phases, self.navigation, self.pixels, self._asked)
        check_lines(self.start, self._asked)

    @cached_property
    def counts(self) -> Counts:
        """Counts of the pixels and channels in use."""
        return judged_by_counts(self._read[0])

    @cached_property
    def binned(self) -> tuple[Counts, int]:
        """Counts of bins that phases are found from, and pixels along each axis."""
        counts: Any = self.counts
        binning = usual_binning(counts, self.navigation)
        if binning > 1:
            bins = Bins.from_shape(self.navigation, binning, self.pixels)
            counts = bins.merge(counts)
        return counts, binning

    @cached_property
    def model(self) -> LinearModel:
        """Physics that absorbs by the composition of the whole."""
        return self_consistent_model(self._read[1], self.counts.spectrum, self.used)

    def problem(self, n_phases: int) -> Problem:
        """Return what a fit with so many phases minimises."""
        return Problem(
            self.counts.n_channels,
            n_phases,
            G=self.model.G[self.used],
            simplex_rows=self.model.element_columns,
            penalties=self.penalties,
        )


@dataclass(frozen=True, eq=False)
class JointCrossValidation(Trial):
    """Fits some of the counts of several maps and predicts the others.

    Parameters
    ----------
    maps
        The maps, in any order.
    penalties, n_thinnings, n_init, random_state, n_jobs, callback
        As in `Trial`.
    shared
        As in `espm_hs.decomposition.together.decompose_maps`.
    """

    maps: Sequence[OneOfMaps]
    shared: str = field(default="auto", kw_only=True)

    def check(self, *sizes: int) -> None:
        """Raise ValueError if the data cannot bear one of some numbers of phases."""
        for one in self.maps:
            asked = asked_channels(one.model, one.channels)
            for n_phases in sizes:
                navigation = one.data.shape[:-1] or (1,)
                check_size(n_phases, navigation, one.pixels, asked)
            check_lines(one.model, asked)

    @cached_property
    def _read(self) -> tuple[MapsToFit | SegmentsToFit, list[int]]:
        """The maps in an order of their own, and where each of those given is."""
        options = DecompositionOptions(binning="auto", n_jobs=self.n_jobs)
        return read_maps(self.maps, 1, options, self.shared)

    @property
    def read(self) -> MapsToFit | SegmentsToFit:
        """The maps as they were read, each with the model that fits its sum."""
        return self._read[0]

    @property
    def calibrations(self) -> list[Changes]:
        """What was changed in the model of each map to fit its sum."""
        return [self.read.changed[i] for i in self._read[1]]

    @cached_property
    def binned(self) -> tuple[Counts, int]:
        """Counts of bins of all maps, and pixels along each axis of the largest."""
        counts: Any = self.read.prepared().counts
        return judged_by_counts(counts), self.read.binning

    def problem(self, n_phases: int) -> Problem:
        """Return what a fit with so many phases minimises."""
        search = self.read.prepared(n_phases)
        search.begin()
        return replace(search.problem, penalties=self.penalties)


def check_numbers(name: str, numbers: Iterable[int], example: str) -> list[int]:
    """Return the candidates, rising; raise ValueError for fewer than two."""
    try:
        rising = sorted(set(numbers))
    except TypeError:  # one number, or what is none
        rising = []
    if len(rising) < 2:
        raise ValueError(
            f"`{name}` is {numbers!r}; needed are at least two numbers to compare, "
            f"such as {example}."
        )
    return rising
