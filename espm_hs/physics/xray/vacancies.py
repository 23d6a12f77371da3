"""The cascade: where a vacancy goes before it reaches the outer shells."""

from functools import cache

import numpy as np

from espm_hs.physics.xray.ionization import (
    SUBSHELLS,
    ionization_cross_section,
    ionized_subshells,
)
from espm_hs.physics.xray.relaxation import relaxation


@cache
def vacancy_transfer(element: str | int, *, repaired: bool = True) -> np.ndarray:
    """
    Vacancies that one ionisation makes in the end, cascade included.

    Parameters
    ----------
    element : str or int
        Symbol or atomic number.
    repaired : bool
        False: with the atomic data of xraylib as they are (for comparisons).

    Returns
    -------
    array, shape (9, 9)
        Row: ionised subshell; column: subshell where the mean number of vacancies
        that ever exist is counted; order K, L1 ... M5. Upper triangular, diagonal 1.

    Raises
    ------
    ValueError
        If there is no such element.
    """
    step = _single_step(element, repaired)
    total = np.eye(len(SUBSHELLS))
    # a vacancy only moves outwards, so all arrivals in a subshell are known when
    # its turn comes
    for shell in range(len(SUBSHELLS)):
        total += np.outer(total[:, shell], step[shell])
    return total


def _single_step(element: str | int, repaired: bool) -> np.ndarray:
    """Mean number of vacancies made in the column by one decay in the row."""
    data = relaxation(element, repaired=repaired)
    step = data.coster_kronig + data.auger_yield[:, None] * data.auger
    for transition in data.radiative:
        if transition.final in SUBSHELLS:
            row = SUBSHELLS.index(transition.initial)
            column = SUBSHELLS.index(transition.final)
            step[row, column] += data.fluorescence_yield[row] * transition.rate
    return np.triu(step, k=1)


def vacancy_cross_sections(
    element: str | int, beam_energy: float, *, repaired: bool = True
) -> dict[str, float]:
    """
    Cross sections for vacancies, by ionisation and by the cascade together.

    Parameters
    ----------
    element : str or int
        Symbol or atomic number.
    beam_energy : float
        keV.
    repaired : bool
        False: with the atomic data of xraylib as they are (for comparisons).

    Returns
    -------
    dict of str to float
        Subshell ("K" ... "M5") to cm2 per atom.

    Raises
    ------
    ValueError
        If there is no such element or the beam energy is not positive.
    """
    primary = np.zeros(len(SUBSHELLS))
    for shell in ionized_subshells(element):
        index = SUBSHELLS.index(shell)
        primary[index] = ionization_cross_section(element, shell, beam_energy)
    final = primary @ vacancy_transfer(element, repaired=repaired)
    return dict(zip(SUBSHELLS, final.tolist(), strict=True))
