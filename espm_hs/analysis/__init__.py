"""What joins physics and factorisation: from metadata to composition."""

from espm_hs.analysis.all_or_nothing import AllOrNothing
from espm_hs.analysis.amounts import (
    absorbing_mass_thickness,
    areal_densities,
    check_thickness,
    mass_thicknesses,
    nm_per_mass,
    pixel_amounts,
)
from espm_hs.analysis.binning_choice import BinningChoice, choose_binning
from espm_hs.analysis.bootstrap import replicates
from espm_hs.analysis.calibration import DEFAULT as CALIBRATED
from espm_hs.analysis.calibration import Calibration, calibrate
from espm_hs.analysis.continuation import previous_start
from espm_hs.analysis.decomposition import decompose
from espm_hs.analysis.description import describe
from espm_hs.analysis.exposure import dose, has_dose
from espm_hs.analysis.kept import kept_counts
from espm_hs.analysis.known_phases import are_elements
from espm_hs.analysis.parameters import (
    build_model,
    density,
    stray_elements,
    thickness,
)
from espm_hs.analysis.phase_number import PhaseNumber, estimate_number
from espm_hs.analysis.phases import PhaseAnalysis, stored_loadings
from espm_hs.analysis.provenance import calibration_record, provenance, read_options
from espm_hs.analysis.quantification import pixel_composition, to_percent
from espm_hs.analysis.report import Report, report
from espm_hs.analysis.set_parameters import (
    calibrated_parameters,
    check_calibration,
    check_parameters,
    check_stray,
    write_parameters,
)
from espm_hs.analysis.suggestions import Suggestions, suggest

__all__ = [
    "CALIBRATED",
    "AllOrNothing",
    "BinningChoice",
    "Calibration",
    "PhaseAnalysis",
    "PhaseNumber",
    "Report",
    "Suggestions",
    "absorbing_mass_thickness",
    "are_elements",
    "areal_densities",
    "build_model",
    "calibrate",
    "calibrated_parameters",
    "calibration_record",
    "check_calibration",
    "check_parameters",
    "check_stray",
    "check_thickness",
    "choose_binning",
    "decompose",
    "density",
    "describe",
    "dose",
    "estimate_number",
    "has_dose",
    "kept_counts",
    "mass_thicknesses",
    "nm_per_mass",
    "pixel_amounts",
    "pixel_composition",
    "previous_start",
    "provenance",
    "read_options",
    "replicates",
    "report",
    "stored_loadings",
    "stray_elements",
    "suggest",
    "thickness",
    "to_percent",
    "write_parameters",
]
