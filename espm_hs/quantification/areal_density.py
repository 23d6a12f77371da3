"""Absolute amounts: atoms per area and mass thickness, from dose or absorption.

G is in barn, so a loading that consists of n atoms (in the unit of 1 / G) stands for
n * 1e24 / dose atoms per cm2, the dose being the electrons of a pixel times the share
of the sphere that the detector covers.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import partial

import numpy as np

from espm_hs.arguments import float_array
from espm_hs.calibration.energy_scale import calibrate
from espm_hs.decomposition.result import PhaseAnalysis
from espm_hs.decomposition.self_consistency import (
    MAX_ROUNDS,
    self_consistent_model,
)
from espm_hs.physics import SpectrumModel
from espm_hs.quantification.composition import (
    amounts_of,
    atoms_per_loading,
    over_pixels,
)

#: 1e24 (cm2 in barn) over 1e14 (nm2 in cm2): atoms per nm2 of an amount over the dose.
PER_NM2 = 1e10
#: Atoms per nm2 times atomic weight -> kg/m2.
KG_PER_M2 = 1e18 * 1.66053906892e-27
# A mass thickness has settled when it moves by less than this share of its error.
SETTLED = 0.1


def areal_densities(
    analysis: PhaseAnalysis, dose: float, elements=None, oxygen="measured"
) -> tuple[list[str], np.ndarray]:
    """Atoms per nm2 that a loading of 1 of each phase stands for.

    Parameters
    ----------
    analysis
        Result of a decomposition.
    dose
        Electrons of a pixel x share of the sphere.
    elements, oxygen
        As in `amounts_of`.

    Returns
    -------
    elements : list of str
        Symbols.
    per_loading : ndarray of shape (n_elements, n_phases)
    """
    symbols, per_atom = amounts_of(analysis, "atomic", elements, oxygen)
    return symbols, PER_NM2 / dose * per_atom @ atoms_per_loading(analysis)


def mass_thicknesses(
    analysis: PhaseAnalysis, dose: float, elements=None, oxygen="measured"
) -> np.ndarray:
    """Mass thickness (kg/m2) that a loading of 1 of each phase stands for, (n_phases,).

    Parameters
    ----------
    analysis, dose, elements, oxygen
        As in `areal_densities`.
    """
    _, per_atom = amounts_of(analysis, "weight", elements, oxygen)
    atoms = PER_NM2 / dose * atoms_per_loading(analysis)
    return KG_PER_M2 * (per_atom @ atoms).sum(axis=0)


def pixel_amounts(
    analysis: PhaseAnalysis,
    data,
    loadings: np.ndarray,
    per_loading: np.ndarray,
    lazy: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Amounts in each pixel, linear in its loadings.

    Parameters
    ----------
    analysis
        Result of a decomposition.
    data
        The counts, shape (*navigation, n_channels).
    loadings
        Shape (n_pixels, n_phases), NaN in pixels left out.
    per_loading
        Amounts in a loading of 1, shape (n_amounts, n_phases).
    lazy
        Return dask arrays.

    Returns
    -------
    amounts, variance : ndarray of shape (n_amounts, *navigation)
        NaN in pixels left out; the variance is that of the counts, for phases taken as
        known.
    """
    work = partial(_linear, per_loading)
    values = over_pixels(analysis, data, loadings, work, len(per_loading), lazy)
    return values[0], values[1]


def _linear(per_loading, H, covariance):
    """Amounts that are linear in H (p, k), and their variances."""
    variance = np.einsum("ak,pkl,al->pa", per_loading, covariance, per_loading)
    return H @ per_loading.T, variance


def nm_per_mass(densities: float | Sequence[float], n_phases: int) -> np.ndarray:
    """Thickness in nm of 1 kg/m2 of each phase, shape (n_phases,).

    Parameters
    ----------
    densities
        Of each phase, or of all of them, g/cm3.
    n_phases
        Number of phases.

    Raises
    ------
    ValueError
        If there is not one positive number for each phase.
    """
    given = float_array("density", densities)
    positive = np.all((given > 0) & np.isfinite(given))
    if given.shape not in ((), (n_phases,)) or not positive:
        raise ValueError(
            f"`density` is {densities!r}; needed is one positive number in g/cm3, or "
            f"one for each of the {n_phases} phases."
        )
    return np.broadcast_to(1e6 / given, (n_phases,))


def check_thickness(model: SpectrumModel, mass_thickness: np.ndarray) -> None:
    """Warn when dose and absorption are about different samples.

    Parameters
    ----------
    model
        With the mass thickness that absorbs, if it has one.
    mass_thickness
        Found with the dose, kg/m2; NaN in pixels left out.
    """
    found = np.nanmean(mass_thickness)
    if model.mass_thickness and not 0.5 < found / model.mass_thickness < 2:
        warnings.warn(
            f"The dose gives a mean mass thickness of {found:.3g} kg/m2, but thickness "
            f"and density say {model.mass_thickness:.3g} kg/m2. Check beam current, "
            "live time (of a pixel or of the map: "
            "`s.set_analysis_parameters(live_time_of=...)`), solid angle, thickness.",
            UserWarning,
            stacklevel=4,
        )


def absorbing_mass_thickness(
    model: SpectrumModel, spectrum: np.ndarray
) -> tuple[float, float]:
    """Mass thickness that the ratios of strongly to weakly absorbed lines imply.

    The absorbing composition is that of the spectrum, which in turn depends on the
    absorption, so both are found in turn.

    Parameters
    ----------
    model
        Physics; its own thickness is only a start.
    spectrum
        Summed counts, shape (n_channels,).

    Returns
    -------
    mass_thickness, error : float
        kg/m2; the error is that of the counts.
    """
    last = np.inf
    for _ in range(MAX_ROUNDS):
        found = calibrate(model, spectrum, ["mass_thickness"])
        used = model.channels
        model = self_consistent_model(found.after, spectrum[used], used)
        value, error = found.after.mass_thickness, found.errors["mass_thickness"]
        if abs(value - last) < SETTLED * error:
            break
        last = value
    return value, error
