"""Figures of a decomposition: phases, fit, residuals.

The functions take a signal with the results of ``decomposition(algorithm="espm")``
and use its public methods and `learning_results` only. Maps larger than memory are
read block by block.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import patheffects
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from sklearn.isotonic import isotonic_regression

from espm_hs.physics import atomic_number

# The palette of Okabe and Ito (2008), which colour-blind readers can tell apart.
COLOURS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#000000",
    "#B5A800",  # its yellow, darkened: it has to be read as a line on white
)
GREY = "#707070"

# Numbers in a block of floats while reading a map: 32 MB.
_BLOCK = 1 << 22
# A line is labelled where it makes this share of the spectrum at its energy.
_LABELLED_SHARE = 0.3
# Labelled peaks smaller than this share of the highest one call for a log axis.
_SMALL_PEAK = 0.04
# Share of the height of the axes that the spectrum takes, the labels being above.
_BELOW_LABELS = 0.72
# Widths in inches: of a label of a line, upright, and of the columns of a figure.
_LABEL_WIDTH = 0.15
_MAP_WIDTH, _SPECTRUM_WIDTH, _BARS_WIDTH = 2.9, 4.8, 2.6


@dataclass(frozen=True)
class _Peak:
    """Label of a family of lines: where it stands and how high its peak is."""

    energy: float
    height: float
    text: str
    stray: bool


def plot_phases(signal) -> Figure:
    """
    Plot map, spectrum and composition of each phase.

    Parameters
    ----------
    signal : EDSespmSpectrum
        With a decomposition by ``algorithm="espm"``.

    Returns
    -------
    matplotlib.figure.Figure
        A row for each phase. Map (or profile along a line; nothing for a single
        spectrum): counts of the phase in each pixel. Spectrum: share of the counts of
        the phase in each channel. Bars: atomic percent with one standard deviation.

    Raises
    ------
    RuntimeError
        If the signal has no such decomposition.
    """
    found, loadings = _results(signal)
    counts = loadings * np.nansum(found.spectra, axis=0)
    percent, errors = _atomic_percent(signal)
    n_maps = min(len(signal.axes_manager.navigation_axes), 1)
    widths = [_MAP_WIDTH] * n_maps + [_SPECTRUM_WIDTH, _BARS_WIDTH]
    figure, axes = plt.subplots(
        found.n_phases,
        len(widths),
        figsize=(sum(widths), 0.5 + 2.0 * found.n_phases),
        width_ratios=widths,
        squeeze=False,
        layout="constrained",
    )
    peaks = [_peaks(found, _weights(found)[:, j]) for j in range(found.n_phases)]
    energies = _energy_limits(found, peaks)
    for j, row in enumerate(axes):
        last = j == found.n_phases - 1
        if n_maps:
            _draw_navigation(row[0], signal, counts[:, j], "counts", colour=_colour(j))
            row[0].set_title(f"Phase {j}", color=_colour(j), loc="left", weight="bold")
        else:
            row[-2].set_title(f"Phase {j}", color=_colour(j), loc="left", weight="bold")
        _draw_spectrum(row[-2], found, found.spectra[:, j], peaks[j], energies, j)
        row[-2].set_ylabel("share of counts")
        _draw_bars(row[-1], found.elements, percent[:, j], errors[:, j], j)
        row[-1].set_ylim(0, 1.22 * np.nanmax(percent, initial=1.0))
        row[-2].tick_params(labelbottom=last)
    axes[-1, -2].set_xlabel("energy (keV)")
    axes[0, -1].set_title("composition (at.%)", fontsize="medium")
    return figure


def plot_fit(signal) -> Figure:
    """
    Plot the summed spectrum of the fitted pixels, its model, and what is left.

    Parameters
    ----------
    signal : EDSespmSpectrum
        With a decomposition by ``algorithm="espm"``.

    Returns
    -------
    matplotlib.figure.Figure
        Above: counts, model, the part of each phase and the background. Below: counts
        minus model in units of the standard deviation, the root of the model.

    Raises
    ------
    RuntimeError
        If the signal has no such decomposition.
    """
    found, loadings = _results(signal)
    totals = np.nansum(loadings, axis=0)
    weights = _weights(found) * totals
    counts = _summed_spectrum(signal, loadings)
    fitted = found.spectra @ totals
    figure, (top, bottom) = plt.subplots(
        2, 1, figsize=(9, 5.6), height_ratios=[3, 1], sharex=True, layout="constrained"
    )
    energy, used = found.model.energy, found.channels
    peaks = _peaks(found, weights.sum(axis=1))
    top.step(energy, counts, where="mid", color="#A0A0A0", lw=1, label="data")
    top.plot(energy, fitted, color="black", lw=1, label="model")
    # a single phase would hide the model
    for j in range(found.n_phases if found.n_phases > 1 else 0):
        part = found.spectra[:, j] * totals[j]
        top.plot(energy, part, color=_colour(j), lw=1, label=f"phase {j}")
    background = [column.kind == "background" for column in found.model.columns]
    if any(background):
        level = np.einsum("jec,cj->e", found.G[..., background], weights[background])
        level[~used] = np.nan
        top.plot(energy, level, color=GREY, lw=1, ls="--", label="background")
    _set_heights(top, np.where(used, np.fmax(counts, fitted), np.nan), peaks)
    top.set_xlim(_energy_limits(found, [peaks]))
    _draw_labels(top, peaks, width=8.2)
    top.set_ylabel("counts")
    top.legend(fontsize="small", frameon=False, loc="upper left", bbox_to_anchor=(1, 1))

    with np.errstate(invalid="ignore", divide="ignore"):
        residual = (counts - fitted) / np.sqrt(fitted)
    bottom.step(energy, residual, where="mid", color="black", lw=0.7)
    _draw_sigmas(bottom, residual)
    bottom.set_xlabel("energy (keV)")
    bottom.set_ylabel("residual (σ)")
    return figure


def plot_residuals(signal) -> Figure:
    """
    Plot how significantly the data differ from the model, by energy and by pixel.

    Parameters
    ----------
    signal : EDSespmSpectrum
        With a decomposition by ``algorithm="espm"``.

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
    found, loadings = _results(signal)
    has_map = len(signal.axes_manager.navigation_axes) > 0
    widths = [6.0] + [3.2] * has_map
    figure, axes = plt.subplots(
        1,
        len(widths),
        figsize=(sum(widths), 3.2),
        width_ratios=widths,
        squeeze=False,
        layout="constrained",
    )
    counts = _summed_spectrum(signal, loadings)
    fitted = found.spectra @ np.nansum(loadings, axis=0)
    window = _within_a_peak(found, counts - fitted) / np.sqrt(
        np.maximum(_within_a_peak(found, fitted), 1e-300)
    )
    left = axes[0, 0]
    energy = found.model.energy[found.channels]
    left.plot(energy, window, color="black", lw=0.8)
    _draw_sigmas(left, window)
    _label_extremes(left, energy, window)
    left.set_xlabel("energy (keV)")
    left.set_ylabel("residual within a peak width (σ)")
    if has_map:
        significance = _pixel_significance(signal, found, loadings, counts)
        extent = max(3.0, np.nanpercentile(np.abs(significance), 99.5))
        _draw_navigation(
            axes[0, 1],
            signal,
            significance,
            "misfit (σ)",
            colour=GREY,
            cmap=plt.get_cmap("PuOr_r"),
            limits=(-extent, extent),
        )
    return figure


