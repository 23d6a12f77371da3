"""Figures: what is drawn, and the numbers behind it."""

from itertools import pairwise

import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np
import pytest
from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

from espm_hs import plotting
from espm_hs.plotting import fit as fit_figures
from espm_hs.plotting import results, spectra, style
from espm_hs.simulation import ground_truth, particles

QUIET = {"algorithm": "espm", "print_info": False, "show_progressbar": False}
EVERY = (
    plotting.plot_phases,
    plotting.plot_fit,
    plotting.plot_residuals,
    plotting.plot_composition,
    plotting.plot_convergence,
)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def decomposed():
    """Map of three phases; not to be changed."""
    s = particles((20, 24), counts_per_pixel=100)
    s.decomposition(output_dimension=3, **QUIET)
    return s


def texts(axes):
    return [text.get_text() for text in axes.texts]


def scale_bars(axes):
    return [bar.txt_label.get_text() for bar in axes.findobj(AnchoredSizeBar)]


def test_a_row_for_each_phase(decomposed):
    before = decomposed.data.copy()
    figure = plotting.plot_phases(decomposed)
    axes = figure.axes[:9]
    np.testing.assert_array_equal(decomposed.data, before)
    shown = axes[0].images[0].get_array()
    loadings = decomposed.learning_results.loadings[:, 0].reshape(20, 24)
    np.testing.assert_allclose(shown, loadings)
    assert scale_bars(axes[0]) == ["10 nm"]
    assert {"O Kα", "Mg Kα", "Si Kα"} <= set(texts(axes[1]))
    assert axes[1].get_yscale() == "log"
    # bars by atomic number, of the height of the composition
    symbols = [label.get_text() for label in axes[2].get_xticklabels()]
    assert symbols == ["O", "Mg", "Si", "Ti", "Fe", "Ni"]
    heights = [bar.get_height() for bar in axes[2].patches]
    percent = {q.metadata.Sample.elements[0]: q.data[0] for q in decomposed.quantify()}
    np.testing.assert_allclose(heights, [percent[symbol] for symbol in symbols])


def test_labels_keep_their_distance():
    places = spectra._spread([0.4, 0.5, 0.52, 6.4], 0.3, 0.0, 10.0)
    assert np.diff(places).min() >= 0.3 - 1e-9
    assert places[-1] == 6.4  # one with room stays
    assert 0.15 <= places[0] < 0.4
    crowded = spectra._spread([9.9, 9.95, 9.99], 0.3, 0.0, 10.0)
    assert crowded.max() <= 10.0


@pytest.mark.parametrize("n_phases", [1, 8])
def test_one_to_eight_phases(decomposed, n_phases):
    s = decomposed.inav[:8, :8]
    s.decomposition(output_dimension=n_phases, max_iter=5, **QUIET)
    for plot in EVERY:
        assert plot(s).axes
    assert len({style.phase_colour(j) for j in range(8)}) == 8


def test_line_and_single_spectrum(decomposed):
    line = decomposed.inav[:, 12]
    line.decomposition(output_dimension=2, **QUIET)
    profile = plotting.plot_phases(line).axes[0]
    np.testing.assert_allclose(profile.lines[0].get_xdata(), 2.0 * np.arange(24))
    assert profile.get_xlabel() == "x (nm)"

    one = decomposed.sum()
    one.decomposition(output_dimension=1, **QUIET)
    figure = plotting.plot_phases(one)
    assert len(figure.axes) == 2
    assert not any(axes.images for axes in figure.axes)
    for s in (line, one):
        for plot in EVERY:
            assert plot(s).axes


def test_pixels_left_out(decomposed):
    s = decomposed.deepcopy()
    mask = np.zeros((24, 20), bool)  # x, y
    mask[:5, :9] = True
    s.decomposition(output_dimension=2, navigation_mask=mask, **QUIET)
    shown = plotting.plot_phases(s).axes[0].images[0].get_array()
    np.testing.assert_array_equal(np.ma.getmaskarray(shown), mask.T)
    left, right = plotting.plot_residuals(s).axes[:2]
    assert np.isfinite(left.lines[0].get_ydata()).all()
    np.testing.assert_array_equal(
        np.ma.getmaskarray(right.images[0].get_array()), mask.T
    )
    # the fit shows the pixels that were fitted, and no others
    summed = s.data[~mask.T].sum(axis=0)
    data = plotting.plot_fit(s).axes[0].lines[0].get_ydata()
    np.testing.assert_array_equal(data, summed)


