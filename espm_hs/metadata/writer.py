"""Analysis parameters that a user sets: checked, and written to HyperSpy metadata.

Where they are written, and how they are read back, says `parameters`.
"""

from __future__ import annotations

from collections.abc import Mapping

from espm_hs.metadata.checks import as_detector, check_parameter
from espm_hs.metadata.reader import EDS, NODE, check_node, sample_elements
from espm_hs.physics import Detector

# Parameters of the sample, with the unit that is written beside them.
SAMPLE_UNITS = {"thickness": "nm", "density": "g/cm3"}


def check_parameters(**given) -> dict:
    """Check analysis parameters and return them as what metadata can hold.

    Parameters
    ----------
    **given
        As `espm_hs.metadata.checks.CHECKS` names them; None: not given. The
        resolution that a `Detector` or its dictionary states goes to
        ``energy_resolution_MnKa``.

    Returns
    -------
    dict
        Metadata item -> value, for the parameters that were given.

    Raises
    ------
    ValueError, TypeError
        If a value is out of range, naming the parameter.
    """
    given = {name: value for name, value in given.items() if value is not None}
    checked = {name: check_parameter(name, value) for name, value in given.items()}
    items = {}
    for name, value in checked.items():
        if name in SAMPLE_UNITS:
            items[f"Sample.{name}"] = value
            items[f"Sample.{name}_units"] = SAMPLE_UNITS[name]
        else:
            items[f"{NODE}.{name}"] = value
    if _states_resolution(detector := given.get("detector")):
        items[f"{EDS}.energy_resolution_MnKa"] = as_detector(detector).resolution
    return items


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
    """Write checked parameters, replacing whole nodes and keeping the others.

    Raises
    ------
    ValueError
        If something else is where the parameters of this package belong.
    """
    check_node(metadata)
    for path, value in items.items():
        # a dictionary would be merged into the node that is there
        if metadata.has_item(path):
            parent, _, name = path.rpartition(".")
            delattr(metadata.get_item(parent), name)
        metadata.set_item(path, value)
