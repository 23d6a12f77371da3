"""What is said of sample and microscope, and read off the spectrum."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from exspy.signals import EDSSpectrum

from espm_hs import plotting
from espm_hs.arguments import check_choice, check_flag, check_number
from espm_hs.calibration.automatic import (
    REFINEMENTS,
    AutomaticCalibration,
    mass_thickness_of,
    with_splines,
)
from espm_hs.calibration.element_identification import (
    Suggestions,
    any_element,
    check_place,
    identify,
)
from espm_hs.calibration.energy_scale import DEFAULT as CALIBRATED
from espm_hs.calibration.energy_scale import (
    Calibration,
    MassThickness,
    calibrate,
    check_names,
)
from espm_hs.calibration.pile_up import pile_up
from espm_hs.calibration.standards import (
    check_alike,
    check_unused,
    checked_film,
    film_elements,
    key_of,
    measured,
)
from espm_hs.factorization import summed_spectrum
from espm_hs.metadata import reader
from espm_hs.metadata.describe import Info, information
from espm_hs.metadata.schema import AUTO, FIT, ITEMS
from espm_hs.metadata.writer import (
    AllOrNothing,
    check_calibration,
    check_parameters,
    check_stray,
    write_calibration,
    write_parameters,
)
from espm_hs.physics import SpectrumModel, mass_to_atomic_fractions
from espm_hs.physics.xray.arguments import checked_elements
from espm_hs.physics.xray.kfactors import KFactorTable
from espm_hs.physics.xray.line_factors import LineFactors, Standard
from espm_hs.plotting.look import Look, takes_look
from espm_hs.signals._masks import used_channels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from espm_hs.gui import ChannelMask


class Preparation(EDSSpectrum):
    """Makes the physical model; part of all signal classes."""

    # what a standard is, and arguments of a model without absorption by the sample
    _SAMPLE = "film"
    _UNABSORBED: Mapping[str, None] = {"thickness": None, "density": None}

    def _set_parameters(self, live_time_of: str | None, **given: Any) -> None:
        """Check parameters of the analysis and write those that are given."""
        line_factors = given.get("line_factors")
        items = check_parameters(
            **given,
            standards=None if line_factors is None else {},
            live_time_pixels=self._pixels_of(live_time_of),
        )
        stray = items.get(ITEMS["stray_elements"].path, ())
        left, program = check_stray(self.metadata, stray, self.original_metadata)
        with AllOrNothing(self):
            if program:
                self.set_elements(left)
            write_parameters(self.metadata, items)
        if program:
            warnings.warn(
                f"The elements of the sample were a guess of {program}, with stray "
                f"ones among them. They are {', '.join(left) or 'none'} now.",
                UserWarning,
                stacklevel=3,
            )

    def info(self) -> Info:
        """Say what there is, what is a default, what is missing and what sets it.

        Print it in a script; in a notebook it is a table. The same as ``espm-hs info``.

        Returns
        -------
        espm_hs.analysis.Info

        Raises
        ------
        ValueError
            If what should be a number in the metadata is not.

        Examples
        --------
        >>> info = s.info()
        >>> info.rows[0]
        ('shape', '(24, 24|1024)', '')
        """
        return information(self)

    def edit_analysis_parameters(
        self, display: bool = True, toolkit: Any = None
    ) -> dict | None:
        """Open a window, or widget, with the parameters of the analysis.

        Units are beside the numbers, and what is a default or missing is said. The
        same by calls: `set_analysis_parameters`, `set_microscope_parameters`.

        Parameters
        ----------
        display, toolkit
            As in HyperSpy's ``gui()`` methods.

        Returns
        -------
        dict or None
            The widgets, if they are not displayed.
        """
        from espm_hs.gui import AnalysisParameters

        return AnalysisParameters(self).gui(display=display, toolkit=toolkit)

    def pick_elements(self, display: bool = True, toolkit: Any = None) -> dict | None:
        """Open a periodic table to pick elements of the sample and stray ones.

        Their lines are marked on the summed spectrum, which follows each click. The
        same by calls: `plot_emission_lines`, `set_elements`, and
        `set_analysis_parameters` with ``stray_elements``.

        Parameters
        ----------
        display, toolkit
            As in HyperSpy's ``gui()`` methods.

        Returns
        -------
        dict or None
            The widgets, if they are not displayed.
        """
        from espm_hs.gui import ElementPicker

        return ElementPicker(self).gui(display=display, toolkit=toolkit)

    @takes_look("ax", "energy_range", "figsize", "log")
    def plot_emission_lines(
        self, elements: Sequence[str] | None = None, *, look: Look
    ) -> Figure:
        """Plot the summed spectrum with the lines of elements.

        Parameters
        ----------
        elements
            Symbols, beside those that are in the metadata; None: these alone.
        {look}

        Returns
        -------
        matplotlib.figure.Figure
            Lines of the sample are blue, those of stray elements grey and those of
            others orange.

        Raises
        ------
        ValueError
            If one is no element, or another argument makes no sense.

        See Also
        --------
        pick_elements, identify_elements

        Examples
        --------
        >>> figure = s.plot_emission_lines(["Cr", "Mn"], energy_range=(4, 8))
        """
        from espm_hs.gui import ElementPicker

        picker = ElementPicker(self)
        others = () if elements is None else checked_elements(elements, "`elements`")
        states = dict.fromkeys(others, "") | picker.states
        return plotting.plot_emission_lines(self, states, look=look)

    def mask_channels(
        self, *ranges: tuple[float, float], plot: bool | None = None
    ) -> ChannelMask:
        """Choose channels to ignore, by numbers or by dragging.

        Parameters
        ----------
        *ranges
            Pairs of energies in keV.
        plot
            Plot the summed spectrum with the ranges, to be dragged and resized. None:
            if no range is given.

        Returns
        -------
        espm_hs.gui.ChannelMask
            To be given as ``signal_mask``; ``add(low, high)`` for more ranges.

        Raises
        ------
        ValueError
            If a range holds no channel.

        Examples
        --------
        >>> mask = s.mask_channels((2.0, 2.6))
        >>> s.decomposition(
        ...     algorithm="espm", output_dimension=3, signal_mask=mask, print_info=False
        ... )
        """
        from espm_hs.gui import ChannelMask

        mask = ChannelMask(self, ranges)
        if plot or (plot is None and not ranges):
            mask.plot()
        return mask

    def _pixels_of(self, live_time_of: str | None) -> int | None:
        """Return the number of pixels that the live time is for."""
        if live_time_of is None:
            return None
        known = {"pixel": 1, "map": self.axes_manager.navigation_size or 1}
        check_choice("live_time_of", live_time_of, known)
        return known[live_time_of]

    def physical_model(self, **overrides: Any) -> SpectrumModel:
        """Return the model of the spectrum that the metadata describe.

        Parameters
        ----------
        **overrides
            Arguments of `espm_hs.physics.SpectrumModel` in place of the metadata's.

        Returns
        -------
        espm_hs.physics.SpectrumModel
            ``.G`` is its matrix (channels x columns), ``.columns`` its labels.

        Raises
        ------
        ValueError
            If the metadata lack elements or beam energy or contradict each other.
        """
        axis, header = self.axes_manager.signal_axes[0], self.original_metadata
        return reader.build_model(self.metadata, axis, header, **overrides)

    def _calibrated_line_factors(
        self,
        standard: EDSSpectrum | Mapping[str, float] | KFactorTable,
        sample: Mapping[str, Any],
        method: str,
        error: float | None,
        calibration: str,
        add: bool,
        print_info: bool,
    ) -> LineFactors:
        """Measure line factors with a sample, or take a table; see the subclasses."""
        refinement = self._refinement(calibration)
        check_choice("method", method, ("CL", "zeta"))
        check_flag("add", add)
        model = self.physical_model()
        used = model.beam_energy, model.detector, model.unknown
        if isinstance(standard, Preparation):
            check_unused("a table of factors", error=error)
            key, found = standard._as_standard(model, refinement, **sample)
        else:
            check_unused(f"a {self._SAMPLE}", **sample)
            found = Standard.of_table(standard, *used[:2], error, method == "zeta")
            key = key_of(" ".join(found.kfactors).encode())
        known = reader.read("standards", self.metadata) if add else None
        tables = {**(known or {}), key: found.to_dict()}
        factors = reader.combined_line_factors(tables, *used)
        model.replace(**factors.arguments)  # raises for factors that nothing has
        items = check_parameters(standards=tables, solid_angle=factors.solid_angle)
        with AllOrNothing(self):
            write_parameters(self.metadata, items)
        if print_info:
            print(factors)
        for disagreement in factors.disagreements:
            warnings.warn(disagreement, UserWarning, stacklevel=3)
        return factors

    def line_factors(self, reference: str | None = None) -> LineFactors:
        """Return the line factors that standards and tables make together.

        Parameters
        ----------
        reference
            Family, or a line of it, that the k-factors are relative to. None: the best
            known one.

        Returns
        -------
        espm_hs.analysis.LineFactors
            A table of factors, k-factors and zeta factors with their errors; a line of
            `entries` for each family.

        Raises
        ------
        ValueError
            If there are none, or the reference is not among them.
        """
        stored = reader.read("standards", self.metadata)
        if not stored:
            raise ValueError(
                "There are no line factors of standards yet. Measure them with "
                "`s.calibrate_line_factors(standard, composition)`."
            )
        model = self.physical_model()
        used = model.beam_energy, model.detector, model.unknown
        factors = reader.combined_line_factors(stored, *used)
        return factors if reference is None else factors.relative_to(reference)

    def _as_standard(
        self,
        other: SpectrumModel,
        refinement: AutomaticCalibration | None,
        composition: Mapping[str, float] | str | None,
        composition_error: float | Mapping[str, float] | None,
        **known: Any,
    ) -> tuple[str, Standard]:
        """Return a key of these counts, and what they say of the lines of a model."""
        if composition is None and (
            mass := reader.standard_composition(self._trees[1])
        ):
            composition = mass_to_atomic_fractions(mass)
        atoms, errors = checked_film(composition, composition_error)
        elements = film_elements(reader.read("elements", self.metadata), atoms)
        given = {"elements": elements, "composition": atoms, **self._of_sample(**known)}
        model = self._model_to_fit(refinement, **given)
        check_alike(model, other)
        spectrum, n_pixels = self._summed(), self.axes_manager.navigation_size or 1
        electrons = reader.electrons(n_pixels, *self._trees)
        name = composition if isinstance(composition, str) else "".join(atoms)
        found = measured(model, spectrum, name, errors, refinement, electrons)
        return key_of(spectrum.tobytes()), found

    def _of_sample(self, **known: float | None) -> dict[str, Any]:
        """Return what is given of a standard as arguments of a model."""
        return {name: value for name, value in known.items() if value is not None}

    def _fitted_mass_thickness(
        self, refinement: AutomaticCalibration | None, spectrum: np.ndarray
    ) -> MassThickness:
        """Return what lines and edges of the summed spectrum say of the thickness."""
        model = self.physical_model(thickness=None)
        return mass_thickness_of(model, spectrum, refinement)

    def _model_to_fit(
        self,
        refinement: AutomaticCalibration | None,
        print_info: bool = False,
        **overrides: Any,
    ) -> SpectrumModel:
        """Return the physical model, with what the summed spectrum says of it.

        This is the mass thickness, where it is to be fitted, and sum peaks.
        """
        summed = cache(self._summed)  # the map is read once, and only if need be
        is_fitted = reader.read("mass_thickness", self.metadata) == FIT
        is_fitted &= bool(self._UNABSORBED)
        if is_fitted and "thickness" not in overrides:
            found = self._fitted_mass_thickness(refinement, summed())
            if print_info:
                print(found)
            overrides = {**found.arguments, **overrides}
        model = self.physical_model(**overrides)
        return self._with_sum_peaks(model, refinement, print_info, summed)

    def _with_sum_peaks(
        self,
        model: SpectrumModel,
        refinement: AutomaticCalibration | None,
        print_info: bool,
        summed: Callable[[], np.ndarray],
    ) -> SpectrumModel:
        """Return a model with a column of sum peaks, where there are any."""
        asked = reader.read("pile_up", self.metadata)
        asked = AUTO if asked is None else asked
        unknown = reader.counting_time(1, 0.0, *self._trees) is None
        # of what is no counts the fit says what is wrong
        counts = self.data.size > 0 and self.data.dtype.kind in "biuf"
        # a lazy map would be read once more
        if asked is False or not counts or (asked == AUTO and (unknown or self._lazy)):
            return model
        spectrum, n_pixels = summed(), max(1, self.axes_manager.navigation_size)
        time = reader.counting_time(n_pixels, float(spectrum.sum()), *self._trees)
        found = pile_up(model, spectrum, asked, time, refinement)
        if found is None:
            return model
        if print_info:
            print(found)
        return found.added_to(model)

    @staticmethod
    def _refinement(calibration: Any) -> AutomaticCalibration | None:
        """Return what adapts a model to counts; ValueError for an unknown way."""
        check_choice("calibration", calibration, REFINEMENTS)
        return REFINEMENTS[calibration]

    def get_take_off_angle(self) -> float:
        """Return the take-off angle of the physical model, degrees.

        It follows from stage tilts and detector position, where the header of the file
        stands for a position that is eXSpy's default, if it was not set with
        `set_analysis_parameters`. Of several detectors it is the mean.

        Raises
        ------
        ValueError
            If an angle is not set or makes no sense.

        See Also
        --------
        exspy.utils.eds.take_off_angle
        """
        return reader.take_off_angle(*self._trees)

    def refine_calibration(
        self,
        parameters: Sequence[str] = CALIBRATED,
        signal_mask: Any = None,
        plot: bool = False,
        print_info: bool = True,
    ) -> Calibration:
        """Fit energy scale and peak width to the summed spectrum.

        On success the energy axis, the resolution and the detector in the metadata are
        set, and, where the noise peak reaches above it, the energy from which spectra
        are fitted.

        Parameters
        ----------
        parameters
            What to fit, among "offset" and "gain" of the axis, "noise" (the part of the
            peak width that is not statistics), "fano_factor", "low_energy_shift",
            "tail" (the share of a peak in its tail, %) and "mass_thickness".
        signal_mask
            True where channels are left out.
        plot
            Plot the spectrum with the models before and after.
        print_info
            Print values before and after.

        Returns
        -------
        espm_hs.analysis.Calibration

        Raises
        ------
        ValueError
            If a parameter is unknown, the metadata lack something, or there are no
            counts; nothing is changed then.

        Notes
        -----
        The composition need not be known, but the elements should be complete: see
        `suggest_elements`.
        """
        # a stiff background that does not fit would look like peaks elsewhere
        model = with_splines(self.physical_model())
        check_names(model, parameters)
        check_calibration(self.metadata, parameters)
        channels = used_channels(self, signal_mask)
        spectrum = self._summed()
        found = calibrate(model, spectrum, parameters, channels)
        write_calibration(self, found)
        if print_info:
            print(found)
        if plot:
            plotting.plot_calibration(found, spectrum)
        return found

    def identify_elements(
        self,
        add: str | None = None,
        *,
        false_names: float = 0.05,
        signal_mask: Any = None,
        calibration: str = "auto",
        print_info: bool = True,
    ) -> Suggestions:
        """Name the elements that the summed spectrum shows, each with its error rate.

        Nothing need be known of the sample. Elements that the metadata name are told
        whether they are there or not.

        Parameters
        ----------
        add
            Where elements go that are found and that nobody named: "sample", to the
            elements of the sample; "stray", to those of grid, holder and column. None:
            nowhere. What is ambiguous is never added. Elements of the sample without a
            line on the axis are taken from its list then: no model can have them.
        false_names
            Largest probability that a name is false.
        signal_mask
            True where channels are left out.
        calibration
            "auto" refines energy scale and peak width of the model to what is found;
            the axis of the signal stays as it is. "never" takes the axis at its word.
        print_info
            Print the names with the lines that speak for them.

        Returns
        -------
        espm_hs.analysis.Suggestions
            ``found``, ``ambiguous``, ``missing`` (found, and not in the metadata) and
            ``superfluous`` (in the metadata, and not found); `to_dataframe()`.

        Raises
        ------
        ValueError
            If an argument is out of range, the beam energy is not set, or there are no
            counts; nothing is changed then.

        Examples
        --------
        >>> found = s.identify_elements(print_info=False)
        >>> found = s.identify_elements(add="stray", print_info=False)
        """
        check_place(add)
        check_number("false_names", false_names, 0, 1)
        refinement = self._refinement(calibration)
        elements = reader.read("elements", *self._trees) or []
        stray = reader.stray_elements(*self._trees)
        found = identify(
            self._model_of_any_elements(),
            self._summed(),
            used_channels(self, signal_mask),
            known=[*elements, *stray],
            false_names=false_names,
            calibrate=refinement is not None,
        )
        if print_info:
            print(found)
        if add:
            missing = [one.element for one in found.missing]
            seen = [one for one in elements if one not in found.unseen]
            self._put(add, missing, elements, seen, stray)
        return found

    def _put(
        self,
        add: str,
        missing: list[str],
        elements: list[str],
        seen: list[str],
        stray: list[str],
    ) -> None:
        """Write what is missing, and leave out elements that no model can have."""
        wanted = [*seen, *missing] if add == "sample" else seen
        with AllOrNothing(self):
            if wanted and wanted != elements:
                self.set_elements(wanted)
            if add == "stray" and missing:
                self.set_analysis_parameters(stray_elements=[*stray, *missing])

    def suggest_elements(
        self,
        add: str | None = None,
        signal_mask: Any = None,
        print_info: bool = True,
    ) -> Suggestions:
        """Name elements that are missing or superfluous: `identify_elements` in short.

        Parameters
        ----------
        add
            "sample" or "stray", see `identify_elements`.
        signal_mask
            True where channels are left out.
        print_info
            Print the names with the lines that speak for them.

        Returns
        -------
        espm_hs.analysis.Suggestions
        """
        return self.identify_elements(
            add, signal_mask=signal_mask, print_info=print_info
        )

    def _model_of_any_elements(self) -> SpectrumModel:
        """Return the model, of an element that its axis shows instead of its own."""
        energy = reader.energy_axis(self.axes_manager.signal_axes[0])
        beam = reader.read("beam_energy", *self._trees)
        # without a beam energy the model says what is needed
        some = any_element(energy, beam) if beam else "Si"
        # it would absorb as what the sample is not
        none = {"elements": [some], "stray_elements": [], **self._UNABSORBED}
        return self.physical_model(**none)

    def _summed(self) -> np.ndarray:
        """Sum the counts of each channel over the whole map."""
        return summed_spectrum(self.data)
