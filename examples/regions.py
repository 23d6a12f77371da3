"""
Regions, profiles and areas
===========================

What is in this grain, what changes along this line, and how much of the area is
which phase?
"""

import hyperspy.api as hs

from espm_hs.simulation import particles

s = particles((48, 48), counts_per_pixel=60)
s.decomposition(algorithm="espm", output_dimension=3, print_info=False)

# %%
# Labels, with the share of the area and its error; pixels that are too uncertain
# stay grey:

s.plot_phase_map()

# %%
# A region is a ROI of HyperSpy, a boolean image or a label map. Its summed spectrum
# is fitted by itself:

particle = hs.roi.CircleROI(30.0, 32.0, 12.0)  # nm
s.plot_fit(roi=particle, energy_range=(0.2, 9))

# %%
# A profile, with bands of one standard deviation:

s.plot_profile(hs.roi.Line2DROI(4.0, 30.0, 90.0, 60.0, linewidth=8.0))
