"""Structures that vary across one direction: wedge, grain boundary, lamellae."""

from __future__ import annotations

import numpy as np

from espm_hs.simulation.phantoms.pixels import (
    across,
    area_before,
    blurred,
    check_number,
    checked_shape,
    normal,
)

# Periods of a wavy boundary between the sides of the map.
_RIPPLES = 3


def wedge(
    shape: tuple[int, int], thin: float, thick: float, angle: float = 0.0
) -> np.ndarray:
    """
    Thickness of a wedge, as ion milling leaves it.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the map.
    thin, thick : float
        Thickness at the two ends of the map, nm; for an oblique angle the ends are
        corners.
    angle : float
        Of the direction in which it becomes thicker, degrees: 0 to the right, 90 down.

    Returns
    -------
    array, shape (ny, nx)
        Mean thickness of each pixel, nm.

    Raises
    ------
    ValueError
        If the shape is not that of a map, a thickness is negative, or thin is more
        than thick.

    Examples
    --------
    Abundance maps become thicknesses of the phases:

    >>> maps = lamellae((64, 64), 2, period=16)
    >>> thickness = maps * wedge((64, 64), 20, 120, angle=90)[..., None]
    >>> thickness.shape
    (64, 64, 2)
    """
    check_number("thin", thin, 0)
    check_number("thick", thick, 0)
    if thin > thick:
        raise ValueError(
            f"thin is {thin:g} nm, more than thick, {thick:g} nm: exchange them, and "
            "for the opposite direction add 180 to angle."
        )
    position, extent = across(checked_shape(shape), angle)
    return thin + (thick - thin) * (0.5 + position / extent)


def grain_boundary(
    shape: tuple[int, int],
    width: float,
    segregation: float,
    position: float = 0.5,
    angle: float = 0.0,
    ripple: float = 0.0,
) -> np.ndarray:
    """
    Two grains, and what has segregated to the boundary between them.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the map.
    width : float
        Standard deviation of the Gaussian profile across the boundary, pixels.
        Sampled at the centres of pixels, which needs about 0.5 or more.
    segregation : float
        Abundance on the boundary itself, from 0 to 1.
    position : float
        Of the boundary, from 0 to 1 across the map.
    angle : float
        Of the direction from the first grain to the second, degrees: 0 to the right,
        90 down.
    ripple : float
        Amplitude of the waves of the boundary, pixels; three of them cross the map.

    Returns
    -------
    array, shape (ny, nx, 3)
        First grain, second grain, boundary; of sum 1 in each pixel. The grains share
        what the boundary leaves, by the area that each has of the pixel.

    Raises
    ------
    ValueError
        If the shape is not that of a map or a number is out of range.
    """
    shape = checked_shape(shape)
    check_number("width", width, 0, above=True)
    check_number("segregation", segregation, 0, 1)
    check_number("position", position, 0, 1)
    check_number("ripple", ripple, 0)
    place, extent = across(shape, angle)
    along, length = across(shape, angle + 90)
    turn = 2 * np.pi * _RIPPLES / length
    line = (position - 0.5) * extent + ripple * np.sin(turn * along)
    # In each pixel the line is replaced by its tangent.
    slope = ripple * turn * np.cos(turn * along)
    steep = np.sqrt(1 + slope**2)
    distance = (line - place) / steep
    x, y = normal(angle)
    first = area_before(distance, (x + slope * y) / steep, (y - slope * x) / steep)
    boundary = segregation * np.exp(-((distance / width) ** 2) / 2)
    grains = 1 - boundary
    return np.stack([grains * first, grains * (1 - first), boundary], axis=-1)


def lamellae(
    shape: tuple[int, int],
    n_phases: int,
    period: float,
    angle: float = 0.0,
    blur: float = 0.0,
) -> np.ndarray:
    """
    Stripes of equal width, the phases in turn.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the map.
    n_phases : int
        Number of phases.
    period : float
        From a stripe to the next one of the same phase, pixels; 1 or more.
    angle : float
        Of the direction across the stripes, degrees: 0 to the right, 90 down.
    blur : float
        Standard deviation of a Gaussian beam, pixels.

    Returns
    -------
    array, shape (ny, nx, n_phases)
        Of sum 1 in each pixel: before blurring, the area that each phase has of the
        pixel.

    Raises
    ------
    ValueError
        If the shape is not that of a map or a number is out of range.
    """
    shape = checked_shape(shape)
    check_number("n_phases", n_phases, 1, whole=True)
    check_number("period", period, 1)
    place, extent = across(shape, angle)
    place = place.ravel() + extent / 2
    x, y = normal(angle)
    reach, stripe_width = (abs(x) + abs(y)) / 2, period / n_phases
    first = np.floor((place - reach) / stripe_width).astype(int)
    maps, pixels = np.zeros((place.size, n_phases)), np.arange(place.size)
    before = np.zeros(place.size)
    # Only stripes that may touch a pixel, beginning with the one at its near corner.
    for stripe in (first + k for k in range(int(2 * reach / stripe_width) + 2)):
        area = area_before((stripe + 1) * stripe_width - place, x, y)
        maps[pixels, stripe % n_phases] += np.maximum(area - before, 0)
        before = area
    return blurred(maps.reshape(*shape, n_phases), blur)
