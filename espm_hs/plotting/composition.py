"""Figure of the composition of each pixel: maps of elements in percent."""

from __future__ import annotations

import dask
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from espm_hs.physics import atomic_number
from espm_hs.plotting.maps import draw_navigation
from espm_hs.plotting.style import phase_colour

# Maps in a row.
_COLUMNS = 4


def plot_composition(
    signal, units="atomic", elements=None, oxygen="measured"
) -> Figure:
    """
    Plot a map of each element in percent.

    Parameters
    ----------
    signal : EDSespmSpectrum
        With a decomposition by ``algorithm="espm"``.
    units, elements, oxygen
        As in `EDSespmSpectrum.quantify`.

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
    maps.sort(key=lambda one: atomic_number(one.metadata.Sample.elements[0]))
    label = "at.%" if units == "atomic" else "wt.%"
    n_axes = len(signal.axes_manager.navigation_axes)
    if n_axes == 0:
        return _bars(maps, label)
    if n_axes == 1:
        return _profiles(maps, signal, label)
    columns = min(_COLUMNS, len(maps))
    rows = -(-len(maps) // columns)
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(2.9 * columns, 0.1 + 2.35 * rows),
        squeeze=False,
        layout="constrained",
    )
    for ax, one in zip(axes.flat, maps, strict=False):
        draw_navigation(ax, signal, one.data, label, colour="")
        ax.set_title(one.metadata.Sample.elements[0], loc="left", weight="bold")
        # noise of a few pixels is no reason to hide the map
        top = np.nanpercentile(one.data, 99.8) if np.isfinite(one.data).any() else 0
        ax.images[0].set_clim(0, max(top, 1.0))
    for ax in axes.flat[len(maps) :]:
        ax.set_axis_off()
    return figure


def _profiles(maps, signal, label) -> Figure:
    """All elements along a line, each with one standard deviation."""
    figure, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
    position = signal.axes_manager.navigation_axes[0].axis
    for i, one in enumerate(maps):
        error = np.sqrt(np.asarray(one.metadata.Signal.Noise_properties.variance.data))
        colour, symbol = phase_colour(i), one.metadata.Sample.elements[0]
        low, high = np.maximum(one.data - error, 0), one.data + error
        axes.fill_between(position, low, high, color=colour, alpha=0.2, lw=0)
        draw_navigation(axes, signal, one.data, label, colour=colour)
        axes.lines[-1].set_label(symbol)
    axes.autoscale(axis="y")
    axes.set_ylim(bottom=0)
    figure.legend(frameon=False, loc="outside right upper")
    return figure


def _bars(maps, label) -> Figure:
    """One bar for each element, with one standard deviation."""
    figure, axes = plt.subplots(figsize=(4.5, 3.2), layout="constrained")
    symbols = [one.metadata.Sample.elements[0] for one in maps]
    values = [one.data.item() for one in maps]
    variances = [one.metadata.Signal.Noise_properties.variance for one in maps]
    errors = [np.sqrt(variance.data.item()) for variance in variances]
    axes.bar(symbols, values, color=phase_colour(0), alpha=0.75)
    axes.errorbar(
        symbols, values, yerr=errors, fmt="none", ecolor="black", lw=0.8, capsize=2
    )
    axes.set_ylabel(label)
    return figure
