"""Numbers of a report that a browser draws: spectra to zoom into, maps to read off."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import to_rgb
from PIL import Image

from espm_hs.physics import atomic_number
from espm_hs.plotting.maps import NOTHING, units_of
from espm_hs.plotting.phases import symbol_of
from espm_hs.plotting.results import (
    SummedFit,
    column_weights,
    physics_of,
    read_results,
)
from espm_hs.plotting.spectra import Peak, energy_limits, find_peaks
from espm_hs.plotting.style import COLOURS, GREY, phase_colour
from espm_hs.quantification.percent_with_errors import PERCENT
from espm_hs.signals import EDSespmSpectrum

# Significant digits of spectra, which nobody reads off with more.
_DIGITS = 4
# Pixels of all maps of a page together; larger ones are binned.
_MOST_PIXELS = 2_000_000
# Highest level of an image; 0 is a pixel without a value.
_LEVELS = 255


def fit_data(signal: EDSespmSpectrum) -> str:
    """Return the summed spectrum, its model and the lines of elements, as JSON.

    Parameters
    ----------
    signal
        With a decomposition by ``algorithm="espm"``.
    """
    found, loadings = read_results(signal)
    fit = SummedFit.of_pixels(found, signal.data, loadings)
    columns = fit.columns
    series: list[dict[str, Any]] = [
        {"name": "data", "colour": "#a0a0a0", "values": fit.counts},
        {"name": "model", "colour": "#000000", "values": fit.fitted, "wide": True},
    ]
    labels = [column.element or "background" for column in found.model.columns]
    elements = sorted({*labels} - {"background"}, key=atomic_number)
    names = [*elements, *({"background"} & {*labels})]
    coloured = iter([*COLOURS[:6], *COLOURS[7:]] * len(names))
    for name in names:
        own = [label == name for label in labels]
        colour = GREY if name == "background" else next(coloured)
        values = columns[:, own].sum(axis=1)
        series.append({"name": name, "colour": colour, "values": values})
    peaks = find_peaks(found, np.nan_to_num(columns))
    return _spectra(found, series, peaks, energy_limits(found, [peaks]), "counts")


def phases_data(signal: EDSespmSpectrum) -> str:
    """Return the spectra of the phases, as JSON.

    Parameters
    ----------
    signal
        With a decomposition by ``algorithm="espm"``.
    """
    found, _ = read_results(signal)
    series = [
        {
            "name": found.labels[j],
            "colour": phase_colour(j),
            "values": found.spectra[:, j] / np.nansum(found.spectra[:, j]),
            "wide": True,
        }
        for j in range(found.n_phases)
    ]
    parts = zip(found.G, column_weights(found).T, strict=True)
    shares = [_share(G * weights) for G, weights in parts]
    every = [find_peaks(found, share) for share in shares]
    # a line of several phases is named once, where it is highest
    best: dict[str, Peak] = {}
    for peak in (peak for row in every for peak in row):
        if peak.text not in best or peak.height > best[peak.text].height:
            best[peak.text] = peak
    limits = energy_limits(found, every)
    return _spectra(found, series, list(best.values()), limits, "share of counts")


def _share(parts: np.ndarray) -> np.ndarray:
    return parts / max(float(parts.sum()), 1e-300)


def _spectra(
    found: Any,
    series: Sequence[Mapping[str, Any]],
    peaks: Sequence[Peak],
    shown: tuple[float, float],
    label: str,
) -> str:
    """Return curves over the channels of the fit, and the lines to name, as JSON."""
    energy, used = physics_of(found).energy, found.channels
    first, last = np.flatnonzero(used)[[0, -1]]
    within = slice(first, last + 1)
    highest = sorted(peaks, key=lambda peak: -peak.height)
    middle = float(np.median(energy[used]))
    step = float(energy[1] - energy[0])
    return json.dumps(
        {
            "first": float(energy[first]),
            "step": step,
            "shown": [max(shown[0], float(energy[first])), shown[1]],
            # lines within half the width of a peak are near
            "near": 0.5e-3 * float(physics_of(found).detector.fwhm(middle)),
            "label": label,
            "log": True,
            "series": [
                {**one, "values": _numbers(one["values"][within])} for one in series
            ],
            "lines": [
                [round(peak.energy, 4), peak.text, float(f"{peak.height:.4g}")]
                for peak in highest
            ],
        }
    )


def _numbers(values: np.ndarray) -> list[float | None]:
    """Return numbers with few digits; None for what is none."""
    return [float(f"{x:.{_DIGITS}g}") if np.isfinite(x) else None for x in values]


def phase_maps_data(signal: EDSespmSpectrum) -> str | None:
    """Return maps of the counts of the phases, as JSON; None if there is no map."""
    found, loadings = read_results(signal)
    counts = (loadings * np.nansum(found.spectra, axis=0)).T
    maps = dict(zip(found.labels, counts, strict=True))
    return _maps(signal, maps, "counts")


def composition_data(signal: EDSespmSpectrum) -> str | None:
    """Return maps of at.% of the elements, as JSON; None if there is no map."""
    if len(signal.axes_manager.navigation_axes) != 2:
        return None
    found = {symbol_of(one): one.data for one in signal.quantify("pixels")}
    maps = {one: np.asarray(found[one]) for one in sorted(found, key=atomic_number)}
    return _maps(signal, maps, PERCENT["atomic"])


def _maps(
    signal: EDSespmSpectrum, maps: Mapping[str, np.ndarray], label: str
) -> str | None:
    """Return maps as images whose grey levels are their values."""
    if len(signal.axes_manager.navigation_axes) != 2:
        return None
    shape = signal.data.shape[:2]
    size = np.sqrt(max(1.0, np.prod(shape) * len(maps) / _MOST_PIXELS))
    bin_ = min(int(np.ceil(size)), *shape)
    rows, columns = (n // bin_ for n in shape)
    encoded = []
    for name, values in maps.items():
        whole = values.reshape(shape)[: rows * bin_, : columns * bin_]
        parts = whole.reshape(rows, bin_, columns, bin_)
        known = np.isfinite(parts)
        total = np.where(known, parts, 0).sum(axis=(1, 3))
        means = total / np.maximum(known.sum(axis=(1, 3)), 1)
        highest = max(float(means.max(initial=0)), 1e-300)
        levels = 1 + np.rint((_LEVELS - 1) * np.clip(means, 0, None) / highest)
        levels = np.where(known.any(axis=(1, 3)), levels, 0).astype(np.uint8)
        image = f"data:image/png;base64,{_png(levels)}"
        encoded.append({"name": name, "highest": highest, "image": image})
    look = plt.get_cmap("cividis")(np.linspace(0, 1, _LEVELS))[:, :3]
    colours = np.rint(255 * np.vstack([to_rgb(NOTHING), look])).astype(int).tolist()
    x, y = signal.axes_manager.navigation_axes
    steps = [float(axis.scale) if axis.is_uniform else 1.0 for axis in (x, y)]
    units = units_of(x) if x.is_uniform and y.is_uniform else ""
    size_of_map = {
        "width": columns,
        "height": rows,
        "bin": bin_,
        "steps": steps,
        "units": units,
    }
    return json.dumps(
        {**size_of_map, "label": label, "colours": colours, "maps": encoded}
    )


def _png(levels: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(levels).save(buffer, format="PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode("ascii")
