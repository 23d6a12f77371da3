"""Files of the package espm, and espm installed beside."""

import warnings

import hyperspy.api as hs
import numpy as np
import pytest
from hyperspy.extensions import ALL_EXTENSIONS

from espm_hs import take_over_signal_type
from espm_hs.metadata.reader import read
from espm_hs.signals import EDSespmSpectrum, LazyEDSespmSpectrum

EDS = "Acquisition_instrument.TEM.Detector.EDS"


@pytest.fixture
def saved(eds, tmp_path):
    """File with the metadata that espm 1.1.3 writes, as it writes them."""
    s = eds.isig[0.2:]
    for path, value in {
        "Signal.signal_type": "EDS_espm",
        "Sample.elements": ["Fe", "Ni", "O", "Si", "Ti"],
        "Sample.thickness": 150e-7,
        "Sample.density": 5.0,
        "xray_db": "200keV_xrays.json",
        "Acquisition_instrument.TEM.beam_energy": 200,
        "Acquisition_instrument.TEM.Stage.tilt_alpha": 10.0,
        "Acquisition_instrument.TEM.Stage.tilt_beta": 0.0,
        f"{EDS}.azimuth_angle": 90.0,
        f"{EDS}.elevation_angle": 22.0,
        f"{EDS}.take_off_angle": 22.0,
        f"{EDS}.energy_resolution_MnKa": 130.0,
        f"{EDS}.width_slope": 0.01,
        f"{EDS}.width_intercept": 0.065,
        f"{EDS}.type": "SDD_efficiency.txt",
        f"{EDS}.geometric_efficiency": 0.7,
        "EDS_model.elements": ["26_lo", "26_hi", "28", "8", "14", "22", "29_ign0",
                               "29_ign1", "6_ign0"],
        "EDS_model.separated_lines": {"26": 3.0},
    }.items():  # fmt: skip
        s.metadata.set_item(path, value)
    s.save(tmp_path / "espm.hspy")
    return tmp_path / "espm.hspy"


def test_metadata_are_understood(saved):
    s = hs.load(saved)
    assert type(s) is EDSespmSpectrum
    model = s.physical_model()
    assert model.mass_thickness == pytest.approx(150e-9 * 5000)  # kg/m2
    labels = [column.label for column in model.columns]
    assert {"Cu K stray", "Cu L stray", "C K stray", "Fe below 3 keV"} <= set(labels)
    assert read("solid_angle", s.metadata) == 0.7
    assert model.detector.resolution == 130.0
    assert type(hs.load(saved, lazy=True)) is LazyEDSespmSpectrum


def test_what_is_set_goes_before(saved):
    s = hs.load(saved)
    s.set_analysis_parameters(
        thickness=80, stray_elements=[], split_lines={"Fe": None}, solid_angle=0.2
    )
    model = s.physical_model()
    assert model.mass_thickness == pytest.approx(80e-9 * 5000)
    labels = [column.label for column in model.columns]
    assert not any("stray" in label or "below" in label for label in labels)
    assert read("solid_angle", s.metadata) == 0.2


def test_width_and_angle_of_espm(saved):
    s = hs.load(saved)
    s.metadata.set_item(f"{EDS}.width_intercept", 0.08)
    assert s.physical_model().detector.resolution == pytest.approx(139, abs=0.1)
    s.set_microscope_parameters(energy_resolution_MnKa=133)
    assert s.physical_model().detector.resolution == 133
    del s.metadata.Acquisition_instrument.TEM.Stage
    assert np.allclose(s.physical_model().take_off_angle, 22.0)


def test_without_the_marks_of_espm_a_thickness_is_in_metres(saved):
    s = hs.load(saved)
    del s.metadata.xray_db
    s.metadata.Sample.thickness = 150e-9
    assert s.physical_model().mass_thickness == pytest.approx(150e-9 * 5000)


def test_simulated_maps_of_espm_open(saved, tmp_path):
    s = hs.load(saved)
    s.metadata.Signal.signal_type = "EDS_espm_Simulated"
    s.save(tmp_path / "simulated.hspy")
    again = hs.load(tmp_path / "simulated.hspy")
    assert type(again) is EDSespmSpectrum
    assert again.metadata.Signal.signal_type == "EDS_espm"


def test_both_installed(eds, monkeypatch):
    """A class of espm that was read first would take every EDS_espm signal."""
    mine = dict(ALL_EXTENSIONS["signals"])
    other = {
        "EDSespm": {
            "signal_type": "EDS_espm",
            "signal_dimension": 1,
            "dtype": "real",
            "lazy": False,
            "module": "espm.datasets.eds_spim",
        }
    }
    monkeypatch.setitem(ALL_EXTENSIONS, "signals", other | mine)
    with pytest.warns(UserWarning, match="both call their signal type"):
        take_over_signal_type()
    s = hs.signals.Signal1D(eds.data)
    s.set_signal_type("EDS_espm")
    assert type(s) is EDSespmSpectrum
    assert ALL_EXTENSIONS["signals"] == mine
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        take_over_signal_type()  # nothing left to do, nothing to say


def test_what_espm_left_out_is_not_made_up(saved):
    s = hs.load(saved)
    s.metadata.EDS_model.separated_lines = "Fe"
    assert read("split_lines", s.metadata) is None
    s.metadata.set_item(f"{EDS}.width_intercept", 0.08)
    del s.metadata.get_item(EDS).width_slope
    assert s.physical_model().detector.resolution == 130.0
