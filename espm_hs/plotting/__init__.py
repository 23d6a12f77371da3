"""Figures of a decomposition and of a calibration; a gallery of phantoms.

But for the gallery, the functions take a signal with the results of
``decomposition(algorithm="espm")`` and use its public methods and `learning_results`
only. Maps larger than memory are read block by block.

- `phases`: `plot_phases`, with the bars of the compositions; `plot_composition`, maps
  of at.%; `plot_elements`, of net counts
- `fit`: `plot_fit`, a spectrum, its model and what that consists of;
  `plot_fit_of_region`, the same of a rectangle that is moved by hand
- `comparison`: `plot_comparison`, results side by side
- `phase_map`: `plot_phase_map`, which phase each pixel is, and images of it for other
  programs
- `regions`: `plot_profile`, percent along a line; `plot_composition_of_region`, percent
  in a region that is moved by hand
- `residuals`: `plot_residuals`, and how significant the residual of a pixel is
- `diagnostics`: `plot_convergence`, the objective during the fit; `plot_calibration`, a
  spectrum before and after; `plot_phase_number`, `plot_binning`, candidates and
  held-out counts
- `lines`: `plot_emission_lines`, where the lines of elements are in a spectrum
- `joint`: `plot_joint`, phases of several maps
- `phantoms`: `plot_phantoms`, a gallery of `espm_hs.simulation.phantoms`
- `look`: the keywords that they share, ``ax`` and others
- `spectra`: what they share of spectra: peaks, labels of lines, scales of the axes
- `maps`: what they share of maps: profiles, images, scale bars
- `results`: what they read from the signal
- `style`: colours
"""

from espm_hs.plotting.comparison import plot_comparison
from espm_hs.plotting.diagnostics import (
    plot_binning,
    plot_calibration,
    plot_convergence,
    plot_phase_number,
)
from espm_hs.plotting.fit import plot_fit, plot_fit_of_region, plot_residuals
from espm_hs.plotting.joint import plot_joint
from espm_hs.plotting.lines import plot_emission_lines
from espm_hs.plotting.phantoms import plot_phantoms
from espm_hs.plotting.phase_map import plot_phase_map
from espm_hs.plotting.phases import plot_composition, plot_elements, plot_phases
from espm_hs.plotting.regions import plot_composition_of_region, plot_profile
from espm_hs.plotting.style import COLOURS, GREY

__all__ = [
    "COLOURS",
    "GREY",
    "plot_binning",
    "plot_calibration",
    "plot_comparison",
    "plot_composition",
    "plot_composition_of_region",
    "plot_convergence",
    "plot_elements",
    "plot_emission_lines",
    "plot_fit",
    "plot_fit_of_region",
    "plot_joint",
    "plot_phantoms",
    "plot_phase_map",
    "plot_phase_number",
    "plot_phases",
    "plot_profile",
    "plot_residuals",
]
