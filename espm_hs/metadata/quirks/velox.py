"""Velox states what its detectors are, and where, in the header of the file.

HyperSpy does not read it, and eXSpy fills in an elevation of its own. The header has
angles in radians, as text, for each of the detectors of the microscope.
"""

from __future__ import annotations

from math import degrees
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from espm_hs.metadata.quirks import Lookup

PROGRAM = "Velox"
METADATA = ()
ORIGINAL: tuple[str, ...] = ("Detectors",)


def elevation_angle(_: Lookup, original_metadata: Lookup) -> float | None:
    """Return the elevation of the first detector that has one, degrees."""
    detectors = original_metadata("Detectors")
    each = detectors.values() if isinstance(detectors, dict) else ()
    angles = (_elevation(one) for one in each if isinstance(one, dict))
    return next((angle for angle in angles if 0 < angle <= 90), None)


def _elevation(detector: dict[str, Any]) -> float:
    """Return the elevation of a detector in degrees, 0 for one that has none."""
    try:
        # 0.314159 is meant to be 18
        return round(degrees(float(detector.get("ElevationAngle", 0))), 2)
    except (TypeError, ValueError):
        return 0.0


def detector(_: Lookup, original_metadata: Lookup) -> str | None:
    """Return the preset of the Super-X detector if the spectrum is one of its."""
    name = original_metadata("BinaryResult.Detector")
    return "superx" if str(name).startswith("SuperX") else None


READS = {"elevation_angle": elevation_angle, "detector": detector}
