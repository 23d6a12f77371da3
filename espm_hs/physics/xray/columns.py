"""Which lines share a column of the model, and which columns count."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from espm_hs.physics.linear_model import Column
from espm_hs.physics.xray.elements import atomic_number
from espm_hs.physics.xray.emission import EmissionLine, emission_lines

FAMILIES = ("K", "L", "M")

#: How the lines of an element are split: None, or "none", for one column.
Split = str | float | None

_Lines = tuple[EmissionLine, ...]

# A family is in range when this share of its emission is: a far satellite alone
# would make a column of noise.
_VISIBLE_SHARE = 0.01

# Z of the elements whose L lines are off by up to a factor 2 in every table
# (chemical state, self-absorption in the partly filled 3d band)
_UNRELIABLE_L = range(19, 32)


class LineColumn(NamedTuple):
    """A column and the lines it is made of."""

    column: Column
    lines: _Lines


class Emitters(NamedTuple):
    """What emits lines, and how the lines are to be grouped.

    Attributes
    ----------
    beam_energy
        keV.
    elements, stray_elements
        Symbols.
    split_lines
        By symbol: "families", an energy in keV, or "none", as pairs, which can be
        hashed; elements that are not named follow the default of `SpectrumModel`.
    line_factors
        By family, like "Fe_K", as pairs: factor on its emission.
    """

    beam_energy: float
    elements: tuple[str, ...]
    stray_elements: tuple[str, ...]
    split_lines: tuple[tuple[str, Split], ...]
    line_factors: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class FittedRange:
    """Energies of the first and the last fitted channel, keV."""

    low: float
    high: float

    def __contains__(self, energy: float) -> bool:
        return self.low <= energy <= self.high


def line_columns(emitters: Emitters, fitted: FittedRange) -> tuple[LineColumn, ...]:
    """Return the columns of elements, then of free lines, then of stray elements.

    Parameters
    ----------
    emitters
        Elements of the sample and stray ones.
    fitted
        Energies in which lines are seen.

    Raises
    ------
    ValueError
        If an element has no (counting) line in the fitted range.
    """
    split, factors = dict(emitters.split_lines), dict(emitters.line_factors)
    counting, others = [], []
    for element in emitters.elements:
        lines = emission_lines(element, emitters.beam_energy)
        first, *free = _sample_columns(element, lines, split.get(element), fitted)
        counting.append(first)
        others += free
    for element in emitters.stray_elements:
        lines = emission_lines(element, emitters.beam_energy)
        for family, members in _visible_families(element, lines, fitted).items():
            label = f"{element} {family} stray"
            others.append(LineColumn(Column("stray", element, family, label), members))
    return tuple(_calibrated(entry, factors) for entry in counting + others)


def _calibrated(entry: LineColumn, factors: Mapping[str, float]) -> LineColumn:
    """Multiply the lines of a column by the factors of their families."""

    def scaled(line: EmissionLine) -> EmissionLine:
        factor = factors.get(f"{line.element}_{line.family}", 1.0)
        return replace(line, cross_section=factor * line.cross_section)

    return entry._replace(lines=tuple(map(scaled, entry.lines))) if factors else entry


def _sample_columns(
    element: str, lines: _Lines, split: Split, fitted: FittedRange
) -> list[LineColumn]:
    """Columns of a sample element, the counting one first."""
    families = _visible_families(element, lines, fitted)
    if split is None:
        unreliable = atomic_number(element) in _UNRELIABLE_L and "K" in families
        split = "families" if unreliable else "none"
    if split == "families":
        groups = list(families.items())
    elif split == "none":
        groups = [("", lines)]
    else:
        groups = _split_at(element, lines, float(split), fitted)
    columns = []
    for i, (name, members) in enumerate(groups):
        shown = "".join(_by_family(members, fitted))
        kind, label = ("line", f"{element} {name}") if i else ("element", element)
        columns.append(LineColumn(Column(kind, element, shown, label), members))
    return columns


def _by_family(lines: _Lines, fitted: FittedRange) -> dict[str, _Lines]:
    """Lines of the families that can be seen, K first."""
    members = {f: tuple(line for line in lines if line.family == f) for f in FAMILIES}
    return {f: group for f, group in members.items() if _visible(group, fitted)}


def _visible_families(
    element: str, lines: _Lines, fitted: FittedRange
) -> dict[str, _Lines]:
    """Lines by family, of which an element needs one that can be seen."""
    families = _by_family(lines, fitted)
    if not families:
        strongest = sorted(lines, key=lambda line: -line.cross_section)[:3]
        where = ", ".join(f"{line.name} {line.energy:.3f}" for line in strongest)
        raise ValueError(
            f"{element} has no line between {fitted.low:.3f} and {fitted.high:.3f} keV "
            f"(strongest lines: {where or 'none'} keV). Remove it from the elements "
            "with set_elements (or from the stray elements), or fit a wider range."
        )
    return families


def _visible(lines: _Lines, fitted: FittedRange, whole: _Lines = ()) -> bool:
    """Whether enough of the emission, of these or of the `whole` lines, is seen."""
    total = sum(line.cross_section for line in whole or lines)
    seen = sum(line.cross_section for line in lines if line.energy in fitted)
    return seen > _VISIBLE_SHARE * total


def _split_at(
    element: str, lines: _Lines, limit: float, fitted: FittedRange
) -> list[tuple[str, _Lines]]:
    """Lines above an energy (keV), which count, and those below."""
    above = tuple(line for line in lines if line.energy >= limit)
    below = tuple(line for line in lines if line.energy < limit)
    if not _visible(above, fitted):
        raise ValueError(
            f"{element} has no line to count between {limit:g} keV, where split_lines "
            f"divides its lines, and {fitted.high:.3f} keV, where the fit ends."
        )
    free = [(f"below {limit:g} keV", below)] if _visible(below, fitted, lines) else []
    return [("", above), *free]
