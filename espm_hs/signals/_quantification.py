"""What the phases are made of, and how much of it there is: methods of the signals."""

import contextlib
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import dask.array as da
import numpy as np
from exspy.signals import EDSSpectrum
from hyperspy.signals import BaseSignal

from espm_hs.arguments import check_choice, check_flag, check_number
from espm_hs.decomposition.regions import fit_regions
from espm_hs.decomposition.result import PhaseAnalysis
from espm_hs.metadata import reader
from espm_hs.metadata.reader import item
from espm_hs.metadata.schema import NODE, RESULTS
from espm_hs.metadata.writer import read_options
from espm_hs.quantification.bootstrap import replicates
from espm_hs.quantification.percent_with_errors import (
    Basis,
    nothing_found,
    to_percent,
)
from espm_hs.quantification.phase_names import (
    NONE,
    Choice,
    PhaseNames,
    name_phases,
)
from espm_hs.quantification.pixels import (
    Array,
    check_channels,
    pixel_amounts,
    pixel_composition,
    within,
)
from espm_hs.quantification.regions import (
    FITS,
    Regions,
    Totals,
    composition_of_phases_in_regions,
    composition_of_spectra,
    report_of_regions,
    shares_of_phases,
)
from espm_hs.quantification.report import Report, report
from espm_hs.signals._masks import shown_progress
from espm_hs.signals._regions import (
    chosen_regions,
    follow,
    profile_regions,
    region_map,
    rois_of,
)


