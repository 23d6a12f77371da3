"""What the phases of a bulk sample send to the detector."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from espm_hs.physics import BulkModel, atomic_weight
from espm_hs.physics.bulk.emission import LAYER
from espm_hs.physics.xray.unabsorbed import CM2_PER_BARN
from espm_hs.simulation.emission import Phase, background_terms, check_elements

# Atoms per gram of one atomic mass unit.
_PER_GRAM = 1 / 1.66053906892e-24


def bulk_spectra(
    model: BulkModel, phases: Sequence[Phase], stray: Mapping[str, float]
) -> np.ndarray:
    """Spectra of bulk samples of each phase alone.

    Parameters
    ----------
    model
        Physics, with all elements of the phases.
    phases
        What shines; their ``background`` is the share of the counted photons.
    stray
        Stray element of the model -> share of the counts of each phase in its lines.

    Returns
    -------
    numpy.ndarray
        Counts per unit of dose, an electron times the share of the sphere that the
        detector covers; shape (n_channels, n_phases).

    Raises
    ------
    ValueError
        If a phase has elements that the model has not, or background and stray elements
        leave nothing for its lines.
    """
    check_elements(model, phases, stray)
    changes: dict[str, Any] = {"background": "laws", "extra_spectra": None}
    laws = BulkModel(**{"energy": model.energy, **model.options(), **changes})
    kinds = [column.kind for column in laws.columns]
    background = np.array([kind == "background" for kind in kinds])
    return np.stack(
        [_spectrum(laws, phase, stray, background) for phase in phases], axis=1
    )


def _spectrum(
    model: BulkModel, phase: Phase, stray: Mapping[str, float], background: np.ndarray
) -> np.ndarray:
    """Spectrum of one phase, shape (n_channels,)."""
    G = model.refined(phase.composition).G
    mass = phase.mass_fractions
    per_gram = {x: mass.get(x, 0.0) / atomic_weight(x) * _PER_GRAM for x in mass}
    own = np.zeros(G.shape[0])
    for column, spectrum in zip(model.columns, G.T, strict=True):
        if column.kind in ("element", "line"):
            own += per_gram.get(column.element or "", 0.0) * spectrum
    own *= LAYER * CM2_PER_BARN
    shares = background_terms(phase, int(background.sum()))
    left = 1 - shares.sum() - sum(stray.values())
    if left <= 0:
        raise ValueError(
            f"Background and stray lines take {1 - left:.2f} of the counts of "
            f"{phase.name}, which leaves nothing for its own lines."
        )
    counted = own.sum() / left
    shapes = G[:, background]
    total = own + counted * shapes / shapes.sum(axis=0) @ shares
    for element, share in stray.items():
        lines = [c.kind == "stray" and c.element == element for c in model.columns]
        spectrum = G[:, lines].sum(axis=1)
        total = total + counted * share * spectrum / spectrum.sum()
    return total
