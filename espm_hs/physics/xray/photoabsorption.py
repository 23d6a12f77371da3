"""Photoelectric absorption of the elements: the FFAST tables of NIST."""

from functools import cache
from importlib.resources import files

import numpy as np
import xraylib

#: Energies for which coefficients are given, keV.
ENERGIES = (0.05, 430.0)

# A rise by more than this, between points closer than that, is an edge. Other rises
# (the delayed onset of 4f and 5f absorption) are smooth and are interpolated.
_EDGE_RISE = 1.02
_EDGE_WIDTH = 1.01

# Energies at which xraylib stands in for elements that FFAST lacks (H, He), keV
_SUBSTITUTE_GRID = np.geomspace(0.1, 433.0, 500)


def photoelectric_coefficient(z: int, energy: np.ndarray) -> np.ndarray:
    """
    Photoelectric mass absorption coefficient of an element.

    Parameters
    ----------
    z : int
        Atomic number, 1 to 92.
    energy : array
        keV.

    Returns
    -------
    array
        cm2/g, shape of `energy`. Linear in the logarithms between neighbouring
        points of the table; between the two points around an edge, the value of
        the lower point below the edge and that of the upper point above it. Below
        0.05 keV the value there, for elements whose table starts higher (Mg, Se, Br,
        Kr, Rb and Xe at 0.05 to 0.11 keV, H and He at 0.1 keV) that of its start.

    Notes
    -----
    C. T. Chantler et al., X-Ray Form Factor, Attenuation and Scattering Tables,
    NIST Standard Reference Database 66, doi:10.18434/T4HS32. For H and He, which
    the stored table lacks, ``CS_Photo`` of xraylib.
    """
    return np.exp(np.interp(np.log(np.maximum(energy, ENERGIES[0])), *_logarithms(z)))


@cache
def _tables() -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Energies (keV) and coefficients (cm2/g) by atomic number."""
    path = files("espm_hs.physics.xray").joinpath("data/photoabsorption.npz")
    with path.open("rb") as file, np.load(file) as stored:
        ends = np.cumsum(stored["size"], dtype=int)[:-1]
        energy, coefficient = (
            np.split(stored[name].astype(float), ends)
            for name in ("energy", "coefficient")
        )
        numbers = stored["z"].tolist()
    return dict(zip(numbers, zip(energy, coefficient, strict=True), strict=True))


@cache
def _logarithms(z: int) -> tuple[np.ndarray, np.ndarray]:
    """Logarithms of the points; a step where there is an edge."""
    if z not in _tables():
        grid = _SUBSTITUTE_GRID
        values = [xraylib.CS_Photo(z, e) for e in grid.tolist()]
        return np.log(grid), np.log(values)
    energy, coefficient = _tables()[z]
    narrow = energy[1:] < _EDGE_WIDTH * energy[:-1]
    before = np.flatnonzero(narrow & (coefficient[1:] > _EDGE_RISE * coefficient[:-1]))
    edge = _edge_energies(z, energy[before], energy[before + 1])
    # two points at the energy of the edge, so that it is a step
    energy = np.insert(energy, np.repeat(before + 1, 2), np.repeat(edge, 2))
    sides = np.stack([coefficient[before], coefficient[before + 1]], axis=1).ravel()
    coefficient = np.insert(coefficient, np.repeat(before + 1, 2), sides)
    return np.log(energy), np.log(coefficient)


def _edge_energies(z: int, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """
    Energies of edges that are known to lie between two points each.

    Those of xraylib, as the energies of the lines, which fall short of the edges by
    as little as 0.1 %. An edge that xraylib has elsewhere goes to the nearer point.
    """
    known = []
    for name in dir(xraylib):
        if name.endswith("_SHELL"):
            try:
                known.append(xraylib.EdgeEnergy(z, getattr(xraylib, name)))
            except ValueError:
                continue
    known = np.array(known)
    distance = np.abs(np.log(known[:, None] / np.sqrt(low * high)))
    return np.clip(known[distance.argmin(axis=0)], low, high)
