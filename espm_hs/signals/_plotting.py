"""Figures of the results: methods of the signal classes."""

from collections.abc import Mapping, Sequence
from typing import Any

from exspy.signals import EDSSpectrum

from espm_hs import plotting
from espm_hs.plotting.look import Look, takes_look
from espm_hs.signals._regions import without_regions


class Figures(EDSSpectrum):
    """Draws results; part of `EDSespmSpectrum`."""

    @takes_look("ax", "cmap", "energy_range", "figsize", "log")
    def plot_phases(self, *, look: Look):
        """Plot map, spectrum and composition of each phase.

        Parameters
        ----------
        {look}

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        RuntimeError
            If there is no espm decomposition of this signal.
        ValueError
            If a keyword makes no sense.
        """
        return plotting.plot_phases(self, look=look)

    @takes_look("ax", "energy_range", "figsize")
    def plot_fit(
        self,
        where=None,
        parts: str = "phases",
        log: bool | None = None,
        *,
        roi: Any = None,
        look: Look,
    ):
        """Plot a summed spectrum with its model, what that consists of, and residuals.

        Parameters
        ----------
        where
            A position, (x, y) as in `inav`; a ROI of HyperSpy; or a boolean image or
            array of the shape of ``s.data`` without the energy axis, True in the pixels
            to sum. None: all.
        parts
            What to draw of the model: "phases", or "elements" with the stray ones.
        log
            Logarithmic counts; None: where small peaks call for it.
        roi
            The same as ``where``, under the name that regions have in `quantify`.
        {look}

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        RuntimeError
            If there is no espm decomposition of this signal.
        ValueError
            If ``where`` holds no fitted pixel, ``roi`` is given too, or another
            argument makes no sense.

        Examples
        --------
        >>> s.decomposition(algorithm="espm", output_dimension=3, print_info=False)
        >>> figure = s.plot_fit((9, 10), parts="elements")  # one pixel
        >>> figure = s.plot_fit(s.sum("Energy").data > 100)  # bright ones
        """
        if where is not None and roi is not None:
            raise ValueError(
                "`where` and `roi` are two names of one argument: give one of them."
            )
        place = without_regions(self, roi if where is None else where)
        return plotting.plot_fit(self, place, parts, log, look=look)

    @takes_look("energy_range", "figsize", "log")
    def plot_fit_of_region(self, parts: str = "phases", *, look: Look):
        """Plot the map with a region to move, and the fit of the spectrum in it.

        Parameters
        ----------
        parts
            As in `plot_fit`.
        {look}

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
        return plotting.plot_fit_of_region(self, parts, look=look)

    @takes_look("ax", "cmap", "figsize")
    def plot_composition(
        self,
        units: str = "atomic",
        elements: Sequence[str] | None = None,
        oxygen: str | Mapping[str, float] = "measured",
        *,
        look: Look,
    ):
        """Plot a map of each element in percent.

        Parameters
        ----------
        units, elements, oxygen
            As in `quantify`.
        {look}

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        RuntimeError, ValueError
            As `quantify`.
        """
        return plotting.plot_composition(self, units, elements, oxygen, look=look)

    @takes_look("ax", "figsize")
    def plot_profile(
        self,
        line=None,
        width: float | None = None,
        units: str = "atomic",
        elements: Sequence[str] | None = None,
        oxygen: str | Mapping[str, float] = "measured",
        roi_fit: str = "spectrum",
        step: float | None = None,
        *,
        look: Look,
    ):
        """Plot percent of the elements, and shares of the phases, along a line.

        Parameters
        ----------
        line, width, units, elements, oxygen, roi_fit, step
            As in `quantify_profile`.
        {look}

        Returns
        -------
        matplotlib.figure.Figure
            Bands are one standard deviation.

        Raises
        ------
        RuntimeError, ValueError
            As `quantify_profile`.
        """
        options = {"elements": elements, "oxygen": oxygen, "roi_fit": roi_fit}
        return plotting.plot_profile(
            self, line, width, units, step=step, look=look, **options
        )

    @takes_look("figsize")
    def plot_composition_of_region(
        self,
        roi=None,
        units: str = "atomic",
        elements: Sequence[str] | None = None,
        oxygen: str | Mapping[str, float] = "measured",
        *,
        look: Look,
    ):
        """Plot the map with a region to move, and what that consists of.

        Parameters
        ----------
        roi
            A ROI of HyperSpy; None: a rectangle in the middle, or a span of a line
            scan.
        units, elements, oxygen
            As in `quantify`.
        {look}

        Returns
        -------
        matplotlib.figure.Figure
            Of percent and of the shares of the phases; they follow the region, which is
            its ``roi``.

        Raises
        ------
        RuntimeError, ValueError
            As `quantify`; ValueError if the signal has not one or two navigation axes.
        """
        return plotting.plot_composition_of_region(
            self, roi, units, elements, oxygen, look=look
        )

    @takes_look("ax", "figsize")
    def plot_convergence(self, *, look: Look):
        """Plot how the objective fell during the fit.

        Parameters
        ----------
        {look}

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        RuntimeError
            If there is no espm decomposition of this signal.
        ValueError
            If a keyword makes no sense.
        """
        return plotting.plot_convergence(self, look=look)

    @takes_look("ax", "cmap", "energy_range", "figsize")
    def plot_residuals(self, *, look: Look):
        """Plot the residuals, scaled by their significance, by channel and by pixel.

        Parameters
        ----------
        {look}

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        RuntimeError
            If there is no espm decomposition of this signal.
        ValueError
            If a keyword makes no sense.
        """
        return plotting.plot_residuals(self, look=look)
