"""Figures of the fit: a summed spectrum, its model, and what is left."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import cycle
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from espm_hs.arguments import check_choice
from espm_hs.decomposition.result import PhaseAnalysis
from espm_hs.factorization import Counts
from espm_hs.factorization.counts.reading import kept_counts
from espm_hs.physics import atomic_number
from espm_hs.plotting.look import Look, takes_look
from espm_hs.plotting.maps import draw_navigation
from espm_hs.plotting.results import (
    SummedFit,
    chosen_pixels,
    fitted_pixels,
    navigator_with,
    physics_of,
    read_results,
    usual_region,
)
from espm_hs.plotting.spectra import (
    Peak,
    draw_labels,
    draw_sigmas,
    energy_limits,
    find_peaks,
    set_heights,
    within_a_peak,
)
from espm_hs.plotting.style import COLOURS, GREY, as_text, phase_colour

if TYPE_CHECKING:
    from hyperspy.axes import DataAxis
    from hyperspy.signals import BaseSignal

    from espm_hs.decomposition.result import PhaseAnalysis


PARTS = ("phases", "elements")
# Inches.
_SIZE = (9, 5.6)
# Counts that the model expects of a channel, below which residuals are taken over the
# width of a peak: those of single channels would be those of single photons.
_FEW = 5.0
# Highest number of counts that is shown on a linear scale unless asked otherwise.
_LINEAR = 30
# Lines beyond the number of colours are drawn in other styles.
_STYLES = ("-", (0, (4, 1)), (0, (1, 1)))


@takes_look("ax", "energy_range", "figsize")
def plot_fit(
    signal: BaseSignal,
    where: Any = None,
    parts: str = "phases",
    log: bool | None = None,
    *,
    look: Look,
) -> Figure:
    """Plot a summed spectrum, its model, what that consists of, and what is left.

    Parameters
    ----------
    signal
        With a decomposition by ``algorithm="espm"``.
    where
        A position, (x, y) as in `inav` (integers are indices, floats have the units of
        the axes); or a boolean image or array of the shape of ``signal.data`` without
        the energy axis, True in the pixels to sum. None: all that were fitted.
    parts
        "phases", or "elements" for lines of each element and of each stray one.
    log
        Logarithmic counts; None: where small peaks call for it.
    {look}

    Returns
    -------
    matplotlib.figure.Figure
        Above: counts, model, its parts and the background. Below: counts minus model
        in units of the standard deviation, the root of the model; of the sum over the
        width of a peak where channels hold few counts.

    Raises
    ------
    RuntimeError
        If the signal has no such decomposition.
    ValueError
        If ``where`` holds no fitted pixel, ``parts`` is neither, or the energies are
        not two that rise.
    """
    check_choice("parts", parts, PARTS)
    found, loadings = read_results(signal)
    pixels = chosen_pixels(signal, loadings, where)
    fit = SummedFit.of_pixels(found, signal.data, loadings, pixels)
    top, *below = _panels(fit, parts, log, look)
    title = ""
    if where is not None:
        n = int(pixels.sum())
        title = f"{n} pixels" if np.ndim(where) > 0 and n > 1 else f"pixel {where}"

    def titled(axes: Axes) -> None:
        top(axes)
        if title:
            axes.set_title(title, loc="left", fontsize="medium")

    return look.draw(_SIZE, _two_panels, [titled, *below])


def _two_panels(figure: Figure) -> Iterable[Axes]:
    """Arrange a spectrum above what is left of it."""
    return figure.subplots(2, 1, height_ratios=[3, 1], sharex=True)


def _panels(
    fit: SummedFit, parts: str, log: bool | None, look: Look
) -> list[Callable[[Axes], None]]:
    """Return what draws a spectrum with its model, and what draws the residual."""
    columns = fit.columns
    peaks = find_peaks(fit.found, np.nan_to_num(columns))
    shown = look.energy_range or energy_limits(fit.found, [peaks])
    peaks = [peak for peak in peaks if shown[0] <= peak.energy <= shown[1]]

    def above(axes: Axes) -> None:
        _draw_model(axes, fit, columns, parts)
        _set_scales(axes, fit, peaks, shown, log)
        draw_labels(axes, peaks)
        # residuals below have the energies
        axes.set(ylabel="counts", xlabel="energy (keV)" if look.ax else "")
        look.legend(axes)

    return [above, partial(_draw_residual, fit=fit, shown=shown)]


def _draw_model(axes: Axes, fit: SummedFit, columns: np.ndarray, parts: str) -> None:
    """Draw data, model and the parts of the model."""
    found, counts, totals = fit
    energy = physics_of(found).energy
    axes.step(energy, counts, where="mid", color="#A0A0A0", lw=1, label="data")
    axes.plot(energy, fit.fitted, color="black", lw=1, label="model")
    if parts == "elements":
        _draw_elements(axes, found, columns)
    # a single phase would hide the model
    elif found.n_phases > 1:
        for j in range(found.n_phases):
            part = found.spectra[:, j] * totals[j]
            label = as_text(found.labels[j])
            axes.plot(energy, part, color=phase_colour(j), lw=1, label=label)
    background = [column.kind == "background" for column in found.model.columns]
    # where the components are elements, it is one of them
    if any(background) and not found.knowledge.single_elements:
        level = columns[:, background].sum(axis=1)
        axes.plot(energy, level, color=GREY, lw=1, ls="--", label="background")


def _set_scales(
    axes: Axes,
    fit: SummedFit,
    peaks: Sequence[Peak],
    shown: tuple[float, float],
    log: bool | None,
) -> None:
    """Choose the scale of the counts, and show these energies."""
    energy, used = physics_of(fit.found).energy, fit.found.channels
    if log is None and fit.counts[used].max(initial=0) < _LINEAR:
        log = False
    inside = used & (energy >= shown[0]) & (energy <= shown[1])
    if inside.any():
        highest = np.where(inside, np.fmax(fit.counts, fit.fitted), np.nan)
        set_heights(axes, highest, peaks, log)
    axes.set_xlim(shown)


def _draw_elements(axes: Axes, found: PhaseAnalysis, columns: np.ndarray) -> None:
    """Draw the lines of each element, and those of stray ones in grey."""
    groups: dict[tuple[str | None, bool], list[int]] = {}
    energy = physics_of(found).energy
    all_columns = found.model.columns
    of_lines = [i for i, one in enumerate(all_columns) if one.kind != "background"]
    # by atomic number, which gives them the colours that they have in profiles
    of_lines.sort(key=lambda i: atomic_number(all_columns[i].element or "H"))
    for i in of_lines:
        key = (all_columns[i].element, all_columns[i].kind == "stray")
        groups.setdefault(key, []).append(i)
    looks = cycle((colour, style) for style in _STYLES for colour in COLOURS[:6])
    greys = cycle((GREY, style) for style in ("-", _STYLES[2]))
    for (element, stray), those in groups.items():
        colour, style = next(greys if stray else looks)
        label = f"{element} stray" if stray else element
        part = columns[:, those].sum(axis=1)
        axes.plot(energy, part, color=colour, ls=style, lw=1.2, label=label)


def _draw_residual(axes: Axes, fit: SummedFit, shown: tuple[float, float]) -> None:
    """Draw counts minus model in standard deviations."""
    found, used = fit.found, fit.found.channels
    energy, expected = physics_of(found).energy[used], fit.fitted
    left = fit.counts - expected
    label = "residual (σ)"
    if np.median(expected[used]) < _FEW:
        left, expected = (within_a_peak(found, one) for one in (left, expected))
        label = "residual of\na peak width (σ)"
    else:
        left, expected = left[used], expected[used]
    residual = left / np.sqrt(np.maximum(expected, 1e-300))
    residual[(energy < shown[0]) | (energy > shown[1])] = np.nan
    axes.step(energy, residual, where="mid", color="black", lw=0.7)
    draw_sigmas(axes, residual)
    axes.set(xlim=shown, xlabel="energy (keV)", ylabel=label)


# -- a region that is moved on the map by hand ---------------------------------------


@takes_look("energy_range", "figsize", "log")
def plot_fit_of_region(
    signal: BaseSignal, parts: str = "phases", *, look: Look
) -> Figure:
    """Plot the map with a region to move, and the fit of the spectrum in it.

    Parameters
    ----------
    signal
        With a decomposition by ``algorithm="espm"``.
    parts
        As in `plot_fit`.
    {look}

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
    roi = usual_region(signal)
    axes = signal.axes_manager.navigation_axes
    shape = signal.data.shape[:-1]
    maps = loadings.reshape(*shape, found.n_phases)
    # as wide as a cell of a notebook
    figure = look.new_figure((8, 5))

    def draw(*_: Any) -> None:
        region = _slices(roi, axes)
        part = maps[region].reshape(-1, found.n_phases)
        fitted = fitted_pixels(part)
        figure.clear()
        fit = SummedFit.of_pixels(found, signal.data[region], part, fitted)
        panels = _panels(fit, parts, look.log, look)
        for panel, axes_of_fit in zip(panels, _two_panels(figure), strict=True):
            panel(axes_of_fit)
        title = f"{int(fitted.sum())} pixels"
        figure.axes[0].set_title(title, loc="left", fontsize="medium")
        figure.canvas.draw_idle()

    navigator_with(signal, roi)
    roi.events.changed.connect(draw, [])
    figure.roi = roi  # type: ignore[attr-defined]  # lives as long as the figure
    draw()
    return figure


