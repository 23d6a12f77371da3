"""Phantoms: which share of each pixel belongs to which phase.

A phantom is a function that returns an array of shape (ny, nx, n_phases), non-negative:
shares of sum 1 in each pixel, or where it says so thicknesses in nm. Shares become
thicknesses by a multiplication: with a number for a foil of even thickness, with
``wedge(...)[..., None]`` for one that is not.

Rows run down and columns to the right, as maps are drawn. An angle is that of the
direction across a structure, in degrees: 0 points to the right, 90 down. Lengths in
pixels are sides of a pixel; the map reaches half a pixel beyond the centres of its
outermost ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import fft
from scipy.ndimage import fourier_gaussian, gaussian_filter
from scipy.special import softmax

from espm_hs.arguments import check_number

__all__ = [
    "CoreShell",
    "Sphere",
    "core_shell_particles",
    "grain_boundary",
    "lamellae",
    "maps_from_arrays",
    "maps_from_image",
    "maps_from_labels",
    "random_fields",
    "spheres_in_matrix",
    "wedge",
]


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


# Periods of a wavy boundary between the sides of the map.
_RIPPLES = 3


# -- round particles -----------------------------------------------------------------


@dataclass(frozen=True)
class Sphere:
    """A sphere whose centre lies in the middle plane of a foil.

    Attributes
    ----------
    y, x
        Centre, as fractions of the height and the width of the map.
    radius
        As a fraction of the shorter side of the map.
    thickness
        Of the foil, in radii. Below 2 the foil cuts the sphere, so that the pixels
        around the centre hold nothing else; above 2 there is matrix everywhere.

    Raises
    ------
    ValueError
        If radius or thickness are not above 0.
    """

    y: float
    x: float
    radius: float
    thickness: float

    def __post_init__(self) -> None:
        check_number("y", self.y)
        check_number("x", self.x)
        check_number("radius", self.radius, 0, above=True)
        check_number("thickness", self.thickness, 0, above=True)

    def share(self, shape: tuple[int, int]) -> np.ndarray:
        """Share of the thickness of the foil that lies in the sphere.

        Parameters
        ----------
        shape
            Rows and columns of the map.

        Returns
        -------
        array, shape (ny, nx)
            From 0 to 1.
        """
        radius = self.radius * min(shape)
        chord = _chords(shape, self.y, self.x, radius)
        return np.minimum(chord / (self.thickness * radius), 1.0)


@dataclass(frozen=True)
class CoreShell:
    """A round particle: a spherical core in a shell of even thickness.

    Attributes
    ----------
    y, x
        Centre, as fractions of the height and the width of the map.
    radius
        Of the whole particle, as a fraction of the shorter side of the map.
    core
        Radius of the core as a fraction of that of the particle: 0 for none, 1 for no
        shell.

    Raises
    ------
    ValueError
        If radius is not above 0, or core not from 0 to 1.
    """

    y: float
    x: float
    radius: float
    core: float

    def __post_init__(self) -> None:
        check_number("y", self.y)
        check_number("x", self.x)
        check_number("radius", self.radius, 0, above=True)
        check_number("core", self.core, 0, 1)


def spheres_in_matrix(shape: tuple[int, int], spheres: Sequence[Sphere]) -> np.ndarray:
    """Spheres, each of its own phase, in a foil of another phase, in projection.

    Parameters
    ----------
    shape
        Rows and columns of the map.
    spheres
        Must not overlap to more than the thickness of the foil.

    Returns
    -------
    array, shape (ny, nx, 1 + len(spheres))
        Of sum 1 in each pixel; the matrix comes first.

    Raises
    ------
    ValueError
        If the shape is not that of a map, or spheres fill a pixel more than once.
    """
    shape = checked_shape(shape)
    shares = [sphere.share(shape) for sphere in spheres]
    matrix = 1 - sum(shares, np.zeros(shape))
    if matrix.min() < -1e-12:
        raise ValueError(
            f"The spheres overlap: they fill up to {1 - matrix.min():.2f} of the "
            "thickness of a pixel, at most 1 is possible. Move them apart or give them "
            "smaller radii."
        )
    return np.stack([np.maximum(matrix, 0), *shares], axis=-1)


def core_shell_particles(
    shape: tuple[int, int],
    particles: Sequence[CoreShell],
    pixel_size: float,
    support: float,
) -> np.ndarray:
    """Particles of core and shell on a supporting film, in projection.

    A core is never seen without the shell above and below it. Particles that overlap
    add up, as if they lay on both sides of the film.

    Parameters
    ----------
    shape
        Rows and columns of the map.
    particles
        In any order.
    pixel_size
        Side of a pixel, nm.
    support
        Thickness of the film, nm.

    Returns
    -------
    array, shape (ny, nx, 3)
        Thickness in nm of film, cores and shells, at the centre of each pixel.

    Raises
    ------
    ValueError
        If the shape is not that of a map, the pixel size not above 0, or the film of
        negative thickness.
    """
    shape = checked_shape(shape)
    check_number("pixel_size", pixel_size, 0, above=True)
    check_number("support", support, 0)
    cores, whole = np.zeros(shape), np.zeros(shape)
    for particle in particles:
        radius = particle.radius * min(shape)
        cores += _chords(shape, particle.y, particle.x, radius * particle.core)
        whole += _chords(shape, particle.y, particle.x, radius)
    film = np.full(shape, float(support))
    return np.stack([film, pixel_size * cores, pixel_size * (whole - cores)], axis=-1)


def _chords(shape: tuple[int, int], y: float, x: float, radius: float) -> np.ndarray:
    """Lengths in a sphere of the lines of sight through the pixels' centres, pixels."""
    dy = np.arange(shape[0]) + 0.5 - y * shape[0]
    dx = np.arange(shape[1]) + 0.5 - x * shape[1]
    return 2 * np.sqrt(np.maximum(radius**2 - (dy[:, None] ** 2 + dx**2), 0))


