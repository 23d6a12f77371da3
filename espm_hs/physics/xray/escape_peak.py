"""Escape peaks of silicon detectors."""

import numpy as np
import xraylib

from espm_hs.physics.xray.absorption import mass_absorption_coefficient

_SI = 14

#: What an escaping photon of silicon (Ka) takes away, keV.
ESCAPE_ENERGY = xraylib.LineEnergy(_SI, xraylib.KA_LINE)


def escape_share(energy: np.ndarray) -> np.ndarray:
    """
    Share of the counts of a line that a silicon detector shows in the escape peak.

    Parameters
    ----------
    energy : array
        Energy of the line, keV.

    Returns
    -------
    array
        0 up to the K edge of silicon; shape of `energy`.

    Notes
    -----
    S. J. B. Reed and N. G. Ware, J. Phys. E 5 (1972) 582: of the photons absorbed in
    a thick crystal, hit at right angles,
    omega (1 - 1/r) / 2 * (1 - mu_K / mu * ln(1 + mu / mu_K)) lose a Si K photon
    through the front, where omega is the K fluorescence yield of silicon, r its K
    edge jump, mu its absorption coefficient at the line and mu_K that at Si Ka.
    """
    energies = np.asarray(energy, dtype=float)
    omega = xraylib.FluorYield(_SI, xraylib.K_SHELL)
    jump = xraylib.JumpFactor(_SI, xraylib.K_SHELL)
    own = mass_absorption_coefficient("Si", ESCAPE_ENERGY)
    ratio = mass_absorption_coefficient("Si", energies) / own
    share = 0.5 * omega * (1 - 1 / jump) * (1 - np.log1p(ratio) / ratio)
    return np.where(energies > xraylib.EdgeEnergy(_SI, xraylib.K_SHELL), share, 0.0)


def with_escape_peaks(
    energy: np.ndarray, area: np.ndarray, column: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    Lines as a silicon detector shows them: part of each in its escape peak.

    Parameters
    ----------
    energy, area : array, shape (n,)
        Energy in keV and counts of each line.
    column : array of int, shape (n,)
        Label of each line, the same for its escape peak.

    Returns
    -------
    tuple of three arrays, shape (m,)
        Energy, area and column of n main and m - n escape peaks; the sum of the areas
        is as before.
    """
    share = escape_share(energy)
    some = share > 0
    return (
        np.concatenate([energy, energy[some] - ESCAPE_ENERGY]),
        np.concatenate([area * (1 - share), (area * share)[some]]),
        np.concatenate([column, column[some]]),
    )
