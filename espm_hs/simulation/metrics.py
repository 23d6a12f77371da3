"""How close what was found comes to the truth."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from espm_hs.arguments import float_array
from espm_hs.factorization.matching import known_rows, match_phases, spectral_angles
from espm_hs.factorization.regression import expected_deviance

__all__ = [
    "composition_errors",
    "expected_deviance",
    "map_errors",
    "match_phases",
    "spectral_angles",
]


def map_errors(
    found: ArrayLike, true: ArrayLike, *, rescale: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Errors of maps, in the unit of the true ones.

    Parameters
    ----------
    found, true
        Shape (..., n_phases). Partners in the same order. Pixels with a NaN are left
        out.
    rescale
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
    used = known_rows(found, true, "pixel")
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
    """Largest error of a fraction in each phase.

    Parameters
    ----------
    found, true
        Shape (n_elements, n_phases). Fractions or percentages of the same elements and
        phases, in the same order.

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


def _partners(found, true, what: str) -> tuple[np.ndarray, np.ndarray]:
    """Return both as floats; raise ValueError unless they have one shape."""
    found, true = float_array("found", found), float_array("true", true)
    if found.shape != true.shape or found.ndim < 1:
        raise ValueError(
            f"The {what} that were found and the true ones have shapes {found.shape} "
            f"and {true.shape}: give partners, in the order of match_phases."
        )
    return found, true
