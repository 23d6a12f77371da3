"""Line factors that a film of known composition shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, cast

import numpy as np

from espm_hs.arguments import check_number
from espm_hs.calibration.automatic import AutomaticCalibration
from espm_hs.factorization import deviance_ratio, fit_spectrum
from espm_hs.physics import SpectrumModel, atomic_to_mass_fractions
from espm_hs.physics.xray.elements import atoms_of
from espm_hs.physics.xray.kfactors import detected
from espm_hs.physics.xray.line_factors import Standard
from espm_hs.physics.xray.unabsorbed import CM2_PER_BARN
from espm_hs.physics.xray.uncertainty import LineErrors, multiplets
from espm_hs.physics.xray.unknowns import (
    DETECTOR,
    THICKNESS,
    unknowns_of_columns,
)
from espm_hs.quantification.percent_with_errors import fit_response

Array = np.ndarray
# Largest relative error of the counts of a family that tells its factor.
POOR = 0.2
# Relative difference of efficiencies of what is the same detector.
SAME = 0.01


def film(
    composition: Mapping[str, float] | str | None,
    error: float | Mapping[str, float] = 0.0,
) -> tuple[dict[str, float], dict[str, float]]:
    """Return atomic fractions of a film, and the relative errors of its atoms.

    Raises
    ------
    ValueError, TypeError
        If these are none, or an error is that of an element that the film lacks.
    """
    atoms = {name: share for name, share in atoms_of(composition).items() if share > 0}
    errors = error if isinstance(error, Mapping) else dict.fromkeys(atoms, error)
    if unknown := [name for name in errors if name not in atoms]:
        raise ValueError(
            f"`composition_error` names {', '.join(map(str, unknown))}; the standard "
            f"has {', '.join(atoms)}."
        )
    for one in errors.values():
        check_number("composition_error", one, 0, 1)
    return atoms, {name: float(one) for name, one in errors.items()}


def film_elements(
    elements: Sequence[str] | None, atoms: Mapping[str, float]
) -> list[str]:
    """Return the elements of a film whose lines are fitted.

    Parameters
    ----------
    elements
        Those that the metadata state; if there are none, all are fitted.
    atoms
        Composition of the film.

    Raises
    ------
    ValueError
        If the composition lacks one.
    """
    fitted = list(elements or atoms)
    if missing := [element for element in fitted if element not in atoms]:
        names = ", ".join(missing)
        raise ValueError(
            f"The composition of the standard lacks {names}, which its metadata name. "
            "Give the whole composition, or, if they are of the microscope, declare "
            "them so: `standard.set_elements([...])` without them and "
            f"`standard.set_analysis_parameters(stray_elements={missing})`."
        )
    return fitted


def key_of(content: bytes) -> str:
    """Return a key under which metadata hold a standard of that content."""
    return f"standard_{sha256(content).hexdigest()[:12]}"


def check_alike(standard: SpectrumModel, other: SpectrumModel) -> None:
    """Raise ValueError if lines of a standard are not counted as those of a sample."""
    if standard.beam_energy != other.beam_energy:
        raise ValueError(
            f"The standard was measured with {standard.beam_energy:g} keV and this "
            f"signal with {other.beam_energy:g} keV, and line factors depend on the "
            "beam energy. Measure a standard with the same, or correct the metadata "
            "with `s.set_microscope_parameters(beam_energy=...)`."
        )
    # each where it is used: a measured curve may end with its axis
    energy = standard.energy[standard.channels]
    energy = energy[(energy >= other.minimum_energy) & (energy <= other.energy[-1])]
    seen = [one.detector.efficiency(energy) for one in (standard, other)]
    stated = [DETECTOR not in one.unknown for one in (standard, other)]
    if stated[0] != stated[1] or not np.allclose(*seen, rtol=SAME, atol=1e-6):
        raise ValueError(
            "The standard was measured with another detector than this signal, by the "
            "metadata, and line factors hold the efficiency of the detector. If it is "
            "the same, say so with `set_analysis_parameters(detector=...)` on both."
        )


def measured(
    model: SpectrumModel,
    spectrum: Array,
    name: str,
    composition_error: Mapping[str, float],
    refinement: AutomaticCalibration | None = None,
    electrons: float | None = None,
) -> Standard:
    """Return the k-factors, or zeta factors, that a standard shows.

    Parameters
    ----------
    model
        Physics of the standard, with its composition.
    spectrum
        Summed counts, shape (n_channels,).
    name
        Of the standard.
    composition_error
        Relative standard errors of the atoms of each element.
    refinement
        What adapts the energy scale; None: it is taken as it is.
    electrons
        That made the counts. With them and a mass thickness that is stated, the scale
        is known.

    Raises
    ------
    ValueError
        If an element shows no family of lines well enough.

    Notes
    -----
    Each family is fitted on its own; lines within it keep their ratios. The errors are
    those of the counts, of the thickness and the take-off angle, of the composition,
    and of the shares of lines within families where these overlap.
    """
    families = {
        f"{element}_{family}": 0.0
        for element in model.elements
        for family in ("K", "L", "M")
    }
    # what is measured holds no errors of tables and of the efficiency
    free = model.replace(
        split_lines=dict.fromkeys(model.elements, "families"),
        line_factors=None,
        line_factor_errors={name: [0.0] for name in families},
    )
    spectrum, used = np.asarray(spectrum, float), free.channels
    if refinement is not None:
        refined, _ = refinement.refined(free, spectrum[used], used)
        free, used = cast(SpectrumModel, refined), refined.channels
    G, x = free.G[used], spectrum[used]
    weights, y = fit_spectrum(G, x)
    shown = np.flatnonzero(weights > 0)
    columns = G[:, shown] * weights[shown]
    information = (columns / y[:, None]).T @ columns
    misfit = max(1.0, deviance_ratio(x, y, G.shape[1]))
    covariance = misfit * np.linalg.pinv(information, hermitian=True)
    counted = dict(zip(shown.tolist(), np.sqrt(np.diag(covariance)), strict=True))
    kept = [
        i
        for i, column in enumerate(free.columns)
        if column.kind in ("element", "line") and counted.get(i, np.inf) < POOR
    ]
    _check_shown(free, kept)
    rows = np.searchsorted(shown, kept)
    covariance = covariance[np.ix_(rows, rows)]
    covariance += _of_shares(free, weights, G, shown, used)[np.ix_(rows, rows)]
    unknown = unknowns_of_columns(free, free._unabsorbed)
    known_scale = electrons is not None and THICKNESS not in free.unknown
    scale = 1.0
    responses = -unknown.responses[:, kept]
    if known_scale and free.mass_thickness > 0:
        scale = free.mass_thickness * electrons
        # a thicker film is more matter that absorbs more
        responses[unknown.names.index(THICKNESS)] += free.thickness_error
    covariance += responses.T @ responses
    elements = [free.columns[i].element or "" for i in kept]
    same = np.equal.outer(elements, elements)
    wrong = np.array([composition_error.get(element, 0.0) for element in elements])
    covariance += same * np.outer(wrong, wrong)
    mass = atomic_to_mass_fractions(free.composition or {})
    found, names = (
        {},
        [f"{free.columns[i].element}_{free.columns[i].family}" for i in kept],
    )
    for i, element, family in zip(kept, elements, names, strict=True):
        per_atom = detected(family, free.beam_energy, "atomic", free.detector)
        counts = weights[i] * unknown.factors[i] * per_atom / CM2_PER_BARN
        found[family] = float(scale * mass[element] / counts)
    causes = np.linalg.cholesky(covariance).tolist()
    errors = dict(zip(names, causes, strict=True))
    return Standard(found, errors, scale != 1.0, name)


def _check_shown(model: SpectrumModel, kept: list[int]) -> None:
    """Raise ValueError for an element of which no family is seen well enough."""
    seen = {model.columns[i].element for i in kept}
    if missing := [element for element in model.elements if element not in seen]:
        raise ValueError(
            f"The standard shows too few counts of {', '.join(missing)}: a family of "
            f"lines must be known to {100 * POOR:g} %. Measure longer, or leave the "
            "element out with `standard.set_elements([...])`; what the composition "
            "names absorbs all the same."
        )


def _of_shares(
    model: SpectrumModel, weights: Array, G: Array, shown: Array, used: Array
) -> Array:
    """Return what shares of lines within families do to others where they overlap."""
    parts: Any = multiplets(model, LineErrors())
    changes = parts.spectra[used] * weights[parts.column]
    moved = fit_response(G @ weights, G[:, shown], changes)
    moved = moved / weights[shown, None]
    return moved @ parts.covariance @ moved.T