# -- structures that vary across one direction ---------------------------------------


def wedge(
    shape: tuple[int, int], thin: float, thick: float, angle: float = 0.0
) -> np.ndarray:
    """Thickness of a wedge, as ion milling leaves it.

    Parameters
    ----------
    shape
        Rows and columns of the map.
    thin, thick
        Thickness at the two ends of the map, nm; for an oblique angle the ends are
        corners.
    angle
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
    """Two grains, and what has segregated to the boundary between them.

    Parameters
    ----------
    shape
        Rows and columns of the map.
    width
        Standard deviation of the Gaussian profile across the boundary, pixels.
        Sampled at the centres of pixels, which needs about 0.5 or more.
    segregation
        Abundance on the boundary itself, from 0 to 1.
    position
        Of the boundary, from 0 to 1 across the map.
    angle
        Of the direction from the first grain to the second, degrees: 0 to the right,
        90 down.
    ripple
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
    """Stripes of equal width, the phases in turn.

    Parameters
    ----------
    shape
        Rows and columns of the map.
    n_phases
        Number of phases.
    period
        From a stripe to the next one of the same phase, pixels; 1 or more.
    angle
        Of the direction across the stripes, degrees: 0 to the right, 90 down.
    blur
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


# -- directions, and edges within a pixel --------------------------------------------


def across(shape: tuple[int, int], angle: float) -> tuple[np.ndarray, float]:
    """Positions of pixels along a direction.

    Parameters
    ----------
    shape
        Rows and columns.
    angle
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
    """Return the unit vector of a direction.

    Parameters
    ----------
    angle
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


def area_before(
    distance: np.ndarray, normal_x: ArrayLike, normal_y: ArrayLike
) -> np.ndarray:
    """Area of a pixel on one side of a straight line.

    Parameters
    ----------
    distance
        From the centre of the pixel to the line, along its normal, in pixels; negative
        if the line lies behind the centre.
    normal_x, normal_y
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
