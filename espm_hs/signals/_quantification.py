"""What the phases are made of: methods of the signal classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import hyperspy.api as hs
import numpy as np
from hyperspy.external.progressbar import progressbar

from espm_hs.arguments import check_number
from espm_hs.decomposition.result import PhaseAnalysis, stored_loadings
from espm_hs.metadata.provenance import read_options
from espm_hs.metadata.reader import item
from espm_hs.metadata.schema import RESULTS
from espm_hs.quantification.bootstrap import replicates
from espm_hs.quantification.composition import pixel_composition, to_percent
from espm_hs.quantification.report import Report, report
from espm_hs.signals._tagged import check_target, phase_axis, tagged, with_variance


class Quantification:
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

    def _results(self) -> dict:
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
    ) -> list:
        """Composition of the phases or of each pixel, in percent.

        Parameters
        ----------
        target
            "phases" or "pixels".
        units
            "atomic" or "weight".
        elements
            Elements that make up 100 %. None: all that were decomposed.
        oxygen
            "measured"; "stoichiometry" for as much oxygen as the usual valences of the
            other elements bind, whether it was measured or not; or a mapping of
            valences that differ from the usual ones, such as ``{"Fe": 3}``.

        Returns
        -------
        list of hyperspy.api.signals.BaseSignal
            One for each element, of shape (n_phases,) or of the shape of the map, with
            the variance in ``metadata.Signal.Noise_properties.variance``. That of the
            phases is the inverse Fisher information with the abundances profiled out;
            that of pixels takes the phases as known. The pixels of a lazy map are lazy.
            NaN where there are no atoms, in a phase of background alone or a pixel
            without counts.

        Raises
        ------
        RuntimeError
            If there is no espm decomposition of this signal, or, for pixels, the data
            have been transposed, cropped or changed since.
        ValueError
            If an argument is unknown, an element is named twice, or an element has no
            usual valence and none is given.
        """
        check_target(target)
        found = self.analysis_results()
        if target == "phases":
            symbols, percent, variance = to_percent(found, units, elements, oxygen)
            axes, shape = phase_axis(found), (found.n_phases,)
        else:
            symbols, percent, variance = pixel_composition(
                found,
                self.data,
                self._loadings(found),
                units,
                elements,
                oxygen,
                lazy=self._lazy_maps,
            )
            axes, shape = self._map_axes(), self.data.shape[:-1] or (1,)
        title = f"{units} percent of {{}}"
        return [
            with_variance(
                title.format(symbol), p.reshape(shape), v.reshape(shape), axes, [symbol]
            )
            for symbol, p, v in zip(symbols, percent, variance, strict=True)
        ]

    def bootstrap_quantification(
        self,
        n: int = 50,
        units: str = "atomic",
        elements: Sequence[str] | None = None,
        oxygen: str | Mapping[str, float] = "measured",
        random_state: int = 0,
        n_jobs: int = -1,
        show_progressbar: bool | None = None,
    ) -> list:
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
        found = self.analysis_results()
        options = read_options(self._results().get("options"))
        repetitions = replicates(
            found,
            self._loadings(found),
            self.data.shape[:-1],
            n,
            options,
            random_state=random_state,
            n_jobs=n_jobs,
        )
        if show_progressbar is None:
            show_progressbar = hs.preferences.General.show_progressbar
        bar = progressbar(repetitions, total=n, disable=not show_progressbar)
        tables = [to_percent(one, units, elements, oxygen) for one in bar]
        axes = [
            *phase_axis(found),
            {"name": "Repetition", "size": n, "navigate": True},
        ]
        signals = []
        for i, symbol in enumerate(tables[0][0]):
            percent = np.stack([table[1][i] for table in tables], axis=1)
            title = f"{units} percent of {symbol}"
            signals.append(tagged(title, percent, axes, [symbol]))
        return signals

    def print_quantification(
        self,
        units: str = "atomic",
        elements: Sequence[str] | None = None,
        oxygen: str | Mapping[str, float] = "measured",
        line_errors: Mapping[str, float] | None = None,
    ) -> Report:
        """Print the composition of the phases with all errors.

        Parameters
        ----------
        units, elements, oxygen
            As in `quantify`.
        line_errors
            Family of lines ("K", "L", "M") or element -> relative uncertainty of its
            line data, in place of 3, 10 and 15 %.

        Returns
        -------
        espm_hs.analysis.Report
            The same, with `entries` and `to_dataframe`; a table in notebooks.

        Raises
        ------
        RuntimeError, ValueError
            As `quantify`.
        """
        found = self.analysis_results()
        table = report(found, units, elements, oxygen, line_errors)
        print(table)
        return table

    def _loadings(self, found):
        """Return the loadings, which must be those of this signal."""
        n_pixels = int(np.prod(self.data.shape[:-1]))
        return stored_loadings(self.learning_results, n_pixels, found.n_phases)

    @property
    def _lazy_maps(self) -> bool:
        """Whether maps of this signal are lazy; a single spectrum has none."""
        return self._lazy and self.axes_manager.navigation_dimension > 0

    def _map_axes(self) -> list[dict]:
        """Navigation axes, in array order."""
        return [
            {**axis.get_axis_dictionary(), "navigate": True}
            for axis in reversed(self.axes_manager.navigation_axes)
        ]
