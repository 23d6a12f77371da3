"""How many electrons a pixel saw, and how many of its photons the detector could see.

Readers differ in what ``live_time`` of a map means: the time of one pixel, or that of
all. So it is stated with `set_analysis_parameters(live_time_of=...)`, and kept as the
number of pixels that the live time is for: that stays true when the map is cut, and
when HyperSpy adds up live times with the pixels.
"""

from __future__ import annotations

from math import pi

from scipy.constants import elementary_charge

from espm_hs.metadata.reader import read
from espm_hs.metadata.schema import ITEMS, Tree

_NEEDED = ("beam_current", "live_time", "live_time_pixels", "solid_angle")
# What stands behind a call in the place of the unit.
_HINTS = {"live_time_pixels": "or 'map'"}


def dose(metadata: Tree) -> float:
    """Return electrons of a pixel x share of the sphere that the detector covers.

    Parameters
    ----------
    metadata
        Metadata of a signal, with beam current (nA), live time (s), what that is the
        time of, and solid angle (sr).

    Raises
    ------
    ValueError
        If one of them is not known or not positive; the message names the calls that
        set what is missing.
    """
    values = _exposure(metadata)
    if missing := [ITEMS[name] for name, value in values.items() if not value > 0]:
        calls = [
            f"`{one.call()}` ({_HINTS.get(one.name, one.unit)})" for one in missing
        ]
        raise ValueError(
            "Amounts per area need the dose of a pixel, and not known is: "
            f"{', '.join(one.shown for one in missing)}. Set it with "
            f"{' and '.join(calls)}."
        )
    current, time, pixels, angle = values.values()
    electrons = 1e-9 * current / elementary_charge * time / pixels
    return electrons * angle / (4 * pi)


def has_dose(metadata: Tree) -> bool:
    """Whether all is known that `dose` needs."""
    return all(value > 0 for value in _exposure(metadata).values())


def _exposure(metadata: Tree) -> dict[str, float]:
    """Return name -> value of what `dose` needs, 0 for what is not known."""
    return {name: read(name, metadata) or 0.0 for name in _NEEDED}
