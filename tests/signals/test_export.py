"""Results for papers and programs: tables, arrays, images, methods, scripts."""

import csv
import importlib.util
import re
import runpy

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from espm_hs import simulation

QUIET = {"print_info": False, "show_progressbar": False}
MASSES = {"O": 15.999, "Mg": 24.305, "Si": 28.085, "Ti": 47.867, "Fe": 55.845}


def find_phases(s, **options):
    usual = {"output_dimension": 3, "n_init": 1} | QUIET
    s.decomposition(algorithm="espm", **usual | options)
    return s


@pytest.fixture(scope="module")
def decomposed():
    s = find_phases(simulation.particles((20, 24), counts_per_pixel=80))
    order = np.argsort(-s.analysis_results().counts)
    s.reorder_phases(order.tolist())
    s.rename_phases({0: "olivine", 2: 'il/"menite" & more'})
    return s


@pytest.fixture(scope="module")
def exported(decomposed, tmp_path_factory):
    folder = tmp_path_factory.mktemp("paper")
    files = decomposed.export(folder, name="map")
    assert sorted(files) == sorted(folder.iterdir())
    plt.close("all")
    return folder


def rows(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_oxides_and_formula_units_are_those_of_the_truth(decomposed):
    """Mg1.8Fe0.2SiO4 and (Fe,Mg)TiO3 are what the map was simulated from."""
    units = decomposed.atoms_per_formula_unit()
    assert units.numbers == (0, 2)  # metal has no oxygen to speak of
    assert units.oxygens.tolist() == [4, 3]
    at = {symbol: i for i, symbol in enumerate(units.elements)}
    for symbol, j, true in (("Mg", 0, 1.8), ("Fe", 0, 0.2), ("Si", 0, 1), ("Ti", 1, 1)):
        found, error = units.atoms[at[symbol], j], units.errors[at[symbol], j]
        assert abs(found - true) < 3 * error < 0.3, symbol


def test_percent_of_oxides_by_hand(exported):
    """From the atomic percent of the same table, in plain arithmetic."""
    found = [one for one in rows(exported / "map_composition.csv") if one["oxide"]]
    assert {one["oxide"] for one in found} == {"MgO", "SiO2", "FeO", "TiO2", "NiO"}
    olivine = {one["element"]: one for one in found if one["phase"] == "0"}
    oxygen = {"Mg": 1, "Fe": 1, "Si": 2, "Ti": 2}
    at = {x: float(olivine[x]["atomic percent"]) for x in oxygen}
    mass = {x: at[x] * (MASSES[x] + n * MASSES["O"]) for x, n in oxygen.items()}
    bound = sum(oxygen[x] * at[x] for x in oxygen)
    for x in oxygen:
        percent = 100 * mass[x] / sum(mass.values())
        assert float(olivine[x]["oxide percent"]) == pytest.approx(percent, abs=0.02)
        atoms = float(olivine[x]["atoms per formula unit"])
        assert atoms == pytest.approx(4 * at[x] / bound, abs=0.002)


def test_errors_of_formula_units_are_those_of_draws(decomposed):
    """The delta method agrees with compositions drawn from the covariance."""
    from espm_hs.quantification.report import total_covariance

    found, units = decomposed.analysis_results(), decomposed.atoms_per_formula_unit(4)
    half = np.array([{"Si": 2, "Ti": 2, "O": 0}.get(x, 1) for x in found.elements])
    draws = np.random.default_rng(0).multivariate_normal(
        found.composition[:, 0], total_covariance(found)[0], 20_000
    )
    atoms = 4 * draws / (draws @ half)[:, None]
    np.testing.assert_allclose(units.errors[:, 0], atoms.std(axis=0), rtol=0.06)


def test_valences_and_numbers_of_oxygen_can_be_given(decomposed):
    one = decomposed.atoms_per_formula_unit({"olivine": 24}, oxygen={"Fe": 3})
    assert one.phases == ("olivine",)
    assert one.oxygens.tolist() == [24]
    atoms = dict(zip(one.elements, one.atoms[:, 0], strict=True))
    half = {"Mg": 1, "Fe": 1.5, "Si": 2, "Ti": 2, "Ni": 1, "O": 0}
    assert sum(half[x] * n for x, n in atoms.items()) == pytest.approx(24)
    titles = [
        x.metadata.General.title
        for x in decomposed.quantify(units="oxide", oxygen={"Fe": 8 / 3})
    ]
    assert "oxide percent of Fe3O4" in titles
    for wrong in (0, -1, "4", True, {"olivine": None}, {"glass": 3}):
        with pytest.raises(ValueError, match="oxygens"):
            decomposed.atoms_per_formula_unit(wrong)


def test_arrays(decomposed, exported):
    with np.load(exported / "map_result.npz") as arrays:
        found = decomposed.analysis_results()
        assert arrays["maps"].shape == (20, 24, 3)
        np.testing.assert_array_equal(arrays["spectra"], found.spectra)
        percent = [one.data for one in decomposed.quantify()]
        np.testing.assert_allclose(arrays["atomic_percent"], percent)
        np.testing.assert_allclose(
            arrays["energy_keV"], decomposed.axes_manager[-1].axis, atol=1e-9
        )


def test_images_have_the_size_of_a_pixel(decomposed, exported):
    with Image.open(exported / "map_map_atomic_percent_of_Mg.tif") as image:
        tags = image.tag_v2
        np.testing.assert_allclose(
            np.asarray(image), decomposed.quantify("pixels")[1].data, rtol=1e-6
        )
    assert float(tags[282]) == float(tags[283]) == pytest.approx(0.5)  # pixels per nm
    assert "unit=nm" in tags[270]
    counts = sum(
        np.asarray(Image.open(one)) for one in exported.glob("map_map_counts*.tif")
    )
    assert counts.sum() == pytest.approx(decomposed.data.sum(), rel=0.05)
    assert (exported / "map_map_phases.tif").exists()


def test_the_script_reproduces_the_result(exported, monkeypatch, capsys):
    monkeypatch.chdir(exported)
    found = runpy.run_path("map_reproduce.py")
    # its phases are in the order in which they were found
    expected = found["expected"]
    result = np.array([one.data for one in found["found"]])
    order = [
        int(np.nanargmin(np.abs(result - column[:, None]).sum(axis=0)))
        for column in expected.T
    ]
    np.testing.assert_allclose(result[:, order], expected, atol=6e-4)
    assert "then by hand: renamed" in (exported / "map_reproduce.py").read_text("utf-8")
    capsys.readouterr()


def test_masks_go_with_the_script(tmp_path, monkeypatch, capsys):
    s = simulation.particles((12, 16), counts_per_pixel=100)
    left_out = np.zeros((12, 16), bool)
    left_out[:, :3] = True
    channels = s.axes_manager[-1].axis > 9
    find_phases(s, output_dimension=2, navigation_mask=left_out.T, signal_mask=channels)
    s.metadata.General.title = 'a"""\nraise SystemExit #\\'
    written = s.export(tmp_path, "script", name="a") + s.export(
        tmp_path, "hspy", name="a"
    )
    assert [x.name for x in written] == [
        "a_result.npz",
        "a_reproduce.py",
        "a_espm.hspy",
    ]
    monkeypatch.chdir(tmp_path)
    runpy.run_path("a_reproduce.py")
    assert float(capsys.readouterr().out.split()[-1]) < 6e-4


def test_what_a_foreign_file_says_is_never_run(decomposed):
    from espm_hs.metadata.script import script_text

    text = script_text(
        (decomposed.metadata, None),
        {"tol": '1"\nboom()', "a\nboom()": 1, "known_phases": "{boom()}"},
        name="a.py",
        source="b'\n.hspy",
        title='"""\nboom()',
        versions={'"""\nboom()': "\\"},
        masks={},
        edits=("a\nboom()",),
        elements=["Fe"],
        percent=np.ones((1, 1)),
    )
    compile(text, "a.py", "exec")
    assert not any(line.startswith("boom") for line in text.splitlines())


def test_methods_name_what_was_done(decomposed):
    text = decomposed.methods_text()
    for part in ("3 phases", "200 keV", "Fe, Mg, Ni, O, Si and Ti", "of Cu as system",
                 "100 nm", "22°", "doi:10.1016/j.adt.2009.08.001", "random state 0",
                 "hyperspy", "renamed"):  # fmt: skip
        assert part in text, part
    cited = {f"[{n}]" for n in (1, 2, 3)}
    assert all(text.count(one) >= 2 for one in cited)


def test_latex_has_as_many_cells_as_columns(exported):
    text = (exported / "map_composition.tex").read_text(encoding="utf-8")
    tables = text.split("\\begin{tabular}")[1:]
    assert len(tables) == 4
    for table in tables:
        widths = {x.count(" & ") for x in table.splitlines() if x.endswith("\\\\")}
        assert len(widths) == 1
    assert 'il/"menite" \\& more' in text


def test_workbook(decomposed, tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    decomposed.export(tmp_path, ["excel", "csv"], name="a")
    sheet = openpyxl.load_workbook(tmp_path / "a_composition.xlsx")["composition"]
    cells = list(sheet.values)
    table = rows(tmp_path / "a_composition.csv")
    assert len(cells) == len(table) + 1
    place = cells[0].index("atomic percent")
    assert cells[1][place] == float(table[0]["atomic percent"])


def test_all_or_nothing(decomposed, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError("the disk is gone")

    monkeypatch.setattr(type(decomposed), "save", fail)
    with pytest.raises(OSError, match="gone"):
        decomposed.export(tmp_path / "new", ["csv", "hspy"])
    assert not list((tmp_path / "new").iterdir())


@pytest.mark.parametrize("what", ["pdf", [], ["csv", "doc"], 3])
def test_what_is_unknown_is_refused_before_anything_is_written(
    decomposed, tmp_path, what
):
    with pytest.raises((ValueError, TypeError), match="what"):
        decomposed.export(tmp_path / "a", what)
    assert not (tmp_path / "a").exists()


def test_a_line_scan_has_no_images(tmp_path):
    s = find_phases(
        simulation.particles((6, 8), counts_per_pixel=200), output_dimension=2
    )
    line = find_phases(s.inav[:, 2], output_dimension=2)
    with pytest.raises(ValueError, match="two axes"):
        line.export(tmp_path, "tiff")
    names = [x.name for x in line.export(tmp_path, name="line")]
    plt.close("all")
    assert "line_result.npz" in names
    assert not any(name.endswith(".tif") for name in names)


def test_options_of_all_kinds_go_with_the_script(decomposed):
    from espm_hs.metadata.script import script_text

    options = {
        "smoothness": np.array([0.5, 0.0]),
        "init": "previous",
        "n_init": np.int64(2),
        "ends": "(0.25, 4)",
        "known_phases": "{'a': array([0, 1])}",
    }
    text = script_text(
        (decomposed.metadata, None), options, name="a.py", source="a.hspy",
        title="a", versions={}, masks={}, edits=(), elements=["Fe"],
        percent=np.ones((1, 1)),
    )  # fmt: skip
    compile(text, "a.py", "exec")
    for line in ("smoothness=[0.5, 0.0],", "n_init=2,", "ends=[0.25, 4],"):
        assert f"    {line}\n" in text
    for name in ("init", "known_phases"):
        assert f"    {name}=" not in text
        assert re.search(rf"# {name} was .*: give it by hand\.", text)


def test_methods_of_a_calibrated_map_of_known_phases():
    s = simulation.particles((8, 9), counts_per_pixel=80)
    del s.metadata.Sample.thickness
    s.set_analysis_parameters(
        stray_elements=[], mass_thickness=0, line_factors={"Fe_K": 1.3}
    )
    find_phases(s, known_phases={"oxide": {"absent": ["Si"]}})
    text = s.methods_text()
    assert "Self-absorption was not corrected for." in text
    assert "Factors on line emission were Fe_K 1.3." in text
    assert "Known beforehand was: {'oxide': {'absent': ['Si']}}." in text
    assert "system or spurious" not in text


@pytest.mark.parametrize("name", ["", "  ", 3, ["map"]])
def test_files_need_a_name(decomposed, tmp_path, name):
    with pytest.raises(ValueError, match=r"`name` is .*; needed is a text"):
        decomposed.export(tmp_path / "a", "csv", name=name)
    assert not (tmp_path / "a").exists()


def test_without_openpyxl_there_is_no_workbook(decomposed, tmp_path, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda x: None if x == "openpyxl" else found(x)
    )
    with pytest.raises(ImportError, match="pip install openpyxl"):
        decomposed.export(tmp_path / "a", "excel")
    assert not (tmp_path / "a").exists()


def test_table_of_formula_units(decomposed):
    units = decomposed.atoms_per_formula_unit()
    frame = units.to_dataframe()
    assert list(frame.columns) == ["phase", "oxygens", "element", "atoms", "error"]
    assert len(frame) == units.atoms.size
    titanium = frame[(frame.element == "Ti") & (frame.oxygens == 3)]
    assert titanium.atoms.item() == units.atoms[units.elements.index("Ti"), 1]
    assert repr(units) == str(units)
    assert "<table>" in units._repr_html_()


def test_elements_without_oxygen_have_no_oxides(tmp_path):
    s = simulation.particles((8, 8), counts_per_pixel=100)
    s.set_elements(["O"])
    s.set_analysis_parameters(stray_elements=["Mg", "Si", "Ti", "Fe", "Ni"])
    find_phases(s, output_dimension=1)
    s.export(tmp_path, "csv", name="a")
    (row,) = rows(tmp_path / "a_composition.csv")
    assert (row["element"], row["oxide"]) == ("O", "")
