"""Wedges and dense particles, each phase or each place absorbing by itself.

Simulated maps whose pixels absorb by their own mixture and mass thickness, at a
take-off angle of 18 degrees: a wedge of 20 to 300 nm, particles of 100 nm in a foil of
150 nm, and an even foil. The user states the mean mass thickness. Errors without and
with `local_absorption`, in at.%: of the phases, from the nearest mixture of the true
ones (a matrix that all pixels show with a particle is another matter), and of maps,
the largest one of the means over blocks of 8 x 8 pixels. Run with

    python benchmarks/accuracy/local_absorption.py [--write docs/physics.md]
"""

from __future__ import annotations

from time import process_time

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.optimize import nnls

from benchmarks.runner import SEEDS, publish, run, some
from espm_hs.physics import SpectrumModel
from espm_hs.simulation import Effects, Experiment, Phase, record
from espm_hs.simulation.phantoms import wedge

IRON = Phase("Fe2O3", {"Fe": 2, "O": 3}, 5.2)
MAGNESIA = Phase("MgO", {"Mg": 1, "O": 1}, 3.6)
SILICA = Phase("SiO2", {"Si": 1, "O": 2}, 2.2)
ALUMINA = Phase("Al2O3", {"Al": 2, "O": 3}, 3.9)
CERIA = Phase("CeO2", {"Ce": 1, "O": 2}, 7.2)
PLATINUM = Phase("Pt3Ni", {"Pt": 3, "Ni": 1}, 18.0)

SHAPE, BLOCK = (48, 48), 8
COUNTS = (300.0, 3000.0)
HEADER = (
    "sample",
    "counts",
    "error of phases",
    "with the option",
    "of maps",
    "with it",
    "F",
    "time",
)


def grains(thickness: np.ndarray) -> np.ndarray:
    """Return squares of two phases in turn, nm."""
    y, x = np.indices(SHAPE)
    share = gaussian_filter(((y // BLOCK + x // BLOCK) % 2).astype(float), 0.7)
    return thickness[..., None] * np.stack((share, 1 - share), axis=-1)


def particles(rng: np.random.Generator) -> np.ndarray:
    """Return a foil of 150 nm in which spheres of 100 nm lie, 12 pixels wide."""
    y, x = np.indices(SHAPE)
    inside = np.zeros(SHAPE)
    for cy, cx in rng.random((8, 2)) * SHAPE:
        squares = 6.0**2 - (y - cy) ** 2 - (x - cx) ** 2
        inside = np.maximum(inside, 100 / 6 * np.sqrt(np.maximum(squares, 0)))
    return np.stack((150 - inside, inside), axis=-1)


SAMPLES = {
    "wedge of Fe2O3 and MgO": (
        (IRON, MAGNESIA),
        lambda _: grains(wedge(SHAPE, 20, 300)),
    ),
    "CeO2 in SiO2": ((SILICA, CERIA), particles),
    "Pt3Ni in Al2O3": ((ALUMINA, PLATINUM), particles),
    "even foil of Fe2O3 and MgO": (
        (IRON, MAGNESIA),
        lambda _: grains(np.full(SHAPE, 60.0)),
    ),
}


def experiment(name: str, counts: float, seed: int) -> Experiment:
    """Return a sample of which the user knows the mean mass thickness."""
    phases, maps = SAMPLES[name]
    thickness = maps(np.random.default_rng(seed))
    density = np.array([phase.density for phase in phases])
    nm = thickness.sum(axis=-1).mean()
    model = SpectrumModel(
        0.01 * np.arange(1, 1201),
        200.0,
        sorted({e for phase in phases for e in phase.composition}),
        take_off_angle=18.0,
        thickness=nm,
        density=(thickness @ density).mean() / nm,
    )
    effects = Effects(local_absorption=True)
    return Experiment(model, phases, thickness, counts, effects=effects)


def errors(source: Experiment, seed: int, **options) -> tuple[float, ...]:
    """Return errors of phases and maps, F, and the time of the decomposition."""
    s = record(source, seed)
    start = process_time()
    found = s.decomposition(
        algorithm="espm",
        output_dimension=2,
        smoothness=0,
        print_info=False,
        show_progressbar=False,
        return_info=True,
        **options,
    )
    took = process_time() - start
    true = source.composition
    rest = [w - true @ nnls(true, w)[0] for w in found.composition.T]
    atoms = source.thickness * [phase.atoms_per_volume for phase in source.phases]
    maps = atoms @ true.T
    maps = 100 * maps / maps.sum(axis=-1, keepdims=True)
    off = np.stack([one.data for one in s.quantify("pixels")], axis=-1) - maps
    n = [size // BLOCK for size in SHAPE]
    means = off.reshape(n[0], BLOCK, n[1], BLOCK, -1).mean(axis=(1, 3))
    return 100 * np.abs(rest).max(), np.abs(means).max(), found.objective, took


def main(given):
    """Compare all samples and counts."""
    rows = []
    # what is compiled is not timed
    for option in (False, True):
        errors(
            experiment("even foil of Fe2O3 and MgO", 300.0, 0),
            0,
            local_absorption=option,
        )
    for name in some(SAMPLES, given):
        for counts in some(COUNTS, given):
            found = []
            for seed in range(given.seeds):
                source = experiment(name, counts, seed)
                found.append(
                    [
                        errors(source, seed, local_absorption=option)
                        for option in (False, True)
                    ]
                )
            without, local = np.mean(found, axis=0)
            ratio = np.divide(*np.sum(found, axis=0)[::-1, 3])
            pairs = [f"{x:.2f}" for i in range(2) for x in (without[i], local[i])]
            fall = f"{local[2] - without[2]:+.0f}"
            rows.append((name, f"{counts:g}", *pairs, fall, f"x {ratio:.1f}"))
            print(*rows[-1], flush=True)
    publish(HEADER, rows, given.write, "local absorption")


if __name__ == "__main__":
    run(main, __doc__, SEEDS, page=True)
