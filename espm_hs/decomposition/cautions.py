"""What speaks against taking the composition of a phase as it is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from espm_hs.decomposition.ambiguity import SAME

# A phase with fewer counts is empty, whatever their errors are; ...
EMPTY = 20.0
# ... one with fewer atoms to a count than this part of what the others have has no
# element; and one with larger errors of its fractions tells nothing of them.
FEW_ATOMS = 1e-6
UNKNOWN = 1.0
# Columns with more than this share of the counts of an empty phase are named.
SHOWN = 0.1
# Starts disagree if fewer than this part of them ended in the optimum.
LEAST_AGREEING = 0.75
# Starts differ if a fraction moves by more than this.
STARTS_DIFFER = 0.1
# A phase has a large bias if half the counts would move a fraction by so much.
LARGE_BIAS = 0.1
# The counts of a bin have to tell two phases apart by so many standard deviations.
LEAST_APART = 2.0
# Columns are look-alikes where the data know a combination of them with less than this
# share of the information on each of them alone, ...
ALIKE = 0.02
# ... and those belong to it that make up this share of the combination.
INVOLVED = 0.3

# A phase that makes up less than this of the counts of its purest pixels.
EXTRAPOLATED = 0.6

# Kind of caution, the gravest first: what the table says, the sentence, what to do.
KINDS = {
    "few": (
        "few counts",
        "{:.0f} counts do not bear out {} phases",
        "Ask for fewer phases, or measure longer.",
    ),
    "empty": (
        "empty",
        "{} is empty: {}",
        "Ask for fewer phases, or add the elements that are missing.",
    ),
    "duplicate": ("as another", "{} is the same as {}", "Ask for fewer phases."),
    "alike": (
        "hardly apart",
        "{} and {} differ by less than the noise of a bin: what divides them may be "
        "noise",
        "Ask for fewer phases, or larger bins, `s.decomposition(..., binning=...)`.",
    ),
    "starts": (
        "starts differ",
        "{} differs by up to {:.0f} at.% among starts that fit about as well",
        "Raise `n_init`, or say what you know of the phase with `known_phases`.",
    ),
    "range": (
        "wide range",
        "{}",
        "Pixels that show the phase alone help, or `known_phases`; more counts do not.",
    ),
    "beyond": (
        "nowhere alone",
        "{} is nowhere alone: where there is most of it, {:.0f} % of the counts are "
        "its own",
        "Pixels that show the phase alone help, or `known_phases`.",
    ),
    "bias": (
        "bias",
        "{} would move by {:.0f} at.% with half the counts",
        "Find phases in larger bins, `s.decomposition(..., binning=...)`.",
    ),
    "overlap": (
        "look-alikes",
        "{} are hardly to be told apart",
        "Leave out the elements that are not in the sample.",
    ),
}


class PhaseWarning(UserWarning):
    """Some phases of a decomposition are not well known."""


@dataclass(frozen=True)
class Caution:
    """What to know before trusting a phase.

    Parameters
    ----------
    kind
        One of `KINDS`.
    phase
        Its number; None if it concerns all phases.
    sentence
        What is known about it.
    """

    kind: str
    phase: int | None
    sentence: str

    @classmethod
    def of(cls, kind: str, phase: int | None, *facts: str | float) -> Caution:
        """Return a caution of which the facts are filled into the sentence."""
        return cls(kind, phase, KINDS[kind][1].format(*facts))

    @property
    def words(self) -> str:
        """What a table has room for."""
        return KINDS[self.kind][0]

    @property
    def advice(self) -> str:
        """What can be done about it."""
        return KINDS[self.kind][2]


def empty_phases(
    fractions: np.ndarray,
    covariance: np.ndarray,
    atoms: np.ndarray,
    counts: np.ndarray | None,
) -> np.ndarray:
    """Return which phases have no composition to speak of.

    Parameters
    ----------
    fractions
        Of the elements, shape (n_elements, n_phases).
    covariance
        Theirs, shape (n_phases, n_elements, n_elements).
    atoms
        Atoms for each count, in any unit, shape (n_phases,).
    counts
        Of each phase in the map, shape (n_phases,); None if that is not known.

    Returns
    -------
    numpy.ndarray
        Boolean, shape (n_phases,).
    """
    variance = np.diagonal(covariance, axis1=1, axis2=2)
    empty = (fractions.sum(axis=0) <= 0) | (variance > UNKNOWN**2).any(axis=1)
    empty |= atoms < FEW_ATOMS * atoms.max(initial=0.0)
    return empty if counts is None else empty | (counts < EMPTY)


def without_elements(
    elements: Sequence[str],
    counts: float | None,
    others: Sequence[str],
    shares: np.ndarray,
) -> str:
    """Say what an empty phase has in the place of elements.

    Parameters
    ----------
    elements
        Names of what was looked for.
    counts
        Of the phase; None if that is not known.
    others
        Labels of the columns that are not quantified.
    shares
        Their counts in the phase, in any unit, shape (len(others),).
    """
    found = f"none of {', '.join(elements)} found"
    if counts is not None and counts < EMPTY:
        number = f"{counts:.0f}"
        return f"{found} in its {number} count{'' if number == '1' else 's'}"
    whole = shares.sum()
    # parts of one background are numbered
    names = (re.sub(r" \d+$", "", name) for name in others)
    large = [name for name, x in zip(names, shares, strict=True) if x > SHOWN * whole]
    if not large:
        return found
    return f"{found}, its counts are {listed(list(dict.fromkeys(large)))}"


def phase_cautions(
    labels: Sequence[str],
    empty: Mapping[int, str],
    apart: np.ndarray,
    told: np.ndarray,
    alternatives: np.ndarray | None,
    wide: Mapping[int, str],
    bias: np.ndarray,
    shown: np.ndarray | None = None,
) -> Iterator[Caution]:
    """Say of each phase what speaks against its composition, the gravest first.

    Parameters
    ----------
    labels
        What to call each phase.
    empty
        Empty phase -> what it has instead; nothing else is said of it.
    apart
        How different the phases are, see `espm_hs.decomposition.ambiguity.apart`.
    told
        How well the counts of a bin tell them apart, see
        `espm_hs.decomposition.ambiguity.told_apart`.
    alternatives
        Lowest and highest fractions over the starts, shape (2, n_elements, n_phases).
    wide
        Phase of a wide feasible range -> what is open about it.
    bias
        Of the fractions, shape (n_elements, n_phases).
    shown
        What part of the counts of its purest pixels each phase makes up, 1 of one that
        is known, shape (n_phases,); None: not known.
    """
    for j, label in enumerate(labels):
        name = f"{label[0].upper()}{label[1:]}"
        if j in empty:
            yield Caution.of("empty", j, name, empty[j])
            continue
        nearest, other = (int(np.argmin(some[j])) for some in (apart, told))
        if apart[j, nearest] < SAME and nearest not in empty:
            yield Caution.of("duplicate", j, name, labels[nearest])
        elif told[j, other] < LEAST_APART and other not in empty:
            yield Caution.of("alike", j, name, labels[other])
        moves = 0.0 if alternatives is None else np.ptp(alternatives[:, :, j], axis=0)
        if (most := float(np.max(moves))) > STARTS_DIFFER:
            yield Caution.of("starts", j, name, 100 * most)
        if j in wide:
            yield Caution.of("range", j, wide[j])
        if shown is not None and shown[j] < EXTRAPOLATED:
            yield Caution.of("beyond", j, name, 100 * float(shown[j]))
        if (most := float(np.abs(bias[:, j]).max(initial=0.0))) > LARGE_BIAS:
            yield Caution.of("bias", j, name, 100 * min(most, 1.0))


def look_alikes(matrix: np.ndarray, names: Sequence[str]) -> list[str]:
    """Name groups of columns that a combination of them nearly cancels.

    Parameters
    ----------
    matrix
        Shape (n_channels, n_columns), in units of the noise of each channel.
    names
        Of the columns.

    Returns
    -------
    list of str
        Such as "Pt and Zr L".
    """
    length = np.linalg.norm(matrix, axis=0)
    matrix = matrix / np.where(length > 0, length, 1.0)
    values, vectors = np.linalg.eigh(matrix.T @ matrix)
    groups = (
        [names[i] for i in np.flatnonzero(np.abs(vector) > INVOLVED).tolist()]
        for value, vector in zip(values, vectors.T, strict=True)
        if value < ALIKE
    )
    return [listed(group) for group in groups if len(group) > 1]


def listed(names: Sequence[str]) -> str:
    """Return "a, b and c", and "phases 0 and 2" of those that have no other name."""
    numbers = [name.removeprefix("phase ") for name in names]
    if len(names) > 1 and all(map(str.isdecimal, numbers)):
        return f"phases {', '.join(numbers[:-1])} and {numbers[-1]}"
    first = ", ".join(names[:-1])
    return f"{first} and {names[-1]}" if first else names[-1]


def one_sentence(
    found: Sequence[Caution], labels: Sequence[str], steps: Sequence[str]
) -> str | None:
    """Return what a Python warning says; None if there is nothing to say.

    Parameters
    ----------
    found
        Cautions. Each phase is named once, with the gravest of them.
    labels
        What to call each phase.
    steps
        Choices of the search.
    """
    few = [one.sentence for one in found if one.kind == "few"]
    order = [kind for kind in KINDS if kind != "few"]
    grave = sorted((order.index(x.kind), x.phase) for x in found if x.phase is not None)
    gravest = {j: order[kind] for kind, j in reversed(grave)}
    parts, groups = few, (order[:1], order[1:2], order[2:])
    said = "empty", "the same as others", "not well known"
    for kinds, what in zip(groups, said, strict=True):
        names = [labels[j] for j, kind in sorted(gravest.items()) if kind in kinds]
        if names:
            parts.append(f"{listed(names)} {'are' if names[1:] else 'is'} {what}")
    if steps:
        parts.append("the search chose among answers that the counts allow")
    if not parts:
        return None
    text = listed(parts)
    return f"{text[0].upper()}{text[1:]}; see `s.print_quantification()`."


def in_short(found: Iterable[Caution], labels: Sequence[str]) -> str:
    """Return what a table says, "phase 1 empty; phase 2 starts differ, wide range"."""
    words: dict[int, list[str]] = {}
    for one in found:
        if one.phase is not None:
            words.setdefault(one.phase, []).append(one.words)
    of_phases = [f"{labels[j]} {', '.join(some)}" for j, some in words.items()]
    return "; ".join([*of_phases, *(x.sentence for x in found if x.phase is None)])
