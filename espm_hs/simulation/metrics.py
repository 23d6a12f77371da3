"""How close what was found comes to the truth."""

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
    pair = _partners(found, true, "maps")
    x, y = (maps.reshape(-1, maps.shape[-1]) for maps in pair)
    used = known_rows(x, y, "pixel")
    x, y = x[used], y[used]
    if rescale:
        square = (x**2).sum(axis=0)
        factor = (x * y).sum(axis=0) / np.where(square > 0, square, 1.0)
        x = x * factor
    mse = ((x - y) ** 2).mean(axis=0)
    spread = y.std(axis=0)
    # the standard deviation of equal numbers is rounding
    even = spread <= 1e-9 * np.abs(y).max(axis=0)
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
    x, y = _partners(found, true, "compositions")
    return np.abs(x - y).max(axis=0)


def _partners(
    found: ArrayLike, true: ArrayLike, what: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return both as floats; raise ValueError unless they have one shape."""
    x, y = float_array("found", found), float_array("true", true)
    if x.shape != y.shape or x.ndim < 1:
        raise ValueError(
            f"The {what} that were found and the true ones have shapes {x.shape} and "
            f"{y.shape}: give partners, in the order of match_phases."
        )
    return x, y
