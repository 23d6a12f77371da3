"""What the figures read from a signal: its phases and their maps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

import hyperspy.api as hs
import numpy as np

from espm_hs.decomposition.result import PhaseAnalysis
from espm_hs.factorization import summed_spectrum
from espm_hs.physics import SpectrumModel
from espm_hs.quantification.pixels import check_channels

if TYPE_CHECKING:
    from hyperspy.axes import DataAxis
    from hyperspy.signals import BaseSignal

# Inches.
_NAVIGATOR = (4.2, 3.4)
# Part of each axis that a region covers at first.
_SIZE = 0.2


class SummedFit(NamedTuple):
    """Spectrum of several pixels and what was fitted to it.

    Attributes
    ----------
    found
        Result of the decomposition.
    counts
        Sum over the pixels, shape (n_channels,).
    totals
        Sum of their loadings, shape (n_phases,).
    """

    found: PhaseAnalysis
    counts: np.ndarray
    totals: np.ndarray

    @classmethod
    def of_pixels(
        cls,
        found: PhaseAnalysis,
        data: Any,
        loadings: np.ndarray,
        pixels: np.ndarray | None = None,
    ) -> SummedFit:
        """Return the sum over pixels of a map, boolean; None: all that were fitted."""
        pixels = fitted_pixels(loadings) if pixels is None else pixels
        counts = summed_spectrum(data, pixels)
        return cls(found, counts, loadings[pixels].sum(axis=0))

    @property
    def fitted(self) -> np.ndarray:
        """Model of the counts, shape (n_channels,)."""
        return self.found.spectra @ self.totals

    @property
    def columns(self) -> np.ndarray:
        """What each column of the model has in it, (n_channels, n_columns).

        NaN in the channels left out.
        """
        weights = column_weights(self.found) * self.totals
        columns = np.einsum("jec,cj->ec", self.found.G, weights)
        columns[~self.found.channels] = np.nan
        return columns


def read_results(signal: BaseSignal) -> tuple[PhaseAnalysis, np.ndarray]:
    """Analysis and loadings, the latter of shape (n_pixels, n_phases).

    Raises
    ------
    RuntimeError
        If there are none, or the signal has got other channels since.
    """
    found = signal.analysis_results()
    check_channels(found, signal.data)
    return found, signal._loadings(found)


def chosen_pixels(signal: BaseSignal, loadings: np.ndarray, where: Any) -> np.ndarray:
    """Fitted pixels among those that ``where`` names, flat; see `plot_fit`.

    Raises
    ------
    ValueError
        If there is none, or ``where`` is neither a position nor an image of the map.
    """
    fitted = fitted_pixels(loadings)
    if where is None:
        return fitted
    shape = signal.data.shape[:-1]
    image = np.asarray(where.data if hasattr(where, "axes_manager") else where)
    if image.dtype == bool and image.shape == shape:
        chosen = image.ravel() & fitted
    else:
        axes = signal.axes_manager.navigation_axes
        if image.dtype.kind not in "iuf" or np.atleast_1d(image).shape != (len(axes),):
            raise ValueError(
                f"`where` must be a position, {len(axes)} numbers as for `inav`, or a "
                f"boolean image of shape {shape}; got {where!r}."
            )
        # one by one: in an array a float would make all of them floats
        position = where if np.ndim(where) else [where]
        index = [_index(axis, x) for axis, x in zip(axes, position, strict=True)]
        chosen = np.zeros(shape, bool)
        chosen[tuple(index[::-1])] = True
        chosen = chosen.ravel() & fitted
    if not chosen.any():
        raise ValueError(
            "No pixel of `where` was fitted: look for them with `s.plot_phases()`."
        )
    return chosen


def _index(axis: DataAxis, position: float) -> int:
    """Index of a position on an axis: an integer is one, a float has its units."""
    size = axis.size
    if isinstance(position, float):
        if not axis.low_value <= position <= axis.high_value:
            raise ValueError(
                f"`where` is at {position:g} {axis.units} on the axis {axis.name!s}, "
                f"which goes from {axis.low_value:g} to {axis.high_value:g}."
            )
        position = axis.value2index(position)
    index = int(position)
    if not -size <= index < size:
        raise ValueError(
            f"`where` is at {index} on the axis {axis.name!s}, which has {size} pixels."
        )
    return index


def physics_of(found: PhaseAnalysis) -> SpectrumModel:
    """Model of a result, which of an EDS signal is one of X-rays."""
    return cast(SpectrumModel, found.model)


def column_weights(found: PhaseAnalysis) -> np.ndarray:
    """Weights of the columns of each phase's G that give `found.spectra`."""
    unscaled = np.einsum("jec,cj->j", found.G[:, found.channels], found.W)
    scaled = found.spectra[found.channels].sum(axis=0)
    return found.W * (scaled / np.maximum(unscaled, 1e-300))


def fitted_pixels(loadings: np.ndarray) -> np.ndarray:
    """Pixels that were fitted, shape (n_pixels,)."""
    return ~np.isnan(loadings[:, 0])


def usual_region(signal: BaseSignal) -> hs.roi.SpanROI | hs.roi.RectangularROI:
    """Region in the middle of the map: a rectangle, or a span along a line.

    Raises
    ------
    ValueError
        If the signal has not one or two navigation axes.
    """
    axes = signal.axes_manager.navigation_axes
    if len(axes) not in (1, 2):
        raise ValueError(
            "A region needs one or two navigation axes, and this signal has "
            f"{len(axes)}. Plot positions or masks: `s.plot_fit(where)`."
        )
    ends = []
    for axis in axes:
        middle, half = axis.size // 2, max(1, round(_SIZE * axis.size / 2))
        low, high = max(0, middle - half), min(axis.size - 1, middle + half)
        ends.append((axis.index2value(low), axis.index2value(high)))
    if len(ends) == 1:
        return hs.roi.SpanROI(*ends[0])
    (left, right), (top, bottom) = ends
    return hs.roi.RectangularROI(left, top, right, bottom)


def navigator_with(signal: BaseSignal, roi: Any) -> None:
    """Plot the counts of each pixel, with a region on them that can be moved."""
    navigator = signal.sum(axis=signal.axes_manager.signal_axes).T
    if navigator._lazy:
        navigator.compute(show_progressbar=False)
    navigator.plot()
    plotted = navigator._plot.signal_plot
    # small enough to be seen together with what follows the region
    plotted.figure.set_size_inches(_NAVIGATOR)
    plotted.figure.subplots_adjust(left=0.14, bottom=0.16, top=0.9)
    plotted.ax.set_title("counts; the region can be moved", fontsize="medium")
    roi.add_widget(navigator, axes=navigator.axes_manager.signal_axes)
