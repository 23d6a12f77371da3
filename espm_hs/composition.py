"""What the phases are made of: methods of the signal classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import hyperspy.api as hs
import numpy as np

from espm_hs import analysis
from espm_hs.analysis.parameters import NODE

RESULTS = f"{NODE}.results"


class Quantification:
    """Turns the phases of a decomposition into numbers; part of `EDSespmSpectrum`."""

    def analysis_results(self) -> analysis.PhaseAnalysis:
        """Return the phases that the last espm decomposition found.

        Raises
        ------
        RuntimeError
            If there was none.
        ValueError
            If another version of the package stored them.
        """
        stored = self.metadata.get_item(RESULTS)
        if stored is None:
            raise RuntimeError(
                "There are no phases yet. Find them with "
                "`s.decomposition(algorithm='espm', output_dimension=...)`."
            )
        return analysis.PhaseAnalysis.from_dict(stored.as_dictionary())

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
            that of pixels takes the phases as known.

        Raises
        ------
        RuntimeError
            If there is no espm decomposition of this signal, or, for pixels, the data
            have been transposed, cropped or changed since.
        ValueError
            If an argument is unknown, an element is named twice, or an element has no
            usual valence and none is given.
        """
        if target not in ("phases", "pixels"):
            raise ValueError(f"`target` must be 'phases' or 'pixels', got {target!r}.")
        found = self.analysis_results()
        if target == "phases":
            symbols, percent, variance = analysis.to_percent(
                found, units, elements, oxygen
            )
            axes = [{"name": "Phase", "size": found.n_phases, "navigate": True}]
            shape = (found.n_phases,)
        else:
            n_pixels = int(np.prod(self.data.shape[:-1]))
            loadings = analysis.stored_loadings(
                self.learning_results, n_pixels, found.n_phases
            )
            symbols, percent, variance = analysis.pixel_composition(
                found, self.data, loadings, units, elements, oxygen
            )
            axes = [
                {**axis.get_axis_dictionary(), "navigate": True}
                for axis in reversed(self.axes_manager.navigation_axes)
            ]
            shape = self.data.shape[:-1] or (1,)
        title = f"{units} percent of {{}}"
        return [
            _composition_signal(
                title.format(symbol), symbol, p.reshape(shape), v.reshape(shape), axes
            )
            for symbol, p, v in zip(symbols, percent, variance, strict=True)
        ]


def _composition_signal(title, symbol, percent, variance, axes):
    """One composition signal, titled and tagged as eXSpy's are."""
    signal = hs.signals.BaseSignal(percent, axes=axes)
    signal.metadata.General.title = title
    signal.metadata.set_item("Sample.elements", [symbol])
    spread = hs.signals.BaseSignal(variance, axes=axes)
    spread.metadata.General.title = f"Variance of {title}"
    signal.set_noise_variance(spread)
    return signal
