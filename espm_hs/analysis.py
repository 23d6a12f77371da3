"""Names of the package before its parts had folders of their own.

Each stands for the same object where it lives now, or calls it with the arguments
that it had then; new code imports it from there.
"""

import importlib
from typing import Any

# Folder and module -> names that were here.
_HOMES = {
    "calibration.element_identification": "Suggestions identify suggest",
    "calibration.energy_scale": "CALIBRATED Calibration absorbing_mass_thickness "
    "calibrate",
    "decomposition.decompose": "decompose",
    "decomposition.prior_knowledge": "are_elements",
    "decomposition.result": "PhaseAnalysis",
    "decomposition.starts": "previous_start",
    "factorization.counts.reading": "kept_counts",
    "metadata.describe": "Info describe",
    "metadata.reader": "build_model density dose has_dose stray_elements thickness",
    "metadata.writer": "AllOrNothing calibrated_parameters calibration_record "
    "check_calibration check_parameters check_stray provenance read_options "
    "write_parameters",
    "model_selection.n_phases_and_binning": "BinningChoice PhaseNumber",
    "physics.xray.line_factors": "LineFactors",
    "quantification.areal_density": "check_thickness nm_per_mass",
    "quantification.bootstrap": "replicates",
    "quantification.pixels": "pixel_amounts",
    "quantification.report": "Report",
    "signals._components": "stored_loadings",
}
_HOME = {name: home for home, names in _HOMES.items() for name in names.split()}
# What has another name now.
_RENAMED = {"CALIBRATED": "DEFAULT"}

_CALLED = {
    "areal_densities": "quantification.areal_density",
    "choose_binning": "model_selection.n_phases_and_binning",
    "estimate_number": "model_selection.n_phases_and_binning",
    "mass_thicknesses": "quantification.areal_density",
    "pixel_composition": "quantification.pixels",
    "report": "quantification.report",
    "to_percent": "quantification.percent_with_errors",
}

__all__ = sorted([*_HOME, *_CALLED])


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = importlib.import_module(f"espm_hs.{_HOME[name]}")
    return getattr(home, _RENAMED.get(name, name))


def _now(name: str) -> Any:
    """Return the function that is called now."""
    return getattr(importlib.import_module(f"espm_hs.{_CALLED[name]}"), name)


def _basis(units="atomic", elements=None, oxygen="measured"):
    """Return the basis of a report; one in the place of the units is taken as it is."""
    from espm_hs.quantification.percent_with_errors import Basis

    return units if isinstance(units, Basis) else Basis(units, elements, oxygen)


def _trial(data, model, sparsity=None, **options):
    """Return the cross-validation of a map."""
    from espm_hs.factorization import USUAL_SPARSITY, Penalties
    from espm_hs.model_selection.cross_validation import CrossValidation

    strength = USUAL_SPARSITY if sparsity is None else sparsity
    return CrossValidation(data, model, penalties=Penalties(strength), **options)


def to_percent(analysis, units="atomic", elements=None, oxygen="measured"):
    """See `espm_hs.quantification.percent_with_errors.to_percent`."""
    return _now("to_percent")(analysis, _basis(units, elements, oxygen))


def report(analysis, units="atomic", elements=None, oxygen="measured", errors=None):
    """See `espm_hs.quantification.report.report`."""
    return _now("report")(analysis, _basis(units, elements, oxygen), errors)


def pixel_composition(analysis, data, loadings, *choice, lazy=False, **named):
    """See `espm_hs.quantification.pixels.pixel_composition`."""
    basis = _basis(*choice, **named)
    return _now("pixel_composition")(analysis, data, loadings, basis, lazy)


def areal_densities(analysis, dose, elements=None, oxygen="measured"):
    """See `espm_hs.quantification.areal_density.areal_densities`."""
    basis = _basis("atomic", elements, oxygen)
    return _now("areal_densities")(analysis, dose, basis)


def mass_thicknesses(analysis, dose, elements=None, oxygen="measured"):
    """See `espm_hs.quantification.areal_density.mass_thicknesses`."""
    basis = _basis("atomic", elements, oxygen)
    return _now("mass_thicknesses")(analysis, dose, basis)


def estimate_number(data, model, numbers, **options):
    """See `espm_hs.model_selection.n_phases_and_binning.estimate_number`."""
    return _now("estimate_number")(_trial(data, model, **options), numbers)


def choose_binning(data, model, n_phases, binnings=None, **options):
    """See `espm_hs.model_selection.n_phases_and_binning.choose_binning`."""
    trial = _trial(data, model, **options)
    return _now("choose_binning")(trial, n_phases, binnings)
