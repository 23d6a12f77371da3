"""Maps that are linear in the counts: without bias, with noise that is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from espm_hs.factorization import Counts, linear_maps

CHANNELS = np.arange(40)


def spectra(*places):
    """Return peaks on a background, shape (40, n_components)."""
    peaks = [np.exp(-(((CHANNELS - place) / 3) ** 2)) + 0.1 for place in places]
    return np.stack(peaks, axis=1)


def test_amounts_are_right_on_average_where_there_is_none():
    """Non-negative maps have some of everything everywhere."""
    D, rng = spectra(10, 14), np.random.default_rng(0)
    H = np.tile([3.0, 0.0], (20_000, 1))
    found, noise = linear_maps(Counts.from_array(rng.poisson(H @ D.T)), D)
    errors = np.sqrt(np.diagonal(noise) / len(H))
    assert (abs(found.mean(axis=0) - H[0]) < 4 * errors).all()
    assert found[:, 1].min() < 0
    np.testing.assert_allclose(np.cov(found.T), noise, rtol=0.05)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 1000), k=st.integers(1, 3))
def test_noise_free_amounts_are_found(seed, k):
    rng = np.random.default_rng(seed)
    D, H = spectra(*(8 + 10 * np.arange(k))), rng.uniform(0, 5, (30, k))
    found, noise = linear_maps(Counts.from_array(H @ D.T), D)
    np.testing.assert_allclose(found, H, atol=1e-8)
    # least squares by hand, channel by channel
    mean = (H @ D.T).mean(axis=0)
    inverse = np.linalg.inv(D.T @ (D / mean[:, None]))
    np.testing.assert_allclose(noise, inverse, rtol=1e-6)


def test_what_is_nowhere_has_nothing():
    D = np.column_stack([spectra(10), np.zeros(40)])
    found, noise = linear_maps(Counts.from_array(np.full((5, 40), 2)), D)
    assert (found[:, 1] == 0).all()
    assert noise[1, 1] == pytest.approx(0.0)
