"""Phases without HyperSpy's machine learning, which HyperSpy 3 leaves to others.

The main job runs in a process of its own, where `without_learning` has taken it out.
"""

import inspect
import json
import os
import re
import subprocess
import sys
from inspect import unwrap
from pathlib import Path

import hyperspy.api as hs
import numpy as np
import pytest
from conftest import FORMATS, make_map
from exspy.signals import EDSTEMSpectrum
from hyperspy.signal import BaseSignal

from espm_hs.metadata import learning
from espm_hs.signals import EDSespmSpectrum
from espm_hs.signals import _phases as phases_module

TESTS = Path(__file__).parents[1]
PACKAGE = Path(phases_module.__file__).parents[1]
GUARD = "metadata/learning.py"
OPTIONS = {"n_init": 1, "print_info": False, "show_progressbar": False}
ALGORITHM = {"algorithm": "espm", "output_dimension": 3}
# Whoever goes past the guard finds no `learning_results`, and nothing inherited.
BYPASSES = {
    "learned": lambda s: s.learning_results,
    "keep": lambda s, found: vars(s.learning_results).update(vars(found)) or {},
    "kept_beside": lambda s: [vars(s.learning_results)],
    "inherited_parameters": lambda parents: [one.decomposition for one in parents],
}


def decomposed(**options):
    s = make_map()
    s.decomposition(**ALGORITHM, **OPTIONS, **options)
    return s


def numbers(s):
    """What was found, from what any version of HyperSpy has."""
    result = s.decomposition_result()
    assert result.decomposition_algorithm == "espm"
    assert result.parameters["n_init"] == 1
    return {
        "factors": result.factors,
        "loadings": result.loadings,
        "factors_signal": s.get_decomposition_factors().data,
        "loadings_signal": s.get_decomposition_loadings().data,
        "model": s.get_decomposition_model().data,
        "phases": np.array([one.data for one in s.quantify()]),
        "pixels": np.array([one.data for one in s.quantify("pixels")]),
    }


def fails(call, *arguments, **options):
    """Type and text of the error that a call ends with."""
    try:
        call(*arguments, **options)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def bypassed(name):
    """Do the main job, going past a part of the guard in all modules that have it."""
    with pytest.MonkeyPatch.context() as patch:
        for module in [one for key, one in sys.modules.items() if "espm_hs." in key]:
            if hasattr(module, name):
                patch.setattr(module, name, BYPASSES[name])
        if name == "inherited_parameters":  # is called when a class is made
            find_phases = unwrap(EDSespmSpectrum.decomposition)
            return fails(phases_module.beside_hyperspy, find_phases, [EDSTEMSpectrum])
        return fails(lambda: numbers(decomposed()))


def main_job(folder):
    """Run by itself, after `without_learning`."""
    from espm_hs.cli.html_report import write_report
    from espm_hs.cli.tables import composition_table

    folder, said = Path(folder), {}
    s = decomposed()
    found = numbers(s)
    np.savez(folder / "found.npz", **found)
    for suffix in FORMATS:
        s.save(folder / f"map.{suffix}")
        for name, values in numbers(hs.load(folder / f"map.{suffix}")).items():
            np.testing.assert_array_equal(values, found[name], err_msg=name)
    assert s.metadata.EDS_espm.results.has_item("maps")
    s.plot_phases()
    s.plot_fit((1, 2))
    write_report(s, folder / "report.html", "map.hspy")
    said["table"] = composition_table(s)

    lazy = make_map().as_lazy()
    lazy.decomposition(**ALGORITHM, **OPTIONS)
    for name in ("factors", "loadings"):
        np.testing.assert_array_equal(numbers(lazy)[name], found[name])
    one = make_map()
    one.decomposition(algorithm="espm", output_dimension=1, **OPTIONS)
    assert one.get_decomposition_loadings().data.shape == (9, 7)
    # a part of the map knows the phases, and has the maps of other pixels
    part = s.inav[:3, :3]
    said["part"] = fails(part.decomposition_result)
    part.decomposition(**ALGORITHM | {"output_dimension": None}, init="previous")
    assert part.decomposition_result().loadings.shape == (9, 3)

    before = s.metadata.as_dictionary()
    said["SVD"] = fails(s.decomposition, algorithm="SVD")
    said["plot"] = fails(s.plot_decomposition_loadings)
    said["export"] = fails(s.export_decomposition_results)
    said["unknown"] = fails(s.decomposition, algorithm="espn")
    said["nothing yet"] = fails(make_map().decomposition_result)
    assert str(s.metadata.as_dictionary()) == str(before)

    for name in BYPASSES:
        said[f"without {name}"] = bypassed(name)
    (folder / "said.json").write_text(json.dumps(said))


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """Folder in which the main job has been done without HyperSpy's learning."""
    if "LearningResults" in inspect.getsource(BaseSignal.__init__):
        pytest.skip("learning is a part of every signal of HyperSpy 2.2")
    folder = tmp_path_factory.mktemp("without_learning")
    code = (
        "import without_learning; without_learning.take_out();"
        f"import {__name__} as t; t.main_job(r'{folder}')"
    )
    paths = [str(TESTS), str(TESTS / "signals"), str(PACKAGE.parent)]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths), "MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def here():
    return numbers(decomposed())


