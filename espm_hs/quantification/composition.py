"""From phases to composition in percent, with errors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

import dask.array as da
import numpy as np
from dask import delayed

from espm_hs.arguments import check_choice
from espm_hs.decomposition.result import PhaseAnalysis, fingerprint
from espm_hs.factorization import abundance_covariance, smoothed_covariance
from espm_hs.factorization.counts.reading import kept_counts
from espm_hs.physics import atomic_weight
from espm_hs.quantification.stoichiometry import oxygen_per_atom

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
    TypeError
        If they are no list.
    """
    if elements is None:
        return list(range(len(analysis.elements)))
    if not isinstance(elements, Iterable):
        raise TypeError(
            f"`elements` must be a list of symbols, got {elements!r}; the "
            f"decomposition has {list(analysis.elements)}."
        )
    elements = [elements] if isinstance(elements, str) else list(elements)
    unknown = [e for e in elements if not isinstance(e, str)]
    unknown = unknown or [e for e in elements if e not in analysis.elements]
    if unknown or not elements:
        raise ValueError(
            f"`elements` is {elements}, but the decomposition has "
            f"{list(analysis.elements)}. Choose among these, or set others with "
            "`s.set_elements(...)` and decompose again."
        )
    if twice := sorted({e for e in elements if elements.count(e) > 1}):
        raise ValueError(
            f"`elements` is {elements}, which names {', '.join(twice)} more than "
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
    check_choice("units", units, UNITS)
    chosen = choose_elements(analysis, elements)
    amounts = np.eye(len(analysis.elements))[chosen]
    symbols = [analysis.elements[i] for i in chosen]
    is_word = isinstance(oxygen, str) and oxygen in OXYGEN
    if not (is_word or isinstance(oxygen, Mapping)):
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
    lazy: bool = False,
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
    lazy
        Return dask arrays.

    Returns
    -------
    elements : list of str
        Symbols.
    percent, variance : ndarray of shape (n_elements, *navigation)
        In percent and percent squared; the variance is that of the abundances, for
        phases taken as known. NaN in pixels left out or without counts.

    Raises
    ------
    RuntimeError
        If the data are not those that were decomposed.
    """
    symbols, per_atom = amounts_of(analysis, units, elements, oxygen)
    per_loading = per_atom @ atoms_per_loading(analysis)
    work = partial(_shares, per_loading)
    values = over_pixels(analysis, data, loadings, work, len(symbols), lazy)
    return symbols, values[0], values[1]


def _shares(per_loading, H, covariance):
    """Percentages of amounts that are linear in H (p, k), and their variances."""
    with np.errstate(divide="ignore", invalid="ignore"):
        amounts = H @ per_loading.T
        total = amounts.sum(axis=1, keepdims=True)
        total = np.where(total > 0, total, np.nan)
        fractions = amounts / total
    # d fraction / d loading, shape (pixels, elements, phases)
    response = per_loading - fractions[..., None] * per_loading.sum(axis=0)
    response = 100 * response / total[..., None]
    variance = np.einsum("pek,pkl,pel->pe", response, covariance, response)
    return 100 * fractions, variance


def over_pixels(
    analysis: PhaseAnalysis,
    data,
    loadings: np.ndarray,
    function: Callable,
    n: int,
    lazy: bool = False,
):
    """Compute something from the loadings of each pixel and their covariance.

    Parameters
    ----------
    analysis
        Result of a decomposition.
    data
        The counts, shape (*navigation, n_channels).
    loadings
        Shape (n_pixels, n_phases), NaN in pixels left out.
    function
        Of H (p, n_phases) and its covariance (p, n_phases, n_phases), for phases taken
        as known; returns values and variances, each (p, n).
    n
        How many values a pixel gets.
    lazy
        Return a dask array, whose chunks hold the counts that they need.

    Returns
    -------
    numpy or dask array of shape (2, n, *navigation)
        Values and variances, NaN in pixels left out.

    Raises
    ------
    RuntimeError
        If the data are not those that were decomposed.
    """
    check_channels(analysis, data)
    navigation = data.shape[:-1] or (1,)
    used = ~np.isnan(loadings).any(axis=1)
    counts = kept_counts(data, used, analysis.channels)
    _check_counts(analysis, counts)
    block = _Block(analysis, counts, loadings, navigation, function)
    support = analysis.knowledge.support
    per_row = int(np.prod(navigation[1:]))
    before = np.concatenate(([0], np.cumsum(used)))
    step = max(1, SLAB // per_row)
    parts = []
    found = None if lazy else np.empty((2, n, *navigation))
    for first in range(0, navigation[0], step):
        n_rows = min(step, navigation[0] - first)
        place = slice(first * per_row, (first + n_rows) * per_row)
        part = counts.part(before[place.start], before[place.stop])
        shape = (2, n, n_rows, *navigation[1:])
        there = None if support is None else support[place]
        if lazy:
            some = counts.send(loadings[place])
            task = delayed(block, pure=False)(part, some, there, shape)
            parts.append(da.from_delayed(task, shape, float))
        else:
            rows = slice(first, first + n_rows)
            found[:, :, rows] = block(part, loadings[place], there, shape)
    return da.concatenate(parts, axis=2) if lazy else found


class _Block:
    """Computes the values of some pixels."""

    def __init__(self, analysis, counts, loadings, navigation, function):
        self.function = function
        self.spectra = np.ascontiguousarray(analysis.spectra[analysis.channels])
        self.dose = counts.dose
        # loadings are counts, unless those of each pixel add up to 1
        unit = np.nanmean(loadings.sum(axis=1))
        self.strength = analysis.smoothness * self.dose / unit**2
        self.n_axes = sum(size > 1 for size in navigation)

    def __call__(self, counts, loadings, support, shape):
        """Values and variances for the loadings (p, k), in the shape asked for."""
        used = ~np.isnan(loadings).any(axis=1)
        H = np.ascontiguousarray(loadings[used])
        covariance = abundance_covariance(counts, self.spectra, H, dose=self.dose)
        if support is not None:  # what is known to be nowhere else has no error there
            there = support[used]
            covariance *= there[:, :, None] & there[:, None, :]
        covariance = smoothed_covariance(covariance, self.strength, self.n_axes)
        found = np.full((2, shape[1], len(loadings)), np.nan)
        values, variances = self.function(H, covariance)
        found[0, :, used], found[1, :, used] = values, variances
        return found.reshape(shape)


def atoms_per_loading(analysis):
    """Atoms of each element in a loading of 1, shape (n_elements, n_phases)."""
    composition = analysis.composition
    total = composition.sum(axis=0)
    fractions = composition / np.where(total > 0, total, 1.0)
    return fractions * analysis.atoms
