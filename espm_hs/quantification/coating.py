"""The layer of carbon that makes a bulk sample conduct, from its own line."""

from __future__ import annotations

import numpy as np

from espm_hs.decomposition.result import PhaseAnalysis
from espm_hs.physics import (
    BulkModel,
    atomic_number,
    atomic_to_mass_fractions,
    atomic_weight,
)
from espm_hs.physics.bulk.depth import (
    Shells,
    cross_section_exponent,
    depth_distribution,
)
from espm_hs.physics.bulk.emission import LAYER_KG_M2
from espm_hs.physics.xray.absorption import material_data
from espm_hs.physics.xray.ionization import edge_energy
from espm_hs.physics.xray.uncertainty import LineErrors

CARBON = "C"
#: Relative error of what a window lets through of its line.
WINDOW_ERROR = 0.15
# kg/m2 of 1 nm of 1 g/cm3.
_PER_NM = 1e-6


def coating_thicknesses(analysis: PhaseAnalysis) -> tuple[np.ndarray, np.ndarray]:
    """Return how thick a layer of carbon is on each phase, and its standard error.

    Parameters
    ----------
    analysis
        Result of a decomposition.

    Returns
    -------
    tuple of two numpy.ndarray
        nm, shape (n_phases,); NaN for a phase without elements.

    Raises
    ------
    ValueError
        If the sample is not a bulk sample, or carbon is not a stray element.

    Notes
    -----
    A bulk sample is compared with a layer of a known mass thickness, and so is the
    column of a stray element: the layer of carbon has the ratio of their masses. The
    beam, and electrons that the sample sends back, excite it as they do its surface.
    """
    model = analysis.model
    if not isinstance(model, BulkModel):
        raise ValueError(
            "The coating is that of a bulk sample, and the result is of another model. "
            "Call `s.set_signal_type('EDS_espm_SEM')` and decompose."
        )
    own = [
        i
        for i, column in enumerate(model.columns)
        if (column.kind, column.element) == ("stray", CARBON)
    ]
    if not own:
        raise ValueError(
            "The line of carbon is not part of the model. State it with "
            "`s.set_analysis_parameters(stray_elements=['C'])`, with a "
            "`minimum_energy=` below 0.25 keV, and decompose again."
        )
    carbon, energy = own[0], edge_energy(CARBON, "K")
    exponent = cross_section_exponent(atomic_number(CARBON), "K")
    shell = Shells(np.array([energy]), np.ravel(exponent))
    _, density = material_data(CARBON)
    found = np.full((2, analysis.n_phases), np.nan)
    for j, atoms in enumerate(analysis.composition.T):
        if not atoms.any():
            continue
        composition = dict(zip(analysis.elements, atoms.tolist(), strict=True))
        mass = sum(x * atomic_weight(name) for name, x in composition.items())
        fractions = atomic_to_mass_fractions(composition)
        fractions = {name: x for name, x in fractions.items() if x > 0}
        excited = depth_distribution(fractions, shell, model.beam_energy, model.tilt)
        layer = LAYER_KG_M2 * atomic_weight(CARBON) / mass / excited.surface[0]
        counted = analysis.covariance[j, carbon, carbon]
        amount = analysis.W[carbon, j] * np.array([1, WINDOW_ERROR])
        yields = analysis.W[carbon, j] * LineErrors().of(CARBON, "K").total
        error = np.sqrt(counted + amount[1] ** 2 + yields**2)
        found[:, j] = np.array([amount[0], error]) * layer / density / _PER_NM
    return found[0], found[1]