def _slices(roi: Any, axes: Sequence[DataAxis]) -> tuple[slice, ...]:
    """Pixels of a region in array order, at least one along each axis."""
    names = [("left", "right"), ("top", "bottom")]
    slices = []
    for axis, (low, high) in zip(axes, names, strict=False):
        first, last = (
            _nearest(axis, float(getattr(roi, name))) for name in (low, high)
        )
        first = min(first, axis.size - 1)
        slices.append(slice(first, max(first + 1, last)))
    return tuple(slices[::-1])


def _nearest(axis: DataAxis, value: float) -> int:
    """Index of a value, which may be beyond the ends of the axis."""
    if value > axis.high_value:
        return axis.size
    return int(axis.value2index(max(value, axis.low_value)))


# Numbers in an array of pixels and bands: 32 MB.
_BLOCK = 1 << 22


@takes_look("ax", "cmap", "energy_range", "figsize")
def plot_residuals(signal: BaseSignal, *, look: Look) -> Figure:
    """Plot how significantly the data differ from the model, by energy and by pixel.

    Parameters
    ----------
    signal
        With a decomposition by ``algorithm="espm"``.
    {look}

    Returns
    -------
    matplotlib.figure.Figure
        Left: counts minus model of the summed spectrum, within a window as wide as a
        peak (FWHM), in standard deviations; the energies of the largest ones are
        written beside them: a positive one is a line that the model lacks. Right: for
        each pixel, Pearson's chi-square over bands of energy with equal numbers of
        counts, less its expectation and over its standard deviation: about 0 +- 1
        where the model holds, large where a phase is missing.

    Raises
    ------
    RuntimeError
        If the signal has no such decomposition.
    """
    found, loadings = read_results(signal)
    fit = SummedFit.of_pixels(found, signal.data, loadings)
    panels = [partial(_draw_by_energy, fit=fit, look=look)]
    widths = [6.0]
    # which takes a moment
    if len(signal.axes_manager.navigation_axes) > 0 and look.wants(2):
        significance = pixel_significance(signal, found, loadings, fit.counts)
        panels.append(
            partial(_draw_by_pixel, signal=signal, significance=significance, look=look)
        )
        widths.append(3.2)
    return look.draw(
        (sum(widths), 3.2),
        lambda figure: figure.subplots(
            1, len(widths), width_ratios=widths, squeeze=False
        )[0],
        panels,
    )


