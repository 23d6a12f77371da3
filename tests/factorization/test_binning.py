"""Phases from binned counts."""

import numpy as np
import pytest
from conftest import make_map

from espm_hs.factorization import Bins, Counts, usual_binning


def drawn(shape, n_channels=7, mean=0.4, seed=0):
    return np.random.default_rng(seed).poisson(mean, (*shape, n_channels))


@pytest.mark.parametrize("shape", [(6, 9), (7, 5), (11,), (4, 3, 5), (1,)])
@pytest.mark.parametrize("factor", [1, 2, 3, 20])
def test_merged_counts_are_sums(shape, factor):
    X = drawn(shape)
    bins = Bins.from_shape(shape, factor)
    merged = bins.merge(Counts.from_array(X)).to_csr().toarray()
    expected = X
    for axis, size in enumerate(shape):
        expected = np.add.reduceat(expected, range(0, size, factor), axis=axis)
    assert bins.shape == expected.shape[:-1]
    assert np.array_equal(merged, expected.reshape(-1, X.shape[-1]))


def test_masked_pixels_are_in_no_bin():
    X, pixels = drawn((6, 6)), np.ones((6, 6), bool)
    pixels[:2, :2] = False  # a whole bin
    pixels[5, 5] = False
    counts = Counts.from_array(X, pixels=pixels.ravel())
    bins = Bins.from_shape((6, 6), 2, pixels.ravel())
    sums = (X * pixels[..., None]).reshape(3, 2, 3, 2, -1).sum(axis=(1, 3))
    merged = bins.merge(counts).to_csr().toarray()
    assert bins.n_bins == 8
    assert np.array_equal(merged, sums.reshape(9, -1)[bins.used])


def test_spread_is_undone_by_sum():
    pixels = np.random.default_rng(0).random(35) < 0.7
    bins = Bins.from_shape((7, 5), 3, pixels)
    H = np.random.default_rng(1).random((bins.n_bins, 2))
    assert np.allclose(bins.sum(bins.spread(H)), H, rtol=1e-14)


@pytest.mark.parametrize(
    ("shape", "dose", "factor"),
    [
        ((64, 64), 3000, 1),
        ((64, 64), 2999, 2),
        ((64, 64), 300, 2),  # 1024 bins are left
        ((128, 128), 300, 4),
        ((64, 64), 299, 2),
        ((64, 64), 20, 4),
        ((64, 64), 10, 4),  # 256 bins are left
        ((64, 64), 4, 5),  # bins of 90 counts
        ((64, 64), 1, 10),  # 40 bins are left
        ((1024,), 100, 3),
        ((8, 8), 1, 1),
    ],
)
def test_usual_binning(shape, dose, factor):
    counts = Counts.from_array(np.full((*shape, 1), dose))
    assert usual_binning(counts, shape) == factor


def test_phases_of_few_counts_are_nearer_to_the_truth():
    """Noise of the maps turns into wrong spectra; binned maps have less of it."""
    from espm_hs import metrics
    from espm_hs.simulation import DATASETS

    s = DATASETS["grain_boundary"](counts_per_pixel=20, seed=0)
    angles = {}
    for binning in (1, "auto"):
        s.decomposition(
            algorithm="espm", output_dimension=3, binning=binning, print_info=False
        )
        factors = s.learning_results.factors
        angles[binning] = metrics.match_phases(factors, s.ground_truth().spectra)[1]
        assert s.learning_results.loadings.shape == (96 * 96, 3)
    assert angles["auto"].max() < 0.5 * angles[1].max()
    assert s.analysis_results().binning == 4


def test_a_mask_and_bins_that_do_not_fit(eds):
    mask = np.zeros((7, 9), bool)  # x, y
    mask[:3] = True
    info = eds.decomposition(
        algorithm="espm",
        output_dimension=2,
        binning=2,
        navigation_mask=mask,
        return_info=True,
        print_info=False,
    )
    loadings = eds.learning_results.loadings.reshape(9, 7, 2)
    assert np.isnan(loadings[:, :3]).all()
    assert np.isfinite(loadings[:, 3:]).all()
    assert info.binning == 2


def test_composition_is_that_of_the_binned_map():
    s = make_map((12, 12))
    options = {"algorithm": "espm", "output_dimension": 3, "print_info": False}
    s.decomposition(binning=3, **options)
    binned = s.rebin(scale=(3, 3, 1))
    binned.decomposition(binning=1, **options)
    found, expected = s.analysis_results(), binned.analysis_results()
    assert np.array_equal(found.W, expected.W)
    assert np.array_equal(found.covariance, expected.covariance)


@pytest.mark.parametrize("binning", [0, -1, 1.5, "fine", None, [2]])
def test_binning_that_makes_no_sense(eds, binning):
    with pytest.raises(ValueError, match=r"`binning` is .* needed is 'auto'"):
        eds.decomposition(algorithm="espm", output_dimension=2, binning=binning)


def test_shares_of_bins_do_not_add_up(eds):
    with pytest.raises(ValueError, match="add up to 1"):
        eds.decomposition(
            algorithm="espm", output_dimension=2, binning=2, simplex="abundances"
        )
