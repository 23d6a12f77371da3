"""Results kept by name, and compared."""

import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np
import pytest
from test_input import state

from espm_hs import simulation
from espm_hs.metadata.schema import RESULTS
from espm_hs.quantification.comparison import flow

QUIET = {"print_info": False, "show_progressbar": False}
SHAPE = (20, 18)


def decompose(s, n_phases, **options):
    usual = {"output_dimension": n_phases, "n_init": 1}
    s.decomposition(algorithm="espm", **QUIET, **usual | options)
    return s


@pytest.fixture(scope="module")
def compared():
    """A map of three phases, with two to four of them found, and the table."""
    s = simulation.particles(SHAPE, counts_per_pixel=150)
    table = s.compare_phase_numbers([2, 3, 4], n_init=2, show_progressbar=False)
    return s, table


@pytest.fixture
def s(compared):
    return compared[0].deepcopy()


def percent(s):
    return np.array([one.data for one in s.quantify()])


def test_the_best_number_is_chosen(compared):
    s, table = compared
    assert list(s.results) == ["k2", "k3", "k4"]
    assert (s.results.chosen, table.chosen) == ("k3", "k3")
    assert s.analysis_results().n_phases == 3
    assert s.learning_results.loadings.shape == (360, 3)
    loss, error = table.held_out
    curve = s.metadata.EDS_espm.number_of_phases
    assert loss[1] == pytest.approx(0, abs=1e-6)
    assert loss[0] > 3 * error[0]
    np.testing.assert_allclose(loss, np.mean(curve.loss, axis=1)[: len(loss)])
    for text in (str(table), table._repr_html_(), repr(s.results)):
        assert "k3 *" in text
    assert "From k2 to k3: phase 0 becomes" in str(table)
    frame = table.to_dataframe()
    assert set(frame.result) == {"k2", "k3", "k4"}
    assert frame.groupby(["result", "phase"]).percent.sum().to_numpy() == (
        pytest.approx(100)
    )


def test_each_is_what_a_decomposition_finds(s):
    for k in (2, 4):
        alone = simulation.particles(SHAPE, counts_per_pixel=150)
        decompose(alone, k, n_init=2)
        s.results.choose(f"k{k}")
        np.testing.assert_array_equal(percent(s), percent(alone))
        np.testing.assert_array_equal(
            s.learning_results.loadings, alone.learning_results.loadings
        )
        s.quantify("pixels")
        s.plot_phases()
    plt.close("all")


def test_results_are_kept_in_files(s, tmp_path):
    s.rename_phases({0: "olivine"})
    s.results.keep("mine")
    s.save(tmp_path / "map.hspy")
    loaded = hs.load(tmp_path / "map.hspy")
    assert list(loaded.results) == list(s.results)
    assert loaded.results.chosen == "mine"
    loaded.results.choose("k2")
    assert loaded.analysis_results().n_phases == 2
    loaded.results.choose("mine")
    assert loaded.analysis_results().labels[0] == "olivine"
    np.testing.assert_array_equal(percent(loaded), percent(s))
    del loaded.results["k2"]
    assert "k2" not in loaded.results
    with pytest.raises(KeyError, match=r"No result has the name 'k2'; there are k3"):
        loaded.results.choose("k2")


def test_masks_are_kept(s):
    mask = np.zeros(SHAPE, bool)
    mask[:2] = True
    mask = hs.signals.Signal2D(mask).T
    decompose(s, 2, navigation_mask=mask)
    s.results.keep("masked")
    s.results.choose("k3")
    assert s.learning_results.navigation_mask is None
    s.results.choose("masked")
    np.testing.assert_array_equal(s.learning_results.navigation_mask, mask.data)
    options = s.metadata.EDS_espm.results.options.as_dictionary()
    assert options["output_dimension" if "output_dimension" in options else "n_init"]


def test_a_part_of_the_map_has_the_phases_of_its_results(s):
    part = s.inav[:5, :5]
    part.results.choose("k2")
    assert part.analysis_results().n_phases == 2
    with pytest.raises(RuntimeError, match="maps of the phases"):
        part.quantify("pixels")


def test_what_becomes_of_what(compared):
    """Marginals are the shares of the phases; the same result becomes itself."""
    _, table = compared
    for (_, one), (_, other) in zip(list(table)[:-1], list(table)[1:], strict=True):
        parts = flow(one, other)
        for found, sums in ((one, parts.sum(axis=1)), (other, parts.sum(axis=0))):
            totals = np.nansum(found.loadings, axis=0)
            np.testing.assert_allclose(sums, totals / totals.sum(), atol=0.01)
    two, three, _ = table.analyses
    assert (np.sort(flow(three, three).max(axis=1) / flow(three, three).sum(axis=1))
            > 0.7).all()  # fmt: skip
    # one of two phases holds two of three
    inside = flow(two, three) / flow(two, three).sum(axis=0)
    assert sorted(np.bincount(inside.argmax(axis=0), minlength=2)) == [1, 2]
    # and both have the colour of the larger of these
    of_two, of_three, _ = table.colours
    assert set(of_two) < set(of_three)


