"""Which phase each pixel is, handed over to HyperSpy and to other programs."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import hyperspy.api as hs
import numpy as np
from exspy.signals import EDSSpectrum
from hyperspy.signals import BaseSignal, Signal2D

from espm_hs import plotting
from espm_hs.decomposition.result import PhaseAnalysis
from espm_hs.metadata.schema import NODE
from espm_hs.plotting.look import Look, takes_look
from espm_hs.plotting.phase_map import save_labels
from espm_hs.plotting.style import phase_colour
from espm_hs.quantification.phase_map import (
    THRESHOLD,
    PhaseFractions,
    outlines,
    phase_fractions,
)


@dataclass(frozen=True, eq=False, repr=False)
class PhaseMap(PhaseFractions):
    """Which phase each pixel is, and how much of the map is which phase.

    Printed it is a table. Attributes are those of `PhaseFractions`, such as ``labels``,
    ``area`` and ``area_error``; and

    Parameters
    ----------
    source
        The map.
    """

    source: EDSSpectrum

    @property
    def signal(self) -> BaseSignal:
        """Labels with the axes of the map, -1 where there is no phase.

        A `hyperspy.api.signals.Signal2D` for maps; the names of the phases are in
        ``metadata.EDS_espm.phases``.
        """
        axes = [
            {**axis, "navigate": i < self.labels.ndim - 2}
            for i, axis in enumerate(self._axes)
        ]
        metadata = {"General": {"title": "Phases"}, NODE: {"phases": list(self.names)}}
        kind = Signal2D if len(axes) > 1 else hs.signals.BaseSignal
        labels = self.labels.astype(np.int16)
        return kind(labels, axes=axes or None, metadata=metadata)

    @property
    def _axes(self) -> tuple[dict[str, Any], ...]:
        """Axes of the map in array order."""
        axes = self.source.axes_manager.navigation_axes[::-1]
        return tuple(axis.get_axis_dictionary() for axis in axes)

    def markers(self) -> list[Any]:
        """Outlines of the phases, for plots of HyperSpy.

        Returns
        -------
        list of hyperspy.api.plot.markers.Lines
            One for each phase that has pixels, in its colour:
            ``image.plot(); image.add_marker(phase_map.markers())``.

        Raises
        ------
        ValueError
            If the map has not two axes.
        """
        if self.labels.ndim != 2:
            raise ValueError(
                f"Outlines need two navigation axes, and the map has "
                f"{len(self._axes)}. Take a plane of it, `s.inav[..., 0]`."
            )
        y, x = self._axes
        scale, offset = ([axis[k] for axis in (x, y)] for k in ("scale", "offset"))
        return [
            hs.plot.markers.Lines(
                np.multiply(outlines(self.labels == j), scale) + offset,
                color=phase_colour(j),
            )
            for j in range(len(self.names))
            if (self.labels == j).any()
        ]

    @takes_look("ax", "figsize")
    def plot(self, image: Any = None, *, look: Look):
        """Plot the labels with a legend and a scale bar; pixels without one are grey.

        Parameters
        ----------
        image
            An image of the shape of the map to lay under the colours, array or signal;
            "counts" for the counts of each pixel.
        {look}

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        ValueError
            If the image has another shape.
        """
        return plotting.plot_phase_map(self.source, self, image, look=look)

    def save(self, path: str | Path) -> None:
        """Write the labels.

        Parameters
        ----------
        path
            Ends in .tif for numbers, 0 without a phase and 1 for the first one, with
            the size of a pixel as ImageJ and HyperSpy read it; in .png for the colours
            of the figure; in .hspy or .zspy for `signal`.

        Raises
        ------
        ValueError
            If the ending is another one, or the map is no image.
        """
        if Path(path).suffix in (".hspy", ".zspy"):
            self.signal.save(path, overwrite=True)
            return
        save_labels(path, self, self._axes)


class PhaseMaps(EDSSpectrum):
    """Says which phase each pixel is; part of `EDSespmSpectrum`."""

    analysis_results: Any
    _loadings: Any

    def phase_map(
        self, threshold: float = THRESHOLD, min_counts: float = 0.0
    ) -> PhaseMap:
        """Say which phase each pixel is, and how much of the map is which phase.

        A pixel is the phase that has the most counts in it, if noise leaves that
        probable enough; the others stay grey.

        Parameters
        ----------
        threshold
            Least probability of a label, from 0 to 1.
        min_counts
            Pixels with fewer counts have no label.

        Returns
        -------
        PhaseMap
            A table of area and count fractions with their errors; its ``signal`` is the
            label map, -1 where there is no phase, `plot` draws it and `save` writes it.

        Raises
        ------
        RuntimeError
            If there is no espm decomposition of this signal, or the data have been
            transposed, cropped or changed since.
        ValueError
            If an argument is out of range.

        Notes
        -----
        Fractions of the area count all pixels with counts: leaving out the uncertain
        ones would leave out boundaries. Where maps are smooth, which rounds off what is
        thin, the pixels are counted again, each by its own counts, as far as these
        suffice to say which phase leads; so the fractions differ a little from those of
        the labels, which are those of the smooth maps. The errors hold the noise of the
        pixels, as many of which err together as are smoothed over, the errors of the
        spectra of the phases, and how far the second count moves the fraction.

        Examples
        --------
        >>> phases = s.phase_map(threshold=0.9)
        >>> phases.labels.shape
        (24, 24)
        """
        found: PhaseAnalysis = self.analysis_results()
        loadings = self._loadings(found)
        fractions = phase_fractions(found, self.data, loadings, threshold, min_counts)
        values = {one.name: getattr(fractions, one.name) for one in fields(fractions)}
        return PhaseMap(**values, source=self)

    @takes_look("ax", "figsize")
    def plot_phase_map(
        self,
        threshold: float = THRESHOLD,
        min_counts: float = 0.0,
        image: Any = None,
        *,
        look: Look,
    ):
        """Plot which phase each pixel is, with a legend and a scale bar.

        Parameters
        ----------
        threshold, min_counts
            As in `phase_map`.
        image
            An image of the shape of the map to lay under the colours, array or signal;
            "counts" for the counts of each pixel.
        {look}

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        RuntimeError, ValueError
            As `phase_map`; ValueError if the image has another shape.
        """
        return self.phase_map(threshold, min_counts).plot(image, look=look)
