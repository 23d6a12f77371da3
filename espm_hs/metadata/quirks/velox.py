"""Velox states what its detectors are, and where, in the header of the file.

HyperSpy does not read it, and eXSpy fills in an elevation of its own. The header has
angles in radians, as text, for each of the detectors of the microscope. A Super-X has
four segments, which HyperSpy adds up, and each is a detector of the header.

Live and real time are those of a moment, and their ratio is what is left of a dwell
time. The elements are those that were selected in Velox, by hand or by its automatic
identification.
"""

from __future__ import annotations

from math import degrees, isfinite
from typing import TYPE_CHECKING, Any

from espm_hs.metadata.schema import ITEMS
from espm_hs.physics.xray.elements import SYMBOLS, symbol

if TYPE_CHECKING:
    from espm_hs.metadata.quirks import Lookup

PROGRAM = "Velox"
METADATA = ()
ORIGINAL: tuple[str, ...] = ("Detectors",)
#: Spectra are fitted from here, keV, where nobody says otherwise.
USUAL_BEGIN = 0.15
#: Tilts, degrees, from which the segments see the sample under different angles.
LEAST_TILT = 1.0
# Where the versions of Velox keep the elements.
_SELECTIONS = (
    "SharedProperties.EDSSpectrumQuantificationSettings",
    "Operations.ImageQuantificationOperation",
)


def elevation_angle(_: Lookup, original_metadata: Lookup) -> float | None:
    """Return the elevation of the first detector that has one, degrees."""
    detectors = original_metadata("Detectors")
    each = detectors.values() if isinstance(detectors, dict) else ()
    angles = (_elevation(one) for one in each if isinstance(one, dict))
    return next((angle for angle in angles if 0 < angle <= 90), None)


def _elevation(detector: dict[str, Any]) -> float:
    """Return the elevation of a detector in degrees, 0 for one that has none."""
    return _angle(detector, "ElevationAngle")  # 0.314159 is meant to be 18


def detector(_: Lookup, original_metadata: Lookup) -> str | None:
    """Return the preset of the Super-X detector if the spectrum is one of its."""
    name = original_metadata("BinaryResult.Detector")
    return "superx" if str(name).startswith("SuperX") else None


def minimum_energy(_: Lookup, original_metadata: Lookup) -> float | None:
    """Return the energy in keV at which the detectors begin, where that is higher."""
    begins = [_number(one, "BeginEnergy") / 1e3 for one in _segments(original_metadata)]
    return max(begins) if max(begins, default=0) > USUAL_BEGIN else None


def live_time(_: Lookup, original_metadata: Lookup) -> float | None:
    """Return the live time of a pixel in all frames, s, the mean of the segments."""
    dwell = _value(original_metadata("Scan.DwellTime"))
    frames = _value(original_metadata("ImportedDataParameter.Number_of_frames"))
    pairs = [
        (_number(one, "LiveTime"), _number(one, "RealTime"))
        for one in _segments(original_metadata)
    ]
    shares = [live / real for live, real in pairs if 0 < live <= real]
    if not (shares and dwell > 0 and frames > 0):
        return None
    return dwell * frames * sum(shares) / len(shares)


def live_time_pixels(metadata: Lookup, original_metadata: Lookup) -> int | None:
    """Return 1 where the live time is that of the header, of a pixel; else None."""
    given = metadata(ITEMS["live_time"].path) is not None
    return None if given or live_time(metadata, original_metadata) is None else 1


def azimuths(_: Lookup, original_metadata: Lookup) -> list[float]:
    """Return the azimuth of each segment, degrees."""
    return [_angle(one, "AzimuthAngle") for one in _segments(original_metadata)]


def take_off_angle(metadata: Lookup, original_metadata: Lookup) -> list[float] | None:
    """Return that of each segment, degrees, where the tilt makes them different.

    A position that somebody has set goes before it.
    """
    position = ("elevation_angle", "azimuth_angle")
    if any(ITEMS[x].is_stated(metadata(ITEMS[x].path)) for x in position):
        return None
    tilts = [_value(metadata(ITEMS[x].path)) for x in ("tilt_stage", "tilt_beta")]
    parts = _segments(original_metadata)
    if len(parts) < 2 or max(map(abs, tilts)) < LEAST_TILT:
        return None
    # eXSpy takes seconds to import
    from exspy.utils.eds import take_off_angle

    angles = [
        float(take_off_angle(tilts[0], azimuth, elevation, tilts[1]))
        for azimuth, elevation in (
            (_angle(one, "AzimuthAngle"), _angle(one, "ElevationAngle"))
            for one in parts
        )
    ]
    # the others are in the shadow of the stage
    return [angle for angle in angles if angle > 0] or None


def selected_elements(_: Lookup, original_metadata: Lookup) -> list[str]:
    """Return the symbols of the elements that are selected in the file."""
    for path in _SELECTIONS:
        settings = original_metadata(path)
        for one in settings.values() if isinstance(settings, dict) else ():
            if isinstance(one, dict):
                chosen = map(_value, one.get("elementSelection") or ())
                return [symbol(int(z)) for z in chosen if 1 <= z <= len(SYMBOLS)]
    return []


def _segments(original_metadata: Lookup) -> list[dict[str, Any]]:
    """Return the headers of the segments of the detector that was in use.

    They are in the positions of one detector: those of a file that do not say which
    detector it was are none.
    """
    name = str(original_metadata("BinaryResult.Detector") or "")
    family = name.rstrip("0123456789") or name
    detectors = original_metadata("Detectors")
    each = detectors.values() if isinstance(detectors, dict) else ()
    return [
        one
        for one in each
        if isinstance(one, dict)
        and family
        and str(one.get("DetectorName", "")).startswith(family)
        and str(one.get("Enabled", "true")) != "false"
        and 0 < _elevation(one) <= 90
    ]


def _number(detector: dict[str, Any], name: str) -> float:
    return _value(detector.get(name))


def _angle(detector: dict[str, Any], name: str) -> float:
    return round(degrees(_number(detector, name)), 2)


def _value(text: Any) -> float:
    """Return a number of the header, 0 for what is none."""
    try:
        number = float(text)
    except (TypeError, ValueError):
        return 0.0
    return number if isfinite(number) else 0.0


READS = {
    "elevation_angle": elevation_angle,
    "detector": detector,
    "minimum_energy": minimum_energy,
    "live_time": live_time,
    "live_time_pixels": live_time_pixels,
    "take_off_angle": take_off_angle,
}
GUESSES = {"elements": selected_elements}
