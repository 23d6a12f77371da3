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

from typing import Any, NamedTuple

import numpy as np

from espm_hs.calibration.automatic import AutomaticCalibration, untied
from espm_hs.calibration.energy_scale import without_noise
from espm_hs.factorization import divergence, expected_deviance, fit_spectrum
from espm_hs.physics import SpectrumModel
from espm_hs.physics.linear_model import LinearModel

#: Label of the column of sum peaks.
LABEL = "pile-up"
#: Pulse-pair resolution where none is stated, ns. Measured SEM spectra have 90 to 200,
#: or none to speak of (`benchmarks/accuracy/peak_shape.py`).
USUAL_RESOLUTION = 200.0
# Sum peaks are modelled where rate and resolution make them as high as so many standard
# deviations of the counts under them, and the spectrum shows them as clearly.
VISIBLE = 3.0
# So clearly, at least, before the model is refined.
HINT = 1.0
# What is higher or lower than they should be by this factor is something else.
FACTOR = 5.0
# FWHM (eV) of a peak without the noise of electronics, as narrow as there is.
NOISELESS = 1.0


class PileUp(NamedTuple):
    """Sum peaks of a spectrum.

    Attributes
    ----------
    shape
        Spectrum of sums of two photons, of sum 1 over all energies, shape
        (n_channels,).
    share
        Share of the counts that are sums, from their height in the spectrum.
    rate
        Counts per second; NaN if not known.
    expected, seen
        Height of the sum peaks that rate and resolution make (0 if the rate is not
        known), and that of the spectrum, in standard deviations of the counts.
    """

    shape: np.ndarray
    share: float
    rate: float
    expected: float
    seen: float

    @property
    def resolution(self) -> float:
        """Pulse-pair resolution that share and rate imply, ns."""
        return 1e9 * self.share / self.rate

    def added_to(self, model: SpectrumModel) -> SpectrumModel:
        """Return the model with a column of the sum peaks, of free amplitude."""
        return model.replace(extra_spectra={**model.extra_spectra, LABEL: self.shape})

    def __str__(self) -> str:
        reason = f"{100 * self.share:.2g} % of the counts are sums of two photons"
        if self.rate > 0:
            reason += (
                f", which {self.rate:.2g} counts per second and a resolution of "
                f"{self.resolution:.0f} ns make"
            )
        return f"Sum peaks (pile-up) are modelled: {reason}."


def sum_peak_share(model: LinearModel, weights: np.ndarray) -> np.ndarray:
    """Return the share of the counts that are sums of two photons.

    Parameters
    ----------
    model
        That was fitted.
    weights
        Of its columns, shape (n_columns,) or (n_columns, n_phases).

    Returns
    -------
    numpy.ndarray
        Shape (n_phases,), or () of one spectrum; 0 where the model has no sum peaks.
    """
    made = (weights.T * model.G.sum(axis=0)).T
    own = [column.label == LABEL for column in model.columns]
    return made[own].sum(axis=0) / made.sum(axis=0)


# Counts of a channel that no detector has.
MOST_COUNTS = 1e15


def pile_up(
    model: SpectrumModel,
    spectrum: np.ndarray,
    asked: bool | float | str = "auto",
    time: float | None = None,
    refinement: AutomaticCalibration | None = None,
) -> PileUp | None:
    """Return the sum peaks of a spectrum, where it has any or they are asked for.

    Parameters
    ----------
    model
        Physics.
    spectrum
        Summed counts, shape (n_channels,).
    asked
        True or False: whether there is pile-up. A number: the pulse-pair resolution in
        ns; there is pile-up if the rate makes it visible, and it is seen. "auto": the
        same with 200 ns, and none if the rate is not known.
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
    if not 0 <= counts.min() <= counts.max() < MOST_COUNTS:  # NaN among others
        return None  # whoever fits them says what is wrong
    resolution = float(asked) if is_number else USUAL_RESOLUTION
    found = _found(model, counts, time, resolution)
    possible = found and found.expected >= VISIBLE and found.seen >= HINT
    if found is None or not (asked is True or possible):
        return None
    if refinement is not None:
        # an axis that is off moves the sum of two lines by twice as much
        refined: Any = refinement.refined(
            model, counts[model.channels], model.channels
        )[0]
        found = _found(refined, counts, time, resolution)
    if found is None or asked is True:
        return found
    plausible = resolution / FACTOR < found.resolution < FACTOR * resolution
    return found if plausible and found.seen >= VISIBLE else None


def _found(
    model: SpectrumModel, counts: np.ndarray, time: float | None, resolution: float
) -> PileUp | None:
    """Return the sum peaks of a spectrum, however high; None if it has no pairs."""
    if not counts[model.channels].any():
        return None
    free, used = without_noise(untied(model), counts, None)
    G, x = free.G[used], counts[used]
    weights, fitted = fit_spectrum(G, x)
    shape = _sums(free, counts * used, weights)
    if not shape[used].any():
        return None
    total, rate = x.sum(), np.nan if time is None else x.sum() / time
    smooth = np.array([column.kind == "background" for column in free.columns])
    expected = 1e-9 * resolution * rate * total * shape[used]
    height = 0.0 if time is None else _height(expected, fitted, G[:, smooth])
    weights, better = fit_spectrum(np.column_stack([G, total * shape[used]]), x)
    before, after = divergence(x, fitted), divergence(x, better)
    misfit = max(1.0, 2 * after / expected_deviance(better))
    seen = np.sqrt(max(0.0, 2 * (before - after)) / misfit)
    return PileUp(shape, float(weights[-1]), rate, height, float(seen))


def _height(expected: np.ndarray, fitted: np.ndarray, smooth: np.ndarray) -> float:
    """Return standard deviations of expected counts that bremsstrahlung cannot be."""
    sigma = np.sqrt(fitted + expected)
    peaks, below = expected / sigma, smooth / sigma[:, None]
    left = peaks - below @ np.linalg.lstsq(below, peaks, rcond=None)[0]
    return float(np.sqrt(left @ left))


def _sums(model: SpectrumModel, counts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Fold a spectrum with itself, the noise of the electronics counted once.

    The counts are folded as they are, with all that the model may lack. Noise would
    then be in both photons, where a sum has it once; as far as the model explains the
    spectrum, it is taken from one of them.
    """
    noiseless = model.replace(detector=model.detector.with_noise(NOISELESS))
    fitted, narrow = (one.G @ weights for one in (model, noiseless))
    folded = convolved(counts, counts) - convolved(fitted, fitted - narrow)
    return np.maximum(at_sums(folded, model.energy), 0.0) / counts.sum() ** 2


def convolved(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the full convolution of two spectra."""
    from scipy.signal import fftconvolve  # takes a second

    return fftconvolve(one, other)


def at_sums(folded: np.ndarray, energy: np.ndarray) -> np.ndarray:
    """Return two spectra that were folded, at the energies of their channels.

    Parameters
    ----------
    folded
        Of spectra over all channels, shape (2 n_channels - 1,).
    energy
        Of the channels, keV.
    """
    # two channels i and j add up to i + j and the offset of the axis once more
    place = np.arange(energy.size) - energy[0] / (energy[1] - energy[0])
    return np.interp(place, np.arange(folded.size), folded, left=0.0, right=0.0)
