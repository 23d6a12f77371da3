"""Phantoms: which share of each pixel belongs to which phase.

A phantom is a function that returns an array of shape (ny, nx, n_phases), non-negative:
shares of sum 1 in each pixel, or where it says so thicknesses in nm. Shares become
thicknesses by a multiplication: with a number for a foil of even thickness, with
``wedge(...)[..., None]`` for one that is not.

Rows run down and columns to the right, as maps are drawn. An angle is that of the
direction across a structure, in degrees: 0 points to the right, 90 down. Lengths in
pixels are sides of a pixel; the map reaches half a pixel beyond the centres of its
outermost ones.

- `shapes`: spheres in a matrix, particles of core and shell; wedge, grain boundary,
  lamellae
- `images`: a segmentation, a grey image, or arrays of the user; smooth random fields
"""

from espm_hs.simulation.phantoms.images import (
    maps_from_arrays,
    maps_from_image,
    maps_from_labels,
    random_fields,
)
from espm_hs.simulation.phantoms.shapes import (
    CoreShell,
    Sphere,
    core_shell_particles,
    grain_boundary,
    lamellae,
    spheres_in_matrix,
    wedge,
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
