"""What joins physics and factorisation: from metadata to composition."""

from espm_hs.analysis.calibration import DEFAULT as CALIBRATED
from espm_hs.analysis.calibration import Calibration, calibrate
from espm_hs.analysis.decomposition import decompose
from espm_hs.analysis.description import describe
from espm_hs.analysis.parameters import (
    build_model,
    calibrated_parameters,
    check_parameters,
    stray_elements,
    write_parameters,
)
from espm_hs.analysis.phases import PhaseAnalysis, stored_loadings
from espm_hs.analysis.quantification import pixel_composition, to_percent
from espm_hs.analysis.suggestions import Suggestions, suggest

__all__ = [
    "CALIBRATED",
    "Calibration",
    "PhaseAnalysis",
    "Suggestions",
    "build_model",
    "calibrate",
    "calibrated_parameters",
    "check_parameters",
    "decompose",
    "describe",
    "pixel_composition",
    "stored_loadings",
    "stray_elements",
    "suggest",
    "to_percent",
    "write_parameters",
]
