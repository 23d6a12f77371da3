"""Elements that a spectrum shows, and the probability that a name is false."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from espm_hs.calibration.automatic import AXIS, AutomaticCalibration, axis_change
from espm_hs.calibration.energy_scale import with_splines, without_noise
from espm_hs.calibration.line_evidence import (
    SETTLED_SCALE,
    Fit,
    Gains,
    Null,
    Spectrum,
)
from espm_hs.calibration.line_patterns import Family, Patterns
from espm_hs.factorization import deviance_ratio
from espm_hs.factorization.executors import one_blas_thread
from espm_hs.physics import SpectrumModel
from espm_hs.physics.xray.elements import symbol
from espm_hs.physics.xray.emission import emission_lines
from espm_hs.shown_table import data_frame

if TYPE_CHECKING:
    import pandas

# Never in a sample or a microscope: light or noble gases, and short-lived elements.
UNLIKELY = {"He", "Ne", "Tc", "Pm", "Po", "At", "Rn", "Fr", "Ra", "Ac", "Pa"}
CANDIDATES = tuple(e for e in map(symbol, range(5, 93)) if e not in UNLIKELY)
# What microscopes, grids, holders, preparation and air add.
COMMON = frozenset(
    "C N O F Na Mg Al Si P S Cl Ar K Ca Ti Cr Mn Fe Co Ni Cu Zn Ga "  # noqa: SIM905
    "Zr Mo Ag Sn Ta W Pt Au Pb".split()
)
# Prior odds of elements: of the file, common, others.
DECLARED, USUAL, RARE = 3.0, 1.0, 0.1
# Nats from which an element is tried, share of the largest gain from which it is tried
# together with that one, and largest cosine between them.
TRIED, TOGETHER, ALIKE = 5.0, 0.05, 0.1
MOST = 30
# Probability from which a name is left out of the fit.
PRUNED = 0.3
# Probability from which a rival is named.
CLOSE = 0.02
# Share of the gain of an element from which others are compared with it, and how many.
RIVAL, RIVALS = 0.4, 3
# Least distance of main lines, FWHM, between elements that a wrong scale is found by.
APART = 1.5
# Least cosine between rivals.
LIKE = 0.3
# How often elements are added and left out again.
AGAIN = 2
# Rounds of naming and calibrating.
ROUNDS = 3

# Where elements that are found may go.
PLACES = ("sample", "stray")
# Deviance ratio from which the scale is looked for from afar, and largest shift of a
# peak in one step of a calibration that is near, in FWHM.
FAR, FARTHEST = 4.0, 0.15
# Steps of a calibration, and the part of what it leaves open at which it has settled.
STEPS, SMALL = 6, 0.2
SCALE_TEXT = (
    "Energy scale of this comparison: offset {offset:+.2g} eV, gain {gain:+.2g} %, "
    "resolution {resolution:.0f} eV; the axis of the signal is as it was."
)
# Smallest probability that is told.
SURE = 1e-4
COLUMNS = ["element", "verdict", "lines", "gain", "false", "counts", "percent", "or"]
# Standard deviations of an upper limit that holds with 95 %.
LIMIT = 1.645


class Rival(NamedTuple):
    """An element that may be mistaken for another.

    Attributes
    ----------
    element
        Symbol.
    line
        Its main line there.
    """

    element: str
    line: str


@dataclass(frozen=True)
class Suggestion:
    """An element that may be in the spectrum.

    Parameters
    ----------
    element
        Symbol.
    lines
        The strongest line of each family that says so, most counts first: ("Si Ka1",).
    gain
        By how much the log-likelihood of the spectrum rises with it, nats.
    false
        Probability that the name is false.
    counts
        In its lines.
    rivals
        Others that explain the same lines, and their main line there.
    percent
        At.% among the elements that were found, of thin films; of an element that is
        not found, the upper limit (95 %).
    """

    element: str
    lines: tuple[str, ...]
    gain: float
    false: float = 0.0
    counts: float = 0.0
    rivals: tuple[Rival, ...] = ()
    percent: float = float("nan")

    @property
    def deviance(self) -> float:
        """By how much the deviance falls with the element: twice the gain."""
        return 2 * self.gain

    def __str__(self) -> str:
        lines = " or ".join([self.lines[0], *(rival.line for rival in self.rivals)])
        if not self.rivals:
            lines = f"{self.element}, for {', '.join(self.lines)}"
        chance = f"{self.false:.1g}" if self.false > SURE else f"below {SURE:g}"
        return f"{lines} ({self.gain:.0f} nats; false with probability {chance})"


@dataclass(frozen=True)
class Suggestions:
    """Result of `identify`.

    Parameters
    ----------
    found
        Elements that the spectrum shows, the clearest first; each name is false with
        a probability of at most `false_names`.
    ambiguous
        Lines that are there, and more than one element explains them.
    missing
        Those of `found` that are not in the model.
    superfluous
        Elements of the model of which nothing is seen, with upper limits.
    unseen
        Elements of the model without lines on the energy axis.
    false_names
        Largest probability that a name is false.
    misfit
        Deviance ratio of the spectrum with the elements of the model (NaN if it has
        none), and with those that were found.
    model_error
        By how much the model is wrong under a line beyond what is known to be
        uncertain, as a share of it; from decoys.
    refined
        Energy scale on which the elements were found: change of "offset" (eV) and
        "gain" (%), and "resolution" (eV at Mn Ka).
    """

    found: tuple[Suggestion, ...]
    ambiguous: tuple[Suggestion, ...]
    missing: tuple[Suggestion, ...]
    superfluous: tuple[Suggestion, ...]
    unseen: tuple[str, ...]
    false_names: float
    misfit: tuple[float, float]
    model_error: float
    refined: Mapping[str, float]

    @property
    def elements(self) -> tuple[str, ...]:
        """Symbols of the elements that were found."""
        return tuple(one.element for one in self.found)

    def __str__(self) -> str:
        new = {one.element for one in self.missing}
        lines = [
            f"{'missing' if one.element in new else 'there'}: {one}"
            for one in self.found
        ]
        lines += [f"unclear: {one}" for one in self.ambiguous]
        lines += [
            f"not seen: {one.element}, no sign of {', '.join(one.lines)}; less than "
            f"{one.percent:.2g} at.% (95 %)"
            for one in self.superfluous
        ]
        if self.unseen:
            lines.append(f"no line on the axis: {', '.join(self.unseen)}")
        if not new:
            lines.append("no element is missing")
        lines.append(SCALE_TEXT.format(**self.refined))
        before, after = self.misfit
        fit = "Deviance ratio with the elements that were declared"
        lines.append(f"{fit} {before:.2f}, with those found {after:.2f}.")
        return "\n".join(lines)

    def to_dataframe(self) -> pandas.DataFrame:
        """Return a table of pandas with a row for each element.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        new = {one.element for one in self.missing}
        kinds = [
            *(("missing" if x.element in new else "there", x) for x in self.found),
            *(("unclear", x) for x in self.ambiguous),
            *(("not seen", x) for x in self.superfluous),
        ]
        rows = [
            {
                "element": one.element,
                "verdict": kind,
                "lines": ", ".join(one.lines),
                "gain": one.gain,
                "false": one.false,
                "counts": one.counts,
                "percent": one.percent,
                "or": ", ".join(rival.line for rival in one.rivals),
            }
            for kind, one in kinds
        ]
        return data_frame(rows, COLUMNS)


