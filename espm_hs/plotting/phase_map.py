"""Which phase each pixel is: figures, and images for other programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from PIL import Image, TiffImagePlugin

from espm_hs.plotting.look import Look, one_panel, takes_look
from espm_hs.plotting.maps import NOTHING, axis_label, draw_image
from espm_hs.plotting.style import as_text, phase_colour

if TYPE_CHECKING:
    from hyperspy.signals import BaseSignal

    from espm_hs.quantification.phase_map import PhaseFractions

# Share of an image under the colours, where it is laid under them.
_SHARE = 0.4
# Lengths in metres, of what scales in ImageJ and TIFF are made of.
_METRES = {"m": 1.0, "mm": 1e-3, "µm": 1e-6, "um": 1e-6, "nm": 1e-9, "pm": 1e-12}
# Tags of TIFF: what is described, and what resolutions are counted in.
_DESCRIPTION, _X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 270, 282, 283, 296


def label_colours(labels: np.ndarray, n_phases: int) -> np.ndarray:
    """Return the colour of each pixel, (..., 3) from 0 to 1; grey without a phase."""
    colours = [phase_colour(j) for j in range(n_phases)]
    table = np.array([to_rgb(one) for one in (*colours, NOTHING)])
    return table[labels]


@takes_look("ax", "figsize")
def plot_phase_map(
    signal: BaseSignal, found: PhaseFractions, image: Any = None, *, look: Look
) -> Figure:
    """Plot which phase each pixel is, with a legend and a scale bar.

    Parameters
    ----------
    signal
        The map.
    found
        Its labels.
    image
        An image of the shape of the map to lay under the colours: an array or a signal,
        such as a dark-field image; "counts" for the counts of each pixel.
    {look}

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If the image has another shape or no finite value.
    """
    colours = label_colours(found.labels, len(found.names))
    if image is not None:
        shade = _shade(signal, image, found.labels.shape)
        colours = (1 - _SHARE) * colours + _SHARE * shade[..., None]

    def draw(axes: Axes) -> None:
        _draw_labels(axes, signal, colours)
        options: dict[str, Any] = {"title": "share of the area", "fontsize": None}
        look.legend(axes, "right center", handles=_handles(found), **options)

    size = (6.4, 4.2 if found.labels.ndim > 1 else 1.6)
    return look.draw(size, one_panel, [draw])


def _draw_labels(axes: Axes, signal: BaseSignal, colours: np.ndarray) -> None:
    """Draw the colours of the pixels, of the plane in the middle if there are more."""
    navigation = signal.axes_manager.navigation_axes
    if len(navigation) < 2:
        _draw_strip(axes, signal, colours)
        return
    planes = colours.reshape(-1, *colours.shape[-3:])
    draw_image(axes, navigation[0], navigation[1], planes[len(planes) // 2])
    if len(planes) > 1:
        text = f"plane {len(planes) // 2 + 1} of {len(planes)}"
        axes.set_xlabel(text, fontsize="small")


def _handles(found: PhaseFractions) -> list[Patch]:
    """Return what the legend shows: each phase with its share of the area."""
    areas = zip(found.area, found.area_error, strict=True)
    shares = [f"{area:.1f} ± {error:.1f} %" for area, error in areas]
    handles = [
        Patch(color=phase_colour(j), label=f"{as_text(name)}, {share}")
        for j, (name, share) in enumerate(zip(found.names, shares, strict=True))
    ]
    if (found.labels < 0).any():
        handles.append(Patch(color=NOTHING, label="no phase"))
    return handles


def _draw_strip(axes: Axes, signal: BaseSignal, colours: np.ndarray) -> None:
    """Draw the labels of a line scan, or of a single spectrum."""
    navigation = signal.axes_manager.navigation_axes
    edges = 0.0, float(colours.shape[0])
    if navigation and navigation[0].is_uniform:
        half = navigation[0].scale / 2
        edges = navigation[0].low_value - half, navigation[0].high_value + half
    axes.imshow(
        colours[None], extent=(*edges, 0, 1), aspect="auto", interpolation="nearest"
    )
    axes.set_yticks([])
    if navigation:
        axes.set_xlabel(axis_label(navigation[0]))
    else:
        axes.set_xticks([])
    axes.set_box_aspect(0.2)


def _shade(signal: BaseSignal, image: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Return an image from 0 to 1, as wide as most of its values are."""
    if isinstance(image, str) and image == "counts":
        image = signal.sum(axis=signal.axes_manager.signal_axes)
    values = np.asarray(image.data if hasattr(image, "axes_manager") else image)
    numbers = values.dtype.kind in "biuf" and values.shape == shape
    if not (numbers and np.isfinite(values).any()):
        raise ValueError(
            f"`image` is {image!r:.60}; needed is an array or a signal of numbers, of "
            f"shape {shape} as the map, or 'counts'."
        )
    low, high = np.nanpercentile(values, [0.5, 99.5])
    return np.nan_to_num(np.clip((values - low) / max(high - low, 1e-300), 0, 1))


def save_labels(
    path: str | Path, found: PhaseFractions, axes: tuple[dict[str, Any], ...]
) -> None:
    """Write labels as an image for other programs.

    Parameters
    ----------
    path
        Ends in .tif or .tiff for numbers, 0 without a phase, 1 for the first one, with
        the size of a pixel as ImageJ and HyperSpy read it; in .png for the colours of
        the figures.
    found
        The labels.
    axes
        Of the image in array order, each with "scale" and "units".

    Raises
    ------
    ValueError
        If the labels are no image, or the ending is another one.
    """
    path = Path(path)
    labels = found.labels
    if labels.ndim != 2:
        raise ValueError(
            f"The labels have {labels.ndim} axes, and an image has two. Save them as a "
            "signal, `phase_map.signal.save('labels.hspy')`."
        )
    if path.suffix.lower() == ".png":
        colours = label_colours(labels, len(found.names))
        Image.fromarray(np.rint(255 * colours).astype(np.uint8)).save(path)
        return
    if path.suffix.lower() not in (".tif", ".tiff"):
        raise ValueError(
            f"`path` is {str(path)!r}; needed is a name that ends in .tif, .png or "
            ".hspy."
        )
    numbers = (labels + 1).astype(np.uint8 if len(found.names) < 255 else np.uint16)
    names = json.dumps({j + 1: name for j, name in enumerate(found.names)})
    save_tiff(path, numbers, axes, f"phases={names}")


def save_tiff(
    path: str | Path,
    values: np.ndarray,
    axes: tuple[dict[str, Any], ...],
    described: str = "",
) -> None:
    """Write an image as TIFF with the size of a pixel, as ImageJ and HyperSpy read it.

    Parameters
    ----------
    path
        The file; its name says nothing of the format.
    values
        Shape (n_rows, n_columns): whole numbers, or 32-bit floating point.
    axes
        Of the image in array order, each with "scale" and "units".
    described
        A line for the description of the image.
    """
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    unit = str(axes[1]["units"])
    head = f"ImageJ=1.53t\nunit={unit.replace('µ', 'u')}\n"
    if unit in _METRES:
        # in pixels for each unit of the description, for which 1 stands
        tags[_RESOLUTION_UNIT] = 1
        tags[_X_RESOLUTION] = 1 / abs(float(axes[1]["scale"]))
        tags[_Y_RESOLUTION] = 1 / abs(float(axes[0]["scale"]))
    else:
        head = "ImageJ=1.53t\n"
    tags[_DESCRIPTION] = f"{head}{described}\n"
    Image.fromarray(values).save(path, format="TIFF", tiffinfo=tags)
