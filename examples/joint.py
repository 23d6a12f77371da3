"""
A series of maps
================

Five maps at rising temperature, each too poor by itself, get one set of phases. The
composition of one of these may change from map to map.
"""

from espm_hs import decompose_together
from espm_hs.plotting import plot_joint
from espm_hs.simulation import particles

maps = [particles((24, 24), counts_per_pixel=40, seed=seed) for seed in range(5)]
result = decompose_together(
    maps,
    output_dimension=3,
    parameter=[20, 100, 200, 300, 400],
    parameter_name="temperature (°C)",
    drift={0: 5.0},  # at.%; how far the matrix may move
    print_info=False,
)
result.to_dataframe().round(2)

# %%
# These maps are draws of one sample: the counts of each phase stay the same within
# their errors, and so does the composition.

plot_joint(result)
