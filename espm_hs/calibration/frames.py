"""Shifts between the frames of a series, from their counts.

Frames have few counts, of which the energies tell more than the number: the spectra of
the whole series say in which combinations of channels pixels differ, and images of
these are compared by cross-correlation. Each frame is compared with the sum of all
others, first with those before it, then with all where they belong.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from scipy.ndimage import uniform_filter

from espm_hs.factorization import Counts

# Combinations of channels in which pixels differ most, of so many groups of channels.
COMBINATIONS, GROUPS = 4, 64
# Pixels along each axis whose sums tell which combinations these are.
COARSE = 4
# How often each frame is compared with all others.
ROUNDS = 6
# A shift is found if the correlation is so many times its noise.
FOUND = 6.0
# A frame is bad that resembles the others, or has counts, by less than this part of the
# median, or has more counts than the inverse.
LEAST = 0.5
# Frequencies, in 1 / pixel, above which images are noise, and over how many of these
# the power is averaged.
HIGH, SMOOTH = 0.35, 5
# Overlaps of less than this part of a frame are not compared.
OVERLAP = 0.3


@dataclass(frozen=True, eq=False)
class FrameShifts:
    """Where the frames of a series are.

    Parameters
    ----------
    shifts
        Pixels along each axis of the map, in array order, by which what is in a frame
        is further than on average; shape (n_frames, 2).
    errors
        Standard errors from the counts, of the same shape; infinite where no shift was
        found.
    counts
        Of each frame, shape (n_frames,).
    agreement
        How much each frame resembles all others, over the median, shape (n_frames,).
    bad
        Number of a frame -> what is wrong with it.
    """

    shifts: np.ndarray
    errors: np.ndarray
    counts: np.ndarray
    agreement: np.ndarray
    bad: dict[int, str] = field(default_factory=dict)

    def __str__(self) -> str:
        largest = np.abs(self.shifts).max(axis=0)
        known = np.isfinite(self.errors).all(axis=1)
        error = np.sqrt((self.errors[known] ** 2).mean()) if known.any() else np.inf
        lines = [
            f"{len(self.shifts)} frames, shifted by up to {largest[1]:.1f} pixels "
            f"along x and {largest[0]:.1f} along y, with errors of {error:.2g}."
        ]
        lines += [f"Frame {number}: {text}." for number, text in self.bad.items()]
        return "\n".join(lines)

    @property
    def whole(self) -> np.ndarray:
        """Shifts in whole pixels, which leave counts as they are, (n_frames, 2).

        Only differences matter: all are moved by the part of a pixel that they share.
        """
        part = np.angle(np.exp(2j * np.pi * self.shifts).mean(axis=0)) / (2 * np.pi)
        return np.rint(self.shifts - part).astype(int)


def shifts_of_frames(frames: Iterable[Counts], shape: tuple[int, int]) -> FrameShifts:
    """Return where the frames of a series are.

    Parameters
    ----------
    frames
        Counts of each frame, of the same channels.
    shape
        Of a frame.
    """
    counts = list(frames)
    images, variance = _images(counts, shape)
    total = np.array([one.total for one in counts])
    shifts = np.zeros((len(images), 2))
    # each frame by those before it, and then by all others
    sums = _Sum(shape, images.shape[1])
    sums.add(images[0], shifts[0])
    for i in range(1, len(images)):
        shifts[i] = sums.compared(images[i], variance[i]).shift
        sums.add(images[i], shifts[i])
    for _ in range(ROUNDS):
        found = []
        for i, image in enumerate(images):
            sums.add(image, shifts[i], -1.0)
            found.append(sums.compared(image, variance[i]))
            sums.add(image, shifts[i])
        before, shifts = shifts, np.array([one.shift for one in found])
        sums = _Sum(shape, images.shape[1])
        for image, shift in zip(images, shifts, strict=True):
            sums.add(image, shift)
        if np.abs(shifts - before).max() < 0.05:
            break
    alike = np.array([one.height for one in found]) / np.maximum(total, 1.0)
    middle = float(np.median(alike))
    agreement = alike / middle if middle > 0 else np.zeros(alike.size)
    clear = np.array([one.height > FOUND * one.noise for one in found])
    errors = np.array([one.error for one in found])
    errors[~clear] = np.inf
    bad = _bad(total, agreement, clear)
    good = [i for i in range(len(images)) if i not in bad] or slice(None)
    known = np.flatnonzero(clear)
    if known.size:
        # what is not seen is where the frames before and after it are
        order = np.arange(len(shifts))
        columns = [np.interp(order, known, column[known]) for column in shifts.T]
        shifts = np.stack(columns, axis=1)
    else:
        shifts = np.zeros_like(shifts)
    return FrameShifts(
        shifts - shifts[good].mean(axis=0), errors, total, agreement, bad
    )


def _bad(total: np.ndarray, agreement: np.ndarray, clear: np.ndarray) -> dict[int, str]:
    """Return what is wrong with which frames."""
    bad = {}
    ratio = total / max(float(np.median(total)), 1.0)
    for i, (counts, alike, seen) in enumerate(
        zip(ratio, agreement, clear, strict=True)
    ):
        if not LEAST < counts < 1 / LEAST:
            bad[i] = f"it has {100 * counts:.0f} % of the counts of the others"
        elif not seen:
            bad[i] = "nothing in it is as in the others, so that its shift is not known"
        elif alike < LEAST:
            bad[i] = f"it resembles the others by {100 * alike:.0f} % of what is usual"
    return bad


def _images(
    frames: list[Counts], shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return images of the combinations of channels in which pixels differ.

    Returns
    -------
    images, variance
        Shapes (n_frames, n_combinations, *shape), of mean 0, and (n_frames,
        n_combinations): that of the noise of a pixel.
    """
    n_channels = frames[0].n_channels
    group = GROUPS * np.arange(n_channels) // n_channels
    place = np.ravel_multi_index(
        tuple(np.indices(shape) // COARSE), tuple(-(-n // COARSE) for n in shape)
    ).ravel()
    n_places = int(place.max()) + 1
    sums = np.sum([one.spectra_of(place, n_places) for one in frames], axis=0)
    grouped = np.stack([np.bincount(group, x, GROUPS) for x in sums])
    mean = grouped.sum(axis=0)
    scale = 1 / np.sqrt(np.maximum(mean / mean.sum(), 1e-12))
    per_place = np.maximum(grouped.sum(axis=1, keepdims=True), 1.0)
    _, _, V = np.linalg.svd(grouped / np.sqrt(per_place) * scale, full_matrices=False)
    weights = (V[:COMBINATIONS] * scale).T[group] * (mean[group] > 0)[:, None]
    images, variance = [], []
    for one in frames:
        X = one.to_csr()
        flat = X @ weights
        images.append((flat - flat.mean(axis=0)).T.reshape(-1, *shape))
        variance.append((X @ weights**2).mean(axis=0))
    return np.array(images), np.array(variance)


@dataclass(frozen=True)
class _Match:
    """Where a frame belongs: shift, its error, and height and noise of the peak."""

    shift: np.ndarray
    error: np.ndarray
    height: float
    noise: float


class _Sum:
    """Sum of frames that are moved to where they belong, in Fourier space.

    The canvas is twice as large as a frame, so that nothing comes round to the other
    side.
    """

    def __init__(self, shape: tuple[int, int], n_images: int):
        self.shape = shape
        self.canvas = tuple(2 * size for size in shape)
        y, x = np.fft.fftfreq(self.canvas[0]), np.fft.rfftfreq(self.canvas[1])
        self.frequencies = np.meshgrid(y, x, indexing="ij")
        self.ones = self._transform(np.ones((1, *shape)))
        self.images = np.zeros((n_images, *self.ones.shape[1:]), complex)
        self.covered = np.zeros_like(self.ones)

    def _transform(self, images: np.ndarray) -> np.ndarray:
        return np.fft.rfft2(images, s=self.canvas, axes=(1, 2))

    def _back(self, transformed: np.ndarray) -> np.ndarray:
        return np.fft.irfft2(transformed, s=self.canvas, axes=(1, 2))

    def add(self, images: np.ndarray, shift: np.ndarray, sign: float = 1.0) -> None:
        """Add the images of a frame that has a shift, or take them out."""
        turn = shift[0] * self.frequencies[0] + shift[1] * self.frequencies[1]
        moved = sign * np.exp(2j * np.pi * turn)
        self.images += moved * self._transform(images)
        self.covered += moved * self.ones

    def _of_signal(self, template: np.ndarray) -> np.ndarray:
        """Return the share of what is no noise in a sum of frames, by frequency.

        Noise is the same at all frequencies, and at high ones there is little else.
        """
        power = uniform_filter(np.abs(template) ** 2, (0, SMOOTH, SMOOTH), mode="wrap")
        fine = np.hypot(*self.frequencies) > HIGH
        noise = np.median(power[:, fine], axis=1)[:, None, None]
        return np.clip(1 - noise / np.maximum(power, 1e-300), 0.0, 1.0)

    def compared(self, images: np.ndarray, variance: np.ndarray) -> _Match:
        """Return where the images of a frame, with noise of a variance, belong."""
        covered = self._back(self.covered)
        there = covered > 0.5
        mean = np.where(there, self._back(self.images) / np.where(there, covered, 1), 0)
        template, mask = self._transform(mean), self._transform(there.astype(float))
        template = template * self._of_signal(template)
        own = self._transform(images)
        # the covariance of both where they overlap, at all shifts (Padfield 2012)
        overlap = np.maximum(self._back(self.ones * mask.conj())[0], 1.0)
        both = self._back(own * template.conj())
        of_own = self._back(own * mask.conj()) / overlap
        of_sum = self._back(self.ones * template.conj()) / overlap
        alike = (both - overlap * of_own * of_sum).sum(axis=0)
        enough = overlap > OVERLAP * overlap.max()
        score = np.where(enough, alike / np.sqrt(overlap), -np.inf)
        row, column = divmod(int(np.argmax(score)), score.shape[1])
        # that more of what is large lies in the overlap makes it no better: there the
        # squares of differences decide
        squares = self._back(self._transform(images**2) * mask.conj()) / overlap
        smooth = self._transform(self._back(template) ** 2 * there)
        squares += self._back(self.ones * smooth.conj()) / overlap
        apart = (squares - of_own**2 - of_sum**2).sum(axis=0)
        density = alike / overlap - apart / 2
        peak = _top(density, (row, column))
        n = float(overlap[peak])
        power = _power(template)
        noise = np.sqrt(variance @ power.sum(axis=(1, 2)) / overlap.size)
        shift, error = np.zeros(2), np.zeros(2)
        for axis in range(2):
            around = [_beside(peak, axis, step, density.shape) for step in (-1, 1)]
            before, here, after = (density[one] for one in (around[0], peak, around[1]))
            bend = 2 * here - before - after
            inside = (after - before) / (2 * bend) if bend > 0 else 0.0
            place = peak[axis] - (peak[axis] >= self.shape[axis]) * self.canvas[axis]
            shift[axis] = place + float(np.clip(inside, -0.5, 0.5))
            slopes = power * (2 * np.pi * self.frequencies[axis]) ** 2
            steep = np.sqrt(variance @ slopes.sum(axis=(1, 2)) / overlap.size)
            error[axis] = steep / (n * bend) if bend > 0 else np.inf
        return _Match(shift, error, float(alike[peak]), float(noise))


def _power(transformed: np.ndarray) -> np.ndarray:
    """Return the power of real images; what a real transform leaves out is in it."""
    power = np.abs(transformed) ** 2
    power[..., 1:-1] *= 2
    return power


def _top(density: np.ndarray, place: tuple[int, ...]) -> tuple[int, ...]:
    """Return the highest place that is reached from another, uphill."""
    while True:
        around = [
            _beside(_beside(place, 0, i, density.shape), 1, j, density.shape)
            for i in (-1, 0, 1)
            for j in (-1, 0, 1)
        ]
        best = max(around, key=lambda one: density[one])
        if density[best] <= density[place]:
            return place
        place = best


def _beside(
    peak: tuple[int, ...], axis: int, step: int, shape: tuple[int, ...]
) -> tuple[int, ...]:
    """Return the place beside a peak, the other side of the canvas being next to it."""
    place = [int(x) for x in peak]
    place[axis] = (place[axis] + step) % shape[axis]
    return tuple(place)


def common_area(
    shifts: np.ndarray, shape: tuple[int, int]
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return first pixel and size of what all frames hold, along each axis.

    Parameters
    ----------
    shifts
        In whole pixels, shape (n_frames, 2).
    shape
        Of a frame.

    Raises
    ------
    ValueError
        If there is nothing that all of them hold.
    """
    first = -shifts.min(axis=0)
    size = np.array(shape) - shifts.max(axis=0) - first
    if (size < 1).any():
        raise ValueError(
            f"The frames are shifted by up to {np.ptp(shifts, axis=0).max()} pixels, "
            "so that nothing is in all of them. Leave some out: "
            "`s.align_frames(axis, leave_out=[...])`."
        )
    return (int(first[0]), int(first[1])), (int(size[0]), int(size[1]))
