"""The energy scale of the model, refined where the summed spectrum asks for it."""

import os
import warnings
from pathlib import Path

import hyperspy.api as hs
import numpy as np
import pytest

from benchmarks.accuracy.energy_scale import misread
from espm_hs.calibration.automatic import (
    AutomaticCalibration,
    calibration_text,
    drift_text,
)
from espm_hs.factorization import fit_spectrum
from espm_hs.metadata.schema import RESULTS
from espm_hs.metadata.writer import remove
from espm_hs.physics import Detector, SpectrumModel
from espm_hs.quantification.report import report
from espm_hs.simulation import DATASETS, Effects, Experiment, Phase

FOLDER = os.environ.get("ESPM_HS_TEST_DATA")
needs_maps = pytest.mark.skipif(not FOLDER, reason="ESPM_HS_TEST_DATA is not set")
MINERALS = ["Al", "Ca", "Fe", "Hf", "Lu", "Mg", "Nd", "Si", "Sm", "U"]


def small(name="core_shell", seed=0, **options):
    """Simulated map of 32 x 32 pixels."""
    return DATASETS[name](shape=(32, 32), seed=seed, **options)


def decomposed(signal, n_phases=3, **options):
    """Result of a decomposition that is quick rather than good."""
    options = {"n_init": 1, "smoothness": 0, "max_iter": 100, **options}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The fit did not converge")
        return signal.decomposition(
            algorithm="espm",
            output_dimension=n_phases,
            print_info=options.pop("print_info", False),
            return_info=True,
            **options,
        )


def summed(signal, model):
    return np.asarray(signal.data, float).sum((0, 1))[model.channels]


@pytest.mark.parametrize(
    "off",
    [
        {"offset": 40},
        {"offset": -40},
        {"gain": 0.8},
        {"gain": -0.8},
        {"width": 10},
        {"width": -10},
        {"offset": -40, "gain": 0.8, "width": 10},
    ],
)
def test_scales_that_are_off_are_mended(off):
    signal = misread(small(), **off)
    found = decomposed(signal)
    assert found.misfit < 1.1
    changes = found.calibration
    assert changes.get("offset", 0.0) == pytest.approx(-off.get("offset", 0), abs=4)
    gain = 1 + 1e-2 * off.get("gain", 0)
    assert changes.get("gain", 0.0) == pytest.approx(100 * (1 / gain - 1), abs=0.06)
    true = 130.0
    assert found.model.detector.resolution == pytest.approx(true, abs=3)


@pytest.mark.parametrize("name", DATASETS)
@pytest.mark.parametrize("seed", range(5))
def test_right_scales_stay_and_do_not_drift(name, seed):
    """Also where the composition differs from one part of the scan to the other."""
    signal = small(name, seed, counts_per_pixel=200)
    model = signal.physical_model()
    counts = np.asarray(signal.data, float).reshape(4, -1, signal.data.shape[-1])
    parts = counts.sum(axis=1)[:, model.channels]
    refinement = AutomaticCalibration()
    after, changes = refinement.refined(model, parts.sum(axis=0), model.channels)
    assert abs(changes.get("offset", 0.0)) < 3
    assert refinement.drift(after, parts, model.channels) == {}


def test_a_map_of_few_counts_stays():
    signal = small(counts_per_pixel=1)
    model = signal.physical_model()
    after, changes = AutomaticCalibration().refined(
        model, summed(signal, model), model.channels
    )
    assert after is model
    assert changes == {}


def test_a_missing_element_does_not_move_the_scale():
    signal = small("particles")
    signal.set_elements(["O", "Mg", "Fe", "Ni"])  # Si and Ti are missing
    signal.set_analysis_parameters(stray_elements=[])
    model = signal.physical_model()
    _, changes = AutomaticCalibration().refined(
        model, summed(signal, model), model.channels
    )
    assert abs(changes.get("offset", 0.0)) < 3
    assert abs(changes.get("gain", 0.0)) < 0.1


def test_a_scale_that_is_absurdly_off_stays():
    signal = misread(small(), offset=300)
    model = signal.physical_model()
    after, changes = AutomaticCalibration().refined(
        model, summed(signal, model), model.channels
    )
    assert (after, changes) == (model, {})


