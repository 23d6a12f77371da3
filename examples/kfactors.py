"""
k-factors of a vendor
=====================

What a vendor's program calls a k-factor follows here from cross sections, yields
and the detector. A table of one's own can take their place.
"""

import matplotlib.pyplot as plt

from espm_hs.physics import line_factors_from_kfactors

# By weight, at 200 kV, from the software of a microscope
vendor = {
    "O_K": 0.371908,
    "Si_K": 0.324726,
    "Fe_K": 0.432916,
    "Sr_K": 1.39900,
    "Sr_L": 0.569435,
    "Ag_L": 0.498260,
    "Ba_L": 0.534069,
    "Pt_L": 0.759814,
    "Pt_M": 0.325640,
}
factors = line_factors_from_kfactors(
    vendor, beam_energy=200, reference="Si_K", basis="weight"
)

# %%
# A factor above 1 says that the vendor expects more counts of an atom, relative to
# silicon, and so finds less of the element.
# `s.set_analysis_parameters(line_factors=factors)` takes the table over.

figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
axes.bar(list(factors), [factor - 1 for factor in factors.values()], bottom=1)
axes.axhline(1, color="black", lw=0.8)
axes.set_ylabel("vendor / espm_hs")
