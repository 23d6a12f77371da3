"""What shines: the lines of a model, and what the detector makes of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from espm_hs.physics.xray.columns import FittedRange, LineColumn
from espm_hs.physics.xray.detector import FWHM_PER_SIGMA, Detector
from espm_hs.physics.xray.escape_peak import ESCAPE_ENERGY, with_escape_peaks
from espm_hs.physics.xray.peaks import TAIL_WINDOW, Channels, Peaks, peak_matrix

_CM2_PER_BARN = 1e-24

# Lines this far (keV) outside the fitted channels still reach them with their tail.
_MARGIN = 0.5


class Lines(NamedTuple):
    """
    Lines that reach the fitted channels.

    Attributes
    ----------
    energy : array, shape (n_lines,)
        keV.
    area : array, shape (n_lines,)
        Emission cross section (barn) x detector efficiency.
    column : array of int, shape (n_lines,)
        Column of each line in the matrix of the model.
    absorbed : array of bool, shape (n_lines,)
        Whether it comes from the sample, which absorbs part of it.
    """

    energy: np.ndarray
    area: np.ndarray
    column: np.ndarray
    absorbed: np.ndarray


class Sources(NamedTuple):
    """
    All that a model knows to shine, before absorption by the sample.

    Attributes
    ----------
    lines : Lines
        Characteristic lines.
    line_spectra : array, shape (n_channels, n_lines)
        What the detector makes of each line; barn.
    background : array, shape (n_channels, n_terms)
        Shapes of the bremsstrahlung times the efficiency of the detector; 0 outside
        the fitted channels, arbitrary scale.
    """

    lines: Lines
    line_spectra: np.ndarray
    background: np.ndarray


def lines_in_reach(
    columns: Sequence[LineColumn], detector: Detector, fitted: FittedRange
) -> Lines:
    """
    Lines of the columns that reach the fitted channels.

    Parameters
    ----------
    columns : sequence of LineColumn
        With their lines.
    detector : Detector
        Its tail and its escape peaks decide how far above the channels a line shows.
    fitted : FittedRange
        keV.

    Returns
    -------
    Lines
    """
    low, high = fitted
    found = [
        (line.energy, line.cross_section, i, entry.column.kind != "stray")
        for i, entry in enumerate(columns)
        for line in entry.lines
        if low - _MARGIN <= line.energy <= high + _reach(detector)
    ]
    fields = zip(*found, strict=True)
    energy, cross_section, column, absorbed = (np.array(f) for f in fields)
    # a line outside is seen by its tail in the first or last channel; so a
    # user's efficiency curve has to cover the fitted channels only
    area = detector.efficiency(np.clip(energy, low, high))
    area *= cross_section / _CM2_PER_BARN
    return Lines(energy, area, column, absorbed)


def _reach(detector: Detector) -> float:
    """How far above the fitted channels a line still shows, keV."""
    tail = 1e-3 * TAIL_WINDOW * detector.tail_length if detector.tail else 0.0
    return _MARGIN + tail + ESCAPE_ENERGY * detector.escape_peak


def line_matrix(
    lines: Lines, detector: Detector, channels: Channels, n_columns: int
) -> np.ndarray:
    """
    Spectra of lines, summed by column.

    Parameters
    ----------
    lines : Lines
        With the areas and columns to be used.
    detector : Detector
        Position, width, tail and escape peaks of each.
    channels : Channels
        Where to integrate.
    n_columns : int
        Number of columns.

    Returns
    -------
    array, shape (channels.size, n_columns)
    """
    energy, area, column = lines.energy, lines.area, lines.column
    if detector.escape_peak:
        energy, area, column = with_escape_peaks(energy, area, column)
    position = detector.peak_energy(energy)
    sigma = 1e-3 * detector.fwhm(energy) / FWHM_PER_SIGMA
    return peak_matrix(
        channels,
        Peaks(position, sigma, area, column),
        n_columns,
        tail=detector.tail,
        tail_length=1e-3 * detector.tail_length,
    )
