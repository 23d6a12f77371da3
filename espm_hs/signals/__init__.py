"""Signal classes: what a user of HyperSpy calls."""

from espm_hs.signals.eds_espm import EDSespmSpectrum, LazyEDSespmSpectrum

__all__ = ["EDSespmSpectrum", "LazyEDSespmSpectrum"]