class Quantification(EDSSpectrum):
    """Turns the phases of a decomposition into numbers; part of `EDSespmSpectrum`."""

    def analysis_results(self) -> PhaseAnalysis:
        """Return the phases that the last espm decomposition found.

        Raises
        ------
        RuntimeError
            If there was none.
        ValueError
            If another version of the package stored them, or a part is missing.
        """
        return PhaseAnalysis.from_dict(self._results())

    def _results(self) -> Mapping:
        """Return what the last espm decomposition stored."""
        stored = item(self.metadata, RESULTS)
        if stored is None:
            raise RuntimeError(
                "There are no phases yet. Find them with "
                "`s.decomposition(algorithm='espm', output_dimension=...)`."
            )
        if not isinstance(stored, Mapping):
            raise ValueError(
                f"{RESULTS} in the metadata is {stored!r}, where phases are stored. "
                "Find them again with `s.decomposition(algorithm='espm', "
                "output_dimension=...)`."
            )
        return stored

    def quantify(
        self,
        target: str = "phases",
        units: str = "atomic",
        elements: Sequence[str] | None = None,
        oxygen: str | Mapping[str, float] = "measured",
        roi: Any = None,
        mask: Any = None,
        roi_fit: str = "spectrum",
        interactive: bool = False,
    ) -> list[BaseSignal]:
        """Composition of the phases, of each pixel or of regions, in percent.

        Parameters
        ----------
        target
            "phases" or "pixels"; with a region, "pixels" are those inside.
        units
            "atomic", "weight", or "oxide" for the mass of the oxides of the elements,
            whose valences are the usual ones but for those that ``oxygen`` gives.
        elements
            Elements that make up 100 %. None: all that were decomposed.
        oxygen
            "measured"; "stoichiometry" for as much oxygen as the usual valences of the
            other elements bind, whether it was measured or not; or a mapping of
            valences that differ from the usual ones, such as ``{"Fe": 3}``.
        roi
            Regions to quantify in place of the phases: a ROI of HyperSpy (rectangle,
            circle, polygon, line); a boolean image or signal of the shape of ``s.data``
            without the energy axis, True inside; a label map of integers, below 0 where
            there is no region; or a mapping of names to ROIs and images.
        mask
            A boolean image, signal or ROI, True in pixels that are left out; alone, the
            rest of the map is the region.
        roi_fit
            "spectrum" fits the summed spectrum of each region by itself, with the model
            of the result; "phases" adds up the phases that the maps have there.
        interactive
            Whether the signals follow the ROIs when these are moved: their data change
            and ``events.data_changed`` is triggered.

        Returns
        -------
        list of hyperspy.api.signals.BaseSignal
            One for each element, of shape (n_phases,) or of the shape of the map, with
            the variance in ``metadata.Signal.Noise_properties.variance``. That of the
            phases is the inverse Fisher information with the abundances profiled out,
            and the bias; that of pixels takes the phases as known. The pixels of a lazy
            map are lazy. NaN where there are no atoms, in a phase of background alone
            or a pixel without counts. With regions the shape is (n_regions,), and
            their names are in ``metadata.EDS_espm.regions``.

        Raises
        ------
        RuntimeError
            If there is no espm decomposition of this signal, or, for pixels, the data
            have been transposed, cropped or changed since.
        ValueError
            If an argument is unknown, an element is named twice, or an element has no
            usual valence and none is given; if a region has no pixel of the map, or is
            to be followed and is no ROI.

        Examples
        --------
        >>> import hyperspy.api as hs
        >>> grain = hs.roi.CircleROI(12.0, 12.0, 4.0)
        >>> of_each = s.quantify(roi={"grain": grain, "left": s.data.sum(-1) > 100})
        >>> of_each[0].data.shape
        (2,)
        """
        check_target(target)
        check_choice("roi_fit", roi_fit, FITS)
        check_flag("interactive", interactive)
        found = self.analysis_results()
        basis = Basis(units, elements, oxygen)
        if interactive and not rois_of(roi):
            raise ValueError(
                f"`interactive` needs a ROI of HyperSpy to follow, and `roi` is "
                f"{roi!r:.60}. Give one, such as `hs.roi.CircleROI(10.0, 10.0, 3.0)`."
            )
        if roi is not None or mask is not None:

            def quantified() -> list[BaseSignal]:
                names, regions = chosen_regions(self, roi, mask)
                if target == "pixels":
                    return self._pixels_inside(found, basis, regions)
                axes = _region_axis(names)
                return self._of_regions(found, basis, names, regions, roi_fit, axes)

            signals = quantified()
            for line in self._changed_since(found):
                warnings.warn(line, UserWarning, stacklevel=2)
            if interactive:
                follow(rois_of(roi), signals, quantified)
            return signals
        for line in (*self._not_of_now(found), *nothing_found(found, basis)):
            warnings.warn(line, UserWarning, stacklevel=2)
        if target == "phases":
            return signals_of(
                f"{units} percent of", phase_axis(found), *to_percent(found, basis)
            )
        return self._pixels_inside(found, basis)

    def _pixels_inside(
        self, found: PhaseAnalysis, basis: Basis, regions: Regions | None = None
    ) -> list[BaseSignal]:
        """Return maps of percent, of the whole map or the pixels of regions."""
        loadings = self._kept_loadings(found)
        symbols, *maps = pixel_composition(
            found, self.data, loadings, basis, self._lazy_maps
        )
        if regions is not None:
            maps = [within(one, regions.used) for one in maps]
        values, variances = maps
        what = f"{basis.units} percent of"
        return signals_of(what, self._map_axes(), symbols, values, variances)

    def _of_regions(
        self,
        found: PhaseAnalysis,
        basis: Basis,
        names: Sequence[str],
        regions: Regions,
        roi_fit: str,
        axes: list[dict[str, Any]],
    ) -> list[BaseSignal]:
        """Return the composition of regions along an axis."""
        if roi_fit == "phases":
            totals = Totals.of(found, self._loadings(found), regions)
            numbers = composition_of_phases_in_regions(found, totals, basis)
        else:
            analyses = self._regions_by_themselves(found, names, regions)
            numbers = composition_of_spectra(analyses, found.elements, basis)
        return signals_of(f"{basis.units} percent of", axes, *numbers, regions=names)

    def _regions_by_themselves(
        self, found: PhaseAnalysis, names: Sequence[str], regions: Regions
    ) -> list[PhaseAnalysis | None]:
        """Fit the summed spectrum of each region with the model of a result."""
        check_channels(found, self.data)
        fitted = None
        with contextlib.suppress(RuntimeError):  # a part of the map has no maps
            fitted = ~np.isnan(self._kept_loadings(found)).any(axis=1)
        spectra = regions.spectra(self.data, found.channels, fitted)
        return fit_regions(found.model, found.channels, spectra, names)

    def phase_shares(self, roi: Any = None, mask: Any = None) -> list[BaseSignal]:
        """Share of each phase in the counts of the map, or of regions, in percent.

        Parameters
        ----------
        roi, mask
            As in `quantify`; with neither, the whole map is one region.

        Returns
        -------
        list of hyperspy.api.signals.BaseSignal
            One for each phase, of shape (n_regions,), with the variance that the noise
            of the counts makes for phases taken as known. NaN in a region without
            counts.

        Raises
        ------
        RuntimeError
            If there is no espm decomposition of this signal, or the data have been
            transposed, cropped or changed since.
        ValueError
            If a region makes no sense, or has no pixel.
        """
        found = self.analysis_results()
        names, regions = chosen_regions(self, roi, mask)
        totals = Totals.of(found, self._loadings(found), regions)
        return self._shares(found, totals, _region_axis(names), names)

    def quantify_profile(
        self,
        line: Any = None,
        width: float | None = None,
        target: str = "elements",
        units: str = "atomic",
        elements: Sequence[str] | None = None,
        oxygen: str | Mapping[str, float] = "measured",
        roi_fit: str = "spectrum",
        step: float | None = None,
    ) -> list[BaseSignal]:
        """Composition, or the shares of the phases, along a line, in percent.

        The line is divided into steps. Each pixel belongs to the step that its centre
        is nearest to, so that no count is used twice and the errors of the steps are
        independent.

        Parameters
        ----------
        line
            `hyperspy.api.roi.Line2DROI`, or two points, ``((x, y), (x, y))``, in the
            units of the axes. Of a line scan two numbers or a
            `hyperspy.api.roi.SpanROI`; None for all of it.
        width
            Across the line, in the units of the axes. None: that of the ROI, and at
            least the diagonal of a pixel, with which no step is without a pixel.
        target
            "elements" for percent of each element, "phases" for the share of each phase
            in the counts, percent.
        units, elements, oxygen, roi_fit
            As in `quantify`; for "elements".
        step
            Along the line, in the units of the axes. None: the longest side of a pixel.

        Returns
        -------
        list of hyperspy.api.signals.BaseSignal
            One for each element or phase, along an axis "Distance", with the variance
            in ``metadata.Signal.Noise_properties.variance``. NaN in steps without
            counts.

        Raises
        ------
        RuntimeError
            As `quantify`.
        ValueError
            If an argument makes no sense, or no pixel is near the line.

        Examples
        --------
        >>> profile = s.quantify_profile(((4.0, 4.0), (40.0, 20.0)), width=6.0)
        >>> profile[0].axes_manager[0].name
        'Distance'
        """
        check_choice("target", target, ("elements", "phases"))
        check_choice("roi_fit", roi_fit, FITS)
        found = self.analysis_results()
        basis = Basis(units, elements, oxygen)
        basis.of(found.elements)  # before anything is fitted
        regions, axis = profile_regions(self, line, width, step)
        names = [f"{axis['scale'] * i:g}" for i in range(axis["size"])]
        if target == "phases":
            totals = Totals.of(found, self._loadings(found), regions)
            return self._shares(found, totals, [axis], names)
        return self._of_regions(found, basis, names, regions, roi_fit, [axis])

    @staticmethod
    def _shares(
        found: PhaseAnalysis,
        totals: Totals,
        axes: list[dict[str, Any]],
        names: Sequence[str],
    ) -> list[BaseSignal]:
        """Share of each phase in the counts, along an axis."""
        parts = zip(found.labels, *shares_of_phases(found, totals), strict=True)
        return [
            signal_of(f"share of {label}", axes, share, variance, regions=names)
            for label, share, variance in parts
        ]

    def identify_phases(
        self,
        database: Any = "all",
        regions: Any = None,
        elements: Sequence[str] | None = None,
        oxygen: str = "auto",
        prior: str | Mapping[str, float] | None = None,
        none: float = NONE,
        mixtures: bool = True,
        rename: bool = False,
    ) -> PhaseNames:
        """Names for the phases, or for regions, with their probabilities.

        Parameters
        ----------
        database
            "minerals", "compounds" (materials of electron microscopy), "all" of both;
            the path of a CSV file with a column ``formula`` and, if wanted, ``name``
            and ``weight``; a list of formulas such as ``["(Mg,Fe)O", "SiO2"]``; or a
            mapping of names to formulas. See `espm_hs.compounds.read_compounds`.
        regions
            What is named in place of the phases: a label map, integers of the shape of
            ``s.data`` without the energy axis, below 0 where there is no region; a
            boolean image; a HyperSpy ROI; or a mapping of names to images and ROIs.
        elements
            Elements that are compared, the others may be there as well. None: all that
            were decomposed.
        oxygen
            "auto" leaves oxygen out of the comparison where its error exceeds 10 at.%
            and other elements remain; "measured" compares it, "ignore" does not.
        prior
            None: all compounds are as likely beforehand. "frequency": common minerals
            are ten times as likely as others. Or relative weights by name, such as
            ``{"quartz": 5}``.
        none
            Probability beforehand that it is none of the database.
        mixtures
            Whether a phase may be a mixture of two compounds.
        rename
            Whether phases without a name get the one that is more probable than all
            others together; tables and figures then show it, see `rename_phases`.

        Returns
        -------
        espm_hs.quantification.phase_names.PhaseNames
            A table of names with ``matches``, ``names`` and `to_dataframe`.

        Raises
        ------
        RuntimeError
            As `quantify`; and for regions if the maps of the phases are gone.
        ValueError, TypeError, OSError
            If an argument makes no sense, or a file cannot be read.

        Notes
        -----
        The composition is compared with its full covariance: counting, bias, atomic
        data, absorption and detector. Elements without a line in the range, such as H
        and Li, are not compared.

        Examples
        --------
        >>> s.identify_phases("minerals")  # doctest: +SKIP
        >>> s.identify_phases(["(Mg,Fe)O"], rename=True)  # doctest: +SKIP
        """
        check_flag("rename", rename)
        if rename and regions is not None:
            raise ValueError(
                "`rename` names phases, and `regions` are none. Leave them out, or "
                "make a phase of a region first, `s.split_phase(region)`."
            )
        found = self.analysis_results()
        choice = Choice(database, elements, oxygen, prior, none, mixtures)
        if regions is None:
            names = name_phases(found, choice)
        else:
            some, loadings = region_map(self, regions), self._loadings(found)
            names = name_phases(found, choice, some, loadings)
        if rename:
            self._name(names.for_unnamed(found.knowledge.names))
        return names

    def bootstrap_quantification(
        self,
        n: int = 50,
        units: str = "atomic",
        elements: Sequence[str] | None = None,
        oxygen: str | Mapping[str, float] = "measured",
        random_state: int = 0,
        n_jobs: int = -1,
        show_progressbar: bool | None = None,
    ) -> list[BaseSignal]:
        """Composition of the phases in simulated repetitions of the measurement.

        A parametric bootstrap, to check the errors that `quantify` states: counts are
        drawn from the fitted model and decomposed with the options of the fit, from
        where it stood. It takes as long as ``n`` fits.

        Parameters
        ----------
        n
            Number of repetitions.
        units, elements, oxygen
            As in `quantify`.
        random_state
            Seed of the counts.
        n_jobs
            Number of threads.
        show_progressbar
            None for HyperSpy's preference.

        Returns
        -------
        list of hyperspy.api.signals.BaseSignal
            One for each element, percent, with axes "Phase" and "Repetition":
            ``[q.std("Repetition") for q in ...]`` are the errors, and the mean less
            `quantify` is the bias that the fit has on data like its own model.

        Raises
        ------
        RuntimeError, ValueError
            As `quantify`.
        """
        check_number("n", n, 2, whole=True)
        found, basis = self.analysis_results(), Basis(units, elements, oxygen)
        repetitions = replicates(
            found,
            self._loadings(found),
            self.data.shape[:-1],
            n,
            read_options(self._results().get("options")),
            random_state=random_state,
            n_jobs=n_jobs,
        )
        with shown_progress(show_progressbar, "repetitions"):
            tables = [to_percent(one, basis) for one in repetitions]
        axes = [
            *phase_axis(found),
            {"name": "Repetition", "size": n, "navigate": True},
        ]
        percent = np.stack([table[1] for table in tables], axis=2)
        return signals_of(f"{units} percent of", axes, tables[0][0], percent)

    def print_quantification(
        self,
        units: str = "atomic",
        elements: Sequence[str] | None = None,
        oxygen: str | Mapping[str, float] = "measured",
        line_errors: Mapping[str, float] | None = None,
        roi: Any = None,
        mask: Any = None,
    ) -> Report:
        """Print the composition of the phases, or of regions, with all errors.

        Parameters
        ----------
        units, elements, oxygen
            As in `quantify`.
        line_errors
            Family of lines ("K", "L", "M") or element -> relative standard uncertainty
            of its emission, in place of how tables of atomic data differ.
        roi, mask
            As in `quantify`: regions in the place of the phases, the summed spectrum of
            each being fitted by itself.

        Returns
        -------
        espm_hs.analysis.Report
            The same, with `entries` and `to_dataframe`; printed it is the table again.

        Raises
        ------
        RuntimeError, ValueError
            As `quantify`.
        """
        found = self.analysis_results()
        basis = Basis(units, elements, oxygen)
        if roi is None and mask is None:
            table = report(found, basis, line_errors, self._remarks(found))
        else:
            names, regions = chosen_regions(self, roi, mask)
            analyses = self._regions_by_themselves(found, names, regions)
            remarks = self._changed_since(found)
            table = report_of_regions(analyses, names, basis, line_errors, remarks)
        return table.show()

    def _remarks(self, found: PhaseAnalysis) -> list[str]:
        """Return what tables say of the phases that the result does not know."""
        remarks = self._not_of_now(found)
        if program := reader.guessed_by("elements", *self._trees):
            remarks.append(
                f"The elements are a guess of {program}: ask which ones the spectrum "
                "shows, `s.identify_elements()`."
            )
        return remarks

    def _not_of_now(self, found: PhaseAnalysis) -> list[str]:
        """Say so where the phases are not those of this signal as it is now."""
        remarks = []
        try:
            self._kept_loadings(found)
        except RuntimeError:
            n_pixels, counts, _ = found.fingerprint
            remarks.append(
                f"These are the phases of the whole map that was decomposed, with "
                f"{n_pixels:.0f} pixels and {counts:.0f} counts, and not of this "
                "signal. Its own: `s.decomposition(algorithm='espm', init='previous')`."
            )
        return [*remarks, *self._changed_since(found)]

    def _changed_since(self, found: PhaseAnalysis) -> list[str]:
        """Say so where parameters of the model are others than those of a result."""
        axis = self.axes_manager[-1]
        if names := reader.changed(found.model, axis, *self._trees):
            return [
                f"This is the result of before: {', '.join(names)} changed since the "
                "decomposition. Decompose again, `s.decomposition(algorithm='espm', "
                "init='previous')`."
            ]
        return []

    def _amount_maps(
        self, found: PhaseAnalysis, per_loading: np.ndarray
    ) -> tuple[Array, Array]:
        """Amounts and variances, shaped as the map, for each row of per_loading."""
        loadings = self._kept_loadings(found)
        return pixel_amounts(found, self.data, loadings, per_loading, self._lazy_maps)

    @property
    def _lazy_maps(self) -> bool:
        """Whether maps of this signal are lazy; a single spectrum has none."""
        return self._lazy and self.axes_manager.navigation_dimension > 0

    def _map_axes(self) -> list[dict[str, Any]]:
        """Navigation axes, in array order."""
        return [
            {**axis.get_axis_dictionary(), "navigate": True}
            for axis in reversed(self.axes_manager.navigation_axes)
        ]


