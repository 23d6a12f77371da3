"""Chemical formulas: how they are written, and what they say of a composition."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from espm_hs.physics.xray.elements import SYMBOLS

# Of several end members of a solid solution: "Fo: Mg2SiO4 | Fa: Fe2SiO4".
BETWEEN_MEMBERS = "|"
_PLAIN = str.maketrans("₀₁₂₃₄₅₆₇₈₉{}[]⋅*•", "0123456789()()···")
# Charges of ions, as superscripts or, after a number of atoms or none, as "2+".
_CHARGES = re.compile(r"[¹²³⁴⁵⁶⁷⁸]*[⁺⁻]|[₁-₈1-8]?\+")
# A full stop between subscripts and what follows on the line stands for a dot.
_STOP = re.compile(r"(?<=[₀-₉])\.(?=[0-9A-Z])")
_NUMBER = r"\d+\.?\d*|\.\d+"
_TOKEN = re.compile(rf"([A-Z][a-z]?|\(|\)|,)({_NUMBER})?")
_PART = re.compile(rf"({_NUMBER})?(.*)")


def plain_formula(formula: str) -> str:
    """Write a formula in plain letters and numbers.

    Parameters
    ----------
    formula
        Such as "Fe³⁺₂O₃ * H₂O", with subscripts, charges and any dot.

    Returns
    -------
    str
        Such as "Fe2O3·H2O". Charges are left out.
    """
    found = _CHARGES.sub("", _STOP.sub("·", formula)).translate(_PLAIN)
    return "".join(found.split())


def parse_formula(formula: str) -> dict[str, float]:
    """Return the atoms of a formula.

    Parameters
    ----------
    formula
        Symbols with numbers of atoms, parentheses, and parts with a number in front
        after a dot: "Ca5(PO4)3F", "CuSO4·5H2O", "Fe0.95O". Subscripts and charges may
        be there. What is separated by commas shares its site: "(Mg0.9,Fe0.1)2SiO4".

    Returns
    -------
    dict of str to float
        Symbol -> number of atoms, above 0, in the order of the formula.

    Raises
    ------
    ValueError
        If it cannot be read, or names no element.
    TypeError
        If it is no text.

    Examples
    --------
    >>> parse_formula("CuSO₄·5H₂O")
    {'Cu': 1.0, 'S': 1.0, 'O': 9.0, 'H': 10.0}
    """
    if not isinstance(formula, str):
        raise TypeError(f"A formula is text such as 'Mg2SiO4', got {formula!r}.")
    return dict(_parsed(formula))


@cache
def _parsed(formula: str) -> Mapping[str, float]:
    """Return the atoms of a formula; not to be changed."""
    atoms: dict[str, float] = {}
    for part in plain_formula(formula).split("·"):
        number, rest = _PART.fullmatch(part).groups()  # type: ignore[union-attr]
        _add(atoms, _group(rest, formula), float(number or 1))
    return {symbol: x for symbol, x in atoms.items() if x > 0}


def _group(text: str, formula: str) -> dict[str, float]:
    """Return the atoms of a formula without dots."""
    stack: list[dict[str, float]] = [{}]
    place = 0
    while place < len(text):
        token = _TOKEN.match(text, place)
        if token is None:
            raise _unreadable(formula, f"there is {text[place:]!r} in it")
        what, number = token[1], float(token[2] or 1)
        place = token.end()
        if what == "(":
            stack.append({})
        elif what == ")" and len(stack) > 1:
            inner = stack.pop()
            _add(stack[-1], inner, number)
        elif what == ")":
            raise _unreadable(formula, "a parenthesis is closed that was not opened")
        elif what != ",":
            if what not in SYMBOLS:
                raise _unreadable(formula, f"{what!r} is no element")
            _add(stack[-1], {what: number}, 1.0)
    if len(stack) > 1:
        raise _unreadable(formula, "a parenthesis is not closed")
    if not stack[0]:
        raise _unreadable(formula, "a part of it is empty")
    return stack[0]


def _add(atoms: dict[str, float], more: Mapping[str, float], number: float) -> None:
    for symbol, x in more.items():
        atoms[symbol] = atoms.get(symbol, 0.0) + number * x


def _unreadable(formula: str, why: str) -> ValueError:
    return ValueError(
        f"{formula!r} is no chemical formula: {why}. Needed is one such as 'Mg2SiO4', "
        "'CuSO4·5H2O', or '(Mg,Fe)2SiO4' for a solid solution."
    )


def end_members(formula: str) -> tuple[tuple[str, dict[str, float]], ...]:
    """Return the end members of a solid solution, or the compound itself.

    Parameters
    ----------
    formula
        Of a compound; end members with or without labels, "Fo: Mg2SiO4 | Fa: Fe2SiO4";
        or a formula in which elements replace each other, "(Mg,Fe)2SiO4", on one site.

    Returns
    -------
    tuple of (str, dict)
        Label, which is the formula or the replaced element where none is given, and
        atoms of each end member.

    Raises
    ------
    ValueError
        If a formula cannot be read, or elements replace each other on several sites.
    TypeError
        If it is no text.
    """
    if not isinstance(formula, str):
        raise TypeError(f"A formula is text such as 'Mg2SiO4', got {formula!r}.")
    if BETWEEN_MEMBERS in formula:
        return tuple(_labelled(one) for one in formula.split(BETWEEN_MEMBERS))
    plain = plain_formula(formula)
    sites = [
        found
        for found in re.finditer(r"\(([A-Z][A-Za-z]*(?:,[A-Z][A-Za-z]*)+)\)", plain)
        if all(one in SYMBOLS for one in found[1].split(","))
    ]
    if not sites:
        return ((plain, parse_formula(formula)),)
    if len(sites) > 1:
        raise ValueError(
            f"In {formula!r} elements replace each other on {len(sites)} sites. Give "
            f"the end members, separated by {BETWEEN_MEMBERS!r}, such as "
            "'Mg3Al2Si3O12 | Fe3Al2Si3O12'."
        )
    (site,) = sites
    before, after = plain[: site.start()], plain[site.end() :]
    return tuple(
        (one, parse_formula(f"{before}({one}){after}")) for one in site[1].split(",")
    )


def _labelled(member: str) -> tuple[str, dict[str, float]]:
    label, _, formula = member.rpartition(":")
    return label.strip() or plain_formula(formula), parse_formula(formula)
