"""Round particles, seen in projection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from espm_hs.arguments import check_number
from espm_hs.simulation.phantoms.pixels import checked_shape


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

    Raises
    ------
    ValueError
        If radius or thickness are not above 0.
    """

    y: float
    x: float
    radius: float
    thickness: float

    def __post_init__(self) -> None:
        check_number("y", self.y)
        check_number("x", self.x)
        check_number("radius", self.radius, 0, above=True)
        check_number("thickness", self.thickness, 0, above=True)

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
        radius = self.radius * min(shape)
        chord = _chords(shape, self.y, self.x, radius)
        return np.minimum(chord / (self.thickness * radius), 1.0)


@dataclass(frozen=True)
class CoreShell:
    """
    A round particle: a spherical core in a shell of even thickness.

    Attributes
    ----------
    y, x : float
        Centre, as fractions of the height and the width of the map.
    radius : float
        Of the whole particle, as a fraction of the shorter side of the map.
    core : float
        Radius of the core as a fraction of that of the particle: 0 for none, 1 for no
        shell.

    Raises
    ------
    ValueError
        If radius is not above 0, or core not from 0 to 1.
    """

    y: float
    x: float
    radius: float
    core: float

    def __post_init__(self) -> None:
        check_number("y", self.y)
        check_number("x", self.x)
        check_number("radius", self.radius, 0, above=True)
        check_number("core", self.core, 0, 1)


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
    shape = checked_shape(shape)
    shares = [sphere.share(shape) for sphere in spheres]
    matrix = 1 - sum(shares, np.zeros(shape))
    if matrix.min() < -1e-12:
        raise ValueError(
            f"The spheres overlap: they fill up to {1 - matrix.min():.2f} of the "
            "thickness of a pixel, at most 1 is possible. Move them apart or give them "
            "smaller radii."
        )
    return np.stack([np.maximum(matrix, 0), *shares], axis=-1)


def core_shell_particles(
    shape: tuple[int, int],
    particles: Sequence[CoreShell],
    pixel_size: float,
    support: float,
) -> np.ndarray:
    """
    Particles of core and shell on a supporting film, in projection.

    A core is never seen without the shell above and below it. Particles that overlap
    add up, as if they lay on both sides of the film.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the map.
    particles : sequence of CoreShell
        In any order.
    pixel_size : float
        Side of a pixel, nm.
    support : float
        Thickness of the film, nm.

    Returns
    -------
    array, shape (ny, nx, 3)
        Thickness in nm of film, cores and shells, at the centre of each pixel.

    Raises
    ------
    ValueError
        If the shape is not that of a map, the pixel size not above 0, or the film of
        negative thickness.
    """
    shape = checked_shape(shape)
    check_number("pixel_size", pixel_size, 0, above=True)
    check_number("support", support, 0)
    cores, whole = np.zeros(shape), np.zeros(shape)
    for particle in particles:
        radius = particle.radius * min(shape)
        cores += _chords(shape, particle.y, particle.x, radius * particle.core)
        whole += _chords(shape, particle.y, particle.x, radius)
    film = np.full(shape, float(support))
    return np.stack([film, pixel_size * cores, pixel_size * (whole - cores)], axis=-1)


def _chords(shape: tuple[int, int], y: float, x: float, radius: float) -> np.ndarray:
    """Lengths in a sphere of the lines of sight through the pixels' centres, pixels."""
    dy = np.arange(shape[0]) + 0.5 - y * shape[0]
    dx = np.arange(shape[1]) + 0.5 - x * shape[1]
    return 2 * np.sqrt(np.maximum(radius**2 - (dy[:, None] ** 2 + dx**2), 0))
