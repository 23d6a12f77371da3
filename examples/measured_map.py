"""
A measured map
==============

Minerals of the lower mantle, 200 kV, 80 x 80 pixels with 112 counts each. The
notebook "From a measured map to a paper" goes on from here.
"""

import warnings

import hyperspy.api as hs

from espm_hs import PhaseWarning

s = hs.load("../notebooks/data/minerals.hspy")
s.set_signal_type("EDS_espm")
s.set_elements(["Mg", "Al", "Si", "Ca", "Fe"])
s.set_analysis_parameters(
    thickness=100,  # nm
    density=4.2,  # g/cm3
    stray_elements=["Cu", "Ga", "Mo", "Zr"],  # grid, ion beam, holder
)
with warnings.catch_warnings():
    warnings.simplefilter("ignore", PhaseWarning)  # the table has it, too
    s.decomposition(algorithm="espm", output_dimension=2)

# %%
# Bridgmanite, (Mg,Fe,Al)(Si,Al)O3, and ferropericlase, (Mg,Fe)O:

s.plot_phases()

# %%
# Oxygen is below the first channel; oxides take it by the valences of the others.

s.print_quantification(units="oxide")
