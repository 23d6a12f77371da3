"""Colours, text and layout of the figures."""

from typing import Any

import matplotlib.pyplot as plt
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from matplotlib.mathtext import MathTextParser

# The palette of Okabe and Ito (2008), which colour-blind readers can tell apart.
COLOURS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#000000",
    "#B5A800",  # its yellow, darkened: it has to be read as a line on white
)
GREY = "#707070"
# Inches; larger ones take more memory than there is.
_LARGEST_FIGURE = 200
# Standard deviations on bars.
ERRORS: dict[str, Any] = {"fmt": "none", "ecolor": "black", "lw": 0.8, "capsize": 2}


def phase_colour(phase: int) -> str:
    """Colour of a phase, the same in all figures."""
    return COLOURS[phase % len(COLOURS)]


def colour_map(cmap: Any) -> Colormap | None:
    """Return a colour map of matplotlib by its name; None for that of the figure.

    Raises
    ------
    ValueError
        If there is none of this name.
    """
    if cmap is None or isinstance(cmap, Colormap):
        return cmap
    if not (isinstance(cmap, str) and cmap in colormaps):
        raise ValueError(
            f"`cmap` is {cmap!r:.60}; needed is the name of a colour map of "
            "matplotlib, such as 'magma', or a Colormap."
        )
    return colormaps[cmap]


def check_size(figsize: Any) -> None:
    """Raise ValueError for what is no size of a figure in inches; None is usual."""
    if figsize is None:
        return
    try:
        width, height = (float(one) for one in figsize)
    except (TypeError, ValueError):
        width = height = 0.0
    if not (0 < width <= _LARGEST_FIGURE and 0 < height <= _LARGEST_FIGURE):
        raise ValueError(
            f"`figsize` is {figsize!r:.60}; needed are width and height in inches, as "
            "in (8, 5)."
        )


def as_text(name: str) -> str:
    """Names and units for a figure: dollars where there is no formula between them."""
    try:
        MathTextParser("agg").parse(name)
    except ValueError:
        return name.replace("$", r"\$")
    return name


def panels(
    n: int, columns: int, width: float, height: float
) -> tuple[Figure, list[Axes]]:
    """Figure with rows of panels, each so many inches wide and high; and its axes."""
    columns = min(columns, n)
    rows = -(-n // columns)
    size = (columns * width, 0.1 + rows * height)
    figure = plt.figure(figsize=size, layout="constrained")
    return figure, [figure.add_subplot(rows, columns, i + 1) for i in range(n)]


def no_ticks(axes: Axes) -> None:
    """Take the ticks from an image."""
    axes.set(xticks=[], yticks=[])
