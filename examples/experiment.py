"""
An experiment before the beam time
==================================

A sample of one's own, measured twice: how many counts does it take to see lamellae of
silica in kamacite?
"""

import matplotlib.pyplot as plt
import numpy as np

from espm_hs.physics import SpectrumModel
from espm_hs.plotting import plot_phantoms
from espm_hs.simulation import Experiment, Phase, phantoms, record

# %%
# Maps of abundances are drawn by functions, of which these are all:

plot_phantoms()

# %%
# Lamellae of two phases in a wedge:

model = SpectrumModel(
    0.01 * np.arange(1024),  # keV
    beam_energy=200,
    elements=["Fe", "Ni", "O", "Si"],
    take_off_angle=22,
    thickness=100,
    density=5,
)
phases = [
    Phase("silica", {"Si": 1, "O": 2}, density=2.2),
    Phase("kamacite", {"Fe": 0.94, "Ni": 0.06}, density=7.9),
]
maps = phantoms.lamellae((48, 48), 2, period=20, blur=2)
foil = phantoms.wedge((48, 48), thin=30, thick=150)  # nm

figure, axes = plt.subplots(2, 3, figsize=(9, 5.5), layout="constrained")
for row, counts in zip(axes, (3, 30), strict=True):
    experiment = Experiment(model, phases, foil[..., None] * maps, counts)
    s = record(experiment, seed=1, pixel_size=2)
    s.decomposition(algorithm="espm", output_dimension=2, print_info=False)
    images = [s.sum("Energy"), *s.get_decomposition_loadings().split()]
    titles = [f"counts, {counts} per pixel", "phase 0", "phase 1"]
    for axis, image, title in zip(row, images, titles, strict=True):
        axis.imshow(image.data, cmap="cividis")
        axis.set(title=title, xticks=[], yticks=[])
