"""Poisson non-negative matrix factorisation of sparse counts.

The input is a table of counts (pixels x channels), the known matrix ``G`` (channels x
columns) and options. What the counts are of, and where G comes from, does not matter
here.
"""

from typing import TYPE_CHECKING, Any

from espm_hs.factorization.counts.chunks import summed_spectrum
from espm_hs.factorization.counts.counts import Counts, joined, side_by_side
from espm_hs.factorization.counts.distributed import ScatteredCounts
from espm_hs.factorization.counts.grid import Bins, Grid, usual_binning
from espm_hs.factorization.cross_validation import (
    FEW_COUNTS,
    USUAL_SPARSITY,
    choose_smoothness,
    choose_sparsity,
    held_out,
    sparsity_losses,
    thin,
)
from espm_hs.factorization.penalties import (
    STRONGEST,
    Penalties,
    Penalty,
    Smoothness,
    Sparsity,
)
from espm_hs.factorization.problem import Problem
from espm_hs.factorization.regression import (
    deviance_ratio,
    deviance_residuals,
    divergence,
    expected_deviance,
    fit_spectrum,
)
from espm_hs.factorization.solvers.base import FitOptions
from espm_hs.factorization.solvers.initialization import LostComponent, check_start
from espm_hs.factorization.solvers.maps import (
    coarse_maps,
    divergence_of_fit,
    fit_loadings,
    fit_maps,
    linear_maps,
    off_zero,
)
from espm_hs.factorization.solvers.multi_start import (
    Factorization,
    check_options,
    factorize,
    uninterrupted,
)
from espm_hs.factorization.uncertainty.abundances import (
    abundance_covariance,
    smoothed_covariance,
)
from espm_hs.factorization.uncertainty.ambiguity import mixing_ranges
from espm_hs.factorization.uncertainty.composition import composition_covariance
from espm_hs.factorization.uncertainty.information import (
    profiled_information,
    slope_of_composition,
    uptake,
)

if TYPE_CHECKING:
    from espm_hs.factorization.estimator import EspmNMF

__all__ = [
    "FEW_COUNTS",
    "STRONGEST",
    "USUAL_SPARSITY",
    "Bins",
    "Counts",
    "EspmNMF",
    "Factorization",
    "FitOptions",
    "Grid",
    "LostComponent",
    "Penalties",
    "Penalty",
    "Problem",
    "ScatteredCounts",
    "Smoothness",
    "Sparsity",
    "abundance_covariance",
    "check_options",
    "check_start",
    "choose_smoothness",
    "choose_sparsity",
    "coarse_maps",
    "composition_covariance",
    "deviance_ratio",
    "deviance_residuals",
    "divergence",
    "divergence_of_fit",
    "expected_deviance",
    "factorize",
    "fit_loadings",
    "fit_maps",
    "fit_spectrum",
    "held_out",
    "joined",
    "linear_maps",
    "mixing_ranges",
    "off_zero",
    "profiled_information",
    "side_by_side",
    "slope_of_composition",
    "smoothed_covariance",
    "sparsity_losses",
    "summed_spectrum",
    "thin",
    "uninterrupted",
    "uptake",
    "usual_binning",
]


def __getattr__(name: str) -> Any:
    """Import the estimator at its first use: scikit-learn takes a second."""
    if name != "EspmNMF":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from espm_hs.factorization.estimator import EspmNMF

    return EspmNMF
