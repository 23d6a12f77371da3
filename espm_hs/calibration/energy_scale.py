"""Energy scale, peak width and absorption, fitted to a summed spectrum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple, cast

import numpy as np
from scipy.interpolate import CubicSpline

from espm_hs.decomposition.self_consistency import (
    MAX_ROUNDS,
    self_consistent_model,
)
from espm_hs.factorization import deviance_residuals, expected_deviance, fit_spectrum
from espm_hs.factorization.executors import one_blas_thread
from espm_hs.physics import Detector, SpectrumModel
from espm_hs.physics.linear_model import LinearModel
from espm_hs.physics.xray.absorption import mass_thickness
from espm_hs.physics.xray.unknowns import (
    ANGLE,
    USUAL_ANGLES,
    USUAL_FACTOR,
    USUAL_THICKNESS,
    usual_density,
)

Array = np.ndarray

#: What is refined unless something else is asked for.
DEFAULT = ("offset", "gain", "noise", "fano_factor", "low_energy_shift", "tail")

# The first fits see peaks of at least this width (eV at Mn Ka), which overlap with
# the measured ones however wrong the start is; the last one those of the detector.
BLURS = (400.0, 220.0)
# Starts of the first fit: offsets in eV, changes of the gain in percent.
OFFSETS = (-40.0, 0.0, 40.0)
GAINS = (-0.8, 0.0, 0.8)
# Energy (keV) down to which the trial models reach: the channels in use are those of
# the start, which a trial offset may shift below its minimum energy.
REACH = 0.03
# A measured efficiency ends where the axis does, which may move to so many times that.
MARGIN = 1.1
# Where the end of the noise peak is looked for, keV.
NOISE_RANGE = (0.1, 0.3)
# Residual (standard deviations) from which a channel counts for less than its square.
OUTLIER = 5.0
# Step of numerical derivatives, in spreads.
STEP = 0.01
# Relative fall of the divergence at which the weights of a trial are good enough.
TOL_OF_WEIGHTS = 1e-7
# Damping of the steps, at first and where there is no way down; most steps.
FIRST_DAMPING, GIVE_UP, MOST_STEPS = 1e-3, 1e3, 20
# Loss over its expectation up to which a model fits, and relative difference of the
# costs of two ends up to which they are the same.
FITS, AGREE = 1.2, 1e-3
# Relative fall of the cost at which to stop.
SETTLED_BLURRED, SETTLED_SHARP = 1e-3, 1e-5


@dataclass(frozen=True, eq=False)
class Calibration:
    """Result of `calibrate`.

    Parameters
    ----------
    before, after
        The models.
    deviance
        Deviance of the spectrum per degree of freedom, before and after.
    errors
        Standard errors of the fitted parameters of the model, in their units.
    """

    before: SpectrumModel
    after: SpectrumModel
    deviance: tuple[float, float]
    errors: dict[str, float]

    def rows(self) -> list[tuple[str, float, float]]:
        """Name with unit, value before and value after."""
        read = {
            "fitted from (keV)": lambda m: m.minimum_energy,
            "offset (eV)": lambda m: 1e3 * m.energy[0],
            "channel width (eV)": lambda m: 1e3 * (m.energy[1] - m.energy[0]),
            "resolution at Mn Ka (eV)": lambda m: m.detector.resolution,
            "Fano factor": lambda m: m.detector.fano_factor,
            "low-energy shift (eV)": lambda m: m.detector.low_energy_shift,
            "tail of peaks (%)": lambda m: 1e2 * m.detector.tail,
            "mass thickness (kg/m2)": lambda m: m.mass_thickness,
        }
        rows = [
            (name, float(get(self.before)), float(get(self.after)))
            for name, get in read.items()
        ]
        return [*rows, ("deviance per degree of freedom", *self.deviance)]

    def __str__(self) -> str:
        lines = [f"{'':31} {'before':>11} {'after':>11}"]
        lines += [f"{name:31} {a:>11.5g} {b:>11.5g}" for name, a, b in self.rows()]
        return "\n".join(lines)


def calibrate(
    model: SpectrumModel,
    spectrum: np.ndarray,
    parameters: Sequence[str] = DEFAULT,
    channels: np.ndarray | None = None,
) -> Calibration:
    """Fit energy scale and peak width to a spectrum by maximum likelihood.

    For each trial of the parameters the weights of the columns are those that fit best,
    so the composition need not be known. The search begins with peaks made broad, from
    a grid of offsets and gains, and then sharpens them.

    Parameters
    ----------
    model
        Physics with the axis to start from.
    spectrum
        Counts, shape (n_channels,).
    parameters
        Names of parameters of the model to fit; the others stay.
    channels
        Boolean, shape (n_channels,): channels to use (None: those of the model).

    Returns
    -------
    Calibration

    Raises
    ------
    ValueError
        If a parameter is unknown, or the spectrum has no counts.
    """
    check_names(model, parameters)
    before, (model, used) = model, without_noise(model, spectrum, channels)
    search = EnergyScaleFit(model, np.asarray(spectrum, float), used, parameters)
    with one_blas_thread():
        best = search.run()
        spreads = search.spread * np.sqrt(np.diag(search.covariance(best)))
        deviance = (search.deviance(np.zeros_like(best.z)), search.deviance(best.z))
    after = search.model_at(search.parameters_of(best))
    after = after.replace(minimum_energy=model.minimum_energy)
    errors = dict(zip(parameters, spreads.tolist(), strict=True))
    return Calibration(before, after, deviance, errors)


def check_names(model: LinearModel, parameters: Sequence[str]) -> None:
    """Raise ValueError unless these are names of parameters of the model."""
    known = list(model.parameters)
    is_list = isinstance(parameters, list | tuple | set) and len(parameters) > 0
    if not is_list or any(
        not isinstance(name, str) or name not in known for name in parameters
    ):
        raise ValueError(
            f"`parameters` is {parameters!r}; choose a list of some of {known}."
        )


def without_noise(
    model: SpectrumModel, spectrum: np.ndarray, channels: np.ndarray | None
) -> tuple[SpectrumModel, np.ndarray]:
    """Return the model above the noise peak, and which channels are used.

    Parameters
    ----------
    model
        Physics.
    spectrum
        Counts, shape (n_channels,).
    channels
        Boolean, shape (n_channels,): channels to use (None: those of the model).

    Raises
    ------
    ValueError
        If there are no counts in these channels.
    """
    model = model.replace(minimum_energy=end_of_noise(model, np.asarray(spectrum)))
    used = model.channels if channels is None else model.channels & channels
    if not np.any(np.asarray(spectrum)[used]):
        raise ValueError("The spectrum has no counts in the channels in use.")
    return model, used


def end_of_noise(model: SpectrumModel, counts: np.ndarray) -> float:
    """Energy (keV) from which a spectrum is free of the noise peak at 0 keV.

    That of the model, unless the counts there still fall to less than a third.

    Parameters
    ----------
    model
        Physics with its axis and ``minimum_energy``.
    counts
        Spectrum, shape (n_channels,).
    """
    width = max(1, round(0.05 / (model.energy[1] - model.energy[0])))
    first = np.searchsorted(model.energy, model.minimum_energy)
    box, above = np.ones(width), np.arange(counts.size) >= first
    smooth = np.convolve(counts * above, box, mode="same")
    smooth /= np.maximum(np.convolve(above, box, mode="same"), 1)
    low, high = NOISE_RANGE
    near = np.flatnonzero(above & (model.energy >= low) & (model.energy <= high))
    if near.size < 3 or first >= counts.size:
        return model.minimum_energy
    valley = near[np.argmin(smooth[near])]
    falls = smooth[first] > 3 * smooth[valley] + 3 * np.sqrt(smooth[valley] / width)
    if valley <= first or not falls:
        return model.minimum_energy
    return float(model.energy[valley])


def _loss(residuals: Array, outlier: float) -> float:
    """Half the deviance, of which channels far off have less; infinity: all of it."""
    d = residuals**2
    return float((d / (1 + np.sqrt(1 + d / outlier**2))).sum())


def _slope(residuals: Array, outlier: float) -> Array:
    """Slope of the loss by half the deviance of each channel."""
    return 1 / np.sqrt(1 + (residuals / outlier) ** 2)


@dataclass(frozen=True, eq=False)
class State:
    """A trial of an `EnergyScaleFit`.

    Attributes
    ----------
    z
        Parameters, in spreads from the start.
    blur
        Least width of the peaks, eV.
    G, weights, y, residuals
        Matrix in the channels in use, weights that fit best, model, and signed roots of
        the deviance of each channel.
    cost
        Loss of the residuals and of the prior, nats.
    """

    z: np.ndarray
    blur: float
    G: np.ndarray
    weights: np.ndarray
    y: np.ndarray
    residuals: np.ndarray
    cost: float

    @property
    def misfit(self) -> float:
        """Robust loss over its expectation; 1 where the model is as good as can be."""
        expected = 0.5 * expected_deviance(self.y)
        return max(1.0, _loss(self.residuals, OUTLIER) / max(1.0, expected))


class EnergyScaleFit:
    """Likelihood of a spectrum as a function of some parameters of a model.

    Parameters
    ----------
    model
        Physics, with the values to start from, around which the prior is.
    counts
        Spectrum, shape (n_channels,).
    used
        Boolean, shape (n_channels,): channels to use.
    names
        Parameters of the model that are fitted.
    limits
        By name, largest change from the start; those of the model hold besides.
    """

    def __init__(
        self,
        model: SpectrumModel,
        counts: np.ndarray,
        used: np.ndarray,
        names: Sequence[str],
        limits: Mapping[str, float] | None = None,
    ) -> None:
        self.model = model.replace(
            minimum_energy=min(REACH, model.minimum_energy),
            detector=_reaching(model.detector),
        )
        self.x, self.used, self.names = counts[used], used, tuple(names)
        self.n_columns = len(model.columns)
        self.noise = model.parameters["noise"].value
        fitted = [model.parameters[name] for name in names]
        self.start = np.array([one.value for one in fitted])
        self.spread = np.array([one.spread for one in fitted])
        most = np.array([(limits or {}).get(name, np.inf) for name in names])
        low = np.maximum([one.low for one in fitted], self.start - most)
        high = np.minimum([one.high for one in fitted], self.start + most)
        self.bounds = np.array([low, high])
        self.weights = np.empty(0)

    def model_at(self, theta: np.ndarray, blur: float = 0.0) -> SpectrumModel:
        """Model with the parameters; peaks not narrower than ``blur`` (eV)."""
        # start + spread * (low - start) / spread need not be low to the last digit
        inside = np.clip(theta, *self.bounds).tolist()
        values = dict(zip(self.names, inside, strict=True))
        if blur:
            values["noise"] = np.hypot(values.get("noise", self.noise), blur)
        return self.model.with_parameters(**values)

    def matrix(self, z: np.ndarray, blur: float) -> np.ndarray:
        """G in the channels in use, of parameters in spreads from the start."""
        return self.model_at(self.start + self.spread * z, blur).G[self.used]

    def state(self, z: Array, blur: float = 0.0, outlier: float = OUTLIER) -> State:
        """Fit the weights of the columns for some parameters."""
        G = self.matrix(z, blur)
        # neighbouring trials need nearly the same weights, unless a family of lines
        # has come into the range of the axis or left it
        start = self.weights if self.weights.size == G.shape[1] else None
        self.weights, y = fit_spectrum(G, self.x, start=start, tol=TOL_OF_WEIGHTS)
        residuals = deviance_residuals(self.x, y)
        cost = _loss(residuals, outlier) + 0.5 * float(z @ z)
        return State(z, blur, G, self.weights, y, residuals, cost)

    def deviance(self, z: np.ndarray) -> float:
        """Deviance per degree of freedom, of parameters in spreads from the start."""
        n_free = max(1, self.x.size - self.n_columns)
        return float((self.state(z).residuals ** 2).sum() / n_free)

    def coarse_start(self) -> np.ndarray:
        """Best of a grid of offsets and gains, with the broadest peaks."""
        tried = {"offset": OFFSETS, "gain": GAINS}
        grid = product(*(tried.get(name, (0.0,)) for name in self.names))
        trials = (np.array(one) / self.spread for one in grid)
        states = [self.state(z, BLURS[0], np.inf) for z in trials]
        return min(states, key=lambda state: state.cost).z

    def run(self) -> State:
        """Sharpen step by step; return the best.

        A good start needs no blur. Squares are the likelihood and find a far optimum;
        the robust loss is not dragged away by the lines of an element that the model
        lacks. Of the ends of these ways the one with the lowest robust loss is taken;
        the others are not gone where one fits, or two agree.
        """
        best = self.refine(np.zeros(self.start.size))
        if best.misfit < FITS:
            return best
        coarse = self.coarse_start()
        for outlier in (np.inf, OUTLIER):
            z = coarse
            for blur in BLURS:
                z = self.refine(z, blur, outlier).z
            end = self.refine(z)
            agree = abs(end.cost - best.cost) < AGREE * best.cost
            best = min(best, end, key=lambda state: state.cost)
            if agree:
                break
        return best

    def parameters_of(self, state: State) -> np.ndarray:
        """Parameters of a state in their units."""
        return self.start + self.spread * state.z

    def covariance(self, state: State) -> np.ndarray:
        """Covariance of the parameters in spreads, by the curvature of the cost."""
        return np.linalg.pinv(self._normal_equations(state, OUTLIER)[0])

    def refine(self, z: Array, blur: float = 0.0, outlier: float = OUTLIER) -> State:
        """Levenberg and Marquardt's method from parameters in spreads."""
        low, high = (self.bounds - self.start) / self.spread
        here, damping = self.state(np.clip(z, low, high), blur, outlier), FIRST_DAMPING
        for _ in range(MOST_STEPS if z.size else 0):
            curvature, gradient = self._normal_equations(here, outlier)
            falls = False
            while not falls and damping < GIVE_UP:
                damped = curvature + damping * np.diag(np.diag(curvature))
                # what is on a bound and would leave the range stays where it is
                stuck = (here.z <= low) & (gradient < 0)
                free = ~(stuck | (here.z >= high) & (gradient > 0))
                step = np.zeros_like(here.z)
                step[free] = np.linalg.solve(damped[np.ix_(free, free)], gradient[free])
                trial = self.state(np.clip(here.z + step, low, high), blur, outlier)
                falls = trial.cost < here.cost
                damping *= 0.1 if falls else 10
            fall = here.cost - trial.cost if falls else 0.0
            here = trial if falls else here
            if fall < (SETTLED_BLURRED if blur else SETTLED_SHARP) * here.cost:
                break
        return here

    def _normal_equations(self, state: State, outlier: float) -> tuple[Array, Array]:
        """Return curvature and descent of the cost in the parameters, in spreads.

        Differences of the model with the weights as they are; what the weights
        would take up of a change follows by least squares, without a fit (L. Kaufman,
        BIT 15 (1975) 49).
        """
        w, sigma = state.weights, np.sqrt(state.y)
        steps = STEP * np.eye(state.z.size)
        J = np.stack([self._slope_of(state, step) for step in steps], axis=1)
        J /= sigma[:, None]
        A = state.G[:, w > 0] / sigma[:, None]
        J = J - A @ np.linalg.lstsq(A, J, rcond=None)[0]
        robust = _slope(state.residuals, outlier)
        curvature = (J * robust[:, None]).T @ J + np.eye(state.z.size)
        return curvature, J.T @ (robust * (self.x - state.y) / sigma) - state.z

    def _slope_of(self, state: State, step: Array) -> Array:
        """Return the slope of the model along a step of length ``STEP``.

        A family of lines may come into the range of the axis, or leave it, with a step
        in one direction, and the model then has another number of columns.
        """
        here = state.G @ state.weights
        for sign in (1, -1):
            G = self.matrix(state.z + sign * step, state.blur)
            if G.shape[1] == state.weights.size:
                return sign * (G @ state.weights - here) / STEP
        return np.zeros_like(here)


