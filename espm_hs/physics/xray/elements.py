"""Chemical elements: symbols, atomic weights, fractions."""

from collections.abc import Callable, Mapping
from functools import cache
from numbers import Integral

import xraylib

from espm_hs.arguments import plain_float

#: Symbols of the elements in order of atomic number, hydrogen first.
SYMBOLS = tuple(xraylib.AtomicNumberToSymbol(z) for z in range(1, 108))
_NUMBERS = {symbol: z for z, symbol in enumerate(SYMBOLS, start=1)}


def atomic_number(element: str | int) -> int:
    """Atomic number of an element.

    Parameters
    ----------
    element
        Symbol ("Fe") or atomic number (26).

    Raises
    ------
    ValueError
        If there is no such element.
    """
    if isinstance(element, str):
        if element in _NUMBERS:
            return _NUMBERS[element]
        hint = element.strip().capitalize()
        if hint.isdecimal() and 1 <= int(hint) <= len(SYMBOLS):
            hint = SYMBOLS[int(hint) - 1]
        hint = f" Did you mean {hint!r}?" if hint in _NUMBERS else ""
        raise ValueError(f"{element!r} is not the symbol of an element.{hint}")
    if isinstance(element, Integral) and not isinstance(element, bool):
        if 1 <= element <= len(SYMBOLS):
            return int(element)
        raise ValueError(
            f"There is no element of atomic number {element}: "
            f"expected 1 to {len(SYMBOLS)}."
        )
    raise ValueError(
        "An element is a symbol or an atomic number, "
        f"not {element!r} ({type(element).__name__})."
    )


def symbol(element: str | int) -> str:
    """Symbol of an element.

    Parameters
    ----------
    element
        Symbol or atomic number.

    Raises
    ------
    ValueError
        If there is no such element.
    """
    return SYMBOLS[atomic_number(element) - 1]


def value_of(function: Callable[..., float], *arguments: int) -> float:
    """Ask a function of xraylib for a number; 0 where it has none."""
    try:
        return function(*arguments)
    except ValueError:
        return 0.0


@cache
def atomic_weight(element: str | int) -> float:
    """Look up the standard atomic weight in g/mol (xraylib).

    Parameters
    ----------
    element
        Symbol or atomic number.

    Raises
    ------
    ValueError
        If there is no such element, or xraylib has no weight for it.
    """
    try:
        return xraylib.AtomicWeight(atomic_number(element))
    except ValueError as error:
        raise ValueError(f"No atomic weight for {element!r}: {error}") from error


def normalised_fractions(fractions: Mapping[str, float]) -> dict[str, float]:
    """Fractions of elements scaled to sum 1.

    Parameters
    ----------
    fractions
        Non-negative amounts, in any unit.

    Raises
    ------
    ValueError
        If the mapping is empty, an amount is negative or not finite, or all are 0.
    TypeError
        If an amount is no number.
    """
    amounts = {
        symbol(name): plain_float(f"fraction of {name}", value)
        for name, value in fractions.items()
    }
    wrong = {n: v for n, v in amounts.items() if not 0 <= v < float("inf")}
    if wrong:
        raise ValueError(
            f"Fractions of elements must be non-negative numbers, found {wrong}."
        )
    total = sum(amounts.values())
    if total == 0:
        raise ValueError(
            "At least one element needs a fraction above 0, "
            f"found {dict(fractions) or 'no element at all'}."
        )
    return {name: value / total for name, value in amounts.items()}


def atomic_to_mass_fractions(atomic: Mapping[str, float]) -> dict[str, float]:
    """Convert atomic fractions to mass fractions.

    Parameters
    ----------
    atomic
        Numbers of atoms of each element, in any unit (fractions, at.%, formula).

    Returns
    -------
    dict of str to float
        Mass fractions, sum 1, in the same order.

    Raises
    ------
    ValueError
        If an element is unknown, or the amounts cannot be normalised.
    """
    return normalised_fractions(
        {name: value * atomic_weight(name) for name, value in atomic.items()}
    )


def mass_to_atomic_fractions(mass: Mapping[str, float]) -> dict[str, float]:
    """Convert mass fractions to atomic fractions.

    Parameters
    ----------
    mass
        Masses of each element, in any unit (fractions, wt.%, grams).

    Returns
    -------
    dict of str to float
        Atomic fractions, sum 1, in the same order.

    Raises
    ------
    ValueError
        If an element is unknown, or the amounts cannot be normalised.
    """
    return normalised_fractions(
        {name: value / atomic_weight(name) for name, value in mass.items()}
    )
