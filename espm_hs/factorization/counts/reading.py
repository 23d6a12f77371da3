"""Where the counts of a map are read, and kept for what comes after a decomposition."""

from __future__ import annotations

import sys
import weakref

import numpy as np
from dask.base import get_scheduler

from espm_hs.factorization.counts.counts import Counts
from espm_hs.factorization.counts.distributed import ScatteredCounts

# Of the last lazy map that was read: a reference to it, its name, masks, and counts.
_kept: list[tuple] = []


def read_counts(
    data, pixels: np.ndarray | None = None, channels: np.ndarray | None = None
) -> Counts | ScatteredCounts:
    """Read counts; keep those of a lazy map for as long as the map is there.

    Arguments as in `Counts.from_array`. A lazy map is read on the cluster of the user,
    and the counts stay there, if dask would compute it there.
    """
    lazy = hasattr(data, "dask")
    masks = {"pixels": pixels, "channels": channels}
    client = cluster_client() if lazy and data.ndim > 1 else None
    counts: Counts | ScatteredCounts
    if client is None:
        counts = Counts.from_array(data, **masks)
    else:
        counts = ScatteredCounts.from_array(client, data, **masks)
    if lazy:
        there = weakref.ref(data, lambda _: _kept.clear())
        _kept[:] = [(there, data.name, (pixels, channels), counts)]
    return counts


def cluster_client():
    """Return the client of dask.distributed that dask would use now, or None.

    That is the one that the user made last, as long as it is open, or that of
    ``dask.config.set(scheduler=client)``; none under ``scheduler="threads"``.
    """
    if "distributed" not in sys.modules:
        return None
    from distributed import Client

    client = getattr(get_scheduler(), "__self__", None)
    return client if isinstance(client, Client) else None


def kept_counts(
    data, pixels: np.ndarray | None = None, channels: np.ndarray | None = None
) -> Counts | ScatteredCounts:
    """Return the counts that were read for the decomposition, else read them anew.

    Only to be compared with its results: arrays behind a lazy map can change.
    """
    for there, name, masks, counts in _kept:
        if there() is data and name == data.name and counts.there:
            pairs = zip(masks, (pixels, channels), strict=True)
            if all(_alike(*pair) for pair in pairs):
                return counts
    return read_counts(data, pixels, channels)


def _alike(mask: np.ndarray | None, other: np.ndarray | None) -> bool:
    """Whether two masks are the same, None being all."""
    if mask is None or other is None:
        return all(one is None or one.all() for one in (mask, other))
    return np.array_equal(mask, other)
