"""Files that are no maps, or not whole: one line says what is wrong, others go on.

benchmarks/robustness/faults.py tries more of them.
"""

import ctypes
import errno
import os
import shutil
import signal
import sys
import zipfile
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import h5py
import hyperspy.api as hs
import numpy as np
import pytest
from click.testing import CliRunner
from conftest import make_map, needs_zspy, record

from espm_hs import output
from espm_hs.cli import files
from espm_hs.cli import main as cli
from espm_hs.cli import workers as many
from espm_hs.cli.main import main
from espm_hs.output import printable

DATA = os.environ.get("ESPM_HS_TEST_DATA")
TIMES = max(1, int(os.environ.get("ESPM_HS_MOMENTS", "8")) // 8)


def run(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments])


def errors_of(result):
    return [line for line in result.output.splitlines() if line.startswith("error:")]


def prepare():
    """For processes: what the command line does, with less patience."""
    cli._batch()
    files.PATIENCE = 5.0


def eds(data, path):
    s = hs.signals.BaseSignal(data)
    s.metadata.set_item("Signal.signal_type", "EDS_TEM")
    s.save(path)


def foreign_hdf5(path):
    with h5py.File(path, "w") as file:
        file["x"] = np.arange(5)
        file.attrs["file_format"] = "another program"


def archive(path):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("../../evil", "text")


PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
UNREADABLE = "cannot be read: is it complete, and of the format that its name says"
NO_ZARR = UNREADABLE if output.has_zspy() else "the format .zspy needs zarr 2"
# Name -> how it is made, what is said of it.
FOREIGN = {
    "text.hspy": (lambda p: p.write_text("text " * 99), UNREADABLE),
    "text.emd": (lambda p: p.write_text("text " * 99), UNREADABLE),
    "text.bcf": (lambda p: p.write_text("text " * 99), UNREADABLE),
    "text.zspy": (lambda p: p.write_text("text " * 99), NO_ZARR),
    "no extension": (lambda p: p.write_text("text"), UNREADABLE),
    "picture.hspy": (lambda p: p.write_bytes(PNG), UNREADABLE),
    "picture.png": (lambda p: p.write_bytes(PNG), UNREADABLE),
    "zip.hspy": (archive, UNREADABLE),
    "zip.zspy": (archive, NO_ZARR),
    "zip.zip": (archive, UNREADABLE),
    "empty.hspy": (lambda p: p.touch(), "file is empty"),
    "empty.bcf": (lambda p: p.touch(), "file is empty"),
    "folder.hspy": (lambda p: p.mkdir(), "is a folder"),
    "folder.zspy": (lambda p: p.mkdir(), NO_ZARR),
    "of others.hspy": (foreign_hdf5, UNREADABLE),
    "of others.emd": (foreign_hdf5, UNREADABLE),
    "missing.hspy": (lambda p: None, "no such file"),
    "dangling.hspy": (lambda p: p.symlink_to("nowhere"), "no such file"),
    "image.hspy": (
        lambda p: hs.signals.Signal2D(np.ones((4, 4))).save(p),
        "no EDS spectrum in this file; its signal types are: none",
    ),
    "number.hspy": (lambda p: eds(np.array(3.0), p), "0 signal axes"),
    "images.hspy": (
        lambda p: eds(np.ones((4, 4)), p),
        "2 signal axes",
    ),
}


def test_a_missing_companion_is_named(tmp_path):
    hs.signals.Signal1D(np.ones((3, 3, 20))).save(tmp_path / "map.rpl")
    (tmp_path / "map.raw").unlink()
    with pytest.raises(OSError, match=r"belongs to this one is missing: map\.raw"):
        files.read_spectra(tmp_path / "map.rpl")


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch])
def test_what_needs_zarr_says_so(tmp_path, monkeypatch, make):
    """No reader says what Python 3.14 lacks."""
    monkeypatch.setattr(files, "has_zspy", lambda: False)
    make(tmp_path / "map.zspy")
    with pytest.raises(OSError, match=r"needs zarr 2.*Use \.hspy"):
        files.read_spectra(tmp_path / "map.zspy")


