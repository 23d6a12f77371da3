"""Composition of regions, and how much of each phase they hold.

A region is quantified in one of two ways: its summed spectrum is fitted by itself, as
`espm_hs.decomposition.regions` does, or it is made of the phases of the map in the
proportion that their maps have there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from espm_hs.decomposition.result import PhaseAnalysis
from espm_hs.factorization.counts.reading import kept_counts
from espm_hs.quantification.percent_with_errors import (
    ATOMIC,
    LARGEST_ERROR,
    Basis,
    atoms_per_loading,
    closed,
    not_found,
    propagated,
    to_percent,
)
from espm_hs.quantification.pixels import Array
from espm_hs.quantification.report import Entry, Report, report, total_covariance

#: A spectrum by itself, or the phases of the map.
FITS = ("spectrum", "phases")


class Regions(NamedTuple):
    """Which pixels regions hold; they may overlap.

    Attributes
    ----------
    number
        Group of each pixel, -1 where there is none, shape (n_pixels,): pixels that
        belong to the same regions go together.
    members
        Boolean, shape (n_groups, n_regions): regions that a group belongs to.
    """

    number: np.ndarray
    members: np.ndarray

    @classmethod
    def of(cls, inside: np.ndarray) -> Regions:
        """Return regions of boolean images, shape (n_pixels, n_regions)."""
        used = inside.any(axis=1)
        members, group = np.unique(inside[used], axis=0, return_inverse=True)
        number = np.full(used.size, -1)
        number[used] = group.ravel()
        return cls(number, members)

    @property
    def used(self) -> np.ndarray:
        """Pixels of any region, boolean, shape (n_pixels,)."""
        return self.number >= 0

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Add up values of pixels, (n_pixels, n), in each region: (n_regions, n)."""
        number, n = self.number[self.used], len(self.members)
        columns = values[self.used].T
        of_groups = np.stack([np.bincount(number, x, n) for x in columns], axis=1)
        return self.members.T.astype(float) @ of_groups

    def spectra(
        self, data: Array, channels: np.ndarray, fitted: np.ndarray | None = None
    ) -> np.ndarray:
        """Add up the spectra of each region; the map is read once.

        Parameters
        ----------
        data
            Counts, shape (*navigation, n_channels).
        channels
            Boolean, shape (n_channels,): those to add up.
        fitted
            Pixels that were decomposed, shape (n_pixels,): the counts of a lazy map
            were kept there.

        Returns
        -------
        numpy.ndarray
            Shape (n_regions, n_channels), 0 in other channels.
        """
        pixels = self.used
        if (
            fitted is not None
            and hasattr(data, "dask")
            and not (pixels & ~fitted).any()
        ):
            pixels = fitted
        n = len(self.members)
        number = np.where(self.used, self.number, n)[pixels]
        sums = kept_counts(data, pixels, channels).spectra_of(number, n + 1)
        spectra = np.zeros((self.members.shape[1], channels.size))
        spectra[:, channels] = self.members.T.astype(float) @ sums[:n]
        return spectra


def along_line(
    centres: np.ndarray, start: np.ndarray, end: np.ndarray, width: float, step: float
) -> tuple[Regions, np.ndarray]:
    """Divide the pixels beside a line into regions, one for each step along it.

    Parameters
    ----------
    centres
        Of the pixels, shape (n_pixels, n_axes), n_axes being 1 or 2.
    start, end
        Of the line, shape (n_axes,), in the same unit.
    width
        Across the line: pixels up to half of it away belong to it.
    step
        Length of a region along the line.

    Returns
    -------
    regions
        Each pixel belongs to the step that its centre is nearest to.
    distance
        Of the middle of each region from the start, shape (n_regions,).
    """
    length = float(np.linalg.norm(end - start))
    direction = (end - start) / length
    away = centres - start
    along = away @ direction
    across = np.linalg.norm(away - along[:, None] * direction, axis=1)
    n = int(length / step * (1 + 1e-9)) + 1
    number = np.floor(along / step + 0.5)
    inside = (across <= width / 2 * (1 + 1e-9)) & (number >= 0) & (number < n)
    number = np.where(inside, number, -1).astype(int)
    regions = Regions(number, np.eye(n, dtype=bool))
    return regions, step * np.arange(n)


