"""Results side by side: how well each fits, and what becomes of which phase."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import linear_sum_assignment

from espm_hs.decomposition.result import PhaseAnalysis
from espm_hs.quantification.percent_with_errors import to_percent
from espm_hs.shown_table import ShownTable, data_frame

if TYPE_CHECKING:
    import pandas

# Parts of a phase that are worth a word.
LEAST_PART = 0.05
# Elements of a phase that are named.
MOST_ELEMENTS = 4


@dataclass(frozen=True, eq=False, repr=False)
class ResultComparison(ShownTable):
    """Decompositions of one map, side by side.

    Parameters
    ----------
    names
        Of the results.
    analyses
        The results, with their loadings.
    held_out
        Shape (2, n_results): negative log-likelihood of held-out counts, nats above the
        lowest, and the standard error of that difference; NaN where it is not known.
    chosen
        Name of the result that the signal has now, "" if it is none of these.
    """

    names: tuple[str, ...]
    analyses: tuple[PhaseAnalysis, ...]
    held_out: np.ndarray
    chosen: str = ""

    header = ("result", "phases", "deviance ratio", "objective", "held out", "starts")

    def rows(self) -> list[tuple[str, ...]]:
        """Return a line of text for each result."""
        rows: list[tuple[str, ...]] = []
        for name, found, loss, error in zip(
            self.names, self.analyses, *self.held_out, strict=True
        ):
            mark = " *" if name == self.chosen else ""
            known = f"{loss:.1f} ± {error:.1f}" if np.isfinite(loss) else ""
            agree = f"{found.n_agreeing} of {found.n_starts}"
            numbers = (
                str(found.n_phases),
                f"{found.misfit:.3g}",
                f"{found.objective:.8g}",
            )
            rows.append((f"{name}{mark}", *numbers, known, agree))
        return rows

    def footer(self) -> list[str]:
        """Say what the phases are made of, and what becomes of each."""
        lines = [f"{name}: {'; '.join(self._made_of(found))}." for name, found in self]
        parts = [
            f"From {a} to {b}: {'; '.join(self._becomes(i))}."
            for i, (a, b) in enumerate(pairwise(self.names))
        ]
        notes = ["* is the result that the signal has now."] if self.chosen else []
        if np.isfinite(self.held_out).any():
            notes.append(
                "Held out: nats by which held-out counts are predicted worse than by "
                "the best result."
            )
        return [*lines, *parts, *notes]

    def __iter__(self) -> Iterator[tuple[str, PhaseAnalysis]]:
        return iter(zip(self.names, self.analyses, strict=True))

    def to_dataframe(self) -> pandas.DataFrame:
        """Return composition and share of each phase of each result.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        columns = ("result", "phase", "counts", "element", "percent", "error")
        rows = []
        for name, found in self:
            elements, percent, variance = to_percent(found)
            shares = 100 * shares_of(found)
            for j, label in enumerate(found.labels):
                for i, element in enumerate(elements):
                    error = float(np.sqrt(variance[i, j]))
                    rows.append((name, label, shares[j], element, percent[i, j], error))
        return data_frame(rows, columns)

    @staticmethod
    def _made_of(found: PhaseAnalysis) -> Iterator[str]:
        """Say of each phase how much of it there is, and of what."""
        elements, percent, _ = to_percent(found)
        for j, (label, share) in enumerate(
            zip(found.labels, shares_of(found), strict=True)
        ):
            order = np.argsort(-np.nan_to_num(percent[:, j]))[:MOST_ELEMENTS].tolist()
            parts = [f"{elements[i]} {percent[i, j]:.0f}" for i in order]
            of = ", ".join(parts) if np.isfinite(percent[:, j]).any() else "no elements"
            yield f"{label} {100 * share:.0f} % ({of})"

    @property
    def flows(self) -> list[np.ndarray]:
        """What becomes of the phases from each result to the next, see `flow`."""
        return [flow(a, b) for a, b in pairwise(self.analyses)]

    def _becomes(self, i: int) -> Iterator[str]:
        """Say into which phases of the next result those of a result go."""
        labels = self.analyses[i + 1].labels
        for label, parts in zip(self.analyses[i].labels, self.flows[i], strict=True):
            shares = parts / max(parts.sum(), 1e-300)
            order = [j for j in np.argsort(-shares).tolist() if shares[j] >= LEAST_PART]
            said = [f"{labels[j]} {100 * shares[j]:.0f} %" for j in order]
            yield f"{label} becomes {', '.join(said) or 'nothing'}"

    @property
    def colours(self) -> list[list[int]]:
        """Number of the colour of each phase of each result: alike phases have one.

        The last result has its own; one before has those of the phases that most of its
        counts go to.
        """
        last = max(range(len(self.names)), key=lambda i: self.analyses[i].n_phases)
        found = {last: list(range(self.analyses[last].n_phases))}
        order = [*range(last - 1, -1, -1), *range(last + 1, len(self.names))]
        for i in order:
            near = i + 1 if i < last else i - 1
            parts = flow(self.analyses[i], self.analyses[near])
            own, partner = linear_sum_assignment(-parts)
            taken = {j: found[near][k] for j, k in zip(own, partner, strict=True)}
            free = count(max(found[near]) + 1)
            n_phases = self.analyses[i].n_phases
            found[i] = [taken[j] if j in taken else next(free) for j in range(n_phases)]
        return [found[i] for i in range(len(self.names))]


def counts_of(found: PhaseAnalysis) -> np.ndarray:
    """Return the counts of each phase in each pixel, 0 where they are not known."""
    assert found.loadings is not None
    return np.nan_to_num(found.loadings) * np.nansum(found.spectra, axis=0)


def shares_of(found: PhaseAnalysis) -> np.ndarray:
    """Return the share of each phase in all counts, shape (n_phases,)."""
    totals = counts_of(found).sum(axis=0)
    return totals / max(totals.sum(), 1e-300)


def flow(one: PhaseAnalysis, other: PhaseAnalysis) -> np.ndarray:
    """Return how many counts that one result gives to a phase another gives to which.

    Parameters
    ----------
    one, other
        Results of the same pixels, with their loadings.

    Returns
    -------
    numpy.ndarray
        Shares of all counts, shape (n_phases of one, n_phases of the other). The counts
        of a pixel that both divide among phases are joined as if by chance.
    """
    a, b = counts_of(one), counts_of(other)
    whole = max(a.sum(), 1e-300)
    b = b / np.maximum(b.sum(axis=1, keepdims=True), 1e-300)
    return a.T @ b / whole


def check_same_pixels(names: Sequence[str], analyses: Sequence[PhaseAnalysis]) -> None:
    """Raise ValueError for results of other maps than the first."""
    for name, found in zip(names, analyses, strict=True):
        first, own = analyses[0].loadings, found.loadings
        if first is None or own is None or len(own) != len(first):
            raise ValueError(
                f"The result {name!r} is one of other pixels, and results of one map "
                "are compared. Leave it out, or decompose again."
            )
