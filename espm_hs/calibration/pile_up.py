"""Sum peaks: photons that come together are counted as one of both their energies.

Photons closer in time than the pulse-pair resolution tau of a pulse processor are not
told apart. At a rate r of photons, one in r tau of the n counts is a sum of two, and
with s the spectrum of single photons, normalised, to first order in r tau

    recorded = n (1 - 2 r tau) s + n r tau (s * s),

where * folds. Lines A and B give a peak of 2 tau N_A N_B / t at the sum of their
energies, and A with itself one of tau N_A^2 / t, with the counts N of the lines in the
live time t (P. J. Statham, X-Ray Spectrom. 6 (1977) 94). All lines lose the same share
of their counts: what the composition needs is only that sum peaks are not taken for
lines of other elements.

So s * s of the summed spectrum becomes a column of the model that belongs to no
element. Its amplitude is free in each phase, since rates differ from pixel to pixel,
and tau rises towards low energies, which the processor hardly tells from noise.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.signal import fftconvolve

from espm_hs.calibration.automatic import AutomaticCalibration, untied
from espm_hs.calibration.energy_scale import without_noise
from espm_hs.factorization import fit_spectrum
from espm_hs.physics import SpectrumModel

#: Label of the column of sum peaks.
LABEL = "pile-up"
#: Pulse-pair resolution where none is stated, ns. Measured SEM spectra have 117 to 152,
#: or none to speak of (`benchmarks/accuracy/pile_up.py`).
USUAL_RESOLUTION = 200.0
# Sum peaks are modelled from so many standard deviations of the counts under them.
VISIBLE = 3.0
# FWHM (eV) of a peak without the noise of electronics, as narrow as there is.
NOISELESS = 1.0


class PileUp(NamedTuple):
    """Sum peaks of a spectrum.

    Attributes
    ----------
    shape
        Spectrum of sums of two photons, of sum 1 over all energies, shape
        (n_channels,).
    rate
        Counts per second; NaN if not known.
    resolution
        Pulse-pair resolution, ns.
    significance
        Standard deviations of the counts under them that rate and resolution make of
        the sum peaks; NaN if the rate is not known.
    """

    shape: np.ndarray
    rate: float
    resolution: float
    significance: float

    def added_to(self, model: SpectrumModel) -> SpectrumModel:
        """Return the model with a column of the sum peaks, of free amplitude."""
        return model.replace(extra_spectra={**model.extra_spectra, LABEL: self.shape})

    def __str__(self) -> str:
        reason = ""
        if self.significance > 0:
            reason = (
                f" {self.rate:.3g} counts per second within {self.resolution:g} ns make"
                f" them {self.significance:.0f} standard deviations high."
            )
        return (
            f"Sum peaks (pile-up) are modelled.{reason} `pile_up=False` of "
            "`s.set_analysis_parameters` leaves them out."
        )


def pile_up(
    model: SpectrumModel,
    spectrum: np.ndarray,
    asked: bool | float | str = "auto",
    time: float | None = None,
    refinement: AutomaticCalibration | None = None,
) -> PileUp | None:
    """Return the sum peaks of a spectrum, where they are visible or asked for.

    Parameters
    ----------
    model
        Physics.
    spectrum
        Summed counts, shape (n_channels,).
    asked
        True or False: whether there is pile-up. A number: the pulse-pair resolution in
        ns, with which the rate makes the peaks visible or not; "auto": 200 ns.
    time
        Time in which all of them were counted, s; None if not known.
    refinement
        What adapts the model to the spectrum first; None: nothing.

    Returns
    -------
    PileUp or None
        None where sum peaks are not to be modelled.

    Raises
    ------
    ValueError
        If a pulse-pair resolution is given, but no time.
    """
    is_number = not isinstance(asked, bool | str)
    if is_number and time is None:
        raise ValueError(
            "What a pulse-pair resolution means for the spectrum depends on the live "
            "time, which is not set. Set it with "
            "`s.set_microscope_parameters(live_time=...)` (s), or state that there are "
            "sum peaks with `s.set_analysis_parameters(pile_up=True)`."
        )
    if asked is False or (asked is not True and time is None):
        return None
    counts = np.asarray(spectrum, float)
    resolution = float(asked) if is_number else USUAL_RESOLUTION
    needed = -np.inf if asked is True else VISIBLE
    found = _found(model, counts, time, resolution, needed)
    if found is None or refinement is None:
        return found
    # an axis that is off moves the sum of two lines by twice as much
    refined, _ = refinement.refined(model, counts[model.channels], model.channels)
    return _found(refined, counts, time, resolution, needed)


def _found(
    model: SpectrumModel,
    counts: np.ndarray,
    time: float | None,
    resolution: float,
    needed: float,
) -> PileUp | None:
    """Return the sum peaks of a spectrum if they are high enough, else None."""
    if not counts[model.channels].any():
        return None
    free, used = without_noise(untied(model), counts, None)
    weights, fitted = fit_spectrum(free.G[used], counts[used])
    shape = _sums(free, counts * used, weights)
    if not shape[model.channels].any():
        return None
    if time is None:
        return PileUp(shape, np.nan, resolution, np.nan)
    rate = counts[used].sum() / time
    expected = 1e-9 * resolution * rate * counts[used].sum() * shape[used]
    # what bremsstrahlung cannot make up for
    smooth = np.array([column.kind == "background" for column in free.columns])
    sigma = np.sqrt(fitted + expected)
    scaled, below = expected / sigma, free.G[used][:, smooth] / sigma[:, None]
    left = scaled - below @ np.linalg.lstsq(below, scaled)[0]
    significance = float(np.sqrt(left @ left))
    if significance < needed:
        return None
    return PileUp(shape, rate, resolution, significance)


def _sums(model: SpectrumModel, counts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Fold a spectrum with itself, the noise of the electronics counted once.

    The counts are folded as they are, with all that the model may lack. Noise would
    then be in both photons, where a sum has it once; as far as the model explains the
    spectrum, it is taken from one of them.
    """
    noiseless = model.replace(detector=model.detector.with_noise(NOISELESS))
    fitted, narrow = (one.G @ weights for one in (model, noiseless))
    folded = fftconvolve(counts, counts) - fftconvolve(fitted, fitted - narrow)
    first, second = model.energy[:2]
    # two channels i and j add up to i + j and the offset of the axis once more
    place = np.arange(counts.size) - first / (second - first)
    shape = np.interp(place, np.arange(folded.size), folded, left=0.0, right=0.0)
    return np.maximum(shape, 0.0) / counts.sum() ** 2
