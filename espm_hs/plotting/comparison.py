"""Figures of candidates compared by counts that were set aside."""

from __future__ import annotations

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import (
    FuncFormatter,
    MaxNLocator,
    NullLocator,
    SymmetricalLogLocator,
)

from espm_hs.plotting.style import COLOURS, GREY

# nats, below which the scale is linear: some candidates are worse by thousands, others
# by one.
LINEAR = 10.0


def plot_phase_number(found) -> Figure:
    """Plot what each number of phases fails to predict.

    Parameters
    ----------
    found : espm_hs.analysis.PhaseNumber
        Result of `EDSespmSpectrum.estimate_number_of_phases`.

    Returns
    -------
    matplotlib.figure.Figure
        Loss of the counts that were set aside, with the standard error of its
        difference to the lowest one; below, by how much the least stable phase turns
        from one draw to another.
    """
    chosen = f"{found.best} phases" if found.best > 1 else "1 phase"
    figure, (axes, below) = plt.subplots(
        2,
        figsize=(6, 5),
        layout="constrained",
        sharex=True,
        gridspec_kw={"height_ratios": [3, 1]},
    )
    _draw(figure, axes, found, chosen)
    below.plot(found.numbers, found.angles, "o-", color=COLOURS[0])
    best = found.numbers == found.best
    _circle(below, found.numbers[best], found.angles[best])
    below.set_ylim(bottom=0)
    below.grid(axis="y", color=GREY, alpha=0.2, lw=0.6)
    below.set_ylabel("Draws differ (°)")
    below.xaxis.set_major_locator(MaxNLocator(integer=True))
    below.set_xlabel("Number of phases")
    return figure


def plot_binning(found) -> Figure:
    """Plot what maps of each binning fail to predict.

    Parameters
    ----------
    found : espm_hs.analysis.BinningChoice
        Result of `EDSespmSpectrum.estimate_binning`.

    Returns
    -------
    matplotlib.figure.Figure
        The losses, as in `plot_phase_number`.
    """
    size = found.best
    chosen = f"bins of {size} pixels" if size > 1 else "single pixels"
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    _draw(figure, axes, found, chosen)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(plt.FixedLocator(found.numbers))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:.0f}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("Pixels of a bin along each axis")
    return figure


def _plain(loss, _) -> str:
    """Write a number of nats in full."""
    return f"{loss:,.0f}".replace("-", "\N{MINUS SIGN}")


def _circle(axes, x, y):
    """Mark what was chosen."""
    return axes.plot(x, y, "o", ms=14, mfc="none", mec=COLOURS[1], mew=2)


def _draw(figure, axes, found, chosen: str):
    """Draw the losses, and mark the one that was chosen."""
    # draws of the counts differ in their total, which says nothing
    apart = found.loss - found.loss[found.mean.argmin()]
    each = axes.plot(found.numbers, apart, color=GREY, lw=0.8, alpha=0.6)
    mean = axes.errorbar(
        found.numbers, found.mean, found.error, fmt="o-", color=COLOURS[0], capsize=4
    )
    best = found.numbers == found.best
    (mark,) = _circle(axes, found.numbers[best], found.mean[best])
    axes.set_yscale("symlog", linthresh=LINEAR)
    axes.yaxis.set_major_locator(SymmetricalLogLocator(base=10, linthresh=LINEAR))
    axes.yaxis.set_major_formatter(FuncFormatter(_plain))
    axes.grid(axis="y", color=GREY, alpha=0.2, lw=0.6)
    axes.margins(y=0.08)
    axes.set_ylabel("Loss in predicting counts (nats)")
    figure.legend(
        [mark, mean, each[0]],
        [chosen, "mean, standard error", "each draw"],
        loc="outside upper center",
        ncols=3,
        frameon=False,
    )
