"""Poisson non-negative matrix factorisation of sparse counts.

Nothing here knows of X-rays or of HyperSpy: the input is a table of counts
(pixels x channels), the known matrix ``G`` (channels x columns) and options.
"""

from espm_hs.factorization.data.binning import Bins, usual_binning
from espm_hs.factorization.data.counts import Counts
from espm_hs.factorization.data.grid import Grid
from espm_hs.factorization.data.scattered_counts import ScatteredCounts
from espm_hs.factorization.data.sums import summed_spectrum
from espm_hs.factorization.errors.abundance_errors import abundance_covariance
from espm_hs.factorization.errors.ambiguity import mixing_ranges
from espm_hs.factorization.errors.smoothing import smoothed_covariance
from espm_hs.factorization.errors.uncertainty import composition_covariance
from espm_hs.factorization.errors.uptake import uptake
from espm_hs.factorization.estimator import EspmNMF
from espm_hs.factorization.maps import coarse_maps, fit_loadings, fit_maps, off_zero
from espm_hs.factorization.problem import STRONGEST, Penalties, Problem
from espm_hs.factorization.regression import (
    deviance_residuals,
    divergence,
    expected_deviance,
    fit_spectrum,
)
from espm_hs.factorization.solver import (
    Factorization,
    check_options,
    factorize,
    uninterrupted,
)
from espm_hs.factorization.sparsity import (
    USUAL_SPARSITY,
    choose_sparsity,
    sparsity_losses,
)
from espm_hs.factorization.starts import check_start
from espm_hs.factorization.thinning import choose_smoothness, held_out, thin

__all__ = [
    "STRONGEST",
    "USUAL_SPARSITY",
    "Bins",
    "Counts",
    "EspmNMF",
    "Factorization",
    "Grid",
    "Penalties",
    "Problem",
    "ScatteredCounts",
    "abundance_covariance",
    "check_options",
    "check_start",
    "choose_smoothness",
    "choose_sparsity",
    "coarse_maps",
    "composition_covariance",
    "deviance_residuals",
    "divergence",
    "expected_deviance",
    "factorize",
    "fit_loadings",
    "fit_maps",
    "fit_spectrum",
    "held_out",
    "mixing_ranges",
    "off_zero",
    "smoothed_covariance",
    "sparsity_losses",
    "summed_spectrum",
    "thin",
    "uninterrupted",
    "uptake",
    "usual_binning",
]
