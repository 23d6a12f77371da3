"""How many phases a map has, and which binning trades noise against resolution best."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from espm_hs.factorization import Bins, fit_maps, usual_binning
from espm_hs.factorization.matching import match_phases
from espm_hs.model_selection.cross_validation import (
    Comparison,
    CrossValidation,
    Trial,
    check_numbers,
)
from espm_hs.progress import stage

# Fits end when F may fall by so many nats for each free number: losses of numbers that
# differ in earnest differ by more.
TOL = 1e-3
# So many numbers that predict worse, one after the other, end the search for a better.
FURTHER = 2


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


def estimate_number(trial: Trial, numbers: Iterable[int]) -> PhaseNumber:
    """Compare numbers of phases by held-out counts.

    A phase that is real helps to predict them and comes back in another draw; one that
    fits noise makes the prediction worse. Numbers are tried from the smallest on, until
    two of them predict worse than a smaller one in every draw.

    Parameters
    ----------
    trial
        The map or maps, and how counts are held out.
    numbers
        Numbers of phases.

    Raises
    ------
    ValueError
        If a number makes no sense, or the data are not counts.
    """
    numbers = check_numbers("numbers", numbers, "range(1, 7)")
    trial.check(numbers[0], numbers[-1])
    counts, binning = trial.binned
    draws = list(trial.draws(counts))
    # each phase takes as long as the others
    left = len(draws) * sum(numbers)
    rows: list[list[float]] = []
    angles: list[float] = []
    for k in numbers:
        problem, spectra = trial.problem(k), []
        rows.append([])
        for fitted, others in draws:
            with stage(k / left, f"{k} phase{'s' * (k > 1)}"):
                found = trial.fit(fitted, problem, tol=TOL)
            left -= k
            D, H = problem.leveled(found.W, found.H)
            spectra.append(D)
            rows[-1].append(trial.loss(others, D, H))
            trial.tell(len(angles) * len(draws) + len(rows[-1]), len(numbers))
        angles.append(_turn(spectra))
        if _beyond_doubt(np.array(rows)):
            trial.tell(len(numbers) * len(draws), len(numbers))
            break
    loss = np.array(rows)
    loss -= loss.mean(axis=1).min()
    return PhaseNumber(np.array(numbers[: len(loss)]), loss, binning, np.array(angles))


def _beyond_doubt(loss: np.ndarray) -> bool:
    """Whether larger numbers need not be tried, (n_numbers, n_thinnings) so far.

    So it is when the last `FURTHER` numbers predict worse than the best before them,
    in every draw.
    """
    if len(loss) <= FURTHER:
        return False
    before, last = loss[:-FURTHER], loss[-FURTHER:]
    return bool((last > before[np.argmin(before.mean(axis=1))]).all())


def _turn(draws: list[np.ndarray]) -> float:
    """Largest angle between partners in two draws, median over pairs, degrees."""
    pairs = itertools.combinations(draws, 2)
    return float(np.median([match_phases(a, b)[1].max() for a, b in pairs]))


# Pixels along each axis of a bin that are tried, as long as so many bins are left.
BINNINGS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32)
LEAST_BINS = 16
# The phases only have to be good enough to tell maps apart by them.
MAX_ITER = 300
# Share of the time of a draw that they take, as a rule.
OF_PHASES = 0.5
# Further draws start at the phases of the one before, from this share of their mean.
LEAST = 1e-3


@dataclass(frozen=True, eq=False)
class BinningChoice(Comparison):
    """How well maps of each resolution predict held-out counts."""


def choose_binning(
    trial: CrossValidation, n_phases: int, binnings: Iterable[int] | None = None
) -> BinningChoice:
    """Compare binnings by held-out counts.

    Phases are found in the fitted counts, mapped with each binning, and every pixel of
    a bin is given its share. Small bins predict the noise of the fitted counts, which
    the others do not share; large ones miss what lies inside of them.

    Parameters
    ----------
    trial
        The map, and how counts are held out.
    n_phases
        Number of phases.
    binnings
        Pixels along each axis of a bin; None for 1 to 32, as long as 16 bins are left.

    Raises
    ------
    ValueError
        If an argument makes no sense, or the data are not counts.
    """
    trial.check(n_phases)
    navigation, pixels = trial.navigation, trial.pixels
    bins = _bins(navigation, pixels, binnings, n_phases)
    counts, problem = trial.counts, trial.problem(n_phases)
    usual = Bins.from_shape(navigation, usual_binning(counts, navigation), pixels)
    start: dict[str, Any] = {}
    loss = np.empty((len(bins), trial.n_thinnings))
    for t, (fitted, others) in enumerate(trial.draws(counts)):
        with stage(1 / (trial.n_thinnings - t)):
            options = {"max_iter": MAX_ITER, "tol": TOL} | start
            binned: Any = usual.merge(fitted)
            with stage(OF_PHASES, "phases of held-out counts"):
                W = trial.fit(binned, problem, **options).W
            # zeros would stay zeros
            start["init"] = (np.maximum(W, LEAST * W.mean(axis=0)), None)
            D = problem.spectra(W)
            for i, (factor, some) in enumerate(bins.items()):
                with stage(1 / (len(bins) - i), f"bins of {factor}"):
                    binned = some.merge(fitted) if factor > 1 else fitted
                    H, _ = fit_maps(binned, problem, W, n_jobs=trial.n_jobs)
                    loss[i, t] = trial.loss(others, D, some.spread(H))
                trial.tell(t * len(bins) + i + 1, len(bins))
    return BinningChoice(np.array(list(bins)), loss - loss.mean(axis=1).min())


def _bins(
    navigation: tuple[int, ...],
    pixels: np.ndarray | None,
    binnings: Iterable[int] | None,
    n_phases: int,
) -> dict[int, Bins]:
    """Bins of each candidate; ValueError for those that leave too few."""
    given = BINNINGS if binnings is None else binnings
    least = LEAST_BINS if binnings is None else n_phases
    bins = {}
    for factor in check_numbers("binnings", given, "[1, 2, 4, 8]"):
        if not isinstance(factor, (int, np.integer)) or factor < 1:
            raise ValueError(
                f"`binnings` has {factor!r}; needed are numbers of pixels >= 1."
            )
        some = Bins.from_shape(navigation, factor, pixels)
        if some.n_bins >= least:
            bins[int(factor)] = some
        elif binnings is not None:
            raise ValueError(
                f"`binnings` has {factor}, which leaves {some.n_bins} bins; needed "
                f"are at least as many as there are phases, {n_phases}."
            )
    if len(bins) < 2:
        shape = " x ".join(str(size) for size in navigation)
        raise ValueError(
            f"The map has {shape} pixels; needed are two binnings that leave {least} "
            "bins. Name those that you want to compare: "
            "`s.estimate_binning(3, binnings=[1, 2])`."
        )
    return bins
