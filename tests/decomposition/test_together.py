"""One set of phases in several maps, with models of their own."""

from dataclasses import replace
from itertools import pairwise

import dask.array as da
import numpy as np
import pytest

from benchmarks.accuracy.joint import altered, compared, drifting_maps, rare_maps
from espm_hs import decompose_together
from espm_hs.decomposition.decompose import DecompositionOptions, decompose
from espm_hs.decomposition.drift import factors, shortened
from espm_hs.decomposition.presence import amounts_in
from espm_hs.decomposition.together import OneOfMaps, decompose_maps, read_maps
from espm_hs.factorization import ScatteredCounts
from espm_hs.factorization.counts import distributed as on_cluster
from espm_hs.factorization.counts.reading import read_counts
from espm_hs.simulation import particles, record

QUIET = {"print_info": False, "show_progressbar": False}
OPTIONS = DecompositionOptions(
    sparsity=None, binning=1, smoothness=0.0, n_init=2, random_state=0
)


@pytest.fixture(scope="module")
def whole():
    """A map, its model and its phases."""
    signal = particles((24, 24), 100)
    model = signal.physical_model()
    return signal.data, model, decompose(signal.data, model, 3, OPTIONS)


def same(one, other):
    """Compare all arrays of two results, bit by bit."""
    for name in ("W", "covariance", "bias", "loadings", "spectra", "feasible_ranges"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), name)


def test_one_map_is_the_map_alone(whole):
    data, model, alone = whole
    found = decompose_maps([OneOfMaps(data, model)], 3, OPTIONS)
    same(found.analyses[0], alone)


def test_a_map_in_four_parts_is_the_map(whole):
    data, model, alone = whole
    # the smallest comes first: pixels then have the order of the map
    edges = pairwise([0, 3, 8, 15, 24])
    parts = [OneOfMaps(data[slice(*ends)], model) for ends in edges]
    read, where = read_maps(parts, 3, OPTIONS)
    fit = read.search()
    analyses = [read.analyses(fit)[i] for i in where]
    H = np.concatenate([one.loadings for one in analyses])
    for one in analyses:
        np.testing.assert_allclose(one.W, alone.W, atol=1e-8)
        np.testing.assert_allclose(one.spectra, alone.spectra, atol=1e-8)
    np.testing.assert_allclose(H, alone.loadings, atol=1e-6)
    np.testing.assert_allclose(fit.found.objective, alone.objective, rtol=1e-10)


@pytest.mark.parametrize("shared", ["auto", "composition"])
def test_the_order_of_maps_changes_no_bit(shared):
    maps = [particles((12, 12), 80, seed=i) for i in range(3)]
    given = [OneOfMaps(s.data, s.physical_model()) for s in maps]
    found = decompose_maps(given, 3, OPTIONS, shared)
    again = decompose_maps(given[::-1], 3, OPTIONS, shared)
    for one, other in zip(found.analyses, again.analyses[::-1], strict=True):
        same(one, other)
    np.testing.assert_array_equal(found.amounts, again.amounts[:, ::-1])


def test_lazy_and_eager_maps_and_threads_give_the_same_bits():
    maps = [particles((12, 12), 80, seed=i) for i in range(2)]
    given = [OneOfMaps(s.data, s.physical_model()) for s in maps]
    found = decompose_maps(given, 3, OPTIONS)
    lazy = given[0]._replace(data=da.from_array(given[0].data, (5, 6, -1)))
    again = decompose_maps([lazy, given[1]], 3, replace(OPTIONS, n_jobs=2))
    for one, other in zip(found.analyses, again.analyses, strict=True):
        same(one, other)


@pytest.fixture(scope="module")
def two_instruments():
    """Maps of other beam energy, window, thickness and number of channels."""
    first = altered("particles", (24, 24), 150)
    changes = {"beam_energy": 300, "detector": "polymer_window", "thickness": 60}
    model = first.model
    energy = model.energy[0] + 0.0125 * np.arange(780)
    second = altered("particles", (20, 28), 150, energy=energy, **changes)
    maps = [record(first, 1), record(second, 2)]
    decompose_together(maps, 3, **QUIET)
    return maps


