"""Counts: the same numbers from every kind of input."""

import dask.array as da
import numpy as np
import pytest
import scipy.sparse as sp
import sparse
from hypothesis import given, settings
from hypothesis import strategies as st

from espm_hs.factorization import Counts

pytestmark = pytest.mark.kernels


def dense(counts):
    return counts.to_csr().toarray()


@pytest.fixture(scope="module")
def cube():
    rng = np.random.default_rng(1)
    return rng.poisson(0.3, (6, 5, 40)).astype(np.uint8)


@pytest.mark.parametrize(
    "dtype", ["u1", "u2", "u4", "i2", "i4", "i8", "f2", "f4", "f8", ">u2", ">f4", "?"]
)
def test_any_real_type(cube, dtype):
    data = (cube > 0) if dtype == "?" else cube
    counts = Counts.from_array(data.astype(dtype))
    assert counts.values.dtype == np.uint8
    assert counts.channels.dtype == np.uint16
    np.testing.assert_array_equal(dense(counts), data.reshape(-1, 40))


@pytest.mark.parametrize(
    "convert",
    [
        lambda x: da.from_array(x, chunks=(2, 3, 7)),
        lambda x: sparse.COO.from_numpy(x),
        lambda x: da.from_array(sparse.COO.from_numpy(x), chunks=(4, 5, 40)),
        lambda x: sp.csr_matrix(x.reshape(-1, 40)),
        lambda x: sp.coo_array(x.reshape(-1, 40)),
        lambda x: np.asfortranarray(x),
        lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    ],
    ids=["dask", "sparse", "dask-sparse", "csr", "coo", "fortran", "strided"],
)
def test_any_container(cube, convert):
    counts = Counts.from_array(convert(cube))
    np.testing.assert_array_equal(dense(counts), cube.reshape(-1, 40))


def test_slabs_cut_anywhere(cube, monkeypatch):
    from espm_hs.factorization.counts import rows as module

    whole = Counts.from_array(cube)
    monkeypatch.setattr(module, "SLAB_BYTES", 1)
    cut = Counts.from_array(cube)
    np.testing.assert_array_equal(whole.indptr, cut.indptr)
    np.testing.assert_array_equal(whole.values, cut.values)


@pytest.mark.parametrize(
    "container", [np.asarray, lambda x: da.from_array(x, (2, 5, 9))]
)
def test_selection(cube, container):
    pixels = np.arange(30) % 3 != 0
    channels = np.arange(40) > 4
    counts = Counts.from_array(container(cube), pixels=pixels, channels=channels)
    expected = cube.reshape(-1, 40)[pixels][:, channels]
    np.testing.assert_array_equal(dense(counts), expected)
    np.testing.assert_array_equal(counts.per_pixel, expected.sum(axis=1))
    np.testing.assert_array_equal(counts.spectrum, expected.sum(axis=0))


@pytest.mark.parametrize(
    ("largest", "dtype"),
    [(255, "u1"), (256, "u2"), (2**16, "u4"), (2**32, "f8"), (0.5, "f8")],
)
def test_smallest_type_that_holds_the_values(largest, dtype):
    data = np.array([[1, 0], [0, largest]])
    counts = Counts.from_array(data)
    assert counts.values.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(dense(counts), data)


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_values_that_are_no_counts(cube, bad):
    data = cube.astype(float)
    data[2, 3, 4] = bad
    with pytest.raises(ValueError, match="navigation_mask"):
        Counts.from_array(data)
    # what is masked may hold anything
    channels = np.arange(40) != 4
    assert Counts.from_array(data, channels=channels).n_channels == 39


def test_complex_is_refused(cube):
    with pytest.raises(TypeError, match="complex64"):
        Counts.from_array(cube.astype(np.complex64))


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), n_pixels=st.integers(1, 300))
def test_blocks_cover_all_pixels_once(seed, n_pixels):
    from espm_hs.factorization.counts import counts as module

    rng = np.random.default_rng(seed)
    data = rng.poisson(rng.choice([0.0, 0.1, 3.0]), (n_pixels, 20))
    before = module.BLOCK_NONZEROS
    try:
        module.BLOCK_NONZEROS = 50
        blocks = Counts.from_array(data).blocks
    finally:
        module.BLOCK_NONZEROS = before
    assert blocks[0] == 0
    assert blocks[-1] == n_pixels
    assert (np.diff(blocks) > 0).all()


def test_spectra_of_parts(cube, monkeypatch):
    monkeypatch.setattr("espm_hs.factorization.counts.counts.SMALL_NONZEROS", 1)
    counts = Counts.from_array(cube)
    assert counts.blocks.size > 3
    labels = 4 * np.arange(30) // 30
    expected = [cube.reshape(30, 40)[labels == k].sum(axis=0) for k in range(4)]
    np.testing.assert_array_equal(counts.spectra_of(labels, 4), expected)


@pytest.mark.parametrize("n", [1, 7, 30])
def test_sample_is_every_nth_pixel(cube, n):
    counts = Counts.from_array(cube)
    sample = counts.sample(n)
    step = -(-30 // n)
    np.testing.assert_array_equal(dense(sample), cube.reshape(-1, 40)[::step])


@pytest.mark.parametrize("scale", [1, 0.5])
def test_sums(cube, scale, monkeypatch):
    monkeypatch.setattr("espm_hs.factorization.counts.counts.BLOCK_NONZEROS", 20)
    counts = Counts.from_array(scale * cube)
    x = scale * cube.reshape(-1, 40).astype(float)
    moments = [len(x), x.sum(), np.arange(len(x)) @ x.sum(axis=1)]
    np.testing.assert_allclose(counts.moments, moments, rtol=1e-14)
    logs = np.where(x > 0, x * np.log(np.where(x > 0, x, 1)), 0)
    np.testing.assert_allclose(counts.saturated, (logs - x).sum(), rtol=1e-13)
    parts = np.concatenate([dense(part) for part in counts.parts()])
    np.testing.assert_array_equal(parts, x)


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4", "f8", "?"])
@given(shape=st.tuples(st.integers(1, 6), st.integers(1, 21)), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_words_end_anywhere(dtype, shape, seed):
    rng = np.random.default_rng(seed)
    X = rng.poisson(0.2, shape).astype(dtype)
    if X.dtype.kind == "f":
        X[X == 0] *= -1  # a zero whose bits are not
    channels = rng.random(shape[1]) < 0.8
    counts = Counts.from_array(X, channels=channels)
    np.testing.assert_array_equal(dense(counts), X[:, channels])


def test_kernels_read_one_type_of_values(cube, monkeypatch):
    """Every further type would be another compilation of all kernels."""
    from espm_hs.factorization.counts import counts as module

    few, many, shares = (Counts.from_array(cube * np.float64(n)) for n in (1, 999, 0.3))
    for counts, stored, read in (
        (few, np.uint8, np.uint16),
        (many, np.uint16, np.uint16),
        (shares, np.float64, np.float64),
    ):
        assert counts.values.dtype == stored
        assert counts.read_values.dtype == read
        np.testing.assert_array_equal(counts.read_values, counts.values)
    # what is wide enough is not copied, and nothing is where memory counts
    assert many.read_values is many.values
    monkeypatch.setattr(module, "WIDENED_NONZEROS", few.n_nonzeros - 1)
    large = Counts.from_array(cube)
    assert large.read_values is large.values
    np.testing.assert_array_equal(large.spectrum, few.spectrum)
    assert large.saturated == few.saturated
