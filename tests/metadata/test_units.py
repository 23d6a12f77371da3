"""Units of the energy axis, through every method that reads or writes it."""

import numpy as np
import pytest

from espm_hs.metadata.describe import describe
from espm_hs.metadata.schema import per_unit
from espm_hs.simulation import particles

# As an axis may say it -> keV.
KEPT = {
    "keV": 1.0,
    " keV": 1.0,
    "keV ": 1.0,
    "KeV": 1.0,
    "KEV": 1.0,
    "kiloelectronvolt": 1.0,
    "eV": 1e-3,
    "ev": 1e-3,
    "electronvolt": 1e-3,
    "MeV": 1e3,
}
# "mev" may be meV or MeV.
REFUSED = (None, "", "nm", "mev", "keV2", "channel", "1 keV", "9**9**9", "<undefined>")


def known_spectrum(s):
    """Decompose with the spectrum of a phase as a signal on the axis of the map."""
    s.decomposition(
        algorithm="espm",
        output_dimension=2,
        n_init=1,
        max_iter=2,
        tol=1e9,
        print_info=False,
        known_phases={"first": {"spectrum": s.sum()}},
    )


def counts_of_lines(s):
    """Counts in the windows of lines, by a method of eXSpy."""
    s = s.deepcopy()  # the lines are remembered
    s.add_lines()
    return [float(one.data.sum()) for one in s.get_lines_intensity()]


METHODS = {
    "physical_model": lambda s: s.physical_model(),
    "mask_channels": lambda s: s.mask_channels((1.0, 2.0), plot=False),
    "suggest_elements": lambda s: s.suggest_elements(print_info=False),
    "refine_calibration": lambda s: s.refine_calibration(print_info=False),
    "decomposition": known_spectrum,
    "ground_truth": lambda s: s.ground_truth(),
    # of eXSpy
    "add_lines": lambda s: s.add_lines(),
    "get_lines_intensity": lambda s: s.get_lines_intensity(["Si_Ka"]),
}


@pytest.fixture(scope="module")
def whole():
    return particles((6, 6), counts_per_pixel=300)


@pytest.fixture
def s(whole):
    return whole.deepcopy()


def with_units(s, units):
    """Say the same axis in other units."""
    axis, factor = s.axes_manager[-1], KEPT.get(units, 1.0)
    axis.offset, axis.scale = axis.offset / factor, axis.scale / factor
    vars(axis)["units"] = units  # not all versions of HyperSpy let None be set
    return axis


@pytest.mark.parametrize("units", KEPT)
def test_an_axis_of_energy_is_kept(whole, s, units):
    axis = with_units(s, units)
    wanted = whole.physical_model()
    np.testing.assert_allclose(s.physical_model().energy, wanted.energy, atol=1e-12)
    mask = s.mask_channels((1.0, 2.0), plot=False)
    np.testing.assert_array_equal(
        np.asarray(mask), np.asarray(whole.mask_channels((1.0, 2.0), plot=False))
    )
    np.testing.assert_allclose(mask.ranges, [(1.0, 2.0)])
    np.testing.assert_array_equal(
        s.ground_truth().spectra, whole.ground_truth().spectra
    )
    assert counts_of_lines(s) == counts_of_lines(whole)
    known_spectrum(s)
    rows = describe(s.metadata, s.original_metadata, axis)
    assert rows == describe(
        whole.metadata, whole.original_metadata, whole.axes_manager[-1]
    )
    found = s.refine_calibration(print_info=False)
    assert axis.units == units
    first, last = np.array([axis.low_value, axis.high_value]) * KEPT[units]
    np.testing.assert_allclose([first, last], found.after.energy[[0, -1]], atol=1e-9)
    # the simulated axis is right
    np.testing.assert_allclose([first, last], wanted.energy[[0, -1]], atol=0.05)


@pytest.mark.parametrize("units", REFUSED)
def test_any_other_axis_is_refused_with_one_message(s, units):
    axis = with_units(s, units)
    before = (axis.units, axis.offset, axis.scale), str(s.metadata)
    messages = set()
    for method in METHODS.values():
        with pytest.raises(ValueError, match=r"units of the energy axis") as error:
            method(s)
        messages.add(str(error.value))
    assert len(messages) == 1
    assert "s.axes_manager[-1].units = 'keV'" in messages.pop()
    assert ((axis.units, axis.offset, axis.scale), str(s.metadata)) == before


def test_a_known_spectrum_may_be_in_other_units(s):
    spectrum = s.sum()
    with_units(spectrum, "eV")
    s.decomposition(
        algorithm="espm",
        output_dimension=2,
        max_iter=2,
        tol=1e9,
        print_info=False,
        known_phases={"first": {"spectrum": spectrum}},
    )


def test_lengths():
    units = ("nm", "um", "µm", "cm", "m")
    assert [per_unit(one, "nm") for one in units] == [1.0, 1e3, 1e3, 1e7, 1e9]
    assert per_unit("keV", "nm") is None
