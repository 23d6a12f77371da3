"""The map as the phases make it: a method of the signal classes."""

from __future__ import annotations

from collections.abc import Sequence

import dask.array as da


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
        """
        results = self.learning_results
        if results.decomposition_algorithm != "espm":
            # older versions of HyperSpy have fewer arguments
            given = {"chunks": chunks, "lazy_output": lazy_output}
            usual = {"chunks": "auto", "lazy_output": None}
            others = {name: x for name, x in given.items() if x != usual[name]}
            return super().get_decomposition_model(components, **others)
        one_number = components is None or isinstance(components, int)
        chosen = slice(components) if one_number else list(components)
        factors, loadings = results.factors[:, chosen], results.loadings[:, chosen]
        shape = self.data.shape
        cut = da.core.normalize_chunks(
            (*(chunks,) * (len(shape) - 1), -1), shape, dtype=float
        )
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
