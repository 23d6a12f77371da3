"""Absorption, detector, background and peaks."""

import json

import numpy as np
import pytest
import xraylib
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import exponnorm, norm

from espm_hs.physics import (
    Detector,
    atomic_to_mass_fractions,
    mass_absorption_coefficient,
    mass_thickness,
    mass_to_atomic_fractions,
)
from espm_hs.physics.xray.absorption import _tables, escape_through
from espm_hs.physics.xray.unabsorbed import (
    ESCAPE_ENERGY,
    Channels,
    PeakShape,
    PeakSum,
    bremsstrahlung,
    escape_share,
    with_escape_peaks,
)


def escape_fraction(mass_fractions, energy, mass_thickness, angle):
    """Mass thickness in kg/m2, that is 0.1 g/cm2."""
    mu = np.asarray(mass_absorption_coefficient(mass_fractions, energy))
    return escape_through(0.1 * mass_thickness * mu, angle)


amounts = st.dictionaries(
    st.sampled_from(["H", "O", "Mg", "Si", "Fe", "Pt", "U"]),
    st.floats(0.01, 100),
    min_size=1,
)


def test_mass_fractions_of_fayalite():
    mass = atomic_to_mass_fractions({"Fe": 2, "Si": 1, "O": 4})
    assert mass == pytest.approx({"Fe": 0.5481, "Si": 0.1378, "O": 0.3141}, abs=1e-4)


@given(amounts)
def test_fractions_round_trip(atomic):
    back = mass_to_atomic_fractions(atomic_to_mass_fractions(atomic))
    total = sum(atomic.values())
    assert back == pytest.approx({k: v / total for k, v in atomic.items()})


@pytest.mark.parametrize("fractions", [{}, {"Fe": 0}, {"Fe": -1}, {"Fe": np.nan}])
def test_fraction_errors(fractions):
    with pytest.raises(ValueError, match="raction"):
        atomic_to_mass_fractions(fractions)


# photoelectric part of NIST XCOM, cm2/g; the FFAST tables are up to 6 % below
@pytest.mark.parametrize(
    ("element", "energy", "expected"),
    [
        ("C", 1.0, 2209),
        ("O", 1.0, 4587),
        ("Al", 5.0, 191.9),
        ("Si", 10.0, 33.0),
        ("Fe", 10.0, 169.3),
        ("Au", 10.0, 115.6),
        ("Cu", 8.0, 51.2),
    ],
)
def test_absorption_against_xcom(element, energy, expected):
    found = mass_absorption_coefficient(element, energy)
    assert isinstance(found, float)
    assert found == pytest.approx(expected, rel=0.07)


# at Cu La in Cu and O Ka in O, just below edges, an interpolation across the edge is
# wrong by a factor 2 to 10; other tables by 15 %
@pytest.mark.parametrize(
    ("element", "energy", "ffast"),
    [("Cu", 0.9297, 1514), ("O", 0.5249, 1120), ("Cu", 8.6389, 39.57)],
)
def test_absorption_against_ffast(element, energy, ffast):
    found = mass_absorption_coefficient(element, energy)
    assert found == pytest.approx(ffast, rel=0.01)


@pytest.mark.parametrize("z", range(1, 93))
def test_absorption_is_positive_and_without_overshoot(z):
    mu = mass_absorption_coefficient(z, np.geomspace(0.1, 40, 5000))
    assert np.all((mu > 0) & (mu < 1e8))
    if z not in _tables():
        return
    energy, coefficient = _tables()[z]
    known = (energy > 0.05) & (energy < 400)
    ends, values = np.log(energy[known]), coefficient[known]
    inside = ends[:-1] + np.linspace(0, 1, 20)[1:-1, None] * np.diff(ends)
    found = mass_absorption_coefficient(z, np.exp(inside))
    # between neighbouring points: monotone and never beyond either
    path = np.vstack([values[:-1], found, values[1:]])
    steps = np.diff(path, axis=0) / path[:1]
    assert np.all((steps > -1e-9).all(axis=0) | (steps < 1e-9).all(axis=0))