class Search:
    """Names for the lines of a spectrum on a given energy scale.

    Parameters
    ----------
    model
        Physics, with its axis.
    counts
        In the channels in use, shape (n_used,).
    used
        Boolean, shape (n_channels,).
    known
        Symbols that somebody said are there.
    scale
        Parameters of the energy scale -> their standard deviations.
    start
        Symbols to start from.
    """

    def __init__(
        self,
        model: SpectrumModel,
        counts: np.ndarray,
        used: np.ndarray,
        known: Iterable[str],
        scale: Mapping[str, float],
        start: Iterable[str] = (),
    ) -> None:
        self.spectrum = _spectrum(model, counts, used, CANDIDATES, scale)
        self.patterns = self.spectrum.patterns
        self.elements = self.patterns.elements
        known = set(known)
        odds = [
            DECLARED if e in known else USUAL if e in COMMON else RARE
            for e in self.elements
        ]
        self.odds = np.array(odds)
        begin = {*start}
        first = [i for i, e in enumerate(self.elements) if e in begin]
        self.fit = self.spectrum.fit(first)
        self.null, self.tried = Null(0.0), set[int]()
        for _ in range(AGAIN):
            before = self.fit.elements
            self._add()
            self._prune()
            if self.fit.elements == before:
                break

    def names(self, apart: bool = False) -> list[str]:
        """Return the symbols of the elements that explain the spectrum.

        Parameters
        ----------
        apart
            Leave out those whose lines overlap with those of a clearer one.
        """
        chosen = list(self.fit.elements)
        if apart:
            counts = self.spectrum.amounts(self.fit)
            counts = counts * self.patterns.whole[:, chosen].sum(axis=0)
            clear = [chosen[i] for i in np.argsort(-counts)]
            chosen = [
                e for n, e in enumerate(clear) if self._distance(e, clear[:n]) > APART
            ]
        return [self.elements[i] for i in chosen]

    def _distance(self, element: int, others: Sequence[int]) -> float:
        """Least distance of main lines of an element from those of others, FWHM."""
        detector = self.patterns.model.detector
        own, theirs = (
            np.array([f.main.energy for e in them for f in self._families(e)])
            for them in ([element], others)
        )
        width = 1e-3 * detector.fwhm(own)[:, None]
        return float(np.min(np.abs(own[:, None] - theirs) / width, initial=np.inf))

    def _families(self, element: int) -> list[Family]:
        """Families that name an element."""
        return self.patterns.naming(self.elements[element])

    def _add(self) -> None:
        """Add elements until none explains anything more."""
        while len(self.fit.elements) < MOST and (more := self._additions()):
            fit = self.spectrum.fit({*self.fit.elements, *more}, self.fit)
            amounts = zip(fit.elements, self.spectrum.amounts(fit), strict=True)
            empty = [i for i, amount in amounts if amount <= 0]
            self.tried |= {*empty}
            if empty:
                fit = self.spectrum.fit({*fit.elements} - {*empty}, fit)
            self.fit = fit

    def _additions(self) -> list[int]:
        """Elements that gain most; those alike are left for the next round."""
        gains = self.spectrum.gains(self.fit, self.patterns.whole)
        nats = gains.nats + np.log(self.odds)
        nats[[*self.fit.elements, *self.tried]] = 0
        direction = gains.direction / np.linalg.norm(gains.direction, axis=0)
        order = np.argsort(-nats)
        chosen: list[int] = []
        tried = TRIED * max(1.0, 2 * self.fit.cost / self.spectrum.x.size)
        for i in order[nats[order] > max(tried, TOGETHER * nats.max())]:
            if (np.abs(direction[:, chosen].T @ direction[:, i]) < ALIKE).all():
                chosen.append(int(i))
        return chosen

    def _prune(self) -> None:
        """Leave out what decoys seem to show as well."""
        for _ in range(2):
            decoys = self.spectrum.gains(self.fit, self.patterns.decoys)
            self.null = Null.of(decoys)
            before = self.fit
            while self.fit.elements and (rest := self._clear()) != self.fit.elements:
                self.fit = self.spectrum.fit(rest, self.fit)
            if self.fit is before:
                return

    def _clear(self) -> tuple[int, ...]:
        """Elements of the fit without the most doubtful one, if it is too much so."""
        present = self.spectrum.present(self.fit)
        false = self.chance(present.nats, present.under, self.fit.elements)
        # of few counts the error says little of the gain
        for i in reversed(np.argsort(false)):
            element = self.fit.elements[i]
            if false[i] >= PRUNED:
                rest = tuple(e for e in self.fit.elements if e != element)
                without = self.spectrum.fit(rest, self.fit, [element])
                gain = without.cost - self.fit.cost
                if self.chance(gain, present.under[i], [element])[0] >= PRUNED:
                    return rest
        return self.fit.elements

    def chance(self, nats: Any, under: Any, elements: Sequence[int]) -> np.ndarray:
        """Probability that no line is there where one of all elements gains so much.

        C. R. Genovese, K. Roeder and L. Wasserman, Biometrika 93 (2006) 509: a weighted
        Bonferroni correction, by the prior odds.
        """
        tried = self.odds.sum() / self.odds[list(elements)]
        return np.minimum(1.0, tried * self.null.chance(nats, under))

    # -- what is told of each ----------------------------------------------------------

    def judged(self) -> list[Suggestion]:
        """Return what speaks for each element of the fit, and who else might be it."""
        found = [self._judged(i) for i in self.fit.elements]
        return sorted(found, key=lambda one: -one.gain)

    def _judged(self, element: int) -> Suggestion:
        others = {*self.fit.elements} - {element}
        rest = self.spectrum.fit(others, self.fit, [element])
        gain = max(0.0, rest.cost - self.fit.cost)
        gains = self.spectrum.gains(rest, self.patterns.whole)
        under = gains.under[element]
        scale = float(self.null.scale(under))
        false = float(self.chance(gain, under, [element])[0])
        odds = {
            rival: np.exp((other - gain) / scale)
            * self.odds[rival]
            / self.odds[element]
            for rival, other in self._rivals(element, rest, gains).items()
        }
        right = (1 - false) / (1 + sum(odds.values()))
        close = [r for r, value in odds.items() if value * right > CLOSE]
        direction = gains.direction[:, element]
        rivals = tuple(Rival(self.elements[r], self._line(r, direction)) for r in close)
        weights = self._weights(self.fit)
        total = sum(weights.values())
        return Suggestion(
            self.elements[element],
            self._lines(element),
            gain,
            1 - right,
            weights[element] * self.patterns.whole[:, element].sum(),
            rivals,
            100 * weights[element] / total if total else np.nan,
        )

    def _rivals(self, element: int, rest: Fit, gains: Gains) -> dict[int, float]:
        """Gains of others in the place of an element."""
        direction = gains.direction / np.linalg.norm(gains.direction, axis=0)
        alike = direction.T @ direction[:, element] > LIKE
        nats = np.where(alike, gains.nats, 0.0)
        nats[list(self.fit.elements)] = 0
        order = np.argsort(-nats)[:RIVALS]
        close = order[nats[order] > RIVAL * gains.nats[element]]
        others = {*self.fit.elements} - {element}
        return {
            int(i): rest.cost - self.spectrum.fit({*others, int(i)}, rest).cost
            for i in close
        }

    def _weights(self, fit: Fit) -> dict[int, float]:
        return dict(zip(fit.elements, self.spectrum.amounts(fit).tolist(), strict=True))

    def _lines(self, element: int) -> tuple[str, ...]:
        """Return the main line of each family, most counts first."""
        counts = {
            f.main.name: self.patterns.family(f).total.sum()
            for f in self._families(element)
        }
        return tuple(sorted(counts, key=lambda name: -counts[name]))

    def _line(self, element: int, direction: np.ndarray) -> str:
        """Return the main line of the family that is most like a direction."""
        families = self.patterns.families[self.elements[element]]
        root = np.sqrt(self.fit.y)
        likeness = [
            float(direction @ (self.patterns.family(f).total / root)) for f in families
        ]
        return families[int(np.argmax(likeness))].main.name

    def deviance_ratio(self, elements: Iterable[str] | None = None) -> float:
        """Return that of the fit, or of one of other elements."""
        fit = self.fit
        if elements is not None:
            known = [i for i, e in enumerate(self.elements) if e in set(elements)]
            fit = self.spectrum.fit(known)
        return deviance_ratio(self.spectrum.x, fit.y, int((fit.weights > 0).sum()))

    def limit(self, element: str) -> Suggestion:
        """Return how much of an element that was not found there may be."""
        i = self.elements.index(element)
        fit = self.fit
        if i in fit.elements:
            fit = self.spectrum.fit({*fit.elements} - {i}, fit)
        gains = self.spectrum.gains(fit, self.patterns.whole[:, [i]])
        error = gains.error[0] * np.sqrt(self.null.scale(gains.under[0]))
        most = max(0.0, gains.amount[0]) + LIMIT * error
        total = sum(self._weights(fit).values()) + most
        gain = float(gains.nats[0])
        false = float(self.chance(gain, gains.under[0], [i])[0])
        counts = most * self.patterns.whole[:, i].sum()
        return Suggestion(
            element, self._lines(i), gain, false, counts, (), 100 * most / total
        )


