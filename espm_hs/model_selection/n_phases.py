"""How many phases a map has."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from espm_hs.arguments import generator
from espm_hs.decomposition.decompose import check_lines, check_size
from espm_hs.decomposition.self_consistency import self_consistent_model
from espm_hs.factorization import (
    Bins,
    Counts,
    Penalties,
    Problem,
    factorize,
    held_out,
    thin,
    uninterrupted,
    usual_binning,
)
from espm_hs.factorization.matching import match_phases
from espm_hs.model_selection.cross_validation import (
    FITTED,
    Comparison,
    check_counted,
    check_numbers,
    check_thinnings,
)
from espm_hs.physics import SpectrumModel

# Fits end when F may fall by so many nats for each free number: losses of numbers that
# differ in earnest differ by more.
TOL = 1e-3


@dataclass(frozen=True, eq=False)
class PhaseNumber(Comparison):
    """How well the phases of some of the counts predict the others.

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

    def to_dict(self) -> dict:
        """Return arrays and numbers that HyperSpy can write to a file."""
        return super().to_dict() | {"binning": self.binning, "angles": self.angles}

    @classmethod
    def from_dict(cls, stored: Mapping) -> PhaseNumber:
        """Read what `to_dict` wrote."""
        arrays = (np.asarray(stored[name]) for name in ("numbers", "loss", "angles"))
        numbers, loss, angles = arrays
        return cls(numbers, loss, int(stored["binning"]), angles)


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
    callback: Callable[[int, int], None] | None = None,
) -> PhaseNumber:
    """Compare numbers of phases by counts that are set aside.

    Each count goes to the fitted ones or the others by chance, which leaves both
    Poisson and independent. A phase that is real helps to predict the others and comes
    back in another draw; one that fits noise makes the prediction worse.

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
        Called after each fit with how many are done and how many there are.

    Raises
    ------
    ValueError
        If a number makes no sense, or the data are not counts.
    """
    numbers = check_numbers("numbers", numbers, "range(1, 7)")
    check_thinnings(n_thinnings)
    navigation = data.shape[:-1] or (1,)
    used = model.channels if channels is None else model.channels & channels
    for number in (numbers[0], numbers[-1]):
        check_size(number, navigation, pixels, used)
    check_lines(model, used)
    counts = Counts.from_array(data, pixels=pixels, channels=used)
    check_counted(counts, "The number of phases is")
    binning = usual_binning(counts, navigation)
    if binning > 1:
        counts = Bins.from_shape(navigation, binning, pixels).merge(counts)
    model = self_consistent_model(model, counts.spectrum, used)
    rng = generator(random_state)
    loss = np.empty((len(numbers), n_thinnings))
    spectra: dict[int, list[np.ndarray]] = {k: [] for k in numbers}
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
            options = {"n_init": n_init, "tol": TOL, "n_jobs": n_jobs}
            found = uninterrupted(
                factorize(fitted, problem, random_state=rng, **options)
            )
            spectra[k].append(problem.spectra(found.W))
            loss[i, t] = held_out(others, (1 / FITTED - 1) * spectra[k][-1], found.H)
            if callback is not None:
                callback(t * len(numbers) + i + 1, loss.size)
    angles = np.array([_turn(draws) for draws in spectra.values()])
    loss -= loss.mean(axis=1).min()
    return PhaseNumber(np.array(numbers), loss, binning, angles)


def _turn(draws: list[np.ndarray]) -> float:
    """Largest angle between partners in two draws, median over pairs, degrees."""
    pairs = itertools.combinations(draws, 2)
    return float(np.median([match_phases(a, b)[1].max() for a, b in pairs]))
