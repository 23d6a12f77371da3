"""espm_hs beside scikit-learn, HyperSpy and espm on maps it was not tuned on.

    python benchmarks/accuracy/zoo_peers.py [--half held_out] [--only steel,minerals]
        [--espm-python PATH]

The maps are those of `zoo.py`. The spectra of the other programs are quantified by the
model of the fit of espm_hs, which has the refined energy scale, and with the absorption
of each phase, so that only the unmixing differs; all are judged against the same
reference. espm takes minutes for a map: where its interpreter is given, all maps are
narrow.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping

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
from benchmarks.runner import argument, listed, publish, run
from espm_hs.decomposition.self_consistency import self_consistent_model
from espm_hs.metrics import match_phases
from espm_hs.physics import SpectrumModel

# Columns of the maps that espm gets; layers lie along the rows, of which it gets all.
NARROW = (64, 16)

Method = Callable[..., Found]


def absorbed(model: SpectrumModel, spectrum: np.ndarray) -> np.ndarray:
    """Return the at.% that a model finds in a spectrum of unknown composition."""
    if not spectrum.any():
        return np.zeros(len(model.elements))
    used = model.channels
    counts = MANY * spectrum[used] / spectrum.max()
    return at_percent(self_consistent_model(model, counts, used), spectrum)


def peer_errors(case: Case, model: SpectrumModel, method: Method) -> np.ndarray:
    """Decompose the channels that espm_hs fits by another program.

    Parameters
    ----------
    case
        The map.
    model
        With which spectra are quantified.
    method
        Of `methods.py`.

    Returns
    -------
    ndarray of shape (n_phases,)
        Largest error of a fraction in each phase, at.%.
    """
    first = int(np.argmax(model.channels))
    true = case.experiment.spectra
    found = method(case.signal.isig[first:], true.shape[1])
    order, _ = match_phases(found.spectra, true[first:])
    spectra = np.zeros_like(true)
    spectra[first:] = found.spectra[:, order]
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


def main(given: argparse.Namespace) -> None:
    """Print the errors of all programs, and where the others are better."""
    peers: dict[str, Method] = {"scikit-learn": scikit_learn, "HyperSpy": hyperspy}
    if given.espm_python:
        peers["espm"] = espm(given.espm_python)
    largest: dict[str, dict[str, float]] = {name: {} for name in ("espm_hs", *peers)}
    rows = []
    for case in cases(given, NARROW if given.espm_python else None):
        ours: Outcome = decompose(case)
        errors = {"espm_hs": np.array([phase.error for phase in ours.phases])}
        for name, method in peers.items():
            errors[name] = peer_errors(case, ours.found.model, method)
        for name, values in errors.items():
            largest[name][str(case)] = float(values.max())
        rows.append((str(case), *(listed(x, ".1f") for x in errors.values())))
        print(*rows[-1], sep="  ", flush=True)
    publish(("map", *largest), rows, title=f"Errors (at.%), {given.half} half")
    ours_all = largest.pop("espm_hs")
    best = {case: min(of[case] for of in largest.values()) for case in ours_all}
    for name, theirs in (*largest.items(), ("all of them", best)):
        print(verdict(name, ours_all, theirs))


if __name__ == "__main__":
    python = argument("--espm-python", help="interpreter that has espm 1.1.3")
    run(main, __doc__, *ARGUMENTS, python)
