"""How often `identify_elements` names an element that is not there, or misses one.

    python benchmarks/accuracy/identification.py [--write docs/validation.md]

Sixty spectra are simulated with the lines of other tables than those of the package
(fisx and xraydb, `pip install espm-hs[tables]`), with absorption, a background steeper
than the fit has it, an energy axis and a peak width that are off, and a copper grid.
Nothing is said of their elements. Traces of 0.3 to 3 at.% are put beside majors whose
lines overlap with theirs. Thresholds were tuned on one half of the compounds; the other
half was set aside. Then the measured spectra of ESPM_HS_TEST_DATA are named, with what
speaks for each name, and decomposed with what was named.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import exspy
import hyperspy.api as hs
import numpy as np

from benchmarks.accuracy.line_tables import lines_of
from benchmarks.runner import measured, needs, publish, run, some
from espm_hs.calibration.element_identification import Suggestions, identify
from espm_hs.physics import Detector, SpectrumModel
from espm_hs.simulation import Effects, Experiment, Phase


class Compound(NamedTuple):
    """A compound with traces.

    Attributes
    ----------
    atoms
        Symbol -> atoms of the majors.
    traces
        Symbol -> at.%.
    """

    atoms: dict[str, float]
    traces: dict[str, float]

    @property
    def name(self) -> str:
        """Formula and traces."""
        majors = "".join(f"{e}{n:g}" if n != 1 else e for e, n in self.atoms.items())
        return " + ".join([majors, *(f"{x:g} % {e}" for e, x in self.traces.items())])

    @property
    def percent(self) -> dict[str, float]:
        """At.% of all."""
        share = (100 - sum(self.traces.values())) / sum(self.atoms.values())
        return {**{e: n * share for e, n in self.atoms.items()}, **self.traces}


# In pairs: the first of each was tuned on, the second was not.
COMPOUNDS = tuple(
    Compound(dict(majors), dict(traces))
    for majors, traces in (
        ({"Mo": 1, "O": 3}, {"S": 2}),
        ({"Zn": 1, "S": 1}, {"Mo": 1}),
        ({"Si": 1, "O": 2}, {"S": 0.5, "Fe": 0.3}),
        ({"Pb": 1, "O": 1}, {"S": 3, "Fe": 0.5}),
        ({"Pb": 1, "S": 1}, {"Ag": 1}),
        ({"Mo": 1, "S": 2}, {"Re": 0.5}),
        ({"Ti": 1, "O": 2}, {"Ba": 1, "Nb": 0.5}),
        ({"Ba": 1, "O": 1}, {"Ti": 2, "Sr": 1}),
        ({"Ba": 1, "Ti": 1, "O": 3}, {"Ca": 0.5}),
        ({"Ca": 1, "Ti": 1, "O": 3}, {"Ba": 0.5, "Fe": 0.5}),
        ({"Si": 1, "O": 2}, {"W": 0.5, "Al": 1}),
        ({"Si": 3, "N": 4}, {"Ta": 0.5, "Ti": 0.3}),
        ({"W": 1, "C": 1}, {"Si": 2, "Co": 3}),
        ({"Ta": 2, "O": 5}, {"Si": 3, "Nb": 1}),
        ({"V": 1, "N": 1}, {"Cr": 1}),
        ({"Cr": 2, "O": 3}, {"V": 1, "Fe": 1}),
        ({"Cr": 2, "O": 3}, {"Mn": 1, "Al": 0.5}),
        ({"Mn": 1, "O": 2}, {"Cr": 0.5, "K": 0.5}),
        ({"Fe": 2, "O": 3}, {"Co": 1, "Mg": 1}),
        ({"Co": 1, "O": 1}, {"Fe": 1, "Ni": 1}),
        ({"Fe": 1, "Pt": 1}, {"Co": 2}),
        ({"Fe": 3, "Ni": 1}, {"Mn": 1, "Co": 1, "P": 0.5}),
        ({"Mg": 1, "O": 1}, {"As": 0.5, "Mn": 0.3}),
        ({"Ga": 1, "As": 1}, {"Mg": 2, "In": 1}),
        ({"Zn": 1, "O": 1}, {"Na": 3, "Al": 1}),
        ({"Na": 1, "Cl": 1}, {"Zn": 0.5, "Br": 0.5}),
        ({"Zr": 1, "O": 2}, {"P": 1, "Y": 2, "Hf": 0.5}),
        ({"Ca": 3, "P": 2, "O": 8}, {"Zr": 0.5, "Na": 1}),
        ({"Pt": 1, "Ni": 1}, {"P": 3}),
        ({"In": 1, "P": 1}, {"Pt": 1, "Sn": 1}),
    )
)
HALVES = {"tuned on": 0, "set aside": 1}
TABLES = ("fisx", "xraydb")
COUNTS = (1e5, 1e6)
CHANNELS = -0.1 + 0.01 * np.arange(2048)
GRID, GRID_COUNTS = "Cu", 0.03
# Share of the counts that is bremsstrahlung, and how much steeper it falls.
BACKGROUND, STEEPER = 0.2, 0.15
DENSITY = 5.0
# File, number of phases of a decomposition, and the deviance ratio that is aimed at.
MEASURED: dict[str, tuple[str, int, float]] = {
    "FePt": ("", 1, np.inf),
    "SrTiO3, a": ("srtio3_segment_a.hspy", 1, 1.5),
    "SrTiO3, b": ("srtio3_segment_b.hspy", 1, 1.5),
    "silica": ("sio2_particles_128x128.hspy", 2, 2.5),
    "minerals": ("mantle_minerals_80x80.hspy", 3, 1.6),
    "Pd-Ti-O": ("bruker_tem_64x64.bcf", 2, 1.3),
    "Velox": ("velox_si_16x16.emd", 2, 1.5),
}
SUMMARY = (
    "compounds", "spectra", "names", "false", "traces of 6 sigma, own line",
    "of 6 sigma, below others", "spectra with a trace confused",
)  # fmt: skip
HEADER = (
    "compound", "lines of", "counts", "names", "false", "missed", "missed below others",
    "unclear",
)  # fmt: skip
NAMES = ("spectrum", "element", "lines", "gain (nats)", "counts", "probability false")
RATIOS = ("map", "deviance ratio", "aimed at")
# Standard errors, in its own line, that a trace is worth.
WORTH = 6.0


class Drawn(NamedTuple):
    """A simulated spectrum.

    Attributes
    ----------
    compound
        What it is of.
    table
        Whose lines it has.
    counts
        Shape (n_channels,).
    model
        What its user says of it.
    own, any
        Trace -> standard errors that it is worth in a line of its own, and in all.
    """

    compound: Compound
    table: str
    counts: np.ndarray
    model: SpectrumModel
    own: dict[str, float]
    any: dict[str, float]


def drawn(compound: Compound, table: str, total: float, seed: int) -> Drawn:
    """Draw the counts of a compound with the lines of a table."""
    rng = np.random.default_rng(seed)
    percent = compound.percent
    stray = [] if GRID in percent else [GRID]
    phase = Phase(compound.name, percent, DENSITY, BACKGROUND)
    with lines_of(table):
        true = SpectrumModel(
            CHANNELS,
            200.0,
            list(percent),
            stray_elements=stray,
            split_lines=dict.fromkeys(percent, "none"),
            detector=Detector(resolution=rng.uniform(126, 138)),
            take_off_angle=22.0,
            thickness=rng.uniform(40, 150),
            density=DENSITY,
            composition=percent,
        )
        made = Experiment(
            true,
            [phase],
            [true.thickness],
            stray=dict.fromkeys(stray, GRID_COUNTS),
            effects=Effects(background_exponent=STEEPER),
        )
        spectrum = made.spectra[:, 0]
        expected = total * spectrum / spectrum.sum()
        worth = {e: worths(true, expected, e) for e in compound.traces}
    step = CHANNELS[1] - CHANNELS[0]
    axis = CHANNELS[0] + 1e-3 * rng.uniform(-15, 15)
    axis += step * (1 + 1e-3 * rng.uniform(-1, 1)) * np.arange(CHANNELS.size)
    told = SpectrumModel(axis, 200.0, ["Si"], detector=Detector(resolution=130))
    own = {e: one[0] for e, one in worth.items()}
    every = {e: one[1] for e, one in worth.items()}
    return Drawn(compound, table, rng.poisson(expected), told, own, every)


def worths(
    true: SpectrumModel, expected: np.ndarray, trace: str
) -> tuple[float, float]:
    """Return what a line of a trace is worth at best: its own, or any."""
    share = {"element": 1 - BACKGROUND - GRID_COUNTS, "stray": GRID_COUNTS}
    spectra = {}
    for kind in share:
        of_kind = {c.element: i for i, c in enumerate(true.columns) if c.kind == kind}
        parts = {
            e: true.composition.get(e, 1.0) * true.G[:, i] for e, i in of_kind.items()
        }
        total = sum(x.sum() for x in parts.values())
        scale = share[kind] * expected.sum() / max(total, 1e-300)
        spectra |= {e: scale * part for e, part in parts.items()}
    own = spectra.pop(trace)
    others = sum(spectra.values())
    best = [0.0, 0.0]
    for line in true.emission_lines:
        if line.element != trace:
            continue
        near = np.abs(true.energy - line.energy) < 0.6e-3 * true.detector.fwhm(
            line.energy
        )
        worth = own[near].sum() / np.sqrt(max(expected[near].sum(), 1.0))
        best[1] = max(best[1], worth)
        if own[near].sum() > others[near].sum():
            best[0] = max(best[0], worth)
    return best[0], best[1]


class Score(NamedTuple):
    """What became of the names of a spectrum."""

    spectrum: Drawn
    found: Suggestions

    @property
    def truth(self) -> set[str]:
        """Elements that are there."""
        return {*self.spectrum.compound.percent, GRID}

    @property
    def false(self) -> list[str]:
        """Names that are false."""
        return [x.element for x in self.found.found if x.element not in self.truth]

    @property
    def confused(self) -> set[str]:
        """Elements that are one of several that a line is said to be of."""
        return {
            name.split()[0]
            for one in self.found.ambiguous
            for name in (one.element, *(x.element for x in one.rivals))
        }


def scores(half: int, given: argparse.Namespace) -> Iterator[Score]:
    """Identify the elements of the spectra of a half."""
    for i, compound in enumerate(some(COMPOUNDS[half::2], given)):
        for j, total in enumerate(some(COUNTS, given)):
            table = TABLES[(i + j) % 2]
            one = drawn(compound, table, total, 10 * i + j + 500 * half)
            yield Score(one, identify(one.model, one.counts, known=()))


def row(score: Score) -> tuple[str, ...]:
    """Return what is told of a spectrum."""
    spectrum, found = score.spectrum, score.found
    worthy = {e for e, x in spectrum.own.items() if x >= WORTH}
    hidden = {e for e, x in spectrum.any.items() if x >= WORTH} - worthy
    told = {*found.elements}
    return (
        spectrum.compound.name,
        spectrum.table,
        f"{spectrum.counts.sum():.0e}",
        " ".join(found.elements),
        " ".join(score.false) or "–",
        " ".join(sorted(worthy - told)) or "–",
        " ".join(sorted(hidden - told)) or "–",
        "; ".join(map(str, found.ambiguous)) or "–",
    )


def summary(name: str, all_scores: Sequence[Score]) -> tuple[str, ...]:
    """Return the counts of a half."""
    names = sum(len(s.found.found) for s in all_scores)
    false = sum(len(s.false) for s in all_scores)

    def shares(worth: str) -> str:
        told = [
            e in s.found.elements
            for s in all_scores
            for e, x in getattr(s.spectrum, worth).items()
            if x >= WORTH and (worth == "own" or s.spectrum.own[e] < WORTH)
        ]
        return f"{sum(told)} of {len(told)}"

    confused = sum(
        any(e in s.confused for e in s.spectrum.compound.traces) for s in all_scores
    )
    percent = f"{100 * false / max(names, 1):.1f} %"
    total = str(len(all_scores))
    return name, total, str(names), percent, shares("own"), shares("any"), str(confused)


def measured_rows(name: str) -> Iterator[tuple[str, ...]]:
    """Return the names of a measured spectrum, with what speaks for them."""
    signal = load(name)
    found = signal.identify_elements(add="sample", print_info=False)
    for one in (*found.found, *found.ambiguous):
        lines = " or ".join([", ".join(one.lines), *(x.line for x in one.rivals)])
        chance = "< 0.0001" if one.false < 1e-4 else f"{one.false:.2g}"
        yield (
            name,
            one.element if one in found.found else "unclear",
            lines,
            f"{one.gain:.0f}",
            f"{one.counts:.0f}",
            chance,
        )
    for one in found.superfluous:
        below = f"below {one.percent:.2g} at.%"
        yield name, f"{one.element} is not seen", below, f"{one.gain:.0f}", "–", "–"


def decomposed(name: str) -> tuple[str, ...]:
    """Return the deviance ratio of a decomposition with the elements that are found.

    Where somebody has named the elements of the sample, the others are stray.
    """
    signal = load(name)
    named = signal.metadata.get_item("Sample.elements")
    signal.identify_elements(add="stray" if named else "sample", print_info=False)
    n_phases, most = MEASURED[name][1:]
    ratio = signal.decomposition(
        algorithm="espm",
        output_dimension=n_phases,
        print_info=False,
        show_progressbar=False,
        return_info=True,
    ).misfit
    return name, f"{ratio:.2f}", f"{most:g}"


def load(name: str):
    """Return a measured map with what its file says."""
    file = MEASURED[name][0]
    found = exspy.data.EDS_TEM_FePt_nanoparticles() if not file else None
    found = hs.load(measured(file)) if found is None else found
    found = found if isinstance(found, list) else [found]
    signal = next(
        s
        for s in found
        if s.axes_manager.signal_dimension == 1
        and (len(found) == 1 or s.axes_manager.navigation_dimension == 2)
    )
    signal.set_signal_type("EDS_espm")
    return signal


def main(given: argparse.Namespace) -> None:
    """Print names and misses of simulated and of measured spectra."""
    needs("fisx", "xraydb")
    page, rows, totals = given.write, [], []
    for name, half in HALVES.items():
        found = []
        for one in scores(half, given):
            found.append(one)
            rows.append(row(one))
            print(*rows[-1], sep=" | ", flush=True)
        totals.append(summary(name, found))
    publish(SUMMARY, totals, page, "identification", "Names of simulated spectra")
    publish(HEADER, rows, page, "identification rows", "One by one")
    if given.smoke:
        return
    table = [row for name in MEASURED for row in measured_rows(name)]
    publish(NAMES, table, page, "identification names", "Names of measured spectra")
    ratios = [decomposed(name) for name in MEASURED if MEASURED[name][1]]
    publish(RATIOS, ratios, page, "identification ratios", "Decompositions")


if __name__ == "__main__":
    run(main, __doc__, page=True)
