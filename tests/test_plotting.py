"""Figures: what is drawn, and the numbers behind it."""

import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np
import pytest

from espm_hs import plotting
from espm_hs.plotting import residuals, results, spectra, style
from espm_hs.simulation import ground_truth, particles

QUIET = {"algorithm": "espm", "print_info": False, "show_progressbar": False}


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


def test_a_row_for_each_phase(decomposed):
    before = decomposed.data.copy()
    figure = plotting.plot_phases(decomposed)
    axes = figure.axes[:9]
    np.testing.assert_array_equal(decomposed.data, before)
    shown = axes[0].images[0].get_array()
    loadings = decomposed.learning_results.loadings[:, 0].reshape(20, 24)
    np.testing.assert_allclose(shown, loadings)
    assert texts(axes[0]) == ["10 nm"]
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
    for plot in (plotting.plot_phases, plotting.plot_fit, plotting.plot_residuals):
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
        assert plotting.plot_fit(s).axes
        assert plotting.plot_residuals(s).axes


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
    values = residuals.pixel_significance(decomposed, found, loadings, spectrum)
    lazy = decomposed.as_lazy()
    lazy.data = lazy.data.rechunk((7, 24, 500))
    monkeypatch.setattr(residuals, "_BLOCK", 500)
    np.testing.assert_allclose(
        residuals.pixel_significance(lazy, found, loadings, spectrum), values
    )
    for plot in (plotting.plot_fit, plotting.plot_residuals):
        for ours, theirs in zip(plot(lazy).axes, plot(decomposed).axes, strict=True):
            for a, b in zip(ours.lines, theirs.lines, strict=True):
                np.testing.assert_array_equal(a.get_ydata(), b.get_ydata())


def test_misfit_against_dense_counts(decomposed):
    found, loadings = results.read_results(decomposed)
    spectrum = decomposed.data.sum(axis=(0, 1))
    values = residuals.pixel_significance(decomposed, found, loadings, spectrum)
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
    assert texts(plotting.plot_phases(s).axes[0]) == ["10 nm"]
    for axis in s.axes_manager.navigation_axes:
        axis.units, axis.scale = "", 1.0
    assert texts(plotting.plot_phases(s).axes[0]) == []


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
