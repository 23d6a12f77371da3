"""What HyperSpy's user gives, as it is needed: masks, known phases, progress bars."""

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import hyperspy.api as hs
import numpy as np
from hyperspy.external.progressbar import progressbar
from hyperspy.roi import BaseROI

from espm_hs.arguments import check_number
from espm_hs.metadata.reader import energy_axis
from espm_hs.quantification.phase_names import FROM_DATABASE, known_from_database

# Energies of a known spectrum and of the map agree within this part of a channel.
SAME_CHANNEL = 0.01


def progress_bar(show: bool | None, *args: Any, **options: Any) -> Any:
    """Return HyperSpy's progress bar.

    Parameters
    ----------
    show
        Whether it is shown; None for HyperSpy's preference.
    *args, **options
        As `tqdm` takes them.
    """
    if show is None:
        show = hs.preferences.General.show_progressbar
    return progressbar(*args, disable=not show, **options)


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
    return _of_region(signal.axes_manager.navigation_axes, value)


def _of_region(axes: Sequence[Any], value: Any) -> Any:
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
            "HyperSpy has means and no pixels. Give `linewidth=0`, or a boolean image."
        )


def used_pixels(signal: Any, mask: Any) -> np.ndarray | None:
    """Return the pixels in use, flat in array order.

    Parameters
    ----------
    signal
        The map.
    mask
        HyperSpy's mask of pixels, True where they are left out: an array, a signal, or
        a number, the threshold of `vacuum_mask`, or a ROI of HyperSpy. None: all
        pixels are used.

    Returns
    -------
    array of bool or None
        True where pixels are used; None for all of them.

    Raises
    ------
    ValueError
        If the mask is not boolean, has another shape than the map, or is a threshold
        that leaves out all of it.
    """
    if mask is None:
        return None
    if isinstance(mask, Real) and not isinstance(mask, bool):
        threshold = float(mask)
        check_number("navigation_mask", threshold)
        mask = signal.vacuum_mask(threshold)
        if bool(np.all(mask.data)):
            raise ValueError(
                f"`navigation_mask={threshold:g}` is a threshold, below which the "
                "largest channel of a pixel makes it vacuum, and the largest of this "
                f"map has {float(signal.data.max()):g} counts: all pixels are left "
                "out. Give a lower one, or a boolean mask."
            )
    if isinstance(mask, BaseROI):
        mask = without_regions(signal, mask).T  # masks that are arrays are x, y
    shape = signal.axes_manager.navigation_shape
    is_signal = isinstance(mask, hs.signals.BaseSignal)
    if is_signal and shape and mask.axes_manager.signal_dimension > 0:
        raise ValueError(
            "`navigation_mask` is a signal with signal axes, "
            f"{mask.axes_manager.signal_shape}; needed are navigation axes only. "
            "Give its transpose, `navigation_mask=mask.T`."
        )
    array = _boolean(
        "navigation_mask",
        mask,
        "a boolean array or signal, or a number, the threshold of `vacuum_mask`",
    )
    found = mask.axes_manager.navigation_shape if is_signal else array.shape
    if found != shape:
        raise ValueError(
            f"`navigation_mask` has shape {found}; needed is the navigation shape "
            f"of the signal, {shape} (x, y), with True where pixels are left out."
        )
    return ~(array if is_signal else array.T).ravel()


def used_channels(signal: Any, mask: Any) -> np.ndarray | None:
    """Return the channels in use from HyperSpy's mask; see `used_pixels`."""
    if mask is None:
        return None
    axes = signal.axes_manager.signal_axes
    array = _boolean("signal_mask", _of_region(axes, mask), "a boolean array or signal")
    size = axes[0].size
    if array.shape != (size,):
        raise ValueError(
            f"`signal_mask` has shape {array.shape}; needed is ({size},), with "
            "True where channels are left out."
        )
    return ~array


def _boolean(name: str, mask: Any, needed: str) -> np.ndarray:
    """Return the array of a mask, which must be boolean."""
    array = _data(mask)
    if array.dtype != bool:
        kind = repr(mask) if isinstance(mask, str) else f"of type {array.dtype}"
        raise ValueError(
            f"`{name}` is {kind}; needed is {needed} (True = left out), such as "
            "the result of a comparison."
        )
    return array


def _data(value: Any) -> np.ndarray:
    is_signal = isinstance(value, hs.signals.BaseSignal)
    return np.asarray(value.data if is_signal else value)


