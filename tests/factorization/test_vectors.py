"""Loops over the counts of a pixel: what is emitted against plain numpy."""

from functools import cache

import numpy as np
import pytest
from numba import njit

from espm_hs.factorization.kernels import vectors
from espm_hs.factorization.kernels.vectors import (
    LANES,
    TINY,
    WIDEST,
    aligned_zeros,
    emitted_width,
    gather,
    gather_all,
    gather_change,
    gather_twice,
    log_likelihood,
    log_likelihood_all,
    multiply,
    padded,
    weigh,
    weigh_all,
    weigh_change,
    weigh_twice,
    widened,
)

N_CHANNELS = 37
FLOOR = 1e-9


@cache
def compiled(wide):
    """All functions for a width, called one after the other."""

    @njit
    def for_some(channels, x, first, last, D, dD, rows, out):
        sums, squares, bent, change, change_bent, A, B, pairs, S, dA = out
        weigh(wide, channels, x, first, last, D, rows, 0, FLOOR, sums)
        weigh_twice(wide, channels, x, first, last, D, rows, 0, FLOOR, bent, squares)
        weigh_change(
            wide, channels, x, first, last, D, dD, rows, 0, FLOOR, change, change_bent
        )
        gather(wide, channels, x, first, last, D, rows, 0, FLOOR, A)
        gather_twice(wide, channels, x, first, last, D, rows, 0, FLOOR, B, pairs, S)
        gather_change(wide, channels, x, first, last, D, dD, rows, 0, 1, FLOOR, dA)
        return log_likelihood(wide, channels, x, first, last, D, rows, 0, FLOOR)

    @njit
    def for_all(x, first, D, rows, sums, A):
        weigh_all(wide, x, first, D, rows, 0, FLOOR, sums)
        gather_all(wide, x, first, D, rows, 0, FLOOR, A)
        return log_likelihood_all(wide, x, first, D, rows, 0, FLOOR)

    return for_some, for_all


def close(found, expected, size=0.0):
    """Equal but for rounding of numbers of a size."""
    scale = max(size, np.abs(expected).max(initial=1e-300))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13 * scale)


def pixel(rng, k):
    """Spectra D and dD (e, k), abundances and their change (2, k)."""
    D = rng.random((N_CHANNELS, k)) ** 4
    dD = rng.normal(size=(N_CHANNELS, k))
    return D, dD, np.stack([rng.random(k), rng.normal(size=k)])


def places(n, index_type):
    """Channels of an array of n entries, with one that must not be read around it."""
    rng = np.random.default_rng(n)
    memory = np.full(n + 2 * LANES, N_CHANNELS, index_type)
    memory[LANES : LANES + n] = rng.integers(0, N_CHANNELS, n)
    return memory[LANES : LANES + n]


@pytest.mark.kernels
@pytest.mark.parametrize(
    ("k", "index_type", "kind"),
    [(k, np.uint16, np.uint8) for k in range(1, 14)]
    + [(3, np.uint16, kind) for kind in (np.uint16, np.uint32, np.float64)]
    + [(5, np.uint32, np.uint8)],
)
def test_some_channels(k, index_type, kind):
    rng = np.random.default_rng(k)
    D, dD, (h, move) = pixel(rng, k)
    # what lies around the counts has spectra that would spoil every sum
    outside = np.full((1, k), np.nan)
    wide_D, wide_dD = (widened(np.concatenate([one, outside])) for one in (D, dD))
    rows = widened(np.stack([h, move]))
    w, n_pairs = rows.shape[1], k * (k + 1) // 2
    run, _ = compiled(emitted_width(k))
    for n in (3, LANES, 5, 6, 11):
        channels = places(n, index_type)
        x = rng.integers(1, 250, n).astype(kind)
        for first, last in (
            (0, n),
            (0, 0),
            (1, min(n, 4)),
            (n - 3, n),
            (n, n),
            (n - 1, n),
        ):
            pairs = aligned_zeros((padded(n_pairs),))
            lower = np.tril_indices(k)
            pairs[:n_pairs] = np.outer(h, h)[lower]
            shapes = (w,), (w, w), (w,), (w,), (w, w), wide_D.shape, wide_D.shape
            out = [aligned_zeros(shape) for shape in shapes]
            out += [pairs, aligned_zeros((len(wide_D), pairs.size))]
            out += [aligned_zeros(wide_D.shape)]
            logs = run(channels, x, first, last, wide_D, wide_dD, rows, tuple(out))
            sums, squares, bent, change, change_bent, A, B, _, S, dA = out
            e, counts = channels[first:last].astype(int), x[first:last].astype(float)
            d, by = D[e], dD[e]
            y = d @ h + FLOOR
            close(sums[:k], d.T @ (counts / y))
            close(bent, sums)
            weighted = (d * (counts / y**2)[:, None]).T @ d
            close(squares[:k, :k][lower], weighted[lower])
            close(change_bent[:k, :k][lower], weighted[lower])
            moved = by - d * (by @ h / y)[:, None]
            close(change[:k], moved.T @ (counts / y), (abs(by).T @ (counts / y)).max())
            indicator = np.eye(len(wide_D))[e].T
            close(A[:, :k], indicator @ np.outer(counts / y, h))
            close(B, A)
            close(S, indicator @ np.outer(counts / y**2, pairs))
            dy = by @ h + d @ move
            each = np.outer(counts / y, move) - np.outer(counts / y**2 * dy, h)
            close(dA[:, :k], indicator @ each)
            assert logs == pytest.approx(counts @ np.log(y), rel=1e-13, abs=1e-12)
            assert not np.concatenate([sums[k:], change[k:], A[:, k:].ravel()]).any()


