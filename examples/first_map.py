"""
A first map
===========

From a spectrum image to phases, their maps and their compositions.
"""

from espm_hs.simulation import particles

# A measured map comes from hs.load("map.emd", select_type="spectrum_image"), and
# its elements are set: s.set_signal_type("EDS_espm"), s.set_elements([...]).
s = particles((48, 48), counts_per_pixel=100)  # taenite and ilmenite in olivine
s.decomposition(algorithm="espm", output_dimension=3)

# %%
# A map, a spectrum and a composition of each phase:

s.plot_phases()

# %%
# Does the model describe the data? The residuals stay within the grey band.

s.plot_fit(energy_range=(0.2, 9))

# %%
# The table has all parts of the errors:

s.print_quantification()
