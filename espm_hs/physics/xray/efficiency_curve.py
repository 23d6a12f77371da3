"""Measured efficiency of a detector: checked, and read between its points."""

from typing import Any

import numpy as np

Curve = tuple[tuple[float, ...], tuple[float, ...]]


def checked_curve(curve: Any) -> Curve:
    """
    Check the points of a curve.

    Parameters
    ----------
    curve : (energies, efficiencies)
        keV, increasing from 0 or above; between 0 and 1.

    Returns
    -------
    tuple of tuple of float
        Equal ones compare equal and can be cached.

    Raises
    ------
    ValueError
        If they make no curve.
    """
    try:
        energies, efficiencies = (tuple(map(float, axis)) for axis in curve)
    except (TypeError, ValueError):
        raise ValueError(
            "An efficiency curve consists of two lists of numbers, energies (keV) and "
            f"efficiencies; found {curve!r}."
        ) from None
    if len(energies) != len(efficiencies) or len(energies) < 2:
        raise ValueError(
            "An efficiency curve needs as many energies as efficiencies, 2 or more, "
            f"found {len(energies)} and {len(efficiencies)}."
        )
    if not (energies[0] >= 0 and np.all(np.diff(energies) > 0)):
        raise ValueError("The energies of an efficiency curve must increase from >= 0.")
    if not all(0 <= value <= 1 for value in efficiencies):
        raise ValueError(
            "Efficiencies must be between 0 and 1, found "
            f"{min(efficiencies):g} to {max(efficiencies):g}."
        )
    return energies, efficiencies


def interpolated(energies: np.ndarray, curve: Curve) -> np.ndarray:
    """
    Efficiency between the points of a curve.

    Parameters
    ----------
    energies : array
        keV.
    curve : tuple
        As `checked_curve` returns.

    Returns
    -------
    array
        Shape of `energies`.

    Raises
    ------
    ValueError
        If an energy is outside.
    """
    first, last = curve[0][0], curve[0][-1]
    if np.any((energies < first) | (energies > last)):
        raise ValueError(
            f"The efficiency curve covers {first:g} to {last:g} keV, but is needed "
            f"from {np.min(energies):g} to {np.max(energies):g} keV."
        )
    return np.interp(energies, *curve)