def test_lazy_map_in_blocks_gives_the_same(decomposed, monkeypatch):
    found, loadings = results.read_results(decomposed)
    spectrum = decomposed.data.sum(axis=(0, 1))
    values = fit_figures.pixel_significance(decomposed, found, loadings, spectrum)
    lazy = decomposed.as_lazy()
    lazy.data = lazy.data.rechunk((7, 24, 500))
    monkeypatch.setattr(fit_figures, "_BLOCK", 500)
    np.testing.assert_allclose(
        fit_figures.pixel_significance(lazy, found, loadings, spectrum), values
    )
    for plot in (plotting.plot_fit, plotting.plot_residuals):
        for ours, theirs in zip(plot(lazy).axes, plot(decomposed).axes, strict=True):
            for a, b in zip(ours.lines, theirs.lines, strict=True):
                np.testing.assert_array_equal(a.get_ydata(), b.get_ydata())


def test_misfit_against_dense_counts(decomposed):
    found, loadings = results.read_results(decomposed)
    spectrum = decomposed.data.sum(axis=(0, 1))
    values = fit_figures.pixel_significance(decomposed, found, loadings, spectrum)
    x = decomposed.data[..., found.channels].reshape(480, -1).astype(float)
    total = x.sum(axis=0)
    n_bands = int(np.clip(x.sum() / 480 / 5, 8, 64))
    share = np.cumsum(total) / total.sum()
    starts = np.unique(np.searchsorted(share, np.arange(n_bands) / n_bands))
    model = loadings @ found.spectra[found.channels].T
    x, y = (np.add.reduceat(one, starts, axis=1) for one in (x, model))
    y = np.maximum(y, 1e-3)
    expected = ((x - y) ** 2 / y - 1).sum(axis=1) / np.sqrt((2 + 1 / y).sum(axis=1))
    np.testing.assert_allclose(values, expected, rtol=1e-9, atol=1e-9)


def test_misfit_is_standard_where_the_model_holds_and_shows_a_missing_phase(decomposed):
    good = plotting.plot_residuals(decomposed).axes[1].images[0].get_array()
    assert abs(good.mean()) < 0.4
    assert good.std() == pytest.approx(1, abs=0.3)

    lacking = decomposed.deepcopy()
    lacking.decomposition(output_dimension=1, **QUIET)
    bad = plotting.plot_residuals(lacking).axes[1].images[0].get_array().data
    maps = ground_truth(decomposed).maps
    metal, olivine = maps[..., 1] > 0.9, maps[..., 0] == 1
    assert bad[metal].min() > 5
    assert np.median(bad[olivine]) < 0.2 * bad[metal].min()


def test_missing_line_is_named(decomposed):
    s = decomposed.deepcopy()
    s.set_analysis_parameters(stray_elements=[])
    s.decomposition(output_dimension=3, **QUIET)
    left = plotting.plot_residuals(s).axes[0]
    assert any(abs(float(energy) - 8.05) < 0.05 for energy in texts(left))


def test_fit_adds_up(decomposed):
    axes = plotting.plot_fit(decomposed).axes[0]
    lines = {line.get_label(): line.get_ydata() for line in axes.lines}
    phases = sum(lines[f"phase {j}"] for j in range(3))
    np.testing.assert_allclose(phases, lines["model"])
    used = ~np.isnan(lines["model"])
    total = lines["data"][used].sum()
    assert lines["model"][used].sum() == pytest.approx(total, rel=0.02)
    # absorption by the phases settles to 0.1 at.%, the model and its parts likewise
    assert (lines["background"][used] <= lines["model"][used] * (1 + 1e-4)).all()


def test_plain_pixels_and_micrometres(decomposed):
    s = decomposed.deepcopy()
    for axis in s.axes_manager.navigation_axes:
        axis.units, axis.scale = "µm", 0.002
    assert scale_bars(plotting.plot_phases(s).axes[0]) == ["10 nm"]
    for axis in s.axes_manager.navigation_axes:
        axis.units, axis.scale = "", 1.0
    assert scale_bars(plotting.plot_phases(s).axes[0]) == []


