"""The command line, from files to files."""

import base64
import csv
import html
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import warnings
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np
import pytest
from click.testing import CliRunner
from conftest import FORMATS, needs_zspy
from PIL import Image

import espm_hs
from espm_hs.cli import batch, files, html_report, maps, settings
from espm_hs.cli import main as cli
from espm_hs.cli import workers as many
from espm_hs.cli.advice import for_command_line
from espm_hs.cli.main import main
from espm_hs.output import check_targets
from espm_hs.quantification.report import report
from espm_hs.simulation import ground_truth, particles

DATA = os.environ.get("ESPM_HS_TEST_DATA")
measured = pytest.mark.skipif(
    DATA is None, reason="ESPM_HS_TEST_DATA names no folder of measured maps"
)


def run(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch):
    """Spare the seconds in which another process starts, if one is enough."""

    def run_all(paths, work, n_workers=1, prepare=None):
        return on_workers(paths, work, 0 if n_workers == 1 else n_workers, prepare)

    on_workers = many.run_all
    monkeypatch.setattr(many, "run_all", run_all)
    # the command line has a form of its own for warnings, which ends with each test
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)


@pytest.fixture(scope="module")
def map_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("maps") / "small.hspy"
    particles((16, 16), counts_per_pixel=100).save(path)
    return path


@pytest.fixture
def no_figures(monkeypatch):
    """Spare the seconds of drawing where figures do not matter."""

    def save(figure, path):
        plt.close(figure)
        path.touch()

    monkeypatch.setattr(maps.plotting, "plot_phases", lambda signal: plt.figure())
    monkeypatch.setattr(maps, "save_figure", save)
    monkeypatch.setattr(maps, "write_report", lambda signal, path, *_: path.touch())


@pytest.fixture
def bare_file(tmp_path):
    """Return a map without elements or beam energy."""
    s = hs.signals.Signal1D(np.ones((3, 4, 300), np.uint8))
    axis = s.axes_manager[-1]
    axis.scale, axis.units = 0.02, "keV"
    s.set_signal_type("EDS_TEM")
    s.save(tmp_path / "bare.hspy")
    return tmp_path / "bare.hspy"


def test_help_does_not_wait_for_hyperspy():
    code = "import sys, espm_hs.cli; print('hyperspy' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.stdout.strip() == "False"
    assert espm_hs.__version__ in run("--version").output
    for command in ("demo", "info", "decompose", "simulate"):
        assert command in run("--help").output


def test_demo_finds_the_truth(tmp_path):
    result = run("demo", "--output", tmp_path / "demo")
    assert result.exit_code == 0, result.output
    assert {f.name for f in (tmp_path / "demo").iterdir()} == {
        "map.hspy",
        "phases.png",
    }
    s = hs.load(tmp_path / "demo" / "map.hspy")
    truth = ground_truth(s)
    lines = [line for line in result.output.splitlines() if " found " in line]
    assert [line.split()[0] for line in lines] == list(truth.names)
    assert all(float(line.split()[-1].rstrip("°")) < 5 for line in lines)
    # "57.4 ± 0.1" for each element
    found = np.array([[float(x) for x in line.split()[2:-1:3]] for line in lines])
    assert np.abs(found - 100 * truth.composition.T).max() < 8


def test_without_a_folder_for_compiled_code_nothing_is_compiled(monkeypatch):
    stats = SimpleNamespace(stats=SimpleNamespace(cache_path=None))
    monkeypatch.setattr(batch, "block_pass", lambda *_: stats)
    result = run("compile")
    assert result.exit_code == 1
    assert "set the variable NUMBA_CACHE_DIR" in " ".join(result.output.split())


def test_compile_names_the_folder():
    result = run("compile")
    assert result.exit_code == 0, result.output
    folder = re.search(r"Ready after \d+ s, in (.*) and beside it", result.output)[1]
    assert list(Path(folder).glob("pixel_updates.*.nbc"))


