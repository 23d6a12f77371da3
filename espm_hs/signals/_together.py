"""One set of phases over several signals."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np

from espm_hs.arguments import did_you_mean, float_array
from espm_hs.decomposition.cautions import PhaseWarning
from espm_hs.decomposition.decompose import DecompositionOptions
from espm_hs.decomposition.together import OneOfMaps, decompose_maps
from espm_hs.metadata.writer import AllOrNothing
from espm_hs.output import warn_unconverged
from espm_hs.quantification.joint import JointResult, names_of, warned_of
from espm_hs.signals._masks import arrays_of, shown_progress, used_channels, used_pixels
from espm_hs.signals._phases import NAMES_ELSEWHERE, Phases, pixel_size

# Options of `decomposition` that all maps have, with its defaults.
_OPTIONS = (
    *("sparsity", "smoothness", "known_phases", "fixed_composition", "binning"),
    *("simplex", "init", "solver", "n_init", "max_iter", "tol", "random_state"),
    *("end_members", "separation", "n_jobs"),
)


def decompose_together(
    maps: Sequence[Any],
    output_dimension: int | None = None,
    *,
    shared: str = "auto",
    drift: Mapping[int | str, float] | float | None = None,
    parameter: Sequence[float] | None = None,
    parameter_name: str = "map",
    names: Sequence[str] | None = None,
    calibration: str = "auto",
    navigation_mask: Sequence[Any] | None = None,
    signal_mask: Sequence[Any] | None = None,
    show_progressbar: bool | None = None,
    print_info: bool = True,
    **options: Any,
) -> JointResult:
    """Find one set of phases in several maps.

    Each map keeps what is its own: energy axis and its calibration, beam energy,
    detector, thickness, system elements, background, dose. All of them have the same
    phases, of the same composition. They may be of any size, in memory or lazy.

    Parameters
    ----------
    maps
        Signals of type EDS_espm with the same elements. Their order does not matter.
    output_dimension
        Number of phases in all maps; a map need not hold each of them.
    shared
        "auto": maps of the same physics share the whole spectra of the phases, as if
        they were one map; others share the composition, and have a background and
        system elements of their own. "composition": no map shares more than that.
    drift
        Standard deviation, in at.%, of the composition from map to map; a number for
        all phases, or number or name of a phase -> number. None: the same everywhere.
    parameter, parameter_name
        What changes from map to map, a number for each, and what to call it, such as
        "temperature (°C)".
    names
        Of the maps; None: their titles.
    calibration
        As in `EDSespmSpectrum.decomposition`, for each map by itself.
    navigation_mask, signal_mask
        A mask for each map as in `EDSespmSpectrum.decomposition`, or None.
    show_progressbar
        Whether progress is shown; None for HyperSpy's preference.
    print_info
        Whether to print the result.
    **options
        Others of `EDSespmSpectrum.decomposition`: sparsity, smoothness, known_phases,
        fixed_composition, binning, init (a name), solver, n_init, max_iter, tol,
        random_state, end_members, separation, n_jobs. With physics of several kinds the
        solver is always "mu".

    Returns
    -------
    JointResult
        How much of each phase is in each map, and what it is made of. Each signal has
        the result of a decomposition, with the same numbers and names of the phases.

    Raises
    ------
    ValueError, TypeError
        If an argument makes no sense or the maps cannot be taken together; the signals
        are then as they were.

    Warns
    -----
    sklearn.exceptions.ConvergenceWarning
        If the iterations ended before ``tol`` was met.
    espm_hs.PhaseWarning
        As in `EDSespmSpectrum.decomposition`.

    Examples
    --------
    >>> import espm_hs
    >>> from espm_hs.simulation import particles
    >>> maps = [particles((16, 16), 50, seed=seed) for seed in range(3)]
    >>> result = espm_hs.decompose_together(maps, 3, print_info=False)
    >>> result.percent_of_atoms.shape
    (3, 3)
    """
    signals = _signals(maps)
    masks = _masks(
        len(signals), navigation_mask=navigation_mask, signal_mask=signal_mask
    )
    names = _names(signals, names)
    values = _values(parameter, len(signals))
    given = _given(options)
    first = signals[0]
    known, max_iter = given.pop("known_phases"), given["max_iter"]
    how = DecompositionOptions(known_phases=known and arrays_of(first, known), **given)
    refinement = first._refinement(calibration)
    asked = []
    for signal, pixels, channels in zip(signals, *masks, strict=True):
        signal._check_not_empty()
        asked.append(
            OneOfMaps(
                signal.data,
                signal._model_to_fit(refinement, False),
                used_pixels(signal, pixels),
                used_channels(signal, channels),
                pixel_size(signal),
                refinement,
            )
        )
    with shown_progress(show_progressbar, "espm"):
        found = decompose_maps(asked, output_dimension, how, shared, _fractions(drift))
    stored = {**vars(how), "calibration": calibration, "together": len(signals)}
    with ExitStack() as stack:
        for signal in signals:
            stack.enter_context(AllOrNothing(signal))
        for signal, one, analysis in zip(signals, asked, found.analyses, strict=True):
            signal._store(analysis, one.pixels, stored)
    result = JointResult.of(found, names, values, parameter_name)
    if not all(one.converged or one.interrupted for one in found.analyses):
        warn_unconverged(found.analyses[0].n_iter, max_iter, how.tol, stacklevel=2)
    if warning := warned_of(found.analyses):
        warnings.warn(warning, PhaseWarning, stacklevel=2)
    if print_info:
        print(result)
    return result


def _signals(maps: Any) -> list[Any]:
    """Return the signals; an error for what is none, or is there twice."""
    if isinstance(maps, Phases) or not isinstance(maps, Sequence) or not maps:
        raise TypeError(
            f"`maps` must be a list of signals, found {type(maps).__name__}: "
            "`decompose_together([s1, s2], output_dimension=3)`."
        )
    for number, signal in enumerate(maps):
        if not isinstance(signal, Phases):
            raise TypeError(
                f"Map {number} is of type {type(signal).__name__}; needed is a signal "
                "of type EDS_espm: `s.set_signal_type('EDS_espm')`."
            )
        if any(signal is other for other in maps[:number]):
            raise ValueError(
                f"Map {number} is in the list twice: its counts would count twice."
            )
    return list(maps)


def _masks(n_maps: int, **given: Any) -> list[list[Any]]:
    """Return a mask for each map."""
    masks = []
    for name, value in given.items():
        if value is None:
            value = [None] * n_maps
        if not isinstance(value, Sequence) or len(value) != n_maps:
            raise ValueError(
                f"`{name}` must be a list of {n_maps} masks, one for each map, any of "
                f"which may be None; found {type(value).__name__}."
            )
        masks.append(list(value))
    return masks


def _names(signals: Sequence[Any], names: Sequence[str] | None) -> list[str]:
    """Return a name for each map."""
    if names is None:
        return names_of([str(signal.metadata.General.title) for signal in signals])
    if isinstance(names, str) or len(names) != len(signals):
        raise ValueError(
            f"`names` must be a list of {len(signals)} names, one for each map; found "
            f"{names!r}."
        )
    return [str(name) for name in names]


def _values(parameter: Any, n_maps: int) -> np.ndarray | None:
    """Return the parameter of each map."""
    if parameter is None:
        return None
    values = float_array("parameter", parameter)
    if values.shape != (n_maps,) or not np.isfinite(values).all():
        raise ValueError(
            f"`parameter` must be {n_maps} finite numbers, one for each map; found "
            f"shape {values.shape}."
        )
    return values


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return all options of the search, those that were not given as of one map."""
    if unknown := [name for name in options if name not in _OPTIONS]:
        hint = did_you_mean(unknown[0], _OPTIONS, NAMES_ELSEWHERE)
        raise TypeError(
            f"`decompose_together` does not know `{unknown[0]}`.{hint} Its options are "
            f"{', '.join(_OPTIONS)}."
        )
    usual = inspect.signature(Phases.decomposition).parameters
    return {name: usual[name].default for name in _OPTIONS} | dict(options)


def _fractions(drift: Any) -> Any:
    """Return drifts in at.% as fractions; what is no number is left to be refused."""
    if isinstance(drift, Mapping):
        return {key: _fractions(value) for key, value in drift.items()}
    is_number = isinstance(drift, int | float) and not isinstance(drift, bool)
    return drift / 100 if is_number else drift
