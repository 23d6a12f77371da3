"""From counts and model to phases."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from numbers import Number

import numpy as np

from espm_hs.analysis.absorption import continued, settle_absorption, settle_phases
from espm_hs.analysis.checks import (
    check_binning,
    check_lines,
    check_size,
    check_strengths,
)
from espm_hs.analysis.inclusion import find_inclusion
from espm_hs.analysis.kept import read_counts
from espm_hs.analysis.knowledge import Knowledge
from espm_hs.analysis.known_phases import number_of_phases, read_known_phases
from espm_hs.analysis.overlap import accompanying, find_overlap, separate
from espm_hs.analysis.phases import PhaseAnalysis, fingerprint
from espm_hs.analysis.support import find_support
from espm_hs.factorization import (
    USUAL_SPARSITY,
    Bins,
    Factorization,
    Grid,
    Penalties,
    Problem,
    check_options,
    check_start,
    choose_smoothness,
    choose_sparsity,
    coarse_maps,
    composition_covariance,
    deviance_residuals,
    expected_deviance,
    factorize,
    fit_maps,
    mixing_ranges,
    off_zero,
    uptake,
    usual_binning,
)
from espm_hs.physics import SpectrumModel

# What maps of known phases share with the fit that found them.
MAP_OPTIONS = ("max_iter", "tol", "n_jobs")


def decompose(
    data,
    model: SpectrumModel,
    n_phases: int | None,
    *,
    pixels: np.ndarray | None = None,
    channels: np.ndarray | None = None,
    pixel_size: tuple[float, ...] | None = None,
    known_phases: Mapping | str | Knowledge | None = None,
    fixed_composition: Mapping | None = None,
    simplex: str | None = "elements",
    sparsity: float | str = 0.0,
    smoothness: float | str | Sequence[float] = 0.0,
    init: str | tuple = "nndsvd",
    binning: str | int = 1,
    callback: Callable[[int, float], None] | None = None,
    **options,
) -> PhaseAnalysis:
    """Find the phases of a map.

    Parameters
    ----------
    data
        Counts, shape (*navigation, n_channels): numpy, dask or sparse.
    model
        Physics over the same channels.
    n_phases
        Number of phases; None where ``known_phases`` says it.
    pixels, channels
        Boolean: the pixels, shape (prod(navigation),), and channels to use, None for
        all. Channels outside ``model.channels`` are never used.
    pixel_size
        Size of a pixel along each navigation axis, in one unit, for the smoothness;
        None: square.
    known_phases
        Phase number or name -> what is known of the phase, any of

        - "absent": list of elements that it does not have;
        - "composition": {element: atomic fraction}; what is missing to 1 belongs to
          the other elements;
        - "ratio": {"Fe/O": ratio of their atoms};
        - "spectrum": counts, shape (n_channels,), which the model is fitted to;
        - "map": boolean, shape (*navigation,), True where the phase may be.

        Names take the numbers that are left, in order. "elements" makes each element a
        component, and another one of the background. The constraints of another
        decomposition are taken as they are.
    fixed_composition
        Phase number -> {element: atomic fraction}: "composition" alone.
    sparsity
        As in `espm_hs.EspmNMF`; "auto" takes what predicts counts best that are set
        aside, see `espm_hs.factorization.choose_sparsity`.
    simplex, init
        As in `espm_hs.EspmNMF`. Where the start is a name, phases of whose spectrum
        nothing is known are freed from overlaps and support films, see
        `espm_hs.analysis.overlap` and `espm_hs.analysis.support`.
    smoothness
        As in `espm_hs.EspmNMF`, but of the maps alone: the phases are found without;
        "auto" takes what predicts counts best that are set aside, for each phase; or a
        number for each phase.
    binning
        Phases are found from the sums of ``binning`` pixels along each axis, and then
        mapped in full resolution; "auto" bins until there are some 300 counts.
    callback
        Called with the number of iterations and F now and then.
    **options
        ``solver``, ``n_init``, ``max_iter``, ``tol``, ``random_state``, ``n_jobs`` of
        `espm_hs.factorization.factorize`.

    Returns
    -------
    PhaseAnalysis
        The result; the best so far if the user interrupted the fit.

    Raises
    ------
    ValueError, TypeError
        If an argument makes no sense or the data are not counts.
    """
    navigation = data.shape[:-1] or (1,)
    used = model.channels if channels is None else model.channels & channels
    n_phases = number_of_phases(n_phases, known_phases, model)
    check_size(n_phases, navigation, pixels, used)
    check_lines(model, used)
    check_binning(binning, simplex)
    check_strengths(sparsity=sparsity, smoothness=smoothness)
    known = read_known_phases(
        known_phases,
        fixed_composition,
        model,
        n_phases,
        navigation=navigation,
        pixels=pixels,
        channels=used,
    )
    strength = USUAL_SPARSITY if sparsity == "auto" else sparsity
    if not isinstance(smoothness, str | Number):
        smoothness = tuple(smoothness)
    # everything but the data is checked before the data are read
    problem = Problem(
        int(used.sum()),
        n_phases,
        G=model.G[used],
        simplex=simplex,
        simplex_rows=model.element_columns,
        **known.constraints(pixels),
        penalties=Penalties(strength, 0.0 if smoothness == "auto" else smoothness),
        grid=Grid.from_shape(navigation, pixels, pixel_size),
    )
    check_options(**options)
    n_pixels = int(np.prod(navigation) if pixels is None else pixels.sum())
    check_start(init, problem, n_pixels)
    counts = read_counts(data, pixels, used)
    if counts.n_nonzeros == 0:
        raise ValueError(
            "All counts in the chosen pixels and channels are zero: there is nothing "
            "to decompose. Check `navigation_mask`, `signal_mask` and the data."
        )
    if binning == "auto":
        in_counts = simplex != "abundances"
        binning = usual_binning(counts, navigation) if in_counts else 1
    bins = Bins.from_shape(navigation, binning, pixels)
    if binning > 1 and not isinstance(init, str) and init[1] is not None:
        init = (init[0], bins.sum(init[1]))
    if known.single_elements:
        options["n_init"] = 1  # all starts are the same
    support = problem.support
    if support is not None and binning > 1:
        support = bins.sum(support) > 0  # a bin may hold what any of its pixels may
    fit = _Fit(
        bins.merge(counts) if binning > 1 else counts,
        Grid.from_shape(bins.shape, bins.used),
        # smooth maps are better maps, but what they leave over goes into the spectra
        replace(problem, penalties=Penalties(strength), support=support),
        model,
        used,
        known,
        options | {"callback": callback},
    )
    found, errors = fit.run(init, choose=sparsity == "auto")
    strength = fit.problem.penalties.sparsity
    penalties = replace(problem.penalties, sparsity=strength)
    problem = replace(problem, G=fit.problem.G, penalties=penalties)
    # of the phases, before noise and smoothness of single pixels move their totals
    misfit = _misfit(counts, problem.spectra(found.W) @ found.H.sum(axis=0), model)
    if binning > 1 or smoothness != 0:
        found, problem = _on_pixels(
            counts, problem, found, bins, smoothness, fit.options
        )
    analysis = _analysis(fit, problem, counts, found, errors, misfit, pixels, binning)
    if analysis.interrupted:
        warnings.warn(
            f"The fit was interrupted after {found.n_iter} iterations; the best "
            "result so far is kept.",
            UserWarning,
            stacklevel=3,
        )
    return analysis


class _Fit:
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
            self.problem = replace(self.problem, penalties=Penalties(strength))
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


def _on_pixels(counts, problem, found, bins, smoothness, options):
    """Return the phases that were found with their maps in full resolution.

    The problem that comes with them has the smoothness that was chosen.
    """
    start = problem.allowed(bins.spread(found.H, counts.edges))
    # what an interruption leaves is as it was found, and not made smooth
    rough = replace(problem, penalties=replace(problem.penalties, smoothness=0.0))
    if found.interrupted:
        return replace(found, H=start), rough
    # what one bin paid for holding several phases is shared by its pixels
    sparsity = problem.penalties.sparsity * bins.n_bins / counts.n_pixels
    problem = replace(problem, penalties=replace(problem.penalties, sparsity=sparsity))
    start = problem.allowed(off_zero(start))
    common = {name: options[name] for name in MAP_OPTIONS if name in options}
    try:
        if smoothness == "auto":
            seed = options.get("random_state")
            strength = choose_smoothness(
                counts,
                problem,
                found.W,
                start=start,
                random_state=seed,
                n_jobs=options.get("n_jobs"),
            )
            penalties = replace(problem.penalties, smoothness=strength)
            problem = replace(problem, penalties=penalties)
        start = coarse_maps(counts, problem, found.W, start, **common)
        H, objective = fit_maps(
            counts,
            problem,
            found.W,
            start=start,
            totals=found.H.sum(axis=0) if problem.simplex != "abundances" else None,
            callback=options.get("callback"),
            **common,
        )
    except KeyboardInterrupt:
        return replace(found, H=start, interrupted=True), rough
    return replace(found, H=H, objective=objective), problem


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


def _misfit(counts, mean, model) -> float:
    """Deviance of the summed spectrum over its expectation."""
    mean = mean + 1e-9
    residuals = deviance_residuals(counts.spectrum, mean)
    # channels of few counts deviate by less than 1 each
    expected = max(1.0, expected_deviance(mean) - len(model.columns))
    return float((residuals**2).sum() / expected)


def _analysis(fit, problem, counts, found, errors, misfit, pixels, binning):
    """Return the result in user units, over the whole map and energy axis."""
    model, used = fit.model, fit.channels
    D = problem.spectra(found.W)
    in_counts = problem.simplex != "abundances"
    scale = D.sum(axis=0) if in_counts else np.ones(found.W.shape[1])
    scale = np.maximum(scale, np.finfo(float).tiny)
    spectra = np.full((used.size, found.W.shape[1]), np.nan)
    spectra[used] = D / scale
    loadings = np.asarray(found.H * scale)
    if pixels is not None:
        everywhere = np.full((pixels.size, loadings.shape[1]), np.nan)
        everywhere[pixels] = loadings
        loadings = everywhere
    covariance, pull, mixing, stopped = errors
    fractions = found.W[model.element_columns].sum(axis=0)
    return PhaseAnalysis(
        model=model,
        knowledge=fit.known,
        W=found.W,
        covariance=covariance,
        pull=pull,
        spectra=spectra,
        loadings=loadings,
        atoms=fractions / scale,
        channels=used,
        fingerprint=fingerprint(counts),
        objective=found.objective,
        misfit=misfit,
        history=found.history,
        n_iter=found.n_iter,
        converged=found.converged,
        interrupted=found.interrupted or stopped,
        n_starts=len(found.objectives),
        n_agreeing=found.n_agreeing,
        binning=binning,
        sparsity=fit.problem.penalties.sparsity,
        smoothness=problem.penalties.strengths(problem.n_components),
        mixing=mixing,
    )
