"""Errors by what is not known of sample and detector, from metadata to the table."""

import os
import warnings

import hyperspy.api as hs
import numpy as np
import pytest

from benchmarks.accuracy.measured import CASES, rows
from espm_hs.calibration.energy_scale import fitted_mass_thickness
from espm_hs.physics import SpectrumModel
from espm_hs.simulation import Effects, Experiment, Phase, record

FOLDER = os.environ.get("ESPM_HS_TEST_DATA")
needs_data = pytest.mark.skipif(not FOLDER, reason="ESPM_HS_TEST_DATA is not set")
QUIET = {"algorithm": "espm", "print_info": False, "show_progressbar": False}
SRTIO3 = {"O": 0.6, "Sr": 0.2, "Ti": 0.2}
ENERGY = 0.01 * np.arange(2048)


@pytest.fixture
def film():
    """Spectrum of 90 nm of SrTiO3 of which nothing is said but the elements."""
    model = SpectrumModel(
        ENERGY, 200, list(SRTIO3), thickness=90, density=5.12, take_off_angle=18
    )
    sample = Phase("SrTiO3", SRTIO3, 5.12, 0.1)
    s = record(Experiment(model, [sample], [[90.0]], 1e6), 0)
    del s.metadata.EDS_espm.detector, s.metadata.EDS_espm.truth
    del s.metadata.Sample.thickness, s.metadata.Sample.density
    return s


def entry(s, element="O"):
    s.decomposition(output_dimension=1, **QUIET)
    table = s.print_quantification()
    return next(x for x in table.entries if x.element == element), table


def test_what_is_not_stated_is_in_the_error_and_said_once(film):
    oxygen, table = entry(film)
    assert abs(oxygen.percent - 60) < 2 * oxygen.error
    assert 5 < oxygen.absorption < 10
    assert 1 < oxygen.detector < 5
    parts = [oxygen.statistical, oxygen.bias, oxygen.systematic]
    parts += [oxygen.absorption, oxygen.detector]
    assert oxygen.error == pytest.approx(np.linalg.norm(parts))
    (said,) = [x for x in table.remarks if x.startswith("Not stated")]
    assert "77 nm within a factor of 2; whether the detector has a window" in said
    assert "set_analysis_parameters(thickness=, density=, detector=)" in said
    frame = table.to_dataframe()
    assert {"absorption", "detector", "total"} <= set(frame.columns)


def test_what_is_stated_is_not(film):
    film.set_analysis_parameters(thickness=90, density=5.12, detector="windowless")
    oxygen, table = entry(film)
    assert oxygen.percent == pytest.approx(60, abs=1)
    assert 1 < oxygen.absorption < 4
    assert not [x for x in table.remarks if x.startswith("Not stated")]
    film.set_analysis_parameters(thickness_error=0.05)
    assert entry(film)[0].absorption == pytest.approx(oxygen.absorption / 4, rel=0.05)


def test_an_elevation_that_exspy_fills_in_is_not_stated(film):
    film.set_analysis_parameters(thickness=90, density=5.12, detector="windowless")
    film.set_microscope_parameters(elevation_angle=35)
    _, table = entry(film)
    (said,) = [x for x in table.remarks if x.startswith("Not stated")]
    assert "the take-off angle, 15 to 40 degrees" in said
    film.set_analysis_parameters(take_off_angle=35)
    _, table = entry(film)
    assert not [x for x in table.remarks if x.startswith("Not stated")]


def test_no_absorption_can_be_stated(film):
    film.set_analysis_parameters(mass_thickness=0, detector="ideal")
    oxygen, table = entry(film)
    assert (oxygen.absorption, oxygen.detector) == (0, 0)
    (said,) = [x for x in table.remarks if "valences" in x]
    assert said.startswith("Phase 0: oxygen is ")
    assert "usual valences bind 60" in said
    mass = float(said.split("mass thickness of ")[1].split(" kg/m2")[0])
    assert mass == pytest.approx(90 * 5.12e-6, rel=0.1)


