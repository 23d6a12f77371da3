"""What is not known of sample and detector, and what amounts are, and may be, for it.

What a model is made for, its thickness, take-off angle and detector, is known to some
part or not at all. Amounts that were found with the model are corrected to the mean
over what may be, and each unknown moves those of all elements together by its standard
error.

Each unknown has a middle and two ends, sqrt(3) standard deviations away, with the
weights 2/3, 1/6 and 1/6: for a uniform distribution this is Simpson's rule, and for a
normal one that of Gauss and Hermite.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from espm_hs.physics.linear_model import Unknowns
from espm_hs.physics.xray.absorption import (
    Angles,
    attenuation,
    mass_thickness,
    material_data,
)
from espm_hs.physics.xray.detector import FILM
from espm_hs.physics.xray.elements import atomic_weight

if TYPE_CHECKING:
    from espm_hs.physics.xray.model import SpectrumModel
    from espm_hs.physics.xray.unabsorbed import Unabsorbed

Array = np.ndarray

#: What may be unknown to a model: arguments of it.
THICKNESS, ANGLE, DETECTOR = NAMES = ("thickness", "take_off_angle", "detector")
#: What else may be unknown of bulk samples: a layer on the surface, what becomes of
#: X-rays in them, and how many are made.
COATING, ABSORPTION, GENERATION = "coating", "absorption", "generation"
#: Thickness of a film of which nothing is known: median, nm, and the factor of one
#: standard deviation.
USUAL_THICKNESS, USUAL_FACTOR = 77.0, 2.0
#: Beams of less energy, keV, are those of scanning microscopes and X-ray tubes.
LEAST_BEAM = 60.0
#: Said of them where no thickness is stated.
BULK = (
    "A beam of {:g} keV is that of a scanning microscope or an X-ray tube, and the "
    "model is that of a thin film: at.% of a bulk sample or of X-ray fluorescence are "
    "wrong. For a bulk sample call s.set_signal_type('EDS_espm_SEM'); of a film state "
    "thickness= and density="
)
#: Density where not even the composition is known, g/cm3.
USUAL_DENSITY = 4.0
#: Relative error of a thickness that is given.
THICKNESS_ERROR = 0.2
#: Degrees between which the take-off angles of detectors are.
USUAL_ANGLES = (15.0, 40.0)
#: Volume of an atom in most oxides, nm3.
ATOMIC_VOLUME = 0.0125
#: What may have grown on a detector that is given, um.
GROWN = ("C", 0.03)
#: Relative error of the layers of such a detector.
LAYER_ERROR = 0.1
_ROOT = np.sqrt(3.0)
# Rounds in which the composition comes to absorb as much as it says itself.
_ROUNDS = 8
# g/cm3.
_DENSEST_GAS = 0.1
# g/cm3 of one atomic mass unit in 1 nm3.
_PER_NM3 = 1.66053906892e-3


class _Setting(NamedTuple):
    """How sample and detector may be.

    Attributes
    ----------
    mass
        Mass thickness over the one that is given, or usual.
    angle
        Take-off angles, degrees.
    depth
        Optical depth for each line of what the efficiency of the model leaves out.
    """

    mass: float
    angle: Angles
    depth: np.ndarray


def unknowns_of(model: SpectrumModel, known: Unabsorbed, amounts: Array) -> Unknowns:
    """Return what amounts have to be multiplied with, and how unknowns move them.

    Parameters
    ----------
    model
        Physics that the amounts were found with.
    known
        Its lines.
    amounts
        Of its elements, in proportion to numbers of atoms; shape (n_elements,).

    Returns
    -------
    Unknowns
    """

    def factors(setting: _Setting) -> Array:
        return np.log(_factors(model, known, amounts, setting))

    return _mean(model, known, factors)


def unknowns_of_columns(model: SpectrumModel, known: Unabsorbed) -> Unknowns:
    """Return the same of the columns of lines of a sample of known composition.

    Parameters
    ----------
    model, known
        As in `unknowns_of`; the composition is that of the model.
    """
    composition = model.composition or {}
    amounts = np.array([composition.get(element, 0.0) for element in model.elements])
    usual, given = _mass_thickness(model, amounts), _given(model, known)
    found = _counted(known, composition, model.mass_thickness, given)

    def factors(setting: _Setting) -> Array:
        there = _counted(known, composition, setting.mass * usual, setting)
        return np.log(found / there)

    return _mean(model, known, factors)


def _mean(
    model: SpectrumModel, known: Unabsorbed, factors: Callable[[_Setting], Array]
) -> Unknowns:
    """Return the mean over settings of factors, given by their logarithms."""
    film = layers_depth(FILM, model.line_factor_errors, known)
    middle = _middle(model, known, film)
    centre = factors(middle)
    names, mean, moved = [], centre.copy(), []
    for name, *ends in _ends(model, known, middle, film):
        low, high = map(factors, ends)
        mean += (low + high - 2 * centre) / 6
        names.append(name)
        moved.append((high - low) / (2 * _ROOT))
    responses = np.reshape(moved, (len(names), centre.size))
    return Unknowns(tuple(names), np.exp(mean), responses)


def amounts_at(
    model: SpectrumModel, known: Unabsorbed, amounts: Array, mass: float
) -> Array:
    """Return the amounts of a sample of another mass thickness (kg/m2).

    Parameters
    ----------
    model, known, amounts
        As in `unknowns_of`.
    mass
        Mass thickness, kg/m2.
    """
    setting = _middle(model, known, layers_depth(FILM, model.line_factor_errors, known))
    return amounts * _factors(model, known, amounts, setting, mass)


def _factors(
    model: SpectrumModel,
    known: Unabsorbed,
    amounts: Array,
    setting: _Setting,
    mass: float | None = None,
) -> Array:
    """Return what amounts have to be multiplied with in a setting.

    They absorb as they are in the end, with the mass thickness of the setting if none
    is given.
    """
    found = _strengths(
        model, known, amounts, model.mass_thickness, _given(model, known)
    )
    now = there = amounts
    for _ in range(_ROUNDS):
        absorbing = mass
        if absorbing is None:
            absorbing = setting.mass * _mass_thickness(model, now)
        there = _strengths(model, known, now, absorbing, setting)
        now = amounts * found / there
    return found / there


def _given(model: SpectrumModel, known: Unabsorbed) -> _Setting:
    """Return the setting of the model itself."""
    none = np.zeros(known.lines.energy.size)
    return _Setting(1.0, model.take_off_angle or 90.0, none)


def _strengths(
    model: SpectrumModel, known: Unabsorbed, amounts: Array, mass: float, how: _Setting
) -> Array:
    """Return what is counted of an atom of each element, shape (n_elements,)."""
    composition = dict(zip(model.elements, amounts.tolist(), strict=True))
    return _counted(known, composition, mass, how)[: amounts.size]


def _counted(
    known: Unabsorbed, composition: Mapping[str, float], mass: float, how: _Setting
) -> Array:
    """Return what is counted of an atom in each column of lines."""
    area = known.lines.area * np.exp(-how.depth)
    if mass > 0:
        area = area * known.escaping(composition, mass, how.angle)[0]
    return np.bincount(known.lines.column, area)


def usual_density(model: SpectrumModel, amounts: Array) -> float:
    """Return the density that is given, or that of atoms of the usual volume, g/cm3.

    Atoms have the volume that they have in the solid element. Where half of them or
    more are of gaseous elements, as in oxides, all have that of `ATOMIC_VOLUME`.
    """
    if model.density:
        return model.density
    shares = amounts / amounts.sum()
    weights = np.array([atomic_weight(element) for element in model.elements])
    densities = np.array([material_data(element)[1] for element in model.elements])
    solid = densities > _DENSEST_GAS
    volumes = np.where(solid, _PER_NM3 * weights / densities, 0.0)
    solids = float(shares[solid].sum())
    bound = min(1.0, 2 * (1 - solids))
    volume = bound * ATOMIC_VOLUME
    if solids > 0:
        volume += (1 - bound) * float(shares @ volumes) / solids
    return _PER_NM3 * float(shares @ weights) / volume


def _mass_thickness(model: SpectrumModel, amounts: Array) -> float:
    """Return the mass thickness that is given, or the usual one, kg/m2."""
    if THICKNESS not in model.unknown:
        return model.mass_thickness
    return mass_thickness(USUAL_THICKNESS, usual_density(model, amounts))


def _middle(model: SpectrumModel, known: Unabsorbed, film: Array) -> _Setting:
    """Return the setting in the middle of all unknowns."""
    given = _given(model, known)
    if ANGLE in model.unknown or model.take_off_angle is None:
        given = given._replace(angle=float(np.mean(USUAL_ANGLES)))
    return given._replace(depth=film / 2) if DETECTOR in model.unknown else given


def _ends(
    model: SpectrumModel, known: Unabsorbed, middle: _Setting, film: Array
) -> Iterator[tuple[str, _Setting, _Setting]]:
    """Yield the unknowns that matter, each with its two ends."""
    absorbs = THICKNESS in model.unknown or model.depends_on_composition
    if absorbs:
        is_usual = THICKNESS in model.unknown
        spread = np.log(USUAL_FACTOR) if is_usual else model.thickness_error
        most = float(np.exp(_ROOT * spread))
        yield THICKNESS, middle._replace(mass=1 / most), middle._replace(mass=most)
    if absorbs and (ANGLE in model.unknown or model.take_off_angle is None):
        # a low detector sees more absorption, as that of a thick sample
        low, high = USUAL_ANGLES
        yield ANGLE, middle._replace(angle=high), middle._replace(angle=low)
    if DETECTOR in model.unknown and film.any():
        yield DETECTOR, middle._replace(depth=0 * film), middle._replace(depth=film)
    elif DETECTOR not in model.unknown and (
        model.detector.layers or model.detector.curve
    ):
        layers = [(name, LAYER_ERROR * um) for name, um in model.detector.layers]
        measured = model.line_factor_errors
        depth = _ROOT * layers_depth([*layers, GROWN], measured, known)
        yield DETECTOR, middle._replace(depth=-depth), middle._replace(depth=depth)


def layers_depth(
    layers: Iterable[tuple[str, float]], measured: Container[str], known: Unabsorbed
) -> Array:
    """Return the optical depth of layers (um) for each line.

    The factors of families that were measured hold the efficiency as it is.
    """
    emitted = [line.key in measured for line in known.lines.emitted]
    total = np.zeros(known.lines.energy.size)
    for material, um in layers:
        total += attenuation(material, known.lines.energy, um)
    return np.where(emitted, 0.0, total)
