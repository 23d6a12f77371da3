"""The EMSA/MAS format states the elevation of the detector.

HyperSpy reads it, but where it is 35 degrees it looks like what eXSpy fills in where
nobody says anything.
"""

from __future__ import annotations

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


READS = {"take_off_angle": take_off_angle}