def test_decompose_writes_all_results(map_file, tmp_path):
    out = tmp_path / "out"
    result = run("decompose", map_file, "-n", 3, "-o", out, "--seed", 1, "--jobs", 1)
    assert result.exit_code == 0, result.output
    assert "phase 2" in result.output
    assert {f.name for f in out.iterdir()} == {
        "small_espm.hspy",
        "small_phases.png",
        "small_composition.csv",
        "small_report.html",
    }
    with open(out / "small_composition.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * 6
    for unit in ("atomic percent", "weight percent"):
        for phase in "012":
            part = [float(row[unit]) for row in rows if row["phase"] == phase]
            assert sum(part) == pytest.approx(100, abs=0.01)
    stored = {q.metadata.Sample.elements[0]: q.data for q in _load(out).quantify()}
    for row in rows:
        percent = stored[row["element"]][int(row["phase"])]
        assert float(row["atomic percent"]) == pytest.approx(percent, abs=1e-4)
        assert float(row["error of atomic percent: counts"]) >= 0
        assert bool(row["detection limit of atomic percent"]) or percent > 0


def _load(folder):
    return hs.load(folder / "small_espm.hspy")


def test_options_reach_the_analysis(map_file, tmp_path, no_figures):
    result = run(
        "decompose", map_file, "-n", 2, "-o", tmp_path, "--elements", "O, Mg,Si,Fe",
        "--stray", "Cu,Ti", "--thickness", 50, "--density", 3.5, "--beam-energy", 120,
        "--elevation", 30, "--sparsity", 0.5, "--starts", 2,
        "--detector", "polymer_window",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    model = _load(tmp_path).analysis_results().model
    assert set(model.elements) == {"O", "Mg", "Si", "Fe"}
    assert model.stray_elements == ("Cu", "Ti")
    assert (model.thickness, model.density, model.beam_energy) == (50, 3.5, 120)
    assert model.take_off_angle == pytest.approx(30)
    # the window lets about half of O K through; without one it is nearly all
    assert model.detector.efficiency(0.525) < 0.6
    wrong = run("decompose", map_file, "-n", 2, "-o", tmp_path, "--detector", "glass")
    assert wrong.exit_code == 1
    assert "polymer_window" in wrong.output
    assert "--detector" in wrong.output


def test_a_failing_file_does_not_stop_the_others(map_file, tmp_path, no_figures):
    broken = tmp_path / "broken.hspy"
    broken.write_bytes(b"this is no HDF5")
    out = tmp_path / "out"
    missing = tmp_path / "missing.emd"
    result = run("decompose", missing, broken, map_file, "-n", 1, "-o", out)
    assert result.exit_code == 1
    assert (out / "small_espm.hspy").exists()
    assert "2 of 3 files failed" in result.output
    errors = [line for line in result.output.splitlines() if line.startswith("error:")]
    assert len(errors) == 2
    assert str(missing) in errors[0]
    assert "Traceback" not in result.output


def test_nothing_is_left_half_written(map_file, tmp_path, monkeypatch, no_figures):
    def fail(*args):
        raise OSError("disk full")

    monkeypatch.setattr(maps, "write_composition", fail)
    result = run("decompose", map_file, "-n", 1, "-o", tmp_path / "out")
    assert result.exit_code == 1
    table = tmp_path / "out" / "small_composition.csv"
    assert f"error: {map_file}: {table} cannot be written" in result.output
    assert list((tmp_path / "out").iterdir()) == []


def test_results_that_are_not_whole_are_told(tmp_path):
    """HyperSpy's writers pass over what they fail to write."""
    s = particles((6, 6), counts_per_pixel=100)
    s.save(tmp_path / "bare.hspy")
    s.decomposition(algorithm="espm", output_dimension=1, print_info=False)
    with pytest.raises(OSError, match="not all of it was written: "):
        maps._check_written(s, tmp_path / "bare.hspy")
    s.save(tmp_path / "whole.hspy")
    maps._check_written(s, tmp_path / "whole.hspy")


def test_the_table_says_how_good_the_fit_is(map_file, tmp_path, no_figures):
    result = run("decompose", map_file, "-n", 2, "-o", tmp_path)
    assert "over its expectation" in result.output
    assert "did not converge" not in result.output


def test_a_fit_that_does_not_converge_is_told(map_file, tmp_path, no_figures):
    settings = batch.Settings(2, fit={"max_iter": 2})
    done = batch.decompose_file(map_file, tmp_path, settings)
    assert "did not converge in 2 iterations" in done.text


def test_ctrl_c_writes_nothing(map_file, tmp_path, monkeypatch, no_figures):
    from espm_hs import signals

    class Bar:
        n = 0

        def __init__(self, *args, **kwargs):
            pass

        def set_description_str(self, *args, **kwargs):
            pass

        def update(self, n):
            raise KeyboardInterrupt

        def close(self):
            pass

    monkeypatch.setattr(signals._masks, "progressbar", Bar)
    out = tmp_path / "out"
    result = run("decompose", map_file, map_file, "-n", 2, "-o", out)
    assert result.exit_code == 1
    assert "Aborted!" in result.output
    assert "phase 1" not in result.output
    assert not out.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "--elements"),
        (["-e", "O,Si"], "--beam-energy"),
        (["-e", "O,Si", "--beam-energy", 200, "--thickness", 10], "--density"),
        (["-e", "O,Au", "--stray", "O", "--beam-energy", 200], "--stray"),
        (["-e", "O,Xx", "--beam-energy", 200], "Xx"),
    ],
)
def test_what_is_missing_is_named(bare_file, tmp_path, options, message):
    result = run("decompose", bare_file, "-n", 2, "-o", tmp_path, *options)
    assert result.exit_code == 1
    error = next(x for x in result.output.splitlines() if x.startswith("error:"))
    assert message in error


