"""Items of HyperSpy's metadata, read as `schema` describes them and made a model.

What the metadata do not state, or state as eXSpy fills it in, is looked for where the
program of the file wrote it: see `quirks`. What a user sets is written by `writer`.

Readers differ in what ``live_time`` of a map means: the time of one pixel, or that of
all. So it is stated with `set_analysis_parameters(live_time_of=...)`, and kept as the
number of pixels that the live time is for: that stays true when the map is cut, and
when HyperSpy adds up live times with the pixels.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache, partial
from math import acos, cos, degrees, pi, radians
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.constants import elementary_charge

from espm_hs.arguments import did_you_mean
from espm_hs.metadata.quirks import QUIRKS, emsa
from espm_hs.metadata.schema import (
    BULK_TYPE,
    FIT,
    ITEMS,
    RESULTS,
    UNCOATED,
    Tree,
    as_detector,
    check_node,
    instrument_path,
    per_unit,
)
from espm_hs.physics import BulkModel, Detector, SpectrumModel
from espm_hs.physics.xray.arguments import POSITION
from espm_hs.physics.xray.emission import NoLine, check_beam_energy
from espm_hs.physics.xray.line_factors import LineFactors, Standard, combined
from espm_hs.physics.xray.unknowns import ANGLE, COATING, DETECTOR, THICKNESS

if TYPE_CHECKING:
    from hyperspy.axes import DataAxis
    from hyperspy.signals import BaseSignal


# Units in which a thickness may be, by their names in pint.
LENGTHS = ("nm", "um", "µm", "cm", "m")
# In the order in which `exspy.utils.eds.take_off_angle` takes them.
_ANGLES = ("tilt_stage", "azimuth_angle", "elevation_angle", "tilt_beta")
#: Items that only films have.
OF_FILMS = (
    *("thickness", "thickness_units", "thickness_error", "mass_thickness", "density"),
)
# What a model is made from.
_OF_A_MODEL = (
    *("beam_energy", "elements", "stray_elements", "split_lines", "line_factors"),
    "standards",
    *("detector", "energy_resolution_MnKa", "minimum_energy", "extra_spectra"),
    *OF_FILMS,
    *("take_off_angle", *_ANGLES, "coating"),
)


# -- the energy axis ---------------------------------------------------------------


def kev_per_unit(axis: DataAxis) -> float:
    """Return how many keV one unit of an energy axis is.

    Raises
    ------
    ValueError
        If its units are not of energy.
    """
    found = per_unit(str(axis.units), "keV")
    if found is None:
        raise ValueError(
            f"The units of the energy axis are {axis.units!r}; needed is a unit of "
            "energy, such as 'keV'. Set them with `s.axes_manager[-1].units = 'keV'`."
        )
    return found


def energy_axis(axis: DataAxis) -> np.ndarray:
    """Return the channel centres of a HyperSpy signal axis, keV.

    Raises
    ------
    ValueError
        If the axis is not uniform and increasing, or its units are not of energy.
    """
    if not axis.is_uniform or axis.scale <= 0:
        raise ValueError(
            "The energy axis must be uniform and increasing. Interpolate the data "
            "with `s.interpolate_on_axis` or set its scale with "
            "`s.axes_manager[-1].scale`."
        )
    return (axis.offset + axis.scale * np.arange(axis.size)) * kev_per_unit(axis)


# -- items -------------------------------------------------------------------------


def item(metadata: Tree | None, path: str) -> Any:
    """Return what is in the metadata at a path, nodes as dictionaries; else None."""
    found: Any = None
    if metadata is not None:
        found = metadata.get_item(instrument_path(metadata, path))
    return found.as_dictionary() if hasattr(found, "as_dictionary") else found


def without_results(signal: BaseSignal) -> dict[str, dict[str, Any]]:
    """Return copies of both trees of a signal, as arguments of its class."""
    trees = {name: getattr(signal, name) for name in ("metadata", "original_metadata")}
    copies = {name: tree.as_dictionary() for name, tree in trees.items()}
    node, name = RESULTS.split(".")
    copies["metadata"].get(node, {}).pop(name, None)
    return copies


def of_file(metadata: Tree) -> str:
    """Return what ends a message with the name of the file, if that is known."""
    name = item(metadata, "General.original_filename")
    return f" (file {name})." if name else "."


def stated(
    name: str, metadata: Tree, original_metadata: Tree | None = None
) -> tuple[Any, str]:
    """Return an item as it is in the metadata, or as the program of the file wrote it.

    Parameters
    ----------
    name
        Name of the item in the schema.
    metadata, original_metadata
        The two trees of a signal.

    Returns
    -------
    value
        Unchecked; None if there is none.
    program
        Name of the program by whose habit it was read; empty if by none.
    """
    value = item(metadata, ITEMS[name].path)
    if ITEMS[name].is_stated(value):
        return value, ""
    found, program = in_header(name, metadata, original_metadata)
    return (value if found is None else found), program


def in_header(
    name: str, metadata: Tree, original_metadata: Tree | None = None
) -> tuple[Any, str]:
    """As `stated`, but only what the program of the file wrote in a way of its own."""
    for quirk, trees in _programs(metadata, original_metadata):
        found = quirk.READS[name](*trees) if name in quirk.READS else None
        if found is not None:
            return found, quirk.PROGRAM
    return None, ""


def guessed_by(name: str, metadata: Tree, original_metadata: Tree | None = None) -> str:
    """Return the program whose guess an item still is; empty if it is no guess."""
    value = item(metadata, ITEMS[name].path)
    if value is None:
        return ""
    for quirk, trees in _programs(metadata, original_metadata):
        guess = getattr(quirk, "GUESSES", {}).get(name)
        if guess is not None and sorted(guess(*trees)) == sorted(value):
            return quirk.PROGRAM
    return ""


def segments(metadata: Tree, original_metadata: Tree | None = None) -> list[float]:
    """Return the azimuths of the segments of the detector, degrees, if known."""
    for quirk, trees in _programs(metadata, original_metadata):
        if hasattr(quirk, "azimuths"):
            return quirk.azimuths(*trees)
    return []


def _programs(metadata: Tree, original_metadata: Tree | None) -> Iterator[tuple]:
    """Return the programs that wrote the metadata, with what looks items up."""
    for quirk in QUIRKS:
        if all(item(metadata, x) is not None for x in quirk.METADATA) and all(
            item(original_metadata, x) is not None for x in quirk.ORIGINAL
        ):
            yield quirk, (partial(item, metadata), partial(item, original_metadata))


def read(name: str, metadata: Tree, original_metadata: Tree | None = None) -> Any:
    """Return an item as plain data in the unit of the schema, or None.

    Parameters
    ----------
    name
        Name of the item in the schema.
    metadata, original_metadata
        The two trees of a signal.

    Raises
    ------
    ValueError
        If the value makes no sense; the message names the call that sets it.
    """
    trees = metadata, original_metadata
    value, _ = stated(name, *trees)
    if name == "thickness":
        return _thickness(value, stated("thickness_units", *trees)[0])
    return _plain(name, value)


#: Thickness of the sample in nm, and its density in g/cm3: `read` without the name.
thickness, density = partial(read, "thickness"), partial(read, "density")


def stray_elements(metadata: Tree, original_metadata: Tree | None = None) -> list[str]:
    """Return the symbols of the stray elements; see `read`."""
    return read("stray_elements", metadata, original_metadata) or []


def standard_composition(original_metadata: Tree | None) -> dict[str, float] | None:
    """Return the mass fractions of a standard that its file states; None: none."""
    if original_metadata is None:
        return None
    return emsa.standard_composition(partial(item, original_metadata))


def take_off_angle(metadata: Tree, original_metadata: Tree | None = None) -> float:
    """Return the take-off angle in degrees, of several detectors the mean.

    Raises
    ------
    ValueError
        If an angle is not set or makes no sense.
    """
    names = ("take_off_angle", *_ANGLES)
    found = {name: stated(name, metadata, original_metadata)[0] for name in names}
    if (angle := _take_off_angle(found)) is None:
        raise ValueError(
            "The take-off angle is not known. Set the detector's angles with "
            f"{POSITION}."
        )
    return float(np.mean(angle))


def _plain(name: str, value: Any) -> Any:
    return None if value is None else ITEMS[name].read(value)


def _thickness(value: Any, units: Any) -> float | None:
    """Return a thickness of the metadata in nm; without units it is in metres."""
    length = _plain("thickness", value)
    if length is None:
        return None
    units = "" if units is None else str(units)
    unit = units or "m"
    if unit not in LENGTHS:
        raise ITEMS["thickness_units"].refusal(
            f"is {unit!r}; known are {list(LENGTHS)}."
        )
    in_nm = length * per_unit(unit, "nm")
    known = ITEMS["thickness"]
    if in_nm > known.most:
        hint = "" if units else " Without thickness_units it is read in metres."
        raise known.refusal(f"is {length:g} {unit}, {known.excess}.{hint}")
    return in_nm


def _detector(stored: Mapping | None, resolution: float | None, usual: str) -> Detector:
    found = as_detector(usual if stored is None else stored)
    return found if resolution is None else found.replace(resolution=resolution)


def _take_off_angle(found: Mapping[str, Any]) -> float | list[float] | None:
    if found["take_off_angle"] is not None:
        return _plain("take_off_angle", found["take_off_angle"])
    tilt, azimuth, elevation, beta = (_plain(name, found[name]) for name in _ANGLES)
    if None in (tilt, azimuth, elevation):
        return None
    # eXSpy takes seconds to import, and simulations do without
    from exspy.utils.eds import take_off_angle

    angle = float(take_off_angle(tilt, azimuth, elevation, beta or 0.0))
    if not 0 < angle <= 90:
        raise ValueError(
            f"An elevation of {elevation:g}, an azimuth of {azimuth:g} and stage tilts "
            f"of {tilt:g} and {beta or 0.0:g} degrees make a take-off angle of "
            f"{angle:.3g}; needed is one above 0 up to 90. Set them with {POSITION}, "
            "or the angle itself with "
            f"`{ITEMS['take_off_angle'].call()}`."
        )
    return angle


# -- the model ---------------------------------------------------------------------


def build_model(
    metadata: Tree,
    axis: DataAxis,
    original_metadata: Tree | None = None,
    **overrides: Any,
) -> SpectrumModel:
    """Return the `SpectrumModel` that metadata and energy axis describe.

    As long as these are the same it is the same model.

    Parameters
    ----------
    metadata
        Metadata of an EDS signal in eXSpy's layout.
    axis
        Energy axis of the signal.
    original_metadata
        Metadata of the file that the signal was read from.
    **overrides
        Arguments of `SpectrumModel` that take the place of the metadata's.

    Raises
    ------
    ValueError
        If elements or beam energy are missing or a value makes no sense; the message
        names the call that sets it.
    TypeError
        If `SpectrumModel` has no such argument.
    """
    check_node(metadata)
    kind = model_class(metadata)
    if overrides:
        known = inspect.signature(kind).parameters
        if unknown := [name for name in overrides if name not in known]:
            hint = did_you_mean(unknown[0], known)
            raise TypeError(
                f"A model does not know {', '.join(map(repr, unknown))}.{hint} It "
                f"takes {', '.join(known)}."
            )
    found = _Stated(energy=energy_axis(axis))
    for name in _OF_A_MODEL:
        found[name] = stated(name, metadata, original_metadata)[0]
    if overrides:
        return _made(kind, _arguments(kind, found, overrides))
    return _model(kind, found)


def model_class(metadata: Tree) -> type[SpectrumModel]:
    """Return the physics of the type of a signal: that of films, or of bulk samples."""
    of_bulk = item(metadata, "Signal.signal_type") == BULK_TYPE
    return BulkModel if of_bulk else SpectrumModel


def _made(kind: type[SpectrumModel], arguments: dict[str, Any]) -> SpectrumModel:
    """Return a model without the stray elements that have no line on its axis."""
    while True:
        try:
            return kind(**arguments)
        except NoLine as error:
            stray = list(arguments.get("stray_elements", ()))
            if error.element not in stray:
                raise
            stray.remove(error.element)
            arguments = {**arguments, "stray_elements": stray}
            note = f"The stray element {error.element} is left out: {error}"
            warnings.warn(note, UserWarning, stacklevel=2)


# What a model has as the metadata state it, and no refinement changes.
_KEPT = (
    *("elements", "stray_elements", "beam_energy", "split_lines", "line_factors"),
    *("thickness", "density"),
)


def changed(
    model: Any, axis: DataAxis, metadata: Tree, original_metadata: Tree | None = None
) -> list[str]:
    """Name what the metadata state otherwise than when a model was made.

    Parameters
    ----------
    model
        A model that was made from the metadata, and refined since.
    axis, metadata, original_metadata
        As in `build_model`.
    """
    if not isinstance(model, SpectrumModel):
        return []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            now = build_model(metadata, axis, original_metadata)
    except ValueError:
        return ["the metadata"]  # which make no model any more
    # nobody stated what segments of a detector tell: a mass, of density 1
    by_segments = THICKNESS in now.unknown and model.density == 1.0
    fitted = read("mass_thickness", metadata) == FIT or by_segments
    names = _KEPT[:-2] if fitted else _KEPT
    return [ITEMS[x].shown for x in names if getattr(now, x) != getattr(model, x)]


def mixing_text(model: Any, axes: Iterable[DataAxis]) -> Iterator[str]:
    """Say so where electrons reach the neighbours of a pixel of a bulk sample.

    Parameters
    ----------
    model
        Physics of the sample.
    axes
        Navigation axes of the map.
    """
    if not isinstance(model, BulkModel):
        return
    steps = []
    for axis in axes:
        in_um = per_unit(str(axis.units), "um")
        if in_um and getattr(axis, "scale", 0.0):
            steps.append(abs(float(axis.scale)) * in_um)
    reach = model.electron_range
    if steps and min(steps) < reach:
        yield (
            f"Pixels are {min(steps):.2g} µm wide, and electrons of "
            f"{model.beam_energy:g} keV reach about {reach:.2g} µm: at boundaries, "
            "and in grains that are not larger, spectra of phases mix. Take wider "
            "pixels or a lower beam energy, or judge by the middle of grains."
        )


class _Stated(dict):
    """Values that metadata state, by which a model is remembered."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(_frozen(self))

    def __eq__(self, other: object) -> bool:
        return _frozen(self) == _frozen(other)


