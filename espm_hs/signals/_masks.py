"""What HyperSpy's user gives, as it is needed: masks, known phases, progress bars."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from numbers import Real
from typing import Any

import hyperspy.api as hs
import numpy as np
from hyperspy.external.progressbar import progressbar
from hyperspy.roi import BaseROI

from espm_hs.arguments import check_number
from espm_hs.metadata.reader import energy_axis
from espm_hs.progress import is_reported, reported
from espm_hs.quantification.phase_names import FROM_DATABASE, known_from_database
from espm_hs.signals._regions import array_of, of_region, without_regions

# Energies of a known spectrum and of the map agree within this part of a channel.
SAME_CHANNEL = 0.01
# What a progress bar shows: percent, and the time so far and to come.
BAR = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}"


@contextmanager
def shown_progress(show: bool | None, what: str) -> Iterator[None]:
    """Show how far what is done inside has come, by HyperSpy's progress bar.

    What is a part of more that is shown has no bar of its own.

    Parameters
    ----------
    show
        Whether it is shown; None for HyperSpy's preference.
    what
        What is done.
    """
    if is_reported():
        yield
        return
    if show is None:
        show = hs.preferences.General.show_progressbar
    # the rest takes as long as what was done: later stages are not those of just now
    options = {"smoothing": 0, "bar_format": BAR, "total": 100}
    bar = progressbar(desc=what, disable=not show, **options)

    def go_on(fraction: float, name: str) -> None:
        bar.set_description_str(f"{what}, {name}" if name else what, refresh=False)
        bar.update(100 * fraction - bar.n)

    try:
        with reported(go_on):
            yield
    finally:
        bar.close()


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
    array = _boolean("signal_mask", of_region(axes, mask), "a boolean array or signal")
    size = axes[0].size
    if array.shape != (size,):
        raise ValueError(
            f"`signal_mask` has shape {array.shape}; needed is ({size},), with "
            "True where channels are left out."
        )
    return ~array


def _boolean(name: str, mask: Any, needed: str) -> np.ndarray:
    """Return the array of a mask, which must be boolean."""
    array = array_of(mask)
    if array.dtype != bool:
        kind = repr(mask) if isinstance(mask, str) else f"of type {array.dtype}"
        raise ValueError(
            f"`{name}` is {kind}; needed is {needed} (True = left out), such as "
            "the result of a comparison."
        )
    return array


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


def _known(signal: Any, value: Any, key: Any, kind: Any) -> Any:
    """Return what is known of a phase, an array where it is a spectrum or a map."""
    if kind not in ("spectrum", "map"):
        return value
    data = array_of(without_regions(signal, value) if kind == "map" else value)
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
