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
from itertools import pairwise

import numpy as np
from scipy.special import chdtrc

from benchmarks.accuracy import measured, measured_phases
from benchmarks.runner import SMALL, argument, publish, run
from espm_hs.compounds import read_compounds
from espm_hs.compounds.identification import (
    NONE,
    Candidate,
    Match,
    _Errors,
    _impurities,
    _nearest,
    candidates,
    identify,
)
from espm_hs.quantification.phase_names import PhaseNames
from espm_hs.simulation import particles

# No spectrum shows them.
UNSEEN = frozenset({"H", "He", "Li", "Be"})
ERRORS = (1.0, 2.0, 3.0)
CATIONS_ERROR = 2.0
# A neighbour is within the errors if a chi-square test at this level lets it pass.
LEVEL = 0.01
# A neighbour that differs by less than the largest of these is the entry itself.
ITSELF = 0.3
BINS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.01)
# Names that are less probable are not counted among those that were stated.
LEAST_STATED = 0.01
# Pixels along each side of a label map.
LABEL_MAP = 256


def entries(
    unseen: frozenset[str], every: int
) -> Iterator[tuple[Candidate, np.ndarray, list[Candidate]]]:
    """Yield each mineral, at.% of its elements, and what it may be taken for."""
    table = read_compounds("minerals")
    symbols = sorted({x for one in table for x in one.elements} - unseen)
    whole = [x for x in candidates(table, symbols, unseen) if len(x.members) == 1]
    for one in whole[::every]:
        there = one.members[0] > 0
        elements = tuple(np.array(symbols)[there].tolist())
        among = candidates(table, elements, unseen)
        yield one, one.members[0][there], among


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
        self.state(names, right)

    def state(self, names: Sequence[Match], right: Sequence[bool]) -> None:
        """Keep the probabilities that were stated."""
        pairs = zip(names, right, strict=True)
        said = [(one.probability, ok) for one, ok in pairs]
        self.stated += [one for one in said if one[0] > LEAST_STATED]

    def share(self, first: int) -> float:
        """Percent of the right names among the first ones."""
        return 100 * float(np.mean(np.array(self.ranks) < first))

    def row(self, title: str) -> tuple[str, ...]:
        """Return a line of the table."""
        shares = (f"{self.share(first):.1f}" for first in (1, 5))
        return (title, str(len(self.ranks)), *shares)


def named(every: int) -> list[tuple[str, Tally]]:
    """Name all minerals, and all of them without oxygen.

    For the probabilities, as many are not in the table as the prior has it.
    """
    rng = np.random.default_rng(0)
    tallies = [(f"{error:g} at.%", Tally()) for error in ERRORS]
    for truth, percent, among in entries(UNSEEN, every):
        unknown_one = rng.random() < NONE
        for error, (_, tally) in zip(ERRORS, tallies, strict=True):
            found = measurement(rng, percent, error)
            tally.add(truth, identify(*found, among))
            if unknown_one:
                names = identify(*found, without(among, percent))
                tally.state(names, [one.kind == "none" for one in names])
    cations = Tally()
    for truth, percent, among in entries(UNSEEN | {"O"}, every):
        found = measurement(rng, percent, CATIONS_ERROR)
        cations.add(truth, identify(*found, among))
    return [*tallies, (f"{CATIONS_ERROR:g} at.%, without oxygen", cations)]


def calibration(tallies: Sequence[tuple[str, Tally]]) -> list[tuple[str, ...]]:
    """Return how many names were right, by the probability that was stated."""
    stated, right = np.array([one for _, tally in tallies for one in tally.stated]).T
    rows = []
    for low, high in pairwise(BINS):
        some = (stated >= low) & (stated < high)
        if not some.any():
            continue
        mean, share = 100 * stated[some].mean(), 100 * right[some].mean()
        noise = 100 * right[some].std() / np.sqrt(some.sum())
        between = f"{100 * low:.0f} to {min(100 * high, 100):.0f} %"
        cells = (f"{mean:.1f}", f"{share:.1f} ± {noise:.1f}")
        rows.append((between, str(some.sum()), *cells))
    return rows


