"""decompose_together: what it leaves in each signal, and what it says of all."""

from dataclasses import replace

import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

import espm_hs
from espm_hs import decompose_together
from espm_hs.plotting import plot_joint
from espm_hs.quantification.joint import JointResult, names_of
from espm_hs.simulation import mantle, particles

QUIET = {"print_info": False, "show_progressbar": False}
TEMPERATURES = [20.0, 150.0, 400.0]


@pytest.fixture(scope="module")
def together():
    """Three maps, one of them lazy, and their joint result."""
    maps = [particles((14, 14), 120, seed=i, lazy=i == 1) for i in range(3)]
    result = decompose_together(
        maps,
        3,
        parameter=TEMPERATURES,
        parameter_name="temperature (°C)",
        names=["cold", "warm", "hot"],
        **QUIET,
    )
    return maps, result


def test_one_map_is_what_decomposition_finds():
    one = particles((12, 12), 80)
    other = one.deepcopy()
    one.decomposition(algorithm="espm", output_dimension=3, print_info=False)
    decompose_together([other], 3, **QUIET)
    for name in ("factors", "loadings"):
        np.testing.assert_array_equal(
            getattr(one.learning_results, name), getattr(other.learning_results, name)
        )
    a, b = one.analysis_results(), other.analysis_results()
    np.testing.assert_array_equal(a.W, b.W)
    np.testing.assert_array_equal(a.covariance, b.covariance)


def test_each_signal_has_its_result(together, tmp_path):
    maps, result = together
    for signal in maps:
        composition = signal.quantify()
        percent = np.array([one.data for one in composition])
        order = [
            result.elements.index(one.metadata.Sample.elements[0])
            for one in composition
        ]
        np.testing.assert_allclose(percent, result.composition[order], atol=1e-9)
        loadings = signal.get_decomposition_loadings()
        assert loadings.data.shape == (3, 14, 14)
    maps[0].save(tmp_path / "map.hspy")
    loaded = hs.load(tmp_path / "map.hspy")
    np.testing.assert_array_equal(
        loaded.analysis_results().W, maps[0].analysis_results().W
    )
    np.testing.assert_allclose(
        loaded.quantify()[0].data, maps[0].quantify()[0].data, atol=1e-12
    )


def test_table_of_phases_and_maps(together):
    maps, result = together
    frame = result.to_dataframe()
    assert len(frame) == 9
    assert list(frame["map"].unique()) == ["cold", "warm", "hot"]
    assert list(frame["parameter"].unique()) == TEMPERATURES
    assert frame["present"].all()
    np.testing.assert_allclose(frame.groupby("map")["percent"].sum(), 100)
    np.testing.assert_allclose(frame.groupby("map")["atomic_percent"].sum(), 100)
    # the same sample: counts of the maps say so, too
    for i, signal in enumerate(maps):
        held = np.asarray(signal.learning_results.loadings).sum(axis=0)
        np.testing.assert_allclose(result.counts[i], held, rtol=0.1)
        spread = result.count_errors[i] / result.counts[i]
        assert (spread < 0.1).all()


def test_trends_have_errors(together):
    _, result = together
    trends = result.trends()
    assert list(trends["phase"]) == list(result.phases)
    # nothing changes but the noise
    assert trends["significance"].abs().max() < 4
    x = np.array(TEMPERATURES)
    y, error = result.percent_of_atoms[:, 0], result.percent_errors[:, 0]
    slope, covariance = np.polyfit(x, y, 1, w=1 / error, cov="unscaled")
    assert trends["slope"][0] == pytest.approx(slope[0])
    assert trends["error"][0] == pytest.approx(np.sqrt(covariance[0, 0]))
    # what a phase is made of may follow the parameter, too
    percent = np.outer(x / 10, np.arange(len(result.elements)))
    path = {result.phases[1]: (percent, np.ones_like(percent))}
    table = replace(result, paths=path).trends()
    of_phase = table[table["quantity"] == f"atomic percent of {result.elements[2]}"]
    assert of_phase["slope"].item() == pytest.approx(0.2)
    spread = np.sqrt(((x - x.mean()) ** 2).sum())
    assert of_phase["error"].item() == pytest.approx(1 / spread)
    # and two maps show no trend
    few = replace(result, parameter=np.array([1.0, 1.0, 2.0]))
    assert len(few.trends()) == 0