def _reaching(detector: Detector) -> Detector:
    """Continue a measured efficiency curve, which may end where the axis does."""
    if detector.curve is None:
        return detector
    energy, efficiency = map(np.array, detector.curve)
    wider = np.unique([0.0, *energy, MARGIN * energy[-1]])
    curve = wider.tolist(), np.interp(wider, energy, efficiency).tolist()
    return detector.replace(curve=curve)


# Relative error of the emission of a family: the larger spreads between tables of
# `physics.xray.uncertainty`, with ionisation.
FAMILIES = {"K": 0.04, "L": 0.11, "M": 0.16}
# Part of what edges in a background say that counts: no smooth shape is exact, which
# does not average out with the counts.
EDGES = 0.25
# Mass thicknesses that are tried, over the usual one: three standard deviations.
TRIED = USUAL_FACTOR ** np.linspace(-3, 3, 25)
# Share of what is known that the two bounds of a range leave out.
OUTSIDE = 0.05
# Standard deviations from the middle to an end of a range.
NORMAL = 1.96
# Standard deviation of the logarithm of the sine of an angle that is not known.
ANGLE_SPREAD = float(np.ptp(np.log(np.sin(np.radians(USUAL_ANGLES)))) / np.sqrt(12))


def untied(model: SpectrumModel) -> SpectrumModel:
    """Free lines and background, whose errors would look like other things."""
    free = dict.fromkeys(model.elements, "families")
    return with_splines(model).replace(split_lines=free)


