"""Layers of matter in a detector: what they are made of and let pass."""

from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np
import xraylib

from espm_hs.physics.xray.absorption import mass_absorption_coefficient
from espm_hs.physics.xray.elements import SYMBOLS

# formula and density in g/cm3
_COMPOUNDS = {
    "polyimide": ("C22H10N2O5", 1.42),
    "parylene": ("C8H8", 1.1),
    "Si3N4": ("Si3N4", 3.17),
    "SiO2": ("SiO2", 2.2),
    "Al2O3": ("Al2O3", 3.97),
}


@cache
def material_data(name: str) -> tuple[dict[str, float], float]:
    """Composition and density of a material.

    Parameters
    ----------
    name
        Symbol of an element or one of "polyimide", "parylene", "Si3N4", "SiO2",
        "Al2O3".

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
