"""Which phase each pixel is: labels, fractions with their errors, figures and files."""

from dataclasses import replace

import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image
from scipy.stats import norm

from espm_hs import simulation
from espm_hs.factorization.matching import match_phases
from espm_hs.plotting.style import phase_colour
from espm_hs.quantification import pixels
from espm_hs.quantification.phase_map import (
    _Leads,
    _recounted,
    _without_neighbours,
    outlines,
)

QUIET = {"print_info": False, "show_progressbar": False}
SHAPE = (28, 24)


def simulated(counts_per_pixel=60, seed=0):
    s = simulation.particles(SHAPE, counts_per_pixel=counts_per_pixel, seed=seed)
    s.decomposition(algorithm="espm", output_dimension=3, n_init=2, **QUIET)
    return s


def truth(s):
    """Percent of the area that each phase leads, and of the counts, in their order.

    Counts in a nanometre of each phase are fitted to a map of many counts.
    """
    many = simulation.particles(SHAPE, counts_per_pixel=5000, seed=9)
    thickness = many.ground_truth().thickness.reshape(-1, 3)
    used = s.analysis_results().channels
    totals = many.data.reshape(-1, used.size)[:, used].sum(axis=1).astype(float)
    counts = thickness * np.linalg.lstsq(thickness, totals, rcond=None)[0]
    area = np.bincount(counts.argmax(axis=1), minlength=3) / len(counts)
    return 100 * area, 100 * counts.sum(axis=0) / counts.sum(), counts.argmax(axis=1)


def order(s):
    found, known = s.analysis_results(), s.ground_truth()
    used = found.channels
    return match_phases(found.spectra[used], known.spectra[used])[0]


@pytest.fixture(scope="module")
def decomposed():
    return simulated()


@pytest.fixture
def s(decomposed):
    return decomposed.deepcopy()


def test_fractions_are_those_of_the_truth_within_their_errors():
    """Of six draws; the benchmark has 80 of several maps."""
    deviations = []
    for seed in range(6):
        s = simulated(seed=seed)
        found, (area, counts, _) = s.phase_map(), truth(s)
        one = order(s)
        for values, errors, expected in (
            (found.area, found.area_error, area),
            (found.counts, found.counts_error, counts),
        ):
            assert np.abs(values[one] - expected).max() < 2
            deviations.append((values[one] - expected) / errors[one])
    deviations = np.abs(deviations)
    assert (deviations < 2).mean() > 0.8
    assert 0.4 < np.sqrt((deviations**2).mean()) < 1.6


def test_the_area_of_a_film_that_smoothness_makes_thinner():
    """Against the truth, the area that leads on the smooth maps, and a plain EM."""
    smooth, found = [], []
    for seed in range(3):
        s = simulation.grain_boundary((32, 32), counts_per_pixel=60, seed=seed)
        s.decomposition(algorithm="espm", output_dimension=3, n_init=2, **QUIET)
        one, film = s.phase_map(), order(s)[2]
        loadings = s.learning_results.loadings
        counts = loadings * np.nansum(s.analysis_results().spectra, axis=0)
        smooth.append(100 * (counts.argmax(axis=1) == film).mean())
        found.append((one.area[film], one.area_error[film]))
    # a pixel in forty, by counts of a nanometre fitted to a map of many counts
    area, error = np.transpose(found)
    true = 2.44
    assert np.mean(smooth) < true - 1.2
    assert abs(area.mean() - true) < 0.6 * (true - np.mean(smooth))
    assert (np.abs(area - true) < 2 * error).all()
    # rows of a map without their neighbours, across the film
    analysis = replace(s.analysis_results(), sparsity=0.0)
    own = _without_neighbours(analysis, s.data, loadings)
    used = analysis.channels
    spectra = analysis.spectra[used] / np.nansum(analysis.spectra[used], axis=0)
    rows = s.data[:3].reshape(96, -1)[:, used].astype(float)
    expected = np.full((96, 3), rows.sum(axis=1).mean() / 3)
    for _ in range(1000):
        expected *= (rows / (expected @ spectra.T)) @ spectra
    own = own[:96]
    assert (own.argmax(axis=1) == expected.argmax(axis=1)).mean() > 0.98
    assert np.abs(own - expected).max() < 1.0


def test_few_counts_leave_the_area_to_the_smooth_map():
    """By themselves pixels of five counts are a phase or another by chance."""
    s = simulated(counts_per_pixel=5)
    found, (area, _, main) = s.phase_map(), truth(s)
    analysis = s.analysis_results()
    own = _without_neighbours(analysis, s.data, s.learning_results.loadings)
    own = own[:, order(s)]
    alone = 100 * np.bincount(own.argmax(axis=1), minlength=3) / len(main)
    off = np.abs(found.area[order(s)] - area).max()
    assert off < 0.7 * np.abs(alone - area).max()


