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

    Raises
    ------
    ValueError
        If the spectra of the phases differ from place to place.
    """
    if analysis.places is not None:
        raise ValueError(
            "Counts cannot be drawn yet from phases whose spectra differ from place to "
            "place. Decompose with `local_absorption=False` to repeat the fit."
        )
    rng = generator(random_state)
    pixels = ~np.isnan(loadings).any(axis=1)
    H = np.maximum(loadings[pixels], LEAST * loadings[pixels].mean(axis=0))
    atoms = np.where(analysis.atoms > 0, analysis.atoms, 1.0)
    settings = chosen_options(analysis, options, SHARED)
    settings["smoothness"] = 0.0  # that is of the maps
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
    spectra = np.nan_to_num(analysis.spectra).T
    loadings = np.nan_to_num(loadings).reshape(*navigation, -1)
    step = max(1, BLOCK // (spectra.shape[1] * int(np.prod(navigation[1:]))))
    rows = da.from_array(loadings, chunks=(step, *loadings.shape[1:]))
    return da.matmul(rows, spectra)
