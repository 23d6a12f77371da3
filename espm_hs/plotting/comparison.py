"""Results side by side."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from espm_hs.plotting.look import Look, takes_look
from espm_hs.plotting.maps import NOTHING, axis_label, draw_image
from espm_hs.plotting.style import as_text, phase_colour
from espm_hs.quantification.comparison import ResultComparison, counts_of, shares_of
from espm_hs.quantification.percent_with_errors import to_percent

if TYPE_CHECKING:
    from hyperspy.signals import BaseSignal

    from espm_hs.decomposition.result import PhaseAnalysis

# Inches of a column of the figure, and widths of the blocks of what flows.
_COLUMN, _BLOCK = 2.7, 0.16
# Points along the edge of a band.
_POINTS = 30
_SMALL = "x-small"
_CENTRED: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": _SMALL}
_EDGED: dict[str, Any] = {"edgecolor": "white", "lw": 0.6}


@takes_look("ax", "figsize")
def plot_comparison(
    signal: BaseSignal, compared: ResultComparison, *, look: Look
) -> Figure:
    """Plot results side by side.

    Parameters
    ----------
    signal
        The map that they are of.
    compared
        The results.
    {look}

    Returns
    -------
    matplotlib.figure.Figure
        A column for each result: its map, in which the colours of phases are mixed by
        their counts, and the composition of its phases. Below: how the counts of the
        phases go from result to result, and how well held-out counts are predicted
        where that is known, else the deviance ratios.
    """
    has_map = len(signal.axes_manager.navigation_axes) > 0
    panels: list[Callable[[Axes], None]] = []
    if has_map:
        panels += [
            partial(_draw_map, compared, i, signal) for i in range(len(compared.names))
        ]
    panels += [
        partial(_draw_compositions, compared, i, not has_map, look)
        for i in range(len(compared.names))
    ]
    below = (_draw_flows, _draw_judgement)
    panels += [partial(draw, compared=compared) for draw in below]
    heights = [2.4] * has_map + [2.2, 2.4]
    # a figure is wide enough for its last row
    size = (max(len(compared.names), 2) * _COLUMN + 0.4, sum(heights) + 0.6)
    return look.draw(size, partial(_arrange, len(compared.names), heights), panels)


def _arrange(n: int, heights: list[float], figure: Figure) -> list[Axes]:
    """Arrange rows of so many panels, and two below."""
    grid = figure.add_gridspec(len(heights), n, height_ratios=heights)
    rows = [
        [figure.add_subplot(grid[row, i]) for i in range(n)]
        for row in range(len(heights) - 1)
    ]
    for bars in rows[-1][1:]:
        bars.sharey(rows[-1][0])
    last = grid[-1, :].subgridspec(1, 2, width_ratios=[2, 1])
    rows.append([figure.add_subplot(last[i]) for i in range(2)])
    return [one for row in rows for one in row]


def _set_title(axes: Axes, compared: ResultComparison, i: int) -> None:
    """Say which result is drawn, and whether it is the present one."""
    name = compared.names[i]
    mark = " (chosen)" if name == compared.chosen else ""
    title = f"{as_text(name)}{mark}"
    axes.set_title(title, loc="left", weight="bold", fontsize="medium")


def _draw_map(
    compared: ResultComparison, i: int, signal: BaseSignal, axes: Axes
) -> None:
    """Draw a map, or a line, of the colours of phases mixed by their counts."""
    colours = compared.colours[i]
    counts = counts_of(compared.analyses[i])
    _set_title(axes, compared, i)
    total = counts.sum(axis=1, keepdims=True)
    mixed = counts @ np.array([to_rgb(phase_colour(c)) for c in colours])
    mixed = np.where(total > 0, mixed / np.maximum(total, 1e-300), to_rgb(NOTHING))
    navigation = signal.axes_manager.navigation_axes
    if len(navigation) == 1:
        shares = (counts / np.maximum(total, 1e-300)).T
        looks = [phase_colour(c) for c in colours]
        axes.stackplot(navigation[0].axis, shares, colors=looks, alpha=0.8)
        axes.set(ylim=(0, 1), ylabel="share of counts")
        axes.set_xlabel(axis_label(navigation[0]), fontsize="small")
        return
    planes = np.clip(mixed, 0, 1).reshape(-1, *signal.data.shape[-3:-1], 3)
    draw_image(axes, navigation[0], navigation[1], planes[len(planes) // 2])


def _draw_compositions(
    compared: ResultComparison, i: int, first_row: bool, look: Look, axes: Axes
) -> None:
    """Draw at.% of the elements of each phase as a stacked bar, phases by colour."""
    if first_row:
        _set_title(axes, compared, i)
    found, colours = compared.analyses[i], compared.colours[i]
    _draw_bars(axes, found, colours)
    alone = look.ax is not None
    axes.set_ylabel("at.%" if i == 0 or alone else "")
    axes.tick_params(labelleft=i == 0 or alone)
    if i == len(compared.names) - 1 or alone:
        beside: dict[str, Any] = {"loc": "center left", "bbox_to_anchor": (1, 0.5)}
        axes.legend(frameon=False, fontsize=_SMALL, reverse=True, **beside)


def _draw_bars(axes: Axes, found: PhaseAnalysis, colours: list[int]) -> None:
    """Draw a bar for each phase, divided by elements."""
    elements, percent, _ = to_percent(found)
    places = np.arange(found.n_phases)
    bottom = np.zeros(found.n_phases)
    shades = plt.get_cmap("cividis")(np.linspace(0.05, 0.95, len(elements)))
    for i, element in enumerate(elements):
        height = np.nan_to_num(percent[i])
        look = {"color": shades[i], "width": 0.75, **_EDGED}
        axes.bar(places, height, bottom=bottom, label=element, **look)
        ink = "black" if i > len(elements) / 2 else "white"
        for place, x, y in zip(places.tolist(), bottom, height, strict=True):
            if y > 9 and found.n_phases < 7:
                axes.text(place, x + y / 2, element, color=ink, **_CENTRED)
        bottom += height
    labels = [as_text(name or str(j)) for j, name in enumerate(found.knowledge.names)]
    axes.set_xticks(places, labels, fontsize="small")
    for tick, number in zip(axes.get_xticklabels(), colours, strict=True):
        tick.set(color=phase_colour(number), weight="bold")
        if max(map(len, labels)) > 6 and found.n_phases > 1:
            tick.set(rotation=25, ha="right")
    axes.set(ylim=(0, 100), xlim=(-0.6, found.n_phases - 0.4))


def _draw_flows(axes: Axes, compared: ResultComparison) -> None:
    """Draw how the counts of phases go from result to result."""
    colours = compared.colours
    tops = []
    for i, (_, found) in enumerate(compared):
        # the first phase on top
        edges = 100 - 100 * np.concatenate(([0], np.cumsum(shares_of(found))))
        tops.append(edges)
        for j, colour in enumerate(colours[i]):
            span = edges[j + 1], edges[j] - edges[j + 1]
            look: dict[str, Any] = {
                "color": phase_colour(colour),
                "edgecolor": "white",
                "lw": 0.8,
            }
            axes.bar(i, span[1], bottom=span[0], width=_BLOCK, **look)
    s = np.linspace(0, 1, _POINTS)
    smooth = s**2 * (3 - 2 * s)
    for i, parts in enumerate(compared.flows):
        left, right = tops[i][:-1].copy(), tops[i + 1][:-1].copy()
        x = i + _BLOCK / 2 + (1 - _BLOCK) * s
        for (j, k), part in np.ndenumerate(100 * parts):
            upper = left[j] + (right[k] - left[j]) * smooth
            own = phase_colour(colours[i + 1][k])
            axes.fill_between(x, upper - part, upper, color=own, alpha=0.35, lw=0)
            left[j] -= part
            right[k] -= part
    names = [as_text(name) for name in compared.names]
    axes.set_xticks(range(len(names)), names)
    axes.set(ylim=(0, 100), xlim=(-0.3, len(names) - 0.7), ylabel="% of the counts")


def _draw_judgement(axes: Axes, compared: ResultComparison) -> None:
    """Draw how well held-out counts are predicted, or else the deviance ratios."""
    loss, error = compared.held_out
    places = np.arange(len(loss))
    known = np.isfinite(loss)
    if known.any():
        look: dict[str, Any] = {"fmt": "o", "color": "black", "capsize": 3, "lw": 1}
        axes.errorbar(places[known], loss[known], yerr=error[known], **look)
        axes.set_ylabel("held-out counts:\nnats above the best")
        axes.set_ylim(bottom=min(0, float(-0.05 * np.nanmax(loss))))
    else:
        axes.plot(places, [found.misfit for _, found in compared], "o", color="black")
        axes.set_ylabel("deviance ratio")
        axes.set_ylim(bottom=0)
    axes.set_xticks(places, [as_text(name) for name in compared.names])
    axes.set_xlim(-0.5, len(loss) - 0.5)
