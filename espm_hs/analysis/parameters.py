"""Analysis parameters in HyperSpy metadata: written, read back, and made a model.

Where they live:

- ``Sample.elements`` (eXSpy's), ``Sample.thickness`` with ``thickness_units``,
  ``Sample.density`` with ``density_units``;
- ``Acquisition_instrument.TEM``: eXSpy's beam energy, angles and resolution;
- ``EDS_espm``: stray elements, split lines and detector.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from exspy.utils.eds import take_off_angle

from espm_hs.physics import Detector, SpectrumModel, atomic_number

NODE = "EDS_espm"
TEM = "Acquisition_instrument.TEM"
EDS = f"{TEM}.Detector.EDS"

# HyperSpy's own unit of Sample.thickness is the metre, in which a value without
# thickness_units is therefore read.
NM_PER_UNIT = {"nm": 1.0, "um": 1e3, "µm": 1e3, "cm": 1e7, "m": 1e9}


def check_parameters(
    *,
    thickness=None,
    density=None,
    stray_elements=None,
    split_lines=None,
    detector=None,
) -> dict:
    """Check analysis parameters and return them as what metadata can hold.

    Parameters
    ----------
    thickness
        Thickness of the sample in nm.
    density
        Density of the sample in g/cm3.
    stray_elements
        Symbols of elements of grid, holder and column.
    split_lines
        Which lines of an element count for its composition, see `SpectrumModel`.
    detector
        Name of a preset, `Detector`, or its dictionary.

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
    for name, value, unit in (
        ("thickness", thickness, "nm"),
        ("density", density, "g/cm3"),
    ):
        if value is None:
            continue
        if not (np.isscalar(value) and np.isreal(value) and 0 < value < np.inf):
            raise ValueError(
                f"`{name}` must be a positive number in {unit}, got {value!r}."
            )
        items[f"Sample.{name}"] = float(value)
        items[f"Sample.{name}_units"] = unit
    if stray_elements is not None:
        if isinstance(stray_elements, str):
            raise TypeError(
                "`stray_elements` must be a list of symbols such as ['Cu', 'C'], got "
                f"the string {stray_elements!r}."
            )
        for element in stray_elements:
            atomic_number(element)  # raises for what is no element
        items[f"{NODE}.stray_elements"] = [str(element) for element in stray_elements]
    if split_lines is not None:
        if not isinstance(split_lines, Mapping):
            raise TypeError(
                "`split_lines` must map elements to 'families', an energy in keV or "
                f"None, such as {{'Fe': 3.0}}; got {split_lines!r}."
            )
        for element in split_lines:
            atomic_number(element)
        items[f"{NODE}.split_lines"] = dict(split_lines)
    if detector is not None:
        items[f"{NODE}.detector"] = _as_detector(detector).to_dict()
    return items


def write_parameters(metadata, items: dict) -> None:
    """Write checked parameters, replacing whole nodes and keeping the others."""
    for path, value in items.items():
        # a dictionary would be merged into the node that is there
        if metadata.has_item(path):
            parent, _, name = path.rpartition(".")
            delattr(metadata.get_item(parent), name)
        metadata.set_item(path, value)


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
    """
    arguments = {
        "energy": energy_axis(axis),
        "beam_energy": beam_energy(metadata),
        "elements": sample_elements(metadata),
        "stray_elements": stray_elements(metadata),
        "split_lines": dict(_node(metadata, f"{NODE}.split_lines") or {}) or None,
        "detector": detector(metadata),
        "take_off_angle": _take_off_angle(metadata),
        "thickness": thickness(metadata),
        "density": metadata.get_item("Sample.density"),
    }
    arguments.update(overrides)
    _require(arguments)
    return SpectrumModel(**arguments)


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
    value = metadata.get_item(f"{TEM}.beam_energy")
    return None if value is None else float(value)


def sample_elements(metadata) -> list[str] | None:
    """Symbols of the elements of the sample, or None."""
    elements = metadata.get_item("Sample.elements")
    return None if elements is None else [str(element) for element in elements]


def stray_elements(metadata) -> list[str]:
    """Symbols of the stray elements."""
    stray = metadata.get_item(f"{NODE}.stray_elements")
    return [] if stray is None else [str(element) for element in stray]


def thickness(metadata) -> float | None:
    """Thickness of the sample in nm, or None."""
    value = metadata.get_item("Sample.thickness")
    if value is None:
        return None
    units = str(metadata.get_item("Sample.thickness_units") or "m")
    if units not in NM_PER_UNIT:
        raise ValueError(
            f"Sample.thickness_units is {units!r}; known are {list(NM_PER_UNIT)}. Set "
            "the thickness with `s.set_analysis_parameters(thickness=...)` (nm)."
        )
    return float(value) * NM_PER_UNIT[units]


def detector(metadata) -> Detector:
    """Detector of the metadata: what was set, else a windowless one.

    Its resolution is always the one of ``energy_resolution_MnKa``.
    """
    stored = _node(metadata, f"{NODE}.detector")
    found = Detector.preset("windowless") if stored is None else _as_detector(stored)
    resolution = metadata.get_item(f"{EDS}.energy_resolution_MnKa")
    if resolution is None:
        return found
    return _as_detector({**found.to_dict(), "resolution": float(resolution)})


def _as_detector(value) -> Detector:
    if isinstance(value, Detector):
        return value
    if isinstance(value, str):
        return Detector.preset(value)
    if isinstance(value, Mapping):
        return Detector.from_dict(dict(value))
    raise TypeError(
        "`detector` must be the name of a preset such as 'windowless', or an "
        f"espm_hs.physics.Detector; got {value!r}."
    )


def _node(metadata, path):
    """Item of metadata, nodes as dictionaries."""
    item = metadata.get_item(path)
    return item.as_dictionary() if hasattr(item, "as_dictionary") else item


def _take_off_angle(metadata) -> float | None:
    """Take-off angle in degrees from tilts and detector position, or None."""
    tilt = metadata.get_item(f"{TEM}.Stage.tilt_alpha")
    azimuth = metadata.get_item(f"{EDS}.azimuth_angle")
    elevation = metadata.get_item(f"{EDS}.elevation_angle")
    if None in (tilt, azimuth, elevation):
        return None
    beta = metadata.get_item(f"{TEM}.Stage.tilt_beta", 0.0)
    return float(take_off_angle(tilt, azimuth, elevation, beta))
