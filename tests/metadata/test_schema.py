"""The schema, and what is made from it."""

import re

import numpy as np
import pytest

from espm_hs.cli.settings import TEMPLATE
from espm_hs.gui import AnalysisParameters
from espm_hs.metadata.describe import describe
from espm_hs.metadata.reader import (
    guessed_by,
    read,
    standard_composition,
    take_off_angle,
)
from espm_hs.metadata.schema import ITEMS
from espm_hs.metadata.writer import AllOrNothing, read_options

NUMBERS = [name for name, item in ITEMS.items() if item.unit]


def test_every_item_is_described():
    paths = [item.path for item in ITEMS.values()]
    assert len(set(paths)) == len(paths)
    for name, item in ITEMS.items():
        assert item.name == name
        assert item.sentence.endswith(".")
        assert (item.check is None) == bool(item.unit)  # a number has a unit
        if item.label:
            assert re.search(r"\(.+\)$", item.label)


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", ["much", np.nan, True, [1.0, 2.0], {"a": 1}])
def test_what_is_no_number_is_refused_alike(eds, name, value):
    item = ITEMS[name]
    eds.metadata.set_item(item.path, value)
    with pytest.raises(ValueError, match="needed is a number in") as error:
        read(name, eds.metadata)
    message = str(error.value)
    assert message.startswith(f"{item.path} in the metadata is {value!r}; ")
    assert message.endswith(f"Set it with `{item.call()}` ({item.unit}).")


@pytest.mark.parametrize("name", ["thickness", "density", "minimum_energy"])
def test_limits_are_those_of_the_schema(eds, name):
    item = ITEMS[name]
    eds.metadata.set_item(item.path, -1.0)
    with pytest.raises(ValueError, match="which is negative"):
        read(name, eds.metadata)
    for value in (0.0, -1.0, 2 * item.most, "x", True):
        with pytest.raises(ValueError, match=rf"`{name}` must be"):
            eds.set_analysis_parameters(**{name: value})
    eds.set_analysis_parameters(**{name: item.most})
    assert read(name, eds.metadata) == item.most


def test_windows_and_settings_files_have_the_units_of_the_schema(eds):
    parameters = AnalysisParameters(eds)
    assert parameters.names == [name for name, item in ITEMS.items() if item.label]
    for name in parameters.names:
        trait = parameters.trait(name)
        assert (trait.label, trait.desc) == (ITEMS[name].label, ITEMS[name].sentence)
    for name in ("thickness", "density", "beam_energy"):
        assert re.search(rf"# {name} = \S+ +# {ITEMS[name].unit}\n", TEMPLATE)


def test_nothing_in_the_place_of_the_node_is_overwritten(eds):
    eds.metadata.EDS_espm = None
    eds.set_analysis_parameters(stray_elements=["Cu"])
    assert read("stray_elements", eds.metadata) == ["Cu"]


def test_description_names_the_calls_of_the_schema(eds):
    remarks = {row[0]: row[2] for row in describe(eds.metadata, None)}
    for name in ("elevation_angle", "azimuth_angle", "energy_resolution_MnKa"):
        assert remarks[name].endswith(ITEMS[name].call())
    del eds.metadata.Acquisition_instrument.TEM.beam_energy
    row = describe(eds.metadata, None)[0]
    assert row == ("beam energy", "-", f"missing: {ITEMS['beam_energy'].call()}")


def test_a_model_is_remembered_while_nothing_changes(eds):
    model = eds.physical_model()
    assert eds.physical_model() is model
    assert eds.deepcopy().physical_model() is model
    changes = {
        "thickness": {"thickness": 50, "density": 3.0},
        "stray_elements": {"stray_elements": ["Cu"]},
        "split_lines": {"split_lines": {"Fe": 3.0}},
        "extra_spectra": {"extra_spectra": {"mine": np.ones(500)}},
    }
    for values in changes.values():
        eds.set_analysis_parameters(**values)
        assert eds.physical_model() is not model
        model = eds.physical_model()
        assert eds.physical_model() is model
    spectrum = np.ones(500)
    spectrum[3] = 2.0
    eds.set_analysis_parameters(extra_spectra={"mine": spectrum})
    assert eds.physical_model().extra_spectra["mine"][3] == 2.0
    eds.axes_manager[-1].offset += 0.01
    np.testing.assert_allclose(
        eds.physical_model().energy, eds.axes_manager[-1].axis, atol=1e-12
    )
    assert eds.physical_model(thickness=70, density=3.0).thickness == 70


