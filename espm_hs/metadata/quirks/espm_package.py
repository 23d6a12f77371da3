"""What the package espm writes to metadata, read as what it means here.

espm keeps the thickness in cm, without saying so, the solid angle of the detector as
"geometric_efficiency", the width of peaks as a straight line in energy, and the columns
of its model as a list of texts such as "26_lo", "29_ign0". What is set with
`set_analysis_parameters` goes before all of it.
"""

from __future__ import annotations

import re

import numpy as np

from espm_hs.physics.xray.detector import MN_KA_ENERGY
from espm_hs.physics.xray.elements import symbol

_EDS = "Acquisition_instrument.TEM.Detector.EDS"
# keV per keV and keV: what espm fills in where nobody measured the width.
_USUAL_WIDTH = (0.01, 0.065)


def is_from_espm(metadata) -> bool:
    """Whether espm made the signal: it writes both of these to all of its own."""
    return metadata.has_item("xray_db") and metadata.has_item(f"{_EDS}.width_slope")


def stray_elements(metadata) -> list[str]:
    """Symbols of the elements that espm was told to ignore."""
    columns = metadata.get_item("EDS_model.elements") or []
    found = (re.fullmatch(r"(\w+)_ign\d*", str(column)) for column in columns)
    return list(dict.fromkeys(_symbol(match[1]) for match in found if match))


def split_lines(metadata) -> dict[str, float]:
    """Element -> energy in keV at which espm cut its lines in two."""
    cuts = metadata.get_item("EDS_model.separated_lines")
    cuts = cuts.as_dictionary() if hasattr(cuts, "as_dictionary") else cuts or {}
    return {_symbol(element): float(energy) for element, energy in cuts.items()}


def resolution(metadata) -> float | None:
    """Width of Mn Ka in eV, where it is not the one that espm fills in."""
    width = tuple(
        metadata.get_item(f"{_EDS}.{name}")
        for name in ("width_slope", "width_intercept")
    )
    if None in width or np.allclose(np.array(width, float), _USUAL_WIDTH):
        return None
    return 1e3 * (float(width[0]) * MN_KA_ENERGY + float(width[1]))


def solid_angle(metadata) -> float | None:
    """Solid angle of the detector in sr, or None."""
    value = metadata.get_item(f"{_EDS}.geometric_efficiency")
    return None if value is None else float(value)


def take_off_angle(metadata) -> float | None:
    """Take-off angle in degrees, or None."""
    value = metadata.get_item(f"{_EDS}.take_off_angle")
    return None if value is None else float(value)


def _symbol(element: str) -> str:
    """Symbol of an element that espm names by symbol or atomic number."""
    return symbol(int(element)) if element.isdigit() else element
