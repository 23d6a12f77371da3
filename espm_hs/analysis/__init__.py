"""What joins physics and factorisation: from metadata to composition."""

from espm_hs.analysis.decomposition import decompose
from espm_hs.analysis.description import describe
from espm_hs.analysis.parameters import build_model, check_parameters, write_parameters
from espm_hs.analysis.phases import PhaseAnalysis, stored_loadings
from espm_hs.analysis.quantification import pixel_composition, to_percent

__all__ = [
    "PhaseAnalysis",
    "build_model",
    "check_parameters",
    "decompose",
    "describe",
    "pixel_composition",
    "stored_loadings",
    "to_percent",
    "write_parameters",
]
