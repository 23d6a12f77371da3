"""The lazy class does what the eager one does, with the same numbers."""

import dask.array as da
import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np
import pytest
import sparse
from conftest import FORMATS, make_map

from espm_hs import simulation
from espm_hs.signals import LazyEDSespmSpectrum

pytestmark = pytest.mark.filterwarnings("ignore:The fit did not converge")
QUIET = {"algorithm": "espm", "print_info": False, "max_iter": 60, "tol": 1e-2}
PLOTS = ("plot_phases", "plot_fit", "plot_residuals")
CHUNKS = {
    "whole": (9, 7, 500),
    "rows": (2, 7, 500),
    "tiles": (4, 3, 500),
    "energies": (9, 4, 70),
}


def lazy_copy(s, chunks):
    """Return the same map, lazy, in other chunks."""
    lazy = s.as_lazy()
    lazy.data = da.from_array(s.data, chunks=chunks)
    return lazy


def mask():
    out = np.zeros((7, 9), bool)
    out[:2, 4:6] = True
    return out


@pytest.fixture(scope="module")
def both():
    """An eager map and its lazy twin, decomposed."""
    eager = simulation.particles((12, 10), counts_per_pixel=200, seed=3)
    lazy = lazy_copy(eager, (5, 4, 300))
    for s in (eager, lazy):
        s.decomposition(output_dimension=3, **QUIET)
    return eager, lazy


