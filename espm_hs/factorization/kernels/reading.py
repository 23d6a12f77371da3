"""How a kernel reads the counts of a pixel: non-zeros one by one, or all channels.

Where many of the channels have counts it is faster to go through all of them: nothing
is looked up, and the processor takes several channels at a time.
"""

from __future__ import annotations

from numba import njit

from espm_hs.factorization.kernels.registers import (
    IN_ANY_ORDER,
    add_column,
    add_log,
    add_row,
    dot,
    dot_column,
)

_COMPILE = {"cache": True, "nogil": True, "error_model": "numpy", "inline": "always"}


# Here y = D row are the means of a pixel, x its counts; D and A are (e, k), or (k, e)
# where all channels are read.


@njit(**_COMPILE, fastmath={"contract"})
def weigh(channels, x, D, row, floor, sums):
    """Add D x / y to sums, over the non-zeros."""
    for t in range(x.size):
        e = channels[t]
        sums = add_row(sums, D, e, x[t] / dot(row, D, e, floor))
    return sums


@njit(**_COMPILE, fastmath={"contract"})
def gather(channels, x, D, row, floor, A):
    """Add row x / y to A, at the non-zeros."""
    for t in range(x.size):
        e = channels[t]
        ratio = x[t] / dot(row, D, e, floor)
        for j in range(len(row)):
            A[e, j] += row[j] * ratio


@njit(**_COMPILE, fastmath={"contract"})
def add_logs(channels, x, D, row, floor, logs):
    """Add x log(y) to logs, over the non-zeros."""
    for t in range(x.size):
        logs = add_log(logs, x[t], dot(row, D, channels[t], floor))
    return logs


@njit(cache=True, nogil=True, error_model="numpy", fastmath=IN_ANY_ORDER)
def weigh_all(x, D, row, floor, sums):
    """Add D x / y to sums."""
    for e in range(x.size):
        sums = add_column(sums, D, e, x[e] / dot_column(row, D, e, floor))
    return sums


@njit(cache=True, nogil=True, error_model="numpy", fastmath=IN_ANY_ORDER)
def gather_all(x, D, row, floor, A, ratios):
    """Add row x / y to A; ratios (e,) is working space."""
    for e in range(x.size):
        ratios[e] = x[e] / dot_column(row, D, e, floor)
    for j in range(len(row)):
        for e in range(x.size):
            A[j, e] += row[j] * ratios[e]


@njit(cache=True, nogil=True, error_model="numpy", fastmath=IN_ANY_ORDER)
def add_logs_of_all(x, D, row, floor, logs):
    """Add x log(y) to logs."""
    for e in range(x.size):
        if x[e] > 0:
            logs = add_log(logs, x[e], dot_column(row, D, e, floor))
    return logs
