"""Phases of large maps are found in sums of channels: the result is that of all."""

from dataclasses import replace

import numpy as np
import pytest

from espm_hs.decomposition.search import PhaseSearch
from espm_hs.factorization import channel_sums
from espm_hs.simulation import DATASETS, metrics

QUIET = {
    "algorithm": "espm",
    "output_dimension": 3,
    "print_info": False,
    "show_progressbar": False,
    "return_info": True,
}


@pytest.fixture(scope="module")
def s():
    """A map whose absorption depends on what is in a phase."""
    s = DATASETS["particles"]((24, 24), counts_per_pixel=100, seed=2)
    s.set_analysis_parameters(thickness=100, density=5)
    return s


def furthest(s, found):
    return metrics.match_phases(found.spectra, s.ground_truth().spectra)[1].max()


@pytest.mark.filterwarnings("ignore")
def test_phases_errors_and_maps_are_those_of_all_channels(s, monkeypatch):
    assert s.physical_model().depends_on_composition
    whole = s.decomposition(n_jobs=1, **QUIET)
    taken = []
    of_counts = channel_sums.Sums.of_counts

    def seen(self, counts):
        taken.append(len(self.first))
        return of_counts(self, counts)

    monkeypatch.setattr(channel_sums.Sums, "of_counts", seen)
    monkeypatch.setattr(channel_sums, "MANY", 0)
    fits = [s.decomposition(n_jobs=n, **QUIET) for n in (1, 2)]
    found = fits[0]
    assert min(taken) > 0
    assert max(taken) < 0.2 * s.data.shape[-1]
    assert found.spectra.shape == whole.spectra.shape
    assert furthest(s, found) < furthest(s, whole) + 0.2
    order, angles = metrics.match_phases(found.spectra, whole.spectra)
    assert angles.max() < 0.5
    errors = [np.sqrt(one.covariance.diagonal(axis1=1, axis2=2)) for one in fits]
    theirs = np.sqrt(whole.covariance.diagonal(axis1=1, axis2=2))
    of_elements = whole.model.element_columns
    np.testing.assert_allclose(
        errors[0][order.argsort()][:, of_elements], theirs[:, of_elements], rtol=0.3
    )
    # the last part of the history is of all channels, and ends where the maps began
    assert np.diff(found.history).max() <= 1e-6 * found.history[0]
    for name in ("W", "loadings", "covariance", "history", "feasible_ranges"):
        np.testing.assert_array_equal(*(getattr(one, name) for one in fits))


def test_an_interruption_brings_what_there_is_to_all_channels(s, monkeypatch):
    from espm_hs.factorization.solvers.base import MultiplicativeDescent

    monkeypatch.setattr(channel_sums, "MANY", 0)
    step, n_steps = MultiplicativeDescent.step, []

    def interrupted(self, max_passes):
        n_steps.append(self.passes.counts.n_channels)
        if len(n_steps) == 40:
            raise KeyboardInterrupt
        step(self, max_passes)

    monkeypatch.setattr(MultiplicativeDescent, "step", interrupted)
    with pytest.warns(UserWarning, match="interrupted"):
        found = s.decomposition(**QUIET)
    assert found.interrupted
    assert n_steps[39] < n_steps[-1] == found.channels.sum()
    assert furthest(s, found) < 20
    assert s.quantify()[0].data.shape == (3,)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("steps", [[], ["Phase 1 taken out of phase 0."]])
def test_elements_that_are_not_in_a_phase_stay_out(s, monkeypatch, steps):
    monkeypatch.setattr(channel_sums, "MANY", 0)
    last_fit, left = PhaseSearch._in_all_channels, []

    def without_one(self, found, counts):
        W, fixed = found.W.copy(), self.problem.fixed
        there = self.rows & (W[:, 0] > 0.01)
        gone = np.argmin(np.where(there, W[:, 0], np.inf))
        W[gone, 0] = 0.0
        self.steps += steps
        found = last_fit(self, replace(found, W=W), counts)
        assert self.problem.fixed is fixed
        left.append(found.W[gone, 0])
        return found

    monkeypatch.setattr(PhaseSearch, "_in_all_channels", without_one)
    assert s.decomposition(**QUIET).converged
    assert left == [0.0]
