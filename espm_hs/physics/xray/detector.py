"""Energy-dispersive detectors: efficiency, peak width, peak position."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from espm_hs.arguments import did_you_mean, plain_float
from espm_hs.physics.xray.absorption import (
    attenuation,
    material_data,
    parse_grid,
    parse_layers,
)

#: Energy of the line for which the resolution is given (mean of Mn Ka1, Ka2), keV.
MN_KA_ENERGY = 5.895
#: Mean energy for an electron-hole pair in silicon, eV.
PAIR_ENERGY = 3.65
#: Full width at half maximum over standard deviation of a Gaussian.
FWHM_PER_SIGMA = 2 * np.sqrt(2 * np.log(2))
#: Decay of the shift by incomplete charge collection, keV.
SHIFT_DECAY = 0.6
# Numbers next to the ends of half-open ranges.
_ABOVE_0, _BELOW_1 = np.nextafter(0, 1), np.nextafter(1, 0)
Curve = tuple[tuple[float, ...], tuple[float, ...]]


@dataclass(frozen=True)
class Detector:
    """A silicon drift detector, or one with a measured efficiency curve.

    The default is a windowless detector: 0.58 mm of silicon behind a contact of
    38 nm Al and 7 nm of polymer.

    Parameters
    ----------
    resolution
        FWHM at Mn Ka (5.9 keV), eV.
    fano_factor
        Fano factor of silicon: FWHM^2 = noise^2 + (2.3548)^2 F (3.65 eV) E.
    low_energy_shift
        The a, in eV, of E' = E - a exp(-E / 0.6 keV): low-energy photons are absorbed
        near the surface, where some of the charge is lost.
    layers
        Layers in front of the crystal, each a material and a thickness in um, or a text
        like "Al 0.038 um, SiO2 0.1 um". A material is the symbol of an element or one
        of "polyimide", "parylene", "Si3N4", "SiO2", "Al2O3", "ice".
    crystal_thickness
        Thickness of the silicon, mm.
    grid
        Support of a window: material, thickness in um, share of open area.
    transmission
        Constant factor of the efficiency, above 0 up to 1.
    curve
        Measured efficiency, energies in keV; replaces layers, crystal and grid.
    tail
        Share of the counts of a peak, from 0 (none) to below 1, in a tail towards low
        energies, by incomplete charge collection. It falls exponentially.
    tail_length
        Mean energy missing in the tail, eV.
    escape_peak
        Whether lines above the Si K edge have an escape peak 1.74 keV below.
    carbon, ice
        Contamination that has grown on the detector, um.

    Raises
    ------
    ValueError
        If the resolution is below the limit by charge statistics, or a value is
        out of range, or a material is unknown.
    TypeError
        If a number is something else.
    """

    resolution: float = 130.0
    fano_factor: float = 0.12
    low_energy_shift: float = 0.0
    layers: tuple[tuple[str, float], ...] = (("Al", 0.038), ("polyimide", 0.007))
    crystal_thickness: float = 0.58
    grid: tuple[str, float, float] | None = None
    transmission: float = 1.0
    curve: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    tail: float = 0.0
    tail_length: float = 100.0
    escape_peak: bool = False
    carbon: float = 0.0
    ice: float = 0.0

    def __post_init__(self) -> None:
        plain: dict[str, Any] = {
            name: plain_float(name, getattr(self, name)) for name in _NUMBERS
        }
        # tuples, so that equal detectors compare equal and can be cached
        plain["layers"] = parse_layers(self.layers)
        plain["escape_peak"] = bool(self.escape_peak)
        if self.grid is not None:
            plain["grid"] = parse_grid(self.grid)
        if self.curve is not None:
            plain["curve"] = _checked_curve(self.curve)
        for name, value in plain.items():
            object.__setattr__(self, name, value)
        self._check()

    def _check(self) -> None:
        least = float(np.sqrt(np.maximum(self._statistics(MN_KA_ENERGY), 0)))
        ranges: dict[str, tuple[float, float, str]] = {
            "fano_factor": (0, _BELOW_1, "The Fano factor must be in [0, 1)"),
            "resolution": (
                least,
                np.nextafter(1000, 0),
                f"The resolution must be at least {least:.1f} eV at Mn Ka (charge "
                f"statistics alone, Fano factor {self.fano_factor:g}) and below 1000 "
                "eV",
            ),
            "low_energy_shift": (0, 500, "The low-energy shift must be 0 to 500 eV"),
            "tail": (0, _BELOW_1, "The share of counts in the tail must be in [0, 1)"),
            "tail_length": (1, 2000, "The tail length must be 1 to 2000 eV"),
            "crystal_thickness": (
                1e-3,
                1e6,
                "The thickness of the crystal must be non-negative, at least 0.001 mm",
            ),
            "transmission": (_ABOVE_0, 1, "The transmission must be in (0, 1]"),
        }
        for name, (low, high, need) in ranges.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{need}, found {getattr(self, name):g}.")
        values = [thickness for _, thickness in self._matter]
        if not all(0 <= value <= 1e4 for value in values):
            raise ValueError(
                f"Thicknesses must be non-negative, at most 10000 um, found {values}."
            )
        if self.grid is not None and not 0 <= self.grid[2] <= 1:
            raise ValueError(
                f"The open fraction of a grid must be in [0, 1], found {self.grid[2]}."
            )
        for material, _ in self._matter:
            material_data(material)  # raises

    @property
    def _grown(self) -> tuple[tuple[str, float], ...]:
        """Contamination, um."""
        return (("C", self.carbon), ("ice", self.ice))

    @property
    def _matter(self) -> tuple[tuple[str, float], ...]:
        """Materials with their thickness in um."""
        grid = (self.grid[:2],) if self.grid else ()
        return self.layers + self._grown + grid

    @classmethod
    def preset(cls, name: str, **changes: Any) -> Detector:
        """Return a typical detector.

        Parameters
        ----------
        name
            "windowless", "polymer_window" (ultra-thin polymer on a silicon grid),
            "ideal" (efficiency 1) or "superx" (a segment of a Super-X detector).
        **changes
            Parameters of the class that differ from the preset.

        Raises
        ------
        ValueError
            If the name is unknown; lists those there are.
        """
        if name not in _PRESETS:
            hint = did_you_mean(name, _PRESETS)
            raise ValueError(
                f"No detector preset {name!r}: expected one of {', '.join(_PRESETS)}."
                f"{hint}"
            )
        return cls(**{**_PRESETS[name], **changes})

    @classmethod
    def from_curve(
        cls, energy: ArrayLike, efficiency: ArrayLike, **changes: Any
    ) -> Detector:
        """Return a detector with a known efficiency curve.

        Parameters
        ----------
        energy
            Increasing, keV, shape (n,).
        efficiency
            Between 0 and 1, shape (n,); interpolated linearly.
        **changes
            Other parameters of the class (resolution, ...).

        Raises
        ------
        ValueError
            If the curve is not usable.
        """
        curve = (tuple(np.ravel(energy)), tuple(np.ravel(efficiency)))
        return cls(curve=curve, layers=(), **changes)

    @classmethod
    def from_file(cls, path: str | PathLike, **changes: Any) -> Detector:
        """Return a detector with the efficiency curve of a text file.

        Parameters
        ----------
        path
            Two columns, energy in keV and efficiency between 0 and 1, separated by
            white space or commas; lines that begin with # are skipped.
        **changes
            Other parameters of the class (resolution, ...).

        Raises
        ------
        OSError
            If the file cannot be read.
        ValueError
            If it does not hold two columns of numbers that make a curve.
        """
        lines = Path(path).read_text(encoding="utf-8").replace(",", " ").splitlines()
        try:
            table = np.loadtxt(lines, ndmin=2)
        except ValueError as error:
            raise ValueError(f"{path} is not a table of numbers: {error}.") from None
        if table.ndim != 2 or table.shape[1] != 2:
            raise ValueError(
                f"{path} must hold two columns, energy (keV) and efficiency; found "
                f"{table.shape[1]}."
            )
        return cls.from_curve(*table.T, **changes)

    @classmethod
    def of(cls, detector: Detector | str | None) -> Detector:
        """Return the detector that was meant.

        Parameters
        ----------
        detector
            A detector, the name of a preset, or None for the default.

        Raises
        ------
        ValueError
            If it is none of these.
        """
        if isinstance(detector, cls):
            return detector
        if detector is None:
            return cls()
        if isinstance(detector, str):
            return cls.preset(detector)
        raise ValueError(
            "The detector must be a Detector or the name of a preset, found "
            f"{detector!r}."
        )

    def replace(self, **changes: Any) -> Detector:
        """Copy with changed parameters.

        Parameters
        ----------
        **changes
            Parameters of the class.
        """
        return replace(self, **changes)

    def with_noise(self, noise: float, **changes: Any) -> Detector:
        """Copy with another width of the peaks at energy 0.

        Parameters
        ----------
        noise
            FWHM in eV; with the statistics of charge it makes the resolution.
        **changes
            Other parameters of the class.
        """
        fano_factor = changes.get("fano_factor", self.fano_factor)
        # room for the statistics of any Fano factor
        other = self.replace(resolution=500.0, fano_factor=fano_factor)
        statistical = np.sqrt(500.0**2 - other.fwhm(0.0) ** 2)
        return other.replace(resolution=float(np.hypot(noise, statistical)), **changes)

    def efficiency(self, energy: ArrayLike) -> np.ndarray:
        """Probability that a photon that reaches the detector is counted.

        Parameters
        ----------
        energy
            keV, positive.

        Returns
        -------
        numpy.ndarray
            In [0, 1], shape of `energy`.

        Raises
        ------
        ValueError
            If an energy is outside the curve of the detector, or not positive.
        """
        energies = np.asarray(energy, dtype=float)
        passed = np.full(energies.shape, self.transmission)
        layers = () if self.curve is not None else self.layers
        for material, thickness in layers + self._grown:
            if thickness:
                passed *= np.exp(-attenuation(material, energies, thickness))
        if self.curve is not None:
            return passed * _interpolated(energies, self.curve)
        if self.grid is not None:
            material, thickness, open_fraction = self.grid
            closed = np.exp(-attenuation(material, energies, thickness))
            passed *= open_fraction + (1 - open_fraction) * closed
        stopped = -np.expm1(-attenuation("Si", energies, 1e3 * self.crystal_thickness))
        return passed * stopped

    def fwhm(self, energy: ArrayLike) -> np.ndarray:
        """Width of a peak.

        Parameters
        ----------
        energy
            keV.

        Returns
        -------
        numpy.ndarray
            Full width at half maximum in eV, shape of `energy`.
        """
        noise = self.resolution**2 - self._statistics(MN_KA_ENERGY)
        return np.sqrt(noise + self._statistics(np.maximum(energy, 0)))

    def _statistics(self, energy: ArrayLike) -> np.ndarray:
        """Square of the width by charge statistics, eV^2; the energy is in keV."""
        scale = FWHM_PER_SIGMA**2 * self.fano_factor * PAIR_ENERGY * 1e3
        return scale * np.asarray(energy, dtype=float)

    def peak_energy(self, energy: ArrayLike) -> np.ndarray:
        """Energy at which the detector shows a line.

        Parameters
        ----------
        energy
            Energy of the line, keV.

        Returns
        -------
        numpy.ndarray
            keV, shape of `energy`.
        """
        energies = np.asarray(energy, dtype=float)
        shift = 1e-3 * self.low_energy_shift
        return energies - shift * np.exp(-energies / SHIFT_DECAY)

    def to_dict(self) -> dict[str, Any]:
        """Plain description, for metadata.

        Returns
        -------
        dict
            Numbers, strings, bools and lists of numbers only; nothing is None or empty
            except a string, so that every file format keeps it.
        """
        plain: dict[str, Any] = {
            **{number: getattr(self, number) for number in _NUMBERS},
            "escape_peak": self.escape_peak,
            "layers": ", ".join(f"{material} {t!r} um" for material, t in self.layers),
        }
        if self.grid is not None:
            plain["grid"] = f"{self.grid[0]} {self.grid[1]!r} um {self.grid[2]!r}"
        if self.curve is not None:
            plain["curve_energy"], plain["curve_efficiency"] = map(list, self.curve)
        return plain

    @classmethod
    def from_dict(cls, description: Mapping[str, Any]) -> Detector:
        """Return the detector that `to_dict` describes.

        Parameters
        ----------
        description
            Keys that are missing keep their default; "preset" may name one.

        Raises
        ------
        ValueError
            If a key or a value is not understood.
        """
        plain = dict(description)
        known = {f.name for f in fields(cls)} | {"preset"}
        known |= {"curve_energy", "curve_efficiency"}
        if unknown := set(plain) - known:
            raise ValueError(
                f"Unknown detector parameters {sorted(unknown)}: "
                f"expected some of {sorted(known)}."
            )
        axes = [plain.pop(name, ()) for name in ("curve_energy", "curve_efficiency")]
        if any(np.size(axis) for axis in axes):
            plain["curve"] = axes
        return cls.preset(plain.pop("preset", "windowless"), **plain)


# parameters that are plain numbers
_NUMBERS = tuple(f.name for f in fields(Detector) if f.type == "float")

#: Film of a polymer window, um.
FILM = (("polyimide", 0.293), ("parylene", 0.0855), ("Al", 0.0292))

_PRESETS: dict[str, dict[str, Any]] = {
    "windowless": {},
    "polymer_window": {
        # layers with the measured transmission of an AP3.3 window, B 0.33, C 0.49, N
        # 0.28, O 0.45, F 0.52, within 0.01 but for C, 0.05; the grid is 77 % open
        "layers": FILM,
        "grid": ("Si", 380.0, 0.77),
        "crystal_thickness": 0.45,
    },
    # a kilometre of silicon stops everything
    "ideal": {"layers": (), "crystal_thickness": 1e6},
    # the measured efficiency of a segment from 0.1 to 40 keV within 0.01
    "superx": {
        "layers": (("Al", 0.039), ("polyimide", 0.011)),
        "crystal_thickness": 0.503,
        "transmission": 0.98,
    },
}


def _checked_curve(curve: Any) -> Curve:
    """Check the points of a curve.

    Parameters
    ----------
    curve
        keV, increasing from 0 or above; between 0 and 1.

    Returns
    -------
    tuple of tuple of float
        Equal ones compare equal and can be cached.

    Raises
    ------
    ValueError
        If they make no curve.
    """
    try:
        energies, efficiencies = (tuple(map(float, axis)) for axis in curve)
    except (TypeError, ValueError):
        raise ValueError(
            "An efficiency curve consists of two lists of numbers, energies (keV) and "
            f"efficiencies; found {curve!r}."
        ) from None
    if len(energies) != len(efficiencies) or len(energies) < 2:
        raise ValueError(
            "An efficiency curve needs as many energies as efficiencies, 2 or more, "
            f"found {len(energies)} and {len(efficiencies)}."
        )
    if not (energies[0] >= 0 and np.all(np.diff(energies) > 0)):
        raise ValueError("The energies of an efficiency curve must increase from >= 0.")
    if not all(0 <= value <= 1 for value in efficiencies):
        raise ValueError(
            "Efficiencies must be between 0 and 1, found "
            f"{min(efficiencies):g} to {max(efficiencies):g}."
        )
    return energies, efficiencies


def _interpolated(energies: np.ndarray, curve: Curve) -> np.ndarray:
    """Efficiency between the points of a curve.

    Parameters
    ----------
    energies
        keV.
    curve
        As `_checked_curve` returns.

    Returns
    -------
    numpy.ndarray
        Shape of `energies`.

    Raises
    ------
    ValueError
        If an energy is outside.
    """
    first, last = curve[0][0], curve[0][-1]
    if np.any((energies < first) | (energies > last)):
        raise ValueError(
            f"The efficiency curve covers {first:g} to {last:g} keV, but is needed "
            f"from {np.min(energies):g} to {np.max(energies):g} keV."
        )
    return np.interp(energies, *curve)
