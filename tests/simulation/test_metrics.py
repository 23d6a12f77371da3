"""Distances between what was found and the truth."""

import numpy as np
import pytest

from espm_hs.metrics import (
    composition_errors,
    map_errors,
    match_phases,
    spectral_angles,
)


def test_phases_are_matched_whatever_their_order():
    true = np.random.default_rng(0).random((30, 3))
    found = np.column_stack([true.mean(axis=1), 5 * true[:, [2, 0, 1]]])
    found[4] = np.nan
    order, angles = match_phases(found, true)
    assert order.tolist() == [2, 3, 1]
    np.testing.assert_allclose(angles, 0, atol=1e-12)
    with pytest.raises(ValueError, match="3 true phases"):
        match_phases(true[:, :2], true)


def test_angle_of_known_vectors():
    found = spectral_angles([[1.0, 0.0], [1.0, 2.0]], [[0.0], [3.0]])
    np.testing.assert_allclose(found, [[45.0], [0.0]], atol=1e-12)


def test_small_angles_are_not_lost():
    angle = spectral_angles([[1.0], [1e-9]], [[1.0], [0.0]])
    np.testing.assert_allclose(angle, np.degrees(1e-9), rtol=1e-6)


def test_an_empty_spectrum_is_far_from_all():
    np.testing.assert_allclose(spectral_angles([[0.0], [0.0]], [[1.0], [0.0]]), 90)


def test_errors_of_maps():
    rng = np.random.default_rng(1)
    true = rng.random((6, 5, 2))
    mse, r2 = map_errors(true * [3.0, 0.2], true)
    np.testing.assert_allclose(mse, 0, atol=1e-30)
    np.testing.assert_allclose(r2, 1)
    mse, _ = map_errors(true + 0.1, true, rescale=False)
    np.testing.assert_allclose(mse, 0.01)
    # a map that knows the mean alone explains nothing
    flat = np.broadcast_to(true.mean(axis=(0, 1)), true.shape)
    np.testing.assert_allclose(map_errors(flat, true)[1], 0, atol=1e-12)
    holes = np.where(rng.random((6, 5, 1)) < 0.2, np.nan, true)
    np.testing.assert_allclose(map_errors(holes, true)[0], 0, atol=1e-30)
    with pytest.raises(ValueError, match="shapes"):
        map_errors(true[..., :1], true)


def test_an_even_map_leaves_nothing_to_explain():
    rng = np.random.default_rng(2)
    true = np.stack([np.full((6, 5), 0.1), rng.random((6, 5))], axis=-1)
    mse, r2 = map_errors(true + 0.01 * rng.random(true.shape), true)
    assert np.isnan(r2[0])
    assert 0.9 < r2[1] < 1
    assert np.isfinite(mse).all()


def test_errors_of_compositions():
    true = np.array([[0.5, 0.1], [0.5, 0.9]])
    found = np.array([[0.45, 0.1], [0.55, 0.9]])
    np.testing.assert_allclose(composition_errors(found, true), [0.05, 0])
    with pytest.raises(ValueError, match="shapes"):
        composition_errors(found[:1], true)


@pytest.mark.parametrize("errors", [map_errors, spectral_angles])
def test_what_is_nowhere_known_is_not_compared(errors):
    known = np.ones((3, 2))
    with pytest.raises(ValueError, match="without a NaN to compare"):
        errors(np.full((3, 2), np.nan), known)
