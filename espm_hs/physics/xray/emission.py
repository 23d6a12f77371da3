"""Lines that elements emit, and the columns of a model that they make."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from espm_hs.arguments import plain_float
from espm_hs.physics.linear_model import Column
from espm_hs.physics.xray.elements import atomic_number, symbol
from espm_hs.physics.xray.ionization import (
    SUBSHELLS,
    ionization_cross_section,
    ionized_subshells,
)
from espm_hs.physics.xray.relaxation import Relaxation, relaxation

#: Beam energies for which lines are calculated, keV.
BEAM_ENERGIES = (10.0, 400.0)
#: First and last atomic number for which lines are calculated.
ATOMIC_NUMBERS = (5, 92)
#: Lines below this energy (keV) are dropped: no detector shows them.
LOWEST_ENERGY = 0.1

_SIEGBAHN = {
    "KL3": "Ka1", "KL2": "Ka2", "KL1": "Ka3", "KM3": "Kb1", "KM2": "Kb3",
    "KN3": "Kb2", "L3M5": "La1", "L3M4": "La2", "L2M4": "Lb1", "L3N5": "Lb2",
    "L1M3": "Lb3", "L1M2": "Lb4", "L3O45": "Lb5", "L3N1": "Lb6", "L3O1": "Lb7",
    "L1M5": "Lb9", "L1M4": "Lb10", "L3N4": "Lb15", "L2M3": "Lb17", "L2N4": "Lg1",
    "L1N2": "Lg2", "L1N3": "Lg3", "L2N1": "Lg5", "L2O4": "Lg6", "L2O1": "Lg8",
    "L3M1": "Ll", "L2M1": "Ln", "L3M3": "Ls", "L3M2": "Lt", "M5N7": "Ma1",
    "M5N6": "Ma2", "M4N6": "Mb", "M3N5": "Mg", "M5N3": "Mz",
}  # fmt: skip

# "Fe_Ka", "Fe Ka1", "Pt_L": element, family, line
_NAME = re.compile(r"\s*([A-Z][a-z]?)[ _]+([KLM])([a-zA-Z]?\d*)\s*")


@dataclass(frozen=True)
class EmissionLine:
    """A characteristic X-ray line of one element at one beam energy.

    Attributes
    ----------
    element
        Symbol.
    name
        Siegbahn name where it is common ("Fe Ka1"), else the transition in IUPAC
        notation ("Pt M2N4").
    family
        Shell of the vacancy: "K", "L" or "M".
    energy
        keV.
    cross_section
        Emission of this line in cm2 per atom, into all directions, vacancies that
        arrive by the cascade included.
    transition
        In IUPAC notation: "KL3".
    """

    element: str
    name: str
    family: str
    energy: float
    cross_section: float
    transition: str

    @property
    def key(self) -> str:
        """Element and family, like "Fe_K"."""
        return f"{self.element}_{self.family}"


_Lines = tuple[EmissionLine, ...]


def emission_lines(element: str | int, beam_energy: float) -> tuple[EmissionLine, ...]:
    """Characteristic lines of an element under an electron beam.

    The vacancies of every subshell (ionisation and cascade) times the fluorescence
    yield times the share of the transition in the radiative decays.

    Parameters
    ----------
    element
        Symbol or atomic number, B to U.
    beam_energy
        10 to 400 keV.

    Returns
    -------
    tuple of EmissionLine
        Lines above 0.1 keV, by increasing energy.

    Raises
    ------
    ValueError
        If the element or the beam energy is outside the range.
    """
    return lines_at(element, check_beam_energy(beam_energy))


def lines_at(element: str | int, beam_energy: float) -> _Lines:
    """Return the lines as `emission_lines`, for a beam energy that was checked."""
    return _emission_lines(_supported(element), beam_energy, True)


def check_beam_energy(
    beam_energy: float, limits: tuple[float, float] = BEAM_ENERGIES
) -> float:
    """Check a beam energy.

    Parameters
    ----------
    beam_energy
        keV.
    limits
        Lowest and highest one, those of films if they are not given.

    Raises
    ------
    ValueError
        If it is not within the limits; names the likely mistake of giving eV.
    TypeError
        If it is no number.
    """
    low, high = limits
    energy = plain_float("beam_energy", beam_energy)
    if not low <= energy <= high:
        hint = " Is it in eV?" if low <= energy / 1000 <= high else ""
        raise ValueError(
            f"The beam energy must be {low:g} to {high:g} keV, found {energy:g}.{hint}"
        )
    return energy


def _supported(element: str | int) -> str:
    low, high = ATOMIC_NUMBERS
    if not low <= atomic_number(element) <= high:
        raise ValueError(
            f"Lines are known for {symbol(low)} to {symbol(high)} (Z = {low} to "
            f"{high}), not for {symbol(element)} (Z = {atomic_number(element)})."
        )
    return symbol(element)


@lru_cache(maxsize=1024)
def _emission_lines(element: str, beam_energy: float, repaired: bool) -> _Lines:
    return lines_of(element, beam_energy, relaxation(element, repaired=repaired))


def lines_of(element: str, beam_energy: float, data: Relaxation) -> _Lines:
    """Return the lines that follow from relaxation data, which may be of other tables.

    Parameters
    ----------
    element
        Symbol.
    beam_energy
        keV.
    data
        What becomes of vacancies.
    """
    primary = np.zeros(len(SUBSHELLS))
    for shell in ionized_subshells(element):
        index = SUBSHELLS.index(shell)
        primary[index] = ionization_cross_section(element, shell, beam_energy)
    vacancies = primary @ data.vacancies
    lines = []
    for shell, final, rate, energy in data.radiative:
        index = SUBSHELLS.index(shell)
        sigma = float(vacancies[index] * (data.fluorescence_yield[index] * rate))
        if energy >= LOWEST_ENERGY and sigma > 0:
            transition = shell + final
            name = f"{element} {_SIEGBAHN.get(transition, transition)}"
            line = EmissionLine(element, name, shell[0], energy, sigma, transition)
            lines.append(line)
    return tuple(sorted(lines, key=lambda line: (line.energy, line.name)))


class LineName(NamedTuple):
    """What a name stands for.

    Attributes
    ----------
    element
        Symbol.
    family
        "K", "L" or "M".
    line
        "Ka" (all alpha lines), "Ka1" (that line), or "K" (the whole family).
    """

    element: str
    family: str
    line: str

    @property
    def key(self) -> str:
        """Element and family, like "Fe_K"."""
        return f"{self.element}_{self.family}"

    def includes(self, line: str) -> bool:
        """Whether a line of this element belongs to what is named.

        Parameters
        ----------
        line
            Without the element: "Ka1", "M2N4".
        """
        if self.line == self.family:
            return line.startswith(self.family)
        return self.line in (line, re.sub(r"\d+$", "", line))


def parse_line(name: str) -> LineName:
    """Read the name of a line or a family.

    Parameters
    ----------
    name
        Like "Fe_Ka" (as exspy writes), "Fe Ka1", "Fe_K" or "Fe K".

    Raises
    ------
    ValueError
        If the name is not understood.
    """
    match = _NAME.fullmatch(name) if isinstance(name, str) else None
    if match is None:
        raise ValueError(
            f"{name!r} is not the name of a line: expected an element and a line or a "
            'family, like "Fe_Ka" or "Fe K".'
        )
    element, family, rest = match.groups()
    return LineName(symbol(element), family, family + rest)


FAMILIES = ("K", "L", "M")

#: How the lines of an element are split: None, or "none", for one column.
Split = str | float | None

# A family is in range when this share of its emission is: a far satellite alone
# would make a column of noise.
_VISIBLE_SHARE = 0.01

# Z of the elements whose lines of a family nobody knows. L: off by up to a factor 2 in
# every table (chemical state, self-absorption in the partly filled 3d band), by more
# below K. M: tables differ 3 to 8 times, as few have measured them
_BARELY_KNOWN = {"L": range(15, 32), "M": range(32, 71)}


def free_families(element: str, families: Iterable[str]) -> tuple[str, ...]:
    """Families of lines that must not set the amount of an element, nor name it.

    Parameters
    ----------
    element
        Symbol.
    families
        "K", "L", "M": those in the fitted range.

    Returns
    -------
    tuple of str
        Families that are barely known, in range or not, where one that is better known
        is in range: L from P to Ga, M from Ge to Yb.
    """
    z = atomic_number(element)
    barely_known = tuple(f for f, numbers in _BARELY_KNOWN.items() if z in numbers)
    return barely_known if set(families) - set(barely_known) else ()


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
        lines = lines_at(element, emitters.beam_energy)
        first, *free = _sample_columns(element, lines, split.get(element), fitted)
        counting.append(first)
        others += free
    for element in emitters.stray_elements:
        lines = lines_at(element, emitters.beam_energy)
        for family, members in _visible_families(element, lines, fitted).items():
            label = f"{element} {family} stray"
            others.append(LineColumn(Column("stray", element, family, label), members))
    return tuple(_calibrated(entry, factors) for entry in counting + others)


def _calibrated(entry: LineColumn, factors: Mapping[str, float]) -> LineColumn:
    """Multiply the lines of a column by the factors of their families."""

    def scaled(line: EmissionLine) -> EmissionLine:
        factor = factors.get(line.key, 1.0)
        return replace(line, cross_section=factor * line.cross_section)

    return entry._replace(lines=tuple(map(scaled, entry.lines))) if factors else entry


def _sample_columns(
    element: str, lines: _Lines, split: Split, fitted: FittedRange
) -> list[LineColumn]:
    """Columns of a sample element, the counting one first."""
    families = _visible_families(element, lines, fitted)
    if split is None:
        free = free_families(element, families)
        tied = tuple(line for line in lines if line.family not in free)
        groups = [("", tied)]
        for family in (f for f in free if f in families):
            # cut off by the end of the range, it would be a column of noise
            strongest = max(families[family], key=lambda line: line.cross_section)
            if strongest.energy in fitted:
                groups.append((family, families[family]))
    elif split == "families":
        groups = list(families.items())
    elif split == "none":
        groups = [("", lines)]
    else:
        groups = _split_at(element, lines, float(split), fitted)
    columns = []
    for i, (name, members) in enumerate(groups):
        shown = "".join(families_in_range(members, fitted))
        kind, label = ("line", f"{element} {name}") if i else ("element", element)
        columns.append(LineColumn(Column(kind, element, shown, label), members))
    return columns


def families_in_range(
    lines: tuple[EmissionLine, ...], fitted: FittedRange
) -> dict[str, tuple[EmissionLine, ...]]:
    """Return the lines of the families that can be seen, K first.

    Parameters
    ----------
    lines
        Of one element.
    fitted
        Energies in which lines are seen.
    """
    members = {f: tuple(line for line in lines if line.family == f) for f in FAMILIES}
    return {f: group for f, group in members.items() if _visible(group, fitted)}


class NoLine(ValueError):
    """An element has no line in the range that is fitted.

    Parameters
    ----------
    element
        Its symbol.
    message
        What is said of it.
    """

    def __init__(self, element: str, message: str) -> None:
        super().__init__(message)
        self.element = element

    def __reduce__(self):
        return type(self), (self.element, *self.args)


def is_in_range(element: str, beam_energy: float, fitted: FittedRange) -> bool:
    """Whether an element has a family of lines that can be seen.

    Parameters
    ----------
    element
        Symbol; those without known lines, such as H, Li and Be, cannot be seen.
    beam_energy
        keV.
    fitted
        The energies that are fitted.
    """
    low, high = ATOMIC_NUMBERS
    known = low <= atomic_number(element) <= high
    return known and bool(families_in_range(lines_at(element, beam_energy), fitted))


def _visible_families(
    element: str, lines: _Lines, fitted: FittedRange
) -> dict[str, _Lines]:
    """Lines by family, of which an element needs one that can be seen."""
    families = families_in_range(lines, fitted)
    if not families:
        strongest = sorted(lines, key=lambda line: -line.cross_section)[:3]
        where = ", ".join(f"{line.name} {line.energy:.3f}" for line in strongest)
        raise NoLine(
            element,
            f"{element} has no line between {fitted.low:.3f} and {fitted.high:.3f} keV "
            f"(strongest lines: {where or 'none'} keV). Remove it from the elements "
            "with set_elements (or from the stray elements), or fit a wider range.",
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
