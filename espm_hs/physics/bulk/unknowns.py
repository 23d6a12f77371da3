"""What is not known of a bulk sample, its detector, and the physics of bulk samples.

As in thin films, each unknown has a middle and two ends, sqrt(3) standard deviations
away. Beside angle, coating and detector these are what the model itself may have wrong:
the absorption coefficients, the depth in which X-rays are made, and how many are made
on the way of an electron, where two models of stopping and ionisation differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple, Protocol

import numpy as np

from espm_hs.physics.bulk.emission import SURE, Doubt, Geometry
from espm_hs.physics.linear_model import Unknowns
from espm_hs.physics.xray.absorption import attenuation
from espm_hs.physics.xray.detector import Detector
from espm_hs.physics.xray.unabsorbed import Unabsorbed
from espm_hs.physics.xray.unknowns import (
    ABSORPTION,
    ANGLE,
    COATING,
    DETECTOR,
    GENERATION,
    LAYER_ERROR,
    layers_depth,
)

Array = np.ndarray

#: Relative standard errors of absorption coefficients below and above 1 keV, by which
#: tables differ, and of the depth in which X-rays are made.
SOFT_ERROR, HARD_ERROR, DEPTH_ERROR = 0.08, 0.02, 0.04
_SOFT = 1.0
#: Standard error of a take-off angle that is given, degrees.
ANGLE_ERROR = 0.5
#: Carbon that makes a surface conduct if nobody says so, nm, at most; and what grows on
#: a detector, um at most. All of it takes away light elements, so that its mean is what
#: amounts are corrected for.
USUAL_COATING, GROWN = 20.0, 0.06
#: Relative error of the layers of a detector that nobody stated.
USUAL_LAYER_ERROR = 0.2
#: Degrees between which the take-off angles of detectors are.
USUAL_ANGLES = (30.0, 40.0)
_ROOT = np.sqrt(3.0)
# Rounds in which the composition comes to be what it says itself.
_ROUNDS = 6


class Emitter(Protocol):
    """What is asked of a model of a bulk sample; `BulkModel` explains it."""

    elements: tuple[str, ...]
    unknown: tuple[str, ...]
    detector: Detector
    tilt: float
    coating: tuple[str, float] | None
    line_factor_errors: dict[str, list[float]]

    @property
    def geometry(self) -> Geometry:
        """How beam, sample and detectors stand to each other."""

    @property
    def _unabsorbed(self) -> Unabsorbed:
        """Lines."""

    def emerging(
        self,
        composition: Mapping[str, float],
        *,
        geometry: Geometry | None = None,
        doubt: Doubt = SURE,
    ) -> tuple[Array, Array]:
        """Return what leaves a sample, of the lines and the continuum."""


class _Setting(NamedTuple):
    """How sample, detector and physics may be.

    Attributes
    ----------
    angles
        Take-off angles, degrees.
    doubt
        How far the physics is off.
    depth
        Optical depth for each line of what the efficiency of the model leaves out.
    """

    angles: Array
    doubt: Doubt
    depth: Array | float = 0.0


def bulk_unknowns(
    model: Emitter, composition: Mapping[str, float], is_known: bool
) -> Unknowns:
    """Return what amounts have to be multiplied with, and how unknowns move them.

    Parameters
    ----------
    model
        Physics that the amounts were found with.
    composition
        Atomic fractions of the sample, in any unit.
    is_known
        Whether the sample has that composition for certain, as a standard has. If not,
        what is found for an element is what the others are absorbed by.

    Returns
    -------
    Unknowns
        Of all columns of lines.
    """
    middle, ends = _middle(model), list(_ends(model))

    def factors(setting: _Setting) -> Array:
        found, there = _counted(model, composition, _given(model)), np.ones(0)
        now = dict(composition)
        for _ in range(1 if is_known else _ROUNDS):
            there = _counted(model, now, setting)
            for i, name in enumerate(model.elements):
                if there[i] > 0:
                    now[name] = composition[name] * float(found[i] / there[i])
        ratio = np.where(there > 0, found / np.where(there > 0, there, 1.0), 1.0)
        return np.log(np.where(ratio > 0, ratio, 1.0))

    centre = factors(middle)
    mean, moved = centre.copy(), []
    for _, low, high in ends:
        below, above = factors(low), factors(high)
        mean += (below + above - 2 * centre) / 6
        moved.append((above - below) / (2 * _ROOT))
    responses = np.reshape(moved, (len(ends), centre.size))
    return Unknowns(tuple(name for name, *_ in ends), np.exp(mean), responses)


def _given(model: Emitter) -> _Setting:
    """Return the setting of the model itself."""
    return _Setting(np.atleast_1d(model.geometry.angles), SURE)


def _counted(model: Emitter, composition: Mapping[str, float], how: _Setting) -> Array:
    """Return what is counted of an atom in each column of lines."""
    lines = model._unabsorbed.lines
    geometry = Geometry(how.angles.tolist(), model.tilt, model.coating)
    emerging, _ = model.emerging(composition, geometry=geometry, doubt=how.doubt)
    area = lines.area * emerging * np.exp(-np.asarray(how.depth))
    return np.bincount(lines.column, area, len(model._unabsorbed.line_columns))


def _carbon(model: Emitter, um: float) -> Array:
    """Return the optical depth of carbon in front of the detector for each line."""
    return layers_depth([("C", um)], model.line_factor_errors, model._unabsorbed)


def _coating(model: Emitter) -> Array:
    """Return the optical depth of a usual coating, on the way to the detector."""
    way = 1e-3 * USUAL_COATING * float(np.mean(model.geometry.cosecants))
    lines = model._unabsorbed.lines
    depth = attenuation("C", lines.energy, way)
    return np.where(lines.absorbed, depth, 0.0)


def _grown(model: Emitter) -> Array:
    """Return the optical depth of the most that may be in front of the detector."""
    if model.detector.carbon or model.detector.ice:
        return np.zeros(model._unabsorbed.lines.energy.size)
    return _carbon(model, GROWN)


def _middle(model: Emitter) -> _Setting:
    """Return the setting in the middle of all unknowns."""
    setting = _given(model)
    if ANGLE in model.unknown:
        setting = setting._replace(angles=np.array([np.mean(USUAL_ANGLES)]))
    depth = 0.5 * _grown(model)
    if COATING in model.unknown:
        depth = depth + 0.5 * _coating(model)
    return setting._replace(depth=depth)


def _ends(model: Emitter) -> Iterator[tuple[str, _Setting, _Setting]]:
    """Yield the unknowns, each with its two ends."""
    middle, known = _middle(model), model._unabsorbed
    depth = np.asarray(middle.depth)

    def absorbing(name: str, half: Array) -> tuple[str, _Setting, _Setting]:
        low, high = (middle._replace(depth=depth + x * half) for x in (-1, 1))
        return name, low, high

    if ANGLE in model.unknown:
        high, low = (np.array([angle]) for angle in USUAL_ANGLES[::-1])
    else:
        high, low = (
            np.clip(middle.angles + sign * _ROOT * ANGLE_ERROR, 1.0, 90.0)
            for sign in (1, -1)
        )
    yield ANGLE, middle._replace(angles=high), middle._replace(angles=low)
    yield absorbing(DETECTOR, 0.5 * _grown(model))
    share = USUAL_LAYER_ERROR if DETECTOR in model.unknown else LAYER_ERROR
    layers = [(name, share * um) for name, um in model.detector.layers]
    yield absorbing(
        DETECTOR, _ROOT * layers_depth(layers, model.line_factor_errors, known)
    )
    if COATING in model.unknown:
        yield absorbing(COATING, 0.5 * _coating(model))
    own = np.array([line.element for line in known.lines.emitted])
    spread = np.where(known.lines.energy < _SOFT, SOFT_ERROR, HARD_ERROR)
    errors = [np.full(spread.size, DEPTH_ERROR)]
    # tables are wrong for each line in its own way
    errors += [np.where(own == element, spread, 0.0) for element in model.elements]
    for error in errors:
        less, more = (Doubt(absorption=1 + x * _ROOT * error) for x in (-1, 1))
        yield ABSORPTION, middle._replace(doubt=less), middle._replace(doubt=more)
    # half of the difference between two models of the depth is a standard deviation
    less, more = (Doubt(shape=x * _ROOT / 2) for x in (-1, 1))
    yield ABSORPTION, middle._replace(doubt=less), middle._replace(doubt=more)
    # one model is half a difference from the mean, which is a standard deviation
    fewer, more = (Doubt(own_area=x * _ROOT / 2) for x in (-1, 1))
    yield GENERATION, middle._replace(doubt=fewer), middle._replace(doubt=more)