def with_splines(model: SpectrumModel) -> SpectrumModel:
    """Return the model with the freest background, if it has one."""
    return model.replace(background=model.background and "splines", background_bends=())


class MassThickness(NamedTuple):
    """Mass thickness of a sample, kg/m2.

    Attributes
    ----------
    value
        Median of what prior and spectrum allow.
    low, high
        Range that holds 95 % of it.
    spread
        Relative standard deviation.
    """

    value: float
    low: float
    high: float
    spread: float

    @property
    def error(self) -> float:
        """Standard error of which two reach from the value to the upper end."""
        return (self.high - self.value) / 2

    @property
    def arguments(self) -> dict[str, float]:
        """Arguments of a model that absorbs by it: only the product counts."""
        error = min(1.0, self.spread)
        return {"thickness": 1e6 * self.value, "density": 1.0, "thickness_error": error}

    def __str__(self) -> str:
        return (
            f"Mass thickness {self.value:.2g} kg/m2, {self.low:.2g} to {self.high:.2g} "
            "with 95 % probability, from lines and edges"
        )


def fitted_mass_thickness(model: SpectrumModel, spectrum: np.ndarray) -> MassThickness:
    """Return the mass thickness that lines and edges imply, with a prior.

    The prior is a film of 77 nm within a factor of 2. The shape of the background says
    nothing: it is free. The amounts of the families of lines of an element, which are
    free as well, have to agree within the error of their ratio in atomic data.

    Parameters
    ----------
    model
        Physics; its density counts, and its thickness does not.
    spectrum
        Summed counts, shape (n_channels,).
    """
    usual = usual_mass_thickness(model, spectrum)
    unknown = ANGLE_SPREAD * (ANGLE in model.unknown)
    return likely_mass_thickness(
        usual, said_of_mass_thickness(model, spectrum, usual), unknown
    )


