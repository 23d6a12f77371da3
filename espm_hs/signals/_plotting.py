"""Figures of the results: methods of the signal classes."""

from collections.abc import Mapping, Sequence
from typing import Any

from exspy.signals import EDSSpectrum

from espm_hs.signals._regions import without_regions


class Figures(EDSSpectrum):
    """Draws results; part of `EDSespmSpectrum`."""

    def plot_phases(
        self,
        *,
        cmap: Any = None,
        energy_range: tuple[float, float] | None = None,
        figsize: tuple[float, float] | None = None,
    ):
        """Plot map, spectrum and composition of each phase.

        Parameters
        ----------
        cmap
            Colour map, by name or as an object of matplotlib.
        energy_range
            Lowest and highest energy to show, keV. None: up to a little above the
            highest line.
        figsize
            Width and height in inches.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        RuntimeError
            If there is no espm decomposition of this signal.
        ValueError
            If there is no such colour map, or the energies are not two that rise.
        """
        from espm_hs import plotting

        return plotting.plot_phases(
            self, cmap=cmap, energy_range=energy_range, figsize=figsize
        )

    def plot_fit(
        self,
        where=None,
        parts: str = "phases",
        log: bool | None = None,
        *,
        roi: Any = None,
        energy_range: tuple[float, float] | None = None,
        figsize: tuple[float, float] | None = None,
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
        energy_range
            Lowest and highest energy to show, keV. None: up to a little above the
            highest line.
        figsize
            Width and height in inches.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        RuntimeError
            If there is no espm decomposition of this signal.
        ValueError
            If ``where`` holds no fitted pixel, ``roi`` is given too, ``parts`` is
            neither, or the energies are not two that rise.

        Examples
        --------
        >>> s.decomposition(algorithm="espm", output_dimension=3, print_info=False)
        >>> figure = s.plot_fit((9, 10), parts="elements")  # one pixel
        >>> figure = s.plot_fit(s.sum("Energy").data > 100)  # bright ones
        """
        from espm_hs import plotting

        if where is not None and roi is not None:
            raise ValueError(
                "`where` and `roi` are two names of one argument: give one of them."
            )
        place = without_regions(self, roi if where is None else where)
        return plotting.plot_fit(
            self, place, parts, log, energy_range=energy_range, figsize=figsize
        )

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
        *,
        cmap: Any = None,
        figsize: tuple[float, float] | None = None,
    ):
        """Plot a map of each element in percent.

        Parameters
        ----------
        units, elements, oxygen
            As in `quantify`.
        cmap
            Colour map, by name or as an object of matplotlib.
        figsize
            Width and height in inches.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        RuntimeError, ValueError
            As `quantify`.
        """
        from espm_hs import plotting

        return plotting.plot_composition(
            self, units, elements, oxygen, cmap=cmap, figsize=figsize
        )

    def plot_profile(
        self,
        line=None,
        width: float | None = None,
        units: str = "atomic",
        elements: Sequence[str] | None = None,
        oxygen: str | Mapping[str, float] = "measured",
        roi_fit: str = "spectrum",
        step: float | None = None,
    ):
        """Plot percent of the elements, and shares of the phases, along a line.

        Parameters
        ----------
        line, width, units, elements, oxygen, roi_fit, step
            As in `quantify_profile`.

        Returns
        -------
        matplotlib.figure.Figure
            Bands are one standard deviation.

        Raises
        ------
        RuntimeError, ValueError
            As `quantify_profile`.
        """
        from espm_hs import plotting

        options = {"elements": elements, "oxygen": oxygen, "roi_fit": roi_fit}
        return plotting.plot_profile(self, line, width, units, step=step, **options)

    def plot_composition_of_region(
        self,
        roi=None,
        units: str = "atomic",
        elements: Sequence[str] | None = None,
        oxygen: str | Mapping[str, float] = "measured",
    ):
        """Plot the map with a region to move, and what that consists of.

        Parameters
        ----------
        roi
            A ROI of HyperSpy; None: a rectangle in the middle, or a span of a line
            scan.
        units, elements, oxygen
            As in `quantify`.

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
        from espm_hs import plotting

        return plotting.plot_composition_of_region(self, roi, units, elements, oxygen)

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
