"""What speaks for the lines of an element in a spectrum, beyond noise and model errors.

A spectrum is fitted by elements and a background that may follow any smooth shape. What
is known to be uncertain, which are shares of lines, energy scale, width and tails of
peaks, moves within its error. How far the spectrum is off beyond that is learnt from
decoys: patterns of lines of real elements, shifted to energies where no element has
strong lines. What the spectrum seems to hold of them is noise or an error of the model,
and so may be what it seems to hold of an element.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize_scalar, nnls
from scipy.special import stdtr

from espm_hs.calibration.line_patterns import Family, Patterns
from espm_hs.calibration.pile_up import at_sums, convolved
from espm_hs.factorization import divergence
from espm_hs.physics.xray.detector import FWHM_PER_SIGMA, PAIR_ENERGY, SHIFT_DECAY
from espm_hs.physics.xray.elements import atomic_to_mass_fractions
from espm_hs.physics.xray.unabsorbed import ESCAPE_ENERGY, escape_share

Array = np.ndarray
# Families, and so much of each.
Parts = tuple[tuple[Family, float], ...]

# Standard deviations of what a calibration leaves open, in the units of the parameters
# of a model.
SETTLED_SCALE = {
    "offset": 2.0,
    "gain": 0.02,
    "noise": 1.5,
    "fano_factor": 0.002,
    "low_energy_shift": 4.0,
}
# Share of the peaks in a tail, one standard deviation.
TAILED = 0.02
# Length of that tail, keV.
TAIL = 0.1
# Mass of a usual film on the way of the photons, g/cm2.
FILM = 1e-4
# Share of the counts in sum peaks, one standard deviation.
PILED_UP = 0.01
# Steps of the fit of all, and of that of the amount of one pattern.
FIT_STEPS, AMOUNT_STEPS = 12, 8
# Score, in standard errors, from which the amount of a pattern is fitted.
CLEAR = 2.0
# Most that lines which nobody knows well may be, of what tables say.
MOST_FREE = 8.0
# Errors whose score (squared) is below this are left out.
NEGLIGIBLE = 0.03
# Nats below which a fit has settled.
SETTLED = 0.01
# A model is at least this share of what it was, whatever is taken out of it.
LEAST = 0.02
# Degrees of freedom of the errors of the model: large ones are more frequent than those
# of a normal distribution.
FREEDOM = 4
# Bounds of the relative error of a model.
RELATIVE = (1e-5, 0.5)


class Fit(NamedTuple):
    """A spectrum, fitted by some elements.

    Attributes
    ----------
    elements
        Numbers of the elements in the patterns.
    columns
        Background, then lines that name each element, then those with the most of
        the lines that do not; shape (n_used, n_columns).
    weights
        Of the columns, not negative.
    errors
        What the model gets wrong, one standard deviation each, (n_used, n_errors).
    off
        By how many standard deviations it does, shape (n_errors,).
    owner
        Element whose lines that which names it has in each error, -1 for all else.
    y
        Model, shape (n_used,).
    cost
        Divergence and the price of `off`, nats.
    """

    elements: tuple[int, ...]
    columns: Array
    weights: Array
    errors: Array
    off: Array
    owner: Array
    y: Array
    cost: float


class Gains(NamedTuple):
    """What patterns gain when they are added to a fit, one entry for each.

    Attributes
    ----------
    z
        Signed root of twice the gain in nats.
    amount, error
        Of the pattern, and its standard error.
    under
        Counts of the model under the lines.
    direction
        What a unit of the pattern changes when all else adapts to it, over the root of
        the model; shape (n_used, n_patterns).
    """

    z: Array
    amount: Array
    error: Array
    under: Array
    direction: Array

    @property
    def nats(self) -> Array:
        """Gains, 0 where the amount would be negative."""
        return 0.5 * np.maximum(self.z, 0.0) ** 2


class Spectrum:
    """A spectrum to be explained by patterns.

    Parameters
    ----------
    patterns
        Lines of the candidates.
    counts
        In the channels of the patterns, shape (n_used,).
    background
        Columns of the background, shape (n_used, n_shapes).
    scale
        Parameters of the model that are not exact -> their standard deviations.
    """

    def __init__(
        self,
        patterns: Patterns,
        counts: Array,
        background: Array,
        scale: Mapping[str, float] = SETTLED_SCALE,
    ) -> None:
        self.patterns, self.x, self.background = patterns, counts, background
        self.scale, self.n_shapes = scale, background.shape[1]

    def fit(
        self,
        elements: Iterable[int],
        start: Fit | None = None,
        loose: Sequence[int] = (),
    ) -> Fit:
        """Fit some elements, first alone and then with what is uncertain.

        Parameters
        ----------
        elements
            Their numbers in the patterns.
        start
            A fit of similar elements.
        loose
            Elements of which only the lines that do not name them are fitted.
        """
        chosen = tuple(sorted(elements))
        made_of = self._made_of(chosen, loose)
        lines = [self._lines(parts) for parts in made_of]
        columns = np.column_stack([self.background, *lines])
        weights = self._start(chosen, columns, start)
        errors, off, owner = np.zeros((self.x.size, 0)), np.zeros(0), np.zeros(0)
        y, cost = self._model(columns, weights, errors, off)
        for _ in range(3 if start is None else 2):
            weights, off, y, cost = self._settle(columns, weights, errors, off)
            errors, owner = self._errors(columns, weights, made_of, y)
            off = np.zeros(errors.shape[1])
        weights, off, y, cost = self._settle(columns, weights, errors, off)
        return Fit(chosen, columns, weights, errors, off, owner, y, cost)

    def amounts(self, fit: Fit) -> Array:
        """Return the amount of each element of a fit, in units of its pattern."""
        amounts = fit.weights[self.n_shapes :][: len(fit.elements)].copy()
        bound = [i for i, e in enumerate(fit.elements) if self._free(e)]
        amounts[bound] += fit.weights[self.n_shapes + len(fit.elements) :][: len(bound)]
        return amounts

    def _families(self, element: int) -> tuple[Family, ...]:
        return self.patterns.families[self.patterns.elements[element]]

    def _free(self, element: int) -> tuple[Family, ...]:
        return tuple(f for f in self._families(element) if not f.names_it)

    def _made_of(self, chosen: Sequence[int], loose: Sequence[int]) -> list[Parts]:
        """Families, and how much of each, that the columns of lines are made of.

        Of each element the lines that name it; then these with the most that the others
        may be; then others alone.
        """
        naming = {
            e: tuple((f, 1.0) for f in self._families(e) if f.names_it) for e in chosen
        }
        free = {e: tuple((f, MOST_FREE) for f in self._free(e)) for e in chosen}
        bound = [naming[e] + free[e] for e in chosen if free[e]]
        alone: list[Parts] = [((f, 1.0),) for e in loose for f in self._free(e)]
        return [*naming.values(), *bound, *alone]

    def _lines(self, parts: Parts) -> Array:
        """Spectrum of some families."""
        spectra = [x * self.patterns.family(f).total for f, x in parts]
        return np.sum(spectra, axis=0)

    def _start(self, chosen: Sequence[int], columns: Array, start: Fit | None) -> Array:
        n = self.n_shapes
        weights = np.zeros(columns.shape[1])
        if start is None:
            weights[:n] = self.x.sum() / columns[:, :n].sum(axis=0) / n
            return weights
        weights[:n] = np.maximum(start.weights[:n], 1e-12)
        known = dict(zip(start.elements, self.amounts(start), strict=True))
        weights[n : n + len(chosen)] = [known.get(e, 0.0) for e in chosen]
        return weights

    def _model(
        self, columns: Array, weights: Array, errors: Array, off: Array
    ) -> tuple[Array, float]:
        plain = columns @ weights + 1e-9 * max(1.0, self.x.mean())
        y = np.maximum(plain + errors @ off, LEAST * plain)
        return y, divergence(self.x, y) + 0.5 * float(off @ off)

    def _settle(
        self, columns: Array, weights: Array, errors: Array, off: Array
    ) -> tuple[Array, Array, Array, float]:
        """Fisher scoring under weights >= 0, steps halved until the cost falls."""
        y, cost = self._model(columns, weights, errors, off)
        for _ in range(FIT_STEPS):
            root = np.sqrt(y)
            A, B, r = columns / root[:, None], errors / root[:, None], self.x / root
            K = cho_factor(np.eye(off.size) + B.T @ B) if off.size else None
            AB = A.T @ B
            H, h, s = A.T @ A, A.T @ r, B.T @ r
            if K is not None:
                H = H - AB @ cho_solve(K, AB.T)
                h = h - AB @ cho_solve(K, s)
            aim = _nonnegative(H, h)
            aim_off = cho_solve(K, s - AB.T @ aim) if K is not None else off
            step, fall = 1.0, -1.0
            while fall < 0 and step > 1e-3:
                trial = weights + step * (aim - weights), off + step * (aim_off - off)
                y_trial, trial_cost = self._model(columns, trial[0], errors, trial[1])
                fall = cost - trial_cost
                step /= 2
            if fall <= 0:
                break
            (weights, off), y, cost = trial, y_trial, trial_cost
            if fall < SETTLED:
                break
        return weights, off, y, cost

    def _errors(
        self, columns: Array, weights: Array, made_of: list[Parts], y: Array
    ) -> tuple[Array, Array]:
        """Return what one standard deviation of what is uncertain does to the model.

        And the element whose naming lines each is about, or -1.
        """
        amounts: dict[Family, float] = {}
        for weight, parts in zip(weights[self.n_shapes :], made_of, strict=True):
            for family, share in parts if weight > 0 else ():
                amounts[family] = amounts.get(family, 0.0) + share * float(weight)
        lines = columns[:, self.n_shapes :] @ weights[self.n_shapes :]
        blocks = [
            self._of_scale(lines),
            self._of_detection(lines, y),
            self._of_absorption(columns @ weights, amounts),
        ]
        owner = [-1] * sum(block.shape[1] for block in blocks)
        for family, amount in amounts.items():
            blocks.append(amount * self.patterns.family(family).errors)
            own = self.patterns.elements.index(family.element)
            owner += [own if family.names_it else -1] * blocks[-1].shape[1]
        errors = np.hstack(blocks)
        seen = (errors**2 / y[:, None]).sum(axis=0) > NEGLIGIBLE
        seen[: len(self.scale)] = True  # they are asked for, see `scale_of`
        return errors[:, seen], np.array(owner)[seen]

    def _of_absorption(self, y: Array, amounts: Mapping[Family, float]) -> Array:
        """Change of the model by what a usual film absorbs."""
        atoms = {f.element: x for f, x in amounts.items() if f.names_it}
        mu = np.zeros(y.size)
        for element, share in atomic_to_mass_fractions(atoms).items() if atoms else ():
            mu += share * self.patterns.attenuation(element)
        return -FILM * (mu * y)[:, None]

    def _of_scale(self, lines: Array) -> Array:
        """Change of lines by energy scale and peak width, in the order of `scale`."""
        energy, model = self.patterns.energy, self.patterns.model
        slope = np.gradient(lines, energy)
        bend = 0.5 * np.gradient(slope, energy)
        noise = model.parameters["noise"].value
        unit = {
            "offset": 1e-3 * slope,
            "gain": 1e-2 * (energy - model.energy[0]) * slope,
            "noise": 2e-6 * noise / FWHM_PER_SIGMA**2 * bend,
            "fano_factor": 1e-3 * PAIR_ENERGY * energy * bend,
            "low_energy_shift": 1e-3 * np.exp(-energy / SHIFT_DECAY) * slope,
        }
        columns = [sd * unit[name] for name, sd in self.scale.items()]
        return np.reshape(columns, (len(columns), energy.size)).T

    def scale_of(self, fit: Fit) -> dict[str, float]:
        """Return by how much a fit would change each parameter of the energy scale."""
        changes = fit.off[: len(self.scale)].tolist()
        return {
            name: sd * z
            for (name, sd), z in zip(self.scale.items(), changes, strict=True)
        }

    def _of_detection(self, lines: Array, y: Array) -> Array:
        """Tails of peaks, escape peaks and sum peaks."""
        energy = self.patterns.energy
        step = energy[1] - energy[0]
        kernel = np.exp(-np.arange(round(8 * TAIL / step)) * step / TAIL)
        tail = np.convolve(lines[::-1], kernel / kernel.sum())[: lines.size][::-1]
        share = escape_share(energy)
        escape = np.interp(energy + ESCAPE_ENERGY, energy, share * lines, right=0.0)
        sums = PILED_UP * self._sums(y)
        return np.column_stack([TAILED * (tail - lines), escape, sums])

    def _sums(self, y: Array) -> Array:
        """Spectrum of two photons that are counted as one, of as many counts."""
        known = self.patterns
        whole = np.zeros(known.used.size)  # channels that are left out are none
        whole[known.used] = y
        sums = at_sums(convolved(whole, whole), known.model.energy)
        return np.maximum(sums, 0.0)[known.used] / y.sum()

    def gains(self, fit: Fit, patterns: Array) -> Gains:
        """Return what each pattern alone would gain beside a fit.

        All else adapts to it as it does to a small amount.

        Parameters
        ----------
        fit
            Fit without these patterns.
        patterns
            Shape (n_used, n_patterns).
        """
        root = np.sqrt(fit.y)
        A = fit.columns[:, fit.weights > 0] / root[:, None]
        Q = np.hstack([A, fit.errors / root[:, None]])
        M = Q.T @ Q
        M[A.shape[1] :, A.shape[1] :] += np.eye(fit.off.size)
        M += 1e-10 * np.diag(np.diag(M))
        g = patterns / root[:, None]
        adapts = cho_solve(cho_factor(M), Q.T @ g)
        direction = g - Q @ adapts
        b = adapts[A.shape[1] :]
        own = (g**2).sum(axis=0)
        information = np.maximum((direction * g).sum(axis=0), 1e-6 * own + 1e-300)
        score = g.T @ ((self.x - fit.y) / root)
        amount = score / information
        z = score / np.sqrt(information)
        if (clear := np.abs(z) > CLEAR).any():
            some = direction[:, clear], b[:, clear]
            start = amount[clear], information[clear]
            amount[clear] = self._amounts(fit, *some, *start)
            gained = self._gained(fit, *some, amount[clear])
            z[clear] = np.sign(amount[clear]) * np.sqrt(2 * np.maximum(gained, 0.0))
        under = np.abs(direction * root[:, None]).sum(axis=0) ** 2 / information
        return Gains(z, amount, 1 / np.sqrt(information), under, direction)

    def present(self, fit: Fit) -> Gains:
        """Return what the elements of a fit gain it, by their standard errors.

        Parameters
        ----------
        fit
            Fit with these elements.
        """
        root = np.sqrt(fit.y)
        loose = [self._lines(((f, 1.0),)) for e in fit.elements for f in self._free(e)]
        owner = [e for e in fit.elements for _ in self._free(e)]
        n, k = self.n_shapes, len(fit.elements)
        shown = [e for e in fit.elements if self._free(e)]
        # whose naming lines each column has, and whose others
        naming = np.array([-1] * n + [*fit.elements, *shown] + [-1] * len(owner))
        naming = np.append(naming, fit.owner)
        others = np.append(np.full(n + k + len(shown), -1), owner)
        others = np.append(others, np.full(fit.off.size, -1))
        Q = np.column_stack([fit.columns, *loose, fit.errors]) / root[:, None]
        M = Q.T @ Q
        M[np.diag_indices(len(M))] *= 1 + 1e-10
        last = len(M) - fit.off.size
        M[last:, last:] += np.eye(fit.off.size)
        # what has no weight does not adapt
        active = np.concatenate(
            [fit.weights > 0, np.zeros(len(owner), bool), np.ones(fit.off.size, bool)]
        )
        rows = []
        for i, (element, amount) in enumerate(
            zip(fit.elements, self.amounts(fit), strict=True), start=n
        ):
            adapting = (active & (naming != element)) | (others == element)
            coupled = M[adapting, i]
            adapts = np.linalg.solve(M[np.ix_(adapting, adapting)], coupled)
            direction = Q[:, i] - Q[:, adapting] @ adapts
            information = max(M[i, i] - coupled @ adapts, 1e-6 * M[i, i])
            rest = np.maximum(1 - amount * fit.columns[:, i] / fit.y, 0.0)
            under = np.abs(direction * root * rest).sum() ** 2 / information
            rows.append((amount * information**0.5, amount, information**-0.5, under))
        z, amounts, errors, unders = np.reshape(rows, (-1, 4)).T
        return Gains(z, amounts, errors, unders, np.empty((self.x.size, 0)))

    def _moved(self, fit: Fit, direction: Array, amount: Array) -> Array:
        """Model over the fit, with an amount of each pattern."""
        return np.maximum(1 + amount * direction / np.sqrt(fit.y)[:, None], LEAST)

    def _gained(self, fit: Fit, direction: Array, b: Array, amount: Array) -> Array:
        ratio = self._moved(fit, direction, amount)
        nats = self.x @ np.log(ratio) - fit.y @ (ratio - 1)
        off = fit.off[:, None] - amount * b
        return nats - 0.5 * ((off**2).sum(axis=0) - fit.off @ fit.off)

    def _amounts(
        self, fit: Fit, direction: Array, b: Array, amount: Array, information: Array
    ) -> Array:
        """Amounts of most likelihood, by Newton's method from one step of scoring."""
        unit = direction / np.sqrt(fit.y)[:, None]
        best = self._gained(fit, direction, b, amount)
        price = (b**2).sum(axis=0)
        for _ in range(AMOUNT_STEPS):
            ratio = self._moved(fit, direction, amount)
            inside = ratio > LEAST
            pull = (self.x / fit.y)[:, None] / ratio - 1
            slope = ((fit.y[:, None] * unit) * pull * inside).sum(axis=0)
            slope += b.T @ fit.off - amount * price
            weighted = self.x[:, None] * (unit / ratio) ** 2
            curvature = np.maximum(weighted.sum(axis=0) + price, 0.1 * information)
            trial = amount + slope / curvature
            gained = self._gained(fit, direction, b, trial)
            better = gained > best
            # too far: half the way
            amount = np.where(better, trial, (amount + trial) / 2)
            best = np.maximum(best, gained)
        return amount


