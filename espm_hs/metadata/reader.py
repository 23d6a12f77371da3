"""Analysis parameters in HyperSpy metadata, read and made a model.

Where they live:

- ``Sample.elements`` (eXSpy's), ``Sample.thickness`` with ``thickness_units``,
  ``Sample.density`` with ``density_units``;
- ``Acquisition_instrument.TEM``: eXSpy's beam energy, angles and resolution;
- ``EDS_espm``: stray elements, split and rescaled lines, detector, take-off angles of
  several detectors, the energy from which spectra are fitted, spectra of a background,
  solid angle, number of pixels that the live time is for.

Where a file of the package espm says it in another way, `espm_files` reads it. What a
user sets is written by `set_parameters`; `parameter_checks` knows what it can be.
"""

from __future__ import annotations

import inspect

import numpy as np
from exspy.utils.eds import take_off_angle

from espm_hs.metadata.checks import (
    MAX_DENSITY,
    MAX_THICKNESS,
    as_detector,
    check_parameter,
)
from espm_hs.metadata.quirks import espm_package
from espm_hs.physics import Detector, SpectrumModel

NODE = "EDS_espm"
TEM = "Acquisition_instrument.TEM"
EDS = f"{TEM}.Detector.EDS"

# HyperSpy's own unit of Sample.thickness is the metre, in which a value without
# thickness_units is therefore read.
NM_PER_UNIT = {"nm": 1.0, "um": 1e3, "µm": 1e3, "cm": 1e7, "m": 1e9}
# eXSpy's, where a file does not say; eV.
USUAL_RESOLUTION = 130.0


def energy_axis(axis) -> np.ndarray:
    """Channel centres in keV of a HyperSpy signal axis.

    Raises
    ------
    ValueError
        If the axis is not uniform and increasing, or its units are not of energy.
    """
    if not axis.is_uniform or axis.scale <= 0:
        raise ValueError(
            "The energy axis must be uniform and increasing. Interpolate the data "
            "with `s.interpolate_on_axis` or set its scale with "
            "`s.axes_manager[-1].scale`."
        )
    try:
        in_kev = {"ev": 1e-3, "kev": 1.0, "mev": 1e3}[str(axis.units).strip().lower()]
    except KeyError:
        raise ValueError(
            f"The units of the energy axis are {axis.units!r}; needed is 'keV' or "
            "'eV'. Set them with `s.axes_manager[-1].units = 'keV'`."
        ) from None
    return (axis.offset + axis.scale * np.arange(axis.size)) * in_kev


def build_model(metadata, axis, **overrides) -> SpectrumModel:
    """Return the `SpectrumModel` that metadata and energy axis describe.

    Parameters
    ----------
    metadata
        Metadata of an EDS signal in eXSpy's layout.
    axis
        Its energy axis.
    **overrides
        Arguments of `SpectrumModel` that take the place of the metadata's.

    Raises
    ------
    ValueError
        If elements or beam energy are missing or a value makes no sense; the message
        names the call that sets it.
    TypeError
        If `SpectrumModel` has no such argument.
    """
    check_node(metadata)
    known = inspect.signature(SpectrumModel).parameters
    if unknown := [name for name in overrides if name not in known]:
        raise TypeError(
            f"A model does not know {', '.join(map(repr, unknown))}. It takes "
            f"{', '.join(known)}."
        )
    arguments = {
        "energy": energy_axis(axis),
        "beam_energy": beam_energy(metadata),
        "elements": sample_elements(metadata),
        "stray_elements": stray_elements(metadata),
        "split_lines": _split_lines(metadata),
        "detector": detector(metadata),
        "thickness": thickness(metadata),
        "density": density(metadata),
    }
    for name in ("line_factors", "minimum_energy", "take_off_angle", "extra_spectra"):
        if (value := _stored(metadata, name)) is not None:
            arguments[name] = value
    arguments.update(overrides)
    if "take_off_angle" not in arguments:
        arguments["take_off_angle"] = _take_off_angle(metadata)
    _require(arguments)
    return SpectrumModel(**arguments)


def check_node(metadata) -> None:
    """Raise ValueError if something else is where this package keeps its own."""
    node = metadata.get_item(NODE)
    if node is not None and not hasattr(node, "as_dictionary"):
        raise ValueError(
            f"{NODE} in the metadata is {node!r}; needed is a node with the parameters "
            f"of the analysis. Remove it with `del s.metadata.{NODE}`."
        )


