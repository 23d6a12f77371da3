"""Where the lines of elements are in the summed spectrum of a map."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from espm_hs.metadata.reader import energy_axis, read
from espm_hs.physics.xray.emission import EmissionLine, lines_at
from espm_hs.plotting.look import Look, one_panel, takes_look
from espm_hs.plotting.spectra import Peak, draw_labels, set_heights
from espm_hs.plotting.style import COLOURS, GREY

if TYPE_CHECKING:
    from hyperspy.signals import BaseSignal

# Colours by what an element is: of the sample, stray, or only looked at.
STATE_COLOURS = {"sample": COLOURS[0], "stray": GREY, "": COLOURS[1]}
# Lines weaker than this share of the strongest of their family are not marked.
_LEAST_SHARE = 0.05
# keV, where the metadata have none; it decides which lines there are.
_USUAL_BEAM = 200.0
# Share of the counts up to which the spectrum is shown, lines or not.
_MOST_COUNTS = 0.995


def lines_of(signal: BaseSignal, element: str) -> list[EmissionLine]:
    """Lines of an element that its beam energy excites and its energy axis shows.

    Parameters
    ----------
    signal
        For its metadata and its axis.
    element
        Symbol.

    Returns
    -------
    list of EmissionLine
        Those that are not weak beside the strongest of their family, which comes
        first in its family; none of elements that have no line.
    """
    beam = read("beam_energy", signal.metadata, signal.original_metadata)
    try:
        lines = lines_at(element, beam or _USUAL_BEAM)
    except ValueError:  # of light elements, and at beams that excite none
        return []
    energy = energy_axis(signal.axes_manager.signal_axes[0])
    shown: list[EmissionLine] = []
    for family in sorted({line.family for line in lines}):
        own = [line for line in lines if line.family == family]
        own.sort(key=lambda line: -line.cross_section)
        least = _LEAST_SHARE * own[0].cross_section
        if energy[0] <= own[0].energy <= energy[-1]:
            shown += [line for line in own if line.cross_section >= least]
    return shown


@takes_look("ax", "energy_range", "figsize", "log")
def plot_emission_lines(
    signal: BaseSignal, states: Mapping[str, str], *, look: Look
) -> Figure:
    """Plot the summed spectrum with the lines of elements.

    Parameters
    ----------
    signal
        The map.
    states
        Symbol -> "sample" or "stray", which are the colours; or "" if it is neither.
    {look}

    Returns
    -------
    matplotlib.figure.Figure
    """
    counts = signal._summed()

    def draw(axes: Axes) -> None:
        draw_lines(axes, signal, counts, states, look)

    return look.draw((9, 3.6), one_panel, [draw])


def draw_lines(
    axes: Axes,
    signal: BaseSignal,
    counts: np.ndarray,
    states: Mapping[str, str],
    look: Look,
) -> None:
    """Draw a spectrum and mark lines; the strongest of each family have their names."""
    energy = energy_axis(signal.axes_manager.signal_axes[0])
    marked = {element: lines_of(signal, element) for element in states}
    shown = look.energy_range or usual_range(signal, counts, states)
    inside = (energy >= shown[0]) & (energy <= shown[1])
    axes.step(energy, counts, where="mid", color="black", lw=0.8)
    axes.set_xlim(shown)
    peaks = []
    for element, lines in marked.items():
        colour = STATE_COLOURS[states[element]]
        for line, is_first in _with_first(lines):
            height = float(counts[np.argmin(np.abs(energy - line.energy))])
            width: dict[str, Any] = {"lw": 1.2 if is_first else 0.6}
            axes.axvline(line.energy, ymax=0.72, color=colour, alpha=0.7, **width)
            if is_first and shown[0] <= line.energy <= shown[1]:
                stray = states[element] == "stray"
                peaks.append(Peak.of(line, max(height, 1.0), stray))
    if inside.any():
        set_heights(axes, np.where(inside, counts, np.nan), peaks, look.log)
    draw_labels(axes, peaks)
    axes.set(xlabel="energy (keV)", ylabel="counts")


def _with_first(lines: list[EmissionLine]) -> Iterator[tuple[EmissionLine, bool]]:
    """Lines, and whether each is the first of its family."""
    seen: set[str] = set()
    for line in lines:
        yield line, line.family not in seen
        seen.add(line.family)


def usual_range(
    signal: BaseSignal, counts: np.ndarray, elements: Iterable[str]
) -> tuple[float, float]:
    """Return energies that hold nearly all counts and all lines of elements, keV."""
    energy = energy_axis(signal.axes_manager.signal_axes[0])
    above = np.cumsum(np.where(energy > 0, counts, 0))
    last = float(energy[np.searchsorted(above, _MOST_COUNTS * above[-1])])
    lines = (line.energy for one in elements for line in lines_of(signal, one))
    highest = max([last, *lines])
    return min(0.0, float(energy[0])), min(1.05 * highest, float(energy[-1]))
