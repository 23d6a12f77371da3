"""Summed spectra of regions, each fitted by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from espm_hs.decomposition.constraints import Knowledge
from espm_hs.decomposition.decompose import DecompositionOptions, decompose
from espm_hs.decomposition.result import PhaseAnalysis
from espm_hs.physics.linear_model import LinearModel


def fit_regions(
    model: LinearModel,
    channels: np.ndarray,
    spectra: np.ndarray,
    names: Sequence[str],
) -> list[PhaseAnalysis | None]:
    """Fit the summed spectrum of each region as that of a single phase.

    Parameters
    ----------
    model
        Linear model, which is made consistent with the composition of each region.
    channels
        Boolean, shape (n_channels,): channels to use.
    spectra
        Counts, shape (n_regions, n_channels).
    names
        Of the regions.

    Returns
    -------
    list of PhaseAnalysis or None
        One phase each, under the name of the region; None for a region without counts.
    """
    nothing = Knowledge.nothing(1, len(model.columns))
    alone = DecompositionOptions(n_init=1, n_jobs=1)
    return [
        decompose(
            spectrum[None],
            model,
            1,
            replace(alone, known_phases=replace(nothing, names=(name,))),
            channels=channels,
        )
        if spectrum[channels & model.channels].any()
        else None
        for name, spectrum in zip(names, spectra, strict=True)
    ]
