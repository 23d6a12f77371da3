"""Which lines share a column of the model, and which columns count."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from espm_hs.arguments import check_mapping
from espm_hs.physics.linear_model import Column
from espm_hs.physics.xray.elements import atomic_number, symbol
from espm_hs.physics.xray.emission import EmissionLine, emission_lines

FAMILIES = ("K", "L", "M")

#: How the lines of an element are split: None, or "none", for one column.
Split = str | float | None

# A family is in range when this share of its emission is: a far satellite alone
# would make a column of noise.
_VISIBLE_SHARE = 0.01

# Z of the elements whose L lines are off by up to a factor 2 in every table
# (chemical state, self-absorption in the partly filled 3d band)
_UNRELIABLE_L = range(19, 32)


class LineColumn(NamedTuple):
    """A column and the lines it is made of."""

    column: Column
    lines: tuple[EmissionLine, ...]


class FittedRange(NamedTuple):
    """Energies of the first and the last fitted channel, keV."""

    low: float
    high: float

    def __contains__(self, energy: object) -> bool:
        return self.low <= energy <= self.high


def line_columns(
    elements: Sequence[str],
    stray_elements: Sequence[str],
    split_lines: Mapping[str, Split],
    line_factors: Mapping[str, float],
    beam_energy: float,
    fitted: FittedRange,
) -> list[LineColumn]:
    """
    Columns of characteristic lines: elements, then free lines, then stray ones.

    Parameters
    ----------
    elements, stray_elements : sequence of str
        Symbols.
    split_lines : mapping of str to (str, float or None)
        By symbol: "families", an energy in keV, or "none"; elements that are not
        named follow the default of `SpectrumModel`.
    line_factors : mapping of str to float
        By family, "Fe_K": factor on its emission.
    beam_energy : float
        keV.
    fitted : FittedRange
        keV.

    Returns
    -------
    list of LineColumn

    Raises
    ------
    ValueError
        If an element has no (counting) line in the fitted range.
    """
    counting, free, stray = [], [], []
    for element in elements:
        first, *others = _sample_columns(element, split_lines, beam_energy, fitted)
        counting.append(first)
        free.extend(others)
    for element in stray_elements:
        families = _visible_families(element, beam_energy, fitted)
        for family, lines in families.items():
            label = f"{element} {family} stray"
            stray.append(LineColumn(Column("stray", element, family, label), lines))
    columns = counting + free + stray
    if line_factors:
        columns = [_calibrated(entry, line_factors) for entry in columns]
    return columns


def _calibrated(entry: LineColumn, line_factors: Mapping[str, float]) -> LineColumn:
    """Column whose lines have the factors of their families, like "Fe_K"."""
    lines = (
        replace(
            line,
            cross_section=line.cross_section
            * line_factors.get(f"{line.element}_{line.family}", 1.0),
        )
        for line in entry.lines
    )
    return entry._replace(lines=tuple(lines))


def _sample_columns(
    element: str,
    split_lines: Mapping[str, Split],
    beam_energy: float,
    fitted: FittedRange,
) -> list[LineColumn]:
    """Columns of a sample element, the counting one first."""
    families = _visible_families(element, beam_energy, fitted)
    split = split_lines.get(element, _default_split(element, families))
    if split == "families":
        groups = [(family, lines) for family, lines in families.items()]
    elif split in ("none", None):
        groups = [("", emission_lines(element, beam_energy))]
    else:
        groups = _split_at(element, float(split), beam_energy, fitted)
    columns = []
    for name, lines in groups:
        shown = _families_of(lines, fitted)
        kind, label = ("line", f"{element} {name}") if columns else ("element", element)
        columns.append(LineColumn(Column(kind, element, shown, label), lines))
    return columns


def _default_split(element: str, families: Mapping[str, tuple]) -> Split:
    unreliable = atomic_number(element) in _UNRELIABLE_L
    return "families" if unreliable and "K" in families else None


def _visible_families(
    element: str, beam_energy: float, fitted: FittedRange
) -> dict[str, tuple[EmissionLine, ...]]:
    """Lines by family, K first, of the families that can be seen."""
    lines = emission_lines(element, beam_energy)
    families = {}
    for family in FAMILIES:
        members = tuple(line for line in lines if line.family == family)
        if _visible(members, fitted):
            families[family] = members
    if not families:
        strongest = sorted(lines, key=lambda line: -line.cross_section)[:3]
        where = ", ".join(f"{line.name} {line.energy:.3f}" for line in strongest)
        raise ValueError(
            f"{element} has no line between {fitted.low:.3f} and {fitted.high:.3f} keV "
            f"(strongest lines: {where or 'none'} keV). Remove it from the elements "
            "with set_elements (or from the stray elements), or fit a wider range."
        )
    return families


def _visible(
    lines: Iterable[EmissionLine],
    fitted: FittedRange,
    whole: Iterable[EmissionLine] | None = None,
) -> bool:
    """Whether enough of the emission, of these or of the `whole` lines, is seen."""
    lines = tuple(lines)
    total = sum(line.cross_section for line in whole or lines)
    seen = sum(line.cross_section for line in lines if line.energy in fitted)
    return seen > _VISIBLE_SHARE * total


def _families_of(lines: Iterable[EmissionLine], fitted: FittedRange) -> str:
    """Families of the lines that can be seen, like "KL"."""
    shown = ""
    for family in FAMILIES:
        if _visible((line for line in lines if line.family == family), fitted):
            shown += family
    return shown


def _split_at(
    element: str, limit: float, beam_energy: float, fitted: FittedRange
) -> list[tuple[str, tuple[EmissionLine, ...]]]:
    """Lines above an energy, which count, and those below."""
    lines = emission_lines(element, beam_energy)
    above = tuple(line for line in lines if line.energy >= limit)
    below = tuple(line for line in lines if line.energy < limit)
    if not _visible(above, fitted):
        raise ValueError(
            f"{element} has no line to count between {limit:g} keV, where split_lines "
            f"divides its lines, and {fitted.high:.3f} keV, where the fit ends."
        )
    groups = [("", above)]
    if _visible(below, fitted, whole=lines):
        groups.append((f"below {limit:g} keV", below))
    return groups


def checked_split(split_lines: Mapping[str, Split] | None) -> dict[str, Split]:
    """
    Check how lines are to be split.

    Parameters
    ----------
    split_lines : mapping or None
        By symbol: "families", an energy in keV, "none" or None.

    Returns
    -------
    dict
        With plain strings and floats; "none" for None.

    Raises
    ------
    ValueError
        If an element or a value is not understood.
    TypeError
        If it is no mapping.
    """
    split_lines = {} if split_lines is None else split_lines
    what = "elements to 'families', an energy in keV or None, such as {'Fe': 3.0}"
    check_mapping("split_lines", split_lines, what)
    checked: dict[str, Split] = {}
    for element, split in split_lines.items():
        if split is None or split in ("families", "none"):
            checked[symbol(element)] = split or "none"
            continue
        try:
            limit = float(split)
        except (TypeError, ValueError):
            limit = -1.0
        if not 0 < limit < 1000:
            raise ValueError(
                f'split_lines of {element} must be "families", "none" or an energy '
                f"in keV, found {split!r}."
            )
        checked[symbol(element)] = limit
    return checked
