"""X-rays that other X-rays make in a bulk sample.

S. J. B. Reed, Brit. J. Appl. Phys. 16 (1965) 913; his formula has approximations of the
intensities in it, and here these are those of the model. Of photons that are made with
the distribution exp(-s t) over the mass depth t, half go up and half go down, and on
their way they are absorbed, by the element in question with the share of its
absorption. What that element then emits leaves the sample by the share

    (1/2) (mu_A / mu) [ ln(1 + u) / u + ln(1 + v) / v ] s / (s + chi),
    u = chi / mu,  v = s / mu,

where mu is the absorption coefficient of the sample for what excites, mu_A the part of
the element, and chi that of the sample for what is emitted, over the sine of the
take-off angle. The last factor is not in Reed's formula, which is relative to lines
that leave the sample themselves with that share (I. M. Anderson, J. Bentley and C. B.
Carter, J. Microsc. 178 (1995) 226).
"""

from __future__ import annotations

from functools import cache

import numpy as np
import xraylib

from espm_hs.physics.xray.elements import atomic_number, value_of
from espm_hs.physics.xray.ionization import SUBSHELLS
from espm_hs.physics.xray.relaxation import relaxation

Array = np.ndarray


@cache
def _jumps(element: str) -> tuple[Array, Array]:
    """Return edge (keV) and jump ratio of the subshells, 0 and 1 for what there is not.

    Both have shape (9,).
    """
    z = atomic_number(element)
    ids = [getattr(xraylib, f"{shell}_SHELL") for shell in SUBSHELLS]
    edge = np.array([value_of(xraylib.EdgeEnergy, z, i) for i in ids])
    jump = np.array([value_of(xraylib.JumpFactor, z, i) for i in ids])
    return edge, np.where((edge > 0) & (jump > 1), jump, 1.0)


def vacancies_by_photons(element: str, energy: Array) -> Array:
    """Return the vacancies that a photon makes which an element absorbs.

    Parameters
    ----------
    element
        Symbol.
    energy
        Of the photons, keV, shape (n,).

    Returns
    -------
    numpy.ndarray
        Mean number of vacancies in each subshell, cascade included, shape (n, 9). The
        share of a subshell in the absorption follows from its jump ratio r: it is
        1 - 1/r of what the subshells above it leave.
    """
    edge, jump = _jumps(element)
    open_ = np.asarray(energy)[:, None] > np.where(edge > 0, edge, np.inf)
    taken = np.where(open_, 1 - 1 / jump, 0.0)
    left = np.cumprod(1 - taken, axis=1)
    share = taken * np.hstack([np.ones((len(taken), 1)), left[:, :-1]])
    return share @ relaxation(element).vacancies


def escaping_share(absorption: Array, emitted: Array, generated: Array) -> Array:
    """Return Reed's mean over depths and directions, see the module.

    Parameters
    ----------
    absorption
        mu, of the sample for what excites, cm2/g.
    emitted
        chi, for what is emitted.
    generated
        s, one over the mean depth at which what excites is made, cm2/g.

    Returns
    -------
    numpy.ndarray
        What leaves the sample of a photon for each that is absorbed or lost.
    """
    u, v = emitted / absorption, generated / absorption
    return 0.5 * (np.log1p(u) / u + np.log1p(v) / v) * v / (u + v)
