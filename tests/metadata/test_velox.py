"""What Velox writes to the header of its files."""

import os

import hyperspy.api as hs
import numpy as np
import pytest

from espm_hs.gui import AnalysisParameters
from espm_hs.metadata.describe import describe
from espm_hs.metadata.reader import dose

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


# -- segments, live time, begin, elements --------------------------------------------


@pytest.fixture
def segmented(velox):
    """The same with a detector of four segments, and another one."""
    header = velox.original_metadata
    header.set_item("BinaryResult.Detector", "SuperXG23")
    header.set_item("Scan.DwellTime", "0.001")
    header.set_item("ImportedDataParameter.Number_of_frames", 20)
    for i in range(4):
        part = {
            "DetectorName": f"SuperXG2{i + 1}",
            "Enabled": "true",
            "ElevationAngle": "0.31415926999999999",
            "AzimuthAngle": str(np.deg2rad(45 + 90 * i)),
            "RealTime": "0.25",
            "LiveTime": str(0.25 - 0.025 * i),
            "BeginEnergy": "120",
        }
        header.Detectors.set_item(f"Detector-{i + 6}", part)
    key = "SharedProperties.EDSSpectrumQuantificationSettings.a1"
    header.set_item(key, {"elementSelection": ["8", "14", "26"]})
    del velox.metadata.Acquisition_instrument.TEM.Detector.EDS.live_time
    return velox


def test_the_live_time_of_a_pixel(segmented):
    """Dwell time x frames x the mean live share, 85 %, in a dose with its own unit."""
    value, remark = rows(segmented)["live time"]
    assert float(value.split()[0]) == pytest.approx(0.001 * 20 * 0.85)
    assert "from the header of Velox" in remark
    segmented.set_analysis_parameters(solid_angle=0.7)
    segmented.metadata.set_item("Acquisition_instrument.TEM.beam_current", 0.5)
    trees = segmented.metadata, segmented.original_metadata
    electrons = 0.5e-9 / 1.602176634e-19 * 0.017
    assert dose(*trees) == pytest.approx(electrons * 0.7 / (4 * np.pi))
    # of what a user sets nobody knows what it is the time of
    segmented.set_microscope_parameters(live_time=100.0)
    with pytest.raises(ValueError, match="what the live time is for"):
        dose(*trees)


def test_the_energy_at_which_a_detector_begins(segmented):
    assert segmented.physical_model().minimum_energy == 0.15
    for i in range(4):
        segmented.original_metadata.Detectors[f"Detector-{i + 6}"].BeginEnergy = "300"
    assert segmented.physical_model().minimum_energy == pytest.approx(0.3)
    assert "header of Velox" in rows(segmented)["minimum_energy"][1]
    segmented.set_analysis_parameters(minimum_energy=0.2)
    assert segmented.physical_model().minimum_energy == 0.2


def test_segments_see_a_tilted_sample_under_angles_of_their_own(segmented):
    assert rows(segmented)["segments"] == ("4", "azimuths of 45, 135, 225, 315 degrees")
    assert segmented.physical_model().take_off_angle == pytest.approx(18.0)
    segmented.metadata.set_item("Acquisition_instrument.TEM.Stage.tilt_alpha", 15.0)
    angles = segmented.physical_model().take_off_angle
    # the cosine of the angle to the normal, which the tilt turns about x
    tilt, elevation = np.deg2rad(15), np.deg2rad(18)
    azimuth = np.deg2rad(45 + 90 * np.arange(4))
    side = np.cos(elevation) * np.array([np.cos(azimuth), np.sin(azimuth)])
    sines = np.cos(tilt) * np.sin(elevation) + np.sin(tilt) * side
    expected = np.rad2deg(np.arcsin(sines))
    assert any(np.allclose(np.sort(angles), np.sort(x)) for x in expected)
    assert segmented.get_take_off_angle() == pytest.approx(np.mean(angles))
    segmented.set_microscope_parameters(elevation_angle=22)
    assert isinstance(segmented.physical_model().take_off_angle, float)


def test_the_elements_of_velox_are_a_guess(segmented, capsys):
    segmented.set_elements(["O", "Si", "Fe"])
    assert "a guess of Velox" in rows(segmented)["elements"][1]
    options = {"algorithm": "espm", "output_dimension": 1, "n_init": 1, "max_iter": 20}
    segmented.decomposition(**options)
    said = "a guess of Velox"
    assert said in capsys.readouterr().out
    assert said in str(segmented.print_quantification())
    segmented.set_elements(["O", "Si", "Fe", "Ti", "Ni"])
    assert said not in rows(segmented)["elements"][1]


def test_stray_elements_leave_the_guess_of_velox(segmented):
    segmented.set_elements(["O", "Si", "Fe"])
    said = "were a guess of Velox, with stray ones among them. They are O, Si now"
    with pytest.warns(UserWarning, match=said):
        segmented.set_analysis_parameters(stray_elements=["Fe", "Cu"])
    assert segmented.metadata.Sample.elements == ["O", "Si"]
    model = segmented.physical_model()
    assert (list(model.elements), list(model.stray_elements)) == (
        ["O", "Si"],
        ["Fe", "Cu"],
    )


def test_stray_elements_do_not_leave_what_a_user_says(segmented):
    segmented.set_elements(["O", "Si", "Fe", "Ti"])
    before = segmented.metadata.as_dictionary()
    call = r"`s\.set_elements\(\['O', 'Si', 'Ti'\]\)`"
    with pytest.raises(ValueError, match=f"Fe cannot be both.*{call}"):
        segmented.set_analysis_parameters(stray_elements=["Fe"], thickness=50)
    assert segmented.metadata.as_dictionary() == before


def test_nothing_is_left_of_a_guess_that_is_all_stray(segmented):
    segmented.set_elements(["O", "Si", "Fe"])
    with pytest.warns(UserWarning, match="They are none now"):
        segmented.set_analysis_parameters(stray_elements=["O", "Si", "Fe"])
    with pytest.raises(ValueError, match="No elements are set"):
        segmented.physical_model()


@pytest.mark.parametrize("value", ["", "x", "nan", None, {"a": 1}, "-1", "0"])
@pytest.mark.parametrize(
    "name", ["LiveTime", "RealTime", "BeginEnergy", "AzimuthAngle", "Enabled"]
)
def test_headers_that_make_no_sense(segmented, name, value):
    for i in range(4):
        segmented.original_metadata.Detectors[f"Detector-{i + 6}"].set_item(name, value)
    assert segmented.physical_model().minimum_energy == 0.15
    assert rows(segmented)


@pytest.mark.skipif(FOLDER is None, reason="needs measured data")
def test_a_real_file_says_all_of_it():
    s = hs.load(
        os.path.join(FOLDER, "velox_si_16x16.emd"), select_type="spectrum_image"
    )
    s.set_signal_type("EDS_espm")
    text = str(s.info())
    assert "(16, 16|4096)" in text
    assert "a guess of Velox" in text
    assert "azimuths of 45, 135, 225, 315" in text
    shares = [0.24503789 / 0.25599825, 0.24936336 / 0.25599735, 0.24683434 / 0.25599738]
    live = 2 * 0.001 * (sum(shares) + 1) / 4
    assert f"{live:.6g} s" in text


@pytest.mark.parametrize("selection", [["8", "x", None, "400"], "none", None])
def test_a_selection_that_is_none_names_no_elements(segmented, selection):
    key = "SharedProperties.EDSSpectrumQuantificationSettings.a1"
    segmented.original_metadata.set_item(key, {"elementSelection": selection})
    assert isinstance(segmented.info().text(), str)
