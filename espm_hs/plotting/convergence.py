"""Figure of the convergence: the objective during the fit."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from espm_hs.plotting.style import COLOURS, GREY


def plot_convergence(signal) -> Figure:
    """
    Plot how the objective fell during the fit.

    Parameters
    ----------
    signal : EDSespmSpectrum
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
    fits = _fits(found.history)
    figure, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
    place = 1
    for i, fit in enumerate(fits):
        above = fit - fit[-1]
        steps = np.arange(place, place + fit.size)
        axes.plot(steps, above, "o-", ms=3, lw=1, color=COLOURS[0 if i == 0 else 1])
        place += fit.size
    axes.set_yscale("symlog", linthresh=1.0)
    axes.set_ylim(-0.3, max(10.0, 2 * axes.dataLim.ymax))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda nats, _: f"{nats:,.0f}"))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="y", color=GREY, alpha=0.2, lw=0.6)
    axes.set_xlabel("Evaluation of the objective")
    axes.set_ylabel("Objective above its end (nats)")
    ending = "converged" if found.converged else "not converged"
    axes.set_title(
        f"{ending} after {found.n_iter} iterations, "
        f"{found.n_agreeing} of {found.n_starts} starts agree",
        fontsize="medium",
        loc="left",
    )
    axes.lines[0].set_label("fit")
    if len(fits) > 1:
        axes.lines[1].set_label("went on after a change of the problem")
    axes.legend(frameon=False, fontsize="small")
    return figure


def _fits(history) -> list[np.ndarray]:
    """Parts of the history between rises: F never rises within a fit."""
    rises = np.flatnonzero(np.diff(history) > 1e-9 * np.abs(history[:-1])) + 1
    return np.split(history, rises)
