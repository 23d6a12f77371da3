"""Line factors by standards: values, errors, and what becomes of compositions."""

import warnings
from contextlib import nullcontext

import hyperspy.api as hs
import numpy as np
import pytest
from conftest import FORMATS
from hypothesis import given, settings
from hypothesis import strategies as st
from test_input import state

from espm_hs.calibration.standards import atoms_of, film_thickness, measured
from espm_hs.physics import Detector, SpectrumModel, emission_lines, read_kfactors
from espm_hs.physics.xray.elements import atomic_weight
from espm_hs.physics.xray.kfactors import KFactorTable, kfactors
from espm_hs.physics.xray.line_factors import Standard, combined
from espm_hs.physics.xray.uncertainty import LineErrors, multiplets
from espm_hs.simulation import Experiment, Phase, record

ENERGY = 0.01 * np.arange(2048)
QUIET = {"algorithm": "espm", "print_info": False, "show_progressbar": False}
SILENT = {"print_info": False}
DENSITY, THICKNESS = 5.0, 80.0


def film(formula, table=None, counts=1e6, seed=0, thickness=THICKNESS, **known):
    """Spectrum of a film of a known thickness, with the lines of a table."""
    from benchmarks.accuracy.line_tables import lines_of

    atoms = atoms_of(formula)
    with lines_of(table) if table else nullcontext():
        model = SpectrumModel(
            ENERGY,
            200,
            list(atoms),
            thickness=thickness,
            density=DENSITY,
            take_off_angle=20,
            split_lines=dict.fromkeys(atoms, "none"),
        )
        phase = Phase("film", atoms, DENSITY, 0.1)
        made = Experiment(model, [phase], [[thickness]], counts)
        s = record(made, seed)
    del s.metadata.EDS_espm.split_lines
    s.set_analysis_parameters(thickness_error=0.05, **known)
    return s


def found(s):
    s.decomposition(output_dimension=1, **QUIET)
    return {x.element: x for x in s.print_quantification().entries}


@pytest.fixture(scope="module")
def standard():
    return film("SrTiO3", counts=2e5, seed=3)


@pytest.fixture
def sample():
    return film("Sr2TiO4", counts=2e5, seed=4)


class TestOtherTables:
    @pytest.fixture(autouse=True)
    def _tables(self):
        pytest.importorskip("fisx")
        pytest.importorskip("xraydb")

    @pytest.mark.parametrize("table", ["fisx", "xraydb"])
    @pytest.mark.parametrize(
        ("known", "unknown"),
        [("SrTiO3", "Sr2TiO4"), ("MgSiO3", "Mg2SiO4"), ("Ni3Al1", "Ni1Al1")],
    )
    def test_an_unknown_of_the_elements_of_a_standard(self, table, known, unknown):
        s = film(unknown, table, seed=1)
        before = found(s)
        s.calibrate_line_factors(film(known, table, seed=2), known, **SILENT)
        after, truth = found(s), atoms_of(unknown)
        for element, entry in after.items():
            off = entry.percent - 100 * truth[element]
            assert abs(off) < 2 * entry.error
            assert entry.atomic_data < 0.6 * before[element].atomic_data
            assert entry.error < before[element].error
            assert entry.detector < before[element].detector + 1e-9

    def test_other_elements_keep_their_errors(self):
        s = film("Fe2SiO4", "fisx", seed=1)
        s.calibrate_line_factors(film("MgSiO3", "fisx"), "MgSiO3", **SILENT)
        model = s.physical_model()
        assert set(model.line_factors) == {"Mg_K", "O_K", "Si_K"}
        parts = multiplets(model, LineErrors())
        iron = [c.element == "Fe" and c.kind == "element" for c in model.columns]
        where = parts.column == iron.index(True)
        strongest = parts.spectra[:, where].sum(axis=0).argmax()
        variance = np.diag(parts.covariance)[where][strongest]
        assert variance >= LineErrors().of("Fe", "K").total ** 2
        truth = atoms_of("Fe2SiO4")
        for element, entry in found(s).items():
            assert abs(entry.percent - 100 * truth[element]) < 2 * entry.error


