"""The map as the phases make it: a method of the signal classes."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from operator import index

import dask.array as da
import numpy as np


class ModelOfMap:
    """Makes the model of the map; part of `EDSespmSpectrum`."""

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
            If there was no decomposition.
        ValueError
            If there are no such phases, or the chunks are none.
        """
        results = self.learning_results
        if results.factors is None:
            raise RuntimeError(
                "There is no decomposition yet. Make one with "
                "`s.decomposition(algorithm='espm', output_dimension=...)`."
            )
        if results.decomposition_algorithm != "espm":
            # older versions of HyperSpy have fewer arguments
            given = {"chunks": chunks, "lazy_output": lazy_output}
            usual = {"chunks": "auto", "lazy_output": None}
            others = {name: x for name, x in given.items() if x != usual[name]}
            return super().get_decomposition_model(components, **others)
        chosen = _chosen(components, results.factors.shape[1])
        factors, loadings = results.factors[:, chosen], results.loadings[:, chosen]
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


def _chosen(components, n_phases: int) -> slice | list[int]:
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
        isinstance(one, Integral) and 0 <= one < n_phases for one in components
    ):
        return list(components)
    raise ValueError(
        f"`components` must be a number of phases, up to {n_phases}, or a list of "
        f"theirs, from 0 to {n_phases - 1}; got {components!r}."
    )