def test_absorption_jumps_at_the_edge():
    # points of the table at 0.9321 and 0.9377, L3 edge at 0.933 keV
    edge = xraylib.EdgeEnergy(29, xraylib.L3_SHELL)
    below, above = mass_absorption_coefficient("Cu", edge * np.array([0.9999, 1.0001]))
    assert below == pytest.approx(1503, rel=0.01)
    assert above / below > 3
    energy, coefficient = _tables()[29]
    assert below == pytest.approx(coefficient[energy < edge][-1])
    assert above == pytest.approx(coefficient[energy > edge][0])


def test_absorption_of_a_mixture_is_the_weighted_mean():
    energy = np.array([[0.3, 1.0], [5.0, 20.0]])
    mixture = mass_absorption_coefficient({"Fe": 3, "O": 1}, energy)
    parts = [mass_absorption_coefficient(e, energy) for e in ("Fe", "O")]
    np.testing.assert_allclose(mixture, 0.75 * parts[0] + 0.25 * parts[1])
    held = mass_absorption_coefficient("Fe", np.array([0.02, 0.05]))
    assert held[0] == held[1]


@pytest.mark.parametrize(
    ("what", "energy"), [("Fe", 0), ("Fe", -1), ("Fe", 1e4), ("Np", 5), ("Zz", 5)]
)
def test_absorption_errors(what, energy):
    with pytest.raises(ValueError, match=r"energies|uranium|symbol"):
        mass_absorption_coefficient(what, energy)


def test_mass_thickness_and_escape():
    # 100 nm of gold: 1e-5 cm x 19.3 g/cm3 = 1.93e-4 g/cm2
    areal = mass_thickness(100, 19.3)
    assert areal == pytest.approx(1.93e-3)
    mu = mass_absorption_coefficient("Au", 2.12)
    depth = 1.93e-4 / np.sin(np.radians(22))
    mean = quad(lambda t: np.exp(-mu * depth * t), 0, 1)[0]
    found = escape_fraction({"Au": 1}, np.array([2.12]), areal, 22)
    assert found == pytest.approx(mean)
    assert escape_fraction({"Au": 1}, np.array([2.12]), 0, 22) == pytest.approx(1)
    with pytest.raises(ValueError, match="density"):
        mass_thickness(100, -1)


def test_escape_towards_several_detectors():
    energy = np.array([0.5, 1.0, 5.0])
    single = [escape_fraction({"Au": 1}, energy, 2e-3, angle) for angle in (15, 30)]
    both = escape_fraction({"Au": 1}, energy, 2e-3, [15, 30])
    np.testing.assert_allclose(both, np.mean(single, axis=0))
    assert escape_fraction({"Au": 1}, 1.0, 2e-3, (15, 30)) == pytest.approx(both[1])


def test_width_at_mn_ka_and_by_statistics():
    detector = Detector(resolution=128, fano_factor=0.12)
    assert detector.fwhm(5.895) == pytest.approx(128)
    # variance of the number of pairs, E / 3.65 eV, times F
    pairs = 1000 * (10 - 5.895) / 3.65
    added = 2.35482**2 * 0.12 * pairs * 3.65**2
    assert detector.fwhm(10) == pytest.approx(np.sqrt(128**2 + added), rel=1e-5)
    assert np.all(np.diff(detector.fwhm(np.linspace(0, 40, 100))) > 0)


def test_low_energy_shift():
    detector = Detector(low_energy_shift=30)
    assert detector.peak_energy(0.277) == pytest.approx(
        0.277 - 0.030 * np.exp(-0.277 / 0.6)
    )
    assert detector.peak_energy(20) == pytest.approx(20)
    assert Detector().peak_energy(0.277) == 0.277


@given(st.floats(0.05, 100), st.sampled_from(["windowless", "polymer_window", "ideal"]))
def test_efficiency_is_a_probability(energy, name):
    efficiency = Detector.preset(name).efficiency(energy)
    assert 0 <= efficiency <= 1
    if name == "ideal":
        assert efficiency == pytest.approx(1)


def test_efficiency_by_hand():
    energy = np.array([0.525, 20.0])
    mu_si = mass_absorption_coefficient("Si", energy)
    mu_al = mass_absorption_coefficient("Al", energy)
    detector = Detector(layers=[("Al", 0.1)], crystal_thickness=0.5, transmission=0.9)
    expected = 0.9 * np.exp(-mu_al * 2.6989e-5) * (1 - np.exp(-mu_si * 2.33 * 0.05))
    np.testing.assert_allclose(detector.efficiency(energy), expected)
    grid = Detector(layers=[], grid=("Si", 380, 0.77)).efficiency(np.array([0.5]))
    assert grid == pytest.approx(0.77, rel=1e-6)


