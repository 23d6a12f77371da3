"""Absorption of X-rays: by the sample, and by the layers of a detector."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import xraylib
from numpy.typing import ArrayLike

from espm_hs.arguments import float_array
from espm_hs.physics.xray.elements import (
    SYMBOLS,
    atomic_number,
    normalised_fractions,
    value_of,
)

#: Energies for which coefficients are given, keV.
ENERGIES = (0.05, 430.0)

# A rise by more than this, between points closer than that, is an edge. Other rises
# (the delayed onset of 4f and 5f absorption) are smooth and are interpolated.
_EDGE_RISE = 1.02
_EDGE_WIDTH = 1.01

# Energies at which xraylib stands in for elements that FFAST lacks (H, He), keV
_SUBSTITUTE_GRID = np.geomspace(0.1, 433.0, 500)


#: Take-off angles of one or several detectors, degrees.
Angles = float | Sequence[float]


def mass_absorption_coefficient(
    element_or_mass_fractions: str | int | Mapping[str, float], energy: ArrayLike
) -> float | np.ndarray:
    """Photoelectric mass absorption coefficient of an element or a mixture.

    Scattering is left out: it changes a photon's direction more than it takes
    photons away, and below 10 keV it is small beside the photoelectric effect.

    Parameters
    ----------
    element_or_mass_fractions
        Symbol or atomic number (Z = 1 to 92), or mass fractions of a mixture by
        symbol (normalised here).
    energy
        Photon energy in keV, positive. Below 0.05 keV, where there are no data, the
        coefficient there is returned.

    Returns
    -------
    float or numpy.ndarray
        cm2/g, shape of `energy`.

    Raises
    ------
    ValueError
        If an element is unknown or beyond uranium, the fractions cannot be
        normalised, or an energy is not positive or above 430 keV.

    Notes
    -----
    C. T. Chantler et al., X-Ray Form Factor, Attenuation and Scattering Tables (FFAST),
    NIST Standard Reference Database 66, doi:10.18434/T4HS32; for H and He, which the
    stored table lacks, ``CS_Photo`` of xraylib. The coefficient is linear in the
    logarithms between neighbouring points of the table, but never across an edge:
    between the two points around it, it is that of the lower point below the edge and
    that of the upper point above it. Some tables start above 0.05 keV (Mg, Se, Br, Kr,
    Rb and Xe at up to 0.11 keV, H and He at 0.1 keV); below, the value at the start is
    returned. Other tables agree within some per cent above 1 keV; just below edges and
    below 1 keV they differ by 10-20 % for light and by up to 60 % for heavy elements.
    """
    energies = float_array("energy", energy)
    if not np.all((energies > 0) & (energies <= ENERGIES[1])):
        raise ValueError(
            f"Photon energies must be above 0 and up to {ENERGIES[1]:g} keV, "
            f"found {energies.min():g} to {energies.max():g} keV."
        )
    if isinstance(element_or_mass_fractions, Mapping):
        result = np.zeros(energies.shape)
        for name, share in normalised_fractions(element_or_mass_fractions).items():
            result = result + share * _coefficient(name, energies)
    else:
        result = _coefficient(element_or_mass_fractions, energies)
    return result.item() if energies.ndim == 0 else result


def _coefficient(element: str | int, energies: np.ndarray) -> np.ndarray:
    """Interpolated coefficient of an element, cm2/g, at energies in keV."""
    z = atomic_number(element)
    if z > 92:
        raise ValueError(f"No absorption coefficients beyond uranium, found {element}.")
    lowest = np.maximum(energies, ENERGIES[0])
    return np.exp(np.interp(np.log(lowest), *_logarithms(z)))


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
    """Energies of edges that are known to lie between two points each.

    Those of xraylib, as the energies of the lines, which fall short of the edges by
    as little as 0.1 %. An edge that xraylib has elsewhere goes to the nearer point.
    """
    shells = [getattr(xraylib, n) for n in dir(xraylib) if n.endswith("_SHELL")]
    edges = np.array([value_of(xraylib.EdgeEnergy, z, shell) for shell in shells])
    known = edges[edges > 0]
    distance = np.abs(np.log(known[:, None] / np.sqrt(low * high)))
    return np.clip(known[distance.argmin(axis=0)], low, high)


def mass_thickness(thickness_nm: float, density_g_cm3: float) -> float:
    """Mass thickness of a layer.

    Parameters
    ----------
    thickness_nm
        nm.
    density_g_cm3
        g/cm3.

    Returns
    -------
    float
        kg/m2.

    Raises
    ------
    ValueError
        If one of the values is negative or not finite.
    """
    for name, value in (("thickness", thickness_nm), ("density", density_g_cm3)):
        if not 0 <= value < float("inf"):
            raise ValueError(f"The {name} must be 0 or positive, found {value}.")
    return thickness_nm * density_g_cm3 * 1e-6


def escape_through(depth: ArrayLike, take_off_angle: Angles) -> np.ndarray:
    """Fraction of the photons made evenly through a foil that leave it.

    Parameters
    ----------
    depth
        Optical depth of the foil, mass absorption coefficient x mass thickness.
    take_off_angle
        Between the foil and the direction of the detector, degrees, 0 to 90; several
        for detectors of equal solid angles.

    Returns
    -------
    numpy.ndarray
        (1 - exp(-chi)) / chi with chi = depth / sin(take-off angle), the absorption
        term of the ratio methods (J. I. Goldstein et al., Introduction to Analytical
        Electron Microscopy, 1979), its mean over the angles; 1 for depth 0. It has the
        shape of `depth`.
    """
    depth = np.asarray(depth, dtype=float)
    angles = np.atleast_1d(take_off_angle)
    total = np.zeros(depth.shape)
    for sine in np.sin(np.radians(angles)):
        chi = np.maximum(depth / sine, 1e-12)
        total += -np.expm1(-chi) / chi
    return total / len(angles)


# formula and density in g/cm3
_COMPOUNDS = {
    "polyimide": ("C22H10N2O5", 1.42),
    "parylene": ("C8H8", 1.1),
    "Si3N4": ("Si3N4", 3.17),
    "SiO2": ("SiO2", 2.2),
    "Al2O3": ("Al2O3", 3.97),
    "ice": ("H2O", 0.92),
}


@cache
def material_data(name: str) -> tuple[dict[str, float], float]:
    """Composition and density of a material.

    Parameters
    ----------
    name
        Symbol of an element or one of "polyimide", "parylene", "Si3N4", "SiO2",
        "Al2O3", "ice".

    Returns
    -------
    dict of str to float, float
        Mass fractions, density in g/cm3.

    Raises
    ------
    ValueError
        If the material is unknown.
    """
    if name in SYMBOLS:
        return {name: 1.0}, xraylib.ElementDensity(SYMBOLS.index(name) + 1)
    if name not in _COMPOUNDS:
        raise ValueError(
            f"Unknown detector material {name!r}: expected the symbol of an element "
            f"or one of {', '.join(_COMPOUNDS)}."
        )
    formula, density = _COMPOUNDS[name]
    parsed = xraylib.CompoundParser(formula)
    shares = zip(parsed["Elements"], parsed["massFractions"], strict=True)
    return {SYMBOLS[z - 1]: share for z, share in shares}, density


def attenuation(material: str, energies: np.ndarray, thickness: float) -> np.ndarray:
    """Exponent of the absorption by a layer.

    Parameters
    ----------
    material
        As `material_data`.
    energies
        keV.
    thickness
        um.

    Returns
    -------
    numpy.ndarray
        mu rho t, shape of `energies`.
    """
    mass_fractions, density = material_data(material)
    mu = mass_absorption_coefficient(mass_fractions, energies)
    return np.asarray(mu) * density * thickness * 1e-4


def parse_layers(layers: Any) -> tuple[tuple[str, float], ...]:
    """Read layers.

    Parameters
    ----------
    layers
        Like "Al 0.038 um, polyimide 0.007 um", or a list of layers, each such a text
        or (material, thickness in um).

    Raises
    ------
    ValueError
        If a layer is not understood.
    """
    if isinstance(layers, str):
        layers = [layer for layer in layers.split(",") if layer.strip()]
    if not isinstance(layers, Iterable):
        raise ValueError(
            "Layers of a detector read like 'Al 0.038 um, polyimide 0.007 um', found "
            f"{layers!r}."
        )
    return tuple(_parse_layer(layer) for layer in layers)


def _parse_layer(layer: Any) -> tuple[str, float]:
    """Read a layer, "Al 0.038 um" or (material, um)."""
    parts = layer.split() if isinstance(layer, str) else layer
    try:
        material, thickness, *unit = parts
        if unit in ([], ["um"]):
            return str(material), float(thickness)
    except (TypeError, ValueError):
        pass
    raise ValueError(
        f"A layer reads like 'Al 0.038 um' or ('Al', 0.038), found {layer!r}."
    )


def parse_grid(grid: Any) -> tuple[str, float, float]:
    """Read the grid of a window.

    Parameters
    ----------
    grid
        A text is like "Si 380 um 0.77".

    Raises
    ------
    ValueError
        If it is not understood.
    """
    try:
        *layer, open_fraction = grid.split() if isinstance(grid, str) else grid
        return *_parse_layer(layer), float(open_fraction)
    except (TypeError, ValueError):
        raise ValueError(
            "The grid of a window reads like 'Si 380 um 0.77' or ('Si', 380, 0.77), "
            f"found {grid!r}."
        ) from None
