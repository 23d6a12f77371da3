"""Ionisation, cascade and emission against plain versions and known values."""

import csv
import math
import re
from importlib.resources import files

import numpy as np
import pytest
import xraylib
from hypothesis import given
from hypothesis import strategies as st

from espm_hs.physics import emission_lines, ionization_cross_section
from espm_hs.physics.xray.elements import atomic_number, symbol
from espm_hs.physics.xray.emission import _emission_lines
from espm_hs.physics.xray.ionization import SUBSHELLS, _coefficients, ionized_subshells
from espm_hs.physics.xray.relaxation import relaxation

TABLE = [
    (int(row[0]), row[1], *map(float, row[2:]))
    for row in csv.reader(
        (files("espm_hs.physics.xray") / "data" / "ionization.csv")
        .read_text()
        .splitlines()
    )
    if row[0].isdigit()
]


def plain_cross_section(row, energy, exponent=0.25):
    """Formulas of Bote et al., one number at a time."""
    _, _, edge, a1, a2, a3, a4, a5, b, amplitude, g1, g2, g3, g4 = row
    u = energy / edge
    area = 4 * math.pi * (5.29177210903e-9) ** 2
    if u <= 1:
        return 0.0
    if u <= 16:
        q = a1 + a2 * u + a3 / (1 + u) + a4 / (1 + u) ** 3 + a5 / (1 + u) ** 5
        return area * (u - 1) / u**2 * q * q
    gamma = 1 + energy / 510.99895
    beta2 = 1 - 1 / gamma**2
    x = gamma * math.sqrt(beta2)
    bracket = (math.log(x * x) - beta2) * (1 + g1 / x)
    bracket += g2 + g3 * (1 - beta2) ** exponent + g4 / x
    return u / (u + b) * area * amplitude / beta2 * bracket


def family_total(element, family, beam_energy, repaired=True):
    element = symbol(element)
    lines = _emission_lines(element, float(beam_energy), repaired)
    return sum(line.cross_section for line in lines if line.family == family)


def test_table_is_complete():
    assert len(TABLE) == 731
    assert {row[1] for row in TABLE} == set(SUBSHELLS)
    assert ionized_subshells("O") == ("K",)


@given(st.sampled_from(TABLE), st.floats(0.05, 400), st.sampled_from([float, np.array]))
def test_cross_section_equals_plain_formula(row, energy, kind):
    found = ionization_cross_section(row[0], row[1], kind(energy))
    assert found == pytest.approx(plain_cross_section(row, energy), rel=1e-9)
    assert found >= 0


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row[0]}{row[1]}")
def test_formulas_meet_at_overvoltage_16(row):
    below, above = (
        ionization_cross_section(row[0], row[1], row[2] * 16 * factor)
        for factor in (1 - 1e-9, 1 + 1e-9)
    )
    assert below == pytest.approx(above, rel=0.005)


def test_exponent_of_one_minus_beta_squared_is_positive():
    row = next(r for r in TABLE if r[:2] == (33, "K"))
    found = ionization_cross_section("As", "K", 200)
    assert found == pytest.approx(plain_cross_section(row, 200, 0.25))
    assert abs(found / plain_cross_section(row, 200, -0.25) - 1) > 0.05


def test_cross_section_is_zero_below_the_edge():
    edge, *_ = _coefficients("Fe", "K")
    assert edge == pytest.approx(7.112, abs=0.05)
    energies = np.array([[0.5 * edge, edge], [1.01 * edge, 200]])
    sigma = ionization_cross_section("Fe", "K", energies)
    assert sigma.shape == (2, 2)
    assert np.array_equal(sigma > 0, [[False, False], [True, True]])
    assert isinstance(ionization_cross_section(26, "K", 200), float)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("Xx", "K", 200), "not the symbol"),
        (("fe", "K", 200), "Did you mean 'Fe'"),
        ((0, "K", 200), "atomic number 0"),
        ((26.0, "K", 200), "symbol or an atomic number"),
        (("Fe", "N1", 200), "expected one of K, L1"),
        (("O", "M5", 200), r"coefficients: K\."),
        (("Fe", "K", -1), "positive"),
        (("Fe", "K", [200, np.nan]), "positive"),
    ],
)
def test_cross_section_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        ionization_cross_section(*arguments)


