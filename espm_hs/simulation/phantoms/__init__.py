"""Phantoms: which share of each pixel belongs to which phase.

A phantom is a function that returns an array of shape (ny, nx, n_phases), non-negative:
shares of sum 1 in each pixel, or where it says so thicknesses in nm. Shares become
thicknesses by a multiplication: with a number for a foil of even thickness, with
``wedge(...)[..., None]`` for one that is not.

Rows run down and columns to the right, as maps are drawn. An angle is that of the
direction across a structure, in degrees: 0 points to the right, 90 down. Lengths in
pixels are sides of a pixel; the map reaches half a pixel beyond the centres of its
outermost ones.

- `spheres`: spheres in a matrix, particles of core and shell
- `layers`: wedge, grain boundary, lamellae
- `fields`: smooth random fields
- `images`: a segmentation, a grey image, or arrays of the user
- `pixels`: what they share: arguments, directions, edges within a pixel
"""

from espm_hs.simulation.phantoms.fields import random_fields
from espm_hs.simulation.phantoms.images import (
    maps_from_arrays,
    maps_from_image,
    maps_from_labels,
)
from espm_hs.simulation.phantoms.layers import grain_boundary, lamellae, wedge
from espm_hs.simulation.phantoms.spheres import (
    CoreShell,
    Sphere,
    core_shell_particles,
    spheres_in_matrix,
)

__all__ = [
    "CoreShell",
    "Sphere",
    "core_shell_particles",
    "grain_boundary",
    "lamellae",
    "maps_from_arrays",
    "maps_from_image",
    "maps_from_labels",
    "random_fields",
    "spheres_in_matrix",
    "wedge",
]
