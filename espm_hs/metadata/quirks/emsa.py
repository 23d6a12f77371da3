"""The EMSA/MAS format states the elevation of the detector.

HyperSpy reads it, but where it is 35 degrees it looks like what eXSpy fills in where
nobody says anything. Programs of NIST write the composition of a standard beside it:
``K411,(O:42.3667),(Mg:8.8465),2.95``, mass percent between a name and a density.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from espm_hs.metadata.schema import ITEMS, SEM

if TYPE_CHECKING:
    from espm_hs.metadata.quirks import Lookup

PROGRAM = "EMSA/MAS"
METADATA = (SEM,)
ORIGINAL = ("FORMAT", "ELEVANGLE")


def take_off_angle(metadata: Lookup, original_metadata: Lookup) -> float | None:
    """Return the elevation of the header, where nobody set another and none is tilted.

    The surface of the sample is taken to be level, as that of standards is.
    """
    elevation = float(original_metadata("ELEVANGLE"))
    now = metadata(ITEMS["elevation_angle"].path)
    tilts = (metadata(ITEMS[name].path) for name in ("tilt_stage", "tilt_beta"))
    is_level = not any(tilts)
    is_own = now is not None and abs(float(now) - elevation) < 1e-3
    return elevation if is_level and is_own and 0 < elevation <= 90 else None


def standard_composition(original_metadata: Lookup) -> dict[str, float] | None:
    """Return the mass percent of a standard by symbol; None if there are none."""
    text = str(original_metadata("D2STDCMP") or "")
    found = re.findall(r"\(([A-Z][a-z]?):([\d.]+)\)", text)
    return {symbol: float(share) for symbol, share in found} or None


READS = {"take_off_angle": take_off_angle}
