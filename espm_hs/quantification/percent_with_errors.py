"""From numbers of atoms to percent with errors: the one delta method of the package.

Everything that can be chosen about a composition is linear in the atoms x of each
element, but for the last step. A `Basis` makes these choices a matrix A, so that
the amounts are a = A x. The last step closes them to 100 %, p = 100 a / sum(a). To
first order an error dx of the atoms makes an error J dx of the percentages, with

    J = dp/dx = 100 (A - a / sum(a) * (1^T A)) / sum(a),

and a covariance C of the atoms makes the covariance J C J^T. `closed` gives p and J,
`propagated` the variances. The same J carries all `ERROR_PARTS` of a composition
(`report`) and, with the loadings of a pixel in the place of the atoms, the noise of
maps (`pixels`). What spectra that are not quite known do to the atoms, `fit_response`
says.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from numbers import Real
from typing import NamedTuple

import numpy as np

from espm_hs.arguments import check_choice
from espm_hs.decomposition.result import PhaseAnalysis
from espm_hs.physics import SpectrumModel, atomic_number, atomic_weight

#: A percentage of which the standard error is larger is none: it is from 0 to 100.
LARGEST_ERROR = 100.0
#: Parts of the error of a composition, under the names that they have everywhere.
ERROR_PARTS = (
    "counting",
    "bias",
    "atomic-data uncertainty",
    "absorption",
    "detector",
)
#: How percentages are written, by units.
PERCENT = {"atomic": "at.%", "weight": "wt.%", "oxide": "oxide wt.%"}
UNITS = tuple(PERCENT)
OXYGEN = ("measured", "stoichiometry")


@dataclass(frozen=True)
class Basis:
    """On what basis amounts are reported: which unit, which elements, which oxygen.

    Parameters
    ----------
    units
        "atomic", "weight", or "oxide" for the mass of the oxides of the elements.
    elements
        Symbols of those that count (None: all that were decomposed).
    oxygen
        "measured", "stoichiometry", or valences as in `oxygen_per_atom`.

    Raises
    ------
    ValueError
        If a unit or a word for the oxygen is unknown.
    """

    units: str = "atomic"
    elements: Sequence[str] | None = None
    oxygen: str | Mapping[str, float] = "measured"

    def __post_init__(self) -> None:
        check_choice("units", self.units, UNITS)
        is_word = isinstance(self.oxygen, str) and self.oxygen in OXYGEN
        if not (is_word or isinstance(self.oxygen, Mapping)):
            raise ValueError(
                f"`oxygen` must be one of {OXYGEN} or a mapping of valences such as "
                f"{{'Fe': 3}}, got {self.oxygen!r}."
            )

    def of(self, measured: Sequence[str]) -> tuple[list[str], np.ndarray]:
        """Return what is reported of the elements that were decomposed.

        Parameters
        ----------
        measured
            Their symbols.

        Returns
        -------
        symbols
            Elements that are reported, or formulas of their oxides. With oxygen by
            stoichiometry O is among them, whether it was measured or not.
        per_atom
            Amounts (atoms, or atoms times atomic weight) per measured atom, shape
            (n_symbols, n_measured).

        Raises
        ------
        ValueError, TypeError
            If an element cannot be chosen, or a valence is missing.
        """
        measured = list(measured)
        symbols = _chosen(measured, self.elements)
        if self.units == "oxide":
            symbols = [symbol for symbol in symbols if symbol != "O"]
        per_atom = np.eye(len(measured))[[measured.index(e) for e in symbols]]
        if self.units == "oxide":
            oxides = [oxide(symbol, self.oxygen) for symbol in symbols]
            masses = np.array([one.mass for one in oxides]).reshape(-1, 1)
            return [one.formula for one in oxides], per_atom * masses
        if self.oxygen != "measured":
            cations = [symbol for symbol in symbols if symbol != "O"]
            row = np.zeros(len(measured))
            bound = oxygen_per_atom(cations, self.oxygen)
            row[[measured.index(symbol) for symbol in cations]] = bound
            if "O" not in symbols:
                symbols, per_atom = [*symbols, "O"], np.vstack([per_atom, row])
            per_atom[symbols.index("O")] = row
        if self.units == "weight":
            per_atom = per_atom * [[atomic_weight(symbol)] for symbol in symbols]
        return symbols, per_atom


#: Standard errors below which an element is not found.
FOUND = 2.0
#: Atomic percent of all elements, as they were measured.
ATOMIC = Basis()


def _chosen(measured: list[str], elements: Sequence[str] | None) -> list[str]:
    """Symbols that count; ValueError or TypeError for what cannot be chosen."""
    if elements is None:
        return measured
    if not isinstance(elements, Iterable):
        raise TypeError(
            f"`elements` must be a list of symbols, got {elements!r}; the "
            f"decomposition has {measured}."
        )
    elements = [elements] if isinstance(elements, str) else list(elements)
    unknown = [e for e in elements if not isinstance(e, str) or e not in measured]
    if unknown or not elements:
        raise ValueError(
            f"`elements` is {elements}, but the decomposition has {measured}. Choose "
            "among these, or set others with `s.set_elements(...)` and decompose again."
        )
    if twice := sorted({e for e in elements if elements.count(e) > 1}):
        raise ValueError(
            f"`elements` is {elements}, which names {', '.join(twice)} more than "
            "once. Name each element once: `s.quantify(elements=[...])`."
        )
    return elements


def closed(per_unit: np.ndarray, units: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return percentages of amounts, and their derivative.

    Parameters
    ----------
    per_unit
        Amounts in one unit of each of n_units things that the errors are known of,
        such as atoms or loadings, shape (n_amounts, n_units).
    units
        How many units there are, shape (..., n_units).

    Returns
    -------
    percent
        Shape (..., n_amounts); NaN where there is nothing.
    response
        Derivative by the units, shape (..., n_amounts, n_units).
    """
    amounts = units @ per_unit.T
    total = amounts.sum(axis=-1, keepdims=True)
    total = np.where(total > 0, total, np.nan)
    fractions = amounts / total
    response = per_unit - fractions[..., None] * per_unit.sum(axis=0)
    return 100 * fractions, 100 * response / total[..., None]


