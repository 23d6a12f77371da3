"""How close the phases that were found are to those that were put in."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linear_sum_assignment


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
    """
    found, true = np.asarray(found, dtype=float), np.asarray(true, dtype=float)
    used = ~(np.isnan(found).any(axis=1) | np.isnan(true).any(axis=1))
    directions = []
    for spectra in (found[used], true[used]):
        lengths = np.linalg.norm(spectra, axis=0)
        directions.append(spectra / np.maximum(lengths, np.finfo(float).tiny))
    cosines = directions[0].T @ directions[1]
    return np.degrees(np.arccos(np.clip(cosines, -1, 1)))


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
    true_phase, order = linear_sum_assignment(angles.T)
    return order, angles[order, true_phase]
