"""How a kernel reads the counts of a pixel: non-zeros one by one, or all channels.

Where many of the channels have counts it is faster to go through all of them: nothing
is looked up, and the processor takes several channels at a time.
"""

from __future__ import annotations

from numba import njit

from espm_hs.factorization.registers import (
    IN_ANY_ORDER,
    add_column,
    add_log,
    add_row,
    dot,
    dot_column,
)

_COMPILE = {"cache": True, "nogil": True, "error_model": "numpy", "inline": "always"}


def readers(dense: bool):
    """Return the functions (pixel, weigh, gather, add_logs) for one kind of counts.

    ``pixel`` finds the counts x of a pixel and where they are, ``weigh`` sums D x / y
    over its channels for y = D row, ``gather`` adds row x / y to A, and ``add_logs``
    x log(y) to logs. Sparse: D and A are (e, k); dense: (k, e).
    """
    if dense:
        return _all_channels, _weigh_all, _gather_all, _add_logs_of_all
    return _non_zeros, _weigh, _gather, _add_logs


@njit(**_COMPILE)
def _non_zeros(indptr, channels, values, p):
    # slices: loops over them need no check for negative positions
    own = slice(indptr[p], indptr[p + 1])
    return channels[own], values[own]


@njit(**_COMPILE, fastmath={"contract"})
def _weigh(channels, x, D, row, floor, sums):
    for t in range(x.size):
        e = channels[t]
        sums = add_row(sums, D, e, x[t] / dot(row, D, e, floor))
    return sums


@njit(**_COMPILE, fastmath={"contract"})
def _gather(channels, x, D, row, floor, A, ratios):
    for t in range(x.size):
        e = channels[t]
        ratio = x[t] / dot(row, D, e, floor)
        for j in range(len(row)):
            A[e, j] += row[j] * ratio


@njit(**_COMPILE, fastmath={"contract"})
def _add_logs(channels, x, D, row, floor, logs):
    for t in range(x.size):
        logs = add_log(logs, x[t], dot(row, D, channels[t], floor))
    return logs


@njit(**_COMPILE)
def _all_channels(indptr, channels, values, p):
    return channels, values[p]


@njit(cache=True, nogil=True, error_model="numpy", fastmath=IN_ANY_ORDER)
def _weigh_all(channels, x, D, row, floor, sums):
    for e in range(x.size):
        sums = add_column(sums, D, e, x[e] / dot_column(row, D, e, floor))
    return sums


@njit(cache=True, nogil=True, error_model="numpy", fastmath=IN_ANY_ORDER)
def _gather_all(channels, x, D, row, floor, A, ratios):
    for e in range(x.size):
        ratios[e] = x[e] / dot_column(row, D, e, floor)
    for j in range(len(row)):
        for e in range(x.size):
            A[j, e] += row[j] * ratios[e]


@njit(cache=True, nogil=True, error_model="numpy", fastmath=IN_ANY_ORDER)
def _add_logs_of_all(channels, x, D, row, floor, logs):
    for e in range(x.size):
        if x[e] > 0:
            logs = add_log(logs, x[e], dot_column(row, D, e, floor))
    return logs
