"""Analysis parameters that a user sets: checked, and written to HyperSpy metadata."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from espm_hs.metadata.provenance import calibration_record
from espm_hs.metadata.reader import density, kev_per_unit, read
from espm_hs.metadata.schema import ITEMS, NODE, Tree, as_detector
from espm_hs.metadata.transaction import AllOrNothing, write_parameters


def check_parameters(**given: Any) -> dict[str, Any]:
    """Check analysis parameters and return them as what metadata can hold.

    Parameters
    ----------
    **given
        Values by the names of the schema; None: not given. The resolution that a
        `Detector` or its dictionary states goes to ``energy_resolution_MnKa``, that of
        a preset does not.

    Returns
    -------
    dict
        Path in the metadata -> value, for the parameters that were given.

    Raises
    ------
    ValueError, TypeError
        If a value is out of range, naming the parameter.
    """
    items = {}
    for name, value in given.items():
        if value is None:
            continue
        known = ITEMS[name]
        items[known.path] = known.given(value)
        if known.path.startswith("Sample."):
            items[f"{known.path}_units"] = known.unit
    detector = given.get("detector")
    if detector is None or isinstance(detector, str):
        return items
    if not isinstance(detector, Mapping) or "resolution" in detector:
        path = ITEMS["energy_resolution_MnKa"].path
        items[path] = as_detector(detector).resolution
    return items


def check_stray(metadata: Tree, stray: Iterable[str]) -> None:
    """Raise ValueError for stray elements that the sample has, too."""
    sample = read("elements", metadata) or []
    if both := [element for element in stray if element in sample]:
        names = ", ".join(both)
        raise ValueError(
            f"{names} cannot be both in the sample and stray: the same lines would "
            f"count twice. Leave {names} out of `stray_elements`, or set the elements "
            "of the sample without it first, with `s.set_elements([...])`."
        )


def check_calibration(metadata: Tree, parameters: Collection[str]) -> None:
    """Raise ValueError if what is to be calibrated could not be written.

    A mass thickness becomes a thickness by the density.
    """
    if "mass_thickness" in parameters and density(metadata) is None:
        raise ValueError(
            "To write a fitted mass thickness as a thickness the density is needed: "
            "set it with `s.set_analysis_parameters(thickness=..., density=...)` (nm, "
            "g/cm3)."
        )


def calibrated_parameters(metadata: Tree, found: Any) -> dict[str, Any]:
    """Return the items that a `Calibration` changes, but for the energy axis."""
    after = found.after
    items = check_parameters(detector=after.detector)
    if after.minimum_energy != found.before.minimum_energy:
        items |= check_parameters(minimum_energy=after.minimum_energy)
    if "mass_thickness" in found.errors:
        # kg/m2 over g/cm3 is 1e-3 m
        thickness = 1e6 * after.mass_thickness / density(metadata)
        items |= check_parameters(thickness=thickness)
    return items


def write_calibration(signal: Any, found: Any) -> None:
    """Write a `Calibration` to energy axis and metadata of a signal, or nothing."""
    axis = signal.axes_manager.signal_axes[0]
    unit = kev_per_unit(axis)
    first, second = found.after.energy[:2]
    items = calibrated_parameters(signal.metadata, found)
    items[f"{NODE}.calibration"] = calibration_record(found)
    with AllOrNothing(signal):
        axis.offset, axis.scale = float(first) / unit, float(second - first) / unit
        write_parameters(signal.metadata, items)
