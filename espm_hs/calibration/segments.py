"""The mass thickness that segments of a detector tell by what they see differently.

All of them count the same atoms. Of photons that the sample absorbs, a segment at a low
angle counts less, by as much as the sample is thick: at the right mass thickness all
segments find the same amounts, but for one number for each, which is its efficiency.
The phases are fitted with several thicknesses, and F tells which of them is right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
from scipy.interpolate import CubicSpline

from espm_hs.calibration.energy_scale import (
    TRIED,
    MassThickness,
    likely_mass_thickness,
    said_of_mass_thickness,
    usual_mass_thickness,
)
from espm_hs.decomposition.decompose import DecompositionOptions
from espm_hs.decomposition.segments import SegmentsToFit, read_segments
from espm_hs.decomposition.self_consistency import self_consistent_model
from espm_hs.decomposition.stacked import StackedModel
from espm_hs.decomposition.together import OneOfMaps
from espm_hs.factorization import deviance_ratio, fit_spectrum
from espm_hs.factorization.counts.reading import read_counts
from espm_hs.physics.xray.unknowns import DETECTOR, THICKNESS

# Of the thicknesses that are tried, every so many-th is fitted.
EVERY = 3
# Iterations of each.
MAX_ITER = 200
# Segments that see the sample alike say nothing of each other.
BLIND = 2.0
# Thicknesses between those, over which a likelihood is blurred.
FINE = 400


def with_mass_thickness(
    maps: Sequence[OneOfMaps], n_phases: int, options: DecompositionOptions
) -> tuple[list[OneOfMaps], MassThickness]:
    """Return maps of the same pixels with the mass thickness that they imply together.

    Parameters
    ----------
    maps
        The maps, of which there are several; the thickness of their models does not
        count.
    n_phases, options
        As in `espm_hs.decomposition.decompose.decompose`.
    """
    quick = replace(options, smoothness=0.0, n_init=1, max_iter=MAX_ITER)
    first: Any = maps[0].model
    usual = usual_mass_thickness(first, _summed(maps[0]))
    films = [one._replace(model=_film(one.model, usual)) for one in maps]
    read, _ = read_segments(films, n_phases, quick)
    masses = (usual * TRIED[::EVERY]).tolist()
    error, alike = _by_layers(read), np.zeros(TRIED.size)
    if error < BLIND:
        losses = read.divergences([_of_mass(read, mass) for mass in masses])
        # what each of them says by itself is not what they say of each other
        for one in films:
            alone, _ = read_segments([one], n_phases, quick, stacked=True)
            losses -= alone.divergences([_of_mass(alone, mass) for mass in masses])
        alike = _blurred(losses / _excess(read), error)
    # errors of atomic data are the same in all of them
    each = [_said(film, usual) for film in films]
    found = likely_mass_thickness(usual, alike + np.mean(each, axis=0))
    return [_of_thickness(one, found) for one in maps], found


def _said(one: OneOfMaps, usual: float) -> np.ndarray:
    """Return what lines and edges of one map say, see `said_of_mass_thickness`."""
    model, spectrum = one.model, _summed(one)
    used = model.channels
    if one.refinement is not None:
        model, _ = one.refinement.refined(model, spectrum[used], used)
    refined: Any = model
    return said_of_mass_thickness(refined, spectrum, usual)


def _summed(one: OneOfMaps) -> np.ndarray:
    """Return the summed spectrum of a map, shape (n_channels,)."""
    return read_counts(one.data, pixels=one.pixels).spectrum


def _excess(read: SegmentsToFit) -> float:
    """Return by how much the counts scatter more than Poisson noise, at least 1."""
    stack, used = read.whole.model, read.whole.channels
    counts = np.concatenate(read.spectra)
    absorbing = self_consistent_model(stack, counts, used)
    mean = fit_spectrum(absorbing.G[used], counts)[1]
    return max(1.0, deviance_ratio(counts, mean, len(stack.columns)))


def _blurred(losses: np.ndarray, error: float) -> np.ndarray:
    """Return logs of the likelihood of all thicknesses, from losses of some of them.

    ``error``: standard deviation of the log of a thickness that comes on top.
    """
    position = np.log(TRIED)
    fine = np.linspace(position[0], position[-1], FINE)
    loss = CubicSpline(position[::EVERY], losses)(fine)
    weight = np.exp(loss.min() - loss)
    apart = fine[:, None] - fine
    kernel = np.exp(-0.5 * (apart / max(error, 1e-3 + fine[1] - fine[0])) ** 2)
    spread = (kernel / kernel.sum(axis=0)) @ weight
    return np.interp(position, fine, np.log(spread + np.finfo(float).tiny))


def _film(model: Any, mass: float) -> Any:
    """Return a model of a mass thickness (kg/m2) that is known."""
    unknown = tuple(name for name in model.unknown if name != THICKNESS)
    return model.replace(thickness=1e6 * mass, density=1.0, unknown=unknown)


def _of_mass(read: SegmentsToFit, mass: float) -> StackedModel:
    """Return the models of maps that were read, of another mass thickness."""
    stack: Any = read.whole.model
    return replace(stack, models=tuple(_film(one, mass) for one in stack.models))


def _by_layers(read: SegmentsToFit) -> float:
    """Return the error of the log of a thickness by the layers of the segments.

    A layer more in front of one of them takes away what the sample would, if it were
    thicker.
    """
    stack: Any = read.whole.model
    amounts = np.ones(len(stack.elements))
    told = []
    for model in stack.models:
        names, _, responses = model.unknowns(amounts)
        by_name = dict(zip(names, responses, strict=True))
        nothing = np.zeros(amounts.size)
        film = by_name.get(THICKNESS, nothing) / (model.thickness_error or 1.0)
        order = [model.elements.index(name) for name in stack.elements]
        told.append((film[order], by_name.get(DETECTOR, nothing)[order]))
    errors = []
    for (one, of_one), (other, of_other) in combinations(told, 2):
        apart = one - other - (one - other).mean()
        if apart @ apart == 0:
            continue
        moved = [layer - layer.mean() for layer in (of_one, of_other)]
        errors.append(np.hypot(*(apart @ layer for layer in moved)) / (apart @ apart))
    return float(min(errors, default=np.inf))


def _of_thickness(one: OneOfMaps, found: MassThickness) -> OneOfMaps:
    """Return a map whose model has a mass thickness."""
    model: Any = one.model
    unknown = tuple(name for name in model.unknown if name != THICKNESS)
    return one._replace(model=model.replace(**found.arguments, unknown=unknown))
