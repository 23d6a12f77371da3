"""Regions of a map: their composition, profiles, and regions that are moved."""

import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np
import pytest

from espm_hs import simulation

QUIET = {"print_info": False, "show_progressbar": False}


@pytest.fixture(scope="module")
def decomposed():
    s = simulation.particles(shape=(24, 20), counts_per_pixel=120)
    s.decomposition(algorithm="espm", output_dimension=3, n_init=1, **QUIET)
    return s


@pytest.fixture
def s(decomposed):
    return decomposed.deepcopy()


def percent(signals):
    """Values and standard errors, shape (n_signals, ...)."""
    return (
        np.array([one.data for one in signals]),
        np.sqrt([one.get_noise_variance().data for one in signals]),
    )


def rois():
    """ROIs of all kinds, by name."""
    return {
        "rectangle": hs.roi.RectangularROI(4.0, 8.0, 20.0, 30.0),
        "circle": hs.roi.CircleROI(20.0, 20.0, 9.0),
        "line": hs.roi.Line2DROI(0.0, 10.0, 30.0, 10.0, 0),
        "polygon": hs.roi.PolygonROI([(3.0, 3.0), (35.0, 3.0), (3.0, 35.0)]),
    }


def circle():
    """Pixels of a circle, (24, 20)."""
    y, x = 2.0 * np.indices((24, 20))
    return np.hypot(x - 20, y - 20) < 9


@pytest.mark.parametrize("name", ["rectangle", "circle", "polygon", "line"])
def test_a_roi_is_what_hyperspy_cuts_out(s, name):
    """Which pixels that are is up to HyperSpy; their sum is what is fitted."""
    roi = rois()[name]
    counts = s.deepcopy()
    counts.change_dtype(float)
    cut = roi(counts).data.reshape(-1, 1024)
    alone = s.inav[:1, :1].deepcopy()
    alone.data = np.nansum(cut, axis=0).reshape(1, 1, -1)
    expected = percent(alone.quantify(mask=np.zeros((1, 1), bool)))
    np.testing.assert_allclose(percent(s.quantify(roi=roi)), expected, rtol=1e-6)


def test_a_region_is_its_summed_spectrum(s):
    """The same as a signal of one spectrum, which is decomposed by itself."""
    inside = circle()
    alone = s.inav[0, 0].deepcopy()
    alone.data = s.data[inside].sum(axis=0)
    # with the mass thickness that the map was decomposed with
    model = s.analysis_results().model
    alone.set_analysis_parameters(mass_thickness=model.mass_thickness)
    alone.decomposition(
        algorithm="espm", output_dimension=1, calibration="never", **QUIET
    )
    expected, of_alone = percent(alone.quantify())
    values, errors = percent(s.quantify(roi=inside))
    np.testing.assert_allclose(values, expected, atol=0.05)
    np.testing.assert_allclose(errors, of_alone, rtol=0.1)


def test_what_regions_are_made_of(s):
    """Within errors of the truth, which has each phase alone somewhere."""
    truth = s.ground_truth()
    shares = truth.thickness / truth.thickness.sum(axis=-1, keepdims=True)
    regions = {name: shares[..., j] > 0.999 for j, name in enumerate(truth.names)}
    rows = [truth.elements.index(e.metadata.Sample.elements[0]) for e in s.quantify()]
    expected = 100 * truth.composition[rows]
    for fit in ("spectrum", "phases"):
        found = s.quantify(roi=regions, roi_fit=fit)
        values, errors = percent(found)
        assert found[0].metadata.EDS_espm.regions == list(regions)
        assert found[0].axes_manager[0].name == "Region"
        assert (np.abs(values - expected) < 4 * errors + 1.5).all()
        np.testing.assert_allclose(values.sum(axis=0), 100)


