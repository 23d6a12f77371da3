"""Solid solutions: phases that are the ends of a continuum of compositions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from espm_hs.decomposition.cautions import listed
from espm_hs.factorization import Factorization, Grid

# Pixels tell of a pair of phases if so much of them is of the two.
MOSTLY = 0.8
# A pixel is a mixture if it has at least this share of either phase.
MIXED = 0.1
# A continuum: so many pixels of the pair are mixtures, of so many the neighbours are
# mixtures, too, as across no boundary, and each quarter of the way has so many of them.
LEAST_MIXED, LEAST_EXTENDED, LEAST_OF_QUARTER = 0.3, 0.3, 0.1
# Members of a series have so much of their atoms in common, as where the anions of an
# oxide replace each other. Where one phase lies over another one, they are mixed in all
# proportions as well.
LEAST_COMMON = 0.4
# The outermost compositions that pixels show, without the tails of the noise.
OUTERMOST = (0.01, 0.99)
# A phase is somewhere alone if it has so much of the counts of its purest pixels, those
# that hold this part of its counts.
ALONE, PUREST = 0.9, 0.1
# A phase is hardly shown if its purest pixels hold less of it than this, in atoms and
# in counts. It lacks an element of which it has less than this part of its host.
HARDLY, LACKING = 0.15, 0.05


@dataclass(frozen=True)
class Series:
    """Two phases with all compositions between them.

    Parameters
    ----------
    phase, other
        Numbers of the phases.
    shown
        Between which shares of the other phase the pixels lie.
    """

    phase: int
    other: int
    shown: tuple[float, float]

    def mixing(self, n_phases: int) -> np.ndarray:
        """Shares of all phases (columns) in the outermost compositions and the others.

        Shape (n_phases, n_phases).
        """
        shares, pair = np.eye(n_phases), [self.phase, self.other]
        shares[np.ix_(pair, pair)] = [[1 - share, share] for share in self.shown]
        return shares

    @property
    def ends(self) -> str:
        """Where the phases are, before they are moved."""
        first, last = self.shown
        if first < OUTERMOST[0] and last > OUTERMOST[1]:
            return "as far as pixels show"
        return 'farther than pixels show, see end_members="observed"'

    def text(
        self, composition: np.ndarray, elements: Sequence[str], labels: Sequence[str]
    ) -> str:
        """Name the ends of the series, and between what its main element varies.

        Parameters
        ----------
        composition
            Atoms in any unit, shape (n_elements, n_phases).
        elements
            Symbols.
        labels
            What to call each phase.
        """
        ends = composition[:, [self.phase, self.other]]
        ends = 100 * ends / ends.sum(axis=0)
        most = int(np.argmax(np.abs(np.diff(ends))))
        names = listed([labels[self.phase], labels[self.other]])
        what = "{} {:.0f} to {:.0f} at.%".format(elements[most], *sorted(ends[most]))
        return f"{names[0].upper()}{names[1:]} are ends of a series; {what}"


def find_series(
    W: np.ndarray, H: np.ndarray, rows: np.ndarray, grid: Grid
) -> list[Series]:
    """Find pairs of phases with a continuum of mixtures between them.

    Parameters
    ----------
    W
        Shape (n_columns, n_phases).
    H
        Abundances, shape (n_pixels, n_phases).
    rows
        Boolean, shape (n_columns,): columns that are elements.
    grid
        Which pixels are neighbours.

    Returns
    -------
    list of Series
        Without any where pixels have no neighbours.
    """
    fractions = W[rows] / np.maximum(W[rows].sum(axis=0), np.finfo(float).tiny)
    neighbours = np.asarray(grid.neighbours)
    return list(_series(fractions, H, neighbours)) if neighbours.size else []


def _series(fractions, H, neighbours) -> Iterator[Series]:
    whole = H.sum(axis=1)
    for i, j in combinations(range(H.shape[1]), 2):
        if np.minimum(fractions[:, i], fractions[:, j]).sum() < LEAST_COMMON:
            continue
        both = H[:, i] + H[:, j]
        known = (both > MOSTLY * whole) & (whole > 0)
        share = np.where(known, H[:, j] / np.where(both > 0, both, 1.0), -1.0)
        mixed = (share > MIXED) & (share < 1 - MIXED)
        if mixed.sum() < max(1, LEAST_MIXED * known.sum()):
            continue
        # neighbours outside of the map say nothing
        extended = mixed & ((neighbours < 0) | mixed[neighbours]).all(axis=1)
        quarters, _ = np.histogram(share[mixed], 4, (MIXED, 1 - MIXED))
        enough = extended.sum() >= LEAST_EXTENDED * mixed.sum()
        if enough and quarters.min() >= LEAST_OF_QUARTER * mixed.sum():
            first, last = np.quantile(share[known], OUTERMOST)
            yield Series(i, j, (float(first), float(last)))


def as_observed(found: Factorization, mixing: np.ndarray) -> Factorization:
    """Make mixtures the phases.

    The model of the counts stays as it is, but in the pixels outside of the mixtures,
    which keep their totals.

    Parameters
    ----------
    found
        A fit.
    mixing
        Shares of its phases in the mixtures, see `Series.mixing`.
    """
    H = np.maximum(found.H @ np.linalg.inv(mixing), 0.0)
    total = np.maximum(H.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    H *= found.H.sum(axis=1, keepdims=True) / total
    return replace(found, W=found.W @ mixing.T, H=H)


def purest_mixtures(H: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return what the purest pixels hold of phases that none of them shows alone.

    Parameters
    ----------
    H, counts
        Loadings of the phases, and their counts, shape (n_pixels, n_phases).

    Returns
    -------
    numpy.ndarray
        Shares of all phases (columns) in the mixtures, shape (n_phases, n_phases); 1 of
        itself for a phase that is somewhere alone.
    """
    mixing = np.eye(counts.shape[1])
    for j, purest in enumerate(_purest_pixels(counts)):
        if counts[purest, j].sum() < ALONE * counts[purest].sum():
            mixing[j] = H[purest].sum(axis=0) / H[purest].sum()
    return mixing


