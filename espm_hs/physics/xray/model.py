"""The model of a spectrum: a matrix of non-negative columns."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from espm_hs.arguments import check_mapping, plain_float
from espm_hs.physics.linear_model import (
    Column,
    LinearModel,
    Parameter,
    Unknowns,
    register_model,
)
from espm_hs.physics.xray import arguments as checks
from espm_hs.physics.xray.absorption import Angles, mass_thickness
from espm_hs.physics.xray.arguments import model_parameters, parameter_arguments
from espm_hs.physics.xray.detector import Detector
from espm_hs.physics.xray.elements import (
    SYMBOLS,
    atomic_weight,
    normalised_fractions,
)
from espm_hs.physics.xray.emission import (
    BEAM_ENERGIES,
    EmissionLine,
    Emitters,
    Split,
    check_beam_energy,
    is_in_range,
)
from espm_hs.physics.xray.unabsorbed import (
    BACKGROUNDS,
    N_SPLINES,
    Sources,
    Unabsorbed,
    read_only,
    splines,
    unabsorbed,
)
from espm_hs.physics.xray.unknowns import (
    LEAST_BEAM,
    NAMES,
    THICKNESS,
    THICKNESS_ERROR,
    amounts_at,
    unknowns_of,
    unknowns_of_columns,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Sum of every background column over the fitted channels: the order of magnitude
#: of an element column, whose unit is the barn.
BACKGROUND_SUM = 100.0
# A background is bent down to this part of its highest bend at most.
LEAST_BEND = 1e-3


@register_model("xray")
class SpectrumModel(LinearModel):
    """A linear model of the spectra that a sample of known elements can give.

    A spectrum is ``G @ w``. The entries of w in the element columns are in
    proportion to the numbers of atoms: normalised to sum 1 they are the atomic
    fractions. A model does not change; `replace` gives another one.

    Parameters
    ----------
    energy
        Shape (n_channels,): centres of the channels in keV, increasing in equal
        steps; may start below 0.
    beam_energy
        10 to 400 keV.
    elements
        Elements of the sample, symbols (or atomic numbers).
    stray_elements
        Elements from outside the sample (grid, holder, lenses): one column for each
        family of lines, not absorbed by the sample, not part of the composition.
    split_lines
        Which lines of an element count. By symbol: "families", a column for each
        family, of which K counts if it is in the fitted range, else L, else M; an
        energy in keV, lines from there up count, those below form one free column;
        "none", one column of all lines. Default: one column of all lines but those
        that nobody knows well, L of P to Ga and M of Ge to Yb, which are a free column
        where others are in range. Entries for elements not in the sample are ignored.
    detector
        A detector, or the name of a preset; "windowless" by default.
    line_factors
        By family ("Fe K", "Pt_L", or a line like "Fe_Ka" for its family): factor on
        its emission, above 0; 1 is atomic data. `line_factors_from_kfactors` makes
        them. Entries for elements not in the model are ignored.
    line_factor_errors
        Of families whose factors were measured: by family, relative errors by
        independent causes, each of which moves all families together. They take the
        place of the uncertainties of atomic data and of the efficiency of the detector.
    take_off_angle
        Degrees, above 0 up to 90; needed when there is a thickness. Several: one for
        each detector, of equal solid angles; their absorption factors are averaged.
    thickness, density
        In nm and g/cm3; both or none (no absorption by the sample).
    thickness_error
        Relative standard error of the mass thickness.
    unknown
        What is not stated, of "thickness", "take_off_angle" and "detector": amounts are
        the mean over what is usual, see `unknowns`.
    composition
        Atomic fractions of the absorbing sample (normalised here); may name elements
        without a line in range, like O. Default: equal fractions of `elements`.
    minimum_energy
        Channels below this energy (keV) are not fitted (noise peak).
    background
        Columns of bremsstrahlung: True or "laws", three over the whole range of
        energies; "splines", ten that are each a part of it, to fit one spectrum of many
        counts; False, none.
    background_bends
        Ten non-negative factors on the bremsstrahlung, from the lowest to the highest
        energy that is fitted, see `bent_to`. Default: 1.
    extra_spectra
        By label: non-negative spectra of the user, shape (n_channels,), which become
        columns of kind "background". They are used as they are: absorption and
        detector are already in them.

    Raises
    ------
    ValueError
        If an argument cannot be used; the message says which, and what is needed.
    TypeError
        If one is of another type.

    Notes
    -----
    Columns in order: elements, free lines of elements, stray elements, background.

    A line column is the sum over its lines of emission cross section x fraction that
    escapes from the sample x detector efficiency x Gaussian integrated over the
    channels. Cross sections are in cm2 everywhere in the interface; those in G are in
    barn (1e-24 cm2), so that its numbers are near 1. A background column is shape x
    fraction that escapes x efficiency in the fitted channels, scaled to sum 100 over
    these; 0 in the others; extra spectra follow, scaled likewise.
    Rows at energies up to 0 and from the beam energy up are 0.
    """

    elements: tuple[str, ...] = ()
    #: Beam energies for which there are models, keV.
    BEAM_ENERGIES = BEAM_ENERGIES
    #: What may be unknown to a model.
    UNKNOWN: tuple[str, ...] = NAMES
    #: Detector of a model that is given none.
    USUAL_DETECTOR = "windowless"

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
        line_factor_errors: Mapping[str, Sequence[float]] | None = None,
        take_off_angle: Angles | None = None,
        thickness: float | None = None,
        density: float | None = None,
        thickness_error: float = THICKNESS_ERROR,
        unknown: Sequence[str] = (),
        composition: Mapping[str, float] | None = None,
        minimum_energy: float = 0.15,
        background: bool | str = True,
        background_bends: Sequence[float] = (),
        extra_spectra: Mapping[str, ArrayLike] | None = None,
    ):
        self._axis = checks.checked_axis(energy)
        self.beam_energy = check_beam_energy(beam_energy, self.BEAM_ENERGIES)
        self.elements = checks.checked_elements(elements, "elements")
        self.stray_elements = checks.checked_elements(stray_elements, "stray_elements")
        self.split_lines = checks.checked_split(split_lines)
        self.detector = Detector.of(detector or self.USUAL_DETECTOR)
        self.line_factors = checks.checked_line_factors(line_factors)
        self.line_factor_errors = checks.checked_line_errors(line_factor_errors)
        self.take_off_angle = checks.checked_angles(take_off_angle)
        self.thickness, self.density = (
            None if value is None else plain_float(name, value)
            for name, value in (("thickness", thickness), ("density", density))
        )
        self.thickness_error = plain_float("thickness_error", thickness_error)
        self.unknown = checks.checked_unknown(unknown, self.UNKNOWN)
        self.composition = checks.checked_composition(composition)
        self.minimum_energy = plain_float("minimum_energy", minimum_energy)
        self.background = checks.checked_background(background)
        self.background_bends = checks.checked_bends(background_bends)
        self.extra_spectra: dict[str, np.ndarray] = {}
        self._check()
        if extra_spectra is not None:
            self.extra_spectra = self._checked_spectra(extra_spectra)

    def _check(self) -> None:
        if not self.elements:
            raise ValueError(
                "No elements are set, so there is nothing to look for. Set those of "
                "the sample with `s.set_elements(['O', 'Si', ...])`."
            )
        if both := sorted(set(self.elements) & set(self.stray_elements)):
            raise ValueError(
                f"{', '.join(both)} cannot be both in the sample and stray: the same "
                "lines would count twice. Leave it out of one: "
                "`s.set_analysis_parameters(stray_elements=[...])`, "
                "`s.set_elements([...])`."
            )
        known = THICKNESS not in self.unknown
        if known and (self.thickness is None) != (self.density is None):
            given, missing = "thickness", "density"
            if self.thickness is None:
                given, missing = missing, given
            raise ValueError(
                f"The sample has a {given} but no {missing}, and self-absorption needs "
                f"both. Set it with `s.set_analysis_parameters({missing}=...)` "
                "(thickness in nm, density in g/cm3)."
            )
        if not 0 <= self.thickness_error <= 1:
            raise ValueError(
                "`thickness_error` must be a share from 0 to 1, such as 0.2; got "
                f"{self.thickness_error:g}."
            )
        if self.mass_thickness > 0 and self.take_off_angle is None:
            raise ValueError(
                "Self-absorption needs the take-off angle. Set the detector's angles "
                f"with {checks.POSITION}."
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
        if self._unabsorbed.efficiency.max() < 1e-6:
            raise ValueError(
                f"{self.detector} counts less than one photon in a million in the "
                "fitted channels. Set another one with "
                "`s.set_analysis_parameters(detector=...)`."
            )
        _ = self._unabsorbed.line_columns

    @property
    def is_bulk(self) -> bool:
        """Whether the beam is one for bulk samples, and nobody says it is a film."""
        return THICKNESS in self.unknown and self.beam_energy < LEAST_BEAM

    def _checked_spectra(
        self, extra_spectra: Mapping[str, ArrayLike]
    ) -> dict[str, np.ndarray]:
        """Read-only copies of the spectra of the user."""
        check_mapping(
            "extra_spectra", extra_spectra, "labels to spectra over the channels"
        )
        checked = {}
        taken = {column.label for column in self.columns}
        for label, values in extra_spectra.items():
            spectrum = checks.checked_spectrum(label, values)
            if label in taken:
                raise ValueError(
                    "A label of extra_spectra must be a text that no other column has, "
                    f"found {label!r}."
                )
            if spectrum.shape != self.channels.shape:
                raise ValueError(
                    f"The extra spectrum {label!r} needs {self.channels.size} "
                    f"channels, as the axis, found shape {spectrum.shape}."
                )
            if not spectrum[self.channels].any():
                raise ValueError(
                    f"The extra spectrum {label!r} is 0 in all channels to be fitted."
                )
            checked[label] = read_only(spectrum)
        return checked

    @cached_property
    def _unabsorbed(self) -> Unabsorbed:
        """All that does not depend on the absorption by the sample."""
        emitters = Emitters(
            self.beam_energy,
            self.elements,
            self.stray_elements,
            tuple(self.split_lines.items()),
            tuple(self.line_factors.items()),
        )
        return unabsorbed(self._axis, self.minimum_energy, emitters, self.detector)

    @property
    def energy(self) -> np.ndarray:
        """Centres of the channels, keV, shape (n_channels,)."""
        return self._unabsorbed.energy

    @property
    def channels(self) -> np.ndarray:
        """Channels to be fitted, bool, shape (n_channels,)."""
        return self._unabsorbed.channels

    @property
    def mass_thickness(self) -> float:
        """Mass thickness of the absorbing sample, kg/m2; 0 if no thickness is given."""
        if self.thickness is None or self.density is None:
            return 0.0
        return mass_thickness(self.thickness, self.density)

    @property
    def _form(self) -> str:
        """Form of the bremsstrahlung, "" if there is none."""
        return "laws" if self.background is True else self.background or ""

    @property
    def columns(self) -> tuple[Column, ...]:
        """What the columns of G stand for."""
        _, n_shapes = BACKGROUNDS.get(self._form, (None, 0))
        labels = [f"bremsstrahlung {i + 1}" for i in range(n_shapes)]
        return (
            *(entry.column for entry in self._unabsorbed.line_columns),
            *(Column("background", None, None, x) for x in labels),
            *(Column("background", None, None, x) for x in self.extra_spectra),
        )

    @cached_property
    def element_columns(self) -> np.ndarray:
        """Columns that are quantified, bool: the first, in the order of elements."""
        return read_only(np.arange(len(self.columns)) < len(self.elements))

    @property
    def emission_lines(self) -> tuple[EmissionLine, ...]:
        """Lines of all elements in the fitted range, by increasing energy."""
        return self._unabsorbed.emission_lines

    @cached_property
    def unseen(self) -> frozenset[str]:
        """Elements without a line in the fitted range, such as H, Li and Be."""
        beam, fitted = self.beam_energy, self._unabsorbed.fitted_range
        return frozenset(x for x in SYMBOLS if not is_in_range(x, beam, fitted))

    def line_free(self, width: float = 1.5) -> np.ndarray:
        """Return the fitted channels in which only bremsstrahlung is expected.

        Parameters
        ----------
        width
            Least distance from every line, in FWHM of its peak.

        Returns
        -------
        numpy.ndarray
            Boolean, shape (n_channels,).
        """
        free = self.channels.copy()
        for line in self.emission_lines:
            centre = self.detector.peak_energy(line.energy)
            reach = 1e-3 * width * self.detector.fwhm(line.energy)
            free &= np.abs(self.energy - centre) > reach
        return free

    def sources(self) -> Sources:
        """Return all that emits photons, before absorption by the sample.

        The lines, times the fraction that escapes and summed by column, are the
        columns of G. Extra spectra are not among them, and the bremsstrahlung is that
        of laws, whatever shapes are fitted to it.
        """
        known = self._unabsorbed
        laws = known.background("laws")[:, : None if self.background else 0]
        background = np.zeros((self._axis.size, laws.shape[1]))
        background[self.channels] = laws
        return Sources(known.lines, known.line_spectra(), background)

    def plot(self) -> Figure:
        """Plot the columns with their main lines labelled."""
        from espm_hs.physics.xray.figure import plot_model

        return plot_model(self)

    @cached_property
    def G(self) -> np.ndarray:
        """The matrix, float64, non-negative, shape (n_channels, n_columns)."""
        return read_only(self._matrix(*self._escaped(self._absorbing)))

    @property
    def _absorbing(self) -> Mapping[str, float]:
        """Composition of the absorbing sample."""
        return self.composition or dict.fromkeys(self.elements, 1.0)

    def _escaped(
        self, absorbing: Mapping[str, float], amount: float = 1.0
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        """Return areas of the lines, and shapes of the background, behind a sample."""
        known, area = self._unabsorbed, self._unabsorbed.lines.area
        form, bends = self._form, self.background_bends
        shapes = [known.background(form, bends)] if form else []
        if self.take_off_angle is not None and self.depends_on_composition:
            of_lines, in_channels = self.emerging(absorbing, amount)
            area = area * of_lines
            shapes = [shape * in_channels[:, None] for shape in shapes]
        return area, shapes + [
            x[self.channels, None] for x in self.extra_spectra.values()
        ]

    def emerging(
        self, composition: Mapping[str, float], amount: float = 1.0
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return what emerges of the photons that the atoms of a sample emit.

        Parameters
        ----------
        composition
            Atomic fractions of the sample by symbol, in any unit.
        amount
            Mass thickness as a multiple of `mass_thickness`.

        Returns
        -------
        tuple of two numpy.ndarray
            Fraction of each line (1 for stray ones) and in each fitted channel.
        """
        known = self._unabsorbed
        if self.take_off_angle is None or not self.depends_on_composition:
            return np.ones(known.lines.energy.size), np.ones(known.fitted_energy.size)
        mass = amount * self.mass_thickness
        return known.escaping(composition, mass, self.take_off_angle)

    def _matrix(
        self,
        area: np.ndarray,
        shapes: list[np.ndarray],
        like: list[np.ndarray] | None = None,
    ) -> np.ndarray:
        """Return the matrix of areas and shapes, these in the scale of others."""
        known = self._unabsorbed
        matrix = np.zeros((self._axis.size, len(self.columns)))
        n_lines = len(known.line_columns)
        matrix[:, :n_lines] = known.line_matrix(area)
        if shapes:
            sums = [x.sum(axis=0) for x in like or shapes]
            scaled = [
                x * (BACKGROUND_SUM / y) for x, y in zip(shapes, sums, strict=True)
            ]
            matrix[known.fitted, n_lines:] = np.hstack(scaled)
        return matrix

    @cached_property
    def weights(self) -> np.ndarray:
        """Atomic weights of the elements: what absorbs is mass."""
        return np.array([atomic_weight(element) for element in self.elements])

    def G_at(self, composition: Mapping[str, float], amount: float) -> np.ndarray:
        """Return G in a place of the sample, which has a mixture and a thickness.

        Parameters
        ----------
        composition
            Atomic fractions by symbol of all that is there, in any unit.
        amount
            Mass thickness as a multiple of `mass_thickness`.

        Returns
        -------
        numpy.ndarray
            Shape (n_channels, n_columns). The background columns are those of `G`,
            absorbed as in this place, and not scaled to a sum of their own.
        """
        _, like = self._escaped(self._absorbing)
        return self._matrix(*self._escaped(composition, amount), like)

    def column_factors(self, composition: np.ndarray, amount: np.ndarray) -> np.ndarray:
        """Return the fraction of the photons of each column that escapes from places.

        Parameters
        ----------
        composition
            Atomic fractions of `elements`, shape (n_places, n_elements).
        amount
            Mass thickness as a multiple of `mass_thickness`, shape (n_places,).

        Returns
        -------
        numpy.ndarray
            Shape (n_places, n_columns), the mean over the lines of a column; 1 for
            columns without lines.
        """
        factors = np.ones((len(amount), len(self.columns)))
        if self.take_off_angle is not None and self.depends_on_composition:
            mass = composition * self.weights
            total = mass.sum(axis=1, keepdims=True)
            mass = mass / np.where(total > 0, total, 1.0)
            mass *= self.mass_thickness * amount[:, None]
            n_lines = len(self._unabsorbed.line_columns)
            factors[:, :n_lines] = self._unabsorbed.column_escape(
                self.elements, mass, self.take_off_angle
            )
        return factors

    @property
    def depends_on_composition(self) -> bool:
        """Whether the sample absorbs."""
        return self.mass_thickness > 0

    def refined(self, composition: Mapping[str, float]) -> SpectrumModel:
        """Return the model of a sample of another composition.

        It is that of `replace`, but shares all that is known with this one.

        Parameters
        ----------
        composition
            Atomic fractions by symbol, in any unit.

        Raises
        ------
        ValueError
            If the sample absorbs and the fractions cannot be normalised.
        """
        other = copy.copy(self)
        other.composition = dict(composition)
        if self.depends_on_composition:
            normalised_fractions(composition)  # raises
            other.__dict__.pop("G", None)
        return other

    def unknowns(self, amounts: np.ndarray) -> Unknowns:
        """Return how thickness, angles and detector leave amounts open.

        Parameters
        ----------
        amounts
            Of the elements, shape (n_elements,), as a fit of this model found them.

        Returns
        -------
        Unknowns
            A thickness that is not stated is 77 nm within a factor of 2 (of the density
            of the model, or of atoms of 0.0125 nm3 each), a take-off angle 15 to 40
            degrees, and the detector may have a polymer window or none. What is given
            has errors, too: `thickness_error`; 10 % of the layers of the detector and
            30 nm of carbon.
        """
        return unknowns_of(self, self._unabsorbed, amounts)

    def unknowns_of_columns(self) -> Unknowns:
        """Return the same of columns of lines, for a sample of known composition.

        Its composition is that of the model; arrays are of the columns of lines.
        """
        return unknowns_of_columns(self, self._unabsorbed)

    @property
    def differs_locally(self) -> bool:
        """Whether absorption follows the mass in a pixel, whose mean is stated."""
        return self.emitting_mass is not None

    @property
    def emitting_mass(self) -> float | None:
        """Mass thickness that the weights of the columns are of, kg/m2.

        None if it is not stated; a thickness that is 0 tells no amount.
        """
        known = THICKNESS not in self.unknown and self.depends_on_composition
        return self.mass_thickness if known else None

    def amounts_at(self, amounts: np.ndarray, mass_thickness: float) -> np.ndarray:
        """Return what amounts would be if the sample had another thickness.

        Parameters
        ----------
        amounts
            As in `unknowns`.
        mass_thickness
            kg/m2.
        """
        return amounts_at(self, self._unabsorbed, amounts, mass_thickness)

    @property
    def parameters(self) -> dict[str, Parameter]:
        """What a spectrum may refine: energy scale, peak width, mass thickness."""
        return model_parameters(self)

    def with_parameters(self, **values: float) -> SpectrumModel:
        """Return the model with other values of some `parameters`.

        Parameters
        ----------
        **values
            In the units of `parameters`; what is not named stays as it is.

        Raises
        ------
        ValueError
            If a name is unknown or a value is out of the question.
        """
        return self.replace(**parameter_arguments(self, values))

    @property
    def advice(self) -> Mapping[str, str]:
        """What the user can do, by occasion; see `LinearModel`."""
        return _ADVICE

    def bent_to(self, weights: np.ndarray) -> SpectrumModel:
        """Return the model of laws that are bent as the splines of this one are.

        A spectrum of many counts tells the shape of the bremsstrahlung. Three columns
        of that shape are enough for each phase of a map, where ten splines would
        describe the noise of the rarest.

        Parameters
        ----------
        weights
            Of the columns of this model, whose background is "splines", in the
            spectrum; shape (n_columns,).
        """
        laws = self.replace(background="laws", background_bends=())
        first = len(self._unabsorbed.line_columns)
        shown = slice(first, first + N_SPLINES)
        found = self.G[self.channels, shown] @ weights[shown]
        # of even shares: the laws of a phase can take from each other
        even = laws.G[self.channels, first : first + BACKGROUNDS["laws"][1]].sum(axis=1)
        ratio = found / even
        fitted = np.linalg.lstsq(
            splines(self.energy[self.channels]), ratio, rcond=None
        )[0]
        # where the electronics cut off all counts a little is left to divide by
        bends = np.maximum(fitted / max(fitted.max(), np.finfo(float).tiny), LEAST_BEND)
        return laws.replace(background_bends=bends)

    def options(self) -> dict[str, Any]:
        """Arguments of the constructor other than the energy axis."""
        return {name: getattr(self, name) for name in self.option_names()}

    @classmethod
    def option_names(cls) -> tuple[str, ...]:
        """Arguments of the class other than the energy axis, kept as attributes."""
        return tuple(inspect.signature(cls).parameters)[1:]

    def replace(self, **changes: Any) -> SpectrumModel:
        """Return a model with changed arguments.

        Parameters
        ----------
        **changes
            Arguments of the class.

        Raises
        ------
        ValueError
            As the class.
        """
        return type(self)(**{"energy": self.energy, **self.options(), **changes})

    def to_dict(self) -> dict[str, Any]:
        """Return numbers, strings, flat lists and dicts, without what is not set."""
        plain = {"energy": self._axis._asdict(), **self.options()}
        plain["detector"] = self.detector.to_dict()
        plain["extra_spectra"] = {k: v.tolist() for k, v in self.extra_spectra.items()}
        for name, value in plain.items():
            if isinstance(value, tuple):
                plain[name] = list(value)
        return {k: v for k, v in plain.items() if v is not None and v not in ([], {})}

    @classmethod
    def from_dict(cls, description: Mapping[str, Any]) -> SpectrumModel:
        """Return the model that `to_dict` describes.

        Parameters
        ----------
        description
            As written by `to_dict`.

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
            f"{type(self).__name__}({self._axis.size} channels, "
            f"{self.energy[0]:.3f} to {self.energy[-1]:.3f} keV, "
            f"{self.beam_energy:g} keV beam, elements "
            f"{', '.join(self.elements)}, {len(self.columns)} columns)"
        )


_ADVICE = MappingProxyType(
    {
        "unsettled": "Check the thickness and density of `s.set_analysis_parameters`.",
        "local": "State the mean thickness (nm) and the density (g/cm3) with "
        "`s.set_analysis_parameters(thickness=..., density=...)`, or leave out "
        "`local_absorption`.",
        "places": "Each place absorbs by the mixture and the mass thickness that are "
        "there.",
    }
)
