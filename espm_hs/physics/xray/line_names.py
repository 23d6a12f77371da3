"""Names that users give to lines and families: "Fe_Ka", "Fe Ka1", "Pt_L"."""

import re
from collections.abc import Mapping
from typing import NamedTuple

from espm_hs.arguments import check_mapping
from espm_hs.physics.xray.elements import symbol

_NAME = re.compile(r"\s*([A-Z][a-z]?)[ _]+([KLM])([a-zA-Z]?\d*)\s*")


class LineName(NamedTuple):
    """
    What a name stands for.

    Attributes
    ----------
    element : str
        Symbol.
    family : str
        "K", "L" or "M".
    line : str
        "Ka" (all alpha lines), "Ka1" (that line), or "K" (the whole family).
    """

    element: str
    family: str
    line: str

    @property
    def key(self) -> str:
        """Element and family, like "Fe_K"."""
        return f"{self.element}_{self.family}"

    def includes(self, line: str) -> bool:
        """
        Whether a line of this element belongs to what is named.

        Parameters
        ----------
        line : str
            Without the element: "Ka1", "M2N4".

        Returns
        -------
        bool
        """
        if self.line == self.family:
            return line.startswith(self.family)
        return self.line in (line, re.sub(r"\d+$", "", line))


def parse_line(name: str) -> LineName:
    """
    Read the name of a line or a family.

    Parameters
    ----------
    name : str
        Like "Fe_Ka" (as exspy writes), "Fe Ka1", "Fe_K" or "Fe K".

    Returns
    -------
    LineName

    Raises
    ------
    ValueError
        If the name is not understood.
    """
    match = _NAME.fullmatch(name) if isinstance(name, str) else None
    if match is None:
        raise ValueError(
            f"{name!r} is not the name of a line: expected an element and a line or a "
            'family, like "Fe_Ka" or "Fe K".'
        )
    element, family, rest = match.groups()
    return LineName(symbol(element), family, family + rest)


def checked_line_factors(line_factors: Mapping[str, float] | None) -> dict[str, float]:
    """
    Check factors on the emission of families.

    Parameters
    ----------
    line_factors : mapping of str to float, or None
        By family, or by a line for its family.

    Returns
    -------
    dict of str to float
        By family, like "Fe_K".

    Raises
    ------
    ValueError
        If a name is not understood, a family occurs twice, or a factor is not a
        positive number.
    TypeError
        If it is no mapping.
    """
    line_factors = {} if line_factors is None else line_factors
    what = "families of lines to factors, such as {'Fe_K': 1.1}"
    check_mapping("line_factors", line_factors, what)
    checked: dict[str, float] = {}
    for name, factor in line_factors.items():
        key = parse_line(name).key
        if key in checked:
            raise ValueError(f"line_factors names the family {key} more than once.")
        try:
            checked[key] = float(factor)
        except (TypeError, ValueError):
            checked[key] = -1.0
        if not 1e-3 <= checked[key] <= 1e3:
            raise ValueError(
                f"The line factor of {name} must be a positive number, found "
                f"{factor!r}: from 0.001 to 1000, 1 for atomic data as they are."
            )
    return checked
