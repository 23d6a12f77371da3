"""Sums of pixels that look alike."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from espm_hs.factorization import Bins, Counts, Grid
from espm_hs.factorization.alike import AlikePixels, halved

SHAPE = (48, 48)


def spectra(n_channels=60):
    """Two spectra with a peak each, shape (n_channels, 2)."""
    axis = np.arange(n_channels)[:, None]
    peaks = np.exp(-0.5 * ((axis - [20, 40]) / 3) ** 2) + 0.02
    return peaks / peaks.sum(axis=0)


def lines_of_a_pixel(mean_counts, seed=0, every=8):
    """Counts of a matrix with lines of another phase."""
    line = np.zeros(SHAPE)
    line[:, every // 2 :: every] = 1.0
    shares = np.stack([1 - line, line], axis=-1).reshape(-1, 2)
    rng = np.random.default_rng(seed)
    return Counts.from_array(rng.poisson(mean_counts * shares @ spectra().T))


def alike(counts, binning=4, **grid):
    return AlikePixels(counts, Grid.from_shape(SHAPE, **grid), binning)


def test_each_count_is_in_one_sum():
    counts = lines_of_a_pixel(30)
    sums = alike(counts).sums(spectra(), counts.spectrum)
    assert sums.n_pixels == 2 * alike(counts).n_sums
    assert np.array_equal(sums.spectrum, counts.spectrum)
    # and they have about as many counts each
    assert sums.per_pixel.max() < 1.5 * sums.per_pixel.mean()


def test_thin_lines_are_purer_than_in_bins():
    counts = lines_of_a_pixel(30)

    def purest(some):
        """Share of the second phase where there is most of it, by its channels."""
        per_pixel = some.to_csr() @ np.eye(60)[:, 31:].sum(axis=1) / some.per_pixel
        return np.sort(per_pixel)[-some.n_pixels // 16 :].mean()

    bins = Bins.from_shape(SHAPE, 4).merge(counts)
    own = spectra()[31:, 1].sum()
    assert purest(bins) < 0.4 * own
    assert purest(alike(counts).sums(spectra(), counts.spectrum)) > 0.7 * own


@pytest.mark.parametrize("seed", range(3))
def test_what_is_chosen_by_noise_is_not_summed(seed):
    # all pixels are the same: sums of those that look alike differ by their noise alone
    rng = np.random.default_rng(seed)
    counts = Counts.from_array(rng.poisson(20 * spectra().mean(axis=1), (*SHAPE, 60)))
    sums = alike(counts).sums(spectra(), counts.spectrum)
    own = sums.to_csr().toarray()
    expected = np.outer(own.sum(axis=1), counts.spectrum / counts.total)
    freedom = (own.shape[0] - 1) * (own.shape[1] - 1)
    chi2 = ((own - expected) ** 2 / expected).sum()
    assert abs(chi2 - freedom) < 4 * np.sqrt(2 * freedom)
    # which they would not, were one half chosen and summed
    labels = halved(
        (counts.to_csr() @ spectra()) / counts.per_pixel[:, None], counts.per_pixel, 40
    )
    chosen = counts.spectra_of(labels, 40)
    expected = np.outer(chosen.sum(axis=1), counts.spectrum / counts.total)
    chi2 = ((chosen - expected) ** 2 / expected).sum()
    assert chi2 > 39 * 59 + 10 * np.sqrt(2 * 39 * 59)


def test_threads_and_masks():
    counts = lines_of_a_pixel(30)
    pixels = np.random.default_rng(1).random(counts.n_pixels) < 0.8
    some = alike(counts.take(pixels), pixels=pixels)
    one, two = (some.sums(spectra(), counts.spectrum, n_jobs=n) for n in (1, 2))
    for name in ("indptr", "channels", "values"):
        assert np.array_equal(getattr(one, name), getattr(two, name))
    assert np.array_equal(one.spectrum, some.counts.spectrum)


def test_components_that_are_the_same():
    counts = lines_of_a_pixel(30)
    twice = spectra()[:, [0, 0, 1]]
    sums = alike(counts).sums(twice, counts.spectrum)
    assert np.array_equal(sums.spectrum, counts.spectrum)


def test_a_large_map_is_told_by_strips():
    mean = 0.5 * spectra().mean(axis=1)
    X = np.random.default_rng(0).poisson(mean, (200, 200, 60))
    counts = Counts.from_array(X)
    whole = AlikePixels(counts, Grid.from_shape((200, 200)), 8)
    some = whole.to_tell
    assert some is not whole
    assert some.counts.n_pixels <= 1 << 14
    sums = some.sums(spectra(), counts.spectrum)
    assert np.array_equal(sums.spectrum, some.counts.spectrum)


@given(
    n=st.integers(1, 20),
    n_points=st.integers(1, 60),
    n_axes=st.integers(1, 3),
    seed=st.integers(0, 9),
)
def test_groups_have_about_equal_weight(n, n_points, n_axes, seed):
    rng = np.random.default_rng(seed)
    weight = rng.poisson(20.0, n_points).astype(float)
    labels = halved(rng.normal(size=(n_points, n_axes)), weight, n)
    assert labels.min() >= 0
    assert labels.max() < n
    groups = np.bincount(labels, weight, n)
    # each cut is at most a point away from where it should be
    assert groups.max() <= weight.sum() / n + weight.max() * np.ceil(np.log2(n) + 1)
    if n_points >= n * 4:
        assert (np.bincount(labels, minlength=n) > 0).all()
