"""One set of phases over several signals."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from espm_hs.arguments import did_you_mean, float_array
from espm_hs.calibration.segments import with_mass_thickness
from espm_hs.decomposition.cautions import PhaseWarning
from espm_hs.decomposition.decompose import DecompositionOptions
from espm_hs.decomposition.result import PhaseAnalysis
from espm_hs.decomposition.together import PIXELS, OneOfMaps, decompose_maps
from espm_hs.factorization import USUAL_SPARSITY, Penalties
from espm_hs.metadata.writer import AllOrNothing, write_parameters
from espm_hs.model_selection.cross_validation import JointCrossValidation
from espm_hs.model_selection.n_phases_and_binning import estimate_number
from espm_hs.output import warn_unconverged
from espm_hs.physics.xray.unknowns import THICKNESS
from espm_hs.progress import stage
from espm_hs.quantification.joint import JointResult, names_of, warned_of
from espm_hs.signals._frames import Series
from espm_hs.signals._masks import arrays_of, shown_progress, used_channels, used_pixels
from espm_hs.signals._model_selection import PHASE_NUMBER, say_refinements
from espm_hs.signals._phases import NAMES_ELSEWHERE, Phases, pixel_size

# Shares of the time that is left: of the number of phases, and of the mass thickness.
OF_NUMBER, OF_THICKNESS = 0.6, 0.7
# Options of `decomposition` that all maps have, with its defaults.
_OPTIONS = (
    *("sparsity", "smoothness", "known_phases", "fixed_composition", "binning"),
    *("simplex", "init", "solver", "n_init", "max_iter", "tol", "random_state"),
    *("end_members", "separation", "n_jobs"),
)


def decompose_together(
    maps: Sequence[Any] | Any,
    output_dimension: int | str | None = None,
    *,
    shared: str = "auto",
    drift: Mapping[int | str, float] | float | None = None,
    parameter: Sequence[float] | None = None,
    parameter_name: str | None = None,
    axis: int | str | None = None,
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
        Signals of type EDS_espm with the same elements, whose order does not matter; or
        one signal, whose frames along ``axis`` are the maps.
    output_dimension
        Number of phases in all maps; a map need not hold each of them. "auto": as many
        as `estimate_number_together` finds.
    shared
        "auto": maps of the same physics share the whole spectra of the phases, as if
        they were one map; others share the composition, and have a background and
        system elements of their own. "composition": no map shares more than that.
        "pixels": the maps are of the same pixels, by several detectors or segments of
        one, and share the abundances as well; how efficient each is is fitted, and so
        is the mass thickness where none is stated.
    drift
        Standard deviation, in at.%, of the composition from map to map; a number for
        all phases, or number or name of a phase -> number. None: the same everywhere.
    parameter, parameter_name
        What changes from map to map, a number for each, and what to call it, such as
        "temperature (°C)". Of frames it is their axis, if nothing is said.
    axis
        Of one signal: name or number of the navigation axis along which its frames are,
        such as "time". They share the whole spectra of the phases and the calibration;
        the signal gets one result with the maps of all frames. Frames whose pixels are
        all masked are left out. See `EDSespmSpectrum.align_frames`.
    names
        Of the maps; None: their titles.
    calibration
        As in `EDSespmSpectrum.decomposition`, for each map by itself.
    navigation_mask, signal_mask
        A mask for each map as in `EDSespmSpectrum.decomposition`, or None; of frames
        one of the signal.
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
    given = _given(options)
    together = _together(maps, axis, calibration, navigation_mask, signal_mask)
    together.check(shared, drift)
    names = together.named(names)
    values = together.valued(parameter)
    first, asked, n_phases = together.signals[0], together.asked, output_dimension
    known, max_iter = given.pop("known_phases"), given["max_iter"]
    how = DecompositionOptions(known_phases=known and arrays_of(first, known), **given)
    compared: dict[str, Any] = {}
    film = None
    with shown_progress(show_progressbar, "espm"):
        if n_phases == "auto":
            names_of_both = "n_init", "random_state", "n_jobs"
            both = {name: given[name] for name in names_of_both}
            both |= {"shared": shared, "penalties": Penalties(USUAL_SPARSITY)}
            with stage(OF_NUMBER):
                number = estimate_number(
                    JointCrossValidation(asked, **both), range(1, 8)
                )
            n_phases, compared = number.best, {PHASE_NUMBER: number.to_dict()}
        if shared == PIXELS and len(asked) > 1 and all(map(_of_any_thickness, asked)):
            with stage(OF_THICKNESS, "thickness"):
                asked, film = with_mass_thickness(asked, n_phases, how)  # type: ignore[arg-type]
        found = decompose_maps(asked, n_phases, how, shared, _fractions(drift))  # type: ignore[arg-type]
    stored = {**vars(how), "calibration": calibration, "together": len(asked)}
    together.store(found.analyses, stored, compared)
    title = parameter_name or together.parameter_name
    result = JointResult.of(found, names, values, title)
    _warn(found.analyses, max_iter, how.tol)
    if print_info:
        print(*filter(None, (film, result)), sep="\n")
    return result


def _warn(analyses: Sequence[PhaseAnalysis], max_iter: int, tol: float) -> None:
    """Say what speaks against the phases."""
    if not all(one.converged or one.interrupted for one in analyses):
        warn_unconverged(analyses[0].n_iter, max_iter, tol, stacklevel=3)
    if warning := warned_of(analyses):
        warnings.warn(warning, PhaseWarning, stacklevel=3)


def _of_any_thickness(one: OneOfMaps) -> bool:
    """Whether nobody said how thick the sample is."""
    return THICKNESS in getattr(one.model, "unknown", ())


def estimate_number_together(
    maps: Sequence[Any] | Any,
    numbers: Iterable[int] = range(1, 8),
    *,
    axis: int | str | None = None,
    shared: str = "auto",
    n_thinnings: int = 4,
    n_init: int = 4,
    sparsity: float = USUAL_SPARSITY,
    calibration: str = "auto",
    navigation_mask: Sequence[Any] | None = None,
    signal_mask: Sequence[Any] | None = None,
    random_state: int | np.random.Generator | None = 0,
    n_jobs: int = -1,
    show_progressbar: bool | None = None,
) -> int:
    """Find how many phases the counts of several maps bear out together.

    As `EDSespmSpectrum.estimate_number_of_phases`, with the phases of
    `decompose_together`: those that are real predict counts that are held out, in
    whichever maps they are.

    Parameters
    ----------
    maps, axis, shared, calibration, navigation_mask, signal_mask
        As in `decompose_together`.
    numbers, n_thinnings, n_init, sparsity, random_state, n_jobs, show_progressbar
        As in `EDSespmSpectrum.estimate_number_of_phases`.

    Returns
    -------
    int
        The number. The curve is kept in each signal, where `plot_number_of_phases`
        finds it.

    Raises
    ------
    ValueError, TypeError
        If an argument makes no sense, the maps cannot be taken together, or the data
        are not integer counts.

    Examples
    --------
    >>> import espm_hs
    >>> from espm_hs.simulation import particles
    >>> maps = [particles((16, 16), 100, seed=seed) for seed in range(3)]
    >>> espm_hs.estimate_number_together(maps, range(1, 5), show_progressbar=False)
    3
    """
    together = _together(maps, axis, calibration, navigation_mask, signal_mask)
    together.check(shared)
    trial = JointCrossValidation(
        together.asked,
        shared=shared,
        penalties=Penalties(sparsity),
        n_thinnings=n_thinnings,
        n_init=n_init,
        random_state=random_state,
        n_jobs=n_jobs,
    )
    with shown_progress(show_progressbar, "held-out counts"):
        found = estimate_number(trial, numbers)
    with ExitStack() as stack:
        for signal in together.signals:
            stack.enter_context(AllOrNothing(signal))
        for signal in together.signals:
            write_parameters(signal.metadata, {PHASE_NUMBER: found.to_dict()})
    say_refinements(dict(zip(together.named(None), trial.calibrations, strict=True)))
    return found.best


@dataclass(frozen=True, eq=False)
class _Maps:
    """Signals that are taken together, one for each map."""

    signals: list[Any]
    asked: list[OneOfMaps]

    parameter_name: ClassVar[str] = "map"

    def check(self, shared: str, drift: Any = None) -> None:
        """Raise ValueError for what these maps cannot have."""

    def named(self, names: Sequence[str] | None) -> list[str]:
        """Return a name for each map."""
        if names is None:
            titles = [str(signal.metadata.General.title) for signal in self.signals]
            return names_of(titles)
        return _names(names, len(self.signals))

    def valued(self, parameter: Any) -> np.ndarray | None:
        """Return the parameter of each map."""
        return None if parameter is None else _values(parameter, len(self.signals))

    def store(
        self, analyses: Sequence[PhaseAnalysis], stored: Mapping, compared: Mapping
    ) -> None:
        """Keep the results."""
        with ExitStack() as stack:
            for signal in self.signals:
                stack.enter_context(AllOrNothing(signal))
            for signal, one, analysis in zip(
                self.signals, self.asked, analyses, strict=True
            ):
                signal._store(analysis, one.pixels, stored)
                write_parameters(signal.metadata, compared)


@dataclass(frozen=True, eq=False)
class _Frames(_Maps):
    """Frames of one signal."""

    series: Series
    kept: list[int]
    pixels: np.ndarray | None

    @property
    def parameter_name(self) -> str:  # type: ignore[override]
        """What the axis of the frames is."""
        return self.series.name

    def check(self, shared: str, drift: Any = None) -> None:
        """Raise ValueError for what one signal cannot hold."""
        if shared != "auto" or drift is not None:
            raise ValueError(
                "The signal holds one spectrum of each phase for all frames. For other "
                "`shared`, or a `drift`, give its frames as a list, such as "
                "`[s.inav[:, :, i] for i in range(n)]`, and no `axis`."
            )

    def named(self, names: Sequence[str] | None) -> list[str]:
        """Return a name for each frame in use."""
        if names is None:
            names = [f"{self.series.name} {x:g}" for x in self.series.axis.axis]
        return [_names(names, len(self.series))[i] for i in self.kept]

    def valued(self, parameter: Any) -> np.ndarray:
        """Return the parameter of each frame in use."""
        values = self.series.axis.axis if parameter is None else parameter
        return _values(values, len(self.series))[self.kept]

    def store(
        self, analyses: Sequence[PhaseAnalysis], stored: Mapping, compared: Mapping
    ) -> None:
        """Keep the results as one of the signal."""
        (signal,) = self.signals
        analysis = self.series.joined(analyses, self.kept, self.pixels)
        with AllOrNothing(signal):
            signal._store(analysis, self.pixels, stored)
            write_parameters(signal.metadata, compared)


def _together(
    maps: Any, axis: int | str | None, calibration: str, *masks: Any
) -> _Maps | _Frames:
    """Return what is to be decomposed, of signals or of the frames of one."""
    if axis is not None:
        if not isinstance(maps, Phases):
            raise TypeError(
                f"With `axis`, `maps` is one signal of type EDS_espm, found "
                f"{type(maps).__name__}."
            )
        series = Series.of(maps, axis)
        of_frames = series.maps(maps._refinement(calibration), *masks)
        return _Frames([maps], of_frames[0], series, *of_frames[1:])
    signals = _signals(maps)
    refinement = signals[0]._refinement(calibration)
    names = "navigation_mask", "signal_mask"
    of_maps = _masks(len(signals), **dict(zip(names, masks, strict=True)))
    asked = []
    for signal, pixels, channels in zip(signals, *of_maps, strict=True):
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
    return _Maps(signals, asked)


def _signals(maps: Any) -> list[Any]:
    """Return the signals; an error for what is none, or is there twice."""
    if isinstance(maps, Phases) or not isinstance(maps, Sequence) or not maps:
        raise TypeError(
            f"`maps` must be a list of signals, found {type(maps).__name__}: "
            "`decompose_together([s1, s2], output_dimension=3)`. Of a signal with one "
            "more navigation axis say which: `axis='time'`."
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


def _names(names: Sequence[str], n_maps: int) -> list[str]:
    """Return a name for each map."""
    if isinstance(names, str) or len(names) != n_maps:
        raise ValueError(
            f"`names` must be a list of {n_maps} names, one for each map; found "
            f"{names!r}."
        )
    return [str(name) for name in names]


def _values(parameter: Any, n_maps: int) -> np.ndarray:
    """Return the parameter of each map."""
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
