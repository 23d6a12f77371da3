"""How many electrons a pixel saw, and how many of its photons the detector could see.

Readers differ in what ``live_time`` of a map means: the time of one pixel, or that of
all. So it is stated with `set_analysis_parameters(live_time_of=...)`, and kept as the
number of pixels that the live time is for: that stays true when the map is cut, and
when HyperSpy adds up live times with the pixels.
"""

from __future__ import annotations

import numpy as np
from scipy.constants import elementary_charge

from espm_hs.metadata.reader import (
    EDS,
    NODE,
    TEM,
    microscope_number,
    number,
    solid_angle,
)

_PARAMETERS = "s.set_analysis_parameters"


def dose(metadata) -> float:
    """Electrons of a pixel x share of the sphere that the detector covers.

    Parameters
    ----------
    metadata
        Of a signal, with beam current (nA), live time (s), solid angle (sr).

    Raises
    ------
    ValueError
        If one of them, or what the live time is for, is not known or not positive; the
        message names the calls that set what is missing.
    """
    values, calls = _exposure(metadata)
    if calls:
        raise ValueError(
            "Amounts per area need the dose of a pixel, and not known is: "
            f"{', '.join(calls)}. Set it with {' and '.join(calls.values())}."
        )
    current, time, pixels, angle = values
    electrons = 1e-9 * current / elementary_charge * time / pixels
    return electrons * angle / (4 * np.pi)


def has_dose(metadata) -> bool:
    """Whether all is known that `dose` needs."""
    return not _exposure(metadata)[1]


def _exposure(metadata):
    """Values in the order of `dose`, and what lacks -> the call that sets it."""
    per_pixel = f"{_PARAMETERS}(live_time_of='pixel')"
    angle_call = f"{_PARAMETERS}(solid_angle=0.7)"
    sources = {
        "beam current": (
            microscope_number(metadata, f"{TEM}.beam_current", "beam_current", "nA"),
            "`s.set_microscope_parameters(beam_current=...)` (nA)",
        ),
        "live time": (
            microscope_number(metadata, f"{EDS}.live_time", "live_time", "s"),
            "`s.set_microscope_parameters(live_time=...)` (s)",
        ),
        "what the live time is for": (
            number(metadata, f"{NODE}.live_time_pixels", per_pixel, "pixels"),
            f"`{per_pixel}` (or 'map')",
        ),
        "solid angle of the detector": (
            solid_angle(metadata),
            f"`{angle_call}` (sr)",
        ),
    }
    values = [value for value, _ in sources.values()]
    calls = {
        name: call
        for name, (value, call) in sources.items()
        if value is None or value <= 0
    }
    return values, calls