def plain_vacancies(z, shell):
    """Vacancies that follow one in a subshell, by recursion on raw xraylib data."""

    def ask(function, constant):
        try:
            return function(z, getattr(xraylib, constant))
        except ValueError:
            return 0.0

    total = dict.fromkeys(SUBSHELLS, 0.0)
    total[shell] = 1.0
    step = dict.fromkeys(SUBSHELLS, 0.0)
    photon = ask(xraylib.FluorYield, f"{shell}_SHELL")
    jump = 0.0
    for name in dir(xraylib):
        if m := re.fullmatch(rf"F{shell[0]}{shell[1:]}(\d)_TRANS", name):
            probability = ask(xraylib.CosKronTransProb, name)
            step[shell[0] + m[1]] += probability
            jump += probability
    for name in dir(xraylib):
        if m := re.fullmatch(rf"{shell}([LM]\d)_LINE", name):
            step[m[1]] += photon * ask(xraylib.RadRate, name)
        elif m := re.fullmatch(rf"{shell}_(\w\d)(\w\d)_AUGER", name):
            rate = (1 - photon - jump) * ask(xraylib.AugerRate, name)
            for final in m.groups():
                if final in step:
                    step[final] += rate
    for final, number in step.items():
        if number > 0:
            for key, value in plain_vacancies(z, final).items():
                total[key] += number * value
    return total


@pytest.mark.parametrize(("z", "shell"), [(14, "K"), (26, "K"), (79, "L1")])
def test_cascade_equals_plain_recursion(z, shell):
    expected = list(plain_vacancies(z, shell).values())
    row = relaxation(z, repaired=False).vacancies[SUBSHELLS.index(shell)]
    np.testing.assert_allclose(row, expected, rtol=1e-6, atol=1e-9)


def test_both_auger_vacancies_count():
    # light atoms decay by K-LL: an Auger decay leaves nearly two L vacancies
    left = relaxation("Al").auger[SUBSHELLS.index("K")]
    assert 1.8 < left[1:4].sum() <= 2


@pytest.mark.parametrize("z", range(5, 93))
def test_probabilities_are_probabilities(z):
    data = relaxation(z)
    assert np.all(data.fluorescence_yield >= 0)
    total = data.fluorescence_yield + data.coster_kronig.sum(axis=1)
    assert np.all(total <= 1 + 1e-12)
    assert np.all(np.tril(data.coster_kronig) == 0)
    assert np.all(data.auger.sum(axis=1) <= 2 + 1e-6)
    for shell in SUBSHELLS:
        rates = sum(t.rate for t in data.radiative if t.initial == shell)
        assert rates == 0 or rates == pytest.approx(1, abs=2e-3)


# independent calculation with xraylib's own data, 1e-23 cm2 at 100, 200, 300 keV
@pytest.mark.parametrize(
    ("element", "family", "expected"),
    [
        ("O", "K", (7.67, 5.21, 4.39)),
        ("Si", "K", (12.6, 8.80, 7.50)),
        ("Fe", "K", (15.1, 11.3, 9.87)),
        ("Au", "L", (24.8, 19.3, 17.1)),
        ("Au", "M", (51.7, 36.6, 31.4)),
    ],
)
def test_family_totals(element, family, expected):
    energies = (100, 200, 300)
    totals = [1e23 * family_total(element, family, e, False) for e in energies]
    np.testing.assert_allclose(totals, expected, rtol=0.03)


@pytest.mark.parametrize("beam_energy", [20, 100, 200, 300])
@pytest.mark.parametrize("element", ["O", "Si", "Fe", "As", "Zr"])
def test_k_family_is_plain_ionisation_times_yield(element, beam_energy):
    """Nothing feeds the K shell, so its emission needs no cascade."""
    z = atomic_number(element)
    row = next(row for row in TABLE if row[:2] == (z, "K"))
    expected = plain_cross_section(row, beam_energy) * xraylib.FluorYield(
        z, xraylib.K_SHELL
    )
    assert family_total(element, "K", beam_energy) == pytest.approx(expected, rel=2e-3)