def test_numbers_are_the_same(elsewhere, here):
    with np.load(elsewhere / "found.npz") as found:
        assert set(found) == set(here)
        for name, values in here.items():
            np.testing.assert_array_equal(found[name], values, err_msg=name)


@pytest.mark.parametrize("suffix", FORMATS)
def test_files_are_read_with_its_learning(elsewhere, here, suffix):
    s = hs.load(elsewhere / f"map.{suffix}")
    for name, values in numbers(s).items():
        np.testing.assert_array_equal(values, here[name], err_msg=name)
    # what comes after takes the place of the maps in the file
    s.decomposition(algorithm="espm", output_dimension=2, **OPTIONS)
    assert s.decomposition_result().loadings.shape == (63, 2)
    assert not s.metadata.EDS_espm.results.has_item("maps")


def test_what_is_missing_is_told(elsewhere):
    said = json.loads((elsewhere / "said.json").read_text())
    for name in ("SVD", "plot", "export"):
        assert said[name].startswith("RuntimeError: `"), said[name]
        assert "is not part of this version of HyperSpy" in said[name]
    assert "init='previous'" in said["part"]
    assert "There is no decomposition yet" in said["nothing yet"]
    assert "at.%" in said["table"]
    assert (elsewhere / "report.html").stat().st_size > 10_000


@pytest.mark.parametrize("name", BYPASSES)
def test_nothing_works_past_the_guard(elsewhere, name):
    """So that the tests above would see it."""
    said = json.loads((elsewhere / "said.json").read_text())[f"without {name}"]
    attribute = "decomposition" if "inherited" in name else "learning_results"
    assert said.startswith("AttributeError: ")
    assert f"has no attribute '{attribute}'" in said


def test_one_module_knows_of_it():
    """Neither the results nor what is inherited is used anywhere else."""
    pattern = re.compile(
        r"\.learning_results\b|['\"]learning_results|hyperspy\.learn|\bMVA\b"
        r"|super\([^)]*\)\.\w*(decomposition|bss|cluster)"
    )
    users = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if pattern.search(path.read_text(encoding="utf-8"))
    }
    assert users == {GUARD}


@pytest.mark.parametrize("n_phases", [2, 3])
@pytest.mark.parametrize("lazy", [False, True])
def test_signals_are_those_of_hyperspy(n_phases, lazy):
    s = make_map().as_lazy() if lazy else make_map()
    s.decomposition(algorithm="espm", output_dimension=n_phases, **OPTIONS)
    for name in ("get_decomposition_loadings", "get_decomposition_factors"):
        ours = getattr(s, name)()
        theirs = learning.inherited(phases_module.Phases, s, name)()
        assert type(ours) is type(theirs)
        np.testing.assert_array_equal(ours.data, theirs.data)
        assert str(ours.axes_manager) == str(theirs.axes_manager)
        assert ours.axes_manager[0].name == theirs.axes_manager[0].name
        assert ours.metadata.General.title == theirs.metadata.General.title


def test_results_of_other_algorithms():
    s = make_map()
    # without an empty channel, of which HyperSpy 2.2 makes NaN
    s.data = s.data + 1.0
    s.decomposition(algorithm="SVD", output_dimension=2, navigation_mask=None)
    result = s.decomposition_result()
    assert result.decomposition_algorithm == "SVD"
    assert result.parameters == {}
    np.testing.assert_array_equal(result.factors, s.learning_results.factors)
    np.testing.assert_array_equal(result.loadings, s.learning_results.loadings)
    np.testing.assert_array_equal(
        s.get_decomposition_factors().data, s.learning_results.factors.T
    )


def test_other_channels_have_no_factors(eds):
    eds.decomposition(**ALGORITHM, **OPTIONS)
    part = eds.isig[:200]
    for call in (part.get_decomposition_factors, part.decomposition_result):
        with pytest.raises(RuntimeError, match="200 channels, not 500"):
            call()