# -- results of the signal -------------------------------------------------------


def _results(signal):
    """Analysis and loadings, the latter of shape (n_pixels, n_phases)."""
    found = signal.analysis_results()
    learning = signal.learning_results
    loadings = learning.loadings
    n_pixels = int(np.prod(signal.data.shape[:-1]))
    if (
        learning.decomposition_algorithm != "espm"
        or loadings is None
        or loadings.shape != (n_pixels, found.n_phases)
    ):
        raise RuntimeError(
            "The maps of the phases are not in `learning_results`: slicing empties it "
            "and other decompositions replace it. Run "
            "`s.decomposition(algorithm='espm', ...)` on this signal first."
        )
    return found, np.asarray(loadings, dtype=float)


def _atomic_percent(signal) -> tuple[np.ndarray, np.ndarray]:
    """Atomic percent and standard deviation, shape (n_elements, n_phases)."""
    signals = signal.quantify("phases")
    variance = [s.metadata.Signal.Noise_properties.variance.data for s in signals]
    return np.array([s.data for s in signals]), np.sqrt(variance)


def _weights(found) -> np.ndarray:
    """Weights of the columns of each phase's G that give `found.spectra`."""
    unscaled = np.einsum("jec,cj->j", found.G[:, found.channels], found.W)
    scaled = found.spectra[found.channels].sum(axis=0)
    return found.W * (scaled / np.maximum(unscaled, 1e-300))


