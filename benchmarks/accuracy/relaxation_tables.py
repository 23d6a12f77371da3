"""Relaxation data of maintained tables in the form of the package, and their spread.

The tables are that of the package (xraylib, repaired), that of fisx as PyMca sets it
up, EADL as fisx brings it, and that of Elam, Ravel and Sieber in xraydb. Nothing else
needs fisx and xraydb (`pip install espm-hs[tables]`). Ionisation cross sections and,
where a table has none of its own, Auger rates are those of the package.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache

import numpy as np

from espm_hs.physics.xray.elements import symbol
from espm_hs.physics.xray.emission import EmissionLine, lines_of
from espm_hs.physics.xray.ionization import SUBSHELLS
from espm_hs.physics.xray.relaxation import RadiativeTransition, Relaxation, relaxation
from espm_hs.physics.xray.uncertainty import MEDIUM, STRONG, Spread, multiplet

INDEX = {shell: i for i, shell in enumerate(SUBSHELLS)}
BEAM_ENERGY = 200.0
# Families whose tables are compared, and the elements over which their spread is taken.
REGIONS = {
    "K": ((5, 5), (6, 6), (7, 7), (8, 8), (9, 9), (10, 15), (16, 20), (21, 35),
          (36, 60), (61, 92)),
    "L": ((13, 20), (21, 31), (32, 45), (46, 56), (57, 69), (70, 80), (81, 92)),
    "M": ((32, 59), (60, 70), (71, 78), (79, 86), (87, 92)),
}  # fmt: skip
# Tables that differ by less are copies of one another and say nothing of an error.
COPY = 0.005
# Logarithm of a ratio of shares; a table that differs more does not know the multiplet.
LARGEST = 1.5
# Emission, relative to ours, below which a table has no data for a family.
THERE = 0.1


# -- tables --------------------------------------------------------------------------


def of_fisx(element: str) -> Relaxation:
    """Return the data that PyMca uses."""
    return _of_fisx(element, pymca=True)


def of_eadl(element: str) -> Relaxation:
    """Return the data of the Evaluated Atomic Data Library of 1997."""
    return _of_fisx(element, pymca=False)


@cache
def _fisx(pymca: bool):
    from fisx import DataDir, Elements

    elements = Elements(DataDir.FISX_DATA_DIR)
    if pymca:
        elements.initializeAsPyMca()
    return elements


@cache
def _of_fisx(element: str, pymca: bool) -> Relaxation:
    table, ours = _fisx(pymca), relaxation(element)
    yields, jumps, auger = (np.zeros(shape) for shape in ((9,), (9, 9), (9, 9)))
    radiative: list[RadiativeTransition] = []
    for row, shell in enumerate(SUBSHELLS):
        constants = table.getShellConstants(element, shell)
        yields[row] = constants.pop("omega", 0.0)
        left = _left(shell, table.getNonradiativeTransitions(element, shell))
        inner = [i for i, final in enumerate(SUBSHELLS) if final[0] == shell[0]]
        auger[row], jumps[row, inner] = left["Auger"], left["Coster-Kronig"][inner]
        # PyMca's probabilities stand beside the yields, those of EADL are rates
        for name in (name for name in constants if name.startswith("f")):
            jumps[row, INDEX[shell[0] + name[-1]]] = constants[name]
        rates = table.getRadiativeTransitions(element, shell)
        radiative += _photons(element, shell, rates)
    if not auger[INDEX["M1"] :].any():
        auger[INDEX["M1"] :] = ours.auger[INDEX["M1"] :]
    return Relaxation(yields, _possible(jumps, yields), auger, tuple(radiative))


def _left(shell: str, rates: Mapping[str, float]) -> dict[str, np.ndarray]:
    """Vacancies after decays without a photon, whose rates are named "K-L1L2"."""
    left = {"Auger": np.zeros(9), "Coster-Kronig": np.zeros(9)}
    total = dict.fromkeys(left, 0.0)
    for name, rate in rates.items():
        if "-" not in name:
            continue  # their sum
        both = name.partition("-")[2]
        finals = both[:2], both[2:]
        stays = any(final[0] == shell[0] for final in finals)
        kind = "Coster-Kronig" if stays else "Auger"
        total[kind] += rate
        for final in finals:
            if final in INDEX:
                left[kind][INDEX[final]] += rate
    if total["Auger"] > 0:
        left["Auger"] /= total["Auger"]
    return left


def _photons(
    element: str, shell: str, rates: Mapping[str, float]
) -> Iterator[RadiativeTransition]:
    """Radiative transitions at the energies of the package."""
    edges = _fisx(True).getBindingEnergies(element)
    ours = {(t.initial, t.final): t.energy for t in relaxation(element).radiative}
    known = {name: rate for name, rate in rates.items() if name != "TOTAL" and rate > 0}
    for name, rate in known.items():
        final = name[len(shell) :]
        difference = edges.get(shell, 0.0) - edges.get(final, 0.0)
        energy = ours.get((shell, final), difference)
        yield RadiativeTransition(shell, final, rate / sum(known.values()), energy)


def _possible(jumps: np.ndarray, yields: np.ndarray) -> np.ndarray:
    """Scale Coster-Kronig probabilities down where decays add up to more than 1."""
    total = np.maximum(jumps.sum(axis=1), 1e-300)
    return jumps * np.minimum(1, (1 - yields) / total)[:, None]


@cache
def of_elam(element: str) -> Relaxation:
    """Return the data of W. T. Elam et al., Radiat. Phys. Chem. 63 (2002) 121."""
    import xraydb

    yields, jumps = np.zeros(9), np.zeros((9, 9))
    radiative = []
    edges = xraydb.xray_edges(element)
    for row, shell in enumerate(shell for shell in SUBSHELLS if shell in edges):
        yields[row] = edges[shell].fyield
        for final in (one for one in SUBSHELLS[row + 1 :] if one[0] == shell[0]):
            probability = xraydb.ck_probability(element, shell, final, total=False)
            jumps[row, INDEX[final]] = probability
        lines = xraydb.xray_lines(element, shell).values()
        total = sum(line.intensity for line in lines)
        radiative += [
            RadiativeTransition(
                shell,
                line.final_level.replace(",", ""),
                line.intensity / total,
                1e-3 * line.energy,
            )
            for line in lines
        ]
    auger = relaxation(element).auger
    return Relaxation(yields, _possible(jumps, yields), auger, tuple(radiative))


OTHERS: dict[str, Callable[[str], Relaxation]] = {
    "fisx": of_fisx,
    "xraydb": of_elam,
    "EADL": of_eadl,
}


@cache
def lines_of_table(
    table: str, element: str, beam_energy: float
) -> tuple[EmissionLine, ...]:
    """Return the lines of an element by one of the other tables, or by ours ("")."""
    data = OTHERS[table](element) if table else relaxation(element)
    return lines_of(element, beam_energy, data)


# -- spread --------------------------------------------------------------------------


@cache
def _emission(table: str, z: int, family: str) -> dict[str, float]:
    """Emission of each multiplet of a family."""
    found: dict[str, float] = defaultdict(float)
    for line in lines_of_table(table, symbol(z), BEAM_ENERGY):
        if line.family == family:
            found[multiplet(line.transition)] += line.cross_section
    return dict(found)


def _differences(
    table: str, family: str, numbers: Iterable[int]
) -> tuple[list[float], list[tuple[float, float]]]:
    """Logarithms of a table over ours: of totals, and of shares beside our share."""
    totals, shares = [], []
    for z in numbers:
        ours, theirs = (_emission(name, z, family) for name in ("", table))
        our_sum, their_sum = sum(ours.values()), sum(theirs.values())
        if not our_sum or their_sum < THERE * our_sum:
            continue
        totals.append(np.log(their_sum / our_sum))
        for name in ours.keys() & theirs.keys():
            share = ours[name] / our_sum
            shares.append((share, np.log(theirs[name] / their_sum / share)))
    return totals, shares


def spread(family: str, first: int, last: int, tables: Iterable[str]) -> Spread:
    """Return the root mean square differences of some tables from ours.

    Where no table has the family, or it is known to none but ours, it is 1.
    """
    totals, shares = [], []
    for table in tables:
        of_table = _differences(table, family, range(first, last + 1))
        if of_table[0] and np.abs(of_table[0]).max() > COPY:
            totals += of_table[0]
        shares += of_table[1]
    sizes = ((STRONG, 1.01), (MEDIUM, STRONG), (0.002, MEDIUM))
    of_sizes = [[x for s, x in shares if low <= s < high] for low, high in sizes]
    rounded = (round(_rms(one), 3) for one in (totals, *of_sizes))
    return Spread(family, first, last, *rounded)


def _rms(logarithms: list[float]) -> float:
    known = np.array([x for x in logarithms if abs(x) > 1e-4])
    if not known.size:
        return 1.0 if not logarithms else 0.0
    return float(min(1.0, np.sqrt(np.mean(np.clip(known, -LARGEST, LARGEST) ** 2))))


def light_correlation(first: int = 6, last: int = 20) -> float:
    """Return the mean correlation of K differences between light elements."""
    numbers = range(first, last + 1)
    totals = [_differences(table, "K", numbers)[0] for table in OTHERS]
    differing = np.array([x for x in totals if np.abs(x).max() > COPY])
    scaled = differing / np.sqrt((differing**2).mean(axis=0))
    products = scaled.T @ scaled / len(scaled)
    return float(products[~np.eye(len(products), dtype=bool)].mean())


def spreads(without: str = "") -> tuple[Spread, ...]:
    """Return the spreads of all regions, one table left out."""
    tables = [name for name in OTHERS if name != without]
    return tuple(
        spread(family, *region, tables)
        for family, regions in REGIONS.items()
        for region in regions
    )
