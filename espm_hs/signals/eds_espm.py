"""The signal classes: HyperSpy's and eXSpy's interface to the analysis."""

from exspy.signals import EDSTEMSpectrum, LazyEDSTEMSpectrum

from espm_hs import simulation
from espm_hs.metadata.reader import item
from espm_hs.metadata.schema import ITEMS
from espm_hs.signals._model_selection import ModelSelection
from espm_hs.signals._phases import Phases
from espm_hs.signals._plotting import Figures
from espm_hs.signals._preparation import Preparation
from espm_hs.signals._quantification import Quantification

__all__ = ["EDSespmSpectrum", "LazyEDSespmSpectrum"]


class EDSespmSpectrum(
    Preparation,
    ModelSelection,
    Quantification,
    Phases,
    Figures,
    EDSTEMSpectrum,
):
    """EDS spectra from an electron microscope, to be decomposed with physics.

    Everything that `exspy.signals.EDSTEMSpectrum` offers, and
    ``decomposition(algorithm="espm")``, which finds phases whose spectra obey the
    X-ray physics that the metadata describe, and `quantify`, which tells what the
    phases are made of.
    """

    _signal_type = "EDS_espm"

    def _set_default_param(self):
        super()._set_default_param()
        # eXSpy writes its own type here at every construction
        self.metadata.Signal.signal_type = self._signal_type

    def _get_line_energy(self, Xray_line, FWHM_MnKa=None):
        # eXSpy looks the resolution up for its own signal types only
        if isinstance(FWHM_MnKa, str) and FWHM_MnKa == "auto":
            FWHM_MnKa = item(self.metadata, ITEMS["energy_resolution_MnKa"].path)
        return super()._get_line_energy(Xray_line, FWHM_MnKa)

    def ground_truth(self) -> simulation.GroundTruth:
        """Return what a simulated map was made from.

        Raises
        ------
        ValueError
            If the map is not a simulated one, or was cut or binned since.

        See Also
        --------
        espm_hs.simulation
        """
        return simulation.ground_truth(self)


class LazyEDSespmSpectrum(EDSespmSpectrum, LazyEDSTEMSpectrum):
    """The lazy twin of `EDSespmSpectrum`.

    ``decomposition(algorithm="espm")`` reads the map chunk by chunk into compact sparse
    counts, which are kept for as long as the map is there. Phases and their maps are in
    memory; the model of the map, and what is computed for each pixel, are lazy.
    """
