"""Phases that are the ends of a continuum of compositions."""

from argparse import Namespace

import numpy as np
import pytest

from benchmarks.accuracy.zoo import cases
from espm_hs import decompose_together, simulation
from espm_hs.decomposition.search import PhaseSearch
from espm_hs.decomposition.solid_solution import (
    Series,
    as_observed,
    find_series,
    hardly_shown,
    purest_mixtures,
    shown_alone,
)
from espm_hs.factorization import Factorization, Grid, LostComponent
from espm_hs.metrics import match_phases
from espm_hs.physics import SpectrumModel
from espm_hs.simulation import Experiment, Phase, record

QUIET = {"algorithm": "espm", "print_info": False}
SHAPE = (24, 16)
ENDS = ("selenide", "sulphide")
ROWS = np.array([True, True, True, False])
# Cu, In, Ga and a background
W = np.array([[0.5, 0.5, 0.0], [0.5, 0.0, 0.0], [0.0, 0.5, 1.0], [0.3, 0.1, 0.2]])


def maps(share):
    """Abundances of three phases: of the third one, the last four rows."""
    share = np.broadcast_to(share, SHAPE)
    H = np.stack([1 - share, share, np.zeros(SHAPE)], axis=-1)
    H[-4:] = 0, 0, 1
    return 50 * H.reshape(-1, 3)


def found(share, fractions=W):
    return find_series(fractions, maps(share), ROWS, Grid.from_shape(SHAPE, None))


GRADED = np.linspace(0.05, 0.9, SHAPE[0] - 4)[:, None]
GRADED = np.vstack([GRADED, np.zeros((4, 1))])


def test_a_gradient_is_a_series():
    (series,) = found(GRADED)
    assert (series.phase, series.other) == (0, 1)
    np.testing.assert_allclose(series.shown, (0.05, 0.9), atol=0.01)
    elements = ["Cu", "In", "Ga"]
    assert series.text(W[ROWS], elements, ["phase 0", "phase 1", "phase 2"]) == (
        "Phases 0 and 1 are ends of a series; In 0 to 50 at.%"
    )
    assert "observed" in series.ends


def test_members_of_which_the_anions_differ():
    """Of Cu2ZnSnSe4 and Cu2ZnSnS4, here poor in copper, less than half is the same."""
    kesterite = np.array([[0.47, 0.47, 0], [0, 0.53, 0], [0.53, 0, 1], [0.3, 0.1, 0.2]])
    (series,) = found(GRADED, kesterite)
    assert (series.phase, series.other) == (0, 1)


def test_ends_lie_where_the_counts_have_them():
    """Without that the selenide has 9 at.% S, as most pixels have some."""
    given = Namespace(smoke=False, half="blind", only="kesterite_cell", forward="own")
    _, case = cases(given)
    result = case.signal.decomposition(output_dimension=6, return_info=True, **QUIET)
    assert any("where the counts alone have them" in gain for gain in result.gains)
    assert any("are ends of a series" in step for step in result.steps)
    order, _ = match_phases(result.spectra, case.experiment.spectra)
    names = [phase.name for phase in case.experiment.phases]
    ends = 100 * result.composition[:, [order[names.index(x)] for x in ENDS]]
    sulphur, selenium = (result.elements.index(x) for x in ("S", "Se"))
    np.testing.assert_allclose(ends[sulphur], [0, 52.5], atol=2)
    np.testing.assert_allclose(ends[selenium], [52.5, 0], atol=2)


def test_a_phase_that_is_lost_while_ends_are_freed_leaves_all_as_it_was(
    absorber, monkeypatch
):
    fit = PhaseSearch._fit

    def lost(self, init, options):
        if self.problem.fixed is not None and not self.problem.penalties.acts:
            raise LostComponent("lost")
        return fit(self, init, options)

    monkeypatch.setattr(PhaseSearch, "_fit", lost)
    result = absorber.decomposition(output_dimension=4, return_info=True, **QUIET)
    assert result.W.shape[1] == 4
    assert not any("alone have them" in gain for gain in result.gains)


def test_ends_of_a_series_are_no_purer_than_pixels_show():
    """Those of 5 and 95 %, although pure ones would fit the counts about as well."""
    share = np.clip(np.linspace(-0.2, 1.2, 48), 0.05, 0.95)[:, None]
    maps = 80 * np.stack(np.broadcast_arrays(1 - share, share + np.zeros(24)), axis=-1)
    phases = [
        Phase("CuInSe2", {"Cu": 25, "In": 25, "Se": 50}, 5.8, 0.1),
        Phase("CuGaSe2", {"Cu": 25, "Ga": 25, "Se": 50}, 5.6, 0.1),
    ]
    model = SpectrumModel(0.01 * np.arange(2048), 200.0, ["Cu", "Ga", "In", "Se"])
    s = record(Experiment(model, phases, maps, 150), seed=0)
    s.decomposition(output_dimension=2, **QUIET)
    result = s.analysis_results()
    assert [step for step in result.steps if "are ends of a series" in step]
    percent = 100 * result.composition
    true = [[25, 25], [1.25, 23.75], [23.75, 1.25], [50, 50]]
    first = int(np.argmin(percent[1]))
    np.testing.assert_allclose(percent[:, [first, 1 - first]], true, atol=1.0)
    assert result.misfit < 1.2


