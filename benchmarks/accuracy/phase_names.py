"""Names of phases: how often they are right, and whether their probabilities are.

Every mineral of the table is measured in a simulation, with independent errors of 1, 2
and 3 at.% on the elements that it has, closed to 100 %, and named. Then it is named
again without oxygen, and with its own entry taken out of the table, when "none" is the
right answer unless another mineral is within the errors. The measured spectra are named
with the defaults; they are read from the folder named by ESPM_HS_TEST_DATA, but for
FePt, which comes with eXSpy. Run with

    python benchmarks/accuracy/phase_names.py [--every 1] [--write docs/names.md]
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import numpy as np
from scipy.stats import chi2


from benchmarks.runner import argument, publish, run
from espm_hs.compounds import read_compounds
from espm_hs.compounds.identification import (
    Candidate,
    Match,
    candidates,
    identify,
    nearest,
)


# No spectrum shows them.
UNSEEN = frozenset({"H", "He", "Li", "Be"})
ERRORS = (1.0, 2.0, 3.0)
CATIONS_ERROR = 2.0
# A neighbour is within the errors if a chi-square test at this level lets it pass.
LEVEL = 0.01
# A neighbour that differs by less than the largest of these is the entry itself.
ITSELF = 0.3
BINS = (0.0, 0.3, 0.5, 0.7, 0.9, 1.01)

Elements = tuple[str, ...]


def entries(
    unseen: frozenset[str], every: int
) -> Iterator[tuple[Candidate, Elements, np.ndarray, list[Candidate]]]:
    """Yield each mineral: its elements, at.% of them, and what it may be taken for."""
    table = read_compounds("minerals")
    symbols = sorted({x for one in table for x in one.elements} - unseen)
    whole = [x for x in candidates(table, symbols, unseen) if len(x.members) == 1]
    for one in whole[::every]:
        there = one.members[0] > 0
        elements = tuple(np.array(symbols)[there].tolist())
        among = candidates(table, elements, unseen)
        yield one, elements, one.members[0][there], among


def measurement(
    rng: np.random.Generator, truth: np.ndarray, error: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return a composition with errors, closed to 100 %, and its covariance."""
    found = np.clip(truth + error * rng.normal(size=truth.size), 0, None)
    percent = 100 * found / found.sum()
    closing = 100 / found.sum() * (np.eye(truth.size) - percent[:, None] / 100)
    return percent, error**2 * closing @ closing.T


def is_right(match: Match, truth: Candidate) -> bool:
    """Whether a name is one of the right ones."""
    return match.kind == "compound" and truth.names[0] in match.names


class Tally:
    """Counts what names were right."""

    def __init__(self) -> None:
        self.ranks: list[int] = []
        self.stated: list[tuple[float, bool]] = []

    def add(self, truth: Candidate, names: Sequence[Match]) -> None:
        """Count the names of a measurement."""
        right = [is_right(one, truth) for one in names]
        self.ranks.append(right.index(True))
        self.stated += [
            (one.probability, ok)
            for one, ok in zip(names, right, strict=True)
            if one.probability > 0.05
        ]

    def share(self, first: int) -> float:
        """Percent of the right names among the first ones."""
        return 100 * float(np.mean(np.array(self.ranks) < first))

    def row(self, title: str) -> tuple[str, ...]:
        """Return a line of the table."""
        shares = (f"{self.share(first):.1f}" for first in (1, 5))
        return (title, str(len(self.ranks)), *shares)


def named(every: int) -> list[tuple[str, Tally]]:
    """Name all minerals, and all of them without oxygen."""
    rng = np.random.default_rng(0)
    tallies = [(f"{error:g} at.%", Tally()) for error in ERRORS]
    for truth, _, percent, among in entries(UNSEEN, every):
        for error, (_, tally) in zip(ERRORS, tallies, strict=True):
            tally.add(truth, identify(*measurement(rng, percent, error), among))
    without = Tally()
    for truth, _, percent, among in entries(UNSEEN | {"O"}, every):
        found = measurement(rng, percent, CATIONS_ERROR)
        without.add(truth, identify(*found, among))
    return [*tallies, (f"{CATIONS_ERROR:g} at.%, without oxygen", without)]


def calibration(tallies: Sequence[tuple[str, Tally]]) -> list[tuple[str, ...]]:
    """Return how many names were right, by the probability that was stated."""
    rows = []
    for low, high in zip(BINS[:-1], BINS[1:], strict=True):
        cells = []
        for _, tally in tallies:
            stated, right = np.array(tally.stated).T
            some = (stated >= low) & (stated < high)
            mean, share = (100 * x[some].mean() if some.any() else np.nan for x in (stated, right))
            cells.append(f"{mean:.0f} / {share:.0f}")
        rows.append((f"{100 * low:.0f} to {min(100 * high, 100):.0f} %", *cells))
    return rows


def unknown(every: int) -> list[tuple[str, ...]]:
    """Name minerals that are not in the table."""
    rng = np.random.default_rng(1)
    said: dict[float, list[tuple[bool, bool, bool]]] = {error: [] for error in ERRORS}
    for _, _, percent, among in entries(UNSEEN, every):
        others = [x for x in among if not _is(x, percent)]
        for error in ERRORS:
            found = measurement(rng, percent, error)
            alone = nearest(*found, others) < LEVEL
            names = identify(*found, others, mixtures=False)[0].kind == "none"
            with_mixtures = identify(*found, others)[0].kind in ("none", "mixture")
            said[error].append((alone, names, with_mixtures))
    rows = []
    for error, answers in said.items():
        alone, *kinds = np.array(answers).T
        shares = (f"{100 * kind[alone].mean():.1f}" for kind in kinds)
        rows.append((f"{error:g} at.%", str(alone.sum()), *shares))
    return rows


def _is(one: Candidate, percent: np.ndarray) -> bool:
    return len(one.members) == 1 and np.abs(one.members[0] - percent).max() < ITSELF


def main(given):
    tallies = named(given.every)
    header = ("error", "minerals", "right name first", "among the first five")
    rows = [tally.row(title) for title, tally in tallies]
    publish(header, rows, given.write, "right", "Right names, percent")
    header = ("stated", *(title for title, _ in tallies))
    title = "Stated probability / names that were right, percent"
    publish(header, calibration(tallies), given.write, "calibration", title)
    header = ("error", "minerals", "none", "none, or a mixture")
    rows = unknown(given.every)
    publish(header, rows, given.write, "unknown", "Minerals taken out of the table")


if __name__ == "__main__":
    run(
        main,
        __doc__,
        argument("--every", type=int, default=1, smoke=100, help="take each so many"),
        page=True,
    )
