"""Factors and loadings of a signal: all that touches HyperSpy's machine learning.

HyperSpy 2 keeps them in `learning_results` and lets signals inherit what works on
these. HyperSpy 3 has neither. The loadings are then kept in the metadata, beside the
phases, and only algorithms of other packages are missing.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from espm_hs.metadata.reader import item
from espm_hs.metadata.schema import RESULTS

# What `decomposition` calls ours.
OURS = "espm"
# Those of HyperSpy, for what is said of others.
ALGORITHMS = (
    *("SVD", "MLPCA", "PCA", "NMF", "sklearn_pca", "sparse_pca"),
    *("mini_batch_sparse_pca", "RPCA", "ORPCA", "ORNMF"),
)
# Beside what the results hold: the loadings and what they belong to.
MAPS = "maps"
# Names of HyperSpy that have no meaning for phases.
NOTHING = (
    *("explained_variance", "explained_variance_ratio", "mean", "centre"),
    *("number_significant_components", "unmixing_matrix", "bss_algorithm"),
)


@dataclass(frozen=True)
class Learned:
    """Factors and loadings of a decomposition, by the names that HyperSpy gives them.

    Attributes
    ----------
    factors
        Spectra of the components, shape (n_channels, n_components).
    loadings
        Shape (n_pixels, n_components), NaN in the pixels left out.
    decomposition_algorithm
        Its name, "espm" for ours.
    output_dimension
        Number of components.
    navigation_mask, signal_mask
        True where pixels and channels were left out; None if none were.
    parameters
        Options of the algorithm.
    """

    factors: np.ndarray | None = None
    loadings: np.ndarray | None = None
    decomposition_algorithm: str | None = None
    output_dimension: int | None = None
    navigation_mask: np.ndarray | None = None
    signal_mask: np.ndarray | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)


def learned(signal: Any) -> Learned:
    """Return what a signal holds of its last decomposition, wherever it is kept.

    Parameters
    ----------
    signal
        Any signal of HyperSpy.

    Returns
    -------
    Learned
        Without factors if there was no decomposition; without loadings if these were
        lost with a change of the pixels. Parameters are those of "espm" alone.
    """
    results = item(signal.metadata, RESULTS)
    stored: Mapping = results if isinstance(results, Mapping) else {}
    there = getattr(signal, "learning_results", None)
    theirs = there is not None and there.decomposition_algorithm not in (None, OURS)
    # somebody may have put factors there by hand, of no algorithm
    if theirs or (there is not None and not stored):
        names = Learned.__dataclass_fields__.keys() - {"parameters"}
        return Learned(**{name: getattr(there, name) for name in names})
    if not stored or (there is not None and there.loadings is not None):
        maps: Mapping = {} if there is None else vars(there)
    else:  # of HyperSpy 3, or of a file that it wrote
        maps = stored.get(MAPS, {})
    factors = np.asarray(maps.get("factors", stored.get("spectra")))
    if factors.ndim != 2:
        return Learned()
    masks = {name: maps.get(name) for name in ("navigation_mask", "signal_mask")}
    options = stored.get("options")
    return Learned(
        factors,
        maps.get("loadings"),
        OURS,
        factors.shape[1],
        **masks,
        parameters=dict(options) if isinstance(options, Mapping) else {},
    )


def keep(signal: Any, found: Learned) -> dict[str, Any]:
    """Keep phases where HyperSpy looks for them.

    Returns
    -------
    dict
        What belongs into the results in the metadata beside: the maps, if this HyperSpy
        has no place for them, else nothing.
    """
    masks = {"navigation_mask": found.navigation_mask, "signal_mask": found.signal_mask}
    there = getattr(signal, "learning_results", None)
    if there is None:
        some = {name: mask for name, mask in masks.items() if mask is not None}
        return {MAPS: {"loadings": found.loadings, **some}}
    shape = np.array(signal.data.shape)
    vars(there).update(
        dict.fromkeys(NOTHING),
        factors=found.factors,
        loadings=found.loadings,
        decomposition_algorithm=found.decomposition_algorithm,
        output_dimension=found.output_dimension,
        poissonian_noise_normalized=False,
        unfolded=len(shape) > 2,
        original_shape=shape,
        **masks,
    )
    return {}


def kept_beside(signal: Any) -> list[dict]:
    """Return what of a signal, beside its metadata, a decomposition writes to."""
    there = getattr(signal, "learning_results", None)
    return [] if there is None else [vars(there)]


def inherited(owner: type, signal: Any, name: str) -> Callable:
    """Return a method that HyperSpy or eXSpy give to their signals.

    Parameters
    ----------
    owner
        The class that has a method of this name itself.
    signal
        Of this class.
    name
        Of the method.

    Raises
    ------
    RuntimeError
        If the HyperSpy that is installed has none.
    """
    method = getattr(super(owner, signal), name, None)
    if method is None:
        raise RuntimeError(
            f"`{name}` is not part of this version of HyperSpy, which leaves machine "
            f"learning to other packages. `decomposition(algorithm='{OURS}')`, "
            "`plot_phases`, `get_decomposition_factors` and "
            "`get_decomposition_loadings` need none of them."
        )
    return method


def inherited_parameters(parents: Sequence[Any]) -> dict[str, inspect.Parameter]:
    """Return the arguments of the `decomposition` of parents, those that have one."""
    found: dict[str, inspect.Parameter] = {}
    for parent in parents:
        if method := getattr(parent, "decomposition", None):
            found |= inspect.signature(method).parameters
    return found