def _frozen(value: Any) -> tuple:
    """Return a description of a value that no other value has, to be compared."""
    if isinstance(value, Mapping):
        return tuple((name, _frozen(one)) for name, one in value.items())
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, list | tuple | np.ndarray):
        return type(value), tuple(map(_frozen, value))
    return type(value), repr(value)


@lru_cache(maxsize=8)
def _model(kind: type[SpectrumModel], found: _Stated) -> SpectrumModel:
    return _made(kind, _arguments(kind, found, {}))


def _arguments(
    kind: type[SpectrumModel], found: _Stated, overrides: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the arguments of a model from what metadata state."""
    elsewhere = *_ANGLES, *OF_FILMS, "take_off_angle", "coating"
    arguments = {
        name: _plain(name, found[name]) for name in _OF_A_MODEL if name not in elsewhere
    }
    resolution = arguments.pop("energy_resolution_MnKa")
    arguments["energy"] = found["energy"]
    arguments["detector"] = _detector(
        arguments["detector"], resolution, kind.USUAL_DETECTOR
    )
    arguments |= _of_bulk(found) if issubclass(kind, BulkModel) else _of_film(found)
    arguments |= overrides
    if "take_off_angle" not in overrides:
        arguments["take_off_angle"] = _take_off_angle(found)
    unknown = [x for x in _unknown(found, overrides) if x in kind.UNKNOWN]
    arguments["unknown"] = overrides.get("unknown", unknown)
    if arguments["beam_energy"] is None or "beam_energy" not in overrides:
        _check_beam(arguments["beam_energy"], kind.BEAM_ENERGIES)
    standards = arguments.pop("standards")
    if standards and "line_factors" not in overrides:
        beam, seen = arguments["beam_energy"], Detector.of(arguments["detector"])
        found_by = combined_line_factors(standards, beam, seen, arguments["unknown"])
        known = found_by.arguments
        factors = (arguments["line_factors"] or {}) | known["line_factors"]
        arguments |= {**known, "line_factors": factors, **overrides}
    if arguments["elements"] is None:
        arguments["elements"] = ()  # which the model refuses
    return {
        name: value
        for name, value in arguments.items()
        if value is not None or name in overrides
    }


def _of_film(found: _Stated) -> dict[str, Any]:
    """Return the arguments that only films have."""
    mass = _plain("mass_thickness", found["mass_thickness"])
    arguments = {
        "thickness": _thickness(found["thickness"], found["thickness_units"]),
        "thickness_error": _plain("thickness_error", found["thickness_error"]),
        "density": _plain("density", found["density"]),
    }
    if isinstance(mass, float) and arguments["thickness"] is None:
        # only the product absorbs
        arguments |= {"thickness": 1e6 * mass, "density": 1.0}
    return arguments


def _of_bulk(found: _Stated) -> dict[str, Any]:
    """Return the arguments that only bulk samples have."""
    tilts = [_plain(name, found[name]) or 0.0 for name in ("tilt_stage", "tilt_beta")]
    coating = _plain("coating", found["coating"])
    return {
        "tilt": round(
            degrees(acos(cos(radians(tilts[0])) * cos(radians(tilts[1])))), 9
        ),
        "coating": None if coating == UNCOATED else coating,
    }


def combined_line_factors(standards: Mapping[str, Mapping], *model: Any) -> LineFactors:
    """Return what standards, as metadata have them, say together; see `combined`."""
    return combined(map(Standard.from_dict, standards.values()), *model)


def _unknown(found: _Stated, overrides: Mapping[str, Any]) -> list[str]:
    """Return what is neither stated nor given; eXSpy's elevation is no statement."""
    elevation = ITEMS["elevation_angle"].is_stated(found["elevation_angle"])
    mass = None if THICKNESS in overrides else found["mass_thickness"]
    given = {**found, **overrides}
    open_ = {
        THICKNESS: given[THICKNESS] is None and mass in (None, FIT),
        ANGLE: given[ANGLE] is None and not elevation,
        DETECTOR: given[DETECTOR] is None,
        COATING: given[COATING] is None,
    }
    return [name for name, is_open in open_.items() if is_open]


def _check_beam(value: float | None, limits: tuple[float, float]) -> None:
    """Raise ValueError if the beam energy is not stated or not one of a microscope."""
    beam = ITEMS["beam_energy"]
    if value is None:
        raise ValueError(
            f"The {beam.shown} is not set. Set it with `{beam.call()}` ({beam.unit})."
        )
    try:
        check_beam_energy(value, limits)
    except ValueError as error:
        raise beam.refusal(f"in the metadata cannot be used. {error}") from None


# -- the dose ----------------------------------------------------------------------

_NEEDED = ("beam_current", "live_time", "live_time_pixels", "solid_angle")
# What stands behind a call in the place of the unit.
_HINTS = {"live_time_pixels": "or 'map'"}


def dose(
    metadata: Tree,
    original_metadata: Tree | None = None,
    n_pixels: int | None = None,
) -> float:
    """Return electrons of a pixel x share of the sphere that the detector covers.

    Parameters
    ----------
    metadata
        Metadata of a signal, with beam current (nA), live time (s), what that is the
        time of, and solid angle (sr).
    original_metadata
        Metadata of the file that the signal was read from.
    n_pixels
        Pixels of the signal. The live time of one spectrum of a bulk sample is its own.

    Raises
    ------
    ValueError
        If one of them is not known or not positive; the message names the calls that
        set what is missing.
    """
    values = _exposure(metadata, original_metadata, n_pixels)
    if missing := [ITEMS[name] for name, value in values.items() if not value > 0]:
        calls = [
            f"`{one.call()}` ({_HINTS.get(one.name, one.unit)})" for one in missing
        ]
        raise ValueError(
            "Amounts per area need the dose of a pixel, and what is missing is: "
            f"{', '.join(one.shown for one in missing)}. Set it with "
            f"{' and '.join(calls)}."
        )
    return _electrons(values) * values["solid_angle"] / (4 * pi)


def _electrons(exposure: Mapping[str, float]) -> float:
    """Return the electrons of a pixel, 0 if current or time are not known."""
    current, time, pixels, _ = exposure.values()
    return 1e-9 * current / elementary_charge * time / pixels if pixels > 0 else 0.0


def electrons(
    n_pixels: int, metadata: Tree, original_metadata: Tree | None = None
) -> float | None:
    """Return the electrons of some pixels; None if current or time are not known.

    Parameters
    ----------
    n_pixels
        How many.
    metadata, original_metadata
        As for `dose`.
    """
    total = n_pixels * _electrons(_exposure(metadata, original_metadata, n_pixels))
    return total if total > 0 else None


# A detector is not dead for more of the time, and counts no more in a second: what a
# live time would make of it is the time of something else.
_LEAST_LIVE, _MOST_RATE = 0.2, 3e5


def counting_time(
    n_pixels: int,
    counts: float,
    metadata: Tree,
    original_metadata: Tree | None = None,
) -> float | None:
    """Return the time in which a map was counted, s; None if it is not known.

    Where nobody stated what the live time is for, it is that of the whole map, unless
    the detector would have counted too fast; then it is that of a pixel.

    Parameters
    ----------
    n_pixels
        Pixels of the map, 1 for a spectrum.
    counts
        Counts of the map.
    metadata
        Metadata of a signal, with live or real time.
    original_metadata
        Metadata of the file that the signal was read from.
    """
    trees = metadata, original_metadata
    live, real = (read(name, *trees) or 0.0 for name in ("live_time", "real_time"))
    time = live if live > _LEAST_LIVE * real else real
    if not time > 0:
        return None
    pixels = read("live_time_pixels", *trees)
    if pixels is None:
        pixels = n_pixels if counts <= _MOST_RATE * time else 1
    return time * n_pixels / pixels


def has_dose(metadata: Tree, original_metadata: Tree | None = None) -> bool:
    """Whether all is known that `dose` needs."""
    return all(value > 0 for value in _exposure(metadata, original_metadata).values())


def _exposure(
    metadata: Tree, original_metadata: Tree | None, n_pixels: int | None = None
) -> dict[str, float]:
    """Return name -> value of what `dose` needs, 0 for what is not known."""
    trees = metadata, original_metadata
    found = {name: read(name, *trees) or 0.0 for name in _NEEDED}
    if n_pixels == 1 and issubclass(model_class(metadata), BulkModel):
        found["live_time_pixels"] = found["live_time_pixels"] or 1.0
    return found
