"""Ranges of energy to ignore, given as numbers or dragged on the spectrum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import hyperspy.api as hs
import numpy as np

from espm_hs.arguments import plain_float
from espm_hs.metadata.reader import energy_axis, kev_per_unit


class ChannelMask:
    """Channels to leave out, to be given as ``signal_mask``.

    Parameters
    ----------
    signal
        The signal that they are of.
    ranges
        Pairs of energies in keV.

    Raises
    ------
    ValueError
        If a range is none, or holds no channel.
    """

    def __init__(self, signal: Any, ranges: Sequence[tuple[float, float]] = ()):
        self._signal = signal
        self._axis = signal.axes_manager.signal_axes[0]
        self._energy = energy_axis(self._axis)
        self._plotted: Any = None
        self._spans: list = []
        for pair in ranges:
            if not (isinstance(pair, list | tuple | np.ndarray) and len(pair) == 2):
                raise ValueError(
                    "A range is a pair of energies in keV, as in "
                    f"`s.mask_channels((2.0, 2.6), (7.8, 8.3))`; got {pair!r}."
                )
            self.add(*pair)

    @property
    def ranges(self) -> list[tuple[float, float]]:
        """Pairs of energies in keV, as they are now."""
        unit = kev_per_unit(self._axis)
        return [(span.left * unit, span.right * unit) for span in self._spans]

    def add(self, low: float, high: float) -> None:
        """Ignore the channels from one energy to another, keV.

        Raises
        ------
        ValueError
            If the second is not above the first, or no channel is between them.
        TypeError
            If one is no number.
        """
        low, high = plain_float("low", low), plain_float("high", high)
        if not low < high:
            raise ValueError(
                "A range goes from a lower to a higher energy in keV; got "
                f"{low:g} to {high:g}."
            )
        inside = (self._energy >= low) & (self._energy <= high)
        if not inside.any():
            raise ValueError(
                f"The range from {low:g} to {high:g} keV holds no channel; those of "
                f"the signal go from {self._energy[0]:g} to {self._energy[-1]:g} keV."
            )
        unit = kev_per_unit(self._axis)
        self._spans.append(hs.roi.SpanROI(low / unit, high / unit))
        if self._plotted is not None:
            self._show(self._spans[-1])

    def plot(self) -> None:
        """Plot the summed spectrum with the ranges, which can be dragged and resized.

        Without a range there is one in the middle to begin with.
        """
        summed = self._signal._summed()
        axis = {**self._axis.get_axis_dictionary(), "navigate": False}
        self._plotted = hs.signals.Signal1D(summed, axes=[axis])
        self._plotted.plot()
        if not self._spans:
            first, last = self._energy[[0, -1]]
            self.add(first + 0.45 * (last - first), first + 0.55 * (last - first))
            return
        for span in self._spans:
            self._show(span)

    def _show(self, span: Any) -> None:
        span.add_widget(self._plotted, color="#D55E00")

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        """Return True in the channels to leave out."""
        mask = np.zeros(self._energy.size, bool)
        for low, high in self.ranges:
            mask |= (self._energy >= low) & (self._energy <= high)
        return mask if dtype is None else mask.astype(dtype)

    def __repr__(self) -> str:
        texts = [f"{low:.3g} to {high:.3g} keV" for low, high in self.ranges]
        return f"ChannelMask({', '.join(texts) or 'nothing'})"
