"""
What the errors hold
====================

The composition of each phase beside the truth, with the error of the counts alone
and with that of atomic data, absorption and detector besides.
"""

import matplotlib.pyplot as plt

from espm_hs.metrics import match_phases
from espm_hs.simulation import particles

s = particles((48, 48), counts_per_pixel=60)
s.decomposition(algorithm="espm", output_dimension=3, print_info=False)
truth = s.ground_truth()
order, _ = match_phases(s.analysis_results().spectra, truth.spectra)
table = s.print_quantification().to_dataframe()

# %%
# The tables of lines are the same in simulation and fit. So the differences from
# the truth are those of the counts, and "total" is what a measurement would have to
# state:

figure, axes = plt.subplots(1, 3, figsize=(10, 3), sharey=True, layout="constrained")
for i, (axis, name, phase) in enumerate(zip(axes, truth.names, order, strict=True)):
    rows = table[table.phase == phase].set_index("element").loc[list(truth.elements)]
    difference = rows.percent - 100 * truth.composition[:, i]
    axis.axhline(0, color="black", lw=0.8)
    axis.errorbar(rows.index, difference, rows.total, fmt="none", lw=6, alpha=0.3)
    axis.errorbar(rows.index, difference, rows.counting, fmt="o", capsize=4)
    axis.set(title=name)
axes[0].set_ylabel("found - truth (at.%)")
