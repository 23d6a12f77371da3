"""Times and memory from a map to its phases, beside other programs, in one run.

Run all of it, or some parts, with

    python benchmarks/speed/beside_others.py [--parts first whole ...]
        [--espm PYTHON] [--folder FOLDER] [--again espm_hs] [--write docs/speed.md]

Each program runs in a process of its own (Linux). CPU seconds are those of all threads.
A folder keeps the maps and what is measured, so that a long run goes on where it ended.
Programs that hold all channels of all pixels as floats are first given a map of
`PROBE` pixels: from its memory follows what a larger one takes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.runner import ESPM, ROOT, argument, parts, publish, run
from benchmarks.speed.cases import grains
from benchmarks.speed.program import DENSE, ITERATIONS, NUMBER, PHASES
from espm_hs.factorization import Counts
from espm_hs.simulation import metrics, particles

PARTS = ("first", "whole", "more", "number")


class Case(NamedTuple):
    """A simulated map, and the number of phases that is asked for."""

    name: str
    size: int
    n_channels: int
    dose: float
    k: int

    def __str__(self) -> str:
        map_ = f"{self.name} {self.size} x {self.size} x {self.n_channels}"
        return f"{map_}, {self.dose:.3g} counts, k = {self.k}"

    @property
    def n_entries(self) -> int:
        """Number of channels of all pixels."""
        return self.size**2 * self.n_channels


# All programs can do the first of the whole maps; more of them are for those that read
# sparse counts. The particles have 1024 channels.
FIRST = Case("particles", 64, 1024, 100, 3)
NUMBERS = (Case("particles", 32, 1024, 100, 3),)
WHOLE = (
    Case("grains", 256, 2048, 20, 5),
    Case("grains", 512, 2048, 20, 5),
    Case("grains", 512, 2048, 100, 5),
    Case("grains", 1024, 2048, 20, 5),
)
MORE = (
    Case("grains", 512, 2048, 20, 3),
    Case("grains", 512, 4096, 308_000 / 512**2, 3),
    Case("particles", 512, 1024, 100, 3),
    Case("particles", 512, 1024, 100, 5),
)
# What each program is given first, and what tells its memory.
WARM, PROBE, DOSE = 24, 96, 20


def drawn(case: Case, folder: Path) -> Path:
    """Return the file of a map, which is drawn if it is not there."""
    path = folder / f"{case}.npz"
    if path.exists():
        return path
    if case.name == "particles":
        s = particles((case.size, case.size), counts_per_pixel=case.dose, seed=0)
        model, used = s.physical_model(), s.physical_model().channels
        counts = Counts.from_array(s.data, channels=used)
        spectra = s.ground_truth().spectra[used]
    else:
        counts, model, spectra = grains(case.size, case.n_channels, case.dose, case.k)
        used = model.channels
    X = counts.to_csr()
    np.savez(
        path,
        values=X.data.astype(np.min_scalar_type(int(X.data.max()))),
        channels=X.indices,
        begin=X.indptr,
        used=used,
        G=model.G[used],
        truth=spectra,
        name=case.name,
    )
    return path


class Runner:
    """Runs programs on maps, and remembers what came out."""

    def __init__(self, given: Any, folder: Path):
        self.given, self.folder = given, folder
        self.file = folder / "measured.json"
        stored = json.loads(self.file.read_text()) if self.file.exists() else {}
        self.kept: dict[str, dict] = {
            key: told
            for key, told in stored.items()
            if key.split(" | ")[1] not in given.again
        }

    def programs(self, task: str) -> list[str]:
        """Names of those that can be run."""
        names = PHASES if task == "phases" else NUMBER
        return [n for n in names if self.given.espm or not n.startswith("espm 1")]

    def measured(self, task: str, program: str, case: Case) -> dict:
        """Return what a program needs for a map, ``needs`` where that is too much."""
        key = f"{task} | {program} | {case}"
        if key not in self.kept:
            self.kept[key] = self._measure(task, program, case)
            self.file.write_text(json.dumps(self.kept, indent=1))
            print(key, self.kept[key], file=sys.stderr, flush=True)
        return self.kept[key]

    def _measure(self, task, program, case):
        # a small one tells the memory of what holds the whole table
        small = case._replace(size=PROBE, dose=DOSE)
        if program in DENSE and case.size > PROBE:
            memory = self.measured(task, program, small)["memory"]
            needs = memory * case.n_entries / small.n_entries / 1024
            if needs > self.given.gigabytes:
                return {"needs": needs}
        warm = drawn(case._replace(size=min(WARM, case.size)), self.folder)
        whole, found = drawn(case, self.folder), self.folder / "found.npz"
        espm = program.startswith("espm 1")
        script = Path(__file__).with_name("program.py")
        words = task, program, warm, whole, found, case.k, self.given.seconds
        done = subprocess.run(
            [self.given.espm if espm else sys.executable, script, *map(str, words)],
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=self._environment(case),
        )
        told = json.loads(done.stdout.splitlines()[-1])
        answer = np.load(found)["found"]
        if task == "number":
            told["answer"] = int(answer)
        elif answer.ndim and program != "HyperSpy, PCA":
            truth = np.load(whole)["truth"]
            told["angle"] = float(metrics.match_phases(answer, truth)[1].max())
        return told

    def _environment(self, case: Case) -> dict[str, str]:
        """Return the environment of the programs: nothing has been compiled there."""
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        known = {**os.environ, "PYTHONPATH": path}
        if not self.given.smoke:
            place = "first" if case == FIRST else "others"
            known["NUMBA_CACHE_DIR"] = str(self.folder / f"compiled {place}")
        return known


def seconds(told: dict) -> str:
    """Return CPU seconds, with a mark where they follow from a few iterations."""
    about = told["made"] not in (None, ITERATIONS)
    return ("≈ " if about else "") + digits(told["cpu"])


def digits(number: float) -> str:
    """Two digits of a number, or all before its point."""
    return f"{number:.0f}" if number >= 10 else f"{number:.2g}"


def ratio(told: dict, ours: dict, key: str = "cpu") -> str:
    """Return how many times as long as espm_hs a program takes."""
    return digits(told[key] / ours[key])


def angle(told: dict) -> str:
    """Return the angle of the phase that is furthest from the truth."""
    return f"{told['angle']:.2g}" if "angle" in told else "–"


def first(runner: Runner, cases: tuple[Case, ...]) -> None:
    """Time of new processes, and of the same once more."""
    case, rows = cases[0], []
    ours = runner.measured("phases", "espm_hs", case)
    for name in runner.programs("phases"):
        told = runner.measured("phases", name, case)
        rows.append(
            (
                name,
                f"{told['first']:.1f}",
                ratio(told, ours, "first"),
                seconds(told),
                ratio(told, ours),
                angle(told),
            )
        )
    header = ("program", "first, CPU s", "times ours", "again, CPU s", "times ours")
    table = (*header, "largest angle, °"), rows
    publish(*table, runner.given.write, "first and again", str(case))


def whole(runner: Runner, cases: tuple[Case, ...]) -> None:
    """Time and memory of whole maps."""
    maps(runner, cases, runner.programs("phases"), "whole maps")


def more(runner: Runner, cases: tuple[Case, ...]) -> None:
    """Time and memory of other maps, beside the peer that most people have."""
    maps(runner, cases, ["espm_hs", "scikit-learn, KL, CSR"], "more maps")


def maps(runner: Runner, cases: tuple[Case, ...], names: list[str], place: str) -> None:
    """Print time and memory of maps by some programs."""
    rows = []
    for case in cases:
        ours = runner.measured("phases", "espm_hs", case)
        for name in names:
            told = runner.measured("phases", name, case)
            if "needs" in told:
                cells = ("–", "–", f"≈ {1024 * told['needs']:.0f}", "–", "–")
            else:
                memory = (f"{told[key]:.0f}" for key in ("memory", "input"))
                cells = (seconds(told), ratio(told, ours), *memory, angle(told))
            rows.append((str(case) if name == "espm_hs" else "", name, *cells))
    header = ("map", "program", "CPU s", "times ours")
    header += ("memory, MB", "of it the map", "largest angle, °")
    publish(header, rows, runner.given.write, place)


def number(runner: Runner, cases: tuple[Case, ...]) -> None:
    """Time of the number of phases, and the answer."""
    rows = []
    for case in cases:
        ours = runner.measured("number", "espm_hs", case)
        for name in runner.programs("number"):
            told = runner.measured("number", name, case)
            cells = f"{told['cpu']:.1f}", ratio(told, ours), told["answer"]
            rows.append((str(case) if name == "espm_hs" else "", name, *cells))
    header = ("map", "program", "CPU s", "times ours", "answer")
    publish(header, rows, runner.given.write, "number of phases")


def main(given):
    every = {
        "first": (first, (FIRST,)),
        "whole": (whole, WHOLE),
        "more": (more, MORE),
        "number": (number, NUMBERS),
    }
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        runner = Runner(given, folder)
        for name in given.parts:
            part, cases = every[name]
            if given.smoke:
                cases = (cases[0]._replace(size=16),)
            part(runner, cases)


if __name__ == "__main__":
    run(
        main,
        __doc__,
        parts(*PARTS, smoke=("whole",)),
        ESPM,
        argument("--folder", type=Path, help="keeps maps and what is measured"),
        argument("--again", nargs="+", default=(), help="programs to measure anew"),
        argument(
            "--seconds", type=float, default=60, help="what takes longer is foretold"
        ),
        argument("--gigabytes", type=float, default=8, help="most memory of a program"),
        page=True,
    )
