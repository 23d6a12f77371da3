"""Colours and text of the figures."""

from typing import Any

from matplotlib.axes import Axes
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
# Standard deviations on bars.
ERRORS: dict[str, Any] = {"fmt": "none", "ecolor": "black", "lw": 0.8, "capsize": 2}


def phase_colour(phase: int) -> str:
    """Colour of a phase, the same in all figures."""
    return COLOURS[phase % len(COLOURS)]


def as_text(name: str) -> str:
    """Names and units for a figure: dollars where there is no formula between them."""
    try:
        MathTextParser("agg").parse(name)
    except ValueError:
        return name.replace("$", r"\$")
    return name


def no_ticks(axes: Axes) -> None:
    """Take the ticks from an image."""
    axes.set(xticks=[], yticks=[])
