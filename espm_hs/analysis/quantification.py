"""From phases to composition in percent, with errors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from espm_hs.analysis.phases import PhaseAnalysis, fingerprint
from espm_hs.analysis.stoichiometry import oxygen_per_atom
from espm_hs.factorization import Counts, abundance_covariance, smoothed_covariance
from espm_hs.physics import atomic_weight

UNITS = ("atomic", "weight")
OXYGEN = ("measured", "stoichiometry")
# Pixels handled at once, so that the covariances of a large map stay small.
SLAB = 1 << 16


def choose_elements(analysis: PhaseAnalysis, elements: Sequence[str] | None):
    """Positions of the chosen elements among those of the analysis.

    Raises
    ------
    ValueError
        If an element was not part of the decomposition, or is named twice.
    """
    if elements is None:
        return list(range(len(analysis.elements)))
    if isinstance(elements, str):
        elements = [elements]
    unknown = [e for e in elements if e not in analysis.elements]
    if unknown or not elements:
        raise ValueError(
            f"`elements` is {list(elements)}, but the decomposition has "
            f"{list(analysis.elements)}. Choose among these, or set others with "
            "`s.set_elements(...)` and decompose again."
        )
    if twice := sorted({e for e in elements if list(elements).count(e) > 1}):
        raise ValueError(
            f"`elements` is {list(elements)}, which names {', '.join(twice)} more than "
            "once. Name each element once: `s.quantify(elements=[...])`."
        )
    return [analysis.elements.index(e) for e in elements]


def check_channels(analysis: PhaseAnalysis, data) -> None:
    """Raise RuntimeError if the data have other channels than were decomposed."""
    if analysis.channels.size != data.shape[-1]:
        raise _moved(f"{data.shape[-1]} channels, not {analysis.channels.size}")


def _check_counts(analysis, counts) -> None:
    """Raise RuntimeError if these are not the counts that were decomposed."""
    if not np.array_equal(analysis.fingerprint, fingerprint(counts)):
        raise _moved("other counts, or the same ones in other pixels")


def _moved(found) -> RuntimeError:
    return RuntimeError(
        f"The data are no longer those that were decomposed: they have {found}, so "
        "they were transposed, cropped or changed since. Run "
        "`s.decomposition(algorithm='espm', output_dimension=...)` again."
    )


def amounts_of(
    analysis: PhaseAnalysis,
    units: str = "atomic",
    elements: Sequence[str] | None = None,
    oxygen: str | Mapping[str, float] = "measured",
) -> tuple[list[str], np.ndarray]:
    """Elements to report, and how their amounts follow from the numbers of atoms.

    Everything that can be chosen about a composition is linear before the closure to
    100 %: leaving elements out, weighing them, and oxygen from the valences.

    Parameters
    ----------
    analysis
        Result of a decomposition.
    units
        "atomic" or "weight".
    elements
        Symbols of those that count (None: all).
    oxygen
        "measured", "stoichiometry", or valences as in `oxygen_per_atom`.

    Returns
    -------
    elements : list of str
        Symbols; with oxygen by stoichiometry O is among them, whether it was measured
        or not.
    amounts : ndarray of shape (n_chosen, n_elements)
        Amounts (atoms, or atoms times atomic weight) per atom of the analysis.

    Raises
    ------
    ValueError, TypeError
        If an argument is unknown, or a valence is missing.
    """
    if units not in UNITS:
        raise ValueError(f"`units` must be one of {UNITS}, got {units!r}.")
    chosen = choose_elements(analysis, elements)
    amounts = np.eye(len(analysis.elements))[chosen]
    symbols = [analysis.elements[i] for i in chosen]
    if isinstance(oxygen, str) and oxygen not in OXYGEN:
        raise ValueError(
            f"`oxygen` must be one of {OXYGEN} or a mapping of valences such as "
            f"{{'Fe': 3}}, got {oxygen!r}."
        )
    if oxygen != "measured":
        cations = [symbol for symbol in symbols if symbol != "O"]
        at = [analysis.elements.index(symbol) for symbol in cations]
        row = np.zeros(len(analysis.elements))
        row[at] = oxygen_per_atom(cations, oxygen)
        if "O" not in symbols:
            symbols, amounts = [*symbols, "O"], np.vstack([amounts, row])
        amounts[symbols.index("O")] = row
    if units == "weight":
        amounts = amounts * [[atomic_weight(symbol)] for symbol in symbols]
    return symbols, amounts


def to_percent(
    analysis: PhaseAnalysis, units: str = "atomic", elements=None, oxygen="measured"
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Composition of the phases.

    Parameters
    ----------
    analysis
        Result of a decomposition.
    units, elements, oxygen
        As in `amounts_of`; the elements reported make up 100 %.

    Returns
    -------
    elements : list of str
        Symbols.
    percent, variance : ndarray of shape (n_elements, n_phases)
        In percent and percent squared.
    """
    symbols, per_atom = amounts_of(analysis, units, elements, oxygen)
    amounts = per_atom @ analysis.composition
    covariance = per_atom @ analysis.composition_covariance @ per_atom.T
    percent = np.empty_like(amounts)
    variance = np.empty_like(amounts)
    for j in range(analysis.n_phases):
        percent[:, j], jacobian = closed(amounts[:, j])
        variance[:, j] = np.einsum(
            "ea,ab,eb->e", jacobian, covariance[j], jacobian, optimize=True
        )
    return symbols, percent, variance


