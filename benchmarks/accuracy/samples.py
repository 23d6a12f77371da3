"""What a sample is that the zoo simulates, and the shapes that its phases have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.ndimage import gaussian_filter

from espm_hs.simulation import Phase

Shape = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Sample:
    """A sample, and what its user knows of it.

    Parameters
    ----------
    phases
        Materials.
    thickness
        Of each phase in each pixel, nm, shape (rows, columns, n_phases).
    stray
        System element -> share in the counts of each phase.
    n_channels, offset
        Of the energy axis, 10 eV for each channel; keV.
    beam_energy, take_off_angle
        keV, degrees.
    counts
        Mean counts per pixel of the maps that are made.
    """

    phases: Sequence[Phase]
    thickness: np.ndarray
    stray: dict[str, float] = field(default_factory=lambda: {"Cu": 0.03})
    n_channels: int = 2048
    offset: float = 0.0
    beam_energy: float = 200.0
    take_off_angle: float = 22.0
    counts: tuple[float, ...] = (20.0, 150.0)

    @property
    def elements(self) -> list[str]:
        """Symbols of all phases."""
        return sorted({symbol for phase in self.phases for symbol in phase.composition})


# -- shapes --------------------------------------------------------------------------


def grains(rng: np.random.Generator, shape: Shape, n: int, number: int) -> np.ndarray:
    """Grains of n phases, (rows, columns, n), of sum 1: blurred Voronoi cells."""
    seeds = rng.random((number, 2)) * shape
    of_phase = np.concatenate((np.arange(n), rng.integers(n, size=max(0, number - n))))
    y, x = np.indices(shape)
    apart = (y[..., None] - seeds[:, 0]) ** 2 + (x[..., None] - seeds[:, 1]) ** 2
    sharp = np.eye(n)[of_phase[np.argmin(apart, axis=-1)]]
    return gaussian_filter(sharp, (0.6, 0.6, 0))


def layers(shape: Shape, widths: Sequence[float], blur: float = 0.5) -> np.ndarray:
    """Layers along the rows, of given widths in pixels (the last takes the rest)."""
    edges = np.concatenate(([0], np.cumsum(widths), [shape[0] + 1]))
    fine = (np.arange(8 * shape[0]) + 0.5) / 8
    number = np.clip(np.searchsorted(edges, fine, side="right") - 1, 0, len(widths))
    one = np.eye(len(widths) + 1)[number].reshape(shape[0], 8, -1).mean(axis=1)
    one = gaussian_filter(one, (blur, 0))
    return np.repeat(one[:, None], shape[1], axis=1)


def spheres(
    rng: np.random.Generator, shape: Shape, number: int, radii: tuple[float, float]
) -> np.ndarray:
    """Thickness in pixels of spheres that lie anywhere, (rows, columns)."""
    y, x = np.indices(shape)
    total = np.zeros(shape)
    for _ in range(number):
        radius = rng.uniform(*radii)
        cy, cx = rng.random(2) * shape
        inside = radius**2 - (y - cy) ** 2 - (x - cx) ** 2
        total += 2 * np.sqrt(np.maximum(inside, 0))
    return total


def coated_spheres(
    rng: np.random.Generator,
    shape: Shape,
    number: int,
    radii: tuple[float, float],
    width: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Thickness in pixels of spheres, and of shells of one width about them."""
    seed, (least, most) = rng.integers(2**32), radii
    # the same draws: each shell is about its core
    core, whole = (
        spheres(np.random.default_rng(seed), shape, number, (least + more, most + more))
        for more in (0, width)
    )
    return core, whole - core


def embedded(matrix: float, inclusions: np.ndarray) -> np.ndarray:
    """Matrix of a thickness with inclusions in it, (rows, columns, 1 + n)."""
    inclusions = np.atleast_3d(inclusions)
    total = inclusions.sum(axis=-1, keepdims=True)
    inclusions = inclusions * np.minimum(1, 0.95 * matrix / np.maximum(total, 1e-9))
    rest = matrix - inclusions.sum(axis=-1, keepdims=True)
    return np.concatenate((rest, inclusions), axis=-1)
