"""Repetitions of a measurement, drawn from its fit: a check of the stated errors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import dask.array as da
import numpy as np

from espm_hs.arguments import generator
from espm_hs.decomposition.decompose import decompose
from espm_hs.decomposition.result import PhaseAnalysis
from espm_hs.factorization import uninterrupted

# What of the options of a fit its repetitions share; smoothness is that of the maps.
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
    """
    Decompose counts that are drawn from a fit, again and again.

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
    settings = {name: options[name] for name in SHARED if name in options}
    H = np.maximum(loadings[pixels], LEAST * loadings[pixels].mean(axis=0))
    atoms = np.where(analysis.atoms > 0, analysis.atoms, 1.0)
    mean = _expected(analysis, loadings, navigation or (1,))
    for _ in range(n):
        source = da.random.default_rng(int(rng.integers(2**32)))
        repetition = decompose(
            source.poisson(mean, size=mean.shape, chunks=mean.chunks),
            analysis.model,
            analysis.n_phases,
            known_phases=analysis.knowledge,
            pixels=pixels,
            channels=analysis.channels,
            binning=analysis.binning,
            sparsity=analysis.sparsity,
            init=(np.maximum(analysis.W, np.finfo(float).tiny), H * atoms),
            n_jobs=n_jobs,
            **settings,
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