def propagated(response: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Return the variances of quantities that respond to others with a covariance.

    Parameters
    ----------
    response
        Shape (..., n_amounts, n_units).
    covariance
        Shape (..., n_units, n_units).

    Returns
    -------
    numpy.ndarray
        Shape (..., n_amounts).
    """
    return np.einsum("...ek,...kl,...el->...e", response, covariance, response)


def fit_response(
    spectrum: np.ndarray, directions: np.ndarray, changes: np.ndarray
) -> np.ndarray:
    """Return how far a fit moves to make up for changes of its spectrum.

    A maximum-likelihood fit of Poisson counts moves, to first order, as least squares
    with the variances of the fit as weights.

    Parameters
    ----------
    spectrum
        That of the fit, shape (n_channels,).
    directions
        Spectra that the fit has more or less of, shape (n_channels, n_directions).
    changes
        Of the spectrum, shape (n_channels, n_changes).

    Returns
    -------
    numpy.ndarray
        Shape (n_directions, n_changes).
    """
    seen = spectrum > 0
    weight = 1 / np.sqrt(spectrum[seen, None])
    columns = weight * directions[seen]
    scale = np.linalg.norm(columns, axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    moved = np.linalg.lstsq(columns / scale, weight * changes[seen], rcond=1e-10)[0]
    return moved / scale[:, None]


def to_percent(
    analysis: PhaseAnalysis, basis: Basis = ATOMIC
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Return the composition of the phases.

    Parameters
    ----------
    analysis
        Result of a decomposition.
    basis
        What makes up 100 %.

    Returns
    -------
    elements
        Symbols.
    percent, variance
        In percent and percent squared, shape (n_elements, n_phases). The variance is
        that of the counts and of the bias.
    """
    symbols, per_atom = basis.of(analysis.elements)
    percent, response = closed(per_atom, analysis.composition.T)
    variance = propagated(response, analysis.composition_covariance)
    variance = np.minimum(variance, LARGEST_ERROR**2)
    nothing = not_found(analysis, per_atom)
    percent[nothing] = variance[nothing] = np.nan
    return symbols, percent.T, variance.T


def not_found(analysis: PhaseAnalysis, per_atom: np.ndarray) -> np.ndarray:
    """Return which phases have none of the amounts, or amounts that nobody knows.

    What is left of an element at its bound is rounding, which closed to 100 % would be
    as good as any number.

    Parameters
    ----------
    analysis
        Result of a decomposition.
    per_atom
        Amounts per atom, shape (n_amounts, n_elements), see `Basis.of`.

    Returns
    -------
    numpy.ndarray
        Boolean, shape (n_phases,): empty phases; those whose amounts are together no
        larger than the noise of their sum; and those where noise moves a percentage by
        more than `LARGEST_ERROR`. An amount that is asked for alone is 100 % without an
        error, so that it has to be larger than `FOUND` times its noise.
    """
    # of scaled counts the noise is that of what was scaled
    atoms = analysis.composition.T
    covariance = analysis.counting_covariance * analysis.scale
    weights = per_atom.sum(axis=0)
    least = FOUND if len(per_atom) == 1 else 1.0
    noise = propagated(weights[None], covariance)[:, 0]
    with np.errstate(invalid="ignore", over="ignore"):
        _, response = closed(per_atom, atoms)
        unknown = (propagated(response, covariance) > LARGEST_ERROR**2).any(axis=1)
        total = atoms @ weights
        # errors of a fit that was interrupted are not known, and its amounts are
        lost = (total <= 0) | (total**2 <= least**2 * noise)
    return analysis.empty | unknown | lost


def nothing_found(analysis: PhaseAnalysis, basis: Basis = ATOMIC) -> Iterator[str]:
    """Say so if no phase has any of the elements that are asked for."""
    symbols, per_atom = basis.of(analysis.elements)
    if not_found(analysis, per_atom).all():
        yield (
            f"No phase has any of {', '.join(symbols)}. Ask which elements the "
            "spectrum shows, `s.identify_elements()`."
        )


def atoms_per_loading(analysis: PhaseAnalysis) -> np.ndarray:
    """Atoms of each element in a loading of 1, shape (n_elements, n_phases)."""
    composition = analysis.composition
    total = composition.sum(axis=0)
    fractions = composition / np.where(total > 0, total, 1.0)
    return fractions * analysis.atoms


#: Charges of the ions that minerals and ceramics are usually made of; iron is ferrous,
#: as in tables of mineral analyses. Negative: anions, which take the place of oxygen.
VALENCES: dict[str, float] = {
    "H": 1, "Li": 1, "Be": 2, "B": 3, "C": 4, "N": 5, "F": -1, "Na": 1, "Mg": 2,
    "Al": 3, "Si": 4, "P": 5, "S": 6, "Cl": -1, "K": 1, "Ca": 2, "Sc": 3, "Ti": 4,
    "V": 5, "Cr": 3, "Mn": 2, "Fe": 2, "Co": 2, "Ni": 2, "Cu": 2, "Zn": 2, "Ga": 3,
    "Ge": 4, "As": 5, "Se": 4, "Br": -1, "Rb": 1, "Sr": 2, "Y": 3, "Zr": 4, "Nb": 5,
    "Mo": 6, "Tc": 7, "Ru": 4, "Rh": 3, "Pd": 2, "Ag": 1, "Cd": 2, "In": 3, "Sn": 4,
    "Sb": 3, "Te": 4, "I": -1, "Cs": 1, "Ba": 2, "La": 3, "Ce": 4, "Pr": 3, "Nd": 3,
    "Pm": 3, "Sm": 3, "Eu": 3, "Gd": 3, "Tb": 3, "Dy": 3, "Ho": 3, "Er": 3, "Tm": 3,
    "Yb": 3, "Lu": 3, "Hf": 4, "Ta": 5, "W": 6, "Re": 7, "Os": 4, "Ir": 4, "Pt": 2,
    "Au": 1, "Hg": 2, "Tl": 1, "Pb": 2, "Bi": 3, "Th": 4, "U": 4,
}  # fmt: skip

# No atom binds more.
LARGEST = 8


def oxygen_per_atom(
    elements: Sequence[str], oxygen: str | Mapping[str, float]
) -> np.ndarray:
    """Return the atoms of oxygen that balance the charge of one atom of each element.

    Parameters
    ----------
    elements
        Symbols, without O.
    oxygen
        "stoichiometry" for `VALENCES`, or a mapping of symbols to the valences that
        differ from these.

    Returns
    -------
    numpy.ndarray
        Half the valences, shape (n_elements,).

    Raises
    ------
    ValueError
        If an element has no valence here and none is given, or one is out of range.
    TypeError
        If a valence is no number.
    """
    own = oxygen if isinstance(oxygen, Mapping) else {}
    for element, valence in own.items():
        atomic_number(element)  # raises for what is not an element
        if element == "O":
            raise ValueError("Valences are those of the others: leave out that of O.")
        if not isinstance(valence, Real) or isinstance(valence, bool):
            raise TypeError(
                f"The valence of {element} must be a number, got {valence!r}: give it "
                f"as `s.quantify(oxygen={{'{element}': 3}})`."
            )
        if not abs(valence) <= LARGEST:
            raise ValueError(
                f"The valence of {element} must be from {-LARGEST} to {LARGEST}, got "
                f"{valence!r}: give it as `s.quantify(oxygen={{'{element}': 3}})`."
            )
    valences = VALENCES | dict(own)
    if unknown := [element for element in elements if element not in valences]:
        raise ValueError(
            f"Oxygen by stoichiometry needs valences, and there is none for "
            f"{', '.join(unknown)}: give it, "
            f"`s.quantify(oxygen={{'{unknown[0]}': 2}})`, or choose `elements` without "
            f"{unknown[0]}."
        )
    return np.array([valences[element] / 2 for element in elements], dtype=float)


class Oxide(NamedTuple):
    """The oxide of an element: its formula, and its mass by atom of the element, u."""

    formula: str
    mass: float


def oxide(element: str, oxygen: str | Mapping[str, float]) -> Oxide:
    """Return the oxide of an element.

    Parameters
    ----------
    element
        Symbol.
    oxygen
        A mapping of symbols to valences that differ from `VALENCES`; else these.

    Raises
    ------
    ValueError, TypeError
        If the element binds no oxygen, or its valence makes no sense.
    """
    (bound,) = oxygen_per_atom([element], oxygen)
    atoms = Fraction(float(bound)).limit_denominator(12)
    if atoms <= 0:
        raise ValueError(
            f"Percent of oxides needs elements that bind oxygen, and {element} does "
            "not: choose `elements` without it, or give its valence, "
            f"`s.quantify(units='oxide', oxygen={{'{element}': 4}})`."
        )
    parts = (element, atoms.denominator), ("O", atoms.numerator)
    formula = "".join(f"{symbol}{n if n > 1 else ''}" for symbol, n in parts)
    return Oxide(formula, atomic_weight(element) + bound * atomic_weight("O"))


# Oxygen disagrees with what the other elements bind by so many standard errors, and
# these bind it if there is so much of what they could.
_DISAGREES, _BOUND = 2.0, (0.3, 3.0)
# Mass thicknesses among which oxygen may agree, kg/m2.
_MASSES = np.geomspace(1e-6, 1e-2, 80)


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
