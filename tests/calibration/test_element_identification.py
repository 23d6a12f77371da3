"""Names of elements, and the probability that they are false."""

import numpy as np
import pytest
from conftest import make_map
from scipy.optimize import minimize

from espm_hs.calibration.element_identification import any_element, identify
from espm_hs.calibration.line_evidence import Null, Spectrum
from espm_hs.calibration.line_patterns import Patterns
from espm_hs.physics import Detector, SpectrumModel
from espm_hs.simulation import Experiment, Phase

AXIS = 0.02 * np.arange(600)
SAMPLE = {"O": 60.0, "Si": 30.0, "Fe": 10.0}


def draw(composition, seed=0, total=2e5, axis=AXIS, **options):
    """Counts of a compound, and a model of its axis."""
    model = SpectrumModel(axis, 200.0, list(composition), **options)
    phase = Phase("sample", composition, density=5.0)
    spectrum = Experiment(model, [phase], [50.0]).spectra[:, 0]
    counts = np.random.default_rng(seed).poisson(total * spectrum / spectrum.sum())
    return model, counts


def test_noise_has_no_name():
    """Ten spectra of three elements: thirty names, of which 5 % may be false."""
    false = 0
    for seed in range(10):
        model, counts = draw(SAMPLE, seed, total=10 ** (3 + seed % 4))
        found = identify(model, counts, known=())
        false += len({*found.elements} - {*SAMPLE})
        if counts.sum() > 1e4:
            assert {*found.elements} >= {*SAMPLE}
    assert false <= 1


def test_traces_are_found_and_what_is_declared_and_absent_is_told():
    model, counts = draw({**SAMPLE, "Cr": 1.0, "Al": 1.0}, total=5e5)
    found = identify(model, counts, known=["O", "Si", "Ti"])
    assert {one.element for one in found.missing} == {"Fe", "Cr", "Al"}
    (absent,) = found.superfluous
    assert absent.element == "Ti"
    assert 0 < absent.percent < 0.5
    text = str(found)
    assert "not seen: Ti, no sign of Ti Ka1; less than" in text
    assert "missing: Cr, for Cr Ka1 (" in text
    table = found.to_dataframe()
    assert set(table["verdict"]) == {"there", "missing", "not seen"}
    iron = next(one for one in found.found if one.element == "Fe")
    assert iron.deviance == 2 * iron.gain
    assert iron.false < 1e-4


def test_lines_that_several_elements_have_are_ambiguous():
    """Up to 4 keV sulphur, molybdenum and lead have one broad peak at 2.3 keV each."""
    axis, wide = 0.01 * np.arange(400), Detector(resolution=300)
    traces = {"O": 70.0, "Si": 29.0, "S": 1.0}
    model, counts = draw(traces, total=1e4, axis=axis, detector=wide)
    found = identify(model, counts, known=(), calibrate=False)
    assert {"O", "Si"} == {*found.elements}
    (unclear,) = found.ambiguous
    names = {unclear.element, *(rival.element for rival in unclear.rivals)}
    assert len({"S", "Mo", "Pb"} & names) > 1
    assert " or " in str(unclear)
    # a longer axis and more counts decide
    model, counts = draw(traces, total=1e6)
    assert "S" in identify(model, counts, known=()).elements


def test_decoys_are_where_no_element_is():
    model, _ = draw(SAMPLE)
    patterns = Patterns(model, model.channels, ["O", "Si", "Ti", "Fe", "Cu", "Ba"])
    mains = [f.main.energy for own in patterns.families.values() for f in own]
    top = patterns.energy[patterns.decoys.argmax(axis=0)]
    nearest = np.abs(top[:, None] - mains).min(axis=1)
    assert np.all(nearest > 0.4e-3 * model.detector.fwhm(top))


def test_the_null_learns_what_the_model_gets_wrong():
    """Scores of counting noise, and of errors of 3 % that are large now and then."""
    rng = np.random.default_rng(0)
    under = 10 ** rng.uniform(1, 5, 400)
    for wrong in (0.0, 0.03):
        errors = wrong * np.sqrt(under) * rng.standard_t(4, size=400)
        z = rng.normal(size=400) + errors
        found = Null.of(_gains(z, under))
        assert found.relative == pytest.approx(wrong, rel=0.25, abs=2e-3)
    assert found.chance(12.5, 1.0) < 1e-5
    assert found.chance(12.5, 1e5) > 0.05


def _gains(z, under):
    from espm_hs.calibration.line_evidence import Gains

    return Gains(z, z, np.ones_like(z), under, np.empty((0, z.size)))


