"""Several maps together: as good as one map of all counts, and what only they can tell.

Ten maps at 18 counts per pixel against one at 180; two maps of other beam energy and
detector; a phase that one of ten maps holds, with 2 % of its counts; a phase of which
the composition drifts from map to map; the number of phases of maps that are too poor
alone; maps whose energy axes are wrong, each in its own way; two segments of a
detector; and shifts between frames. Each table ends with what is asked of it and
whether that is met. Run with

    python benchmarks/accuracy/joint.py [--seeds 5] [--only 0,1] [--write docs/joint.md]
"""

from __future__ import annotations

import time
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from benchmarks.runner import SMALL, argument, publish, run
from espm_hs import decompose_together, estimate_number_together
from espm_hs.calibration.frames import shifts_of_frames
from espm_hs.decomposition.decompose import DecompositionOptions, decompose
from espm_hs.decomposition.together import OneOfMaps, decompose_maps
from espm_hs.factorization import Counts
from espm_hs.metrics import match_phases
from espm_hs.simulation import Experiment, Phase, experiment, particles, record
from espm_hs.simulation.phantoms import Sphere, spheres_in_matrix

HEADER = ("maps", "angle (degrees)", "error (at.%)", "time (s)")
PAIR = ("maps", "error (at.%)", "stated (at.%)", "within 2 errors (%)")
RARE = ("seed", "angle (degrees)", "significance", "largest elsewhere", "correlation")
DRIFT = ("seed", "within 2 errors (%)", "root mean square (at.%)", "stated (at.%)")
NUMBER = ("counts per pixel", "each alone (% right)", "six together (% right)")
AXES = ("axes", "sparsity", "error (at.%)", "within 2 errors (%)", "deviance ratio")
SEGMENTS = (
    *("thickness", "spectra", "oxygen off (at.%)", "others off (at.%)"),
    *("mass thickness / true", "95 % interval / true", "holds it (%)"),
)
FRAMES = ("map", "counts per pixel", "rms (pixels)", "stated (pixels)", "bad frames")
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
    stray = {x: 0.03 for x in model.stray_elements}
    return Experiment(model, phases, layers, counts, stray=stray)


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


