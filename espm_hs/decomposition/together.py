"""Several maps, one set of phases.

Each map is read as if it were alone: its own model, refined to its own counts, its own
bins. The phases are found in all of them at once, and each map gets the result that a
map alone has. Which map comes first makes no difference, not even to the last digit:
they are sorted by what is in them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

import numpy as np

from espm_hs.arguments import check_choice, check_number
from espm_hs.decomposition.ambiguity import closed
from espm_hs.decomposition.constraints import Knowledge
from espm_hs.decomposition.decompose import (
    READING,
    Changes,
    DecompositionOptions,
    MapToFit,
    Refinement,
    read_map,
)
from espm_hs.decomposition.drift import (
    MOST_ROUNDS,
    SETTLED,
    Path,
    factors,
    own_composition,
    shortened,
)
from espm_hs.decomposition.presence import amounts_in
from espm_hs.decomposition.result import PhaseAnalysis, fingerprint
from espm_hs.decomposition.search import Errors, PhaseSearch
from espm_hs.decomposition.segments import SegmentsToFit, read_segments
from espm_hs.decomposition.several_models import JointSearch, Stack, same_model
from espm_hs.factorization import (
    Factorization,
    Grid,
    Problem,
    deviance_ratio,
    joined,
)
from espm_hs.factorization.counts.counts import AnyCounts
from espm_hs.physics.linear_model import LinearModel
from espm_hs.progress import stage

# Of maps of the same pixels.
PIXELS = "pixels"
# Whether maps of the same model share the spectra of the phases, or like those of other
# models only the composition; or whether all maps are of the same pixels.
SHARED = ("auto", "composition", PIXELS)


class OneOfMaps(NamedTuple):
    """A map to decompose with others; arguments of `decompose`.

    Attributes
    ----------
    data, model, pixels, channels, pixel_size, refinement
        As in `decompose` and its options.
    """

    data: Any
    model: LinearModel
    pixels: np.ndarray | None = None
    channels: np.ndarray | None = None
    pixel_size: tuple[float, ...] | None = None
    refinement: Refinement | None = None


class JointFit(NamedTuple):
    """Phases of several maps, and the way of those that drift."""

    found: Factorization
    errors: Errors
    search: PhaseSearch
    paths: dict[int, Path]


class JointPhases(NamedTuple):
    """What was found in several maps, in the order in which they were given.

    Attributes
    ----------
    analyses
        The result of each map.
    amounts
        Counts of each phase in each map and their errors, see
        `espm_hs.decomposition.presence`; shape (2, n_maps, n_phases).
    paths
        Composition from map to map, by the numbers of the phases that drift.
    """

    analyses: list[PhaseAnalysis]
    amounts: np.ndarray
    paths: dict[int, Path]


def decompose_maps(
    maps: Sequence[OneOfMaps],
    n_phases: int | None,
    options: DecompositionOptions,
    shared: str = "auto",
    drift: Mapping | float | None = None,
) -> JointPhases:
    """Find one set of phases in several maps.

    Parameters
    ----------
    maps
        The maps, in any order.
    n_phases, options
        As in `decompose`.
    shared
        "auto": maps of the same model share the spectra of the phases, others their
        composition; "composition": no map shares more than that; "pixels": all maps are
        of the same pixels, and share the abundances, too.
    drift
        Phase -> standard deviation of its fractions between maps; or one number for all
        phases; None: nothing drifts.

    Raises
    ------
    ValueError, TypeError
        If an argument makes no sense, before the first map is read.
    """
    with stage(READING, "reading"):
        read, where = read_maps(maps, n_phases, options, shared, drift)
    analyses, paths = read.solved()
    amounts = list(map(amounts_in, analyses, read.spectra))
    paths = {
        phase: Path(path.fractions[where], path.covariance[where])
        for phase, path in paths.items()
    }
    in_order = np.stack([amounts[i] for i in where], axis=1)
    return JointPhases([analyses[i] for i in where], in_order, paths)


@dataclass(frozen=True, eq=False)
class MapsToFit:
    """Maps that were read, in an order of their own, and what is solved for all.

    Parameters
    ----------
    maps
        The maps.
    place
        Which model each map has, shape (n_maps,).
    drift
        Phase -> standard deviation of its fractions between maps; these then have a
        place each.
    """

    maps: tuple[MapToFit, ...]
    place: np.ndarray
    drift: Mapping[int, float]

    @property
    def options(self) -> DecompositionOptions:
        """Those of all maps."""
        return self.maps[0].options

    @property
    def binning(self) -> int:
        """Pixels along each axis of the largest bins that phases are found from."""
        return max(one.binning for one in self.maps)

    @property
    def spectra(self) -> list[np.ndarray]:
        """Sum of the counts of each map."""
        return [one.counts.spectrum for one in self.maps]

    @property
    def changed(self) -> tuple[Changes, ...]:
        """What was changed in the model of each to fit its sum."""
        return tuple(one.changed for one in self.maps)

    def solved(self) -> tuple[list[PhaseAnalysis], dict[int, Path]]:
        """Return the result of each map, and the paths of phases that drift."""
        with stage(self.share_of_search):
            fit = self.search()
        return self.analyses(fit), fit.paths

    @cached_property
    def edges(self) -> list[slice]:
        """Binned pixels of each map among those of all."""
        sizes = (one.binned[0].n_pixels for one in self.maps)
        return [slice(*ends) for ends in pairwise(accumulate(sizes, initial=0))]

    @property
    def share_of_search(self) -> float:
        """As of one map: the least that any of them has."""
        return min(one.share_of_search for one in self.maps)

    def prepared(self, n_phases: int | None = None) -> PhaseSearch:
        """Return what finds the phases of all maps, before it has begun.

        ``n_phases``: as many, of which nothing is known; None: those that were asked
        for.
        """
        counts, grids, problems = zip(*(one.binned for one in self.maps), strict=True)
        grid, support = Grid.joined(grids), None
        first, problem, known = (
            self.maps[0],
            problems[0],
            [one.known for one in self.maps],
        )
        if n_phases is not None:
            known = [Knowledge.nothing(n_phases, len(x.fixed)) for x in known]
            problem = replace(
                problem, n_components=n_phases, **known[0].constraints(None)
            )
        elif problem.support is not None:
            support = np.concatenate([problem.support for problem in problems])
        together = joined(counts)
        problem = replace(problem, support=support, grid=None)
        model = first.model, first.channels
        how = self.options.of_search
        if self.place.max() == 0:
            known_of_all = replace(known[0], support=support)
            return PhaseSearch(together, grid, problem, *model, known_of_all, **how)
        stack = self._stack()
        together = replace(together, n_channels=stack.n_channels)
        placed = together.in_places(stack.number, len(stack.models))
        firsts = np.unique(self.place, return_index=True)[1]
        known_of_all = stack.knowledge([known[i] for i in firsts])
        known_of_all = replace(known_of_all, support=support)
        problem = self._problem_of(stack, problem, known_of_all, placed.n_channels)
        how |= {"stack": stack}
        return JointSearch(placed, grid, problem, *model, known_of_all, **how)

    def search(self) -> JointFit:
        """Return the phases of all maps."""
        search = self.prepared()
        found, errors = search.run(self.options.init, self.options.chosen_penalties)
        fit = JointFit(found, errors, search, {})
        if self.drift and isinstance(search, JointSearch) and not found.interrupted:
            found, paths = self._followed(search, found, errors)
            fit = JointFit(found, search.errors_of(found), search, paths)
        return fit

    def _stack(self) -> Stack:
        """Return the models of all places."""
        firsts = [self.maps[i] for i in np.unique(self.place, return_index=True)[1]]
        sizes = [one.binned[0].n_pixels for one in self.maps]
        models = tuple(one.model for one in firsts)
        channels = tuple(one.channels for one in firsts)
        return Stack(models, channels, np.repeat(self.place, sizes))

    def _problem_of(
        self, stack: Stack, problem: Problem, known: Knowledge, n_channels: int
    ) -> Problem:
        """Return the problem of several models, before it has matrices."""
        return replace(
            problem,
            n_channels=n_channels,
            G=np.zeros((n_channels, stack.rows.size)),
            simplex_rows=stack.rows,
            places=stack.number,
            free_scales=True,
            **known.constraints(None),
        )

    def _followed(
        self, search: JointSearch, found: Factorization, errors: Errors
    ) -> tuple[Factorization, dict[int, Path]]:
        """Let phases drift from map to map; the drifts become those of the search.

        Returns
        -------
        found, paths
            With the common composition, and by phase the way from map to map.
        """
        rows, paths, n_maps = search.rows, {}, len(self.maps)
        n_elements, k = int(rows.sum()), found.W.shape[1]
        drifts = np.ones((n_maps, n_elements, k))
        reach = {phase: np.full(n_maps, spread) for phase, spread in self.drift.items()}
        steps = dict.fromkeys(self.drift, np.zeros((n_maps, n_elements)))
        for _ in range(MOST_ROUNDS):
            for phase in self.drift:
                here = closed(found.W[rows])[:, phase] * drifts[:, :, phase]
                path = self._path(search, found, errors, phase, reach[phase])
                step = path.fractions - closed(here.T).T
                reach[phase] = shortened(reach[phase], step, steps[phase])
                paths[phase], steps[phase] = path, step
                amount = [found.H[pixels, phase].sum() for pixels in self.edges]
                mean = np.average(
                    path.fractions, axis=0, weights=np.add(amount, 1e-300)
                )
                drifts[:, :, phase] = factors(path.fractions, mean)
                W = found.W.copy()
                W[rows, phase] = mean * found.W[rows, phase].sum()
                found = replace(found, W=W)
            found = search.drifted(found, drifts)
            moved = max(float(np.abs(step).max()) for step in steps.values())
            if found.interrupted or moved < SETTLED:
                break
        return found, paths

    def _path(
        self,
        search: JointSearch,
        found: Factorization,
        errors: Errors,
        phase: int,
        reach: np.ndarray,
    ) -> Path:
        """Return what the counts of each map say of the composition of a phase."""
        common = closed(found.W[search.rows])[:, phase]
        parts = []
        for place, pixels in enumerate(self.edges):
            fit = search.of_model(place, pixels, found, errors)
            here, _, model, G = fit
            counts, _, problem = self.maps[place].binned
            penalties = search.problem.penalties.take(pixels)
            problem = replace(problem, G=G, penalties=penalties)
            order = [search.several.elements.index(name) for name in model.elements]
            known = counts, problem, here.W, here.H, phase, common[order]
            limits = self.drift[phase], float(reach[place])
            own, covariance = own_composition(*known, *limits, n_jobs=search.n_jobs)
            back, inside = np.argsort(order), problem.rows_on_simplex
            covariance = covariance[np.ix_(inside, inside)][np.ix_(back, back)]
            parts.append((own[back], covariance))
        return Path(*map(np.array, zip(*parts, strict=True)))

    def analyses(self, fit: JointFit) -> list[PhaseAnalysis]:
        """Return the result of each map, with maps in full resolution."""
        found, errors, search, _ = fit
        results: list[PhaseAnalysis] = []
        for one, place, pixels in zip(
            self.maps, self.place.tolist(), self.edges, strict=True
        ):
            penalties = search.problem.penalties.take(pixels)
            if isinstance(search, JointSearch):
                here, own, model, G = search.of_model(place, pixels, found, errors)
                fitted = replace(one.problem, G=G, penalties=penalties)
            else:
                here = replace(found, H=found.H[pixels])
                own, model = errors, search.model
                fitted = replace(one.problem, G=search.problem.G, penalties=penalties)
            with stage(1 / (len(self.maps) - len(results))):
                results.append(one.analysis(here, own, search, model, fitted))
        return results


def in_one_map(
    analyses: Sequence[PhaseAnalysis], loadings: np.ndarray, counts: AnyCounts
) -> PhaseAnalysis:
    """Return the results of maps that share all of their phases as that of one map.

    Parameters
    ----------
    analyses
        Of the maps.
    loadings, counts
        Of all of them as one map.
    """
    first = analyses[0]
    held = np.sum([np.asarray(one.counts) for one in analyses], axis=0)
    mean = first.spectra[first.channels] @ held
    return replace(
        first,
        loadings=loadings,
        counts=held,
        fingerprint=fingerprint(counts),
        misfit=deviance_ratio(counts.spectrum, mean, len(first.element_columns)),
        scale=counts.scale,
        smoothness=np.mean([one.smoothness for one in analyses], axis=0),
    )


def read_maps(
    maps: Sequence[OneOfMaps],
    n_phases: int | None,
    options: DecompositionOptions,
    shared: str = "auto",
    drift: Mapping | float | None = None,
) -> tuple[MapsToFit | SegmentsToFit, list[int]]:
    """Read maps; return them sorted, and where each of those given is among them.

    Raises
    ------
    ValueError
        If an option is for one map, or the maps have other elements.
    """
    check_choice("shared", shared, SHARED)
    _check_options(options, len(maps))
    _check_elements([one.model for one in maps])
    if shared == PIXELS:
        if drift is not None:
            raise ValueError("Nothing drifts between maps of the same pixels.")
        return read_segments(maps, n_phases, options)
    read: list[MapToFit] = []
    n_together = sum(
        int(np.prod(one.data.shape[:-1]) if one.pixels is None else one.pixels.sum())
        for one in maps
    )
    for one in maps:
        own = replace(options, pixel_size=one.pixel_size)
        with stage(1 / (len(maps) - len(read))):
            this = read_map(
                one.data,
                one.model,
                n_phases,
                own,
                pixels=one.pixels,
                channels=one.channels,
                refinement=one.refinement,
                n_together=n_together,
            )
        read.append(this)
    order = sorted(range(len(read)), key=lambda i: _identity(read[i]))
    ordered = tuple(read[i] for i in order)
    drifting = _drifting(drift, ordered[0].known)
    place = _places_of(ordered, "composition" if drifting else shared)
    return MapsToFit(ordered, place, drifting), np.argsort(order).tolist()


def _drifting(drift: Mapping | float | None, known: Knowledge) -> dict[int, float]:
    """Return the spread of each phase that drifts.

    Raises
    ------
    ValueError, TypeError
        If there is no such phase, or its spread is not above 0.
    """
    if drift is None:
        return {}
    if not isinstance(drift, Mapping):
        drift = dict.fromkeys(range(known.n_phases), drift)
    spreads = {}
    for key, spread in drift.items():
        number = known.names.index(key) if key in known.names and key else key
        if not isinstance(number, int) or not 0 <= number < known.n_phases:
            raise ValueError(
                f"`drift` names the phase {key!r}, but there are {known.n_phases}, "
                f"{', '.join(known.labels)}. Give a number from 0, or a name that is "
                "in `known_phases`."
            )
        check_number("drift", spread, 0, 1, above=True)
        spreads[number] = float(spread)
    return spreads


def _identity(one: MapToFit) -> tuple:
    """Return what tells a map from others, whichever comes first."""
    return (*fingerprint(one.counts).tolist(), *one.bins.shape, one.counts.n_channels)


def _places_of(maps: Sequence[MapToFit], shared: str) -> np.ndarray:
    """Return which maps have the same model, shape (n_maps,)."""
    if shared == "composition":
        return np.arange(len(maps))
    place: list[int] = []
    for i, one in enumerate(maps):
        alike = (
            place[j]
            for j in range(i)
            if np.array_equal(one.channels, maps[j].channels)
            and same_model(one.model, maps[j].model)
        )
        place.append(next(alike, max(place, default=-1) + 1))
    return np.array(place)


def _check_options(options: DecompositionOptions, n_maps: int) -> None:
    """Raise ValueError for options that several maps cannot have."""
    if n_maps == 1:
        return
    if options.simplex == "abundances":
        raise ValueError(
            "With simplex='abundances' a phase makes as many counts in every pixel, "
            "and maps have doses of their own. Use simplex='elements'."
        )
    if options.local:
        raise ValueError(
            "Where G is local, it is that of each place of one map: several maps "
            "that have it are decomposed one by one."
        )
    if not isinstance(options.init, str):
        raise ValueError(
            "`init` must be the name of a start for several maps: arrays belong to "
            "one of them."
        )


def _check_elements(models: Sequence[LinearModel]) -> None:
    """Raise ValueError for maps of other elements than the first one."""
    first = set(models[0].elements)
    for number, model in enumerate(models):
        if missing := sorted(first ^ set(model.elements)):
            raise ValueError(
                f"Map {number} has the elements {', '.join(model.elements)}, map 0 has "
                f"{', '.join(models[0].elements)}: {', '.join(missing)} cannot be in "
                "one of them alone. Phases that several maps share need the same "
                "elements in all: set them with `s.set_elements([...])`."
            )