def test_errors_are_those_of_repeated_counts(s):
    """Of 30 measurements of one region, which scatter as is said."""
    inside = np.zeros((24, 20), bool)
    inside[4:15, 2:10] = True
    found = s.analysis_results()
    mean = found.spectra @ s.learning_results.loadings[inside.ravel()].sum(axis=0)
    rng = np.random.default_rng(0)
    one = s.inav[:1, :1].deepcopy()
    one.change_dtype("uint32")
    drawn, said = [], []
    for _ in range(30):
        one.data[0, 0] = rng.poisson(np.nan_to_num(mean))
        values, errors = percent(one.quantify(roi=np.ones((1, 1), bool)))
        drawn.append(values[:, 0])
        said.append(errors[:, 0])
    there = np.mean(drawn, axis=0) > 1
    ratio = np.std(drawn, axis=0)[there] / np.mean(said, axis=0)[there]
    assert (ratio > 0.65).all()
    assert (ratio < 1.4).all()


def test_masks_leave_out(s):
    roi, inside = hs.roi.RectangularROI(4.0, 8.0, 20.0, 30.0), np.zeros((24, 20), bool)
    inside[4:15, 2:10] = True
    bright = s.data.sum(axis=-1) > 130
    np.testing.assert_array_equal(
        percent(s.quantify(roi=roi, mask=bright)),
        percent(s.quantify(roi=inside & ~bright)),
    )
    np.testing.assert_array_equal(
        percent(s.quantify(mask=roi)), percent(s.quantify(roi=~inside))
    )
    np.testing.assert_array_equal(
        percent(s.quantify(mask=hs.signals.Signal2D(bright).T)),
        percent(s.quantify(roi=~bright)),
    )
    maps = s.quantify("pixels", roi=roi)
    np.testing.assert_array_equal(np.isfinite(maps[0].data), inside)


def test_shares_of_phases_are_those_of_the_loadings(s):
    """Their errors are those of a weighted fit of the phases to the sum."""
    inside = circle()
    values, errors = percent(s.phase_shares(inside))
    found = s.analysis_results()
    totals = s.learning_results.loadings[inside.ravel()].sum(axis=0)
    np.testing.assert_allclose(values[:, 0], 100 * totals / totals.sum())
    rng = np.random.default_rng(1)
    spectra = found.spectra[found.channels]
    mean = spectra @ totals
    weights = spectra / mean[:, None]
    drawn = rng.poisson(mean, (400, mean.size))
    fitted = np.linalg.lstsq(spectra.T @ weights, weights.T @ drawn.T, rcond=None)[0]
    shares = 100 * fitted / fitted.sum(axis=0)
    np.testing.assert_allclose(errors[:, 0], shares.std(axis=1), rtol=0.12)
    whole, _ = percent(s.phase_shares())
    assert whole.sum() == pytest.approx(100)


def test_regions_of_a_lazy_map_are_the_same(s):
    lazy = s.as_lazy()
    for options in ({"roi_fit": "phases"}, {}):
        roi = rois()
        np.testing.assert_allclose(
            percent(lazy.quantify(roi=roi, **options)),
            percent(s.quantify(roi=roi, **options)),
            rtol=1e-6,
        )


def test_a_part_of_the_map_quantifies_regions_by_their_spectra(s):
    part = s.inav[5:15, 5:15]
    values, _ = percent(part.quantify(roi=np.ones((10, 10), bool)))
    inside = np.zeros((24, 20), bool)
    inside[5:15, 5:15] = True
    expected, _ = percent(s.quantify(roi=inside))
    np.testing.assert_allclose(values, expected, atol=1e-6)
    with pytest.raises(RuntimeError, match="maps of the phases"):
        part.quantify(roi=np.ones((10, 10), bool), roi_fit="phases")


def test_signals_follow_a_roi(s):
    roi = hs.roi.CircleROI(20.0, 20.0, 9.0)
    followed = s.quantify(roi={"grain": roi}, interactive=True)
    told = []
    followed[0].events.data_changed.connect(lambda obj: told.append(obj), ["obj"])
    roi.cx = 30.0
    np.testing.assert_array_equal(percent(followed), percent(s.quantify(roi=roi)))
    assert told == [followed[0]]
    roi.cx = 1e4  # beside the map
    assert np.isnan(percent(followed)).all()
    roi.cx = 20.0
    np.testing.assert_array_equal(percent(followed), percent(s.quantify(roi=roi)))


