"""Which phase a pixel is, how certain that is, and how much of the map is which."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import ndtr

from espm_hs.arguments import check_number
from espm_hs.decomposition.result import PhaseAnalysis
from espm_hs.factorization import Penalties, Problem, fit_loadings
from espm_hs.quantification.percent_with_errors import closed, fit_response
from espm_hs.quantification.pixels import Array, own_counts, pixel_variances
from espm_hs.shown_table import ShownTable, data_frame

if TYPE_CHECKING:
    import pandas

#: Label of a pixel that is no phase: uncertain, of too few counts, or left out.
NO_PHASE = -1
#: A pixel is labelled if its phase is this probable.
THRESHOLD = 0.8
# Odds of a phase that another one surpasses by this many standard deviations are 0.
FAR = 30.0
# Noise moves labels by at most this part of what it moves them by if it comes once
# more, as the difference of two phases is seldom within its reach, and oftener within
# that of twice the noise: by 0.35 to 0.4 of it in simulated maps of 5 and 293 counts.
FIRST_NOISE = 0.5


@dataclass(frozen=True, eq=False, repr=False)
class PhaseFractions(ShownTable):
    """Labels of pixels, and how much of the map is which phase.

    Parameters
    ----------
    names
        Of the phases.
    labels
        Number of the phase of each pixel, `NO_PHASE` where there is none, of the shape
        of the map.
    probability
        That the phase with the most counts is the right one, of the same shape; NaN in
        pixels that were left out or have no counts.
    area, area_error
        Percent of the pixels with counts in which each phase has the most counts, as
        `phase_fractions` counts them, whether they are labelled or not; and the
        standard error.
    counts, counts_error
        Percent of the counts that each phase has, and the standard error.
    n_uncertain, n_left_out
        Numbers of pixels that are not labelled: because their phase is uncertain, and
        because they have too few counts or were left out.
    """

    names: tuple[str, ...]
    labels: np.ndarray
    probability: np.ndarray
    area: np.ndarray
    area_error: np.ndarray
    counts: np.ndarray
    counts_error: np.ndarray
    n_uncertain: int
    n_left_out: int

    header = ("phase", "area (%)", "±", "counts (%)", "±", "pixels")

    @property
    def n_pixels(self) -> np.ndarray:
        """Number of pixels with the label of each phase."""
        labelled = self.labels[self.labels >= 0]
        return np.bincount(labelled, minlength=len(self.names))

    def rows(self) -> list[tuple[str, ...]]:
        """Return the lines of the table as text."""
        columns = (self.area, self.area_error, self.counts, self.counts_error)
        numbers = ([f"{x:.2f}" for x in column] for column in columns)
        pixels = map(str, self.n_pixels.tolist())
        return list(zip(self.names, *numbers, pixels, strict=True))

    def footer(self) -> list[str]:
        """Say how many pixels have no label."""
        return [
            f"Without a label: {self.n_uncertain} uncertain pixels, and "
            f"{self.n_left_out} left out or of too few counts."
        ]

    def to_dataframe(self) -> pandas.DataFrame:
        """Return the fractions as a table of pandas.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        columns = ("phase", "area", "area_error", "counts", "counts_error", "pixels")
        numbers = (self.area, self.area_error, self.counts, self.counts_error)
        rows = list(zip(self.names, *numbers, self.n_pixels, strict=True))
        return data_frame(rows, columns)


def phase_fractions(
    analysis: PhaseAnalysis,
    data: Array,
    loadings: np.ndarray,
    threshold: float = THRESHOLD,
    min_counts: float = 0.0,
) -> PhaseFractions:
    """Label pixels by the phase that has the most counts there.

    Labels are those of the maps as they are. Smooth maps round off what is thin, so
    fractions of the area count the pixels again, each by its own counts.

    Parameters
    ----------
    analysis
        Result of a decomposition.
    data
        Counts, shape (*navigation, n_channels).
    loadings
        Shape (n_pixels, n_phases), NaN in pixels left out.
    threshold
        Least probability of a label.
    min_counts
        Pixels of fewer counts have none.

    Raises
    ------
    ValueError
        If ``threshold`` is no probability or ``min_counts`` is negative.
    RuntimeError
        If the data are not those that were decomposed.

    Notes
    -----
    Pixels are counted in two ways: by the probabilities of the maps as they are, and by
    the phases that lead in maps fitted without smoothness, for the same spectra. The
    difference D is what smoothness does to the first; noise does N to the second, found
    from what it does if it comes once more. Both are biases, and the weight of the
    second way is |D|^2 / (|D|^2 + |N|^2). The error holds how far that moves the area,
    and what is left of N.
    """
    check_number("threshold", threshold, 0, 1)
    check_number("min_counts", min_counts, 0)
    navigation = data.shape[:-1] or (1,)
    counts = loadings * np.nansum(analysis.spectra, axis=0)
    total = np.nan_to_num(counts.sum(axis=1))
    noise = _Noise.of(analysis, data, loadings, counts)
    known = ~np.isnan(counts).any(axis=1) & (total > 0)
    leads = _Leads.of(counts[known], noise.smoothed[:, known])
    probable = np.full(total.size, np.nan)
    probable[known] = leads.probable.max(axis=1)
    enough = known & (total >= min_counts)
    sure = enough & (np.nan_to_num(probable) >= threshold)
    labels = np.where(sure, np.nan_to_num(counts).argmax(axis=1), NO_PHASE)
    spectra = _errors_of_spectra(analysis, np.nansum(counts, axis=0))
    share, share_variance = _shares(counts[known], noise.of_shares, spectra)
    area_variance = leads.variance(noise.cluster[known], counts[known], spectra)
    n = max(int(known.sum()), 1)
    area = leads.probable.sum(axis=0)
    if analysis.smoothness.any():
        own = _without_neighbours(analysis, data, loadings)[known]
        moved, left = _recounted(own, noise.alone[:, known], leads.probable)
        area, area_variance = area + moved, area_variance + moved**2 + left**2
    return PhaseFractions(
        tuple(analysis.labels),
        labels.reshape(navigation),
        probable.reshape(navigation),
        100 * area / n,
        100 * np.sqrt(area_variance) / n,
        share,
        np.sqrt(share_variance),
        int((enough & ~sure).sum()),
        int((~enough).sum()),
    )


