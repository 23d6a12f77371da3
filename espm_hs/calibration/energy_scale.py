"""Energy scale and peak width, fitted to a summed spectrum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares
from threadpoolctl import threadpool_limits

from espm_hs.factorization import deviance_residuals, fit_spectrum
from espm_hs.physics import Detector, SpectrumModel


@dataclass(frozen=True)
class Parameter:
    """What a calibration may change.

    ``spread`` is the standard deviation of the prior around the starting value; it
    decides what the spectrum leaves open: a few hundred counts do not tell a width.
    """

    unit: str
    lowest: float
    highest: float
    spread: float


#: Changes of the energy axis (offset, and gain relative to what it is), the part of the
#: peak width that is not statistics, and arguments of `Detector` and `SpectrumModel`.
PARAMETERS = {
    "offset": Parameter("eV", -150.0, 150.0, 30.0),
    "gain": Parameter("%", -4.0, 4.0, 0.7),
    "noise": Parameter("eV", 1.0, 160.0, 20.0),
    "fano_factor": Parameter("", 0.08, 0.18, 0.01),
    "low_energy_shift": Parameter("eV", 0.0, 100.0, 20.0),
    "mass_thickness": Parameter("kg/m2", 1e-8, 0.05, 1e-3),
}
DEFAULT = ("offset", "gain", "noise", "fano_factor", "low_energy_shift")

# The first fits see peaks of at least this width (eV at Mn Ka), which overlap with
# the measured ones however wrong the start is; the last one those of the detector.
BLURS = (400.0, 220.0, 0.0)
# Starts of the first fit: offsets in eV, changes of the gain in percent.
OFFSETS = (-40.0, 0.0, 40.0)
GAINS = (-0.8, 0.0, 0.8)
# Energy (keV) down to which the trial models reach: the channels in use are those of
# the start, which a trial offset may shift below its minimum energy.
REACH = 0.03
# Where the end of the noise peak is looked for, keV.
NOISE_RANGE = (0.1, 0.3)
# Residual (standard deviations) from which a channel counts for less than its square.
OUTLIER = 5.0
# Distance of a start from the bounds, in spreads.
ROOM = 0.2
# Step of numerical derivatives, in spreads.
STEP = 0.01


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
        Standard errors of the fitted `PARAMETERS`, in their units.
    """

    before: SpectrumModel
    after: SpectrumModel
    deviance: tuple[float, float]
    errors: dict[str, float]

    def rows(self) -> list[tuple[str, float, float]]:
        """Name with unit, value before and value after."""
        models = (self.before, self.after)
        read = {
            "fitted from (keV)": lambda m: m.minimum_energy,
            "offset (eV)": lambda m: 1e3 * m.energy[0],
            "channel width (eV)": lambda m: 1e3 * (m.energy[1] - m.energy[0]),
            "resolution at Mn Ka (eV)": lambda m: m.detector.resolution,
            "Fano factor": lambda m: m.detector.fano_factor,
            "low-energy shift (eV)": lambda m: m.detector.low_energy_shift,
            "mass thickness (kg/m2)": lambda m: m.mass_thickness,
        }
        rows = [(name, *(float(get(m)) for m in models)) for name, get in read.items()]
        return [*rows, ("deviance per degree of freedom", *self.deviance)]

    def __str__(self) -> str:
        lines = [f"{'':32}{'before':>12}{'after':>12}"]
        lines += [f"{name:32}{a:>12.5g}{b:>12.5g}" for name, a, b in self.rows()]
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
        Names among `PARAMETERS` to fit; the others stay.
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
    check_names(parameters)
    counts = np.asarray(spectrum, dtype=float)
    before, model = model, model.replace(minimum_energy=end_of_noise(model, counts))
    used = model.channels if channels is None else model.channels & channels
    if not counts[used].any():
        raise ValueError("The spectrum has no counts in the channels in use.")
    search = _Search(model, counts, used, tuple(parameters))
    # many small matrix products, which BLAS threads would slow down
    with threadpool_limits(1, user_api="blas"):
        theta, jacobian = search.run()
    after = search.model_at(theta).replace(minimum_energy=model.minimum_energy)
    covariance = np.linalg.pinv(jacobian.T @ jacobian)
    errors = dict(zip(parameters, np.sqrt(np.diag(covariance)).tolist(), strict=True))
    deviance = (search.deviance(search.start), search.deviance(theta))
    return Calibration(before, after, deviance, errors)


def check_names(parameters) -> None:
    """Raise ValueError unless these are names among `PARAMETERS`."""
    is_list = isinstance(parameters, list | tuple | set) and len(parameters) > 0
    if not is_list or any(
        not isinstance(name, str) or name not in PARAMETERS for name in parameters
    ):
        raise ValueError(
            f"`parameters` is {parameters!r}; choose a list of some of "
            f"{list(PARAMETERS)}."
        )


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
    smooth = np.convolve(counts, np.ones(width) / width, mode="same")
    low, high = NOISE_RANGE
    near = np.flatnonzero((model.energy >= low) & (model.energy <= high))
    first = np.searchsorted(model.energy, model.minimum_energy)
    if near.size < 3 or first >= counts.size:
        return model.minimum_energy
    valley = near[np.argmin(smooth[near])]
    falls = smooth[first] > 3 * smooth[valley] + 3 * np.sqrt(smooth[valley] / width)
    if valley <= first or not falls:
        return model.minimum_energy
    return float(model.energy[valley])