# -- by energy -------------------------------------------------------------------


def _draw_by_energy(axes: Axes, fit: SummedFit, look: Look) -> None:
    """Residual within the width of a peak around each channel."""
    found, fitted = fit.found, fit.fitted
    expected = np.maximum(within_a_peak(found, fitted), 1e-300)
    window = within_a_peak(found, fit.counts - fitted) / np.sqrt(expected)
    energy = physics_of(found).energy[found.channels]
    if look.energy_range:
        inside = (energy >= look.energy_range[0]) & (energy <= look.energy_range[1])
        window = np.where(inside, window, np.nan)
        axes.set_xlim(look.energy_range)
    axes.plot(energy, window, color="black", lw=0.8)
    draw_sigmas(axes, window)
    _label_extremes(axes, energy, window)
    axes.set_xlabel("energy (keV)")
    axes.set_ylabel("residual within a peak width (σ)")


def _label_extremes(
    axes: Axes, energy: np.ndarray, values: np.ndarray, most: int = 6
) -> None:
    """Write the energy beside the largest residuals, one for each stretch of them."""
    beyond = np.abs(np.nan_to_num(values)) > 5
    edges = np.flatnonzero(np.diff(np.concatenate([[0], beyond, [0]])))
    stretches = zip(edges[::2], edges[1::2], strict=True)
    tops = [a + int(np.argmax(np.abs(values[a:b]))) for a, b in stretches]
    for top in sorted(tops, key=lambda i: -abs(values[i]))[:most]:
        offset, va = ((0, 2), "bottom") if values[top] > 0 else ((0, -2), "top")
        look: dict[str, Any] = {
            "textcoords": "offset points",
            "fontsize": "x-small",
            "ha": "center",
        }
        text = f"{energy[top]:.2f}"
        axes.annotate(text, (energy[top], values[top]), offset, va=va, **look)


