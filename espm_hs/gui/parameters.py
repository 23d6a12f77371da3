"""The numbers of `set_analysis_parameters`, to be filled in by hand."""

from __future__ import annotations

import traits.api as t
from hyperspy.ui_registry import add_gui_method

from espm_hs.metadata import reader
from espm_hs.metadata.describe import describe
from espm_hs.metadata.reader import NODE, beam_energy

# Trait -> its name in the list that `describe` makes.
_DESCRIBED = {
    "beam_energy": "beam energy",
    "thickness": "thickness",
    "density": "density",
    "elevation_angle": "elevation_angle",
    "energy_resolution_MnKa": "energy_resolution_MnKa",
}
_MICROSCOPE = ("beam_energy", "elevation_angle", "energy_resolution_MnKa")


@add_gui_method(toolkey="espm_hs.AnalysisParameters")
class AnalysisParameters(t.HasTraits):
    """
    Parameters of the analysis of a signal, None where they are not known.

    Parameters
    ----------
    signal : EDSespmSpectrum
        Whose metadata are read, and written by `store`.
    """

    beam_energy = t.Union(None, t.Float, label="Beam energy (keV)")
    thickness = t.Union(None, t.Float, label="Thickness (nm)")
    density = t.Union(None, t.Float, label="Density (g/cm³)")
    elevation_angle = t.Union(None, t.Float, label="Elevation of the detector (°)")
    energy_resolution_MnKa = t.Union(None, t.Float, label="Resolution at Mn Kα (eV)")
    minimum_energy = t.Union(None, t.Float, label="Fitted from (keV)")

    def __init__(self, signal):
        super().__init__()
        self.signal = signal
        metadata, original = signal.metadata, signal.original_metadata
        rows = {row[0]: row[2] for row in describe(metadata, original)}
        #: Trait -> what is a default or missing, and the call that sets it.
        self.remarks = {name: rows[row] for name, row in _DESCRIBED.items()}
        eds = metadata.get_item("Acquisition_instrument.TEM.Detector.EDS")
        self.beam_energy = beam_energy(metadata)
        self.thickness = reader.thickness(metadata)
        self.density = reader.density(metadata)
        for name in _MICROSCOPE[1:]:
            value = eds.get_item(name) if eds is not None else None
            self.trait_set(**{name: None if value is None else float(value)})
        self.minimum_energy = metadata.get_item(f"{NODE}.minimum_energy")
        self._before = self.trait_get(self.names)

    @property
    def names(self) -> list[str]:
        """Names of the parameters, in order."""
        return [*_DESCRIBED, "minimum_energy"]

    def store(self, *_) -> None:
        """Write what has changed to the metadata.

        Raises
        ------
        ValueError
            If a value makes no sense; nothing is written then.
        """
        changed = {
            name: value
            for name, value in self.trait_get(self.names).items()
            if value is not None and value != self._before[name]
        }
        microscope = {k: v for k, v in changed.items() if k in _MICROSCOPE}
        others = {k: v for k, v in changed.items() if k not in _MICROSCOPE}
        self.signal.set_analysis_parameters(**others)
        if microscope:
            self.signal.set_microscope_parameters(**microscope)
        self._before = self.trait_get(self.names)
