"""Mass thickness from absorption alone, without a dose."""

from __future__ import annotations

from typing import cast

import numpy as np

from espm_hs.calibration.energy_scale import calibrate
from espm_hs.decomposition.self_consistency import (
    MAX_ROUNDS,
    self_consistent_model,
)
from espm_hs.physics import SpectrumModel

# A mass thickness has settled when it moves by less than this share of its error.
SETTLED = 0.1


def absorbing_mass_thickness(
    model: SpectrumModel, spectrum: np.ndarray
) -> tuple[float, float]:
    """Return the mass thickness that strongly and weakly absorbed lines imply.

    The absorbing composition is that of the spectrum, which in turn depends on the
    absorption, so both are found in turn.

    Parameters
    ----------
    model
        Physics; its own thickness is only a start.
    spectrum
        Summed counts, shape (n_channels,).

    Returns
    -------
    mass_thickness, error
        kg/m2; the error is that of the counts.
    """
    last = np.inf
    for _ in range(MAX_ROUNDS):
        fitted = calibrate(model, spectrum, ["mass_thickness"])
        used = model.channels
        settled = self_consistent_model(fitted.after, spectrum[used], used)
        model = cast(SpectrumModel, settled)
        value, error = fitted.after.mass_thickness, fitted.errors["mass_thickness"]
        if abs(value - last) < SETTLED * error:
            break
        last = value
    return value, error