def test_window_costs_light_elements():
    energy = np.array([0.277, 0.525, 1.74, 8.0])
    windowless = Detector().efficiency(energy)
    window = Detector.preset("polymer_window").efficiency(energy)
    assert np.all(window < windowless)
    assert window[1] < 0.7 * windowless[1]
    assert np.all(windowless > 0.75)


def test_efficiency_curve():
    detector = Detector.from_curve([0.1, 1, 20], [0.2, 0.9, 0.4], resolution=125)
    assert detector.resolution == 125
    np.testing.assert_allclose(detector.efficiency([0.55, 1, 20]), [0.55, 0.9, 0.4])
    with pytest.raises(ValueError, match=r"covers 0\.1 to 20 keV.*to 25 keV"):
        detector.efficiency([1, 25])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"resolution": 110}, r"at least 119\.\d eV.*found 110"),
        ({"resolution": float("nan")}, "at least"),
        ({"fano_factor": -0.1}, "Fano"),
        ({"layers": [("Unobtainium", 1)]}, "Unobtainium.*polyimide"),
        ({"layers": [("Al", -1)]}, "non-negative"),
        ({"crystal_thickness": -1}, "non-negative"),
        ({"transmission": 0}, "transmission"),
        ({"grid": ("Si", 380, 1.2)}, "open fraction"),
        ({"curve": ([1, 2], [0.5])}, "as many"),
        ({"tail": 1.0}, "share of counts in the tail"),
        ({"tail_length": 0.1}, "1 to 2000 eV, found 0.1"),
        ({"curve": ([2, 1], [0.5, 0.5])}, "increase"),
        ({"curve": ([1, 2], [0.5, 1.5])}, "between 0 and 1"),
    ],
)
def test_detector_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        Detector(**arguments)


def test_unknown_preset_lists_those_there_are():
    with pytest.raises(ValueError, match="windowless, polymer_window, ideal"):
        Detector.preset("beryllium")
    with pytest.raises(ValueError, match=r"Unknown detector parameters \['colour'\]"):
        Detector.from_dict({"colour": "blue"})
    with pytest.raises(ValueError, match="A layer reads like"):
        Detector.from_dict({"layers": "Al 0.038 mm thick"})


@pytest.mark.parametrize(
    "detector",
    [
        Detector(),
        Detector.preset("polymer_window", resolution=127.3),
        Detector.preset("ideal"),
        Detector.from_curve(np.array([0.1, 20]), np.array([0.3, 0.7])),
        Detector().replace(low_energy_shift=31.4),
        Detector(tail=0.02, tail_length=150, escape_peak=np.True_),
    ],
)
def test_detector_survives_metadata(detector):
    plain = json.loads(json.dumps(detector.to_dict()))
    assert all(isinstance(value, (float, str, list, bool)) for value in plain.values())
    assert Detector.from_dict(plain) == detector
    assert hash(Detector.from_dict(plain)) == hash(detector)


def test_preset_may_be_named_in_metadata():
    plain = {"preset": "polymer_window", "resolution": 125.0}
    expected = Detector.preset("polymer_window", resolution=125)
    assert Detector.from_dict(plain) == expected


def test_bremsstrahlung_by_hand():
    shapes = bremsstrahlung(np.array([-1.0, 0.0, 2.0, 10.0, 200.0, 250.0]), 200)
    assert shapes.shape == (6, 3)
    assert np.all(shapes[[0, 1, 4, 5]] == 0)
    np.testing.assert_allclose(
        shapes[2], [198 / 200, 198 / (200 * 2), np.exp(-0.2) / 2]
    )


@given(
    st.lists(
        st.tuples(st.floats(-1, 12), st.floats(0.02, 0.1), st.floats(0, 5)),
        min_size=1,
        max_size=5,
    )
)
def test_peaks_equal_normal_distribution(peaks):
    offset, scale, size = -0.2, 0.02, 500
    position, sigma, area = map(np.array, zip(*peaks, strict=True))
    column = np.arange(len(peaks)) % 2
    channels = Channels(offset, scale, size)
    found = PeakSum(channels, PeakShape(position, sigma), column, 2)(area)
    edges = offset + scale * (np.arange(size + 1) - 0.5)
    expected = np.zeros((size, 2))
    for p, s, a, c in zip(position, sigma, area, column, strict=True):
        expected[:, c] += a * np.diff(norm.cdf(edges, p, s))
    np.testing.assert_allclose(found, expected, atol=1e-8)
    assert np.all(found >= 0)


