"""Where in a bulk sample X-rays are made: the model PAP.

J. L. Pouchou and F. Pichoir, in K. F. J. Heinrich and D. E. Newbury (eds.), Electron
Probe Quantitation, Plenum (1991), p. 31. XPP, of `depth`, is made to be short; PAP is
what it stands for, and differs from it where nearly all of a line is absorbed, as O K
in oxides at 15 keV and more: there a Monte Carlo agrees with PAP. The distribution over
the mass depth t is made of two parabolas that join at R_c with the same slope, one with
its summit at R_m, the other one with its foot at R_x, where no electron comes:

    phi(t) = A (t - R_m)^2 + B    up to R_c,
             C (t - R_x)^2        from R_c to R_x.

Its area and its value at the surface are those of XPP.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from espm_hs.physics.bulk.depth import (
    LEAST_OVERVOLTAGE,
    TILT_EXPONENT,
    DepthDistribution,
    OfShells,
    Shells,
    StoppingLaw,
    stopping_law,
)
from espm_hs.physics.bulk.stopping import mean_over_mass
from espm_hs.physics.xray.elements import atomic_number

Array = np.ndarray

# Least absorption, over 1 / R_x, at which the integral has a closed form.
_LEAST_ABSORPTION = 0.01
# Bounds that keep the parabolas joined: of R_x, in area over phi(0), and of R_m / R_x.
_ENDS, _LEAST_SUMMIT = (1.001, 2.8), 1e-3


@dataclass(frozen=True, eq=False)
class Parabolas(OfShells):
    """Distribution of the ionisations over the mass depth, one for each shell.

    Attributes
    ----------
    area, surface
        As `DepthDistribution` has them.
    summit, joint, end
        R_m, R_c and R_x, g/cm2.
    """

    area: Array
    surface: Array
    summit: Array
    joint: Array
    end: Array

    @cached_property
    def _coefficients(self) -> tuple[Array, Array, Array]:
        """A, B and C."""
        m, c, x = self.summit, self.joint, self.end
        first = self.surface / (m * (c - x * (c / m - 1)))
        return first, self.surface - first * m**2, first * (c - m) / (c - x)

    def __call__(self, depth: ArrayLike) -> Array:
        """Return phi at a mass depth in g/cm2, which broadcasts with the shells."""
        t = np.asarray(depth, dtype=float)
        first, top, last = self._coefficients
        deep = np.where(t < self.end, last * (t - self.end) ** 2, 0.0)
        return np.where(t < self.joint, first * (t - self.summit) ** 2 + top, deep)

    def escaping(self, absorption: ArrayLike) -> Array:
        """Return the share of the photons that leaves the sample.

        Parameters
        ----------
        absorption
            Mass absorption coefficient over the sine of the take-off angle, cm2/g.

        Returns
        -------
        numpy.ndarray
            The integral of phi(t) exp(-absorption t), over that of phi(t). Value and
            slope are the same on both sides of R_c, where only the curvature counts.
        """
        first, _, last = self._coefficients
        chi = np.asarray(absorption, dtype=float)
        k = np.maximum(chi, _LEAST_ABSORPTION / self.end)
        bent = first + (last - first) * np.exp(-k * self.joint)
        bent = bent - last * np.exp(-k * self.end)
        total = self.surface / k - 2 * first * self.summit / k**2 + 2 * bent / k**3
        # next to nothing is lost in proportion, where the terms would cancel
        return 1 - (1 - total / self.area) * np.minimum(chi / k, 1.0)


def parabolas(
    known: DepthDistribution,
    mass_fractions: Mapping[str, float],
    shells: Shells,
    beam_energy: float,
    tilt: float = 0.0,
) -> Parabolas:
    """Return where the shells of atoms in a sample are ionised.

    Parameters
    ----------
    known
        What XPP has for the same sample: areas and values at the surface.
    mass_fractions, shells, beam_energy, tilt
        As in `depth_distribution`.

    Returns
    -------
    Parabolas
        Arrays of shape (n,).
    """
    z = np.array([atomic_number(name) for name in mass_fractions], float)
    u = np.maximum(beam_energy / shells.edge, LEAST_OVERVOLTAGE)
    mean_z = mean_over_mass(mass_fractions, np.sqrt(z)) ** 2
    log_z = float(np.exp(mean_over_mass(mass_fractions, np.log(z))))
    way = _range(stopping_law(mass_fractions), u, shells.edge)
    deep = way * _straightness(mean_z, log_z, u)
    # where a tilted surface shows more than there is, the depth gives way
    limits = np.multiply.outer(_ENDS, known.area / known.surface)
    end = np.clip(deep * np.cos(np.radians(tilt)) ** TILT_EXPONENT, *limits)
    summit = np.maximum(_summit(mean_z, u), _LEAST_SUMMIT) * end
    return _joined(known.area, known.surface, summit, end)


def _range(law: StoppingLaw, u: Array, edge: Array) -> Array:
    """Return the way of an electron until it ionises no more, g/cm2."""
    total = np.zeros(u.shape)
    for d_k, p_k in zip(law.d, law.p, strict=True):
        q = 1 + p_k
        total += d_k * law.excitation ** (1 - p_k) * edge**q * (u**q - 1) / q
    return total / law.charge


def _straightness(mean_z: float, log_z: float, u: Array) -> Array:
    """Return the depth that electrons reach over their way: R_x / R_0 of PAP.

    They are scattered the more, the heavier atoms are and the less the overvoltage.
    """
    far = 1 - 0.535 * np.exp(-((21 / log_z) ** 1.2)) - 2.5e-4 * (log_z / 20) ** 3.5
    q = far + (1 - far) * np.exp(-(u - 1) * mean_z / 40)
    return q * (1 + u ** -(mean_z**0.45))


def _summit(mean_z: float, u: Array) -> Array:
    """Return the place of the summit, R_m / R_x of PAP."""
    place = 0.11 + 0.41 * np.exp(-((mean_z / 12.75) ** 0.75))
    near = 1 - np.exp(-((u - 1) ** 0.35) / 1.19)
    return place * near * (1 - np.exp(-(u - 0.5) * mean_z**0.4 / 4))


def _joined(area: Array, surface: Array, summit: Array, end: Array) -> Parabolas:
    """Return the two parabolas of a given area; the summit moves if it has to."""
    above = area - surface * end / 3
    root = (
        (end - summit)
        * above
        * ((end - summit) * area - surface * end * (summit + end / 3))
    )
    summit = np.where(root < 0, end * above / (area + surface * end), summit)
    shift = np.sqrt(np.maximum(root, 0)) / (surface * (end - summit))
    joint = 1.5 * (above / surface - shift)
    return Parabolas(area, surface, summit, joint, end)
