"""Figure of the search for the number of phases."""

from __future__ import annotations

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from espm_hs.plotting.style import COLOURS, GREY

# nats, below which the scale is linear: some phases are worth thousands, others one.
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
        difference to the lowest one.
    """
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    # one line for each draw of the counts, which differ in their total
    apart = found.loss - found.loss[found.mean.argmin()]
    axes.plot(found.numbers, apart, color=GREY, lw=0.6, alpha=0.6)
    axes.errorbar(
        found.numbers, found.mean, found.error, fmt="o-", color=COLOURS[0], capsize=4
    )
    chosen = found.numbers == found.best
    axes.plot(
        found.numbers[chosen],
        found.mean[chosen],
        "o",
        ms=16,
        mfc="none",
        mec=COLOURS[1],
        mew=2,
        label=f"{found.best} phases" if found.best > 1 else "1 phase",
    )
    axes.set_yscale("symlog", linthresh=LINEAR)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("Number of phases")
    axes.set_ylabel("Loss in predicting counts (nats)")
    axes.legend(frameon=False)
    return figure
