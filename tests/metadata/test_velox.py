"""What Velox writes to the header of its files."""

import os

import hyperspy.api as hs
import numpy as np
import pytest

from espm_hs.gui import AnalysisParameters
from espm_hs.metadata.describe import describe

EDS = "Acquisition_instrument.TEM.Detector.EDS"
FOLDER = os.environ.get("ESPM_HS_TEST_DATA")


@pytest.fixture
def velox(eds):
    """Map with a header as Velox writes it, angles in radians and all as text."""
    eds.original_metadata.add_dictionary(
        {
            "Detectors": {
                "Detector-0": {"DetectorName": "HAADF"},
                "Detector-1": {"DetectorName": "none", "ElevationAngle": ""},
                "Detector-2": {"ElevationAngle": "0.31415926999999999"},
            }
        }
    )
    eds.metadata.set_item(f"{EDS}.elevation_angle", 35.0)
    eds.metadata.set_item(f"{EDS}.azimuth_angle", 0.0)
    return eds


def rows(s):
    return {
        name: (value, remark)
        for name, value, remark in describe(s.metadata, s.original_metadata)
    }


def test_the_header_goes_before_what_exspy_fills_in(velox):
    assert velox.get_take_off_angle() == pytest.approx(18.0)
    assert velox.physical_model().take_off_angle == velox.get_take_off_angle()
    value, remark = rows(velox)["elevation_angle"]
    assert value == "18"
    assert "from the header of Velox, not eXSpy's default of 35" in remark
    assert "elevation in the file's header" not in rows(velox)
    assert AnalysisParameters(velox).elevation_angle == 18.0


def test_what_is_stated_goes_before_the_header(velox):
    velox.set_microscope_parameters(elevation_angle=22)
    assert velox.get_take_off_angle() == pytest.approx(22.0)
    assert velox.physical_model().take_off_angle == velox.get_take_off_angle()
    assert rows(velox)["elevation_angle"] == ("22", "")
    value, remark = rows(velox)["elevation in the file's header"]
    assert (value, remark[:8]) == ("18.0", "not used")
    velox.set_analysis_parameters(take_off_angle=35)
    assert velox.physical_model().take_off_angle == velox.get_take_off_angle() == 35.0


def test_the_header_counts_for_absorption(velox):
    velox.set_analysis_parameters(thickness=200, density=5.0)
    found = velox.physical_model().G
    del velox.original_metadata.Detectors
    velox.set_microscope_parameters(elevation_angle=18)
    np.testing.assert_array_equal(velox.physical_model().G, found)


def test_a_decomposition_says_whose_angle_it_took(velox, capsys):
    options = {"algorithm": "espm", "output_dimension": 2, "n_init": 1, "max_iter": 20}
    velox.decomposition(**options)
    assert "elevation" not in capsys.readouterr().out  # nothing absorbs
    velox.set_analysis_parameters(thickness=50, density=4)
    velox.decomposition(**options)
    said = "elevation of the detector=18 degrees, from the header of Velox"
    assert said in capsys.readouterr().out
    velox.set_microscope_parameters(elevation_angle=20)
    velox.decomposition(**options)
    assert "elevation" not in capsys.readouterr().out


@pytest.mark.parametrize("angle", ["", "x", "-0.3", "18", None, "nan", {"a": 1}])
def test_headers_without_an_angle(velox, angle):
    node = velox.original_metadata.Detectors["Detector-2"]
    node.set_item("ElevationAngle", angle)
    assert velox.get_take_off_angle() == pytest.approx(35.0)
    assert "eXSpy's default" in rows(velox)["elevation_angle"][1]
    velox.original_metadata.Detectors = "none"
    assert velox.get_take_off_angle() == pytest.approx(35.0)


@pytest.mark.skipif(not FOLDER, reason="ESPM_HS_TEST_DATA is not set")
def test_a_real_file():
    s = hs.load(f"{FOLDER}/velox_si_16x16.emd", select_type="spectrum_image")
    s.set_signal_type("EDS_espm")
    assert s.metadata.get_item(f"{EDS}.elevation_angle") == 35.0
    assert s.get_take_off_angle() == pytest.approx(18.0, abs=0.01)
    assert s.physical_model().take_off_angle == s.get_take_off_angle()
