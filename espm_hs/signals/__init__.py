"""Signal classes: what a user of HyperSpy calls."""

from espm_hs.signals.eds_espm import EDSespmSpectrum
from espm_hs.signals.lazy import LazyEDSespmSpectrum

__all__ = ["EDSespmSpectrum", "LazyEDSespmSpectrum"]