def test_two_instruments_share_the_composition(two_instruments):
    one, other = (signal.analysis_results() for signal in two_instruments)
    np.testing.assert_allclose(
        one.W[one.element_columns], other.W[other.element_columns], atol=1e-12
    )
    for signal in two_instruments:
        found = compared(signal)
        assert (np.abs(found.difference) < 4 * found.errors + 0.3).all()
        assert found.angles.max() < 3
        assert 0.85 < signal.analysis_results().misfit < 1.2


def test_maps_of_each_instrument_are_in_its_counts(two_instruments):
    for signal in two_instruments:
        loadings = signal.learning_results.loadings
        np.testing.assert_allclose(loadings.sum(), signal.data.sum(), rtol=0.01)
        truth, order = signal.ground_truth(), compared(signal).order
        for phase, true in zip(order, np.moveaxis(truth.maps, -1, 0), strict=True):
            assert np.corrcoef(loadings[:, phase], true.ravel())[0, 1] > 0.9


def test_errors_shrink_as_those_of_two_measurements(two_instruments):
    joint = compared(two_instruments[0]).errors
    alone = []
    for signal in two_instruments:
        copy = signal.deepcopy()
        copy.decomposition(algorithm="espm", output_dimension=3, print_info=False)
        alone.append(compared(copy).errors)
    together = (alone[0] ** -2.0 + alone[1] ** -2.0) ** -0.5
    large = np.minimum(*alone) > 0.2
    assert large.sum() > 4
    ratio = joint[large] / together[large]
    assert 0.6 < np.median(ratio) < 1.4


def test_what_is_known_of_a_phase_holds_under_all_models():
    made = [
        altered("particles", (16, 16), 100),
        altered("particles", (16, 16), 100, beam_energy=300),
    ]
    maps = [record(one, i) for i, one in enumerate(made)]
    known = {"metal": {"composition": {"Fe": 0.65, "Ni": 0.35}}}
    decompose_together(maps, 3, known_phases=known, **QUIET)
    for signal in maps:
        found = signal.analysis_results()
        assert found.labels[0] == "metal"
        fractions = dict(
            zip(found.elements, found.W[found.element_columns][:, 0], strict=True)
        )
        assert fractions["Fe"] == pytest.approx(0.65, abs=1e-9)
        assert fractions["O"] == 0


def test_a_phase_in_one_of_ten_maps_is_found_and_located():
    maps, holder = rare_maps((32, 32), seed=3)
    result = decompose_together(maps, 3, **QUIET)
    found = compared(maps[holder])
    phase = found.order[2]
    assert found.angles[2] < 12
    assert result.present[:, phase].tolist() == [i == holder for i in range(10)]
    true = np.ravel(maps[holder].ground_truth().maps[..., 2])
    loadings = maps[holder].learning_results.loadings[:, phase]
    assert np.corrcoef(loadings, true)[0, 1] > 0.85


def test_the_path_of_a_phase_that_drifts():
    maps, true = drifting_maps((24, 24), 2)
    maps, true = maps[::3], true[::3]
    result = decompose_together(maps, 3, drift={0: 8.0}, **QUIET)
    (percent, errors) = result.paths["phase 0"]
    order = [result.elements.index(x) for x in maps[0].ground_truth().elements]
    off = np.abs(percent[:, order] - 100 * true)
    assert off.max() < 2.5
    moving = true.max(axis=0) > 0
    inside = (off <= 2 * errors[:, order])[:, moving]
    assert inside.mean() > 0.75  # of 16 numbers
    # each map has the composition of its own
    own = maps[3].analysis_results().composition[:, 0]
    np.testing.assert_allclose(100 * own, percent[3], atol=0.1)


def test_drifts_are_factors_and_turning_steps_are_halved():
    own = np.array([[0.2, 0.8, 0.0], [0.4, 0.6, 0.0]])
    np.testing.assert_allclose(
        factors(own, np.array([0.3, 0.7, 0.0])) * [0.3, 0.7, 0.0], own
    )
    before = np.array([[1.0, -1.0], [1.0, -1.0]])
    last = np.array([[0.5, -0.5], [-0.5, 0.5]])
    np.testing.assert_array_equal(shortened(np.ones(2), last, before), [1.0, 0.5])


