"""Files from others run no code, write nowhere else, and say nothing but text."""

import ast
import base64
import csv
import hashlib
import itertools
import json
import os
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import make_map, needs_zspy

import espm_hs
from espm_hs.cli import batch, html_report, maps, settings, tables
from espm_hs.cli import workers as many
from espm_hs.cli.main import main

PACKAGE = Path(espm_hs.__file__).parent
SCRIPT = "<script>alert(1)</script>"
FORMULA = "=HYPERLINK(1)"


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch):
    usual = many.run_all
    monkeypatch.setattr(many, "run_all", lambda *a, **k: usual(*a[:2], n_workers=0))


def run(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments])


# -- code ----------------------------------------------------------------------------

MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve"}
NAMES = {"eval", "exec", "compile", "__import__"}
ATTRIBUTES = {
    ("os", "system"), ("os", "popen"), ("yaml", "load"), ("pickle", "loads"),
    ("pickle", "load"), ("builtins", "eval"), ("builtins", "exec"),
    ("joblib", "load"), ("shutil", "unpack_archive"),
}  # fmt: skip


def forbidden(tree):
    """Names of what a module does that runs code from elsewhere."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [getattr(node, "module", None) or "", *(x.name for x in node.names)]
            yield from (name for name in names if name.split(".")[0] in MODULES)
        if not isinstance(node, ast.Call):
            continue
        function = node.func
        if isinstance(function, ast.Name) and function.id in NAMES:
            yield function.id
        if isinstance(function, ast.Attribute):
            owner = getattr(function.value, "id", None)
            if (owner, function.attr) in ATTRIBUTES or function.attr == "extractall":
                yield f"{owner}.{function.attr}"
        for keyword in node.keywords:
            off = isinstance(keyword.value, ast.Constant) and not keyword.value.value
            if keyword.arg in ("shell", "allow_pickle") and not off:
                yield keyword.arg


def test_no_module_runs_what_it_reads():
    modules = sorted(PACKAGE.rglob("*.py"))
    assert len(modules) > 90
    for module in modules:
        tree = ast.parse(module.read_text(encoding="utf-8"))
        assert not list(forbidden(tree)), module


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "from os import path; import dill",
        "eval(x)",
        "os.system('x')",
        "subprocess.run(x, shell=True)",
        "yaml.load(x)",
        "np.load(x, allow_pickle=True)",
        "zipfile.ZipFile(x).extractall()",
    ],
)
def test_the_search_finds_it(text):
    assert set(forbidden(ast.parse(text)))


@needs_zspy
def test_pickles_in_zarr_are_not_opened(tmp_path, monkeypatch):
    """Zarr's own registry has a codec that unpickles, in older versions unasked."""
    allowed = "numcodecs.pickles.ALLOW_UNSAFE_PICKLE_DECODE"
    monkeypatch.setattr(allowed, True, raising=False)
    from numcodecs.pickles import Pickle
    from numcodecs.registry import codec_registry

    monkeypatch.setitem(codec_registry, "pickle", Pickle)
    path = tmp_path / "map.zspy"
    make_map((3, 2), 50, size=300).save(path)
    (metadata,) = [p for p in path.rglob(".zarray") if p.parent.name == "data"]
    witness = tmp_path / "code ran"
    payload = f"cposix\nsystem\n(S'touch \"{witness}\"'\ntR.".encode()
    described = json.loads(metadata.read_text())
    described |= {
        "dtype": "|O", "filters": [{"id": "pickle", "protocol": 0}],
        "compressor": None, "chunks": [1], "shape": [1], "fill_value": 0,
    }  # fmt: skip
    metadata.write_text(json.dumps(described))
    shutil.rmtree(metadata.parent / "0")
    (metadata.parent / "0").write_bytes(payload)
    for command in ("info", "report"):
        result = run(command, path)
        assert result.exit_code == 1
        assert "cannot be read" in result.output
    assert not witness.exists()


def test_pickles_in_arrays_are_not_opened(tmp_path):
    np.save(tmp_path / "map.npy", np.array([{}], dtype=object), allow_pickle=True)
    result = run("info", tmp_path / "map.npy")
    assert result.exit_code == 1
    assert "error:" in result.output


# -- paths ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "folder",
    ["../x", "a/../../b", "/etc", "C:/x", "C:x", "\\\\host\\x", "..\\x", "a\0b", 3],
)
def test_settings_stay_inside_the_folder(folder, tmp_path):
    path = tmp_path / "settings.toml"
    path.write_text(f"phases = 2\noutput = {json.dumps(folder)}\n")
    result = run("decompose", "map.hspy", "--settings", path)
    assert result.exit_code == 2
    assert "folder below the present one" in " ".join(result.output.split())


