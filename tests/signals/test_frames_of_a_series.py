"""Series of frames: aligned, and decomposed as maps of one signal."""

import hyperspy.api as hs
import numpy as np
import pytest

from espm_hs import decompose_together, estimate_number_together
from espm_hs.simulation import particles

QUIET = {"print_info": False, "show_progressbar": False}


def series_of(n=4, shape=(14, 14), counts=80, lazy=False):
    """Frames of the same sample, along the axis "time"."""
    stack = hs.stack([particles(shape, counts, seed=i) for i in range(n)])
    axis = stack.axes_manager.navigation_axes[-1]
    axis.name, axis.units, axis.scale, axis.offset = "time", "s", 2.0, 1.0
    return stack.as_lazy() if lazy else stack


@pytest.fixture(scope="module")
def together():
    series = series_of()
    return series, decompose_together(series, 3, axis="time", **QUIET)


def test_frames_are_maps_of_one_series(together):
    _, result = together
    assert result.parameter_name == "time (s)"
    assert result.parameter.tolist() == [1.0, 3.0, 5.0, 7.0]
    assert result.maps[1] == "time (s) 3"
    frames = [series_of().inav[:, :, i] for i in range(4)]
    alone = decompose_together(frames, 3, calibration="never", **QUIET)
    np.testing.assert_allclose(result.composition, alone.composition, atol=1.0)
    assert result.trends()["significance"].abs().max() < 4


def test_the_series_has_the_maps_of_all_frames(together, tmp_path):
    series, result = together
    loadings = series.get_decomposition_loadings()
    assert loadings.data.shape == (3, 4, 14, 14)
    # along time as in the result
    held = loadings.data.sum(axis=(2, 3)).T
    np.testing.assert_allclose(held, result.counts, rtol=0.15)
    np.testing.assert_allclose(loadings.data.sum(), series.data.sum(), rtol=0.01)
    composition = np.array([one.data for one in series.quantify()])
    order = [result.elements.index(e) for e in series.analysis_results().elements]
    np.testing.assert_allclose(composition, result.composition[order], atol=1e-9)
    series.save(tmp_path / "series.hspy")
    loaded = hs.load(tmp_path / "series.hspy")
    assert loaded.get_decomposition_loadings().data.shape == (3, 4, 14, 14)
    assert 0.8 < loaded.analysis_results().misfit < 1.2


def test_any_axis_lazy_and_masked_frames():
    """The axis may be the first one; frames that are masked are left out."""
    series = series_of(3, (10, 10))
    turned = series.transpose(navigation_axes=[2, 0, 1])
    mask = np.zeros(series.data.shape[:-1], bool)
    mask[1] = True
    result = decompose_together(series, 2, axis="time", navigation_mask=mask.T, **QUIET)
    assert result.parameter.tolist() == [1.0, 5.0]
    loadings = series.get_decomposition_loadings().data
    assert np.isnan(loadings[:, 1]).all()
    assert np.isfinite(loadings[:, [0, 2]]).all()
    again = decompose_together(
        turned, 2, axis="time", navigation_mask=np.moveaxis(mask, 0, -1).T, **QUIET
    )
    np.testing.assert_array_equal(again.composition, result.composition)
    lazy = series_of(3, (10, 10), lazy=True)
    same = decompose_together(lazy, 2, axis="time", navigation_mask=mask.T, **QUIET)
    np.testing.assert_array_equal(same.composition, result.composition)
    np.testing.assert_array_equal(
        lazy.learning_results.loadings, series.learning_results.loadings
    )


def test_number_of_phases_of_frames():
    options = {"n_thinnings": 2, "n_init": 1, "show_progressbar": False}
    series = series_of(4, (16, 16), 10)
    found = estimate_number_together(series, range(1, 5), axis="time", **options)
    assert found == series.metadata.EDS_espm.number_of_phases.best == 3


@pytest.mark.parametrize("lazy", [False, True])
def test_shifts_are_undone_and_counts_stay_counts(lazy):
    whole = particles((40, 40), 60)
    shifts = np.array([(0, 0), (1, -1), (3, -2), (2, 1)])
    frames = [whole.inav[5 - x : 35 - x, 5 - y : 35 - y] for y, x in shifts.tolist()]
    series = hs.stack(frames)
    series.axes_manager.navigation_axes[-1].name = "frame"
    series = series.as_lazy() if lazy else series
    found = series.estimate_frame_shifts("frame")
    assert (np.diff(found.whole, axis=0) == np.diff(shifts, axis=0)).all()
    aligned = series.align_frames("frame", found)
    data = np.asarray(aligned.data)
    assert data.dtype == whole.data.dtype
    # the frames are parts of one map: aligned, they are the same
    assert (data == data[0]).all()
    assert data.shape[1:3] == (27, 27)
    x = aligned.axes_manager["x"].offset / aligned.axes_manager["x"].scale
    assert x == pytest.approx(5 - found.whole[:, 1].min(), abs=1e-6)
    left = series.align_frames("frame", found, leave_out=[1])
    assert left.data.shape[0] == 3
    assert left.axes_manager.navigation_axes[-1].axis.tolist() == [0.0, 2.0, 3.0]
    assert left.metadata.Sample.elements == whole.metadata.Sample.elements


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda s: decompose_together(s, 2), TypeError, "axis='time'"),
        (lambda s: decompose_together([s], 2, axis="time"), TypeError, "one signal"),
        (lambda s: decompose_together(s, 2, axis="dose"), ValueError, "'time'"),
        (
            lambda s: decompose_together(s, 2, axis="time", drift=5.0),
            ValueError,
            "one spectrum of each phase",
        ),
        (
            lambda s: decompose_together(s, 2, axis="time", names=["a"]),
            ValueError,
            "`names` must be a list of 3",
        ),
        (lambda s: s.estimate_frame_shifts("Energy"), ValueError, "`axis`"),
        (lambda s: s.inav[:, :, 0].align_frames(0), ValueError, "three navigation"),
        (lambda s: s.align_frames("time", [[0, 0]]), ValueError, "`shifts` must be 3"),
        (
            lambda s: s.align_frames("time", leave_out=[0, 1, 2]),
            ValueError,
            "`leave_out`",
        ),
    ],
)
def test_bad_input(call, error, message):
    series = series_of(3, (6, 6))
    before = series.metadata.as_dictionary()
    with pytest.raises(error, match=message):
        call(series)
    assert series.metadata.as_dictionary() == before


def test_frames_are_aligned_in_one_call():
    whole = particles((24, 24), 100)
    series = hs.stack([whole.inav[2:22, 2:22], whole.inav[:20, 3:23]])
    series.axes_manager.navigation_axes[-1].name = "frame"
    # positions of the rows that were measured one by one
    series.axes_manager.navigation_axes[1].convert_to_non_uniform_axis()
    rows = series.axes_manager.navigation_axes[1].axis.copy()
    aligned = series.align_frames("frame")
    assert (aligned.data[0] == aligned.data[1]).all()
    assert aligned.data.shape[1:3] == (19, 18)
    left = aligned.axes_manager.navigation_axes[1]
    assert not left.is_uniform
    start = rows.tolist().index(left.axis[0])
    np.testing.assert_array_equal(left.axis, rows[start : start + 19])


def test_spectra_along_a_line_are_no_maps():
    line = particles((6, 6), 100).inav[:, 2]
    name = line.axes_manager.navigation_axes[0].name
    with pytest.raises(ValueError, match="its frames would be single spectra"):
        decompose_together(line, 2, axis=name, **QUIET)
