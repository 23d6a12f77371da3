"""Repetitions of a measurement, drawn from its fit: a check of the stated errors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import dask.array as da
import numpy as np
from dask import delayed

from espm_hs.arguments import generator
from espm_hs.decomposition.decompose import decompose
from espm_hs.decomposition.result import PhaseAnalysis
from espm_hs.factorization import uninterrupted

# What of the options of a fit its repetitions share; smoothness is that of the maps.
SHARED = (
    "simplex",
    "solver",
    "max_iter",
    "tol",
)
# Abundances start at this share of their mean at least: zeros would stay zeros.
LEAST = 1e-4
# Numbers drawn at a time.
BLOCK = 1 << 22


def replicates(
    analysis: PhaseAnalysis,
    loadings: np.ndarray,
    navigation: tuple[int, ...],
    n: int,
    options: Mapping,
    *,
    random_state=0,
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
        Number of repetitions, at least 2.
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
        If ``n`` is not an integer of at least 2.
    """
    if not isinstance(n, (int, np.integer)) or n < 2:
        raise ValueError(f"`n` must be an integer of at least 2, got {n!r}.")
    rng = generator(random_state)
    pixels = ~np.isnan(loadings).any(axis=1)
    settings = {name: options[name] for name in SHARED if name in options}
    H = np.maximum(loadings[pixels], LEAST * loadings[pixels].mean(axis=0))
    atoms = np.where(analysis.atoms > 0, analysis.atoms, 1.0)
    for _ in range(n):
        repetition = decompose(
            _drawn(analysis, loadings, navigation or (1,), rng),
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


def _drawn(analysis, loadings, navigation, rng) -> da.Array:
    """Poisson counts of the fitted model, drawn some rows of the map at a time."""
    spectra = np.nan_to_num(analysis.spectra).T
    loadings = np.nan_to_num(loadings).reshape(*navigation, -1)
    step = max(1, BLOCK // (spectra.shape[1] * int(np.prod(navigation[1:]))))
    chunks = []
    for first in range(0, navigation[0], step):
        some = loadings[first : first + step]
        seed = rng.integers(2**32, size=4).tolist()
        shape = (*some.shape[:-1], spectra.shape[1])
        draw = delayed(_draw, pure=False)(seed, some, spectra)
        chunks.append(da.from_delayed(draw, shape, np.int64))
    return da.concatenate(chunks)


def _draw(seed, loadings, spectra):
    return np.random.default_rng(seed).poisson(loadings @ spectra)
