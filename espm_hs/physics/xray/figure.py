"""Figure of a spectrum model: its columns, and the lines that make them."""

from __future__ import annotations

import numpy as np


def plot_model(model):
    """Plot the columns of a model, each with its main lines labelled.

    Parameters
    ----------
    model
        Physics.

    Returns
    -------
    matplotlib.figure.Figure
        Columns of elements (above), and of free lines, stray elements and background
        (below), against energy in keV, on logarithmic axes.
    """
    # drawing is not what this package is for, so it is imported when asked for
    import matplotlib.pyplot as plt

    figure, rows = plt.subplots(
        2, 1, figsize=(9, 6), sharex=True, sharey=True, layout="constrained"
    )
    shown = model.channels
    energy = model.energy[shown]
    highest = float(model.G[shown].max())
    for i, column in enumerate(model.columns):
        axes = rows[0] if column.kind == "element" else rows[1]
        height = model.G[shown, i]
        dashed = column.kind == "background"
        (line,) = axes.plot(
            energy, height, lw=1, ls="--" if dashed else "-", label=column.label
        )
        for found in _main_lines(model, column):
            peak = float(np.interp(found.energy, energy, height))
            axes.annotate(
                found.name,
                (found.energy, min(peak, highest)),
                xytext=(0, 3),
                textcoords="offset points",
                rotation=90,
                ha="center",
                va="bottom",
                fontsize="xx-small",
                color=line.get_color(),
            )
    rows[0].set_yscale("log")
    rows[0].set_ylim(1e-4 * highest, 30 * highest)
    for axes, title in zip(
        rows, ("elements", "free lines, stray elements, background"), strict=True
    ):
        axes.set_title(title, loc="left", fontsize="medium")
        axes.set_ylabel("G (barn)")
        axes.legend(fontsize="x-small", ncols=2, loc="upper right", frameon=False)
    rows[1].set_xlabel("energy (keV)")
    return figure


def _main_lines(model, column):
    """Strongest line of each family of a column."""
    for family in column.family or "":
        lines = [
            line
            for line in model.emission_lines
            if line.element == column.element and line.family == family
        ]
        if lines:
            yield max(lines, key=lambda line: line.cross_section)