def check_target(target: str) -> None:
    """Raise ValueError for a target that is not known."""
    check_choice("target", target, ("phases", "pixels"))


def phase_axis(found: PhaseAnalysis) -> list[dict[str, Any]]:
    """Axis of signals that have a number for each phase."""
    return [{"name": "Phase", "size": found.n_phases, "navigate": True}]


def _region_axis(names: Sequence[str]) -> list[dict[str, Any]]:
    """Axis of signals that have a number for each region."""
    return [{"name": "Region", "size": len(names), "navigate": True}]


def signals_of(
    what: str,
    axes: list[dict[str, Any]],
    symbols: Sequence[str],
    values: Array,
    variances: Array | None = None,
    regions: Sequence[str] | None = None,
) -> list[BaseSignal]:
    """One signal with its variance for each element."""
    spread = [None] * len(symbols) if variances is None else variances
    return [
        signal_of(f"{what} {symbol}", axes, one, variance, _element(symbol), regions)
        for symbol, one, variance in zip(symbols, values, spread, strict=True)
    ]


def _element(formula: str) -> str:
    """Return the element of an oxide, which stands first, or of itself."""
    return formula[:2] if formula[1:2].islower() else formula[:1]


def signal_of(
    title: str,
    axes: list[dict[str, Any]],
    values: Array,
    variance: Array | None = None,
    element: str | None = None,
    regions: Sequence[str] | None = None,
) -> BaseSignal:
    """One signal with its variance, titled and tagged as eXSpy's are."""
    metadata: dict[str, Any] = {"General": {"title": title}}
    if element is not None:
        metadata["Sample"] = {"elements": [element]}
    if regions is not None:
        metadata[NODE] = {"regions": list(regions)}
    signal = BaseSignal(values, axes=axes, metadata=metadata)
    if isinstance(values, da.Array):
        signal = signal.as_lazy()
    if variance is not None:
        signal.set_noise_variance(signal_of(f"Variance of {title}", axes, variance))
    return signal
