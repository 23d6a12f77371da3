"""Maps from what the user has, a segmentation, an image, arrays; or from noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import fft
from scipy.ndimage import fourier_gaussian, gaussian_filter
from scipy.special import softmax

from espm_hs.arguments import check_number

# What a map can have; a detector of 8192 x 8192 pixels is not in sight.
MOST_PIXELS = 1 << 26


def maps_from_labels(labels: ArrayLike, blur: float = 0.0) -> np.ndarray:
    """Turn a segmented image into maps: each pixel belongs to one phase.

    Parameters
    ----------
    labels
        Shape (ny, nx). The same number for all pixels of a phase; any numbers.
    blur
        Standard deviation of a Gaussian beam, pixels.

    Returns
    -------
    array, shape (ny, nx, n_labels)
        Of sum 1 in each pixel; phases in increasing order of their labels.

    Raises
    ------
    ValueError
        If the labels are not an image of integers, or blur is negative.
    """
    labels = np.asarray(labels)
    _check_image("The image of labels", labels)
    if labels.dtype.kind not in "iub":
        raise ValueError(
            f"Labels must be integers, found {labels.dtype}: segment the image first, "
            "or mix phases by its grey values with maps_from_image(image)."
        )
    return blurred((labels[..., None] == np.unique(labels)).astype(float), blur)


def maps_from_image(image: ArrayLike, n_phases: int = 2) -> np.ndarray:
    """Turn a grey image into maps: each grey is a mixture of the two nearest phases.

    Parameters
    ----------
    image
        Shape (ny, nx). Grey values, in any unit.
    n_phases
        Number of phases, at equal steps of grey from the darkest to the brightest
        pixel.

    Returns
    -------
    array, shape (ny, nx, n_phases)
        Of sum 1 in each pixel; phases from dark to bright.

    Raises
    ------
    ValueError
        If the image is not a grey one, is the same everywhere or not finite somewhere,
        or there are fewer than 2 phases.
    """
    image = np.asarray(image, dtype=float)
    _check_image("The image", image)
    check_number("n_phases", n_phases, 2, whole=True)
    dark, bright = image.min(), image.max()
    if not np.isfinite(bright - dark) or dark == bright:
        raise ValueError(
            "The image must be finite and have at least two grey values, found "
            f"{dark:g} to {bright:g}."
        )
    grey = (image - dark) / (bright - dark) * (n_phases - 1)
    return np.maximum(1 - np.abs(grey[..., None] - np.arange(n_phases)), 0)


def maps_from_arrays(*maps: ArrayLike) -> np.ndarray:
    """Turn maps in any unit into shares of each pixel.

    Parameters
    ----------
    *maps
        Shape (ny, nx). One for each phase, non-negative; all in the same unit.

    Returns
    -------
    array, shape (ny, nx, n_phases)
        Of sum 1 in each pixel.

    Raises
    ------
    ValueError
        If there is no map, shapes differ, a value is negative or not finite, or a
        pixel has nothing in all maps.
    """
    arrays = [np.asarray(values, dtype=float) for values in maps]
    shapes = list(dict.fromkeys(values.shape for values in arrays))
    if len(shapes) != 1:
        found = ", ".join(map(str, shapes)) or "no map"
        raise ValueError(f"Maps of one shape are needed, found {found}.")
    _check_image("A map", arrays[0])
    stacked = np.stack(arrays, axis=-1)
    if not np.all(np.isfinite(stacked) & (stacked >= 0)):
        raise ValueError(
            "Maps must be non-negative and finite, found "
            f"{stacked.min():g} to {stacked.max():g}."
        )
    # scaled first: the sum of the largest numbers there are would not be finite
    largest = stacked.max(axis=-1, keepdims=True)
    if not largest.all():
        empty = np.argwhere(largest[..., 0] == 0)
        raise ValueError(
            f"{len(empty)} pixels have nothing in all maps, the first of them at (row, "
            f"column) = {tuple(empty[0].tolist())}: add a map of what is there."
        )
    scaled = stacked / largest
    return scaled / scaled.sum(axis=-1, keepdims=True)


def _check_image(what: str, image: np.ndarray) -> None:
    """Refuse what is not two-dimensional, or empty."""
    if image.ndim != 2 or image.size == 0:
        raise ValueError(
            f"{what} must have the shape (rows, columns), found {image.shape}."
        )


def random_fields(
    shape: tuple[int, int],
    n_phases: int,
    length: float,
    contrast: float = 3.0,
    seed: int | np.random.Generator = 0,
) -> np.ndarray:
    """Phases that pass smoothly into each other, without any order.

    Parameters
    ----------
    shape
        Rows and columns of the map.
    n_phases
        Number of phases.
    length
        Correlation length, pixels: at this distance the correlation of the fields has
        fallen to 1/e. At most the longer side of the map.
    contrast
        0 mixes the phases evenly, 1 mixes them everywhere; with 3 each is nearly pure
        somewhere, and from 10 up there are grains with blurred boundaries.
    seed
        The same seed gives the same maps.

    Returns
    -------
    array, shape (ny, nx, n_phases)
        Of sum 1 in each pixel. Opposite sides of the map continue each other.

    Raises
    ------
    ValueError
        If the shape is not that of a map or a number is out of range.

    Notes
    -----
    White noise, smoothed by a Gaussian of standard deviation length/2, so that the
    correlation at distance r is exp(-(r/length)^2); each field is shifted and scaled to
    mean 0 and variance 1. The shares are the softmax of contrast times the fields.
    """
    ny, nx = checked_shape(shape)
    check_number("n_phases", n_phases, 1, whole=True)
    check_number("length", length, 0, max(ny, nx), above=True)
    check_number("contrast", contrast, 0)
    noise = np.random.default_rng(seed).standard_normal((n_phases, ny, nx))
    fields = np.stack([_smoothed(field, length / 2) for field in noise], axis=-1)
    fields -= fields.mean(axis=(0, 1))
    # a map of one pixel has no variance
    fields /= np.maximum(fields.std(axis=(0, 1)), np.finfo(float).tiny)
    return softmax(contrast * fields, axis=-1)


def _smoothed(field: np.ndarray, sigma: float) -> np.ndarray:
    """Periodic convolution with a Gaussian, whose cost does not grow with its width."""
    spectrum = fourier_gaussian(fft.rfft2(field), sigma, n=field.shape[1])
    return fft.irfft2(spectrum, s=field.shape)


# -- what all phantoms share ---------------------------------------------------------


def checked_shape(shape: tuple[int, int]) -> tuple[int, int]:
    """Shape of a map.

    Parameters
    ----------
    shape
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


def blurred(maps: np.ndarray, blur: float) -> np.ndarray:
    """Look at maps through a Gaussian beam.

    Parameters
    ----------
    maps
        Shape (ny, nx, n_phases). Of sum 1 in each pixel, which blurring keeps.
    blur
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
