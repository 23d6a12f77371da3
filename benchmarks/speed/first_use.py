"""CPU seconds of compilation at the first use, in an empty cache.

Run it with

    python benchmarks/speed/first_use.py [--write docs/speed.md]

Each table is made in a process of its own, whose compiled kernels go to a new folder.
The time of an event counts with those that it has caused.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

from benchmarks.runner import ROOT, argument, publish, run

# What is printed: a name and the CPU seconds, those of compilation beside.
PROGRAM = """
import sys, threading, time
from numba.core import event

class Listener(event.Listener):
    # of all threads: what one compiles is not nested in what another one does
    def __init__(self):
        self.open, self.seconds = {}, 0.0
    def on_start(self, _):
        self.open.setdefault(threading.get_ident(), []).append(time.thread_time())
    def on_end(self, _):
        begun = self.open[threading.get_ident()]
        first = begun.pop()
        if not begun:
            self.seconds += time.thread_time() - first

listener = Listener()
event.register("numba:compile", listener)
from espm_hs.simulation import mantle, particles
simulate, size = (mantle, particles)[sys.argv[1] == "number"], int(sys.argv[2])
s = simulate(shape=(size, size), counts_per_pixel=100, seed=0)
for step in sys.argv[3:]:
    cpu, compiled = time.process_time(), listener.seconds
    if step == "number":
        s.estimate_number_of_phases(show_progressbar=False)
    else:
        s.decomposition(
            algorithm="espm",
            output_dimension=int(step),
            print_info=False,
            show_progressbar=False,
        )
    cells = time.process_time() - cpu, listener.seconds - compiled
    print("RESULT", step, *(f"{one:.1f}" for one in cells), flush=True)
"""


def measured(kind: str, size: int, steps: list[str]) -> list[list[str]]:
    """Return step, CPU seconds and those of compilation, of a new process."""
    with tempfile.TemporaryDirectory() as folder:
        known = {"NUMBA_CACHE_DIR": folder, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, kind, str(size), *steps],
            env={**os.environ, **known},
            capture_output=True,
            text=True,
            check=True,
        )
    lines = map(str.split, done.stdout.splitlines())
    return [line[1:] for line in lines if line[:1] == ["RESULT"]]


def main(given):
    size = given.size
    numbers = ["3"] if given.smoke else list("31245678")
    rows = measured("decompose", size, numbers)
    rows = [(f"decomposition, {k} phases", *cells) for k, *cells in rows]
    if not given.smoke:
        twice = measured("number", size, ["number", "number"])
        labels = ("estimate_number_of_phases", "the same again")
        rows += [(label, *row[1:]) for label, row in zip(labels, twice, strict=True)]
    header = ("call", "CPU seconds", "of compilation")
    publish(header, rows, given.write, "first use")


if __name__ == "__main__":
    run(
        main,
        __doc__,
        argument("--size", type=int, default=32, smoke=16, help="pixels of a side"),
        page=True,
    )
