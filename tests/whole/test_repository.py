"""What services read: each command of a workflow is one that works here."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
NOXFILE = (ROOT / "noxfile.py").read_text(encoding="utf-8")
# who may be called without the hash of a commit: see .github/zizmor.yml
TRUSTED = ("actions/", "pypa/")


def read(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def sessions():
    """Names of the sessions of nox, with each version of Python."""
    (pythons,) = re.findall(r"^PYTHONS = \((.*)\)", NOXFILE, re.MULTILINE)
    versions = re.findall(r"[\d.]+", pythons)
    names = re.findall(r"^@nox\.session.*\ndef (\w+)", NOXFILE, re.MULTILINE)
    return {*names, *(f"tests-{version}" for version in versions)}, versions


def test_there_are_workflows():
    assert {path.stem for path in WORKFLOWS} == {"tests", "nightly", "docs", "release"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_commands_work_here(path):
    for job in read(path)["jobs"].values():
        matrix = job.get("strategy", {}).get("matrix", {})
        some = [
            *matrix.get("session", ()),
            *(x["session"] for x in matrix.get("include", ())),
        ]
        assert set(some) <= sessions()[0]
        for step in job["steps"]:
            if "uses" in step:
                assert step["uses"].startswith(TRUSTED)
            for target in re.findall(r"\bmake ([\w-]+)", step.get("run", "")):
                assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE), target
            for name in re.findall(r"nox -s ([\w.-]+)", step.get("run", "")):
                assert name in sessions()[0]


@pytest.mark.parametrize(
    ("name", "right", "wrong", "found"),
    [
        ("docs", "branches:", "branch:", "workflow-syntax"),
        ("docs", "fetch-depth", "fetch-dept", "unknown-action-input"),
        ("tests", "matrix.session }}", "matrix.sesion }}", "undefined-property"),
        ("tests", "cancelled()", "canceled()", "undefined-function"),
        ("release", "needs: pypi", "needs: pipy", "undefined-job-needs"),
        ("nightly", "23 3 * * *", "23 33 * * *", "invalid-cron"),
    ],
)
def test_lint_finds_what_the_schema_of_workflows_does_not_say(
    name, right, wrong, found, tmp_path
):
    """The line of `make lint`, on a workflow with one fault."""
    linter = Path(sys.executable).with_name("jactionlint")
    if shutil.which(linter) is None:
        pytest.skip("jactionlint is for those who work on the project")
    (options,) = re.findall(r"\$\(BIN\)/jactionlint (.+)", MAKEFILE)
    text = (ROOT / ".github" / "workflows" / f"{name}.yml").read_text(encoding="utf-8")
    assert right in text
    workflow = tmp_path / f"{name}.yml"
    workflow.write_text(text.replace(right, wrong), encoding="utf-8")
    done = subprocess.run(
        [linter, *options.split(), workflow],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert f"[{found}]" in done.stdout


def test_every_version_of_python_is_tested_and_promised():
    matrix = read(ROOT / ".github" / "workflows" / "tests.yml")["jobs"]["versions"]
    tested = set(matrix["strategy"]["matrix"]["session"])
    _, versions = sessions()
    assert tested == {f"tests-{version}" for version in versions}
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    promised = re.findall(r"Python :: (3\.\d+)", project)
    assert promised == versions
    assert f'requires-python = ">={versions[0]}"' in project


def test_the_installed_package_is_tested_with_all_that_tests_read():
    """Nox copies it to where the package is not."""
    (needed,) = re.findall(r"^NEEDED = \((.*?)^\)", NOXFILE, re.MULTILINE | re.DOTALL)
    read_by = {
        name: path.name
        for path in (ROOT / "tests").rglob("*.py")
        for name in re.findall(r'ROOT / "([\w.]+)"', path.read_text(encoding="utf-8"))
    }
    lacking = set(read_by) - set(re.findall(r'"(.+)"', needed)) - {"espm_hs"}
    assert not lacking, {name: read_by[name] for name in lacking}


def test_only_publishing_may_write():
    for path in WORKFLOWS:
        workflow = read(path)
        assert workflow["permissions"] == {"contents": "read"}
        for name, job in workflow["jobs"].items():
            if path.stem != "release" or name == "build":
                assert "permissions" not in job
    jobs = read(ROOT / ".github" / "workflows" / "release.yml")["jobs"]
    assert jobs["pypi"]["permissions"] == {"id-token": "write"}
    # nothing is published that was not checked
    assert jobs["pypi"]["needs"] == "build"
    assert jobs["github"]["needs"] == "pypi"


def test_read_the_docs_runs_what_make_runs():
    given = read(ROOT / ".readthedocs.yaml")
    (command,) = given["build"]["jobs"]["pre_build"]
    assert f"$(BIN)/{command}\n" in MAKEFILE
    assert given["sphinx"]["configuration"] == "docs/conf.py"


def test_a_proof_for_every_extra():
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    proofs = {path.stem for path in (ROOT / "tools" / "release_proofs").glob("*.py")}
    (extras,) = re.findall(r'^all = \["espm-hs\[(.*)\]"\]', project, re.MULTILINE)
    assert proofs == {"plain", *extras.split(",")}
