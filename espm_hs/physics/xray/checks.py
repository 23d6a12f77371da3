"""Arguments of a model: checked, and turned into plain values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from espm_hs.arguments import check_mapping, float_array, plain_float
from espm_hs.physics.xray.detector import Detector
from espm_hs.physics.xray.elements import normalised_fractions


def checked_axis(energy: ArrayLike) -> tuple[float, float, int]:
    """
    Offset, scale and size of an energy axis.

    Parameters
    ----------
    energy : array, shape (n,)
        Centres of the channels, keV.

    Returns
    -------
    offset, scale : float
        keV.
    size : int

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
    return float(centres[0]), scale, int(centres.size)


def checked_composition(
    composition: Mapping[str, float] | None,
) -> dict[str, float] | None:
    """
    Amounts by symbol.

    Parameters
    ----------
    composition : mapping of str to float, or None
        In any unit.

    Returns
    -------
    dict or None
        As given (normalising twice would not give the same bits); None if empty.

    Raises
    ------
    ValueError
        If the amounts cannot be normalised.
    TypeError
        If it is no mapping.
    """
    if composition is None:
        return None
    check_mapping(
        "composition", composition, "symbols to atomic fractions, such as {'Fe': 1.0}"
    )
    if not composition:
        return None
    normalised_fractions(composition)  # raises
    return {str(name): float(value) for name, value in composition.items()}


def checked_detector(detector: Detector | str | None) -> Detector:
    """
    Detector that was meant.

    Parameters
    ----------
    detector : Detector, str or None
        A detector, the name of a preset, or None for the default.

    Returns
    -------
    Detector

    Raises
    ------
    ValueError
        If it is none of these.
    """
    if detector is None:
        return Detector()
    if isinstance(detector, str):
        return Detector.preset(detector)
    if isinstance(detector, Detector):
        return detector
    raise ValueError(
        f"The detector must be a Detector or the name of a preset, found {detector!r}."
    )


def checked_angles(
    take_off_angle: float | Sequence[float] | None,
) -> float | tuple[float, ...] | None:
    """
    Take-off angles of one or several detectors.

    Parameters
    ----------
    take_off_angle : float, sequence of float or None
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


def checked_spectra(
    extra_spectra: Mapping[str, ArrayLike] | None,
    channels: np.ndarray,
    taken: Iterable[str],
) -> dict[str, np.ndarray]:
    """
    Spectra of the user, to be columns of a model.

    Parameters
    ----------
    extra_spectra : mapping of str to array, shape (n_channels,), or None
        By label.
    channels : array of bool, shape (n_channels,)
        Channels to be fitted.
    taken : iterable of str
        Labels of other columns.

    Returns
    -------
    dict of str to array
        Copies, read-only.

    Raises
    ------
    ValueError
        If a spectrum has another shape than the axis, is negative or not finite
        somewhere, or 0 in all fitted channels; or a label is taken or no text.
    TypeError
        If there is no mapping, or a spectrum does not consist of numbers.
    """
    extra_spectra = {} if extra_spectra is None else extra_spectra
    check_mapping("extra_spectra", extra_spectra, "labels to spectra over the channels")
    checked = {}
    taken = set(taken)
    for label, values in extra_spectra.items():
        spectrum = checked_spectrum(label, values)
        if label in taken:
            raise ValueError(
                "A label of extra_spectra must be a text that no other column has, "
                f"found {label!r}."
            )
        if spectrum.shape != channels.shape:
            raise ValueError(
                f"The extra spectrum {label!r} needs {channels.size} channels, as the "
                f"axis, found shape {spectrum.shape}."
            )
        if not spectrum[channels].any():
            raise ValueError(
                f"The extra spectrum {label!r} is 0 in all channels to be fitted."
            )
        checked[label] = read_only(spectrum)
    return checked


def checked_spectrum(label: str, values: ArrayLike) -> np.ndarray:
    """
    Spectrum of the user, whatever the axis.

    Parameters
    ----------
    label : str
        Its name.
    values : array, shape (n_channels,)
        Its counts.

    Returns
    -------
    array of float64
        A copy.

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


def read_only(array: np.ndarray) -> np.ndarray:
    """
    Protect an array.

    Parameters
    ----------
    array : array
        Changed in place.

    Returns
    -------
    array
        The same one.
    """
    array.flags.writeable = False
    return array