def test_factors_are_counts_over_those_of_the_model(standard):
    """By hand: fitted areas of the families over atoms times emission x efficiency."""
    table = standard.deepcopy().calibrate_line_factors(standard, "SrTiO3", **SILENT)
    # made with the lines of the package: all factors are 1
    for entry in table.entries:
        assert abs(np.log(entry.factor)) < 3 * entry.factor_error, entry
    expected = kfactors(
        ["Sr_K", "Sr_L"],
        200,
        reference="Ti_K",
        detector=standard.physical_model().detector,
    )
    for entry in table.relative_to("Ti_Ka").entries:
        if entry.family in expected:
            off = entry.kfactor / expected[entry.family] - 1
            assert abs(off) < 3 * entry.kfactor_error < 0.1


@pytest.mark.parametrize("name", ["O_K", "Ti_K"])
def test_an_emission_that_is_off_is_found(name):
    """A detector or a table that is off by a factor, in one family."""
    made = film("SrTiO3", counts=4e5, line_factors={name: 1.3})
    s = film("Sr2TiO4", counts=4e5)
    # the recorded film would say what it was made with
    made.set_analysis_parameters(line_factors={})
    factors = s.calibrate_line_factors(made, "SrTiO3", **SILENT).factors
    others = np.mean([factors[x] for x in ("Sr_K", "Sr_L")])
    assert factors[name] / others == pytest.approx(1.0, rel=0.03)


def test_zeta_factors_and_solid_angle(standard, sample):
    truth = standard.metadata.EDS_espm.solid_angle
    for s in (standard, sample):
        assert s.metadata.EDS_espm.solid_angle == truth
    sample.set_analysis_parameters(solid_angle=3 * truth)
    table = sample.calibrate_line_factors(standard, "SrTiO3", **SILENT)
    (solid,) = [np.linalg.norm(table.errors["solid angle"])]
    assert solid > 0.05  # the thickness
    assert abs(np.log(table.solid_angle / truth)) < 3 * solid
    assert sample.metadata.EDS_espm.solid_angle == pytest.approx(table.solid_angle)
    entry = next(x for x in table.entries if x.family == "Ti_K")
    # zeta = m / (s Omega / 4 pi), Watanabe and Williams; 1e-4 m2 are 1 cm2
    detector = standard.physical_model().detector
    lines = [x for x in emission_lines("Ti", 200) if x.family == "K"]
    efficiency = detector.efficiency([x.energy for x in lines])
    sigma = np.sum([x.cross_section for x in lines] * efficiency)
    zeta = atomic_weight("Ti") * 1.66054e-27 / (1e-4 * sigma * truth / (4 * np.pi))
    assert 0.04 < entry.zeta_error < 0.1
    assert entry.zeta == pytest.approx(zeta, rel=3 * entry.zeta_error)
    # the scale is that of the thickness of the standard, for all families
    sample.decomposition(output_dimension=1, **QUIET)
    mass = float(np.squeeze(sample.estimate_mass_thickness(method="dose").data))
    assert mass == pytest.approx(1e-6 * DENSITY * THICKNESS, rel=0.1)


def test_zeta_factors_of_ones_own_go_in_again(standard, sample):
    table = sample.calibrate_line_factors(standard, "SrTiO3", **SILENT)
    zetas = {x.family: x.zeta for x in table.entries}
    other = film("Sr2TiO4", counts=1e4)
    options = {"method": "zeta", "error": 0.01, **SILENT}
    again = other.calibrate_line_factors(zetas, **options)
    for one, two in zip(table.entries, again.entries, strict=True):
        assert two.zeta == pytest.approx(one.zeta)
        assert two.zeta_error == pytest.approx(0.01)


