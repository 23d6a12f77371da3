"""Maps that are linear in the counts: without bias, with noise that is known."""

from __future__ import annotations

from functools import partial

import numpy as np

from espm_hs.factorization.counts.counts import AnyCounts, Counts

# What spectra tell apart less than by this part of what they tell best is not told.
RANK = 1e-12


def linear_maps(counts: AnyCounts, D: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return least-squares amounts of spectra in the pixels, and their noise.

    All pixels have the weights of the mean spectrum. Amounts may be negative, so that
    they are right on average wherever there is none, and their mean covariance follows
    from the Poisson law alone.

    Parameters
    ----------
    counts
        Of the pixels.
    D
        Spectra, shape (n_channels, n_components).

    Returns
    -------
    H : numpy.ndarray
        Shape (n_pixels, n_components).
    noise : numpy.ndarray
        Mean covariance of the amounts of a pixel, shape (n_components, n_components).
    """
    mean = counts.spectrum / counts.n_pixels
    weighted = np.divide(D, mean[:, None], where=mean[:, None] > 0, out=0 * D)
    back = weighted @ np.linalg.pinv(D.T @ weighted, rcond=RANK, hermitian=True)
    H = np.concatenate(counts.over_blocks(partial(_amounts, back)))
    return H, back.T @ (mean[:, None] * back)


def _amounts(back: np.ndarray, part: Counts) -> np.ndarray:
    return part.to_csr() @ back