def test_the_report_of_regions(s):
    given = rois()
    table = s.print_quantification(roi=given)
    values, errors = percent(s.quantify(roi=given))
    frame = table.to_dataframe()
    assert table.names == tuple(given)
    np.testing.assert_allclose(frame.percent.to_numpy().reshape(4, -1).T, values)
    counted = np.hypot(frame.counting, frame.bias).to_numpy().reshape(4, -1).T
    np.testing.assert_allclose(counted, errors)
    assert "rectangle" in str(table)


def test_a_region_without_counts_has_no_composition(s):
    s.data[:3, :3] = 0
    empty = np.zeros((24, 20), bool)
    empty[:3, :3] = True
    values, errors = percent(s.quantify(roi={"empty": empty, "rest": ~empty}))
    assert np.isnan(values[:, 0]).all()
    assert np.isnan(errors[:, 0]).all()
    assert np.isfinite(values[:, 1]).all()
    assert s.print_quantification(roi={"empty": empty, "rest": ~empty}).empty == (0,)
    with pytest.raises(ValueError, match="no counts"):
        s.print_quantification(roi=empty)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"roi": np.ones((20, 24), bool)}, "`roi` has shape"),
        ({"roi": {"a": np.zeros((24, 20))}}, "`roi\\['a'\\]` is of type float64"),
        ({"roi": np.zeros((24, 20), bool)}, "'region' of `roi` has no pixel"),
        ({"mask": np.ones((24, 20), bool)}, "`mask` leaves no pixel of 'map'"),
        ({"mask": 3}, "`mask` is of type int64"),
        ({"roi": hs.roi.CircleROI(1e3, 1e3, 2.0)}, "does not fit the map"),
        ({"roi": {}}, "there is no region"),
        ({"roi_fit": "x"}, "`roi_fit` must be"),
        ({"interactive": True}, "`interactive` needs a ROI"),
        ({"interactive": 1}, "`interactive` must be True or False"),
    ],
)
def test_what_makes_no_sense(s, options, message):
    with pytest.raises(ValueError, match=message):
        s.quantify(**options)


# -- profiles ------------------------------------------------------------------------


def test_a_profile_across_particles(s):
    line = hs.roi.Line2DROI(2.0, 4.0, 34.0, 40.0, 6.0)
    profile = s.quantify_profile(line)
    values, errors = percent(profile)
    axis = profile[0].axes_manager[0]
    assert (axis.name, axis.units, axis.scale) == ("Distance", "nm", 2.0)
    assert axis.size == int(np.hypot(32, 36) / 2) + 1
    assert np.isfinite(values).all()
    np.testing.assert_allclose(values.sum(axis=0), 100)
    # as the pixels say that lie there
    y, x = 2.0 * np.indices((24, 20))
    along = np.array([32, 36]) / np.hypot(32, 36)
    for i in (0, 7, axis.size - 1):
        far = (x - 2) * along[0] + (y - 4) * along[1]
        across = np.abs((x - 2) * along[1] - (y - 4) * along[0])
        inside = (np.abs(far - 2 * i) < 1) & (across <= 3)
        expected = percent(s.quantify(roi=inside))
        np.testing.assert_allclose(values[:, i], expected[0][:, 0], atol=1e-6)
        np.testing.assert_allclose(errors[:, i], expected[1][:, 0], rtol=1e-4)
    same, _ = percent(s.quantify_profile(((2.0, 4.0), (34.0, 40.0)), width=6.0))
    np.testing.assert_array_equal(values, same)


def test_no_count_is_used_twice_and_no_step_is_empty(s):
    """With the usual width and step, in whatever direction."""
    from espm_hs.signals._regions import profile_regions

    rng = np.random.default_rng(0)
    for _ in range(30):
        start, end = rng.uniform(4, 34, (2, 2))
        regions, axis = profile_regions(s, (start, end), None, None)
        steps = np.bincount(regions.number[regions.used], minlength=axis["size"])
        assert steps.all()


def test_phases_along_a_line(s):
    values, errors = percent(
        s.quantify_profile(((2, 4), (34, 40)), width=6, target="phases")
    )
    np.testing.assert_allclose(values.sum(axis=0), 100)
    assert (errors < 30).all()


