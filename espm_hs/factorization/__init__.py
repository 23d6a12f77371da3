"""Poisson non-negative matrix factorisation of sparse counts.

Nothing here knows of X-rays or of HyperSpy: the input is a table of counts
(pixels x channels), the known matrix ``G`` (channels x columns) and options.
"""

from espm_hs.factorization.counts import Counts
from espm_hs.factorization.estimator import EspmNMF
from espm_hs.factorization.grid import Grid
from espm_hs.factorization.problem import Penalties, Problem
from espm_hs.factorization.regression import (
    deviance_residuals,
    divergence,
    expected_deviance,
    fit_spectrum,
)
from espm_hs.factorization.solver import Factorization, factorize, fit_loadings
from espm_hs.factorization.uncertainty import (
    abundance_covariance,
    composition_covariance,
)

__all__ = [
    "Counts",
    "EspmNMF",
    "Factorization",
    "Grid",
    "Penalties",
    "Problem",
    "abundance_covariance",
    "composition_covariance",
    "deviance_residuals",
    "divergence",
    "expected_deviance",
    "factorize",
    "fit_loadings",
    "fit_spectrum",
]
