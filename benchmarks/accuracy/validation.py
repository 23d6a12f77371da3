"""espm_hs beside espm, scikit-learn and HyperSpy on maps whose truth is known.

What a program needed and how far it came from the truth is kept in a folder, a file for
each run, so that the long ones are made once. Run with

    python benchmarks/accuracy/validation.py [--cache DIR] [--espm-python PATH] [--full]

and, after a change of espm_hs, with ``--only espm_hs --write docs/validation.md``: the
rows of programs that are not run stay in the page.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.accuracy.methods import (
    ESPM_ENVIRONMENT,
    Found,
    espm,
    hyperspy,
    ours,
    scikit_learn,
)
from benchmarks.runner import (
    argument,
    as_markdown,
    as_text,
    listed,
    read_between,
    run,
    size,
    some,
    write_between,
)
from espm_hs import metrics
from espm_hs.factorization import Counts, fit_spectrum
from espm_hs.simulation import DATASETS

# Data set, counts per pixel.
CASES = [
    ("mantle", 293.0),
    ("mantle", 18.0),
    ("particles", 100.0),
    ("core_shell", 40.0),
    ("grain_boundary", 60.0),
]
DOSES = (0.2, 5.0)
PROGRAMS = (
    "espm_hs",
    "espm_hs, unsmoothed",
    "espm 1.1.3",
    "espm, our G",
    "scikit-learn",
    "HyperSpy",
)
N_PHASES = 3
HEADER = (
    "program",
    "CPU s",
    "iterations",
    "F - F(truth)",
    "angles (°)",
    "MSE of maps",
    "R²",
    "composition (at.%)",
)


@dataclass
class Run:
    """
    A program on a map, measured against the truth; lists have an entry for each phase.

    Attributes
    ----------
    counts
        Checksum of the counts: they change with the simulation.
    cpu
        Processor time, s.
    iterations
        Number of them.
    excess
        Divergence of the counts from the fit less that from the true means, nats.
    angles
        To the true spectra, degrees.
    mse, r2
        Of the maps of thickness over the mean thickness of the sample.
    composition
        Largest error, at.%, or None.
    """

    counts: int
    cpu: float
    iterations: float
    excess: float
    angles: list[float]
    mse: list[float]
    r2: list[float]
    composition: list[float] | None

    def cells(self, name: str) -> tuple[str, ...]:
        """Row of the table."""
        excess = f"{self.excess:.0f}" if np.isfinite(self.excess) else "∞"
        return (
            name,
            f"{self.cpu:.0f}" if self.cpu >= 10 else f"{self.cpu:.1f}",
            f"{self.iterations:.0f}",
            excess,
            listed(self.angles, ".1f"),
            listed(self.mse),
            listed(self.r2, ".2f"),
            "" if self.composition is None else listed(self.composition, ".1f"),
        )


def simulate(name: str, counts_per_pixel: float, seed: int, **options):
    """Return a map over the channels that espm_hs fits, which all programs get."""
    signal = DATASETS[name](counts_per_pixel=counts_per_pixel, seed=seed, **options)
    channels = signal.physical_model().channels
    # one more than needed: cutting rounds the energy of the first
    return signal if channels.all() else signal.isig[int(np.argmax(channels)) + 1 :]


def divergence(counts: Counts, loadings, spectra) -> float:
    """Sum of y - x + x log(x / y) over pixels and channels, y the means, in nats."""
    pixels = np.repeat(np.arange(counts.n_pixels), np.diff(counts.indptr))
    y = np.zeros(counts.n_nonzeros)
    for map_, spectrum in zip(np.asarray(loadings).T, spectra.T, strict=True):
        y += map_[pixels] * spectrum[counts.channels]
    total = loadings.sum(axis=0) @ spectra.sum(axis=0)
    with np.errstate(divide="ignore"):
        return float(total + counts.saturated - counts.values @ np.log(y))


def measure(signal, found: Found) -> Run:
    """Compare what a program found with the truth."""
    truth, counts = signal.ground_truth(), Counts.from_array(signal.data)
    thickness = truth.thickness.reshape(-1, N_PHASES)
    order, angles = metrics.match_phases(found.spectra, truth.spectra)
    maps = thickness / thickness.sum(axis=1).mean()
    mse, r2 = metrics.map_errors(found.loadings[:, order], maps)
    composition = None
    if found.composition is not None:
        absent = np.zeros(N_PHASES)
        shares = [found.composition.get(symbol, absent) for symbol in truth.elements]
        errors = metrics.composition_errors(
            np.array(shares)[:, order], truth.composition
        )
        composition = (100 * errors).tolist()
    return Run(
        zlib.crc32(np.ascontiguousarray(signal.data)),
        found.cpu,
        found.iterations,
        divergence(counts, found.loadings, found.spectra) - true_divergence(signal),
        angles.tolist(),
        mse.tolist(),
        r2.tolist(),
        composition,
    )


def true_divergence(signal) -> float:
    """F of the true spectra and maps, below which a fit goes by fitting the noise."""
    truth, counts = signal.ground_truth(), Counts.from_array(signal.data)
    # the truth says how thick a phase is, its counts per nm come from the sum
    totals, _ = fit_spectrum(truth.spectra, counts.spectrum)
    thickness = truth.thickness.reshape(-1, N_PHASES)
    return divergence(
        counts, thickness * (totals / thickness.sum(axis=0)), truth.spectra
    )


def cached(file: Path, signal, method, again: bool) -> Run | None:
    """Read a run from its file, or make it if it is not of these counts."""
    counts = zlib.crc32(np.ascontiguousarray(signal.data))
    if file.exists() and not (again and method):
        found = Run(**json.loads(file.read_text()))
        if found.counts == counts:
            return found
    if method is None:
        return None
    print(f"running {file.stem}", flush=True)
    found = measure(signal, method(signal, N_PHASES))
    file.write_text(json.dumps(asdict(found), indent=1))
    return found


def median(runs: list[Run]) -> Run:
    """Over the seeds, number by number."""
    merged = {
        name: None if value is None else np.median([getattr(r, name) for r in runs], 0)
        for name, value in asdict(runs[0]).items()
    }
    return Run(**merged)


def table(case, methods, arguments):
    """Return title and rows of a data set at a dose."""
    name, dose = case
    runs = {method: [] for method in methods}
    for seed in range(arguments.seeds):
        signal = simulate(name, dose, seed, **size(arguments))
        for method, function in methods.items():
            label = f"{name}-{dose:g}-{seed}-{method.replace(' ', '_')}.json"
            again = method in arguments.again
            found = cached(arguments.cache / label, signal, function, again)
            runs[method].append(found)
    rows = [median(found).cells(method) for method, found in runs.items() if all(found)]
    extent = " x ".join(str(n) for n in signal.data.shape)
    truth = signal.ground_truth()
    title = f"{name}, {dose:g} counts per pixel ({extent}; {', '.join(truth.names)})"
    return title, rows


def chosen_methods(arguments):
    """Return name -> function of the programs, None for those that cannot run here."""
    python = arguments.espm_python
    own, given = (espm(python, matrix) if python else None for matrix in (True, False))
    unsmoothed = partial(ours, smoothness=0.0)
    functions = (ours, unsmoothed, own, given, scikit_learn, hyperspy)
    methods = dict(zip(PROGRAMS, functions, strict=True))
    return {
        name: None if arguments.cached else function
        for name, function in methods.items()
        if name in (arguments.only or PROGRAMS)
    }


def chosen_cases(arguments):
    """Return data sets and doses."""
    cases = [case for case in CASES if case[0] in (arguments.data or DATASETS)]
    if arguments.full:
        usual = [case for case in cases if case[0] != "mantle"]
        cases += [(name, factor * dose) for name, dose in usual for factor in DOSES]
    return some(cases, arguments)


def write(page: Path, tables: dict):
    """Put rows into the page, in the order of CASES and PROGRAMS; others stay."""
    names = [name for name, _ in CASES]

    def place(title):
        name, dose = title.split(" counts")[0].split(", ")
        return names.index(name), float(dose)

    there = read_between(page, "programs")
    parts = []
    for title in sorted({*there, *tables}, key=place):
        rows = {row[0]: row for row in [*there.get(title, []), *tables.get(title, [])]}
        rows = [rows[program] for program in PROGRAMS if program in rows]
        parts.append(f"**{title}**\n\n{as_markdown(HEADER, rows)}")
    write_between(page, "programs", "\n\n".join(parts))


def main(arguments):
    arguments.cache.mkdir(parents=True, exist_ok=True)
    methods, tables = chosen_methods(arguments), {}
    for case in chosen_cases(arguments):
        title, rows = table(case, methods, arguments)
        print(f"\n{title}\n{as_text(HEADER, rows)}", flush=True)
        tables[title] = rows
    if not arguments.espm_python:
        print(
            f"\nWithout espm: make an environment with `{ESPM_ENVIRONMENT}`, and give "
            "its interpreter as --espm-python espm-env/bin/python."
        )
    if arguments.write:
        write(arguments.write, tables)


ARGUMENTS = (
    argument(
        "--cache",
        type=Path,
        default=Path("build/runs"),
        smoke=Path("build/runs-smoke"),
        help="folder of the runs",
    ),
    argument("--espm-python", help="interpreter that has espm 1.1.3"),
    argument("--cached", action="store_true", help="make no runs"),
    argument("--full", action="store_true", help="three doses of each map"),
    argument("--seeds", type=int, default=1, help="median over so many"),
    argument("--data", nargs="+", choices=DATASETS, help="these maps only"),
    argument("--only", nargs="+", choices=PROGRAMS, help="these only"),
    argument(
        "--again",
        nargs="+",
        choices=PROGRAMS,
        default=[],
        smoke=PROGRAMS,
        help="in spite of the cache",
    ),
)


if __name__ == "__main__":
    run(main, __doc__, *ARGUMENTS, page=True)
