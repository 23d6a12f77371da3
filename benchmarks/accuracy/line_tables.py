"""What stated errors are worth where the lines are those of other tables.

    python benchmarks/accuracy/line_tables.py [--write docs/validation.md]

Prints the spread between maintained tables of atomic data, in the form in which
`espm_hs.physics.xray.uncertainty` has it. Then spectra of 16 compounds, counted a
million times, are made with the lines of one of the tables, and quantified with those
of the package. Their errors come from the spread without the table that is tested.
Standardised errors z = (found - true) / stated error are counted for films that absorb
nothing and have no background, and for films of 100 nm with a background that falls
more steeply than the fit has it. fisx and xraydb have to be installed
(`pip install espm-hs[tables]`).
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple
from unittest.mock import patch

import numpy as np
from scipy.stats import binom

from benchmarks.accuracy.relaxation_tables import (
    OTHERS,
    light_correlation,
    lines_of_table,
    spreads,
)
from benchmarks.runner import as_markdown, as_text, needs, run, some, write_between
from espm_hs.analysis import decompose
from espm_hs.physics import (
    SpectrumModel,
    atomic_number,
    emission_lines,
    ionization_cross_section,
)
from espm_hs.physics.xray import emission
from espm_hs.physics.xray.emission import EmissionLine
from espm_hs.physics.xray.unabsorbed import unabsorbed
from espm_hs.physics.xray.uncertainty import LineErrors
from espm_hs.quantification.report import Entry, report
from espm_hs.simulation import Effects, Experiment, Phase

# Density, g/cm3.
COMPOUNDS = {
    "TiC": 4.93, "Si3N4": 3.17, "MgAl2O4": 3.58, "CaF2": 3.18, "FeS2": 5.02,
    "GaAs": 5.32, "SrTiO3": 5.12, "MoSi2": 6.26, "InP": 4.81, "Bi2Te3": 7.7,
    "BaTiO3": 6.02, "CeO2": 7.22, "HfO2": 9.68, "TaC": 14.3, "NiPt": 15.3, "PbS": 7.6,
}  # fmt: skip
BEAM_ENERGIES = (200.0, 80.0, 300.0)
FILMS = {False: "no absorption, no background", True: "100 nm with background"}
# First and last atomic number.
REGIONS = ((5, 15), (16, 31), (32, 56), (57, 92))
COUNTS = 1e6
CHANNELS = 0.01 * np.arange(2048)
THICKNESS, TAKE_OFF_ANGLE = 100.0, 22.0
# Share of the counts of real films, and how much steeper it falls.
BACKGROUND, STEEPER = 0.2, 0.15
# At.% of a major element.
MAJOR = 20.0
LIMIT = 2.0
# Share of |z| below the limit that is asked for, and how probable fewer of them are
# before a region is called worse.
NEEDED, CHANCE = 0.9, 0.05
# Amounts that issues and users ask for, made by fisx at 200 keV.
NAMED = (("BaTiO3", "Ti"), ("CeO2", "Ce"), ("InP", "In"))
HEADER = (
    "lines of",
    "films",
    "amounts",
    "z within 2",
    *(f"Z = {first} to {last}" for first, last in REGIONS),
    "rms z",
    "median error, major (at.%)",
)


class Found(NamedTuple):
    """An amount that was found.

    Attributes
    ----------
    compound
        Formula.
    beam_energy
        keV.
    true
        At.%.
    entry
        What the report says.
    """

    compound: str
    beam_energy: float
    true: float
    entry: Entry

    @property
    def z(self) -> float:
        """Error over what is stated."""
        return (self.entry.percent - self.true) / self.entry.error


def atoms_of(formula: str) -> dict[str, float]:
    """Return the atoms of a formula without brackets."""
    pairs = re.findall(r"([A-Z][a-z]?)(\d*)", formula)
    return {element: float(number or 1) for element, number in pairs}


@contextmanager
def lines_of(table: str) -> Iterator[None]:
    """Let the models that are made meanwhile have the lines of a table."""

    def theirs(element: str, beam_energy: float) -> tuple[EmissionLine, ...]:
        return lines_of_table(table, element, beam_energy)

    unabsorbed.cache_clear()
    with patch.object(emission, "emission_lines", theirs):
        yield
    unabsorbed.cache_clear()


def counts_of(table: str, formula: str, model: SpectrumModel) -> np.ndarray:
    """Draw the counts of a compound, with the lines of a table in known ratios."""
    real, atoms = bool(model.background), atoms_of(formula)
    background = BACKGROUND if real else 0.0
    phase = Phase(formula, atoms, COMPOUNDS[formula], background)
    effects = Effects(background_exponent=STEEPER if real else 0.0)
    with lines_of(table):
        true = model.replace(split_lines=dict.fromkeys(atoms, "none"))
        made = Experiment(true, [phase], [THICKNESS], COUNTS, effects=effects)
        spectrum = made.spectra[:, 0]
    seed = [int(model.beam_energy), int(real), *map(atomic_number, atoms)]
    expected = COUNTS * spectrum / spectrum.sum()
    return np.random.default_rng(seed).poisson(expected)


def quantified(
    table: str, formula: str, beam_energy: float, real: bool, errors: LineErrors
) -> Iterator[Found]:
    """Quantify a compound with the lines of the package."""
    atoms = atoms_of(formula)
    sample = {"thickness": THICKNESS, "density": COMPOUNDS[formula]} if real else {}
    model = SpectrumModel(
        CHANNELS,
        beam_energy,
        list(atoms),
        background=real,
        take_off_angle=TAKE_OFF_ANGLE,
        **sample,
    )
    counts = counts_of(table, formula, model)
    total = sum(atoms.values())
    for entry in report(decompose(counts[None], model, 1), errors=errors).entries:
        true = 100 * atoms[entry.element] / total
        yield Found(formula, beam_energy, true, entry)


def study(
    table: str, real: bool, compounds: Sequence[str], beam_energies: Sequence[float]
) -> list[Found]:
    """Quantify compounds whose lines are those of a table."""
    errors = LineErrors(spreads=spreads(without=table))
    return [
        one
        for formula in compounds
        for energy in beam_energies
        for one in quantified(table, formula, energy, real, errors)
    ]


def row(table: str, real: bool, found: Sequence[Found]) -> tuple[str, ...]:
    """Return the cells of a table and a kind of films."""
    z = np.array([one.z for one in found])
    inside = np.abs(z) < LIMIT
    numbers = np.array([atomic_number(one.entry.element) for one in found])
    regions = [
        _share(inside[(numbers >= first) & (numbers <= last)])
        for first, last in REGIONS
    ]
    major = [one.entry.error for one in found if one.true >= MAJOR]
    rms, median = np.sqrt(np.mean(z**2)), np.median(major)
    cells = (_share(inside), *regions, f"{rms:.2f}", f"{median:.1f}")
    return table, FILMS[real], str(len(z)), *cells


def _share(inside: np.ndarray) -> str:
    """Share of what is inside, with a mark where it is significantly too small."""
    if not inside.size:
        return "–"
    worse = binom.cdf(inside.sum(), inside.size, NEEDED) < CHANCE
    return f"{100 * inside.mean():.0f} %{' (too few)' * bool(worse)}"


def together(found: Sequence[Found]) -> str:
    """Say how well the errors of all tables together are stated."""
    z = np.array([one.z for one in found])
    return f"All {len(z)} amounts: root mean square z {np.sqrt(np.mean(z**2)):.2f}."


def named(found: Sequence[Found]) -> Iterator[str]:
    """Say what was found of some elements at 200 keV."""
    for one in found:
        pair = one.compound, one.entry.element
        if pair in NAMED and one.beam_energy == BEAM_ENERGIES[0]:
            yield (
                f"{pair[0]}, lines of fisx, 200 keV: {pair[1]} {one.entry.percent:.1f} "
                f"± {one.entry.error:.1f} at.%, {one.true:.1f} in truth."
            )


def references() -> Iterator[str]:
    """Say some numbers that have a known value."""
    thulium, ytterbium = (
        sum(x.cross_section for x in emission_lines(e, 200) if x.family == "M")
        for e in ("Tm", "Yb")
    )
    yield f"M emission at 200 keV, Yb over Tm: {ytterbium / thulium:.3f} (1.05)."
    for element, shell, energy, known in (
        ("Fe", "K", 200, 3.185e-22),
        ("Au", "M5", 300, 4.50e-21),
    ):
        sigma = ionization_cross_section(element, shell, energy)
        name = f"Ionisation of {element} {shell} at {energy} keV"
        yield f"{name}: {sigma:.4g} cm2 ({known:.4g}, {sigma / known - 1:+.2%})."


def main(given: argparse.Namespace) -> None:
    """Print spreads, standardised errors and some known values."""
    needs("fisx", "xraydb")
    for one in spreads():
        print(f"    Spread{tuple(one)},".replace("'", '"'))
    print(f"Correlation of K of light elements: {light_correlation():.2f}")
    rows, lines, all_found = [], list(references()), []
    compounds, energies = some(COMPOUNDS, given, 2), some(BEAM_ENERGIES, given)
    for table in some(OTHERS, given):
        for real in FILMS:
            found = study(table, real, compounds, energies)
            rows.append(row(table, real, found))
            print(*rows[-1], sep=" | ", flush=True)
            all_found += found
            if table == "fisx" and not real:
                lines += named(found)
    lines.append(together(all_found))
    print(as_text(HEADER, rows), *lines, sep="\n")
    if given.write:
        text = "\n".join(f"- {line}" for line in lines)
        table = as_markdown(HEADER, rows)
        write_between(given.write, "line_tables", f"{table}\n\n{text}")


if __name__ == "__main__":
    run(main, __doc__, page=True)