def _nonnegative(H: Array, h: Array) -> Array:
    """Minimise w H w / 2 - h w over w >= 0."""
    if not h.size:  # which nnls does not bear
        return h
    scale = np.sqrt(np.maximum(np.diag(H), 1e-300))
    R = np.linalg.cholesky(H / np.outer(scale, scale) + 1e-10 * np.eye(len(h))).T
    return nnls(R, np.linalg.solve(R.T, h / scale), maxiter=100 * len(h))[0] / scale


class Null(NamedTuple):
    """What chance and errors of the model make of patterns that are not there.

    Attributes
    ----------
    relative
        Standard deviation by which the model is wrong under a line, beyond what is
        known to be uncertain, as a share of it.
    """

    relative: float

    @classmethod
    def of(cls, decoys: Gains) -> Null:
        """Return the null that makes what was found of decoys most likely."""
        from scipy.stats import t as student  # takes half a second

        def unlikely(logarithm: float) -> float:
            null = cls(float(np.exp(logarithm)))
            scale, freedom = null.scale(decoys.under), null._freedom(decoys.under)
            density = student.logpdf(decoys.z / np.sqrt(scale), freedom)
            return float((0.5 * np.log(scale) - density).sum())

        bounds = np.log(RELATIVE)
        best = minimize_scalar(unlikely, bounds=bounds, method="bounded")
        return cls(float(np.exp(best.x)))

    def scale(self, under: Array) -> Array:
        """Variance of a score over that by counting, with so many counts under it."""
        return 1 + self.relative**2 * np.asarray(under)

    def _freedom(self, under: Array) -> Array:
        """Degrees of freedom of noise and errors of the model together."""
        scale = self.scale(under)
        # F. E. Satterthwaite, Biometrics Bulletin 2 (1946) 110
        return FREEDOM * (scale / np.maximum(scale - 1, 1e-9)) ** 2

    def chance(self, nats: Array, under: Array) -> Array:
        """Probability that a pattern that is not there gains at least so much."""
        z = np.sqrt(2 * np.maximum(nats, 0.0) / self.scale(under))
        return stdtr(self._freedom(under), -z)
