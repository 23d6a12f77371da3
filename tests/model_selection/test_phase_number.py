"""How many phases a map has."""

import hyperspy.api as hs
import numpy as np
import pytest

from espm_hs import estimate_number_together
from espm_hs.analysis import PhaseNumber
from espm_hs.decomposition.together import OneOfMaps
from espm_hs.factorization import Penalties
from espm_hs.model_selection.cross_validation import JointCrossValidation
from espm_hs.model_selection.n_phases_and_binning import _beyond_doubt
from espm_hs.simulation import DATASETS

QUICK = {"n_thinnings": 2, "n_init": 1}


@pytest.mark.parametrize(
    ("name", "dose"), [("particles", 20), ("grain_boundary", 12), ("mantle", 18)]
)
def test_the_number_of_simulated_phases(name, dose):
    s = DATASETS[name](counts_per_pixel=dose, seed=1)
    assert s.estimate_number_of_phases(range(1, 6), **QUICK) == 3


def test_one_phase():
    s = DATASETS["particles"](counts_per_pixel=50, seed=0).inav[:16, :16]
    rng = np.random.default_rng(0)
    mean = s.data.mean(axis=(0, 1))
    s.data = rng.poisson(np.broadcast_to(mean, s.data.shape))
    assert s.estimate_number_of_phases([1, 2, 3], **QUICK) == 1


def test_the_curve_is_kept_and_drawn(eds, tmp_path):
    with pytest.raises(RuntimeError, match="estimate_number_of_phases"):
        eds.plot_number_of_phases()
    best = eds.estimate_number_of_phases([4, 2, 3, 1], **QUICK)
    eds.save(tmp_path / "map.hspy")
    loaded = hs.load(tmp_path / "map.hspy")
    stored = loaded.metadata.EDS_espm.number_of_phases
    assert stored.best == best == 3
    assert stored.numbers.tolist() == [1, 2, 3, 4]
    assert stored.loss.shape == (4, 2)
    # one phase is the mean, the fourth is noise
    assert stored.angles[0] < 1
    assert stored.angles[3] > 3 * stored.angles[2]
    figure = loaded.plot_number_of_phases()
    assert figure.axes[1].get_xlabel() == "Number of phases"
    assert "3 phases" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_the_smallest_number_within_errors():
    # 3 is a little better than 2, but not in every draw
    loss = np.array([[90.0, 110, 95], [4, 0, 3], [2, 3, 1], [20, 30, 25]])
    found = PhaseNumber(np.arange(1, 5), loss - loss.mean(axis=1).min(), 1, np.zeros(4))
    assert found.numbers[found.mean.argmin()] == 3
    assert found.best == 2
    assert found.error[found.mean.argmin()] == 0


def test_larger_numbers_are_not_tried_beyond_doubt(eds):
    """Two that predict worse in every draw end the search, and nothing else does."""
    assert eds.estimate_number_of_phases(range(1, 9), **QUICK) == 3
    stored = eds.metadata.EDS_espm.number_of_phases
    assert stored.numbers.tolist() == list(range(1, len(stored.numbers) + 1))
    assert 5 <= len(stored.numbers) < 8
    assert (stored.loss[-2:] > stored.loss[2]).all()
    assert len(stored.angles) == len(stored.loss) == len(stored.numbers)


@pytest.mark.parametrize(
    ("loss", "ends"),
    [
        ([[5.0, 6], [1, 2], [3, 4]], False),
        ([[1.0, 2], [3, 4], [5, 6]], True),
        ([[5.0, 6], [1, 2], [3, 4], [3, 1.9]], False),
        ([[5.0, 6], [1, 2], [3, 4], [3, 4]], True),
        ([[5.0, 6], [1, 2], [3, 4], [0, 1]], False),
        ([[5.0, 6], [1, 2], [3, 4], [0, 1], [2, 2], [2, 2]], True),
    ],
)
def test_what_is_beyond_doubt(loss, ends):
    assert _beyond_doubt(np.array(loss)) is ends


