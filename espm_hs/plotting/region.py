"""Figure of the fit of a region, which is moved on the map by hand."""

from __future__ import annotations

import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from espm_hs.arguments import check_choice
from espm_hs.factorization import summed_spectrum
from espm_hs.plotting.fit import PARTS, draw_fit
from espm_hs.plotting.results import fitted_pixels, read_results

# Part of each axis that the region covers at first.
_SIZE = 0.2


def plot_fit_of_region(signal, parts="phases") -> Figure:
    """
    Plot the map with a region to move, and the fit of the spectrum in it.

    Parameters
    ----------
    signal : EDSespmSpectrum
        With a decomposition by ``algorithm="espm"``.
    parts
        As in `plot_fit`.

    Returns
    -------
    matplotlib.figure.Figure
        The figure of `plot_fit`; ``roi`` is the region.

    Raises
    ------
    RuntimeError
        If the signal has no such decomposition.
    ValueError
        If it has not one or two navigation axes, or ``parts`` is neither.
    """
    check_choice("parts", parts, PARTS)
    found, loadings = read_results(signal)
    axes = signal.axes_manager.navigation_axes
    if len(axes) not in (1, 2):
        raise ValueError(
            "A region needs one or two navigation axes, and this signal has "
            f"{len(axes)}. Plot positions or masks: `s.plot_fit(where)`."
        )
    shape = signal.data.shape[:-1]
    maps = loadings.reshape(*shape, found.n_phases)
    roi = _region(axes)
    figure = plt.figure(figsize=(9, 5.6), layout="constrained")

    def draw(*_) -> None:
        region = _slices(roi, axes)
        part = maps[region].reshape(-1, found.n_phases)
        fitted = fitted_pixels(part)
        counts = summed_spectrum(signal.data[region], fitted)
        figure.clear()
        draw_fit(figure, found, np.nansum(part, axis=0), counts, parts)
        title = f"{int(fitted.sum())} pixels"
        figure.axes[0].set_title(title, loc="left", fontsize="medium")
        figure.canvas.draw_idle()

    navigator = signal.sum(axis=signal.axes_manager.signal_axes).T
    if navigator._lazy:
        navigator.compute(show_progressbar=False)
    navigator.plot()
    roi.add_widget(navigator, axes=navigator.axes_manager.signal_axes)
    roi.events.changed.connect(draw, [])
    figure.roi = roi  # lives as long as the figure
    draw()
    return figure


def _region(axes):
    """Region in the middle of the map: a rectangle, or a span along a line."""
    ends = []
    for axis in axes:
        middle, half = axis.size // 2, max(1, round(_SIZE * axis.size / 2))
        low, high = max(0, middle - half), min(axis.size - 1, middle + half)
        ends.append((axis.index2value(low), axis.index2value(high)))
    if len(ends) == 1:
        return hs.roi.SpanROI(*ends[0])
    (left, right), (top, bottom) = ends
    return hs.roi.RectangularROI(left, top, right, bottom)


def _slices(roi, axes) -> tuple[slice, ...]:
    """Pixels of a region in array order, at least one along each axis."""
    names = [("left", "right"), ("top", "bottom")]
    slices = []
    for axis, (low, high) in zip(axes, names, strict=False):
        first, last = (_index(axis, float(getattr(roi, name))) for name in (low, high))
        first = min(first, axis.size - 1)
        slices.append(slice(first, max(first + 1, last)))
    return tuple(slices[::-1])


def _index(axis, value: float) -> int:
    """Index of a value, which may be beyond the ends of the axis."""
    if value > axis.high_value:
        return axis.size
    return int(axis.value2index(max(value, axis.low_value)))
