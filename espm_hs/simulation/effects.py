"""What a real measurement has and the model that is fitted to it does not know."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from espm_hs.arguments import check_number
from espm_hs.physics import SpectrumModel


@dataclass(frozen=True)
class Effects:
    """Departures of a measurement from its model; by default none.

    Parameters
    ----------
    local_absorption
        Each pixel absorbs by the mixture and the mass thickness that it really has,
        instead of each phase by its own composition and the thickness of the model.
    low_energy_shift
        eV. Incomplete charge collection; see `physics.Detector`.
    tail
        Share of each peak in its tail, 0 to 1; see `physics.Detector`.
    gain_drift
        Relative change of the gain from the first row of the map to the last, none in
        the middle: 0.001 moves a peak at 10 keV by 10 eV.
    tilt
        Degrees by which the true take-off angle is larger than that of the model.
    shadowing
        Share of the detector that something hides, 0 to 1: none of it at the first
        column of the map, this much at the last.
    dead_time
        Share of the real time in which the detector cannot count, 0 to below 1, at
        the mean count rate: bright pixels lose more than dark ones. For a detector
        that is not paralysed by what it misses, G. F. Knoll, Radiation Detection and
        Measurement, chapter 4.
    hole_counts
        Element of grid or holder -> its lines as a share of the counts of the map,
        the same in all pixels, also where there is no sample.
    background_exponent
        p of a factor E**-p on the bremsstrahlung, whose shape the model does not
        have.

    Raises
    ------
    ValueError
        If a number is out of range.
    """

    local_absorption: bool = False
    low_energy_shift: float = 0.0
    tail: float = 0.0
    gain_drift: float = 0.0
    tilt: float = 0.0
    shadowing: float = 0.0
    dead_time: float = 0.0
    hole_counts: Mapping[str, float] = field(default_factory=dict)
    background_exponent: float = 0.0

    def __post_init__(self) -> None:
        limits = {
            "low_energy_shift": (0, 200),
            "tail": (0, 1),
            "gain_drift": (-0.1, 0.1),
            "tilt": (-90, 90),
            "shadowing": (0, 1),
            "dead_time": (0, 0.99),
            "background_exponent": (-3, 3),
        }
        for name, (low, high) in limits.items():
            check_number(name, getattr(self, name), low, high)
        total = sum(self.hole_counts.values())
        if any(x < 0 for x in self.hole_counts.values()) or total >= 1:
            raise ValueError(
                "hole_counts are shares of the counts, 0 or more, which leave some "
                f"for the sample; found {dict(self.hole_counts)}."
            )

    def true_model(self, model: SpectrumModel) -> SpectrumModel:
        """Physics of the measurement behind the model that its user has.

        Parameters
        ----------
        model
            What the user takes for the physics.

        Returns
        -------
        SpectrumModel

        Raises
        ------
        ValueError
            If the tilt leaves no take-off angle between 0 and 90 degrees.
        """
        changes = {}
        if self.low_energy_shift or self.tail:
            detector = model.detector
            changes["detector"] = detector.replace(
                low_energy_shift=detector.low_energy_shift + self.low_energy_shift,
                tail=max(detector.tail, self.tail),
            )
        if self.tilt and model.take_off_angle is not None:
            angle = np.asarray(model.take_off_angle) + self.tilt
            changes["take_off_angle"] = angle.tolist()
        return model.replace(**changes) if changes else model

    def hole_spectrum(self, true_model: SpectrumModel) -> np.ndarray:
        """Lines that are there without a sample.

        Parameters
        ----------
        true_model
            Physics of the measurement.

        Returns
        -------
        array, shape (n_channels,)
            Of sum 1; zeros if there are none.
        """
        total = np.zeros(true_model.energy.size)
        for element, share in self.hole_counts.items():
            alone = SpectrumModel(
                true_model.energy,
                true_model.beam_energy,
                [element],
                detector=true_model.detector,
                minimum_energy=true_model.minimum_energy,
                split_lines={element: "none"},
                background=False,
            )
            lines = alone.G.sum(axis=1)
            total += share / sum(self.hole_counts.values()) * lines / lines.sum()
        return total

    def exposure(self, shape: tuple[int, ...]) -> np.ndarray:
        """Share of the detector that each pixel sees.

        Parameters
        ----------
        shape
            Of the map.

        Returns
        -------
        array of that shape
        """
        if not shape:
            return np.ones(shape)
        return np.broadcast_to(1 - self.shadowing * _ramp(shape[-1]), shape)

    def gains(self, shape: tuple[int, ...]) -> np.ndarray:
        """Gain of each pixel over that of the model.

        Parameters
        ----------
        shape
            Of the map.

        Returns
        -------
        array of that shape
        """
        if not shape:
            return np.ones(shape)
        rows = 1 + self.gain_drift * (_ramp(shape[0]) - 0.5)
        return np.broadcast_to(rows.reshape(-1, *[1] * (len(shape) - 1)), shape)

    def live(self, rate: np.ndarray) -> np.ndarray:
        """Share of the real time in which the detector counts.

        Parameters
        ----------
        rate
            True count rates, arbitrary unit.

        Returns
        -------
        array of that shape
            1 - dead_time where the rate is the mean.
        """
        mean = rate.mean()
        if mean == 0:
            return np.ones_like(rate)
        return 1 / (1 + rate / mean * self.dead_time / (1 - self.dead_time))


def _ramp(n: int) -> np.ndarray:
    """From 0 to 1 in n steps; 1/2 if there is one only."""
    return np.linspace(0, 1, n) if n > 1 else np.array([0.5])