class Totals(NamedTuple):
    """Loadings of regions.

    Attributes
    ----------
    loadings
        Sums over the pixels of each region, shape (n_regions, n_phases).
    atoms
        Of how many `PhaseAnalysis.atoms` a loading consists there on average, as a
        multiple, the same shape; 1 where a phase absorbs in one way everywhere.
    """

    loadings: np.ndarray
    atoms: np.ndarray

    @classmethod
    def of(
        cls, analysis: PhaseAnalysis, loadings: np.ndarray, regions: Regions
    ) -> Totals:
        """Add up loadings, shape (n_pixels, n_phases), NaN where there are none."""
        known = np.nan_to_num(loadings)
        totals = regions.sums(known)
        multiples = analysis.atoms_of_pixels(slice(None))
        if multiples is None:
            return cls(totals, np.ones_like(totals))
        atoms = regions.sums(known * multiples)
        return cls(totals, np.where(totals > 0, atoms / np.maximum(totals, 1e-300), 1))


def of_phases(
    analysis: PhaseAnalysis, basis: Basis, covariance: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the composition of the phases and its covariance.

    Parameters
    ----------
    analysis
        Result of a decomposition.
    basis
        What makes up 100 %.
    covariance
        Of `PhaseAnalysis.composition`; None: all its errors.

    Returns
    -------
    percent
        Shape (n_phases, n_elements); NaN where there is nothing.
    covariance
        Shape (n_phases, n_elements, n_elements).
    """
    covariance = total_covariance(analysis) if covariance is None else covariance
    _, per_atom = basis.of(analysis.elements)
    percent, response = closed(per_atom, analysis.composition.T)
    percent[not_found(analysis, per_atom)] = np.nan
    return percent, response @ covariance @ response.transpose(0, 2, 1)


def of_regions(
    analysis: PhaseAnalysis,
    basis: Basis,
    totals: Totals | np.ndarray,
    covariance: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the composition of sums of pixels and its covariance.

    Phases have errors in common, such as those of atomic data. Whatever their
    correlation is, the covariance of a mean is not above the mean of the covariances,
    which is taken. The noise of the loadings is added.

    Parameters
    ----------
    analysis, basis, covariance
        As in `of_phases`.
    totals
        Of the loadings of each region; an array holds sums of loadings alone.

    Returns
    -------
    percent, covariance
        As from `of_phases`, with regions in the place of phases.
    """
    if not isinstance(totals, Totals):
        totals = Totals(totals, np.ones_like(totals))
    of_each = np.nan_to_num(of_phases(analysis, basis, covariance)[1])
    _, per_atom = basis.of(analysis.elements)
    per_loading = per_atom @ atoms_per_loading(analysis)
    per_loading[:, not_found(analysis, per_atom)] = 0.0
    percent, response = closed(per_loading, totals.loadings * totals.atoms)
    atoms = totals.loadings * totals.atoms * per_loading.sum(axis=0)
    shares = atoms / np.maximum(atoms.sum(axis=1, keepdims=True), 1e-300)
    spread = np.einsum("rj,jkl->rkl", shares, of_each)
    response = response * totals.atoms[:, None, :]
    noise = noise_of_totals(analysis, totals.loadings)
    return percent, spread + response @ noise @ response.transpose(0, 2, 1)


def noise_of_totals(analysis: PhaseAnalysis, totals: np.ndarray) -> np.ndarray:
    """Return the covariance of sums of loadings, the phases being known.

    Parameters
    ----------
    analysis
        Result of a decomposition.
    totals
        Shape (n_regions, n_phases).

    Returns
    -------
    numpy.ndarray
        Shape (n_regions, n_phases, n_phases): the inverse information of the summed
        spectrum; 0 where there is nothing.
    """
    spectra = analysis.spectra[analysis.channels]
    noise = np.zeros((*totals.shape, totals.shape[1]))
    for one, total in zip(noise, totals, strict=True):
        mean = spectra @ total
        seen = mean > 0
        if seen.any():
            weighted = spectra[seen] / np.sqrt(mean[seen, None])
            one += np.linalg.pinv(weighted.T @ weighted)
    return noise


def composition_of_phases_in_regions(
    analysis: PhaseAnalysis, totals: Totals, basis: Basis = ATOMIC
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Return what regions consist of by the phases that they hold.

    Returns
    -------
    elements
        Symbols.
    percent, variance
        In percent and percent squared, shape (n_elements, n_regions); the variance is
        that of the counts and of the bias, as in `to_percent`.
    """
    symbols, _ = basis.of(analysis.elements)
    covariance = analysis.composition_covariance
    percent, spread = of_regions(analysis, basis, totals, covariance)
    variance = np.einsum("rkk->rk", spread)
    variance = np.minimum(variance, LARGEST_ERROR**2)
    return symbols, percent.T, np.where(np.isnan(percent), np.nan, variance).T


def composition_of_spectra(
    analyses: Sequence[PhaseAnalysis | None], elements: Sequence[str], basis: Basis
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Return what regions consist of by the fit of each one's summed spectrum.

    Parameters
    ----------
    analyses
        As `fit_regions` returns them; NaN where there is none.
    elements
        Those of the model.
    basis
        What makes up 100 %.

    Returns
    -------
    elements, percent, variance
        As from `composition_of_phases_in_regions`.
    """
    symbols, _ = basis.of(elements)
    percent = np.full((2, len(symbols), len(analyses)), np.nan)
    for i, one in enumerate(analyses):
        if one is not None:
            _, values, variances = to_percent(one, basis)
            percent[:, :, i] = values[:, 0], variances[:, 0]
    return symbols, percent[0], percent[1]


def shares_of_phases(
    analysis: PhaseAnalysis, totals: Totals
) -> tuple[np.ndarray, np.ndarray]:
    """Return which part of the counts of regions is that of each phase.

    Parameters
    ----------
    analysis
        Result of a decomposition.
    totals
        Of the loadings of each region.

    Returns
    -------
    percent, variance
        In percent and percent squared, shape (n_phases, n_regions), NaN where there are
        no counts. The variance is that of the counts, for phases taken as known.
    """
    counts = np.diag(np.nansum(analysis.spectra, axis=0))
    percent, response = closed(counts, totals.loadings)
    variance = propagated(response, noise_of_totals(analysis, totals.loadings))
    return percent.T, np.minimum(variance, LARGEST_ERROR**2).T


def report_of_regions(
    analyses: Sequence[PhaseAnalysis | None],
    names: Sequence[str],
    basis: Basis = ATOMIC,
    errors: Mapping[str, float] | None = None,
    remarks: Sequence[str] = (),
) -> Report:
    """Compose one report of regions, each of which was fitted by itself.

    Parameters
    ----------
    analyses, names
        As `fit_regions` returns and takes them.
    basis, errors, remarks
        As in `espm_hs.quantification.report.report`.

    Returns
    -------
    Report
        Its deviance ratio is the largest of all.

    Raises
    ------
    ValueError
        If no region has counts.
    """
    parts = {
        i: report(one, basis, errors)
        for i, one in enumerate(analyses)
        if one is not None
    }
    if not parts:
        raise ValueError(
            f"There are no counts in {', '.join(names)}. Give other regions: "
            "`s.print_quantification(roi=...)`."
        )
    any_ = next(iter(parts.values()))
    elements = [entry.element for entry in any_.entries]
    entries = [
        entry._replace(phase=i)
        for i in range(len(analyses))
        for entry in (
            parts[i].entries
            if i in parts
            else [Entry.nothing(i, element) for element in elements]
        )
    ]
    said = dict.fromkeys(line for one in parts.values() for line in one.remarks)
    empty = [i for i in range(len(analyses)) if i not in parts or parts[i].empty]
    return replace(
        any_,
        entries=tuple(entries),
        misfit=max(one.misfit for one in parts.values()),
        names=tuple(names),
        remarks=(*remarks, *said),
        empty=tuple(empty),
    )