def _require(arguments):
    """Raise ValueError for what a model cannot do without."""
    elements = arguments["elements"]
    if elements is None or len(elements) == 0:
        raise ValueError(
            "No elements are set, so there is nothing to look for. Set those of the "
            "sample with `s.set_elements(['O', 'Si', ...])`."
        )
    if arguments["beam_energy"] is None:
        raise ValueError(
            "The beam energy is not set. Set it with "
            "`s.set_microscope_parameters(beam_energy=200)` (keV)."
        )
    if (arguments["thickness"] is None) != (arguments["density"] is None):
        missing = "thickness" if arguments["thickness"] is None else "density"
        given = "density" if missing == "thickness" else "thickness"
        raise ValueError(
            f"The sample has a {given} but no {missing}, and self-absorption needs "
            f"both. Set it with `s.set_analysis_parameters({missing}=...)` "
            "(thickness in nm, density in g/cm3)."
        )
    if arguments["thickness"] is not None and arguments["take_off_angle"] is None:
        raise ValueError(
            "Self-absorption needs the take-off angle. Set the detector's angles with "
            "`s.set_microscope_parameters(elevation_angle=..., azimuth_angle=..., "
            "tilt_stage=...)`."
        )


def beam_energy(metadata) -> float | None:
    """Beam energy in keV, or None."""
    call = "s.set_microscope_parameters(beam_energy=200)"
    return number(metadata, f"{TEM}.beam_energy", call, "keV")


def sample_elements(metadata) -> list[str] | None:
    """Symbols of the elements of the sample, or None.

    Raises
    ------
    ValueError
        If they are something else than texts.
    """
    elements = _item(metadata, "Sample.elements")
    if elements is None:
        return None
    if isinstance(elements, str):
        return [elements]  # a list of one, of which some writers make a text
    if not isinstance(elements, list | tuple | np.ndarray):
        raise ValueError(
            f"Sample.elements in the metadata is {elements!r}; needed is a list of "
            "symbols. Set them with `s.set_elements(['O', 'Si', ...])`."
        )
    return [str(element) for element in elements]


def stray_elements(metadata) -> list[str]:
    """Symbols of the stray elements."""
    stray = _stored(metadata, "stray_elements")
    return espm_package.stray_elements(metadata) if stray is None else stray


def _split_lines(metadata) -> dict | None:
    """Which lines of elements count, or None."""
    stored = _stored(metadata, "split_lines")
    split = espm_package.split_lines(metadata) if stored is None else stored
    return split or None


def solid_angle(metadata) -> float | None:
    """Solid angle of the detector in sr, or None."""
    call = "s.set_analysis_parameters(solid_angle=0.7)"
    found = number(metadata, f"{NODE}.solid_angle", call, "sr")
    return espm_package.solid_angle(metadata) if found is None else found


def thickness(metadata) -> float | None:
    """Thickness of the sample in nm, or None.

    Raises
    ------
    ValueError
        If it is no number, in an unknown unit, or more than 1 mm.
    """
    call = "s.set_analysis_parameters(thickness=...)"
    value = _not_negative(metadata, "Sample.thickness", call, "nm")
    if value is None:
        return None
    stated = metadata.get_item("Sample.thickness_units")
    unstated = "cm" if espm_package.is_from_espm(metadata) else "m"
    units = str(stated or unstated)
    if units not in NM_PER_UNIT:
        raise ValueError(
            f"Sample.thickness_units is {units!r}; known are {list(NM_PER_UNIT)}. Set "
            f"the thickness with `{call}` (nm)."
        )
    in_nm = value * NM_PER_UNIT[units]
    if in_nm > MAX_THICKNESS:
        hint = "" if stated else "Without thickness_units it is read in metres. "
        raise ValueError(
            f"Sample.thickness is {value:g} {units}, which no electron passes. {hint}"
            f"Set it with `{call}` (nm)."
        )
    return in_nm


def density(metadata) -> float | None:
    """Density of the sample in g/cm3, or None."""
    call = "s.set_analysis_parameters(density=...)"
    value = _not_negative(metadata, "Sample.density", call, "g/cm3")
    if value is not None and value > MAX_DENSITY:
        raise ValueError(
            f"Sample.density in the metadata is {value:g}, more than any matter has. "
            f"Set it with `{call}` (g/cm3)."
        )
    return value


