"""Where in a bulk sample X-rays are made: the model XPP.

J. L. Pouchou and F. Pichoir, in K. F. J. Heinrich and D. E. Newbury (eds.), Electron
Probe Quantitation, Plenum (1991), p. 31. The distribution over the mass depth t is

    phi(t) = A exp(-a t) + (B t + phi(0) - A) exp(-b t),

and its four parameters follow from its area, its value and slope at the surface, and
its mean depth. The equations are numbered as there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from espm_hs.physics.bulk.stopping import (
    backscatter_factor,
    backscattering,
    mean_over_mass,
    tilted,
)
from espm_hs.physics.xray.elements import atomic_number, atomic_weight

Array = np.ndarray
Own = TypeVar("Own", bound="OfShells")

#: Least overvoltage: next to the edge, where nothing is made, the equations are 0 / 0.
LEAST_OVERVOLTAGE = 1.02
# Least relative difference of the two decay constants, of which one is divided by.
_LEAST_DIFFERENCE = 1e-6
#: Of the cosine of the tilt, for depths.
TILT_EXPONENT = 0.55


@dataclass(frozen=True, eq=False)
class OfShells:
    """Arrays with an entry for each shell."""

    def of(self: Own, which: Array | slice) -> Own:
        """Return those of some shells, as often as they are named."""
        return type(self)(*(getattr(self, one.name)[which] for one in fields(self)))


@dataclass(frozen=True, eq=False)
class DepthDistribution(OfShells):
    """Distribution of the ionisations over the mass depth, one for each shell.

    Attributes
    ----------
    area
        Integral over the depth, g/cm2: ionisations in the sample over those in a layer
        of unit mass thickness that hangs free.
    surface
        phi(0), relative to such a layer.
    mean_depth
        g/cm2.
    A, a, B, b
        Parameters of phi; a and b in cm2/g, B in cm2/g.
    """

    area: Array
    surface: Array
    mean_depth: Array
    A: Array
    a: Array
    B: Array
    b: Array

    def __call__(self, depth: ArrayLike) -> Array:
        """Return phi at a mass depth in g/cm2, which broadcasts with the shells."""
        t = np.asarray(depth, dtype=float)
        slow = self.A * np.exp(-self.a * t)
        return slow + (self.B * t + self.surface - self.A) * np.exp(-self.b * t)

    def escaping(self, absorption: ArrayLike) -> Array:
        """Return the share of the photons that leaves the sample.

        Parameters
        ----------
        absorption
            Mass absorption coefficient over the sine of the take-off angle, cm2/g.

        Returns
        -------
        numpy.ndarray
            The integral of phi(t) exp(-absorption t), over that of phi(t).
        """
        chi = np.asarray(absorption, dtype=float)
        first = self.A / (self.a + chi)
        second = (self.surface - self.A) / (self.b + chi) + self.B / (self.b + chi) ** 2
        return (first + second) / self.area


class Shells(NamedTuple):
    """Shells that are ionised.

    Attributes
    ----------
    edge
        keV, shape (n,).
    exponent
        m of the ionisation cross section ln(U) / (U^m edge^2), shape (n,), see
        `cross_section_exponent`.
    """

    edge: Array
    exponent: Array


def cross_section_exponent(atomic_number: ArrayLike, shell: str) -> Array:
    """Return the exponent m of the cross sections of a shell in XPP (equation 11).

    Parameters
    ----------
    atomic_number
        Of the emitting element.
    shell
        "K", "L" or "M".
    """
    z = np.asarray(atomic_number, dtype=float)
    if shell == "K":
        return 0.86 + 0.12 * np.exp(-((z / 5) ** 2))
    return np.full(z.shape, 0.82 if shell == "L" else 0.78)


def depth_distribution(
    mass_fractions: Mapping[str, float],
    shells: Shells,
    beam_energy: float,
    tilt: float = 0.0,
) -> DepthDistribution:
    """Return where the shells of atoms in a sample are ionised.

    Parameters
    ----------
    mass_fractions
        Of the sample, by symbol, sum 1.
    shells
        Those whose ionisation is asked for.
    beam_energy
        keV, above all edges; shells that are nearer to it than 2 % are taken to be 2 %
        below.
    tilt
        Between the beam and the normal of the surface, degrees. Electrons leave more
        easily; phi(0) grows with the way through the surface, and the mean depth falls
        as a power of the cosine that a Monte Carlo shows for all shells and samples.

    Returns
    -------
    DepthDistribution
        Arrays of shape (n,).
    """
    z = np.array([atomic_number(name) for name in mass_fractions], float)
    u = np.maximum(beam_energy / shells.edge, LEAST_OVERVOLTAGE)
    normal, energy = backscattering(mass_fractions)
    coefficient = tilted(normal, tilt)
    surface = 1 + 3.3 * (1 - u ** -(2 - 2.3 * normal)) * normal**1.2
    cosine = np.cos(np.radians(tilt))
    surface = surface / cosine
    path = _path(stopping_law(mass_fractions), u, shells)
    area = backscatter_factor(coefficient, energy, u) * path
    mean_z = mean_over_mass(mass_fractions, np.sqrt(z)) ** 2
    ratio = _area_over_depth(mean_z, u) / cosine**TILT_EXPONENT
    mean_depth = area / np.maximum(ratio, surface)
    return _distribution(mean_z, u, area, surface, mean_depth)


class StoppingLaw(NamedTuple):
    """Stopping power, (charge / excitation) / sum of d_k (E / excitation)^p_k.

    Equations 5 to 8.

    Attributes
    ----------
    charge
        Z / A of the sample, mol/g.
    excitation
        Mean excitation energy, keV.
    d, p
        Of the three terms.
    """

    charge: float
    excitation: float
    d: tuple[float, float, float]
    p: tuple[float, float, float]


def stopping_law(mass_fractions: Mapping[str, float]) -> StoppingLaw:
    """Return the stopping power of a sample; mass fractions have the sum 1."""
    z = np.array([atomic_number(name) for name in mass_fractions], float)
    z_over_a = z / [atomic_weight(name) for name in mass_fractions]
    charge = mean_over_mass(mass_fractions, z_over_a)
    own = 1e-3 * z * (10.04 + 8.25 * np.exp(-z / 11.22))
    j = float(np.exp(mean_over_mass(mass_fractions, z_over_a * np.log(own)) / charge))
    d = (6.6e-6, 1.12e-5 * (1.35 - 0.45 * j**2), 2.2e-6 / j)
    return StoppingLaw(charge, j, d, (0.78, 0.1, -(0.5 - 0.25 * j)))


def _path(law: StoppingLaw, u: Array, shells: Shells) -> Array:
    """Return the integral of the cross section along the path, over its first value.

    Equations 9 to 12, g/cm2.
    """
    m, edge, excitation = shells.exponent, shells.edge, law.excitation
    total = np.zeros(u.shape)
    for d_k, p_k in zip(law.d, law.p, strict=True):
        t = 1 + p_k - m
        power = u**t
        total += (
            d_k
            * (edge / excitation) ** p_k
            * (t * power * np.log(u) - power + 1)
            / t**2
        )
    return excitation * edge / law.charge * total * u**m / np.log(u)


def _area_over_depth(mean_z: float, u: Array) -> Array:
    """Return the area of phi over its mean depth (equation 27)."""
    x, y = 1 + 1.3 * np.log(mean_z), 0.2 + mean_z / 200
    return 1 + x * np.log1p(y * (1 - u**-0.42)) / np.log1p(y)


def _distribution(
    mean_z: float, u: Array, area: Array, surface: Array, mean_depth: Array
) -> DepthDistribution:
    """Return the parameters of phi (equations 28 and 29, appendix 4)."""
    inside = np.sqrt(np.maximum(1 - mean_depth * surface / area, 0))
    b = np.sqrt(2) * (1 + inside) / mean_depth
    g = 0.22 * np.log(4 * mean_z) * (1 - 2 * np.exp(-mean_z * (u - 1) / 15))
    h = 1 - 10 * (1 - 1 / (1 + u / 10)) / mean_z**2
    steepest = 0.9 * b * mean_depth**2 * (b - 2 * surface / area)
    slope = np.minimum(g * h**4, steepest) * area / mean_depth**2
    a = (slope + b * (2 * surface - b * area)) / (
        b * area * (2 - b * mean_depth) - surface
    )
    difference = (a - b) / b
    near = np.abs(difference) < _LEAST_DIFFERENCE
    difference = np.where(near, _LEAST_DIFFERENCE, difference)
    a = b * (1 + difference)
    B = (b**2 * area * (1 + difference) - slope - surface * b * (2 + difference)) / (
        difference
    )
    A = (B / b + surface - b * area) * (1 + difference) / difference
    return DepthDistribution(area, surface, mean_depth, A, a, B, b)
