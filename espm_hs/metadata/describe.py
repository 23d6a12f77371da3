"""What an analysis would use, in words: values, defaults, what is missing."""

from __future__ import annotations

import numpy as np

from espm_hs.metadata.reader import (
    EDS,
    NODE,
    USUAL_RESOLUTION,
    beam_energy,
    density,
    energy_axis,
    microscope_number,
    sample_elements,
    stray_elements,
    thickness,
)
from espm_hs.physics import SpectrumModel
from espm_hs.physics.xray.emission import check_beam_energy

# What eXSpy fills in when a file does not say, with its unit.
EXSPY_DEFAULTS = {
    "elevation_angle": (35.0, "degrees"),
    "azimuth_angle": (0.0, "degrees"),
    "energy_resolution_MnKa": (USUAL_RESOLUTION, "eV"),
}


def describe(metadata, original_metadata, axis=None) -> list[tuple[str, str, str]]:
    """List what an analysis would use: (name, value, remark).

    The remark says what is a default, what is missing and which call sets it.

    Parameters
    ----------
    metadata, original_metadata
        Of an EDS signal.
    axis
        Its energy axis, to name elements that have no line on it; None: not checked.

    Raises
    ------
    ValueError
        If a number in the metadata is none.
    """
    rows = [_describe_beam(metadata)]
    rows += _describe_elements(metadata, axis)
    rows += _describe_sample(metadata)
    for name, (default, unit) in EXSPY_DEFAULTS.items():
        value = microscope_number(metadata, f"{EDS}.{name}", name, unit)
        remark = ""
        if value is None:
            remark = f"missing: s.set_microscope_parameters({name}=...)"
        elif value == default:
            remark = (
                "eXSpy's default, perhaps not measured: "
                f"s.set_microscope_parameters({name}=...)"
            )
        rows.append((name, "-" if value is None else f"{value:g}", remark))
    rows += _describe_velox(metadata, original_metadata)
    stored = metadata.has_item(f"{NODE}.detector")
    rows.append(
        (
            "detector",
            "as set" if stored else "windowless SDD",
            "" if stored else "default: s.set_analysis_parameters(detector=...)",
        )
    )
    return rows


def _describe_beam(metadata):
    energy = beam_energy(metadata)
    if energy is None:
        call = "s.set_microscope_parameters(beam_energy=200)"
        return ("beam energy", "-", f"missing: {call}")
    return ("beam energy", f"{energy:g} keV", "")


def _describe_elements(metadata, axis):
    elements, stray = sample_elements(metadata) or [], stray_elements(metadata)
    remarks = ["missing: s.set_elements(['O', 'Si'])"] * (not elements)
    remarks += _unseen(metadata, axis, elements, "s.set_elements({})")
    call = "s.set_analysis_parameters(stray_elements={})"
    stray_remarks = [call.format(["Cu"])] * (not stray)
    stray_remarks += _unseen(metadata, axis, stray, call)
    return [
        ("elements", ", ".join(elements) or "-", "".join(remarks)),
        ("stray elements", ", ".join(stray) or "none", "".join(stray_remarks)),
    ]


def _unseen(metadata, axis, elements, call):
    """Remark on elements without a line, none or one, with the call that drops them."""
    lost = _without_a_line(metadata, axis, elements)
    if not lost:
        return []
    kept = [element for element in elements if element not in lost]
    advice = f": {call.format(kept)}" if kept else ""
    return [f"no line of {', '.join(lost)} in the energy range{advice}"]


def _without_a_line(metadata, axis, elements):
    """Those of the elements that a model of this axis would not take."""
    if axis is None:
        return []
    try:
        energy, beam = energy_axis(axis), check_beam_energy(beam_energy(metadata))
    except (TypeError, ValueError):  # an axis or a beam that no model takes
        return []
    lost = []
    for element in elements:
        try:
            SpectrumModel(energy, beam, [element], background=False)
        except ValueError:
            lost.append(element)
    return lost


def _describe_sample(metadata):
    depth, mean_density = thickness(metadata), density(metadata)
    remark = "missing, no absorption: s.set_analysis_parameters(thickness=, density=)"
    return [
        (
            "thickness",
            "-" if depth is None else f"{depth:g} nm",
            remark * (depth is None),
        ),
        (
            "density",
            "-" if mean_density is None else f"{mean_density:g} g/cm3",
            remark * (mean_density is None),
        ),
    ]


def _describe_velox(metadata, original_metadata):
    """Velox files state the detector's elevation where HyperSpy does not look."""
    detectors = original_metadata.get_item("Detectors")
    if detectors is None:
        return []
    angles = []
    for _, node in detectors:
        angle = node.get_item("ElevationAngle") if hasattr(node, "get_item") else None
        if angle is not None:
            angles.append(np.degrees(float(angle)))
    used = metadata.get_item(f"{EDS}.elevation_angle")
    angles = [angle for angle in angles if angle > 0]
    if not angles or used is None or abs(angles[0] - float(used)) < 0.5:
        return []
    return [
        (
            "elevation in the file's header",
            f"{angles[0]:.1f}",
            f"not used: s.set_microscope_parameters(elevation_angle={angles[0]:.1f})",
        )
    ]