def test_result_is_saved_and_read(together, tmp_path):
    _, result = together
    result.save(tmp_path / "joint.json")
    again = JointResult.load(tmp_path / "joint.json")
    assert again.maps == result.maps
    assert again.parameter_name == result.parameter_name
    for name in ("counts", "count_errors", "composition", "errors", "atoms"):
        np.testing.assert_array_equal(getattr(again, name), getattr(result, name))
    assert str(again) == str(result)
    (tmp_path / "other.json").write_text('{"maps": []}')
    with pytest.raises(ValueError, match="does not hold a joint result"):
        JointResult.load(tmp_path / "other.json")


def test_text_names_maps_and_phases(together):
    _, result = together
    text = str(result)
    for word in ("temperature (°C)", "cold", "hot", "phase 2", "deviance ratio"):
        assert word in text
    assert "<table>" in result._repr_html_()


def test_plot_shows_every_phase_and_path(together):
    _, result = together
    figure = plot_joint(result)
    (axes,) = figure.axes
    assert axes.get_xlabel() == "temperature (°C)"
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == list(result.phases)
    path = np.stack([np.full((3, 6), 100 / 6), np.full((3, 6), 1.0)])
    figure = plot_joint(replace(result, paths={"phase 0": path}))
    assert len(figure.axes) == 2
    assert figure.axes[1].get_ylabel() == "phase 0 (at.%)"
    plt.close("all")


def test_shares_of_a_phase_that_is_not_there():
    counts = np.array([[1000.0, -5.0], [500.0, 500.0]])
    result = JointResult(
        maps=("a", "b"),
        phases=("x", "y"),
        elements=("O",),
        composition=np.full((1, 2), 100.0),
        errors=np.zeros((1, 2)),
        counts=counts,
        count_errors=np.full((2, 2), 10.0),
        atoms=np.ones((2, 2)),
        parameter=np.arange(2.0),
        deviance_ratios=np.ones(2),
    )
    assert result.present.tolist() == [[True, False], [True, True]]
    assert "-" in str(result)
    # d(x / (x + y)): half of the error of either, together
    expected = 100 * np.hypot(0.5, 0.5) * 10 / 1000
    assert result.percent_errors[1, 0] == pytest.approx(expected)


def test_titles_become_names():
    assert names_of(["a", "a", "", "b"]) == ["a (0)", "a (1)", "map 2", "b"]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"maps": []}, TypeError, "`maps` must be a list"),
        ({"maps": "twice"}, ValueError, "in the list twice"),
        ({"maps": "other"}, ValueError, "has the elements"),
        ({"maps": [hs.signals.Signal1D(np.ones((3, 4)))]}, TypeError, "EDS_espm"),
        ({"names": ["a"]}, ValueError, "`names` must be a list of 2"),
        ({"parameter": [1.0, np.nan]}, ValueError, "`parameter` must be 2 finite"),
        ({"navigation_mask": [None]}, ValueError, "`navigation_mask` must be a list"),
        ({"sparcity": 1}, TypeError, "does not know `sparcity`"),
        ({"drift": "much"}, ValueError, "`drift` must be a finite number"),
        ({"drift": {9: 1.0}}, ValueError, "`drift` names the phase 9"),
        ({"output_dimension": None}, ValueError, "number of phases is not given"),
        ({"calibration": "now"}, ValueError, "`calibration`"),
    ],
)
def test_bad_input_changes_nothing(changes, error, message):
    maps = [particles((6, 6), 50, seed=i) for i in range(2)]
    before = [signal.metadata.as_dictionary() for signal in maps]
    given = {"maps": maps, "output_dimension": 2} | QUIET | changes
    if given["maps"] == "twice":
        given["maps"] = [maps[0], maps[0]]
    elif given["maps"] == "other":
        given["maps"] = [maps[0], mantle((6, 6), 50)]
    with pytest.raises(error, match=message):
        decompose_together(**given)
    for signal, metadata in zip(maps, before, strict=True):
        assert signal.metadata.as_dictionary() == metadata
        assert signal.learning_results.loadings is None


def test_names_of_the_package():
    assert espm_hs.JointResult is JointResult
    assert "decompose_together" in espm_hs.__all__


def test_the_number_of_phases_of_maps_is_found():
    maps = [particles((12, 12), 200, seed=i) for i in range(2)]
    result = decompose_together(maps, "auto", n_init=1, **QUIET)
    assert len(result.phases) == 3
    for signal in maps:
        assert signal.metadata.EDS_espm.number_of_phases.best == 3


def test_a_joint_fit_that_does_not_converge_warns():
    maps = [particles((6, 6), 50, seed=i) for i in range(2)]
    with pytest.warns(ConvergenceWarning, match="`max_iter`"):
        decompose_together(maps, 2, max_iter=2, n_init=1, **QUIET)
