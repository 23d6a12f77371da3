"""How close what was found comes to the truth."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linear_sum_assignment

from espm_hs.arguments import float_array
from espm_hs.factorization import expected_deviance

__all__ = [
    "composition_errors",
    "expected_deviance",
    "map_errors",
    "match_phases",
    "spectral_angles",
]


def spectral_angles(found: ArrayLike, true: ArrayLike) -> np.ndarray:
    """
    Angles between spectra, taken as vectors: 0 for spectra in proportion.

    Parameters
    ----------
    found : array, shape (n_channels, n_found)
        Channels with a NaN are left out.
    true : array, shape (n_channels, n_true)

    Returns
    -------
    array, shape (n_found, n_true)
        Degrees.

    Raises
    ------
    ValueError
        If the shapes do not fit, or no channel is without a NaN.
    TypeError
        If there is something else than numbers.
    """
    found, true = float_array("found", found), float_array("true", true)
    if found.ndim != 2 or true.ndim != 2 or len(found) != len(true):
        raise ValueError(
            "Spectra are the columns of arrays with a row for each channel, found "
            f"shapes {found.shape} and {true.shape}."
        )
    used = _known(found, true, "channel")
    directions = []
    for spectra in (found[used], true[used]):
        lengths = np.linalg.norm(spectra, axis=0)
        directions.append(spectra / np.maximum(lengths, np.finfo(float).tiny))
    # the chord: an arc cosine would lose small angles to rounding
    a, b = (unit.T for unit in directions)
    chord = np.linalg.norm(a[:, None] - b[None], axis=-1)
    angle = 2 * np.arcsin(np.minimum(chord / 2, 1))
    nothing = (np.linalg.norm(a, axis=1)[:, None] == 0) | (
        np.linalg.norm(b, axis=1)[None] == 0
    )
    return np.degrees(np.where(nothing, np.pi / 2, angle))


def match_phases(found: ArrayLike, true: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """
    Say which phase that was found is which true one.

    Parameters
    ----------
    found : array, shape (n_channels, n_found)
        Spectra; channels with a NaN are left out.
    true : array, shape (n_channels, n_true)
        At most as many as were found.

    Returns
    -------
    order : array of int, shape (n_true,)
        ``found[:, order]`` are the partners of ``true``; each is used once, and the sum
        of the angles is the smallest possible.
    angles : array, shape (n_true,)
        Angle between partners, degrees.

    Raises
    ------
    ValueError
        If there are more true phases than were found.
    """
    angles = spectral_angles(found, true)
    if angles.shape[0] < angles.shape[1]:
        raise ValueError(
            f"{angles.shape[1]} true phases cannot be matched to {angles.shape[0]} "
            "found ones: decompose with a larger output_dimension."
        )
    _, order = linear_sum_assignment(angles.T)
    return order, angles[order, np.arange(len(order))]


def map_errors(
    found: ArrayLike, true: ArrayLike, *, rescale: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """
    Errors of maps, in the unit of the true ones.

    Parameters
    ----------
    found, true : array, shape (..., n_phases)
        Partners in the same order. Pixels with a NaN are left out.
    rescale : bool
        Multiply each map that was found by the number that brings it closest: for
        loadings, whose scale is a matter of the normalisation of their spectra.

    Returns
    -------
    mse : array, shape (n_phases,)
        Mean squared error.
    r2 : array, shape (n_phases,)
        Coefficient of determination: 1 for a perfect map, 0 for one that knows no more
        than the mean; NaN where the true map is even and there is nothing to know.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    found, true = _partners(found, true, "maps")
    found, true = (maps.reshape(-1, maps.shape[-1]) for maps in (found, true))
    used = _known(found, true, "pixel")
    found, true = found[used], true[used]
    if rescale:
        square = (found**2).sum(axis=0)
        factor = (found * true).sum(axis=0) / np.where(square > 0, square, 1.0)
        found = found * factor
    mse = ((found - true) ** 2).mean(axis=0)
    spread = true.std(axis=0)
    # the standard deviation of equal numbers is rounding
    even = spread <= 1e-9 * np.abs(true).max(axis=0)
    return mse, 1 - mse / np.where(even, np.nan, spread) ** 2


def composition_errors(found: ArrayLike, true: ArrayLike) -> np.ndarray:
    """
    Largest error of a fraction in each phase.

    Parameters
    ----------
    found, true : array, shape (n_elements, n_phases)
        Fractions or percentages of the same elements and phases, in the same order.

    Returns
    -------
    array, shape (n_phases,)
        In the unit of the fractions.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    found, true = _partners(found, true, "compositions")
    return np.abs(found - true).max(axis=0)


def _known(found, true, what: str) -> np.ndarray:
    """Return the rows without a NaN; raise ValueError if there is none."""
    used = ~(np.isnan(found).any(axis=1) | np.isnan(true).any(axis=1))
    if not used.any():
        raise ValueError(f"There is no {what} without a NaN to compare.")
    return used


def _partners(found, true, what: str) -> tuple[np.ndarray, np.ndarray]:
    """Return both as floats; raise ValueError unless they have one shape."""
    found, true = float_array("found", found), float_array("true", true)
    if found.shape != true.shape or found.ndim < 1:
        raise ValueError(
            f"The {what} that were found and the true ones have shapes {found.shape} "
            f"and {true.shape}: give partners, in the order of match_phases."
        )
    return found, true
