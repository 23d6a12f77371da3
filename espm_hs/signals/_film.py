"""What only films have, a thickness and atoms per area: methods of the signals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from exspy.signals import EDSSpectrum
from hyperspy.signals import BaseSignal

from espm_hs.arguments import check_choice
from espm_hs.calibration.standards import film_thickness
from espm_hs.metadata import reader
from espm_hs.metadata.schema import NODE
from espm_hs.physics import Detector
from espm_hs.physics.xray.kfactors import KFactorTable
from espm_hs.physics.xray.line_factors import LineFactors
from espm_hs.quantification.areal_density import (
    areal_densities,
    check_thickness,
    mass_thicknesses,
    nm_per_mass,
)
from espm_hs.quantification.percent_with_errors import Basis
from espm_hs.signals._preparation import Preparation
from espm_hs.signals._quantification import (
    Quantification,
    check_target,
    phase_axis,
    signal_of,
    signals_of,
)


class FilmPreparation(Preparation):
    """Parameters and standards of films; part of `EDSespmSpectrum`."""

    def set_analysis_parameters(
        self,
        thickness: float | None = None,
        density: float | None = None,
        stray_elements: Sequence[str] | None = None,
        split_lines: Mapping | None = None,
        detector: str | Detector | Mapping | None = None,
        line_factors: Mapping[str, float] | None = None,
        minimum_energy: float | None = None,
        take_off_angle: float | Sequence[float] | None = None,
        extra_spectra: Mapping[str, np.ndarray] | None = None,
        solid_angle: float | None = None,
        live_time_of: str | None = None,
        thickness_error: float | None = None,
        mass_thickness: float | str | None = None,
        pile_up: bool | float | str | None = None,
    ) -> None:
        """Write what the physical model needs to the metadata.

        What is not given keeps its value.

        Parameters
        ----------
        thickness
            Thickness of the sample in nm. With ``density`` each phase absorbs by its
            own composition. Where it is never set, amounts are the mean over films of
            77 nm, within a factor of 2.
        density
            Mean density of the sample in g/cm3.
        stray_elements
            Elements of grid, holder, column and contamination. They are fitted, one
            column for each family of lines, and never quantified. Those among elements
            of the sample that the program of the file has guessed leave the sample.
        split_lines
            Element -> which of its lines count for the composition: "families" (one
            column per family), an energy in keV (lines above it count, those below
            are free), or None (all lines in one column). Without an entry, L lines of
            P to Ga and M lines of Ge to Yb are free where others are in range.
        detector
            Name of a preset such as "windowless", or an `espm_hs.physics.Detector`, or
            a dictionary of its parameters. The resolution that the last two state
            becomes ``energy_resolution_MnKa`` of `set_microscope_parameters`.
        line_factors
            Family of lines, such as "Fe_K" -> factor on its emission, 1 being the
            atomic data; `espm_hs.physics.line_factors_from_kfactors` makes them from
            k-factors. Standards, see `calibrate_line_factors`, are forgotten.
        minimum_energy
            Energy in keV from which spectra are fitted (0.15 if never set).
        take_off_angle
            Take-off angle in degrees, or one for each of several detectors, whose
            absorption factors are averaged. It takes the place of the one that stage
            tilt and detector position give.
        extra_spectra
            Label -> spectrum over the channels, for a background of your own: a column
            beside the bremsstrahlung, never quantified.
        solid_angle
            Of the detector in sr. With beam current and live time it gives amounts per
            area.
        live_time_of
            "pixel" or "map": what the live time in the metadata is the time of.
        thickness_error
            Relative standard error of the thickness (0.2 if never set), for the errors.
        mass_thickness
            In kg/m2, where no thickness is set: 0 for no absorption. "fit": what lines
            and edges of the summed spectrum say, within its error, whatever is set.
        pile_up
            Whether sum peaks have a column of their own, never quantified. A number is
            the pulse-pair resolution of the detector in ns: there is a column if, at
            the count rate, it makes the peaks higher than 3 standard deviations of the
            counts under them, and the spectrum shows them. "auto", if never set: the
            same with 200 ns where the file has a live or real time, else none.

        Raises
        ------
        ValueError, TypeError
            If a value makes no sense; nothing is written then.

        Warns
        -----
        UserWarning
            If stray elements leave the sample.

        Examples
        --------
        >>> s.set_analysis_parameters(thickness=100, density=4.5, stray_elements=["Cu"])
        >>> s.metadata.Sample.thickness, s.metadata.Sample.thickness_units
        (100.0, 'nm')
        """
        self._set_parameters(
            live_time_of,
            thickness=thickness,
            density=density,
            thickness_error=thickness_error,
            mass_thickness=mass_thickness,
            stray_elements=stray_elements,
            split_lines=split_lines,
            detector=detector,
            line_factors=line_factors,
            minimum_energy=minimum_energy,
            take_off_angle=take_off_angle,
            extra_spectra=extra_spectra,
            solid_angle=solid_angle,
            pile_up=pile_up,
        )

    def calibrate_line_factors(
        self,
        standard: EDSSpectrum | Mapping[str, float] | KFactorTable,
        composition: Mapping[str, float] | str | None = None,
        *,
        thickness: float | None = None,
        density: float | None = None,
        mass_thickness: float | None = None,
        thickness_error: float | None = None,
        composition_error: float | Mapping[str, float] | None = None,
        method: str = "CL",
        error: float | None = None,
        calibration: str = "auto",
        add: bool = True,
        print_info: bool = True,
    ) -> LineFactors:
        """Measure factors on the emission of lines, or take those of others.

        A film of known composition, measured with the same beam energy and detector,
        shows how many counts an atom of each element gives. For its families of lines
        that takes the place of atomic data and of the efficiency of the detector, in
        values and errors. Decompose after it; results that are there stay.

        Parameters
        ----------
        standard
            Spectrum or map of the film, of this signal type, whose metadata say what a
            decomposition needs. Or factors by line, such as ``{"Fe_Ka": 1.3}``, or what
            `espm_hs.physics.read_kfactors` returns.
        composition
            Of the film: atoms by element, in any unit, or a formula such as "SrTiO3".
        thickness, density, mass_thickness, thickness_error
            Of the film (nm, g/cm3, kg/m2, relative), in place of its metadata.
        composition_error
            Relative standard error of the atoms of each element, or by element; None:
            it is exact.
        method
            "CL" or "zeta", as in eXSpy: what the numbers of a mapping are, k-factors by
            weight or zeta factors in kg/m2.
        error
            Relative standard error of the numbers of a mapping. None: they are known as
            well as atomic data.
        calibration
            As in `decomposition`, for the fit of the film.
        add
            To the standards that there are; a second call with the same counts, or with
            factors of the same lines, replaces the first. Else only this one counts.
        print_info
            Print the factors.

        Returns
        -------
        espm_hs.analysis.LineFactors
            Factors, k-factors and zeta factors with their errors, from all standards.

        Raises
        ------
        ValueError, TypeError
            If the standard is of another beam energy or detector, lacks an element of
            its metadata in the composition or has too few counts of one, or an argument
            makes no sense; nothing is changed then.

        Warns
        -----
        UserWarning
            If standards disagree by more than three standard errors.

        Notes
        -----
        Where current and live time of the film and its thickness are known, the factors
        are zeta factors, and the solid angle that they imply goes to the metadata.
        """
        sample: dict[str, Any] = {
            "composition": composition,
            "composition_error": composition_error,
            "thickness": thickness,
            "density": density,
            "mass_thickness": mass_thickness,
            "thickness_error": thickness_error,
        }
        how = method, error, calibration, add
        return self._calibrated_line_factors(standard, sample, *how, print_info)

    def _of_sample(self, **known: float | None) -> dict[str, Any]:
        return film_thickness(**known)


class FilmQuantification(Quantification):
    """Amounts per area; part of `EDSespmSpectrum`."""

    def estimate_areal_densities(
        self,
        elements: Sequence[str] | None = None,
        oxygen: str | Mapping[str, float] = "measured",
    ) -> list[BaseSignal]:
        """Atoms of each element per area, in each pixel.

        Beam current, live time, what that is the time of, and solid angle must be
        known: see `set_analysis_parameters`.

        Parameters
        ----------
        elements, oxygen
            As in `quantify`.

        Returns
        -------
        list of hyperspy.api.signals.BaseSignal
            Atoms per nm2, one map for each element, with the variance that the counts
            imply (for phases taken as known).

        Raises
        ------
        RuntimeError, ValueError
            As `quantify`; and if the dose is not known.
        """
        found, dose = self.analysis_results(), reader.dose(*self._trees)
        symbols, per_loading = areal_densities(
            found, dose, Basis("atomic", elements, oxygen)
        )
        maps = self._amount_maps(found, per_loading)
        return signals_of("atoms per nm2 of", self._map_axes(), symbols, *maps)

    def estimate_mass_thickness(
        self,
        target: str = "pixels",
        method: str | None = None,
        elements: Sequence[str] | None = None,
        oxygen: str | Mapping[str, float] = "measured",
        calibration: str = "auto",
    ) -> BaseSignal:
        """Mass thickness in kg/m2, from the dose or from absorption alone.

        Parameters
        ----------
        target
            "pixels" for a map; "phases" for a map of what each phase contributes.
        method
            "dose": atoms per area times their masses; beam current, live time, what
            that is the time of, and solid angle must be known. "absorption": from the
            summed spectrum, in which the sample absorbs some lines more than others;
            one number for the whole map. None: "dose" if that is known.
        elements, oxygen
            As in `quantify`: what has mass. Elements that cannot be seen, like
            hydrogen, are missed. Not for "absorption".
        calibration
            As in `decomposition`, for "absorption".

        Returns
        -------
        hyperspy.api.signals.BaseSignal
            A map; maps along an axis "Phase"; or a single value. The variance is that
            of the counts. The single value is the median of what a prior, 77 nm within
            a factor of 2, and the spectrum allow; ``metadata.EDS_espm.interval`` holds
            95 % of it, and twice the root of the variance reaches to the upper end.

        Raises
        ------
        RuntimeError, ValueError
            As `quantify`; and if the dose is not known, or, for the absorption, the
            take-off angle.

        Warns
        -----
        UserWarning
            If the dose speaks for another thickness, by more than a factor of two, than
            the thickness and density that are set.

        Notes
        -----
        Absorption is seen in elements with lines of very different energies in one
        column: set ``split_lines={"Fe": None}`` where the L lines are reliable. What it
        shows of an uneven foil is the mean weighted by the photons, i.e. by the
        thickness itself where little is absorbed.
        """
        check_target(target)
        check_choice("method", method, ("dose", "absorption", None))
        refinement = self._refinement(calibration)
        if method is None:
            method = "dose" if reader.has_dose(*self._trees) else "absorption"
        if method == "dose":
            return self._thickness(target, Basis("weight", elements, oxygen))
        found = self._fitted_mass_thickness(refinement, self._summed())
        axes = [{"name": "Map", "size": 1, "navigate": True}]
        value, error = np.array([found.value]), np.array([found.error])
        signal = signal_of("Mass thickness", axes, value, error**2)
        signal.metadata.add_dictionary({NODE: {"interval": [found.low, found.high]}})
        return signal

    def estimate_thickness(
        self,
        density: float | Sequence[float] | None = None,
        target: str = "pixels",
        elements: Sequence[str] | None = None,
        oxygen: str | Mapping[str, float] = "measured",
    ) -> BaseSignal:
        """Thickness in nm, from the dose.

        Parameters
        ----------
        density
            g/cm3, of the sample or of each phase. None: that of the metadata.
        target, elements, oxygen
            As in `estimate_mass_thickness`.

        Returns
        -------
        hyperspy.api.signals.BaseSignal
            Map of the thickness, or of the part of each phase in it.

        Raises
        ------
        RuntimeError, ValueError
            As `estimate_mass_thickness`; and if there is no density.
        """
        check_target(target)
        if density is None:
            density = reader.density(self.metadata)
        if density is None:
            raise ValueError(
                "A thickness needs a density. Give it, "
                "`s.estimate_thickness(density=...)` (g/cm3, a number or one for each "
                "phase), or set it with `s.set_analysis_parameters(density=...)`."
            )
        return self._thickness(target, Basis("weight", elements, oxygen), density)

    def _thickness(
        self,
        target: str,
        basis: Basis,
        density: float | Sequence[float] | None = None,
    ) -> BaseSignal:
        """Mass thickness in kg/m2, or, with a density, thickness in nm."""
        found, dose = self.analysis_results(), reader.dose(*self._trees)
        mass = mass_thicknesses(found, dose, basis)
        check_thickness(found.model, self._kept_loadings(found) @ mass)
        title, per_loading, axes = "Mass thickness", mass, self._map_axes()
        if density is not None:
            title = "Thickness"
            per_loading = mass * nm_per_mass(density, found.n_phases)
        if target == "phases":
            axes = [*phase_axis(found), *axes]
            return signal_of(
                title, axes, *self._amount_maps(found, np.diag(per_loading))
            )
        pair = self._amount_maps(found, per_loading[None, :])
        return signal_of(title, axes, *(one[0] for one in pair))