def test_amounts_are_unbiased_and_their_errors_right(whole):
    """What the sum of many draws of a known mixture says of each phase."""
    _, _, alone = whole
    rng = np.random.default_rng(0)
    used = alone.channels
    true = np.array([5000.0, 0.0, 800.0])
    mean = alone.spectra[used] @ true
    known = replace(alone, covariance=np.zeros_like(alone.covariance), misfit=1.0)
    drawn = np.array([amounts_in(known, rng.poisson(mean)) for _ in range(300)])
    off = (drawn[:, 0] - true) / drawn[:, 1]
    assert np.abs(off.mean(axis=0)).max() < 4 / np.sqrt(300)
    np.testing.assert_allclose(off.std(axis=0), 1.0, atol=0.15)


def test_what_cannot_be_taken_together(whole):
    data, model, _ = whole
    one = OneOfMaps(data[:8], model)
    other = OneOfMaps(data[8:], model.replace(elements=["Fe", "Mg", "O", "Si", "Ti"]))
    with pytest.raises(ValueError, match=r"Map 1 has the elements .*: Ni cannot be"):
        decompose_maps([one, other], 3, OPTIONS)
    pair = [one, OneOfMaps(data[8:], model)]
    for changes, message in (
        ({"simplex": "abundances"}, "doses of their own"),
        ({"local": True}, "local"),
        ({"init": (None, None)}, "name of a start"),
    ):
        with pytest.raises(ValueError, match=message):
            decompose_maps(pair, 3, replace(OPTIONS, **changes))
    with pytest.raises(ValueError, match="`drift` names the phase 7"):
        decompose_maps(pair, 3, OPTIONS, drift={7: 0.1})
    with pytest.raises(ValueError, match="`shared`"):
        decompose_maps(pair, 3, OPTIONS, "all")
    known = {0: {"spectrum": data.sum(axis=(0, 1))}}
    options = replace(OPTIONS, known_phases=known)
    with pytest.raises(ValueError, match="another spectrum in each"):
        decompose_maps(pair, 3, options, "composition")


@pytest.mark.parametrize("shared", ["auto", "composition", "pixels"])
def test_maps_on_a_cluster_give_the_same_bits(shared, monkeypatch):
    """Lazy maps are read and binned by the workers; one map is here."""
    monkeypatch.setattr(on_cluster, "FEW", 0)  # so that small maps stay there, too
    distributed = pytest.importorskip("distributed")
    maps = [particles((12, 12), 80, seed=i) for i in range(2)]
    given = [OneOfMaps(s.data, s.physical_model()) for s in maps]
    options = replace(OPTIONS, binning="auto", smoothness=0.3)
    found = decompose_maps(given, 3, options, shared)
    lazy = given[0]._replace(data=da.from_array(given[0].data, (5, 6, -1)))
    workers = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None
    )
    with workers, distributed.Client(workers):
        assert isinstance(read_counts(lazy.data), ScatteredCounts)
        again = decompose_maps([lazy, given[1]], 3, options, shared)
    for one, other in zip(found.analyses, again.analyses, strict=True):
        same(one, other)


def test_maps_whose_axes_are_wrong_each_in_its_own_way():
    """The axis of each is refined, and what lies in all of a phase is taken out."""
    maps = [particles((12, 12), 60, seed=i) for i in range(5)]
    for signal, shift in zip(maps, np.linspace(-20, 20, 5), strict=True):
        signal.axes_manager[-1].offset += 1e-3 * shift
    decompose_together(maps, 3, **QUIET)
    for signal in maps:
        found = signal.analysis_results()
        assert found.steps  # more of an element is taken out than there is
        assert found.W.min() >= 0
        assert found.misfit < 1.3
    # the one in the middle has the axis that its truth has
    found = compared(maps[2])
    assert (np.abs(found.difference) < 4 * found.errors + 0.3).all()
    refined = maps[4].analysis_results().calibration["offset"]
    assert refined == pytest.approx(-20, abs=8)
