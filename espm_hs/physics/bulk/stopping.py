"""How electrons lose energy in a sample, and how much of it they take back out."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from espm_hs.physics.xray.elements import atomic_number, atomic_weight

# Mean excitation energies of the elements H to U, eV: M. J. Berger and S. M. Seltzer,
# Stopping Powers and Ranges of Electrons and Positrons, NBSIR 82-2550-A (1982). Those
# of O, F and Cl are the ones that they have for solids, not for gases (95, 115, 174),
# and so is the factor for metals that are bound to them: SiO2 has 139 eV, MgO 144.
_EXCITATION = (
    19.2, 41.8, 40.0, 63.7, 76.0, 78.0, 82.0, 106.0, 112.0, 137.0,
    149.0, 156.0, 166.0, 173.0, 173.0, 180.0, 180.0, 188.0, 190.0, 191.0,
    216.0, 233.0, 245.0, 257.0, 272.0, 286.0, 297.0, 311.0, 322.0, 330.0,
    334.0, 350.0, 347.0, 348.0, 343.0, 352.0, 363.0, 366.0, 379.0, 393.0,
    417.0, 424.0, 428.0, 441.0, 449.0, 470.0, 470.0, 469.0, 488.0, 488.0,
    487.0, 485.0, 491.0, 482.0, 488.0, 491.0, 501.0, 523.0, 535.0, 546.0,
    560.0, 574.0, 580.0, 591.0, 614.0, 628.0, 650.0, 658.0, 674.0, 684.0,
    694.0, 705.0, 718.0, 727.0, 736.0, 746.0, 757.0, 790.0, 790.0, 800.0,
    810.0, 823.0, 823.0, 830.0, 825.0, 794.0, 827.0, 826.0, 841.0, 847.0,
    878.0, 890.0,
)  # fmt: skip

_BOUND = 1.13
#: Elements that bind metals in that way; their own values are those of compounds.
ANIONS = ("N", "O", "F", "Cl")

# 2 pi e^4 times Avogadro's number, keV2 cm2/mol, and sqrt(e / 2) of Bethe's logarithm.
_BETHE, _LOGARITHM = 78500.0, 1.166
# Next to the edge, where nothing is ionised, what is lost of it is 0 / 0.
_LEAST_OVERVOLTAGE = 1.001


def mean_excitation_energy(element: str | int) -> float:
    """Mean excitation energy of an element.

    Parameters
    ----------
    element
        Symbol or atomic number, H to U.

    Returns
    -------
    float
        keV.

    References
    ----------
    M. J. Berger and S. M. Seltzer, NBSIR 82-2550-A (1982).
    """
    return 1e-3 * _EXCITATION[atomic_number(element) - 1]


def bound_share(mass_fractions: Mapping[str, float]) -> float:
    """Return how much of a sample is an oxide, nitride or halide, from 0 to 1.

    Parameters
    ----------
    mass_fractions
        By symbol. The share is 1 from as many anions as other atoms on.
    """
    atoms = {name: x / atomic_weight(name) for name, x in mass_fractions.items()}
    anions = sum(atoms.get(name, 0.0) for name in ANIONS)
    return min(1.0, 2 * anions / sum(atoms.values()))


def stopping_power(
    element: str | int, energy: ArrayLike, bound: bool = False
) -> np.ndarray:
    """Energy that an electron loses on its way through an element.

    Parameters
    ----------
    element
        Symbol or atomic number, H to U.
    energy
        Kinetic energy of the electron, keV.
    bound
        Whether its atoms are bound to anions, which makes the excitation energy larger.

    Returns
    -------
    numpy.ndarray
        keV cm2/g, above 0, shape of `energy`. That of a mixture is the mean, weighted
        by mass fractions.

    References
    ----------
    Bethe's law with the low-energy limit of D. C. Joy and S. Luo, Scanning 11 (1989)
    176; k of the limit as a function of the atomic number: R. Gauvin et al., X-Ray
    Spectrom. 35 (2006) 1.
    """
    z, e = atomic_number(element), np.asarray(energy, dtype=float)
    excitation = mean_excitation_energy(z)
    if bound and z not in map(atomic_number, ANIONS):
        excitation *= _BOUND
    k = 0.731 + 0.0688 * np.log10(z)
    logarithm = np.log(_LOGARITHM * (e + k * excitation) / excitation)
    return _BETHE * z / atomic_weight(z) / e * logarithm


def mean_over_mass(mass_fractions: Mapping[str, float], values: ArrayLike) -> float:
    """Return the mean of a property of elements, weighted by mass fractions.

    Parameters
    ----------
    mass_fractions
        By symbol, sum 1.
    values
        Of each of them.
    """
    return float(np.dot(list(mass_fractions.values()), np.asarray(values)))


def backscattering(mass_fractions: Mapping[str, float]) -> tuple[float, float]:
    """Return what a sample sends back of a beam that hits it at right angles.

    Parameters
    ----------
    mass_fractions
        By symbol, sum 1.

    Returns
    -------
    coefficient
        Share of the electrons.
    energy
        Their mean energy over that of the beam.

    References
    ----------
    J. L. Pouchou and F. Pichoir, in K. F. J. Heinrich and D. E. Newbury, Electron Probe
    Quantitation, Plenum (1991), p. 31, appendix 1.
    """
    roots = [np.sqrt(atomic_number(name)) for name in mass_fractions]
    z = mean_over_mass(mass_fractions, roots) ** 2
    coefficient = 1.75e-3 * z + 0.37 * -np.expm1(-0.015 * z**1.3)
    return coefficient, 0.595 + coefficient / 3.7 + coefficient**4.55


def tilted(coefficient: float, tilt: float) -> float:
    """Return the backscattering coefficient of a surface that is tilted.

    Parameters
    ----------
    coefficient
        At right angles.
    tilt
        Between the beam and the normal of the surface, degrees.

    References
    ----------
    F. Arnal, P. Verdier and P.-D. Vincensini, C. R. Acad. Sci. 268 (1969) 1526, in the
    form 0.891 (eta / 0.891)^cos(tilt) of H. Drescher, L. Reimer and H. Seidel, Z.
    Angew. Phys. 29 (1970) 331.
    """
    cosine = np.cos(np.radians(tilt))
    return float(0.891 * (coefficient / 0.891) ** cosine)


def backscatter_factor(
    coefficient: float, energy: float, overvoltage: ArrayLike
) -> np.ndarray:
    """Share of the ionisations that the electrons that leave again do not take away.

    Parameters
    ----------
    coefficient, energy
        Of the electrons that leave, see `backscattering`.
    overvoltage
        Beam energy over that of the edge, above 1.

    Returns
    -------
    numpy.ndarray
        R, shape of `overvoltage`.

    References
    ----------
    Pouchou and Pichoir (1991), appendix 1.
    """
    u = np.maximum(overvoltage, _LEAST_OVERVOLTAGE)
    q = (2 * energy - 1) / (1 - energy)
    # the integral of ionisations over the energies of a beam that is not scattered
    whole = 1 + u * (np.log(u) - 1)
    missed = u - 1 - (1 - u ** -(1 + q)) / (1 + q)
    return 1 - coefficient * energy * (1 - missed / ((2 + q) * whole))