def test_no_peaks():
    none = np.array([])
    peaks = PeakSum(Channels(0, 0.01, 10), PeakShape(none, none, 0.1), none, 3)
    assert peaks(none).shape == (10, 3)
    assert not peaks(none).any()


@given(
    st.floats(0.01, 0.2), st.floats(0.001, 1), st.floats(0, 0.99), st.floats(0.5, 2.0)
)
def test_tail_equals_folded_exponential(sigma, length, tail, position):
    channels = Channels(-8.0, 0.05, 260)
    shape = PeakShape(np.array([position]), np.array([sigma]), tail, length)
    found = PeakSum(channels, shape, np.array([0]), 1)(np.array([3.0]))[:, 0]
    edges = channels.offset + channels.scale * (np.arange(channels.size + 1) - 0.5)
    # scipy's has its tail on the right
    folded = np.diff(
        -exponnorm.cdf(2 * position - edges, length / sigma, position, sigma)
    )
    plain = np.diff(norm.cdf(edges, position, sigma))
    expected = 3 * ((1 - tail) * plain + tail * folded)
    # the functions of scipy lose digits in short tails
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.all(found >= -1e-15)
    # all counts are there but those below the axis
    below = (
        3
        * tail
        * exponnorm.sf(2 * position - edges[0], length / sigma, position, sigma)
    )
    assert found.sum() == pytest.approx(3 - below, abs=1e-6)


def test_tail_moves_the_mean():
    channels = Channels(-2.0, 0.005, 3000)
    energy = -2.0 + 0.005 * np.arange(3000)
    shape = PeakShape(np.array([6.0]), np.array([0.05]), 0.2, 0.1)
    found = PeakSum(channels, shape, np.array([0]), 1)(np.array([1.0]))[:, 0]
    assert found.sum() == pytest.approx(1, abs=1e-8)
    assert energy @ found == pytest.approx(6 - 0.2 * 0.1, abs=1e-6)


def test_escape_share():
    energy = np.array([1.0, 1.8, 2.013, 3.69, 6.4, 15.0])
    share = escape_share(energy)
    assert np.all(share[:2] == 0)
    assert np.all(np.diff(share[2:]) < 0)
    # the formula by hand; measured ones are 1-2 % for P and below 1 % for Ca
    mu, own = (mass_absorption_coefficient("Si", e) for e in (2.013, 1.7398))
    omega, jump = xraylib.FluorYield(14, 0), xraylib.JumpFactor(14, 0)
    expected = 0.5 * omega * (1 - 1 / jump) * (1 - own / mu * np.log(1 + mu / own))
    assert share[2] == pytest.approx(expected, rel=1e-3)
    assert 0.01 < share[2] < 0.02
    assert 0.003 < share[3] < 0.01


def test_escape_peaks_conserve_counts():
    line, share, energy = with_escape_peaks(np.array([1.74, 2.62, 6.40]))
    np.testing.assert_allclose(energy[3:], [2.62 - 1.7398, 6.40 - 1.7398], atol=1e-3)
    assert line.tolist() == [0, 1, 2, 1, 2]
    np.testing.assert_allclose(np.bincount(line, share), 1)
    assert pytest.approx(1.7398, abs=1e-3) == ESCAPE_ENERGY


def test_curve_of_a_file(tmp_path):
    file = tmp_path / "curve.csv"
    file.write_text("# keV, efficiency\n0.1, 0.2\n1, 0.8\n40 0.5\n")
    detector = Detector.from_file(file, resolution=125.0)
    assert detector.resolution == 125
    np.testing.assert_allclose(detector.efficiency([0.1, 0.55, 40]), [0.2, 0.5, 0.5])
    for text, message in (("a, b\n", "numbers"), ("1 2 3\n", "two columns")):
        file.write_text(text)
        with pytest.raises(ValueError, match=message):
            Detector.from_file(file)
