"""Oxygen that the cations imply, where it cannot be measured well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real

import numpy as np

from espm_hs.physics import atomic_number

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
