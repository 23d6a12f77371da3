"""Arguments of a model: what they must be, and what a spectrum may refine of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from espm_hs.arguments import check_choice, check_mapping, float_array, plain_float
from espm_hs.physics.linear_model import Parameter
from espm_hs.physics.xray.absorption import Angles
from espm_hs.physics.xray.elements import normalised_fractions, symbol
from espm_hs.physics.xray.emission import Split, parse_line
from espm_hs.physics.xray.unabsorbed import BACKGROUNDS, N_SPLINES, Channels
from espm_hs.physics.xray.unknowns import NAMES

if TYPE_CHECKING:
    from espm_hs.physics.xray.model import SpectrumModel

#: Call that says where the detector is, for messages.
POSITION = (
    "`s.set_microscope_parameters(elevation_angle=..., azimuth_angle=..., "
    "tilt_stage=...)`"
)


def checked_axis(energy: ArrayLike) -> Channels:
    """Check an energy axis.

    Parameters
    ----------
    energy
        Centres of the channels in keV, shape (n,).

    Raises
    ------
    ValueError
        If the axis does not increase in equal steps, or seems to be in eV.
    TypeError
        If it does not consist of numbers.
    """
    centres = float_array("energy", energy)
    if centres.ndim != 1 or centres.size < 2:
        raise ValueError(
            "The energy axis must be a list of 2 or more channels, found shape "
            f"{centres.shape}."
        )
    if not np.all(np.isfinite(centres)):
        raise ValueError(
            f"The energy axis goes from {centres[0]:g} to {centres[-1]:g} keV: its "
            "offset and scale must be finite numbers. Those of a signal are set with "
            "`s.axes_manager[-1].offset` and `s.axes_manager[-1].scale`."
        )
    steps = np.diff(centres)
    # rounded, so that an axis built from offset and scale gives them back
    scale = float(f"{(centres[-1] - centres[0]) / (centres.size - 1):.12g}")
    if scale <= 0 or np.any(np.abs(steps - scale) > 1e-3 * scale):
        raise ValueError(
            "The energy axis must increase in equal steps, found steps of "
            f"{steps.min():g} to {steps.max():g} keV."
        )
    if centres[-1] > 1000:
        raise ValueError(
            f"The energy axis ends at {centres[-1]:g}: it seems to be in eV. Convert "
            "it to keV."
        )
    return Channels(float(centres[0]), scale, int(centres.size))


def checked_elements(elements: Iterable[str | int], what: str) -> tuple[str, ...]:
    """Symbols of elements, each once.

    Parameters
    ----------
    elements
        Symbols or atomic numbers.
    what
        For the message: "elements" or "stray_elements".

    Raises
    ------
    ValueError
        If one is unknown or occurs twice.
    TypeError
        If they are no list.
    """
    if isinstance(elements, str):
        raise ValueError(f"{what} is a list of symbols, found the text {elements!r}.")
    if isinstance(elements, bytes | Mapping) or not isinstance(elements, Iterable):
        raise TypeError(
            f"{what} must be a list of symbols such as ['Cu', 'C'], got {elements!r}."
        )
    symbols = tuple(symbol(element) for element in elements)
    twice = sorted({name for name in symbols if symbols.count(name) > 1})
    if twice:
        raise ValueError(f"{what} has {', '.join(twice)} more than once.")
    return symbols


def checked_split(split_lines: Mapping[str, Split] | None) -> dict[str, Split]:
    """Check how lines are to be split, and return it as plain strings and floats.

    Parameters
    ----------
    split_lines
        By symbol: "families", an energy in keV, "none" or None, which means the same.

    Raises
    ------
    ValueError
        If an element or a value is not understood.
    TypeError
        If it is no mapping.
    """
    split_lines = {} if split_lines is None else split_lines
    what = "elements to 'families', an energy in keV or None, such as {'Fe': 3.0}"
    check_mapping("split_lines", split_lines, what)
    checked: dict[str, Split] = {}
    for element, split in split_lines.items():
        if split is None or split in ("families", "none"):
            checked[symbol(element)] = split or "none"
            continue
        try:
            limit = float(split)
        except (TypeError, ValueError):
            limit = -1.0
        if not 0 < limit < 1000:
            raise ValueError(
                f'split_lines of {element} must be "families", "none" or an energy '
                f"in keV, found {split!r}."
            )
        checked[symbol(element)] = limit
    return checked


def checked_line_factors(line_factors: Mapping[str, float] | None) -> dict[str, float]:
    """Check factors on the emission of families.

    Parameters
    ----------
    line_factors
        By family, or by a line for its family.

    Returns
    -------
    dict of str to float
        By family, like "Fe_K".

    Raises
    ------
    ValueError
        If a name is not understood, a family occurs twice, or a factor is not a
        positive number.
    TypeError
        If it is no mapping.
    """
    line_factors = {} if line_factors is None else line_factors
    what = "families of lines to factors, such as {'Fe_K': 1.1}"
    check_mapping("line_factors", line_factors, what)
    checked: dict[str, float] = {}
    for name, factor in line_factors.items():
        key = parse_line(name).key
        if key in checked:
            raise ValueError(f"line_factors names the family {key} more than once.")
        try:
            checked[key] = float(factor)
        except (TypeError, ValueError):
            checked[key] = -1.0
        if not 1e-3 <= checked[key] <= 1e3:
            raise ValueError(
                f"The line factor of {name} must be a positive number, found "
                f"{factor!r}: from 0.001 to 1000, 1 for atomic data as they are."
            )
    return checked


def checked_line_errors(
    errors: Mapping[str, Sequence[float]] | None,
) -> dict[str, list[float]]:
    """Check relative errors of families, by causes that move them together.

    Parameters
    ----------
    errors
        By family, or by a line for its family: one number for each cause.

    Raises
    ------
    ValueError
        If a name is not understood, or the numbers are not as many for each family.
    TypeError
        If it is no mapping, or one of something else.
    """
    errors = {} if errors is None else errors
    what = "families of lines to their errors by causes, such as {'Fe_K': [0.02]}"
    check_mapping("line_factor_errors", errors, what)
    checked = {parse_line(x).key: float_array(x, row) for x, row in errors.items()}
    if len(checked) < len(errors):
        raise ValueError(
            f"`line_factor_errors` names a family more than once: {', '.join(errors)}."
        )
    usable = all(row.ndim == 1 and (abs(row) < 100).all() for row in checked.values())
    if not usable or len({row.size for row in checked.values()}) > 1:
        raise ValueError(
            "`line_factor_errors` must have as many numbers, relative errors below "
            f"100, for each family; got {errors!r}."
        )
    return {name: row.tolist() for name, row in checked.items()}


def checked_angles(
    take_off_angle: Angles | None,
) -> float | tuple[float, ...] | None:
    """Check the take-off angles of one or several detectors.

    Parameters
    ----------
    take_off_angle
        Degrees.

    Returns
    -------
    float, tuple of float or None
        A float for one detector.

    Raises
    ------
    ValueError
        If an angle is not above 0 up to 90 degrees, or the sequence is empty.
    TypeError
        If an angle is no number.
    """
    if take_off_angle is None:
        return None
    angles = tuple(
        plain_float("take_off_angle", angle)
        for angle in np.ravel(np.asarray(take_off_angle, dtype=object))
    )
    if not angles or not all(0 < angle <= 90 for angle in angles):
        found = ", ".join(f"{angle:g}" for angle in angles) or "none"
        raise ValueError(
            f"Take-off angles must be above 0 up to 90 degrees, found {found}."
        )
    return angles[0] if len(angles) == 1 else angles


def checked_background(background: bool | str) -> bool | str:
    """Check the form of the bremsstrahlung: "splines", True for laws, or False.

    Parameters
    ----------
    background
        True for the usual one.

    Raises
    ------
    ValueError
        If there is no such form.
    TypeError
        If it is something else.
    """
    if isinstance(background, bool | np.bool_):
        return bool(background)
    if not isinstance(background, str):
        raise TypeError(
            f"`background` must be True, False or one of {list(BACKGROUNDS)}, got "
            f"{background!r}."
        )
    check_choice("background", background, BACKGROUNDS)
    return background if background == "splines" else True


def checked_bends(bends: Sequence[float]) -> tuple[float, ...]:
    """Check the factors on a background; none are no change.

    Parameters
    ----------
    bends
        Non-negative, `N_SPLINES` of them or none.

    Raises
    ------
    ValueError
        If there are others.
    TypeError
        If they are no numbers.
    """
    factors = float_array("background_bends", bends)
    usable = np.isfinite(factors) & (factors >= 0)
    if factors.shape not in ((0,), (N_SPLINES,)) or not usable.all():
        raise ValueError(
            f"`background_bends` must be {N_SPLINES} non-negative numbers or none, got "
            f"{bends!r}."
        )
    return tuple(factors.tolist())


def checked_unknown(
    unknown: Sequence[str], choices: Sequence[str] = NAMES
) -> tuple[str, ...]:
    """Check what is not known of sample and detector; ValueError for other words.

    Parameters
    ----------
    unknown
        Some of the choices.
    choices
        What a model may not know; `espm_hs.physics.xray.unknowns.NAMES` for films.
    """
    names = [unknown] if isinstance(unknown, str) else unknown
    if not isinstance(names, Iterable) or any(name not in choices for name in names):
        raise ValueError(f"`unknown` must be some of {list(choices)}, got {unknown!r}.")
    return tuple(names)


def checked_composition(
    composition: Mapping[str, float] | None,
) -> dict[str, float] | None:
    """Check amounts by symbol, in any unit, and return them as plain numbers.

    They are returned as they are, since normalising twice would not give the same
    bits; None if there are none.

    Raises
    ------
    ValueError
        If the amounts cannot be normalised.
    TypeError
        If it is no mapping.
    """
    composition = {} if composition is None else composition
    check_mapping(
        "composition", composition, "symbols to atomic fractions, such as {'Fe': 1.0}"
    )
    if not composition:
        return None
    normalised_fractions(composition)  # raises
    return {str(name): float(value) for name, value in composition.items()}


def checked_spectrum(label: str, values: ArrayLike) -> np.ndarray:
    """Spectrum of the user, whatever the axis.

    Parameters
    ----------
    label
        Its name.
    values
        Its counts, shape (n_channels,).

    Returns
    -------
    numpy.ndarray
        A copy, float64.

    Raises
    ------
    ValueError
        If there is no label, or a value is negative or not finite.
    TypeError
        If it does not consist of numbers.
    """
    if not isinstance(label, str) or not label:
        raise ValueError(f"An extra spectrum needs a label, a text, found {label!r}.")
    spectrum = float_array(f"extra_spectra[{label!r}]", values).copy()
    if spectrum.ndim != 1 or not np.all(np.isfinite(spectrum) & (spectrum >= 0)):
        raise ValueError(
            f"The extra spectrum {label!r} must be a list of numbers that are "
            "non-negative and finite."
        )
    return spectrum


# Unit, bounds and spread. Offset and gain are changes of the present axis, the noise
# is the part of the peak width that is not statistics.
_LIMITS = {
    "offset": ("eV", -150.0, 150.0, 30.0),
    "gain": ("%", -4.0, 4.0, 0.7),
    "noise": ("eV", 1.0, 160.0, 20.0),
    "fano_factor": ("", 0.08, 0.18, 0.01),
    "low_energy_shift": ("eV", 0.0, 100.0, 20.0),
    "tail": ("%", 0.0, 10.0, 2.0),
    "mass_thickness": ("kg/m2", 1e-8, 0.05, 1e-3),
}
# kg/m2 from which the mass thickness of a model without one is refined.
_THIN = 1e-4


def model_parameters(model: SpectrumModel) -> dict[str, Parameter]:
    """Return the parameters of a model, by name.

    Parameters
    ----------
    model
        Physics.
    """
    detector = model.detector
    values = {
        "offset": 0.0,
        "gain": 0.0,
        "noise": float(detector.fwhm(0.0)),
        "fano_factor": detector.fano_factor,
        "low_energy_shift": detector.low_energy_shift,
        "tail": 1e2 * detector.tail,
        "mass_thickness": model.mass_thickness or _THIN,
    }
    return {name: Parameter(values[name], *_LIMITS[name]) for name in _LIMITS}


def parameter_arguments(
    model: SpectrumModel, values: Mapping[str, float]
) -> dict[str, Any]:
    """Return the arguments of `SpectrumModel` that parameters stand for.

    Parameters
    ----------
    model
        Physics.
    values
        By name, in the units of `model_parameters`; those that are not named stay.

    Raises
    ------
    ValueError
        If a name is unknown.
    """
    if unknown := sorted(set(values) - set(_LIMITS)):
        raise ValueError(f"This model has no parameters {unknown}.")
    value = {name: one.value for name, one in model_parameters(model).items()} | dict(
        values
    )
    arguments: dict[str, Any] = {}
    if values.keys() & {"offset", "gain"}:
        first, second = model.energy[:2]
        step = (second - first) * (1 + 1e-2 * value["gain"])
        channels = np.arange(model.energy.size)
        arguments["energy"] = first + 1e-3 * value["offset"] + step * channels
    if values.keys() & {"noise", "fano_factor", "low_energy_shift", "tail"}:
        arguments["detector"] = model.detector.with_noise(
            float(value["noise"]),
            fano_factor=float(value["fano_factor"]),
            low_energy_shift=float(value["low_energy_shift"]),
            tail=1e-2 * float(value["tail"]),
        )
    if "mass_thickness" in values:
        # any thickness will do: only its product with the density absorbs
        arguments["thickness"] = 1e6 * float(value["mass_thickness"])
        arguments["density"] = 1.0
    return arguments
