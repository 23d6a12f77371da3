"""Energy scale, peak width and elements of a spectrum, from the spectrum itself."""

import os
from pathlib import Path

import exspy
import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np
import pytest
from conftest import make_map

from espm_hs.analysis import calibrate, suggest
from espm_hs.calibration.energy_scale import EnergyScaleFit
from espm_hs.factorization import expected_deviance, fit_spectrum
from espm_hs.metadata.reader import read
from espm_hs.physics import Detector, SpectrumModel
from espm_hs.simulation import Experiment, Phase

FOLDER = os.environ.get("ESPM_HS_TEST_DATA")
needs_maps = pytest.mark.skipif(not FOLDER, reason="ESPM_HS_TEST_DATA is not set")
SAMPLES = [["O", "Mg", "Si", "Ca", "Fe"], ["Cr", "Fe", "Ni"], ["Al", "Ga", "As"]]


def simulate(seed, elements, **options):
    """Spectrum of a million counts, and the model behind it."""
    rng = np.random.default_rng(seed)
    detector = Detector.preset("windowless", resolution=rng.uniform(124, 145))
    step = rng.choice([0.005, 0.01, 0.02])
    model = SpectrumModel(
        -0.1 + step * np.arange(round(20 / step)),
        200.0,
        elements,
        detector=detector,
        **options,
    )
    even = Phase("even", dict.fromkeys(elements, 1.0), density=5.0)
    spectrum = Experiment(model, [even], [50.0]).spectra[:, 0]
    return model, rng.poisson(1e6 * spectrum), rng


@pytest.mark.parametrize("seed", range(20))
def test_recovers_a_wrong_axis_and_width(seed):
    """+-50 eV, +-1 % and the width: back within 2 eV, 0.05 % and 3 eV."""
    true, counts, rng = simulate(seed, SAMPLES[seed % 3])
    first, step = true.energy[0], true.energy[1] - true.energy[0]
    wrong = true.replace(
        energy=first
        + 1e-3 * rng.uniform(-50, 50)
        + step * (1 + 1e-2 * rng.uniform(-1, 1)) * np.arange(true.energy.size),
        detector=true.detector.replace(resolution=max(121, 130 + rng.uniform(-8, 10))),
    )
    found = calibrate(wrong, counts)
    after = found.after
    assert abs(after.energy[0] - first) < 2e-3
    assert abs((after.energy[1] - after.energy[0]) / step - 1) < 5e-4
    assert abs(after.detector.resolution - true.detector.resolution) < 3
    assert found.deviance[1] < found.deviance[0]
    assert set(found.errors) >= {"offset", "gain"}


def test_missing_elements_do_not_drag_the_scale():
    true, counts, _ = simulate(0, SAMPLES[0])
    fewer = true.replace(elements=["O", "Mg", "Ca", "Fe"])
    found = calibrate(fewer, counts).after
    assert abs(found.energy[0] - true.energy[0]) < 4e-3


def test_mass_thickness_from_lines_of_one_element():
    composition = {"O": 0.5, "Cu": 0.2, "Zn": 0.15, "Ga": 0.15}
    true = SpectrumModel(
        -0.1 + 0.01 * np.arange(1500),
        200.0,
        list(composition),
        split_lines=dict.fromkeys(["Cu", "Zn", "Ga"]),
        take_off_angle=20.0,
        thickness=300.0,
        density=6.0,
        composition=composition,
    )
    phase = Phase("sample", composition, density=5.0)
    spectrum = Experiment(true, [phase], [50.0]).spectra[:, 0]
    counts = np.random.default_rng(0).poisson(1e6 * spectrum)
    found = calibrate(true.replace(thickness=100.0), counts, ["mass_thickness"])
    assert found.after.mass_thickness == pytest.approx(1.8e-3, rel=0.02)
    assert found.errors["mass_thickness"] < 2e-5


def test_bounds_are_kept_to_the_last_digit():
    """A shift of -4e-15 eV, where 0 is the bound, was refused by the detector."""
    true, counts, _ = simulate(1, SAMPLES[1])
    for shift in (3.9, 10.6, 23.7):
        detector = true.detector.replace(low_energy_shift=shift)
        model = true.replace(detector=detector)
        names = ("low_energy_shift",)
        fit = EnergyScaleFit(model, counts.astype(float), model.channels, names)
        for bound in fit.bounds:
            z = (bound - fit.start) / fit.spread
            after = fit.model_at(fit.start + fit.spread * z)
            assert 0 <= after.detector.low_energy_shift <= 100