def identify(
    model: SpectrumModel,
    spectrum: np.ndarray,
    channels: np.ndarray | None = None,
    *,
    known: Sequence[str] | None = None,
    false_names: float = 0.05,
    calibrate: bool = True,
) -> Suggestions:
    """Name the elements of a spectrum.

    Elements are added while they explain the spectrum better than chance and errors of
    the model make probable, and left out again where others explain the same.

    Parameters
    ----------
    model
        Physics; its elements do not count.
    spectrum
        Counts, shape (n_channels,).
    channels
        Boolean, shape (n_channels,): channels to use (None: those of the model).
    known
        Symbols that somebody said are there (None: those of the model).
    false_names
        Largest probability that a name is false.
    calibrate
        Whether energy scale and peak width adapt to what is found.

    Raises
    ------
    ValueError
        If there are no counts.
    """
    known = (*model.elements, *model.stray_elements) if known is None else known
    model, used = without_noise(model, spectrum, channels)
    counts = np.asarray(spectrum, dtype=float)[used]
    start = model
    with one_blas_thread():
        names: list[str] = []
        lowest, before = np.inf, (model, used, counts)
        for _ in range(ROUNDS if calibrate else 0):
            spreads = {name: model.parameters[name].spread for name in SETTLED_SCALE}
            search = Search(model, counts, used, known, spreads)
            if search.names() == names:
                break
            if (ratio := search.deviance_ratio()) > lowest:
                # what is missing was taken for an error of the scale
                model, used, counts = before
                break
            lowest, before = ratio, (model, used, counts)
            # a wrong scale makes two elements of one, which would make it right
            apart, names = search.names(apart=not names), search.names()
            if ratio > FAR:
                complete = model.replace(elements=apart, stray_elements=())
                refined, _ = AutomaticCalibration().refined(complete, counts, used)
                model = cast(SpectrumModel, refined)
                used, counts = _within(model, used, counts)
            else:
                model = _calibrated(start, model, counts, used, apart, spreads)
        search = Search(model, counts, used, known, SETTLED_SCALE, names)
        return _told(search, known, false_names, _changes(start, model))


