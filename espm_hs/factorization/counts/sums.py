"""Summed spectrum of an array of any kind, whatever its values are."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from espm_hs.factorization.counts.chunks import Layout, computed
from espm_hs.factorization.counts.rows import pieces


def summed_spectrum(data, pixels=None) -> np.ndarray:
    """Add up the spectra of a map.

    Parameters
    ----------
    data
        Shape (..., n_channels): numpy, `sparse` or dask.
    pixels
        Boolean, one per unfolded pixel: those to add; None for all.

    Returns
    -------
    numpy.ndarray
        Shape (n_channels,), float64.
    """
    total = np.zeros(data.shape[-1])
    if hasattr(data, "dask"):
        layout = Layout(data, pixels)
        sums = computed(layout.tasks(_add_up), layout.in_window)
        for part, where in zip(sums, layout.places(), strict=True):
            total[where[-1]] += part
        return total
    for piece, wanted in pieces(data, pixels):
        total += _add_up(piece, wanted)
    return total


def _add_up(piece, wanted) -> np.ndarray:
    """Sum of the wanted pixels of a piece, shape (its channels,)."""
    if not sp.issparse(piece):
        piece = piece.reshape((-1, piece.shape[-1]))
    if wanted is not None and not wanted.all():
        piece = piece[np.flatnonzero(wanted)]
    if isinstance(piece, np.ndarray):
        return piece.sum(axis=0, dtype=float)
    rows = sp.coo_array(piece if sp.issparse(piece) else piece.to_scipy_sparse())
    return np.bincount(rows.col, rows.data, rows.shape[1])
