"""Figures that tell how far to trust a fit: convergence, calibration, candidates."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

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
from espm_hs.plotting.look import Look, one_panel, takes_look
from espm_hs.plotting.spectra import draw_sigmas
from espm_hs.plotting.style import COLOURS, GREY

if TYPE_CHECKING:
    from hyperspy.signals import BaseSignal

    from espm_hs.calibration.energy_scale import Calibration
    from espm_hs.decomposition.result import PhaseAnalysis
    from espm_hs.model_selection.n_phases_and_binning import BinningChoice, PhaseNumber

# nats, below which the scale of losses is linear: some candidates are worse by
# thousands, others by one.
_LINEAR = 10.0


# -- one fit -------------------------------------------------------------------------


@takes_look("ax", "figsize")
def plot_convergence(signal: BaseSignal, *, look: Look) -> Figure:
    """Plot how the objective fell during the fit.

    Parameters
    ----------
    signal
        With a decomposition by ``algorithm="espm"``.
    {look}

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
    return look.draw((6, 3.6), one_panel, [partial(_draw_history, found)])


def _draw_history(found: PhaseAnalysis, axes: Axes) -> None:
    """Draw the objective of the fit, and of the fits that went on from it."""
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


def _fits(history: np.ndarray) -> list[np.ndarray]:
    """Parts of the history between rises: F never rises within a fit."""
    rises = np.flatnonzero(np.diff(history) > 1e-9 * np.abs(history[:-1])) + 1
    return np.split(history, rises)


@takes_look("ax", "energy_range", "figsize", "log")
def plot_calibration(
    calibration: Calibration, spectrum: np.ndarray, *, look: Look
) -> Figure:
    """Plot a spectrum with the models before and after a calibration.

    Parameters
    ----------
    calibration
        Result of `EDSespmSpectrum.refine_calibration`.
    spectrum
        Counts, shape (n_channels,).
    {look}

    Returns
    -------
    matplotlib.figure.Figure
        Above: counts and models. Below: what each model leaves, in standard deviations.
    """
    x = np.asarray(spectrum, dtype=float)
    axis, shown = calibration.after.energy, calibration.after.channels
    if look.energy_range:
        low, high = look.energy_range
        shown = shown & (axis >= low) & (axis <= high)
    fits = []
    models = {"before": calibration.before, "after": calibration.after}
    for (name, model), colour in zip(models.items(), COLOURS[1::-1], strict=True):
        used = model.channels
        _, y = fit_spectrum(model.G[used], x[used])
        # both on the calibrated axis, so that peaks stand above each other
        fits.append(_FittedModel(name, colour, axis[used], x[used], y))

    def above(axes: Axes) -> None:
        axes.step(axis[shown], x[shown], where="mid", color="#A0A0A0", lw=1)
        for fit in fits:
            axes.plot(*fit[2::2], color=fit.colour, lw=1, label=f"model {fit.name}")
        if shown.any():
            axes.set_xlim(axis[shown][0], axis[shown][-1])
        if look.log is not False:
            axes.set_yscale("log")
            axes.set_ylim(bottom=max(0.5, 0.5 * np.median(x[shown])))
        axes.set_ylabel("counts")
        axes.legend(frameon=False)

    def below(fit: _FittedModel, axes: Axes) -> None:
        residual = deviance_residuals(fit.counts, fit.model)
        axes.step(fit.energy, residual, where="mid", color=fit.colour, lw=0.7)
        draw_sigmas(axes, residual)
        axes.set_ylabel(f"{fit.name} (σ)")
        if fit.name == "after" or look.ax is not None:
            axes.set_xlabel("energy (keV)")

    return look.draw(
        (9, 7),
        lambda figure: figure.subplots(3, 1, height_ratios=[3, 1, 1], sharex=True),
        [above, *(partial(below, fit) for fit in fits)],
    )


class _FittedModel(NamedTuple):
    """A model of a spectrum, in the channels in use."""

    name: str
    colour: str
    energy: np.ndarray
    counts: np.ndarray
    model: np.ndarray


# -- candidates compared by held-out counts ------------------------------------------


@takes_look("ax", "figsize")
def plot_phase_number(found: PhaseNumber, *, look: Look) -> Figure:
    """Plot what each number of phases fails to predict.

    Parameters
    ----------
    found
        Result of `EDSespmSpectrum.estimate_number_of_phases`.
    {look}

    Returns
    -------
    matplotlib.figure.Figure
        Loss of the held-out counts, with the standard error of its difference to the
        lowest one; below, by how much the least stable phase turns from one draw to
        another.
    """
    chosen = f"{found.best} phases" if found.best > 1 else "1 phase"

    def above(axes: Axes) -> None:
        _draw_losses(axes, found, chosen, look)
        _number_axis(axes)
        if look.ax is None:
            axes.set_xlabel("")

    def below(axes: Axes) -> None:
        axes.plot(found.numbers, found.angles, "o-", color=COLOURS[0])
        _circle(axes, found, found.angles)
        axes.set_ylim(bottom=0)
        _draw_grid(axes)
        axes.set_ylabel("Draws differ (°)")
        _number_axis(axes)

    return look.draw(
        (6, 5),
        lambda figure: figure.subplots(2, 1, sharex=True, height_ratios=[3, 1]),
        [above, below],
    )


def _number_axis(axes: Axes) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("Number of phases")


@takes_look("ax", "figsize")
def plot_binning(found: BinningChoice, *, look: Look) -> Figure:
    """Plot what maps of each binning fail to predict.

    Parameters
    ----------
    found
        Result of `EDSespmSpectrum.estimate_binning`.
    {look}

    Returns
    -------
    matplotlib.figure.Figure
        The losses, as in `plot_phase_number`.
    """
    size = found.best
    chosen = f"bins of {size} pixels" if size > 1 else "single pixels"

    def draw(axes: Axes) -> None:
        _draw_losses(axes, found, chosen, look)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator(list(found.numbers)))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:.0f}"))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel("Pixels of a bin along each axis")

    return look.draw((6, 4), one_panel, [draw])


def _draw_losses(
    axes: Axes, found: PhaseNumber | BinningChoice, chosen: str, look: Look
) -> None:
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
    names = [chosen, "mean, standard error", "each draw"]
    many: dict[str, Any] = {"ncols": 3, "fontsize": None} if look.ax is None else {}
    look.legend(axes, "upper center", handles=drawn, labels=names, **many)


def _circle(
    axes: Axes, found: PhaseNumber | BinningChoice, values: np.ndarray
) -> Line2D:
    """Mark the candidate that was chosen."""
    best = found.numbers == found.best
    look: dict[str, Any] = {"ms": 14, "mfc": "none", "mec": COLOURS[1], "mew": 2}
    return axes.plot(found.numbers[best], values[best], "o", **look)[0]


def _draw_grid(axes: Axes) -> None:
    axes.grid(axis="y", color=GREY, alpha=0.2, lw=0.6)