# plane-wave and distorted-wave Born calculations of the authors' program, cm2
@pytest.mark.parametrize(
    ("element", "subshell", "beam_energy", "expected"),
    [("Fe", "K", 200, 3.185e-22), ("Au", "M5", 300, 4.50e-21)],
)
def test_known_cross_sections(element, subshell, beam_energy, expected):
    found = ionization_cross_section(element, subshell, beam_energy)
    assert found == pytest.approx(expected, rel=0.005)


def test_yields_of_tin_are_those_of_krause():
    yields = dict(zip(SUBSHELLS, relaxation("Sn").fluorescence_yield, strict=True))
    assert (yields["L2"], yields["L3"]) == (0.065, 0.064)


def test_m4_vacancies_move_to_m5_where_there_are_4f_electrons():
    """Without that the M emission jumps by 24 % from Tm to Yb."""
    row, column = SUBSHELLS.index("M4"), SUBSHELLS.index("M5")
    f45 = [relaxation(z).coster_kronig[row, column] for z in range(57, 71)]
    assert f45[0] == 0
    assert np.all(np.diff(f45) > 0)
    ratio = family_total("Yb", "M", 200) / family_total("Tm", "M", 200)
    assert ratio == pytest.approx(1.05, abs=0.02)


def line_ratio(element, upper, lower, repaired):
    lines = _emission_lines(element, 200.0, repaired)
    by_name = {line.name.split()[1]: line.cross_section for line in lines}
    return by_name[upper] / by_name[lower]


def test_m_beta_of_hafnium_to_osmium_runs_smoothly():
    """Mb over Ma from Yb to Au; xraylib's dips by a third at W to Os."""
    ratios = {
        repaired: np.array(
            [line_ratio(symbol(z), "Mb", "Ma1", repaired) for z in range(70, 80)]
        )
        for repaired in (False, True)
    }
    straight = np.linspace(ratios[True][0], ratios[True][-1], 10)
    assert (ratios[True] > 0.95 * straight).all()
    assert (ratios[False] / straight).min() < 0.8


def test_weak_m_lines_of_platinum():
    """In the spectrum of FePt M zeta and M4N2 are 1.6 times too strong with xraylib's
    rates, and M gamma is 1.4 times too weak."""
    factors = (("M4N2", "Mb", 1.6), ("Mz", "Ma1", 1.15), ("Mg", "Ma1", 1 / 1.4))
    for line, principal, factor in factors:
        before, after = (line_ratio("Pt", line, principal, r) for r in (False, True))
        assert before / after == pytest.approx(factor, rel=0.1)


def test_repairs_make_totals_smooth():
    for family, z in (("L", 75), ("L", 51), ("M", 79)):
        low, here, high = (family_total(n, family, 200) for n in (z - 1, z, z + 1))
        assert here == pytest.approx((low + high) / 2, rel=0.05)
    assert family_total("Re", "L", 200, False) < 0.75 * family_total("Re", "L", 200)


# Steps of the atomic data that stay, with the reason
_3D = "3d electrons, hence La and Lb, from Sc on"
_CLOSED = "L1-L3M4,5 Coster-Kronig decays end at Z = 50, a real step"
_ZINC = "rise at Zn, where L2-L3M4,5 Coster-Kronig decays should end"
_4F = "4f electrons, hence Ma, from La on"
ROUGH = {
    ("yield", "L1"): {
        "In": _CLOSED,
        "Sn": _CLOSED,
    },
    ("yield", "L2"): {
        "Cl": "Z = 15 to 18 run level before the step at Sc",
        "Ca": _3D,
        "Sc": _3D,
        "Cu": _ZINC,
        "Ga": _ZINC,
    },
    ("yield", "L3"): {
        "Cl": "Z = 15 to 18 run level before the step at Sc",
        "Ca": _3D,
        "Sc": _3D,
    },
    ("emission", "L"): {
        "Cl": "Z = 15 to 18 run level before the step at Sc",
        **dict.fromkeys(("Ca", "Sc", "Ti", "V"), _3D),
    },
    ("emission", "M"): dict.fromkeys(("I", "Xe", "Cs", "Ba", "La", "Ce", "Nd"), _4F),
}
# Yields of subshells and emission of families, against a run through neighbours
TOLERANCE = {"yield": 0.15, "emission": 0.05}

# P: L lines of Al and Si, L2 and L3, are below 0.1 keV
FIRST = {"K": 5, "L": 15, "M": 48}