def test_equal_names_are_refused(tmp_path):
    result = run("decompose", "a/map.emd", "b/map.bcf", "-n", 2, "-o", tmp_path)
    assert result.exit_code == 2
    assert "both write map_espm.hspy" in result.output


def test_no_spectrum_in_the_file(tmp_path):
    hs.signals.Signal2D(np.ones((4, 4))).save(tmp_path / "image.hspy")
    result = run("info", tmp_path / "image.hspy")
    assert result.exit_code == 1
    assert "no EDS spectrum" in result.output


def test_info_names_what_is_there(map_file, bare_file):
    result = run("info", map_file)
    assert result.exit_code == 0
    for text in (
        "(16, 16|1024)",
        "uint8",
        "0 to 10.23 keV",
        "200 keV",
        "<- decompose",
    ):
        assert text in result.output
    bare = run("info", bare_file).output
    assert "missing: `--elements O,Si,...`" in bare
    assert "s.set_elements" not in bare


def test_info_and_its_twin_in_python_say_the_same(map_file):
    s = hs.load(map_file)
    s.set_signal_type("EDS_espm")
    text = str(s.info())
    shown = run("info", map_file).output
    # but for the calls, which have options in their place
    assert all(line in shown for line in for_command_line(text).splitlines()[1:])
    assert "(16, 16|1024)" in text
    assert f"{s.data.sum() / 256:.1f}" in text
    page = s.info()._repr_html_()
    assert all(html.escape(one) in page for row in s.info().rows for one in row)


def test_info_names_elements_without_a_line(tmp_path):
    s = particles((4, 4)).isig[0.83:]
    s.save(tmp_path / "high.hspy")
    lines = run("info", tmp_path / "high.hspy").output.splitlines()
    line = next(line for line in lines if line.split()[:1] == ["elements"])
    kept = [e for e in s.metadata.Sample.elements if e != "O"]
    assert f"no line of O in the energy range: `--elements {','.join(kept)}`" in line


def test_the_map_with_most_counts_is_chosen():
    s = particles((5, 5), counts_per_pixel=50)
    few = particles((9, 9), counts_per_pixel=5)
    assert files.choose_map([few.sum(), s.sum(), few, s]) is s
    spectrum = s.sum()
    assert files.choose_map([few.sum(), spectrum]) is spectrum


def test_simulate(tmp_path):
    path = tmp_path / "sub" / "map.hspy"
    options = ["--shape", 5, 7, "--counts", 20, "--seed", 3]
    result = run("simulate", "particles", "-o", path, *options)
    assert result.exit_code == 0, result.output
    expected = particles((5, 7), counts_per_pixel=20, seed=3)
    np.testing.assert_array_equal(hs.load(path).data, expected.data)
    assert "must end in" in run("simulate", "mantle", "-o", tmp_path / "map.tif").output


