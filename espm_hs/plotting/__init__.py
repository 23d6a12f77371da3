"""Figures of a decomposition and of a calibration; a gallery of phantoms.

But for the gallery, the functions take a signal with the results of
``decomposition(algorithm="espm")`` and use its public methods and `learning_results`
only. Maps larger than memory are read block by block.

- `phases`: `plot_phases`, with the bars of the compositions
- `fit`: `plot_fit`, the summed spectrum and its model
- `residuals`: `plot_residuals`, and how significant a misfit is
- `calibration`: `plot_calibration`, a spectrum before and after
- `comparison`: `plot_phase_number`, `plot_binning`, candidates and held-out counts
- `phantoms`: `plot_phantoms`, a gallery of `espm_hs.simulation.phantoms`
- `spectra`: what they share of spectra: peaks, labels of lines, scales of the axes
- `maps`: what they share of maps: profiles, images, scale bars
- `results`: what they read from the signal
- `style`: colours
"""

from espm_hs.plotting.calibration import plot_calibration
from espm_hs.plotting.comparison import plot_binning, plot_phase_number
from espm_hs.plotting.fit import plot_fit
from espm_hs.plotting.phantoms import plot_phantoms
from espm_hs.plotting.phases import plot_phases
from espm_hs.plotting.residuals import plot_residuals
from espm_hs.plotting.style import COLOURS, GREY

__all__ = [
    "COLOURS",
    "GREY",
    "plot_binning",
    "plot_calibration",
    "plot_fit",
    "plot_phantoms",
    "plot_phase_number",
    "plot_phases",
    "plot_residuals",
]
