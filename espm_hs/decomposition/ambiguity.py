"""What the counts leave open about each phase: other mixtures, and other answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from espm_hs.decomposition.surroundings import SURROUNDED

# A composition that moves by less is not worth a word.
LEAST_CHANGE = 0.005
# Phases are the same if they are so close, in degrees or at.%.
SAME = 1.0
# A feasible range is wide if a fraction moves by more, in at.%: less is enough where a
# phase may lack another one, as only phases that are nowhere alone may lack much.
WIDE = 20.0
WIDE_LACK = 15.0
# What may be another one to this part is not well known, wherever it lies.
MOSTLY = 0.8
# An answer whose F is so much higher, in nats, is still an answer of the counts: the
# steps of a search and the penalties move F by more than noise does.
CLOSE = 50.0


@dataclass(frozen=True, eq=False)
class Ambiguity:
    """What is least certain about a phase.

    Parameters
    ----------
    phase
        Its number.
    nearest, angle
        The phase with the most similar spectrum, and the angle to it in degrees.
    other
        The phase with which this one may be mixed, or may have to be; None if the
        counts leave no room for that.
    share
        Share of the atoms that may be mixed, as far as the counts allow.
    contained
        Whether the other phase may be part of what was found; else it may be what is
        lacking.
    elements
        Symbols.
    low, high
        Shape (n_elements,): feasible range of each element, in at.%, from what was
        found to the last mixture that the counts allow.
    labels
        What to call each phase.
    beside
        Whether most of the phase lies beside phases other than that one, so that it is
        unlikely to hold that one in the same proportion everywhere.
    """

    phase: int
    nearest: int
    angle: float
    other: int | None
    share: float
    contained: bool
    elements: tuple[str, ...]
    low: np.ndarray
    high: np.ndarray
    labels: tuple[str, ...]
    beside: bool = False

    @property
    def width(self) -> float:
        """At.% by which the element moves that moves most."""
        return float((self.high - self.low).max(initial=0.0))

    @property
    def is_wide(self) -> bool:
        """Whether so much is open that the composition may be another one."""
        much = WIDE if self.contained else WIDE_LACK
        likely = not (self.contained and self.beside and self.share < MOSTLY)
        return self.angle >= SAME and self.width > much and likely

    def __str__(self) -> str:
        own, nearest = self.labels[self.phase], self.labels[self.nearest]
        start = f"{own[0].upper()}{own[1:]}: {self.angle:.0f}° from {nearest}; "
        if self.angle < SAME:
            return f"{start}they are the same"
        if self.other is None:
            return f"{start}the counts leave no room for mixtures"
        share = f"up to {100 * self.share:.0f} %"
        room = (
            f"{share} of it may be {self.labels[self.other]}"
            if self.contained
            else f"it may lack {share} of {self.labels[self.other]}"
        )
        widest = int(np.argmax(self.high - self.low))
        return (
            f"{start}{room}: {self.elements[widest]} {self.low[widest]:.1f} to "
            f"{self.high[widest]:.1f} at.%"
        )


def ambiguities(
    elements: tuple[str, ...],
    composition: np.ndarray,
    spectra: np.ndarray,
    feasible_ranges: np.ndarray,
    labels: Sequence[str] | None = None,
    surroundings: np.ndarray | None = None,
) -> list[Ambiguity]:
    """Say for each of several phases what is least certain about it.

    Parameters
    ----------
    elements
        Symbols.
    composition
        Atomic fractions, shape (n_elements, n_phases).
    spectra
        Shape (n_channels, n_phases), NaN in channels left out.
    feasible_ranges
        Shape (2, n_phases, n_phases), see `espm_hs.factorization.mixing_ranges`.
    labels
        What to call each phase; None: by its number.
    surroundings
        Shape (n_phases, n_phases), see `espm_hs.decomposition.separation.surroundings`;
        None: any phase may lie in any other one.
    """
    labels = tuple(labels or [f"phase {j}" for j in range(feasible_ranges.shape[1])])
    fractions, angle = closed(composition), angles(spectra)

    def may_be(i: int, contained: bool, other: int, end: np.ndarray) -> Ambiguity:
        found = fractions[:, i]
        share = float(feasible_ranges[0 if contained else 1, i, other])
        none = np.abs(end - found).max() < LEAST_CHANGE
        end = found if none else end
        return Ambiguity(
            phase=i,
            nearest=int(np.argmin(angle[i])),
            angle=float(angle[i].min()),
            other=None if none else other,
            share=0.0 if none else share,
            contained=contained,
            elements=elements,
            low=100 * np.minimum(found, end),
            high=100 * np.maximum(found, end),
            labels=labels,
            beside=surroundings is not None and surroundings[i, other] < SURROUNDED,
        )

    return [
        max(
            (may_be(i, *one) for one in _ends(fractions, feasible_ranges, i)),
            key=lambda one: (one.is_wide, one.width),
        )
        for i in range(feasible_ranges.shape[1])
    ]


def _ends(
    fractions: np.ndarray, feasible_ranges: np.ndarray, i: int
) -> Iterator[tuple[bool, int, np.ndarray]]:
    """Yield whether another phase is contained, which, and what phase i then is."""
    for j in range(fractions.shape[1]):
        if j == i:
            continue
        away, towards = feasible_ranges[:, i, j]
        rest = np.maximum(fractions[:, i] - away * fractions[:, j], 0.0)
        total = rest.sum()
        yield True, j, rest / total if total > 0 else fractions[:, i]
        yield False, j, (1 - towards) * fractions[:, i] + towards * fractions[:, j]


class Answer(NamedTuple):
    """Where a start of a search ended.

    Attributes
    ----------
    objective
        F in nats.
    composition
        Atoms of the elements, shape (n_elements, n_phases), in any unit.
    spectra
        Shape (n_channels, n_phases), NaN in channels left out.
    """

    objective: float
    composition: np.ndarray
    spectra: np.ndarray


def alternatives(
    kept: Answer, others: Sequence[Answer], close: float = CLOSE
) -> np.ndarray:
    """Return between which fractions the starts move that fit about as well.

    Phases are matched to those of the answer that is kept by the angles of their
    spectra.

    Parameters
    ----------
    kept
        The answer whose phases are reported.
    others
        Those of the other starts, in any order of their phases.
    close
        Starts whose F is higher than that of the answer kept by more than this do not
        count; in nats.

    Returns
    -------
    numpy.ndarray
        Lowest and highest fractions, shape (2, n_elements, n_phases). A phase without
        elements tells nothing of the fractions.
    """
    own = closed(kept.composition)
    seen = [own]
    for other in (x for x in others if x.objective <= kept.objective + close):
        found = closed(other.composition)[:, matched(kept.spectra, other.spectra)]
        seen.append(np.where(found.any(axis=0), found, own))
    return np.stack([np.min(seen, axis=0), np.max(seen, axis=0)])


def matched(spectra: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return which of the others each phase is, by the angles of their spectra."""
    cosines = _directions(spectra).T @ _directions(others)
    return linear_sum_assignment(cosines, maximize=True)[1]