# -- by pixel --------------------------------------------------------------------


def _draw_by_pixel(
    axes: Axes, signal: BaseSignal, significance: np.ndarray, look: Look
) -> None:
    """Map or profile of the significance, 0 in the middle of the colours."""
    extent = max(3.0, np.nanpercentile(np.abs(significance), 99.5))
    draw_navigation(
        axes,
        signal,
        significance,
        "excess of χ² (σ)",
        colour=GREY,
        cmap=look.cmap or plt.get_cmap("PuOr_r"),
        limits=(-extent, extent),
    )


def pixel_significance(
    signal: BaseSignal, found: PhaseAnalysis, loadings: np.ndarray, spectrum: np.ndarray
) -> np.ndarray:
    """Chi-square of each pixel, standardised, shape (n_pixels,).

    For a Poisson number x of expectation y, (x - y)**2 / y has expectation 1 and
    variance 2 + 1/y, however small y is.
    """
    used = fitted_pixels(loadings)
    counts = kept_counts(signal.data, used, found.channels)
    spectrum = spectrum[found.channels]
    share = np.cumsum(spectrum) / max(spectrum.sum(), 1)
    n_bands = int(np.clip(spectrum.sum() / max(1, used.sum()) / 5, 8, 64))
    starts = np.unique(np.searchsorted(share, np.arange(n_bands) / n_bands))
    bands = np.add.reduceat(found.spectra[found.channels], starts, axis=0)
    work = partial(_chi_square, starts, bands)
    significance = np.full(used.size, np.nan)
    parts = counts.over_blocks(work, counts.hold(loadings[used]))
    significance[used] = np.concatenate(parts)
    return significance


def _chi_square(
    starts: np.ndarray, bands: np.ndarray, counts: Counts, loadings: np.ndarray
) -> np.ndarray:
    """Chi-square of each pixel of a block, over the bands that begin at ``starts``."""
    band = np.searchsorted(starts, np.arange(counts.n_channels), side="right") - 1
    significance = np.empty(counts.n_pixels)
    step = max(1, _BLOCK // starts.size)
    for first in range(0, counts.n_pixels, step):
        some = slice(first, min(first + step, counts.n_pixels))
        part = counts.part(some.start, some.stop)
        counted = np.zeros((part.n_pixels, starts.size))
        pixel = np.repeat(np.arange(part.n_pixels), np.diff(part.indptr))
        np.add.at(counted, (pixel, band[part.channels]), part.values)
        # the floor keeps one count where nothing is expected from ruling a pixel
        expected = np.maximum(loadings[some] @ bands.T, 1e-3)
        excess = (counted - expected) ** 2 / expected - 1
        variance = (2 + 1 / expected).sum(axis=1)
        significance[some] = excess.sum(axis=1) / np.sqrt(variance)
    return significance
