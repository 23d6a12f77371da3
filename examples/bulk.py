"""
A polished section in the SEM
=============================

Bulk samples have a signal type of their own. The physics is another one, all
methods, plots and tables are the same.
"""

import warnings

from espm_hs.simulation import polished_section

# Electrons of 15 keV reach farther than the 1 µm of a pixel, so that boundaries show
# mixtures: a warning says it of such maps.
warnings.filterwarnings("ignore", "Pixels are")

s = polished_section(shape=(24, 24), counts_per_pixel=300)
s.set_signal_type("EDS_espm_SEM")
s.set_elements(["O", "Na", "Mg", "Al", "Si", "Ca", "Ti", "Fe"])
s.set_analysis_parameters(coating="C 10 nm", detector="polymer_window")
s.decomposition(algorithm="espm", output_dimension=4)

# %%

s.plot_phases()

# %%

s.print_quantification(units="weight")
