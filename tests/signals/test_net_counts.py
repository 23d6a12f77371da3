"""Net counts of elements without phases: against what the map was simulated from."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from espm_hs import simulation

QUIET = {"show_progressbar": False}


def thickness_with(s):
    """Return the thickness of phases with each element in each pixel, nm."""
    truth = s.ground_truth()
    thickness = truth.thickness.reshape(-1, 3)
    return {
        symbol: thickness @ (truth.composition[i] > 0)
        for i, symbol in enumerate(truth.elements)
    }


@pytest.fixture(scope="module")
def measured():
    s = simulation.particles((24, 28), counts_per_pixel=300, seed=2)
    s.decomposition(
        algorithm="espm", output_dimension=3, n_init=1, print_info=False, **QUIET
    )
    return s


@pytest.fixture(scope="module")
def maps(measured):
    return {x.metadata.Sample.elements[0]: x for x in measured.net_counts(**QUIET)}


def test_elements_are_where_they_are_in_truth(measured, maps):
    assert list(maps) == ["Fe", "Mg", "Ni", "O", "Si", "Ti", "Cu"]
    inside = thickness_with(measured)
    for symbol in ("Mg", "Si", "Ti", "Ni", "O"):
        one = maps[symbol]
        error = np.sqrt(one.metadata.Signal.Noise_properties.variance.data).ravel()
        significance = one.data.ravel() / error
        there = inside[symbol] > 50  # nm of phases that have the element
        nowhere = inside[symbol] == 0
        assert np.mean(significance[there] > 3) > 0.9, symbol
        if nowhere.any():
            assert np.mean(significance[nowhere] > 3) < 0.02, symbol


def test_background_and_overlaps_are_separated(measured, maps):
    """Net counts are those of the lines, not of the windows around them.

    The sums agree with a fit of the summed spectrum, which is another fit: maximum
    likelihood of one spectrum on the columns of the model, by a general optimiser.
    """
    from scipy.optimize import nnls

    model = measured.physical_model()
    summed = measured.data.reshape(-1, measured.data.shape[-1]).sum(axis=0)
    used = model.channels
    G, x = model.G[used], summed[used].astype(float)
    weights = nnls(G / np.sqrt(x + 1)[:, None], x / np.sqrt(x + 1))[0]
    for symbol, one in maps.items():
        own = [column.element == symbol for column in model.columns]
        expected = (G[:, own] @ weights[own]).sum()
        error = np.sqrt(np.nansum(one.metadata.Signal.Noise_properties.variance.data))
        # pixels without an element cannot have fewer than no counts of it
        assert abs(one.data.sum() - expected) < 5 * error + 0.05 * expected, symbol
    background = [column.element is None for column in model.columns]
    total = sum(float(one.data.sum()) for one in maps.values())
    rest = (G[:, background] @ weights[background]).sum()
    assert total + rest == pytest.approx(x.sum(), rel=0.03)


def test_insignificant_pixels_are_hidden(measured, maps):
    hidden = measured.net_counts(least_significance=3, **QUIET)
    for one in hidden:
        before = maps[one.metadata.Sample.elements[0]]
        error = np.sqrt(before.metadata.Signal.Noise_properties.variance.data)
        np.testing.assert_array_equal(np.isnan(one.data), before.data < 3 * error)


def test_the_same_call_gives_the_same_bits(measured, maps):
    for one in measured.net_counts(**QUIET):
        before = maps[one.metadata.Sample.elements[0]]
        np.testing.assert_array_equal(one.data, before.data)


def test_masked_pixels_are_left_out(measured):
    """The others are as if the masked ones had never been measured."""
    mask = np.zeros(measured.axes_manager.navigation_shape, dtype=bool)
    mask[:, :10] = True
    masked = measured.net_counts(navigation_mask=mask, **QUIET)
    cropped = measured.inav[:, 10:].net_counts(**QUIET)
    for whole, part in zip(masked, cropped, strict=True):
        for one, other in (
            (whole, part),
            (x.metadata.Signal.Noise_properties.variance for x in (whole, part)),
        ):
            assert np.isnan(one.data[:10]).all()
            np.testing.assert_allclose(one.data[10:], other.data, rtol=1e-4, atol=1e-4)


def test_the_result_of_a_decomposition_stays(measured):
    before = measured.analysis_results()
    measured.net_counts(**QUIET)
    after = measured.analysis_results()
    np.testing.assert_array_equal(after.W, before.W)
    assert after.labels == before.labels


def test_figure(measured, maps):
    figure = measured.plot_elements(
        "significance", least_significance=3, cmap="magma", figsize=(9, 5), **QUIET
    )
    assert tuple(figure.get_size_inches()) == (9, 5)
    panels = [one for one in figure.axes if one.images]
    assert [one.get_title(loc="left").split()[0] for one in panels] == [
        "O", "Mg", "Si", "Ti", "Fe", "Ni", "Cu"
    ]  # fmt: skip
    for panel in panels:
        (image,) = panel.images
        assert image.get_cmap().name == "magma"
        shown = np.ma.masked_invalid(image.get_array())
        assert shown.count() == 0 or shown.min() >= 3
    plt.close(figure)


def test_what_makes_no_sense_is_refused(measured):
    with pytest.raises(ValueError, match="need 8 pixels"):
        measured.sum().net_counts(**QUIET)
    with pytest.raises(ValueError, match="least_significance"):
        measured.net_counts(least_significance=-1, **QUIET)
    with pytest.raises(ValueError, match="show"):
        measured.plot_elements("percent")
    with pytest.raises(TypeError, match=r"no option `smoothnes`\. Did you"):
        measured.plot_elements(smoothnes=1)
