"""Which binning trades noise against resolution best."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from espm_hs.arguments import generator
from espm_hs.decomposition.decompose import check_lines, check_size
from espm_hs.decomposition.self_consistency import self_consistent_model
from espm_hs.factorization import (
    Bins,
    Counts,
    Penalties,
    Problem,
    factorize,
    fit_maps,
    held_out,
    thin,
    uninterrupted,
    usual_binning,
)
from espm_hs.model_selection.cross_validation import (
    FITTED,
    Comparison,
    check_counted,
    check_numbers,
    check_thinnings,
)
from espm_hs.physics import SpectrumModel

# Pixels along each axis of a bin that are tried, as long as so many bins are left.
BINNINGS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32)
LEAST_BINS = 16
# The phases only have to be good enough to tell maps apart by them.
MAX_ITER = 300
TOL = 1e-3
# Further draws start at the phases of the one before, from this share of their mean.
LEAST = 1e-3


@dataclass(frozen=True, eq=False)
class BinningChoice(Comparison):
    """How well maps of each resolution predict counts that were set aside."""

    @classmethod
    def from_dict(cls, stored: Mapping) -> BinningChoice:
        """Read what `to_dict` wrote."""
        return cls(np.asarray(stored["numbers"]), np.asarray(stored["loss"]))


def choose_binning(
    data,
    model: SpectrumModel,
    n_phases: int,
    binnings: Iterable[int] | None = None,
    *,
    pixels: np.ndarray | None = None,
    channels: np.ndarray | None = None,
    n_thinnings: int = 4,
    n_init: int = 4,
    sparsity: float = 1.0,
    random_state=None,
    n_jobs: int | None = None,
    callback: Callable[[int, int], None] | None = None,
) -> BinningChoice:
    """Compare binnings by counts that are set aside.

    Phases are found in the fitted counts, mapped with each binning, and every pixel of
    a bin is given its share. Small bins predict the noise of the fitted counts, which
    the others do not share; large ones miss what lies inside of them.

    Parameters
    ----------
    data
        Counts, shape (*navigation, n_channels): numpy, dask or sparse; integers.
    model
        Physics over the same channels.
    n_phases
        Number of phases.
    binnings
        Pixels along each axis of a bin; None for 1 to 32, as long as 16 bins are left.
    pixels, channels
        As in `decompose`.
    n_thinnings
        Draws of the counts that are set aside, at least 2.
    n_init, sparsity, random_state, n_jobs
        As in `espm_hs.EspmNMF`.
    callback
        Called after each map with how many are done and how many there are.

    Raises
    ------
    ValueError
        If an argument makes no sense, or the data are not counts.
    """
    check_thinnings(n_thinnings)
    navigation = data.shape[:-1] or (1,)
    used = model.channels if channels is None else model.channels & channels
    check_size(n_phases, navigation, pixels, used)
    check_lines(model, used)
    bins = _bins(navigation, pixels, binnings, n_phases)
    counts = Counts.from_array(data, pixels=pixels, channels=used)
    check_counted(counts, "Binnings are")
    model = self_consistent_model(model, counts.spectrum, used)
    problem = Problem(
        counts.n_channels,
        n_phases,
        G=model.G[used],
        simplex_rows=model.element_columns,
        penalties=Penalties(sparsity),
    )
    usual = Bins.from_shape(navigation, usual_binning(counts, navigation), pixels)
    rng = generator(random_state)
    loss = np.empty((len(bins), n_thinnings))
    start = {"n_init": n_init}
    for t in range(n_thinnings):
        fitted, others = thin(counts, FITTED, rng)
        options = {"max_iter": MAX_ITER, "tol": TOL, "n_jobs": n_jobs}
        found = uninterrupted(
            factorize(
                usual.merge(fitted), problem, random_state=rng, **start, **options
            )
        )
        # zeros would stay zeros
        least = LEAST * found.W.mean(axis=0)
        start = {"init": (np.maximum(found.W, least), None)}
        D = (1 / FITTED - 1) * problem.spectra(found.W)
        for i, (factor, some) in enumerate(bins.items()):
            binned = some.merge(fitted) if factor > 1 else fitted
            H, _ = fit_maps(binned, problem, found.W, n_jobs=n_jobs)
            loss[i, t] = held_out(others, D, some.spread(H))
            if callback is not None:
                callback(t * len(bins) + i + 1, loss.size)
    return BinningChoice(np.array(list(bins)), loss - loss.mean(axis=1).min())


def _bins(navigation, pixels, binnings, n_phases) -> dict[int, Bins]:
    """Bins of each candidate; ValueError for those that leave too few."""
    given = BINNINGS if binnings is None else binnings
    least = LEAST_BINS if binnings is None else n_phases
    bins = {}
    for factor in check_numbers("binnings", given, "[1, 2, 4, 8]"):
        if not isinstance(factor, (int, np.integer)) or factor < 1:
            raise ValueError(
                f"`binnings` has {factor!r}; needed are numbers of pixels >= 1."
            )
        some = Bins.from_shape(navigation, factor, pixels)
        if some.n_bins >= least:
            bins[int(factor)] = some
        elif binnings is not None:
            raise ValueError(
                f"`binnings` has {factor}, which leaves {some.n_bins} bins; needed "
                f"are at least as many as there are phases, {n_phases}."
            )
    if len(bins) < 2:
        shape = " x ".join(str(size) for size in navigation)
        raise ValueError(
            f"The map has {shape} pixels; needed are two binnings that leave {least} "
            "bins. Name those that you want to compare: "
            "`s.estimate_binning(3, binnings=[1, 2])`."
        )
    return bins
