"""Counts that are held out judge what is fitted to the others."""

import numpy as np
import pytest

from espm_hs.factorization import Penalties
from espm_hs.model_selection.cross_validation import CrossValidation
from espm_hs.simulation import DATASETS


@pytest.fixture(scope="module")
def s():
    return DATASETS["particles"]((16, 16), counts_per_pixel=80, seed=3)


def trial_of(s, **options):
    return CrossValidation(
        s.data, s.physical_model(), penalties=Penalties(1.0), **options
    )


def test_the_truth_predicts_best(s):
    """Better than the mean spectrum, and than the truth of other pixels."""
    calls = []
    trial = trial_of(s, n_thinnings=3, callback=lambda *done: calls.append(done))
    truth = s.ground_truth()
    D = truth.spectra[trial.used]
    D = D / D.sum(axis=0)
    fractions = truth.thickness.reshape(-1, 3) * truth.spectra[trial.used].sum(axis=0)
    fractions /= fractions.sum(axis=1, keepdims=True)

    loss = np.empty((3, 3))
    for t, (fitted, others) in enumerate(trial.draws(trial.counts)):
        totals = np.add.reduceat(fitted.values, fitted.indptr[:-1], dtype=float)
        H = fractions * totals[:, None]
        mean = fitted.spectrum / fitted.spectrum.sum()
        predictions = (D, H), (D, H[::-1]), (np.repeat(mean[:, None], 3, axis=1), H)
        for i, prediction in enumerate(predictions):
            loss[i, t] = trial.loss(others, *prediction)
            trial.tell(3 * t + i + 1, 3)
    assert np.isfinite(loss).all()
    assert (loss[0] < loss[1:] - 10).all()
    assert calls == [(n, 9) for n in range(1, 10)]


def test_what_makes_no_sense_is_said_before_the_counts_are_read(s):
    with pytest.raises(ValueError, match="`n_thinnings` must be an integer"):
        trial_of(s, n_thinnings=1.5)
    trial = trial_of(s, channels=np.zeros(s.data.shape[-1], bool))
    with pytest.raises(ValueError, match="All channels are masked"):
        trial.check(2)
    assert "counts" not in vars(trial)