def _within(
    model: SpectrumModel, used: np.ndarray, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the channels that a model still fits, and the counts in them."""
    return used & model.channels, counts[model.channels[used]]


def _spectrum(
    model: SpectrumModel,
    counts: np.ndarray,
    used: np.ndarray,
    candidates: Iterable[str],
    scale: Mapping[str, float],
) -> Spectrum:
    """Return a spectrum with the lines of candidates and the freest background."""
    # the channels stay the same where a calibration moves the axis
    lowest = max(float(model.energy[used][0]), np.finfo(float).tiny)
    model = model.replace(minimum_energy=min(lowest, model.minimum_energy))
    patterns = Patterns(model, used, candidates)
    shapes = np.zeros((counts.size, 0))
    if model.background:
        free = with_splines(model)
        shapes = free.G[used][:, [c.kind == "background" for c in free.columns]]
    return Spectrum(patterns, counts, shapes, scale)


def _calibrated(
    start: SpectrumModel,
    model: SpectrumModel,
    counts: np.ndarray,
    used: np.ndarray,
    names: Sequence[str],
    spreads: Mapping[str, float],
) -> SpectrumModel:
    """Return the model on the energy scale that fits some elements (Gauss-Newton).

    The model as it was, if that is too far away or fits no better.
    """
    fit, before = None, model
    for _ in range(STEPS if names else 0):
        spectrum = _spectrum(model, counts, used, names, spreads)
        fit = spectrum.fit(range(len(spectrum.patterns.elements)), fit)
        changes, now = spectrum.scale_of(fit), model.parameters
        # peaks are no longer linear in what moves them further
        main = spectrum.patterns.mains
        shift = np.abs(changes["offset"] + 10 * changes["gain"] * main)
        step = min(1.0, FARTHEST / max(shift.max() / model.detector.resolution, 1e-9))
        trial = {
            name: float(
                np.clip(now[name].value + step * x, now[name].low, now[name].high)
            )
            for name, x in changes.items()
        }
        model = model.with_parameters(**trial)
        if all(abs(x) < SMALL * SETTLED_SCALE[name] for name, x in changes.items()):
            break
    moved = _changes(start, model)
    far = any(abs(moved[n]) > most for n, most in AXIS.items())
    if not names or far:
        return before
    costs = []
    for one in (before, model):
        spectrum = _spectrum(one, counts, used, names, SETTLED_SCALE)
        costs.append(spectrum.fit(range(len(spectrum.patterns.elements))).cost)
    return model if costs[1] < costs[0] else before


def _changes(before: SpectrumModel, after: SpectrumModel) -> dict[str, float]:
    """Return what a calibration changed: eV and % of the axis, resolution in eV."""
    return axis_change(before, after) | {"resolution": after.detector.resolution}


#: The name of earlier versions.
suggest = identify


def _told(
    search: Search, known: Sequence[str], false_names: float, refined: Mapping
) -> Suggestions:
    judged = search.judged()
    found = tuple(one for one in judged if one.false <= false_names)
    ambiguous = tuple(one for one in judged if one.false > false_names and one.rivals)
    named = {one.element for one in ambiguous}
    named |= {rival.element for one in ambiguous for rival in one.rivals}
    named |= {one.element for one in found}
    absent = [e for e in known if e in search.elements and e not in named]
    return Suggestions(
        found=found,
        ambiguous=ambiguous,
        missing=tuple(one for one in found if one.element not in known),
        superfluous=tuple(map(search.limit, absent)),
        unseen=tuple(e for e in known if e not in search.elements),
        false_names=false_names,
        misfit=(search.deviance_ratio(known), search.deviance_ratio()),
        model_error=search.null.relative,
        refined=refined,
    )


def any_element(energy: np.ndarray, beam_energy: float) -> str:
    """Return an element with lines on an axis, for a model that must have one.

    Parameters
    ----------
    energy
        Channels, keV.
    beam_energy
        keV.
    """
    low, high = max(float(energy[0]), 0.0), min(float(energy[-1]), beam_energy)
    middle = (low + high) / 2

    def distance(element: str) -> float:
        lines = emission_lines(element, beam_energy)
        main = max(lines, key=lambda line: line.cross_section)
        return abs(main.energy - middle)

    return min(CANDIDATES, key=distance)


def check_place(add: Any) -> None:
    """Raise ValueError unless this says where elements that are found go, or nowhere.

    Parameters
    ----------
    add
        None, "sample" or "stray".
    """
    if add is None or add is False:
        return
    if not isinstance(add, str) or add not in PLACES:
        raise ValueError(
            f"`add` is {add!r}, and elements that are found may be of the sample or "
            'not. Write `add="sample"` if they are to be quantified, or `add="stray"` '
            "if they are of grid, holder, column or contamination. For some of each: "
            "`s.set_elements([...])` and "
            "`s.set_analysis_parameters(stray_elements=[...])`."
        )
