"""What each rule of the search does on maps that it was not made with.

    python benchmarks/accuracy/rules.py [--half last,final] [--only mxene,phosphor]
        [--parts places matrix] [--write docs/validation.md]

Each map of `zoo.py` is decomposed with the defaults, and again with one rule of the
search switched off at a time. A rule has a row: in how many maps it did anything, in
how many of these the error of a phase differs by more than 0.5 at.% from what is found
without it, whether the errors of the phases, added up, are smaller or larger with it,
and how many of all maps are right and wrong. What a rule leaves just as it was is not
decomposed again without it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import partial, wraps
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np

from benchmarks.accuracy.zoo import (
    ARGUMENTS,
    RIGHT,
    WRONG,
    Case,
    Outcome,
    all_cases,
    decompose,
    halves,
)
from benchmarks.runner import argument, parts, publish, run
from espm_hs.decomposition import search
from espm_hs.decomposition.search import PhaseSearch
from espm_hs.factorization import Factorization

# At.% by which the error of a phase differs that a rule has changed.
CHANGED = 0.5
HEADER = (
    *("rule", "acts", "changes", "better", "worse"),
    *("right", "without", "wrong", "without", "largest error (at.%)"),
)


def _as_found(_: PhaseSearch, found: Factorization, *errors: Any) -> Any:
    return (found, *errors) if errors else found


def _nothing(*_: Any, **__: Any) -> list:
    return []


def _none(*_: Any, **__: Any) -> None:
    return None


def _yes(*_: Any) -> bool:
    return True


def _no(*_: Any) -> bool:
    return False


class Rule(NamedTuple):
    """A rule of the search.

    Attributes
    ----------
    place, name
        Where it is: a class or a module, and what it is called there.
    off
        What stands there if it is switched off.
    """

    place: Any
    name: str
    off: Callable[..., Any]

    def without(self) -> AbstractContextManager:
        """Switch it off."""
        return patch.object(self.place, self.name, self.off)

    def watched(self, acted: Callable[[], object]) -> AbstractContextManager:
        """Call a function each time that it does anything."""
        rule, off = getattr(self.place, self.name), self.off

        @wraps(rule)
        def asked(first: Any, *others: Any, **named: Any) -> Any:
            before = _state(first)
            answer = rule(first, *others, **named)
            as_if_off = _same(answer, off(first, *others, **named))
            if not (as_if_off and _same(before, _state(first))):
                acted()
            return answer

        return patch.object(self.place, self.name, asked)


RULES = {
    "films": Rule(search, "find_films", _nothing),
    "even film": Rule(search, "even_film", _nothing),
    # also asked where single pixels may show a phase alone
    "overlaps": Rule(search, "find_overlap", _none),
    "inclusions": Rule(PhaseSearch, "_inclusions", _nothing),
    "purest starts": Rule(PhaseSearch, "_from_purest", _as_found),
    "search goes on": Rule(PhaseSearch, "_searched_on", _as_found),
    "single pixels object": Rule(PhaseSearch, "_borne_out", _yes),
    "ends of series": Rule(PhaseSearch, "_with_freed_ends", _as_found),
    "hardly shown": Rule(PhaseSearch, "_hardly_shown", _as_found),
    "thicker films": Rule(PhaseSearch, "_with_even_films", _as_found),
    "coatings": Rule(search, "coatings", _nothing),
    "matrix": Rule(search, "remnants", _nothing),
    "single pixels": Rule(PhaseSearch, "_of_single_pixels", _as_found),
    "several lacking": Rule(search, "lacks_several", _no),
    "places": Rule(PhaseSearch, "_in_places", _as_found),
    "what pixels show": Rule(PhaseSearch, "_as_shown", _as_found),
}


def _state(of: Any) -> dict[str, Any]:
    """Return what a search knows, which a rule may change."""
    if not isinstance(of, PhaseSearch):
        return {}
    held = vars(of).items()
    return {name: x.copy() if isinstance(x, list | set) else x for name, x in held}


def _same(one: Any, other: Any) -> bool:
    """Whether nothing differs but how long it took to find it."""
    if isinstance(one, Factorization) and isinstance(other, Factorization):
        return (
            one.W is other.W and one.H is other.H and one.converged == other.converged
        )
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(one[x], other[x]) for x in one)
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return one is other or (isinstance(one, list | set | float) and one == other)


# -- maps ----------------------------------------------------------------------------


class Compared(NamedTuple):
    """A map with all rules, and without those that did anything.

    Attributes
    ----------
    case
        What it is called.
    errors
        Of each phase, at.%.
    without
        Rule -> errors of each phase.
    """

    case: str
    errors: np.ndarray
    without: Mapping[str, np.ndarray]


def compare(case: Case, rules: Mapping[str, Rule]) -> Compared:
    """Decompose a map with all rules, and without those of these that do anything."""
    acting: set[str] = set()
    with ExitStack() as watching:
        for name, rule in rules.items():
            watching.enter_context(rule.watched(partial(acting.add, name)))
        errors = errors_of(case)
    without = {}
    for name, rule in rules.items():
        if name in acting:
            with rule.without():
                without[name] = errors_of(case)
    return Compared(str(case), errors, without)


def errors_of(case: Case) -> np.ndarray:
    """Decompose a map: the errors of its phases, at.%."""
    # each time as if it were the first
    outcome: Outcome = decompose(case._replace(signal=case.signal.deepcopy()))
    return np.array([phase.error for phase in outcome.phases])


# -- rules ---------------------------------------------------------------------------


class Effect(NamedTuple):
    """What a rule did: errors of the phases of each map with it, and without it.

    Attributes
    ----------
    name
        Of the rule.
    acts
        In how many maps it did anything.
    pairs
        Map -> both; the same two where it did nothing.
    """

    name: str
    acts: int
    pairs: Mapping[str, tuple[np.ndarray, np.ndarray]]

    @classmethod
    def of(cls, name: str, maps: Sequence[Compared]) -> Effect:
        """Collect what a rule did in maps."""
        pairs = {x.case: (x.errors, x.without.get(name, x.errors)) for x in maps}
        return cls(name, sum(name in x.without for x in maps), pairs)

    @property
    def changed(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Maps in which the error of a phase differs."""
        return {
            case: (errors, without)
            for case, (errors, without) in self.pairs.items()
            if (abs(errors - without) > CHANGED).any()
        }

    @property
    def cells(self) -> tuple[object, ...]:
        """Row of the table."""
        pairs = self.changed.values()
        better = sum(errors.sum() < without.sum() for errors, without in pairs)
        largest = np.array([[x.max() for x in pair] for pair in self.pairs.values()]).T
        moved = [errors.max() - without.max() for errors, without in pairs]
        span = f"{min(moved):+.1f} to {max(moved):+.1f}" if moved else "–"
        counted = [
            f"{np.sum(maps)} ({100 * np.mean(maps):.0f} %)"
            for maps in (*(largest <= RIGHT), *(largest > WRONG))
        ]
        changes = len(pairs), better, len(pairs) - better
        return (self.name, self.acts, *changes, *counted, span)

    @property
    def text(self) -> str:
        """Name the maps whose largest errors change most, for better and worse."""
        by = {
            case: (errors.max(), without.max())
            for case, (errors, without) in self.changed.items()
        }
        order = sorted(by, key=lambda case: by[case][0] - by[case][1])
        ends = dict.fromkeys((*order[:1], *order[-1:]))
        named = (
            f"{case} ({by[case][0]:.1f} with it, {by[case][1]:.1f} at.% without)"
            for case in ends
        )
        return f"{self.name}: {'; '.join(named)}."


def main(given: argparse.Namespace) -> None:
    """Print the errors of each map, and a row for each rule."""
    rules = {name: RULES[name] for name in given.parts}
    maps = []
    for _, case in all_cases(given):
        maps.append(compare(case, rules))
        one = maps[-1]
        told = (f"{x} {w.max():.1f}" for x, w in one.without.items())
        print(case, f"{one.errors.max():.1f}", *told, sep="  ", flush=True)
    effects = [Effect.of(name, maps) for name in rules]
    rows = [one.cells for one in effects]
    lines = [one.text for one in effects if one.changed]
    title = f"Rules of the search, {len(maps)} maps ({', '.join(given.half)})"
    publish(HEADER, rows, given.write, "rules", title, lines)


OWN = (
    argument("--half", type=halves, default=["final"], smoke=["training"]),
    parts(*RULES, smoke=["matrix"]),
)


if __name__ == "__main__":
    shared = [one for one in ARGUMENTS if one.flag in ("--only", "--forward")]
    run(main, __doc__, *OWN, *shared, page=True)
