"""Elements that a spectrum shows and the model lacks, or the other way round."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from espm_hs.calibration.energy_scale import without_noise
from espm_hs.factorization import divergence, fit_spectrum
from espm_hs.physics import SpectrumModel
from espm_hs.physics.xray.elements import symbol

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
        lines = []
        for found in self.missing:
            lines.append(
                f"missing: {found.element}, for {', '.join(found.lines)} "
                f"(deviance falls by {found.deviance:.0f})"
            )
        for found in self.superfluous:
            lines.append(
                f"not seen: {found.element}, no sign of {', '.join(found.lines)} "
                f"(deviance {found.deviance:.1f})"
            )
        if not lines:
            lines.append("no element is missing, and all of the model are seen")
        before, after = self.misfit
        lines.append(
            f"deviance per degree of freedom: {before:.2f}, with the missing elements "
            f"{after:.2f}"
        )
        return "\n".join(lines)


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
    misfit, so that errors of shape do not call for elements.

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
    x = np.asarray(spectrum, dtype=float)[used]
    with threadpool_limits(1, user_api="blas"):
        search = _Search(model, x, used)
        before = search.misfit()
        missing = []
        while len(missing) < largest:
            found = search.best_addition()
            if found is None:
                break
            missing.append(found)
        superfluous = [
            found
            for element in (*model.elements, *model.stray_elements)
            if (found := search.without(element)).deviance < SEEN
        ]
    misfit = (before, search.misfit())
    return Suggestions(tuple(missing), tuple(superfluous), misfit)


class _Search:
    """The fit as elements are added to it."""

    def __init__(self, model, x, used):
        self.x = x
        known = {*model.elements, *model.stray_elements}
        others = [element for element in CANDIDATES if element not in known]
        every = model.replace(stray_elements=_in_range(model, others))
        self.columns = every.columns
        self.G = every.G[used]
        self.lines = every.emission_lines
        self.active = np.zeros(len(every.columns), bool)
        labels = {column.label for column in model.columns}
        self.active[[column.label in labels for column in every.columns]] = True
        # families tied to each other: a line that comes without the others is none
        self.whole = {
            element: self.G[:, self._columns_of(element)].sum(axis=1)
            for element in {column.element for column in every.columns} - {None}
        }
        self._fit()

    def _fit(self):
        G = self.G[:, self.active]
        self.w, self.y = fit_spectrum(G, self.x)
        self.F = divergence(self.x, self.y)
        inner = self.w > 0
        self.information = G[:, inner].T @ (G[:, inner] / self.y[:, None])
        self.inner = G[:, inner]

    def misfit(self) -> float:
        """Deviance per degree of freedom."""
        return 2 * self.F / max(1, self.x.size - int((self.w > 0).sum()))

    def best_addition(self) -> Suggestion | None:
        """Add the element that lowers the deviance most, if it does so enough."""
        ranked = self._ranked()[:TRIED]
        gains = {element: self._gain_of(element) for element in ranked}
        if not gains:
            return None
        element = max(gains, key=lambda e: gains[e] / _handicap(e))
        gain = gains[element]
        misfit = self.misfit()
        clear = CLEAR * 2 * self.F if misfit > GOOD else 0.0
        if gain < max(NEEDED * max(1.0, misfit), clear):
            return None
        self.active |= self._columns_of(element)
        self._fit()
        return Suggestion(element, self._seen_lines(element), gain)

    def without(self, element) -> Suggestion:
        """How much the deviance would rise without an element of the model."""
        own = self._columns_of(element) & self.active
        _, y = fit_spectrum(self.G[:, self.active & ~own], self.x)
        rise = 2 * (divergence(self.x, y) - self.F)
        strongest = [self._main_line(self.columns[i]) for i in np.flatnonzero(own)]
        return Suggestion(element, tuple(strongest), rise)

    def _columns_of(self, element):
        return np.array([column.element == element for column in self.columns])

    def _ranked(self):
        """Elements not in the fit, by how much the residuals speak for them."""
        scores = {}
        surplus, inverse = self.x / self.y - 1, 1 / self.y
        for element, g in self.whole.items():
            if self.active[self._columns_of(element)].any() or g @ surplus <= 0:
                continue
            shared = self.inner.T @ (g * inverse)
            explained = (
                shared @ np.linalg.lstsq(self.information, shared, rcond=1e-12)[0]
            )
            information = g @ (g * inverse)
            if information - explained > 1e-6 * information:
                scores[element] = (g @ surplus) ** 2 / (information - explained)
        return sorted(scores, key=lambda e: scores[e] / _handicap(e), reverse=True)

    def _gain_of(self, element) -> float:
        """Fall of the deviance with all lines of an element, as the atom emits them."""
        trial = np.column_stack([self.G[:, self.active], self.whole[element]])
        _, y = fit_spectrum(trial, self.x)
        return 2 * (self.F - divergence(self.x, y))

    def _seen_lines(self, element):
        """Name the main lines of the families that hold counts, largest first."""
        positions = np.flatnonzero(self.active)
        own = np.flatnonzero(self._columns_of(element) & self.active)
        counts = {
            i: self.w[np.searchsorted(positions, i)] * self.G[:, i].sum() for i in own
        }
        seen = [i for i in sorted(own, key=counts.get, reverse=True) if counts[i] > 0]
        return tuple(self._main_line(self.columns[i]) for i in seen)

    def _main_line(self, column) -> str:
        """Name of the strongest line of a column."""
        lines = [
            line
            for line in self.lines
            if line.element == column.element and line.family in column.family
        ]
        return max(lines, key=lambda line: line.cross_section).name


def _handicap(element) -> float:
    return 1.0 if element in COMMON else RARE_HANDICAP


def _in_range(model, others) -> list[str]:
    """Stray elements of the model, and those of the others that the axis can show."""
    kept = list(model.stray_elements)
    for element in others:
        try:
            model.replace(stray_elements=[element])
        except ValueError:
            continue
        kept.append(element)
    return kept