def shows_lines(z, shell):
    """Whether a detector shows radiative decays of a subshell."""
    return any(t.energy > 0.1 for t in relaxation(z).radiative if t.initial == shell)


def values_by_element(kind, shell):
    """Yields of a subshell or emission of a family by atomic number."""
    numbers = range(FIRST[shell[0]], 93)
    if kind == "emission":
        values = {z: family_total(z, shell, 200) for z in numbers}
    else:
        i = SUBSHELLS.index(shell)
        numbers = [z for z in numbers if shows_lines(z, shell)]
        values = {z: relaxation(z).fluorescence_yield[i] for z in numbers}
    return {z: value for z, value in values.items() if value > 0}


@pytest.mark.parametrize(
    ("kind", "shell"),
    [("yield", shell) for shell in SUBSHELLS] + [("emission", f) for f in "KLM"],
)
def test_atomic_data_are_smooth(kind, shell):
    values = values_by_element(kind, shell)
    rough = set()
    for z, value in values.items():
        near = [n for n in values if 0 < abs(n - z) <= 4]
        logarithms = np.log([values[n] for n in near])
        expected = np.exp(np.polyfit(np.array(near) - z, logarithms, 2)[-1])
        if abs(value / expected - 1) > TOLERANCE[kind]:
            rough.add(xraylib.AtomicNumberToSymbol(z))
    assert rough == set(ROUGH.get((kind, shell), ()))


def test_lanthanides_have_alpha_and_beta_lines():
    for element in ("La", "Ce", "Nd", "Eu"):
        lines = {line.name: line for line in emission_lines(element, 200)}
        alpha, zeta = lines[f"{element} Ma1"], lines[f"{element} Mz"]
        assert alpha.cross_section > 5 * zeta.cross_section
        assert 0.8 < alpha.energy < lines[f"{element} Mb"].energy < 1.2


@pytest.mark.parametrize(("element", "family"), [("Au", "L"), ("Hf", "M"), ("Au", "M")])
def test_share_of_primary_ionisation(element, family):
    # an independent calculation gave L 0.82 to 0.88, heavy M 0.65 to 0.72
    low, high = {"L": (0.81, 0.89), "M": (0.64, 0.73)}[family]
    primary = sum(
        ionization_cross_section(element, shell, 200)
        * relaxation(element, repaired=False).fluorescence_yield[i]
        for i, shell in enumerate(SUBSHELLS)
        if shell[0] == family
    )
    assert low < primary / family_total(element, family, 200, False) < high


@pytest.mark.parametrize(
    ("name", "energy"),
    [  # J. A. Bearden, Rev. Mod. Phys. 39 (1967) 78, keV
        ("O Ka1", 0.5249),
        ("Si Ka1", 1.7400),
        ("Fe Ka1", 6.4038),
        ("Fe Ka2", 6.3908),
        ("Fe Kb1", 7.0580),
        ("Cu La1", 0.9297),
        ("Pt La1", 9.4423),
        ("Pt Lb1", 11.0707),
        ("Pt Ma1", 2.0505),
    ],
)
def test_line_energies(name, energy):
    lines = {line.name: line for line in emission_lines(name.split()[0], 200)}
    assert lines[name].energy == pytest.approx(energy, abs=0.002)


@given(st.integers(5, 92), st.floats(10, 400))
def test_lines_are_physical(z, beam_energy):
    lines = emission_lines(z, beam_energy)
    assert lines == tuple(sorted(lines, key=lambda line: (line.energy, line.name)))
    assert len({line.name for line in lines}) == len(lines)
    for line in lines:
        assert line.element == xraylib.AtomicNumberToSymbol(z)
        assert line.family in "KLM"
        assert 0.1 <= line.energy < beam_energy
        assert 0 < line.cross_section < 1e-20


def test_same_by_symbol_and_number():
    assert emission_lines("Fe", 200) is emission_lines(26, 200.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("H", 200), "B to U"),
        ((95, 200), "not for Am"),
        (("Fe", 5), "10 to 400 keV, found 5"),
        (("Fe", 200_000), "Is it in eV"),
        (("Fe", float("nan")), "10 to 400"),
    ],
)
def test_emission_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        emission_lines(*arguments)
