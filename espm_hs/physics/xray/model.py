"""The model of a spectrum: a matrix of non-negative columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from espm_hs.arguments import plain_float
from espm_hs.physics.linear_model import LinearModel, register_model
from espm_hs.physics.xray.absorption import escape_fraction, mass_thickness
from espm_hs.physics.xray.background import N_TERMS, bremsstrahlung
from espm_hs.physics.xray.checks import (
    checked_angles,
    checked_axis,
    checked_composition,
    checked_detector,
    checked_spectra,
    read_only,
)
from espm_hs.physics.xray.columns import (
    Column,
    FittedRange,
    LineColumn,
    Split,
    checked_elements,
    checked_split,
    line_columns,
    with_line_factors,
)
from espm_hs.physics.xray.detector import Detector
from espm_hs.physics.xray.elements import atomic_to_mass_fractions
from espm_hs.physics.xray.emission import EmissionLine, check_beam_energy
from espm_hs.physics.xray.line_names import checked_line_factors
from espm_hs.physics.xray.peaks import Channels
from espm_hs.physics.xray.sources import Lines, Sources, line_matrix, lines_in_reach

#: Sum of every background column over the fitted channels: the order of magnitude
#: of an element column, whose unit is the barn.
BACKGROUND_SUM = 100.0


@register_model("xray")
class SpectrumModel(LinearModel):
    """
    Linear model of the spectra that a sample of known elements can give.

    A spectrum is ``G @ w``. The entries of w in the element columns are in
    proportion to the numbers of atoms: normalised to sum 1 they are the atomic
    fractions. A model does not change; `replace` gives another one.

    Parameters
    ----------
    energy : array, shape (n_channels,)
        Centres of the channels in keV, increasing in equal steps; may start below 0.
    beam_energy : float
        10 to 400 keV.
    elements : iterable of str
        Elements of the sample, symbols (or atomic numbers).
    stray_elements : iterable of str
        Elements from outside the sample (grid, holder, lenses): one column for each
        family of lines, not absorbed by the sample, not part of the composition.
    split_lines : mapping, optional
        Which lines of an element count. By symbol: "families", a column for each
        family, of which K counts if it is in the fitted range, else L, else M; an
        energy in keV, lines from there up count, those below form one free column;
        "none", one column of all lines. Default: for K to Ga (Z = 19 to 31) with K
        lines in range "families", as their L lines are unreliable; "none" for the
        others. Entries for elements not in the sample are ignored.
    detector : Detector or str, optional
        Or the name of a preset; default "windowless".
    line_factors : mapping of str to float, optional
        By family ("Fe K", "Pt_L", or a line like "Fe_Ka" for its family): factor on
        its emission, above 0; 1 is atomic data. `line_factors_from_kfactors` makes
        them. Entries for elements not in the model are ignored.
    take_off_angle : float or sequence of float, optional
        Degrees, above 0 up to 90; needed when there is a thickness. Several: one for
        each detector, of equal solid angles; their absorption factors are averaged.
    thickness, density : float, optional
        nm, g/cm3; both or none (no absorption by the sample).
    composition : mapping of str to float, optional
        Atomic fractions of the absorbing sample (normalised here); may name elements
        without a line in range, like O. Default: equal fractions of `elements`.
    minimum_energy : float
        keV; channels below are not fitted (noise peak).
    background : bool
        False: no bremsstrahlung columns.
    extra_spectra : mapping of str to array, shape (n_channels,), optional
        By label: non-negative spectra of the user, columns of kind "background".
        Used as they are: absorption and detector are already in them.

    Raises
    ------
    ValueError
        If an argument cannot be used; the message says which, and what is needed.
    TypeError
        If one is of another type.

    Notes
    -----
    Columns in order: elements, free lines of elements, stray elements, background.

    A line column is the sum over its lines of emission cross section (barn) x
    fraction that escapes from the sample x detector efficiency x Gaussian integrated
    over the channels. A background column is shape x fraction that escapes x
    efficiency in the fitted channels, scaled to sum 100 over these; 0 in the others;
    extra spectra follow, scaled likewise.
    Rows at energies up to 0 and from the beam energy up are 0.
    """

    elements: tuple[str, ...] = ()

    def __init__(
        self,
        energy: ArrayLike,
        beam_energy: float,
        elements: Iterable[str | int],
        *,
        stray_elements: Iterable[str | int] = (),
        split_lines: Mapping[str, Split] | None = None,
        detector: Detector | str | None = None,
        line_factors: Mapping[str, float] | None = None,
        take_off_angle: float | Sequence[float] | None = None,
        thickness: float | None = None,
        density: float | None = None,
        composition: Mapping[str, float] | None = None,
        minimum_energy: float = 0.15,
        background: bool = True,
        extra_spectra: Mapping[str, ArrayLike] | None = None,
    ):
        self._offset, self._scale, self._size = checked_axis(energy)
        self.beam_energy = check_beam_energy(beam_energy)
        self.elements = checked_elements(elements, "elements")
        self.stray_elements = checked_elements(stray_elements, "stray_elements")
        self.split_lines = checked_split(split_lines)
        self.detector = checked_detector(detector)
        self.line_factors = checked_line_factors(line_factors)
        self.take_off_angle = checked_angles(take_off_angle)
        self.thickness, self.density = (
            None if value is None else plain_float(name, value)
            for name, value in (("thickness", thickness), ("density", density))
        )
        self.composition = checked_composition(composition)
        self.minimum_energy = plain_float("minimum_energy", minimum_energy)
        if not isinstance(background, bool | np.bool_):
            raise TypeError(f"`background` must be True or False, got {background!r}.")
        self.background = bool(background)
        self.extra_spectra: dict[str, np.ndarray] = {}
        self._check()
        taken = [column.label for column in self.columns]
        self.extra_spectra = checked_spectra(extra_spectra, self.channels, taken)

    def _check(self) -> None:
        if not self.elements:
            raise ValueError("A model needs elements: give them with set_elements.")
        if both := sorted(set(self.elements) & set(self.stray_elements)):
            raise ValueError(
                f"{', '.join(both)} cannot be both in the sample and stray: the same "
                "lines would count twice. Leave it out of one: "
                "`s.set_analysis_parameters(stray_elements=[...])`, "
                "`s.set_elements([...])`."
            )
        if (self.thickness is None) != (self.density is None):
            missing = "density" if self.density is None else "thickness"
            raise ValueError(
                "Absorption by the sample needs thickness (nm) and density (g/cm3): "
                f"the {missing} is missing."
            )
        if self.mass_thickness > 0 and self.take_off_angle is None:
            raise ValueError(
                "Absorption by the sample needs the take-off angle of the detector "
                "(degrees)."
            )
        if not self.channels.any():
            raise ValueError(
                f"No channel to fit: the axis runs from {self.energy[0]:.3f} to "
                f"{self.energy[-1]:.3f} keV, the fit from {self.minimum_energy:.3f} "
                f"keV to below the beam energy {self.beam_energy:g} keV. Check the "
                "axis, or fit from a lower energy with "
                "`s.set_analysis_parameters(minimum_energy=...)` (keV)."
            )
        # raise for a curve that ends before, and for elements without a line in range
        if self._efficiency.max() < 1e-6:
            raise ValueError(
                f"{self.detector} counts less than one photon in a million in the "
                "fitted channels. Set another one with "
                "`s.set_analysis_parameters(detector=...)`."
            )
        _ = self._line_columns

    @cached_property
    def energy(self) -> np.ndarray:
        """Centres of the channels, keV, shape (n_channels,)."""
        return read_only(self._offset + self._scale * np.arange(self._size))

    @cached_property
    def channels(self) -> np.ndarray:
        """Channels to be fitted, bool, shape (n_channels,)."""
        lowest = max(self.minimum_energy, np.finfo(float).tiny)
        fitted = (self.energy >= lowest) & (self.energy < self.beam_energy)
        return read_only(fitted)

    @property
    def mass_thickness(self) -> float:
        """Of the absorbing sample, kg/m2; 0 if no thickness is given."""
        if self.thickness is None or self.density is None:
            return 0.0
        return mass_thickness(self.thickness, self.density)

    @property
    def columns(self) -> tuple[Column, ...]:
        """What the columns of G stand for."""
        names = tuple(entry.column for entry in self._line_columns)
        labels = [f"bremsstrahlung {i + 1}" for i in range(N_TERMS)]
        shown = labels * self.background + list(self.extra_spectra)
        return names + tuple(Column("background", None, None, x) for x in shown)

    @property
    def element_columns(self) -> np.ndarray:
        """Columns that count for the composition, bool, in the order of elements."""
        return np.array([column.kind == "element" for column in self.columns])

    @property
    def emission_lines(self) -> tuple[EmissionLine, ...]:
        """Lines of all elements in the fitted range, by increasing energy."""
        lines = (line for entry in self._line_columns for line in entry.lines)
        visible = (line for line in lines if line.energy in self._fitted)
        return tuple(sorted(visible, key=lambda line: (line.energy, line.name)))

    def line_free(self, width: float = 1.5) -> np.ndarray:
        """
        Channels in which bremsstrahlung is all that is expected.

        Parameters
        ----------
        width : float
            Least distance from every line, in FWHM of its peak.

        Returns
        -------
        array of bool, shape (n_channels,)
            Among the fitted ones.
        """
        free = self.channels.copy()
        for line in self.emission_lines:
            centre = self.detector.peak_energy(line.energy)
            reach = 1e-3 * width * self.detector.fwhm(line.energy)
            free &= np.abs(self.energy - centre) > reach
        return free

    def sources(self) -> Sources:
        """
        All that shines, line by line, before absorption by the sample.

        Returns
        -------
        Sources
            Times the fraction that escapes, and summed by column, its lines are the
            columns of G. Extra spectra are not among them.
        """
        lines = self._lines
        each = lines._replace(column=np.arange(len(lines.energy)))
        spectra = line_matrix(each, self.detector, self._axis, len(lines.energy))
        spectra[(self.energy <= 0) | (self.energy >= self.beam_energy)] = 0
        background = np.zeros((self._size, N_TERMS * self.background))
        if self.background:
            background[self.channels] = self._detected_background()
        return Sources(lines, spectra, background)

    def plot(self):
        """
        Plot the columns with their main lines labelled.

        Returns
        -------
        matplotlib.figure.Figure
        """
        from espm_hs.physics.xray.figure import plot_model

        return plot_model(self)

    @cached_property
    def G(self) -> np.ndarray:
        """The matrix, float64, non-negative, shape (n_channels, n_columns)."""
        parts = [self._peaks()]
        if self.background:
            parts.append(self._scaled(self._bremsstrahlung()))
        for spectrum in self.extra_spectra.values():
            parts.append(self._scaled(spectrum[self.channels, None]))
        matrix = np.hstack(parts)
        matrix[(self.energy <= 0) | (self.energy >= self.beam_energy)] = 0
        return read_only(matrix)

    @cached_property
    def _fitted(self) -> FittedRange:
        fitted = self.energy[self.channels]
        return FittedRange(float(fitted[0]), float(fitted[-1]))

    @cached_property
    def _line_columns(self) -> list[LineColumn]:
        found = line_columns(
            self.elements,
            self.stray_elements,
            self.split_lines,
            self.beam_energy,
            self._fitted,
        )
        return with_line_factors(found, self.line_factors)

    def _peaks(self) -> np.ndarray:
        """Columns of characteristic lines."""
        lines = self._lines
        area = lines.area.copy()
        area[lines.absorbed] *= self._escape(lines.energy[lines.absorbed])
        seen = lines._replace(area=area)
        n_columns = len(self._line_columns)
        return line_matrix(seen, self.detector, self._axis, n_columns)

    @property
    def _lines(self) -> Lines:
        return lines_in_reach(self._line_columns, self.detector, self._fitted)

    @property
    def _axis(self) -> Channels:
        return Channels(self._offset, self._scale, self._size)

    @cached_property
    def _efficiency(self) -> np.ndarray:
        """Efficiency of the detector in the fitted channels."""
        return self.detector.efficiency(self.energy[self.channels])

    def _bremsstrahlung(self) -> np.ndarray:
        """Shapes of the background in the fitted channels."""
        energy = self.energy[self.channels]
        return self._detected_background() * self._escape(energy)[:, None]

    def _detected_background(self) -> np.ndarray:
        """Shapes of the background before absorption by the sample."""
        energy = self.energy[self.channels]
        return bremsstrahlung(energy, self.beam_energy) * self._efficiency[:, None]

    def _scaled(self, shapes: np.ndarray) -> np.ndarray:
        """Background columns from shapes in the fitted channels."""
        matrix = np.zeros((self._size, shapes.shape[1]))
        matrix[self.channels] = shapes * (BACKGROUND_SUM / shapes.sum(axis=0))
        return matrix

    def _escape(self, energy: np.ndarray) -> np.ndarray:
        """Fraction of the photons that leave the sample."""
        if self.mass_thickness == 0:
            return np.ones(len(energy))
        atomic = self.composition or dict.fromkeys(self.elements, 1.0)
        fractions = atomic_to_mass_fractions(atomic)
        angle = self.take_off_angle
        return escape_fraction(fractions, energy, self.mass_thickness, angle)

    def _options(self) -> dict[str, Any]:
        """Arguments of the constructor other than the energy axis."""
        names = (
            "beam_energy",
            "elements",
            "stray_elements",
            "split_lines",
            "detector",
            "line_factors",
            "take_off_angle",
            "thickness",
            "density",
            "composition",
            "minimum_energy",
            "background",
            "extra_spectra",
        )
        return {name: getattr(self, name) for name in names}

    def replace(self, **changes: Any) -> SpectrumModel:
        """
        Model with changed arguments.

        Parameters
        ----------
        **changes
            Arguments of the class.

        Returns
        -------
        SpectrumModel

        Raises
        ------
        ValueError
            As the class.
        """
        return SpectrumModel(**{"energy": self.energy, **self._options(), **changes})

    @property
    def depends_on_composition(self) -> bool:
        """Whether the sample absorbs."""
        return self.mass_thickness > 0

    @property
    def advice(self) -> Mapping[str, str]:
        """What to do when something does not work out."""
        return {
            "unsettled": "Check the thickness and density of "
            "`s.set_analysis_parameters`."
        }

    def refined(self, composition: Mapping[str, float]) -> SpectrumModel:
        """Return the model of a sample of another composition."""
        return self.replace(composition=composition)

    def to_dict(self) -> dict[str, Any]:
        """
        Plain description, for metadata.

        Returns
        -------
        dict
            Numbers, strings, flat lists and dicts only; what is not set is left out.
        """
        plain = {
            "energy": {
                "offset": self._offset,
                "scale": self._scale,
                "size": self._size,
            },
            **self._options(),
            "elements": list(self.elements),
            "stray_elements": list(self.stray_elements),
            "detector": self.detector.to_dict(),
            "extra_spectra": {k: v.tolist() for k, v in self.extra_spectra.items()},
        }
        if isinstance(self.take_off_angle, tuple):
            plain["take_off_angle"] = list(self.take_off_angle)
        return {
            name: value
            for name, value in plain.items()
            if value is not None and value != [] and value != {}
        }

    @classmethod
    def from_dict(cls, description: Mapping[str, Any]) -> SpectrumModel:
        """
        Return the model that `to_dict` describes.

        Parameters
        ----------
        description : mapping
            As written by `to_dict`.

        Returns
        -------
        SpectrumModel

        Raises
        ------
        ValueError
            If the description is incomplete or its values cannot be used.
        """
        plain = dict(description)
        needed = {"energy", "beam_energy", "elements"}
        if missing := needed - set(plain):
            raise ValueError(f"The description of a model lacks {sorted(missing)}.")
        axis = plain.pop("energy")
        steps = np.arange(int(axis["size"]))
        energy = float(axis["offset"]) + float(axis["scale"]) * steps
        if "detector" in plain:
            plain["detector"] = Detector.from_dict(plain["detector"])
        return cls(energy, **plain)

    def __repr__(self) -> str:
        return (
            f"SpectrumModel({self._size} channels, {self.energy[0]:.3f} to "
            f"{self.energy[-1]:.3f} keV, {self.beam_energy:g} keV beam, elements "
            f"{', '.join(self.elements)}, {len(self.columns)} columns)"
        )
