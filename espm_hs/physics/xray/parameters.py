"""What a spectrum may refine in a model: energy scale, peak width, absorption."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from espm_hs.physics.linear_model import Parameter

if TYPE_CHECKING:
    from espm_hs.physics.xray.model import SpectrumModel

# Unit, bounds and spread. Offset and gain are changes of the present axis, the noise
# is the part of the peak width that is not statistics.
_LIMITS = {
    "offset": ("eV", -150.0, 150.0, 30.0),
    "gain": ("%", -4.0, 4.0, 0.7),
    "noise": ("eV", 1.0, 160.0, 20.0),
    "fano_factor": ("", 0.08, 0.18, 0.01),
    "low_energy_shift": ("eV", 0.0, 100.0, 20.0),
    "mass_thickness": ("kg/m2", 1e-8, 0.05, 1e-3),
}
# kg/m2 from which the mass thickness of a model without one is refined.
_THIN = 1e-4


def model_parameters(model: SpectrumModel) -> dict[str, Parameter]:
    """Return the parameters of a model, by name.

    Parameters
    ----------
    model
        Physics.
    """
    detector = model.detector
    values = {
        "offset": 0.0,
        "gain": 0.0,
        "noise": float(detector.fwhm(0.0)),
        "fano_factor": detector.fano_factor,
        "low_energy_shift": detector.low_energy_shift,
        "mass_thickness": model.mass_thickness or _THIN,
    }
    return {name: Parameter(values[name], *_LIMITS[name]) for name in _LIMITS}


def parameter_arguments(
    model: SpectrumModel, values: Mapping[str, float]
) -> dict[str, Any]:
    """Return the arguments of `SpectrumModel` that parameters stand for.

    Parameters
    ----------
    model
        Physics.
    values
        By name, in the units of `model_parameters`; those that are not named stay.

    Raises
    ------
    ValueError
        If a name is unknown.
    """
    if unknown := sorted(set(values) - set(_LIMITS)):
        raise ValueError(f"This model has no parameters {unknown}.")
    value = {name: one.value for name, one in model_parameters(model).items()} | dict(
        values
    )
    arguments: dict[str, Any] = {}
    if values.keys() & {"offset", "gain"}:
        first, second = model.energy[:2]
        step = (second - first) * (1 + 1e-2 * value["gain"])
        channels = np.arange(model.energy.size)
        arguments["energy"] = first + 1e-3 * value["offset"] + step * channels
    if values.keys() & {"noise", "fano_factor", "low_energy_shift"}:
        arguments["detector"] = model.detector.with_noise(
            float(value["noise"]),
            fano_factor=float(value["fano_factor"]),
            low_energy_shift=float(value["low_energy_shift"]),
        )
    if "mass_thickness" in values:
        # any thickness will do: only its product with the density absorbs
        arguments["thickness"] = 1e6 * float(value["mass_thickness"])
        arguments["density"] = 1.0
    return arguments
