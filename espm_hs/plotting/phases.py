"""Figures of the result: the phases, and the composition of each pixel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import dask
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from espm_hs.metadata.reader import item
from espm_hs.metadata.schema import ITEMS
from espm_hs.physics import atomic_number
from espm_hs.plotting.look import (
    Look,
    one_panel,
    rows_of_panels,
    size_of_rows,
    takes_look,
)
from espm_hs.plotting.maps import draw_navigation
from espm_hs.plotting.results import column_weights, physics_of, read_results
from espm_hs.plotting.spectra import (
    Peak,
    draw_labels,
    energy_limits,
    find_peaks,
    set_heights,
)
from espm_hs.plotting.style import ERRORS, GREY, as_text, phase_colour
from espm_hs.quantification.percent_with_errors import PERCENT, to_percent

if TYPE_CHECKING:
    from hyperspy.signals import BaseSignal

    from espm_hs.decomposition.result import PhaseAnalysis

# Widths of the columns of the figure of the phases, inches.
_MAP_WIDTH, _SPECTRUM_WIDTH, _BARS_WIDTH = 2.9, 4.8, 2.6
# Maps of elements in a row.
_COLUMNS = 4


# -- phases --------------------------------------------------------------------------


@takes_look("ax", "cmap", "energy_range", "figsize", "log")
def plot_phases(signal: BaseSignal, *, look: Look) -> Figure:
    """Plot map, spectrum and composition of each phase.

    Parameters
    ----------
    signal
        With a decomposition by ``algorithm="espm"``.
    {look}

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
    ValueError
        If there is no such colour map, or the energies are not two that rise.
    """
    found, loadings = read_results(signal)
    counts = loadings * np.nansum(found.spectra, axis=0)
    has_map = len(signal.axes_manager.navigation_axes) > 0
    widths = [_MAP_WIDTH] * has_map + [_SPECTRUM_WIDTH, _BARS_WIDTH]
    parts = zip(found.G, column_weights(found).T, strict=True)
    peaks = [find_peaks(found, G * weights) for G, weights in parts]
    shown = look.energy_range or energy_limits(found, peaks)
    _, percent, variance = to_percent(found)
    panels: list[Callable[[Axes], None]] = []
    for j in range(found.n_phases):
        if has_map:
            panels.append(partial(_draw_map, signal, counts[:, j], j, look))
        panels.append(partial(_draw_spectrum, found, j, peaks[j], shown, look))
        errors = np.sqrt(variance[:, j])
        panels.append(partial(_draw_composition, found, j, percent, errors))
        # what a row is of is said where it begins
        panels[-len(widths)] = partial(_begin_row, found, j, panels[-len(widths)])
    return look.draw(
        (sum(widths), 0.5 + 2.0 * found.n_phases),
        lambda figure: (
            figure.subplots(
                found.n_phases, len(widths), width_ratios=widths, squeeze=False
            ).flat
        ),
        panels,
    )


def _begin_row(
    found: PhaseAnalysis, phase: int, panel: Callable[[Axes], None], axes: Axes
) -> None:
    """Draw the first panel of a phase, with its name."""
    panel(axes)
    title = as_text(found.knowledge.names[phase]) or f"Phase {phase}"
    axes.set_title(title, color=phase_colour(phase), loc="left", weight="bold")


def _draw_map(
    signal: BaseSignal, counts: np.ndarray, phase: int, look: Look, axes: Axes
) -> None:
    """Draw the counts of a phase in each pixel."""
    colours: dict[str, Any] = {"colour": phase_colour(phase), "cmap": look.cmap}
    draw_navigation(axes, signal, counts, "counts", **colours)


def _draw_composition(
    found: PhaseAnalysis,
    phase: int,
    percent: np.ndarray,
    errors: np.ndarray,
    axes: Axes,
) -> None:
    """Bars of a phase, in rows of equal heights."""
    draw_bars(axes, found.elements, percent[:, phase], errors, phase_colour(phase))
    axes.set_ylim(0, 1.22 * np.nanmax(percent, initial=1.0))
    if found.empty[phase]:
        place: dict[str, Any] = {"transform": axes.transAxes, "ha": "center"}
        axes.text(
            0.5, 0.5, "none of the elements", color=GREY, fontsize="small", **place
        )
    if phase == 0:
        axes.set_title("composition (at.%)", fontsize="medium")


def _draw_spectrum(
    found: PhaseAnalysis,
    phase: int,
    peaks: list[Peak],
    limits: tuple[float, float],
    look: Look,
    axes: Axes,
) -> None:
    """Spectrum of a phase with labelled lines."""
    energy, spectrum = physics_of(found).energy, found.spectra[:, phase]
    colour = phase_colour(phase)
    axes.plot(energy, spectrum, color=colour, lw=1.2)
    axes.set_xlim(limits)
    inside = (energy >= limits[0]) & (energy <= limits[1])
    peaks = [peak for peak in peaks if limits[0] <= peak.energy <= limits[1]]
    if inside.any():
        set_heights(axes, np.where(inside, spectrum, np.nan), peaks, look.log)
    bottom = axes.get_ylim()[0]
    axes.fill_between(energy, spectrum, bottom, color=colour, alpha=0.18, lw=0)
    draw_labels(axes, peaks)
    axes.set_ylabel("share of counts")
    # rows of one figure have the energies below the last
    if look.ax is not None or phase == found.n_phases - 1:
        axes.set_xlabel("energy (keV)")
    else:
        axes.tick_params(labelbottom=False)


def draw_bars(
    axes: Axes,
    elements: Sequence[str],
    percent: np.ndarray,
    errors: np.ndarray,
    colour: str,
) -> None:
    """Atomic percent of the elements of a phase, by atomic number."""
    order = sorted(range(len(elements)), key=lambda i: atomic_number(elements[i]))
    elements = [elements[i] for i in order]
    percent, errors = percent[order], errors[order]
    places = np.arange(len(elements))
    axes.bar(places, percent, color=colour, alpha=0.75, width=0.7)
    axes.errorbar(places, percent, yerr=errors, **ERRORS)
    look: dict[str, Any] = {
        "textcoords": "offset points",
        "fontsize": "x-small" if len(elements) < 9 else 5,
        "ha": "left" if len(elements) < 5 else "center",
    }
    # above the error bar, as long as that does not leave the axes
    tops = np.minimum(percent + errors, 1.05 * np.nanmax(percent, initial=1.0))
    for place, value, top in zip(places, percent, tops, strict=True):
        if np.isfinite(value) and value >= 0.05:
            axes.annotate(f"{value:.1f}", (place, max(value, top)), (2, 2), **look)
    axes.set_xticks(places, elements, fontsize="small" if len(elements) < 13 else 6)
    axes.set_xlim(-0.6, len(elements) - 0.4)


# -- pixels --------------------------------------------------------------------------


@takes_look("ax", "cmap", "figsize")
def plot_composition(
    signal: BaseSignal,
    units: str = "atomic",
    elements: Sequence[str] | None = None,
    oxygen: str | Mapping[str, float] = "measured",
    *,
    look: Look,
) -> Figure:
    """Plot a map of each element in percent.

    Parameters
    ----------
    signal
        With a decomposition by ``algorithm="espm"``.
    units, elements, oxygen
        As in `EDSespmSpectrum.quantify`.
    {look}

    Returns
    -------
    matplotlib.figure.Figure
        Maps by atomic number, each from 0 to its own largest value, pixels without
        counts grey; profiles with one standard deviation along a line; bars for a
        single spectrum.

    Raises
    ------
    RuntimeError, ValueError
        As `quantify`.
    """
    maps = signal.quantify("pixels", units, elements, oxygen)
    if any(one._lazy for one in maps):
        # all in one go, so that the map is read once
        computed = dask.compute(*(one.data for one in maps))
        for one, values in zip(maps, computed, strict=True):
            one.data = values
    return _element_maps(signal, maps, PERCENT[units], look)


@takes_look("ax", "cmap", "figsize")
def plot_elements(
    signal: BaseSignal,
    maps: list[BaseSignal],
    show: str = "counts",
    least_significance: float = 0.0,
    *,
    look: Look,
) -> Figure:
    """Plot maps of the net counts of elements.

    Parameters
    ----------
    signal
        The map.
    maps
        Net counts with their variances.
    show
        "counts", or "significance" for counts in standard errors.
    least_significance
        Pixels with fewer standard errors are grey.
    {look}

    Returns
    -------
    matplotlib.figure.Figure
        As `plot_composition`; titles have the counts of the whole map.
    """
    titles = {}
    of_sample = item(signal.metadata, ITEMS["elements"].path) or []
    for one in maps:
        counts, error = np.asarray(one.data), np.sqrt(variance_of(one))
        total, spread = np.nansum(counts), np.sqrt(np.nansum(error**2))
        symbol = symbol_of(one)
        name = symbol if symbol in of_sample else f"{symbol} (stray)"
        titles[symbol] = f"{name}  {total:.0f} ± {spread:.0f}"
        significance = counts / np.where(error > 0, error, np.nan)
        shown = significance if show == "significance" else counts
        enough = significance >= least_significance
        one.data = np.where(enough, shown, np.nan) if least_significance > 0 else shown
        if show == "significance":
            one.set_noise_variance(one._deepcopy_with_new_data(np.ones_like(counts)))
    label = "net counts" if show == "counts" else "standard errors"
    return _element_maps(signal, maps, label, look, titles)


def _element_maps(
    signal: BaseSignal,
    maps: list[BaseSignal],
    label: str,
    look: Look,
    titles: Mapping[str, str] | None = None,
) -> Figure:
    """Draw maps by atomic number, profiles along a line, or bars of one spectrum."""
    maps.sort(key=lambda one: atomic_number(symbol_of(one)))
    n_axes = len(signal.axes_manager.navigation_axes)
    if n_axes == 0:
        return look.draw((4.5, 3.2), one_panel, [partial(_draw_all, maps, label)])
    if n_axes == 1:
        panel = partial(_draw_profiles, maps, signal, label, look)
        return look.draw((7, 3.6), one_panel, [panel])
    panels = [
        partial(_draw_element, signal, one, label, look, titles or {}) for one in maps
    ]
    size = size_of_rows(len(maps), _COLUMNS, 2.9, 2.35)
    return look.draw(size, rows_of_panels(len(maps), _COLUMNS), panels)


def _draw_element(
    signal: BaseSignal,
    one: BaseSignal,
    label: str,
    look: Look,
    titles: Mapping[str, str],
    axes: Axes,
) -> None:
    """Map of an element."""
    draw_navigation(axes, signal, one.data, label, colour="", cmap=look.cmap)
    symbol = symbol_of(one)
    axes.set_title(titles.get(symbol, symbol), loc="left", weight="bold")
    # noise of a few pixels is no reason to hide the map
    top = np.nanpercentile(one.data, 99.8) if np.isfinite(one.data).any() else 0
    axes.images[0].set_clim(0, max(top, 1.0))


def symbol_of(of_element: BaseSignal) -> str:
    """Return the element that a signal is about, "" if it is about none."""
    return (item(of_element.metadata, ITEMS["elements"].path) or [""])[0]


def variance_of(of_element: BaseSignal) -> np.ndarray:
    """Return the variance of a signal."""
    return item(of_element.metadata, "Signal.Noise_properties.variance").data


def _draw_profiles(
    maps: list[BaseSignal], signal: BaseSignal, label: str, look: Look, axes: Axes
) -> None:
    """All elements along a line, each with one standard deviation."""
    position = signal.axes_manager.navigation_axes[0].axis
    for i, one in enumerate(maps):
        error = np.sqrt(np.asarray(variance_of(one)))
        colour, symbol = phase_colour(i), symbol_of(one)
        low, high = np.maximum(one.data - error, 0), one.data + error
        axes.fill_between(position, low, high, color=colour, alpha=0.2, lw=0)
        draw_navigation(axes, signal, one.data, label, colour=colour)
        axes.lines[-1].set_label(symbol)
    axes.autoscale(axis="y")
    axes.set_ylim(bottom=0)
    look.legend(axes)


def _draw_all(maps: list[BaseSignal], label: str, axes: Axes) -> None:
    """One bar for each element, with one standard deviation."""
    symbols = [symbol_of(one) for one in maps]
    variances = [variance_of(one) for one in maps]
    values, errors = np.ravel([one.data for one in maps]), np.sqrt(np.ravel(variances))
    draw_bars(axes, symbols, values, errors, phase_colour(0))
    axes.set_ylabel(label)
