"""From regions to pixels: ROIs of HyperSpy, boolean images, label maps, and names."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import hyperspy.api as hs
import numpy as np
from hyperspy.roi import BaseROI

from espm_hs.arguments import check_number
from espm_hs.quantification.regions import Regions, along_line

# A line has no more steps.
MOST_STEPS = 10_000


def array_of(value: Any) -> np.ndarray:
    """Return the values of a signal, or an array."""
    is_signal = isinstance(value, hs.signals.BaseSignal)
    return np.asarray(value.data if is_signal else value)


def without_regions(signal: Any, value: Any) -> Any:
    """Return a ROI of HyperSpy as a boolean array, and anything else as it is.

    Parameters
    ----------
    signal
        The map.
    value
        A ROI on the navigation axes of the map, or something else.

    Returns
    -------
    array of bool, of the shape of ``signal.data`` without the energy axis
        True in the pixels that the ROI holds.

    Raises
    ------
    ValueError
        If the ROI holds no pixel of the map, or does not fit its axes.
    """
    return of_region(signal.axes_manager.navigation_axes, value)


def of_region(axes: Sequence[Any], value: Any) -> Any:
    """Return a ROI as the places of some axes (x, y, ...) that it holds."""
    if not isinstance(value, BaseROI):
        return value
    known = [{**one.get_axis_dictionary(), "navigate": True} for one in reversed(axes)]
    sizes = [one.size for one in reversed(axes)]
    inside = np.zeros(int(np.prod(sizes)), bool)
    _check_width(value, axes)
    # of an image of the numbers of its pixels a ROI keeps those that it holds, and has
    # NaN or 0 beside them
    numbers = np.arange(1.0, 1.0 + inside.size).reshape(sizes)
    try:
        kept = np.ravel(value(hs.signals.BaseSignal(numbers, axes=known)).data)
    except (ValueError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(f"The region {value} does not fit the map: {error}") from None
    inside[kept[np.isfinite(kept) & (kept > 0)].astype(int) - 1] = True
    if not inside.any():
        raise ValueError(f"The region {value} holds no pixel or channel of the map.")
    return inside.reshape(sizes)


def _check_width(region: Any, axes: Sequence[Any]) -> None:
    """Raise ValueError for a line across which HyperSpy takes means of pixels."""
    scale = min((one.scale for one in axes), default=1.0)
    width = getattr(region, "linewidth", 0) / scale
    if round(width) > 1:
        raise ValueError(
            f"The region {region} is {width:.3g} pixels wide, and of such a line "
            "HyperSpy has means and no pixels. Give `linewidth=0`, or a boolean image; "
            "along a wide line there is `s.quantify_profile(line, width)`."
        )


def region_map(
    signal: Any, regions: Any, argument: str = "regions"
) -> tuple[list[str], np.ndarray]:
    """Return names of regions and which of them each pixel belongs to.

    Parameters
    ----------
    signal
        The map.
    regions
        A label map, integers of the shape of ``signal.data`` without the energy axis,
        below 0 where there is no region; a boolean image, True in the region; or a
        HyperSpy ROI; or a mapping of names to such images and ROIs. Images may be
        signals.
    argument
        What it is called, for messages.

    Returns
    -------
    names
        Of the regions that have pixels; the label where they have no name.
    labels
        Shape (n_pixels, n_regions), boolean.

    Raises
    ------
    ValueError
        If an image has another shape or type, or a region has no pixel.
    """
    if _is_labels(regions):
        array = array_of(regions)
        _check_shape(signal, argument, array)
        numbers, place = np.unique(array.ravel(), return_inverse=True)
        names = [f"region {x}" for x in numbers[numbers >= 0]]
        inside = place.ravel()[:, None] == np.flatnonzero(numbers >= 0)
    else:
        given = regions if isinstance(regions, Mapping) else {"region": regions}
        names = [str(name) for name in given]
        several = isinstance(regions, Mapping)
        where = [f"{argument}[{x!r}]" if several else argument for x in given]
        found = [
            _region(signal, name, y)
            for name, y in zip(where, given.values(), strict=True)
        ]
        inside = np.stack(found, axis=1) if found else np.zeros((1, 0), bool)
    if not names:
        raise ValueError(
            f"`{argument}` is {regions!s:.60}, in which there is no region; needed is "
            "a label map with numbers from 0 on, a boolean image, a HyperSpy ROI, or a "
            "mapping of names to these."
        )
    if not (there := inside.any(axis=0)).all():
        raise ValueError(
            f"{names[int(there.argmin())]!r} of `{argument}` has no pixel."
        )
    return names, inside


def _is_labels(regions: Any) -> bool:
    """Whether it is an image of integers."""
    is_image = isinstance(regions, hs.signals.BaseSignal | np.ndarray | list)
    return is_image and array_of(regions).dtype.kind in "iu"


def _region(signal: Any, name: str, region: Any) -> np.ndarray:
    """Return the pixels of a region, flat."""
    array = array_of(without_regions(signal, region))
    if array.dtype != bool:
        raise ValueError(
            f"`{name}` is of type {array.dtype}; needed is a label map of integers, a "
            "boolean image that is True in the region, a HyperSpy ROI, or a mapping of "
            "names to these."
        )
    _check_shape(signal, name, array)
    return array.ravel()


def _check_shape(signal: Any, name: str, array: np.ndarray) -> None:
    shape = signal.data.shape[:-1]
    if array.shape != shape:
        raise ValueError(
            f"`{name}` has shape {array.shape}; needed is {shape}, that of `s.data` "
            "without the energy axis."
        )


def chosen_regions(signal: Any, roi: Any, mask: Any) -> tuple[list[str], Regions]:
    """Return names and pixels of regions, without what a mask leaves out.

    Parameters
    ----------
    signal
        The map.
    roi
        As `region_map` takes regions; None: the whole map.
    mask
        A boolean image or ROI, True in pixels that are left out; None: nothing is.

    Returns
    -------
    names
        Of the regions.
    regions
        Their pixels.

    Raises
    ------
    ValueError
        If one of them makes no sense, or nothing is left of a region.
    """
    left = unmasked(signal, mask)
    if roi is None:
        names, inside = ["map"], np.ones((left.size, 1), bool)
    else:
        names, inside = region_map(signal, roi, "roi")
    inside = inside & left[:, None]
    if not (there := inside.any(axis=0)).all():
        raise ValueError(
            f"`mask` leaves no pixel of {names[int(there.argmin())]!r}. In it, True "
            "means left out: give the inverse, or none."
        )
    return names, Regions.of(inside)


def unmasked(signal: Any, mask: Any) -> np.ndarray:
    """Return the pixels that a mask does not leave out, flat; None is no mask."""
    if mask is None:
        return np.ones(int(np.prod(signal.data.shape[:-1])), bool)
    return ~_region(signal, "mask", mask)


def profile_regions(
    signal: Any, line: Any, width: float | None, step: float | None
) -> tuple[Regions, dict[str, Any]]:
    """Return the regions along a line of a map, and the axis that they lie on.

    Parameters
    ----------
    signal
        The map, of one or two navigation axes.
    line
        A line of HyperSpy; two points, (x, y) in the units of the axes; of a line scan
        a span, two numbers, or None for all of it.
    width, step
        In the units of the axes. None: the diagonal of a pixel, or what a line of
        HyperSpy has; the longest side of a pixel.

    Raises
    ------
    ValueError
        If the map or the line makes no sense, or no pixel is near the line.
    """
    axes = signal.axes_manager.navigation_axes
    if len(axes) not in (1, 2) or not all(axis.is_uniform for axis in axes):
        raise ValueError(
            "A profile needs one or two navigation axes with steps of one size, and "
            f"this signal has {len(axes)} navigation axes. Take a part, `s.inav[...]`."
        )
    start, end, wide = _ends(line, axes)
    scales = np.array([abs(float(axis.scale)) for axis in axes])
    if width is None:
        width = max(wide, float(np.hypot.reduce(scales)))
    step = float(scales.max()) if step is None else step
    for name, value in (("width", width), ("step", step)):
        check_number(name, value, 0, above=True)
    if not np.linalg.norm(end - start) > 0:
        raise ValueError(
            f"`line` is {line!r}, whose ends are one point; needed are two of them."
        )
    if np.linalg.norm(end - start) > MOST_STEPS * step:
        raise ValueError(
            f"`step` is {step:g}, which divides `line` into more than {MOST_STEPS} "
            "regions: give a longer one, such as the size of a pixel."
        )
    places = np.meshgrid(*(axis.axis for axis in axes[::-1]), indexing="ij")
    centres = np.stack([one.ravel() for one in places[::-1]], axis=1)
    regions, distance = along_line(centres, start, end, width, step)
    if not regions.used.any():
        raise ValueError(
            f"No pixel is within {width / 2:g} of `line`, {line!r}: give its ends in "
            f"the units of the axes, {' and '.join(str(a.units) for a in axes)}."
        )
    along = {"name": "Distance", "size": distance.size, "scale": step}
    return regions, {**along, "units": axes[0].units, "navigate": False}


def _ends(line: Any, axes: Sequence[Any]) -> tuple[np.ndarray, np.ndarray, float]:
    """Return the ends of a line in the units of the axes, and its width."""
    given, width = line, 0.0
    if isinstance(line, hs.roi.Line2DROI):
        given = (line.x1, line.y1), (line.x2, line.y2)
        width = float(line.linewidth)
    elif isinstance(line, hs.roi.SpanROI):
        given = line.left, line.right
    elif line is None and len(axes) == 1:
        given = axes[0].axis[[0, -1]]
    try:
        ends = np.asarray(given, dtype=float).reshape(2, -1)
    except (TypeError, ValueError):
        ends = np.full((2, 1), np.nan)
    if ends.shape != (2, len(axes)) or not np.isfinite(ends).all():
        kinds = "two points, ((x, y), (x, y)), or a `hyperspy.api.roi.Line2DROI`"
        if len(axes) == 1:
            kinds = "two numbers, a `hyperspy.api.roi.SpanROI`, or None for all of it"
        raise ValueError(
            f"`line` is {line!r}; needed are {kinds}, in the units of the axes."
        )
    return ends[0], ends[1], width


def rois_of(roi: Any) -> list[BaseROI]:
    """Return the ROIs of HyperSpy among regions, which can be moved."""
    given = roi.values() if isinstance(roi, Mapping) else [roi]
    return [one for one in given if isinstance(one, BaseROI)]


def follow(
    rois: Sequence[BaseROI],
    signals: Sequence[hs.signals.BaseSignal],
    computed: Callable[[], Sequence[hs.signals.BaseSignal]],
) -> None:
    """Let signals follow ROIs that are moved.

    Parameters
    ----------
    rois
        What is moved.
    signals
        Those to change; each tells by ``events.data_changed``.
    computed
        Returns them anew.
    """

    def moved(*_: Any) -> None:
        try:
            new = computed()
        except ValueError:  # the region was moved off the map
            new = None
        for i, signal in enumerate(signals):
            of_signals = (x.get_noise_variance() for x in (signal, new and new[i]) if x)
            signal.data[...] = np.nan if new is None else new[i].data
            variance, *others = of_signals
            variance.data[...] = others[0].data if others else np.nan
            signal.events.data_changed.trigger(obj=signal)

    for roi in rois:
        roi.events.changed.connect(moved, [])
