"""Signals of bulk samples: parameters, standards, errors, and measured spectra."""

import os
import re
import warnings
from pathlib import Path

import exspy
import hyperspy.api as hs
import numpy as np
import pytest

from espm_hs import metrics, simulation
from espm_hs.calibration.pile_up import at_sums, convolved
from espm_hs.physics import BulkModel, Detector, SpectrumModel
from espm_hs.physics.xray.absorption import material_data
from espm_hs.signals import (
    EDSespmSEMSpectrum,
    EDSespmSpectrum,
    LazyEDSespmSEMSpectrum,
)

QUIET = {"algorithm": "espm", "print_info": False, "show_progressbar": False}
FOLDER = Path(os.environ.get("ESPM_HS_TEST_DATA", "none")) / "sem_standards"
measured = pytest.mark.skipif(not FOLDER.is_dir(), reason="needs measured spectra")


def spectrum(composition, counts=2e5, seed=0, beam=15.0, **model):
    """One spectrum of a bulk sample, of counts of its own model."""
    physics = BulkModel(
        0.01 * np.arange(1600), beam, list(composition), take_off_angle=40.0,
        detector=Detector.preset("polymer_window", carbon=0.03), **model,
    )  # fmt: skip
    sample = simulation.Phase("sample", composition, 3.0, 0.1)
    made = simulation.Experiment(physics, [sample], np.ones((1, 1)), counts)
    return simulation.record(made, seed).inav[0]


def percent(signal, units="weight"):
    signal.decomposition(output_dimension=1, **QUIET)
    return {e.element: e for e in signal.print_quantification(units=units).entries}


def test_the_type_is_known_to_hyperspy():
    s = hs.signals.Signal1D(np.zeros((2, 3, 100)))
    s.set_signal_type("EDS_espm_SEM")
    assert type(s) is EDSespmSEMSpectrum
    assert isinstance(s, exspy.signals.EDSSEMSpectrum)
    assert isinstance(s.as_lazy(), LazyEDSespmSEMSpectrum)
    assert s.metadata.Signal.signal_type == "EDS_espm_SEM"
    s.set_signal_type("EDS_SEM")
    assert type(s) is exspy.signals.EDSSEMSpectrum


def test_what_films_have_is_absent():
    for name in ("estimate_thickness", "estimate_areal_densities"):
        assert hasattr(EDSespmSpectrum, name)
        assert not hasattr(EDSespmSEMSpectrum, name)
    assert not hasattr(EDSespmSEMSpectrum, "estimate_mass_thickness")
    s = spectrum({"O": 2, "Si": 1})
    with pytest.raises(TypeError, match="thickness"):
        s.set_analysis_parameters(thickness=100)
    with pytest.raises(TypeError, match="thickness"):
        s.physical_model(thickness=100)
    names = [row[0] for row in s.info().rows]
    assert "thickness" not in names
    assert ("sample", "bulk", "") in s.info().rows


def test_metadata_of_the_scanning_microscope_make_the_model():
    s = spectrum({"O": 2, "Si": 1})
    s.set_microscope_parameters(tilt_stage=10.0, beam_energy=12.0, beam_current=0.5)
    s.set_analysis_parameters(coating=("Au", 5))
    model = s.physical_model()
    assert isinstance(model, BulkModel)
    assert (model.beam_energy, model.tilt, model.coating) == (12.0, 10.0, ("Au", 5.0))
    assert s.metadata.Acquisition_instrument.SEM.beam_current == 0.5
    assert "TEM" not in s.metadata.Acquisition_instrument
    s.set_analysis_parameters(coating="none")
    assert s.physical_model().coating is None
    assert "coating" not in s.physical_model().unknown
    del s.metadata.EDS_espm.coating
    assert "coating" in s.physical_model().unknown


def test_the_sentence_on_errors_says_what_applies():
    s = spectrum({"O": 2, "Si": 1}, counts=2e4)
    s.decomposition(output_dimension=1, **QUIET)
    text = str(s.print_quantification())
    assert "coating and the physics of a bulk sample" in text
    assert "thickness" not in text


