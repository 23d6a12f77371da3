"""
From phases to minerals, and into a paper
=========================================

A table of at.% with errors becomes names with probabilities, and those become the
names of the phases in figures and tables.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt

from espm_hs.simulation import particles

s = particles((48, 48), counts_per_pixel=100)
s.decomposition(algorithm="espm", output_dimension=3, print_info=False)
s.identify_phases("all", rename=True)

# %%
# Labels over the counts of each pixel, with these names:

s.plot_phase_map(image="counts")

# %%
# Formula units check the names. Metal has no oxygen, and no line.

s.atoms_per_formula_unit()

# %%
# One call writes tables, maps, figures, a paragraph of methods and a script that
# reproduces the result. This is the figure for print:

with TemporaryDirectory() as folder:
    files = s.export(folder, ["figures", "methods"], name="particles")
    picture = plt.imread(files[0])
    methods = Path(folder, "particles_methods.txt").read_text(encoding="utf-8")

figure, axes = plt.subplots(figsize=(10, 10 * picture.shape[0] / picture.shape[1]))
axes.imshow(picture)
axes.set_axis_off()
figure.subplots_adjust(0, 0, 1, 1)

# %%

print(methods)
