"""How many phases a map has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from espm_hs.analysis.absorption import settle_absorption
from espm_hs.analysis.checks import check_lines, check_size
from espm_hs.factorization import (
    Bins,
    Counts,
    Penalties,
    Problem,
    factorize,
    held_out,
    thin,
    usual_binning,
)
from espm_hs.physics import SpectrumModel

# The part of the counts that is fitted.
FITTED = 0.8
# Another phase must predict the counts that were set aside better, by so many standard
# errors of the difference.
SIGNIFICANT = 2.0


@dataclass(frozen=True, eq=False)
class PhaseNumber:
    """How well the phases of some of the counts predict the others.

    Parameters
    ----------
    numbers
        Numbers of phases, rising.
    loss
        Shape (n_numbers, n_thinnings): negative log-likelihood of the counts that were
        set aside, in nats, less the lowest mean.
    binning
        Pixels along each axis that were taken together.
    """

    numbers: np.ndarray
    loss: np.ndarray
    binning: int

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
        worse = self.mean - self.mean.min() > SIGNIFICANT * self.error
        return int(self.numbers[np.argmin(worse)])

    def to_dict(self) -> dict:
        """Return arrays and numbers that HyperSpy can write to a file."""
        return {
            "numbers": self.numbers,
            "loss": self.loss,
            "binning": self.binning,
            "best": self.best,
        }

    @classmethod
    def from_dict(cls, stored: Mapping) -> PhaseNumber:
        """Read what `to_dict` wrote."""
        numbers, loss = np.asarray(stored["numbers"]), np.asarray(stored["loss"])
        return cls(numbers, loss, int(stored["binning"]))


def estimate_number(
    data,
    model: SpectrumModel,
    numbers: Iterable[int],
    *,
    pixels: np.ndarray | None = None,
    channels: np.ndarray | None = None,
    n_thinnings: int = 4,
    n_init: int = 4,
    sparsity: float = 1.0,
    random_state=None,
    n_jobs: int | None = None,
    callback: Callable[[], None] | None = None,
) -> PhaseNumber:
    """Compare numbers of phases by counts that are set aside.

    Each count goes to the fitted ones or the others by chance, which leaves both
    Poisson and independent. A phase that is real helps to predict the others; one that
    fits noise makes the prediction worse.

    Parameters
    ----------
    data
        Counts, shape (*navigation, n_channels): numpy, dask or sparse; integers.
    model
        Physics over the same channels.
    numbers
        Numbers of phases.
    pixels, channels
        As in `decompose`.
    n_thinnings
        Draws of the counts that are set aside, at least 2.
    n_init, sparsity, random_state, n_jobs
        As in `espm_hs.EspmNMF`.
    callback
        Called after each fit.

    Raises
    ------
    ValueError
        If a number makes no sense, or the data are not counts.
    """
    numbers = _checked(numbers, n_thinnings)
    navigation = data.shape[:-1] or (1,)
    used = model.channels if channels is None else model.channels & channels
    for number in (numbers[0], numbers[-1]):
        check_size(number, navigation, pixels, used)
    check_lines(model, used)
    counts = Counts.from_array(data, pixels=pixels, channels=used)
    if counts.values.dtype.kind != "u" or counts.n_nonzeros == 0:
        raise ValueError(
            "The number of phases is judged by counts that are set aside, but the data "
            "are not integers above zero. Give the counts as they were measured."
        )
    binning = usual_binning(counts, navigation)
    if binning > 1:
        counts = Bins.from_shape(navigation, binning, pixels).merge(counts)
    model = settle_absorption(model, counts.spectrum, used)
    rng = np.random.default_rng(random_state)
    loss = np.empty((len(numbers), n_thinnings))
    for t in range(n_thinnings):
        fitted, others = thin(counts, FITTED, rng)
        for i, k in enumerate(numbers):
            problem = Problem(
                counts.n_channels,
                k,
                G=model.G[used],
                simplex_rows=model.element_columns,
                penalties=Penalties(sparsity),
            )
            found = factorize(
                fitted, problem, n_init=n_init, random_state=rng, n_jobs=n_jobs
            )
            D = (1 / FITTED - 1) * problem.spectra(found.W)
            loss[i, t] = held_out(others, D, found.H)
            if callback is not None:
                callback()
    return PhaseNumber(np.array(numbers), loss - loss.mean(axis=1).min(), binning)


def _checked(numbers, n_thinnings) -> list[int]:
    numbers = sorted(set(numbers))
    if len(numbers) < 2:
        raise ValueError(
            f"`numbers` is {numbers}; needed are at least two numbers of phases to "
            "compare, such as range(1, 7)."
        )
    if not isinstance(n_thinnings, (int, np.integer)) or n_thinnings < 2:
        raise ValueError(
            f"`n_thinnings` must be an integer of at least 2, got {n_thinnings!r}."
        )
    return numbers
