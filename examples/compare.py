"""
Two phases, or three?
=====================

Candidates side by side: how well they predict held-out counts, what they are made
of, and which phase becomes which.
"""

from espm_hs.simulation import particles

s = particles((32, 32), counts_per_pixel=60)
s.compare_phase_numbers([2, 3])

# %%
# Both results are kept with the signal; the better one is now the present one.

s.plot_comparison()