def closed(amounts):
    """Percentages of amounts (n,), and their derivative (n, n)."""
    total = amounts.sum()
    if total == 0:
        nothing = np.full_like(amounts, np.nan)
        return nothing, np.full((amounts.size, amounts.size), np.nan)
    fractions = amounts / total
    jacobian = (np.eye(amounts.size) - fractions[:, None]) / total
    return 100 * fractions, 100 * jacobian


def pixel_composition(
    analysis: PhaseAnalysis,
    data,
    loadings: np.ndarray,
    units="atomic",
    elements=None,
    oxygen="measured",
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Composition of each pixel.

    Parameters
    ----------
    analysis
        Result of a decomposition.
    data
        The counts, shape (*navigation, n_channels): their noise makes the error.
    loadings
        Shape (n_pixels, n_phases), NaN in pixels left out.
    units, elements, oxygen
        As in `to_percent`.

    Returns
    -------
    elements : list of str
        Symbols.
    percent, variance : ndarray of shape (n_elements, n_pixels)
        In percent and percent squared; the variance is that of the abundances, for
        phases taken as known. NaN in pixels left out or without counts.

    Raises
    ------
    RuntimeError
        If the data are not those that were decomposed.
    """
    symbols, per_atom = amounts_of(analysis, units, elements, oxygen)
    per_loading = per_atom @ atoms_per_loading(analysis)
    with np.errstate(divide="ignore", invalid="ignore"):
        amounts = loadings @ per_loading.T
        total = amounts.sum(axis=1, keepdims=True)
        total = np.where(total > 0, total, np.nan)
        fractions = amounts / total
    variance = np.full(fractions.shape, np.nan)
    for where, covariance in abundance_slabs(analysis, data, loadings):
        # d fraction / d loading, shape (pixels, elements, phases)
        response = per_loading - fractions[where][..., None] * per_loading.sum(axis=0)
        response = 100 * response / total[where][..., None]
        variance[where] = np.einsum(
            "pek,pkl,pel->pe", response, covariance, response, optimize=True
        )
    return symbols, 100 * fractions.T, variance.T


def abundance_slabs(
    analysis: PhaseAnalysis, data, loadings: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Covariance of the loadings, for phases taken as known, some pixels at a time.

    Parameters
    ----------
    analysis
        Result of a decomposition.
    data
        The counts, shape (*navigation, n_channels).
    loadings
        Shape (n_pixels, n_phases), NaN in pixels left out.

    Yields
    ------
    pixels : ndarray of int, shape (n,)
    covariance : ndarray of shape (n, n_phases, n_phases)

    Raises
    ------
    RuntimeError
        If the data are not those that were decomposed.
    """
    check_channels(analysis, data)
    used = ~np.isnan(loadings).any(axis=1)
    H = np.ascontiguousarray(loadings[used])
    counts = Counts.from_array(data, pixels=used, channels=analysis.channels)
    _check_counts(analysis, counts)
    spectra = np.ascontiguousarray(analysis.spectra[analysis.channels])
    where = np.flatnonzero(used)
    support = analysis.knowledge.support
    # loadings are counts, unless those of each pixel add up to 1
    dose = counts.dose
    unit = H.sum(axis=1).mean()
    strength = analysis.smoothness * dose / unit**2
    n_axes = sum(size > 1 for size in data.shape[:-1])
    for first in range(0, H.shape[0], SLAB):
        part = slice(first, first + SLAB)
        covariance = abundance_covariance(counts, spectra, H[part], first=first)
        if support is not None:  # what is known to be nowhere else has no error there
            there = support[where[part]]
            covariance *= there[:, :, None] & there[:, None, :]
        yield where[part], smoothed_covariance(covariance, strength, n_axes)


def atoms_per_loading(analysis):
    """Atoms of each element in a loading of 1, shape (n_elements, n_phases)."""
    composition = analysis.composition
    total = composition.sum(axis=0)
    fractions = composition / np.where(total > 0, total, 1.0)
    return fractions * analysis.atoms