def test_bad_coatings_change_nothing():
    s = spectrum({"O": 2, "Si": 1})
    before = s.metadata.as_dictionary()
    with pytest.raises(ValueError, match="`coating` is a material and a thickness"):
        s.set_analysis_parameters(coating="20", minimum_energy=0.3)
    assert s.metadata.as_dictionary() == before


def test_films_of_scanning_microscopes_stay_films_and_are_warned_of():
    s = hs.signals.Signal1D(spectrum({"O": 2, "Si": 1}).data)
    s.set_signal_type("EDS_SEM")
    s.axes_manager[-1].scale, s.axes_manager[-1].units = 0.01, "keV"
    s.set_microscope_parameters(beam_energy=15)
    s.set_elements(["O", "Si"])
    s.set_signal_type("EDS_espm")
    assert isinstance(s, EDSespmSpectrum)
    model = s.physical_model()
    assert isinstance(model, SpectrumModel)
    assert not isinstance(model, BulkModel)
    with pytest.warns(UserWarning, match="set_signal_type\\('EDS_espm_SEM'\\)"):
        s.decomposition(output_dimension=1, **QUIET)


def test_composition_and_total_of_a_known_sample():
    olivine = {"O": 4, "Mg": 1.6, "Fe": 0.4, "Si": 1}
    s = spectrum(olivine)
    found = percent(s, "atomic")
    for element, atoms in olivine.items():
        entry = found[element]
        assert entry.percent == pytest.approx(100 * atoms / 7, abs=2.5)
        assert abs(entry.percent - 100 * atoms / 7) < 2 * entry.error
    total = s.estimate_mass_total().data
    assert total == pytest.approx([100], abs=6)
    # oxygen by stoichiometry is that of the formula
    by_valence = s.quantify(oxygen="stoichiometry")
    oxygen = next(q for q in by_valence if "of O" in q.metadata.General.title)
    assert oxygen.data == pytest.approx([100 * 4 / 7], abs=0.6)


def test_results_survive_a_file(tmp_path):
    s = spectrum({"O": 1, "Mg": 1}, counts=2e4)
    s.decomposition(output_dimension=1, **QUIET)
    s.save(tmp_path / "bulk.hspy")
    again = hs.load(tmp_path / "bulk.hspy")
    assert isinstance(again, EDSespmSEMSpectrum)
    assert isinstance(again.analysis_results().model, BulkModel)
    for one, other in zip(s.quantify(), again.quantify(), strict=True):
        assert (one.data == other.data).all()


def test_lazy_maps_give_the_same_phases():
    eager, lazy = (
        simulation.polished_section((12, 12), 400, lazy=lazy) for lazy in (False, True)
    )
    assert isinstance(lazy, LazyEDSespmSEMSpectrum)
    for s in (eager, lazy):
        s.decomposition(output_dimension=2, n_init=1, max_iter=50, **QUIET)
    pairs = zip(eager.quantify(), lazy.quantify(), strict=True)
    for one, other in pairs:
        assert np.allclose(one.data, other.data, equal_nan=True)


def test_elements_are_identified_in_bulk_samples():
    s = spectrum({"O": 3, "Ca": 1, "Si": 1})
    found = s.identify_elements(print_info=False)
    names = {one.element for one in found.found}
    assert {"O", "Ca", "Si"} <= names


def test_names_do_not_depend_on_what_absorbs_the_background():
    """As in silicon, the background had an edge where oxygen has its line."""
    s = spectrum({"O": 60, "Al": 3, "Si": 16, "Ti": 9, "Ce": 7, "La": 4, "Fe": 4})
    found = {one.element: one for one in s.identify_elements(print_info=False).found}
    # by far the most counts but for those of Si; 375 nats with the edge
    assert found["O"].gain > 0.3 * found["Si"].gain