def test_values_that_compare_equal_are_not_mistaken(eds):
    """True is 1, and no thickness."""
    eds.set_analysis_parameters(density=1.0, thickness=50)
    eds.physical_model()
    eds.metadata.Sample.density = True
    with pytest.raises(ValueError, match="density in the metadata is True"):
        eds.physical_model()


@pytest.mark.parametrize("units", [np.array(["nm", "um"]), np.array([]), 5, "km", {}])
def test_units_of_a_thickness_that_are_none(eds, units):
    eds.metadata.set_item("Sample.thickness", 1e-7)
    eds.metadata.set_item("Sample.thickness_units", units)
    with pytest.raises(ValueError, match=r"Sample.thickness_units is .*; known are"):
        read("thickness", eds.metadata)


@pytest.mark.parametrize("value", [-200.0, 0.0, 2e5])
def test_a_beam_that_no_microscope_has_is_refused_with_the_call(eds, value):
    beam = ITEMS["beam_energy"]
    eds.metadata.set_item(beam.path, value)
    with pytest.raises(ValueError, match=re.escape(beam.path)) as error:
        eds.physical_model()
    assert f"`{beam.call()}`" in str(error.value)
    # one that is given takes its place, and is named as an argument
    assert eds.physical_model(beam_energy=200).beam_energy == 200
    with pytest.raises(ValueError, match=r"^The beam energy must be"):
        eds.physical_model(beam_energy=value)


@pytest.mark.parametrize("name", ["density", "minimum_energy"])
def test_more_than_there_can_be_is_refused_with_the_reason(eds, name):
    item = ITEMS[name]
    eds.metadata.set_item(item.path, 2 * item.most)
    with pytest.raises(ValueError, match=f"{2 * item.most:g}, {item.excess}"):
        read(name, eds.metadata)


def test_what_fails_leaves_the_energy_axis_too(eds):
    axis = eds.axes_manager[-1]

    def fails():
        with AllOrNothing(eds):
            axis.offset, axis.scale = 5.0, 1.0
            raise OSError

    with pytest.raises(OSError):  # noqa: PT011
        fails()
    assert (axis.offset, axis.scale) == (-0.1, 0.02)


@pytest.mark.parametrize("stored", ["none", None, 3, []])
def test_options_that_are_damaged(stored):
    with pytest.raises(ValueError, match=r"stored options are damaged.*again with"):
        read_options(stored)


def test_a_guess_needs_something_that_was_guessed(eds):
    del eds.metadata.Sample.elements
    assert guessed_by("elements", eds.metadata, eds.original_metadata) == ""
    assert standard_composition(None) is None


def test_angles_that_are_not_there(eds):
    del eds.metadata.Acquisition_instrument.TEM.Detector
    del eds.metadata.Acquisition_instrument.TEM.Stage
    with pytest.raises(ValueError, match=r"take-off angle is not known. Set"):
        take_off_angle(eds.metadata, eds.original_metadata)


def test_counts_that_are_no_counts_are_told(eds):
    def remark(s):
        (found,) = (row[2] for row in s.info().rows if row[0] == "counts per pixel")
        return found

    eds.change_dtype(float)
    assert remark(eds) == ""
    eds.data *= 0.37
    assert remark(eds).startswith("no whole number of counts: scaled")


def test_lines_are_not_looked_for_on_an_axis_without_energies(eds):
    eds.set_elements(["B", "Fe"])
    eds.set_analysis_parameters(minimum_energy=0.3)
    eds.axes_manager[-1].offset = 1.0

    def remark(s):
        (found,) = (row[2] for row in s.info().rows if row[0] == "elements")
        return found

    assert "no line of B in the energy range" in remark(eds)
    eds.axes_manager[-1].units = "nm"
    assert "no line" not in remark(eds)