def test_no_counts_have_no_scale():
    true, counts, _ = simulate(1, SAMPLES[1])
    with pytest.raises(ValueError, match="no counts in the channels in use"):
        calibrate(true, 0 * counts)


def test_few_counts_stay_near_the_start():
    true, counts, rng = simulate(1, SAMPLES[1])
    few = rng.binomial(counts, 1e-4)
    found = calibrate(true, few).after
    assert abs(found.energy[0] - true.energy[0]) < 0.1
    assert abs(found.detector.resolution - true.detector.resolution) < 30


def test_names_missing_and_superfluous_elements():
    true, counts, _ = simulate(3, ["O", "Si", "Fe", "Cu", "Mo"])
    guess = true.replace(elements=["O", "Fe", "Ti"])
    found = suggest(guess, counts)
    assert {one.element for one in found.missing} == {"Si", "Cu", "Mo"}
    assert [one.element for one in found.superfluous] == ["Ti"]
    silicon = next(one for one in found.missing if one.element == "Si")
    assert silicon.lines == ("Si Ka1",)
    assert found.misfit[1] < 1.3 < found.misfit[0]
    assert "missing: Cu, for Cu " in str(found)
    complete = suggest(true, counts)
    assert complete.missing == complete.superfluous == ()


def test_m_lines_of_barium_neither_name_it_nor_speak_against_it():
    """Tables differ 3 to 8 times; its L lines say that it is there."""
    true, counts, _ = simulate(3, ["O", "Si", "Ba"], line_factors={"Ba_M": 5.0})
    found = suggest(true.replace(elements=["O", "Si"], line_factors=None), counts)
    assert [one.element for one in found.missing] == ["Ba"]
    assert found.misfit[1] < 1.3
    true, counts, _ = simulate(3, ["O", "Si", "Ba"], line_factors={"Ba_L": 1e-3})
    found = suggest(true.replace(elements=["O", "Si"], line_factors=None), counts)
    assert "Ba" not in [one.element for one in found.missing]


