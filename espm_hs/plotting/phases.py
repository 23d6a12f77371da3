"""Figure of the phases: map, spectrum and composition of each."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from espm_hs.physics import atomic_number
from espm_hs.plotting.maps import draw_navigation
from espm_hs.plotting.results import column_weights, read_results
from espm_hs.plotting.spectra import draw_labels, energy_limits, find_peaks, set_heights
from espm_hs.plotting.style import as_text, phase_colour
from espm_hs.quantification.composition import to_percent

# Widths of the columns of the figure, inches.
_MAP_WIDTH, _SPECTRUM_WIDTH, _BARS_WIDTH = 2.9, 4.8, 2.6


def plot_phases(signal) -> Figure:
    """
    Plot map, spectrum and composition of each phase.

    Parameters
    ----------
    signal : EDSespmSpectrum
        With a decomposition by ``algorithm="espm"``.

    Returns
    -------
    matplotlib.figure.Figure
        A row for each phase. Map (or profile along a line; nothing for a single
        spectrum): counts of the phase in each pixel. Spectrum: share of the counts of
        the phase in each channel. Bars: atomic percent with one standard deviation.

    Raises
    ------
    RuntimeError
        If the signal has no such decomposition.
    """
    found, loadings = read_results(signal)
    counts = loadings * np.nansum(found.spectra, axis=0)
    _, percent, variance = to_percent(found)
    errors = np.sqrt(variance)
    has_map = len(signal.axes_manager.navigation_axes) > 0
    figure, axes = _grid(found.n_phases, has_map)
    parts = zip(found.G, column_weights(found).T, strict=True)
    peaks = [find_peaks(found, G * weights) for G, weights in parts]
    energies = energy_limits(found, peaks)
    for j, row in enumerate(axes):
        colour = phase_colour(j)
        if has_map:
            draw_navigation(row[0], signal, counts[:, j], "counts", colour=colour)
        title = as_text(found.knowledge.names[j]) or f"Phase {j}"
        row[0].set_title(title, color=colour, loc="left", weight="bold")
        _draw_spectrum(row[-2], found, j, peaks[j], energies)
        _draw_bars(row[-1], found.elements, percent[:, j], errors[:, j], colour)
        row[-1].set_ylim(0, 1.22 * np.nanmax(percent, initial=1.0))
    axes[-1, -2].set_xlabel("energy (keV)")
    axes[0, -1].set_title("composition (at.%)", fontsize="medium")
    return figure


def _grid(n_phases: int, has_map: bool) -> tuple[Figure, np.ndarray]:
    """Figure and its axes, a row for each phase; energies below the last row only."""
    widths = [_MAP_WIDTH] * has_map + [_SPECTRUM_WIDTH, _BARS_WIDTH]
    figure, axes = plt.subplots(
        n_phases,
        len(widths),
        figsize=(sum(widths), 0.5 + 2.0 * n_phases),
        width_ratios=widths,
        squeeze=False,
        layout="constrained",
    )
    for row in axes[:-1]:
        row[-2].tick_params(labelbottom=False)
    return figure, axes


def _draw_spectrum(axes, found, phase, peaks, limits) -> None:
    """Spectrum of a phase with labelled lines."""
    energy, spectrum = found.model.energy, found.spectra[:, phase]
    colour = phase_colour(phase)
    axes.plot(energy, spectrum, color=colour, lw=1.2)
    axes.set_xlim(limits)
    set_heights(axes, spectrum, peaks)
    bottom = axes.get_ylim()[0]
    axes.fill_between(energy, spectrum, bottom, color=colour, alpha=0.18, lw=0)
    draw_labels(axes, peaks, width=_SPECTRUM_WIDTH - 0.8)
    axes.set_ylabel("share of counts")


def _draw_bars(axes, elements, percent, errors, colour: str) -> None:
    """Atomic percent of the elements of a phase, by atomic number."""
    order = sorted(range(len(elements)), key=lambda i: atomic_number(elements[i]))
    elements = [elements[i] for i in order]
    percent, errors = percent[order], errors[order]
    places = np.arange(len(elements))
    axes.bar(places, percent, color=colour, alpha=0.75, width=0.7)
    axes.errorbar(
        places, percent, yerr=errors, fmt="none", ecolor="black", lw=0.8, capsize=2
    )
    size = "x-small" if len(elements) < 9 else 5
    # above the error bar, as long as that does not leave the axes
    tops = np.minimum(percent + errors, 1.05 * np.nanmax(percent, initial=1.0))
    for place, value, top in zip(places, percent, tops, strict=True):
        if np.isfinite(value) and value >= 0.05:
            axes.annotate(
                f"{value:.1f}",
                (place, max(value, top)),
                xytext=(2, 2),
                textcoords="offset points",
                fontsize=size,
                ha="left" if len(elements) < 5 else "center",
                va="bottom",
            )
    axes.set_xticks(places, elements, fontsize="small" if len(elements) < 13 else 6)
    axes.set_xlim(-0.6, len(elements) - 0.4)