def test_oxygen_that_agrees_is_not_spoken_of(film):
    film.set_analysis_parameters(thickness=90, density=5.12, detector="windowless")
    _, table = entry(film)
    assert not [x for x in table.remarks if "valences" in x]
    film.set_analysis_parameters(thickness=15)
    (said,) = [x for x in entry(film)[1].remarks if "valences" in x]
    assert "nm" in said


def test_a_result_survives_a_file(film, tmp_path):
    oxygen, table = entry(film)
    film.save(tmp_path / "film.hspy")
    again = hs.load(tmp_path / "film.hspy")
    assert again.print_quantification().rows() == table.rows()
    assert again.print_quantification().remarks == table.remarks
    assert oxygen.percent == pytest.approx(again.quantify()[0].data[0])


def test_a_known_composition_stays_as_it_is_known(film):
    film.decomposition(output_dimension=1, fixed_composition={0: SRTIO3}, **QUIET)
    found = [x.data[0] for x in film.quantify()]
    np.testing.assert_allclose(found, [60, 20, 20])


def test_a_mass_thickness_that_is_fitted(film, capsys):
    film.set_analysis_parameters(mass_thickness="fit", detector="windowless")
    film.decomposition(
        algorithm="espm", output_dimension=1, show_progressbar=False, print_info=True
    )
    assert "from lines and edges" in capsys.readouterr().out
    found = film.analysis_results()
    assert 0 < found.model.mass_thickness < 2e-3
    assert found.model.thickness_error > 0.1
    assert found.unknowns.names == ("thickness", "detector")
    oxygen = next(x for x in film.print_quantification().entries if x.element == "O")
    assert abs(oxygen.percent - 60) < 2 * oxygen.error


@pytest.mark.parametrize("thickness", [30, 300])
@pytest.mark.parametrize("composition", [SRTIO3, {"O": 2, "Si": 1}, {"O": 2, "Ce": 1}])
def test_mass_thickness_is_within_its_range(thickness, composition):
    model = SpectrumModel(
        ENERGY,
        200,
        list(composition),
        thickness=thickness,
        density=5,
        take_off_angle=20,
    )
    sample = Phase("oxide", composition, 5.0, (0.02, 0.1, 0.05))
    effects = Effects(background_exponent=0.2)
    made = Experiment(model, [sample], [[thickness]], 3e5, effects=effects)
    counts = np.random.default_rng(0).poisson(made.expected().ravel())
    asked = model.replace(thickness=None, unknown=["thickness"])
    found = fitted_mass_thickness(asked, counts)
    assert found.low < 5e-6 * thickness < found.high
    assert found.low < found.value < found.high


@pytest.mark.parametrize(
    ("thickness", "unit"), [(0.09, "µm"), (6000, "Å"), (9e4, "pm"), (9e-8, "m")]
)
def test_a_thickness_in_another_unit_is_questioned(eds, thickness, unit):
    with pytest.warns(UserWarning, match=f"If it is in {unit}, give"):
        eds.set_analysis_parameters(thickness=thickness)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        eds.set_analysis_parameters(thickness=80)


@pytest.mark.parametrize("value", ["Fit", -1.0, 2.0, True, [1.0], np.nan])
def test_other_mass_thicknesses_are_refused(eds, value):
    with pytest.raises(ValueError, match="`mass_thickness` must be 'fit', or from 0"):
        eds.set_analysis_parameters(mass_thickness=value)


@pytest.mark.parametrize("value", ["x", -0.1, 2, True, [0.1]])
def test_other_errors_of_a_thickness_are_refused(eds, value):
    with pytest.raises(ValueError, match="`thickness_error` must be a share"):
        eds.set_analysis_parameters(thickness_error=value)


@needs_data
@pytest.mark.parametrize("name", [name for name in CASES if name != "FePt"])
def test_measured_oxides_lie_within_their_errors(name):
    for row in rows(name, CASES[name]):
        error, z = float(row[8]), float(row[10])
        assert abs(z) < 2, row
        assert error <= (6 if "nm" in name or "SiO2" in name else 10), row
