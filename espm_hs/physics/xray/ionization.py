"""Ionisation of inner shells by electrons: the formulas of Bote and Salvat.

The formulas reproduce distorted-wave (low energy) and plane-wave (high energy)
Born calculations within 1 %, relativistic at all energies. Source: D. Bote,
F. Salvat, A. Jablonski and C. J. Powell, At. Data Nucl. Data Tables 95 (2009)
871, doi:10.1016/j.adt.2009.08.001.
"""

import csv
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import ArrayLike

from espm_hs.arguments import float_array
from espm_hs.physics.xray.elements import atomic_number, symbol

#: Subshells in order of decreasing binding energy.
SUBSHELLS = ("K", "L1", "L2", "L3", "M1", "M2", "M3", "M4", "M5")

#: Rest energy of the electron, keV.
ELECTRON_REST_ENERGY = 510.99895

# 4 pi a0^2 with the Bohr radius a0, cm2.
_FOUR_PI_A0_SQUARED = 4 * np.pi * 0.529177210903e-8**2

# Overvoltage where one formula takes over from the other.
_OVERVOLTAGE_LIMIT = 16.0
# Largest beam energy, keV.
_LARGEST = 1e6


@cache
def _table() -> dict[tuple[int, str], tuple[float, ...]]:
    """Edge (keV) and coefficients of every subshell, by atomic number and subshell."""
    path = files("espm_hs.physics.xray").joinpath("data/ionization.csv")
    lines = path.read_text("utf-8").splitlines()
    rows = csv.reader(line for line in lines if not line.startswith(("#", "z")))
    return {(int(z), shell): tuple(map(float, rest)) for z, shell, *rest in rows}


def ionized_subshells(element: str | int) -> tuple[str, ...]:
    """Subshells of an element for which there are ionisation cross sections.

    Parameters
    ----------
    element
        Symbol or atomic number.

    Returns
    -------
    tuple of str
        From "K" outwards.
    """
    z = atomic_number(element)
    return tuple(shell for shell in SUBSHELLS if (z, shell) in _table())


def edge_energy(element: str | int, subshell: str) -> float:
    """Return the energy (keV) from which electrons ionise a subshell.

    Parameters
    ----------
    element
        Symbol or atomic number.
    subshell
        "K", "L1" ... "M5".

    Raises
    ------
    ValueError
        As `ionization_cross_section`.
    """
    return _coefficients(element, subshell)[0]


def _coefficients(element: str | int, subshell: str) -> tuple[float, ...]:
    if not isinstance(subshell, str) or subshell not in SUBSHELLS:
        raise ValueError(
            f"{subshell!r} is not a subshell: expected one of {', '.join(SUBSHELLS)}."
        )
    found = _table().get((atomic_number(element), subshell))
    if found is None:
        known = ", ".join(ionized_subshells(element)) or "none"
        raise ValueError(
            f"No ionisation cross section of {symbol(element)} {subshell}; "
            f"subshells with coefficients: {known}."
        )
    return found


def ionization_cross_section(
    element: str | int, subshell: str, beam_energy: ArrayLike
) -> float | np.ndarray:
    """Cross section for the ionisation of a subshell by an electron.

    Parameters
    ----------
    element
        Symbol or atomic number, Z = 1 to 99.
    subshell
        "K", "L1", "L2", "L3", "M1" ... "M5".
    beam_energy
        Kinetic energy of the electron, keV.

    Returns
    -------
    float or numpy.ndarray
        cm2 per atom (whole subshell); 0 at and below the edge; shape of
        `beam_energy`.

    Raises
    ------
    ValueError
        If the element or the subshell is unknown or has no coefficients, or an
        energy is not positive or above 1 GeV, for which the formulas are not meant.
    TypeError
        If an energy is no number.

    References
    ----------
    Bote et al. (2009), doi:10.1016/j.adt.2009.08.001, equations for U <= 16 and
    U > 16.
    """
    edge, *coefficients = _coefficients(element, subshell)
    energy = float_array("beam_energy", beam_energy)
    if not np.all((energy > 0) & (energy <= _LARGEST)):
        raise ValueError(
            f"Beam energies must be positive, up to {_LARGEST:g} keV, found {energy}."
        )
    overvoltage = energy / edge
    low = _low_overvoltage(overvoltage, coefficients[:5])
    fast = np.maximum(energy, _OVERVOLTAGE_LIMIT * edge)
    high = _high_overvoltage(fast, fast / edge, coefficients[5:])
    sigma = np.where(overvoltage > _OVERVOLTAGE_LIMIT, high, low)
    return sigma.item() if sigma.ndim == 0 else sigma


def _low_overvoltage(u: np.ndarray, a: list[float]) -> np.ndarray:
    """Distorted-wave fit, meant for 1 < U <= 16; cm2."""
    u = np.maximum(u, 1)  # nothing is ionised below
    above = u - 1
    polynomial = (
        a[0] + a[1] * u + a[2] / (1 + u) + a[3] / (1 + u) ** 3 + a[4] / (1 + u) ** 5
    )
    return _FOUR_PI_A0_SQUARED * above / u**2 * polynomial**2


def _high_overvoltage(
    energy: np.ndarray, u: np.ndarray, coefficients: list[float]
) -> np.ndarray:
    """Relativistic plane-wave fit, meant for U > 16; cm2."""
    b, amplitude, g1, g2, g3, g4 = coefficients
    tau = energy / ELECTRON_REST_ENERGY
    momentum_squared = tau * (tau + 2)  # in units of (m c)^2
    beta_squared = momentum_squared / (tau + 1) ** 2
    momentum = np.sqrt(momentum_squared)
    bracket = (
        (np.log(momentum_squared) - beta_squared) * (1 + g1 / momentum)
        + g2
        # the exponent is positive: -1/4, found in some codes, breaks the
        # continuity at U = 16 and is 10 % off for As K at 200 keV
        + g3 * (1 - beta_squared) ** 0.25
        + g4 / momentum
    )
    return u / (u + b) * _FOUR_PI_A0_SQUARED * amplitude / beta_squared * bracket