@pytest.mark.parametrize("extension", FORMATS)
def test_simulate_replaces_an_older_map(tmp_path, extension):
    path = tmp_path / f"map.{extension}"
    for seed in (1, 2):
        result = run(
            "simulate", "particles", "-o", path, "--shape", 5, 7, "--seed", seed
        )
        assert result.exit_code == 0, result.output
    expected = particles((5, 7), counts_per_pixel=100, seed=2)
    np.testing.assert_array_equal(hs.load(path).data, expected.data)
    assert list(tmp_path.iterdir()) == [path]


@needs_zspy
def test_simulate_spares_other_folders(tmp_path):
    path = tmp_path / "map.zspy"
    path.mkdir()
    (path / "thesis.txt").write_text("years of work")
    result = run("simulate", "particles", "-o", path, "--shape", 5, 7)
    assert result.exit_code == 1
    assert "folder of other files" in result.output
    assert [f.name for f in tmp_path.rglob("*")] == ["map.zspy", "thesis.txt"]


def test_several_files_with_a_summary(map_file, tmp_path, no_figures):
    out, broken = tmp_path / "out", tmp_path / "broken.hspy"
    broken.write_bytes(b"this is no HDF5")
    options = ["-n", 2, "-o", out, "--lazy", "--resume", "--starts", 1]
    result = run("decompose", broken, map_file, *options)
    assert result.exit_code == 1
    head, first, second = _summary(out)
    assert head[:3] == ["file", "state", "map"]
    assert (first[0], first[1], first[2]) == (str(broken), "failed", "")
    assert "cannot be read: is it complete" in first[-1]
    assert second[:3] == [str(map_file), "done", "(16, 16|1024)"]
    # as info has them, those included that are not fitted
    total = hs.load(map_file).data.sum()
    assert second[3] == f"{total / 256:.1f}"
    lines = result.output.splitlines()
    (line,) = (x for x in lines if x.split()[:1] == [str(map_file)] and "done" in x)
    assert line.split()[2:4] == ["(16,", "16|1024)"]
    same = np.array_equal(_load(out).data, hs.load(map_file).data)
    assert same

    # once more: what is done is not done again, unless asked for otherwise
    before = (out / "small_espm.hspy").stat().st_mtime_ns
    result = run("decompose", broken, map_file, *options)
    assert [row[1] for row in _summary(out)[1:]] == ["failed", "done before"]
    assert _summary(out)[2][2:-2] == second[2:-2]
    assert (out / "small_espm.hspy").stat().st_mtime_ns == before
    for changes in (["--sparsity", 0.5], ["-n", 1], ["--elements", "O,Mg,Si,Fe"]):
        result = run("decompose", map_file, *options, *changes)
        assert "done before" not in result.output
        assert "phase 0" in result.output
    map_file.touch()
    result = run("decompose", map_file, *options, "--elements", "O,Mg,Si,Fe")
    assert "phase 0" in result.output


def test_damaged_results_are_done_again(map_file, tmp_path, no_figures):
    options = ["-n", 1, "-o", tmp_path, "--starts", 1, "--resume"]
    assert "phase 0" in run("decompose", map_file, *options).output
    assert "as in" in run("decompose", map_file, *options).output
    results = tmp_path / "small_espm.hspy"
    whole = results.read_bytes()
    results.write_bytes(whole[: len(whole) // 2])
    assert "phase 0" in run("decompose", map_file, *options).output
    assert len(results.read_bytes()) > len(whole) // 2


def test_errors_at_the_end_are_told_in_a_line(map_file, tmp_path, monkeypatch):
    """Those of the table of all files, and of a demo that cannot be written."""
    out = tmp_path / "out"
    (out / "summary.csv").mkdir(parents=True)
    result = run(
        "decompose", tmp_path / "a.hspy", tmp_path / "b.hspy", "-n", 1, "-o", out
    )
    assert result.exit_code == 1
    assert "Error: " in result.output
    assert "summary.csv" in result.output.splitlines()[-1]
    monkeypatch.setattr(batch.simulation, "particles", lambda seed: hs.load(map_file))
    (tmp_path / "file").touch()
    result = run("demo", "-o", tmp_path / "file")
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert len(result.output.splitlines()) == 1


# A shell lets what it starts in the background ignore Ctrl-C, which is inherited.
HEARS_CTRL_C = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
)


@pytest.mark.skipif(os.name != "posix", reason="Windows has other signals")
def test_ctrl_c_of_a_user(map_file, tmp_path):
    """Ends the processes behind the command, too, and leaves nothing."""
    code = f"{HEARS_CTRL_C}from espm_hs.cli.main import main; main()"
    out = tmp_path / "out"
    options = ["-n", "6", "--starts", "400", "-o", str(out)]
    command = [sys.executable, "-c", code, "decompose", str(map_file), *options]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, **streams) as process:
        time.sleep(4)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert output.strip() == "Aborted!"
    assert not out.exists() or list(out.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="Windows has other signals")
