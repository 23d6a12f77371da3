"""espm-hs decompose --together: one set of phases in several files."""

import csv

import hyperspy.api as hs
import pytest
from click.testing import CliRunner

from espm_hs import JointResult
from espm_hs.cli import joint, maps
from espm_hs.cli.main import main
from espm_hs.simulation import mantle, particles


def run(*arguments):
    return CliRunner().invoke(main, ["decompose", *map(str, arguments)])


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Two maps in files."""
    folder = tmp_path_factory.mktemp("maps")
    paths = [folder / "first.hspy", folder / "second.hspy"]
    for seed, path in enumerate(paths):
        particles((12, 12), 100, seed=seed).save(path)
    return paths


def test_maps_of_files_have_the_same_phases(files, tmp_path):
    done = run("--together", "-n", 3, *files, "-o", tmp_path)
    assert done.exit_code == 0, done.output
    assert "first" in done.output
    assert "second" in done.output
    maps = [hs.load(tmp_path / f"{name}_espm.hspy") for name in ("first", "second")]
    one, other = (signal.quantify()[0].data for signal in maps)
    assert one == pytest.approx(other)
    result = JointResult.load(tmp_path / "together.json")
    assert result.maps == ("first", "second")
    with open(tmp_path / "together.csv", newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    assert [row["map"] for row in rows] == ["first"] * 3 + ["second"] * 3
    assert float(rows[0]["counts"]) == pytest.approx(result.counts[0, 0])
    for name in ("together.png", "first_report.html", "second_phases.png"):
        assert (tmp_path / name).stat().st_size > 1000


def test_as_many_phases_as_the_counts_of_all_maps_bear_out(
    files, tmp_path, monkeypatch
):
    # of seven numbers four are enough to see it
    monkeypatch.setattr(maps, "range", lambda first, _: range(first, 5), raising=False)
    done = run("--together", "-n", "auto", "--starts", 2, *files, "-o", tmp_path)
    assert done.exit_code == 0, done.output
    assert "The counts bear out 3 phases." in done.output
    result = JointResult.load(tmp_path / "together.json")
    assert len(result.phases) == 3
    assert (tmp_path / "second_phase_number.png").stat().st_size > 1000


@pytest.mark.parametrize("option", ["--local-absorption", "--resume"])
def test_what_is_for_maps_one_by_one(files, tmp_path, option):
    done = run("--together", option, "-n", 2, *files, "-o", tmp_path)
    assert done.exit_code == 2
    assert option in done.output
    assert not list(tmp_path.iterdir())


def test_maps_of_other_elements_fail_in_a_line(files, tmp_path):
    other = tmp_path / "mantle.hspy"
    mantle((6, 6), 50).save(other)
    done = run("--together", "-n", 2, files[0], other, "-o", tmp_path / "out")
    assert done.exit_code == 1
    assert "has the elements" in done.output
    assert "Traceback" not in done.output
    assert not (tmp_path / "out" / "together.csv").exists()


def test_axes_of_files_are_refined_where_asked(files, tmp_path, monkeypatch):
    refined = []
    kind = type(particles((2, 2), 10))
    monkeypatch.setattr(
        kind, "refine_calibration", lambda s, print_info: refined.append(s)
    )
    monkeypatch.setattr(joint, "write_results", lambda *_: None)
    done = run("--together", "--calibrate", "-n", 1, *files, "-o", tmp_path)
    assert done.exit_code == 0, done.output
    assert len(refined) == 2


def test_ctrl_c_writes_nothing_of_any_map(files, tmp_path, monkeypatch):
    found = joint.decompose_together

    def interrupted(signals, *given, **options):
        result = found(signals, *given, **options)
        signals[1].metadata.EDS_espm.results.interrupted = True
        return result

    monkeypatch.setattr(joint, "decompose_together", interrupted)
    done = run("--together", "-n", 1, *files, "-o", tmp_path)
    assert done.exit_code == 1
    assert "Aborted!" in done.output
    assert not list(tmp_path.iterdir())
