"""Analysis parameters one by one: what each can be, as what metadata can hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from numbers import Real
from typing import Any

import numpy as np

from espm_hs.arguments import check_mapping
from espm_hs.physics import Detector
from espm_hs.physics.xray.checks import (
    checked_angles,
    checked_elements,
    checked_line_factors,
    checked_spectrum,
    checked_split,
)

# g/cm3; osmium has 22.6.
MAX_DENSITY = 30.0
# nm, 1 mm: no electron passes, so a larger value is in another unit than it says.
MAX_THICKNESS = 1e6


def check_parameter(name: str, value: Any) -> Any:
    """Check an analysis parameter and return it as what metadata can hold.

    Parameters
    ----------
    name
        One of `CHECKS`.
    value
        As `EDSespmSpectrum.set_analysis_parameters` takes it.

    Raises
    ------
    ValueError, TypeError
        If the value makes no sense, naming the parameter.
    """
    return CHECKS[name](value)


def as_detector(value: Detector | str | Mapping) -> Detector:
    """Detector of a preset's name or a dictionary, or the one that it is.

    Raises
    ------
    ValueError, TypeError
        If it is none of these, or out of range.
    """
    if isinstance(value, Detector):
        return value
    if isinstance(value, str):
        return Detector.preset(value)
    if isinstance(value, Mapping):
        return Detector.from_dict(value)
    raise TypeError(
        "`detector` must be the name of a preset such as 'windowless', or an "
        f"espm_hs.physics.Detector; got {value!r}."
    )


def _positive(name: str, unit: str, most: float, value) -> float:
    """Check a number; True is none."""
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if not (is_number and 0 < value < np.inf):
        raise ValueError(
            f"`{name}` must be a positive number in {unit}, got {value!r}."
        )
    if value > most:
        raise ValueError(f"`{name}` must be at most {most:g} {unit}, got {value!r}.")
    return float(value)


def _spectra(value) -> dict[str, np.ndarray]:
    """Spectra by label; whether they fit the axis, the model says."""
    check_mapping("extra_spectra", value, "labels to spectra over the channels")
    return {label: checked_spectrum(label, one) for label, one in value.items()}


# Name -> what checks the value and makes it plain.
CHECKS: dict[str, Callable[[Any], Any]] = {
    "thickness": partial(_positive, "thickness", "nm", MAX_THICKNESS),
    "density": partial(_positive, "density", "g/cm3", MAX_DENSITY),
    "stray_elements": lambda value: list(checked_elements(value, "`stray_elements`")),
    "split_lines": checked_split,
    "detector": lambda value: as_detector(value).to_dict(),
    "line_factors": checked_line_factors,
    "minimum_energy": partial(_positive, "minimum_energy", "keV", 100.0),
    "take_off_angle": lambda value: np.atleast_1d(checked_angles(value)).tolist(),
    "extra_spectra": _spectra,
    "solid_angle": partial(_positive, "solid_angle", "sr", 4 * np.pi),
    "live_time_pixels": partial(_positive, "live_time_pixels", "pixels", np.inf),
}