def arrays_of(signal: Any, known_phases: Any) -> Any:
    """Return ``known_phases`` with the spectra and maps that are signals as arrays.

    Parameters
    ----------
    signal
        The map that they are about.
    known_phases
        As in `decomposition`; what makes no sense is left for later checks.

    Raises
    ------
    ValueError
        If a spectrum is several, or on another energy axis.
    """
    if not isinstance(known_phases, Mapping):
        return known_phases
    looked_up = {
        key: _looked_up(signal, key, kinds) for key, kinds in known_phases.items()
    }
    return {
        key: {kind: _known(signal, value, key, kind) for kind, value in kinds.items()}
        if isinstance(kinds, Mapping)
        else kinds
        for key, kinds in looked_up.items()
    }


def _looked_up(signal: Any, key: Any, kinds: Any) -> Any:
    """Return what is known of a phase, with what the table of compounds has of it."""
    if isinstance(kinds, str) and kinds == FROM_DATABASE:
        return known_from_database(key, signal.physical_model())
    composition = kinds.get("composition") if isinstance(kinds, Mapping) else None
    if isinstance(composition, str) and composition == FROM_DATABASE:
        others = {kind: x for kind, x in kinds.items() if kind != "composition"}
        return known_from_database(key, signal.physical_model()) | others
    return kinds


def region_map(signal: Any, regions: Any) -> tuple[list[str], np.ndarray]:
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
        array = _data(regions)
        _check_shape(signal, "regions", array)
        numbers, place = np.unique(array.ravel(), return_inverse=True)
        names = [f"region {x}" for x in numbers[numbers >= 0]]
        inside = place.ravel()[:, None] == np.flatnonzero(numbers >= 0)
    else:
        given = regions if isinstance(regions, Mapping) else {"region": regions}
        names = [str(name) for name in given]
        found = [_region(signal, f"regions[{x!r}]", y) for x, y in given.items()]
        inside = np.stack(found, axis=1) if found else np.zeros((1, 0), bool)
    if not names:
        raise ValueError(
            f"`regions` is {regions!s:.60}, in which there is no region; needed is "
            "a label map with numbers from 0 on, a boolean image, a HyperSpy ROI, or a "
            "mapping of names to these."
        )
    if not (there := inside.any(axis=0)).all():
        raise ValueError(f"{names[int(there.argmin())]!r} of `regions` has no pixel.")
    return names, inside


def _is_labels(regions: Any) -> bool:
    """Whether it is an image of integers."""
    is_image = isinstance(regions, hs.signals.BaseSignal | np.ndarray | list)
    return is_image and _data(regions).dtype.kind in "iu"


def _region(signal: Any, name: str, region: Any) -> np.ndarray:
    """Return the pixels of a region, flat."""
    array = _data(without_regions(signal, region))
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


def _known(signal: Any, value: Any, key: Any, kind: Any) -> Any:
    """Return what is known of a phase, an array where it is a spectrum or a map."""
    if kind not in ("spectrum", "map"):
        return value
    data = _data(without_regions(signal, value) if kind == "map" else value)
    if kind == "map" or not isinstance(value, hs.signals.BaseSignal):
        return data
    where = f"`known_phases[{key!r}][{kind!r}]`"
    if data.size != data.shape[-1]:
        raise ValueError(
            f"{where} holds {data.size // data.shape[-1]} spectra; needed is one. Take "
            "their sum, `.sum()`."
        )
    ours, theirs = signal.axes_manager.signal_axes[0], value.axes_manager[-1]
    if not _same_energies(energy_axis(ours), energy_axis(theirs)):
        raise ValueError(
            f"{where} has {theirs.size} channels of {theirs.scale:g} {theirs.units} "
            f"from {theirs.offset:g} {theirs.units}, the map {ours.size} of "
            f"{ours.scale:g} {ours.units} from {ours.offset:g} {ours.units}. Give a "
            "spectrum over the channels of the map, or an array if they are the same."
        )
    return data.ravel()


def _same_energies(ours: np.ndarray, theirs: np.ndarray) -> bool:
    """Whether two energy axes have the same channels, keV."""
    if ours.size != theirs.size:
        return False
    apart = np.abs(ours - theirs)[[0, -1]].max()
    return bool(apart <= SAME_CHANNEL * (ours[-1] - ours[0]) / max(1, ours.size - 1))