def test_boundaries_and_grains_are_none():
    sharp = (np.arange(SHAPE[0]) > 10).astype(float)[:, None]
    blurred = np.clip((np.arange(SHAPE[0]) - 8) / 4, 0, 1)[:, None]
    scattered = np.random.default_rng(0).random(SHAPE)
    for share in (sharp, blurred, scattered, 0.5):
        assert found(share) == []


def test_a_phase_that_lies_over_another_one_is_none():
    others = W.copy()
    others[:, 1] = 0, 0, 1, 0.1
    assert found(GRADED, others) == []


def test_pixels_without_neighbours_tell_nothing():
    assert find_series(W, maps(GRADED), ROWS, Grid.unconnected(len(maps(0.0)))) == []


def test_the_observed_ends_leave_the_model_as_it_is():
    H = maps(GRADED)
    fit = Factorization(W, H, 0.0, np.zeros(1), 1, True)
    moved = as_observed(fit, Series(0, 1, (0.05, 0.9)).mixing(3))
    np.testing.assert_allclose(moved.H @ moved.W.T, H @ W.T, atol=1e-9)
    np.testing.assert_allclose(moved.W[ROWS].sum(axis=0), 1)
    np.testing.assert_allclose(moved.W[1, :2], (0.475, 0.05))
    np.testing.assert_array_equal(moved.W[:, 2], W[:, 2])
    assert moved.H.min() >= 0
    # tails are cut, and their pixels keep their totals
    tails = as_observed(fit, Series(0, 1, (0.2, 0.8)).mixing(3))
    assert tails.H.min() >= 0
    np.testing.assert_allclose(tails.H.sum(axis=1), H.sum(axis=1))


def layers_at(beam_energy):
    """Layers of Mo, Cu(In,Ga)Se2 with 4 to 19 at.% Ga, and ZnO."""
    elements = ["Cu", "Ga", "In", "Mo", "O", "Se", "Zn"]
    model = SpectrumModel(0.01 * np.arange(2048), beam_energy, elements)
    thickness = np.zeros((48, 32, 4))
    thickness[:8, :, 0] = thickness[-8:, :, 3] = 1
    share = np.linspace(0.15, 0.75, 32)[:, None]
    thickness[8:-8, :, 1], thickness[8:-8, :, 2] = 1 - share, share
    phases = [
        Phase("Mo", {"Mo": 100}, 10.2, 0.1),
        Phase("CuInSe2", {"Cu": 25, "In": 25, "Se": 50}, 5.8, 0.1),
        Phase("CuGaSe2", {"Cu": 25, "Ga": 25, "Se": 50}, 5.6, 0.1),
        Phase("ZnO", {"Zn": 50, "O": 50}, 5.6, 0.1),
    ]
    return record(Experiment(model, phases, 80 * thickness, 150), seed=0)


@pytest.fixture(scope="module")
def absorber():
    return layers_at(200.0)


def test_a_graded_absorber_is_found_and_its_ends_are_chosen(absorber):
    gallium = {}
    for ends in ("outside", "observed"):
        with pytest.warns(UserWarning, match="chose"):
            absorber.decomposition(
                output_dimension=4, sparsity=0, end_members=ends, **QUIET
            )
        result = absorber.analysis_results()
        (step,) = result.steps
        assert "are ends of a series; " in step
        assert step in str(result)
        percent = 100 * result.composition[result.elements.index("Ga")]
        gallium[ends] = np.sort(percent)[-2:]
        assert np.isfinite(result.covariance).all()
    assert gallium["observed"][0] == pytest.approx(3.75, abs=1.5)
    assert gallium["observed"][1] == pytest.approx(18.75, abs=1.5)
    assert np.ptp(gallium["outside"]) > np.ptp(gallium["observed"]) + 1


def test_the_observed_ends_in_maps_of_two_instruments():
    maps = [layers_at(beam) for beam in (200.0, 300.0)]
    options = {"end_members": "observed", "n_init": 1, "show_progressbar": False}
    with pytest.warns(UserWarning, match="chose"):
        decompose_together(maps, 4, sparsity=0, print_info=False, **options)
    for signal in maps:
        result = signal.analysis_results()
        assert any("are ends of a series; " in step for step in result.steps)
        percent = 100 * result.composition[result.elements.index("Ga")]
        np.testing.assert_allclose(np.sort(percent)[-2:], [3.75, 18.75], atol=1.5)
        assert result.misfit < 1.2