def test_ctrl_c_in_a_callback_of_the_interpreter(tmp_path):
    """Which swallows it: the command is told again."""
    script = tmp_path / "script.py"
    script.write_text(
        f"{HEARS_CTRL_C}import time, weakref\n"
        "from espm_hs.cli import main as cli, workers as many\n"
        "class Thing: pass\n"
        "def callback(_):\n"
        "    signal.raise_signal(signal.SIGINT)\n"
        "    sum(range(1000))\n"
        "def run_all(*arguments, **options):\n"
        "    thing = Thing()\n"
        "    reference = weakref.ref(thing, callback)\n"
        "    del thing\n"
        "    time.sleep(600)\n"
        "    yield\n"
        "many.run_all = run_all\n"
        "cli.main()\n"
    )
    command = [sys.executable, str(script), "info", "map.hspy"]
    found = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert found.returncode == 1
    assert found.stderr.strip() == "Aborted!"


def test_processes_end_when_printing_is_interrupted(monkeypatch):
    def outcomes():
        try:
            yield many.Outcome("map.hspy", "done", "text")
        finally:
            closed.append(True)

    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    closed = []
    monkeypatch.setattr(cli.click, "echo", interrupt)
    one = outcomes()
    with pytest.raises(KeyboardInterrupt):
        cli._print(one, 1)
    assert closed