def test_standards_take_the_place_of_atomic_data():
    """A detector that is worse than stated for oxygen is what a standard shows."""
    wrong = {"line_factors": {"O_K": 0.7, "Mg_K": 0.9, "Si_K": 0.95}}
    unknown = spectrum({"O": 3, "Mg": 1, "Si": 1}, **wrong)
    made = [
        (spectrum({"O": 1, "Mg": 1}, seed=1, **wrong), "MgO"),
        (spectrum({"Si": 1}, seed=2, **wrong), "Si"),
    ]
    for one in [unknown, *(s for s, _ in made)]:
        one.metadata.EDS_espm.line_factors = {}
    before = percent(unknown, "atomic")
    assert before["O"].percent < 57
    for standard, formula in made:
        factors = unknown.calibrate_line_factors(standard, formula, print_info=False)
    found = {one.family: one.factor for one in factors.entries}
    assert found["O_K"] / found["Mg_K"] == pytest.approx(0.7 / 0.9, rel=0.02)
    # pure silicon tells its factor by the dose
    assert found["Si_K"] / found["Mg_K"] == pytest.approx(0.95 / 0.9, rel=0.03)
    after = percent(unknown, "atomic")
    assert after["O"].percent == pytest.approx(60, abs=1)
    assert after["Si"].error < before["Si"].error


def test_photons_in_sum_peaks_are_missing_in_the_lines_of_a_standard():
    standard = spectrum({"O": 1, "Mg": 1}, counts=4e5, seed=1)
    alone = spectrum({"O": 3, "Mg": 1, "Si": 1})
    factors = alone.calibrate_line_factors(standard, "MgO", print_info=False)
    model = standard.physical_model()
    counts = standard.data.astype(float)
    # 2 % of the photons find another one: of 100 counts 98 are single
    share = 0.02
    folded = convolved(counts, counts)
    sums = at_sums(folded, model.energy)
    piled = counts * (1 - 2 * share) + share * counts.sum() * sums / sums.sum()
    standard.data = np.random.default_rng(0).poisson(np.maximum(piled, 0))
    standard.set_analysis_parameters(pile_up=True)
    other = spectrum({"O": 3, "Mg": 1, "Si": 1})
    again = other.calibrate_line_factors(standard, "MgO", print_info=False)
    assert again.solid_angle == pytest.approx(factors.solid_angle, rel=0.01)


def test_files_that_state_the_composition_of_a_standard():
    standard = spectrum({"O": 1, "Mg": 1}, counts=1e5, seed=1)
    given, read = (spectrum({"O": 3, "Mg": 1, "Si": 1}) for _ in range(2))
    expected = given.calibrate_line_factors(standard, "MgO", print_info=False)
    with pytest.raises(TypeError, match="composition"):
        read.calibrate_line_factors(standard, print_info=False)
    # in mass percent, and not normalised
    text = "MgO,(O:39.30),(Mg:59.70),3.58"
    standard.original_metadata.add_dictionary({"D2STDCMP": text})
    found = read.calibrate_line_factors(standard, print_info=False)
    for one, other in zip(expected.entries, found.entries, strict=True):
        assert one.family == other.family
        assert one.factor == pytest.approx(other.factor, rel=1e-3)


def test_standards_refuse_what_only_films_have():
    s = spectrum({"O": 1, "Mg": 1}, counts=2e4)
    with pytest.raises(TypeError, match="thickness"):
        s.calibrate_line_factors(s, "MgO", thickness=50)
    with pytest.raises(ValueError, match="only a sample has that"):
        s.calibrate_line_factors({"Fe_Ka": 1.3}, coating="C 5 nm")


def test_total_needs_the_dose():
    s = spectrum({"O": 1, "Mg": 1}, counts=2e4)
    s.decomposition(output_dimension=1, **QUIET)
    del s.metadata.EDS_espm.solid_angle
    with pytest.raises(ValueError, match="solid angle"):
        s.estimate_mass_total()