def _not_negative(metadata, path, call, unit) -> float | None:
    """As `number`, from 0 up."""
    value = number(metadata, path, call, unit)
    if value is not None and value < 0:
        raise ValueError(
            f"{path} in the metadata is {value:g}, which is negative. Set it with "
            f"`{call}` ({unit})."
        )
    return value


def number(metadata, path: str, call: str, unit: str) -> float | None:
    """Read a number from metadata, or None.

    Parameters
    ----------
    metadata
        Of a signal.
    path
        Of the item.
    call
        What sets the item, for the message.
    unit
        Of the number, for the message.

    Raises
    ------
    ValueError
        If the item is something else than a finite number.
    """
    value = _item(metadata, path)
    if value is None:
        return None
    try:
        found = np.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        found = np.nan
    if not np.isfinite(found):
        raise ValueError(
            f"{path} in the metadata is {value!r}; needed is a number in {unit}. Set "
            f"it with `{call}` ({unit})."
        )
    return found


def microscope_number(metadata, path: str, name: str, unit: str) -> float | None:
    """As `number`, for what `set_microscope_parameters` sets by name."""
    call = f"s.set_microscope_parameters({name}=...)"
    return number(metadata, path, call, unit)


def detector(metadata) -> Detector:
    """Detector of the metadata: what was set, else a windowless one.

    Its resolution is always the one of ``energy_resolution_MnKa``.
    """
    stored = _stored(metadata, "detector")
    found = Detector.preset("windowless") if stored is None else as_detector(stored)
    name = "energy_resolution_MnKa"
    resolution = microscope_number(metadata, f"{EDS}.{name}", name, "eV")
    if resolution in (None, USUAL_RESOLUTION):
        resolution = espm_package.resolution(metadata) or resolution
    return found if resolution is None else found.replace(resolution=resolution)


def _stored(metadata, name: str):
    """Parameter of `set_analysis_parameters`, or None.

    Raises
    ------
    ValueError
        If it is none that could be set: metadata can come from others.
    """
    value = _item(metadata, f"{NODE}.{name}")
    if value is None:
        return None
    if name == "stray_elements" and isinstance(value, str):
        value = [value]  # a list of one, of which some writers make a text
    try:
        return check_parameter(name, value)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{NODE}.{name} in the metadata cannot be used. {error} Set it with "
            f"`s.set_analysis_parameters({name}=...)`."
        ) from None


def _item(metadata, path: str):
    """Item of the metadata or None, nodes as dictionaries."""
    item = metadata.get_item(path)
    return item.as_dictionary() if hasattr(item, "as_dictionary") else item


def detector_angles(metadata) -> tuple[float | None, ...]:
    """Stage tilt, azimuth, elevation and second tilt in degrees, None where unknown.

    In the order in which `exspy.utils.eds.take_off_angle` takes them.
    """
    tilt, azimuth, elevation = (
        microscope_number(metadata, path, name, "degrees")
        for path, name in (
            (f"{TEM}.Stage.tilt_alpha", "tilt_stage"),
            (f"{EDS}.azimuth_angle", "azimuth_angle"),
            (f"{EDS}.elevation_angle", "elevation_angle"),
        )
    )
    path = f"{TEM}.Stage.tilt_beta"
    beta = number(metadata, path, f"s.metadata.set_item('{path}', 0.0)", "degrees")
    return tilt, azimuth, elevation, beta or 0.0


def _take_off_angle(metadata) -> float | None:
    """Take-off angle in degrees, or None if an angle is missing."""
    angles = detector_angles(metadata)
    if None in angles:
        return espm_package.take_off_angle(metadata)
    found = float(take_off_angle(*angles))
    if not 0 < found <= 90:
        tilt, azimuth, elevation, beta = angles
        raise ValueError(
            f"An elevation of {elevation:g}, an azimuth of {azimuth:g} and stage tilts "
            f"of {tilt:g} and {beta:g} degrees make a take-off angle of {found:.3g}; "
            "needed is one above 0 up to 90. Set them with "
            "`s.set_microscope_parameters(elevation_angle=..., azimuth_angle=..., "
            "tilt_stage=...)`, or the angle itself with "
            "`s.set_analysis_parameters(take_off_angle=...)`."
        )
    return found
