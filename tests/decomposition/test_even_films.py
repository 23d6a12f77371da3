"""What lies on a film follows from the film being the same everywhere."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from espm_hs import metrics
from espm_hs.decomposition import search
from espm_hs.decomposition.separation import even_film, in_film
from espm_hs.decomposition.surroundings import evened
from espm_hs.physics import SpectrumModel
from espm_hs.simulation import Experiment, Phase, record

# Rows: Si, N, Mo, S, W.
ELEMENTS = np.ones(5, bool)
MEMBRANE, MOLYBDENUM, TUNGSTEN = np.array(
    [[0.43, 0.57, 0, 0, 0], [0, 0, 0.33, 0.67, 0], [0, 0, 0, 0.67, 0.33]]
)


def flakes(n=4000, seed=0):
    """Amounts of a membrane that is even, and of two kinds of flakes on it."""
    rng = np.random.default_rng(seed)
    H = rng.uniform(0, 6, (n, 3)) * (rng.random((n, 3)) < 0.4)
    H[:, 0] = 20
    return H


def with_film(H, amounts, W):
    """Return the same with so many atoms of the first phase in each of the others."""
    H, W = H.copy(), W.copy()
    for phase, amount in enumerate(amounts, 1):
        H[:, phase] /= 1 - amount
        H[:, 0] -= amount * H[:, phase]
        W[:, phase] = (1 - amount) * W[:, phase] + amount * W[:, 0]
    return H, W


def films(W, H, noise=None):
    k = W.shape[1]
    noise = np.zeros((k, k)) if noise is None else noise
    return even_film(W, ELEMENTS[: len(W)], H, noise, np.ones((k, k), bool))


PHASES = np.stack([MEMBRANE, MOLYBDENUM, TUNGSTEN], axis=1)


@settings(deadline=None, max_examples=30)
@given(first=st.floats(0, 0.9), second=st.floats(0, 0.9), seed=st.integers(0, 99))
def test_how_much_of_an_even_film_is_in_phases_is_told(first, second, seed):
    """Also where none of their own elements says so."""
    H, W = with_film(flakes(seed=seed), (first, second), PHASES)
    told, errors, uneven = evened(H, np.zeros((3, 3)), 0)
    np.testing.assert_allclose(told, [0, first, second], atol=1e-8)
    assert np.isinf(errors[0])
    assert uneven < 1e-12
    np.testing.assert_allclose(W, np.clip(W, 0, 1))


def test_noise_of_other_maps_does_not_weaken_what_they_tell():
    """Least squares on noisy amounts would find too little, by a quarter here."""
    H, _ = with_film(flakes(20_000), (0.8, 0.0), PHASES)
    H, rng = H[:, :2], np.random.default_rng(1)
    noise = np.diag([1.0, H[:, 1].var() / 3])
    noisy = H + rng.multivariate_normal([0, 0], noise, len(H))
    told, errors, uneven = evened(noisy, noise, 0)
    assert told[1] == pytest.approx(0.8, abs=4 * errors[1])
    assert errors[1] < 0.02
    assert abs(uneven) < 3e-3
    weakened = np.cov(noisy.T)
    assert -weakened[0, 1] / weakened[1, 1] < 0.65


def test_what_does_not_vary_tells_nothing():
    H = np.tile([20.0, 5.0], (400, 1))
    noisy = H + np.random.default_rng(0).standard_normal(H.shape)
    assert evened(noisy, np.eye(2), 0)[2] == np.inf


def test_a_membrane_is_found_in_flakes_that_are_thinner():
    H, W = with_film(flakes(), (0.86, 0.5), PHASES)
    first, second = films(W, H)
    assert (first.phase, first.other, second.phase) == (1, 0, 2)
    assert first.amount == pytest.approx(0.86)
    assert second.amount == pytest.approx(0.5)
    assert first.columns.tolist() == [0, 1]


def test_nothing_is_found_in_phases_on_a_film_that_are_themselves():
    assert films(PHASES, flakes()) == []


def test_phases_side_by_side_in_an_even_foil_are_no_films():
    """Their sum is as even, but one would leave less than nothing of the other."""
    share = np.random.default_rng(0).random(400)
    H = 80 * np.stack([1 - share, share], axis=1)
    assert films(PHASES[:, :2], H) == []
    common = np.array([[0.6, 0.4], [0.4, 0.6]])  # as in a superalloy
    assert films(common, H) == []


def test_what_a_film_is_thicker_under_is_no_film_itself():
    """As much as a carbide has lost to the film below is even, with it."""
    H = flakes()[:, :2]
    H[:, 0] += 0.4 * H[:, 1]
    told, _, uneven = evened(H, np.zeros((2, 2)), 1)
    assert told[0] == pytest.approx(-2.5)
    assert uneven == np.inf
    assert films(PHASES[:, :2], H) == []


def test_what_takes_the_place_of_a_matrix_is_not_on_a_film():
    """Particles that do not reach through the foil are found with matrix in them."""
    inside = 40 * np.random.default_rng(0).random(400)
    H = np.stack([80 - inside, inside], axis=1)
    for share in (0.3, 0.5):
        W = np.stack([MEMBRANE, share * MEMBRANE + (1 - share) * TUNGSTEN], axis=1)
        found = np.stack([H[:, 0] - share / (1 - share) * inside, inside / (1 - share)])
        assert films(W, found.T) == []


def test_a_carbide_on_a_film_of_carbon_keeps_what_is_its_own():
    """Then no element says that anything is gone: nothing is taken out here."""
    W = np.array([[1.0, 0.3], [0.0, 0.7]])
    assert films(W, flakes()[:, :2]) == []


def test_a_film_loses_what_lies_on_it_as_far_as_elements_allow():
    W = np.array([[0.7, 0.0, 0.0], [0.1, 0.4, 0.2], [0.2, 0.6, 0.0], [0, 0, 0.8]])
    (one,) = in_film(W, np.ones(4, bool), 0)
    assert (one.phase, one.other, one.columns.tolist()) == (0, 1, [1])
    assert one.amount == pytest.approx(0.25)


# -- the search --------------------------------------------------------------------


def recorded(phases, maps, counts, seed=1):
    """Record a map of 32 x 32 pixels."""
    elements = sorted({e for phase in phases for e in phase.composition})
    model = SpectrumModel(
        0.01 * np.arange(1, 1200),
        200.0,
        elements,
        take_off_angle=22.0,
        thickness=50.0,
        density=3.0,
    )
    return record(Experiment(model, phases, np.stack(maps, axis=-1), counts), seed)


def membrane():
    """Flakes of two sulphides, thinner than their membrane; beside each other."""
    first, second = np.zeros((2, 32, 32))
    first[3:11, 4:12] = first[18:26, 17:25] = 6
    second[3:11, 12:15] = second[18:26, 25:28] = 6
    phases = [
        Phase("membrane", {"Si": 43, "N": 57}, 3.0, 0.08),
        Phase("MoS2", {"Mo": 33, "S": 67}, 5.0, 0.08),
        Phase("WS2", {"W": 33, "S": 67}, 7.4, 0.1),
    ]
    return phases, recorded(phases, [np.full((32, 32), 20.0), first, second], 60)


def resin():
    """Mineral of uneven thickness everywhere in resin, and a vein of another one."""
    rng = np.random.default_rng(3)
    mineral = 70 * gaussian_filter((rng.random((32, 32)) < 0.4).astype(float), 2.0)
    vein = 40 * np.exp(-(((np.arange(32) - 20) / 2.5) ** 2))
    phases = [
        Phase("resin", {"C": 80, "O": 20}, 1.2, 0.25),
        Phase("apatite", {"Ca": 23, "P": 14, "O": 63}, 3.1, 0.07),
        Phase("whitlockite", {"Ca": 18, "Mg": 5, "P": 15, "O": 62}, 3.0, 0.07),
    ]
    maps = [np.full((32, 32), 60.0), mineral, np.tile(vein, (32, 1))]
    return phases, recorded(phases, maps, 400)


def largest_error(phases, s):
    """Decompose into three phases: the largest error of a fraction, and the steps."""
    s.decomposition(algorithm="espm", output_dimension=3, print_info=False)
    found, truth = s.analysis_results(), s.ground_truth()
    order, _ = metrics.match_phases(found.spectra, truth.spectra)
    percent = 100 * found.composition / found.composition.sum(axis=0)
    true = [[x.composition.get(e, 0) for x in phases] for e in found.model.elements]
    true = 100 * np.array(true) / np.sum(true, axis=0)
    return abs(percent[:, order] - true).max(), found.steps


@pytest.mark.parametrize("sample", [membrane, resin])
@pytest.mark.filterwarnings("ignore::espm_hs.decomposition.cautions.PhaseWarning")
def test_phases_on_an_even_film_are_found(sample, monkeypatch):
    error, steps = largest_error(*sample())
    assert error < 5
    assert any("is the same everywhere" in step for step in steps)
    monkeypatch.setattr(search, "even_film", lambda *_: [])
    assert largest_error(*sample())[0] > 20


@pytest.mark.filterwarnings("ignore::espm_hs.decomposition.cautions.PhaseWarning")
@pytest.mark.filterwarnings("ignore:The fit was interrupted:UserWarning")
def test_who_does_not_want_to_wait_for_the_film_keeps_what_was_found(monkeypatch):
    fit, stopped = search.PhaseSearch._fit, []

    def fit_or_stop(self, init, options):
        found = fit(self, init, options)
        if options.solver != "mu" or self.problem.penalties.acts:
            return found
        stopped.append(self.problem)
        return replace(found, interrupted=True)

    monkeypatch.setattr(search.PhaseSearch, "_fit", fit_or_stop)
    _, s = resin()
    s.decomposition(algorithm="espm", output_dimension=3, print_info=False)
    result = s.analysis_results()
    assert result.interrupted
    assert len(stopped) == 1  # and no other fit is begun
    assert result.sparsity > 0
    assert not any("is the same everywhere" in step for step in result.steps)
