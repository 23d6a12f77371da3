"""Compositions of measured samples against the literature and against pure regions.

Prints the tables of docs/quantification.md. The FePt spectrum comes with eXSpy; the map
of minerals is read from the folder named by ESPM_HS_TEST_DATA. Run with

    python benchmarks/accuracy/measured_compositions.py
"""

import exspy
import hyperspy.api as hs
import numpy as np

from benchmarks.runner import measured, run
from espm_hs import metrics
from espm_hs.analysis import to_percent
from espm_hs.quantification.percent_with_errors import Basis
from espm_hs.quantification.report import report

MINERALS = ["Al", "Ca", "Fe", "Hf", "Lu", "Mg", "Nd", "Si", "Sm", "U"]
MAIN = ["Mg", "Si", "Fe", "Al", "Ca"]
# Rows and columns of the map that show a mineral alone.
PURE = {
    "ferropericlase": (slice(36, 48), slice(22, 46)),
    "bridgmanite": (slice(60, 80), slice(0, 40)),
}
# Share of the counts in pixels that are next to pure.
ALMOST = 0.97
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


def minerals():
    s = hs.load(measured("mantle_minerals_80x80.hspy"))
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
        mixed_or_uneven(s, found, j, name)
    print("\n".join(report(found, Basis(elements=MAIN)).footer()))


def mixed_or_uneven(s, found, j, name):
    """Print what the region holds of other phases, and how even its own phase is."""
    loadings = s.learning_results.loadings.reshape(*s.data.shape[:-1], -1)
    inside = loadings[PURE[name]].sum(axis=(0, 1))
    rows = [found.elements.index(e) for e in MAIN]
    atoms = (found.composition * found.atoms)[rows] @ inside
    shares = ", ".join(f"{100 * x:.1f}" for x in inside / inside.sum())
    print(f"counts of the phases in the region: {shares} %; together they make")
    print(_listed(100 * atoms / atoms.sum()))
    almost = loadings[..., j] > ALMOST * loadings.sum(axis=-1)
    for half, below in (("upper", False), ("lower", True)):
        lower = np.arange(len(almost))[:, None] >= len(almost) // 2
        chosen = almost & (lower == below)
        part = s.inav[0, 0]
        part.data = s.data[chosen].sum(axis=0)
        part.decomposition(output_dimension=1, **QUIET)
        _, percent, _ = to_percent(part.analysis_results(), Basis(elements=MAIN))
        text = f"{chosen.sum()} pixels of {ALMOST:.0%} and more, {half} half:"
        print(text, _listed(percent[:, 0]), sep="\n")
    print()


def _listed(percent):
    return ", ".join(f"{e} {x:.1f}" for e, x in zip(MAIN, percent, strict=True))


def region(s, where):
    """Analysis of the summed spectrum of a part of the map."""
    part = s.inav[where[1], where[0]].sum()
    part.decomposition(output_dimension=1, **QUIET)
    return part.analysis_results()


def _entries(found, phase):
    entries = report(found, Basis(elements=MAIN)).entries
    return [entry for entry in entries if entry.phase == phase]


def _cell(entry):
    counted = np.hypot(entry.counting, entry.bias)
    return f"{entry.percent:8.2f} ± {counted:.2f} ± {entry.atomic_data:.2f}"


def main(given):
    fept()
    if not given.smoke:
        minerals()


if __name__ == "__main__":
    run(main, __doc__)
