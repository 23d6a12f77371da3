"""Figure of the residuals: how significant they are, by energy and by pixel."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from espm_hs.decomposition.result import PhaseAnalysis
from espm_hs.factorization import Counts, summed_spectrum
from espm_hs.factorization.counts.reading import kept_counts
from espm_hs.plotting.maps import draw_navigation
from espm_hs.plotting.results import SummedFit, fitted_pixels, read_results
from espm_hs.plotting.spectra import draw_sigmas, within_a_peak
from espm_hs.plotting.style import GREY

if TYPE_CHECKING:
    from hyperspy.signals import BaseSignal

# Numbers in an array of pixels and bands: 32 MB.
_BLOCK = 1 << 22


def plot_residuals(signal: BaseSignal) -> Figure:
    """Plot how significantly the data differ from the model, by energy and by pixel.

    Parameters
    ----------
    signal
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
    found, loadings = read_results(signal)
    has_map = len(signal.axes_manager.navigation_axes) > 0
    widths = [6.0] + [3.2] * has_map
    figure = plt.figure(figsize=(sum(widths), 3.2), layout="constrained")
    axes = figure.subplots(1, len(widths), width_ratios=widths, squeeze=False)
    counts = summed_spectrum(signal.data, fitted_pixels(loadings))
    _draw_by_energy(axes[0, 0], SummedFit(found, counts, np.nansum(loadings, axis=0)))
    if has_map:
        significance = pixel_significance(signal, found, loadings, counts)
        _draw_by_pixel(axes[0, 1], signal, significance)
    return figure


# -- by energy -------------------------------------------------------------------


def _draw_by_energy(axes: Axes, fit: SummedFit) -> None:
    """Residual within the width of a peak around each channel."""
    found, fitted = fit.found, fit.fitted
    expected = np.maximum(within_a_peak(found, fitted), 1e-300)
    window = within_a_peak(found, fit.counts - fitted) / np.sqrt(expected)
    energy = found.model.energy[found.channels]
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


def _draw_by_pixel(axes: Axes, signal: BaseSignal, significance: np.ndarray) -> None:
    """Map or profile of the significance, 0 in the middle of the colours."""
    extent = max(3.0, np.nanpercentile(np.abs(significance), 99.5))
    look: dict[str, Any] = {"cmap": plt.get_cmap("PuOr_r"), "limits": (-extent, extent)}
    draw_navigation(axes, signal, significance, "excess of χ² (σ)", colour=GREY, **look)


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
