"""What all figures share: where they are drawn, and how they look.

A function that is decorated with `takes_look` takes the keywords that are named, checks
them, and is given a `Look`; its signature and its docstring have them.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any, TypeVar

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure

from espm_hs.arguments import check_flag

Result = TypeVar("Result")

# Keyword -> what it is.
KEYWORDS = {
    "ax": "Axes of matplotlib to draw on, one or several: the panels of the figure row "
    "by row, as many of them as there are axes. None: a new figure.",
    "cmap": "Colour map of the maps, by name or as an object of matplotlib.",
    "energy_range": "Lowest and highest energy to show, keV. None: where lines are.",
    "figsize": "Width and height of a new figure in inches.",
    "log": "Logarithmic counts; None: where small peaks call for it.",
}
# Of lines of docstrings, without their margin.
_WIDTH = 80
# Stands in a docstring where the keywords are described.
_PLACE = "{look}"
# Inches; larger ones take more memory than there is.
_LARGEST_FIGURE = 200


def takes_look(
    *names: str,
) -> Callable[[Callable[..., Result]], Callable[..., Result]]:
    """Give a function the keywords of figures that are named.

    Parameters
    ----------
    *names
        Of the `KEYWORDS`. The function gets ``look``, a `Look` made of them, and may be
        called with one in their place.
    """

    def decorate(function: Callable[..., Result]) -> Callable[..., Result]:
        @wraps(function)
        def drawn(*args: Any, look: Look | None = None, **given: Any) -> Result:
            own = {name: given.pop(name) for name in names if name in given}
            look = Look.of(**own) if look is None else look
            return function(*args, look=look, **given)

        drawn.__signature__ = _with_keywords(  # type: ignore[attr-defined]
            inspect.signature(function), names
        )
        drawn.__doc__ = _described(function.__doc__, names)
        return drawn

    return decorate


def _with_keywords(
    signature: inspect.Signature, names: Iterable[str]
) -> inspect.Signature:
    """Return the signature that users see."""
    of_function = [x for x in signature.parameters.values() if x.name != "look"]
    rest = [x for x in of_function if x.kind is inspect.Parameter.VAR_KEYWORD]
    own = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None)
        for name in names
    ]
    before = [x for x in of_function if x not in rest]
    return signature.replace(parameters=[*before, *own, *rest])


def _described(text: str | None, names: Iterable[str]) -> str | None:
    """Return a docstring with the keywords in the place that is kept for them."""
    line = next((x for x in (text or "").splitlines() if x.strip() == _PLACE), None)
    if text is None or line is None:
        return text
    margin = line[: line.index(_PLACE)]
    fill = partial(textwrap.fill, initial_indent="    ", subsequent_indent="    ")
    entries = [f"{name}\n{fill(KEYWORDS[name], _WIDTH)}" for name in names]
    return text.replace(line, textwrap.indent("\n".join(entries), margin))


@dataclass(frozen=True)
class Look:
    """Where a figure is drawn and how it looks, each None where it is as usual.

    Parameters
    ----------
    ax
        The axes that were given, in the order of the panels.
    cmap
        Colour map of maps.
    energy_range
        Lowest and highest energy, keV.
    figsize
        Inches.
    log
        Logarithmic counts.
    """

    ax: tuple[Axes, ...] | None = None
    cmap: Colormap | None = None
    energy_range: tuple[float, float] | None = None
    figsize: tuple[float, float] | None = None
    log: bool | None = None

    @classmethod
    def of(
        cls,
        ax: Any = None,
        cmap: Any = None,
        energy_range: Any = None,
        figsize: Any = None,
        log: Any = None,
    ) -> Look:
        """Return the look that keywords ask for.

        Raises
        ------
        ValueError
            If one makes no sense, or there are both axes and the size of a new figure.
        """
        if log is not None:
            check_flag("log", log)
        if ax is not None and figsize is not None:
            raise ValueError(
                "`figsize` is the size of a new figure, and `ax` is in one already: "
                "give one of them."
            )
        return cls(
            _axes(ax), _colours(cmap), _energies(energy_range), _size(figsize), log
        )

    def draw(
        self,
        size: tuple[float, float],
        arrange: Callable[[Figure], Iterable[Axes]],
        panels: Sequence[Callable[[Axes], Any]],
    ) -> Figure:
        """Draw panels on the axes that were given, or on those of a new figure.

        Parameters
        ----------
        size
            Of a new figure, unless another one was given; inches.
        arrange
            Divides a new figure into axes, one for each panel.
        panels
            Each draws on axes. Where fewer axes were given, the first ones are drawn.

        Returns
        -------
        matplotlib.figure.Figure
        """
        if self.ax is None:
            figure = self.new_figure(size)
            axes = tuple(arrange(figure))
        else:
            figure, axes = self.ax[0].figure.figure, self.ax
        for ax, panel in zip(axes, panels, strict=False):
            panel(ax)
        return figure

    def wants(self, n: int) -> bool:
        """Whether so many panels are drawn, where the figure has them."""
        return self.ax is None or len(self.ax) >= n

    def new_figure(self, size: tuple[float, float]) -> Figure:
        """Return an empty figure of the usual size, or of the one that was given."""
        return plt.figure(figsize=self.figsize or size, layout="constrained")

    def legend(self, axes: Axes, place: str = "right upper", **options: Any) -> None:
        """Add a legend outside of the axes of a new figure, else inside those given."""
        look: dict[str, Any] = {"frameon": False, "fontsize": "small", **options}
        if self.ax is None:
            axes.figure.legend(**look, **{"loc": f"outside {place}"})
        elif axes.images:
            # which it would hide
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, 0.0), **look)
        else:
            # labels of lines are along the top
            inside = {"loc": "center right"} if axes.texts else {}
            axes.legend(**{**look, "frameon": True, "framealpha": 0.8}, **inside)

    def legend_beside(self, axes: Axes) -> None:
        """Add a legend to one of several axes: at its right, else inside if given."""
        look: dict[str, Any] = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)}
        axes.legend(frameon=False, **({} if self.ax else look))


def one_panel(figure: Figure) -> list[Axes]:
    """Arrange a figure of one panel."""
    return [figure.add_subplot()]


def rows_of_panels(n: int, columns: int) -> Callable[[Figure], list[Axes]]:
    """Return what arranges so many panels in rows."""
    columns = min(columns, n)
    rows = -(-n // columns)
    return lambda figure: [figure.add_subplot(rows, columns, i + 1) for i in range(n)]


def size_of_rows(
    n: int, columns: int, width: float, height: float
) -> tuple[float, float]:
    """Return the size of a figure of `rows_of_panels`, each so wide and high."""
    return min(columns, n) * width, 0.1 + height * -(-n // columns)


# -- what the keywords must be ---------------------------------------------------


def _axes(ax: Any) -> tuple[Axes, ...] | None:
    if ax is None:
        return None
    parts = ax.values() if isinstance(ax, Mapping) else [ax]
    found = [one for part in parts for one in np.ravel(np.asarray(part, object))]
    if not (found and all(isinstance(one, Axes) for one in found)):
        raise ValueError(
            f"`ax` is {ax!r:.60}; needed are axes of matplotlib, one or several, such "
            "as `plt.subplots()[1]`."
        )
    if len({one.figure.figure for one in found}) > 1:
        raise ValueError("`ax` has axes of several figures; give those of one.")
    return tuple(found)


def _colours(cmap: Any) -> Colormap | None:
    if cmap is None or isinstance(cmap, Colormap):
        return cmap
    if not (isinstance(cmap, str) and cmap in colormaps):
        raise ValueError(
            f"`cmap` is {cmap!r:.60}; needed is the name of a colour map of "
            "matplotlib, such as 'magma', or a Colormap."
        )
    return colormaps[cmap]


def _energies(energy_range: Any) -> tuple[float, float] | None:
    if energy_range is None:
        return None
    try:
        low, high = (float(one) for one in energy_range)
    except (TypeError, ValueError):
        low = high = np.nan
    if not -np.inf < low < high < np.inf:
        raise ValueError(
            f"`energy_range` is {energy_range!r:.60}; needed are two energies in keV, "
            "the lower one first, such as (0, 10)."
        )
    return low, high


def _size(figsize: Any) -> tuple[float, float] | None:
    if figsize is None:
        return None
    try:
        width, height = (float(one) for one in figsize)
    except (TypeError, ValueError):
        width = height = 0.0
    if not (0 < width <= _LARGEST_FIGURE and 0 < height <= _LARGEST_FIGURE):
        raise ValueError(
            f"`figsize` is {figsize!r:.60}; needed are width and height in inches, as "
            "in (8, 5)."
        )
    return width, height
