"""What the figures read from a signal: its phases, and its counts block by block."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from espm_hs.analysis import PhaseAnalysis, stored_loadings
from espm_hs.analysis.quantification import check_channels

# Numbers in a block of floats while reading a map: 32 MB.
_BLOCK = 1 << 22


def read_results(signal) -> tuple[PhaseAnalysis, np.ndarray]:
    """Analysis and loadings, the latter of shape (n_pixels, n_phases).

    Raises
    ------
    RuntimeError
        If there are none, or the signal has got other channels since.
    """
    found = signal.analysis_results()
    check_channels(found, signal.data)
    n_pixels = int(np.prod(signal.data.shape[:-1]))
    return found, stored_loadings(signal.learning_results, n_pixels, found.n_phases)


def column_weights(found) -> np.ndarray:
    """Weights of the columns of each phase's G that give `found.spectra`."""
    unscaled = np.einsum("jec,cj->j", found.G[:, found.channels], found.W)
    scaled = found.spectra[found.channels].sum(axis=0)
    return found.W * (scaled / np.maximum(unscaled, 1e-300))


def blocks_of_spectra(signal) -> Iterator[tuple[slice, np.ndarray]]:
    """Blocks of spectra, shape (pixels, channels), with their place among pixels."""
    data = signal.data if signal.data.ndim > 1 else signal.data[None]
    chunks = getattr(data, "chunks", None)
    n_channels = data.shape[-1]
    # whole chunks of a lazy map, so that none is read twice
    step = chunks[0][0] if chunks else max(1, _BLOCK // int(np.prod(data.shape[1:])))
    within = max(1, _BLOCK // n_channels)
    place = 0
    for first in range(0, data.shape[0], step):
        slab = np.asarray(data[first : first + step]).reshape(-1, n_channels)
        for start in range(0, len(slab), within):
            block = slab[start : start + within]
            yield slice(place, place + len(block)), block
            place += len(block)


def summed_spectrum(signal, loadings) -> np.ndarray:
    """Sum the counts of the fitted pixels, shape (n_channels,)."""
    total = np.zeros(signal.data.shape[-1])
    for where, block in blocks_of_spectra(signal):
        fitted = ~np.isnan(loadings[where, 0])
        total += block.sum(axis=0, where=fitted[:, None], dtype=float)
    return total
