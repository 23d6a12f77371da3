"""Figure of a calibration."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from espm_hs.factorization import deviance_residuals, fit_spectrum
from espm_hs.plotting.spectra import draw_sigmas
from espm_hs.plotting.style import COLOURS


def plot_calibration(calibration, spectrum: np.ndarray) -> Figure:
    """Plot a spectrum with the models before and after a calibration.

    Parameters
    ----------
    calibration : espm_hs.analysis.Calibration
        Result of `EDSespmSpectrum.refine_calibration`.
    spectrum
        Counts, shape (n_channels,).

    Returns
    -------
    matplotlib.figure.Figure
        Above: counts and models. Below: what each model leaves, in standard deviations.
    """
    figure, (top, *bottoms) = plt.subplots(
        3, 1, figsize=(9, 7), height_ratios=[3, 1, 1], sharex=True, layout="constrained"
    )
    x = np.asarray(spectrum, dtype=float)
    shown = calibration.after.channels
    top.step(
        calibration.after.energy[shown], x[shown], where="mid", color="#A0A0A0", lw=1
    )
    models = {"before": calibration.before, "after": calibration.after}
    for (name, model), bottom, colour in zip(
        models.items(), bottoms, COLOURS[1::-1], strict=True
    ):
        used = model.channels
        _, y = fit_spectrum(model.G[used], x[used])
        # both on the calibrated axis, so that peaks stand above each other
        energy = calibration.after.energy[used]
        top.plot(energy, y, color=colour, lw=1, label=f"model {name}")
        residual = deviance_residuals(x[used], y)
        bottom.step(energy, residual, where="mid", color=colour, lw=0.7)
        draw_sigmas(bottom, residual)
        bottom.set_ylabel(f"{name} (σ)")
    top.set_yscale("log")
    top.set_ylim(bottom=max(0.5, 0.5 * np.median(x[shown])))
    top.set_ylabel("counts")
    top.legend(frameon=False)
    bottoms[-1].set_xlabel("energy (keV)")
    return figure
