"""From counts and model to phases."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from numbers import Number

import numpy as np

from espm_hs.decomposition.checks import (
    check_binning,
    check_lines,
    check_size,
    check_strengths,
)
from espm_hs.decomposition.constraints import Knowledge
from espm_hs.decomposition.prior_knowledge import number_of_phases, read_known_phases
from espm_hs.decomposition.result import PhaseAnalysis, fingerprint
from espm_hs.decomposition.search import PhaseSearch
from espm_hs.factorization import (
    USUAL_SPARSITY,
    Bins,
    Grid,
    Penalties,
    Problem,
    check_options,
    check_start,
    choose_smoothness,
    coarse_maps,
    deviance_residuals,
    expected_deviance,
    fit_maps,
    off_zero,
    usual_binning,
)
from espm_hs.factorization.counts.reading import read_counts
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
        `espm_hs.decomposition.separation` and `espm_hs.decomposition.support`.
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
    check_strengths(sparsity, smoothness)
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
    if known.single_elements:
        options["n_init"] = 1  # all starts are the same
    fit = PhaseSearch(
        *_in_bins(counts, problem, bins, binning),
        model,
        used,
        known,
        options | {"callback": callback},
    )
    if binning > 1 and not isinstance(init, str) and init[1] is not None:
        init = (init[0], bins.sum(init[1]))
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


def _in_bins(counts, problem, bins, binning):
    """Return what phases are found from: counts, their neighbours and the problem."""
    support = problem.support
    if binning > 1:
        counts = bins.merge(counts)
        # a bin may hold what any of its pixels may
        support = None if support is None else bins.sum(support) > 0
    # smooth maps are better maps, but what they leave over goes into the spectra
    penalties = problem.penalties.separable()
    found_from = replace(problem, penalties=penalties, support=support)
    return counts, Grid.from_shape(bins.shape, bins.used), found_from


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
