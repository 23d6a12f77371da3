"""The built package in the versions that it promises to run with.

    nox                        every version; those of Python that are there
    nox -s "tests-3.12"        one of them

`python benchmarks/robustness/versions.py` then shows what passed. Tests are copied to a
folder without the package, so that what they import is what was installed: the wheel,
or in "sdist" what pip makes of the source archive. What is no code (tables, the
extension's YAML, py.typed) must be in it, too.
"""

import json
import os
import shutil
from pathlib import Path

import nox

nox.options.default_venv_backend = "uv"
nox.options.error_on_missing_interpreters = False

ROOT = Path(__file__).parent
RESULTS = ROOT / "build" / "versions"
PACKAGE = ROOT / "espm_hs"
DATA_FILES = [
    path
    for path in PACKAGE.rglob("*")
    if path.is_file() and path.suffix not in (".py", ".pyc", ".nbc", ".nbi")
]
# what tests read, beside themselves; pages of docs name files, which have to be there
NEEDED = (
    "tests",
    "benchmarks",
    "changes",
    "conda",
    "docs",
    "examples",
    "notebooks",
    "tools",
    ".github",
    ".readthedocs.yaml",
    "Makefile",
    "noxfile.py",
    "README.md",
    "CHANGELOG.md",
    "CITATION.cff",
    "CODE_OF_CONDUCT.md",
    "SECURITY.md",
    "LICENSE",
    "pyproject.toml",
)
SHOWN = (
    "hyperspy",
    "exspy",
    "rosettasciio",
    "numpy",
    "scipy",
    "numba",
    "scikit-learn",
    "dask",
    "xraylib",
)
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
# where numpy and others leave what they built last night
NIGHTLY = "https://pypi.anaconda.org/scientific-python-nightly-wheels/simple"
VERSIONS = f"""
import json, platform
from importlib.metadata import version
found = {{name: version(name) for name in {SHOWN}}}
print(json.dumps({{"python": platform.python_version(), **found}}))
"""
DATA = f"""
from importlib.resources import files
data = {sorted(str(path.relative_to(PACKAGE)) for path in DATA_FILES)}
missing = [name for name in data if not files("espm_hs").joinpath(name).is_file()]
assert not missing, missing
"""


def built(session, kind: str) -> Path:
    """Return the wheel or source archive, made anew."""
    folder = Path(session.create_tmp()).resolve() / "dist"
    shutil.rmtree(folder, ignore_errors=True)
    session.run("uv", "build", f"--{kind}", "-q", "-o", str(folder), str(ROOT))
    (archive,) = (path for path in folder.iterdir() if not path.name.startswith("."))
    return archive


def check(
    session, *options: str, kind: str = "wheel", variables: dict | None = None
) -> None:
    """Install the package and what its tests need, run them, keep the result."""
    archive = built(session, kind)
    # what the project depends on is not "direct" to a wheel, so first the project
    session.run("uv", "pip", "install", "-q", *options, f"{ROOT}[tests]")
    session.run("uv", "pip", "install", "-q", "--no-deps", "--reinstall", str(archive))
    folder = Path(session.create_tmp()).resolve() / "tests"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name in NEEDED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    session.run("python", "-c", DATA, silent=True)
    versions = json.loads(session.run("python", "-c", VERSIONS, silent=True))
    report = folder / "report.xml"
    os.chdir(folder)
    run = ("pytest", "tests", "-q", "-n", "2", "--dist", "worksteal")
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    report_to = f"--junitxml={report}"
    environment = {**one_thread, **(variables or {})}
    try:
        session.run("python", "-m", *run, report_to, *session.posargs, env=environment)
    finally:
        if report.is_file():  # of failures, too
            RESULTS.mkdir(parents=True, exist_ok=True)
            name = session.name.replace("(", " ").replace(")", "")
            (RESULTS / f"{name}.json").write_text(json.dumps(versions))
            shutil.copy(report, RESULTS / f"{name}.xml")


@nox.session(python=PYTHONS)
def tests(session):
    """Take the newest versions."""
    check(session)


@nox.session(python=PYTHONS[0])
def lowest(session):
    """Take the lowest version of all that pyproject.toml names."""
    check(session, "--resolution=lowest-direct")


@nox.session(python="3.11")
def hyperspy22(session):
    """Take the oldest HyperSpy and eXSpy, and the newest that these run with."""
    # HyperSpy 2.2 goes over pixels by an attribute that numpy 2.4 has no more
    check(session, "hyperspy==2.2.*", "exspy==0.3.0", "numpy<2.4")


@nox.session(python="3.12")
def sdist(session):
    """Install from the source archive."""
    check(session, kind="sdist")


@nox.session(python="3.13")
def prereleases(session):
    """Take what others have not released yet."""
    # what has no nightly build comes from the usual index
    several = "--index-strategy=unsafe-best-match"
    check(session, "--prerelease=allow", several, f"--extra-index-url={NIGHTLY}")


@nox.session(python="3.12")
def generic_cpu(session):
    """Compile for the least of x86 or ARM, without AVX: see "Other machines"."""
    check(session, variables={"NUMBA_CPU_NAME": "generic"})
