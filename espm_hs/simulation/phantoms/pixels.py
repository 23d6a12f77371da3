"""What phantoms share: arguments, directions, edges within a pixel."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from espm_hs.arguments import check_number

# What a map can have; a detector of 8192 x 8192 pixels is not in sight.
MOST_PIXELS = 1 << 26


def checked_shape(shape: tuple[int, int]) -> tuple[int, int]:
    """
    Shape of a map.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns.

    Returns
    -------
    tuple of int

    Raises
    ------
    ValueError
        If it is anything else than two whole numbers from 1 up, or more pixels than
        any map has.
    """
    sizes = np.asarray(shape)
    if sizes.shape != (2,) or sizes.dtype.kind not in "iu" or sizes.min() < 1:
        raise ValueError(
            f"The shape of a map is (rows, columns), both from 1 up; found {shape}."
        )
    rows, columns = sizes.tolist()
    if rows * columns > MOST_PIXELS:
        raise ValueError(
            f"A map of {rows} x {columns} pixels is too large: at most {MOST_PIXELS}."
        )
    return rows, columns


def across(shape: tuple[int, int], angle: float) -> tuple[np.ndarray, float]:
    """
    Positions of pixels along a direction.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns.
    angle : float
        Degrees from the direction of the rows, towards that of the columns.

    Returns
    -------
    positions : array, shape (ny, nx)
        Of the centres of the pixels, from the centre of the map, in pixels.
    extent : float
        Length of the shadow of the whole map in this direction, in pixels.

    Raises
    ------
    ValueError
        If the angle is not a finite number.
    """
    ny, nx = shape
    cosine, sine = normal(angle)
    y, x = np.arange(ny) - (ny - 1) / 2, np.arange(nx) - (nx - 1) / 2
    return sine * y[:, None] + cosine * x, abs(sine) * ny + abs(cosine) * nx


def normal(angle: float) -> tuple[float, float]:
    """
    Return the unit vector of a direction.

    Parameters
    ----------
    angle : float
        Degrees, as in `across`.

    Returns
    -------
    x, y : float

    Raises
    ------
    ValueError
        If the angle is not a finite number.
    """
    check_number("angle", angle)
    return float(np.cos(np.radians(angle))), float(np.sin(np.radians(angle)))


def area_before(distance, normal_x, normal_y) -> np.ndarray:
    """
    Area of a pixel on one side of a straight line.

    Parameters
    ----------
    distance : array
        From the centre of the pixel to the line, along its normal, in pixels; negative
        if the line lies behind the centre.
    normal_x, normal_y : float or array
        Unit vector across the line.

    Returns
    -------
    array
        From 0 (the line lies behind the pixel) to 1.

    Notes
    -----
    Seen along the line, a square is a trapezium: its width rises over the shorter
    projected side, is even, and falls. The area of the smaller part is a parabola in
    the rise and a straight line after it.
    """
    sides = np.abs(normal_x), np.abs(normal_y)
    long, rise = np.maximum(*sides), np.maximum(np.minimum(*sides), 1e-300)
    depth = np.maximum((long + rise) / 2 - np.abs(distance), 0)
    risen = np.minimum(depth, rise)
    smaller = (depth - risen + risen * (risen / rise) / 2) / long
    return np.where(distance > 0, 1 - smaller, smaller)


def blurred(maps: np.ndarray, blur: float) -> np.ndarray:
    """
    Look at maps through a Gaussian beam.

    Parameters
    ----------
    maps : array, shape (ny, nx, n_phases)
        Of sum 1 in each pixel, which blurring keeps.
    blur : float
        Standard deviation in pixels; 0 for none.

    Returns
    -------
    array, shape (ny, nx, n_phases)

    Raises
    ------
    ValueError
        If blur is negative or not finite.
    """
    check_number("blur", blur, 0)
    return gaussian_filter(maps, (blur, blur, 0), mode="nearest") if blur else maps