def shown_alone(counts: np.ndarray) -> np.ndarray:
    """Return what part of the counts of its purest pixels each phase makes up.

    Parameters
    ----------
    counts
        Of the phases, shape (n_pixels, n_phases).

    Returns
    -------
    numpy.ndarray
        Shape (n_phases,); 0 for a phase without counts.
    """
    counts = np.asarray(counts)  # which may lie on a cluster
    parts = np.zeros(counts.shape[1])
    for j, purest in enumerate(_purest_pixels(counts)):
        if whole := counts[purest].sum():
            parts[j] = counts[purest, j].sum() / whole
    return parts


def _purest_pixels(counts: np.ndarray) -> Iterator[np.ndarray]:
    """Return of each phase the pixels that hold most of it beside others."""
    whole = np.maximum(counts.sum(axis=1), np.finfo(float).tiny)
    for own in counts.T:
        order = np.argsort(-own / whole, kind="stable")
        enough = np.searchsorted(np.cumsum(own[order]), PUREST * own.sum())
        yield order[: enough + 1]


def hardly_shown(
    composition: np.ndarray, H: np.ndarray, counts: np.ndarray
) -> dict[int, tuple[int, np.ndarray]]:
    """Find phases of which no pixel shows more than a trace in another one, the host.

    Parameters
    ----------
    composition
        Fractions of the elements, shape (n_elements, n_phases).
    H, counts
        As in `purest_mixtures`.

    Returns
    -------
    dict
        phase -> its host, and the shares of all phases in the pixels of the host that
        hold most of the phase.

    Notes
    -----
    Where a phase has a little of an element more than the one beside it, pixels lie on
    a line that goes on from there, and fractions end it where one of them is zero. The
    penalties do not object, as so little of such an end is needed.
    """
    found, purest = {}, purest_mixtures(H, counts)
    for phase in np.flatnonzero(np.diagonal(purest) < HARDLY).tolist():
        pairs = counts[:, [phase]] + counts
        mostly = pairs > ALONE * counts.sum(axis=1, keepdims=True)
        mostly[:, phase] = False
        in_hosts = counts[:, phase] @ mostly
        host = int(np.argmax(in_hosts))
        here = mostly[:, host]
        if in_hosts[host] <= counts[:, phase].sum() / 2:  # it lies elsewhere
            continue
        own = purest_mixtures(H[here], counts[here])[phase]
        of_counts = own * counts.sum(axis=0) / np.maximum(H.sum(axis=0), 1e-300)
        main = composition[:, host] > composition[:, host].max() / 2
        lacks = composition[:, phase] < LACKING * composition[:, host]
        share = max(own[phase], of_counts[phase] / of_counts.sum())
        if share < HARDLY and lacks[main].any():
            found[phase] = host, own
    return found
