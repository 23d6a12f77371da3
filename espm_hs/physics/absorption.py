"""Absorption of X-rays by matter."""

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import xraylib
from numpy.typing import ArrayLike

from espm_hs.physics.elements import atomic_number, normalised_fractions

#: Energies with tabulated coefficients, keV.
_TABULATED = (0.1, 800.0)


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
        Photon energy in keV, positive. Below 0.1 keV, where there are no data, the
        coefficient at 0.1 keV is returned.

    Returns
    -------
    float or array
        cm2/g, shape of `energy`.

    Raises
    ------
    ValueError
        If an element is unknown or beyond uranium, the fractions cannot be
        normalised, or an energy is not positive or above 800 keV.

    Notes
    -----
    Coefficients of xraylib (``CS_Photo``). They agree with the FFAST tables within
    some per cent above 1 keV; below, the two differ by 10-20 % for light elements
    and by up to 60 % for heavy ones.
    """
    energies = np.asarray(energy, dtype=float)
    if not np.all((energies > 0) & (energies <= _TABULATED[1])):
        raise ValueError(
            f"Photon energies must be above 0 and up to {_TABULATED[1]:g} keV, "
            f"found {energy}."
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
    return _photoelectric(z, energies.tobytes()).reshape(energies.shape)


@lru_cache(maxsize=256)
def _photoelectric(z: int, energies: bytes) -> np.ndarray:
    """Coefficients in cm2/g at float64 energies; the array is read-only.

    Kept by element and energies because a model is calculated again and again on
    one energy axis while the composition of the absorbing sample changes.
    """
    grid = np.maximum(np.frombuffer(energies), _TABULATED[0])
    values = np.array([xraylib.CS_Photo(z, e) for e in grid.tolist()])
    values.flags.writeable = False
    return values


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
    take_off_angle: float,
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
    take_off_angle : float
        Between the foil and the direction of the detector, degrees, 0 to 90.

    Returns
    -------
    array
        (1 - exp(-chi)) / chi with chi = mu rho t / sin(take-off angle), the
        absorption term of the ratio methods (J. I. Goldstein et al., Introduction
        to Analytical Electron Microscopy, 1979); 1 for mass thickness 0.

    Raises
    ------
    ValueError
        As `mass_absorption_coefficient`.
    """
    mu = np.asarray(mass_absorption_coefficient(mass_fractions, energy))
    path = 0.1 * mass_thickness / np.sin(np.radians(take_off_angle))  # g/cm2
    chi = np.maximum(mu * path, 1e-12)
    return -np.expm1(-chi) / chi