def test_the_figure(s):
    figure = s.plot_comparison()
    assert len(figure.axes) == 8
    titles = [one.get_title(loc="left") for one in figure.axes[:3]]
    assert titles == ["k2", "k3 (chosen)", "k4"]
    bars = figure.axes[3].patches
    found = s.results["k2"]
    heights = np.array([bar.get_height() for bar in bars]).reshape(-1, 2)
    expected = 100 * found.composition / found.composition.sum(axis=0)
    np.testing.assert_allclose(heights, expected, atol=1e-9)
    flows = figure.axes[6]
    blocks = [bar.get_height() for bar in flows.patches]
    assert sum(blocks) == pytest.approx(300)
    s.plot_comparison(["k2", "k4"])
    plt.close("all")


def test_the_figure_of_lines_and_without_held_out_counts(s):
    line = s.inav[:, 9]
    for k in (1, 8):
        decompose(line, k, max_iter=5)
        line.results.keep(f"found_{k}")
    figure = line.plot_comparison(["found_1", "found_8"])
    assert figure.axes[-1].get_ylabel() == "deviance ratio"
    plt.close("all")


def test_the_figure_of_one_spectrum_has_no_maps_and_long_names_are_turned(s):
    one = s.sum()
    for solver in ("newton", "mu"):
        decompose(one, 1, solver=solver)
        one.results.keep(solver)
    figure = one.plot_comparison(["newton", "mu"])
    assert figure.axes[1].get_title(loc="left") == "mu (chosen)"
    assert not any(axes.images for axes in figure.axes)
    s.rename_phases({0: "magnesiowuestite"})
    s.results.keep("named")
    bars = s.plot_comparison(["k2", "named"]).axes[3]
    assert {label.get_rotation() for label in bars.get_xticklabels()} == {25}
    plt.close("all")


def test_lazy_maps_are_compared_too():
    s = simulation.particles((12, 10), counts_per_pixel=100).as_lazy()
    table = s.compare_phase_numbers([1, 2], n_init=1, show_progressbar=False)
    assert table.chosen == "k2"
    assert s._lazy


def test_a_call_that_fails_changes_nothing(s):
    before = state(s)
    for numbers, options, message in (
        ([3], {}, "at least two"),
        ([2, 3], {"output_dimension": 3}, "not for comparing"),
        ([2, 3], {"init": "previous"}, "not for comparing"),
        ([2, 3], {"sparsity": -1}, "`sparsity` must be"),
        ([2, 10**6], {"max_iter": 2, "n_init": 1}, "must be between 1 and"),
    ):
        with pytest.raises((ValueError, TypeError), match=message):
            s.compare_phase_numbers(numbers, show_progressbar=False, **options)
        assert state(s) == before


@pytest.mark.parametrize("name", ["3k", "", "a b", "a.b", None, 3, "Grün-1"])
def test_names_that_are_none(s, name):
    with pytest.raises(ValueError, match="`name` is"):
        s.results.keep(name)
    with pytest.raises(KeyError, match="No result has the name"):
        s.results[name]


@pytest.mark.parametrize(
    ("results", "error", "message"),
    [
        (["k2"], ValueError, "two or more different"),
        (["k2", "k2"], ValueError, "two or more different"),
        ("k2", ValueError, "two or more different"),
        (["k2", "k9"], KeyError, "No result has the name 'k9'"),
    ],
)
def test_what_cannot_be_compared(s, results, error, message):
    with pytest.raises(error, match=message):
        s.compare(results)


def test_results_of_other_pixels_are_not_compared(s):
    part = s.inav[:6, :6]
    decompose(part, 2)
    part.results.keep("part")
    with pytest.raises(ValueError, match="'part' is one of other pixels"):
        part.compare(["k2", "part"])


def test_nothing_is_kept_at_first():
    s = simulation.particles((6, 5), counts_per_pixel=50)
    assert len(s.results) == 0
    assert s.results.chosen == ""
    assert "No result is kept" in repr(s.results)
    with pytest.raises(RuntimeError, match="no phases yet"):
        s.results.keep("a")


@pytest.mark.parametrize("damaged", [5.0, {"Fe": 1.0}, None])
def test_what_is_kept_may_be_damaged(s, damaged):
    """By other programs; the rest can be used, and names be given again."""
    s.metadata.EDS_espm.kept.k2 = damaged
    assert "k3 *" in repr(s.results)
    with pytest.raises((ValueError, KeyError), match=r"damaged|layout|No result"):
        s.results.choose("k2")
    s.results.keep("k2")
    assert s.results["k2"].n_phases == 3
    s.metadata.EDS_espm.kept = damaged
    assert len(s.results) <= 1
    s.results.keep("mine")
    s.results.choose("mine")


def test_a_part_of_the_map_keeps_results_without_maps(s):
    part = s.inav[:5, :5]
    part.results.keep("part")
    assert part.results["part"].loadings is None
    np.testing.assert_array_equal(part.results["part"].W, s.analysis_results().W)
    assert "<table>" in part.results._repr_html_()


def test_phases_that_are_none_are_told(s):
    s.metadata.set_item(RESULTS, "three")
    with pytest.raises(ValueError, match=r"is 'three', where phases are stored.*again"):
        s.analysis_results()
