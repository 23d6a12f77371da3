"""Figure of a spectrum model: its columns, and the lines that make them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from espm_hs.physics.linear_model import Column
from espm_hs.physics.xray.emission import EmissionLine

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from espm_hs.physics.xray.model import SpectrumModel


def plot_model(model: SpectrumModel) -> Figure:
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
    energy, matrix = model.energy[model.channels], model.G[model.channels]
    highest = float(matrix.max())
    text = {"rotation": 90, "ha": "center", "va": "bottom", "fontsize": "xx-small"}
    for column, height in zip(model.columns, matrix.T, strict=True):
        axes = rows[0] if column.kind == "element" else rows[1]
        style = "--" if column.kind == "background" else "-"
        (curve,) = axes.plot(energy, height, lw=1, ls=style, label=column.label)
        for line in _main_lines(model, column):
            peak = min(float(np.interp(line.energy, energy, height)), highest)
            axes.annotate(
                line.name,
                (line.energy, peak),
                xytext=(0, 3),
                textcoords="offset points",
                color=curve.get_color(),
                **text,
            )
    rows[0].set(yscale="log", ylim=(1e-4 * highest, 30 * highest))
    titles = ("elements", "free lines, stray elements, background")
    for axes, title in zip(rows, titles, strict=True):
        axes.set_title(title, loc="left", fontsize="medium")
        axes.set_ylabel("G (barn)")
        axes.legend(fontsize="x-small", ncols=2, loc="upper right", frameon=False)
    rows[1].set_xlabel("energy (keV)")
    return figure


def _main_lines(model: SpectrumModel, column: Column) -> Iterator[EmissionLine]:
    """Strongest line of each family of a column."""
    own = [line for line in model.emission_lines if line.element == column.element]
    for family in column.family or "":
        lines = [line for line in own if line.family == family]
        if lines:
            yield max(lines, key=lambda line: line.cross_section)
