"""Candidates compared by how well they predict counts that were set aside."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from espm_hs.factorization import Counts

# The part of the counts that is fitted.
FITTED = 0.8


@dataclass(frozen=True, eq=False)
class Comparison:
    """How well models of some of the counts predict the others.

    Parameters
    ----------
    numbers
        The candidates, rising.
    loss
        Shape (n_numbers, n_thinnings): negative log-likelihood of the counts that were
        set aside, in nats, less the lowest mean.
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

    def to_dict(self) -> dict:
        """Return arrays and numbers that HyperSpy can write to a file."""
        return {"numbers": self.numbers, "loss": self.loss, "best": self.best}


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


def check_thinnings(n_thinnings: int) -> None:
    """Raise ValueError unless counts are set aside at least twice."""
    if not isinstance(n_thinnings, (int, np.integer)) or n_thinnings < 2:
        raise ValueError(
            f"`n_thinnings` must be an integer of at least 2, got {n_thinnings!r}."
        )


def check_counted(counts: Counts, judged: str) -> None:
    """Raise ValueError unless the data are integer counts that can be split."""
    if counts.values.dtype.kind != "u" or counts.n_nonzeros == 0:
        raise ValueError(
            f"{judged} judged by counts that are set aside, but the data are not "
            "integers above zero. Give the counts as they were measured."
        )
