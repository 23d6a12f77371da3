"""Maps of the same pixels that share the phases and where they are.

The counts of a pixel stand side by side, as a spectrum of a stack of models, which is
decomposed as any other. Each map then gets its part of the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from espm_hs.decomposition.constraints import Knowledge
from espm_hs.decomposition.decompose import (
    Changes,
    DecompositionOptions,
    MapToFit,
    NoCounts,
    asked_channels,
    check_lines,
    check_size,
    map_to_fit,
    read_to_fit,
)
from espm_hs.decomposition.result import ModelRecord, PhaseAnalysis, fingerprint
from espm_hs.decomposition.search import PhaseSearch
from espm_hs.decomposition.self_consistency import continued
from espm_hs.decomposition.stacked import LEAST_GAIN, StackedModel, with_gains
from espm_hs.factorization import (
    Factorization,
    FitOptions,
    deviance_ratio,
    fit_spectrum,
    off_zero,
    side_by_side,
    uninterrupted,
)
from espm_hs.factorization.channel_sums import Sums
from espm_hs.factorization.counts.counts import AnyCounts
from espm_hs.progress import stage

# Gains have settled when none moves by more than this part of it.
SETTLED = 1e-3
MOST_ROUNDS = 10

if TYPE_CHECKING:
    from espm_hs.decomposition.together import OneOfMaps


@dataclass(eq=False)
class SegmentSearch(PhaseSearch):
    """Finds phases of maps of the same pixels, and the gains of these."""

    def _suited_sums(self) -> Sums | None:
        """Return none: gains are told by the channels of each map."""

    def _fit(self, init: str | tuple, options: FitOptions) -> Factorization:
        """Fit the phases and the gains in turn, until both have settled.

        The sum of a map has told its gain before, as if the sample were even.
        """
        found = super()._fit(init, options)
        once = replace(options, n_init=1)
        for _ in range(MOST_ROUNDS):
            steps = self._steps(found)
            if found.interrupted or np.abs(steps - 1).max() < SETTLED:
                break
            stack = self._stack
            gains = (np.array(stack.gains) * steps).tolist()
            self.model = replace(stack, gains=tuple(gains))
            G = np.repeat(steps, self._sizes)[:, None] * np.asarray(self.problem.G)
            self.problem = replace(self.problem, G=G)
            found = continued(found, super()._fit((found.W, found.H), once))
        return found

    def under(
        self, model: StackedModel, found: Factorization
    ) -> tuple[Factorization, float]:
        """Go on from a fit under another model; return also its divergence, in nats."""
        self.model = replace(model, gains=self._stack.gains)
        start = found.W, off_zero(found.H)
        self.begin()
        found = self._fit(start, replace(self.options, n_init=1))
        return found, self._divergence(found)

    @property
    def _stack(self) -> StackedModel:
        if not isinstance(self.model, StackedModel):
            raise TypeError("SegmentSearch needs a stack of models.")
        return self.model

    def _steps(self, found: Factorization) -> np.ndarray:
        """Return by how much each map has more of the sample than the first one."""
        shared = np.arange(len(found.W)) < self._stack.n_shared
        amounts = np.asarray(found.H).sum(axis=0)
        of_sample = self.problem.spectra(found.W * shared[:, None]) @ amounts
        others = self.problem.spectra(found.W) @ amounts - of_sample
        place = np.repeat(np.arange(len(self._stack.models)), self._sizes)
        steps = []
        for i in range(len(self._stack.models)):
            D = np.stack([of_sample, others], axis=1)[place == i]
            D = D[:, D.sum(axis=0) > 0]
            steps.append(float(fit_spectrum(D, self.counts.spectrum[place == i])[0][0]))
        return np.maximum(steps, LEAST_GAIN) / max(steps[0], LEAST_GAIN)

    @property
    def _sizes(self) -> list[int]:
        """Number of channels in use of each map."""
        return [int(self.channels[part].sum()) for part in self._stack.parts]


@dataclass(frozen=True, eq=False)
class SegmentsToFit:
    """Maps of the same pixels that were read, and what is solved for all.

    Parameters
    ----------
    whole
        Their counts side by side.
    counts
        Of each map.
    changed
        What was changed in the model of each to fit its sum.
    """

    whole: MapToFit
    counts: tuple[AnyCounts, ...]
    changed: tuple[Changes, ...]

    @property
    def binning(self) -> int:
        """Pixels along each axis of the bins that phases are found from."""
        return self.whole.binning

    @property
    def spectra(self) -> list[np.ndarray]:
        """Sum of the counts of each map."""
        return [one.spectrum for one in self.counts]

    def prepared(self, n_phases: int | None = None) -> PhaseSearch:
        """Return what finds the phases, see `MapToFit.prepared`."""
        kind = SegmentSearch if len(self.counts) > 1 else PhaseSearch
        return self.whole.prepared(n_phases, kind)

    def divergences(self, models: Sequence[StackedModel]) -> np.ndarray:
        """Return what the counts say of other models with these columns, in nats.

        The phases are found under the model of the maps, and followed to the others
        from one to the next, to both sides of the one in the middle. Ctrl-C ends all.
        """
        search, options = self.whole.prepared(None, SegmentSearch), self.whole.options
        if not isinstance(search, SegmentSearch):
            raise TypeError("The maps need a stack of models.")
        first, _ = search.run(options.init, options.chosen_penalties)
        losses, middle = np.empty(len(models)), len(models) // 2
        for way in (range(middle, len(models)), range(middle - 1, -1, -1)):
            found = uninterrupted(first)
            for number in way:
                found, losses[number] = search.under(models[number], found)
                found = uninterrupted(found)
        return losses

    def solved(self) -> tuple[list[PhaseAnalysis], dict]:
        """Return the result of each map; nothing drifts."""
        search, options = self.prepared(), self.whole.options
        with stage(self.whole.share_of_search):
            found, errors = search.run(options.init, options.chosen_penalties)
        model, fitted = search.model, search.problem
        of_all = self.whole.analysis(found, errors, search, model, fitted)
        if not isinstance(model, StackedModel):
            return [of_all], {}
        numbers = range(len(self.counts))
        return [self._part(of_all, model, number) for number in numbers], {}

    def _part(
        self, of_all: PhaseAnalysis, stack: StackedModel, number: int
    ) -> PhaseAnalysis:
        """Return the result of one of the maps."""
        part, columns = stack.parts[number], stack.places[number]
        model, channels = stack.models[number], of_all.channels[part]
        heights = np.nansum(of_all.spectra[part], axis=0)
        heights = np.maximum(heights, np.finfo(float).tiny)
        own = np.asarray(of_all.counts) * heights / np.nansum(of_all.spectra, axis=0)
        mean = (of_all.spectra[part] / heights)[channels] @ own
        # spectra of pure pixels, whose loadings are shares, are as high as they are
        in_counts = self.whole.options.simplex != "abundances"
        scale = heights if in_counts else np.ones_like(heights)
        counts = self.counts[number]
        return replace(
            of_all,
            model_record=ModelRecord.of(model),
            knowledge=_of_columns(of_all.knowledge, columns),
            W=of_all.W[columns],
            covariance=of_all.covariance[:, columns][:, :, columns],
            bias=of_all.bias[columns],
            spectra=of_all.spectra[part] / scale,
            loadings=np.asarray(of_all.loadings) * scale,
            atoms=of_all.atoms * stack.gains[number] / scale,
            channels=channels,
            fingerprint=fingerprint(counts),
            misfit=deviance_ratio(counts.spectrum, mean, len(columns)),
            calibration=self.changed[number],
            counts=own,
            scale=counts.scale,
            **_in_order(of_all, [stack.elements.index(x) for x in model.elements]),
        )


def _of_columns(known: Knowledge, columns: np.ndarray) -> Knowledge:
    """Return what is known, of some of the columns."""
    ties = known.ties[:, columns][:, :, columns]
    return replace(known, fixed=known.fixed[columns], ties=ties)


def _in_order(of_all: PhaseAnalysis, order: list[int]) -> dict:
    """Return what a result has for each element, in another order of these."""
    found: dict = {}
    if of_all.alternatives is not None:
        found["alternatives"] = of_all.alternatives[:, order]
    if (unknowns := of_all.unknowns) is not None:
        factors, responses = unknowns.factors[order], unknowns.responses[:, order]
        found["unknowns"] = unknowns._replace(factors=factors, responses=responses)
    return found


def read_segments(
    maps: Sequence[OneOfMaps],
    n_phases: int | None,
    options: DecompositionOptions,
    stacked: bool | None = None,
) -> tuple[SegmentsToFit, list[int]]:
    """Read maps of the same pixels; return them sorted, and where those given are.

    ``stacked``: whether the model is a stack of theirs; None: if there are several.

    Raises
    ------
    ValueError
        If they are not of the same pixels, or an option is for maps one by one.
    """
    navigation = maps[0].data.shape[:-1] or (1,)
    pixels = _same_pixels(maps)
    _check_known(options, len(maps))
    asked = [asked_channels(one.model, one.channels) for one in maps]
    for one, used in zip(maps, asked, strict=True):
        check_size(n_phases, navigation, pixels, used)
        check_lines(one.model, used)
    read: list[Any] = []
    for one, used in zip(maps, asked, strict=True):
        found = read_to_fit(one.data, one.model, pixels, used, one.refinement)
        if found[0].n_nonzeros == 0:
            raise NoCounts(
                f"Map {len(read)} has no counts in the chosen pixels and channels: "
                "leave it out."
            )
        read.append(found)
    order = sorted(range(len(read)), key=lambda i: fingerprint(read[i][0]).tolist())
    counts, models, channels, changed = zip(*(read[i] for i in order), strict=True)
    spectra = [one.spectrum for one in counts]
    own = replace(options, pixel_size=maps[0].pixel_size)
    model, together = models[0], counts[0]
    if stacked or len(maps) > 1:
        model = with_gains(models, spectra, channels)
        together = side_by_side(counts)
    solved = together, model, np.concatenate(channels), changed[0]
    whole = map_to_fit(*solved, n_phases, own, navigation, pixels)
    return SegmentsToFit(whole, counts, changed), np.argsort(order).tolist()


def _same_pixels(maps: Sequence[OneOfMaps]) -> np.ndarray | None:
    """Return the pixels in use of all maps; ValueError if they have other ones."""
    shape = maps[0].data.shape[:-1]
    for number, one in enumerate(maps):
        if one.data.shape[:-1] != shape:
            raise ValueError(
                f"Map {number} has the shape {one.data.shape[:-1]}, map 0 has {shape}: "
                "with shared='pixels' all maps are of the same pixels."
            )
    everywhere = np.ones(int(np.prod(shape)), bool)
    used = [everywhere if one.pixels is None else one.pixels for one in maps]
    if any(not np.array_equal(used[0], other) for other in used):
        raise ValueError(
            "With shared='pixels' all maps are of the same pixels, and the masks of "
            "them differ: give each map the same `navigation_mask`."
        )
    return None if used[0].all() else used[0]


def _check_known(options: DecompositionOptions, n_maps: int) -> None:
    """Raise ValueError for what several spectra of a pixel cannot have."""
    known = options.known_phases
    spectra = isinstance(known, dict) and any(
        isinstance(one, dict) and "spectrum" in one for one in known.values()
    )
    if n_maps > 1 and (options.elements_are_phases or spectra or options.local):
        raise ValueError(
            "With shared='pixels' a pixel has a spectrum in each map. Give the "
            "'composition' or 'ratio' of a phase in `known_phases`, not its "
            "'spectrum', nor \"elements\", and no model of each place."
        )
