"""What is said of data that are not as they should be: each kind, not the case."""

import warnings

import hyperspy.api as hs
import numpy as np
import pytest
from conftest import ELEMENTS, make_map
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter1d

from espm_hs.signals._regions import region_map, without_regions

QUIET = {"algorithm": "espm", "print_info": False, "show_progressbar": False}
QUICK = {"n_init": 1, "max_iter": 30, "calibration": "never", "smoothness": 0.0}


def decompose(s, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        s.decomposition(**{"output_dimension": 2, **QUIET, **QUICK, **options})
    return s


def said(function, *args, **kwargs):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        function(*args, **kwargs)
    return "\n".join(str(one.message) for one in found)


@pytest.fixture(scope="module")
def square():
    return decompose(make_map((6, 6), 200, size=300))


# -- maps in another orientation -----------------------------------------------------

WAYS_OUT = {
    "quantify": lambda s: s.quantify("pixels"),
    "plot_phases": lambda s: s.plot_phases(),
    "plot_fit": lambda s: s.plot_fit((1, 2)),
    "plot_residuals": lambda s: s.plot_residuals(),
    "plot_composition": lambda s: s.plot_composition(),
    "plot_fit_of_region": lambda s: s.plot_fit_of_region(),
    "loadings": lambda s: s.get_decomposition_loadings(),
    "model": lambda s: s.get_decomposition_model(),
    "HyperSpy's plot": lambda s: s.plot_decomposition_loadings(),
    "HyperSpy's results": lambda s: s.plot_decomposition_results(),
    "HyperSpy's files": lambda s: s.export_decomposition_results(),
    "bootstrap": lambda s: s.bootstrap_quantification(2, show_progressbar=False),
}
CHANGES = {
    "transposed": lambda s: s.transpose(navigation_axes=[1, 0]),
    "mirrored": lambda s: s._deepcopy_with_new_data(s.data[::-1].copy()),
    "turned": lambda s: s._deepcopy_with_new_data(np.rot90(s.data).copy()),
    "changed": lambda s: s._deepcopy_with_new_data(s.data + s.data),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("way", WAYS_OUT)
def test_maps_of_other_pixels_are_never_shown(square, change, way):
    other = CHANGES[change](square.deepcopy())
    other.learning_results.__dict__.update(vars(square.learning_results))
    with pytest.raises(RuntimeError, match="no longer those that were decomposed"):
        WAYS_OUT[way](other)


def test_maps_of_the_same_pixels_are(square, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("plot_phases", "loadings", "model", "HyperSpy's plot"):
        WAYS_OUT[name](square)


# -- results of before, and of the whole -----------------------------------------------


def test_a_table_of_before_is_marked(square):
    mark = "This is the result of before"
    assert mark not in str(square.print_quantification())
    changes = {
        "elements": lambda s: s.set_elements([*ELEMENTS, "Al"]),
        "stray elements": lambda s: s.set_analysis_parameters(stray_elements=["Cu"]),
        "thickness": lambda s: s.set_analysis_parameters(thickness=50, density=3),
        "beam energy": lambda s: s.set_microscope_parameters(beam_energy=300),
    }
    for name, change in changes.items():
        s = square.deepcopy()
        change(s)
        text = str(s.print_quantification())
        assert mark in text
        assert name in text.split(mark)[1].split(" changed since")[0]
        assert mark in said(s.quantify)


def test_refined_and_fitted_models_are_no_changes():
    s = make_map((6, 6), 400, size=300)
    s.axes_manager[-1].offset += 0.02
    s.set_analysis_parameters(mass_thickness="fit")
    decompose(s, calibration="auto")
    assert s.analysis_results().calibration
    assert "result of before" not in str(s.print_quantification())


PARTS = {
    "slice": lambda s: s.inav[:3],
    "one pixel": lambda s: s.inav[1, 1],
    "sum": lambda s: s.sum(),
    "sum of lines": lambda s: s.sum(axis=0),
    "rebin": lambda s: s.rebin(scale=(2, 2, 1)),
    "region": lambda s: hs.roi.RectangularROI(0, 0, 3, 3)(s),
}


@pytest.mark.parametrize("part", PARTS)
def test_the_table_of_a_part_is_that_of_the_whole(square, part):
    some = PARTS[part](square)
    text = "the phases of the whole map that was decomposed, with 36 pixels"
    assert text in str(some.print_quantification())
    assert text in said(some.quantify)
    assert text not in str(square.print_quantification())


# -- data that are no counts -----------------------------------------------------------


@given(
    scale=st.sampled_from([0.01, 0.25, 1 / 3, 1 / 17, 2.5, 4, 7.77]),
    seed=st.integers(0, 3),
    dtype=st.sampled_from([np.float32, np.float64]),
)
@settings(max_examples=12)
def test_scaled_counts_are_told_with_their_factor(scale, seed, dtype):
    s = make_map((3, 3), 60, seed=seed, size=200)
    s.data = (s.data * scale).astype(dtype)
    text = said(s.decomposition, output_dimension=1, **QUIET, **QUICK)
    assert f"All data are multiples of {scale:.6g}: " in text
    assert f"multiples of {scale:.6g}: " in str(s.print_quantification())


def test_means_of_pixels_and_shares_of_the_largest():
    s = make_map((4, 4), 400, size=200)
    means = s.rebin(scale=(2, 2, 1))
    means.data = means.data / 4
    text = said(means.decomposition, output_dimension=1, **QUIET, **QUICK)
    assert "multiples of 0.25: " in text
    largest = s.data.max()
    s.data = s.data / largest
    text = said(s.decomposition, output_dimension=1, **QUIET, **QUICK)
    assert f"multiples of {1 / largest:.6g}: " in text


def test_smoothed_counts_have_no_factor():
    """Neither along the energy axis nor over the map."""
    for axis in range(3):
        s = make_map((4, 4), 300, size=200)
        s.data = gaussian_filter1d(s.data.astype(float), 1.3, axis=axis)
        text = said(s.decomposition, output_dimension=2, **QUIET, **QUICK)
        assert "they were smoothed, averaged or corrected" in text
        assert "they were smoothed" in str(s.print_quantification())


def test_rounded_data_are_told_by_their_deviance():
    """Counts that were divided and rounded are whole numbers and still no counts."""
    s = make_map((2, 2), 2e6, size=200)
    s.data = np.rint(s.data / 50.0).astype(np.int64)
    options = QUICK | {"n_init": 2, "max_iter": 500}
    s.set_analysis_parameters(stray_elements=[])
    text = said(s.decomposition, output_dimension=3, **QUIET, **options)
    assert s.analysis_results().misfit < 0.5
    assert "where counts have 1" in text


def test_counts_are_no_scaled_counts():
    for kind in (np.uint8, np.int32, np.float32):
        s = make_map((4, 4), 300, size=200)
        s.data = s.data.astype(kind)
        text = said(s.decomposition, output_dimension=2, **QUIET, **QUICK)
        assert "multiples" not in text
        assert "averaged" not in text


# -- bulk samples ----------------------------------------------------------------------


@pytest.mark.parametrize(("beam", "is_told"), [(15, True), (50, True), (60, False)])
def test_a_bulk_sample_is_told_once(beam, is_told):
    s = make_map((3, 3), 300, size=300)
    del s.metadata.EDS_espm.mass_thickness
    s.set_microscope_parameters(beam_energy=beam)
    text = said(s.decomposition, output_dimension=1, **QUIET, **QUICK)
    assert text.count("thin film") == is_told
    assert str(s.print_quantification()).count("is that of a thin film") == is_told
    assert str(s.info()).count("bulk?") == is_told
    s.set_analysis_parameters(thickness=50, density=3)
    assert "thin film" not in said(
        s.decomposition, output_dimension=1, **QUIET, **QUICK
    )


# -- wrong words -----------------------------------------------------------------------


@given(st.sampled_from(["ESPM", "Espm", "espn", "esmp", "espm ", "espm_hs"]))
def test_words_near_espm(word):
    s = make_map((2, 2), 30, size=100)
    with pytest.raises(ValueError, match="Did you mean `espm`"):
        s.decomposition(algorithm=word, output_dimension=1)


@given(st.text(st.characters(whitelist_categories=("L",)), min_size=1, max_size=8))
@settings(max_examples=20)
def test_any_other_word(word):
    from espm_hs.signals._phases import ALGORITHMS

    if word in ("espm", *ALGORITHMS):
        return
    s = make_map((2, 2), 30, size=100)
    for call in (
        lambda: s.decomposition(algorithm=word, output_dimension=1),
        lambda: s.decomposition(word, 3),
        lambda: s.decomposition(word),
    ):
        with pytest.raises((ValueError, TypeError)) as error:
            call()
        assert "'espm'" in str(error.value)
        assert "float" not in str(error.value)


def test_a_threshold_that_leaves_out_all_pixels():
    s = make_map((4, 4), 30, size=200)
    largest = s.data.max()
    with pytest.raises(ValueError, match=f"is a threshold.*{largest:g} counts"):
        s.decomposition(output_dimension=1, navigation_mask=largest + 10.0, **QUIET)


def test_a_stray_element_beyond_the_axis_is_a_note():
    s = make_map((3, 3), 200, size=300, offset=0.3)
    s.set_analysis_parameters(stray_elements=["C", "Cu"])
    with pytest.warns(UserWarning, match="stray element C is left out"):
        model = s.physical_model()
    assert model.stray_elements == ("Cu",)
    decompose(s)
    assert "no line of C" in str(s.info())
    # an element of the sample is what was asked for
    s.set_elements(["C", "Fe"])
    s.set_analysis_parameters(stray_elements=["Cu"])
    with pytest.raises(ValueError, match="C has no line"):
        s.physical_model()


@pytest.mark.parametrize("shape", [(4, 4, 300), (0, 4, 300), (4, 4, 0)])
def test_no_channels_and_no_counts_are_told_with_the_file(shape):
    s = make_map((4, 4), 100, size=300)
    s.metadata.General.original_filename = "scan_17.pts"
    empty = s._deepcopy_with_new_data(np.zeros(shape, np.uint16))
    with pytest.raises(ValueError, match=r"nothing to decompose.*scan_17.pts"):
        empty.decomposition(output_dimension=1, **QUIET)


# -- regions ---------------------------------------------------------------------------

REGIONS = {
    "rectangle": hs.roi.RectangularROI(1, 0, 4, 2),
    "circle": hs.roi.CircleROI(3, 2, 1.6),
    "ring": hs.roi.CircleROI(3, 2, 2.2, 1.1),
    "line": hs.roi.Line2DROI(0, 0, 4, 4, 0),
    "pixel": hs.roi.Point2DROI(2, 3),
    "columns": hs.roi.SpanROI(1, 3),
}


def inside(name):
    """The same pixels, y and x; of circles those that HyperSpy cuts out."""
    y, x = np.mgrid[:5, :7]
    if name in ("circle", "ring"):
        s = hs.signals.BaseSignal((y * 7.0 + x)[..., None]).transpose(1)
        return np.isin(y * 7 + x, REGIONS[name](s).data)
    return {
        "rectangle": (x >= 1) & (x < 4) & (y < 2),
        "line": (x == y) & (x < 5),
        "pixel": (x == 2) & (y == 3),
        "columns": (x >= 1) & (x < 3),
    }[name]


@pytest.mark.parametrize("name", REGIONS)
def test_regions_are_masks(name):
    s = make_map((5, 7), 200, size=300)
    decompose(s, navigation_mask=REGIONS[name], output_dimension=1)
    left_out = np.isnan(s.learning_results.loadings[:, 0]).reshape(5, 7)
    np.testing.assert_array_equal(left_out, inside(name))
    decompose(s, output_dimension=1)
    figure = s.plot_fit(REGIONS[name])
    data = figure.axes[0].lines[0].get_ydata()
    np.testing.assert_array_equal(data, s.data[inside(name)].sum(axis=0))


def test_regions_of_known_phases_and_of_channels():
    s = make_map((5, 7), 300, size=300)
    known = {0: {"map": REGIONS["rectangle"]}}
    decompose(s, known_phases=known, signal_mask=hs.roi.SpanROI(3.0, 3.5))
    loadings = s.learning_results.loadings[:, 0].reshape(5, 7)
    assert not loadings[~inside("rectangle")].any()
    energy = s.axes_manager[-1].axis
    used = s.analysis_results().channels
    assert not used[(energy > 3.01) & (energy < 3.49)].any()
    assert used[(energy > 1) & (energy < 2.9)].all()


def test_a_region_beside_the_map():
    s = make_map((3, 3), 100, size=200)
    with pytest.raises(ValueError, match="region"):
        decompose(s, navigation_mask=hs.roi.RectangularROI(50, 50, 60, 60))


def test_a_line_that_leaves_the_map_has_no_other_pixels():
    """HyperSpy fills it with 0, which was taken for the first pixel."""
    s = decompose(make_map((5, 7), 200, size=300), output_dimension=1)
    line = hs.roi.Line2DROI(4, 1, 9, 5, 0)
    mask = without_regions(s, line)
    assert mask.any()
    assert not mask[:, :4].any()
    np.testing.assert_array_equal(region_map(s, line)[1][:, 0], mask.ravel())


def test_a_wide_line_is_refused():
    """Across it HyperSpy takes means, of the numbers of the pixels as of all else."""
    s = make_map((5, 7), 200, size=300)
    with pytest.raises(ValueError, match=r"2 pixels wide.*`linewidth=0`"):
        decompose(s, navigation_mask=hs.roi.Line2DROI(1, 1, 4, 4, 2))
