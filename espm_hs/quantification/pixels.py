"""Composition and amounts in each pixel, with the noise of its counts."""

from typing import Any

import dask.array as da
import numpy as np
from dask import delayed

from espm_hs.decomposition.result import PhaseAnalysis, fingerprint
from espm_hs.factorization import (
    Counts,
    ScatteredCounts,
    abundance_covariance,
    smoothed_covariance,
)
from espm_hs.factorization.counts.reading import kept_counts
from espm_hs.quantification.percent_with_errors import (
    ATOMIC,
    LARGEST_ERROR,
    Basis,
    atoms_per_loading,
    closed,
    not_found,
    propagated,
)

Array = np.ndarray | da.Array

# A phase with less than this share of the loadings of a pixel is not there.
NO_SHARE = 1e-6
# Pixels handled at once, so that the covariances of a large map stay small.
SLAB = 1 << 16


def pixel_composition(
    analysis: PhaseAnalysis,
    data: Array,
    loadings: np.ndarray,
    basis: Basis = ATOMIC,
    lazy: bool = False,
) -> tuple[list[str], Array, Array]:
    """Return the composition of each pixel.

    Parameters
    ----------
    analysis, data, loadings, lazy
        As in `pixel_amounts`.
    basis
        What makes up 100 %.

    Returns
    -------
    elements
        Symbols.
    percent, variance
        In percent and percent squared, shape (n_elements, *navigation); NaN in pixels
        left out, without counts, or with errors above 100 %. The variance is that of
        the abundances, for phases taken as known.

    Raises
    ------
    RuntimeError
        If the data are not those that were decomposed.
    """
    symbols, per_atom = basis.of(analysis.elements)
    per_loading = per_atom @ atoms_per_loading(analysis)
    per_loading[:, not_found(analysis, per_atom)] = 0.0
    maps = pixel_amounts(analysis, data, loadings, per_loading, lazy, percent=True)
    return symbols, *maps


def pixel_amounts(
    analysis: PhaseAnalysis,
    data: Array,
    loadings: np.ndarray,
    per_loading: np.ndarray,
    lazy: bool = False,
    *,
    percent: bool = False,
) -> tuple[Array, Array]:
    """Return amounts in each pixel, which are linear in its loadings.

    Parameters
    ----------
    analysis
        Result of a decomposition.
    data
        Counts, shape (*navigation, n_channels). Their noise makes the error.
    loadings
        Shape (n_pixels, n_phases), NaN in pixels left out.
    per_loading
        Amounts in a loading of 1, shape (n_amounts, n_phases).
    lazy
        Return dask arrays, whose chunks hold the counts that they need.
    percent
        Close the amounts of each pixel to 100 %.

    Returns
    -------
    amounts, variance
        Shape (n_amounts, *navigation), NaN in pixels left out. The variance is that of
        the counts, for phases taken as known.

    Raises
    ------
    RuntimeError
        If the data are not those that were decomposed.
    """
    values, variances = _maps(
        analysis, data, loadings, per_loading, lazy, percent=percent
    )
    return values, variances


