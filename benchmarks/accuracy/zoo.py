"""How right the defaults are on maps that they were not tuned on.

    python benchmarks/accuracy/zoo.py [--half held_out, fresh, blind, later, last,
        final, eighth or ninth] [--only steel,minerals] [--write docs/validation.md]

Samples of `materials.py`, measured by three forward models of which two differ from
that of the fit, with two numbers of counts, 64 x 64 pixels. The user of each map knows
the elements, the beam energy, the take-off angle, and thickness and density within some
ten percent. A phase is judged against its reference: what the model of the fit, with
the energy scale that the fit has found, makes of the noise-free spectrum of the phase.
Errors of the atomic data thus do not count as errors of the unmixing. A phase is right
if no fraction is off by more than 5 at.%, wrong if one is off by more than 10 at.%.
The stated errors are compared with the true fractions: two of them should cover these
in 95 % of the fractions of right phases.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from benchmarks.accuracy.materials import HALVES
from benchmarks.accuracy.samples import Sample
from benchmarks.runner import (
    argument,
    listed,
    publish,
    run,
    some,
)
from espm_hs.decomposition.cautions import KINDS
from espm_hs.decomposition.result import PhaseAnalysis
from espm_hs.factorization import fit_spectrum
from espm_hs.metrics import match_phases
from espm_hs.physics import SpectrumModel
from espm_hs.quantification.report import Report, report
from espm_hs.simulation import Effects, Experiment, record

SHAPE, SMALL = (64, 64), (24, 24)
# At.% by which a phase may be off to be right, and beyond which it is wrong.
RIGHT, WRONG = 5.0, 10.0
# Standard errors by which a range is widened before it is asked for the reference.
N_ERRORS = 2
MATERIAL = ("material", "phases", "maps", "right", "wrong", "largest error (at.%)")
# Fractions whose errors are judged, at.%: what is smaller lies at the bound.
SMALLEST = 0.3
# Counts as which noise-free spectra are fitted.
MANY = 1e8
# Relative standard deviations of the emission of families, from tables to tables.
SPREAD = {"K": 0.04, "L": 0.12, "M": 0.2}


@dataclass(frozen=True)
class Foreign(Effects):
    """Effects with other atomic data, another energy scale and other peaks.

    Parameters
    ----------
    shift
        eV, by which the energy axis of the user is wrong.
    gain
        Relative error of the channel width.
    wider
        eV, by which peaks at Mn Ka are wider than the user knows.
    emission
        Family of lines -> factor on its emission.
    """

    shift: float = 0.0
    gain: float = 0.0
    wider: float = 0.0
    emission: Mapping[str, float] = field(default_factory=dict)

    def true_model(self, model: SpectrumModel) -> SpectrumModel:
        """Return the physics of the measurement."""
        true = super().true_model(model)
        detector = true.detector
        return true.replace(
            energy=model.energy * (1 + self.gain) + 1e-3 * self.shift,
            detector=detector.replace(resolution=detector.resolution + self.wider),
            line_factors=dict(self.emission),
        )


def own(rng: np.random.Generator, sample: Sample) -> Foreign:
    """Return no effects: the forward model of the fit."""
    return Foreign()


def other_tables(rng: np.random.Generator, sample: Sample) -> Foreign:
    """Return other atomic data, and a detector that the user does not quite know."""
    families = [
        (f"{symbol}_{family}", spread)
        for symbol in [*sample.elements, *sample.stray]
        for family, spread in SPREAD.items()
    ]
    emission = {name: float(np.exp(s * rng.standard_normal())) for name, s in families}
    return Foreign(
        shift=float(rng.uniform(-6, 6)),
        gain=float(rng.uniform(-5e-4, 5e-4)),
        wider=float(rng.uniform(-3, 9)),
        emission=emission,
    )


def real_sample(rng: np.random.Generator, sample: Sample) -> Foreign:
    """Return local absorption, charge lost in the detector, another background."""
    return Foreign(
        local_absorption=True,
        low_energy_shift=float(rng.uniform(10, 30)),
        tail=0.015,
        tilt=float(rng.uniform(-3, 3)),
        background_exponent=float(rng.uniform(0.0, 0.35)),
        shift=float(rng.uniform(-3, 3)),
        wider=4.0,
    )


FORWARD = {"own": own, "other tables": other_tables, "real sample": real_sample}


class Case(NamedTuple):
    """A map, and the truth about it."""

    material: str
    forward: str
    counts: float
    experiment: Experiment
    signal: Any

    def __str__(self) -> str:
        return f"{self.material}, {self.forward}, {self.counts:g} counts"


def cases(
    given: argparse.Namespace, shape: tuple[int, int] | None = None
) -> Iterator[Case]:
    """Make the maps of a half of the zoo, one at a time."""
    makers, seed = HALVES[given.half]
    shape = SMALL if given.smoke else shape or SHAPE
    wanted = given.only.split(",") if given.only else None
    for n, maker in enumerate(some(makers, given)):
        if wanted and maker.__name__ not in wanted:
            continue
        for m, (kind, forward) in enumerate(FORWARD.items()):
            if given.forward not in ("all", kind):
                continue
            rng = np.random.default_rng([seed, n, m])
            sample = maker(rng, shape)
            experiment_of = _experiments(sample, forward(rng, sample), rng)
            for counts in some(sample.counts, given):
                made = experiment_of(counts)
                signal = record(made, seed=n, pixel_size=1.0)
                yield Case(maker.__name__, kind, counts, made, signal)
            if given.smoke:
                break


def all_cases(given: argparse.Namespace) -> Iterator[tuple[str, Case]]:
    """Make the maps of several halves, one at a time, each with its half."""
    for half in given.half:
        for case in cases(argparse.Namespace(**{**vars(given), "half": half})):
            yield half, case


def halves(text: str) -> list[str]:
    """Read names of sets, separated by commas."""
    names = text.split(",")
    if unknown := set(names) - set(HALVES):
        known = ", ".join(HALVES)
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)} is none of {known}")
    return names


def _experiments(sample: Sample, effects: Foreign, rng: np.random.Generator):
    """Return a function of the counts that makes the experiment."""
    axis = sample.offset + 0.01 * np.arange(sample.n_channels)
    density = np.array([phase.density for phase in sample.phases])
    mean = sample.thickness.mean(axis=(0, 1))
    # as well as a user knows them
    thickness = mean.sum() * rng.uniform(0.85, 1.15)
    mean_density = (mean @ density) / mean.sum() * rng.uniform(0.9, 1.1)
    system = list(sample.stray)
    model = SpectrumModel(
        axis,
        beam_energy=sample.beam_energy,
        elements=sample.elements,
        stray_elements=[e for e in system if e not in sample.elements],
        take_off_angle=sample.take_off_angle,
        thickness=thickness,
        density=mean_density,
    )
    stray = {e: x for e, x in sample.stray.items() if e not in sample.elements}

    def made(counts: float) -> Experiment:
        return Experiment(
            model, sample.phases, sample.thickness, counts, stray=stray, effects=effects
        )

    return made


# -- judgement -----------------------------------------------------------------------


def at_percent(model: SpectrumModel, spectrum: np.ndarray) -> np.ndarray:
    """Return the at.% that a model finds in a spectrum, shape (n_elements,)."""
    used = model.channels
    weights, _ = fit_spectrum(model.G[used], MANY * spectrum[used] / spectrum.max())
    atoms = weights[model.element_columns]
    return 100 * atoms / max(atoms.sum(), 1e-300)


def reference(case: Case, model: SpectrumModel) -> np.ndarray:
    """Return what a model finds in the noise-free spectra of the phases.

    Parameters
    ----------
    case
        The map.
    model
        That of the fit; it absorbs here by the true composition of each phase.

    Returns
    -------
    ndarray of shape (n_elements, n_phases)
        At.%.
    """
    made, percent = case.experiment, []
    for spectrum, phase in zip(made.spectra.T, made.phases, strict=True):
        known = {e: x for e, x in phase.composition.items() if e in model.elements}
        percent.append(at_percent(model.replace(composition=known), spectrum))
    return np.transpose(percent)


class Verdict(NamedTuple):
    """What became of a phase.

    Attributes
    ----------
    name
        Of the phase.
    error
        Largest of a fraction, at.%.
    cautions
        Kinds of those that the result says of this phase.
    covered
        Whether the range, widened by its errors, holds the reference of each element
        that is wrong.
    standardised
        Differences between the fractions that are found and the true ones, in stated
        errors.
    """

    name: str
    error: float
    cautions: tuple[str, ...]
    covered: bool
    standardised: tuple[float, ...] = ()

    @property
    def right(self) -> bool:
        """Whether no fraction is off by much."""
        return self.error <= RIGHT

    @property
    def wrong(self) -> bool:
        """Whether a fraction is far off."""
        return not self.error <= WRONG

    @property
    def silent(self) -> bool:
        """Whether a user is told nothing of an error."""
        return self.wrong and not self.cautions and not self.covered


class Outcome(NamedTuple):
    """What became of a map: its phases, and how the fit went."""

    case: Case
    phases: list[Verdict]
    found: PhaseAnalysis
    seconds: float

    @property
    def error(self) -> float:
        """Largest error of its phases, at.%."""
        return max(phase.error for phase in self.phases)

    @property
    def cells(self) -> tuple[str, ...]:
        """Row of the table of maps."""
        return (
            str(self.case),
            listed((phase.error for phase in self.phases), ".1f"),
            f"{self.found.n_agreeing}/{self.found.n_starts}",
            f"{self.found.misfit:.2f}",
            f"{self.seconds:.1f}",
            " ".join(sorted({kind for x in self.phases for kind in x.cautions})),
        )


def decompose(case: Case, **options: Any) -> Outcome:
    """Decompose a map, by default with the defaults, and compare it with the truth."""
    s, k = case.signal, len(case.experiment.phases)
    start = time.process_time()
    how = {"output_dimension": k, "print_info": False, **options}
    s.decomposition(algorithm="espm", **how)
    seconds = time.process_time() - start
    found = s.analysis_results()
    return Outcome(case, judge(case, found, report(found)), found, seconds)


def judge(
    case: Case, found: PhaseAnalysis, table: Report | None = None
) -> list[Verdict]:
    """Return a verdict on each true phase; with a table also on its stated errors."""
    order, _ = match_phases(found.spectra, case.experiment.spectra)
    expected = reference(case, found.model)
    atoms = found.composition
    percent = 100 * atoms / np.maximum(atoms.sum(axis=0), 1e-300)
    variance = np.diagonal(found.covariance, axis1=1, axis2=2)[:, found.element_columns]
    margin = 100 * N_ERRORS * np.sqrt(variance.T)
    low, high = 100 * found.ranges[0] - margin, 100 * found.ranges[1] + margin
    verdicts = []
    for phase, true, j in zip(case.experiment.phases, expected.T, order, strict=True):
        errors = np.abs(percent[:, j] - true)
        inside = (low[:, j] <= true) & (true <= high[:, j])
        cautions = tuple(one.kind for one in found.cautions if one.phase == j)
        covered = bool(inside[errors > WRONG].all())
        z = standardised(table, int(j), phase.composition) if table else ()
        verdicts.append(Verdict(phase.name, float(errors.max()), cautions, covered, z))
    return verdicts


def standardised(
    table: Report, j: int, composition: Mapping[str, float]
) -> tuple[float, ...]:
    """Return how many stated errors phase j is off, for each element that it has.

    Parameters
    ----------
    table
        What is found.
    j
        Number of the phase.
    composition
        True atoms of each element.
    """
    entries = {x.element: x for x in table.entries if x.phase == j}
    total = sum(composition.get(element, 0.0) for element in entries)
    true = {e: 100 * composition.get(e, 0.0) / max(total, 1e-300) for e in entries}
    return tuple(
        (x.percent - true[e]) / x.error
        for e, x in entries.items()
        if true[e] >= SMALLEST and x.error > 0 and np.isfinite(x.percent)
    )


# -- summary -------------------------------------------------------------------------


def by_material(outcomes: Sequence[Outcome]) -> list[tuple[str, ...]]:
    """Return a row for each material."""
    rows = []
    for name in dict.fromkeys(one.case.material for one in outcomes):
        maps = [one for one in outcomes if one.case.material == name]
        errors = np.array([one.error for one in maps])
        number, right = len(maps[0].phases), np.sum(errors <= RIGHT)
        wrong = np.sum(errors > WRONG)
        numbers = (number, len(maps), right, wrong, f"{errors.max():.1f}")
        rows.append((name.replace("_", " "), *map(str, numbers)))
    return rows


def summary(outcomes: Sequence[Outcome]) -> list[str]:
    """Return how many maps and phases are right, and of which a user is warned."""
    errors = np.array([one.error for one in outcomes])
    seconds = sum(one.seconds for one in outcomes)
    phases = [phase for one in outcomes for phase in one.phases]
    right, wrong = ([x for x in phases if getattr(x, y)] for y in ("right", "wrong"))
    silent = [(one.case, x) for one in outcomes for x in one.phases if x.silent]
    named = "; ".join(f"{case}: {x.name} ({x.error:.0f} at.%)" for case, x in silent)
    share = 100 * sum(bool(x.cautions) for x in right) / max(len(right), 1)
    kinds = [
        f"{kind} {_count(kind, right)} and {_count(kind, wrong)}"
        for kind in KINDS
        if _count(kind, right) + _count(kind, wrong)
    ]
    return [
        f"{len(outcomes)} maps: every phase within {RIGHT:g} at.% in "
        f"{100 * np.mean(errors <= RIGHT):.0f} %, one beyond {WRONG:g} at.% in "
        f"{100 * np.mean(errors > WRONG):.0f} %; {seconds:.0f} s of CPU time.",
        f"{len(phases)} phases: {len(right)} right, {len(wrong)} wrong, "
        f"{len(phases) - len(right) - len(wrong)} in between.",
        f"Of the wrong phases, {len(silent)} have neither a caution nor a range that "
        f"covers the reference{f' ({named})' if named else ''}.",
        f"Of the right phases, {share:.0f} % carry a caution.",
        f"Cautions, of right and of wrong phases: {', '.join(kinds) or 'none'}.",
        f"Two stated errors cover {', '.join(coverage(outcomes))} of the fractions of "
        "right phases.",
    ]


def coverage(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Say how many true fractions two stated errors cover, by forward model."""
    for kind in dict.fromkeys(one.case.forward for one in outcomes):
        right = [
            x for y in outcomes if y.case.forward == kind for x in y.phases if x.right
        ]
        z = np.array([z for phase in right for z in phase.standardised])
        share = 100 * np.mean(np.abs(z) < N_ERRORS) if z.size else np.nan
        yield f"{share:.0f} % ({kind}, {z.size})"


def _count(kind: str, phases: Sequence[Verdict]) -> int:
    return sum(kind in phase.cautions for phase in phases)


def main(given: argparse.Namespace) -> None:
    """Print a row for each map and for each material, and what they come to."""
    outcomes = []
    for case in cases(given):
        outcomes.append(decompose(case, local_absorption=given.local))
        print(*outcomes[-1].cells, sep="  ", flush=True)
    rows, lines = by_material(outcomes), summary(outcomes)
    print(f"\nZoo, {given.half} half")
    publish(MATERIAL, rows, given.write, f"zoo_{given.half}", lines=lines)


ARGUMENTS = (
    argument("--half", choices=tuple(HALVES), default="training"),
    argument("--only", default="", help="materials, separated by commas"),
    argument("--forward", choices=("all", *FORWARD), default="all"),
    argument(
        "--local",
        action="store_const",
        const=True,
        default="auto",
        help="each place absorbs by itself, whatever the counts say",
    ),
)


if __name__ == "__main__":
    run(main, __doc__, *ARGUMENTS, page=True)