@pytest.mark.skipif(os.name != "posix", reason="needs links")
def test_settings_do_not_follow_links(tmp_path, monkeypatch):
    """A link can come along with the map and the settings."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "link").symlink_to(tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path / "here")
    Path("settings.toml").write_text('output = "link/results"\n')
    with pytest.raises(ValueError, match="below the present one"):
        settings.read_settings(Path("settings.toml"), {"output"})


@pytest.mark.parametrize("folder", ["results", "a/b", "./a", "with space"])
def test_settings_may_name_folders(folder, tmp_path):
    path = tmp_path / "settings.toml"
    path.write_text(f"output = {json.dumps(folder)}\n")
    assert settings.read_settings(path, {"output"}) == {"output": folder}


@pytest.mark.parametrize(
    "text", ["../../evil", "/etc/passwd", "CON", "x" * 5000, "a\nb", "..\\x"]
)
def test_names_in_metadata_name_no_files(text, tmp_path, monkeypatch):
    """Titles and the like are text; results are called after the file."""
    s = make_map((3, 2), 100, size=300)
    s.metadata.General.title = text
    s.metadata.General.original_filename = text
    path = tmp_path / "in" / "map.hspy"
    path.parent.mkdir()
    s.save(path)
    monkeypatch.setattr(html_report, "_figure", lambda *_: "")
    monkeypatch.setattr(maps.plotting, "plot_phases", lambda signal: None)
    monkeypatch.setattr(maps, "save_figure", lambda figure, path: path.touch())
    out = tmp_path / "out"
    result = run("decompose", path, "-n", 1, "--starts", 1, "-o", out)
    assert result.exit_code == 0, result.output
    found = (p.relative_to(tmp_path) for p in tmp_path.rglob("*") if p.is_file())
    made = {p.as_posix() for p in found}
    names = ("espm.hspy", "phases.png", "composition.csv", "report.html")
    assert made == {"in/map.hspy", *(f"out/map_{name}" for name in names)}


def test_names_that_are_too_long_are_refused_before_the_work(tmp_path, monkeypatch):
    path = tmp_path / f"{'x' * 245}.hspy"
    make_map((3, 2), 100, size=300).save(path)
    monkeypatch.setattr(batch, "_decompose", None)
    result = run("decompose", path, "-n", 1, "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert "cannot be written" in result.output
    assert not (tmp_path / "out").exists()


def test_output_that_is_no_folder(tmp_path):
    make_map((3, 2), 100, size=300).save(tmp_path / "map.hspy")
    (tmp_path / "out").write_text("years of work")
    result = run("decompose", tmp_path / "map.hspy", "-n", 1, "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert "no folder to write to" in result.output
    assert (tmp_path / "out").read_text() == "years of work"


# -- text ----------------------------------------------------------------------------


class Page(HTMLParser):
    """Tags and text of a page."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.text, self.attributes = set(), "", []
        self.scripts, self._in_script = [], False
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.attributes += attrs
        # attributes of a script could have it fetch or be another kind of thing
        self._in_script = tag == "script" and not attrs
        if self._in_script:
            self.scripts.append("")
        else:
            self.tags.add(tag)

    def handle_endtag(self, tag):
        self._in_script = False

    def handle_data(self, data):
        if self._in_script:
            self.scripts[-1] += data
        else:
            self.text += data


def assert_harmless(page):
    # the script of the package, to the letter, and the only one that browsers may run
    assert page.scripts == [html_report.script()]
    digest = hashlib.sha256(page.scripts[0].encode("utf-8")).digest()
    (rule,) = [x for _, x in page.attributes if x and x.startswith("default-src")]
    assert rule.startswith("default-src 'none'")
    (scripts,) = [x for x in rule.split(";") if "script-src" in x]
    assert scripts.split() == [
        "script-src", f"'sha256-{base64.b64encode(digest).decode()}'"
    ]  # fmt: skip
    assert not page.tags & {"script", "iframe", "object", "b", "i"}
    for name, value in page.attributes:
        assert not name.startswith("on")
        assert name != "href"
        if name == "src":
            assert value.startswith("data:image/png;base64,")


def test_everything_in_reports_is_escaped(tmp_path):
    """File name, title, phases: through the whole command line."""
    folder = tmp_path / "<b>folder"
    folder.mkdir()
    s = make_map((4, 3), 200, size=300)
    s.metadata.General.title = f"{SCRIPT} & 'title'"
    s.axes_manager[0].units = s.axes_manager[1].units = "$\\nothing{$"
    path = folder / "<i onload='x'>map & co.hspy"
    s.save(path)
    file = tmp_path / "settings.toml"
    names = {f"{SCRIPT}{FORMULA}": {"absent": ["Ti"]}, "$\\frac{$": {"absent": ["Ni"]}}
    tables = "".join(
        f"[known_phases.{json.dumps(name)}]\nabsent = {json.dumps(kinds['absent'])}\n"
        for name, kinds in names.items()
    )
    file.write_text(f"phases = 2\nstarts = 1\n{tables}")
    result = run("decompose", path, "-s", file, "-o", folder)
    assert result.exit_code == 0, result.output
    page = Page(folder / f"{path.stem}_report.html")
    assert_harmless(page)
    assert f"{SCRIPT} & 'title'" in page.text
    assert str(path) in page.text
    assert SCRIPT + FORMULA in page.text
    assert "Content-Security-Policy" in str(page.attributes)


