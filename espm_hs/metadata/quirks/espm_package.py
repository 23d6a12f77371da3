"""What the package espm writes to metadata, read as what it means here.

espm keeps the thickness in cm, without saying so, the solid angle of the detector as
"geometric_efficiency", the width of peaks as a straight line in energy, and the columns
of its model as a list of texts such as "26_lo", "29_ign0".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from espm_hs.metadata.schema import EDS, ITEMS
from espm_hs.physics.xray.detector import MN_KA_ENERGY
from espm_hs.physics.xray.elements import symbol

if TYPE_CHECKING:
    from espm_hs.metadata.quirks import Lookup

PROGRAM = "espm"
# espm writes both of these to all of its own.
METADATA = ("xray_db", f"{EDS}.width_slope")
ORIGINAL: tuple[str, ...] = ()

# keV per keV and keV: what espm fills in where nobody measured the width.
_USUAL_WIDTH = (0.01, 0.065)
# Items that state the take-off angle together.
_POSITION = ("tilt_stage", "azimuth_angle", "elevation_angle")


def stray_elements(metadata: Lookup, _: Lookup) -> list[str]:
    """Return the symbols of the elements that espm was told to ignore."""
    columns = metadata("EDS_model.elements")
    found = (re.fullmatch(r"(\w+)_ign\d*", str(x)) for x in columns or ())
    return list(dict.fromkeys(_symbol(match[1]) for match in found if match))


def split_lines(metadata: Lookup, _: Lookup) -> dict[str, Any] | None:
    """Return element -> energy in keV at which espm cut its lines in two."""
    cuts = metadata("EDS_model.separated_lines")
    if not isinstance(cuts, Mapping):
        return None
    return {_symbol(element): energy for element, energy in cuts.items()}


def resolution(metadata: Lookup, _: Lookup) -> float | None:
    """Return the width of Mn Ka in eV, where it is not the one that espm fills in."""
    slope, offset = (metadata(f"{EDS}.width_{x}") for x in ("slope", "intercept"))
    usual = 1e3 * (_USUAL_WIDTH[0] * MN_KA_ENERGY + _USUAL_WIDTH[1])
    if slope is None or offset is None:
        return None
    found = 1e3 * (float(slope) * MN_KA_ENERGY + float(offset))
    return None if abs(found - usual) < 0.01 else found


def take_off_angle(metadata: Lookup, _: Lookup) -> float | None:
    """Return the take-off angle in degrees, where it does not follow from others."""
    follows = all(metadata(ITEMS[x].path) is not None for x in _POSITION)
    return None if follows else metadata(f"{EDS}.take_off_angle")


def _symbol(element: str) -> str:
    """Return the symbol of an element that espm names by symbol or atomic number."""
    return symbol(int(element)) if element.isdigit() else element


READS = {
    "stray_elements": stray_elements,
    "split_lines": split_lines,
    "thickness_units": lambda metadata, _: "cm",
    "energy_resolution_MnKa": resolution,
    "solid_angle": lambda metadata, _: metadata(f"{EDS}.geometric_efficiency"),
    "take_off_angle": take_off_angle,
}
