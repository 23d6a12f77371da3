"""HyperSpy's masks (True = left out) as flat arrays of what is used."""

from __future__ import annotations

from numbers import Real

import hyperspy.api as hs
import numpy as np

from espm_hs.arguments import check_number


def used_pixels(signal, mask) -> np.ndarray | None:
    """Pixels in use, flat in array order, from a HyperSpy mask (True = out)."""
    if mask is None:
        return None
    if isinstance(mask, Real) and not isinstance(mask, bool):
        check_number("navigation_mask", mask)
        mask = signal.vacuum_mask(float(mask))
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


def used_channels(signal, mask) -> np.ndarray | None:
    """Channels in use from a HyperSpy mask (True = out)."""
    if mask is None:
        return None
    array = _boolean("signal_mask", mask, "a boolean array or signal")
    size = signal.axes_manager.signal_axes[0].size
    if array.shape != (size,):
        raise ValueError(
            f"`signal_mask` has shape {array.shape}; needed is ({size},), with "
            "True where channels are left out."
        )
    return ~array


def _boolean(name, mask, needed) -> np.ndarray:
    """Array of a mask, which must be boolean."""
    array = np.asarray(mask.data if isinstance(mask, hs.signals.BaseSignal) else mask)
    if array.dtype != bool:
        kind = repr(mask) if isinstance(mask, str) else f"of type {array.dtype}"
        raise ValueError(
            f"`{name}` is {kind}; needed is {needed} (True = left out), such as "
            "the result of a comparison."
        )
    return array
