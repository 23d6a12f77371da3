"""Phases of several maps, map by map."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from espm_hs.plotting.look import Look, rows_of_panels, size_of_rows, takes_look
from espm_hs.plotting.style import as_text, phase_colour
from espm_hs.quantification.joint import JointResult

# Elements of which a phase has less than this everywhere are not drawn.
LEAST_PERCENT = 0.5


@takes_look("ax", "figsize")
def plot_joint(result: JointResult, *, look: Look) -> Figure:
    """Plot how much of each phase the maps hold, and compositions that drift.

    Parameters
    ----------
    result
        What `espm_hs.decompose_together` returns.
    {look}

    Returns
    -------
    matplotlib.figure.Figure
        Atomic percent of each phase over the parameter, hollow where a map does not
        hold the phase for certain; below, the elements of each phase that drifts.
    """
    paths = result.paths.items()
    drawn: list[Callable[[Axes, JointResult], None]] = [_draw_shares]
    drawn += [partial(_draw_path, phase, *path) for phase, path in paths]

    def panel(draw: Callable[[Axes, JointResult], None], axes: Axes) -> None:
        draw(axes, result)
        axes.set_xlabel(as_text(result.parameter_name))
        axes.margins(y=0.1)
        if axes.get_legend_handles_labels()[0]:
            look.legend_beside(axes)

    size = size_of_rows(len(drawn), 1, 6.5, 2.8)
    panels = [partial(panel, draw) for draw in drawn]
    return look.draw(size, rows_of_panels(len(drawn), 1), panels)


def _draw_shares(axes: Axes, result: JointResult) -> None:
    """Draw how much of each phase the maps hold."""
    order = np.argsort(result.parameter, kind="stable")
    x = result.parameter[order]
    for j, phase in enumerate(result.phases):
        y, error = result.percent_of_atoms[order, j], result.percent_errors[order, j]
        there, colour = result.present[order, j], phase_colour(j)
        axes.plot(x, y, color=colour, lw=0.8)
        axes.errorbar(x, y, error, fmt="none", ecolor=colour, lw=0.8, capsize=2)
        axes.plot(x[there], y[there], "o", color=colour, label=as_text(phase))
        axes.plot(x[~there], y[~there], "o", mec=colour, mfc="white")
    axes.set_ylabel("Share of the map (at.%)")


def _draw_path(
    phase: str, percent: np.ndarray, error: np.ndarray, axes: Axes, result: JointResult
) -> None:
    """Draw the elements of a phase that drifts."""
    order = np.argsort(result.parameter, kind="stable")
    for i, element in enumerate(result.elements):
        if percent[:, i].max() < LEAST_PERCENT:
            continue
        y, sigma = percent[order, i], error[order, i]
        options: dict[str, Any] = {"color": phase_colour(i), "capsize": 2}
        x = result.parameter[order]
        axes.errorbar(x, y, sigma, fmt="o-", label=element, **options)
    axes.set_ylabel(f"{as_text(phase)} (at.%)")
