"""Time and memory from a dense array to quantified phases, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys

from benchmarks.runner import ROOT, print_table

# Rows and columns, channels, counts per pixel.
MAPS = ((512, 4096, 308_000 / 512**2), (512, 2048, 20.0))
FEW = ((32, 1024, 20.0),)


def memory(n_jobs, maps=MAPS):
    """Time and peak memory from a dense array to quantified phases."""
    rows = []
    for size, n_channels, dose in maps:
        code = MEMORY.format(size=size, n_channels=n_channels, dose=dose, jobs=n_jobs)
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )
        rows.append((f"{size} x {size} x {n_channels}", *done.stdout.split()[-3:]))
    header = ("data (uint8)", "input, MB", "seconds", "MB beyond the input")
    print_table("From array to quantified phases", header, rows)


MEMORY = """
import resource, time
import hyperspy.api as hs
import numpy as np
from benchmarks.speed.cases import large_map

def signal(counts, shape):
    data = np.zeros((counts.n_pixels, shape[2]), np.uint8)
    rows = np.repeat(np.arange(counts.n_pixels), np.diff(counts.indptr))
    data[rows, counts.channels + shape[2] - counts.n_channels] = counts.values
    s = hs.signals.Signal1D(data.reshape(shape))
    axis = s.axes_manager[-1]
    axis.name, axis.units, axis.offset, axis.scale = "Energy", "keV", 0.0, 0.01
    s.set_signal_type("EDS_espm")
    s.set_microscope_parameters(beam_energy=200)
    s.set_elements(["Al", "Ca", "Fe", "Mg", "O", "Si", "Ti"])
    return s

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

def fit(s):
    s.decomposition(algorithm="espm", output_dimension=3, n_jobs={jobs},
                    print_info=False, show_progressbar=False)
    s.quantify()

fit(signal(large_map(32, {n_channels}, 50.0)[0], (32, 32, {n_channels})))  # compile
counts = large_map({size}, {n_channels}, {dose})[0]
s = signal(counts, ({size}, {size}, {n_channels}))
del counts
def now():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")  # forget the peak
before = now()
begin = time.perf_counter()
fit(s)
seconds = time.perf_counter() - begin
with open("/proc/self/status") as file:
    high = [line for line in file if line.startswith("VmHWM")][0]
print(f"{{s.data.nbytes / 2**20:.0f}} {{seconds:.2f}} "
      f"{{int(high.split()[1]) / 1024 - before:.0f}}")
"""
