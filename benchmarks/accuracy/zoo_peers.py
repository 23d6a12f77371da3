"""espm_hs beside scikit-learn, HyperSpy and espm on maps it was not tuned on.

    python benchmarks/accuracy/zoo_peers.py [--half held_out] [--only steel,minerals]
        [--espm-python PATH] [--write docs/validation.md]

The maps are those of `zoo.py`. The spectra of the other programs are quantified by the
model of the fit of espm_hs, which has the refined energy scale, and with the absorption
of each phase, so that only the unmixing differs; all are judged against the same
reference. espm takes minutes for a map: where its interpreter is given, all maps are
narrow. What the others find is kept in a folder, a file for each map, so that it is
made once: after a change of espm_hs a run takes as long as `zoo.py`.
"""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.accuracy.methods import Found, espm, hyperspy, scikit_learn
from benchmarks.accuracy.zoo import (
    ARGUMENTS,
    MANY,
    Case,
    Outcome,
    at_percent,
    cases,
    decompose,
    reference,
)
from benchmarks.runner import (
    argument,
    listed,
    publish,
    run,
)
from espm_hs.decomposition.self_consistency import self_consistent_model
from espm_hs.metrics import match_phases
from espm_hs.physics import SpectrumModel

# Columns of the maps that espm gets; layers lie along the rows, of which it gets all.
NARROW = (64, 16)
# Iterations of scikit-learn, whose own default is 200.
ITERATIONS = 500

Method = Callable[..., Found]


def absorbed(model: SpectrumModel, spectrum: np.ndarray) -> np.ndarray:
    """Return the at.% that a model finds in a spectrum of unknown composition."""
    if not spectrum.any():
        return np.zeros(len(model.elements))
    used = model.channels
    counts = MANY * spectrum[used] / spectrum.max()
    return at_percent(self_consistent_model(model, counts, used), spectrum)


def kept(method: Method, folder: Path, name: str) -> Callable[..., np.ndarray]:
    """Return a function that finds spectra by a program, or reads what it has found."""

    def spectra(signal, n_phases: int) -> np.ndarray:
        counts = zlib.crc32(np.ascontiguousarray(signal.data))
        file = folder / f"{name}-{n_phases}-{counts:08x}.npy"
        if not file.exists():
            folder.mkdir(parents=True, exist_ok=True)
            np.save(file, method(signal, n_phases).spectra)
        return np.load(file)

    return spectra


def peer_errors(
    case: Case, model: SpectrumModel, find: Callable[..., np.ndarray]
) -> np.ndarray:
    """Decompose the channels that espm_hs fits by another program.

    Parameters
    ----------
    case
        The map.
    model
        With which spectra are quantified.
    find
        Returns the spectra of a signal, see `kept`.

    Returns
    -------
    ndarray of shape (n_phases,)
        Largest error of a fraction in each phase, at.%.
    """
    first = int(np.argmax(model.channels))
    true = case.experiment.spectra
    found = find(case.signal.isig[first:], true.shape[1])
    order, _ = match_phases(found, true[first:])
    spectra = np.zeros_like(true)
    spectra[first:] = found[:, order]
    percent = np.transpose([absorbed(model, spectrum) for spectrum in spectra.T])
    return np.abs(percent - reference(case, model)).max(axis=0)


def verdict(name: str, ours: Mapping[str, float], theirs: Mapping[str, float]) -> str:
    """Say in how many maps the largest error of espm_hs is the smaller one."""
    others = [
        f"{case} ({ours[case]:.1f} to {theirs[case]:.1f} at.%)"
        for case in ours
        if not ours[case] < theirs[case]
    ]
    share = 100 * (1 - len(others) / len(ours))
    named = f"; not in {'; '.join(others)}" if others else ""
    return f"espm_hs is better than {name} in {share:.0f} % of {len(ours)} maps{named}."


def by_material(
    materials: Mapping[str, str], largest: Mapping[str, Mapping[str, float]]
) -> list[tuple[str, ...]]:
    """Return a row for each material: medians over its maps of the largest error."""
    rows = []
    for name in dict.fromkeys(materials.values()):
        maps = [case for case, material in materials.items() if material == name]
        errors = np.array([[of[case] for case in maps] for of in largest.values()])
        ahead = int((errors[0] < errors[1:].min(axis=0)).sum())
        middle = (f"{x:.1f}" for x in np.median(errors, axis=1))
        rows.append((name.replace("_", " "), f"{ahead} of {len(maps)}", *middle))
    return rows


def conclusions(largest: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return a sentence for each of the other programs, and one for all."""
    ours, *_ = largest.values()
    peers = {name: of for name, of in largest.items() if of is not ours}
    best = {case: min(of[case] for of in peers.values()) for case in ours}
    against = {**peers, "all of them": best}
    return [verdict(name, ours, theirs) for name, theirs in against.items()]


def main(given: argparse.Namespace) -> None:
    """Print the errors of all programs, and where the others are better."""
    brief = partial(scikit_learn, max_iter=ITERATIONS)
    peers: dict[str, Method] = {"scikit-learn": brief, "HyperSpy": hyperspy}
    if given.espm_python:
        peers["espm"] = espm(given.espm_python)
    find = {name: kept(method, given.cache, name) for name, method in peers.items()}
    largest: dict[str, dict[str, float]] = {name: {} for name in ("espm_hs", *peers)}
    materials: dict[str, str] = {}
    for case in cases(given, NARROW if given.espm_python else None):
        ours: Outcome = decompose(case)
        errors = {"espm_hs": np.array([phase.error for phase in ours.phases])}
        for name in peers:
            errors[name] = peer_errors(case, ours.found.model, find[name])
        for name, values in errors.items():
            largest[name][str(case)] = float(values.max())
        materials[str(case)] = case.material
        told = (listed(x, ".1f") for x in errors.values())
        print(case, *told, sep="  ", flush=True)
    publish_errors(given, materials, largest)


def publish_errors(
    given: argparse.Namespace,
    materials: Mapping[str, str],
    largest: Mapping[str, Mapping[str, float]],
) -> None:
    """Print the table of a half and what it comes to, and write them in their place."""
    header: Sequence[str] = ("material", "espm_hs is best", *largest)
    rows, lines = by_material(materials, largest), conclusions(largest)
    title = f"Largest error of a map (at.%), {given.half} half"
    print(f"\n{title}")
    narrow = "_narrow" if given.espm_python else ""
    publish(header, rows, given.write, f"peers_{given.half}{narrow}", lines=lines)


OWN = (
    argument("--espm-python", help="interpreter that has espm 1.1.3"),
    argument(
        "--cache",
        type=Path,
        default=Path("build/peers"),
        smoke=Path("build/peers-smoke"),
        help="folder of what the others find",
    ),
)


if __name__ == "__main__":
    run(main, __doc__, *ARGUMENTS, *OWN, page=True)
