"""Spectra on axes: lines to label and where, scales to choose, sums over peaks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.text import Annotation

from espm_hs.decomposition.result import PhaseAnalysis
from espm_hs.physics import EmissionLine
from espm_hs.plotting.results import physics_of
from espm_hs.plotting.style import GREY

# A line is labelled where it makes this share of the spectrum at its energy.
_LABELLED_SHARE = 0.3
# Labelled peaks smaller than this share of the highest one call for a log axis.
_SMALL_PEAK = 0.04
# Share of the height of the axes that the spectrum takes, the labels being above.
_BELOW_LABELS = 0.72
# Width of a label of a line, upright, inches.
_LABEL_WIDTH = 0.15


# -- peaks -----------------------------------------------------------------------


class Peak(NamedTuple):
    """Label of a family of lines: where it stands and how high its peak is."""

    energy: float
    height: float
    text: str
    stray: bool

    @classmethod
    def of(cls, line: EmissionLine, height: float, stray: bool) -> Peak:
        """Return the label of a line, which stands for its family."""
        alpha = "α" if "a1" in line.name else ""
        return cls(line.energy, height, f"{line.element} {line.family}{alpha}", stray)


def find_peaks(found: PhaseAnalysis, parts: np.ndarray) -> list[Peak]:
    """Families of lines that stand out of a spectrum, by increasing energy.

    Parameters
    ----------
    found
        For the lines and the channels in use.
    parts
        Shape (n_channels, n_columns). What each column of the model has in the
        spectrum.

    Returns
    -------
    list of Peak
    """
    total = parts.sum(axis=1)
    peaks = []
    for column, part in zip(found.model.columns, parts.T, strict=True):
        if column.kind == "background" or not part.any():
            continue
        for family in column.family or ():
            line = _main_line(found, column.element, family)
            if line is None:
                continue
            channel = int(np.argmin(np.abs(physics_of(found).energy - line.energy)))
            stands_out = part[channel] > _LABELLED_SHARE * total[channel]
            if found.channels[channel] and stands_out:
                stray = column.kind == "stray"
                peaks.append(Peak.of(line, total[channel], stray))
    return sorted(peaks, key=lambda peak: peak.energy)


def _main_line(
    found: PhaseAnalysis, element: str | None, family: str
) -> EmissionLine | None:
    """Strongest line of a family, if there is any in the model."""
    lines = physics_of(found).emission_lines
    own = (x for x in lines if x.element == element and x.family == family)
    return max(own, key=lambda line: line.cross_section, default=None)


# -- scales of the axes ----------------------------------------------------------


def energy_limits(
    found: PhaseAnalysis, peaks: Iterable[Iterable[Peak]]
) -> tuple[float, float]:
    """Energies to show: from 0 to a little above the highest labelled peak, keV."""
    fitted = physics_of(found).energy[found.channels]
    highest = max((peak.energy for row in peaks for peak in row), default=fitted[-1])
    return min(0.0, fitted[0]), min(fitted[-1], 1.18 * highest + 0.2)


def set_heights(
    axes: Axes, spectrum: np.ndarray, peaks: Iterable[Peak], log: bool | None = None
) -> None:
    """Choose the scale in which the labelled peaks can be read; leave them room.

    Unless ``log`` says which scale it is.
    """
    highest = np.nanmax(spectrum)
    if not highest > 0:
        return
    smallest = min((peak.height for peak in peaks), default=highest)
    if log is None:
        log = smallest < _SMALL_PEAK * highest
    if not log:
        axes.set_ylim(0, highest / _BELOW_LABELS)
        return
    positive = spectrum[np.nan_to_num(spectrum) > 0]
    bottom = max(min(0.3 * smallest, 0.7 * np.median(positive)), 1e-5 * highest)
    axes.set_yscale("log")
    axes.set_ylim(bottom, bottom * (highest / bottom) ** (1 / _BELOW_LABELS))


def draw_sigmas(axes: Axes, values: np.ndarray) -> None:
    """Lines at 0 and at three standard deviations, and room for all values."""
    axes.axhline(0, color=GREY, lw=0.6)
    axes.axhspan(-3, 3, color=GREY, alpha=0.15, lw=0)
    extremes = np.nanmin(values, initial=-3.5), np.nanmax(values, initial=3.5)
    axes.set_ylim(*(1.15 * value for value in extremes))


def within_a_peak(found: PhaseAnalysis, spectrum: np.ndarray) -> np.ndarray:
    """Sum of a spectrum over the width of a peak around each used channel."""
    energy = physics_of(found).energy[found.channels]
    half = 0.5e-3 * physics_of(found).detector.fwhm(energy)
    cumulated = np.concatenate([[0.0], np.cumsum(spectrum[found.channels])])
    first = np.searchsorted(energy, energy - half)
    last = np.searchsorted(energy, energy + half, side="right")
    return cumulated[last] - cumulated[first]


# -- labels ----------------------------------------------------------------------


def draw_labels(axes: Axes, peaks: Iterable[Peak]) -> None:
    """Write the names of lines upright along the top, with a thread to each peak.

    They keep their distance however wide the axes are, and whatever part of the
    energies is looked at: of those that have no room the highest peaks are named.
    """
    labels = [
        axes.annotate(
            peak.text,
            xy=(peak.energy, peak.height),
            xytext=(peak.energy, 0.98),
            textcoords=axes.get_xaxis_transform(),
            rotation=90,
            ha="center",
            va="top",
            fontsize="x-small",
            color=GREY if peak.stray else "black",
            arrowprops={"arrowstyle": "-", "lw": 0.4, "color": GREY, "shrinkB": 2},
            annotation_clip=True,
        )
        for peak in sorted(peaks, key=lambda peak: -peak.height)
    ]
    axes.add_artist(_Places(axes, labels))


class _Places(Artist):
    """Finds the places of labels whenever the axes are drawn; it has no look itself."""

    # before the labels
    zorder = 0.0

    def __init__(self, axes: Axes, labels: Sequence[Annotation]):
        super().__init__()
        self._axes = axes
        self._labels = labels  # highest peaks first
        self.set_in_layout(False)

    def draw(self, renderer: Any) -> None:
        """Move the labels to where they do not collide."""
        axes = self._axes
        low, high = sorted(axes.get_xlim())
        inches = axes.bbox.width / axes.figure.dpi
        step = (high - low) * _LABEL_WIDTH / max(inches, _LABEL_WIDTH)
        inside = [one for one in self._labels if low <= one.xy[0] <= high]
        shown = inside[: max(0, int((high - low) / step) - 1)]
        shown.sort(key=lambda one: one.xy[0])
        for one in self._labels:
            if one.get_visible() != (one in shown):
                one.set_visible(one in shown)
        places = _spread([one.xy[0] for one in shown], step, low, high)
        for one, place in zip(shown, places, strict=True):
            # what is moved asks for another drawing
            if abs(one.get_position()[0] - place) > 1e-3 * step:
                one.set_position((place, 0.98))


def _spread(
    positions: Sequence[float], step: float, low: float, high: float
) -> np.ndarray:
    """Positions moved as little as possible (least squares) to be a step apart."""
    if not positions:
        return np.empty(0)
    offsets = step * np.arange(len(positions))
    last = high - step / 2 - offsets[-1]
    # importing it takes a second
    from sklearn.isotonic import isotonic_regression

    moved = isotonic_regression(np.array(positions) - offsets)
    return np.clip(moved, low + step / 2, max(last, low + step / 2)) + offsets