def usual_mass_thickness(model: SpectrumModel, spectrum: np.ndarray) -> float:
    """Return that of a usual film of the composition that a spectrum shows, kg/m2."""
    used = model.channels
    free = _free(model)
    density = _density(free, np.asarray(spectrum, float)[used])
    return mass_thickness(USUAL_THICKNESS, density)


def _free(model: SpectrumModel) -> SpectrumModel:
    """Return the model with free families, and an angle even if that is not known."""
    angle = model.take_off_angle
    if ANGLE in model.unknown:
        # which moves the thickness with its sine
        angle = float(np.mean(USUAL_ANGLES))
    return untied(model).replace(take_off_angle=angle)


def said_of_mass_thickness(
    model: SpectrumModel, spectrum: np.ndarray, usual: float
) -> np.ndarray:
    """Return what lines and edges say of ``usual * TRIED``: logs of the likelihood."""
    free = _free(model)
    used = free.channels
    x = np.asarray(spectrum, float)[used]
    tied = _tied_families(model, free)
    trials = [_trial(free, x, one, tied) for one in (usual * TRIED).tolist()]
    deviance, disagreement = np.transpose(trials)
    misfit = max(1.0, deviance.min() / max(1.0, x.size - len(free.columns)))
    return -0.5 * (EDGES * deviance / misfit + disagreement)


