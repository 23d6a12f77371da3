"""The signal classes: HyperSpy's and eXSpy's interface to the analysis."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping, Sequence

import hyperspy.api as hs
import numpy as np
from exspy.signals import EDSTEMSpectrum, LazyEDSTEMSpectrum
from exspy.utils.eds import take_off_angle
from hyperspy.external.progressbar import progressbar
from sklearn.exceptions import ConvergenceWarning

from espm_hs import analysis, simulation
from espm_hs.analysis.parameters import (
    EDS,
    NODE,
    check_calibration,
    check_stray,
    detector_angles,
)
from espm_hs.composition import RESULTS, Quantification
from espm_hs.factorization import summed_spectrum
from espm_hs.known import arrays_of
from espm_hs.masks import used_channels, used_pixels
from espm_hs.model_map import ModelOfMap
from espm_hs.model_selection import ModelSelection
from espm_hs.physics import Detector, SpectrumModel

__all__ = ["EDSespmSpectrum", "LazyEDSespmSpectrum"]


class EDSespmSpectrum(ModelSelection, Quantification, ModelOfMap, EDSTEMSpectrum):
    """EDS spectra from an electron microscope, to be decomposed with physics.

    Everything that `exspy.signals.EDSTEMSpectrum` offers, and
    ``decomposition(algorithm="espm")``, which finds phases whose spectra obey the
    X-ray physics that the metadata describe, and `quantify`, which tells what the
    phases are made of.
    """

    _signal_type = "EDS_espm"

    def _set_default_param(self):
        super()._set_default_param()
        # eXSpy writes its own type here at every construction
        self.metadata.Signal.signal_type = self._signal_type

    def _get_line_energy(self, Xray_line, FWHM_MnKa=None):
        # eXSpy looks the resolution up for its own signal types only
        if isinstance(FWHM_MnKa, str) and FWHM_MnKa == "auto":
            FWHM_MnKa = self.metadata.get_item(f"{EDS}.energy_resolution_MnKa")
        return super()._get_line_energy(Xray_line, FWHM_MnKa)

    def get_take_off_angle(self) -> float:
        """Take-off angle in degrees, from stage tilts and detector position.

        See Also
        --------
        exspy.utils.eds.take_off_angle
        """
        return take_off_angle(*detector_angles(self.metadata))

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
    ) -> None:
        """Write what the physical model needs to the metadata.

        What is not given keeps its value.

        Parameters
        ----------
        thickness
            Thickness of the sample in nm. With ``density`` it switches on the
            correction for absorption in the sample.
        density
            Mean density of the sample in g/cm3.
        stray_elements
            Elements of grid, holder, column and contamination. They are fitted, one
            column for each family of lines, and never quantified.
        split_lines
            Element -> which of its lines count for the composition: "families" (one
            column per family), an energy in keV (lines above it count, those below
            are free), or None (all lines in one column).
        detector
            Name of a preset such as "windowless", or an `espm_hs.physics.Detector`, or
            a dictionary of its parameters. The resolution that the last two state
            becomes ``energy_resolution_MnKa`` of `set_microscope_parameters`.
        line_factors
            Family of lines, such as "Fe_K" -> factor on its emission, 1 being the
            atomic data; `espm_hs.physics.line_factors_from_kfactors` makes them from
            k-factors.
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

        Raises
        ------
        ValueError, TypeError
            If a value makes no sense; nothing is written then.

        Examples
        --------
        >>> s.set_analysis_parameters(thickness=100, density=4.5, stray_elements=["Cu"])
        >>> s.metadata.Sample.thickness, s.metadata.Sample.thickness_units
        (100.0, 'nm')
        """
        given = analysis.check_parameters(
            thickness=thickness,
            density=density,
            stray_elements=stray_elements,
            split_lines=split_lines,
            detector=detector,
            line_factors=line_factors,
            minimum_energy=minimum_energy,
            take_off_angle=take_off_angle,
            extra_spectra=extra_spectra,
            solid_angle=solid_angle,
            live_time_pixels=self._pixels_of(live_time_of),
        )
        check_stray(self.metadata, given.get(f"{NODE}.stray_elements", ()))
        analysis.write_parameters(self.metadata, given)

    def edit_analysis_parameters(self, display: bool = True, toolkit=None):
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

    def pick_elements(self, display: bool = True, toolkit=None):
        """Open a periodic table to pick elements of the sample and stray ones.

        The same by calls: `set_elements`, and `set_analysis_parameters` with
        ``stray_elements``.

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

    def mask_channels(self, *ranges: tuple[float, float], plot: bool | None = None):
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
        known = {"pixel": 1, "map": max(1, self.axes_manager.navigation_size)}
        if live_time_of not in known:
            raise ValueError(
                f"`live_time_of` must be one of {tuple(known)}, got {live_time_of!r}."
            )
        return known[live_time_of]

    def physical_model(self, **overrides) -> SpectrumModel:
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
        axis = self.axes_manager.signal_axes[0]
        return analysis.build_model(self.metadata, axis, **overrides)

    def refine_calibration(
        self,
        parameters: Sequence[str] = analysis.CALIBRATED,
        signal_mask=None,
        plot: bool = False,
        print_info: bool = True,
    ) -> analysis.Calibration:
        """Fit energy scale and peak width to the summed spectrum.

        On success the energy axis, the resolution and the detector in the metadata are
        set, and, where the noise peak reaches above it, the energy from which spectra
        are fitted.

        Parameters
        ----------
        parameters
            What to fit, among "offset" and "gain" of the axis, "noise" (the part of the
            peak width that is not statistics), "fano_factor", "low_energy_shift" and
            "mass_thickness".
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
        check_calibration(self.metadata, parameters)
        model = self.physical_model()
        channels = used_channels(self, signal_mask)
        spectrum = self._summed()
        found = analysis.calibrate(model, spectrum, parameters, channels)
        items = analysis.calibrated_parameters(self.metadata, found)
        items[f"{NODE}.calibration"] = analysis.calibration_record(found)
        axis = self.axes_manager.signal_axes[0]
        unit = 1.0 if str(axis.units).lower() == "kev" else 1e3
        first, second = found.after.energy[:2]
        axis.offset, axis.scale = float(first) * unit, float(second - first) * unit
        analysis.write_parameters(self.metadata, items)
        if print_info:
            print(found)
        if plot:
            from espm_hs import plotting

            plotting.plot_calibration(found, spectrum)
        return found

    def suggest_elements(
        self, add: bool = False, signal_mask=None, print_info: bool = True
    ) -> analysis.Suggestions:
        """Name elements that the summed spectrum shows and the model lacks.

        Large misfits hide small ones: add what is named, calibrate, and ask again.

        Parameters
        ----------
        add
            Add the missing elements to the stray elements; else nothing is changed.
        signal_mask
            True where channels are left out.
        print_info
            Print the suggestions with the lines that speak for them.

        Returns
        -------
        espm_hs.analysis.Suggestions
            Also of elements of the model of which nothing is seen.
        """
        found = analysis.suggest(
            self.physical_model(), self._summed(), used_channels(self, signal_mask)
        )
        if print_info:
            print(found)
        if add and found.missing:
            stray = analysis.stray_elements(self.metadata)
            self.set_analysis_parameters(
                stray_elements=[*stray, *(one.element for one in found.missing)]
            )
        return found

    def _summed(self) -> np.ndarray:
        """Sum the counts of each channel over the whole map."""
        return summed_spectrum(self.data)

    def decomposition(self, *args, algorithm="SVD", **kwargs):
        """Decompose the map into components.

        ``algorithm="espm"`` finds phases under the physical model of the metadata [1]_;
        the arguments below are for it. Every other algorithm goes to eXSpy and HyperSpy
        with all its arguments as they are; its results replace the phases, which
        `quantify` then no longer knows.

        Parameters
        ----------
        algorithm : str or object
            "espm", or any of HyperSpy's.
        output_dimension : int
            Number of phases, those that are known among them.
        sparsity : float or "auto", default 1.0
            Strength of ``sum(log(1 + share / 0.01))`` over phases and pixels, the share
            being that of the phase in the counts of the pixel: says that a pixel
            holds few phases. 0 by default where the components are elements. "auto"
            takes another strength if counts that are set aside are predicted better by
            it: a check, as how far phases are mixed does not show in them.
        smoothness : float or "auto", default "auto"
            Strength of the penalty on differences between neighbouring pixels. It acts
            on the maps of the phases, which are found without it. "auto" sets a fifth
            of the counts aside and takes the strength with which maps of the others
            predict them best; 0 leaves every pixel to itself.
        simplex : {"elements", "abundances", None}, default "elements"
            What adds up to 1: the element fractions of each phase, or the abundances
            of each pixel (for a sample of even thickness), or neither.
        known_phases : dict or "elements"
            What is known: name or number of a phase -> any of

            - ``"absent"``: list of elements that it does not have, also stray ones;
            - ``"composition"``: {element: atomic fraction} to keep; what is missing to
              1 is left to the other elements;
            - ``"ratio"``: such as ``{"Fe/O": 3 / 4}``, ratio of their atoms;
            - ``"spectrum"``: signal or array over the channels of the map, of which the
              composition is that of the phase;
            - ``"map"``: boolean image or array, of the shape of ``s.data`` without the
              energy axis, True where the phase may be.

            For example ``{"core": {"composition": {"Fe": 0.16, "Pt": 0.84}}}``. Phases
            that are named get the lowest numbers, in the order given; the others are
            found freely. "elements" makes a component of each element and one of the
            background: maps of elements instead of phases.
        fixed_composition : dict
            Phase number -> {element: atomic fraction} to keep, for example
            ``{0: {"Si": 0.0}, 2: {"Fe": 0.16, "Pt": 0.84}}``: the same as
            ``"composition"`` in ``known_phases``.
        solver : {"auto", "newton", "mu"}, default "auto"
            Newton's method, multiplicative updates, or the first without penalties
            and the second with them, as it keeps to the optimum near the start.
        binning : "auto" or int, default "auto"
            Find the phases in the sums of so many pixels along each axis, and map them
            in full resolution: noise of the maps then is not mistaken for differences
            of the phases. "auto" bins until there are 300 counts in a pixel, down to
            256 pixels; 1 does not bin. What `estimate_binning` finds is for maps that
            you bin, not for this.
        init : str or tuple, default "nndsvd"
            Start: "nndsvd", "pure", "random", or arrays ``(W, H)``, either of which
            may be None; "previous" goes on from the phases of the last decomposition,
            also one that was loaded, of which the map was a part, or that had other
            elements.
        n_init : int, default 4
            Number of starts, the best of which is kept: "nndsvd", "pure", and random
            ones.
        max_iter : int, default 1000
            Largest number of iterations of each start.
        tol : float, default 1e-4
            A start ends when the objective, which is in nats, is expected to fall by
            less than ``tol`` for each free number of the model.
        random_state : int or numpy.random.Generator, default 0
            Seed.
        n_jobs : int, default -1
            Number of threads, -1 for all cores. Results do not depend on it.
        show_progressbar : bool
            None for HyperSpy's preference.
        navigation_mask : bool array or signal or float
            True where pixels are left out, in HyperSpy's conventions; a number is
            eXSpy's threshold of vacuum. None uses all pixels.
        signal_mask : bool array or signal
            True where channels are left out. Channels below 0.15 keV and above the
            beam energy always are.
        normalize_poissonian_noise : bool
            Has no effect: Poisson noise is part of the model.
        return_info : bool, default False
            Return the `espm_hs.analysis.PhaseAnalysis`.
        print_info : bool, default True
            Print a summary.

        Returns
        -------
        espm_hs.analysis.PhaseAnalysis or None
            If ``return_info``, else None.

        Raises
        ------
        ValueError, TypeError
            If something is missing or makes no sense; signal and metadata are then as
            they were.

        Warns
        -----
        sklearn.exceptions.ConvergenceWarning
            If the iterations ended before ``tol`` was met.

        Notes
        -----
        ``learning_results.factors`` holds the spectra of the phases and ``loadings``
        their maps: counts per pixel and spectra of sum 1, or, with
        ``simplex="abundances"``, shares and the spectra of pure pixels.

        References
        ----------
        .. [1] A. Teurtrie et al., Mach. Learn.: Sci. Technol. 5 (2024),
           doi:10.1088/2632-2153/ad9192
        """
        if isinstance(algorithm, str) and algorithm == "espm":
            if args:
                raise TypeError(
                    "With algorithm='espm' all arguments are given by name, for "
                    "example `s.decomposition(algorithm='espm', output_dimension=3)`."
                )
            _check_options(kwargs)
            return self._decompose_phases(**kwargs)
        info = super().decomposition(*args, algorithm=algorithm, **kwargs)
        if self.metadata.has_item(RESULTS):
            # the maps of these phases are gone
            del self.metadata.EDS_espm.results
        return info

    def _decompose_phases(
        self,
        output_dimension=None,
        *,
        sparsity=None,
        smoothness="auto",
        simplex="elements",
        known_phases=None,
        fixed_composition=None,
        solver="auto",
        binning="auto",
        init="nndsvd",
        n_init=4,
        max_iter=1000,
        tol=1e-4,
        random_state=0,
        n_jobs=-1,
        show_progressbar=None,
        navigation_mask=None,
        signal_mask=None,
        return_info=False,
        print_info=True,
        normalize_poissonian_noise=True,
    ):
        if sparsity is None:  # there is a little of many elements in every pixel
            sparsity = 0.0 if analysis.are_elements(known_phases) else 1.0
        model = self.physical_model()
        pixels = used_pixels(self, navigation_mask)
        channels = used_channels(self, signal_mask)
        if isinstance(init, str) and init == "previous":
            output_dimension, start = self._previous_start(
                output_dimension, model, pixels
            )
        else:
            start = init
        if show_progressbar is None:
            show_progressbar = hs.preferences.General.show_progressbar
        options = {
            "sparsity": sparsity,
            "smoothness": smoothness,
            "simplex": simplex,
            "known_phases": arrays_of(self, known_phases),
            "fixed_composition": fixed_composition,
            "pixel_size": _pixel_size(self),
            "binning": binning,
            "solver": solver,
            "n_init": n_init,
            "max_iter": max_iter,
            "tol": tol,
            "random_state": random_state,
        }
        # one bar for all starts: it goes back to the beginning with each
        bar = progressbar(total=max_iter, disable=not show_progressbar, desc="espm")

        def advance(n_iter, objective):
            bar.update(n_iter - bar.n)
            bar.set_postfix(F=f"{objective:.6g}", refresh=False)

        try:
            found = analysis.decompose(
                self.data,
                model,
                output_dimension,
                pixels=pixels,
                channels=channels,
                init=start,
                n_jobs=n_jobs,
                callback=advance,
                **options,
            )
        finally:
            bar.close()
        self._store(found, pixels, options | {"init": init})
        if not found.converged and not found.interrupted:
            warnings.warn(
                f"The fit did not converge in {found.n_iter} iterations. Raise "
                f"`max_iter` (now {max_iter}) or `tol` (now {tol:g}).",
                ConvergenceWarning,
                stacklevel=3,
            )
        if print_info:
            print(found)
        return found if return_info else None

    def _previous_start(self, n_phases, model, pixels):
        """Return the number of phases and the start of a fit that goes on."""
        found = self.analysis_results()
        if n_phases not in (None, found.n_phases):
            raise ValueError(
                f"`output_dimension` is {n_phases}, but the previous decomposition has "
                f"{found.n_phases} phases: leave it out, or choose another `init`."
            )
        try:
            loadings = self._loadings(found)
        except RuntimeError:  # a part of the map knows the phases only
            loadings = None
        if loadings is not None and pixels is not None:
            loadings = loadings[pixels]
        return found.n_phases, analysis.previous_start(found, model, loadings)

    def _store(self, found: analysis.PhaseAnalysis, pixels, options) -> None:
        """Fill learning_results as HyperSpy does, and keep the rest in metadata."""
        navigation = self.data.shape[:-1]
        self.learning_results.__dict__.update(
            factors=found.spectra,
            loadings=found.loadings,
            decomposition_algorithm="espm",
            output_dimension=found.n_phases,
            poissonian_noise_normalized=False,
            explained_variance=None,
            explained_variance_ratio=None,
            number_significant_components=None,
            mean=None,
            centre=None,
            unmixing_matrix=None,
            bss_algorithm=None,
            unfolded=len(navigation) > 1,
            original_shape=np.array(self.data.shape),
            navigation_mask=None if pixels is None else ~pixels.reshape(navigation),
            signal_mask=None if found.channels.all() else ~found.channels,
        )
        stored = found.to_dict() | analysis.provenance(options)
        analysis.write_parameters(self.metadata, {RESULTS: stored})

    def ground_truth(self) -> simulation.GroundTruth:
        """Return what a simulated map was made from.

        Raises
        ------
        ValueError
            If the map is not a simulated one, or was cut or binned since.

        See Also
        --------
        espm_hs.simulation
        """
        return simulation.ground_truth(self)

    def get_decomposition_loadings(self):
        """Return the decomposition loadings as a signal.

        As HyperSpy does, and for a single spectrum, too.

        Returns
        -------
        hyperspy.api.signals.BaseSignal
        """
        loadings = self.learning_results.loadings
        if loadings is None or self.axes_manager.navigation_dimension > 0:
            return super().get_decomposition_loadings()
        signal = hs.signals.BaseSignal(np.ravel(loadings))
        signal.metadata.General.title = (
            f"Decomposition loadings of {self.metadata.General.title}"
        )
        return signal

    def plot_phases(self):
        """Plot map, spectrum and composition of each phase.

        Returns
        -------
        matplotlib.figure.Figure
        """
        from espm_hs import plotting

        return plotting.plot_phases(self)

    def plot_fit(self, where=None, parts: str = "phases", log: bool | None = None):
        """Plot a summed spectrum with its model, what that consists of, and residuals.

        Parameters
        ----------
        where
            A position, (x, y) as in `inav`; or a boolean image or array of the shape of
            ``s.data`` without the energy axis, True in the pixels to sum. None: all.
        parts
            What to draw of the model: "phases", or "elements" with the stray ones.
        log
            Logarithmic counts; None: where small peaks call for it.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        RuntimeError
            If there is no espm decomposition of this signal.
        ValueError
            If ``where`` holds no fitted pixel or ``parts`` is neither.

        Examples
        --------
        >>> s.decomposition(algorithm="espm", output_dimension=3, print_info=False)
        >>> figure = s.plot_fit((9, 10), parts="elements")  # one pixel
        >>> figure = s.plot_fit(s.sum("Energy").data > 100)  # bright ones
        """
        from espm_hs import plotting

        return plotting.plot_fit(self, where, parts, log)

    def plot_fit_of_region(self, parts: str = "phases"):
        """Plot the map with a region to move, and the fit of the spectrum in it.

        Parameters
        ----------
        parts
            As in `plot_fit`.

        Returns
        -------
        matplotlib.figure.Figure
            Of the fit; its ``roi``, a rectangle or a span of `hyperspy.api.roi`, can
            be moved by its numbers, too.

        Raises
        ------
        RuntimeError
            If there is no espm decomposition of this signal.
        ValueError
            If it has not one or two navigation axes.
        """
        from espm_hs import plotting

        return plotting.plot_fit_of_region(self, parts)

    def plot_composition(
        self,
        units: str = "atomic",
        elements: Sequence[str] | None = None,
        oxygen: str | Mapping[str, float] = "measured",
    ):
        """Plot a map of each element in percent.

        Parameters
        ----------
        units, elements, oxygen
            As in `quantify`.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        RuntimeError, ValueError
            As `quantify`.
        """
        from espm_hs import plotting

        return plotting.plot_composition(self, units, elements, oxygen)

    def plot_convergence(self):
        """Plot how the objective fell during the fit.

        Returns
        -------
        matplotlib.figure.Figure
        """
        from espm_hs import plotting

        return plotting.plot_convergence(self)

    def plot_residuals(self):
        """Plot the residuals, scaled by their significance, by channel and by pixel.

        Returns
        -------
        matplotlib.figure.Figure
        """
        from espm_hs import plotting

        return plotting.plot_residuals(self)


class LazyEDSespmSpectrum(EDSespmSpectrum, LazyEDSTEMSpectrum):
    """The lazy twin of `EDSespmSpectrum`.

    ``decomposition(algorithm="espm")`` reads the map chunk by chunk into compact sparse
    counts, which are kept for as long as the map is there. Phases and their maps are in
    memory; the model of the map, and what is computed for each pixel, are lazy.
    """


def _check_options(given) -> None:
    """Raise TypeError for options that ``algorithm="espm"`` does not have."""
    known = list(inspect.signature(EDSespmSpectrum._decompose_phases).parameters)[1:]
    if unknown := [f"`{name}`" for name in given if name not in known]:
        raise TypeError(
            f"`decomposition(algorithm='espm')` does not know {', '.join(unknown)}. "
            f"Its options are {', '.join(known)}; it takes none of other algorithms."
        )


def _pixel_size(signal) -> tuple[float, ...] | None:
    """Step of each navigation axis, in array order; None where they do not compare."""
    axes = signal.axes_manager.navigation_axes[::-1]
    steps = tuple(float(getattr(axis, "scale", 0.0)) for axis in axes)
    same_unit = len({str(axis.units) for axis in axes}) == 1
    return steps if same_unit and all(steps) else None
