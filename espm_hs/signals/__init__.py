"""Signal classes: what a user of HyperSpy calls."""

from espm_hs.signals.eds_espm import (
    EDSespmSEMSpectrum,
    EDSespmSpectrum,
    LazyEDSespmSEMSpectrum,
    LazyEDSespmSpectrum,
)

__all__ = [
    "EDSespmSEMSpectrum",
    "EDSespmSpectrum",
    "LazyEDSespmSEMSpectrum",
    "LazyEDSespmSpectrum",
]