def test_recounted_pixels_by_hand():
    smooth = np.tile([0.9, 0.1], (10, 1))
    own = np.array([[9.0, 1.0]] * 6 + [[1.0, 9.0]] * 3 + [[0.0, 0.0]])
    # certain: 3 of 9 pixels and not 0.9, and the one without counts stays as it was
    moved, left = _recounted(own, np.full((1, 10), 1e-6), smooth)
    np.testing.assert_allclose(moved, (-2.1, 2.1))
    np.testing.assert_allclose(left, 0, atol=1e-12)
    # noise of half of the difference: 2 sigma, 3 (1 - 2 p) more pixels for the second
    moved, left = _recounted(own, np.full((1, 10), 4.0), smooth)
    noise = 0.5 * 3 * norm.cdf(-2)
    weight = 2.1**2 / (2.1**2 + noise**2)
    np.testing.assert_allclose(moved, (-2.1 * weight, 2.1 * weight))
    np.testing.assert_allclose(left, (-noise * weight, noise * weight))


def test_labels_are_right_where_they_are_given(s):
    found = s.phase_map(threshold=0.95)
    _, _, main = truth(s)
    labels = np.argsort(order(s))[found.labels.ravel()]
    labelled = found.labels.ravel() >= 0
    wrong = (labels != main)[labelled].mean()
    assert wrong < 0.04
    assert labelled.mean() > 0.8
    assert found.n_pixels.sum() == labelled.sum()
    assert found.n_uncertain == (~labelled).sum()


def test_what_a_higher_threshold_leaves_grey(s):
    low, high = s.phase_map(threshold=0.5), s.phase_map(threshold=0.99)
    assert (low.labels >= 0).mean() > (high.labels >= 0).mean()
    grey = high.labels < 0
    assert (high.probability[grey] < 0.99).all()
    assert (high.probability[~grey] >= 0.99).all()
    np.testing.assert_array_equal(low.area, high.area)


def test_pixels_of_few_counts_and_those_left_out(s):
    few = s.data.sum(axis=-1) < 40
    found = s.phase_map(min_counts=40)
    used = s.analysis_results().channels
    few = s.data[..., used].sum(axis=-1) < 40
    model = (s.learning_results.loadings.sum(axis=1) < 40).reshape(SHAPE)
    assert (found.labels[model] == -1).all()
    assert found.n_left_out == model.sum()
    assert few.any()
    mask = np.zeros(SHAPE, bool)
    mask[:4] = True
    s.decomposition(
        algorithm="espm",
        output_dimension=3,
        n_init=1,
        navigation_mask=hs.signals.Signal2D(mask).T,
        **QUIET,
    )
    found = s.phase_map()
    assert (found.labels[:4] == -1).all()
    assert np.isnan(found.probability[:4]).all()
    assert found.n_left_out == mask.sum()
    assert found.area.sum() == pytest.approx(100)


def test_probabilities_of_two_and_their_slopes():
    """Against the normal law itself, and against small steps."""
    counts, spread = np.array([[5.0, 3.0, 0.0], [1.0, 4.0, 3.5]]), np.full((3, 2), 1.5)
    two = _Leads.of(counts[:, :2], spread[:1])
    expected = norm.cdf((counts[:, 0] - counts[:, 1]) / 1.5)
    np.testing.assert_allclose(two.probable[:, 0], expected)
    leads = _Leads.of(counts, spread)
    np.testing.assert_allclose(leads.probable.sum(axis=1), 1)
    for a in range(3):
        step = 1e-6 * np.eye(3)[a]
        up, down = (_Leads.of(counts + x, spread).probable for x in (step, -step))
        np.testing.assert_allclose(leads.slope[:, :, a], (up - down) / 2e-6, atol=1e-6)


def test_one_phase_and_a_line_scan(s):
    line = s.inav[:, 12]
    line.decomposition(algorithm="espm", output_dimension=1, **QUIET)
    found = line.phase_map()
    assert found.labels.shape == (24,)
    assert (found.labels == 0).all()
    assert (found.area[0], found.counts[0]) == pytest.approx((100, 100))
    assert found.area_error[0] == pytest.approx(0, abs=1e-9)
    assert len(found.plot().axes[0].images) == 1
    with pytest.raises(ValueError, match="image has two"):
        found.save("labels.tif")
    with pytest.raises(ValueError, match="two navigation axes"):
        found.markers()
    plt.close("all")


def test_errors_of_pixels_are_computed_once(s, monkeypatch):
    """They are most of the work, and smooth maps need them with and without."""
    usual, asked = pixels.abundance_covariance, []
    monkeypatch.setattr(
        pixels,
        "abundance_covariance",
        lambda *given, **named: asked.append(1) or usual(*given, **named),
    )
    assert s.analysis_results().smoothness.any()
    s.phase_map()
    assert len(asked) == 1


def test_the_lazy_twin(s):
    lazy = s.as_lazy()
    found, expected = lazy.phase_map(), s.phase_map()
    np.testing.assert_array_equal(found.labels, expected.labels)
    np.testing.assert_allclose(found.area, expected.area)


