"""Analysis parameters that a user sets: checked, and written to HyperSpy metadata.

Where they are written, and how they are read back, says `parameters`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from numbers import Real

import numpy as np

from espm_hs.analysis.parameters import (
    EDS,
    MAX_THICKNESS,
    NODE,
    as_detector,
    sample_elements,
)
from espm_hs.physics import Detector
from espm_hs.physics.checks import checked_angles
from espm_hs.physics.columns import checked_elements, checked_split
from espm_hs.physics.line_names import checked_line_factors


def check_parameters(
    *,
    thickness=None,
    density=None,
    stray_elements=None,
    split_lines=None,
    detector=None,
    line_factors=None,
    minimum_energy=None,
    take_off_angle=None,
    extra_spectra=None,
    solid_angle=None,
    live_time_pixels=None,
) -> dict:
    """Check analysis parameters and return them as what metadata can hold.

    Parameters
    ----------
    thickness
        Thickness of the sample in nm.
    density
        Density of the sample in g/cm3.
    stray_elements
        Symbols or atomic numbers of elements of grid, holder and column.
    split_lines
        Which lines of an element count for its composition, see `SpectrumModel`.
    detector
        Name of a preset, `Detector`, or its dictionary. The resolution that the last
        two state goes to ``energy_resolution_MnKa``.
    line_factors
        Family of lines -> factor on its emission, see `SpectrumModel`.
    minimum_energy
        Energy in keV from which spectra are fitted.
    take_off_angle
        Angle in degrees, or one for each detector.
    extra_spectra
        Label -> spectrum of a background, see `SpectrumModel`.
    solid_angle
        Of the detector, sr.
    live_time_pixels
        Number of pixels that the live time of the metadata is for.

    Returns
    -------
    dict
        Metadata item -> value, for the parameters that were given.

    Raises
    ------
    ValueError, TypeError
        If a value is out of range, naming the parameter.
    """
    items = {}
    for name, value, unit, most in (
        ("thickness", thickness, "nm", MAX_THICKNESS),
        ("density", density, "g/cm3", np.inf),
    ):
        if value is not None:
            items[f"Sample.{name}"] = _positive(name, value, unit, most)
            items[f"Sample.{name}_units"] = unit
    if stray_elements is not None:
        items[f"{NODE}.stray_elements"] = _symbols(stray_elements)
    if split_lines is not None:
        if not isinstance(split_lines, Mapping):
            raise TypeError(
                "`split_lines` must map elements to 'families', an energy in keV or "
                f"None, such as {{'Fe': 3.0}}; got {split_lines!r}."
            )
        items[f"{NODE}.split_lines"] = checked_split(split_lines)
    if detector is not None:
        found = as_detector(detector)
        items[f"{NODE}.detector"] = found.to_dict()
        if _states_resolution(detector):
            items[f"{EDS}.energy_resolution_MnKa"] = float(found.resolution)
    if line_factors is not None:
        items[f"{NODE}.line_factors"] = checked_line_factors(line_factors)
    if minimum_energy is not None:
        items[f"{NODE}.minimum_energy"] = _positive(
            "minimum_energy", minimum_energy, "keV", 100.0
        )
    for name, value, unit, most in (
        ("solid_angle", solid_angle, "sr", 4 * np.pi),
        ("live_time_pixels", live_time_pixels, "pixels", np.inf),
    ):
        if value is not None:
            items[f"{NODE}.{name}"] = _positive(name, value, unit, most)
    if take_off_angle is not None:
        angles = checked_angles(take_off_angle)
        items[f"{NODE}.take_off_angle"] = np.atleast_1d(angles).tolist()
    if extra_spectra is not None:
        items[f"{NODE}.extra_spectra"] = {
            str(label): np.asarray(spectrum, dtype=float)
            for label, spectrum in extra_spectra.items()
        }
    return items


def _positive(name, value, unit, most) -> float:
    """Check a number that the user gives; True is none."""
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if not (is_number and 0 < value < np.inf):
        raise ValueError(
            f"`{name}` must be a positive number in {unit}, got {value!r}."
        )
    if value > most:
        raise ValueError(f"`{name}` must be at most {most:g} {unit}, got {value!r}.")
    return float(value)


def _symbols(stray_elements) -> list[str]:
    """Check the symbols that the user gives."""
    if not isinstance(stray_elements, Iterable):
        raise TypeError(
            "`stray_elements` must be a list of symbols such as ['Cu', 'C'], got "
            f"{stray_elements!r}."
        )
    return list(checked_elements(stray_elements, "`stray_elements`"))


def _states_resolution(detector) -> bool:
    """Whether a resolution comes with the detector: not with the name of a preset."""
    return isinstance(detector, Detector) or (
        isinstance(detector, Mapping) and "resolution" in detector
    )


def check_stray(metadata, stray) -> None:
    """Raise ValueError for stray elements that the sample has, too."""
    sample = sample_elements(metadata) or []
    if both := [element for element in stray if element in sample]:
        names = ", ".join(both)
        raise ValueError(
            f"{names} cannot be both in the sample and stray: the same lines would "
            f"count twice. Leave {names} out of `stray_elements`, or set the elements "
            "of the sample without it first, with `s.set_elements([...])`."
        )


def check_calibration(metadata, parameters) -> None:
    """Raise ValueError if what is to be calibrated could not be written.

    A mass thickness becomes a thickness by the density.
    """
    if "mass_thickness" in parameters and metadata.get_item("Sample.density") is None:
        raise ValueError(
            "To write a fitted mass thickness as a thickness the density is needed: "
            "set it with `s.set_analysis_parameters(thickness=..., density=...)` (nm, "
            "g/cm3)."
        )


def calibrated_parameters(metadata, found) -> dict:
    """Metadata items that a `Calibration` changes, but for the energy axis."""
    after = found.after
    items = check_parameters(detector=after.detector)
    if after.minimum_energy != found.before.minimum_energy:
        items |= check_parameters(minimum_energy=after.minimum_energy)
    if "mass_thickness" in found.errors:
        density = float(metadata.get_item("Sample.density"))
        # kg/m2 over g/cm3 is 1e-3 m
        items |= check_parameters(thickness=1e6 * after.mass_thickness / density)
    return items


def write_parameters(metadata, items: dict) -> None:
    """Write checked parameters, replacing whole nodes and keeping the others."""
    for path, value in items.items():
        # a dictionary would be merged into the node that is there
        if metadata.has_item(path):
            parent, _, name = path.rpartition(".")
            delattr(metadata.get_item(parent), name)
        metadata.set_item(path, value)
