"""Absorption of X-rays by matter."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from espm_hs.arguments import float_array
from espm_hs.physics.xray.elements import atomic_number, normalised_fractions
from espm_hs.physics.xray.photoabsorption import ENERGIES, photoelectric_coefficient


def mass_absorption_coefficient(
    element_or_mass_fractions: str | int | Mapping[str, float], energy: ArrayLike
) -> float | np.ndarray:
    """
    Photoelectric mass absorption coefficient of an element or a mixture.

    Scattering is left out: it changes a photon's direction more than it takes
    photons away, and below 10 keV it is small beside the photoelectric effect.

    Parameters
    ----------
    element_or_mass_fractions : str, int or mapping of str to float
        Symbol or atomic number (Z = 1 to 92), or mass fractions of a mixture by
        symbol (normalised here).
    energy : float or array
        Photon energy in keV, positive. Below 0.05 keV, where there are no data, the
        coefficient there is returned.

    Returns
    -------
    float or array
        cm2/g, shape of `energy`.

    Raises
    ------
    ValueError
        If an element is unknown or beyond uranium, the fractions cannot be
        normalised, or an energy is not positive or above 430 keV.

    Notes
    -----
    FFAST tables of NIST (doi:10.18434/T4HS32), linear in the logarithms between
    points, never across an edge; see `photoelectric_coefficient`. Other tables agree
    within some per cent above 1 keV; just below edges and below 1 keV they differ by
    10-20 % for light and by up to 60 % for heavy elements.
    """
    energies = float_array("energy", energy)
    if not np.all((energies > 0) & (energies <= ENERGIES[1])):
        raise ValueError(
            f"Photon energies must be above 0 and up to {ENERGIES[1]:g} keV, "
            f"found {energies.min():g} to {energies.max():g} keV."
        )
    if isinstance(element_or_mass_fractions, Mapping):
        fractions = normalised_fractions(element_or_mass_fractions)
        parts = (share * _element(name, energies) for name, share in fractions.items())
        result = sum(parts, start=np.zeros(energies.shape))
    else:
        result = _element(element_or_mass_fractions, energies)
    return result.item() if energies.ndim == 0 else result


def _element(element: str | int, energies: np.ndarray) -> np.ndarray:
    z = atomic_number(element)
    if z > 92:
        raise ValueError(f"No absorption coefficients beyond uranium, found {element}.")
    return photoelectric_coefficient(z, energies)


def mass_thickness(thickness_nm: float, density_g_cm3: float) -> float:
    """
    Mass thickness of a layer.

    Parameters
    ----------
    thickness_nm : float
        nm.
    density_g_cm3 : float
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


def escape_fraction(
    mass_fractions: Mapping[str, float],
    energy: ArrayLike,
    mass_thickness: float,
    take_off_angle: float | Sequence[float],
) -> np.ndarray:
    """
    Fraction of the photons made evenly through a foil that leave it.

    Parameters
    ----------
    mass_fractions : mapping of str to float
        Composition of the foil.
    energy : float or array
        keV.
    mass_thickness : float
        kg/m2.
    take_off_angle : float or sequence of float
        Between the foil and the direction of the detector, degrees, 0 to 90; several
        for detectors of equal solid angles.

    Returns
    -------
    array
        (1 - exp(-chi)) / chi with chi = mu rho t / sin(take-off angle), the
        absorption term of the ratio methods (J. I. Goldstein et al., Introduction
        to Analytical Electron Microscopy, 1979), its mean over the angles; 1 for mass
        thickness 0.

    Raises
    ------
    ValueError
        As `mass_absorption_coefficient`.
    """
    mu = np.asarray(mass_absorption_coefficient(mass_fractions, energy))
    return escape_through(0.1 * mass_thickness * mu, take_off_angle)


def escape_through(
    depth: ArrayLike, take_off_angle: float | Sequence[float]
) -> np.ndarray:
    """
    Fraction of the photons made evenly through a foil of known optical depth.

    Parameters
    ----------
    depth : array
        Mass absorption coefficient x mass thickness, across the foil; no unit.
    take_off_angle : float or sequence of float
        As in `escape_fraction`.

    Returns
    -------
    array
        Shape of `depth`.
    """
    depth = np.asarray(depth, dtype=float)
    angles = np.atleast_1d(take_off_angle)
    total = np.zeros(depth.shape)
    for sine in np.sin(np.radians(angles)):
        chi = np.maximum(depth / sine, 1e-12)
        total += -np.expm1(-chi) / chi
    return total / len(angles)
