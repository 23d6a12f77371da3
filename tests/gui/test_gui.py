"""What can be done by hand, without a display."""

import importlib.util

import matplotlib.pyplot as plt
import numpy as np
import pytest
from hyperspy.ui_registry import TOOLKIT_REGISTRY, UI_REGISTRY

from espm_hs.gui import WIDGETS, AnalysisParameters, ChannelMask, ElementPicker

pytest.importorskip("ipywidgets")


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def widgets(method):
    return method(display=False, toolkit="ipywidgets")["ipywidgets"]["wdict"]


def test_toolkit_is_there_only_if_hyperspy_has_it(eds):
    """HyperSpy would look for its own sliders where there are none."""
    installed = importlib.util.find_spec("hyperspy_gui_ipywidgets") is not None
    assert ("ipywidgets" in TOOLKIT_REGISTRY) == installed
    for key in WIDGETS:
        assert ("ipywidgets" in UI_REGISTRY[key]) == installed
    if not TOOLKIT_REGISTRY:
        with pytest.raises(ImportError, match="hyperspy_gui_ipywidgets"):
            eds.edit_analysis_parameters()


def test_parameters_are_stored(eds, toolkit):
    fields = widgets(eds.edit_analysis_parameters)
    assert fields["beam_energy"].value == "200"
    assert fields["thickness"].value == ""
    fields["thickness"].value = "80"
    fields["density"].value = "4.5"
    fields["energy_resolution_MnKa"].value = "128"
    fields["store"].click()
    assert fields["message"].value == "Stored in the metadata."
    model = eds.physical_model()
    assert (model.thickness, model.density) == (80, 4.5)
    assert model.detector.resolution == 128


def test_defaults_are_marked(eds):
    parameters = AnalysisParameters(eds)
    assert "default" in parameters.remarks["elevation_angle"]
    assert "missing" in parameters.remarks["thickness"]
    assert parameters.remarks["beam_energy"] == ""
    for name in parameters.names:
        assert "(" in parameters.trait(name).label  # its unit


def test_nonsense_is_told_and_not_stored(eds, toolkit):
    fields = widgets(eds.edit_analysis_parameters)
    before = eds.metadata.as_dictionary()
    for text, says in (("-3", "positive number"), ("thin", "could not convert")):
        fields["thickness"].value = text
        fields["store"].click()
        assert says in fields["message"].value
    assert eds.metadata.as_dictionary() == before


def test_elements_are_picked(eds, toolkit):
    buttons = widgets(eds.pick_elements)
    assert buttons["Fe"].style.button_color != buttons["Cu"].style.button_color
    buttons["Ni"].click()  # sample -> stray
    buttons["Ti"].click()
    buttons["Ti"].click()  # stray -> nothing
    buttons["Al"].click()  # nothing -> sample
    buttons["store"].click()
    assert set(eds.metadata.Sample.elements) == {"Fe", "O", "Si", "Al"}
    assert eds.metadata.EDS_espm.stray_elements == ["Ni"]
    others = {"click", "chosen", "spectrum", "energies", "log"}
    assert others <= set(buttons)
    assert len(buttons) - 5 == 2 + 18 * 2 + 2 + 8 * 2 + 17 + 2 + 15 + 4


def test_sample_or_stray_in_one_click(eds, toolkit):
    shown = eds.pick_elements(display=False, toolkit="ipywidgets")["ipywidgets"]
    click, buttons = shown["widget"].children[0], shown["wdict"]
    click.value = "stray"
    buttons["Au"].click()
    buttons["Fe"].click()  # sample -> stray
    click.value = "sample"
    buttons["Al"].click()
    buttons["Si"].click()  # it was one: taken out
    assert buttons["Au"].style.button_color == buttons["Fe"].style.button_color
    assert "stray" in buttons["message"].value
    buttons["store"].click()
    assert {"Al"} <= set(eds.metadata.Sample.elements)
    assert not {"Si", "Fe", "Au"} & set(eds.metadata.Sample.elements)
    assert {"Au", "Fe"} <= set(eds.metadata.EDS_espm.stray_elements)
    with pytest.raises(ValueError, match="to"):
        ElementPicker(eds).turn("Cu", "holder")


def marked(axes):
    """Energies and colours of the lines that are marked."""
    lines = [one for one in axes.lines if len(set(one.get_xdata())) == 1]
    return {(round(one.get_xdata()[0], 2), one.get_color()) for one in lines}