@pytest.mark.parametrize(
    "name", ["particles", "core_shell", "grain_boundary", "mantle"]
)
def test_no_series_where_there_is_none(name):
    s = getattr(simulation, name)((48, 48), counts_per_pixel=60)
    s.decomposition(output_dimension=3, smoothness=0, **QUIET)
    assert not any("series" in step for step in s.analysis_results().steps)


def test_the_choices_are_checked(eds):
    with pytest.raises(ValueError, match="'outside' or 'observed'"):
        eds.decomposition(output_dimension=2, end_members="inside", **QUIET)


def test_what_the_purest_pixels_hold_of_a_phase_that_is_nowhere_alone():
    H = np.zeros((100, 3))
    H[:50, 0] = 4.0
    H[50:, 1] = 2.0
    H[90:, 2] = 6.0
    # five of the last ten pixels hold more of the other phase
    H[95:, 1] = 6.0
    mixing = purest_mixtures(H, 3 * H)
    np.testing.assert_allclose(mixing, [[1, 0, 0], [0, 1, 0], [0, 0.25, 0.75]])
    H[90:95, 1] = 0.1  # alone, but for the noise
    np.testing.assert_array_equal(purest_mixtures(H, 3 * H), np.eye(3))
    # counts, not atoms, say what is alone; atoms are shared out
    heavy = H * [1.0, 20.0, 1.0]
    assert purest_mixtures(H, heavy)[2, 1] == pytest.approx(0.1 / 6.1)


def test_a_phase_that_pixels_hardly_show_is_what_they_are():
    """A doped shell, found as its dopant: three in a hundred atoms, in one host."""
    host, dopant, other = [0.2, 0.2, 0.6, 0.0], [0.0, 0.0, 0.0, 1.0], [1.0, 0, 0, 0]
    composition = np.transpose([host, dopant, other])
    H = np.zeros((100, 3))
    H[:80, 0] = 100.0
    H[40:60, 1] = 3.0
    H[60:80, 1] = 1.0
    H[80:, 2] = 100.0
    H[80:82, 1] = 4.0  # of the noise of another phase
    found = hardly_shown(composition, H, H)
    assert list(found) == [1]
    index, shares = found[1]
    assert index == 0
    np.testing.assert_allclose(shares, [100 / 103, 3 / 103, 0.0])
    # its counts may be many, and a phase of its own has what the host is made of
    assert not hardly_shown(composition, H, H * [1.0, 20.0, 1.0])
    composition[:, 1] = [0.15, 0.15, 0.55, 0.15]
    assert not hardly_shown(composition, H, H)
    composition[:, 1] = dopant
    H[40:60, 1] = 30.0
    assert not hardly_shown(composition, H, H)
    composition[:, 1] = dopant
    H[40:60, 1] = 3.0
    H[:40, 1] = 0.0
    H[80:, 1] = 10.0  # most of it is where the third phase is
    assert 0 not in [host for host, _ in hardly_shown(composition, H, H).values()]


def test_particles_on_a_film_are_a_phase_of_their_own():
    """A nanometre of platinum on 50 nm of a nitride, which no pixel shows alone."""
    rng, platinum = np.random.default_rng(1), np.zeros((32, 32))
    for y, x in rng.uniform(2, 30, (18, 2)):
        rows, columns = np.indices(platinum.shape)
        square = np.maximum(1 - ((rows - y) ** 2 + (columns - x) ** 2) / 2.2**2, 0)
        platinum = np.maximum(platinum, np.sqrt(square))
    phases = [
        Phase("nitride", {"Si": 43, "N": 57}, 3.2, 0.08),
        Phase("metal", {"Pt": 100}, 21.4, 0.05),
    ]
    model = SpectrumModel(0.01 * np.arange(2048), 200.0, ["N", "Pt", "Si"])
    maps = np.stack((np.full(platinum.shape, 50.0), platinum), axis=-1)
    s = record(Experiment(model, phases, maps, 800), seed=0)
    s.decomposition(output_dimension=2, **QUIET)
    found = s.analysis_results()
    fractions = found.composition / found.composition.sum(axis=0)
    assert fractions[found.elements.index("Pt")].max() > 0.95


def test_how_much_of_their_purest_pixels_phases_are():
    """Those of the tenth of its counts that has least beside it."""
    counts = np.zeros((100, 3))
    counts[:50, 0] = 10.0
    counts[40:, 1] = np.linspace(6.0, 2.0, 60)
    counts[50:, 0] = 10.0 - counts[50:, 1]
    counts[40:50, 0] = 4.0
    assert shown_alone(counts).round(2).tolist() == [1.0, 0.59, 0.0]