def ranges(
    composition: np.ndarray,
    feasible_ranges: np.ndarray | None = None,
    alternatives: np.ndarray | None = None,
) -> np.ndarray:
    """Return between which fractions a phase may be, errors aside.

    Parameters
    ----------
    composition
        Atoms of the elements, shape (n_elements, n_phases).
    feasible_ranges
        Shape (2, n_phases, n_phases), see `espm_hs.factorization.mixing_ranges`.
    alternatives
        See `alternatives`.

    Returns
    -------
    numpy.ndarray
        Lowest and highest fractions, shape (2, n_elements, n_phases): over all mixtures
        that the counts allow, and over the answers of all starts.
    """
    fractions = closed(composition)
    low, high = fractions.copy(), fractions.copy()
    if feasible_ranges is None:
        feasible_ranges = np.zeros((2, *[fractions.shape[1]] * 2))
    for i in range(fractions.shape[1]):
        ends = [end for *_, end in _ends(fractions, feasible_ranges, i)]
        # all others at once
        rest = np.maximum(fractions[:, i] - fractions @ feasible_ranges[0, i], 0.0)
        ends += [fractions[:, i], closed(rest) if rest.any() else fractions[:, i]]
        low[:, i], high[:, i] = np.min(ends, axis=0), np.max(ends, axis=0)
    if alternatives is not None:
        low, high = np.minimum(low, alternatives[0]), np.maximum(high, alternatives[1])
    return np.stack([low, high])


