"""Non-zeros of dense arrays, looked for eight bytes at a time.

Most of a spectrum image is zeros: reading it costs hardly more than fetching it from
memory if zeros are passed over by the word.
"""

from __future__ import annotations

import numpy as np
from numba import njit

WORD = 8


def find_nonzeros(
    rows: np.ndarray, keep: np.ndarray, position: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the non-zeros of a matrix, row after row.

    Parameters
    ----------
    rows
        Real numbers, shape (n_rows, n_channels).
    keep
        Boolean, shape (n_channels,): channels in use.
    position
        Shape (n_channels,), unsigned: number of each channel among those in use.

    Returns
    -------
    per_row : ndarray of shape (n_rows,), int64
        Non-zeros of each row.
    channels : ndarray of the type of ``position``
        Position of the channel of each non-zero.
    values : ndarray of the type of ``rows``
        The non-zeros.
    """
    if not rows.dtype.isnative:
        rows = rows.astype(rows.dtype.newbyteorder("="))
    if rows.dtype.kind == "b":
        rows = rows.view(np.uint8)
    elif rows.dtype == np.float16:
        rows = rows.astype(np.float32)
    entries = np.ascontiguousarray(rows).ravel()
    n_words = entries.nbytes // WORD
    words = entries[: n_words * WORD // entries.itemsize].view(np.uint64)
    per_row = np.zeros(rows.shape[0], np.int64)
    # room for all of them costs nothing as long as it is not written to
    channels = np.empty(entries.size, position.dtype)
    values = np.empty(entries.size, entries.dtype)
    n = _scan(entries, words, keep, position, per_row, channels, values)
    return per_row, channels[:n].copy(), values[:n].copy()


@njit(cache=True, nogil=True, error_model="numpy")
def _scan(entries, words, keep, position, per_row, channels, values):
    """Return how many non-zeros were written to channels and values.

    entries (n * e,) any real, words the same memory as uint64 but for a rest, keep and
    position (e,), per_row (n,) int64 zeros, channels and values (n * e,).
    """
    n_channels = keep.size
    per_word = WORD // entries.itemsize
    t, row, start = 0, 0, 0
    for w in range(words.size + 1):
        first, last = w * per_word, (w + 1) * per_word
        if w == words.size:  # what is left over
            last = entries.size
        elif words[w] == 0:
            continue
        for i in range(first, last):
            if entries[i] != 0:
                while i >= start + n_channels:
                    row += 1
                    start += n_channels
                e = i - start
                if keep[e]:
                    channels[t] = position[e]
                    values[t] = entries[i]
                    per_row[row] += 1
                    t += 1
    return t
