"""Shapes of the bremsstrahlung, before absorption and detection."""

import numpy as np
from numpy.typing import ArrayLike

#: Number of terms; a non-negative mixture of them describes a background.
N_TERMS = 3

#: Decay of the third term, keV.
_DECAY = 10.0


def bremsstrahlung(energy: ArrayLike, beam_energy: float) -> np.ndarray:
    """
    Three non-negative shapes whose mixtures describe the bremsstrahlung of a foil.

    1. (E0 - E) / E0, the slow fall towards the beam energy;
    2. (E0 - E) / (E0 E), H. A. Kramers' law (Phil. Mag. 46 (1923) 836) for the
       energy loss per photon energy;
    3. exp(-E / 10 keV) / E: real spectra rise more steeply towards low energies
       than the first two allow; found on measured spectra, without theory.

    Parameters
    ----------
    energy : array, shape (n,)
        keV.
    beam_energy : float
        E0, keV.

    Returns
    -------
    array, shape (n, 3)
        Non-negative, arbitrary scale; 0 where the energy is not between 0 and the
        beam energy.
    """
    e = np.asarray(energy, dtype=float)
    valid = (e > 0) & (e < beam_energy)
    e = np.where(valid, e, beam_energy)
    linear = (beam_energy - e) / beam_energy
    shapes = (linear, linear / e, np.exp(-e / _DECAY) / e)
    return np.where(valid, shapes, 0.0).T
