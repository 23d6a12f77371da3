"""Maps of elements without phases: methods of the signal classes."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import numpy as np
from exspy.signals import EDSSpectrum

from espm_hs import plotting
from espm_hs.arguments import check_choice, check_number, did_you_mean
from espm_hs.plotting.look import Look, takes_look
from espm_hs.quantification.net_counts import net_counts
from espm_hs.signals._masks import shown_progress, used_channels, used_pixels
from espm_hs.signals._quantification import signals_of

if TYPE_CHECKING:
    from hyperspy.signals import BaseSignal
    from matplotlib.figure import Figure

SHOWN = ("counts", "significance")


class ElementMaps(EDSSpectrum):
    """Maps net counts of elements; part of `EDSespmSpectrum`."""

    _map_axes: Any
    _model_to_fit: Any
    _refinement: Any

    def net_counts(
        self,
        *,
        least_significance: float = 0.0,
        smoothness: float | str = 0.0,
        calibration: str = "auto",
        navigation_mask: Any = None,
        signal_mask: Any = None,
        n_jobs: int = -1,
        show_progressbar: bool | None = None,
    ) -> list[BaseSignal]:
        """Return the net counts of each element in each pixel, without phases.

        The model of the spectra is fitted to every pixel, with the emission of each
        element and the background as components: overlapping lines and the background
        are separated, and no phase need be known. The result of a decomposition stays
        as it is.

        Parameters
        ----------
        least_significance
            Pixels where the counts of an element are fewer than so many standard errors
            are NaN; 0 keeps all.
        smoothness
            Of the maps, as in `decomposition`. 0: every pixel by itself.
        calibration, navigation_mask, signal_mask, n_jobs, show_progressbar
            As in `decomposition`.

        Returns
        -------
        list of hyperspy.api.signals.BaseSignal
            Counts of each element, stray ones included, of the shape of the map, with
            the variance in ``metadata.Signal.Noise_properties.variance``: that of the
            noise of the counts, overlaps and background included.

        Raises
        ------
        ValueError, TypeError
            If an argument makes no sense, or the metadata lack what the model needs.

        See Also
        --------
        plot_elements

        Examples
        --------
        >>> maps = s.net_counts(least_significance=3, show_progressbar=False)
        >>> maps[0].metadata.General.title
        'net counts of Fe'
        """
        check_number("least_significance", least_significance, 0)
        refinement = self._refinement(calibration)
        model = self._model_to_fit(refinement)
        pixels = used_pixels(self, navigation_mask)
        n_pixels = (
            int(np.prod(self.data.shape[:-1])) if pixels is None else pixels.sum()
        )
        least = len({column.element for column in model.columns})
        if n_pixels < least:
            raise ValueError(
                f"Net counts of {least - 1} elements and the background need {least} "
                f"pixels, and there are {n_pixels}. Of one spectrum, decompose it and "
                "call `s.plot_fit(parts='elements')`."
            )
        channels = used_channels(self, signal_mask)
        with shown_progress(show_progressbar, "net counts"):
            found = net_counts(
                self.data,
                model,
                smoothness,
                n_jobs=n_jobs,
                pixels=pixels,
                channels=channels,
                refinement=refinement,
            )
        counts = found.counts
        if least_significance > 0:
            hidden = counts < least_significance * np.sqrt(found.variance)
            counts = np.where(hidden, np.nan, counts)
        axes = self._map_axes()
        return signals_of("net counts of", axes, found.elements, counts, found.variance)

    @takes_look("ax", "cmap", "figsize")
    def plot_elements(
        self,
        show: str = "counts",
        *,
        least_significance: float = 0.0,
        look: Look,
        **options: Any,
    ) -> Figure:
        """Plot maps of the net counts of each element, without phases.

        Parameters
        ----------
        show
            "counts"; or "significance", counts in standard errors of their own.
        least_significance
            Pixels with fewer standard errors are grey; 0 shows all.
        {look}
        **options
            Of `net_counts`.

        Returns
        -------
        matplotlib.figure.Figure
            The element of each map is told with its counts in the whole map.

        Raises
        ------
        ValueError, TypeError
            As `net_counts`.

        Examples
        --------
        >>> figure = s.plot_elements(least_significance=3, show_progressbar=False)
        """
        check_choice("show", show, SHOWN)
        check_number("least_significance", least_significance, 0)
        known = [*inspect.signature(self.net_counts).parameters]
        if unknown := [name for name in options if name not in known]:
            hint = did_you_mean(unknown[0], known)
            raise TypeError(f"`net_counts` has no option `{unknown[0]}`.{hint}")
        maps = self.net_counts(**options)
        return plotting.plot_elements(self, maps, show, least_significance, look=look)
