"""What is said of bulk samples, and measured with them; methods of the signals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from exspy.signals import EDSSEMSpectrum, EDSSpectrum
from hyperspy.signals import BaseSignal

from espm_hs.calibration.pile_up import sum_peak_share
from espm_hs.metadata import reader
from espm_hs.metadata.schema import SEM, TEM
from espm_hs.metadata.writer import AllOrNothing, check_parameters, write_parameters
from espm_hs.physics import Detector, SpectrumModel
from espm_hs.physics.xray.kfactors import KFactorTable
from espm_hs.physics.xray.line_factors import LineFactors
from espm_hs.quantification.areal_density import mass_totals, mean_totals
from espm_hs.quantification.coating import coating_thicknesses
from espm_hs.quantification.percent_with_errors import Basis
from espm_hs.signals._preparation import Preparation
from espm_hs.signals._quantification import (
    Quantification,
    check_target,
    phase_axis,
    signal_of,
)

# Arguments of a model that do not depend on what the sample is.
_OF_ANY_SAMPLE = "detector", "minimum_energy", "background"


class BulkPreparation(Preparation, EDSSEMSpectrum):
    """Parameters and standards of bulk samples; part of `EDSespmSEMSpectrum`."""

    _SAMPLE = "sample"
    _UNABSORBED: Mapping[str, None] = {}

    def _model_of_any_elements(self) -> SpectrumModel:
        """Return the model of a film: a bulk sample would absorb as what it is not."""
        bulk = super()._model_of_any_elements()
        kept = {name: getattr(bulk, name) for name in _OF_ANY_SAMPLE}
        return SpectrumModel(bulk.energy, bulk.beam_energy, bulk.elements, **kept)

    def set_analysis_parameters(
        self,
        stray_elements: Sequence[str] | None = None,
        split_lines: Mapping | None = None,
        detector: str | Detector | Mapping | None = None,
        line_factors: Mapping[str, float] | None = None,
        minimum_energy: float | None = None,
        take_off_angle: float | Sequence[float] | None = None,
        extra_spectra: Mapping[str, np.ndarray] | None = None,
        solid_angle: float | None = None,
        live_time_of: str | None = None,
        coating: str | tuple[str, float] | None = None,
        pile_up: bool | float | str | None = None,
    ) -> None:
        """Write what the physical model of a bulk sample needs to the metadata.

        What is not given keeps its value.

        Parameters
        ----------
        stray_elements, split_lines, line_factors, minimum_energy, take_off_angle
            As for thin films, see `EDSespmSpectrum.set_analysis_parameters`. The lines
            of a coating are those of a stray element.
        extra_spectra, solid_angle, live_time_of, pile_up
            As there.
        detector
            As there; "polymer_window" where it is never set, with up to 0.06 µm of
            carbon in front of it that nobody knows of.
        coating
            Layer that makes the surface conduct, material and thickness in nm:
            "C 15 nm", ("Au", 10), or "none". Where it is never set, amounts are the
            mean over coatings of 0 to 20 nm of carbon.

        Raises
        ------
        ValueError, TypeError
            If a value makes no sense; nothing is written then.

        Examples
        --------
        >>> s.set_analysis_parameters(coating="C 15 nm")  # doctest: +SKIP
        """
        self._set_parameters(
            live_time_of,
            stray_elements=stray_elements,
            split_lines=split_lines,
            detector=detector,
            line_factors=line_factors,
            minimum_energy=minimum_energy,
            take_off_angle=take_off_angle,
            extra_spectra=extra_spectra,
            solid_angle=solid_angle,
            coating=coating,
            pile_up=pile_up,
        )

    def set_microscope_parameters(
        self,
        *args: Any,
        beam_current: float | None = None,
        real_time: float | None = None,
        **kwargs: Any,
    ) -> Any:
        """Set what is known of the microscope; as eXSpy, and what it has for TEM alone.

        Parameters
        ----------
        *args, **kwargs
            As `exspy.signals.EDSSEMSpectrum.set_microscope_parameters` takes them.
        beam_current
            nA.
        real_time
            s.
        """
        given = check_parameters(beam_current=beam_current, real_time=real_time)
        with AllOrNothing(self):
            write_parameters(
                self.metadata, {k.replace(TEM, SEM): v for k, v in given.items()}
            )
        if args or kwargs or not given:
            return super().set_microscope_parameters(*args, **kwargs)
        return None

    def calibrate_line_factors(
        self,
        standard: EDSSpectrum | Mapping[str, float] | KFactorTable,
        composition: Mapping[str, float] | str | None = None,
        *,
        composition_error: float | Mapping[str, float] | None = None,
        coating: str | tuple[str, float] | None = None,
        method: str = "CL",
        error: float | None = None,
        calibration: str = "auto",
        add: bool = True,
        print_info: bool = True,
    ) -> LineFactors:
        """Measure factors on the emission of lines with a bulk standard.

        What k-ratios do: a sample of known composition, measured with the same beam
        energy and detector, shows how many counts of each family of lines there are for
        what the model expects, and that takes the place of atomic data and of the
        efficiency of the detector. Where current and live time of standard and sample
        are known, pure elements are standards, too. Decompose after it.

        Parameters
        ----------
        standard
            Spectrum or map of the standard, of this signal type, whose metadata say
            what a decomposition needs. Or factors by line, such as ``{"Fe_Ka": 1.3}``,
            or what `espm_hs.physics.read_kfactors` returns.
        composition
            Of the standard: atoms by element, in any unit, or a formula such as "MgO".
            None: what the file states, as those of NIST do (``##D2STDCMP``).
        composition_error
            Relative standard error of the atoms of each element, or by element; None:
            it is exact.
        coating
            Of the standard, in place of its metadata.
        method, error, calibration, add, print_info
            As for thin films, see `EDSespmSpectrum.calibrate_line_factors`.

        Returns
        -------
        espm_hs.analysis.LineFactors
            Factors with their errors, from all standards. Its zeta factors are those of
            a film of 1 kg/m2.

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
        """
        sample: dict[str, Any] = {
            "composition": composition,
            "composition_error": composition_error,
            "coating": coating,
        }
        how = method, error, calibration, add
        return self._calibrated_line_factors(standard, sample, *how, print_info)


class BulkQuantification(Quantification):
    """The total as a check; part of `EDSespmSEMSpectrum`."""

    def estimate_coating(self) -> BaseSignal:
        """Thickness of the carbon on each phase, from C K, which is a stray element.

        Returns
        -------
        hyperspy.api.signals.BaseSignal
            nm, with the variance by counts, atomic data of carbon and the window.

        Raises
        ------
        RuntimeError, ValueError
            If there is no decomposition, or carbon is not a stray element in it.

        Examples
        --------
        >>> s.set_analysis_parameters(stray_elements=["C"])  # doctest: +SKIP
        >>> s.decomposition(algorithm="espm", output_dimension=2)  # doctest: +SKIP
        >>> s.estimate_coating()  # doctest: +SKIP
        """
        found = self.analysis_results()
        thickness, error = coating_thicknesses(found)
        return signal_of("Coating of carbon", phase_axis(found), thickness, error**2)

    def estimate_mass_total(
        self,
        target: str = "phases",
        elements: Sequence[str] | None = None,
        oxygen: str | Mapping[str, float] = "measured",
    ) -> BaseSignal:
        """Sum of the mass fractions before they are normalised, in percent.

        100 % stands for a sample in which no element is missed, and for a dose that is
        right: beam current, live time, what that is the time of, and solid angle must
        be known. `calibrate_line_factors` finds the solid angle.

        Parameters
        ----------
        target
            "phases" for a number for each, the mean of the pixels weighted by how much
            of it they hold; "pixels" for a map.
        elements, oxygen
            As in `quantify`: what has mass.

        Returns
        -------
        hyperspy.api.signals.BaseSignal
            Percent, with the variance that the counts imply in maps.

        Raises
        ------
        RuntimeError, ValueError
            As `quantify`; and if the dose is not known.
        """
        check_target(target)
        found, n_pixels = self.analysis_results(), self.axes_manager.navigation_size
        metadata, header = self.metadata, self.original_metadata
        dose = reader.dose(metadata, header, n_pixels=n_pixels or 1)
        sums = sum_peak_share(found.model, found.W)
        totals = mass_totals(found, dose, Basis("weight", elements, oxygen), sums)
        title = "Mass total"
        if target == "pixels":
            pair = self._amount_maps(found, totals[None, :])
            return signal_of(title, self._map_axes(), *(one[0] for one in pair))
        mean = mean_totals(totals, self._kept_loadings(found))
        return signal_of(title, phase_axis(found), mean)
