"""k-factors: those of the model, and line factors from tables of others."""

import numpy as np
import pytest

from espm_hs.physics import (
    Detector,
    SpectrumModel,
    atomic_number,
    atomic_weight,
    emission_lines,
    line_factors_from_kfactors,
    read_kfactors,
)
from espm_hs.physics.xray.elements import symbol
from espm_hs.physics.xray.emission import parse_line
from espm_hs.physics.xray.kfactors import kfactors

IDEAL = Detector.preset("ideal")


def emission(element, *names):
    lines = emission_lines(element, 200)
    return sum(x.cross_section for x in lines if x.name.split()[1] in names)


def test_kfactors_by_hand():
    iron, silicon = (emission(e, "Ka1", "Ka2", "Ka3") for e in ("Fe", "Si"))
    found = kfactors(["Fe_Ka"], 200, basis="atomic", detector=IDEAL)
    assert found == {"Fe_Ka": pytest.approx(silicon / iron)}
    weight = kfactors(["Fe_Ka", "Si_Ka"], 200, basis="weight", detector="ideal")
    ratio = atomic_weight("Fe") / atomic_weight("Si")
    assert weight["Fe_Ka"] == pytest.approx(silicon / iron * ratio)
    assert weight["Si_Ka"] == 1


def test_efficiency_is_part_of_a_kfactor():
    thin = Detector(layers=[], crystal_thickness=0.01)
    energy = {e: emission_lines(e, 200) for e in ("Zr", "Si")}
    assert energy["Zr"]
    k = [kfactors(["Zr_K"], 200, detector=d)["Zr_K"] for d in (IDEAL, thin)]
    assert k[1] > 10 * k[0]


@pytest.mark.parametrize(
    ("name", "members"),
    [
        ("Pt_La", ["La1", "La2"]),
        ("Pt La1", ["La1"]),
        ("Pt_Ma", ["Ma1", "Ma2"]),
        ("Pt_Mb", ["Mb"]),
        ("Pt_Ll", ["Ll"]),
    ],
)
def test_lines_that_a_name_means(name, members):
    wanted = parse_line(name)
    shown = [x.name.split()[1] for x in emission_lines("Pt", 200)]
    assert sorted(filter(wanted.includes, shown)) == members
    family = [x for x in shown if parse_line("Pt M").includes(x)]
    assert {"Ma1", "Mb", "M2N4"} < set(family)
    assert not {"La1", "Ka1"} & set(family)


def test_line_factors_make_the_model_quantify_like_the_table():
    table = {"Fe_Ka": 1.31, "O_Ka": 1.9, "Pt_La": 5.0}
    factors = line_factors_from_kfactors(
        table, 200, reference="Si_Ka", basis="weight", detector=IDEAL
    )
    assert set(factors) == {"Fe_K", "O_K", "Pt_L"}
    m = SpectrumModel(
        0.005 * np.arange(16000),
        200,
        ["Fe", "O", "Si"],
        line_factors=factors,
        split_lines=dict.fromkeys(["Fe", "O", "Si"], "families"),
        detector=IDEAL,
        minimum_energy=0.1,
        background=False,
    )
    # counts of 1 atom each, of Ka by the share of Ka in the family
    counts = dict(zip(m.elements, m.G[:, m.element_columns].sum(axis=0), strict=True))
    alpha = {
        e: emission(e, "Ka1", "Ka2", "Ka3")
        / sum(x.cross_section for x in emission_lines(e, 200) if x.family == "K")
        for e in m.elements
    }
    for element in ("Fe", "O"):
        ratio = counts[element] * alpha[element] / (counts["Si"] * alpha["Si"])
        mass = atomic_weight(element) / atomic_weight("Si")
        assert mass / ratio == pytest.approx(table[f"{element}_Ka"], rel=2e-3)