@pytest.mark.kernels
@pytest.mark.parametrize("n", [1, 3, 4, 6, 9])
def test_same_bits_wherever_the_counts_lie(n):
    """The last pixel of an array is summed as it is in the middle of a longer one."""
    rng = np.random.default_rng(n)
    k = 3
    D, dD, h = pixel(rng, k)
    D, dD, rows = widened(D), widened(dD), widened(h)
    run, _ = compiled(0)
    channels = rng.integers(0, N_CHANNELS, n + 9).astype(np.uint16)
    x = rng.integers(1, 250, n + 9).astype(np.uint8)
    w = rows.shape[1]
    pairs = aligned_zeros((padded(6),))
    pairs[:6] = np.outer(h[0], h[0])[np.tril_indices(k)]

    def results(channels, x, first):
        shapes = (w,), (w, w), (w,), (w,), (w, w), D.shape, D.shape
        out = [aligned_zeros(shape) for shape in shapes]
        out += [pairs, aligned_zeros((len(D), pairs.size)), aligned_zeros(D.shape)]
        logs = run(channels, x, first, first + n, D, dD, rows, tuple(out))
        return [logs, *out]

    inside = results(channels, x, 5)
    alone = results(channels[5 : 5 + n].copy(), x[5 : 5 + n].copy(), 0)
    at_the_end = results(channels[: 5 + n].copy(), x[: 5 + n].copy(), 5)
    for one, two, three in zip(inside, alone, at_the_end, strict=True):
        np.testing.assert_array_equal(one, two)
        np.testing.assert_array_equal(one, three)


@pytest.mark.kernels
@pytest.mark.parametrize("k", [1, 4, 7, 9, 13])
def test_all_channels(k):
    rng = np.random.default_rng(k)
    D, _, (h, _) = pixel(rng, k)
    _, run = compiled(emitted_width(k))
    rows, by_component = widened(h[None]), aligned_zeros((padded(k), padded(len(D))))
    by_component[:k, : len(D)] = D.T
    n = by_component.shape[1]
    table = np.zeros((3, n), np.uint8)
    table[:, : len(D)] = rng.integers(0, 9, (3, len(D)))
    sums, A = aligned_zeros((padded(k),)), aligned_zeros(by_component.shape)
    logs = run(table.ravel(), 2 * n, by_component, rows, sums, A)
    y, x = D @ h + FLOOR, table[2, : len(D)].astype(float)
    close(sums[:k], D.T @ (x / y))
    close(A[:k, : len(D)], np.outer(h, x / y))
    assert not A[:, len(D) :].any()
    assert logs == pytest.approx(x @ np.log(y), rel=1e-13)


@pytest.mark.kernels
def test_small_abundances_become_zero():
    call = njit(lambda *given: multiply(*given))
    rows, scale = np.ones((2, 8)), np.full(8, 0.5)
    sums = np.array([1.0, 0.0, 1.9 * TINY, 2.1 * TINY, 4.0, 5.0, 6.0, np.nan])
    call(rows, 1, sums, scale)
    assert (rows[0] == 1).all()
    expected = [0.5, 0.0, 0.0, 1.05 * TINY, 2.0, 2.5, 3.0]
    np.testing.assert_allclose(rows[1, :7], expected, rtol=1e-15)


@pytest.mark.kernels
def test_logarithms_of_any_size():
    """From the smallest number to the largest, and close to 1."""
    y = np.concatenate(
        [
            np.geomspace(5e-324, 1.7e308, 1001),
            1 + np.linspace(-1e-3, 1e-3, 101),
            2.0 ** np.arange(-20, 20) * np.sqrt(0.5),
        ]
    )
    _, run = compiled(0)
    D = aligned_zeros((4, LANES))
    for one in y:
        D[0] = one
        table = np.ones(LANES, np.uint8)
        rows = widened(np.ones((1, 1)))
        sums, A = aligned_zeros((4,)), aligned_zeros(D.shape)
        logs = run(table, 0, D, rows, sums, A)
        assert logs == pytest.approx(LANES * np.log(one + FLOOR), rel=1e-14, abs=1e-14)


def test_widths():
    assert [padded(k) for k in (1, 4, 5, 9, 13)] == [4, 4, 8, 12, 16]
    assert [emitted_width(k) for k in (1, WIDEST, WIDEST + 1)] == [0, 0, WIDEST + 4]
    assert all(width % LANES == 0 for width in vectors.WIDTHS)
    D = widened(np.ones((5, 3)))
    assert D.shape == (5, 4)
    assert D.flags.c_contiguous
    assert D.ctypes.data % 64 == 0
