"""The simplest formulas that a composition may have, without a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations_with_replacement, product
from math import gcd

import numpy as np
from scipy.special import chdtrc

# Formulas with more atoms are not simple.
MOST_ATOMS = 40
# Within the errors: what a chi-square test at this level does not refuse.
_LEVEL = 0.05
# A formula with balanced charges is as good as one that is by so much simpler, of the
# logarithm of the number of formulas that are as simple.
_BALANCE = 3.0
# The order of elements in formulas, after all others.
_LAST = "B", "Si", "C", "Sb", "As", "P", "N", "Te", "Se", "S", "I", "Br", "Cl", "O", "F"
# Valences besides the usual ones; negative in compounds without oxygen.
OTHER_VALENCES: dict[str, tuple[float, ...]] = {
    "As": (-3, 3, 5), "Au": (1, 3), "Bi": (3, 5), "C": (-4, 4), "Ce": (3, 4),
    "Co": (2, 3, 4), "Cr": (2, 3, 6), "Cu": (1, 2, 3), "Eu": (2, 3), "Fe": (2, 3),
    "Ge": (-4, 4), "Hg": (1, 2), "Ir": (3, 4), "Mn": (2, 3, 4), "Mo": (4, 6),
    "N": (-3, 5), "Nb": (4, 5), "Ni": (2, 3), "P": (-3, 5), "Pb": (2, 4), "Pd": (2, 4),
    "Pr": (3, 4), "Pt": (2, 4), "Re": (4, 6, 7), "S": (-2, -1, 4, 6), "Sb": (-3, 3, 5),
    "Se": (-2, 4, 6), "Si": (-4, 4), "Sn": (2, 4), "Tb": (3, 4), "Te": (-2, 4, 6),
    "Ti": (2, 3, 4), "Tl": (1, 3), "U": (4, 6), "V": (2, 3, 4, 5), "W": (4, 6),
    "O": (-2,),
}  # fmt: skip


@dataclass(frozen=True)
class Suggestion:
    """A formula within the errors.

    Attributes
    ----------
    formula
        Metals first, in the order of the composition.
    p_value
        Probability of errors larger than those found, if it is right.
    balanced
        Whether charges add up to zero; None where a valence is not known, or no
        element takes electrons.
    """

    formula: str
    p_value: float
    balanced: bool | None

    def __str__(self) -> str:
        """Return the formula, and whether its charges are balanced."""
        known = {True: " (balanced)", False: " (not balanced)", None: ""}
        return f"{self.formula}{known[self.balanced]}"


def suggest_formulas(
    percent: np.ndarray,
    covariance: np.ndarray,
    elements: Sequence[str],
    valences: Mapping[str, float],
    n: int = 3,
) -> list[Suggestion]:
    """Return the simplest formulas within the errors of a composition.

    Parameters
    ----------
    percent, covariance
        At.% of the elements and covariance of their errors, shapes (n_elements,) and
        (n_elements, n_elements).
    elements
        Symbols.
    valences
        Symbol -> usual valence; those in `OTHER_VALENCES` have others besides.
    n
        Number of formulas.

    Returns
    -------
    list of Suggestion
        Those that are simple and near come first: each formula costs half its
        chi-square and the logarithm of the number of formulas of so many atoms.
        Elements that are not found are left out.
    """
    errors = np.sqrt(np.diag(covariance))
    there = np.flatnonzero(percent > np.maximum(2 * errors, 0.5))
    if there.size < 2:
        return []
    symbols = [elements[i] for i in there.tolist()]
    kept = np.eye(percent.size)[there]
    total = percent[there].sum()
    values = 100 * percent[there] / total
    # derivative of the closed values
    closing = (100 * kept - values[:, None] * kept.sum(axis=0)) / total
    spread = closing @ covariance @ closing.T + 0.01 * np.eye(there.size)
    inverse = np.linalg.inv(spread[:-1, :-1])
    scored = []
    for atoms in _simple(values):
        off = (100 * np.array(atoms) / sum(atoms) - values)[:-1]
        square = float(off @ inverse @ off)
        value = float(chdtrc(there.size - 1, square))
        if value < _LEVEL:
            continue
        balanced = _balanced(dict(zip(symbols, atoms, strict=True)), valences)
        cost = square / 2 + (there.size - 1) * np.log(sum(atoms))
        amounts = sorted(zip(symbols, atoms, strict=True), key=_order)
        formula = "".join(f"{x}{'' if n == 1 else n}" for x, n in amounts)
        found = Suggestion(formula, value, balanced)
        scored.append((cost - _BALANCE * (balanced is True), found))
    scored.sort(key=lambda one: one[0])
    return [found for _, found in scored[:n]]


def _simple(percent: np.ndarray) -> set[tuple[int, ...]]:
    """Whole numbers of atoms near a composition, without common divisors."""
    found = set()
    for whole in range(percent.size, MOST_ATOMS + 1):
        exact = percent * whole / 100
        below = np.floor(exact).astype(int)
        choices: list[tuple[int, ...]] = [(x, x + 1) for x in below.tolist()]
        if percent.size > 6:  # the nearest ones of so many elements are enough
            choices = [(x,) for x in np.rint(exact).astype(int).tolist()]
        for atoms in product(*choices):
            if sum(atoms) <= MOST_ATOMS and min(atoms) > 0 and gcd(*atoms) == 1:
                found.add(atoms)
    return found


def _order(amount: tuple[str, int]) -> int:
    """Sort what takes electrons to the end."""
    return _LAST.index(amount[0]) if amount[0] in _LAST else -1


def _balanced(atoms: Mapping[str, int], valences: Mapping[str, float]) -> bool | None:
    """Whether charges may add up to zero, each element having one of its valences."""
    choices = []
    for symbol in atoms:
        known = OTHER_VALENCES.get(symbol) or (
            (valences[symbol],) if symbol in valences else ()
        )
        if not known:
            return None
        choices.append(known)
    if all(min(known) > 0 for known in choices):
        return None  # an alloy
    sums = {0.0}
    for x, known in zip(atoms.values(), choices, strict=True):
        sums = {charge + more for charge in sums for more in _charges(x, known)}
    return any(abs(charge) < 1e-9 for charge in sums)


@cache
def _charges(n: int, valences: tuple[float, ...]) -> set[float]:
    """Charges of n atoms. Cations may be of several valences, anions are of one."""
    if min(valences) < 0:
        return {n * valence for valence in valences}
    return {sum(some) for some in combinations_with_replacement(valences, n)}
