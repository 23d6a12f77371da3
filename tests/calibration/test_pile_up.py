"""Sum peaks, in spectra of photons that arrive one after another at random times."""

import numpy as np
import pytest
from exspy.signals import EDSTEMSpectrum

from espm_hs.calibration.pile_up import LABEL, pile_up
from espm_hs.metadata.reader import counting_time
from espm_hs.metadata.schema import ITEMS
from espm_hs.metadata.writer import remove
from espm_hs.physics import SpectrumModel

ENERGY = -0.1 + 0.01 * np.arange(1200)
TRUTH = {"O": 0.6, "Al": 0.398, "Ag": 0.002}
SI = {"O": 0.667, "Si": 0.333}
# Photons per second, and seconds within which two are counted as one.
FAST, RESOLUTION = 1e5, 2e-7


def photons(composition, n, rng):
    """Energies (keV) of photons of a film that reach a windowless detector."""
    model = SpectrumModel(ENERGY, 200.0, list(composition), background=False)
    lines = model.sources().lines
    atoms = np.array([composition[line.element] for line in lines.emitted])
    weights = lines.area * atoms
    energies = rng.choice(lines.energy, n, p=weights / weights.sum())
    # a tenth of the photons is bremsstrahlung
    smooth, grid = rng.random(n) < 0.1, np.linspace(0.06, 11.8, 20_000)
    shares = model.detector.efficiency(grid) / grid
    energies[smooth] = rng.choice(grid, smooth.sum(), p=shares / shares.sum())
    return energies


def counted(energies, rate, rng):
    """Histogram of what a pulse processor takes for photons, and the live time."""
    arrival = np.cumsum(rng.exponential(1 / rate, energies.size))
    pulse = np.cumsum(np.diff(arrival, prepend=-1.0) > RESOLUTION) - 1
    sums = np.bincount(pulse, energies)
    # statistics of charge, and noise of the electronics once for each pulse
    charge = 0.12 * 3.65e-3 * sums
    noise = (0.130 / 2.3548) ** 2 - 0.12 * 3.65e-3 * 5.895
    seen = rng.normal(sums, np.sqrt(charge + noise))
    edges = np.append(ENERGY - 0.005, ENERGY[-1] + 0.005)
    return np.histogram(seen, edges)[0], arrival[-1]


def measured(composition, rate, n=1_500_000, seed=0):
    rng = np.random.default_rng(seed)
    return counted(photons(composition, n, rng), rate, rng)


def signal_of(data, elements, live_time=None):
    """Signal of a spectrum or map, whose live time is that of a pixel."""
    signal = EDSTEMSpectrum(data)
    axis = signal.axes_manager[-1]
    axis.offset, axis.scale, axis.units = ENERGY[0], 0.01, "keV"
    signal.set_signal_type("EDS_espm")
    signal.set_elements(elements)
    signal.set_microscope_parameters(beam_energy=200.0)
    signal.set_analysis_parameters(detector="windowless", mass_thickness=0)
    if live_time is not None:
        signal.set_microscope_parameters(live_time=live_time)
        signal.set_analysis_parameters(live_time_of="pixel")
    return signal


def quantified(signal, n_phases=1):
    """Return what was found, at.% by symbol and phase, and counting errors."""
    found = signal.decomposition(
        algorithm="espm",
        output_dimension=n_phases,
        print_info=False,
        show_progressbar=False,
        return_info=True,
    )
    return found, dict(zip(found.elements, found.composition, strict=True))


@pytest.fixture(scope="module")
def fast():
    return measured(TRUTH, FAST)


def test_silver_is_right_with_sum_peaks_and_wrong_without(fast):
    """Al + Al is at 2.97 keV, Ag La at 2.98: 0.2 at.% is found as nearly twice that."""
    counts, time = fast
    signal = signal_of(counts, list(TRUTH), time)
    _, found = quantified(signal)  # auto
    assert found["Ag"][0] == pytest.approx(TRUTH["Ag"], rel=0.1)
    assert found["Al"][0] == pytest.approx(TRUTH["Al"], rel=0.01)
    signal.set_analysis_parameters(pile_up=False)
    _, without = quantified(signal)
    assert without["Ag"][0] > 1.6 * TRUTH["Ag"]


def test_amplitude_is_rate_times_resolution(fast):
    counts, time = fast
    model = signal_of(counts, list(TRUTH)).physical_model()
    found = pile_up(model, counts, time=time)
    assert found.rate == pytest.approx(FAST, rel=0.1)
    assert found.share == pytest.approx(FAST * RESOLUTION, rel=0.1)
    assert found.resolution == pytest.approx(1e9 * RESOLUTION, rel=0.1)


@pytest.mark.parametrize(
    ("rate", "on"), [(FAST, True), (500.0, False)], ids=["fast", "slow"]
)
def test_auto_follows_rate_and_counts(rate, on, capsys):
    counts, time = measured(TRUTH, rate, n=200_000)
    signal = signal_of(counts, list(TRUTH), time)
    signal.decomposition(algorithm="espm", output_dimension=1, show_progressbar=False)
    labels = [c.label for c in signal.analysis_results().model.columns]
    assert (LABEL in labels) == on
    assert ("Sum peaks (pile-up) are modelled" in capsys.readouterr().out) == on