def test_a_line_scan_is_a_profile(s):
    scan = s.inav[:, 10]
    scan.decomposition(algorithm="espm", output_dimension=2, n_init=1, **QUIET)
    values, _ = percent(scan.quantify_profile(roi_fit="phases"))
    pixels, _ = percent(scan.quantify("pixels"))
    np.testing.assert_allclose(values, pixels, atol=1e-6)
    part, _ = percent(scan.quantify_profile((4.0, 20.0), roi_fit="phases"))
    np.testing.assert_array_equal(part, values[:, 2:11])
    span, _ = percent(
        scan.quantify_profile(hs.roi.SpanROI(4.0, 20.0), roi_fit="phases")
    )
    np.testing.assert_array_equal(span, part)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((None,), "`line` is None; needed are two points"),
        ((((0, 0), (0, 0)),), "one point"),
        ((((1e3, 0), (2e3, 0)),), "No pixel is within"),
        ((((0, 0), (9, 9)), -1), "`width` must be"),
        ((((0, 0), (9, 9)), None, "pixels"), "`target` must be"),
    ],
)
def test_profiles_that_make_no_sense(s, arguments, message):
    with pytest.raises(ValueError, match=message):
        s.quantify_profile(*arguments)


def test_a_profile_of_more_axes_is_none(s):
    stack = hs.stack([s, s])
    with pytest.raises(ValueError, match="one or two navigation axes"):
        stack.quantify_profile(((0, 0), (9, 9)))


# -- figures -------------------------------------------------------------------------


def test_the_figure_of_a_profile(s):
    figure = s.plot_profile(((2, 4), (34, 40)), width=6)
    elements, phases = figure.axes
    profile = s.quantify_profile(((2, 4), (34, 40)), width=6)
    drawn = {line.get_label(): line.get_ydata() for line in elements.lines}
    assert len(drawn) == len(profile)
    for one in profile:
        (symbol,) = one.metadata.Sample.elements
        np.testing.assert_array_equal(drawn[symbol], one.data)
    assert len(phases.lines) == 3
    assert phases.get_xlabel() == "Distance (nm)"
    plt.close("all")


def test_the_figure_of_a_region_follows_it(s):
    roi = hs.roi.CircleROI(20.0, 20.0, 9.0)
    figure = s.plot_composition_of_region(roi)
    figure.roi.cx = 30.0
    values, _ = percent(s.quantify(roi=roi))
    heights = sorted(bar.get_height() for bar in figure.axes[0].patches)
    np.testing.assert_allclose(heights, np.sort(values[:, 0]))
    shares, _ = percent(s.phase_shares(roi))
    widths = [bar.get_width() for bar in figure.axes[1].patches]
    np.testing.assert_allclose(widths, shares[:, 0])
    roi.cx = 1e4
    assert len(figure.axes[1].patches) == 0
    plt.close("all")


def test_the_ends_of_a_profile_of_a_line_scan_are_two_numbers(s):
    line = s.inav[:, 3]
    with pytest.raises(ValueError, match="needed are two numbers, a `hyper"):
        line.quantify_profile(((0, 0), (9, 9)))


def test_steps_of_a_profile_are_no_dust(s):
    with pytest.raises(ValueError, match=r"`step` is 1e-06, which divides `line`"):
        s.quantify_profile(((0, 0), (9, 9)), step=1e-6)


def test_a_roi_between_the_pixels_holds_none(s):
    with pytest.raises(ValueError, match="holds no pixel or channel of the map"):
        s.quantify(roi=hs.roi.CircleROI(9.0, 9.0, 0.5))


def test_regions_are_those_of_the_model_of_the_fit(s):
    """What was set since is told, and not used."""
    roi = hs.roi.CircleROI(20.0, 20.0, 9.0)
    before = percent(s.quantify(roi=roi))
    s.set_analysis_parameters(thickness=400.0)
    with pytest.warns(UserWarning, match="thickness"):
        after = percent(s.quantify(roi=roi))
    np.testing.assert_array_equal(after, before)