def test_kfactors_of_others(sample, tmp_path):
    """Ratios are those of the table; without errors, atomic data are as uncertain."""
    kline = {"Ti_Ka": 1.5, "Sr_Ka": 5.0, "Sr_La": 2.0, "O_Ka": 1.0}
    table = sample.calibrate_line_factors(kline, error=0.02, **SILENT)
    detector = sample.physical_model().detector
    ours = kfactors(kline, 200, reference="Ti_Ka", detector=detector)
    for line, k in kline.items():
        family = line[:4].rstrip("a")
        ratio = table.factors[family] / table.factors["Ti_K"]
        assert ratio == pytest.approx(ours[line] / (k / 1.5))
    named = {x.family: x for x in table.relative_to("Ti_K").entries}
    assert named["Sr_K"].kfactor_error == pytest.approx(0.02 * np.sqrt(2))
    assert sample.physical_model().line_factors == table.arguments["line_factors"]
    # the same lines again take the place of the first, whatever their errors
    vague = sample.calibrate_line_factors(kline, **SILENT)
    assert vague.factors["Sr_K"] / vague.factors["Ti_K"] == pytest.approx(
        table.factors["Sr_K"] / table.factors["Ti_K"]
    )
    known = LineErrors().of("Sr", "K").total
    assert vague.entries[1].factor_error == pytest.approx(known, rel=0.5)
    path = tmp_path / "k.csv"
    rows = [f"{x[:2].rstrip('_')},{x.split('_')[1]},{k}" for x, k in kline.items()]
    path.write_text("element,line,k\n" + "\n".join(rows))
    read = read_kfactors(path, basis="weight")
    same = sample.calibrate_line_factors(read, error=0.02, **SILENT)
    assert same.entries == table.entries


def test_formulas_are_those_of_all_others():
    assert atoms_of("Fe₂O₃") == atoms_of({"Fe": 2, "O": 3})


def test_standards_together_by_hand():
    """Least squares with a scale of each table, with numpy alone."""
    one = Standard({"Fe_K": 1.2, "Ni_K": 1.3}, {"Fe_K": [0.03, 0], "Ni_K": [0, 0.03]})
    two = Standard({"Ni_K": 2.7, "Cr_K": 2.2}, {"Ni_K": [0.01, 0], "Cr_K": [0, 0.02]})
    three = Standard({"Fe_K": 5, "Cr_K": 4.1}, {"Fe_K": [0.02, 0], "Cr_K": [0, 0.02]})
    detector = Detector.preset("ideal")
    together = combined([one, two, three], 200, detector)
    base = {x: 1 / v for x, v in together.bases.items()}
    names = ["Fe_K", "Ni_K", "Cr_K"]
    design, value, weight = [], [], []
    for i, table in enumerate((one, two, three)):
        for name, k in table.kfactors.items():
            design.append([*(x == name for x in names), *(i == j for j in range(3))])
            value.append(-np.log(k * base[name]))
            weight.append(1 / np.linalg.norm(table.errors[name]))
    weighted = np.array(design, float) * np.array(weight)[:, None]
    solution = np.linalg.pinv(weighted) @ (np.array(value) * weight)
    factors = together.factors
    for a, b in ((0, 1), (0, 2)):
        expected = np.exp(solution[a] - solution[b])
        assert factors[names[a]] / factors[names[b]] == pytest.approx(expected)
    covariance = np.linalg.pinv(weighted.T @ weighted)
    contrast = np.array([1, -1, 0, 0, 0, 0])
    table = {x.family: x for x in together.relative_to("Fe_K").entries}
    error = np.sqrt(contrast @ covariance @ contrast)
    assert table["Ni_K"].kfactor_error == pytest.approx(error, rel=1e-3)
    # the level is that of atomic data
    total = [LineErrors().of(x[:2], "K").total for x in names]
    levels = [np.linalg.norm(together.errors[x]) for x in names]
    assert max(levels) < min(total)
    # in whatever order
    assert combined([three, one, two], 200, detector).entries == together.entries


def test_standards_without_a_common_family_know_their_own_ratios():
    one = Standard({"Fe_K": 1.2, "Ni_K": 1.3}, {"Fe_K": [0.01, 0], "Ni_K": [0, 0.01]})
    two = Standard({"Si_K": 1.0, "Al_K": 1.0}, {"Si_K": [0.01, 0], "Al_K": [0, 0.01]})
    together = combined([one, two], 200, Detector.preset("ideal"))
    errors = {x: np.array(row) for x, row in together.errors.items()}
    assert np.linalg.norm(errors["Fe_K"] - errors["Ni_K"]) == pytest.approx(
        0.0141, 0.01
    )
    assert np.linalg.norm(errors["Fe_K"] - errors["Si_K"]) > 0.05


def test_standards_that_disagree_are_named(standard, sample):
    sample.calibrate_line_factors(standard, "SrTiO3", **SILENT)
    wrong = {"Ti_K": 1.0, "Sr_K": 8.0}
    with pytest.warns(UserWarning, match=r"disagrees with the others on Sr_K: by .* %"):
        sample.calibrate_line_factors(wrong, error=0.01, **SILENT)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sample.calibrate_line_factors(standard, "SrTiO3", add=False, **SILENT)