def test_an_efficiency_that_ends_where_the_axis_does():
    signal = misread(small(), offset=30)
    energy = signal.axes_manager[-1].axis
    curve = np.linspace(0.14, energy[-1] + 0.001, 50)
    detector = Detector.from_curve(curve, np.full(50, 0.5))
    signal.set_analysis_parameters(detector=detector)
    found = decomposed(signal)
    assert found.calibration["offset"] == pytest.approx(-30, abs=4)
    assert found.to_dict()["model"]["detector"]["curve_energy"][0] == 0


def test_axis_and_metadata_of_the_user_stay():
    signal = misread(small(), offset=30, gain=0.3)
    axis = signal.axes_manager[-1]
    before = axis.offset, axis.scale, axis.units, axis.size
    metadata = str(signal.metadata)
    assert decomposed(signal).calibration
    assert (axis.offset, axis.scale, axis.units, axis.size) == before
    remove(signal.metadata, RESULTS)
    assert str(signal.metadata) == metadata


def test_never_leaves_the_model_as_it_is():
    signal = misread(small(), offset=30)
    found = decomposed(signal, calibration="never")
    assert found.calibration == {}
    assert found.misfit > 10
    np.testing.assert_array_equal(found.model.energy, signal.physical_model().energy)


@pytest.mark.parametrize("value", ["always", None, True, 1, ["auto"], np.ones(2)])
@pytest.mark.parametrize(
    "call",
    [
        lambda s, **x: s.decomposition(algorithm="espm", output_dimension=2, **x),
        lambda s, **x: s.estimate_number_of_phases([1, 2], **x),
        lambda s, **x: s.estimate_binning(2, [1, 2], **x),
        lambda s, **x: s.estimate_mass_thickness(method="absorption", **x),
    ],
)
def test_other_values_are_refused_before_any_work(call, value):
    signal = small()
    with pytest.raises(ValueError, match="`calibration` must be 'auto' or 'never'"):
        call(signal, calibration=value)
    assert "results" not in signal.metadata.get_item("EDS_espm", {})


def test_the_refined_model_is_stored_and_used(tmp_path, capsys):
    signal = misread(small(), offset=30)
    found = decomposed(signal, print_info=True)
    printed = [x for x in capsys.readouterr().out.splitlines() if "refined" in x]
    assert printed == calibration_text(found.calibration)
    assert "offset -30 eV" in printed[0]
    assert "refine_calibration() writes the energy scale to the signal." in printed[0]
    assert printed[0] in signal.print_quantification().footer()
    file = tmp_path / "map.hspy"
    signal.save(file)
    loaded = hs.load(file)
    again = loaded.analysis_results()
    assert again.calibration == found.calibration
    np.testing.assert_allclose(again.model.energy, found.model.energy)
    assert again.model.energy[0] - signal.axes_manager[-1].offset == pytest.approx(
        -0.03, abs=3e-3
    )
    for one, other in zip(signal.quantify(), loaded.quantify(), strict=True):
        np.testing.assert_array_equal(one.data, other.data)
    lines = loaded.plot_fit().axes[0].lines
    assert lines[0].get_xdata()[0] == pytest.approx(again.model.energy[0])


def test_nothing_is_said_where_the_model_fits(capsys):
    found = decomposed(small(), print_info=True)
    assert found.calibration == {}
    assert "calibration" not in found.to_dict()
    assert "refined" not in capsys.readouterr().out


def test_known_phases_and_masks_go_with_the_refined_model():
    signal = misread(small(), offset=30)
    vacuum = np.zeros((32, 32), bool)
    vacuum[:2] = True
    high = signal.axes_manager[-1].axis > 12
    found = decomposed(
        signal,
        known_phases={"film": {"absent": ["Fe", "Pt"]}},
        navigation_mask=vacuum,
        signal_mask=high,
    )
    assert found.calibration["offset"] == pytest.approx(-30, abs=4)
    assert not found.channels[high].any()
    assert found.misfit < 1.3


def test_lazy_maps_are_refined_alike():
    signal = misread(small(), offset=30)
    one = decomposed(signal)
    other = decomposed(signal.as_lazy())
    assert other.calibration == one.calibration


def test_estimates_use_the_refined_model(capsys):
    signal = misread(small(), offset=40)
    options = {"n_thinnings": 2, "n_init": 1, "show_progressbar": False}
    assert signal.estimate_number_of_phases([1, 3, 5], **options) == 3
    assert "Model refined: offset -40 eV" in capsys.readouterr().out


