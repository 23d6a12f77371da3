"""Figure of the fit: summed spectrum, its model, and what is left."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from espm_hs.factorization import summed_spectrum
from espm_hs.plotting.results import column_weights, fitted_pixels, read_results
from espm_hs.plotting.spectra import (
    draw_labels,
    draw_sigmas,
    energy_limits,
    find_peaks,
    set_heights,
)
from espm_hs.plotting.style import GREY, phase_colour


def plot_fit(signal) -> Figure:
    """
    Plot the summed spectrum of the fitted pixels, its model, and what is left.

    Parameters
    ----------
    signal : EDSespmSpectrum
        With a decomposition by ``algorithm="espm"``.

    Returns
    -------
    matplotlib.figure.Figure
        Above: counts, model, the part of each phase and the background. Below: counts
        minus model in units of the standard deviation, the root of the model.

    Raises
    ------
    RuntimeError
        If the signal has no such decomposition.
    """
    found, loadings = read_results(signal)
    totals = np.nansum(loadings, axis=0)
    counts = summed_spectrum(signal.data, fitted_pixels(loadings))
    fitted = found.spectra @ totals
    figure, (top, bottom) = plt.subplots(
        2, 1, figsize=(9, 5.6), height_ratios=[3, 1], sharex=True, layout="constrained"
    )
    _draw_model(top, found, totals, counts, fitted)
    _draw_residual(bottom, found.model.energy, counts, fitted)
    return figure


def _draw_model(axes, found, totals, counts, fitted) -> None:
    """Draw data, model and the parts of the model, with labelled lines."""
    energy, used = found.model.energy, found.channels
    weights = column_weights(found) * totals
    peaks = find_peaks(found, np.einsum("jec,cj->ec", found.G, weights))
    axes.step(energy, counts, where="mid", color="#A0A0A0", lw=1, label="data")
    axes.plot(energy, fitted, color="black", lw=1, label="model")
    # a single phase would hide the model
    for j in range(found.n_phases if found.n_phases > 1 else 0):
        part = found.spectra[:, j] * totals[j]
        axes.plot(energy, part, color=phase_colour(j), lw=1, label=found.labels[j])
    background = [column.kind == "background" for column in found.model.columns]
    # where the components are elements, it is one of them
    if any(background) and not found.knowledge.single_elements:
        level = np.einsum("jec,cj->e", found.G[..., background], weights[background])
        level[~used] = np.nan
        axes.plot(energy, level, color=GREY, lw=1, ls="--", label="background")
    set_heights(axes, np.where(used, np.fmax(counts, fitted), np.nan), peaks)
    axes.set_xlim(energy_limits(found, [peaks]))
    draw_labels(axes, peaks, width=8.2)
    axes.set_ylabel("counts")
    axes.legend(
        fontsize="small", frameon=False, loc="upper left", bbox_to_anchor=(1, 1)
    )


def _draw_residual(axes, energy, counts, fitted) -> None:
    """Draw counts minus model in standard deviations."""
    with np.errstate(invalid="ignore", divide="ignore"):
        residual = (counts - fitted) / np.sqrt(fitted)
    axes.step(energy, residual, where="mid", color="black", lw=0.7)
    draw_sigmas(axes, residual)
    axes.set_xlabel("energy (keV)")
    axes.set_ylabel("residual (σ)")
