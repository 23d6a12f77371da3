"""To go on from the phases of an earlier decomposition."""

from __future__ import annotations

import numpy as np

from espm_hs.decomposition.result import PhaseAnalysis
from espm_hs.physics.linear_model import LinearModel

# What the earlier model had no column for starts with this share of the counts.
SHARE_OF_NEW_COLUMNS = 1e-3


def previous_start(
    found: PhaseAnalysis, model: LinearModel, loadings: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return W and H with which a fit goes on where another one ended.

    Parameters
    ----------
    found
        The earlier phases, whose model may have had other columns.
    model
        The present model.
    loadings
        The earlier maps, shape (n_pixels, n_phases), of the pixels in use; None, or NaN
        in some of these: the maps are found anew.

    Returns
    -------
    W : ndarray of shape (n_columns, n_phases)
    H : ndarray of shape (n_pixels, n_phases) or None
    """
    before = {column.label: i for i, column in enumerate(found.model.columns)}
    counts = np.maximum(model.G[model.channels].sum(axis=0), np.finfo(float).tiny)
    whole = np.einsum("jec,cj->j", found.G[:, found.channels], found.W)
    W = np.array(
        [
            found.W[before[column.label]]
            if column.label in before
            else SHARE_OF_NEW_COLUMNS * whole / counts[i]
            for i, column in enumerate(model.columns)
        ]
    )
    if loadings is None or np.isnan(loadings).any():
        return W, None
    atoms = found.composition.sum(axis=0)
    # a loading of 1 in the unit of W; phases without elements have no atoms
    unit = np.where(atoms > 0, found.atoms / np.where(atoms > 0, atoms, 1.0), 1 / whole)
    return W, loadings * unit
