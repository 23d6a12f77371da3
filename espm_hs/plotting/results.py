"""What the figures read from a signal: its phases and their maps."""

from __future__ import annotations

import numpy as np

from espm_hs.analysis import PhaseAnalysis, stored_loadings
from espm_hs.analysis.quantification import check_channels


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


def fitted_pixels(loadings) -> np.ndarray:
    """Pixels that were fitted, shape (n_pixels,)."""
    return ~np.isnan(loadings[:, 0])