def test_gain_is_that_of_a_plain_fit():
    """One line on a flat background of few counts, by another optimiser."""
    model, _ = draw(SAMPLE)
    patterns = Patterns(model, model.channels, ["Cu"])
    line, flat = patterns.whole[:, 0], np.ones((patterns.energy.size, 1))
    counts = np.random.default_rng(1).poisson(0.5 + 40 * line / line.sum())
    spectrum = Spectrum(patterns, counts.astype(float), flat, {})

    def loss(p, columns):
        y = columns @ np.exp(p)
        return float((y - counts * np.log(y)).sum())

    best = [
        minimize(loss, np.zeros(c.shape[1]), (c,), method="Nelder-Mead", tol=1e-9).fun
        for c in (flat, np.column_stack([flat[:, 0], line]))
    ]
    gains = spectrum.gains(spectrum.fit(()), patterns.whole)
    assert gains.nats[0] == pytest.approx(best[0] - best[1], rel=0.05)
    # what moves within its error gains no less
    full = spectrum.fit(()).cost - spectrum.fit((0,)).cost
    assert full == pytest.approx(best[0] - best[1], rel=0.05)


def test_a_wrong_axis_is_found_with_the_elements():
    model, counts = draw({**SAMPLE, "Ca": 2.0}, total=1e6)
    wrong = model.replace(energy=AXIS * 1.002 + 0.02, elements=["Si"])
    found = identify(wrong, counts, known=())
    assert {*found.elements} == {*SAMPLE, "Ca"}
    assert found.refined["offset"] == pytest.approx(-20, abs=4)
    blind = identify(wrong, counts, known=(), calibrate=False)
    assert blind.misfit[1] > found.misfit[1]


def test_a_model_without_background_or_with_stray_elements_is_no_obstacle():
    """Nothing to fit ended the process; what was found could not be stray as well."""
    model, counts = draw(SAMPLE, total=1e6, background=False)
    bare = model.replace(elements=["Si"], background=False)
    assert {*identify(bare, counts, known=()).elements} >= {*SAMPLE}
    stray = model.replace(elements=["Si"], stray_elements=["Fe"], energy=AXIS + 0.02)
    assert "Fe" in identify(stray, counts, known=()).elements


def test_sum_peaks_stand_at_the_sum_also_beside_channels_that_are_left_out():
    model, counts = draw({"Si": 1.0}, total=1e6)
    whole = np.zeros(AXIS.size)
    whole[np.abs(AXIS - 1.74) < 0.05] = 1.0
    for left_out in (0.0, 0.2):
        used = model.channels & ~(np.abs(AXIS - 0.8) < left_out)
        patterns = Patterns(model, used, ["Si"])
        shapes = np.ones((used.sum(), 1))
        sums = Spectrum(patterns, counts[used], shapes, {})._sums(whole[used])
        assert AXIS[used][sums.argmax()] == pytest.approx(3.48, abs=0.03)


def test_any_element_has_lines_on_the_axis():
    for low, high in ((0.2, 2.0), (5.0, 10.0), (0.0, 40.0)):
        energy = np.linspace(low, high, 500)
        SpectrumModel(energy, 200.0, [any_element(energy, 200.0)])


class TestSignal:
    @pytest.fixture(scope="class")
    def whole(self):
        s = make_map((4, 4), 8000)
        del s.metadata.Sample.elements
        return s

    def test_nothing_need_be_known(self, whole):
        s = whole.deepcopy()
        before = str(s.metadata.as_dictionary()), s.axes_manager[-1].offset
        found = s.identify_elements(print_info=False)
        assert {"O", "Si", "Ti", "Fe", "Ni"} == {*found.elements}
        after = str(s.metadata.as_dictionary()), s.axes_manager[-1].offset
        assert after == before

    def test_goes_where_it_is_said(self, whole):
        s = whole.deepcopy()
        s.identify_elements(add="sample", print_info=False)
        assert {*s.metadata.Sample.elements} == {"O", "Si", "Ti", "Fe", "Ni"}
        s.set_elements(["O", "Si", "Ti", "Fe"])
        s.suggest_elements(add="stray", print_info=False)
        assert s.physical_model().stray_elements == ("Ni",)

    @pytest.mark.parametrize("add", ["sample", "stray"])
    def test_elements_off_the_axis_are_left_out(self, whole, add):
        s = whole.isig[1.0:].deepcopy()
        s.set_elements(["O", "Si", "Ti", "Fe"])
        with pytest.raises(ValueError, match="O has no line"):
            s.physical_model()
        found = s.identify_elements(print_info=False)
        assert found.unseen == ("O",)
        assert "O" in s.metadata.Sample.elements
        s.identify_elements(add=add, print_info=False)
        assert "O" not in s.physical_model().elements
        assert "Ni" in s.physical_model().elements or add == "stray"

    @pytest.mark.parametrize("add", [True, "grid", 1])
    def test_asks_where(self, whole, add):
        with pytest.raises(ValueError, match='add="sample"'):
            whole.identify_elements(add=add)

    def test_beam_energy_is_needed(self, whole):
        s = whole.deepcopy()
        del s.metadata.Acquisition_instrument.TEM.beam_energy
        with pytest.raises(ValueError, match="beam_energy="):
            s.identify_elements()


def test_elements_without_a_line_on_the_axis_are_told():
    s = make_map((6, 6), 1000, offset=0.3)
    s.add_elements(["B"])
    found = s.identify_elements(print_info=False)
    assert "no line on the axis: B" in str(found)
