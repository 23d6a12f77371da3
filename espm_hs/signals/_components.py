"""What HyperSpy offers of a decomposition: factors, loadings, and the model of both.

Every algorithm has them. Those of phases are shown for the pixels and channels that
they were found in, and for no others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from numbers import Integral
from operator import index
from typing import Any

import dask.array as da
import hyperspy.api as hs
import numpy as np
from exspy.signals import EDSSpectrum

from espm_hs.decomposition.result import PhaseAnalysis
from espm_hs.metadata.learning import Learned, inherited, learned
from espm_hs.metadata.writer import read_options
from espm_hs.quantification.pixels import check_channels, own_counts

NO_DECOMPOSITION = (
    "There is no decomposition yet. Make one with "
    "`s.decomposition(algorithm='espm', output_dimension=...)`."
)


class Components(EDSSpectrum):
    """Shows factors and loadings; part of `EDSespmSpectrum`."""

    analysis_results: Any

    def _kept_loadings(self, found: PhaseAnalysis) -> np.ndarray:
        """Return the loadings, which must be of as many pixels as this signal has."""
        n_pixels = int(np.prod(self.data.shape[:-1]))
        return stored_loadings(learned(self), n_pixels, found.n_phases)

    def _loadings(self, found: PhaseAnalysis) -> np.ndarray:
        """Return the loadings, which must be those of the pixels of this signal.

        Whatever shows maps takes them from here, so that those of a map that was
        transposed, cropped or changed since are never shown.
        """
        loadings = self._kept_loadings(found)
        own_counts(found, self.data, loadings)
        return loadings

    def _check_maps(self) -> None:
        """Raise RuntimeError if the maps of phases are those of other pixels."""
        if learned(self).decomposition_algorithm == "espm":
            self._loadings(self.analysis_results())

    def plot_decomposition_loadings(self, *args, **kwargs):
        """Plot the maps of the phases, as HyperSpy does.

        Parameters
        ----------
        *args, **kwargs
            As HyperSpy takes them.

        Raises
        ------
        RuntimeError
            If the data have been transposed, cropped or changed since.
        """
        self._check_maps()
        return inherited(Components, self, "plot_decomposition_loadings")(
            *args, **kwargs
        )

    def export_decomposition_results(self, *args, **kwargs):
        """Export the phases and their maps, as HyperSpy does.

        Parameters
        ----------
        *args, **kwargs
            As HyperSpy takes them.

        Raises
        ------
        RuntimeError
            If the data have been transposed, cropped or changed since.
        """
        self._check_maps()
        return inherited(Components, self, "export_decomposition_results")(
            *args, **kwargs
        )

    def get_decomposition_loadings(self):
        """Return the decomposition loadings as a signal.

        As HyperSpy does, and for a single spectrum, too.

        Returns
        -------
        hyperspy.api.signals.BaseSignal
            The navigation axis, if there are several components, is their number; the
            signal axes are those of the pixels.
        """
        found = learned(self)
        if found.decomposition_algorithm != "espm":
            return inherited(Components, self, "get_decomposition_loadings")()
        self._check_maps()
        axes = self.axes_manager._get_navigation_axes_dicts()
        maps = np.asarray(found.loadings).T.reshape(-1, *self.data.shape[:-1])
        if not axes:
            signal = hs.signals.BaseSignal(np.ravel(maps))
        elif len(maps) == 1:
            signal = self._get_navigation_signal(maps[0])
        else:
            signal = _numbered(hs.signals.BaseSignal, maps, axes)
        return self._titled("loadings", signal)

    def get_decomposition_factors(self):
        """Return the decomposition factors, spectra of the components, as a signal.

        Returns
        -------
        EDSespmSpectrum
            As HyperSpy does: the navigation axis is the number of the component.
        """
        found = learned(self)
        if found.decomposition_algorithm != "espm":
            return inherited(Components, self, "get_decomposition_factors")()
        check_channels(self.analysis_results(), self.data)
        axes = self.axes_manager._get_signal_axes_dicts()
        signal = _numbered(type(self), np.asarray(found.factors).T, axes)
        signal.set_signal_type(self.metadata.Signal.signal_type)
        return self._titled("factors", signal)

    def _titled(self, what: str, signal: Any) -> Any:
        """Name a signal after what it is, as HyperSpy does."""
        title = f"Decomposition {what} of {self.metadata.General.title}"
        signal.metadata.General.title = title
        return signal

    def decomposition_result(self) -> Learned:
        """Return factors, loadings, algorithm and parameters of the decomposition.

        They are the same in all versions of HyperSpy, and of all algorithms.

        Returns
        -------
        Learned
            Its ``factors`` are of shape (n_channels, n_components), ``loadings`` of
            (n_pixels, n_components), ``decomposition_algorithm`` is a name and
            ``parameters`` the options of "espm".

        Raises
        ------
        RuntimeError
            If there was no decomposition, or the data have been transposed, cropped or
            changed since.
        """
        found = learned(self)
        if found.factors is None:
            raise RuntimeError(NO_DECOMPOSITION)
        if found.decomposition_algorithm == "espm":
            check_channels(self.analysis_results(), self.data)
        self._check_maps()
        return replace(found, parameters=read_options(found.parameters))

    def get_decomposition_model(
        self,
        components: int | Sequence[int] | None = None,
        chunks="auto",
        lazy_output: bool | None = None,
    ):
        """Return the model of the map, from all phases or some of them.

        Parameters
        ----------
        components
            How many phases, or which; None for all.
        chunks
            Along the navigation axes, in dask's terms; spectra are never cut.
        lazy_output
            Whether the result is lazy; None: as the signal is. Of a large map it
            should be: the model has eight bytes in each channel of each pixel.

        Returns
        -------
        EDSespmSpectrum or LazyEDSespmSpectrum

        Raises
        ------
        RuntimeError
            If there was no decomposition, or the data have been transposed, cropped or
            changed since.
        ValueError
            If there are no such phases, or the chunks make no sense.
        """
        results = learned(self)
        if results.factors is None:
            raise RuntimeError(NO_DECOMPOSITION)
        if results.decomposition_algorithm != "espm":
            # older versions of HyperSpy have fewer arguments
            given = {"chunks": chunks, "lazy_output": lazy_output}
            usual = {"chunks": "auto", "lazy_output": None}
            others = {name: x for name, x in given.items() if x != usual[name]}
            theirs = inherited(Components, self, "get_decomposition_model")
            return theirs(components, **others)
        loadings = self._loadings(self.analysis_results())
        chosen = _chosen(components, results.factors.shape[1])
        factors, loadings = results.factors[:, chosen], loadings[:, chosen]
        shape = self.data.shape
        try:
            wanted = (*(chunks,) * (len(shape) - 1), -1)
            cut = da.core.normalize_chunks(wanted, shape, dtype=float)
            cut = tuple(tuple(map(index, sizes)) for sizes in cut)
        except (TypeError, ValueError, ZeroDivisionError):
            raise ValueError(
                "`chunks` must be 'auto', a number of pixels or -1 for all, got "
                f"{chunks!r}."
            ) from None
        loadings = loadings.reshape(*shape[:-1], -1)
        data = da.einsum(
            "...k,ek->...e",
            da.from_array(loadings, (*cut[:-1], -1)),
            da.from_array(factors, -1),
        )
        model = self._deepcopy_with_new_data(data).as_lazy()
        model.metadata.General.title += (
            f" model from decomposition with {factors.shape[1]} components"
        )
        if not (self._lazy if lazy_output is None else lazy_output):
            model.compute(show_progressbar=False)
        return model


def stored_loadings(learning_results: Any, n_pixels: int, n_phases: int) -> np.ndarray:
    """Return the loadings that a decomposition into phases left in a signal.

    Parameters
    ----------
    learning_results
        The signal's, or what `espm_hs.metadata.learning.learned` returns.
    n_pixels
        Number of pixels of the signal.
    n_phases
        Number of phases that were found.

    Returns
    -------
    numpy.ndarray
        Shape (n_pixels, n_phases), NaN in the pixels left out.

    Raises
    ------
    RuntimeError
        If there are none, or not those of this signal.
    """
    loadings = learning_results.loadings
    if (
        learning_results.decomposition_algorithm != "espm"
        or loadings is None
        or loadings.shape != (n_pixels, n_phases)
    ):
        raise RuntimeError(
            "The maps of the phases are not in `learning_results`: slicing empties it "
            "and other decompositions replace it. The phases are still known: map them "
            "with `s.decomposition(algorithm='espm', init='previous')`."
        )
    return np.asarray(loadings, dtype=float)


def _chosen(components: Any, n_phases: int) -> slice | list[int]:
    """Phases that are meant: the first ones, or those of a list.

    Raises
    ------
    ValueError
        If there are no such phases.
    """
    if components is None:
        return slice(None)
    is_number = isinstance(components, Integral) and not isinstance(components, bool)
    if is_number and 1 <= components <= n_phases:
        return slice(int(components))
    some = isinstance(components, list | tuple | range | np.ndarray)
    if some and all(
        isinstance(one, int | np.integer) and 0 <= one < n_phases for one in components
    ):
        return list(components)
    raise ValueError(
        f"`components` must be a number of phases, up to {n_phases}, or a list of "
        f"their numbers, from 0 to {n_phases - 1}; got {components!r}."
    )


def _numbered(kind: type, data: np.ndarray, axes: list[dict]) -> Any:
    """Make a signal with the components as its navigation axis."""
    name = "Decomposition component index"  # HyperSpy's
    number = {"size": len(data), "navigate": True, "name": name}
    return kind(data, axes=[number, *({**axis, "navigate": False} for axis in axes)])