def numbers_of_phases(seeds, n_maps, shape=(16, 16)):
    """Yield rows of how often three phases are found, by each map and by all."""
    options = {"n_init": 1, "show_progressbar": False}
    for counts in (2, 3, 5)[: n_maps // 2]:
        alone, together = [], []
        for seed in range(seeds):
            maps = [particles(shape, counts, seed=10 * seed + i) for i in range(n_maps)]
            alone += [s.estimate_number_of_phases(range(1, 6), **options) for s in maps]
            together.append(estimate_number_together(maps, range(1, 6), **options))
        right = (100 * np.mean(np.array(x) == 3) for x in (alone, together))
        yield (counts, *(f"{x:.0f}" for x in right))


def wrong_axes(shape, seeds, n_maps=5, counts=60):
    """Yield rows of maps whose axes are off by up to 20 eV, and of sparsity "auto"."""
    for off, sparsity in ((0, None), (20, None), (0, "auto")):
        difference, errors, ratios = [], [], []
        for seed in range(seeds):
            maps = [particles(shape, counts, seed=10 * seed + i) for i in range(n_maps)]
            for signal, shift in zip(maps, np.linspace(-off, off, n_maps), strict=True):
                signal.axes_manager[-1].offset += 1e-3 * shift
            decompose_together(maps, 3, sparsity=sparsity, **QUIET)
            # the one in the middle has the axis that its truth has
            found = compared(maps[n_maps // 2])
            difference.append(found.difference)
            errors.append(found.errors)
            ratios += [one.analysis_results().misfit for one in maps]
        off_by, known = np.array(difference), np.array(errors) > 0.02
        inside = 100 * (np.abs(off_by)[known] < 2 * np.array(errors)[known]).mean()
        size = np.sqrt(np.mean(off_by[known] ** 2))
        axes = f"off by up to {off} eV" if off else "right"
        told = "usual" if sparsity is None else sparsity
        yield (axes, told, f"{size:.3g}", f"{inside:.0f}", f"{np.max(ratios):.3g}")


def segments_of(shape, seed, thickness=300.0):
    """Return maps of two segments, at 8 and 30 degrees, and of their sum."""
    cases = ((8.0, 40), (30.0, 20))
    made = [
        altered("particles", shape, n, take_off_angle=angle, thickness=thickness)
        for angle, n in cases
    ]
    maps = [record(one, 10 * seed + i) for i, one in enumerate(made)]
    whole = maps[0].deepcopy()
    whole.data = maps[0].data + maps[1].data
    # two in three of the counts are of the first
    whole.set_analysis_parameters(take_off_angle=[8.0, 8.0, 30.0])
    return maps, whole, made[0].model.mass_thickness


def segments(shape, seeds):
    """Yield rows of two segments together, and of their sum."""
    for thickness in ("stated", "not stated"):
        figures: dict[str, list] = {"sum": [], "segments": []}
        for seed in range(seeds):
            maps, whole, true = segments_of(shape, seed)
            signals = {"sum": [whole], "segments": maps}
            for case, some in signals.items():
                for signal in some:
                    if thickness != "stated":
                        del signal.metadata.Sample.thickness
                        signal.set_analysis_parameters(
                            mass_thickness="fit" if case == "sum" else None
                        )
                shared = "pixels" if len(some) > 1 else "auto"
                decompose_together(some, 3, shared=shared, **QUIET)
                found, model = compared(some[0]), some[0].analysis_results().model
                oxygen = np.array(some[0].analysis_results().elements) == "O"
                bulk = np.abs(found.difference[:, [0, 2]])
                row = bulk[oxygen].max(), bulk[~oxygen].max()
                ratio, spread = model.mass_thickness / true, model.thickness_error
                held = abs(ratio - 1) < 2 * spread * ratio
                figures[case].append((*row, ratio, spread, held))
        for case, rows in figures.items():
            oxygen, others, ratio, spread, _ = np.median(np.array(rows, float), axis=0)
            cells: tuple = ("1", "-", "-")
            if thickness != "stated":
                ends = (max(ratio * (1 + 2 * x), 0) for x in (-spread, spread))
                interval = " to ".join(f"{x:.2f}" for x in ends)
                held = 100 * np.mean([row[-1] for row in rows])
                cells = f"{ratio:.2f}", interval, f"{held:.0f}"
            yield (thickness, case, f"{oxygen:.2f}", f"{others:.2f}", *cells)


def shifted_frames(name, counts, seed, n=10, size=40, room=24):
    """Return frames that drift at random, and by how much."""
    rng = np.random.default_rng(seed)
    shifts = np.cumsum(rng.normal(0, 1.2, (n, 2)), axis=0).round().astype(int)
    shifts = np.minimum(shifts - shifts.min(axis=0), room)
    made = experiment(name, (size + room, size + room), counts)
    frames = []
    for i, (y, x) in enumerate((room - shifts).tolist()):
        data = record(made, 100 * seed + i).data
        frames.append(Counts.from_array(data[y : y + size, x : x + size]))
    return frames, shifts


def shifts(seeds):
    """Yield rows of how well shifts between frames are found."""
    for name in ("particles", "mantle", "core_shell"):
        for counts in (3, 18):
            off, errors, bad = [], [], 0
            for seed in range(seeds):
                frames, true = shifted_frames(name, counts, seed)
                found = shifts_of_frames(frames, (40, 40))
                good = [i for i in range(len(frames)) if i not in found.bad]
                bad += len(found.bad)
                if len(good) < 2:
                    continue
                difference = found.shifts[good] - true[good]
                off.append(np.ravel(difference - difference.mean(axis=0)))
                errors.append(np.ravel(found.errors[good]))
            sizes = (np.sqrt(np.mean(np.concatenate(x) ** 2)) for x in (off, errors))
            told = f"{bad} of {seeds * 10}"
            yield (name, counts, *(f"{x:.2g}" for x in sizes), told)


def identities(shape=(24, 24)):
    """Yield rows of how far maps together are from the map alone, in W."""
    signal = particles(shape, 100)
    model = signal.physical_model()
    options = DecompositionOptions(
        sparsity=None, binning=1, smoothness=0.0, n_init=2, random_state=0
    )
    alone = decompose(signal.data, model, 3, options)
    # the smallest comes first: pixels then have the order of the map
    cuts = [0, *(round(x * shape[0]) for x in (0.125, 0.34, 0.63)), shape[0]]
    parts = [signal.data[slice(*ends)] for ends in pairwise(cuts)]
    for case, pieces in (("one map", [signal.data]), ("four pieces", parts)):
        maps = [OneOfMaps(data, model) for data in pieces]
        found = decompose_maps(maps, 3, options).analyses[0]
        yield (case, f"{np.abs(found.W - alone.W).max():.2g}")


def main(given):
    shape = SMALL if given.smoke else (64, 64)
    n_maps = 3 if given.smoke else 10
    names = ("particles",) if given.smoke else ("particles", "mantle")
    small, six = ((12, 12), 2) if given.smoke else ((24, 24), 6)
    tables = {
        "Ten maps and one": (HEADER, partial(tens, names, shape, given.seeds, n_maps)),
        "Two instruments": (PAIR, partial(two_instruments, shape, given.seeds)),
        "A phase in one of ten": (RARE, partial(rare_phase, shape, given.seeds)),
        "A phase that drifts": (DRIFT, partial(drifting_phase, shape, given.seeds)),
        "Number of phases": (
            NUMBER,
            partial(numbers_of_phases, given.seeds, six),
        ),
        "Axes and sparsity": (AXES, partial(wrong_axes, small, given.seeds)),
        "Two segments of a detector": (SEGMENTS, partial(segments, small, given.seeds)),
        "Shifts between frames": (FRAMES, partial(shifts, given.seeds)),
        "The map alone": (("maps", "largest difference of W"), identities),
    }
    wanted = given.only.split(",") if given.only else map(str, range(len(tables)))
    for n, (title, (header, rows)) in enumerate(tables.items()):
        if str(n) not in wanted:
            continue
        made = list(rows())
        publish(header, made, given.write, f"joint_{n}", title)
        for line in asked(n, made):
            print(line)


def tens(names, shape, seeds, n_maps):
    """Yield rows of `ten_and_one` of several data sets."""
    for name in names:
        yield from ten_and_one(name, shape, seeds, n_maps)


def asked(table, rows):
    """Yield what is asked of a table, what it shows, and whether that is met."""
    if table == 0:
        for one, ten in zip(rows[1::3], rows[2::3], strict=True):
            poor = rows[rows.index(one) - 1]
            angle, percent = (100 * (float(ten[i]) / float(one[i]) - 1) for i in (1, 2))
            time = float(ten[3]) / float(poor[3])
            yield said(f"{ten[0]}: angle against one (%)", angle, angle <= 20)
            yield said(f"{ten[0]}: composition against one (%)", percent, percent <= 20)
            yield said(f"{ten[0]}: time against one", time, time <= 12)
    elif table == 1:
        alone = min(float(row[1]) for row in rows[:2])
        both, inside = float(rows[2][1]), float(rows[2][3])
        yield said("both over the better one", both / alone, both < alone)
        yield said("within 2 errors (%)", inside, 88 <= inside <= 99)
    elif table == 2:
        found = [float(row[2]) > 4 > float(row[3]) for row in rows]
        yield said("found in its map alone, of all", sum(found), all(found))
    elif table == 3:
        inside = np.mean([float(row[1]) for row in rows])
        yield said("within 2 errors (%)", inside, inside >= 90)
    elif table == 8:
        one, pieces = (float(row[1]) for row in rows)
        yield said("one map and the map alone", one, one == 0)
        yield said("four pieces and the map alone", pieces, pieces < 1e-8)


def said(what, value, met):
    """Return a line of what is asked."""
    return f"  {what}: {value:.3g}, {'met' if met else 'missed'}"


if __name__ == "__main__":
    run(
        main,
        __doc__,
        argument("--seeds", type=int, default=5, smoke=1, help="draws of the counts"),
        argument("--only", default="", help="numbers of tables, separated by commas"),
        page=True,
    )
