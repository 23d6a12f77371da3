"""Abundance maps: which share of each pixel belongs to which phase.

A phantom is a function of the shape of the map that returns an array of shape
(ny, nx, n_phases), non-negative, of sum 1 in each pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Sphere:
    """
    A sphere whose centre lies in the middle plane of a foil.

    Attributes
    ----------
    y, x : float
        Centre, as fractions of the height and the width of the map.
    radius : float
        As a fraction of the shorter side of the map.
    thickness : float
        Of the foil, in radii. Below 2 the foil cuts the sphere, so that the pixels
        around the centre hold nothing else; above 2 there is matrix everywhere.
    """

    y: float
    x: float
    radius: float
    thickness: float

    def share(self, shape: tuple[int, int]) -> np.ndarray:
        """
        Share of the thickness of the foil that lies in the sphere.

        Parameters
        ----------
        shape : tuple of int
            Rows and columns of the map.

        Returns
        -------
        array, shape (ny, nx)
            From 0 to 1.
        """
        ny, nx = shape
        pixels = self.radius * min(shape)
        dy = (np.arange(ny) + 0.5 - self.y * ny) / pixels
        dx = (np.arange(nx) + 0.5 - self.x * nx) / pixels
        squared = dy[:, None] ** 2 + dx**2
        chord = 2 * np.sqrt(np.maximum(1 - squared, 0))
        return np.minimum(chord / self.thickness, 1.0)


def spheres_in_matrix(shape: tuple[int, int], spheres: Sequence[Sphere]) -> np.ndarray:
    """
    Spheres, each of its own phase, in a foil of another phase, in projection.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the map.
    spheres : sequence of Sphere
        Must not overlap to more than the thickness of the foil.

    Returns
    -------
    array, shape (ny, nx, 1 + len(spheres))
        Of sum 1 in each pixel; the matrix comes first.

    Raises
    ------
    ValueError
        If the shape is not that of a map, or spheres fill a pixel more than once.
    """
    if len(shape) != 2 or min(shape) < 1:
        raise ValueError(
            f"The shape of a map is (rows, columns), both from 1 up; found {shape}."
        )
    shares = [sphere.share(shape) for sphere in spheres]
    matrix = 1 - np.sum(shares, axis=0)
    if matrix.min() < -1e-12:
        raise ValueError(
            f"The spheres overlap: they fill up to {1 - matrix.min():.2f} of the "
            "thickness of a pixel, at most 1 is possible. Move them apart or give them "
            "smaller radii."
        )
    return np.stack([np.maximum(matrix, 0), *shares], axis=-1)
