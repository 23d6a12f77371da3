"""
How many phases?
================

A fifth of the counts is held out and predicted from the phases of the others. More
phases fit more noise, which held-out counts do not share.
"""

from espm_hs.simulation import grain_boundary

# Alumina and zirconia, with a glass between them
s = grain_boundary((32, 32), counts_per_pixel=60)
best = s.estimate_number_of_phases(range(1, 6))
best

# %%
# The loss is in nats: differences of ten are overwhelming.

s.plot_number_of_phases()