def _without_neighbours(
    analysis: PhaseAnalysis, data: Array, loadings: np.ndarray
) -> np.ndarray:
    """Return counts of the phases in pixels whose neighbours say nothing of them.

    Arguments are those of `phase_fractions`; shape (n_pixels, n_phases), NaN in pixels
    left out.
    """
    used, counts = own_counts(analysis, data, loadings)
    support = analysis.knowledge.support
    problem = Problem(
        counts.n_channels,
        loadings.shape[1],
        simplex=None,
        support=None if support is None else support[used],
        penalties=Penalties(analysis.sparsity),
    )
    spectra = np.ascontiguousarray(analysis.spectra[analysis.channels])
    found = np.full(loadings.shape, np.nan)
    found[used] = fit_loadings(counts, problem, spectra, mean_counts=counts.mean_counts)
    return found * np.nansum(analysis.spectra, axis=0)


def _recounted(
    own: np.ndarray, spread: np.ndarray, smooth: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return how many more pixels each phase leads than smooth maps say, and a bias.

    Parameters
    ----------
    own, spread
        Counts without neighbours, (n_pixels, n_phases), and errors of differences.
    smooth
        Probabilities of the smooth maps, (n_pixels, n_phases).

    Returns
    -------
    moved, left
        Numbers of pixels, (n_phases,): to be added, and what noise is in them.
    """
    # where nothing was counted the neighbours alone know
    counted = own.sum(axis=1) > 0
    own, spread, smooth = own[counted], spread[:, counted], smooth[counted]
    led = np.bincount(own.argmax(axis=1), minlength=own.shape[1])
    moved = led - smooth.sum(axis=0)
    noise = FIRST_NOISE * (_Leads.of(own, spread).probable.sum(axis=0) - led)
    weight = (moved**2).sum() / max((moved**2 + noise**2).sum(), 1e-300)
    return weight * moved, weight * noise


def outlines(inside: np.ndarray) -> np.ndarray:
    """Return the sides of pixels that separate a region from what is beside it.

    Parameters
    ----------
    inside
        Boolean image, (n_rows, n_columns).

    Returns
    -------
    numpy.ndarray
        Two points (x, y) for each side, in pixels from the centre of the first one,
        shape (n_sides, 2, 2).
    """
    padded = np.pad(inside, 1)
    row, column = np.nonzero(padded[:, 1:] != padded[:, :-1])
    across = np.stack([column, row - 1.0, column, row], axis=1)
    row, column = np.nonzero(padded[1:] != padded[:-1])
    along = np.stack([column - 1.0, row, column, row], axis=1)
    return np.concatenate([across, along]).reshape(-1, 2, 2) - 0.5


class _Noise(NamedTuple):
    """What the noise of the counts does to the pixels, the phases being known.

    Attributes
    ----------
    smoothed, alone
        Standard deviation of the difference of each pair of phases, counts, shape
        (n_pairs, n_pixels): as the maps are, and if neighbours did not help.
    cluster
        How many pixels err together as their map is smooth, shape (n_pixels,).
    of_shares
        Variance of the share of each phase in all counts, shape (n_phases,).
    """

    smoothed: np.ndarray
    alone: np.ndarray
    cluster: np.ndarray
    of_shares: np.ndarray

    @classmethod
    def of(
        cls,
        analysis: PhaseAnalysis,
        data: Array,
        loadings: np.ndarray,
        counts: np.ndarray,
    ) -> _Noise:
        """Propagate the noise of pixels to what is needed of them."""
        n_pixels, k = counts.shape
        one = np.diag(np.nansum(analysis.spectra, axis=0))
        pairs = [one[i] - one[j] for i, j in combinations(range(k), 2)]
        totals = np.nansum(counts, axis=0)
        whole = max(totals.sum(), 1e-300)
        shares = [
            (one[j] - totals[j] / whole * one.sum(axis=0)) / whole for j in range(k)
        ]
        wanted = np.array([*shares, *pairs])
        smooth, rough = (
            one.reshape(len(wanted), n_pixels)
            for one in pixel_variances(analysis, data, loadings, wanted)
        )
        wide = rough[k:].sum(axis=0) / np.maximum(smooth[k:].sum(axis=0), 1e-300)
        # smoothness moves counts from pixel to pixel, and their sum stays as it is
        of_shares = np.nansum(rough[:k], axis=1)
        smoothed, alone = np.sqrt(smooth[k:]), np.sqrt(rough[k:])
        return cls(smoothed, alone, np.maximum(wide, 1.0), of_shares)


class _Leads(NamedTuple):
    """How probable it is that each phase has the most counts of a pixel.

    The differences of two phases have a normal law; odds of more than two are those
    against the one that leads.

    Attributes
    ----------
    probable
        Shape (n_pixels, n_phases).
    slope
        Derivative of each probability by the counts of each phase, shape (n_pixels,
        n_phases, n_phases).
    """

    probable: np.ndarray
    slope: np.ndarray

    @classmethod
    def of(cls, counts: np.ndarray, spread: np.ndarray) -> _Leads:
        """Take counts, (n_pixels, n_phases), and errors of differences of pairs."""
        n, k = counts.shape
        lead = counts.argmax(axis=1)
        odds, steep = np.ones((n, k)), np.zeros((n, k))
        for pair, error in zip(combinations(range(k), 2), spread, strict=True):
            for one, other in (pair, pair[::-1]):
                behind = lead == one
                width = np.maximum(error[behind], 1e-300)
                gap = np.minimum(
                    (counts[behind, one] - counts[behind, other]) / width, FAR
                )
                ahead, density = ndtr(gap), np.exp(-(gap**2) / 2) / np.sqrt(2 * np.pi)
                odds[behind, other] = ndtr(-gap) / ahead
                steep[behind, other] = density / ahead**2 / width
        total = odds.sum(axis=1, keepdims=True)
        probable = odds / total
        # odds rise with the counts of their phase, and fall with those that lead
        moves = steep[:, :, None] * np.eye(k)
        moves[np.arange(n), :, lead] -= steep
        summed = moves.sum(axis=1)
        slope = moves - probable[:, :, None] * summed[:, None, :]
        slope /= total[..., None]
        return cls(probable, slope)

    def variance(
        self, cluster: np.ndarray, counts: np.ndarray, spectra: np.ndarray
    ) -> np.ndarray:
        """Return the variance of the number of pixels that each phase leads.

        Pixels err by themselves, or as many together as are smoothed over; and all
        together where the spectra of the phases are off.
        """
        p = self.probable
        alone = (p * (1 - p) * cluster[:, None]).sum(axis=0)
        moved = np.einsum("pia,pq->iaq", self.slope, counts)
        return alone + np.einsum("iaq,ibq,qab->i", moved, moved, spectra)


def _errors_of_spectra(analysis: PhaseAnalysis, totals: np.ndarray) -> np.ndarray:
    """Return how the errors of the phases' spectra move counts between phases.

    Parameters
    ----------
    analysis
        Result of a decomposition.
    totals
        Counts of each phase in the map, shape (n_phases,).

    Returns
    -------
    numpy.ndarray
        Shape (n_phases, n_phases, n_phases): covariance of the parts of a count of the
        first phase that others get, as the noise of the counts and the bias make W err.
    """
    used = analysis.channels
    sums = np.nansum(analysis.spectra, axis=0)
    spectra = analysis.spectra[used] / np.where(sums > 0, sums, 1.0)
    moved = np.zeros((len(sums),) * 3)
    for q, (G, w) in enumerate(zip(analysis.G, analysis.W.T, strict=True)):
        made = float((G[used] @ w).sum())
        if not (made > 0 and totals.any()):
            continue
        columns = G[used] / made
        # a spectrum keeps its sum: what it has more of, it has less of the rest
        changes = columns - spectra[:, [q]] * columns.sum(axis=0)
        response = fit_response(spectra @ totals, spectra, changes)
        bias = analysis.bias[:, q]
        known = analysis.covariance[q] + np.outer(bias, bias)
        moved[q] = response @ known @ response.T
    return moved


def _shares(
    counts: np.ndarray, noise: np.ndarray, spectra: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return percent of the counts of each phase, and the variance, percent squared."""
    totals = counts.sum(axis=0)
    percent, response = closed(np.eye(len(totals)), totals)
    moved = np.einsum("ia,q,qab,ib->i", response, totals**2, spectra, response)
    return percent, 1e4 * noise + moved