def test_without_results(decomposed):
    with pytest.raises(RuntimeError, match="algorithm='espm'"):
        plotting.plot_phases(particles((4, 4)))
    with pytest.raises(RuntimeError, match="slicing empties"):
        plotting.plot_fit(decomposed.inav[:5])


def test_another_number_of_channels(decomposed):
    s = decomposed.deepcopy()
    s.crop_signal(0.5, 9.0)
    for plot in (plotting.plot_phases, plotting.plot_fit, plotting.plot_residuals):
        with pytest.raises(RuntimeError, match="no longer those that were decomposed"):
            plot(s)


def test_labels_stand_on_the_spectrum_of_the_phase(decomposed):
    """Where the phases absorb differently, so do the heights of their peaks."""
    s = decomposed.inav[:8, :8]
    s.set_analysis_parameters(thickness=2000, density=8.0)
    s.decomposition(output_dimension=2, **QUIET)
    found, _ = results.read_results(s)
    for axes, spectrum in zip(
        plotting.plot_phases(s).axes[1::3], found.spectra.T, strict=False
    ):
        labels = [text for text in axes.texts if text.get_text()]
        assert labels
        for label in labels:
            channel = np.argmin(np.abs(found.model.energy - label.xy[0]))
            assert label.xy[1] == pytest.approx(spectrum[channel], rel=5e-3)


def test_after_saving(decomposed, tmp_path):
    decomposed.save(tmp_path / "map.hspy")
    again = hs.load(tmp_path / "map.hspy")
    shown = plotting.plot_phases(again).axes[0].images[0].get_array()
    before = plotting.plot_phases(decomposed).axes[0].images[0].get_array()
    np.testing.assert_allclose(shown, before)


def test_fit_of_one_pixel(decomposed):
    top = plotting.plot_fit(decomposed, (5, 7)).axes[0]
    lines = {line.get_label(): line.get_ydata() for line in top.lines}
    np.testing.assert_array_equal(lines["data"], decomposed.inav[5, 7].data)
    # x comes first, and floats are in the units of the axes, 2 nm a pixel
    again = plotting.plot_fit(decomposed, (10.0, 14.0)).axes[0]
    np.testing.assert_array_equal(again.lines[0].get_ydata(), lines["data"])
    loadings = decomposed.learning_results.loadings[7 * 24 + 5]
    spectra = decomposed.learning_results.factors
    np.testing.assert_allclose(lines["model"], spectra @ loadings)
    assert "peak width" in top.figure.axes[1].get_ylabel()


def test_fit_of_a_mask(decomposed):
    bright = decomposed.sum("Energy") > 150
    top = plotting.plot_fit(decomposed, bright.data).axes[0]
    summed = decomposed.data[bright.data].sum(axis=0)
    np.testing.assert_array_equal(top.lines[0].get_ydata(), summed)
    assert top.get_title("left") == f"{bright.data.sum()} pixels"
    other = plotting.plot_fit(decomposed, bright).axes[0]  # the signal itself
    np.testing.assert_array_equal(other.lines[0].get_ydata(), summed)


def test_elements_of_the_fit_add_up(decomposed):
    top = plotting.plot_fit(decomposed, parts="elements", log=False).axes[0]
    assert top.get_yscale() == "linear"
    lines = {line.get_label(): line.get_ydata() for line in top.lines}
    data, model = lines.pop("data"), lines.pop("model")
    assert set(lines) == {
        *decomposed.metadata.Sample.elements,
        "Cu stray",
        "background",
    }
    used = ~np.isnan(model)
    np.testing.assert_allclose(sum(lines.values())[used], model[used], rtol=2e-3)
    copper = np.nan_to_num(lines["Cu stray"])
    assert decomposed.axes_manager[-1].axis[copper.argmax()] == pytest.approx(
        0.93, abs=0.05
    )
    assert data.size == copper.size


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ((3,), "2 numbers"),
        ("all", "2 numbers"),
        ((3, 99), "has 20 pixels"),
        (np.ones((3, 3), bool), "boolean image of shape"),
        (np.zeros((20, 24), bool), "No pixel"),
    ],
)
def test_where_makes_no_sense(decomposed, where, says):
    with pytest.raises(ValueError, match=says):
        plotting.plot_fit(decomposed, where)


