"""Absolute amounts from the dose: atoms per area, mass thickness, thickness.

G is in barn, so a loading that consists of n atoms (in the unit of 1 / G) stands for
n * 1e24 / dose atoms per cm2. The dose is that of a pixel: electrons times the share of
the sphere that the detector covers.
"""

import warnings
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from espm_hs.arguments import float_array
from espm_hs.decomposition.result import PhaseAnalysis
from espm_hs.physics.bulk.emission import LAYER_KG_M2
from espm_hs.physics.linear_model import LinearModel
from espm_hs.quantification.percent_with_errors import ATOMIC, Basis, atoms_per_loading

#: 1e24 (cm2 in barn) over 1e14 (nm2 in cm2): atoms per nm2 of an amount over the dose.
PER_NM2 = 1e10
#: Atoms per nm2 times atomic weight -> kg/m2.
KG_PER_M2 = 1e18 * 1.66053906892e-27


def areal_densities(
    analysis: PhaseAnalysis, dose: float, basis: Basis = ATOMIC
) -> tuple[list[str], np.ndarray]:
    """Return the atoms per nm2 that a loading of 1 of each phase stands for.

    Parameters
    ----------
    analysis
        Result of a decomposition.
    dose
        Electrons of a pixel times the share of the sphere.
    basis
        Which elements and which oxygen; they are counted whatever its unit.

    Returns
    -------
    elements
        Symbols.
    per_loading
        Shape (n_elements, n_phases).
    """
    symbols, per_atom = replace(basis, units="atomic").of(analysis.elements)
    return symbols, PER_NM2 / dose * per_atom @ atoms_per_loading(analysis)


def mass_thicknesses(
    analysis: PhaseAnalysis, dose: float, basis: Basis = ATOMIC
) -> np.ndarray:
    """Return the mass thickness (kg/m2) that a loading of 1 of each phase stands for.

    Parameters
    ----------
    analysis, dose
        As in `areal_densities`.
    basis
        Which elements and which oxygen; they are weighed whatever its unit.

    Returns
    -------
    numpy.ndarray
        Shape (n_phases,).
    """
    _, per_atom = replace(basis, units="weight").of(analysis.elements)
    atoms = PER_NM2 / dose * atoms_per_loading(analysis)
    return KG_PER_M2 * (per_atom @ atoms).sum(axis=0)


def mass_totals(
    analysis: PhaseAnalysis,
    dose: float,
    basis: Basis = ATOMIC,
    sums: np.ndarray | float = 0.0,
) -> np.ndarray:
    """Return the part (%) of a bulk sample that a loading of 1 of a phase stands for.

    It is 100 where all of a pixel is found: the model compares bulk samples with a
    layer of a known mass thickness.

    Parameters
    ----------
    analysis, dose, basis
        As in `mass_thicknesses`.
    sums
        Share of the counts of each phase that are sums of two photons, which are
        missing in their lines; shape (n_phases,).

    Returns
    -------
    numpy.ndarray
        Shape (n_phases,).
    """
    found = mass_thicknesses(analysis, dose, basis) / (1 - 2 * np.asarray(sums))
    return 100 / LAYER_KG_M2 * found


def mean_totals(totals: np.ndarray, loadings: np.ndarray) -> np.ndarray:
    """Return the total (%) in the pixels of each phase, by how much of it they hold.

    Parameters
    ----------
    totals
        As `mass_totals` returns them, shape (n_phases,).
    loadings
        Shape (n_pixels, n_phases), NaN in pixels left out.

    Returns
    -------
    numpy.ndarray
        Shape (n_phases,), NaN for a phase that is nowhere.
    """
    held = np.nan_to_num(loadings)
    shares = held * totals
    weight = shares.sum(axis=0)
    mean = (shares * (held @ totals)[:, None]).sum(axis=0)
    return np.where(weight > 0, mean / np.where(weight > 0, weight, 1.0), np.nan)


def nm_per_mass(densities: float | Sequence[float], n_phases: int) -> np.ndarray:
    """Return the thickness in nm of 1 kg/m2 of each phase, shape (n_phases,).

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


def check_thickness(model: LinearModel, mass_thickness: np.ndarray) -> None:
    """Warn when dose and absorption are about different samples.

    Parameters
    ----------
    model
        With the mass thickness that absorbs, if it has one.
    mass_thickness
        What follows from the dose, kg/m2; NaN in pixels left out.
    """
    mean = np.nanmean(mass_thickness)
    absorbing = getattr(model, "mass_thickness", 0.0)
    if absorbing and not 0.5 < mean / absorbing < 2:
        warnings.warn(
            f"The dose gives a mean mass thickness of {mean:.3g} kg/m2, but thickness "
            f"and density say {absorbing:.3g} kg/m2. Check beam current, "
            "live time (of a pixel or of the map: "
            "`s.set_analysis_parameters(live_time_of=...)`), solid angle, thickness.",
            UserWarning,
            stacklevel=4,
        )
