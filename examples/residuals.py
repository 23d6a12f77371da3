"""
What does the model lack?
=========================

An element that nobody declared shows in the residuals, by its energy and by its
place.
"""

from espm_hs.simulation import particles

s = particles((32, 32), counts_per_pixel=100)
s.set_elements(["O", "Mg", "Si", "Fe", "Ni"])  # titanium was forgotten
s.decomposition(algorithm="espm", output_dimension=3)

# %%
# The peak at 4.5 keV is titanium, and the pixels that stand out are the particles
# of ilmenite:

s.plot_residuals()

# %%
# Its name:

s.identify_elements(add="sample")
s.decomposition(algorithm="espm", output_dimension=3)
s.plot_residuals()
