"""Whether the search finds what the counts prefer: fits that begin with the truth.

    python benchmarks/accuracy/from_truth.py [--half held_out,final] [--only steel]
        [--write docs/validation.md]

Each map of `zoo.py` is decomposed with the defaults. Where the search has its starts
behind it, before anything is taken out of a phase, the same fit begins a second time
with the true compositions, and with maps that are fitted to them. A lower F says that
the search has missed what the objective prefers. If F is no lower in a map that is not
right, the objective prefers a wrong answer, or has no opinion.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple
from unittest.mock import patch

from benchmarks.accuracy.zoo import (
    ARGUMENTS,
    RIGHT,
    Case,
    all_cases,
    decompose,
    halves,
    reference,
)
from benchmarks.runner import argument, publish, run
from espm_hs.decomposition.search import PhaseSearch
from espm_hs.factorization import Factorization, fit_maps, off_zero
from espm_hs.metrics import match_phases

# Less of F, in nats, is no preference: fits that begin elsewhere end so far apart.
CLEAR = 4.0
HEADER = (
    *("set", "maps", "not right", "F of the truth is lower", "it is as low"),
    *("it is higher", "likelihood of the truth is higher"),
)


class Compared(NamedTuple):
    """A map and two fits of it.

    Attributes
    ----------
    half, case
        Of which set, and what it is called.
    error
        Largest of a phase in the result, at.%.
    F, likelihood
        Of the fit from the truth less that of the search, in nats.
    """

    half: str
    case: str
    error: float
    F: float
    likelihood: float


def from_truth(search: PhaseSearch, case: Case, found: Factorization) -> Factorization:
    """Return the fit that begins with the true compositions.

    What is no element, such as the background, begins as it was found. ``search`` has
    the problem of that fit afterwards.
    """
    rows = search.rows
    true = reference(case, search.model)
    order, _ = match_phases(found.W[rows], true)
    W = found.W[:, order].copy()
    W[rows] = true / true.sum(axis=0)
    G = search.problem.G
    if G is not None and G.ndim == 3:
        search.problem = replace(search.problem, G=G[order])
    H, _ = fit_maps(search.counts, search.problem, W, n_jobs=1)
    return search._fit((off_zero(W), off_zero(H)), replace(search.options, n_init=1))


def compare(case: Case, half: str) -> Compared:
    """Decompose a map, and fit it from the truth on the way."""
    purest, differences = PhaseSearch._from_purest, []

    def asked(search: PhaseSearch, found: Factorization) -> Factorization:
        found, before = purest(search, found), search.problem
        likelihood = search._divergence(found)
        truth = from_truth(search, case, found)
        likelihood -= search._divergence(truth)
        search.problem = before
        differences.append((truth.objective - found.objective, likelihood))
        return found

    with patch.object(PhaseSearch, "_from_purest", asked):
        error = decompose(case).error
    return Compared(half, str(case), error, *differences[-1])


def rows_of(maps: Sequence[Compared]) -> list[tuple[object, ...]]:
    """Return a row for each set."""
    rows: list[tuple[object, ...]] = []
    for half in dict.fromkeys(one.half for one in maps):
        all_of_it = [one for one in maps if one.half == half]
        astray = [one for one in all_of_it if one.error > RIGHT]
        lower = sum(one.F < -CLEAR for one in astray)
        higher = sum(one.F > CLEAR for one in astray)
        likely = sum(one.likelihood > CLEAR for one in astray)
        level = len(astray) - lower - higher
        rows.append((half, len(all_of_it), len(astray), lower, level, higher, likely))
    return rows


def main(given: argparse.Namespace) -> None:
    """Print a line for each map that is not right, and a row for each set."""
    maps = []
    for half, case in all_cases(given):
        one = compare(case, half)
        maps.append(one)
        if one.error > RIGHT:
            told = f"F {one.F:+.1f}", f"likelihood {one.likelihood:+.1f}"
            print(half, one.case, f"{one.error:.1f}", *told, sep="  ", flush=True)
    publish(HEADER, rows_of(maps), given.write, "from_truth")


OWN = argument("--half", type=halves, default=["training"], help="sets, with commas")


if __name__ == "__main__":
    shared = [one for one in ARGUMENTS if one.flag in ("--only", "--forward")]
    run(main, __doc__, OWN, *shared, page=True)
