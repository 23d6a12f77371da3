"""What an analysis would use, in words: values, defaults, what is missing."""

from __future__ import annotations

import numpy as np

from espm_hs.analysis.parameters import (
    EDS,
    NODE,
    beam_energy,
    sample_elements,
    stray_elements,
    thickness,
)

# What eXSpy fills in when a file does not say, with the call that sets it.
EXSPY_DEFAULTS = {
    f"{EDS}.elevation_angle": (35.0, "elevation_angle"),
    f"{EDS}.azimuth_angle": (0.0, "azimuth_angle"),
    f"{EDS}.energy_resolution_MnKa": (130.0, "energy_resolution_MnKa"),
}


def describe(metadata, original_metadata) -> list[tuple[str, str, str]]:
    """List what an analysis would use: (name, value, remark).

    The remark says what is a default, what is missing and which call sets it.
    """
    rows = [_describe_beam(metadata), _describe_elements(metadata)]
    stray = stray_elements(metadata)
    rows.append(
        (
            "stray elements",
            ", ".join(stray) or "none",
            "" if stray else "s.set_analysis_parameters(stray_elements=['Cu'])",
        )
    )
    rows += _describe_sample(metadata)
    for path, (default, name) in EXSPY_DEFAULTS.items():
        value = metadata.get_item(path)
        remark = ""
        if value is None:
            remark = f"missing: s.set_microscope_parameters({name}=...)"
        elif float(value) == default:
            remark = (
                "eXSpy's default, perhaps not measured: "
                f"s.set_microscope_parameters({name}=...)"
            )
        rows.append((name, "-" if value is None else f"{float(value):g}", remark))
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


def _describe_elements(metadata):
    elements = sample_elements(metadata)
    if not elements:
        return ("elements", "-", "missing: s.set_elements(['O', 'Si'])")
    return ("elements", ", ".join(elements), "")


def _describe_sample(metadata):
    depth, density = thickness(metadata), metadata.get_item("Sample.density")
    remark = "missing, no absorption: s.set_analysis_parameters(thickness=, density=)"
    return [
        (
            "thickness",
            "-" if depth is None else f"{depth:g} nm",
            remark * (depth is None),
        ),
        (
            "density",
            "-" if density is None else f"{float(density):g} g/cm3",
            remark * (density is None),
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
