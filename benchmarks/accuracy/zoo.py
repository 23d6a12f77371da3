"""How right the defaults are on maps that they were not tuned on.

    python benchmarks/accuracy/zoo.py [--half held_out] [--only steel,minerals]

Samples of `materials.py`, measured by three forward models of which two differ from
that of the fit, with two numbers of counts, 64 x 64 pixels. The user of each map knows
the elements, the beam energy, the take-off angle, and thickness and density within some
ten percent. A phase is judged against what the model of the fit makes of its noise-free
spectrum, so that errors of the atomic data do not count as errors of the unmixing: it
is right if no fraction is off by more than 5 at.%, wrong beyond 10 at.%.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from benchmarks.accuracy.materials import (
    HELD_OUT,
    HELD_OUT_SEED,
    TRAINING,
    TRAINING_SEED,
    Sample,
)
from benchmarks.runner import argument, publish, run, some
from espm_hs.factorization import fit_spectrum
from espm_hs.metrics import match_phases
from espm_hs.physics import SpectrumModel
from espm_hs.simulation import Effects, Experiment, record

SHAPE = (64, 64)
RIGHT, WRONG = 5.0, 10.0
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

    name: str
    counts: float
    experiment: Experiment
    signal: object


def cases(half: str, given: argparse.Namespace) -> Iterator[Case]:
    """Make the maps of a half of the zoo, one at a time."""
    makers, seed = {
        "training": (TRAINING, TRAINING_SEED),
        "held_out": (HELD_OUT, HELD_OUT_SEED),
    }[half]
    shape = (24, 24) if given.smoke else SHAPE
    wanted = given.only.split(",") if given.only else None
    for n, maker in enumerate(some(makers, given)):
        if wanted and maker.__name__ not in wanted:
            continue
        for m, (kind, forward) in enumerate(FORWARD.items()):
            rng = np.random.default_rng([seed, n, m])
            sample = maker(rng, shape)
            experiment_of = _experiments(sample, forward(rng, sample), rng)
            for counts in some(sample.counts, given):
                made = experiment_of(counts)
                name = f"{maker.__name__}, {kind}"
                yield Case(name, counts, made, record(made, seed=n, pixel_size=1.0))
            if given.smoke:
                break


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


def reference(case: Case) -> np.ndarray:
    """At.% that the model of the fit finds in the noise-free spectra of the phases."""
    model, percent = case.experiment.model, []
    for spectrum, phase in zip(
        case.experiment.spectra.T, case.experiment.phases, strict=True
    ):
        known = {e: x for e, x in phase.composition.items() if e in model.elements}
        own = model.replace(composition=known)
        used = own.channels
        weights, _ = fit_spectrum(own.G[used], MANY * spectrum[used])
        atoms = weights[own.element_columns]
        percent.append(100 * atoms / max(atoms.sum(), 1e-300))
    return np.array(percent).T


class Outcome(NamedTuple):
    """What became of a map."""

    case: Case
    errors: np.ndarray
    agreeing: str
    deviance_ratio: float
    objective: float
    seconds: float


def decompose(case: Case) -> Outcome:
    """Decompose a map with the defaults and compare it with the truth."""
    s, k = case.signal, len(case.experiment.phases)
    start = time.process_time()
    s.decomposition(algorithm="espm", output_dimension=k, print_info=False)
    seconds = time.process_time() - start
    found = s.analysis_results()
    order, _ = match_phases(found.spectra, case.experiment.spectra)
    atoms = found.composition
    percent = 100 * atoms / np.maximum(atoms.sum(axis=0), 1e-300)
    errors = np.abs(percent[:, order] - reference(case)).max(axis=0)
    agreeing = f"{found.n_agreeing}/{found.n_starts}"
    return Outcome(case, errors, agreeing, found.misfit, found.objective, seconds)


def main(given: argparse.Namespace) -> None:
    """Print a row for each map, and how many are right."""
    outcomes, rows = [], []
    for case in cases(given.half, given):
        one = decompose(case)
        outcomes.append(one)
        rows.append(
            (
                case.name,
                f"{case.counts:g}",
                " ".join(f"{x:.1f}" for x in one.errors),
                one.agreeing,
                f"{one.deviance_ratio:.2f}",
                f"{one.seconds:.1f}",
            )
        )
        print(*rows[-1], sep="  ", flush=True)
    head = ("map", "counts", "errors (at.%)", "starts", "deviance ratio", "CPU s")
    publish(head, rows, title=f"Zoo, {given.half} half")
    worst = np.array([one.errors.max() for one in outcomes])
    seconds = sum(one.seconds for one in outcomes)
    print(
        f"{len(worst)} maps: every phase within {RIGHT:g} at.% in "
        f"{100 * np.mean(worst <= RIGHT):.0f} %, one beyond {WRONG:g} at.% in "
        f"{100 * np.mean(worst > WRONG):.0f} %; {seconds:.0f} s of CPU time"
    )


if __name__ == "__main__":
    run(
        main,
        __doc__,
        argument("--half", choices=("training", "held_out"), default="training"),
        argument("--only", default="", help="materials, separated by commas"),
    )