def test_coating_from_the_line_of_carbon():
    """Counts of a free film of carbon, times phi(0) of MgO, on the sample."""
    detector = Detector.preset("polymer_window", carbon=0.03)
    energy, electrons = 0.01 * np.arange(1600), 1e11
    bulk, film = (
        kind(energy, 15.0, elements, take_off_angle=40.0, detector=detector, **more)
        for kind, elements, more in (
            (BulkModel, ["O", "Mg"], {"composition": {"O": 1, "Mg": 1}}),
            (SpectrumModel, ["C"], {}),
        )
    )
    # of 1 mg/cm2 with the mass fractions, and of 15 nm with 2.2 g/cm3; atoms in barn
    avogadro = 6.02214076e23
    weights = np.zeros(len(bulk.columns))
    weights[:2] = 1e-3 * avogadro / 40.304 * 1e-24 * electrons
    sample = bulk.G @ weights
    atoms = 15e-7 * material_data("C")[1] * avogadro / 12.011
    carbon = film.G[:, 0] * atoms * 1e-24 * electrons * 1.27
    s = spectrum({"O": 1, "Mg": 1})
    s.data = np.random.default_rng(3).poisson(sample + 200 + carbon)
    s.decomposition(output_dimension=1, **QUIET)
    with pytest.raises(ValueError, match="line of carbon is not part"):
        s.estimate_coating()
    s.set_analysis_parameters(stray_elements=["C"])
    s.decomposition(output_dimension=1, calibration="never", **QUIET)
    found = s.estimate_coating()
    assert found.data == pytest.approx([15], rel=0.1)
    error = np.sqrt(found.metadata.Signal.Noise_properties.variance.data)
    assert 6 < error.item() < 12


def test_four_minerals_in_a_map():
    s = simulation.polished_section((48, 48), 50)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        s.decomposition(output_dimension=4, **QUIET)
    truth, found = s.ground_truth(), s.analysis_results()
    order, _ = metrics.match_phases(found.spectra, truth.spectra)
    fractions = found.composition / found.composition.sum(axis=0)
    off = 100 * np.abs(fractions[:, order] - truth.composition)
    assert off.max() < 2
    report = {(e.phase, e.element): e for e in s.print_quantification().entries}
    z = [
        (report[j, x].percent - 100 * truth.composition[i, k]) / report[j, x].error
        for k, j in enumerate(order)
        for i, x in enumerate(truth.elements)
        if truth.composition[i, k] > 0
    ]
    assert np.mean(np.abs(z) < 2) > 0.9
    totals = s.estimate_mass_total("pixels")
    assert np.nanmean(totals.data) == pytest.approx(100, abs=4)


def test_pixels_that_are_narrower_than_the_volume_are_told():
    s = simulation.polished_section((8, 8), 300)
    options = {"output_dimension": 2, "n_init": 1, "max_iter": 20, **QUIET}
    for axis in s.axes_manager.navigation_axes:
        axis.scale, axis.units = 0.2, "µm"
    with pytest.warns(UserWarning, match=r"Pixels are 0.2 µm wide, .* about 2"):
        s.decomposition(**options)
    for axis in s.axes_manager.navigation_axes:
        axis.scale = 10.0
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        s.decomposition(**options)
    assert not any("Pixels are" in str(one.message) for one in said)


# -- measured ----------------------------------------------------------------------


def standard(name):
    """A measured spectrum, and its mass fractions."""
    path = FOLDER / name
    text = path.read_text(encoding="latin-1")
    stated = {x: float(y) for x, y in re.findall(r"\((\w+):([\d.]+)\)", text)}
    s = hs.load(path)
    s.set_signal_type("EDS_espm_SEM")
    s.set_elements(list(stated))
    total = sum(stated.values())
    return s, {x: 100 * y / total for x, y in stated.items()}


@measured
@pytest.mark.parametrize(
    ("name", "most", "mean"),
    [
        ("glass_15kV_K411_std.msa", 8, 4),
        ("glass_15kV_K412_unk.msa", 8, 4),
        ("glass_15kV_MgO_std.msa", 4, 4),
        ("glass_15kV_CaF2_std.msa", 4, 4),
    ],
)
def test_measured_compounds_without_standards(name, most, mean):
    s, truth = standard(name)
    found = percent(s)
    relative = [100 * (found[x].percent / y - 1) for x, y in truth.items()]
    assert np.max(np.abs(relative)) < most
    assert np.mean(np.abs(relative)) < mean
    z = [(found[x].percent - y) / found[x].error for x, y in truth.items()]
    assert (np.abs(z) < 2).all()


def test_current_and_time_of_the_scanning_microscope():
    s = spectrum({"O": 2, "Si": 1})
    s.set_microscope_parameters(beam_current=0.7, real_time=12.0)
    microscope = s.metadata.Acquisition_instrument.SEM
    assert microscope.beam_current == 0.7
    assert microscope.Detector.EDS.real_time == 12.0
