"""Repetitions of a measurement, drawn from its fit: a check of the stated errors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from espm_hs.analysis.decomposition import decompose
from espm_hs.analysis.phases import PhaseAnalysis

# What of the options of a fit its repetitions share; smoothness is that of the maps.
SHARED = (
    "simplex",
    "sparsity",
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
    rng = np.random.default_rng(random_state)
    pixels = ~np.isnan(loadings).any(axis=1)
    settings = {name: options[name] for name in SHARED if name in options}
    H = np.maximum(loadings[pixels], LEAST * loadings[pixels].mean(axis=0))
    atoms = np.where(analysis.atoms > 0, analysis.atoms, 1.0)
    for _ in range(n):
        counts = _drawn(analysis, loadings, pixels, rng)
        yield decompose(
            counts.reshape(*navigation, -1),
            analysis.model,
            analysis.n_phases,
            known_phases=analysis.knowledge,
            pixels=pixels,
            channels=analysis.channels,
            binning=analysis.binning,
            init=(np.maximum(analysis.W, np.finfo(float).tiny), H * atoms),
            n_jobs=n_jobs,
            **settings,
        )


def _drawn(analysis, loadings, pixels, rng):
    """Poisson counts of the fitted model, shape (n_pixels, n_channels)."""
    spectra = analysis.spectra[analysis.channels].T
    counts = np.zeros((pixels.size, analysis.channels.size), np.uint32)
    used = np.flatnonzero(pixels)
    step = max(1, BLOCK // analysis.channels.size)
    for first in range(0, used.size, step):
        rows = used[first : first + step]
        drawn = rng.poisson(loadings[rows] @ spectra)
        counts[np.ix_(rows, np.flatnonzero(analysis.channels))] = drawn
    return counts
