"""Phases of several maps, map by map."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from espm_hs.plotting.style import COLOURS, as_text, panels, phase_colour
from espm_hs.quantification.joint import JointResult

# Elements of which a phase has less than this everywhere are not drawn.
LEAST_PERCENT = 0.5


def plot_joint(result: JointResult) -> Figure:
    """Plot how much of each phase the maps hold, and compositions that drift.

    Parameters
    ----------
    result
        What `espm_hs.decompose_together` returns.

    Returns
    -------
    matplotlib.figure.Figure
        Atomic percent of each phase over the parameter, hollow where a map does not
        hold the phase for certain; below, the elements of each phase that drifts.
    """
    figure, axes = panels(1 + len(result.paths), 1, 6.5, 2.8)
    order = np.argsort(result.parameter, kind="stable")
    x = result.parameter[order]
    for j, phase in enumerate(result.phases):
        y, error = result.percent_of_atoms[order, j], result.percent_errors[order, j]
        there, colour = result.present[order, j], phase_colour(j)
        axes[0].plot(x, y, color=colour, lw=0.8)
        axes[0].errorbar(x, y, error, fmt="none", ecolor=colour, lw=0.8, capsize=2)
        axes[0].plot(x[there], y[there], "o", color=colour, label=as_text(phase))
        axes[0].plot(x[~there], y[~there], "o", mec=colour, mfc="white")
    axes[0].set_ylabel("Share of the map (at.%)")
    for ax, (phase, (percent, error)) in zip(
        axes[1:], result.paths.items(), strict=True
    ):
        for i, element in enumerate(result.elements):
            if percent[:, i].max() < LEAST_PERCENT:
                continue
            y, sigma = percent[order, i], error[order, i]
            colour = COLOURS[i % len(COLOURS)]
            ax.errorbar(x, y, sigma, fmt="o-", color=colour, capsize=2, label=element)
        ax.set_ylabel(f"{as_text(phase)} (at.%)")
    for ax in axes:
        _finish(ax, result)
    return figure


def _finish(axes: Axes, result: JointResult) -> None:
    """Label what all panels have."""
    axes.set_xlabel(as_text(result.parameter_name))
    axes.margins(y=0.1)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
