"""Elements that a spectrum shows and the model lacks, or the other way round."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from espm_hs.calibration.energy_scale import without_noise
from espm_hs.factorization import divergence, fit_spectrum
from espm_hs.physics import SpectrumModel
from espm_hs.physics.xray.elements import symbol
from espm_hs.physics.xray.emission import free_families

# Never in a sample or a microscope: light or noble gases, and short-lived elements.
UNLIKELY = {"He", "Ne", "Tc", "Pm", "Po", "At", "Rn", "Fr", "Ra", "Ac", "Pa"}
CANDIDATES = tuple(e for e in map(symbol, range(5, 93)) if e not in UNLIKELY)
# What microscopes, grids, holders, preparation and air add: an element that is not
# among them has to explain the spectrum clearly better.
COMMON = frozenset(
    "C N O F Na Mg Al Si P S Cl Ar K Ca Ti Cr Mn Fe Co Ni Cu Zn Ga "  # noqa: SIM905
    "Zr Mo Ag Sn Ta W Pt Au Pb".split()
)
RARE_HANDICAP = 2.0
# Fall of the deviance that calls for an element: five standard deviations.
NEEDED = 25.0
# Fall of the deviance below which an element of the model is not seen.
SEEN = 9.0
# A poor fit hides behind errors of the energy scale: above this deviance per degree of
# freedom only an element that explains this share of the deviance is named.
GOOD = 5.0
CLEAR = 0.2
# Candidates that are fitted in each round, of those that the residuals favour.
TRIED = 6


@dataclass(frozen=True)
class Suggestion:
    """An element to add or to remove.

    Parameters
    ----------
    element
        Symbol.
    lines
        The lines that say so, strongest first, such as ("Si Ka",).
    deviance
        By how much the deviance of the spectrum falls with the element.
    """

    element: str
    lines: tuple[str, ...]
    deviance: float


@dataclass(frozen=True)
class Suggestions:
    """Result of `suggest`.

    Parameters
    ----------
    missing
        Elements that the spectrum calls for, the clearest first.
    superfluous
        Elements of the model of which nothing is seen.
    misfit
        Deviance per degree of freedom before, and with the missing elements.
    """

    missing: tuple[Suggestion, ...]
    superfluous: tuple[Suggestion, ...]
    misfit: tuple[float, float]

    def __str__(self) -> str:
        lines = [
            f"missing: {one.element}, for {', '.join(one.lines)} "
            f"(deviance falls by {one.deviance:.0f})"
            for one in self.missing
        ]
        lines += [
            f"not seen: {one.element}, no sign of {', '.join(one.lines)} "
            f"(deviance {one.deviance:.1f})"
            for one in self.superfluous
        ]
        lines = lines or ["no element is missing, and all of the model are seen"]
        before, after = self.misfit
        fit = f"deviance per degree of freedom: {before:.2f}, with the missing elements"
        return "\n".join([*lines, f"{fit} {after:.2f}"])


def suggest(
    model: SpectrumModel,
    spectrum: np.ndarray,
    channels: np.ndarray | None = None,
    largest: int = 10,
) -> Suggestions:
    """Compare a spectrum with the model and name missing and superfluous elements.

    The residuals are tested for the lines of every element (score test); the best
    candidates are fitted, and the one that lowers the deviance most is kept, until none
    lowers it significantly. Where the model does not fit, the threshold rises with the
    deviance ratio, so that errors of shape do not call for elements.

    Parameters
    ----------
    model
        Physics; calibrate it first (`calibrate`).
    spectrum
        Counts, shape (n_channels,).
    channels
        Boolean, shape (n_channels,): channels to use (None: those of the model).
    largest
        Largest number of missing elements.

    Returns
    -------
    Suggestions
    """
    model, used = without_noise(model, spectrum, channels)
    with threadpool_limits(1, user_api="blas"):
        search = _Search(model, np.asarray(spectrum, dtype=float)[used], used)
        before = search.deviance_ratio
        missing: list[Suggestion] = []
        while len(missing) < largest and (added := search.best_addition()):
            missing.append(added)
        present = map(search.without, (*model.elements, *model.stray_elements))
        superfluous = tuple(one for one in present if one.deviance < SEEN)
    after = search.deviance_ratio
    return Suggestions(tuple(missing), superfluous, (before, after))


class _Search:
    """The fit as elements are added to it."""

    def __init__(self, model: SpectrumModel, x: np.ndarray, used: np.ndarray) -> None:
        known = {*model.elements, *model.stray_elements}
        others = [element for element in CANDIDATES if element not in known]
        every = model.replace(stray_elements=_in_range(model, others))
        labels = {column.label for column in model.columns}
        self.x, self.G = x, every.G[used]
        self.lines, self.columns = every.emission_lines, every.columns
        self.elements = np.array([column.element for column in every.columns])
        self.active = np.array([column.label in labels for column in every.columns])
        self.free = np.zeros(self.active.size, bool)
        self.whole = {}
        for element in {*self.elements} - {None}:
            own = self.elements == element
            families = [str(c.family) for c in self.columns if c.element == element]
            self.free[own] = np.isin(families, free_families(element, families))
            # families tied to each other: a line that comes without the others is none
            self.whole[element] = self.G[:, own & ~self.free].sum(axis=1)
        self._fit()

    def _fit(self) -> None:
        self.w = np.zeros(self.active.size)
        self.w[self.active], self.y = fit_spectrum(self.G[:, self.active], self.x)
        self.F = divergence(self.x, self.y)

    @property
    def deviance_ratio(self) -> float:
        """Deviance per degree of freedom."""
        return 2 * self.F / max(1, self.x.size - int((self.w > 0).sum()))

    def best_addition(self) -> Suggestion | None:
        """Add the element that lowers the deviance most, if it does so enough."""
        ratio = self.deviance_ratio
        clear = CLEAR * 2 * self.F if ratio > GOOD else 0.0
        needed = max(NEEDED * max(1.0, ratio), clear)
        gains = {element: self._gains_of(element) for element in self._ranked()[:TRIED]}
        gains = {element: both for element, both in gains.items() if both[0] >= needed}
        if not gains:
            return None
        element = max(gains, key=lambda e: gains[e][1] / _handicap(e))
        own = self.elements == element
        self.active |= own
        self._fit()
        counts = np.where(own & ~self.free, self.w, 0.0) * self.G.sum(axis=0)
        strongest = [i for i in np.argsort(-counts, kind="stable") if counts[i] > 0]
        return Suggestion(element, self._main_lines(strongest), gains[element][0])

    def without(self, element: str) -> Suggestion:
        """Return how much the deviance would rise without an element of the model."""
        own = (self.elements == element) & self.active
        _, y = fit_spectrum(self.G[:, self.active & ~own], self.x)
        rise = 2 * (divergence(self.x, y) - self.F)
        return Suggestion(element, self._main_lines(np.flatnonzero(own)), rise)

    def _ranked(self) -> list[str]:
        """Elements not in the fit, by how much the residuals speak for them."""
        scores = {}
        surplus, inverse = self.x / self.y - 1, 1 / self.y
        inner = self.G[:, self.w > 0]
        known = inner.T @ (inner / self.y[:, None])
        for element in sorted(self.whole.keys() - {*self.elements[self.active]}):
            g = self.whole[element]
            if g @ surplus <= 0:
                continue
            shared = inner.T @ (g * inverse)
            explained = shared @ np.linalg.lstsq(known, shared, rcond=1e-12)[0]
            information = g @ (g * inverse)
            if information - explained > 1e-6 * information:
                scores[element] = (g @ surplus) ** 2 / (information - explained)
        return sorted(scores, key=lambda e: scores[e] / _handicap(e), reverse=True)

    def _gains_of(self, element: str) -> tuple[float, float]:
        """Fall of the deviance with an element, its lines as the atom emits them.

        That of the lines which may name it, and that with those that nobody knows well,
        which are free: an element explains them, but they are no reason to name it.
        """
        free = self.active | (self.free & (self.elements == element))
        with_free = self.F
        if free.sum() > self.active.sum():
            with_free = divergence(self.x, fit_spectrum(self.G[:, free], self.x)[1])
        trial = np.column_stack([self.G[:, free], self.whole[element]])
        with_all = divergence(self.x, fit_spectrum(trial, self.x)[1])
        return 2 * (with_free - with_all), 2 * (self.F - with_all)

    def _main_lines(self, columns: Iterable[int]) -> tuple[str, ...]:
        """Names of the strongest lines of some columns."""
        names = []
        for column in (self.columns[i] for i in columns):
            own = [x for x in self.lines if x.element == column.element]
            own = [x for x in own if x.family in (column.family or "")]
            names.append(max(own, key=lambda line: line.cross_section).name)
        return tuple(names)


def _handicap(element: str) -> float:
    return 1.0 if element in COMMON else RARE_HANDICAP


def _in_range(model: SpectrumModel, others: Iterable[str]) -> list[str]:
    """Stray elements of the model, and those of the others that the axis can show."""
    kept = list(model.stray_elements)
    for element in others:
        try:
            model.replace(stray_elements=[element])
        except ValueError:
            continue
        kept.append(element)
    return kept
