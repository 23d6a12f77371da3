"""Figures of regions: profiles along a line, and a region that is moved by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from espm_hs.physics import atomic_number
from espm_hs.plotting.look import Look, takes_look
from espm_hs.plotting.maps import axis_label
from espm_hs.plotting.phases import draw_bars, symbol_of, variance_of
from espm_hs.plotting.results import navigator_with, usual_region
from espm_hs.plotting.style import as_text, phase_colour
from espm_hs.quantification.percent_with_errors import PERCENT

if TYPE_CHECKING:
    from hyperspy.signals import BaseSignal


def draw_profiles(axes: Axes, profiles: Sequence[BaseSignal], label: str) -> None:
    """Draw signals along one axis, each with a band of one standard deviation."""
    along = profiles[0].axes_manager[0]
    for i, one in enumerate(profiles):
        error = np.sqrt(np.asarray(variance_of(one)))
        # a step without counts has no value, and its neighbours are marked
        look: dict[str, Any] = {"color": phase_colour(i), "lw": 1, "marker": "."}
        title = as_text(symbol_of(one) or one.metadata.General.title[9:])
        axes.plot(along.axis, one.data, ms=3, label=title, **look)
        low, high = np.maximum(one.data - error, 0), one.data + error
        axes.fill_between(along.axis, low, high, color=look["color"], alpha=0.2, lw=0)
    axes.set_xlabel(axis_label(along))
    axes.set_ylabel(label)
    # a few steps without counts to speak of do not squeeze the others
    tops = [np.nanmax(one.data, initial=1.0) for one in profiles]
    axes.set_ylim(0, 1.15 * max(tops))


@takes_look("ax", "figsize")
def plot_profile(
    signal: BaseSignal,
    line: Any = None,
    width: float | None = None,
    units: str = "atomic",
    *,
    look: Look,
    **options: Any,
) -> Figure:
    """Plot percent of the elements, and shares of the phases, along a line.

    Parameters
    ----------
    signal
        With a decomposition by ``algorithm="espm"``.
    line, width, units, **options
        As in `EDSespmSpectrum.quantify_profile`.
    {look}

    Returns
    -------
    matplotlib.figure.Figure
        Above: the elements; below, unless there is a single phase: the phases. Bands
        are one standard deviation.

    Raises
    ------
    RuntimeError, ValueError
        As `quantify_profile`.
    """
    of_elements = signal.quantify_profile(line, width, units=units, **options)
    of_elements.sort(key=lambda one: atomic_number(symbol_of(one)))
    step = options.get("step")
    of_phases = signal.quantify_profile(line, width, target="phases", step=step)
    parts = [(of_elements, PERCENT[units])]
    if len(of_phases) > 1:
        parts.append((of_phases, "% of the counts"))

    def panel(number: int, axes: Axes) -> None:
        draw_profiles(axes, *parts[number])
        look.legend_beside(axes)
        if number + 1 < len(parts) and look.ax is None:
            axes.set_xlabel("")

    return look.draw(
        (7, 0.6 + 2.8 * len(parts)),
        lambda figure: figure.subplots(len(parts), 1, sharex=True, squeeze=False)[:, 0],
        [partial(panel, number) for number in range(len(parts))],
    )


@takes_look("figsize")
def plot_composition_of_region(
    signal: BaseSignal,
    roi: Any = None,
    units: str = "atomic",
    elements: Sequence[str] | None = None,
    oxygen: str | Mapping[str, float] = "measured",
    *,
    look: Look,
) -> Figure:
    """Plot the map with a region to move, and what that consists of.

    Parameters
    ----------
    signal
        With a decomposition by ``algorithm="espm"``.
    roi
        A ROI of HyperSpy; None: a rectangle in the middle, or a span of a line scan.
    units, elements, oxygen
        As in `EDSespmSpectrum.quantify`.
    {look}

    Returns
    -------
    matplotlib.figure.Figure
        Left: percent of the elements, of the summed spectrum fitted by itself, with
        standard deviations; right: shares of the phases in the counts. ``roi`` is the
        region.

    Raises
    ------
    RuntimeError, ValueError
        As `quantify`; ValueError if the signal has not one or two navigation axes.
    """
    roi = usual_region(signal) if roi is None else roi
    options: dict[str, Any] = {"units": units, "elements": elements, "oxygen": oxygen}
    followed = signal.quantify(roi=roi, interactive=True, **options)
    labels = [as_text(name) for name in signal.analysis_results().labels]
    figure = look.new_figure((8, 3.4))

    def draw(*_: Any) -> None:
        figure.clear()
        left, right = figure.subplots(1, 2, width_ratios=[3, 2])
        values = np.ravel([one.data for one in followed])
        errors = np.sqrt(np.ravel([variance_of(one) for one in followed]))
        symbols = [symbol_of(one) for one in followed]
        draw_bars(left, symbols, values, errors, phase_colour(0))
        left.set_ylabel(PERCENT[units])
        # with room for the numbers above the bars
        left.set_ylim(0, 1.1 * np.nanmax(values + errors, initial=1.0))
        if np.isfinite(values).any():
            shares = signal.phase_shares(roi)
            widths = np.ravel([one.data for one in shares])
            spread = np.sqrt(np.ravel([variance_of(one) for one in shares]))
            _draw_shares(right, labels, widths, spread)
        figure.canvas.draw_idle()

    navigator_with(signal, roi)
    # the last of the signals that follow the region
    followed[-1].events.data_changed.connect(draw, [])
    figure.roi = roi  # type: ignore[attr-defined]  # lives as long as the figure
    figure.followed = followed  # type: ignore[attr-defined]
    draw()
    return figure


def _draw_shares(
    axes: Axes, labels: Sequence[str], shares: np.ndarray, errors: np.ndarray
) -> None:
    """Draw the share of each phase as a bar with its number."""
    places = range(len(labels))
    colours = [phase_colour(i) for i in places]
    axes.barh(places, shares, xerr=errors, color=colours, alpha=0.75, height=0.7)
    for place, share, error in zip(places, shares, errors, strict=True):
        if np.isfinite(share):
            text = f"{share:.1f} ± {error:.1f}"
            axes.text(share + error + 2, place, text, va="center", fontsize="x-small")
    axes.set_yticks(places, labels, fontsize="small")
    axes.invert_yaxis()
    axes.set_xlim(0, 135)  # room for the numbers
    axes.set_xticks(range(0, 101, 20))
    axes.set_xlabel("% of the counts")
