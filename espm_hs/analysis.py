"""Names of the package before its parts had folders of their own.

Each stands for the same object where it lives now; new code imports it from there.
"""

import importlib

# Folder and module -> names that were here.
_HOMES = {
    "calibration.element_identification": "Suggestions suggest",
    "calibration.energy_scale": "CALIBRATED Calibration calibrate",
    "calibration.thickness": "absorbing_mass_thickness",
    "decomposition.decompose": "decompose",
    "decomposition.prior_knowledge": "are_elements",
    "decomposition.result": "PhaseAnalysis",
    "decomposition.starts": "previous_start",
    "factorization.counts.reading": "kept_counts",
    "metadata.describe": "describe",
    "metadata.exposure": "dose has_dose",
    "metadata.provenance": "calibration_record provenance read_options",
    "metadata.reader": "build_model density stray_elements thickness",
    "metadata.transaction": "AllOrNothing write_parameters",
    "metadata.writer": "calibrated_parameters check_calibration check_parameters "
    "check_stray",
    "model_selection.binning": "BinningChoice choose_binning",
    "model_selection.n_phases": "PhaseNumber estimate_number",
    "quantification.areal_density": "areal_densities check_thickness mass_thicknesses "
    "nm_per_mass",
    "quantification.bootstrap": "replicates",
    "quantification.composition": "to_percent",
    "quantification.pixels": "pixel_amounts pixel_composition",
    "quantification.report": "Report report",
    "signals._phases": "stored_loadings",
}
_HOME = {name: home for home, names in _HOMES.items() for name in names.split()}
# What has another name now.
_RENAMED = {"CALIBRATED": "DEFAULT"}

__all__ = sorted(_HOME)


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = importlib.import_module(f"espm_hs.{_HOME[name]}")
    return getattr(home, _RENAMED.get(name, name))