def unknown(every: int) -> list[tuple[str, ...]]:
    """Name minerals that are not in the table."""
    rng = np.random.default_rng(1)
    said: dict[float, list[tuple[bool, bool, bool]]] = {error: [] for error in ERRORS}
    for _, percent, among in entries(UNSEEN, every):
        others = without(among, percent)
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


def nearest(
    percent: np.ndarray, covariance: np.ndarray, among: Sequence[Candidate]
) -> float:
    """Return the largest p-value of the candidates, impurities among the errors."""
    errors = _Errors(percent, covariance + _impurities(percent, covariance))
    n = max(1, percent.size - 1)
    ends = (errors.residuals(one.members) for one in among)
    return max((float(chdtrc(n, _nearest(x)[0])) for x in ends), default=0.0)


def without(among: Sequence[Candidate], percent: np.ndarray) -> list[Candidate]:
    """Return the candidates but for a mineral itself."""
    return [
        one
        for one in among
        if len(one.members) > 1 or np.abs(one.members[0] - percent).max() >= ITSELF
    ]


# Spectra of known composition -> what they are, as the decomposition shows them.
SPECTRA = ("FePt", "SrTiO3, a", "SrTiO3, b", "SiO2")


def of_spectra(given) -> list[tuple[str, ...]]:
    """Name the measured spectra and the phases of the measured map of minerals."""
    rows = []
    for title in SPECTRA[:1] if given.smoke else SPECTRA:
        signal, _ = measured.decomposed(measured.CASES[title])
        rows += _named(title, signal.identify_phases())
    if not given.smoke:
        signal = measured_phases.load()
        measured_phases.find(signal, 2)
        rows += _named("minerals", signal.identify_phases())
    return rows


def _named(title: str, found: PhaseNames) -> Iterator[tuple[str, ...]]:
    for label, some in zip(found.labels, found.matches, strict=True):
        if some:
            best = some[0]
            share = f"{100 * best.probability:.0f}"
            yield f"{title}, {label}", str(best), best.others, share


def seconds(given) -> list[tuple[str, str]]:
    """Return the CPU time of naming the regions of a label map of five phases."""
    side = SMALL[0] if given.smoke else LABEL_MAP
    signal = particles(shape=(side, side), counts_per_pixel=20)
    signal.decomposition(algorithm="espm", output_dimension=3, print_info=False)
    labels = np.arange(side * side).reshape(side, side) * 5 // (side * side)
    times = []
    for _ in range(1 if given.smoke else 5):
        begin = time.process_time()
        signal.identify_phases(regions=labels)
        times.append(time.process_time() - begin)
    # the first call reads the table, the others have it
    return [(f"{side} x {side}", f"{times[0]:.2f}", f"{min(times):.2f}")]


def main(given):
    title = "Measured spectra"
    header = ("phase", "name", "others of this composition", "percent")
    publish(header, of_spectra(given), given.write, "measured", title)
    header = ("label map of 5 regions", "first call (CPU s)", "later calls (CPU s)")
    publish(header, seconds(given), given.write, "seconds", "Time")
    tallies = named(given.every)
    header = ("error", "minerals", "right name first", "among the first five")
    rows = [tally.row(title) for title, tally in tallies]
    publish(header, rows, given.write, "right", "Right names, percent")
    header = ("stated", "names", "mean", "right")
    title = "Stated probability of names, and how many are right, percent"
    publish(header, calibration(tallies[:-1]), given.write, "calibration", title)
    header = ("error", "minerals", "none", "none, or a mixture")
    title = "Minerals that are not in the table, percent"
    publish(header, unknown(given.every), given.write, "unknown", title)


if __name__ == "__main__":
    run(
        main,
        __doc__,
        argument("--every", type=int, default=1, smoke=100, help="take each so many"),
        page=True,
    )
