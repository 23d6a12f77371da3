"""Figures of a decomposition and of a calibration; a gallery of phantoms.

But for the gallery, the functions take a signal with the results of
``decomposition(algorithm="espm")`` and use its public methods and `learning_results`
only. Maps larger than memory are read block by block.

- `phases`: `plot_phases`, with the bars of the compositions
- `composition`: `plot_composition`, maps of at.%
- `fit`: `plot_fit`, a spectrum, its model and what that consists of
- `region`: `plot_fit_of_region`, the same of a rectangle that is moved by hand
- `residuals`: `plot_residuals`, and how significant a misfit is
- `calibration`: `plot_calibration`, a spectrum before and after
- `convergence`: `plot_convergence`, the objective during the fit
- `comparison`: `plot_phase_number`, `plot_binning`, candidates and held-out counts
- `phantoms`: `plot_phantoms`, a gallery of `espm_hs.simulation.phantoms`
- `spectra`: what they share of spectra: peaks, labels of lines, scales of the axes
- `maps`: what they share of maps: profiles, images, scale bars
- `results`: what they read from the signal
- `style`: colours
"""

from espm_hs.plotting.calibration import plot_calibration
from espm_hs.plotting.comparison import plot_binning, plot_phase_number
from espm_hs.plotting.composition import plot_composition
from espm_hs.plotting.convergence import plot_convergence
from espm_hs.plotting.fit import plot_fit
from espm_hs.plotting.phantoms import plot_phantoms
from espm_hs.plotting.phases import plot_phases
from espm_hs.plotting.region import plot_fit_of_region
from espm_hs.plotting.residuals import plot_residuals
from espm_hs.plotting.style import COLOURS, GREY

__all__ = [
    "COLOURS",
    "GREY",
    "plot_binning",
    "plot_calibration",
    "plot_composition",
    "plot_convergence",
    "plot_fit",
    "plot_fit_of_region",
    "plot_phantoms",
    "plot_phase_number",
    "plot_phases",
    "plot_residuals",
]