def test_parts_makes_no_sense(decomposed):
    with pytest.raises(ValueError, match="parts"):
        plotting.plot_fit(decomposed, parts="lines")


def test_region_is_moved(decomposed):
    figure = decomposed.plot_fit_of_region()
    roi = figure.roi
    with roi.events.changed.suppress():
        roi.left, roi.top = 4.0, 2.0
    roi.right, roi.bottom = 12.0, 10.0
    summed = decomposed.data[1:5, 2:6].sum(axis=(0, 1))
    top = figure.axes[0]
    np.testing.assert_array_equal(top.lines[0].get_ydata(), summed)
    assert top.get_title("left") == "16 pixels"
    lazy = decomposed.as_lazy().plot_fit_of_region().axes[0]
    assert lazy.get_title("left") == "16 pixels"
    roi.right, roi.bottom = 4000.0, 4000.0  # beyond the map
    assert figure.axes[0].get_title("left") == f"{(24 - 2) * (20 - 1)} pixels"


def test_region_of_a_line_and_of_nothing(decomposed):
    line = decomposed.inav[:, 12]
    line.decomposition(output_dimension=2, **QUIET)
    figure = line.plot_fit_of_region(parts="elements")
    figure.roi.left, figure.roi.right = 20.0, 30.0
    np.testing.assert_array_equal(
        figure.axes[0].lines[0].get_ydata(), line.data[10:15].sum(axis=0)
    )
    one = decomposed.sum()
    one.decomposition(output_dimension=1, **QUIET)
    with pytest.raises(ValueError, match="navigation axes"):
        one.plot_fit_of_region()


@pytest.mark.parametrize("backend", ["module://ipympl.backend_nbagg", "qtagg"])
def test_backends(decomposed, backend, monkeypatch):
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    if backend == "qtagg":
        qt = pytest.importorskip("matplotlib.backends.qt_compat", exc_type=ImportError)
        # without a display matplotlib takes Qt only if it is running
        application = qt.QtWidgets.QApplication.instance() or qt.QtWidgets.QApplication(
            []
        )
        assert application is not None
    else:
        pytest.importorskip("ipympl")
    before = plt.get_backend()
    plt.switch_backend(backend)
    try:
        for plot in (*EVERY, plotting.plot_fit_of_region):
            plot(decomposed).canvas.draw()
    finally:
        plt.close("all")
        plt.switch_backend(before)


def test_maps_of_elements(decomposed):
    axes = [ax for ax in decomposed.plot_composition().axes if ax.images]
    assert [ax.get_title("left") for ax in axes] == ["O", "Mg", "Si", "Ti", "Fe", "Ni"]
    percent = {
        q.metadata.Sample.elements[0]: q.data for q in decomposed.quantify("pixels")
    }
    np.testing.assert_allclose(axes[4].images[0].get_array(), percent["Fe"])
    some = decomposed.plot_composition("weight", ["Fe", "Ni"])
    shown = [ax.images[0].get_array() for ax in some.axes if ax.images]
    np.testing.assert_allclose(sum(shown).compressed(), 100)


def test_profiles_of_elements(decomposed):
    line = decomposed.inav[:, 12]
    line.decomposition(output_dimension=2, **QUIET)
    axes = line.plot_composition(elements=["Fe", "O"]).axes[0]
    assert [one.get_label() for one in axes.lines] == ["O", "Fe"]
    np.testing.assert_allclose(sum(one.get_ydata() for one in axes.lines), 100)
    assert axes.get_ylim()[1] > max(one.get_ydata().max() for one in axes.lines)


def test_convergence_falls(decomposed):
    axes = decomposed.plot_convergence().axes[0]
    assert axes.get_title("left").startswith("converged after")
    shown = [one.get_ydata() for one in axes.lines]
    history = decomposed.analysis_results().history
    assert sum(one.size for one in shown) == history.size
    for fit in shown:
        assert fit[-1] == 0
        assert (np.diff(fit) <= 1e-9 * history[0]).all()
    # absorption by the phases makes the fit start again
    assert len(shown) > 1


