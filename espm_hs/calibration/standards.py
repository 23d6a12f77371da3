"""Line factors that a film of known composition shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, cast

import numpy as np

from espm_hs.arguments import check_mapping, check_number
from espm_hs.calibration.automatic import AutomaticCalibration
from espm_hs.calibration.pile_up import sum_peak_share
from espm_hs.compounds.formulas import parse_formula
from espm_hs.factorization import deviance_ratio, fit_spectrum
from espm_hs.physics import BulkModel, SpectrumModel, atomic_to_mass_fractions
from espm_hs.physics.xray.elements import normalised_fractions
from espm_hs.physics.xray.emission import FAMILIES
from espm_hs.physics.xray.kfactors import detected
from espm_hs.physics.xray.line_factors import Standard
from espm_hs.physics.xray.unabsorbed import CM2_PER_BARN
from espm_hs.physics.xray.uncertainty import LineErrors, multiplets
from espm_hs.physics.xray.unknowns import DETECTOR, THICKNESS
from espm_hs.quantification.percent_with_errors import fit_response

Array = np.ndarray
# Largest relative error of what is counted of a family that tells its factor.
POOR = 0.2
# Relative difference of efficiencies of what is the same detector.
SAME = 0.01


def atoms_of(composition: Any) -> dict[str, float]:
    """Return the atomic fractions of a composition or a formula.

    Parameters
    ----------
    composition
        Numbers of atoms of each element, in any unit, or a formula: "Ca10(PO4)6F2".

    Raises
    ------
    ValueError
        If it is neither.
    TypeError
        If it is something else.
    """
    if isinstance(composition, str):
        return normalised_fractions(parse_formula(composition))
    what = "symbols to numbers of atoms, such as {'O': 3, 'Sr': 1, 'Ti': 1}"
    check_mapping("composition", composition, f"{what}, or be a formula")
    return normalised_fractions(composition)


def checked_film(
    composition: Mapping[str, float] | str | None,
    error: float | Mapping[str, float] | None,
) -> tuple[dict[str, float], dict[str, float]]:
    """Return atomic fractions of a film, and the relative errors of its atoms.

    Raises
    ------
    ValueError, TypeError
        If these are none, or an error is that of an element that the film lacks.
    """
    atoms = {name: share for name, share in atoms_of(composition).items() if share > 0}
    error = 0.0 if error is None else error
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


def film_thickness(
    mass_thickness: float | None, **known: float | None
) -> dict[str, Any]:
    """Return what is given of the thickness of a film as arguments of a model."""
    given: dict[str, Any] = {
        k: value for k, value in known.items() if value is not None
    }
    if mass_thickness is None:
        return given
    check_unused(
        "a film without a mass thickness", **{**known, "thickness_error": None}
    )
    check_number("mass_thickness", mass_thickness, 0, 1)
    # only the product absorbs
    return {**given, "thickness": 1e6 * mass_thickness, "density": 1.0}


def key_of(content: bytes) -> str:
    """Return a key under which metadata hold a standard of that content."""
    return f"standard_{sha256(content).hexdigest()[:12]}"


def check_unused(owner: str, **given: Any) -> None:
    """Raise ValueError for arguments that are given and belong to something else."""
    if names := [f"`{name}`" for name, value in given.items() if value is not None]:
        raise ValueError(f"{', '.join(names)}: only {owner} has that; leave it out.")


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
    theirs, ours = (one.detector.efficiency(energy) for one in (standard, other))
    stated = {DETECTOR not in one.unknown for one in (standard, other)}
    if len(stated) > 1 or not np.allclose(theirs, ours, rtol=SAME, atol=1e-6):
        both = [
            "none stated" if DETECTOR in one.unknown else str(one.detector)
            for one in (standard, other)
        ]
        raise ValueError(
            "The standard was measured with another detector than this signal, by the "
            f"metadata ({both[0]} and {both[1]}), and line factors hold the efficiency "
            "of the detector. If it is the same, say so with "
            "`set_analysis_parameters(detector=...)` on both."
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
    free, used = _untied(model, spectrum, refinement)
    weights, covariance = _amounts(free, np.asarray(spectrum, float)[used], used)
    kept = _seen(free, np.diag(covariance))
    columns = [column for i, column in enumerate(free.columns) if i in kept]
    elements = [column.element or "" for column in columns]
    names = [f"{column.element}_{column.family}" for column in columns]
    unknown = free.unknowns_of_columns()
    emitting = free.emitting_mass
    absolute = electrons is not None and emitting is not None
    per_mass = emitting * electrons if emitting and electrons else 1.0
    if isinstance(free, BulkModel):
        # two photons of each sum are missing in their lines, as the total knows
        per_mass *= 1 - 2 * float(sum_peak_share(free, weights))
    responses = -unknown.responses[:, kept]
    if absolute and THICKNESS in unknown.names:
        # a thicker film is more matter, which absorbs more
        responses[unknown.names.index(THICKNESS)] += free.thickness_error
    wrong = np.array([composition_error.get(element, 0.0) for element in elements])
    total = covariance[np.ix_(kept, kept)] + responses.T @ responses
    total += np.equal.outer(elements, elements) * np.outer(wrong, wrong)
    mass = atomic_to_mass_fractions(free.composition or {})
    counted = weights[: unknown.factors.size] * unknown.factors / CM2_PER_BARN
    found = {}
    for i, element, family in zip(kept, elements, names, strict=True):
        per_atom = detected(family, free.beam_energy, "atomic", free.detector)
        found[family] = float(per_mass * mass[element] / (counted[i] * per_atom))
    errors = dict(zip(names, np.linalg.cholesky(total).tolist(), strict=True))
    return Standard(found, errors, absolute, name)


def _untied(
    model: SpectrumModel, spectrum: Array, refinement: AutomaticCalibration | None
) -> tuple[SpectrumModel, Array]:
    """Return the model with a column of each family, refined, and its channels."""
    families = (f"{x}_{family}" for x in model.elements for family in FAMILIES)
    free = model.replace(
        split_lines=dict.fromkeys(model.elements, "families"),
        line_factors=None,
        # what is to be measured holds no errors of atomic data and efficiency
        line_factor_errors={key: [0.0] for key in families},
    )
    if refinement is not None:
        used = free.channels
        free = cast(SpectrumModel, refinement.refined(free, spectrum[used], used)[0])
    return free, free.channels


def _amounts(model: SpectrumModel, x: Array, used: Array) -> tuple[Array, Array]:
    """Return the weights of the columns, and the covariance of their relative errors.

    They are those of the counts, larger where the model does not fit, and of the shares
    of lines within families, which reach other families where lines overlap.
    """
    G = model.G[used]
    weights, y = fit_spectrum(G, x)
    shown = np.flatnonzero(weights > 0)
    columns = G[:, shown] * weights[shown]
    misfit = max(1.0, deviance_ratio(x, y, G.shape[1]))
    information = (columns / y[:, None]).T @ columns
    parts = multiplets(model, LineErrors())
    moved = fit_response(y, columns, parts.spectra[used] * weights[parts.column])
    covariance = np.diag(np.full(weights.size, np.inf))
    covariance[np.ix_(shown, shown)] = (
        misfit * np.linalg.pinv(information, hermitian=True)
        + moved @ parts.covariance @ moved.T
    )
    return weights, covariance


def _seen(model: SpectrumModel, variance: Array) -> list[int]:
    """Return the columns of families that are seen; ValueError if an element is not."""
    kept = [
        i
        for i, column in enumerate(model.columns)
        if column.kind in ("element", "line") and variance[i] < POOR**2
    ]
    seen = {model.columns[i].element for i in kept}
    if missing := [element for element in model.elements if element not in seen]:
        raise ValueError(
            f"The standard shows too few counts of {', '.join(missing)}: a family of "
            f"lines must be known to {100 * POOR:g} %. Measure longer, or leave the "
            "element out with `standard.set_elements([...])`; what the composition "
            "names absorbs all the same."
        )
    return kept