class TestSignal:
    def test_writes_axis_and_metadata(self, eds):
        axis = eds.axes_manager[-1]
        before = axis.offset, axis.scale
        axis.offset, axis.scale = axis.offset + 0.03, axis.scale * 1.005
        found = eds.refine_calibration(print_info=False)
        assert axis.offset == pytest.approx(before[0], abs=3e-3)
        assert axis.scale == pytest.approx(before[1], rel=1e-3)
        model = eds.physical_model()
        assert model.detector.resolution == found.after.detector.resolution
        np.testing.assert_allclose(model.energy, found.after.energy)

    def test_mass_thickness_becomes_a_thickness(self, eds):
        eds.set_analysis_parameters(thickness=100, density=5.0)
        found = eds.refine_calibration(["mass_thickness"], print_info=False)
        # of 1 nm and 1 g/cm3 there is 1e-6 kg/m2
        expected = 1e6 * found.after.mass_thickness / 5.0
        assert read("thickness", eds.metadata) == pytest.approx(expected)
        assert read("density", eds.metadata) == 5.0

    def test_axis_in_ev(self, eds):
        axis = eds.axes_manager[-1]
        before = axis.offset * 1e3
        axis.units, axis.offset, axis.scale = "eV", before + 30.0, axis.scale * 1e3
        eds.refine_calibration(print_info=False)
        assert axis.offset == pytest.approx(before, abs=3)

    def test_lazy(self, eds):
        lazy = eds.as_lazy()
        for s in (eds, lazy):
            s.refine_calibration(print_info=False)
        assert lazy.axes_manager[-1].offset == eds.axes_manager[-1].offset

    def test_plot_and_print(self, eds, capsys):
        eds.refine_calibration(plot=True)
        assert "channel width" in capsys.readouterr().out
        assert len(plt.gcf().axes) == 3
        plt.close("all")

    @pytest.mark.parametrize(
        ("parameters", "message"),
        [(["focus"], "offset"), (["mass_thickness"], "density"), ([], "choose")],
    )
    def test_failure_changes_nothing(self, eds, parameters, message):
        axis = eds.axes_manager[-1]
        before = axis.offset, axis.scale, str(eds.metadata.as_dictionary())
        with pytest.raises(ValueError, match=message):
            eds.refine_calibration(parameters)
        assert (axis.offset, axis.scale, str(eds.metadata.as_dictionary())) == before

    def test_density_is_asked_for_before_any_work(self, eds, monkeypatch):
        monkeypatch.setattr("espm_hs.analysis.calibrate", None)
        with pytest.raises(ValueError, match="density is needed"):
            eds.refine_calibration(["mass_thickness"])

    def test_suggestions_are_added_on_demand(self, capsys):
        s = make_map((6, 6), 5000)
        s.set_elements(["O", "Si", "Ti", "Ni"])
        before = str(s.metadata.as_dictionary())
        found = s.suggest_elements()
        assert [one.element for one in found.missing] == ["Fe"]
        assert "missing: Fe" in capsys.readouterr().out
        assert str(s.metadata.as_dictionary()) == before
        s.suggest_elements(add="stray", print_info=False)
        assert s.physical_model().stray_elements == ("Fe",)

    def test_minimum_energy_and_line_factors(self, eds):
        plain = eds.physical_model()
        eds.set_analysis_parameters(minimum_energy=0.3, line_factors={"Fe_K": 2.0})
        model = eds.physical_model()
        assert model.energy[model.channels][0] >= 0.3
        fe = [column.label for column in model.columns].index("Fe")
        high = model.energy > 6
        np.testing.assert_allclose(model.G[high, fe], 2 * plain.G[high, fe])
        for bad in ({"minimum_energy": -1}, {"line_factors": {"Fe_K": -1.0}}):
            with pytest.raises(ValueError, match="positive number"):
                eds.set_analysis_parameters(**bad)

    def test_several_detectors_and_a_background_of_ones_own(self, eds):
        own = np.linspace(2.0, 1.0, 500)
        eds.set_analysis_parameters(
            thickness=200,
            density=5,
            take_off_angle=[18, 40],
            extra_spectra={"ice": own},
        )
        model = eds.physical_model()
        single = [model.replace(take_off_angle=angle).G for angle in (18.0, 40.0)]
        lines = [column.kind != "background" for column in model.columns]
        np.testing.assert_allclose(model.G[:, lines], np.mean(single, axis=0)[:, lines])
        assert model.columns[-1].label == "ice"
        eds.decomposition(algorithm="espm", output_dimension=2, print_info=False)
        with pytest.raises(ValueError, match="90 degrees"):
            eds.set_analysis_parameters(take_off_angle=[-3])


def load_spectrum(name):
    if name == "FePt":
        return exspy.data.EDS_TEM_FePt_nanoparticles()
    found = hs.load(Path(FOLDER) / name)
    found = found if isinstance(found, list) else [found]
    return next(s.sum() for s in found if s.axes_manager.navigation_dimension == 2
                and s.axes_manager.signal_dimension == 1)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("FePt", 5.5),
        pytest.param("mantle_minerals_80x80.hspy", 2.1, marks=needs_maps),
        pytest.param("bruker_tem_64x64.bcf", 1.4, marks=needs_maps),
    ],
)
def test_measured_spectra(name, limit):
    """Suggest, calibrate, and once more: what a user does with a new file."""
    s = load_spectrum(name)
    s.set_signal_type("EDS_espm")
    if "mantle" in name:
        s.set_elements(["Al", "Ca", "Fe", "Hf", "Lu", "Mg", "Nd", "Si", "Sm", "U"])
    for _ in range(2):
        s.suggest_elements(add="stray", print_info=False)
        found = s.refine_calibration(print_info=False)
    assert found.deviance[1] < limit


@needs_maps
def test_noise_peak_of_a_velox_file():
    s = load_spectrum("velox_si_16x16.emd")
    s.set_signal_type("EDS_espm")
    s.refine_calibration(print_info=False)
    model = s.physical_model()
    assert 0.19 < model.minimum_energy < 0.25
    x = s.data[model.channels].astype(float)
    _, y = fit_spectrum(model.G[model.channels], x)
    deviance = 2 * (y - x + np.where(x > 0, x * np.log(np.maximum(x, 1) / y), 0)).sum()
    assert deviance < 1.2 * expected_deviance(y)
