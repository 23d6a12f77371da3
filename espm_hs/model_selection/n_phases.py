"""How many phases a map has."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from espm_hs.factorization import Bins, Counts, usual_binning
from espm_hs.factorization.matching import match_phases
from espm_hs.model_selection.cross_validation import (
    Comparison,
    CrossValidation,
    check_numbers,
)

# Fits end when F may fall by so many nats for each free number: losses of numbers that
# differ in earnest differ by more.
TOL = 1e-3


@dataclass(frozen=True, eq=False)
class PhaseNumber(Comparison):
    """How well different numbers of phases predict held-out counts.

    Parameters
    ----------
    numbers, loss
        As in `Comparison`: numbers of phases, and what they fail to predict.
    binning
        Pixels along each axis that were taken together.
    angles
        Shape (n_numbers,), degrees: how far the least stable phase turns from one draw
        to another, median over pairs of draws. Real phases come back.
    """

    # the one-standard-error rule: two would miss phases in maps of few counts
    significant: ClassVar[float] = 1.0

    binning: int
    angles: np.ndarray


def estimate_number(trial: CrossValidation, numbers: Iterable[int]) -> PhaseNumber:
    """Compare numbers of phases by held-out counts.

    A phase that is real helps to predict them and comes back in another draw; one that
    fits noise makes the prediction worse.

    Parameters
    ----------
    trial
        The map, and how counts are held out.
    numbers
        Numbers of phases.

    Raises
    ------
    ValueError
        If a number makes no sense, or the data are not counts.
    """
    numbers = check_numbers("numbers", numbers, "range(1, 7)")
    trial.check(numbers[0], numbers[-1])
    counts: Any = trial.counts
    navigation = trial.navigation
    binning = usual_binning(counts, navigation)
    if binning > 1:
        counts = Bins.from_shape(navigation, binning, trial.pixels).merge(counts)
    spectra: dict[int, list[np.ndarray]] = {k: [] for k in numbers}

    def predict(fitted: Counts) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for k, draws in spectra.items():
            problem = trial.problem(k)
            found = trial.fit(fitted, problem, tol=TOL)
            draws.append(problem.spectra(found.W))
            yield draws[-1], found.H

    loss = trial.losses(counts, len(numbers), predict)
    angles = np.array([_turn(draws) for draws in spectra.values()])
    return PhaseNumber(np.array(numbers), loss, binning, angles)


def _turn(draws: list[np.ndarray]) -> float:
    """Largest angle between partners in two draws, median over pairs, degrees."""
    pairs = itertools.combinations(draws, 2)
    return float(np.median([match_phases(a, b)[1].max() for a, b in pairs]))