def _blocks(signal, loadings) -> Iterator[tuple[slice, np.ndarray]]:
    """Blocks of spectra, shape (pixels, channels), with their place among pixels."""
    data = signal.data if signal.data.ndim > 1 else signal.data[None]
    chunks = getattr(data, "chunks", None)
    n_channels = data.shape[-1]
    # whole chunks of a lazy map, so that none is read twice
    step = chunks[0][0] if chunks else max(1, _BLOCK // int(np.prod(data.shape[1:])))
    within = max(1, _BLOCK // n_channels)
    place = 0
    for first in range(0, data.shape[0], step):
        slab = np.asarray(data[first : first + step]).reshape(-1, n_channels)
        for start in range(0, len(slab), within):
            block = slab[start : start + within]
            yield slice(place, place + len(block)), block
            place += len(block)


def _summed_spectrum(signal, loadings) -> np.ndarray:
    """Sum the counts of the fitted pixels, shape (n_channels,)."""
    total = np.zeros(signal.data.shape[-1])
    for where, block in _blocks(signal, loadings):
        fitted = ~np.isnan(loadings[where, 0])
        total += block.sum(axis=0, where=fitted[:, None], dtype=float)
    return total


def _pixel_significance(signal, found, loadings, spectrum) -> np.ndarray:
    """
    Chi-square of each pixel, standardised, shape (n_pixels,).

    For a Poisson number x of expectation y, (x - y)**2 / y has expectation 1 and
    variance 2 + 1/y, however small y is.
    """
    channels = np.flatnonzero(found.channels)
    n_pixels = max(1, int(np.isfinite(loadings[:, 0]).sum()))
    share = np.cumsum(spectrum[channels]) / max(spectrum[channels].sum(), 1)
    n_bands = int(np.clip(spectrum.sum() / n_pixels / 5, 8, 64))
    starts = np.unique(np.searchsorted(share, np.arange(n_bands) / n_bands))
    bands = np.add.reduceat(found.spectra[channels], starts, axis=0)
    significance = np.empty(len(loadings))
    for where, block in _blocks(signal, loadings):
        counted = np.add.reduceat(block[:, channels], starts, axis=1, dtype=float)
        # the floor keeps one count where nothing is expected from ruling a pixel
        expected = np.maximum(loadings[where] @ bands.T, 1e-3)
        excess = (counted - expected) ** 2 / expected - 1
        significance[where] = excess.sum(axis=1) / np.sqrt(
            (2 + 1 / expected).sum(axis=1)
        )
    return significance


def _within_a_peak(found, spectrum) -> np.ndarray:
    """Sum of a spectrum over the width of a peak around each used channel."""
    energy = found.model.energy[found.channels]
    half = 0.5e-3 * found.model.detector.fwhm(energy)
    cumulated = np.concatenate([[0.0], np.cumsum(spectrum[found.channels])])
    first = np.searchsorted(energy, energy - half)
    last = np.searchsorted(energy, energy + half, side="right")
    return cumulated[last] - cumulated[first]


# -- spectra ---------------------------------------------------------------------


def _colour(phase: int) -> str:
    return COLOURS[phase % len(COLOURS)]


def _peaks(found, weights) -> list[_Peak]:
    """Families of lines that stand out of a spectrum, by increasing energy."""
    total = found.model.G @ weights
    peaks = []
    for i, column in enumerate(found.model.columns):
        if column.kind == "background" or weights[i] <= 0:
            continue
        # of the families in one column the clearest: the others say the same
        families = [
            _family_peak(found, i, name, weights[i], total) for name in column.family
        ]
        share, peak = max(families, key=lambda candidate: candidate[0])
        if peak is not None and share > _LABELLED_SHARE:
            peaks.append(peak)
    return sorted(peaks, key=lambda peak: peak.energy)


def _family_peak(found, i, family, weight, total) -> tuple[float, _Peak | None]:
    """Share of a family of column i in the spectrum at its main line, and label."""
    model, column = found.model, found.model.columns[i]
    line = _main_line(model, column.element, family)
    if line is None:
        return 0.0, None
    channel = int(np.argmin(np.abs(model.energy - line.energy)))
    if not found.channels[channel] or total[channel] <= 0:
        return 0.0, None
    text = f"{column.element} {family}{'α' if 'a1' in line.name else ''}"
    peak = _Peak(line.energy, total[channel], text, column.kind == "stray")
    return model.G[channel, i] * weight / total[channel], peak


def _main_line(model, element, family):
    lines = [
        line
        for line in model.emission_lines
        if line.element == element and line.family == family
    ]
    return max(lines, key=lambda line: line.cross_section, default=None)


def _energy_limits(found, peaks) -> tuple[float, float]:
    """Energies to show: from 0 to a little above the highest labelled peak, keV."""
    fitted = found.model.energy[found.channels]
    highest = max((peak.energy for row in peaks for peak in row), default=fitted[-1])
    return min(0.0, fitted[0]), min(fitted[-1], 1.18 * highest + 0.2)


def _draw_spectrum(axes, found, spectrum, peaks, limits, phase) -> None:
    """Spectrum of a phase with labelled lines."""
    energy = found.model.energy
    axes.plot(energy, spectrum, color=_colour(phase), lw=1.2)
    axes.set_xlim(limits)
    _set_heights(axes, spectrum, peaks)
    bottom = axes.get_ylim()[0]
    axes.fill_between(energy, spectrum, bottom, color=_colour(phase), alpha=0.18, lw=0)
    _draw_labels(axes, peaks, width=_SPECTRUM_WIDTH - 0.8)


def _set_heights(axes, spectrum, peaks) -> None:
    """Choose the scale in which the labelled peaks can be read; leave them room."""
    highest = np.nanmax(spectrum)
    if not highest > 0:
        return
    smallest = min((peak.height for peak in peaks), default=highest)
    if smallest >= _SMALL_PEAK * highest:
        axes.set_ylim(0, highest / _BELOW_LABELS)
        return
    positive = spectrum[np.nan_to_num(spectrum) > 0]
    bottom = max(min(0.3 * smallest, 0.7 * np.median(positive)), 1e-5 * highest)
    axes.set_yscale("log")
    axes.set_ylim(bottom, bottom * (highest / bottom) ** (1 / _BELOW_LABELS))


def _draw_labels(axes, peaks, width: float) -> None:
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


def _draw_sigmas(axes, values) -> None:
    """Lines at 0 and at three standard deviations, and room for all values."""
    axes.axhline(0, color=GREY, lw=0.6)
    axes.axhspan(-3, 3, color=GREY, alpha=0.15, lw=0)
    extremes = np.nanmin(values, initial=-3.5), np.nanmax(values, initial=3.5)
    axes.set_ylim(*(1.15 * value for value in extremes))


def _label_extremes(axes, energy, values, most: int = 6) -> None:
    """Write the energy beside the largest residuals, one for each stretch of them."""
    beyond = np.abs(np.nan_to_num(values)) > 5
    edges = np.flatnonzero(np.diff(np.concatenate([[0], beyond, [0]])))
    stretches = zip(edges[::2], edges[1::2], strict=True)
    tops = [a + int(np.argmax(np.abs(values[a:b]))) for a, b in stretches]
    for top in sorted(tops, key=lambda i: -abs(values[i]))[:most]:
        up = values[top] > 0
        axes.annotate(
            f"{energy[top]:.2f}",
            (energy[top], values[top]),
            xytext=(0, 2 if up else -2),
            textcoords="offset points",
            ha="center",
            va="bottom" if up else "top",
            fontsize="x-small",
        )


# -- composition and maps --------------------------------------------------------


def _draw_bars(axes, elements, percent, errors, phase) -> None:
    """Atomic percent of the elements of a phase, by atomic number."""
    order = sorted(range(len(elements)), key=lambda i: atomic_number(elements[i]))
    elements = [elements[i] for i in order]
    percent, errors = percent[order], errors[order]
    places = np.arange(len(elements))
    axes.bar(places, percent, color=_colour(phase), alpha=0.75, width=0.7)
    axes.errorbar(
        places, percent, yerr=errors, fmt="none", ecolor="black", lw=0.8, capsize=2
    )
    size = "x-small" if len(elements) < 9 else 5
    for place, value in zip(places, percent, strict=True):
        if np.isfinite(value) and value >= 0.05:
            axes.annotate(
                f"{value:.1f}",
                (place, value),
                xytext=(2, 2),
                textcoords="offset points",
                fontsize=size,
                ha="left" if len(elements) < 5 else "center",
                va="bottom",
            )
    axes.set_xticks(places, elements, fontsize="small" if len(elements) < 13 else 6)
    axes.set_xlim(-0.6, len(elements) - 0.4)


def _draw_navigation(
    axes,
    signal,
    values,
    label: str,
    *,
    colour: str,
    cmap: Colormap | None = None,
    limits: tuple[float | None, float | None] = (0, None),
) -> None:
    """Draw one number per pixel: a profile along one axis, or a map along two."""
    # HyperSpy's axes run x, y, ...; arrays ..., y, x
    navigation = signal.axes_manager.navigation_axes
    values = values.reshape(signal.data.shape[:-1])
    if len(navigation) == 1:
        axes.plot(navigation[0].axis, values, color=colour, lw=1)
        if limits[0] == 0:
            axes.set_ylim(bottom=0)
        axes.set_xlabel(_axis_label(navigation[0]), fontsize="small")
        axes.set_ylabel(label)
        return
    if len(navigation) > 2:
        # what does not fit into a plane is averaged over
        values = np.nanmean(values, axis=tuple(range(len(navigation) - 2)))
    x, y = navigation[:2]
    scales = [float(a.scale) if a.is_uniform else 1.0 for a in (x, y)]
    cmap = (cmap or plt.get_cmap("cividis")).with_extremes(bad="#D0D0D0")
    image = axes.imshow(
        values,
        cmap=cmap,
        vmin=limits[0],
        vmax=limits[1],
        extent=(0, x.size * scales[0], y.size * scales[1], 0),
        interpolation="nearest",
        aspect=1 if _same_units(x, y) else "auto",
    )
    axes.figure.colorbar(image, ax=axes, label=label, shrink=0.9)
    axes.set_xticks([])
    axes.set_yticks([])
    if _units(x):
        _draw_scale_bar(axes, x.size * scales[0], y.size * scales[1], _units(x))


def _draw_scale_bar(axes, width: float, height: float, units: str) -> None:
    """Bar of 1, 2 or 5 times a power of ten, up to a third of the width."""
    power = 10 ** np.floor(np.log10(width / 3))
    length = max(m * power for m in (1, 2, 5) if m * power <= width / 3)
    text = f"{length:g} {units}"
    if units in ("µm", "um") and length < 0.1:
        text = f"{1e3 * length:g} nm"
    left, base = 0.05 * width, 0.93 * height
    outline = [patheffects.withStroke(linewidth=2.5, foreground="black")]
    axes.plot(
        [left, left + length],
        [base, base],
        color="white",
        lw=2.5,
        solid_capstyle="butt",
        path_effects=[patheffects.withStroke(linewidth=4, foreground="black")],
    )
    axes.text(
        left + length / 2,
        base - 0.02 * height,
        text,
        color="white",
        fontsize="x-small",
        ha="center",
        va="bottom",
        path_effects=outline,
    )


def _units(axis) -> str:
    """Units of an axis as text; none for HyperSpy's <undefined>."""
    text = str(axis.units)
    return "" if text in ("None", "<undefined>", "") else text


def _same_units(x, y) -> bool:
    return x.is_uniform and y.is_uniform and _units(x) == _units(y)


def _axis_label(axis) -> str:
    name = str(axis.name) if str(axis.name) != "<undefined>" else "pixel"
    units = _units(axis)
    return f"{name} ({units})" if units else name
