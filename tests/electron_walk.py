"""A Monte Carlo of electrons in a bulk sample, to check the analytical model with.

Straight steps between elastic collisions, along which electrons slow down continuously.
The elastic cross sections and angles are the fit to Mott's by R. Browning, T. Z. Li, B.
Chui, J. Ye, R. F. W. Pease, Z. Czyzewski and D. C. Joy, J. Appl. Phys. 76 (1994) 2016.
"""

import numpy as np
from numba import njit

from espm_hs.physics import atomic_number, atomic_weight, ionization_cross_section
from espm_hs.physics.bulk.stopping import stopping_power

N_A = 6.02214076e23
LEAST = 0.2


def ionisations(element, shell, edge, mass, beam, tilt=0.0, n=20000, depth=None):
    """Return ionisations by mass depth, g/cm2, per section at the beam energy.

    Their sum is the area of phi(rho z). Returned are histogram, depths of the middle of
    its bins, and the share of the electrons that left.
    """
    energies = np.linspace(LEAST, beam, 4000)
    stopping = sum(c * stopping_power(x, energies) for x, c in mass.items())
    section = np.zeros(energies.size)
    over = energies > edge
    section[over] = ionization_cross_section(element, shell, energies[over])
    section /= ionization_cross_section(element, shell, beam)
    z = np.array([float(atomic_number(x)) for x in mass])
    per_gram = np.array([c * N_A / atomic_weight(x) for x, c in mass.items()])
    if depth is None:
        depth = 4e-6 * beam**1.7 * 3
    bins = np.zeros(400)
    matter = energies, stopping, section, z, per_gram
    limits = beam, max(edge, LEAST), np.radians(tilt)
    left = _run(n, np.random.default_rng(0), *limits, *matter, bins, depth / bins.size)
    middle = (np.arange(bins.size) + 0.5) * depth / bins.size
    return bins / n, middle, left / n


@njit(cache=True)
def _run(
    n, rng, beam, least, tilt, energies, stopping, section, z, per_gram, bins, width
):
    step_e = energies[1] - energies[0]
    left = 0
    rates = np.zeros(z.size)
    for _ in range(n):
        e, t = beam, 0.0
        # direction cosines; t grows into the sample
        x, y, c = np.sin(tilt), 0.0, np.cos(tilt)
        while e > least:
            total = 0.0
            for i in range(z.size):
                z17 = z[i] ** 1.7
                sigma = (
                    3.0e-18
                    * z17
                    / (e + 0.005 * z17 * np.sqrt(e) + 0.0007 * z[i] ** 2 / np.sqrt(e))
                )
                total += per_gram[i] * sigma
                rates[i] = total
            way = -np.log(rng.random()) / total
            k = (e - energies[0]) / step_e
            i = min(int(k), energies.size - 2)
            s = stopping[i] + (k - i) * (stopping[i + 1] - stopping[i])
            lost = s * way
            # the loss and the section in the middle of the step
            middle = max(e - 0.5 * lost, energies[0])
            k = (middle - energies[0]) / step_e
            i = min(int(k), energies.size - 2)
            s = stopping[i] + (k - i) * (stopping[i + 1] - stopping[i])
            lost = s * way
            made = section[i] + (k - i) * (section[i + 1] - section[i])
            new = t + c * way
            inside = 1.0
            if new < 0:
                inside = t / (t - new)
            # spread evenly over the step, in parts
            for part in range(4):
                at = t + c * way * inside * (part + 0.5) / 4
                where = int(at / width)
                if where < bins.size:
                    bins[where] += made * way * inside / 4
            if new < 0:
                left += 1
                break
            t = new
            e -= lost
            # which element, and which angle
            r = rng.random() * total
            i = 0
            while i < z.size - 1 and rates[i] < r:
                i += 1
            ratio = 300 * e ** (1 - z[i] / 2000) / z[i] + z[i] ** 3 / (3e5 * e)
            u = rng.random()
            if rng.random() < ratio / (1 + ratio):
                alpha = 7e-3 / e
                cosine = 1 - 2 * alpha * u / (1 + alpha - u)
            else:
                cosine = 1 - 2 * u
            sine = np.sqrt(max(0.0, 1 - cosine * cosine))
            phi = 2 * np.pi * rng.random()
            if abs(c) > 0.99999:
                x, y, c = sine * np.cos(phi), sine * np.sin(phi), cosine * np.sign(c)
            else:
                root = np.sqrt(1 - c * c)
                a = sine * np.cos(phi)
                b = sine * np.sin(phi)
                x, y, c = (
                    x * cosine + (x * c * a - y * b) / root,
                    y * cosine + (y * c * a + x * b) / root,
                    c * cosine - root * a,
                )
    return left
