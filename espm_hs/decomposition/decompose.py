"""From counts and model to phases."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from numbers import Integral, Real
from typing import Any, Protocol

import numpy as np

from espm_hs.arguments import check_choice, check_flag
from espm_hs.decomposition.constraints import Knowledge
from espm_hs.decomposition.prior_knowledge import (
    ELEMENTS,
    number_of_elements,
    read_known_phases,
)
from espm_hs.decomposition.result import ModelRecord, PhaseAnalysis, fingerprint
from espm_hs.decomposition.search import Errors, PhaseSearch
from espm_hs.factorization import (
    FEW_COUNTS,
    STRONGEST,
    USUAL_SPARSITY,
    Bins,
    Factorization,
    FitOptions,
    Grid,
    Penalties,
    Problem,
    check_start,
    choose_smoothness,
    choose_sparsity,
    coarse_maps,
    deviance_ratio,
    fit_maps,
    fit_spectrum,
    off_zero,
    usual_binning,
)
from espm_hs.factorization.counts.counts import AnyCounts
from espm_hs.factorization.counts.grid import ENOUGH_COUNTS
from espm_hs.factorization.counts.reading import read_counts
from espm_hs.factorization.cross_validation import strips
from espm_hs.factorization.single_pixels import Pixels
from espm_hs.physics.linear_model import LinearModel, Unknowns
from espm_hs.progress import stage

# An element can be quantified if this share of its counts is in channels in use.
LEAST_SHARE_IN_USE = 0.01
# Deviance ratio of the summed counts up to which a model fits.
FITS = 1.05
# Parts of a scan that are compared with each other, and counts that each must have.
PARTS, LEAST_OF_A_PART = 4, 2e4
# Shares of the time that is left, as a rule: of reading a map, of choosing the
# sparsity, and of a coarse map before the fine one.
READING, OF_SPARSITY, COARSE = 0.05, 0.7, 0.2
# As many visits of the maps' counts do as one of the sums from which the phases are
# found, and what the smoothness takes if it is chosen from all pixels; times of a map.
OF_SEARCH, OF_SMOOTHNESS = 22.0, 6.0
END_MEMBERS = ("auto", "outside", "observed")
# What a result has from the fit as it is.
OF_THE_FIT = ("W", "objective", "history", "n_iter", "converged", "n_agreeing")


class NoCounts(ValueError):
    """There is nothing to decompose."""


def check_counts(counts: AnyCounts) -> None:
    """Raise `NoCounts` if there are none."""
    if counts.n_nonzeros == 0:
        raise NoCounts(
            "All counts in the chosen pixels and channels are zero: there is nothing "
            "to decompose. Check `navigation_mask`, `signal_mask` and the data."
        )


@dataclass(frozen=True, eq=False)
class DecompositionOptions(FitOptions):
    """How to look for phases; checks itself.

    Parameters
    ----------
    known_phases
        Phase number or name -> what is known of the phase, any of

        - "absent": list of elements that it does not have;
        - "composition": {element: atomic fraction}; what is missing to 1 belongs to
          the other elements;
        - "ratio": {"Fe/O": ratio of their atoms};
        - "spectrum": counts, shape (n_channels,), which the model is fitted to;
        - "map": boolean, shape (*navigation,), True where the phase may be.

        Names take the numbers that are left, in order. "elements" makes each element a
        component, and another one of the background. The constraints of another
        decomposition are taken as they are.
    fixed_composition
        Phase number -> {element: atomic fraction}: "composition" alone.
    simplex, init
        As in `espm_hs.EspmNMF`. Where the start is a name, phases of whose spectrum
        nothing is known are freed from what they were found together with, see
        `espm_hs.decomposition.separation`.
    sparsity
        As in `espm_hs.EspmNMF`, for pixels or bins of 300 counts and more; of fewer
        counts n, sqrt(n / 300) of it acts. "auto" takes what predicts held-out counts
        best, see `espm_hs.factorization.choose_sparsity`; None takes the usual
        strength, which is 0 where the phases are elements, as there is a little of
        many of them in every pixel.
    smoothness
        As in `espm_hs.EspmNMF`, but of the maps alone: the phases are found without;
        "auto" takes what predicts held-out counts best, for each phase; or a number
        for each phase.
    binning
        Phases are found from the sums of ``binning`` pixels along each axis, and then
        mapped in full resolution; "auto" bins until there are some 300 counts, and
        goes on from what makes all pixels most probable where these have few counts,
        bins mix them, or phases lie beyond what they show, see
        `espm_hs.factorization.single_pixels`.
    end_members
        What phases are that no pixel shows alone. "outside": what fits the counts and
        has the fewest elements; "observed": the outermost compositions that pixels
        show; "auto": the first for the ends of solid solutions, where pixels show all
        compositions in between, and the second for inclusions, which take the place of
        their host. Where that is not "observed", what little a phase has of its
        matrix is taken out, see `espm_hs.decomposition.separation.remnants`.
    separation
        Whether films, hosts and inclusions are taken out of the phases that contain
        them, see `espm_hs.decomposition.separation`.
    local
        Whether G is that of the mixture and the amount of the sample in each place of
        the map, and not that of each phase, see
        `espm_hs.decomposition.self_consistency.phases_in_places`; "auto": where the
        model is known well enough for that, and the counts prefer it.
    pixel_size
        Size of a pixel along each navigation axis, in one unit, for the smoothness;
        None: square.
    names
        Of phases that ``known_phases`` does not name, "" for none; None: of none.
    solver, n_init, max_iter, tol, random_state, n_jobs, check_every, callback
        As in `espm_hs.factorization.FitOptions`, but for the seed, which is 0: the same
        call gives the same result.

    Raises
    ------
    ValueError
        If an option makes no sense.
    """

    known_phases: Mapping | str | Knowledge | None = None
    fixed_composition: Mapping | None = None
    simplex: str | None = "elements"
    sparsity: float | str | None = 0.0
    smoothness: float | str | Sequence[float] = 0.0
    init: str | tuple = "nndsvd"
    binning: str | int = 1
    end_members: str = "auto"
    separation: bool = True
    local: bool | str = False
    pixel_size: tuple[float, ...] | None = None
    names: tuple[str, ...] | None = None
    random_state: Any = 0

    def __post_init__(self):
        super().__post_init__()
        if self.sparsity is None:
            usual = 0.0 if self.elements_are_phases else USUAL_SPARSITY
            object.__setattr__(self, "sparsity", usual)
        self._check_binning()
        check_choice("end_members", self.end_members, END_MEMBERS)
        check_flag("separation", self.separation)
        check_flag("local", self.local, auto=True)
        if self.local is True and self.simplex == "abundances":
            raise ValueError(
                "With simplex='abundances' there is as much of the sample in every "
                "pixel, so that nothing is local. Use simplex='elements'."
            )
        strengths: Any = self.smoothness
        if several := not isinstance(strengths, str) and np.ndim(strengths) > 0:
            object.__setattr__(self, "smoothness", tuple(strengths))
        for strength in strengths if several else [strengths]:
            _check_strength("smoothness", strength, several)
        _check_strength("sparsity", self.sparsity)

    @property
    def elements_are_phases(self) -> bool:
        """Whether a component of each element is wanted, see `prior_knowledge`."""
        return isinstance(self.known_phases, str) and self.known_phases == ELEMENTS

    def _check_binning(self) -> None:
        binning = self.binning
        if isinstance(binning, str) and binning == "auto":
            return
        if not isinstance(binning, Integral) or binning < 1:
            raise ValueError(
                f"`binning` is {binning!r}; needed is 'auto' or a number of pixels "
                ">= 1."
            )
        if binning > 1 and self.simplex == "abundances":
            raise ValueError(
                f"`binning` is {binning}, but the abundances of each pixel add up to 1 "
                "with simplex='abundances', and those of several pixels do not. Use "
                "`binning=1`, or `s.rebin`."
            )

    @property
    def fit(self) -> FitOptions:
        """Those of each fit, which have nothing of the search around it."""
        names = (option.name for option in fields(FitOptions))
        return FitOptions(**{name: getattr(self, name) for name in names})

    @property
    def of_search(self) -> dict[str, Any]:
        """Those of a `PhaseSearch`, by the names that they have there."""
        names = "end_members", "separation", "local"
        return {name: getattr(self, name) for name in names} | {"options": self.fit}

    @property
    def penalties(self) -> Penalties:
        """Penalties of the fit, before those that are "auto" are chosen."""
        sparsity: Any = USUAL_SPARSITY if self.sparsity == "auto" else self.sparsity
        smoothness: Any = 0.0 if self.smoothness == "auto" else self.smoothness
        return Penalties(sparsity, smoothness)

    def chosen_binning(
        self,
        counts: AnyCounts,
        navigation: tuple[int, ...],
        n_together: int | None = None,
    ) -> int:
        """Return the binning; where that is "auto", the one that suits the counts."""
        if self.binning != "auto":
            return int(self.binning)
        in_counts = self.simplex != "abundances"
        return usual_binning(counts, navigation, n_together) if in_counts else 1

    def chosen_penalties(self, counts: AnyCounts, problem: Problem) -> Penalties:
        """Return the penalties of a problem, with the sparsity that suits its counts.

        Phases of a pixel are told apart by its counts: few of them must not be
        overruled by a penalty that was chosen for many.
        """
        strength, weight = problem.penalties.sparsity, weight_of_sparsity(counts)
        if self.sparsity == "auto":
            with stage(OF_SPARSITY, "sparsity"):
                strength = choose_sparsity(
                    counts,
                    problem,
                    weight=weight,
                    n_init=self.n_init,
                    random_state=self.random_state,
                    n_jobs=self.n_jobs,
                )
        return replace(problem.penalties, sparsity=weight * strength)


def chosen_options(
    analysis: PhaseAnalysis, stored: Mapping[str, Any], shared: Sequence[str]
) -> dict[str, Any]:
    """Return options of a fit that goes on from a result.

    Parameters
    ----------
    analysis
        The result, which has what was chosen in the end.
    stored
        The options that led to it.
    shared
        Names of those to take as they were.
    """
    names = [one.name for one in fields(DecompositionOptions)]
    known = {name: stored[name] for name in shared if name in stored}
    return known | {n: getattr(analysis, n) for n in names if hasattr(analysis, n)}


def weight_of_sparsity(counts: AnyCounts) -> float:
    """Return the part of the sparsity that acts where there are few counts."""
    return min(1.0, float(np.sqrt(counts.mean_counts / ENOUGH_COUNTS)))


def _check_strength(name: str, value: Any, several: bool = False) -> None:
    """Raise ValueError for a strength that is neither a number nor "auto"."""
    number = isinstance(value, Real) and not isinstance(value, bool)
    word = isinstance(value, str) and value == "auto" and not several
    if not (word or (number and 0 <= value <= STRONGEST)):
        raise ValueError(
            f"`{name}` must be 'auto' or a finite number >= 0, at most "
            f"{STRONGEST:g}; got {value!r}."
        )


Array = np.ndarray
# What was changed in a model, by name, and the model with it.
Changes = dict[str, float]
Refined = tuple[LinearModel, Changes]


class Refinement(Protocol):
    """Adapts a model to the data; `espm_hs.calibration.automatic` has one."""

    def refined(self, model: LinearModel, spectrum: Array, channels: Array) -> Refined:
        """Return a model that fits the summed counts, and what was changed."""

    def drift(self, model: LinearModel, spectra: Array, channels: Array) -> Changes:
        """Return how parts of the scan differ in what was refined, if they do."""

    def widening(self, model: LinearModel, spectra: Array, channels: Array) -> Changes:
        """Return how peaks are wider in the last of two spectra, if they are."""


def asked_channels(model: LinearModel, channels: np.ndarray | None) -> np.ndarray:
    """Return the channels to fit, boolean: of those asked for, what the model fits."""
    return model.channels if channels is None else model.channels & channels


def read_to_fit(
    data: Any,
    model: LinearModel,
    pixels: np.ndarray | None,
    channels: np.ndarray,
    refinement: Refinement | None,
    read: Callable[..., Any] = read_counts,
) -> tuple[Any, LinearModel, np.ndarray, Changes]:
    """Read counts, and refine a model that does not fit their sum.

    Parameters
    ----------
    data, model, pixels, channels, refinement
        As in `decompose`; only channels that the model fits.
    read
        Reads the counts of some pixels and channels.

    Returns
    -------
    counts, model, channels, changes
        Of the refined model; no changes if the given one fits.
    """
    counts = read(data, pixels=pixels, channels=channels)
    if refinement is None or counts.n_nonzeros == 0:
        return counts, model, channels, {}
    _, mean = fit_spectrum(model.G[channels], counts.spectrum)
    if deviance_ratio(counts.spectrum, mean, len(model.columns)) < FITS:
        return counts, model, channels, {}
    model, changes = refinement.refined(model, counts.spectrum, channels)
    left = channels & model.channels
    if not np.array_equal(left, channels):
        counts = read(data, pixels=pixels, channels=left)
    return counts, model, left, changes


def decompose(
    data: Any,
    model: LinearModel,
    n_phases: int | None,
    options: DecompositionOptions | None = None,
    *,
    pixels: np.ndarray | None = None,
    channels: np.ndarray | None = None,
    refinement: Refinement | None = None,
    **changes: Any,
) -> PhaseAnalysis:
    """Find the phases of a map.

    Parameters
    ----------
    data
        Counts, shape (*navigation, n_channels): numpy, dask or sparse.
    model
        Linear model over the same channels.
    n_phases
        Number of phases; None where ``known_phases`` says it.
    options
        How to look for them; None: the defaults.
    pixels, channels
        Boolean: the pixels, shape (prod(navigation),), and channels to use, None for
        all. Channels outside ``model.channels`` are never used.
    refinement
        What adapts a model that does not fit the sum of the counts; None: nothing.
    **changes
        Options by name, see `DecompositionOptions`.

    Returns
    -------
    PhaseAnalysis
        The result; the best so far if the user interrupted the fit.

    Raises
    ------
    ValueError, TypeError
        If an argument makes no sense or the data are not counts.
    """
    options = replace(options or DecompositionOptions(), **changes)
    with stage(READING, "reading"):
        read = read_map(
            data,
            model,
            n_phases,
            options,
            pixels=pixels,
            channels=channels,
            refinement=refinement,
        )
    with stage(read.share_of_search):
        found, errors, search = read.search()
    return read.analysis(found, errors, search, search.model, search.problem)


@dataclass(frozen=True, eq=False)
class MapToFit:
    """A map that was read, and what is to be solved for it.

    Parameters
    ----------
    counts, problem
        In full resolution.
    binned
        Counts, their neighbours and the problem from which the phases are found.
    bins, binning
        Which pixels these are the sums of.
    known
        What is known of the phases.
    model, channels
        The model that fits the sum of the counts, and its channels in use.
    pixels
        Boolean, pixels in use of the map; None: all.
    options
        How to look for phases.
    changed
        What was changed in the model.
    """

    counts: Any
    problem: Problem
    binned: tuple[AnyCounts, Grid, Problem]
    bins: Bins
    binning: int
    known: Knowledge
    model: LinearModel
    channels: np.ndarray
    pixels: np.ndarray | None
    options: DecompositionOptions
    changed: Changes

    @property
    def share_of_search(self) -> float:
        """Share of the time that the phases take, as a rule; the maps take the rest."""
        if self.binning == 1 and self.options.smoothness == 0:
            return 1.0
        phases = OF_SEARCH * self.binned[0].n_nonzeros
        maps = float(self.counts.n_nonzeros)
        if self.options.smoothness == "auto":
            maps *= 1 + _cost_of_smoothness(self.counts)
        return phases / (phases + maps)

    def prepared(
        self, n_phases: int | None = None, kind: type[PhaseSearch] = PhaseSearch
    ) -> PhaseSearch:
        """Return what finds the phases, before it has begun.

        ``n_phases``: as many, of which nothing is known; None: those that were asked
        for. ``kind``: how they are searched for.
        """
        counts, grid, problem = self.binned
        known = self.known
        if n_phases is not None:
            known = Knowledge.nothing(n_phases, len(self.model.columns))
            given = known.constraints(None)
            problem = replace(problem, n_components=n_phases, **given)
        return kind(
            *(counts, grid, problem, self.model, self.channels, known),
            sizes=np.bincount(self.bins.number),
            pixels=self._pixels if kind is PhaseSearch else None,
            **self.options.of_search,
        )

    @property
    def _pixels(self) -> Pixels | None:
        """Pixels, which may tell what bins do not; None where bins were asked for."""
        wanted = self.options.binning == "auto"
        if not wanted or not self.counts.integer or self.problem.grid is None:
            return None
        return Pixels(self.counts, self.problem.grid, self.binning)

    def search(self) -> tuple[Factorization, Errors, PhaseSearch]:
        """Return the phases, their errors, and the search that found them."""
        search, init = self.prepared(), self.options.init
        if self.binning > 1 and not isinstance(init, str) and init[1] is not None:
            init = (init[0], self.bins.sum(init[1]))
        return *search.run(init, self.options.chosen_penalties), search

    def analysis(
        self,
        found: Factorization,
        errors: Errors,
        search: PhaseSearch,
        model: LinearModel,
        fitted: Problem,
    ) -> PhaseAnalysis:
        """Return the result, with maps in full resolution.

        Parameters
        ----------
        found, errors
            Phases and maps of the binned map.
        search
            What found them.
        model, fitted
            The model and the problem with the composition that was found.
        """
        options, counts, bins, pixels = (
            self.options,
            self.counts,
            self.bins,
            self.pixels,
        )
        acting = fitted.penalties.sparsity
        sparsity = acting / weight_of_sparsity(search.counts)
        penalties = replace(self.problem.penalties, sparsity=acting)
        shape = {name: getattr(fitted, name) for name in ("n_channels", "shares")}
        problem = replace(self.problem, G=fitted.G, penalties=penalties, **shape)
        # of the phases, before noise and smoothness of single pixels move their totals
        mean = problem.mean_of(problem.spectra(found.W)) @ found.H.sum(axis=0)
        ratio = deviance_ratio(counts.spectrum, mean, len(model.columns))
        identity, local = fingerprint(counts), {}
        if search.places is not None:
            number, atoms = search.places.number[bins.number], search.places.atoms
            counts = counts.in_places(number, problem.n_places)
            problem = replace(problem, places=number)
            local = _in_user_places(number, atoms, pixels)
        if self.binning > 1 or options.smoothness != 0:
            found, problem = _on_pixels(counts, problem, found, bins, options)
        interrupted = found.interrupted or errors.interrupted
        if interrupted:
            warnings.warn(
                f"The fit was interrupted after {found.n_iter} iterations; the best "
                "result so far is kept.",
                UserWarning,
                stacklevel=4,
            )
        return PhaseAnalysis(
            model_record=ModelRecord.of(model),
            knowledge=self.known,
            covariance=errors.covariance,
            bias=errors.bias,
            feasible_ranges=errors.feasible_ranges,
            calibration=self.changed,
            alternatives=search.alternatives,
            surroundings=search.surroundings,
            shown=search.shown,
            steps=tuple(search.steps),
            gains=tuple(search.gains),
            unknowns=_unknowns(model, self.known, found.W),
            **_in_user_units(problem, found, self.channels, pixels),
            **local,
            channels=self.channels,
            fingerprint=identity,
            scale=counts.scale,
            misfit=ratio,
            interrupted=interrupted,
            n_starts=len(found.objectives),
            binning=self.binning,
            bin_counts=search.counts.mean_counts / (counts.scale or np.inf),
            sparsity=sparsity,
            smoothness=problem.penalties.strengths(problem.n_components),
            **{name: getattr(found, name) for name in OF_THE_FIT},
        )


def read_map(
    data: Any,
    model: LinearModel,
    n_phases: int | None,
    options: DecompositionOptions,
    *,
    pixels: np.ndarray | None = None,
    channels: np.ndarray | None = None,
    refinement: Refinement | None = None,
    n_together: int | None = None,
) -> MapToFit:
    """Read a map, and say what is to be solved; arguments as of `decompose`.

    ``n_together``: pixels of all maps in which the phases are found, if of several.
    """
    navigation = data.shape[:-1] or (1,)
    used = asked_channels(model, channels)
    # everything but the data is checked before the data are read
    _, problem = _problem(model, n_phases, options, navigation, pixels, used)
    n_pixels = int(np.prod(navigation) if pixels is None else pixels.sum())
    check_start(options.init, problem, n_pixels)
    counts, model, used, changed = read_to_fit(data, model, pixels, used, refinement)
    check_counts(counts)
    if refinement is not None and counts.total >= PARTS * LEAST_OF_A_PART:
        quarter = PARTS * np.arange(n_pixels) // n_pixels
        parts = counts.spectra_of(quarter, PARTS)
        changed = changed | refinement.drift(model, parts, used)
        brightness = _brightness(np.asarray(counts.per_pixel))
        ends = counts.spectra_of(brightness, PARTS)[[0, -1]]
        changed = changed | refinement.widening(model, ends, used)
    read = counts, model, used, changed
    return map_to_fit(*read, n_phases, options, navigation, pixels, n_together)


def map_to_fit(
    counts: AnyCounts,
    model: LinearModel,
    channels: np.ndarray,
    changed: Changes,
    n_phases: int | None,
    options: DecompositionOptions,
    navigation: tuple[int, ...],
    pixels: np.ndarray | None,
    n_together: int | None = None,
) -> MapToFit:
    """Say what is to be solved for counts that were read, see `read_map`."""
    known, problem = _problem(model, n_phases, options, navigation, pixels, channels)
    binning = options.chosen_binning(counts, navigation, n_together)
    bins = Bins.from_shape(navigation, binning, pixels)
    if known.single_elements:
        options = replace(options, n_init=1)  # all starts are the same
    binned = _in_bins(counts, problem, bins, binning)
    solved = counts, problem, binned, bins, binning, known
    return MapToFit(*solved, model, channels, pixels, options, changed)


def _brightness(per_pixel: np.ndarray) -> np.ndarray:
    """Return parts of equal counts, from 0, the pixels with the fewest counts."""
    order = np.argsort(per_pixel, kind="stable")
    up_to = np.cumsum(per_pixel[order], dtype=float)
    part = np.empty(order.size, int)
    part[order] = np.minimum(PARTS * up_to / up_to[-1], PARTS - 1)
    return part


def _problem(
    model: LinearModel,
    n_phases: int | None,
    options: DecompositionOptions,
    navigation: tuple[int, ...],
    pixels: np.ndarray | None,
    channels: np.ndarray,
) -> tuple[Knowledge, Problem]:
    """Return what is known of the phases, and what is to be solved for them."""
    if options.elements_are_phases:
        n_phases = number_of_elements(n_phases, model)
    n_phases = check_size(n_phases, navigation, pixels, channels)
    check_lines(model, channels)
    if options.local is True and not model.depends_on_composition:
        raise ValueError(
            "The spectra of the model do not depend on what is in a pixel, so that "
            f"nothing is local. {model.advice.get('local', '')}".strip()
        )
    if options.known_phases is None and not options.fixed_composition:
        known = Knowledge.nothing(n_phases, len(model.columns))
    else:
        known = read_known_phases(
            options.known_phases,
            options.fixed_composition,
            model,
            n_phases,
            navigation=navigation,
            pixels=pixels,
            channels=channels,
        )
    if options.names is not None and not known.single_elements:
        known = known.also_named(options.names)
    return known, Problem(
        int(channels.sum()),
        n_phases,
        G=model.G[channels],
        simplex=options.simplex,
        simplex_rows=model.element_columns,
        **known.constraints(pixels),
        penalties=options.penalties,
        grid=Grid.from_shape(navigation, pixels, options.pixel_size),
    )


def check_size(
    n_phases: int | None,
    navigation: tuple[int, ...],
    pixels: np.ndarray | None,
    channels: np.ndarray,
) -> int:
    """Return the number of phases; ValueError for one that the data cannot bear."""
    if n_phases is None:
        raise ValueError(
            "The number of phases is not given. Say how many to look for with "
            "`s.decomposition(algorithm='espm', output_dimension=3)`; "
            "`s.estimate_number_of_phases()` finds how many there are."
        )
    if isinstance(n_phases, bool) or not isinstance(n_phases, (int, np.integer)):
        raise ValueError(f"`output_dimension` must be an integer, got {n_phases!r}.")
    n_pixels = int(np.prod(navigation)) if pixels is None else int(pixels.sum())
    n_channels = int(channels.sum())
    for number, what, mask in (
        (n_pixels, "pixels", "navigation_mask"),
        (n_channels, "channels", "signal_mask"),
    ):
        if number == 0:
            raise ValueError(
                f"All {what} are masked. In `{mask}`, True means left out: give the "
                "inverse mask, or none."
            )
    largest = min(n_pixels, n_channels)
    if not 1 <= n_phases <= largest:
        raise ValueError(
            f"`output_dimension` is {n_phases}, but must be between 1 and {largest} "
            f"for {n_pixels} pixels and {n_channels} channels in use."
        )
    return int(n_phases)


def check_lines(model: LinearModel, channels: np.ndarray) -> None:
    """Raise ValueError for elements whose lines are all in masked channels."""
    rows = model.element_columns
    kept = (model.G[channels].sum(axis=0) / model.G.sum(axis=0))[rows]
    shares = zip(model.elements, kept, strict=True)
    lost = [name for name, share in shares if share < LEAST_SHARE_IN_USE]
    if lost:
        raise ValueError(
            f"The lines of {', '.join(lost)} are in channels that `signal_mask` leaves "
            "out, so nothing can be said about them. Unmask their channels, or remove "
            "them with `s.set_elements([...])`."
        )


def _unknowns(model: LinearModel, known: Knowledge, W: np.ndarray) -> Unknowns | None:
    """Return what the model does not know of itself, and how that moves each phase.

    Phases whose composition is known beforehand, or empty, are not moved.
    """
    amounts = W[model.element_columns]
    given = np.nan_to_num(known.fixed[model.element_columns]).any(axis=0)
    given |= (known.ties != np.eye(len(W))).any(axis=(1, 2))
    if known.single_elements or not amounts.any():
        return None
    names, *arrays = model.unknowns(amounts.sum(axis=1))
    factors, responses = (np.repeat(x[..., None], len(given), -1) for x in arrays)
    for j, one in enumerate(amounts.T):
        if given[j] or not one.any():
            factors[..., j], responses[..., j] = 1.0, 0.0
        else:
            _, factors[..., j], responses[..., j] = model.unknowns(one)
    return Unknowns(names, factors, responses) if names else None


def _in_bins(
    counts: AnyCounts, problem: Problem, bins: Bins, binning: int
) -> tuple[AnyCounts, Grid, Problem]:
    """Return what phases are found from: counts, their neighbours and the problem."""
    support = problem.support
    if binning > 1:
        counts = bins.merge(counts)
        # a bin may hold what any of its pixels may
        support = None if support is None else bins.sum(support) > 0
    # smooth maps are better maps, but what they leave over goes into the spectra
    penalties = problem.penalties.separable()
    found_from = replace(problem, penalties=penalties, support=support)
    return counts, Grid.from_shape(bins.shape, bins.used), found_from


def _on_pixels(
    counts: AnyCounts,
    problem: Problem,
    found: Factorization,
    bins: Bins,
    options: DecompositionOptions,
) -> tuple[Factorization, Problem]:
    """Return the phases that were found with their maps in full resolution.

    The problem that comes with them has the smoothness that was chosen.
    """
    start = problem.allowed(bins.spread(found.H, counts.edges))
    # what an interruption leaves is as it was found, and not made smooth
    rough = replace(problem, penalties=problem.penalties.separable())
    if found.interrupted:
        return replace(found, H=start), rough
    # what one bin paid for holding several phases is shared by its pixels
    of_a_bin = counts.n_pixels / bins.n_bins
    penalties = problem.penalties.shared(1 / of_a_bin)
    # with counts enough every pixel can speak for itself, tied to others or not
    n_alike = of_a_bin if counts.mean_counts < FEW_COUNTS else np.inf
    problem = replace(problem, penalties=penalties)
    start = problem.allowed(off_zero(start))
    totals = found.H.sum(axis=0) if problem.simplex != "abundances" else None
    limits: dict[str, Any] = {
        name: getattr(options, name) for name in ("max_iter", "tol", "n_jobs")
    }
    seed, n_jobs = options.random_state, options.n_jobs
    fit = counts, problem, found.W
    try:
        strength: Any = problem.penalties.smoothness
        if options.smoothness == "auto":
            cost = _cost_of_smoothness(counts)
            with stage(cost / (1 + cost), "smoothness of maps"):
                strength = choose_smoothness(
                    *fit, start=start, n_alike=n_alike, random_state=seed, n_jobs=n_jobs
                )
        n_neighbours = problem.grid.weights.size if problem.grid else 0
        penalties = penalties.tied(strength, n_neighbours, n_alike)
        # a phase that is lost all the same is looked for without what is against it
        for weaker in (penalties, replace(penalties, sparsity=0.0)):
            problem = replace(problem, penalties=weaker)
            fit = counts, problem, found.W
            with stage(COARSE, "maps"):
                first = coarse_maps(*fit, start, **limits)
            with stage(name="maps"):
                H, objective = fit_maps(
                    *fit,
                    start=first,
                    totals=totals,
                    until_lost=weaker is penalties and weaker.smooth,
                    callback=options.callback,
                    **limits,
                )
            scaled = totals is None or np.allclose(H.sum(axis=0), totals)
            if scaled or not weaker.smooth:
                break
    except KeyboardInterrupt:
        return replace(found, H=start, interrupted=True), rough
    return replace(found, H=H, objective=objective), problem


def _cost_of_smoothness(counts: AnyCounts) -> float:
    """Return how long it takes to choose the smoothness, in the time of the maps."""
    return OF_SMOOTHNESS * float(strips(counts.n_pixels).mean())


def _in_user_units(
    problem: Problem,
    found: Factorization,
    channels: np.ndarray,
    pixels: np.ndarray | None,
) -> dict[str, Any]:
    """Return spectra, loadings and atoms over the whole map and energy axis."""
    D = problem.mean_of(problem.spectra(found.W))
    in_counts = problem.simplex != "abundances"
    scale = D.sum(axis=0) if in_counts else np.ones(found.W.shape[1])
    scale = np.maximum(scale, np.finfo(float).tiny)
    spectra = np.full((channels.size, found.W.shape[1]), np.nan)
    spectra[channels] = D / scale
    loadings = np.asarray(found.H * scale)
    if pixels is not None:
        everywhere = np.full((pixels.size, loadings.shape[1]), np.nan)
        everywhere[pixels] = loadings
        loadings = everywhere
    atoms = found.W[problem.rows_on_simplex].sum(axis=0) / scale
    shapes = {"spectra": spectra, "loadings": loadings}
    return shapes | {"atoms": atoms, "counts": found.H.sum(axis=0) * D.sum(axis=0)}


def _in_user_places(
    number: np.ndarray, atoms: np.ndarray | None, pixels: np.ndarray | None
) -> dict[str, Any]:
    """Return places over the whole map, and what a loading consists of in each."""
    if pixels is not None:
        everywhere = np.zeros(pixels.size, number.dtype)
        everywhere[pixels] = number
        number = everywhere
    return {"places": number.astype(np.uint8), "atoms_in_places": atoms}
