"""The energy scale of a model, refined on its own where the counts ask for it.

The axis of the user stays as it is: what `refine_calibration` would write to the signal
is changed in the model alone. A change has to pay for itself in likelihood, and spectra
that misfit for other reasons, such as a missing element, leave the model as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from espm_hs.calibration.energy_scale import (
    DEFAULT,
    EnergyScaleFit,
    MassThickness,
    State,
    end_of_noise,
    fitted_mass_thickness,
    untied,
    with_splines,
)
from espm_hs.decomposition.decompose import FITS, Array, Changes, Refined
from espm_hs.decomposition.self_consistency import self_consistent_model
from espm_hs.factorization import deviance_ratio, deviance_residuals, fit_spectrum
from espm_hs.factorization.executors import one_blas_thread
from espm_hs.physics import SpectrumModel
from espm_hs.physics.xray.unknowns import USUAL_DENSITY, USUAL_THICKNESS

# Largest changes of the axis: eV, %. What asks for more has other reasons.
AXIS = {"offset": 60.0, "gain": 1.2}
LIMITS = {**AXIS, "low_energy_shift": 60.0}
# A parameter is refined if the likelihood rises by so many nats, each worth less where
# the model misfits anyway; the whole, if it takes away this part of the misfit.
PRICE = 4.0
WORTH = 0.05
# What is set free to find the energy scale, and then is as it was.
KEPT = ("minimum_energy", "split_lines", "background", "background_bends")
# The noise peak reaches above the lower limit where the model misses the counts there
# by so many times what it misses the others by.
NOISE = 3.0
# The energy scale is refined so many times with the film that the scale before led to.
ROUNDS_OF_FILM = 2
# Two parts of a scan differ if the peaks move by so many eV, and so many standard
# errors, from one to the other.
DRIFT = 3.0
SIGNIFICANT = 6.0
# Peaks are wider in bright pixels if the width of the noise is larger by so many eV.
WIDER = 5.0


class AutomaticCalibration:
    """Refines models to spectra; a `espm_hs.decomposition.decompose.Refinement`."""

    def refined(self, model: Any, spectrum: Array, channels: Array) -> Refined:
        """Return the model that fits a summed spectrum, and what was changed.

        Parameters
        ----------
        model
            Physics with the axis of the user.
        spectrum
            Counts in the channels in use, shape (n_used,).
        channels
            Boolean, shape (n_channels,): channels in use.

        Returns
        -------
        model : SpectrumModel
            The same model if nothing is to be gained.
        changes : dict
            "offset" (eV) and "gain" (%) as differences; new values of "resolution" (eV
            at Mn Ka), "fano_factor", "low_energy_shift" (eV), "tail" (share of a peak)
            and "minimum_energy" (keV); those that did not change are left out. Deviance
            ratios "deviance_before" and "deviance_after", and "background", the highest
            over the lowest bend of it. Empty if nothing was changed.
        """
        with one_blas_thread():
            absorbing: Any = self_consistent_model(model, spectrum, channels)
            before = _ratio(absorbing, spectrum, channels)
            if before < FITS:
                return model, {}
            after = _refined(absorbing, spectrum, channels)
            now = _ratio(after, spectrum, channels)
        if before - now < WORTH * before:
            return model, {}
        ratios = {"deviance_before": before, "deviance_after": now}
        # the composition that absorbs is for the fit to find
        after = after.replace(composition=model.composition)
        return after, _changes(model, after) | ratios

    def drift(self, model: Any, spectra: Array, channels: Array) -> Changes:
        """Return how the energy scale differs between parts of a scan.

        Each part has weights of its own: another composition is no drift.

        Parameters
        ----------
        model
            Physics, refined to the sum.
        spectra
            Counts of each part in the channels in use, shape (n_parts, n_used).
        channels
            Boolean, shape (n_channels,): channels in use.

        Returns
        -------
        dict
            "drift", the eV by which peaks move from part "drift_from" to "drift_to",
            numbered from 1, and "drift_gain", the size of the change of the gain, %.
            Empty if there is none.
        """
        with one_blas_thread():
            parts = [_refit(untied(model), one, channels) for one in spectra]
        worst: Changes = {}
        for (i, one), (j, two) in combinations(enumerate(parts, start=1), 2):
            change, information = two[0] - one[0], np.linalg.inv(one[1] + two[1])
            squared = float(change @ information @ change)
            # the common shift of all peaks that would be seen as clearly
            size = np.sqrt(squared / information[0, 0])
            if squared > SIGNIFICANT**2 and size > worst.get("drift", DRIFT):
                worst = {"drift": float(size), "drift_gain": abs(float(change[1]))}
                worst |= {"drift_from": float(i), "drift_to": float(j)}
        return worst

    def widening(self, model: Any, spectra: Array, channels: Array) -> Changes:
        """Return how much wider peaks are where pixels have more counts.

        Photons know nothing of each other, unless there are too many of them. Where
        weak signals were cut off, by a threshold for a pixel or a filter, peaks lose
        their flanks, the more so the fewer counts there are.

        Parameters
        ----------
        model
            Physics, refined to the sum.
        spectra
            Counts of the dimmest and of the brightest pixels in the channels in use,
            shape (2, n_used).
        channels
            Boolean, shape (n_channels,): channels in use.

        Returns
        -------
        dict
            "width_dim" and "width_bright", the width of the noise, eV. Empty if there
            is no difference.
        """
        names = ("offset", "gain", "noise")
        with one_blas_thread():
            parts = [_refit(untied(model), one, channels, names) for one in spectra]
        (dim, its), (bright, other) = ((x[-1], spread[-1, -1]) for x, spread in parts)
        if bright - dim < max(WIDER, SIGNIFICANT * np.sqrt(its + other)):
            return {}
        return {"width_dim": float(dim), "width_bright": float(bright)}


def mass_thickness_of(
    model: SpectrumModel, spectrum: Array, refinement: AutomaticCalibration | None
) -> MassThickness:
    """Return the mass thickness that a spectrum implies, on a refined energy scale.

    What a film absorbs must not pass for an error of the energy scale, so that the
    scale is refined twice: with a usual film, and with the one that this leads to.

    Parameters
    ----------
    model
        Physics; its density counts, and its thickness does not.
    spectrum
        Summed counts, shape (n_channels,).
    refinement
        None: the energy scale is taken at its word.
    """
    asked = {"thickness": None, "density": model.density, "unknown": model.unknown}
    if refinement is None:
        return fitted_mass_thickness(model.replace(**asked), spectrum)
    density = model.density or USUAL_DENSITY
    film: dict[str, Any] = {"thickness": USUAL_THICKNESS, "density": density}
    for _ in range(ROUNDS_OF_FILM):
        absorbing = model.replace(**film, unknown=())
        used = absorbing.channels
        refined: Any = refinement.refined(absorbing, spectrum[used], used)[0]
        found = fitted_mass_thickness(refined.replace(**asked), spectrum)
        film = found.arguments
    return found


Fitted = tuple[EnergyScaleFit, State]

#: What `decomposition` and others take for ``calibration``.
REFINEMENTS = {"auto": AutomaticCalibration(), "never": None}


def _refined(model: SpectrumModel, spectrum: Array, channels: Array) -> SpectrumModel:
    """Return the model with the changes that pay for themselves."""
    counts = np.zeros(channels.size)
    counts[channels] = spectrum
    floor = end_of_noise(model, counts)
    used = channels & (model.energy >= floor)
    fit, best = _paid(untied(model), counts, used)
    trial = fit.model_at(fit.parameters_of(best))
    kept = {name: getattr(model, name) for name in KEPT}
    after = trial.replace(**kept)
    moved = zip(fit.names, fit.parameters_of(best) - fit.start, strict=True)
    absurd = any(abs(x) > 0.99 * AXIS.get(name, np.inf) for name, x in moved)
    if absurd or after.columns != model.columns:
        return model
    if (noise := channels & ~used).any():
        missed = deviance_residuals(counts[noise], trial.G[noise] @ best.weights + 1e-9)
        if (missed**2).mean() > NOISE * best.misfit:
            after = _fitted_from(floor, after)
    return _bent(after, spectrum, channels)


def _bent(model: SpectrumModel, spectrum: Array, channels: Array) -> SpectrumModel:
    """Return the model with the background that the counts show, if it has one."""
    if not model.background:
        return model
    free = with_splines(model)
    x = spectrum[free.channels[channels]]
    return free.bent_to(fit_spectrum(free.G[channels & free.channels], x)[0])


def _fitted_from(floor: float, model: SpectrumModel) -> SpectrumModel:
    """Return the model above an energy (keV), unless lines of it would be lost."""
    try:
        above = model.replace(minimum_energy=floor)
    except ValueError:  # an element without a line
        return model
    return above if above.columns == model.columns else model


def _paid(model: SpectrumModel, counts: Array, used: Array) -> Fitted:
    """Return a fit of the parameters whose change is worth its price, and its state.

    What the likelihood loses without one of them, and where the others then are,
    follows from the curvature.
    """
    fit = EnergyScaleFit(model, counts, used, DEFAULT, LIMITS)
    best = fit.run()
    z, covariance, names = best.z, fit.covariance(best), list(DEFAULT)
    misfit = best.misfit
    while names:
        nats = 0.5 * z**2 / np.diag(covariance) / misfit
        least = int(np.argmin(nats))
        if nats[least] >= PRICE:
            break
        # as if it were known to be 0
        share = covariance[:, least] / covariance[least, least]
        z = np.delete(z - share * z[least], least)
        covariance = covariance - np.outer(share, covariance[least])
        covariance = np.delete(np.delete(covariance, least, 0), least, 1)
        del names[least]
    fit = EnergyScaleFit(model, counts, used, names, LIMITS)
    return fit, fit.refine(z)


def _refit(
    model: Any,
    spectrum: Array,
    channels: Array,
    names: Sequence[str] = ("offset", "gain"),
) -> tuple[Array, Array]:
    """Return some parameters of a spectrum, such as offset (eV), and covariance."""
    counts = np.zeros(channels.size)
    counts[channels] = spectrum
    fit = EnergyScaleFit(model, counts, channels, names, LIMITS)
    state = fit.refine(np.zeros(len(names)))
    units = np.outer(fit.spread, fit.spread)
    return fit.parameters_of(state), state.misfit * units * fit.covariance(state)


def _ratio(model: SpectrumModel, spectrum: Array, channels: Array) -> float:
    """Return the deviance ratio of a spectrum in the channels that the model fits."""
    used = channels & model.channels
    x = spectrum[model.channels[channels]]
    return deviance_ratio(x, fit_spectrum(model.G[used], x)[1], len(model.columns))


def axis_change(before: SpectrumModel, after: SpectrumModel) -> Changes:
    """Return by how much an axis was moved (eV) and stretched (%)."""
    return {
        "offset": 1e3 * float(after.energy[0] - before.energy[0]),
        "gain": 1e2 * float(np.ptp(after.energy) / np.ptp(before.energy) - 1),
    }


def _changes(before: SpectrumModel, after: SpectrumModel) -> Changes:
    """Return what differs between two models, see `AutomaticCalibration.refined`."""
    old, new = ({**vars(one.detector), **vars(one)} for one in (before, after))
    names = "resolution", "fano_factor", "low_energy_shift", "tail", "minimum_energy"
    changes = {n: float(new[n]) for n in names if not np.isclose(old[n], new[n])}
    if after.background_bends:
        changes["background"] = float(
            max(after.background_bends) / min(after.background_bends)
        )
    moved = axis_change(before, after)
    return {name: x for name, x in moved.items() if abs(x) > 1e-6} | changes


# What is said of each change.
_PHRASES = {
    "offset": "offset {:+.2g} eV",
    "gain": "gain {:+.2g} %",
    "resolution": "resolution {:.0f} eV",
    "low_energy_shift": "low-energy shift {:.0f} eV",
    "tail": "tails of {:.1%}",
    "minimum_energy": "fitted from {:.2f} keV",
    "background": "background bent",
}
_REFINED = (
    "Model refined: {what}; deviance ratio {deviance_before:.3g} to "
    "{deviance_after:.3g}. refine_calibration() writes the energy scale to the signal."
)
_DRIFT = (
    "The energy scale drifts during the scan: from quarter {drift_from:.0f} to quarter "
    "{drift_to:.0f} of it peaks move by {drift:.0f} eV on average and the gain changes "
    "by {drift_gain:.2f} %, which can look like phases."
)


def calibration_text(changes: Mapping[str, float]) -> list[str]:
    """Return the line that says what was refined; none if nothing was.

    Parameters
    ----------
    changes
        What `AutomaticCalibration` returned.
    """
    if "deviance_after" not in changes:
        return []
    told = [text.format(changes[n]) for n, text in _PHRASES.items() if n in changes]
    what = ", ".join(told).replace(", fitted", "; fitted")
    return [_REFINED.format(what=what, **changes)]


_WIDENING = (
    "Peaks are wider in pixels with more counts, {width_dim:.0f} eV in the dimmest and "
    "{width_bright:.0f} eV in the brightest (FWHM of the noise): a threshold or a "
    "filter has taken weak signals away, or the count rate was too high. Such data are "
    "no counts that a model could fit: weak lines are too weak in them. Start from "
    "data as they were recorded."
)


def drift_text(changes: Mapping[str, float]) -> list[str]:
    """Return warnings that a scan or its pixels differ; none if they do not."""
    told = {"drift": _DRIFT, "width_bright": _WIDENING}
    return [text.format(**changes) for name, text in told.items() if name in changes]