def test_hand_over_to_hyperspy(s, tmp_path):
    found = s.phase_map()
    signal = found.signal
    assert isinstance(signal, hs.signals.Signal2D)
    np.testing.assert_array_equal(signal.data, found.labels)
    axis = signal.axes_manager["x"]
    assert (axis.scale, axis.units, axis.size) == (2.0, "nm", 24)
    assert signal.metadata.EDS_espm.phases == list(found.names)
    found.save(tmp_path / "labels.hspy")
    np.testing.assert_array_equal(hs.load(tmp_path / "labels.hspy").data, found.labels)
    signal.plot()
    signal.add_marker(found.markers())
    plt.close("all")
    # a label map is a region map, too
    shares = s.quantify(roi=signal, roi_fit="phases")
    assert shares[0].data.shape == (3,)


def test_outlines_are_the_sides_of_the_pixels():
    inside = np.zeros((4, 5), bool)
    inside[1, 2] = True
    sides = {tuple(sorted(map(tuple, one))) for one in outlines(inside).tolist()}
    assert sides == {
        ((1.5, 0.5), (1.5, 1.5)),
        ((2.5, 0.5), (2.5, 1.5)),
        ((1.5, 0.5), (2.5, 0.5)),
        ((1.5, 1.5), (2.5, 1.5)),
    }
    assert len(outlines(np.ones((4, 5), bool))) == 18


def test_images_for_other_programs(s, tmp_path):
    found = s.phase_map()
    found.save(tmp_path / "labels.tif")
    image = Image.open(tmp_path / "labels.tif")
    np.testing.assert_array_equal(np.asarray(image), found.labels + 1)
    # as ImageJ reads it: pixels for each unit that the description names
    assert float(image.tag_v2[282]) == pytest.approx(1 / 2.0)
    assert "unit=nm" in image.tag_v2[270]
    assert '"1": "phase 0"' in image.tag_v2[270]
    found.save(tmp_path / "labels.png")
    colours = np.asarray(Image.open(tmp_path / "labels.png"))
    for j in range(3):
        (colour,) = np.unique(colours[found.labels == j], axis=0)
        np.testing.assert_allclose(colour, np.multiply(255, to_rgb(phase_colour(j))))
    with pytest.raises(ValueError, match=r"ends in \.tif"):
        found.save(tmp_path / "labels.jpg")
    assert not (tmp_path / "labels.jpg").exists()


def test_the_figure(s):
    found = s.phase_map()
    figure = found.plot()
    (image,) = figure.axes[0].images
    labelled = found.labels >= 0
    wanted = [to_rgb(phase_colour(j)) for j in found.labels[labelled]]
    np.testing.assert_allclose(image.get_array()[labelled], wanted)
    texts = [one.get_text() for one in figure.legends[0].texts]
    assert texts[0] == f"phase 0, {found.area[0]:.1f} ± {found.area_error[0]:.1f} %"
    assert texts[-1] == "no phase"
    for under in ("counts", s.data.sum(axis=-1), s.sum("Energy").T):
        assert s.plot_phase_map(image=under).axes[0].images
    with pytest.raises(ValueError, match="`image` is"):
        found.plot(np.ones((3, 3)))
    plt.close("all")


def test_the_table(s):
    found = s.phase_map()
    for text in (str(found), found._repr_html_()):
        assert "area (%)" in text
        assert f"{found.area[0]:.2f}" in text
        assert "uncertain pixels" in text
    frame = found.to_dataframe()
    np.testing.assert_array_equal(frame.area, found.area)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": 1.5}, "`threshold` must be"),
        ({"threshold": "x"}, "`threshold` must be"),
        ({"min_counts": -1}, "`min_counts` must be"),
    ],
)
def test_what_makes_no_sense(s, options, message):
    with pytest.raises(ValueError, match=message):
        s.phase_map(**options)


def test_one_spectrum_and_rows_that_are_not_even(s):
    one = s.sum()
    one.decomposition(algorithm="espm", output_dimension=1, **QUIET)
    axes = one.phase_map().plot().axes[0]
    assert axes.images[0].get_array().shape[:2] == (1, 1)
    assert len(axes.get_xticks()) == 0
    line = s.inav[:, 12]
    line.axes_manager[0].convert_to_non_uniform_axis()
    line.decomposition(algorithm="espm", output_dimension=1, **QUIET)
    image = line.phase_map().plot().axes[0].images[0]
    assert image.get_extent()[:2] == [0, 24]  # pixels, which have no one size
    plt.close("all")


def test_images_of_pixels_without_a_size(s, tmp_path):
    for axis in s.axes_manager.navigation_axes:
        axis.units = ""
    s.phase_map().save(tmp_path / "labels.tif")
    tags = Image.open(tmp_path / "labels.tif").tag_v2
    assert 282 not in tags
    assert "unit=" not in tags[270]