def test_reference_of_a_table_may_be_another_line():
    detector = Detector.preset("polymer_window")
    ours = kfactors(
        ["B_K", "Fe_K", "Si_K"], 200, reference="B_K", basis="atomic", detector=detector
    )
    options = {"reference": "Si K", "basis": "atomic", "detector": detector}
    same = line_factors_from_kfactors(ours, 200, **options)
    assert same == pytest.approx({"B_K": 1, "Fe_K": 1, "Si_K": 1})
    half = line_factors_from_kfactors(
        {**ours, "Fe_K": ours["Fe_K"] / 2}, 200, **options
    )
    assert half == pytest.approx({"B_K": 1, "Fe_K": 2, "Si_K": 1})


def test_k_lines_beside_a_vendor_table():
    # benchmarks/accuracy/kfactors.py has the whole table and its source
    vendor = {
        "Na": 1.064,
        "Al": 1.018,
        "P": 1.029,
        "Ca": 1.026,
        "Fe": 1.333,
        "Zn": 1.671,
    }
    found = kfactors([f"{e}_K" for e in vendor], 200, reference="Si_K")
    np.testing.assert_allclose(list(found.values()), list(vendor.values()), rtol=0.15)


def test_k_lines_are_smooth():
    z = np.arange(atomic_number("Na"), atomic_number("Zn") + 1)
    found = kfactors([f"{symbol(int(n))}_K" for n in z], 200, basis="atomic")
    logarithms = np.log(list(found.values()))
    fit = np.polyval(np.polyfit(z, logarithms, 4), z)
    assert np.abs(logarithms - fit).max() < 0.05


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"basis": "mass"}, '"weight" or "atomic", found \'mass\''),
        ({"reference": "Si"}, "'Si' is not the name"),
        ({"reference": "Si_Ma"}, "no line 'Si_Ma'.*Si Ka1"),
        ({"kfactors": {"Fe_Ka": -1}}, "Fe_Ka must be a positive"),
        ({"kfactors": {"Fe_Ka": 1, "Fe_Kb": 1}}, "Fe_K more than once"),
        ({"kfactors": {"Fe_Kx": 1}}, "Lines of Fe at 200 keV"),
    ],
)
def test_line_factor_errors(changes, message):
    arguments = {
        "kfactors": {"Fe_Ka": 1.3},
        "beam_energy": 200,
        "reference": "Si_Ka",
        "basis": "weight",
        **changes,
    }
    with pytest.raises(ValueError, match=message):
        line_factors_from_kfactors(**arguments)


def write(tmp_path, text):
    path = tmp_path / "k.csv"
    path.write_text(text, encoding="utf-8-sig")
    return path


def test_read_kfactors(tmp_path):
    text = (
        "# standard\nElement,line,k,basis,note\nFe, Ka,1.3,weight,\n\nPt,L,5,weight,x\n"
    )
    table = read_kfactors(write(tmp_path, text))
    assert table == ({"Fe_Ka": 1.3, "Pt_L": 5.0}, "weight")
    plain = write(tmp_path, "line,k,element\nKa,1.3,Fe\n")
    assert read_kfactors(plain, basis="atomic") == ({"Fe_Ka": 1.3}, "atomic")
    factors = line_factors_from_kfactors(
        table.kfactors, 200, reference="Si_Ka", basis=table.basis
    )
    assert set(factors) == {"Fe_K", "Pt_L"}


HEADER = "element,line,k,basis\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Element,k\n", "line 1: the header lacks line, found Element, k"),
        ("element,line,k\nFe,Ka,1\n", "line 2: There is no column basis"),
        (HEADER + "Fe,Ka,1.3\n", "line 2: 4 columns are expected, found 3"),
        (HEADER + "Fe,Ka,high,weight\n", "line 2: .*Fe_Ka.*found 'high'"),
        (HEADER + "Fe,Ka,1,weight\nXx,Ka,1,weight\n", "line 3: .*Xx"),
        (HEADER + "Fe,Ka,1,weight\nPt,La,1,atomic\n", "line 3: .*'atomic'.*'weight'"),
        (HEADER + "Fe,Ka,1,weight\nFe,Ka,1,weight\n", "line 3: Fe_Ka.*second"),
        (HEADER + "Fe,Ka,1,mass\n", "line 2: .*found 'mass'"),
        (HEADER, "no k-factors"),
    ],
)
def test_read_errors(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        read_kfactors(write(tmp_path, text))
