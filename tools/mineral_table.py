"""Make the table of minerals from that of NeXLCore.

The source is the mineral data of NeXLCore (National Institute of Standards and
Technology), which is in the public domain. Of its columns the table keeps names and
formulas: mass fractions follow from these. Where the source has others, in 47 rows
because charges were read as numbers of atoms and in some twenty because decimals were,
the formula holds. Run with

    python tools/mineral_table.py minerals.csv [espm_hs/compounds/data/minerals.csv]
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

from espm_hs.compounds.formulas import parse_formula, plain_formula

TARGET = Path(__file__).parents[1] / "espm_hs" / "compounds" / "data" / "minerals.csv"
# Minerals of which rocks, ores and meteorites mostly consist, and the usual ones
# beside them; their weight is that of `COMMON_WEIGHT` others if frequency counts.
COMMON_WEIGHT = 10
COMMON = """
    albite almandine alunite analcime anatase andalusite andradite anglesite
    anhydrite ankerite anorthite antigorite aragonite arsenopyrite azurite
    baddeleyite baryte beryl bornite bridgmanite brucite calcite cassiterite
    celestine cerussite chabazite-Ca chalcocite chalcopyrite chromite chrysotile
    cinnabar clinochlore clinoenstatite clinozoisite cordierite corundum covellite
    cristobalite cuprite diamond diaspore diopside dolomite enstatite epidote
    fayalite fluorapatite fluorite forsterite galena gibbsite goethite graphite
    grossular gypsum halite hematite hydroxylapatite ilmenite jadeite kaolinite
    kyanite lepidocrocite leucite lizardite magnesite magnetite malachite marcasite
    microcline millerite molybdenite monazite-(Ce) muscovite nepheline orthoclase
    periclase perovskite phlogopite pyrite pyrolusite pyrope pyrophyllite pyrrhotite
    quartz rhodochrosite rutile sanidine scheelite siderite sillimanite smithsonite
    sodalite spessartine sphalerite spinel stibnite strontianite sulfur sylvite
    tausonite titanite tridymite troilite uraninite witherite wollastonite wurtzite
    xenotime-(Y) zircon zoisite
"""


def rows(source: Path) -> list[tuple[str, str, str]]:
    """Return name, formula and weight of each mineral, by name.

    Raises
    ------
    ValueError
        If a formula cannot be read, two minerals have a name, or a common one
        is not there.
    """
    with open(source, newline="", encoding="utf-8") as file:
        found = {
            row["name"]: plain_formula(row["formula"]) for row in csv.DictReader(file)
        }
        file.seek(0)
        if len(found) != sum(1 for _ in csv.DictReader(file)):
            raise ValueError(f"{source} has two minerals of one name.")
    common = set(COMMON.split())
    if lost := common - set(found):
        raise ValueError(f"{source} lacks common minerals: {', '.join(sorted(lost))}.")
    for formula in found.values():
        parse_formula(formula)
    return [
        (name, formula, str(COMMON_WEIGHT) if name in common else "")
        for name, formula in sorted(found.items())
    ]


def main(source: str, target: str | Path = TARGET) -> None:
    """Write the table."""
    with open(target, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("name", "formula", "weight"))
        writer.writerows(rows(Path(source)))


if __name__ == "__main__":
    main(*sys.argv[1:])
