"""Figures that tell how far to trust a fit: convergence, calibration, candidates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import (
    FixedLocator,
    MaxNLocator,
    NullLocator,
    StrMethodFormatter,
    SymmetricalLogLocator,
)

from espm_hs.factorization import deviance_residuals, fit_spectrum
from espm_hs.plotting.spectra import draw_sigmas
from espm_hs.plotting.style import COLOURS, GREY

if TYPE_CHECKING:
    from hyperspy.signals import BaseSignal

    from espm_hs.calibration.energy_scale import Calibration
    from espm_hs.model_selection.n_phases_and_binning import BinningChoice, PhaseNumber

# nats, below which the scale of losses is linear: some candidates are worse by
# thousands, others by one.
_LINEAR = 10.0


# -- one fit -------------------------------------------------------------------------


def plot_convergence(signal: BaseSignal) -> Figure:
    """Plot how the objective fell during the fit.

    Parameters
    ----------
    signal
        With a decomposition by ``algorithm="espm"``.

    Returns
    -------
    matplotlib.figure.Figure
        F less its value at the end, in nats, whenever it was computed. Where
        absorption or overlaps changed the problem, the fit went on with another F: a
        new line, above the end of its own.

    Raises
    ------
    RuntimeError
        If the signal has no such decomposition.
    """
    found = signal.analysis_results()
    figure, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
    place = 1
    labels = ("fit", "went on after a change of the problem")
    for i, fit in enumerate(_fits(found.history)):
        steps = np.arange(place, place + fit.size)
        look: dict[str, Any] = {"ms": 3, "lw": 1, "color": COLOURS[min(i, 1)]}
        label = labels[i] if i < len(labels) else None
        axes.plot(steps, fit - fit[-1], "o-", label=label, **look)
        place += fit.size
    axes.set_yscale("symlog", linthresh=1.0)
    axes.set_ylim(-0.3, max(10.0, 2 * axes.dataLim.ymax))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _draw_grid(axes)
    axes.set_xlabel("Evaluation of the objective")
    axes.set_ylabel("Objective above its end (nats)")
    ending = "converged" if found.converged else "not converged"
    axes.set_title(
        f"{ending} after {found.n_iter} iterations, "
        f"{found.n_agreeing} of {found.n_starts} starts agree",
        fontsize="medium",
        loc="left",
    )
    axes.legend(frameon=False, fontsize="small")
    return figure


def _fits(history: np.ndarray) -> list[np.ndarray]:
    """Parts of the history between rises: F never rises within a fit."""
    rises = np.flatnonzero(np.diff(history) > 1e-9 * np.abs(history[:-1])) + 1
    return np.split(history, rises)


def plot_calibration(calibration: Calibration, spectrum: np.ndarray) -> Figure:
    """Plot a spectrum with the models before and after a calibration.

    Parameters
    ----------
    calibration
        Result of `EDSespmSpectrum.refine_calibration`.
    spectrum
        Counts, shape (n_channels,).

    Returns
    -------
    matplotlib.figure.Figure
        Above: counts and models. Below: what each model leaves, in standard deviations.
    """
    figure, (top, *bottoms) = plt.subplots(
        3, 1, figsize=(9, 7), height_ratios=[3, 1, 1], sharex=True, layout="constrained"
    )
    x = np.asarray(spectrum, dtype=float)
    axis, shown = calibration.after.energy, calibration.after.channels
    top.step(axis[shown], x[shown], where="mid", color="#A0A0A0", lw=1)
    models = {"before": calibration.before, "after": calibration.after}
    for (name, model), bottom, colour in zip(
        models.items(), bottoms, COLOURS[1::-1], strict=True
    ):
        used = model.channels
        _, y = fit_spectrum(model.G[used], x[used])
        # both on the calibrated axis, so that peaks stand above each other
        top.plot(axis[used], y, color=colour, lw=1, label=f"model {name}")
        residual = deviance_residuals(x[used], y)
        bottom.step(axis[used], residual, where="mid", color=colour, lw=0.7)
        draw_sigmas(bottom, residual)
        bottom.set_ylabel(f"{name} (σ)")
    top.set_yscale("log")
    top.set_ylim(bottom=max(0.5, 0.5 * np.median(x[shown])))
    top.set_ylabel("counts")
    top.legend(frameon=False)
    bottoms[-1].set_xlabel("energy (keV)")
    return figure


# -- candidates compared by held-out counts ------------------------------------------


def plot_phase_number(found: PhaseNumber) -> Figure:
    """Plot what each number of phases fails to predict.

    Parameters
    ----------
    found
        Result of `EDSespmSpectrum.estimate_number_of_phases`.

    Returns
    -------
    matplotlib.figure.Figure
        Loss of the held-out counts, with the standard error of its difference to the
        lowest one; below, by how much the least stable phase turns from one draw to
        another.
    """
    figure, (axes, below) = plt.subplots(
        2, figsize=(6, 5), layout="constrained", sharex=True, height_ratios=[3, 1]
    )
    _draw_losses(axes, found, f"{found.best} phases" if found.best > 1 else "1 phase")
    below.plot(found.numbers, found.angles, "o-", color=COLOURS[0])
    _circle(below, found, found.angles)
    below.set_ylim(bottom=0)
    _draw_grid(below)
    below.set_ylabel("Draws differ (°)")
    below.xaxis.set_major_locator(MaxNLocator(integer=True))
    below.set_xlabel("Number of phases")
    return figure


def plot_binning(found: BinningChoice) -> Figure:
    """Plot what maps of each binning fail to predict.

    Parameters
    ----------
    found
        Result of `EDSespmSpectrum.estimate_binning`.

    Returns
    -------
    matplotlib.figure.Figure
        The losses, as in `plot_phase_number`.
    """
    size = found.best
    chosen = f"bins of {size} pixels" if size > 1 else "single pixels"
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    _draw_losses(axes, found, chosen)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(list(found.numbers)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:.0f}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("Pixels of a bin along each axis")
    return figure


def _draw_losses(axes: Axes, found: PhaseNumber | BinningChoice, chosen: str) -> None:
    """Draw the losses, and mark the one that was chosen."""
    # draws of the counts differ in their total, which says nothing
    apart = found.loss - found.loss[found.mean.argmin()]
    each = axes.plot(found.numbers, apart, color=GREY, lw=0.8, alpha=0.6)
    mean = axes.errorbar(
        found.numbers, found.mean, found.error, fmt="o-", color=COLOURS[0], capsize=4
    )
    mark = _circle(axes, found, found.mean)
    axes.set_yscale("symlog", linthresh=_LINEAR)
    axes.yaxis.set_major_locator(SymmetricalLogLocator(base=10, linthresh=_LINEAR))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    _draw_grid(axes)
    axes.margins(y=0.08)
    axes.set_ylabel("Loss in predicting counts (nats)")
    drawn: list[Any] = [mark, mean, each[0]]
    axes.figure.legend(
        drawn,
        [chosen, "mean, standard error", "each draw"],
        loc="outside upper center",
        ncols=3,
        frameon=False,
    )


def _circle(
    axes: Axes, found: PhaseNumber | BinningChoice, values: np.ndarray
) -> Line2D:
    """Mark the candidate that was chosen."""
    best = found.numbers == found.best
    look: dict[str, Any] = {"ms": 14, "mfc": "none", "mec": COLOURS[1], "mew": 2}
    return axes.plot(found.numbers[best], values[best], "o", **look)[0]


def _draw_grid(axes: Axes) -> None:
    axes.grid(axis="y", color=GREY, alpha=0.2, lw=0.6)
