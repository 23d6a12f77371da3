"""Values of pixels on axes: maps with a scale bar, profiles along a line."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import patheffects
from matplotlib.colors import Colormap

from espm_hs.plotting.style import as_text


def draw_navigation(
    axes,
    signal,
    values,
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
        _draw_profile(axes, navigation[0], values, colour)
        if limits[0] == 0:
            axes.set_ylim(bottom=0)
        axes.set_ylabel(label)
        return
    if len(navigation) > 2:
        # what does not fit into a plane is averaged over
        values = np.nanmean(values, axis=tuple(range(len(navigation) - 2)))
    cmap = (cmap or plt.get_cmap("cividis")).with_extremes(bad="#D0D0D0")
    image = _draw_map(axes, *navigation[:2], values, cmap, limits)
    axes.figure.colorbar(image, ax=axes, label=label, shrink=0.9)


def _draw_profile(axes, navigation, values, colour: str) -> None:
    """Values along a navigation axis."""
    axes.plot(navigation.axis, values, color=colour, lw=1)
    axes.set_xlabel(_axis_label(navigation), fontsize="small")


def _draw_map(axes, x, y, values, cmap: Colormap, limits):
    """Image with a scale bar, if its axes have units; return the image."""
    width, height = (a.size * (float(a.scale) if a.is_uniform else 1.0) for a in (x, y))
    image = axes.imshow(
        values,
        cmap=cmap,
        vmin=limits[0],
        vmax=limits[1],
        extent=(0, width, height, 0),
        interpolation="nearest",
        aspect=1 if _same_units(x, y) else "auto",
    )
    axes.set_xticks([])
    axes.set_yticks([])
    if _units(x):
        _draw_scale_bar(axes, width, height, _units(x))
    return image


def _draw_scale_bar(axes, width: float, height: float, units: str) -> None:
    """Bar of 1, 2 or 5 times a power of ten, up to a third of the width."""
    power = 10 ** np.floor(np.log10(width / 3))
    length = max(m * power for m in (1, 2, 5) if m * power <= width / 3)
    text = f"{length:g} {units}"
    if units in ("µm", "um") and length < 0.1:
        text = f"{1e3 * length:g} nm"
    left, base = 0.05 * width, 0.93 * height
    outline = [patheffects.withStroke(linewidth=2.5, foreground="black")]
    axes.plot(
        [left, left + length],
        [base, base],
        color="white",
        lw=2.5,
        solid_capstyle="butt",
        path_effects=[patheffects.withStroke(linewidth=4, foreground="black")],
    )
    axes.text(
        left + length / 2,
        base - 0.02 * height,
        text,
        color="white",
        fontsize="x-small",
        ha="center",
        va="bottom",
        path_effects=outline,
    )


def _units(axis) -> str:
    """Units of an axis as text; none for HyperSpy's <undefined>."""
    text = str(axis.units)
    return "" if text in ("None", "<undefined>", "") else as_text(text)


def _same_units(x, y) -> bool:
    return x.is_uniform and y.is_uniform and _units(x) == _units(y)


def _axis_label(axis) -> str:
    name = as_text(str(axis.name)) if str(axis.name) != "<undefined>" else "pixel"
    units = _units(axis)
    return f"{name} ({units})" if units else name
