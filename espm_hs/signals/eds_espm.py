"""The signal classes: HyperSpy's and eXSpy's interface to the analysis."""

from functools import cache
from inspect import unwrap

import hyperspy.api as hs
import numpy as np
from exspy.signals import (
    EDSSEMSpectrum,
    EDSTEMSpectrum,
    LazyEDSSEMSpectrum,
    LazyEDSTEMSpectrum,
)

from espm_hs import simulation
from espm_hs.metadata.reader import item, kev_per_unit
from espm_hs.metadata.schema import BULK_TYPE, ITEMS
from espm_hs.signals._bulk import BulkPreparation, BulkQuantification
from espm_hs.signals._edits import Edits
from espm_hs.signals._elements import ElementMaps
from espm_hs.signals._export import Exports
from espm_hs.signals._film import FilmPreparation, FilmQuantification
from espm_hs.signals._frames import Frames
from espm_hs.signals._model_selection import ModelSelection
from espm_hs.signals._phase_map import PhaseMaps
from espm_hs.signals._phases import Phases, beside_hyperspy
from espm_hs.signals._plotting import Figures
from espm_hs.signals._results import Comparisons

__all__ = [
    "EDSespmSEMSpectrum",
    "EDSespmSpectrum",
    "LazyEDSespmSEMSpectrum",
    "LazyEDSespmSpectrum",
]

# Others are converted for it.
UNITS_OF_EXSPY = "keV", "eV"


@cache
def _in_kev() -> EDSTEMSpectrum:
    """Return a spectrum with which eXSpy computes energies in keV."""
    spectrum = EDSTEMSpectrum(np.zeros(1))
    spectrum.axes_manager[-1].units = "keV"
    return spectrum


class _Espm(
    ModelSelection,
    PhaseMaps,
    ElementMaps,
    Comparisons,
    Exports,
    Edits,
    Frames,
    Phases,
    Figures,
):
    """What all signals of this package have beside preparation and quantification."""

    def _set_default_param(self):
        super()._set_default_param()
        # eXSpy writes its own type here at every construction
        self.metadata.Signal.signal_type = self._signal_type

    def _get_line_energy(self, Xray_line, FWHM_MnKa=None):
        # eXSpy looks the resolution up for its own signal types only
        if isinstance(FWHM_MnKa, str) and FWHM_MnKa == "auto":
            FWHM_MnKa = item(self.metadata, ITEMS["energy_resolution_MnKa"].path)
        axis = self.axes_manager.signal_axes[0]
        if axis.units in UNITS_OF_EXSPY:
            return super()._get_line_energy(Xray_line, FWHM_MnKa)
        unit = kev_per_unit(axis)
        found = _in_kev()._get_line_energy(Xray_line, FWHM_MnKa)
        if FWHM_MnKa is None:
            return found / unit
        return tuple(one / unit for one in found)

    def _get_beam_energy(self):
        axis, energy = self.axes_manager.signal_axes[0], super()._get_beam_energy()
        return energy if axis.units in UNITS_OF_EXSPY else energy / kev_per_unit(axis)

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


class EDSespmSpectrum(FilmPreparation, FilmQuantification, _Espm, EDSTEMSpectrum):
    """EDS spectra from an electron microscope, to be decomposed with physics.

    Everything that `exspy.signals.EDSTEMSpectrum` offers, and
    ``decomposition(algorithm="espm")``, which finds phases whose spectra obey the
    X-ray physics that the metadata describe, and `quantify`, which tells what the
    phases are made of. The sample is a thin film; for bulk samples there is
    `EDSespmSEMSpectrum`.
    """

    _signal_type = "EDS_espm"


class LazyEDSespmSpectrum(EDSespmSpectrum, LazyEDSTEMSpectrum):
    """The lazy twin of `EDSespmSpectrum`.

    ``decomposition(algorithm="espm")`` reads the map chunk by chunk into compact sparse
    counts, which are kept for as long as the map is there. Phases and their maps are in
    memory; the model of the map, and what is computed for each pixel, are lazy.
    """

    # the same, with the arguments of HyperSpy's lazy signals
    decomposition = beside_hyperspy(
        unwrap(Phases.decomposition),
        parents=(EDSTEMSpectrum, super(EDSTEMSpectrum, LazyEDSTEMSpectrum)),
    )


class EDSespmSEMSpectrum(BulkPreparation, BulkQuantification, _Espm, EDSSEMSpectrum):
    """EDS spectra of bulk samples in the SEM, to be decomposed with physics.

    As `EDSespmSpectrum`, but on `exspy.signals.EDSSEMSpectrum` and with the physics of
    samples that no electron passes, see `espm_hs.physics.BulkModel`. What only films
    have, such as a thickness and atoms per area, is not there.
    """

    _signal_type = BULK_TYPE

    # the same, without the arguments that eXSpy has for TEM
    decomposition = beside_hyperspy(
        unwrap(Phases.decomposition), parents=(hs.signals.BaseSignal,)
    )


class LazyEDSespmSEMSpectrum(EDSespmSEMSpectrum, LazyEDSSEMSpectrum):
    """The lazy twin of `EDSespmSEMSpectrum`."""

    decomposition = beside_hyperspy(
        unwrap(Phases.decomposition),
        parents=(super(EDSSEMSpectrum, LazyEDSSEMSpectrum),),
    )
