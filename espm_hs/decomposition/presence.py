"""How much of each phase a map holds, and whether it holds any.

Abundances of pixels are never negative, so that noise makes some of every phase. The
sum of all pixels, fitted with the spectra of the phases that may be negative, does not
have that bias, and the error of an amount follows from Poisson statistics.
"""

from __future__ import annotations

import numpy as np

from espm_hs.decomposition.result import PhaseAnalysis
from espm_hs.factorization import fit_spectrum


def amounts_in(analysis: PhaseAnalysis, spectrum: np.ndarray) -> np.ndarray:
    """Return counts of each phase in a map, and their standard errors.

    Parameters
    ----------
    analysis
        The phases, with W and its covariance in this map.
    spectrum
        Sum of the counts of the map in the channels in use.

    Returns
    -------
    numpy.ndarray
        Shape (2, n_phases). The errors are those of the counts and of the spectra of
        the phases; larger by the root of the deviance ratio where the model does not
        fit. Counts may be negative.
    """
    G = analysis.G[:, analysis.channels]
    made = (G @ analysis.W.T[..., None])[..., 0].T
    heights = np.maximum(made.sum(axis=0), np.finfo(float).tiny)
    D = made / heights
    _, mean = fit_spectrum(D, spectrum)
    weight = 1 / np.maximum(mean, 1e-6 * max(mean.max(), 1e-300))
    back = np.linalg.pinv(D.T @ (weight[:, None] * D)) @ (D * weight[:, None]).T
    counts = back @ spectrum
    variance = back**2 @ mean
    for j, (own, covariance) in enumerate(zip(G, analysis.covariance, strict=True)):
        change = (own - np.outer(D[:, j], own.sum(axis=0))) / heights[j]
        response = counts[j] * (back @ change)
        variance += np.einsum("ic,cd,id->i", response, covariance, response)
    return np.stack([counts, np.sqrt(variance * max(analysis.misfit, 1.0))])
