"""Several maps together: as good as one map of all counts, and what only they can tell.

Ten maps at 18 counts per pixel against one at 180; two maps of other beam energy and
detector; a phase that one of ten maps holds, with 2 % of its counts; and a phase of
which the composition drifts from map to map. Run with

    python benchmarks/accuracy/joint.py [--seeds 5] [--write docs/joint.md]
"""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np

from benchmarks.runner import SMALL, argument, publish, run
from espm_hs import decompose_together
from espm_hs.metrics import match_phases
from espm_hs.simulation import Experiment, Phase, experiment, record
from espm_hs.simulation.phantoms import Sphere, spheres_in_matrix

HEADER = ("maps", "angle (degrees)", "error (at.%)", "time (s)")
PAIR = ("maps", "error (at.%)", "stated (at.%)", "within 2 errors (%)")
RARE = ("seed", "angle (degrees)", "significance", "largest elsewhere", "correlation")
DRIFT = ("seed", "within 2 errors (%)", "root mean square (at.%)", "stated (at.%)")
QUIET = {"print_info": False, "show_progressbar": False}
# Iron that takes the place of magnesium in olivine, of 7 atoms.
IRON = np.linspace(0.0, 1.4, 10)


class Found(NamedTuple):
    """Partners of the true phases: angles, fractions and their errors in at.%."""

    angles: np.ndarray
    difference: np.ndarray
    errors: np.ndarray
    order: np.ndarray


def compared(signal, true=None) -> Found:
    """Compare the result of a signal with its truth, or with other fractions."""
    truth, found = signal.ground_truth(), signal.analysis_results()
    used = found.channels
    order, angles = match_phases(found.spectra[used], truth.spectra[used])
    fractions = 100 * found.composition[:, order]
    true = truth.composition if true is None else true
    symbols = list(found.elements)
    percent = 100 * np.array(
        [true[list(truth.elements).index(symbol)] for symbol in symbols]
    )
    variance = np.diagonal(found.composition_covariance, axis1=1, axis2=2)
    return Found(angles, fractions - percent, 100 * np.sqrt(variance[order].T), order)


def altered(name, shape, counts, phases=None, layers=None, **changes):
    """Return an experiment of a data set with other phases, maps or physics."""
    made = experiment(name, shape, counts)
    phases = made.phases if phases is None else phases
    layers = made.thickness if layers is None else layers
    model = made.model.replace(**changes)
    return Experiment(model, phases, layers, counts, stray={"Cu": 0.03})


def ten_and_one(name, shape, seeds, n_maps=10):
    """Yield rows of one poor map, one rich one, and many poor ones."""
    made = {n: experiment(name, shape, n) for n in (18, 18 * n_maps)}
    k = len(made[18].phases)
    figures: dict[str, list] = {}
    for seed in range(seeds):
        cases = {
            "one at 18": [record(made[18], 1000 * seed)],
            f"one at {18 * n_maps}": [record(made[18 * n_maps], 1000 * seed + 1)],
            f"{n_maps} at 18": [
                record(made[18], 1000 * seed + 2 + i) for i in range(n_maps)
            ],
        }
        for case, maps in cases.items():
            start = time.perf_counter()
            decompose_together(maps, k, **QUIET)
            passed = time.perf_counter() - start
            found = compared(maps[0])
            worst = np.abs(found.difference).max(axis=0)
            row = found.angles.mean(), worst.mean(), passed
            figures.setdefault(case, []).append(row)
    for case, rows in figures.items():
        yield (f"{name}, {case}", *(f"{x:.3g}" for x in np.median(rows, axis=0)))


def two_instruments(shape, seeds, counts=60):
    """Yield rows of maps of two instruments, alone and together."""
    changes = (
        {"beam_energy": 200, "detector": "windowless"},
        {"beam_energy": 300, "detector": "polymer_window", "thickness": 60},
    )
    made = [altered("particles", shape, counts, **change) for change in changes]
    figures: dict[str, list] = {}
    for seed in range(seeds):
        pair = [record(one, 10 * seed + i) for i, one in enumerate(made)]
        cases = {
            "200 keV, windowless": pair[:1],
            "300 keV, polymer window": pair[1:],
            "both": pair,
        }
        for case, maps in cases.items():
            maps = [one.deepcopy() for one in maps]
            decompose_together(maps, 3, **QUIET)
            found = compared(maps[0])
            figures.setdefault(case, []).append((found.difference, found.errors))
    for case, both in figures.items():
        difference, errors = np.array([x for x, _ in both]), [y for _, y in both]
        known = np.array(errors) > 0.02  # an element that is not there has none
        inside = np.abs(difference)[known] < 2 * np.array(errors)[known]
        sizes = (
            np.sqrt(np.mean(x[known] ** 2)) for x in (difference, np.array(errors))
        )
        yield (case, *(f"{x:.3g}" for x in sizes), f"{100 * inside.mean():.0f}")