def _summary(folder):
    with open(folder / "summary.csv", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_files_side_by_side(map_file, tmp_path):
    other = tmp_path / "other.hspy"
    hs.load(map_file).save(other)
    out = tmp_path / "out"
    options = ["-n", 2, "-o", out, "--starts", 1, "--workers", 2, "--lazy"]
    result = run("decompose", map_file, other, *options)
    assert result.exit_code == 0, result.output
    for name in ("small", "other"):
        assert (out / f"{name}_phases.png").stat().st_size > 10_000
    a, b = (hs.load(out / f"{name}_espm.hspy") for name in ("small", "other"))
    np.testing.assert_array_equal(
        a.learning_results.loadings, b.learning_results.loadings
    )


@measured
def test_velox_file_with_several_signals(tmp_path):
    path = Path(DATA, "velox_si_16x16.emd")
    shown = run("info", path).output
    chosen = next(p for p in shown.split("\n\n") if "<- decompose" in p)
    assert "(16, 16|4096)" in chosen
    result = run("decompose", path, "-n", 1, "-o", tmp_path)
    assert result.exit_code == 0, result.output
    s = hs.load(tmp_path / "velox_si_16x16_espm.hspy")
    assert s.data.shape == (16, 16, 4096)


# -- settings --------------------------------------------------------------------------


def test_init_writes_settings_that_work(map_file, tmp_path, no_figures):
    file = tmp_path / "mine.toml"
    assert run("init", file).exit_code == 0
    result = run("decompose", map_file, "--settings", file, "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    found = _load(tmp_path / "out")
    assert found.analysis_results().n_phases == 3
    assert "calibration" in found.metadata.EDS_espm  # the template asks for it
    # nothing is lost
    again = run("init", file)
    assert again.exit_code == 1
    assert "is there already" in again.output


def test_settings_that_cannot_be_written(tmp_path, monkeypatch):
    result = run("init", tmp_path / "nowhere" / "mine.toml")
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert len(result.output.splitlines()) == 1
    # half of a file would be taken for the whole of it
    monkeypatch.setattr(settings, "TEMPLATE", "phases = 3\n\udcff")
    with pytest.raises(UnicodeEncodeError):
        settings.write_template(tmp_path / "mine.toml")
    assert not list(tmp_path.iterdir())


def test_yes_and_no_of_toml_are_taken(map_file, tmp_path, no_figures):
    file = tmp_path / "mine.toml"
    file.write_text("phases = 1\npile_up = false\n")
    result = run("decompose", map_file, "-s", file, "-o", tmp_path)
    assert result.exit_code == 0, result.output
    assert _load(tmp_path).metadata.EDS_espm.pile_up is False


def test_every_setting_is_in_the_template():
    parameters = {one.name for one in main.commands["decompose"].params}
    text = settings.TEMPLATE.replace("# ", "")
    for name in parameters - {"files", "settings"}:
        assert f"\n{name} = " in text, name


def test_every_line_of_the_template_can_be_in_force(map_file, tmp_path, no_figures):
    text = settings.TEMPLATE.format(name="x.toml")
    lines = [
        line[2:] if re.match(r"# (\[|\w+ = )", line) else line
        for line in text.splitlines()
    ]
    # a mass thickness takes the place of the thickness
    left_out = ("elements", "mass_thickness")
    lines = [line for line in lines if not line.startswith(left_out)]
    text = "\n".join(lines).replace('"Fe", "O", "Pt"', '"Ti"')
    text = text.replace("{ Fe = 0.16, Pt = 0.84 }", "{ Fe = 0.65, Ni = 0.35 }")
    file = tmp_path / "all.toml"
    file.write_text(text, encoding="utf-8")
    result = run("decompose", map_file, "-s", file, "-o", tmp_path, "--stray", "Cu")
    assert result.exit_code == 0, result.output
    found = _load(tmp_path).analysis_results()
    assert found.knowledge.names[:2] == ("core", "film")
    assert found.model.thickness == 100


def test_options_go_before_settings(map_file, tmp_path, no_figures):
    file = tmp_path / "two.toml"
    file.write_text('phases = 2\nelements = ["O", "Mg", "Si", "Fe"]\nstarts = 1\n')
    result = run("decompose", map_file, "-s", file, "-n", 1, "-o", tmp_path)
    assert result.exit_code == 0, result.output
    found = _load(tmp_path).analysis_results()
    assert found.n_phases == 1
    assert set(found.elements) == {"O", "Mg", "Si", "Fe"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("phases = 2\nelement = ['O']", "no setting 'element'"),
        ("phases = ", "is no TOML"),
        ("phases = 'two'", "not a valid integer"),
        ("sparsity = 1.0", "Missing option '-n' / '--phases'"),
    ],
)
def test_settings_that_make_no_sense(map_file, tmp_path, text, says):
    file = tmp_path / "bad.toml"
    file.write_text(text)
    result = run("decompose", map_file, "--settings", file, "-o", tmp_path)
    assert result.exit_code == 2
    assert says in " ".join(result.output.split())


# -- reports ---------------------------------------------------------------------------


class _Page(HTMLParser):
    """What a browser would make of a page: text, and the images in it."""

    def __init__(self, page):
        super().__init__()
        self.text, self.images, self.tags = "", [], []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_data(self, data):
        self.text += data

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag == "img":
            self.images.append(dict(attrs)["src"])


def test_report_shows_all_of_it_and_escapes_metadata(tmp_path):
    s = particles((12, 12), counts_per_pixel=100)
    s.metadata.General.title = "<script>alert('x')</script> & co"
    s.save(tmp_path / "map.hspy")
    result = run("decompose", tmp_path / "map.hspy", "-n", 2, "-o", tmp_path)
    assert result.exit_code == 0, result.output
    page = _Page(tmp_path / "map_report.html")
    # that of the package, which no text of a file becomes
    assert page.tags.count("script") == 1
    assert "<script>alert('x')</script> & co" in page.text
    assert len(page.images) == 5
    for image in page.images:
        head, data = image.split(",", 1)
        assert head == "data:image/png;base64"
        assert base64.b64decode(data).startswith(b"\x89PNG")
    found = _load_of(tmp_path, "map").analysis_results()
    for row in report(found).rows():
        for cell in row:
            assert cell in page.text

    # from the results alone it is the same, but for the name of the file
    again = run("report", tmp_path / "map_espm.hspy", "-o", tmp_path / "again.html")
    assert again.exit_code == 0, again.output
    other = _Page(tmp_path / "again.html")
    assert other.images[0] == page.images[0]
    assert str(tmp_path / "map_espm.hspy") in other.text


def test_phases_get_names(map_file, tmp_path):
    database = tmp_path / "own.csv"
    database.write_text('name,formula\nolivine,"(Mg,Fe)2SiO4"\nmetal,Fe | Ni\n')
    arguments = ("decompose", map_file, "-n", 2, "-o", tmp_path)
    result = run(*arguments, "--identify", database)
    assert result.exit_code == 0, result.output
    assert "probability" in result.output
    found = _load_of(tmp_path, "small")
    assert "olivine" in found.analysis_results().labels
    page = _Page(tmp_path / "small_report.html")
    assert "Names of the phases" in page.text
    assert "olivine, Mg" in page.text
    again = run("report", tmp_path / "small_espm.hspy", "--identify", database)
    assert again.exit_code == 0, again.output
    assert "Names of the phases" in _Page(tmp_path / "small_report.html").text


def test_a_database_is_read_before_any_work(map_file, tmp_path):
    result = run("decompose", map_file, "-n", 2, "-o", tmp_path, "--identify", "mine")
    assert result.exit_code == 1
    assert "`database` must be" in result.output
    assert list(tmp_path.iterdir()) == []


def _load_of(folder, name):
    return hs.load(folder / f"{name}_espm.hspy")


def test_one_report_for_one_map(map_file, tmp_path):
    result = run("report", map_file, map_file, "-o", tmp_path / "a.html")
    assert result.exit_code == 2
    assert "--output is the report of one file" in result.output
    assert not list(tmp_path.iterdir())


def test_a_figure_that_fails_has_no_numbers_for_the_browser():
    assert html_report._numbers(particles((4, 4), counts_per_pixel=50), "fit") is None


def test_report_of_a_map_without_phases(map_file):
    result = run("report", map_file)
    assert result.exit_code == 1
    assert "holds no phases yet" in result.output


def test_compositions_of_all_files_in_one_table(map_file, tmp_path, no_figures):
    other = tmp_path / "other.hspy"
    hs.load(map_file).save(other)
    broken = tmp_path / "broken.emd"
    broken.write_bytes(b"nothing")
    out = tmp_path / "out"
    result = run("decompose", map_file, broken, other, "-n", 2, "-o", out)
    assert result.exit_code == 1
    assert "cannot be read: is it complete" in result.output
    with open(out / "compositions.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows[:: len(rows) // 2]] == [
        str(map_file),
        str(other),
    ]
    assert len(rows) == 2 * 2 * 6


@pytest.mark.parametrize(
    "setting",
    ["thickness = 1979-05-27", "phases = [3]", "elements = [1, 2]", "known_phases = 3"],
)
def test_settings_of_a_type_that_none_has(map_file, tmp_path, setting):
    file = tmp_path / "settings.toml"
    file.write_text(f"{setting}\n")
    result = run("decompose", map_file, "-n", 2, "-s", file)
    assert result.exit_code == 2
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert f"has {setting.split()[0]} = " in " ".join(result.output.split())


def test_new_folder_beside_results_of_that_name(tmp_path):
    """What is in the folder around it does not matter."""
    (tmp_path / "map_espm.hspy").touch()
    check_targets([tmp_path / "results" / "map_espm.hspy"])
    (tmp_path / "folder_espm.hspy").mkdir()
    with pytest.raises(OSError, match="is there already"):
        check_targets([tmp_path / "folder_espm.hspy"])


def test_run_as_a_module():
    command = [sys.executable, "-m", "espm_hs.cli", "info", "nothing.hspy"]
    found = subprocess.run(command, capture_output=True, text=True)
    assert found.returncode == 1
    assert "nothing.hspy" in found.stdout + found.stderr


def test_export(map_file, tmp_path):
    assert run("export", map_file).exit_code == 1
    done = run("decompose", map_file, "-n", 2, "-o", tmp_path, "--starts", 1)
    assert done.exit_code == 0, done.output
    results = tmp_path / "small_espm.hspy"
    done = run("export", results, "-w", "csv,methods", "-o", tmp_path / "paper")
    assert done.exit_code == 0, done.output
    names = sorted(x.name for x in (tmp_path / "paper").iterdir())
    assert names == ["small_composition.csv", "small_methods.txt"]
    assert "small_methods.txt" in done.output
    wrong = run("export", results, "-w", "csv,doc", "-o", tmp_path / "other")
    assert wrong.exit_code == 1
    assert "doc" in wrong.output
    assert not (tmp_path / "other").exists()


def test_as_many_phases_as_the_counts_bear_out(map_file, tmp_path, no_figures):
    options = ("--starts", 1, "-o", tmp_path)
    done = run("decompose", map_file, "-n", "auto", *options)
    assert done.exit_code == 0, done.output
    assert "The counts bear out 3 phases." in done.output
    found = _load(tmp_path)
    assert found.analysis_results().n_phases == 3
    assert (tmp_path / "small_phase_number.png").exists()
    again = run("decompose", map_file, "-n", "auto", *options, "--resume")
    assert "as in" in again.output
    assert run("decompose", map_file, "-n", "some", *options).exit_code == 2
    assert run("decompose", map_file, "-n", 0, *options).exit_code == 2


def test_number_of_phases(map_file, tmp_path):
    done = run("phases", map_file, "--most", 4, "-o", tmp_path)
    assert done.exit_code == 0, done.output
    lines = [line.split() for line in done.output.splitlines()]
    tried = [line for line in lines if line and line[0].isdigit()]
    assert [line[0] for line in tried] == ["1", "2", "3", "4"]
    losses = [float(line[1]) for line in tried]
    assert min(losses) == 0
    assert np.argmin(losses) == 2
    assert "The counts bear out 3 phases." in done.output
    with Image.open(tmp_path / "small_phase_number.png") as image:
        assert min(image.size) > 300


def test_elements(map_file, bare_file):
    done = run("elements", map_file)
    assert done.exit_code == 0, done.output
    there = {line.split()[1] for line in done.output.splitlines() if ": " in line}
    assert {"Mg,", "Si,", "Fe,", "Cu,"} <= there
    assert "--elements" in done.output
    assert "s." not in done.output.replace("nats.", "").split("--elements")[0].split()
    command = shlex.split(done.output.split("check both: ")[1])
    assert command[:3] == ["espm-hs", "decompose", str(map_file)]
    given = {
        name: command[command.index(name) + 1] for name in ("--elements", "--stray")
    }
    assert {"Mg", "Si", "Fe"} <= set(given["--elements"].split(","))
    assert "Cu" in given["--stray"].split(",")
    refused = run("elements", bare_file)
    assert refused.exit_code == 1
    assert "--beam-energy" in refused.output


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("Look at s.plot_residuals(), ask s.identify_elements(), run "
         "s.refine_calibration().",
         "Look at the residuals in the report, ask `espm-hs elements FILE`, run "
         "`--calibrate`."),
        ("State it with s.set_analysis_parameters(thickness=..., density=...).",
         "State it with `--thickness`, `--density`."),
        ("again, `s.decomposition(algorithm='espm', init='previous')`.",
         "again, `espm-hs decompose FILE`."),
        ("give it, `s.decomposition(..., binning=...)`.", "give it, `--binning`."),
        ("with s.set_analysis_parameters(thickness=, density=, detector=).",
         "with `--thickness`, `--density`, `--detector`."),
        ("with s.set_analysis_parameters(thickness=, density=, take_off_angle=).",
         "with `--thickness`, `--density`, or in Python "
         "`s.set_analysis_parameters(take_off_angle=)`."),
        ("0.2 eV. refine_calibration() writes it.", "0.2 eV. `--calibrate` writes it."),
        # nothing at the command line stands for these
        ("`s.set_analysis_parameters(take_off_angle=...)`",
         "`s.set_analysis_parameters(take_off_angle=...)`"),
        ("`s.split_phase(region)` and files.open(1)",
         "`s.split_phase(region)` and files.open(1)"),
    ],
)  # fmt: skip
def test_advice_names_commands_and_options(told, shown):
    assert for_command_line(told) == shown


def test_warnings_are_lines_of_text():
    cli._batch()
    told = UserWarning("Too thin: `s.set_analysis_parameters(thickness=50)`.\x1b")
    line = warnings.formatwarning(told, UserWarning, "file.py", 7)
    assert line == "Warning: Too thin: `--thickness`.\ufffd\n"