@pytest.mark.parametrize(
    ("cause", "named"),
    [
        (ModuleNotFoundError("no", name="mrcz"), "missing: mrcz.*pip install"),
        (FileNotFoundError(2, "no such file", "/far/View000_001.pts"), "View000_001"),
    ],
)
def test_what_a_reader_lacks_is_named(tmp_path, monkeypatch, cause, named):
    """Also where it raises something else because of it."""
    path = tmp_path / "map.asw"
    path.write_text("text")

    def load(*args, **options):
        raise ValueError("cannot read") from cause

    monkeypatch.setattr(hs, "load", load)
    with pytest.raises(OSError, match=named):
        files.read_spectra(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("files")


@pytest.fixture(scope="module")
def map_file(folder):
    make_map((4, 3), 200, size=300).save(folder / "map.hspy")
    return folder / "map.hspy"


@pytest.fixture(scope="module")
def results_file(folder):
    s = make_map((4, 3), 200, size=300)
    settings = {"algorithm": "espm", "output_dimension": 2, "n_init": 1}
    s.decomposition(**settings, print_info=False)
    s.save(folder / "results.hspy")
    return folder / "results.hspy"


@pytest.fixture
def in_this_process(monkeypatch):
    usual = many.run_all
    monkeypatch.setattr(many, "run_all", lambda *a, **k: usual(*a[:2], n_workers=0))


@pytest.mark.parametrize("command", ["info", "decompose", "report"])
def test_foreign_files(command, results_file, tmp_path, in_this_process, recwarn):
    paths = {name: tmp_path / name for name in FOREIGN}
    for name, (make, _) in FOREIGN.items():
        make(paths[name])
    # one that is fine among them
    fine = tmp_path / "fine.hspy"
    shutil.copy(results_file, fine)
    before = set(tmp_path.iterdir())
    options = ["-n", 1, "--starts", 1, "-o", tmp_path] if command == "decompose" else []
    if command == "decompose":
        # names differ in more than their extension, or they are refused
        paths = {n: p.rename(p.with_name(f"{i}{n}")) if os.path.lexists(p) else p
                 for i, (n, p) in enumerate(paths.items())}  # fmt: skip
        before = set(tmp_path.iterdir())
    result = run(command, *paths.values(), fine, *options)
    assert result.exit_code == 1
    errors = errors_of(result)
    assert len(errors) == len(FOREIGN)
    for (name, path), error in zip(paths.items(), errors, strict=True):
        assert error.startswith(f"error: {path}: ")
        assert FOREIGN[name][1] in error
    assert f"{len(FOREIGN)} of {len(FOREIGN) + 1} files failed." in result.output
    assert "Traceback" not in result.output
    made = {path.name for path in set(tmp_path.iterdir()) - before}
    names = ("espm.hspy", "phases.png", "composition.csv", "report.html")
    assert (
        made
        == {
            "info": set(),
            "report": {"fine_report.html"},
            "decompose": {f"fine_{name}" for name in names}
            | {"summary.csv", "compositions.csv"},
        }[command]
    )


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read all")
def test_permission_denied(map_file, tmp_path, in_this_process):
    path = tmp_path / "mine.hspy"
    shutil.copy(map_file, path)
    path.chmod(0)
    assert "permission to read" in run("info", path).output


def test_permission_denied_to_anyone(map_file, in_this_process, monkeypatch):
    monkeypatch.setattr(files.os, "access", lambda *_: False)
    (error,) = errors_of(run("info", map_file))
    assert error.endswith("permission to read the file is denied.")


def test_a_file_with_a_model_is_a_map(tmp_path, in_this_process):
    s = make_map((3, 2), 200, size=300)
    s.create_model().store()
    s.save(tmp_path / "model.hspy")
    result = run("info", tmp_path / "model.hspy")
    assert result.exit_code == 0
    assert "(2, 3|300)" in result.output


def test_names_are_no_patterns(map_file, tmp_path, in_this_process):
    path = tmp_path / "map[1]*?.hspy"
    try:
        shutil.copy(map_file, path)
    except OSError:  # not on Windows
        pytest.skip("no such names here")
    assert run("info", path).exit_code == 0
    # and no other file is taken for it
    path.rename(tmp_path / "map1xx.hspy")
    assert "no such file" in run("info", path).output


# -- corrupt files -------------------------------------------------------------------


def corrupted(data: bytes, rng) -> bytes:
    """Cut off somewhere, or with other bytes in some places, most at the beginning."""
    if rng.random() < 0.4:
        return data[: rng.integers(1, len(data))]
    changed = np.frombuffer(data, np.uint8).copy()
    end = len(data) if rng.random() < 0.5 else min(len(data), 8192)
    places = rng.integers(0, end, 2 ** rng.integers(0, 10))
    changed[places] = rng.integers(0, 256, places.size)
    return changed.tobytes()


def corrupt_files(source: Path, target: Path, n: int, rng) -> list[Path]:
    """So many corrupt copies of a file, or of a .zspy with one corrupt file in it."""
    paths = [target / f"{i}{source.suffix}" for i in range(n)]
    for path in paths:
        if source.is_file():
            path.write_bytes(corrupted(source.read_bytes(), rng))
            continue
        shutil.copytree(source, path)
        inside = sorted(p for p in path.rglob("*") if p.is_file() and p.stat().st_size)
        victim = inside[rng.integers(len(inside))]
        victim.write_bytes(corrupted(victim.read_bytes(), rng))
    return paths


def attempt(work, paths, fine):
    """Outcomes of corrupt files, with one after them that is not."""
    outcomes = list(many.run_all([*map(str, paths), str(fine)], work, 1, prepare))
    assert [one.path for one in outcomes] == [*map(str, paths), str(fine)]
    assert outcomes.pop().state == "done"
    for one in outcomes:
        assert one.state in ("done", "failed")
        assert one.text
        if one.state == "failed":
            assert one.text == printable(one.text).replace("\n", " ")
            assert len(one.text) < 800
    return outcomes


def count(what, outcomes):
    """Record what became of the files."""
    failed = [one.text for one in outcomes if one.state == "failed"]
    died = sum("process died" in text for text in failed)
    hung = sum("came to no end" in text for text in failed)
    record("files", what, len(outcomes), len(failed), died, hung)


def test_corrupt_files_of_hyperspy(map_file, results_file, tmp_path):
    """Maps to `info`, results to `report`."""
    rng = np.random.default_rng(0)
    paths = corrupt_files(map_file, tmp_path, 25 * TIMES, rng)
    outcomes = attempt(cli._info, paths, map_file)
    assert sum(one.state == "failed" for one in outcomes) > len(outcomes) / 2
    count(".hspy", outcomes)
    (tmp_path / "results").mkdir()
    paths = corrupt_files(results_file, tmp_path / "results", 10 * TIMES, rng)
    outcomes = attempt(partial(cli._report, None, None), paths, results_file)
    count(".hspy with results", outcomes)
    made = {Path(one.path).stem for one in outcomes if one.state == "done"}
    found = {
        p.name.removesuffix("_report.html") for p in paths[0].parent.glob("*.html")
    }
    assert found == made
    assert not list(tmp_path.rglob(".espm-hs-*"))


@needs_zspy
def test_corrupt_folders_of_zarr(tmp_path, map_file):
    rng = np.random.default_rng(1)
    source = tmp_path / "map.zspy"
    make_map((4, 3), 200, size=300).save(source)
    (tmp_path / "corrupt").mkdir()
    paths = corrupt_files(source, tmp_path / "corrupt", 20 * TIMES, rng)
    count(".zspy", attempt(cli._info, paths, source))


@pytest.mark.skipif(DATA is None, reason="ESPM_HS_TEST_DATA names no measured maps")
@pytest.mark.parametrize("name", ["velox_si_16x16.emd", "bruker_tem_64x64.bcf"])
def test_corrupt_files_of_others(name, tmp_path, map_file):
    rng = np.random.default_rng(2)
    paths = corrupt_files(Path(DATA, name), tmp_path, 5 * TIMES, rng)
    count(Path(name).suffix, attempt(cli._info, paths, map_file))


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_readers_that_crash_or_hang(map_file):
    """Stand-ins for the corrupt files that do that to HDF5 and others."""
    work = ["hang", "crash", str(map_file)]
    hung, died, done = many.run_all(work, ill_behaved, 1, impatient)
    assert "reading it came to no end" in hung.text
    assert "died (SIGSEGV)" in died.text
    assert done.state == "done"


def impatient():
    prepare()
    files.PATIENCE = 0.5


def ill_behaved(path):
    if path == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if path == "hang":
        with files._not_forever(files.PATIENCE):
            # as C code does that does not let others in
            ctypes.PyDLL(None).sleep(60)
    return cli._info(path)


def test_damaged_results(results_file, tmp_path, in_this_process, monkeypatch):
    """Whatever is missing of them: a report, or what is wrong."""
    monkeypatch.setattr("espm_hs.cli.html_report._figure", lambda *_: "")
    whole = hs.load(results_file)
    names = whole.metadata.EDS_espm.results.keys()
    refused = set()
    for number, name in enumerate(names):
        s = whole.deepcopy()
        delattr(s.metadata.EDS_espm.results, name)
        path = tmp_path / f"{number}.hspy"
        s.save(path)
        result = run("report", path)
        if result.exit_code == 1:
            (error,) = errors_of(result)
            assert "damaged" in error or "layout" in error
            refused.add(name)
        assert (tmp_path / f"{number}_report.html").exists() == (result.exit_code == 0)
    # what files of older versions lack
    model = {"columns", "element_columns", "elements", "kind"}
    fit = {"bin_counts", "binning", "n_agreeing", "n_starts", "smoothness", "sparsity"}
    phases = {"counts", "mixing", "shown", "surroundings", "unknowns"}
    assert set(names) - refused == model | fit | phases | {"knowledge", "scale"}


def test_zspy_without_zarr(tmp_path, map_file, in_this_process, monkeypatch):
    """Where the library for it cannot be installed; other files need none."""
    monkeypatch.setattr(output, "find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "numcodecs.registry", None)
    (tmp_path / "map.zspy").mkdir()
    read = run("info", tmp_path / "map.zspy")
    made = run("simulate", "particles", "-o", tmp_path / "new.zspy")
    assert read.exit_code == 1
    assert made.exit_code == 2
    for result in (read, made):
        assert "needs zarr 2" in result.output
        assert "Use .hspy" in " ".join(result.output.split())
    assert run("info", map_file).exit_code == 0


# -- files that come to their place as a whole -----------------------------------------


def test_errors_that_are_not_of_the_disk_stay_what_they_are(tmp_path):
    with (
        pytest.raises(RuntimeError, match=r"^of the figure$"),
        output.finished_files(tmp_path / "out") as new,
        new("a.png"),
    ):
        raise RuntimeError("of the figure")
    assert not list((tmp_path / "out").iterdir())


def test_a_full_disk_is_known_by_the_text_of_hdf5(tmp_path):
    text = f"unable to write (errno = 28, '{os.strerror(errno.ENOSPC)}')"
    with (
        pytest.raises(OSError, match="the disk is full") as raised,
        output.finished_files(tmp_path) as new,
        new("a.hspy"),
    ):
        raise RuntimeError(text)
    assert raised.value.errno == errno.ENOSPC
    assert not output.is_full(RuntimeError("another one"))


@pytest.mark.parametrize("error", [PermissionError, KeyboardInterrupt])
def test_what_removes_a_folder_is_tried_again(tmp_path, monkeypatch, error):
    """A virus scanner holds a file, or Ctrl-C comes in the middle of it."""
    removed, times = shutil.rmtree, iter(range(9))

    def rmtree(folder, **options):
        if next(times) == 0:
            raise error
        removed(folder, **options)

    monkeypatch.setattr(shutil, "rmtree", rmtree)
    expected = nullcontext() if error is PermissionError else pytest.raises(error)
    with expected, output.finished_files(tmp_path) as new, new("a") as file:
        file.write_text("text")
    assert not [x for x in tmp_path.iterdir() if x.name.startswith(".")]


def test_a_folder_that_cannot_be_replaced_stays(tmp_path, monkeypatch):
    old = tmp_path / "map.zspy"
    old.mkdir()
    (old / ".zgroup").write_text("old")
    replaced = os.replace

    def replace(source, target):
        if Path(target) == old and Path(source).joinpath("new").exists():
            raise PermissionError
        replaced(source, target)

    monkeypatch.setattr(os, "replace", replace)

    def write():
        with output.finished_files(tmp_path) as new, new(old.name) as folder:
            folder.mkdir()
            (folder / "new").touch()

    with pytest.raises(PermissionError):
        write()
    assert (old / ".zgroup").read_text() == "old"
    assert [one.name for one in tmp_path.iterdir()] == [old.name]