def rare_maps(shape, seed, n_maps=10, counts=60, share=0.02):
    """Return maps of two phases, of which one has a little of a third; and which."""
    metal = Sphere(y=0.36, x=0.33, radius=0.22, thickness=1.6)
    grain = Sphere(y=0.7, x=0.7, radius=0.12, thickness=1.7)
    maps = 100 * spheres_in_matrix(shape, [metal, grain])
    without = maps.copy()
    without[..., 0] += without[..., 2]
    without[..., 2] = 0.0
    whole = record(altered("particles", shape, counts, layers=maps), 0)
    counted = whole.ground_truth().maps.sum(axis=(0, 1))
    there = counted[2] / counted.sum()
    maps[..., 2] *= share * (1 - there) / (there * (1 - share))
    holder = seed % n_maps
    cases = (maps if i == holder else without for i in range(n_maps))
    return [
        record(altered("particles", shape, counts, layers=case), 100 * seed + i)
        for i, case in enumerate(cases)
    ], holder


def drifting_maps(shape, seed, counts=60):
    """Return maps of olivine in which iron replaces magnesium, and its fractions."""
    made, maps, true = experiment("particles", shape, counts), [], []
    for i, iron in enumerate(IRON):
        atoms = {"O": 4.0, "Mg": 2.0 - iron, "Si": 1.0, "Fe": iron}
        olivine = Phase("olivine", atoms, 3.4, (0.02, 0.04, 0.06))
        phases = [olivine, *made.phases[1:]]
        one = altered("particles", shape, counts, phases=phases)
        maps.append(record(one, 100 * seed + i))
        true.append(one.composition[:, 0])
    return maps, np.array(true)


def rare_phase(shape, seeds):
    """Yield rows of how a phase is found that one of ten maps holds."""
    for seed in range(seeds):
        maps, holder = rare_maps(shape, seed)
        result = decompose_together(maps, 3, **QUIET)
        found = compared(maps[holder])
        phase = found.order[2]
        held = np.delete(result.significance[:, phase], holder).max()
        loadings = maps[holder].learning_results.loadings[:, phase]
        true = np.ravel(maps[holder].ground_truth().maps[..., 2])
        angle, there = found.angles[2], result.significance[holder, phase]
        figures = angle, there, held, np.corrcoef(loadings, true)[0, 1]
        yield (seed, *(f"{x:.3g}" for x in figures))


def drifting_phase(shape, seeds, spread=8.0):
    """Yield rows of how well the way of a composition is followed."""
    for seed in range(seeds):
        maps, true = drifting_maps(shape, seed)
        result = decompose_together(maps, 3, drift={0: spread}, **QUIET)
        ((percent, errors),) = result.paths.values()
        order = [result.elements.index(x) for x in maps[0].ground_truth().elements]
        difference, errors = percent[:, order] - 100 * true, errors[:, order]
        moving = true.max(axis=0) > 0
        off, known = difference[:, moving], errors[:, moving]
        inside = 100 * (np.abs(off) < 2 * known).mean()
        sizes = (np.sqrt(np.mean(x**2)) for x in (off, known))
        yield (seed, f"{inside:.0f}", *(f"{x:.3g}" for x in sizes))


def main(given):
    shape = SMALL if given.smoke else (64, 64)
    n_maps = 3 if given.smoke else 10
    names = ("particles",) if given.smoke else ("particles", "mantle")
    tables = {
        "Ten maps and one": (
            HEADER,
            [row for x in names for row in ten_and_one(x, shape, given.seeds, n_maps)],
        ),
        "Two instruments": (PAIR, list(two_instruments(shape, given.seeds))),
        "A phase in one of ten": (RARE, list(rare_phase(shape, given.seeds))),
        "A phase that drifts": (DRIFT, list(drifting_phase(shape, given.seeds))),
    }
    for n, (title, (header, rows)) in enumerate(tables.items()):
        publish(header, rows, given.write, f"joint_{n}", title)


if __name__ == "__main__":
    run(
        main,
        __doc__,
        argument("--seeds", type=int, default=5, smoke=1, help="draws of the counts"),
        page=True,
    )
