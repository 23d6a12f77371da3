"""Which component of one factorisation is which of another."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linear_sum_assignment

from espm_hs.arguments import float_array


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
    used = known_rows(found, true, "channel")
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


def known_rows(found, true, what: str) -> np.ndarray:
    """Return the rows without a NaN; raise ValueError if there is none."""
    used = ~(np.isnan(found).any(axis=1) | np.isnan(true).any(axis=1))
    if not used.any():
        raise ValueError(f"There is no {what} without a NaN to compare.")
    return used