def test_reports_of_results_that_others_wrote(tmp_path, monkeypatch):
    """Any text in the results of a file, and errors that repeat it."""
    s = make_map((4, 3), 200, size=300)
    s.decomposition(
        algorithm="espm", output_dimension=2, n_init=1, print_info=False,
        known_phases={"one": {"absent": ["Ti"]}},
    )  # fmt: skip
    stored = s.metadata.EDS_espm.results
    stored.options.sparsity = SCRIPT
    stored.options.set_item("evil<b>", SCRIPT)
    stored.versions.numpy = SCRIPT
    stored.knowledge.names = [SCRIPT, "$x$y$"]
    s.metadata.set_item("Acquisition_instrument.TEM.Detector.EDS.azimuth_angle", SCRIPT)
    s.metadata.General.title = SCRIPT
    s.save(tmp_path / "map.hspy")
    result = run("report", tmp_path / "map.hspy")
    if result.exit_code == 0:
        assert_harmless(Page(tmp_path / "map_report.html"))
    assert "Traceback" not in result.output

    def fail(*args, **kwargs):
        raise ValueError(SCRIPT)

    del s.metadata.Acquisition_instrument.TEM.Detector.EDS.azimuth_angle
    s.save(tmp_path / "map.hspy", overwrite=True)
    monkeypatch.setattr(type(s), "plot_fit", fail)
    result = run("report", tmp_path / "map.hspy")
    assert result.exit_code == 0, result.output
    page = Page(tmp_path / "map_report.html")
    assert_harmless(page)
    assert page.text.count(SCRIPT) >= 5


def test_titles_do_not_steer_the_terminal(tmp_path):
    s = make_map((3, 2), 100, size=300)
    s.metadata.General.title = "\x1b[2J\x07title\x9b31m"
    s.save(tmp_path / "map.hspy")
    output = run("info", tmp_path / "map.hspy").output
    assert "title" in output
    assert all(x.isprintable() or x == "\n" for x in output)


@pytest.mark.skipif(os.name != "posix", reason="names are bytes on posix only")
def test_names_that_are_no_text(tmp_path, monkeypatch):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.hspy")
    make_map((3, 2), 100, size=300).save(tmp_path / "map.hspy")
    os.rename(tmp_path / "map.hspy", path)
    monkeypatch.setattr(html_report, "_figure", lambda *_: "")
    monkeypatch.setattr(maps.plotting, "plot_phases", lambda signal: None)
    monkeypatch.setattr(maps, "save_figure", lambda figure, path: path.touch())
    options = ["-n", 1, "--starts", 1, "-o", tmp_path / "out"]
    result = run("decompose", path, tmp_path / "missing.hspy", *options)
    assert "1 of 2 files failed" in result.output
    assert len(list((tmp_path / "out").iterdir())) == 6


def test_cells_are_no_formulas(tmp_path):
    texts = ["=1+1", "+1+1", "-1+1", "@x", "\t=1", "\r=1", "-cmd", "text", "a=b", "'"]
    numbers = ["-0.5", "1.5", "-1e-05", "0"]
    tables.write_csv(tmp_path / "a.csv", [[*texts, *numbers]])
    with open(tmp_path / "a.csv", newline="", encoding="utf-8") as file:
        (row,) = csv.reader(file)
    assert all(cell[:1] not in "=+-@\t\r" for cell in row[: len(texts)])
    assert row[len(texts) :] == numbers
    assert row[7:9] == ["text", "a=b"]


def test_tables_of_the_command_line_hold_no_formulas(tmp_path, monkeypatch):
    """File names, phases and errors."""
    monkeypatch.chdir(tmp_path)
    make_map((3, 2), 100, size=300).save(tmp_path / "map.hspy")
    os.rename("map.hspy", "=1+1.hspy")
    Path("-x.hspy").write_text("@SUM(1)")
    Path("s.toml").write_text(
        f"phases = 1\nstarts = 1\n[known_phases.{json.dumps(FORMULA)}]\nabsent=['Ti']\n"
    )
    monkeypatch.setattr(html_report, "_figure", lambda *_: "")
    monkeypatch.setattr(maps, "save_figure", lambda figure, path: path.touch())
    result = run("decompose", "-s", "s.toml", "--", "=1+1.hspy", "-x.hspy")
    assert result.exit_code == 1
    assert Path("=1+1_espm.hspy").exists(), result.output
    for name in ("=1+1_composition.csv", "summary.csv", "compositions.csv"):
        with open(name, newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
        assert len(rows) > 1
        for cell in itertools.chain(*rows):
            number = cell.replace(".", "").lstrip("-").isdigit()
            assert number or cell[:1] not in tuple("=+-@\t\r"), cell
    assert "'=1+1.hspy" in Path("compositions.csv").read_text()


def test_text_of_readers_is_kept_short(tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise KeyError("\x1b[31m" + "x" * 10**6)

    monkeypatch.setattr("hyperspy.api.load", fail)
    (tmp_path / "a.hspy").write_text("x")
    output = run("info", tmp_path / "a.hspy").output
    assert len(output) < 1000
    assert "\x1b" not in output