def likely_mass_thickness(
    usual: float, logarithm: np.ndarray, unknown: float = 0.0
) -> MassThickness:
    """Return the mass thickness by what spectra say of those that were tried.

    Parameters
    ----------
    usual
        kg/m2, of a film of 77 nm: the prior is that within a factor of 2.
    logarithm
        Of the likelihood of ``usual * TRIED``, with any constant.
    unknown
        Relative standard deviation by what else is not known.
    """
    prior = (np.log(TRIED) / np.log(USUAL_FACTOR)) ** 2
    position = np.linspace(np.log(TRIED[0]), np.log(TRIED[-1]), 4000)
    weight = CubicSpline(np.log(TRIED), logarithm - 0.5 * prior)(position)
    weight = np.exp(weight - weight.max())
    below = np.cumsum(weight) / weight.sum()
    low, middle, high = np.interp([OUTSIDE / 2, 0.5, 1 - OUTSIDE / 2], below, position)
    wide = np.array([middle - low, high - middle])
    wide = np.hypot(wide, NORMAL * unknown)
    ends = usual * np.exp([middle, middle - wide[0], middle + wide[1]])
    value, low, high = ends.tolist()
    return MassThickness(value, low, high, float(wide.mean() / NORMAL))


def _density(model: SpectrumModel, x: Array) -> float:
    """Return the density of a model, or the usual one of what a spectrum shows."""
    weights, _ = fit_spectrum(model.G[model.channels], x)
    amounts = weights[model.element_columns]
    return usual_density(model, amounts if amounts.any() else amounts + 1)


