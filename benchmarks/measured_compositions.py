"""Compositions of measured samples against the literature and against pure regions.

Prints the tables of docs/quantification.md. The FePt spectrum comes with eXSpy; the map
of minerals is read from the folder named by ESPM_HS_TEST_DATA. Run with

    python benchmarks/measured_compositions.py
"""

import os
from pathlib import Path

import exspy
import hyperspy.api as hs
import numpy as np

from espm_hs import metrics
from espm_hs.analysis import report

MINERALS = ["Al", "Ca", "Fe", "Hf", "Lu", "Mg", "Nd", "Si", "Sm", "U"]
MAIN = ["Mg", "Si", "Fe", "Al", "Ca"]
# Rows and columns of the map that show a mineral alone.
PURE = {
    "ferropericlase": (slice(36, 48), slice(22, 46)),
    "bridgmanite": (slice(60, 80), slice(0, 40)),
}
QUIET = {"algorithm": "espm", "print_info": False, "show_progressbar": False}


def calibrated(signal, stray, rounds=2):
    """Stray elements and calibration as a user would set them."""
    signal.set_signal_type("EDS_espm")
    signal.set_analysis_parameters(stray_elements=stray)
    for _ in range(rounds):
        signal.refine_calibration(print_info=False)
    return signal


def fept():
    s = calibrated(exspy.data.EDS_TEM_FePt_nanoparticles(), ["Cu", "C", "O", "Si"])
    s.decomposition(output_dimension=1, **QUIET)
    print("FePt nanoparticles (literature: 14 to 16 at.% Fe)")
    print(report(s.analysis_results()), "\n")


def minerals(folder):
    s = hs.load(Path(folder) / "mantle_minerals_80x80.hspy")
    s.set_signal_type("EDS_espm")
    s.set_elements(MINERALS)
    s = calibrated(s, ["Cu", "Ga", "Mo"])
    s.decomposition(output_dimension=3, **QUIET)
    found = s.analysis_results()
    regions = {name: region(s, where) for name, where in PURE.items()}
    for name, pure in regions.items():
        j = int(metrics.spectral_angles(found.spectra, pure.spectra).argmin())
        print(f"{name}, at.% among {', '.join(MAIN)}: phase {j} and pure region")
        for ours, theirs in zip(_entries(found, j), _entries(pure, 0), strict=True):
            print(f"{ours.element:3}{_cell(ours)}{_cell(theirs)}")
        print()
    print("\n".join(report(found, elements=MAIN).footer()))


def region(s, where):
    """Analysis of the summed spectrum of a part of the map."""
    part = s.inav[where[1], where[0]].sum()
    part.decomposition(output_dimension=1, **QUIET)
    return part.analysis_results()


def _entries(found, phase):
    entries = report(found, elements=MAIN).entries
    return [entry for entry in entries if entry.phase == phase]


def _cell(entry):
    counted = np.hypot(entry.statistical, entry.bias)
    return f"{entry.percent:8.2f} ± {counted:.2f} ± {entry.systematic:.2f}"


if __name__ == "__main__":
    fept()
    if folder := os.environ.get("ESPM_HS_TEST_DATA"):
        minerals(folder)