def test_lines_follow_each_click(eds, toolkit):
    parts = widgets(eds.pick_elements)
    image = parts["spectrum"]
    before = image.value
    assert bytes(before[:4]) == b"\x89PNG"
    parts["Cr"].click()
    with_chromium = image.value
    assert with_chromium != before
    assert "Cr" in parts["chosen"].value
    parts["Cr"].click()
    assert "stray: Cr" in parts["chosen"].value
    assert image.value not in (before, with_chromium)
    parts["Cr"].click()  # nothing, and still looked at
    assert "stray: none" in parts["chosen"].value
    assert image.value not in (before, with_chromium)
    # the slider says what is shown
    assert parts["energies"].value[1] == pytest.approx(
        ElementPicker(eds).usual_range[1]
    )
    parts["Au"].click()
    assert parts["energies"].value[1] == pytest.approx(9.88)
    # a part of the energies, and linear counts
    for name, value in (("energies", (4.0, 8.0)), ("log", False)):
        before = image.value
        parts[name].value = value
        assert image.value != before
    assert not plt.get_fignums()


def test_elements_without_lines_cannot_be_clicked(eds, toolkit):
    buttons = widgets(eds.pick_elements)
    disabled = {name for name in ("H", "He", "Li", "B", "Fe") if buttons[name].disabled}
    assert disabled == {"H", "He", "Li"}


def test_the_picker_follows_calls(eds, toolkit):
    """One state for the widget and for whoever has its model."""
    picker = ElementPicker(eds)
    shown = picker.gui(display=False, toolkit="ipywidgets")["ipywidgets"]["wdict"]
    blue = shown["Fe"].style.button_color
    before = shown["spectrum"].value
    picker.turn("Cr", "sample")
    assert shown["Cr"].style.button_color == blue
    assert shown["spectrum"].value != before
    assert picker.text == "sample: O, Si, Ti, Cr, Fe, Ni; stray: none"


def test_lines_by_a_call(eds):
    eds.set_analysis_parameters(stray_elements=["Cu"])
    axes = eds.plot_emission_lines(["Cr", "Fe"]).axes[0]
    found = marked(axes)
    # energies of tables: Fe Ka1 6.404, Cu Ka1 8.048, Cr Ka1 5.415 keV
    assert {(6.4, "#0072B2"), (8.05, "#707070"), (5.41, "#D55E00")} <= found
    assert {"Fe Kα", "Cu Kα", "Cr Kα"} <= {one.get_text() for one in axes.texts}
    assert axes.get_xlim()[1] > 8.9  # Cu Kb
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), eds.data.sum(axis=(0, 1)))
    part = eds.plot_emission_lines(energy_range=(5, 7), log=False).axes[0]
    assert (part.get_xlim(), part.get_yscale()) == ((5, 7), "linear")
    assert {one.get_text() for one in part.texts} == {"Fe Kα"}
    with pytest.raises(ValueError, match="not the symbol"):
        eds.plot_emission_lines(["Xx"])


def test_an_element_turns_round(eds):
    picker = ElementPicker(eds)
    assert [picker.turn("Cu") for _ in range(3)] == ["sample", "stray", ""]
    with pytest.raises(ValueError, match="not the symbol"):
        picker.turn("Xx")


def test_channels_by_numbers(eds):
    mask = eds.mask_channels((2.0, 3.0), (8.6, 8.7))
    energy = eds.axes_manager[-1].axis
    wanted = ((energy >= 2) & (energy <= 3)) | ((energy >= 8.6) & (energy <= 8.7))
    np.testing.assert_array_equal(np.asarray(mask), wanted)
    found = eds.decomposition(
        algorithm="espm",
        output_dimension=2,
        signal_mask=mask,
        print_info=False,
        return_info=True,
    )
    assert not found.channels[wanted].any()
    assert found.channels[(energy > 3.1) & (energy < 8.5)].all()
    assert not plt.get_fignums()
    with pytest.raises(ValueError, match="holds no channel"):
        eds.mask_channels((30, 40))


def test_channels_by_dragging(eds):
    mask = eds.mask_channels()
    assert len(plt.get_fignums()) == 1
    ((low, high),) = mask.ranges
    assert low < high
    (span,) = mask._spans
    span.right = 8.0  # as the mouse does
    span.left = 7.0
    mask.add(1.0, 1.2)
    energy = eds.axes_manager[-1].axis
    wanted = ((energy >= 7) & (energy <= 8)) | ((energy >= 1) & (energy <= 1.2))
    np.testing.assert_array_equal(np.asarray(mask), wanted)


def test_channels_of_an_axis_in_ev(eds):
    axis = eds.axes_manager[-1]
    axis.units, axis.scale, axis.offset = "eV", 20.0, -100.0
    mask = ChannelMask(eds, [(1.0, 2.0)])
    assert mask.ranges == [(1.0, 2.0)]
    assert np.asarray(mask).sum() == 51


def test_channels_that_were_given_can_be_dragged_too(eds):
    plt.close("all")
    mask = eds.mask_channels((1.0, 2.0), (3.0, 3.5), plot=True)
    assert len(plt.get_fignums()) == 1
    assert mask.ranges == [(1.0, 2.0), (3.0, 3.5)]
    assert repr(mask) == "ChannelMask(1 to 2 keV, 3 to 3.5 keV)"
    assert repr(ChannelMask(eds, [])) == "ChannelMask(nothing)"
