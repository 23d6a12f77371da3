"""Net counts of each element in each pixel, without phases.

Every element is a component of its own, and so is the background: the fit shares the
counts of overlapping lines out, and what the lines of an element explain is its net
count. Nothing is smoothed or pulled to zero unless that is asked for, so that pixels
are independent of each other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from espm_hs.decomposition.decompose import DecompositionOptions, decompose
from espm_hs.physics.linear_model import LinearModel
from espm_hs.quantification.pixels import pixel_amounts


class NetCounts(NamedTuple):
    """Net counts of elements.

    Attributes
    ----------
    elements
        Symbols, those of the sample first.
    counts, variance
        Shape (n_elements, *navigation), NaN in pixels left out; the variance is that
        of the noise, overlaps and background included.
    """

    elements: tuple[str, ...]
    counts: np.ndarray
    variance: np.ndarray


def net_counts(
    data: Any,
    model: LinearModel,
    smoothness: float | str = 0.0,
    *,
    n_jobs: int = -1,
    callback: Callable[[int, float], None] | None = None,
    **where: Any,
) -> NetCounts:
    """Return the counts that the lines of each element explain in each pixel.

    Parameters
    ----------
    data
        Counts, shape (*navigation, n_channels).
    model
        Its elements, and those that are not of the sample.
    smoothness
        Of the maps, as in `decompose`.
    n_jobs, callback
        As in `decompose`.
    **where
        Pixels, channels and the refinement of the model, as in `decompose`.
    """
    options = DecompositionOptions(
        known_phases="elements",
        sparsity=0.0,
        smoothness=smoothness,
        binning=1,
        n_init=1,
        n_jobs=n_jobs,
    )
    found = decompose(data, model, None, options, callback=callback, **where)
    # counts of a loading of 1
    per_loading = np.diag(np.nansum(found.spectra, axis=0))
    names = found.knowledge.names
    known = {column.element for column in model.columns if column.element}
    chosen = [j for j, name in enumerate(names) if name in known]
    loadings = np.asarray(found.loadings)
    counts, variance = pixel_amounts(found, data, loadings, per_loading[chosen])
    return NetCounts(
        tuple(names[j] for j in chosen), np.asarray(counts), np.asarray(variance)
    )