def pixel_variances(
    analysis: PhaseAnalysis, data: Array, loadings: np.ndarray, per_loading: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return variances of amounts as of `pixel_amounts`, and of pixels left alone.

    The second ones are those of pixels whose neighbours do not help them, although
    their map is smooth. Arguments and errors are those of `pixel_amounts`.
    """
    _, smooth, alone = _maps(analysis, data, loadings, per_loading, alone=True)
    return np.asarray(smooth), np.asarray(alone)


def _maps(
    analysis: PhaseAnalysis,
    data: Array,
    loadings: np.ndarray,
    per_loading: np.ndarray,
    lazy: bool = False,
    *,
    percent: bool = False,
    alone: bool = False,
) -> Array:
    """Return values, variances and, if asked for, variances of pixels left alone."""
    navigation = data.shape[:-1] or (1,)
    used, counts = own_counts(analysis, data, loadings)
    block = _Block(analysis, counts, loadings, navigation, per_loading, percent, alone)
    support = analysis.knowledge.support
    per_row = int(np.prod(navigation[1:]))
    before = np.concatenate(([0], np.cumsum(used)))
    step = max(1, SLAB // per_row)
    n = 3 if alone else 2
    found: Any = [] if lazy else np.empty((n, len(per_loading), *navigation))
    for first in range(0, navigation[0], step):
        rows = slice(first, min(first + step, navigation[0]))
        place = slice(rows.start * per_row, rows.stop * per_row)
        part = counts.part(before[place.start], before[place.stop])
        some, there = loadings[place], None if support is None else support[place]
        atoms = analysis.atoms_of_pixels(place)
        shape = (n, len(per_loading), rows.stop - first, *navigation[1:])
        if lazy:
            task = delayed(block, pure=False)(
                part, counts.send(some), there, atoms, shape
            )
            found.append(da.from_delayed(task, shape, float))
        else:
            found[:, :, rows] = block(part, some, there, atoms, shape)
    return da.concatenate(found, axis=2) if lazy else found


def own_counts(
    analysis: PhaseAnalysis, data: Array, loadings: np.ndarray
) -> tuple[np.ndarray, Any]:
    """Return the pixels that were decomposed, and the counts in them.

    Parameters
    ----------
    analysis, data, loadings
        As in `pixel_amounts`.

    Raises
    ------
    RuntimeError
        If the data are not those that were decomposed, or stand in other pixels.
    """
    check_channels(analysis, data)
    used = ~np.isnan(loadings).any(axis=1)
    counts = kept_counts(data, used, analysis.channels)
    if not np.array_equal(analysis.fingerprint, fingerprint(counts)):
        raise _moved("other counts, or the same ones in other pixels")
    return used, counts


def check_channels(analysis: PhaseAnalysis, data: Array) -> None:
    """Raise RuntimeError if the data have other channels than were decomposed."""
    if analysis.channels.size != data.shape[-1]:
        raise _moved(f"{data.shape[-1]} channels, not {analysis.channels.size}")


def _moved(found: str) -> RuntimeError:
    return RuntimeError(
        f"The data are no longer those that were decomposed: they have {found}, so "
        "they were transposed, cropped or changed since. Run "
        "`s.decomposition(algorithm='espm', output_dimension=...)` again."
    )


def there(loadings: np.ndarray) -> np.ndarray:
    """Return loadings, shape (n_pixels, n_phases), without what is left by rounding."""
    share = loadings > NO_SHARE * loadings.sum(axis=1, keepdims=True)
    return np.where(share, loadings, 0.0)


def within(values: Array, pixels: np.ndarray) -> Array:
    """Return maps, (n_amounts, *navigation), with NaN where pixels, flat, is False."""
    there = pixels.reshape(values.shape[1:])
    where = da.where if isinstance(values, da.Array) else np.where
    return where(there, values, np.nan)


class _Block:
    """What the values of some pixels are computed with."""

    def __init__(
        self,
        analysis: PhaseAnalysis,
        counts: Counts | ScatteredCounts,
        loadings: np.ndarray,
        navigation: tuple[int, ...],
        per_loading: np.ndarray,
        percent: bool,
        alone: bool,
    ) -> None:
        self.per_loading, self.percent, self.alone = per_loading, percent, alone
        self.scale = analysis.scale
        self.spectra = np.ascontiguousarray(analysis.spectra[analysis.channels])
        self.mean_counts = counts.mean_counts
        self.n_axes = sum(size > 1 for size in navigation)
        # loadings are counts, unless those of each pixel add up to 1
        unit = np.nanmean(loadings.sum(axis=1))
        self.smoothness = analysis.smoothness * self.mean_counts / unit**2

    def __call__(
        self,
        counts: Counts,
        loadings: np.ndarray,
        support: np.ndarray | None,
        atoms: np.ndarray | None,
        shape: tuple[int, ...],
    ) -> np.ndarray:
        """Values and variances for the loadings (p, k), in the shape asked for."""
        used = ~np.isnan(loadings).any(axis=1)
        H = np.ascontiguousarray(loadings[used])
        covariance = abundance_covariance(
            counts, self.spectra, H, mean_counts=self.mean_counts
        )
        if support is not None:  # what is known to be nowhere else has no error there
            inside = support[used]
            covariance *= inside[:, :, None] & inside[:, None, :]
        errors = [smoothed_covariance(covariance, self.smoothness, self.n_axes)]
        errors += [covariance] * self.alone
        if atoms is not None:  # loadings are of another number of them in each place
            of_pixel = atoms[used]
            H = H * of_pixel
            both = of_pixel[:, :, None] * of_pixel[:, None, :]
            errors = [one * both for one in errors]
        if self.percent:
            values, response = closed(self.per_loading, there(H))
        else:
            values, response = H @ self.per_loading.T, self.per_loading
        maps = np.stack([values, *(propagated(response, one) for one in errors)])
        if self.percent:
            # scaled counts are as certain as those that were scaled
            noise = maps[1] * self.scale
            nothing = (noise > LARGEST_ERROR**2).any(axis=1)
            nothing |= counts.per_pixel == 0
            maps[:, nothing] = np.nan
        found = np.full((*shape[:2], len(loadings)), np.nan)
        found[:, :, used] = maps.swapaxes(1, 2)
        return found.reshape(shape)
