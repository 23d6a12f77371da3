"""What electrons make on their way through a bulk sample."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from espm_hs.physics.bulk.stopping import (
    backscatter_factor,
    backscattering,
    bound_share,
    stopping_power,
    tilted,
)
from espm_hs.physics.xray.ionization import (
    SUBSHELLS,
    edge_energy,
    ionization_cross_section,
    ionized_subshells,
)
from espm_hs.physics.xray.relaxation import relaxation

Array = np.ndarray

# Energies at which the integral along the path is evaluated, for each subshell. With
# them it is right within 1e-5, also for edges of 0.1 keV at 40 keV.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(24)


def generated_depths(
    element: str,
    mass_fractions: Mapping[str, float],
    beam_energy: float,
    reference: float,
    tilt: float = 0.0,
) -> Array:
    """Return the thickness of a free layer that emits as much as a bulk sample.

    Parameters
    ----------
    element
        Symbol of the emitting element.
    mass_fractions
        Of the sample, by symbol, sum 1.
    beam_energy
        Of the electrons that enter the sample, keV.
    reference
        Energy of the electrons that hit the layer, keV.
    tilt
        Between the beam and the normal of the surface, degrees.

    Returns
    -------
    numpy.ndarray
        Shape (9,), of the lines of vacancies in the subshells K, L1 ... M5: their
        number in the sample over that in the layer, times its mass thickness. g/cm2; 0
        where there are none.

    Notes
    -----
    The ionisations along the path are the integral of the cross section over the
    stopping power, from the energy of the beam down to the edge; of these, the
    electrons that leave the sample take away some.
    """
    shells, _, sections = _along_the_path(element, beam_energy)
    if not shells:
        return np.zeros(len(SUBSHELLS))
    bound = bound_share(mass_fractions)
    stopping = sum(
        share * part * _stopping(name, element, beam_energy, is_bound)
        for name, share in mass_fractions.items()
        for is_bound, part in ((False, 1 - bound), (True, bound))
        if part > 0
    )
    coefficient, energy = backscattering(mass_fractions)
    edges = [edge_energy(element, SUBSHELLS[i]) for i in shells]
    kept = backscatter_factor(
        tilted(coefficient, tilt), energy, beam_energy / np.array(edges)
    )
    primary = np.zeros(len(SUBSHELLS))
    primary[list(shells)] = kept * (sections / stopping).sum(axis=1)
    made = primary @ relaxation(element).vacancies
    free = free_vacancies(element, reference)
    return np.where(free > 0, made / np.where(free > 0, free, 1.0), 0.0)


@lru_cache(maxsize=1024)
def free_vacancies(element: str, energy: float) -> Array:
    """Return the vacancies that electrons of one energy make in an atom.

    Parameters
    ----------
    element
        Symbol.
    energy
        keV.

    Returns
    -------
    numpy.ndarray
        In each subshell, cascade included, as a cross section, cm2; shape (9,).
    """
    found = np.zeros(len(SUBSHELLS))
    for shell in ionized_subshells(element):
        index = SUBSHELLS.index(shell)
        found[index] = ionization_cross_section(element, shell, energy)
    return found @ relaxation(element).vacancies


@lru_cache(maxsize=1024)
def _along_the_path(
    element: str, beam_energy: float
) -> tuple[tuple[int, ...], Array, Array]:
    """Return the subshells that are ionised, and energies and cross sections (dE).

    The cross sections, cm2, are times the weights of an integral over the energy, keV;
    shape (n_subshells, n_energies).
    """
    shells, energies, sections = [], [], []
    for shell in ionized_subshells(element):
        edge = edge_energy(element, shell)
        if edge < beam_energy:
            half = 0.5 * np.log(beam_energy / edge)
            e = edge * np.exp(half * (1 + _NODES))
            sigma = np.asarray(ionization_cross_section(element, shell, e))
            shells.append(SUBSHELLS.index(shell))
            energies.append(e)
            sections.append(sigma * half * _WEIGHTS * e)
    return tuple(shells), np.array(energies), np.array(sections)


@lru_cache(maxsize=8192)
def _stopping(matrix: str, element: str, beam_energy: float, bound: bool) -> Array:
    """Return the stopping power of an element at the energies for another one."""
    return stopping_power(matrix, _along_the_path(element, beam_energy)[1], bound)