def test_fit_of_a_region_in_a_range_of_energies(decomposed):
    roi = hs.roi.CircleROI(20.0, 20.0, 8.0)
    figure = decomposed.plot_fit(roi=roi, energy_range=(1, 5), figsize=(7, 4))
    assert tuple(figure.get_size_inches()) == (7, 4)
    top, bottom = figure.axes
    assert top.get_xlim() == bottom.get_xlim() == (1, 5)
    labelled = [text.xy[0] for text in top.texts]
    assert labelled
    assert all(1 <= energy <= 5 for energy in labelled)
    same = decomposed.plot_fit(roi).axes[0].lines[0].get_ydata()
    np.testing.assert_array_equal(top.lines[0].get_ydata(), same)
    for wrong in ((5, 1), (1,), "ab", (0, np.inf)):
        with pytest.raises(ValueError, match="energy_range"):
            decomposed.plot_fit(energy_range=wrong)
    with pytest.raises(ValueError, match="one of them"):
        decomposed.plot_fit((1, 1), roi=roi)


def test_labels_of_lines_do_not_collide(decomposed):
    figure = decomposed.plot_fit(energy_range=(0.3, 1.1), figsize=(6, 4))
    figure.canvas.draw()
    boxes = sorted(
        (text.get_window_extent() for text in figure.axes[0].texts),
        key=lambda box: box.x0,
    )
    assert len(boxes) > 2
    widths = [(one.x1, other.x0) for one, other in pairwise(boxes)]
    assert all(end <= begin + 1 for end, begin in widths)


def test_phases_with_the_look_that_is_asked_for(decomposed):
    figure = decomposed.plot_phases(cmap="gray", energy_range=(1, 5), figsize=(8, 6))
    assert tuple(figure.get_size_inches()) == (8, 6)
    spectra_shown = [one for one in figure.axes if one.get_xlim() == (1, 5)]
    assert len(spectra_shown) == 3
    for axes in spectra_shown:
        line = axes.lines[0]
        inside = (line.get_xdata() >= 1) & (line.get_xdata() <= 5)
        top = np.nanmax(line.get_ydata()[inside])
        assert top <= axes.get_ylim()[1] < 1e3 * top
    maps = [one.images[0] for one in figure.axes if one.images]
    assert {image.get_cmap().name for image in maps} == {"gray"}
    with pytest.raises(ValueError, match="`cmap`"):
        decomposed.plot_phases(cmap="no such")


def test_a_stack_of_maps_is_shown_by_its_mean(decomposed):
    stack = hs.stack([decomposed.deepcopy(), decomposed.deepcopy()])
    stack.data[1, :5] = 0
    mask = np.zeros(stack.data.shape[:-1], bool)
    mask[1, :5] = mask[:, -1] = True
    stack.decomposition(output_dimension=2, navigation_mask=mask.T, **QUIET)
    axes = plotting.plot_phases(stack).axes[0]
    assert axes.get_xlabel() == "mean of 2 planes"
    loadings = stack.learning_results.loadings[:, 0].reshape(2, 20, 24)
    shown = axes.images[0].get_array()
    np.testing.assert_allclose(shown[:5], loadings[0, :5])  # known in one alone
    np.testing.assert_allclose(shown[5:-1], loadings[:, 5:-1].mean(axis=0))
    assert np.ma.getmaskarray(shown)[-1].all()
    labels = stack.phase_map().plot().axes[0]
    assert labels.get_xlabel() == "plane 2 of 2"


def test_a_position_beside_the_map(decomposed):
    with pytest.raises(ValueError, match="`where` is at 99 nm on the axis x, which"):
        plotting.plot_fit(decomposed, (99.0, 3.0))


def test_calibration_in_a_range_of_energies(decomposed):
    s = decomposed.deepcopy()
    found = s.refine_calibration(print_info=False)
    spectrum = s.data.sum(axis=(0, 1))
    top = plotting.plot_calibration(found, spectrum, energy_range=(1, 2), log=False)
    low, high = top.axes[0].get_xlim()
    assert 1 <= low < 1.02
    assert 1.98 < high <= 2
    assert top.axes[0].get_yscale() == "linear"


def test_a_profile_of_one_phase_has_one_panel(decomposed):
    s = decomposed.inav[:8, :8]
    s.decomposition(output_dimension=1, **QUIET)
    figure = s.plot_profile(((0.0, 0.0), (14.0, 14.0)))
    assert len(figure.axes) == 1
    assert figure.axes[0].get_xlabel().startswith("Distance")
