"""Rotational ambiguity: what the counts leave open about each phase, in one line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

# A composition that moves by less is not worth a word.
LEAST_CHANGE = 0.005


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

    def __str__(self) -> str:
        own, nearest = self.labels[self.phase], self.labels[self.nearest]
        start = f"{own[0].upper()}{own[1:]}: {self.angle:.0f}° from {nearest}; "
        if self.other is None:
            return start + "the counts leave no room for mixtures"
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
    """
    labels = labels or [f"phase {j}" for j in range(feasible_ranges.shape[1])]
    whole = composition.sum(axis=0)
    fractions = composition / np.where(whole > 0, whole, 1.0)
    angles = _angles(spectra)
    result = []
    for i in range(feasible_ranges.shape[1]):
        found = fractions[:, i]
        contained, other, end = max(
            _ends(fractions, feasible_ranges, i),
            key=lambda one: np.abs(one[-1] - found).max(),
        )
        share = float(feasible_ranges[0 if contained else 1, i, other])
        none = np.abs(end - found).max() < LEAST_CHANGE
        end = found if none else end
        result.append(
            Ambiguity(
                phase=i,
                nearest=int(np.argmin(angles[i])),
                angle=float(angles[i].min()),
                other=None if none else other,
                share=0.0 if none else share,
                contained=contained,
                elements=elements,
                low=100 * np.minimum(found, end),
                high=100 * np.maximum(found, end),
                labels=tuple(labels),
            )
        )
    return result


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


def _angles(spectra: np.ndarray) -> np.ndarray:
    """Return angles between spectra in degrees, infinite on the diagonal."""
    known = spectra[~np.isnan(spectra).any(axis=1)]
    length = np.maximum(np.linalg.norm(known, axis=0), np.finfo(float).tiny)
    cosines = (known / length).T @ (known / length)
    angles = np.degrees(np.arccos(np.clip(cosines, -1.0, 1.0)))
    np.fill_diagonal(angles, np.inf)
    return angles


# The names of before.
Doubt, doubts = Ambiguity, ambiguities
