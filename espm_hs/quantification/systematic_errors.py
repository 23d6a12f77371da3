"""Errors by what is not known of sample and detector, and what oxygen says of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from espm_hs.decomposition.result import PhaseAnalysis
from espm_hs.physics import SpectrumModel
from espm_hs.physics.xray.unknowns import (
    ANGLE,
    DETECTOR,
    THICKNESS,
    USUAL_ANGLES,
    USUAL_FACTOR,
    USUAL_THICKNESS,
)
from espm_hs.quantification.percent_with_errors import VALENCES, oxygen_per_atom

# What is said of what is not stated, and the call that states it.
_NOT_STATED = {
    THICKNESS: (
        f"the thickness, {USUAL_THICKNESS:g} nm within a factor of {USUAL_FACTOR:g}",
        "thickness=, density=",
    ),
    ANGLE: (
        "the take-off angle, {:g} to {:g} degrees".format(*USUAL_ANGLES),
        "take_off_angle=",
    ),
    DETECTOR: ("whether the detector has a window", "detector="),
}
# Oxygen disagrees with what the other elements bind by so many standard errors, and
# these bind it if there is so much of what they could.
_DISAGREES, _BOUND = 2.0, (0.3, 3.0)
# Mass thicknesses among which oxygen may agree, kg/m2.
_MASSES = np.geomspace(1e-6, 1e-2, 80)
# Columns of the report.
_PARTS = ((THICKNESS, ANGLE), (DETECTOR,))


def instrument_errors(analysis: PhaseAnalysis) -> list[np.ndarray]:
    """Return how far unknowns move the atoms of each phase.

    Parameters
    ----------
    analysis
        Result of a decomposition.

    Returns
    -------
    list of numpy.ndarray
        Of absorption and of the detector; shape (n_phases, n_elements, n_unknowns),
        one standard deviation of each unknown, which moves all elements together.
    """
    found = analysis.unknowns
    if found is None:
        return [np.zeros((analysis.n_phases, len(analysis.elements), 0))] * len(_PARTS)
    moved = (found.responses * analysis.composition).transpose(2, 1, 0)
    which = [[name in part for name in found.names] for part in _PARTS]
    return [moved[..., chosen] for chosen in which]


def unknowns_text(analysis: PhaseAnalysis) -> Iterator[str]:
    """Say once what is not stated and so taken as the mean over what is usual."""
    model = analysis.model
    if analysis.unknowns is None or not isinstance(model, SpectrumModel):
        return
    open_ = [x for x in analysis.unknowns.names if x in model.unknown]
    if open_:
        what, calls = zip(*(_NOT_STATED[name] for name in open_), strict=True)
        yield (
            f"Not stated, and in the errors: {'; '.join(what)}. State it with "
            f"s.set_analysis_parameters({', '.join(calls)})."
        )


def oxygen_text(
    analysis: PhaseAnalysis, oxygen: Mapping[int, tuple[float, float]]
) -> Iterator[str]:
    """Say where oxygen disagrees with what the valences of the others bind.

    Parameters
    ----------
    analysis
        Result of a decomposition.
    oxygen
        Number of a phase -> at.% of oxygen, and its standard error.
    """
    cations = [name for name in analysis.elements if name != "O"]
    model = analysis.model
    if not (isinstance(model, SpectrumModel) and oxygen and cations):
        return
    if any(VALENCES.get(name, 0) <= 0 for name in cations):
        return
    per_atom = np.zeros(len(analysis.elements))
    others = [name != "O" for name in analysis.elements]
    per_atom[others] = oxygen_per_atom(cations, "stoichiometry")
    for j, (percent, error) in oxygen.items():
        bound = per_atom @ analysis.composition[:, j]
        whole = analysis.composition[others, j].sum() + bound
        expected = 100 * bound / whole
        low, high = (x * expected for x in _BOUND)
        is_oxide = low < percent < min(high, 100 - _DISAGREES * error)
        if is_oxide and abs(percent - expected) > _DISAGREES * error:
            label = analysis.labels[j]
            yield (
                f"{label[0].upper()}{label[1:]}: oxygen is {percent:.1f} ± {error:.1f} "
                f"at.%, and the usual valences bind {expected:.1f}"
                f"{_agreeing(analysis, model, j, per_atom)}."
            )


def _agreeing(
    analysis: PhaseAnalysis, model: SpectrumModel, j: int, per_atom: np.ndarray
) -> str:
    """Say by which mass thickness oxygen would be what the other elements bind."""
    found = analysis.W[analysis.element_columns, j]
    row = analysis.elements.index("O")
    amounts = [model.amounts_at(found, mass) for mass in _MASSES.tolist()]
    lacking = np.array([x @ per_atom - x[row] for x in amounts])
    crossing = np.flatnonzero(np.sign(lacking[1:]) != np.sign(lacking[:-1]))
    if crossing.size == 0:
        return ", which no thickness explains"
    mass = float(_MASSES[crossing[0]])
    # a density of 1 stands for one that is not known
    dense = model.density not in (None, 1.0)
    thickness = f", {1e6 * mass / (model.density or 1):.0f} nm" if dense else ""
    return f", as with a mass thickness of {mass:.1e} kg/m2{thickness}"