def test_what_the_spectrum_does_not_show_is_not_modelled(fast):
    """A processor that rejects all pile-up, and one that was told to be fast."""
    counts, _ = measured(TRUTH, 500.0)
    model = signal_of(counts, list(TRUTH)).physical_model()
    assert pile_up(model, counts, time=counts.sum() / FAST) is None
    counts, time = fast
    assert pile_up(model, counts, 300, time) is not None
    assert pile_up(model, counts, 20, time) is None  # ten times as high as it may be


def test_a_few_counts_show_no_sum_peaks():
    counts, time = measured(TRUTH, FAST, n=200)
    model = signal_of(counts, list(TRUTH)).physical_model()
    assert pile_up(model, counts, time=time) is None


def test_sum_of_two_lines_is_no_element():
    """Si + O at 2.27 keV is near S, Mo and Nb, Si + Si at 3.48 near Sn and Ca."""
    counts, time = measured(SI, FAST)
    signal = signal_of(counts, list(SI), time)
    for asked in ("auto", False):
        signal.set_analysis_parameters(pile_up=asked)
        assert not signal.suggest_elements(print_info=False).missing


def test_peaks_of_the_folded_spectrum_are_where_and_as_wide_as_pairs_are():
    """The noise of the electronics is in a sum once, not in both photons."""
    rng = np.random.default_rng(1)
    energies = photons(SI, 400_000, rng)
    # those that the model leaves to the noise peak aside
    energies = energies[energies > 0.2][:300_000]
    pairs = energies.reshape(-1, 2).sum(axis=1)
    single, _ = counted(energies, 1.0, rng)
    # as if every photon came with another
    double, _ = counted(pairs, 1.0, rng)
    model = signal_of(single, list(SI)).physical_model()
    found = pile_up(model, single, True)
    fitted = model.channels & (ENERGY > 0.6)
    expected = found.shape[fitted] * pairs.size
    deviation = (double[fitted] - expected) / np.sqrt(expected + 1)
    assert np.mean(deviation**2) < 1.3


def test_phases_of_different_rates_have_sum_peaks_of_their_own():
    """A map of two phases, one of them eight times as bright."""
    rng = np.random.default_rng(2)
    data = np.zeros((8, 8, ENERGY.size), dtype=np.uint16)
    phases = ((TRUTH, FAST), (SI, FAST / 8))
    for row in range(8):
        composition, rate = phases[row // 4]
        for column in range(8):
            n = rng.poisson(rate * 0.3)
            data[row, column], _ = counted(photons(composition, n, rng), rate, rng)
    signal = signal_of(data, ["O", "Al", "Si", "Ag"], live_time=0.3)
    _, found = quantified(signal, 2)
    alumina = int(np.argmax(found["Al"]))
    assert found["Ag"][alumina] == pytest.approx(TRUTH["Ag"], rel=0.1)
    assert found["Ag"][1 - alumina] < 0.1 * TRUTH["Ag"]


@pytest.mark.parametrize(
    ("stated", "counts", "seconds"),
    [
        ({"live_time": 60.0}, 1e6, 60.0),
        # 50 million a second in 20 ms: that of each of the 12 pixels
        ({"live_time": 0.02}, 1e6, 0.24),
        ({"live_time": 60.0, "live_time_pixels": 1}, 1e6, 720.0),
        ({"real_time": 80.0}, 1e6, 80.0),
        # dead for 93 % of the time: not the live time of these counts
        ({"live_time": 28.0, "real_time": 411.0}, 1e6, 411.0),
        ({}, 1e6, None),
    ],
)
def test_time_of_a_map(eds, stated, counts, seconds):
    for name in ("live_time", "real_time", "live_time_pixels"):
        remove(eds.metadata, ITEMS[name].path)
        if name in stated:
            eds.metadata.set_item(ITEMS[name].path, stated[name])
    assert counting_time(12, counts, eds.metadata) == seconds


@pytest.mark.parametrize("value", [0.5, -1, 2e4, "yes", [200], np.nan])
def test_what_makes_no_sense_is_refused(eds, value):
    with pytest.raises(ValueError, match="`pile_up` must be 'auto', True, False, or"):
        eds.set_analysis_parameters(pile_up=value)
    assert not eds.metadata.has_item("EDS_espm.pile_up")


def test_a_resolution_needs_the_live_time(fast):
    counts, time = fast
    signal = signal_of(counts, list(TRUTH))
    signal.set_analysis_parameters(pile_up=300)
    with pytest.raises(ValueError, match="live time, which is not set"):
        quantified(signal)
    signal.set_microscope_parameters(live_time=time)
    found, _ = quantified(signal)
    assert LABEL in [c.label for c in found.model.columns]


@pytest.mark.parametrize("asked", [False, "auto"])
def test_without_a_time_they_are_modelled_where_asked_alone(fast, asked):
    counts, _ = fast
    model = signal_of(counts, list(TRUTH)).physical_model()
    assert pile_up(model, counts, asked) is None
    found = pile_up(model, counts, True)
    assert found.share == pytest.approx(FAST * RESOLUTION, rel=0.1)
    assert str(found).endswith("% of the counts are sums of two photons.")
