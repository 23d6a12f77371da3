"""What a release has to pass, from a fresh clone of what is committed.

Source archive and wheel are built twice, by two front ends in two folders, and must be
the same to the byte. They are examined, and the wheel is installed into empty
environments by pip and by uv, where its extras are used for what they are there for.
The archives that passed are left in build/release/dist.

The index of packages is needed, and no other service.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from zipfile import ZipFile

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "build" / "release"
BIN = Path(sys.executable).parent
# Of what users download; half of the wheel are tables.
LARGEST = {".whl": 1.0, ".gz": 4.0}  # MB
# Who installs -> extras that are proven in an environment of their own.
ENVIRONMENTS = (
    ("pip", ()),
    ("uv", ()),
    ("uv", ("gui",)),
    ("uv", ("cluster",)),
    ("pip", ("all",)),
)
PROOFS = Path(__file__).parent / "release_proofs"
# pip's names -> those of conda-forge, where they differ.
CONDA_NAMES = {
    "dask": "dask-core",
    "hyperspy": "hyperspy-base",
    "matplotlib": "matplotlib-base",
}


def run(*command: object, cwd: Path | None = None, **variables: str) -> str:
    """Return what a command prints, or end with all of it where it fails."""
    done = subprocess.run(
        [str(one) for one in command],
        cwd=cwd,
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))} failed:\n{done.stdout}")
    return done.stdout.strip()


def tell(what: str, found: object) -> None:
    """Print a line of the report."""
    print(f"{what:<42} {found}", flush=True)


def clone(folder: Path, *options: str) -> Path:
    """Clone what is committed here."""
    run("git", "clone", "-q", *options, f"file://{ROOT}", folder)
    return folder


def archives(folder: Path) -> dict[str, Path]:
    """Return wheel and source archive of a folder by their suffixes."""
    return {path.suffix: path for path in folder.iterdir() if path.suffix in LARGEST}


def build_twice(folder: Path) -> dict[str, Path]:
    """Build by two front ends, elsewhere and with other rights; compare the bytes."""
    ours, theirs = clone(folder / "ours"), clone(folder / "other" / "place")
    run(sys.executable, "-m", "build", "-q", ours)
    before = os.umask(0o077)
    try:
        run(BIN / "uv", "build", "-q", theirs, TZ="Pacific/Auckland")
    finally:
        os.umask(before)
    first, second = archives(ours / "dist"), archives(theirs / "dist")
    for suffix, path in first.items():
        digests = [
            hashlib.sha256(one.read_bytes()).hexdigest()
            for one in (path, second[suffix])
        ]
        if path.name != second[suffix].name or digests[0] != digests[1]:
            raise SystemExit(f"{path.name} is not reproducible: {digests}.")
        tell(f"reproducible: {path.name}", digests[0][:16])
    return first


def build_without_tags(folder: Path) -> None:
    """Build what has no tags, no history or no git, as downloads may have none."""
    shallow = clone(folder / "shallow", "--no-tags", "--depth", "1")
    bare = folder / "bare"
    bare.mkdir()
    archive = folder / "archive.tar"
    run("git", "archive", "-o", archive, "HEAD", cwd=ROOT)
    with tarfile.open(archive) as packed:
        packed.extractall(bare, filter="data")
    for name, place in (("shallow clone", shallow), ("archive without git", bare)):
        run(BIN / "uv", "build", "-q", "--wheel", place)
        tell(f"builds: {name}", archives(place / "dist")[".whl"].name)


def check_version(wheel: Path) -> None:
    """Compare the version with the tag, the citation and the changelog, on a tag."""
    version = wheel.name.split("-")[1]
    tag = subprocess.run(
        ["git", "describe", "--tags", "--exact-match", "--match", "v[0-9]*"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    if tag:
        cited = re.search(r"^version: (.+)$", text("CITATION.cff"), re.MULTILINE)
        if tag != f"v{version}" or cited is None or cited[1] != version:
            raise SystemExit(f"{tag}, {version} and CITATION.cff do not agree.")
        if not re.search(rf"^## {re.escape(version)} \(\d", text("CHANGELOG.md"), re.M):
            raise SystemExit(f"CHANGELOG.md has no dated heading for {version}.")
        if news := [one for one in (ROOT / "changes").glob("*.*.md")]:
            raise SystemExit(
                f"{news[0]} is not in the changelog: run `towncrier build`."
            )
    tell("version", f"{version} ({tag or 'not a tag'})")


def text(name: str) -> str:
    """Return what a file of the repository holds."""
    return (ROOT / name).read_text(encoding="utf-8")


def examine(built: dict[str, Path]) -> None:
    """Run what knows faults of packages, and compare sizes with their limits."""
    run(BIN / "twine", "check", "--strict", *built.values())
    tell("twine check --strict", "passed")
    run(BIN / "check-wheel-contents", built[".whl"])
    tell("check-wheel-contents", "passed")
    # the tenth point is for an address of the authors
    rating = run(BIN / "pyroma", "-n", "9", built[".gz"])
    tell("pyroma", re.findall(r"Final rating: (\S+)", rating)[0])
    for suffix, path in built.items():
        size = path.stat().st_size / 1e6
        if size > LARGEST[suffix]:
            raise SystemExit(f"{path.name} has {size:.2f} MB > {LARGEST[suffix]} MB.")
        tell(f"size of {path.name}", f"{size:.2f} MB of at most {LARGEST[suffix]}")
    packed = {Path(name) for name in ZipFile(built[".whl"]).namelist()}
    package = run("git", "ls-files", "espm_hs", cwd=ROOT).splitlines()
    missing = {Path(name) for name in package} - packed
    if unpacked := [one for one in missing if one.name != "conftest.py"]:
        raise SystemExit(f"Not in the wheel: {unpacked}")
    tell("files of the package in the wheel", len(package) - len(missing))


def check_recipe() -> None:
    """Read the recipe of conda-forge; it must need what the package needs."""
    from packaging.requirements import Requirement
    from rattler_build import Stage0Recipe, VariantConfig

    recipe = Stage0Recipe.from_file(ROOT / "conda" / "recipe.yaml")
    (rendered,) = recipe.render(VariantConfig())
    shown = rendered.recipe.to_dict()
    theirs = {str(one) for one in shown["requirements"]["run"]}
    project = tomllib.loads(text("pyproject.toml"))["project"]
    needed = [Requirement(one) for one in project["dependencies"]]
    ours = {
        f"{CONDA_NAMES.get(one.name, one.name)} {one.specifier}" for one in needed
    } | {f"python {project['requires-python']}"}
    if lacking := ours - theirs:
        raise SystemExit(f"conda/recipe.yaml does not have {sorted(lacking)}.")
    tell("conda/recipe.yaml", f"{len(ours)} requirements agree")


def install(folder: Path, wheel: Path, installer: str, extras: tuple[str, ...]) -> None:
    """Install into an empty environment, and use it there."""
    name = "-".join([installer, *extras])
    place = folder / name
    what = f"{wheel}[{','.join(extras)}]" if extras else wheel
    run(BIN / "uv", "venv", "-q", "--python", sys.executable, place / "venv")
    python = place / "venv" / BIN.name / "python"
    if installer == "uv":
        run(BIN / "uv", "pip", "install", "-q", "--python", python, what)
    else:
        run(BIN / "python", "-m", "pip", "--python", python, "install", "-q", what)
    run(BIN / "uv", "pip", "check", "--python", python)
    proofs = ["plain", *(("gui", "cluster") if "all" in extras else extras)]
    for proof in proofs:
        # from elsewhere, and without a display
        script = PROOFS / f"{proof}.py"
        said = run(python, "-I", script, cwd=place, MPLBACKEND="agg")
        tell(f"{name}: {proof}", said.splitlines()[-1])


def main() -> None:
    """Check all of it, or without the environments."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--no-install", action="store_true", help="takes seconds")
    given = parser.parse_args()
    if changed := run("git", "status", "--porcelain", cwd=ROOT):
        print(f"Not committed, and so not looked at:\n{changed}")
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        built = build_twice(folder)
        build_without_tags(folder)
        check_version(built[".whl"])
        examine(built)
        check_recipe()
        for environment in () if given.no_install else ENVIRONMENTS:
            install(folder, built[".whl"], *environment)
        shutil.rmtree(TARGET / "dist", ignore_errors=True)
        (TARGET / "dist").mkdir(parents=True)
        for path in built.values():
            shutil.copy(path, TARGET / "dist")
    print(f"{TARGET / 'dist'} holds what may be published.")


if __name__ == "__main__":
    main()
