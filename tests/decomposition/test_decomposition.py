"""What joins physics and factorisation: absorption, interrupts, limits."""

import numpy as np
import pytest
from conftest import ELEMENTS, PHASES, make_map

from espm_hs.analysis import decompose
from espm_hs.decomposition import search as phase_search
from espm_hs.physics import SpectrumModel
from espm_hs.simulation import Experiment, Phase

THICK = {"thickness": 300.0, "density": 5.0, "take_off_angle": 22.0}


def simulate(shape=(10, 9), dose=2000, **options):
    model = SpectrumModel(-0.1 + 0.02 * np.arange(500), 200.0, ELEMENTS, **options)
    shares = np.random.default_rng(0).dirichlet(np.full(3, 0.1), shape)
    phases = [Phase(str(i), PHASES[i], 5.0, 0.05) for i in range(3)]
    drawn = Experiment(model, phases, shares, dose).counts()
    return drawn.toarray().reshape(*shape, 500), model


def truth():
    return np.array([[phase.get(e, 0.0) for phase in PHASES] for e in ELEMENTS])


def distance(found):
    """Largest error of each true phase, to the nearest one found."""
    return np.abs(found[:, :, None] - truth()[:, None, :]).max(axis=0).min(axis=0)


def test_each_phase_absorbs_by_its_own_composition():
    counts, model = simulate(**THICK)
    found = decompose(counts, model, 3, sparsity=1.0, random_state=0)
    assert distance(found.composition).max() < 0.02
    ignored = model.replace(thickness=None, density=None)
    wrong = decompose(counts, ignored, 3, sparsity=1.0, random_state=0)
    assert distance(wrong.composition).max() > 0.05
    assert found.G.shape == (3, 500, len(model.columns))
    assert np.ptp(found.G, axis=0).max() > 0


@pytest.mark.parametrize("max_iter", [1, 7, 40])
def test_iterations_are_limited_over_all_rounds(max_iter):
    counts, model = simulate(**THICK)
    found = decompose(counts, model, 3, max_iter=max_iter, random_state=0)
    assert found.n_iter <= max_iter + 1  # an extrapolation may come on top
    assert not found.converged


@pytest.mark.parametrize("after", [5, 60])
def test_interrupt_ends_all_rounds(after):
    counts, model = simulate(**THICK)
    calls = []

    def stop(n_iter, objective):
        calls.append(n_iter)
        if sum(calls) > after:
            raise KeyboardInterrupt

    with pytest.warns(UserWarning, match="interrupted"):
        found = decompose(counts, model, 3, callback=stop, random_state=0)
    assert found.interrupted
    assert len(calls) < 20
    assert np.isfinite(found.composition).all()


def test_interrupt_while_errors_are_computed(monkeypatch):
    def stop(*args, **options):
        raise KeyboardInterrupt

    counts, model = simulate()
    monkeypatch.setattr(phase_search, "composition_covariance", stop)
    with pytest.warns(UserWarning, match="interrupted"):
        found = decompose(counts, model, 3, random_state=0)
    assert np.isnan(found.covariance).all()
    assert np.isfinite(found.composition).all()


def test_misfit_tells_a_missing_element():
    counts, model = simulate()
    right = decompose(counts, model, 3, random_state=0)
    fewer = model.replace(elements=[e for e in ELEMENTS if e != "Si"])
    wrong = decompose(counts, fewer, 3, random_state=0)
    assert right.misfit < 1.5
    assert wrong.misfit > 10


@pytest.mark.parametrize(
    "fixed", [["Si"], {0: "Si"}, {0: None}, {0: {"Si": "a"}}, {"a": {"Si": 0.0}}]
)
def test_fixed_composition_of_the_wrong_kind(fixed):
    counts, model = simulate()
    with pytest.raises((TypeError, ValueError), match="fixed_composition"):
        decompose(counts, model, 3, fixed_composition=fixed)


def test_fingerprint_notices_moved_pixels():
    counts, model = simulate((8, 8))
    prints = [
        decompose(data, model, 2, max_iter=3, random_state=0).fingerprint
        for data in (counts, counts.transpose(1, 0, 2))
    ]
    assert not np.array_equal(*prints)


@pytest.mark.parametrize("seed", range(3))
def test_spectra_belong_to_their_compositions(seed):
    """Whatever the start, each phase has the G of its own absorption."""
    counts, model = simulate(**THICK)
    found = decompose(counts, model, 3, init="random", random_state=seed, sparsity=1.0)
    expected = np.einsum("jec,cj->ej", found.G, found.W)[found.channels]
    expected /= expected.sum(axis=0)
    assert np.allclose(found.spectra[found.channels], expected, rtol=0, atol=2e-4)
    assert found.misfit < 1.5


@pytest.mark.parametrize("smoothness", [0.0, 1.0, 100.0, "auto"])
def test_maps_hold_all_counts(smoothness):
    """Smoothness alone would pull down what is high."""
    s = make_map((16, 16), 20, seed=1)
    found = s.decomposition(
        algorithm="espm",
        output_dimension=3,
        smoothness=smoothness,
        return_info=True,
        print_info=False,
    )
    counts = s.data[..., found.channels].sum()
    assert s.learning_results.loadings.sum() == pytest.approx(counts, rel=1e-6)