def spread(
    composition: np.ndarray,
    feasible_ranges: np.ndarray | None = None,
    alternatives: np.ndarray | None = None,
) -> np.ndarray:
    """Return the covariance of fractions that stands for what the counts leave open.

    The ends of a feasible range are 2 nats worse than what was found, as two standard
    errors are. Answers of other starts are taken for as far away.

    Parameters
    ----------
    composition, feasible_ranges, alternatives
        As in `ranges`.

    Returns
    -------
    numpy.ndarray
        Shape (n_phases, n_elements, n_elements).
    """
    fractions = closed(composition)
    n_elements, n_phases = fractions.shape
    whole = np.zeros((n_phases, n_elements, n_elements))
    for i, found in enumerate(fractions.T):
        if feasible_ranges is not None:
            ends = [end for *_, end in _ends(fractions, feasible_ranges, i)]
            half = (np.array(ends).reshape(-1, n_elements) - found) / 2
            whole[i] += half.T @ half
        if alternatives is not None:
            half = np.abs(alternatives[:, :, i] - found).max(axis=0) / 2
            closing = np.eye(n_elements) - found[:, None]
            whole[i] += (closing * half**2) @ closing.T
    return whole


def apart(composition: np.ndarray, spectra: np.ndarray) -> np.ndarray:
    """Return how different phases are, infinite on the diagonal.

    It is the angle between spectra in degrees, or the difference of a fraction in at.%,
    whichever is smaller.
    """
    fractions = 100 * closed(composition)
    moved = np.abs(fractions[:, :, None] - fractions[:, None]).max(axis=0)
    return np.minimum(angles(spectra), moved + np.diag([np.inf] * len(moved)))


def told_apart(spectra: np.ndarray, counts: float) -> np.ndarray:
    """Return how well so many counts tell which of two phases they are of.

    Parameters
    ----------
    spectra
        Shape (n_channels, n_phases); NaN in channels that are not in use.
    counts
        Their number; 0 if that is not known.

    Returns
    -------
    numpy.ndarray
        Standard deviations, shape (n_phases, n_phases), infinite on the diagonal.

    Notes
    -----
    The logarithm of the likelihood ratio of n counts of phase i is n times the
    Kullback-Leibler divergence D of the spectra on average, and has a variance of about
    twice that.
    """
    known = spectra[~np.isnan(spectra).any(axis=1)]
    shares = np.maximum(known, np.finfo(float).tiny)
    shares /= shares.sum(axis=0)
    means = shares.T @ np.log(shares)
    divergence = np.maximum(np.diag(means)[:, None] - means, 0.0)
    infinite = np.eye(len(means), dtype=bool) | (counts == 0)
    return np.where(infinite, np.inf, np.sqrt(counts * divergence / 2))


def angles(spectra: np.ndarray) -> np.ndarray:
    """Return angles between spectra in degrees, infinite on the diagonal."""
    directions = _directions(spectra)
    cosines = np.clip(directions.T @ directions, -1.0, 1.0)
    return np.degrees(np.arccos(cosines)) + np.diag([np.inf] * len(cosines))


def _directions(spectra: np.ndarray) -> np.ndarray:
    known = spectra[~np.isnan(spectra).any(axis=1)]
    return known / np.maximum(np.linalg.norm(known, axis=0), np.finfo(float).tiny)


def closed(composition: np.ndarray) -> np.ndarray:
    """Fractions of sum 1, and 0 in a phase without elements."""
    whole = composition.sum(axis=0)
    return composition / np.where(whole > 0, whole, 1.0)


# The names of before.
Doubt, doubts = Ambiguity, ambiguities