def test_a_standard_counts_once(standard, sample):
    first = sample.calibrate_line_factors(standard, "SrTiO3", **SILENT)
    second = sample.calibrate_line_factors(standard, "SrTiO3", **SILENT)
    assert second.entries == first.entries
    other = film("SrTiO3", counts=2e5, seed=8)
    third = sample.calibrate_line_factors(other, "SrTiO3", **SILENT)
    ratio = [x.entries[1].kfactor_error for x in (first, third)]
    assert ratio[1] == pytest.approx(ratio[0] / np.sqrt(2), rel=0.2)
    sample.set_analysis_parameters(line_factors={})
    assert not sample.physical_model().line_factor_errors
    with pytest.raises(ValueError, match="There are no line factors of standards yet"):
        sample.line_factors()


def test_data_frame(standard, sample):
    sample.calibrate_line_factors(standard, "SrTiO3", **SILENT)
    table = sample.line_factors("Ti_K")
    frame = table.to_dataframe().set_index("family")
    assert list(frame.index) == [one.family for one in table.entries]
    assert frame.kfactor["Ti_K"] == 1
    lines = str(table).splitlines()[1 : 1 + len(frame)]
    shown = {line.split()[0]: line.split() for line in lines}
    for family, row in frame.iterrows():
        assert shown[family][1] == f"{row.factor:.4g}"
        assert shown[family][4] == f"{row.kfactor:.4g}"
        assert shown[family][5] == f"{100 * row.kfactor_error:.1f}"
    assert frame.zeta["Sr_K"] == pytest.approx(float(shown["Sr_K"][7]), rel=1e-3)


def test_names_of_standards_are_no_html(standard, sample):
    sample.calibrate_line_factors(standard, "SrTiO3", **SILENT)
    sample.calibrate_line_factors({"Ti_K": 1.0, "Sr_K": 8.0}, error=0.02, **SILENT)
    for key in list(sample.metadata.EDS_espm.standards.keys()):
        sample.metadata.set_item(f"EDS_espm.standards.{key}.name", "<script>")
    assert "<script>" in str(sample.line_factors())
    page = sample.line_factors()._repr_html_()
    assert "&lt;script&gt; disagrees" in page
    assert "<script>" not in page


def test_the_report_says_which_lines_are_calibrated(standard, sample, capsys):
    sample.calibrate_line_factors(standard, "SrTiO3", **SILENT)
    found(sample)
    assert "Line factors by standards or tables: O_K, Sr_K" in capsys.readouterr().out


def test_files_keep_them(standard, sample, tmp_path, capsys):
    table = sample.calibrate_line_factors(standard, "SrTiO3")
    assert str(table) in capsys.readouterr().out
    expected = found(sample)
    for kind in FORMATS:
        sample.save(tmp_path / f"sample.{kind}")
        again = hs.load(tmp_path / f"sample.{kind}")
        assert again.line_factors().entries == table.entries
        assert again.physical_model().to_dict() == sample.physical_model().to_dict()
        stored = {x.element: x for x in again.print_quantification().entries}
        assert stored == expected
        assert found(again) == expected
    assert sample.line_factors("Ti_Ka").reference == "Ti_K"


