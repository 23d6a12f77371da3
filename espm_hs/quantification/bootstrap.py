"""Repetitions of a measurement, drawn from its fit: a check of the stated errors."""

from collections.abc import Iterator, Mapping
from typing import Any

import dask.array as da
import numpy as np

from espm_hs.arguments import generator
from espm_hs.decomposition.decompose import (
    DecompositionOptions,
    chosen_options,
    decompose,
)
from espm_hs.decomposition.result import PhaseAnalysis
from espm_hs.decomposition.self_consistency import closed, spectra_in_places
from espm_hs.factorization import uninterrupted
from espm_hs.progress import stage

# What of the options of a fit its repetitions share.
SHARED = ("simplex", "solver", "max_iter", "tol")
# Abundances start at this share of their mean at least: zeros would stay zeros.
LEAST = 1e-4
# Numbers drawn at a time.
BLOCK = 1 << 22


def replicates(
    analysis: PhaseAnalysis,
    loadings: np.ndarray,
    navigation: tuple[int, ...],
    n: int,
    options: Mapping[str, Any],
    *,
    random_state: int | np.random.Generator | None = 0,
    n_jobs: int = -1,
) -> Iterator[PhaseAnalysis]:
    """Decompose counts that are drawn from a fit, again and again.

    Parameters
    ----------
    analysis
        Result of a decomposition.
    loadings
        Shape (n_pixels, n_phases), NaN in pixels left out.
    navigation
        Shape of the map.
    n
        Number of repetitions.
    options
        Of the decomposition.
    random_state
        Seed of the counts.
    n_jobs
        Number of threads.

    Yields
    ------
    PhaseAnalysis
        Its phases in the order of the original.

    """
    rng = generator(random_state)
    pixels = ~np.isnan(loadings).any(axis=1)
    H = np.maximum(loadings[pixels], LEAST * loadings[pixels].mean(axis=0))
    atoms = np.where(analysis.atoms > 0, analysis.atoms, 1.0)
    settings = chosen_options(analysis, options, SHARED)
    settings["smoothness"] = 0.0  # that is of the maps
    settings["local"] = analysis.places is not None
    how = DecompositionOptions(
        **settings,
        known_phases=analysis.knowledge,
        init=(np.maximum(analysis.W, np.finfo(float).tiny), H * atoms),
        n_jobs=n_jobs,
    )
    mean = _expected(analysis, loadings, navigation or (1,))
    for left in range(n, 0, -1):
        source = da.random.default_rng(int(rng.integers(2**32)))
        drawn = source.poisson(mean, size=mean.shape, chunks=mean.chunks)
        with stage(1 / left):
            repetition = decompose(
                drawn,
                analysis.model,
                analysis.n_phases,
                how,
                pixels=pixels,
                channels=analysis.channels,
            )
        yield uninterrupted(repetition)


def _expected(
    analysis: PhaseAnalysis, loadings: np.ndarray, navigation: tuple[int, ...]
) -> da.Array:
    """Return the expected counts, (*navigation, n_channels), some rows at a time."""
    number = np.zeros(navigation, int)
    spectra = np.nan_to_num(analysis.spectra).T[None]
    if analysis.places is not None:
        number = analysis.places.astype(int).reshape(navigation)
        spectra = _spectra_in_places(analysis, loadings)
    loadings = np.nan_to_num(loadings).reshape(*navigation, -1)
    step = max(1, BLOCK // (spectra.shape[-1] * int(np.prod(navigation[1:]))))
    rows = da.from_array(loadings, chunks=(step, *loadings.shape[1:]))
    places = da.from_array(number[..., None], chunks=(step, *number.shape[1:], 1))
    size = spectra.shape[-1]
    chunks = (*rows.chunks[:-1], (size,))
    return da.map_blocks(_of_rows, rows, places, spectra, dtype=float, chunks=chunks)


def _of_rows(
    loadings: np.ndarray, places: np.ndarray, spectra: np.ndarray
) -> np.ndarray:
    """Return the sum of the spectra in each pixel, by its place."""
    expected = np.empty((*loadings.shape[:-1], spectra.shape[-1]))
    for place in np.unique(places):
        here = places[..., 0] == place
        expected[here] = loadings[here] @ spectra[place]
    return expected


def _spectra_in_places(analysis: PhaseAnalysis, loadings: np.ndarray) -> np.ndarray:
    """Return the spectra of the phases for one count, (n_places, n_phases, n)."""
    pixels = np.flatnonzero(~np.isnan(loadings).any(axis=1))
    number = np.asarray(analysis.places)[pixels].astype(int)
    atoms = loadings[pixels] * np.asarray(analysis.atoms_in_places)[number]
    fractions = closed(analysis.W[analysis.element_columns])
    held = (atoms * analysis.atoms) @ fractions.T
    made = spectra_in_places(
        analysis.model, analysis.channels, analysis.W, number, held
    )
    everywhere = np.zeros((len(made), analysis.n_phases, analysis.channels.size))
    everywhere[..., analysis.channels] = made.swapaxes(1, 2)
    return everywhere