class _Search:
    """Deviance of a spectrum as a function of the calibration."""

    def __init__(self, model, counts, used, names):
        self.model, self.counts, self.used, self.names = model, counts, used, names
        detector = model.detector
        present = {
            "offset": 0.0,
            "gain": 0.0,
            "noise": float(detector.fwhm(0.0)),
            "fano_factor": detector.fano_factor,
            "low_energy_shift": detector.low_energy_shift,
            "mass_thickness": model.mass_thickness or 1e-4,
        }
        self.present = present
        self.weights = None
        self.start = np.array([present[name] for name in names])
        self.spread = np.array([PARAMETERS[name].spread for name in names])

    def model_at(self, theta, blur=0.0) -> SpectrumModel:
        """Model with the parameters; peaks not narrower than ``blur`` (eV)."""
        value = self.present | dict(zip(self.names, np.asarray(theta), strict=True))
        noise = np.hypot(value["noise"], blur)
        detector = self.model.detector.replace(
            resolution=float(np.hypot(noise, _statistical(value["fano_factor"]))),
            fano_factor=float(value["fano_factor"]),
            low_energy_shift=float(value["low_energy_shift"]),
        )
        first, second = self.model.energy[:2]
        step = (second - first) * (1 + 1e-2 * value["gain"])
        energy = first + 1e-3 * value["offset"] + step * np.arange(self.counts.size)
        lowest = min(REACH, self.model.minimum_energy)
        changes = {"energy": energy, "detector": detector, "minimum_energy": lowest}
        if "mass_thickness" in self.names:
            # any thickness will do: only its product with the density absorbs
            changes |= {"thickness": 1e6 * value["mass_thickness"], "density": 1.0}
        return self.model.replace(**changes)

    def residuals(self, model) -> np.ndarray:
        """Signed roots of the deviance in each channel, weights fitted."""
        x = self.counts[self.used]
        # neighbouring trials need nearly the same weights, unless a family of lines
        # has come into the range of the axis or left it
        n_columns = len(model.columns)
        start = self.weights if np.size(self.weights) == n_columns else None
        self.weights, y = fit_spectrum(model.G[self.used], x, start=start)
        return deviance_residuals(x, y)

    def deviance(self, theta) -> float:
        """Deviance per degree of freedom."""
        n_free = max(1, int(self.used.sum()) - len(self.model.columns))
        return float((self.residuals(self.model_at(theta)) ** 2).sum() / n_free)

    def coarse_start(self) -> np.ndarray:
        """Best of a grid of offsets and gains, with the broadest peaks."""
        grid = [
            (offset, gain)
            for offset in (OFFSETS if "offset" in self.names else (0.0,))
            for gain in (GAINS if "gain" in self.names else (0.0,))
        ]
        best, lowest = self.start, np.inf
        for offset, gain in grid:
            moved = {"offset": offset, "gain": gain}
            theta = np.array(
                [
                    moved.get(name, value)
                    for name, value in zip(self.names, self.start, strict=True)
                ]
            )
            cost = (self._cost(theta, BLURS[0]) ** 2).sum()
            if cost < lowest:
                best, lowest = theta, cost
        return best

    def run(self) -> tuple[np.ndarray, np.ndarray]:
        """Sharpen step by step; return the best parameters and the Jacobian there.

        Squares are the likelihood and find a far optimum; the robust loss is not
        dragged away by the lines of an element that the model lacks; a good start needs
        no blur. All ways are gone, and the end with the lowest robust loss is taken.
        """
        ends = [self.refine(self.start, BLURS[-1], "soft_l1")]
        coarse = self.coarse_start()
        for loss in ("linear", "soft_l1"):
            theta = coarse
            for blur in BLURS[:-1]:
                theta = self.refine(theta, blur, loss).x
            ends.append(self.refine(theta, BLURS[-1], "soft_l1"))
        best = min(ends, key=lambda end: end.cost)
        return best.x, best.jac

    def refine(self, theta, blur, loss):
        """Gauss-Newton from theta; ``x``, ``jac`` in the units of the parameters."""
        lowest = np.array([PARAMETERS[name].lowest for name in self.names])
        highest = np.array([PARAMETERS[name].highest for name in self.names])
        # a start on a bound would leave no room for the first step
        inside = np.clip(
            theta, lowest + ROOM * self.spread, highest - ROOM * self.spread
        )
        found = least_squares(
            lambda z: self._cost(self._scaled(z), blur),
            (inside - self.start) / self.spread,
            jac=lambda z: self._jacobian(z, blur),
            bounds=(
                (lowest - self.start) / self.spread,
                (highest - self.start) / self.spread,
            ),
            loss=loss,
            f_scale=OUTLIER,
            xtol=1e-5,
            ftol=1e-7,
        )
        found.x, found.jac = self._scaled(found.x), found.jac / self.spread
        return found

    def _scaled(self, z):
        return self.start + self.spread * z

    def _cost(self, theta, blur):
        prior = (theta - self.start) / self.spread
        return np.concatenate((self.residuals(self.model_at(theta, blur)), prior))

    def _jacobian(self, z, blur):
        """Forward differences; steps well above the tolerance of the inner fit."""
        here = self._cost(self._scaled(z), blur)
        columns = []
        for i in range(z.size):
            there = z.copy()
            there[i] += STEP
            columns.append((self._cost(self._scaled(there), blur) - here) / STEP)
        return np.stack(columns, axis=1)


def _statistical(fano_factor) -> float:
    """Width at Mn Ka (eV) that the statistics of electron-hole pairs make."""
    wide = Detector(resolution=500.0, fano_factor=float(fano_factor))
    return float(np.sqrt(wide.resolution**2 - wide.fwhm(0.0) ** 2))