def _tied_families(model: SpectrumModel, free: SpectrumModel) -> list[tuple[int, int]]:
    """Return columns of families that one column of another model has together."""
    own = {c.element: i for i, c in enumerate(free.columns) if c.kind == "element"}
    untied = {(c.element, c.family) for c in model.columns if c.kind == "line"}
    return [
        (own[c.element], i)
        for i, c in enumerate(free.columns)
        if c.kind == "line" and (c.element, c.family) not in untied
    ]


def _trial(
    model: SpectrumModel, x: Array, mass: float, tied: list[tuple[int, int]]
) -> tuple[float, float]:
    """Return how far a mass thickness misses a spectrum, and the ratios of families."""
    used = model.channels
    absorbing = model.replace(thickness=1e6 * mass, density=1.0, unknown=())
    G = self_consistent_model(absorbing, x, used).G[used]
    w, y = fit_spectrum(G, x)
    deviance = float((deviance_residuals(x, y) ** 2).sum())
    seen = [pair for pair in tied if w[pair[0]] > 0 and w[pair[1]] > 0]
    if not seen:
        return deviance, 0.0
    columns = w > 0
    covariance = np.zeros((w.size, w.size))
    information = (G[:, columns] / y[:, None]).T @ G[:, columns]
    covariance[np.ix_(columns, columns)] = np.linalg.pinv(information)
    one, other = np.transpose(seen)
    families = [column.family for column in model.columns]
    known = np.array([FAMILIES.get((name or "")[:1], 0.0) ** 2 for name in families])
    counted = np.diag(covariance)[one] / w[one] ** 2
    counted += np.diag(covariance)[other] / w[other] ** 2
    squares = np.log(w[one] / w[other]) ** 2 / (known[one] + known[other] + counted)
    return deviance, float(squares.sum())


# A mass thickness has settled when it moves by less than this share of its error.
SETTLED = 0.1


def absorbing_mass_thickness(
    model: SpectrumModel, spectrum: np.ndarray
) -> tuple[float, float]:
    """Return the mass thickness that strongly and weakly absorbed lines imply.

    The absorbing composition is that of the spectrum, which in turn depends on the
    absorption, so both are found in turn.

    Parameters
    ----------
    model
        Physics; its own thickness is only a start.
    spectrum
        Summed counts, shape (n_channels,).

    Returns
    -------
    mass_thickness, error
        kg/m2; the error is that of the counts.
    """
    last = np.inf
    for _ in range(MAX_ROUNDS):
        fitted = calibrate(model, spectrum, ["mass_thickness"])
        used = model.channels
        settled = self_consistent_model(fitted.after, spectrum[used], used)
        model = cast(SpectrumModel, settled)
        value, error = fitted.after.mass_thickness, fitted.errors["mass_thickness"]
        if abs(value - last) < SETTLED * error:
            break
        last = value
    return value, error
