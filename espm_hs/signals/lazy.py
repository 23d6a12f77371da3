"""The lazy twin of the signal class."""

from exspy.signals import LazyEDSTEMSpectrum

from espm_hs.signals.eds_espm import EDSespmSpectrum

__all__ = ["LazyEDSespmSpectrum"]


class LazyEDSespmSpectrum(EDSespmSpectrum, LazyEDSTEMSpectrum):
    """The lazy twin of `EDSespmSpectrum`.

    ``decomposition(algorithm="espm")`` reads the map chunk by chunk into compact sparse
    counts, which are kept for as long as the map is there. Phases and their maps are in
    memory; the model of the map, and what is computed for each pixel, are lazy.
    """
