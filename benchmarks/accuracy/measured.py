"""Measured spectra of known composition: what is found, its errors, and the truth.

Prints for each element of each spectrum the at.% that a decomposition with nothing but
the elements finds, its error by parts, the composition that is known, and how many
standard errors lie between, and for each spectrum the deviance ratio. The FePt spectrum
comes with eXSpy; the others are read from the folder named by ESPM_HS_TEST_DATA. Run
with

    python benchmarks/accuracy/measured.py [--write docs/quantification.md]
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import exspy
import hyperspy.api as hs
import numpy as np

from benchmarks.runner import measured, publish, run
from espm_hs.decomposition.result import PhaseAnalysis
from espm_hs.quantification.report import report

SRTIO3 = {"O": 60.0, "Sr": 20.0, "Ti": 20.0}
# Literature: 14 to 16 at.% of iron.
FEPT = {"Fe": 15.0, "Pt": 85.0}
SILICA = {"O": 66.7, "Si": 33.3}
# Windows of the FePt spectrum without strong lines, keV.
WINDOWS = ((0.4, 0.45), (1.1, 1.4), (1.5, 1.68), (4, 5), (12, 12.6), (16, 18))
HEADER = (
    "spectrum", "element", "found", "counts", "bias", "atomic data", "absorption",
    "detector", "total", "truth", "z", "deviance ratio",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A measured spectrum, what a user would say of it, and what it is made of.

    Attributes
    ----------
    file
        Name of the file, or what loads the spectrum.
    stray
        System elements.
    truth
        Element -> at.%.
    n_phases
        Phases to look for; that which is nearest to the truth counts.
    known
        What is said besides, see `set_analysis_parameters`.
    standard
        File of another film of the same, of which the same is said, and by which line
        factors are calibrated; empty: none.
    """

    file: str | Callable[[], Any]
    stray: list[str]
    truth: dict[str, float]
    n_phases: int = 1
    known: dict[str, Any] = field(default_factory=dict)
    standard: str = ""


FILM = {"thickness": 90, "density": 5.12}
A, B = "srtio3_segment_a.hspy", "srtio3_segment_b.hspy"
SIO2 = "sio2_particles_128x128.hspy"
CASES = {
    # as identified, see docs/validation.md
    "FePt": Case(
        exspy.data.EDS_TEM_FePt_nanoparticles,
        ["Cu", "C", "O", "Si", "Zr", "Co"],
        FEPT,
    ),
    "SrTiO3, a": Case(A, ["Cu", "C"], SRTIO3),
    "SrTiO3, b": Case(B, ["Cu", "C"], SRTIO3),
    "SrTiO3, a, 90 nm": Case(A, ["Cu", "C"], SRTIO3, known=FILM),
    "SrTiO3, b, 90 nm": Case(B, ["Cu", "C"], SRTIO3, known=FILM),
    "SrTiO3, a by b": Case(A, ["Cu", "C"], SRTIO3, standard=B),
    "SrTiO3, a by b, 90 nm": Case(A, ["Cu", "C"], SRTIO3, known=FILM, standard=B),
    "SrTiO3, a, fitted": Case(A, ["Cu", "C"], SRTIO3, known={"mass_thickness": "fit"}),
    "SiO2": Case(SIO2, ["Cu", "C"], SILICA, 2),
    "SiO2, polymer window": Case(
        SIO2, ["Cu", "C"], SILICA, 2, {"detector": "polymer_window"}
    ),
}


def prepared(case: Case, file: str | Callable[[], Any]) -> Any:
    """Return the signal of a file, with what is said of it."""
    signal = hs.load(measured(file)) if isinstance(file, str) else file()
    signal.set_signal_type("EDS_espm")
    signal.set_elements(list(case.truth))
    signal.set_analysis_parameters(stray_elements=case.stray, **case.known)
    return signal


def decomposed(case: Case) -> tuple[Any, PhaseAnalysis]:
    """Return the signal of a case, and its phases."""
    signal = prepared(case, case.file)
    if case.standard:
        signal.calibrate_line_factors(prepared(case, case.standard), case.truth)
    signal.decomposition(
        algorithm="espm",
        output_dimension=case.n_phases,
        print_info=False,
        show_progressbar=False,
    )
    return signal, signal.analysis_results()


def rows(name: str, case: Case) -> list[tuple[str, ...]]:
    """Return a row for each element of a case."""
    _, found = decomposed(case)
    truth = np.array([case.truth[element] for element in found.elements])
    off = np.abs(100 * found.composition - truth[:, None]).max(axis=0)
    entries = [x for x in report(found).entries if x.phase == int(off.argmin())]
    table = []
    for entry in entries:
        true = case.truth[entry.element]
        z = (entry.percent - true) / entry.error
        numbers = (entry.percent, *entry.errors, entry.error, true, z)
        cells = [f"{x:.1f}" for x in numbers]
        table.append((name, entry.element, *cells, f"{found.misfit:.2f}"))
    return table


def windows() -> list[tuple[str, str]]:
    """Return data over model in windows of the FePt spectrum."""
    signal, found = decomposed(CASES["FePt"])
    total = np.nansum(signal.learning_results.loadings, axis=0)
    model = np.nan_to_num(found.spectra) @ total
    energy, table = found.model.energy, []
    for low, high in WINDOWS:
        inside = (energy >= low) & (energy < high)
        ratio = signal.data[inside].sum() / model[inside].sum()
        table.append((f"{low} to {high} keV", f"{ratio:.3f}"))
    return table


def main(given):
    names = ["FePt"] if given.smoke else list(CASES)
    table = [row for name in names for row in rows(name, CASES[name])]
    publish(HEADER, table, given.write, "measured", "At.% of measured spectra")
    publish(("FePt", "data over model"), windows())


if __name__ == "__main__":
    run(main, __doc__, page=True)