@pytest.mark.parametrize("chunks", CHUNKS.values(), ids=CHUNKS)
@pytest.mark.parametrize("options", [{}, {"navigation_mask": mask(), "binning": 2}])
def test_any_chunks_give_the_same_phases(eds, chunks, options):
    lazy = lazy_copy(eds, chunks)
    a, b = (
        s.decomposition(output_dimension=3, return_info=True, **QUIET, **options)
        for s in (eds, lazy)
    )
    assert a.objective == b.objective
    for name in ("W", "loadings", "spectra", "covariance", "pull", "fingerprint"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    assert type(lazy) is LazyEDSespmSpectrum
    assert isinstance(lazy.data, da.Array)


def test_sparse_chunks(eds):
    lazy = lazy_copy(eds, (4, 3, 200))
    lazy.data = lazy.data.map_blocks(sparse.COO.from_numpy)
    eds.refine_calibration(["offset"], print_info=False)
    lazy.refine_calibration(["offset"], print_info=False)
    for s in (eds, lazy):
        s.decomposition(output_dimension=3, **QUIET)
    for a, b in zip(eds.quantify("pixels"), lazy.quantify("pixels"), strict=True):
        np.testing.assert_array_equal(a.data, b.data)
    assert lazy.suggest_elements(print_info=False).missing == ()
    for plot in PLOTS:
        getattr(lazy, plot)()
    plt.close("all")


MAPS = {
    "composition": lambda s: s.quantify("pixels"),
    "weight, oxygen": lambda s: s.quantify("pixels", "weight", oxygen="stoichiometry"),
    "areal densities": lambda s: s.estimate_areal_densities(),
    "mass thickness": lambda s: [s.estimate_mass_thickness()],
    "of phases": lambda s: [s.estimate_mass_thickness("phases")],
    "thickness": lambda s: [s.estimate_thickness(density=4.0)],
}


@pytest.mark.filterwarnings("ignore:The dose gives")
@pytest.mark.parametrize("name", MAPS)
def test_maps_are_lazy_and_the_same(both, name):
    for a, b in zip(*map(MAPS[name], both), strict=True):
        assert b._lazy
        assert not a._lazy
        assert isinstance(b.data, da.Array)
        assert a.axes_manager.shape == b.axes_manager.shape
        variances = [q.get_noise_variance() for q in (a, b)]
        assert variances[1]._lazy
        np.testing.assert_array_equal(a.data, b.data)
        np.testing.assert_array_equal(*(v.data for v in variances))
        b.compute()
        np.testing.assert_array_equal(a.data, b.data)


def test_maps_read_the_data_no_more_than_they_must(both):
    _, lazy = both
    lazy = lazy.deepcopy()
    reads = []

    def load(block, block_info=None):
        if block_info:
            reads.append(block_info[0]["chunk-location"])
        return block

    lazy.data = lazy.data.map_blocks(load, dtype=lazy.data.dtype)
    reads.clear()
    lazy.decomposition(output_dimension=2, **QUIET)
    assert len(reads) == len(set(reads)) == lazy.data.npartitions
    maps = lazy.quantify("pixels")
    lazy.estimate_areal_densities()
    lazy.plot_residuals()
    plt.close("all")
    [m.compute() for m in maps]
    # the summed spectrum of the figure has channels that were not fitted
    assert len(reads) == 2 * lazy.data.npartitions


def test_other_data_are_noticed(both):
    _, lazy = both
    other = lazy.deepcopy()
    other.data = lazy.data[::-1]
    with pytest.raises(RuntimeError, match="no longer those"):
        other.quantify("pixels")


@pytest.mark.parametrize("lazy_output", [None, True, False])
def test_model_of_the_map(both, lazy_output):
    models = [s.get_decomposition_model(lazy_output=lazy_output) for s in both]
    for s, model in zip(both, models, strict=True):
        assert model._lazy is (s._lazy if lazy_output is None else lazy_output)
        assert type(model) is (type(both[1]) if model._lazy else type(both[0]))
        assert model.data.shape == s.data.shape
    np.testing.assert_allclose(*(m.data for m in models), rtol=1e-12)
    loadings, factors = both[0].learning_results.loadings, both[0].learning_results
    expected = (loadings[:, [1]] @ factors.factors[:, [1]].T).reshape(12, 10, -1)
    one = both[1].get_decomposition_model([1], lazy_output=lazy_output)
    np.testing.assert_allclose(one.data, expected, rtol=1e-12)


@pytest.mark.parametrize("extension", FORMATS)
def test_saved_chunk_by_chunk(both, tmp_path, extension):
    eager, lazy = both
    signals = [*lazy.quantify("pixels"), lazy, lazy.get_decomposition_model()]
    for number, s in enumerate(signals):
        s.save(tmp_path / f"{number}.{extension}")
        loaded = hs.load(tmp_path / f"{number}.{extension}", lazy=True)
        np.testing.assert_array_equal(loaded.data, s.data)
        if number < len(signals) - 2:
            variance = loaded.get_noise_variance()
            np.testing.assert_array_equal(variance.data, s.get_noise_variance().data)
    loaded = hs.load(tmp_path / f"{len(signals) - 2}.{extension}", lazy=True)
    for a, b in zip(loaded.quantify("pixels"), eager.quantify("pixels"), strict=True):
        np.testing.assert_array_equal(a.data, b.data)


def test_numbers_of_the_whole_map(both):
    numbers = []
    for s in both:
        s = s.deepcopy()
        found = s.refine_calibration(["offset", "gain", "noise"], print_info=False)
        best = s.estimate_number_of_phases(
            [1, 2], n_thinnings=2, n_init=1, show_progressbar=False
        )
        thickness = s.estimate_mass_thickness(method="absorption").data
        missing = s.suggest_elements(print_info=False).missing
        suggested = [(one.element, one.deviance) for one in missing]
        numbers.append((found.rows(), best, thickness.tolist(), suggested))
    assert numbers[0] == numbers[1]


def test_repetitions_and_report(both):
    tables = [str(s.print_quantification()) for s in both]
    assert tables[0] == tables[1]
    drawn = [s.bootstrap_quantification(2, show_progressbar=False) for s in both]
    for a, b in zip(*drawn, strict=True):
        np.testing.assert_array_equal(a.data, b.data)


@pytest.mark.parametrize("smoothness", [0.0, 1.0])
def test_what_is_known_of_phases(eds, smoothness):
    """Also in the errors of pixels in which a phase cannot be."""
    there = np.arange(63).reshape(9, 7) % 5 > 1
    known = {
        "metal": {"map": there, "absent": ["O", "Si"]},
        "oxide": {"ratio": {"O/Ti": 1.5}},
        "glass": {"absent": ["Fe"]},
    }
    lazy = lazy_copy(eds, CHUNKS["tiles"])
    for s in (eds, lazy):
        s.decomposition(
            output_dimension=3, known_phases=known, smoothness=smoothness, **QUIET
        )
    loadings = [s.learning_results.loadings for s in (eds, lazy)]
    np.testing.assert_array_equal(*loadings)
    assert (loadings[1][~there.ravel(), 0] == 0).all()
    for a, b in zip(eds.quantify("pixels"), lazy.quantify("pixels"), strict=True):
        np.testing.assert_array_equal(a.data, b.data)
        variances = (m.get_noise_variance().data for m in (a, b))
        np.testing.assert_array_equal(*variances)
    for name in PLOTS:
        getattr(lazy, name)()
    plt.close("all")


def test_going_on_and_vacuum(eds):
    lazy = lazy_copy(eds, CHUNKS["tiles"])
    for s in (eds, lazy):
        s.decomposition(output_dimension=2, navigation_mask=3.0, **QUIET)
        s.decomposition(init="previous", navigation_mask=3.0, **QUIET)
    np.testing.assert_array_equal(
        eds.learning_results.loadings, lazy.learning_results.loadings
    )


def test_a_line_and_a_single_spectrum():
    s = make_map((5, 5), counts_per_pixel=3000)
    for part in (s.inav[:, 2], s.sum()):
        lazy = part.as_lazy()
        for one in (part, lazy):
            one.decomposition(output_dimension=1, **QUIET)
        maps = zip(part.quantify("pixels"), lazy.quantify("pixels"), strict=True)
        for a, b in maps:
            np.testing.assert_array_equal(a.data, b.data)
        for plot in PLOTS:
            getattr(lazy, plot)()
    plt.close("all")