def test_the_same_seed_gives_the_same_curve(eds):
    curves = []
    for n_jobs in (1, 2):
        eds.estimate_number_of_phases([2, 3], random_state=5, n_jobs=n_jobs, **QUICK)
        curves.append(eds.metadata.EDS_espm.number_of_phases.loss)
    np.testing.assert_array_equal(*curves)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"numbers": [3]}, "at least two numbers"),
        ({"numbers": []}, "at least two numbers"),
        ({"numbers": [0, 1]}, "must be between 1"),
        ({"numbers": [1, 1000]}, "must be between 1"),
        ({"numbers": [1.5, 2]}, "must be an integer"),
        ({"n_thinnings": 1}, "`n_thinnings` must be"),
    ],
)
def test_numbers_that_make_no_sense(eds, arguments, message):
    before = eds.metadata.as_dictionary()
    with pytest.raises(ValueError, match=message):
        eds.estimate_number_of_phases(**arguments)
    assert eds.metadata.as_dictionary() == before


def test_what_was_not_counted(eds):
    eds.change_dtype(float)
    eds.data = eds.data * 0.37
    with pytest.raises(ValueError, match="as they were measured"):
        eds.estimate_number_of_phases([1, 2])


@pytest.mark.parametrize("shared", ["auto", "composition"])
def test_the_number_of_phases_of_maps_together(shared):
    """Each map by itself is too poor to show the third phase; all of them show it."""
    maps = [DATASETS["particles"]((16, 16), 3, seed=seed) for seed in range(6)]
    alone = maps[0].deepcopy()
    assert alone.estimate_number_of_phases(range(1, 5), **QUICK) < 3
    found = estimate_number_together(maps, range(1, 5), shared=shared, **QUICK)
    assert found == 3
    for signal in maps:
        assert signal.metadata.EDS_espm.number_of_phases.best == 3
    assert maps[1].plot_number_of_phases().axes[1].get_xlabel() == "Number of phases"


def test_loss_of_places_is_that_of_their_own_counts():
    """Held-out counts of two models, by their means in plain numpy."""
    maps = [DATASETS["particles"]((6, 6), 60, seed=seed) for seed in range(2)]
    models = [s.physical_model() for s in maps]
    models[1] = models[1].replace(beam_energy=300)
    asked = [
        OneOfMaps(*pair) for pair in zip((s.data for s in maps), models, strict=True)
    ]
    trial = JointCrossValidation(
        asked, penalties=Penalties(1.0), n_init=1, random_state=0
    )
    counts, binning = trial.binned
    assert binning == 1
    problem = trial.problem(2)
    fitted, others = next(trial.draws(counts))
    found = trial.fit(fitted, problem)
    loss = trial.loss(others, *problem.leveled(found.W, found.H))
    means = problem.spectra(found.W) @ found.H.T / 4
    own = np.repeat([0, 1], counts.n_channels // 2)[:, None] == problem.places
    x = others.to_csr().toarray().T
    floor = 1e-6 * others.mean_counts / others.n_channels
    expected = 2 * means[own].sum() - (x * np.log(np.maximum(means, floor)))[own].sum()
    assert loss == pytest.approx(expected, rel=1e-6)


def test_a_model_that_lacks_an_element_is_said_not_to_fit(capsys):
    s = DATASETS["particles"](shape=(16, 16), counts_per_pixel=200)
    for missing in (False, True):
        if missing:
            s.set_elements([e for e in s.metadata.Sample.elements if e != "Ti"])
        s.estimate_number_of_phases([1, 2], **QUICK)
        assert ("The model does not fit" in capsys.readouterr().out) is missing


@pytest.mark.parametrize("shared", ["auto", "pixels"])
def test_of_several_maps_it_is_said_which_model_does_not_fit(shared, capsys):
    """In the words that each map has alone."""
    maps = [DATASETS["particles"]((16, 16), 200, seed=seed) for seed in range(2)]
    lacks, shifted = maps
    truth = shifted.ground_truth()
    # ilmenite, the last, is the phase that has titanium
    means = truth.maps[..., :2] @ truth.spectra[:, :2].T
    shifted.data = np.random.default_rng(2).poisson(means)
    shifted.axes_manager[-1].offset += 0.02
    for title, s in {"one": lacks, "other": shifted}.items():
        s.metadata.General.title = title
        s.set_elements([e for e in s.metadata.Sample.elements if e != "Ti"])
    alone = []
    for s in maps:
        s.deepcopy().estimate_number_of_phases([1, 2], **QUICK)
        alone.append(capsys.readouterr().out.splitlines())
    (refined, misfit), (moved,) = alone
    assert "offset -20 eV" in moved
    estimate_number_together(maps, [1, 2], shared=shared, **QUICK)
    assert capsys.readouterr().out.splitlines() == [
        f"one: {refined}",
        f"other: {moved}",
        misfit.replace("does not fit", "does not fit (one)"),
    ]
