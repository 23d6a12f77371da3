"""Values of pixels on axes: maps with a scale bar, profiles along a line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.font_manager import FontProperties
from matplotlib.image import AxesImage
from matplotlib.patheffects import withStroke
from matplotlib.text import Text
from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

from espm_hs.plotting.style import as_text, no_ticks

if TYPE_CHECKING:
    from hyperspy.axes import DataAxis
    from hyperspy.signals import BaseSignal

# Colour of pixels of which nothing is known.
NOTHING = "#D0D0D0"


def draw_navigation(
    axes: Axes,
    signal: BaseSignal,
    values: np.ndarray,
    label: str,
    *,
    colour: str,
    cmap: Colormap | None = None,
    limits: tuple[float | None, float | None] = (0, None),
) -> None:
    """Draw one number per pixel: a profile along one axis, or a map along two."""
    # HyperSpy's axes run x, y, ...; arrays ..., y, x
    navigation = signal.axes_manager.navigation_axes
    values = values.reshape(signal.data.shape[:-1])
    if len(navigation) == 1:
        axes.plot(navigation[0].axis, values, color=colour, lw=1)
        axes.set_xlabel(axis_label(navigation[0]), fontsize="small")
        if limits[0] == 0:
            axes.set_ylim(bottom=0)
        axes.set_ylabel(label)
        return
    x, y = navigation[:2]
    planes = values.reshape(-1, y.size, x.size)
    if len(planes) > 1:
        # what does not fit into a plane is averaged over, and said
        there = np.isfinite(planes)
        total = np.where(there, planes, 0).sum(axis=0)
        values = np.where(there.any(axis=0), total, np.nan) / np.maximum(
            there.sum(axis=0), 1
        )
        axes.set_xlabel(f"mean of {len(planes)} planes", fontsize="small")
    look = {"vmin": limits[0], "vmax": limits[1]}
    cmap = (cmap or plt.get_cmap("cividis")).with_extremes(bad=NOTHING)
    image = draw_image(axes, x, y, values, cmap=cmap, **look)
    axes.figure.colorbar(image, ax=axes, label=label, shrink=0.9)


def draw_image(
    axes: Axes, x: DataAxis, y: DataAxis, values: np.ndarray, **look: Any
) -> AxesImage:
    """Draw an image over two navigation axes, with a scale bar where they have units.

    Parameters
    ----------
    axes
        Where to draw.
    x, y
        Axes of the signal.
    values
        Numbers, (n_rows, n_columns), or colours, (n_rows, n_columns, 3).
    **look
        As `matplotlib.axes.Axes.imshow` takes it.
    """
    width, height = (a.size * (float(a.scale) if a.is_uniform else 1.0) for a in (x, y))
    image = axes.imshow(
        values,
        extent=(0, width, height, 0),
        interpolation="nearest",
        aspect="equal" if _same_units(x, y) else "auto",
        **look,
    )
    no_ticks(axes)
    if units_of(x):
        _draw_scale_bar(axes, width, height, units_of(x))
    return image


def _draw_scale_bar(axes: Axes, width: float, height: float, units: str) -> None:
    """Bar of 1, 2 or 5 times a power of ten, up to a third of the width."""
    power = 10 ** np.floor(np.log10(width / 3))
    length = max(m * power for m in (1, 2, 5) if m * power <= width / 3)
    text = f"{length:g} {units}"
    if units in ("µm", "um") and length < 0.1:
        text = f"{1e3 * length:g} nm"
    bar = AnchoredSizeBar(
        axes.transData,
        length,
        text,
        "lower left",
        size_vertical=0.015 * height,
        label_top=True,
        sep=2,
        borderpad=0.7,
        color="white",
        frameon=False,
        fontproperties=FontProperties(size="x-small"),
    )
    for artist in (*bar.findobj(Text), *bar.size_bar.get_children()):
        artist.set_path_effects([withStroke(linewidth=2, foreground="black")])
    axes.add_artist(bar)


def units_of(axis: DataAxis) -> str:
    """Units of an axis as text; none for HyperSpy's <undefined>."""
    text = str(axis.units)
    return "" if text in ("None", "<undefined>", "") else as_text(text)


def _same_units(x: DataAxis, y: DataAxis) -> bool:
    return x.is_uniform and y.is_uniform and units_of(x) == units_of(y)


def axis_label(axis: DataAxis) -> str:
    """Return name and units of an axis."""
    name = as_text(str(axis.name)) if str(axis.name) != "<undefined>" else "pixel"
    units = units_of(axis)
    return f"{name} ({units})" if units else name
