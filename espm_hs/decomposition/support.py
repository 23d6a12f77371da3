"""Support films: an even phase under everything else."""

from __future__ import annotations

import numpy as np

from espm_hs.decomposition.separation import Overlap
from espm_hs.factorization import Grid

# What support films are made of, where one element is all there is. Those of several
# elements show in the proportions of these, see `overlap`.
MATERIALS = ("C",)
# A phase is made of it if so much of its atoms is.
PURE = 0.95
# A film that is filled up is even: of what structure its map had, this is left at most.
LEAST_STRUCTURE = 0.1
# Less of a film in a phase than this is a matter of its errors.
LEAST_AMOUNT = 0.02


def find_support(
    W: np.ndarray, H: np.ndarray, elements: dict[str, int], grid: Grid
) -> list[Overlap]:
    """Return a support film in the phases that lie on it, an entry for each of these.

    Parameters
    ----------
    W
        Shape (n_columns, n_phases), the fractions of the elements adding up to 1.
    H
        Shape (n_pixels, n_phases), in atoms.
    elements
        Column of each element.
    grid
        Neighbours of the pixels.

    Notes
    -----
    Particles on a carbon film are found with the film in them, and the map of the film
    has holes there. If the carbon in the other phases fills the holes up, as it does
    not where particles lie inside of carbon and take its place, it is that of the film.
    """
    for material in MATERIALS:
        column = elements.get(material)
        if column is None:
            continue
        film = int(np.argmax(W[column]))
        amounts = W[column] / max(W[column, film], np.finfo(float).tiny)
        amounts[film] = 0.0
        amounts[amounts < LEAST_AMOUNT] = 0.0
        if W[column, film] <= PURE or not amounts.any():
            continue
        H = np.asarray(H)
        left = _structure(H[:, film] + H @ amounts, grid)
        if left < LEAST_STRUCTURE * _structure(H[:, film], grid):
            return [
                Overlap(phase, film, amounts[phase], np.array([column]), 0.0)
                for phase in np.flatnonzero(amounts).tolist()
            ]
    return []


def _structure(map_: np.ndarray, grid: Grid) -> float:
    """Covariance of neighbours, which noise has not."""
    away = map_ - map_.mean()
    pixels, column = np.nonzero(grid.neighbours >= 0)
    if pixels.size == 0:
        return 0.0
    return float((away[pixels] * away[grid.neighbours[pixels, column]]).mean())
