"""Spectra on axes: lines to label and where, scales to choose, sums over peaks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.isotonic import isotonic_regression

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


@dataclass(frozen=True)
class Peak:
    """Label of a family of lines: where it stands and how high its peak is."""

    energy: float
    height: float
    text: str
    stray: bool


def find_peaks(found, parts) -> list[Peak]:
    """
    Families of lines that stand out of a spectrum, by increasing energy.

    Parameters
    ----------
    found : PhaseAnalysis
        For the lines and the channels in use.
    parts : array, shape (n_channels, n_columns)
        What each column of the model has in the spectrum.

    Returns
    -------
    list of Peak
    """
    total = parts.sum(axis=1)
    peaks = []
    for i, column in enumerate(found.model.columns):
        if column.kind == "background" or not parts[:, i].any():
            continue
        for family in column.family:
            share, peak = _family_peak(found, i, family, parts[:, i], total)
            if peak is not None and share > _LABELLED_SHARE:
                peaks.append(peak)
    return sorted(peaks, key=lambda peak: peak.energy)


def _family_peak(found, i, family, part, total) -> tuple[float, Peak | None]:
    """Share of a family of column i in the spectrum at its main line, and label."""
    model, column = found.model, found.model.columns[i]
    line = _main_line(model, column.element, family)
    if line is None:
        return 0.0, None
    channel = int(np.argmin(np.abs(model.energy - line.energy)))
    if not found.channels[channel] or total[channel] <= 0:
        return 0.0, None
    text = f"{column.element} {family}{'α' if 'a1' in line.name else ''}"
    peak = Peak(line.energy, total[channel], text, column.kind == "stray")
    return part[channel] / total[channel], peak


def _main_line(model, element, family):
    lines = [
        line
        for line in model.emission_lines
        if line.element == element and line.family == family
    ]
    return max(lines, key=lambda line: line.cross_section, default=None)


# -- scales of the axes ----------------------------------------------------------


def energy_limits(found, peaks) -> tuple[float, float]:
    """Energies to show: from 0 to a little above the highest labelled peak, keV."""
    fitted = found.model.energy[found.channels]
    highest = max((peak.energy for row in peaks for peak in row), default=fitted[-1])
    return min(0.0, fitted[0]), min(fitted[-1], 1.18 * highest + 0.2)


def set_heights(axes, spectrum, peaks, log: bool | None = None) -> None:
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


def draw_sigmas(axes, values) -> None:
    """Lines at 0 and at three standard deviations, and room for all values."""
    axes.axhline(0, color=GREY, lw=0.6)
    axes.axhspan(-3, 3, color=GREY, alpha=0.15, lw=0)
    extremes = np.nanmin(values, initial=-3.5), np.nanmax(values, initial=3.5)
    axes.set_ylim(*(1.15 * value for value in extremes))


def within_a_peak(found, spectrum) -> np.ndarray:
    """Sum of a spectrum over the width of a peak around each used channel."""
    energy = found.model.energy[found.channels]
    half = 0.5e-3 * found.model.detector.fwhm(energy)
    cumulated = np.concatenate([[0.0], np.cumsum(spectrum[found.channels])])
    first = np.searchsorted(energy, energy - half)
    last = np.searchsorted(energy, energy + half, side="right")
    return cumulated[last] - cumulated[first]


# -- labels ----------------------------------------------------------------------


def draw_labels(axes, peaks, width: float) -> None:
    """
    Write the names of lines upright along the top, with a thread to each peak.

    Parameters
    ----------
    width : float
        Of the axes, inches.
    """
    low, high = axes.get_xlim()
    step = (high - low) * _LABEL_WIDTH / width
    room = int((high - low) / step) - 1
    kept = sorted(peaks, key=lambda peak: -peak.height)[:room]
    kept.sort(key=lambda peak: peak.energy)
    places = _spread([peak.energy for peak in kept], step, low, high)
    for peak, place in zip(kept, places, strict=True):
        axes.annotate(
            peak.text,
            xy=(peak.energy, peak.height),
            xytext=(place, 0.98),
            textcoords=axes.get_xaxis_transform(),
            rotation=90,
            ha="center",
            va="top",
            fontsize="x-small",
            color=GREY if peak.stray else "black",
            arrowprops={"arrowstyle": "-", "lw": 0.4, "color": GREY, "shrinkB": 2},
            annotation_clip=True,
        )


def _spread(positions, step: float, low: float, high: float) -> np.ndarray:
    """Positions moved as little as possible (least squares) to be a step apart."""
    if not positions:
        return np.empty(0)
    offsets = step * np.arange(len(positions))
    last = high - step / 2 - offsets[-1]
    moved = isotonic_regression(np.array(positions) - offsets)
    return np.clip(moved, low + step / 2, max(last, low + step / 2)) + offsets
