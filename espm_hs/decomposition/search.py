"""The search for phases: a fit, and what is taken out of phases until it is right."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from espm_hs.decomposition.inclusion import find_inclusion
from espm_hs.decomposition.self_consistency import (
    continued,
    settle_absorption,
    settle_phases,
)
from espm_hs.decomposition.separation import accompanying, find_overlap, separate
from espm_hs.decomposition.support import find_support
from espm_hs.factorization import (
    Factorization,
    Problem,
    Sparsity,
    choose_sparsity,
    composition_covariance,
    factorize,
    mixing_ranges,
    uptake,
)


class PhaseSearch:
    """Finds phases; ``problem`` and ``model`` follow what is found."""

    def __init__(self, counts, grid, problem, model, channels, known, options):
        self.counts, self.grid, self.problem = counts, grid, problem
        self.model, self.channels, self.known = model, channels, known
        self.options = options

    def run(self, init, choose=False):
        """Return the factorisation, and what is known of its errors.

        ``choose`` the sparsity first.
        """
        if self.model.mass_thickness:
            self.model = settle_absorption(
                self.model, self.counts.spectrum, self.channels
            )
            self.problem = replace(self.problem, G=self.model.G[self.channels])
        if choose:
            names = ("n_init", "random_state", "n_jobs")
            options = {n: self.options[n] for n in names if n in self.options}
            strength = choose_sparsity(self.counts, self.problem, **options)
            penalties = self.problem.penalties.with_(Sparsity(strength))
            self.problem = replace(self.problem, penalties=penalties)
        found = factorize(self.counts, self.problem, init=init, **self.options)
        found = self._settled(found)
        named = isinstance(init, str)
        if named:
            unknown = self.known.free & ~self.known.located
            found, self.problem = _largest_first(found, self.problem, unknown)
        errors = self._errors(found)
        if named:
            found, errors = self._separated(found, errors)
        return found, self._with_mixing(found, *errors)

    def _separated(self, found, errors):
        """Take phases out of others for as long as some are found in others."""
        rows, k = self.model.element_columns, self.problem.n_components
        in_counts = self.problem.simplex != "abundances"
        # what is known not to be in a phase, and still is everywhere with it
        counts = self.problem.spectra(found.W).sum(axis=0) * found.H
        hosts = accompanying(counts, ~self.known.free)
        for n in range(k * (k - 1) if in_counts else 0):
            if found.interrupted:
                break
            overlaps = self._overlaps(found, errors, hosts, with_films=n == 0)
            hosts |= {overlap.other for overlap in overlaps}
            try:
                overlaps = overlaps or self._inclusions(found, errors)
            except KeyboardInterrupt:
                return replace(found, interrupted=True), errors
            if not overlaps:
                break
            start = found.W, found.H
            for overlap in overlaps:
                start = separate(*start, overlap, rows)
            again = factorize(
                self.counts, self.problem, init=start, **self.options | {"n_init": 1}
            )
            found = continued(found, self._settled(again))
            errors = self._errors(found)
        return found, errors

    def _overlaps(self, found, errors, hosts, with_films):
        """Return what to take out of phases next: a film, or the surest overlap."""
        rows = self.model.element_columns
        apart = self.known.apart(rows)
        if with_films:
            columns = dict(zip(self.model.elements, np.flatnonzero(rows), strict=True))
            films = find_support(found.W, found.H, columns, self.grid)
            films = [film for film in films if apart[film.phase, film.other]]
            if films:
                return films
        overlap = find_overlap(found.W, errors[0], rows, hosts, apart)
        return [] if overlap is None else [overlap]

    def _inclusions(self, found, errors):
        """Return what to take out of a phase that the counts see nowhere alone."""
        rows, n_jobs = self.model.element_columns, self.options.get("n_jobs")
        allowed = self.known.apart(rows) & self.known.free[:, None]

        def taken_up(pairs):
            fit = self.counts, self.problem, found.W, found.H
            return uptake(*fit, pairs, n_jobs=n_jobs)

        overlap = find_inclusion(found.W, errors[0], rows, allowed, taken_up)
        return [] if overlap is None else [overlap]

    def _settled(self, found):
        if not self.model.mass_thickness or self.known.single_elements:
            return found
        found, self.problem = settle_phases(
            self.counts, self.problem, found, self.model, self.channels, **self.options
        )
        return found

    def _errors(self, found):
        """Covariance of W, pull on it, and whether the user did not want to wait."""
        n_jobs = self.options.get("n_jobs")
        try:
            errors = composition_covariance(
                self.counts, self.problem, found.W, found.H, n_jobs=n_jobs
            )
            return *errors, False
        except KeyboardInterrupt:
            n_columns, k = found.W.shape
            unknown = np.full((k, n_columns, n_columns), np.nan)
            return unknown, np.full_like(found.W, np.nan), True

    def _with_mixing(self, found, covariance, pull, stopped):
        """Errors, how far the phases may be mixed, and whether the user stopped."""
        mixing, elements = None, self.known.single_elements
        if not (
            elements or stopped or found.interrupted or self.problem.n_components == 1
        ):
            n_jobs = self.options.get("n_jobs")
            try:
                mixing = mixing_ranges(
                    self.counts, self.problem, found.W, found.H, n_jobs=n_jobs
                )
            except KeyboardInterrupt:
                stopped = True
        return covariance, pull, mixing, stopped


def _largest_first(
    found: Factorization, problem: Problem, unknown: np.ndarray
) -> tuple[Factorization, Problem]:
    """Sort phases, each with its G, by the counts that belong to them.

    Those of which something is known keep their number.
    """
    share = problem.spectra(found.W).sum(axis=0) * found.H.sum(axis=0)
    order, places = np.arange(share.size), np.flatnonzero(unknown)
    order[places] = places[np.argsort(-share[places], kind="stable")]
    if problem.G.ndim == 3:
        problem = replace(problem, G=problem.G[order])
    W, H = (array[:, order].copy() for array in (found.W, found.H))
    return replace(found, W=W, H=H), problem
