"""
Which elements are there?
=========================

The spectrum is asked before there are phases: names with the probability that they
are false, then net counts of each element, without background and overlaps.
"""

from espm_hs.simulation import particles

s = particles((32, 32), counts_per_pixel=100)
s.set_elements(["O", "Mg", "Si"])  # there are more

# %%
# What is missing?

s.identify_elements()

# %%
# Iron, nickel and titanium belong to the sample; copper is the grid's, as the map
# says.

s.add_elements(["Fe", "Ni", "Ti"])
s.plot_elements("significance", least_significance=2)
