"""Phases that share elements: which of them are taken for inclusions of others.

Random maps of 48 x 48 pixels. *Alone*: grains, some of which have all elements of
another one, as spinel has those of periclase; nothing must be taken out of them.
*Inside*: metals that lie in an oxide everywhere, with one element in common. *Series*:
solid solutions that change all over the map, and whose ends are pure nowhere. Largest
angles to the true phases, with and without the search for inclusions. Run with

    python benchmarks/accuracy/inclusions.py [--seeds 3] [--write docs/validation.md]
"""

from __future__ import annotations

from unittest.mock import patch

import numpy as np

from benchmarks.runner import argument, publish, run, some
from espm_hs import metrics
from espm_hs.decomposition import search
from espm_hs.physics import SpectrumModel
from espm_hs.simulation import Experiment, Phase, record
from espm_hs.simulation.phantoms import random_fields

MATERIALS = {
    "spinel": ({"Mg": 1, "Al": 2, "O": 4}, 3.6),
    "periclase": ({"Mg": 1, "O": 1}, 3.6),
    "enstatite": ({"Mg": 1, "Si": 1, "O": 3}, 3.2),
    "ilmenite": ({"Fe": 1, "Ti": 1, "O": 3}, 4.7),
    "hematite": ({"Fe": 2, "O": 3}, 5.2),
    "anorthite": ({"Ca": 1, "Al": 2, "Si": 2, "O": 8}, 2.7),
    "diopside": ({"Ca": 1, "Mg": 1, "Si": 2, "O": 6}, 3.3),
    "quartz": ({"Si": 1, "O": 2}, 2.6),
    "rutile": ({"Ti": 1, "O": 2}, 4.2),
    "alumina": ({"Al": 2, "O": 3}, 3.9),
    "iron": ({"Fe": 1}, 7.9),
    "Fe50Ni50": ({"Fe": 0.5, "Ni": 0.5}, 8.0),
    "Fe60Ti40": ({"Fe": 0.6, "Ti": 0.4}, 6.5),
    "Ni75Fe25": ({"Ni": 0.75, "Fe": 0.25}, 8.2),
    "Al70Mg30": ({"Al": 0.7, "Mg": 0.3}, 2.5),
    "olivine, Fe": ({"Mg": 0.4, "Fe": 1.6, "Si": 1, "O": 4}, 4.0),
    "olivine, Mg": ({"Mg": 1.6, "Fe": 0.4, "Si": 1, "O": 4}, 3.5),
}
# The second phase lies in the third, where it does.
SETS = {
    "alone": [
        ("spinel", "periclase", "enstatite"),
        ("ilmenite", "hematite", "anorthite"),
        ("diopside", "quartz", "enstatite"),
        ("Fe50Ni50", "iron", "Fe60Ti40"),
    ],
    "inside": [
        ("anorthite", "Ni75Fe25", "hematite"),
        ("periclase", "Fe60Ti40", "hematite"),
        ("enstatite", "Al70Mg30", "alumina"),
        ("Fe50Ni50", "Fe60Ti40", "rutile"),
    ],
    "series": [("olivine, Fe", "olivine, Mg", "anorthite")],
}
DOSES = (10, 50, 250)
SHAPE = (48, 48)
HEADER = (
    "phases",
    "counts",
    "maps",
    "taken out of a phase",
    "largest angle without (°)",
    "with (°)",
)


def simulate(kind: str, names: tuple[str, ...], dose: float, seed: int):
    """Return a map of three phases that are arranged as ``kind`` says."""
    rng = np.random.default_rng((seed, int(dose), *map(ord, names[0])))
    elements = sorted({e for name in names for e in MATERIALS[name][0]})
    model = SpectrumModel(
        0.01 * np.arange(1024),
        200.0,
        elements,
        take_off_angle=22.0,
        thickness=100.0,
        density=4.5,
    )
    phases = [Phase(name, *MATERIALS[name], 0.05) for name in names]
    thickness = 100.0 * _shares(kind, rng)
    return record(Experiment(model, phases, thickness, dose), seed)


def _shares(kind, rng):
    if kind == "series":
        grains = random_fields(SHAPE, 2, length=8.0, contrast=6.0, seed=rng)
        first = random_fields(SHAPE, 2, length=12.0, contrast=1.2, seed=rng)[..., :1]
        both = np.concatenate((first, 1 - first), axis=-1)
        return np.concatenate((both * grains[..., :1], grains[..., 1:]), axis=-1)
    shares = random_fields(SHAPE, 3, length=6.0, contrast=6.0, seed=rng)
    if kind == "inside":
        uneven = random_fields(SHAPE, 2, length=4.0, contrast=1.5, seed=rng)[..., 0]
        shares[..., 2] += shares[..., 1] * (0.3 + uneven)
        shares[..., 1] *= 0.7
    return shares


def largest_angle(s) -> float:
    """Decompose with the defaults, but for the maps."""
    found = s.decomposition(
        algorithm="espm",
        output_dimension=3,
        smoothness=0,
        print_info=False,
        return_info=True,
    )
    return metrics.match_phases(found.spectra, s.ground_truth().spectra)[1].max()


def compare(s) -> tuple[bool, float, float]:
    """Whether something was taken out, and largest angles without and with that."""
    find, taken = search.find_inclusion, []

    def seen(*arguments):
        found = find(*arguments)
        taken.append(found is not None)
        return found

    with patch.object(search, "find_inclusion", seen):
        with_it = without = largest_angle(s)
    if any(taken):
        with patch.object(search, "find_inclusion", lambda *arguments: None):
            without = largest_angle(s)
    return any(taken), without, with_it


def main(given):
    rows = []
    for kind, sets in some(SETS.items(), given):
        for dose in some(DOSES, given):
            seeds = range(given.seeds)
            cases = [(kind, names, dose, seed) for names in sets for seed in seeds]
            results = [compare(simulate(*case)) for case in some(cases, given)]
            taken, without, with_it = np.array(results, float).T
            angles = (f"{np.median(x):.1f}" for x in (without, with_it))
            counted = f"{dose:g}", str(len(taken)), str(int(taken.sum()))
            rows.append((kind, *counted, *angles))
            print(*rows[-1], flush=True)
    print("\nmedians")
    publish(HEADER, rows, given.write, "inclusions")


if __name__ == "__main__":
    seeds = argument("--seeds", type=int, default=3, smoke=1, help="maps of each kind")
    run(main, __doc__, seeds, page=True)
