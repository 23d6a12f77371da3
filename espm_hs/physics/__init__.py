"""X-ray physics of thin and of bulk samples in the electron microscope.

Ionisation, emission, absorption and detection of characteristic X-rays and
bremsstrahlung, joined in `SpectrumModel` for films and in `BulkModel`. Energies in keV,
cross sections in cm2.
"""

from espm_hs.physics.bulk.model import BulkModel
from espm_hs.physics.linear_model import (
    Column,
    LinearModel,
    Parameter,
    read_model,
    register_model,
)
from espm_hs.physics.xray.absorption import (
    escape_through,
    mass_absorption_coefficient,
    mass_thickness,
)
from espm_hs.physics.xray.detector import Detector
from espm_hs.physics.xray.elements import (
    atomic_number,
    atomic_to_mass_fractions,
    atomic_weight,
    mass_to_atomic_fractions,
)
from espm_hs.physics.xray.emission import EmissionLine, emission_lines
from espm_hs.physics.xray.ionization import ionization_cross_section
from espm_hs.physics.xray.kfactors import line_factors_from_kfactors, read_kfactors
from espm_hs.physics.xray.model import SpectrumModel
from espm_hs.physics.xray.unabsorbed import Lines, Sources

__all__ = [
    "BulkModel",
    "Column",
    "Detector",
    "EmissionLine",
    "LinearModel",
    "Lines",
    "Parameter",
    "Sources",
    "SpectrumModel",
    "atomic_number",
    "atomic_to_mass_fractions",
    "atomic_weight",
    "emission_lines",
    "escape_through",
    "ionization_cross_section",
    "line_factors_from_kfactors",
    "mass_absorption_coefficient",
    "mass_thickness",
    "mass_to_atomic_fractions",
    "read_kfactors",
    "read_model",
    "register_model",
]