REFUSED = {
    "beam energy": (
        lambda b: b.set_microscope_parameters(beam_energy=300),
        {},
        r"measured with 300 keV and this signal with 200 keV",
    ),
    "detector": (
        lambda b: b.set_analysis_parameters(detector="polymer_window"),
        {},
        "measured with another detector",
    ),
    "elements": (
        lambda b: b.set_elements(["O", "Sr", "Ti", "Cu"]),
        {},
        r"lacks Cu, which its metadata name.*stray_elements=\['Cu'\]",
    ),
    "counts": (
        lambda b: setattr(b, "data", b.data * (ENERGY < 12) * (ENERGY > 1)),
        {},
        "too few counts of O",
    ),
    "nothing": (lambda b: setattr(b, "data", 0 * b.data), {}, "too few counts of"),
    "formula": (None, {"composition": "Srtio3"}, "'Srtio3' is no chemical formula"),
    "no composition": (None, {"composition": None}, "`composition` must map symbols"),
    "symbol": (None, {"composition": {"Xx": 1}}, "Xx"),
    "errors": (
        None,
        {"composition_error": {"Fe": 0.1}},
        "`composition_error` names Fe",
    ),
    "size of errors": (None, {"composition_error": -1}, "`composition_error` must be"),
    "thickness": (None, {"thickness": -5, "density": 5}, "thickness"),
    "mass": (None, {"mass_thickness": 20}, "`mass_thickness` must be"),
    "method": (None, {"method": "EDX"}, "`method` must be"),
    "calibration": (None, {"calibration": "always"}, "`calibration` must be"),
    "signal": (
        None,
        {"standard": hs.signals.Signal1D([1.0]), "composition": None},
        "set_signal_type",
    ),
    "line": (
        None,
        {"standard": {"Fe_Xa": 1}, "composition": None},
        "is not the name of a line",
    ),
    "factor": (
        None,
        {"standard": {"Fe_Ka": -1}, "composition": None},
        "must be a positive number",
    ),
    "twice": (
        None,
        {"standard": {"Fe_Ka": 1, "Fe_K": 1}, "composition": None},
        "two factors of the family",
    ),
    "both": (None, {"error": 0.1}, "`error`: only a table of factors has that"),
    "film of a table": (None, {"standard": {"Fe_K": 1}}, "`composition`: only a film"),
    "twice as thick": (
        None,
        {"mass_thickness": 1e-4, "density": 2.0},
        "`density`: only a film without a mass thickness",
    ),
    "add": (None, {"add": "no"}, "`add` must be"),
}
TABLES = {
    "signal": ({"standard": hs.signals.Signal1D([1.0])}, "set_signal_type"),
    "none": ({"standard": {}}, "There are no factors"),
    "line": ({"standard": {"Fe_Xa": 1}}, "is not the name of a line"),
    "factor": ({"standard": {"Fe_Ka": -1}}, "must be a positive number"),
    "twice": ({"standard": {"Fe_Ka": 1, "Fe_K": 1}}, "two factors of the family"),
    "far off": ({"standard": {"Fe_K": 1, "O_K": 1e9}}, "line factor of .* must be"),
    "error": ({"standard": {"Fe_K": 1}, "error": 7}, "`error` must be"),
}
REFUSED |= {
    f"table, {name}": (None, {"composition": None, **options}, message)
    for name, (options, message) in TABLES.items()
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_used_is_refused_and_changes_nothing(standard, sample, name):
    change, options, message = REFUSED[name]
    sample.calibrate_line_factors({"Si_K": 1.0, "O_K": 1.1}, error=0.1, **SILENT)
    other = standard.deepcopy()
    if change is not None:
        change(other)
    arguments = {"standard": other, "composition": "SrTiO3", **options}
    before, was = state(sample), state(other)
    with pytest.raises((ValueError, TypeError), match=message):
        sample.calibrate_line_factors(**arguments, **SILENT)
    assert state(sample) == before
    assert state(other) == was


@given(factor=st.floats(2, 100))
@settings(max_examples=15)
def test_more_counts_change_errors_alone(standard, factor):
    """Of the same spectrum: ratios stay, and variances of counts fall as they rise."""
    model = standard.physical_model(
        elements=["O", "Sr", "Ti"], composition=atoms_of("SrTiO3"), thickness_error=0.0
    )
    spectrum = model.G @ np.linspace(3e3, 5e3, model.G.shape[1])
    scales = 1.0, factor, factor**2
    one, other, more = (measured(model, x * spectrum, "film", {}) for x in scales)
    assert one.kfactors.keys() == other.kfactors.keys()
    ratios = np.array([other.kfactors[x] / k for x, k in one.kfactors.items()])
    np.testing.assert_allclose(ratios, ratios[0], rtol=1e-4)
    assert ratios[0] == pytest.approx(1 / factor, rel=1e-4)
    for name in ("Sr_K", "Ti_K"):
        variance = [np.square(x.errors[name]).sum() for x in (one, other, more)]
        fallen = -np.diff(variance)
        assert fallen[0] / fallen[1] == pytest.approx(factor, rel=0.05)


def test_errors_of_thickness_and_composition_are_held(standard, sample):
    def error(**options):
        options = {"add": False, **SILENT, **options}
        table = sample.calibrate_line_factors(standard, "SrTiO3", **options)
        entries = table.relative_to("Ti_K").entries
        return {x.family: x.kfactor_error for x in entries}

    least, thick = error(thickness_error=0.0), error(thickness_error=0.2)
    wrong = error(thickness_error=0.0, composition_error={"O": 0.1})
    assert wrong["O_K"] == pytest.approx(np.hypot(least["O_K"], 0.1), rel=0.01)
    assert wrong["Sr_K"] == pytest.approx(least["Sr_K"])
    # as far as the absorption of O K moves by 20 % of the thickness
    model = standard.physical_model(composition=atoms_of("SrTiO3"))
    areas = [model.replace(thickness=x).G[:, 0].sum() for x in (0.8 * 80, 80, 1.2 * 80)]
    moved = (np.log(areas[0]) - np.log(areas[2])) / 2
    assert thick["O_K"] == pytest.approx(np.hypot(least["O_K"], moved), rel=0.1)


def test_a_mass_thickness_absorbs_as_thickness_and_density_do():
    """80 nm of 5 g/cm3 are 4e-4 kg/m2."""
    film = film_thickness(4e-4, thickness=None, density=None)
    models = [
        SpectrumModel(ENERGY, 200, ["O", "Sr", "Ti"], take_off_angle=20, **one)
        for one in (film, {"thickness": THICKNESS, "density": DENSITY})
    ]
    np.testing.assert_allclose(models[0].G, models[1].G)


def test_factors_of_atoms_are_those_of_weights():
    table = {"Fe_Ka": 1.3, "Si_Ka": 1.0}
    atoms = {name: k / atomic_weight(name[:2]) for name, k in table.items()}
    ideal = Detector.preset("ideal")
    one, other = (
        Standard.of_table(KFactorTable(k, basis), 200, ideal)
        for k, basis in ((table, "weight"), (atoms, "atomic"))
    )
    assert one.kfactors == pytest.approx(other.kfactors)


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        ({"kfactors": {"Fe_K": 1.0}, "zeta": 2}, r"found \['zeta'\]"),
        ({"kfactors": {"Fe_K": 1.0, "Fe_Ka": 1.0}}, "names a family more than once"),
        ({"kfactors": {}}, "factors and errors of the same families"),
        (
            {"kfactors": {"Fe_K": 1.0}, "errors": {"Si_K": [0.1]}},
            r"errors of \['Si_K'\]",
        ),
        (
            {"kfactors": {"Fe_K": 1.0}, "errors": {"Fe_K": [0.1], "Fe_Ka": [0.1]}},
            "`line_factor_errors` names a family more than once",
        ),
        (
            {"kfactors": {"Fe_K": 1.0}, "errors": {"Fe_K": [0.1], "Si_K": [0.1, 0.2]}},
            "must have as many numbers",
        ),
    ],
)
def test_standards_of_files_that_make_no_sense(stored, message):
    with pytest.raises(ValueError, match=message):
        Standard.from_dict(stored)


def test_a_reference_needs_a_factor():
    one = Standard({"Fe_K": 1.2, "Ni_K": 1.3})
    together = combined([one], 200, Detector.preset("ideal"))
    with pytest.raises(ValueError, match="'Si_K' has no line factor; Fe_K, Ni_K have"):
        together.relative_to("Si_K")


def test_an_unknown_detector_lets_the_level_of_light_elements_go():
    """What may be on it takes away oxygen, and nothing to speak of iron."""
    one = Standard({"O_K": 1.2, "Fe_K": 1.3})
    ideal = Detector.preset("ideal")
    known, unknown = (combined([one], 200, ideal, x) for x in ((), ("detector",)))
    sizes = [
        {name: np.linalg.norm(row) for name, row in found.errors.items()}
        for found in (known, unknown)
    ]
    assert sizes[1]["Fe_K"] > sizes[0]["Fe_K"]
    ratios = [
        found.factors["O_K"] / found.factors["Fe_K"] for found in (known, unknown)
    ]
    assert ratios[1] == pytest.approx(ratios[0])
    # on the whole it has taken some photons away
    assert unknown.factors["O_K"] < 0.995 * known.factors["O_K"]
