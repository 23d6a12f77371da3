"""
An energy axis that is off
==========================

Files often have an energy axis that is some channels off, or peaks that are wider
than the header says. The summed spectrum tells.
"""

from espm_hs.simulation import particles

s = particles((32, 32), counts_per_pixel=100)
s.axes_manager[-1].offset += 0.025  # keV
s.set_microscope_parameters(energy_resolution_MnKa=150)

# %%
# `decomposition` refines its model by itself and says so. This call writes what it
# finds to axis and metadata:

s.refine_calibration(plot=True)
