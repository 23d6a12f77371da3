"""Phantoms from what the user has: a segmentation, a grey image, arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from espm_hs.arguments import check_number
from espm_hs.simulation.phantoms.pixels import blurred


def maps_from_labels(labels: ArrayLike, blur: float = 0.0) -> np.ndarray:
    """
    Turn a segmented image into maps: each pixel belongs to one phase.

    Parameters
    ----------
    labels : array of int, shape (ny, nx)
        The same number for all pixels of a phase; any numbers.
    blur : float
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
    """
    Turn a grey image into maps: each grey is a mixture of the two nearest phases.

    Parameters
    ----------
    image : array, shape (ny, nx)
        Grey values, in any unit.
    n_phases : int
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
    """
    Turn maps in any unit into shares of each pixel.

    Parameters
    ----------
    *maps : array, shape (ny, nx)
        One for each phase, non-negative; all in the same unit.

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