@pytest.mark.parametrize("exponent", [0.3, -0.3])
def test_a_background_of_another_shape_leaves_weak_lines_alone(exponent):
    """Traces of 0.1 at.% before the background is bent to the counts, and after."""
    traces = "N F Na Al P Cl K Cr Fe Zn Zr Ag Ba Au".split()  # noqa: SIM905
    left = 1 - 1e-3 * len(traces)
    quartz = {"O": 2 / 3 * left, "Si": left / 3, **dict.fromkeys(traces, 1e-3)}
    model = SpectrumModel(0.01 * np.arange(2048), 200, list(quartz))
    sample = Phase("quartz", quartz, 2.6, (0.02, 0.1, 0.1))
    effects = Effects(background_exponent=exponent)
    spectrum = Experiment(model, [sample], [[100.0]], effects=effects).spectra[:, 0]
    x = 1e9 * spectrum[model.channels]
    free = model.replace(background="splines")
    bent = free.bent_to(fit_spectrum(free.G[model.channels], x)[0])
    errors = []
    for one in (model, free, bent, SpectrumModel.from_dict(bent.to_dict())):
        found = fit_spectrum(one.G[model.channels], x)[0][one.element_columns]
        errors.append(np.abs(100 * found / found.sum() - 0.1)[2:].max())
    assert errors[0] > 0.09
    assert max(errors[1:]) < 1e-3


@pytest.mark.parametrize("drift", [0.01, -0.01])
def test_a_drift_is_told_with_its_size(drift):
    signal = small(counts_per_pixel=200, effects=Effects(gain_drift=drift))
    with pytest.warns(UserWarning, match="energy scale drifts during the scan"):
        found = decomposed(signal)
    # between the middles of the first and the last quarter
    assert found.calibration["drift_gain"] == pytest.approx(0.75, rel=0.3)
    (text,) = drift_text(found.calibration)
    assert "from quarter 1 to quarter 4" in text


@pytest.mark.parametrize("cut", [0, 1])
def test_weak_signals_that_were_cut_off_are_told(cut):
    """Peaks lose their flanks first, and the more so the fewer counts there are."""
    dim, signal = (small(counts_per_pixel=n) for n in (100, 800))
    signal.data = signal.data.astype(int)
    signal.data[:16] = dim.data[:16]
    signal.data = np.maximum(signal.data - cut, 0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = decomposed(signal)
    told = [str(one.message) for one in caught if "wider" in str(one.message)]
    assert len(told) == cut
    changes = found.calibration
    assert ("width_bright" in changes) == bool(cut)
    if cut:
        assert changes["width_bright"] > changes["width_dim"] + 5
        assert told == drift_text(changes)
        assert told[0] in str(report(found))


@needs_maps
@pytest.mark.parametrize(
    ("name", "elements", "stray", "most"),
    [
        ("sio2_particles_128x128.hspy", ["O", "Si"], ["Cu", "C"], 6.3),
        ("velox_si_16x16.emd", ["O", "C", "Ca", "Fe", "Pt"], [], 1.5),
        ("bruker_tem_64x64.bcf", ["O", "Pd", "Ti"], ["Cu", "Si", "C", "N"], 1.2),
        ("mantle_minerals_80x80.hspy", MINERALS, ["Cu", "Ga", "Mo"], 1.6),
    ],
)
def test_measured_maps_fit_at_the_first_call(name, elements, stray, most):
    found = hs.load(Path(FOLDER) / name)
    found = found if isinstance(found, list) else [found]
    signal = next(s for s in found if s.data.ndim == 3 and s.data.shape[-1] > 1000)
    signal.set_signal_type("EDS_espm")
    signal.set_elements(elements)
    signal.set_analysis_parameters(stray_elements=stray)
    result = decomposed(signal, 3 if "mantle" in name else 2, n_init=2)
    assert result.misfit < most


def test_families_of_lines_may_come_into_range_on_the_way():
    """The axis of this spectrum ends where lines of platinum begin."""
    import exspy

    s = exspy.data.EDS_TEM_FePt_nanoparticles()
    s.set_signal_type("EDS_espm")
    s.set_analysis_parameters(stray_elements=["Cu", "C", "O", "Si"])
    first = s.refine_calibration(print_info=False).after
    again = s.refine_calibration(print_info=False).after
    assert abs(again.energy[0] - first.energy[0]) < 2e-3
    assert again.detector.resolution == pytest.approx(first.detector.resolution, abs=3)
