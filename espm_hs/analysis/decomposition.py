"""From counts and model to phases."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from numbers import Real

import numpy as np

from espm_hs.analysis.phases import PhaseAnalysis, fingerprint, phase_matrices
from espm_hs.factorization import (
    Counts,
    Factorization,
    Grid,
    Penalties,
    Problem,
    composition_covariance,
    deviance_residuals,
    expected_deviance,
    factorize,
    fit_spectrum,
)
from espm_hs.physics import SpectrumModel

# The composition that absorbs is iterated until no fraction moves by more.
SETTLED = 1e-3
MAX_ABSORPTION_ROUNDS = 20
# Iterations of a fit, when nothing else is said.
MAX_ITER = 1000
# An element can be quantified if this share of its counts is in channels in use.
MIN_SHARE = 0.01


def decompose(
    data,
    model: SpectrumModel,
    n_phases: int,
    *,
    pixels: np.ndarray | None = None,
    channels: np.ndarray | None = None,
    pixel_size: tuple[float, ...] | None = None,
    fixed_composition: Mapping | None = None,
    simplex: str | None = "elements",
    sparsity: float = 0.0,
    smoothness: float = 0.0,
    init: str | tuple = "nndsvd",
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
        Number of phases.
    pixels, channels
        Boolean: the pixels, shape (prod(navigation),), and channels to use, None for
        all. Channels outside ``model.channels`` are never used.
    pixel_size
        Size of a pixel along each navigation axis, in one unit, for the smoothness;
        None: square.
    fixed_composition
        Phase number -> {element: atomic fraction}.
    simplex, sparsity, smoothness, init
        As in `espm_hs.EspmNMF`.
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
    _check_size(n_phases, navigation, pixels, used)
    _check_lines(model, used)
    fixed = _fixed_entries(fixed_composition, model, n_phases)
    penalties = Penalties(sparsity, smoothness)

    # everything but the data is checked before the data are read
    problem = Problem(
        int(used.sum()),
        n_phases,
        G=model.G[used],
        simplex=simplex,
        simplex_rows=model.element_columns,
        fixed=fixed,
        penalties=penalties,
        grid=Grid.from_shape(navigation, pixels, pixel_size)
        if smoothness > 0
        else None,
    )
    counts = Counts.from_array(data, pixels=pixels, channels=used)
    if counts.n_nonzeros == 0:
        raise ValueError(
            "All counts in the chosen pixels and channels are zero: there is nothing "
            "to decompose. Check `navigation_mask`, `signal_mask` and the data."
        )
    if model.mass_thickness:
        model = settle_absorption(model, counts.spectrum, used)
        problem = replace(problem, G=model.G[used])
    found = factorize(counts, problem, init=init, callback=callback, **options)
    if model.mass_thickness:
        found, problem = _settle_phases(
            counts, problem, found, model, used, callback=callback, **options
        )
    if fixed is None and isinstance(init, str):
        found = _largest_first(found, problem)
    errors = _errors(counts, problem, found, options.get("n_jobs"))
    analysis = _analysis(
        model, problem, counts, found, errors, used, pixels, navigation
    )
    if analysis.interrupted:
        warnings.warn(
            f"The fit was interrupted after {found.n_iter} iterations; the best "
            "result so far is kept.",
            UserWarning,
            stacklevel=3,
        )
    return analysis


def settle_absorption(
    model: SpectrumModel, spectrum: np.ndarray, channels: np.ndarray
) -> SpectrumModel:
    """Return the model with the composition that the summed spectrum implies.

    Self-absorption depends on the composition, and the composition on how much was
    absorbed: the spectrum is fitted again with the composition of the last fit until
    no atomic fraction moves by more than 0.1 %.

    Parameters
    ----------
    model
        Model with a mass thickness.
    spectrum
        Summed counts, shape (channels.sum(),).
    channels
        Boolean, shape (n_channels,): channels in use.
    """
    last = np.zeros(len(model.elements))
    for _ in range(MAX_ABSORPTION_ROUNDS):
        weights, _ = fit_spectrum(model.G[channels], spectrum)
        fractions = _fractions(weights[model.element_columns])
        if np.abs(fractions - last).max() < SETTLED or fractions.sum() == 0:
            return model
        last = fractions
        composition = dict(zip(model.elements, fractions.tolist(), strict=True))
        model = model.replace(composition=composition)
    return _unsettled(model)


def _unsettled(result):
    """Warn that composition and absorption chase each other."""
    warnings.warn(
        f"The composition still moves by more than {100 * SETTLED:g} at.% after "
        f"{MAX_ABSORPTION_ROUNDS} rounds of the correction for absorption. Check the "
        "thickness and density of `s.set_analysis_parameters`.",
        UserWarning,
        stacklevel=4,
    )
    return result


def _settle_phases(counts, problem, found, model, channels, **options):
    """Let each phase absorb by its own composition, until that settles.

    F depends on the composition through G here, so this goes on outside the
    factorisation, which starts each time from where it stood.
    """
    options["n_init"] = 1
    left = options.pop("max_iter", MAX_ITER) - found.n_iter
    rows = model.element_columns
    for _ in range(MAX_ABSORPTION_ROUNDS):
        if found.interrupted or left <= 0:
            return found, problem
        last = _fractions(found.W[rows])
        problem = replace(problem, G=phase_matrices(model, last)[:, channels])
        start = (found.W, found.H)
        again = factorize(counts, problem, init=start, max_iter=left, **options)
        left -= again.n_iter
        found = replace(
            again,
            objectives=found.objectives,
            n_agreeing=found.n_agreeing,
            n_iter=found.n_iter + again.n_iter,
            history=np.concatenate((found.history, again.history)),
        )
        if np.abs(_fractions(found.W[rows]) - last).max() < SETTLED:
            return found, problem
    return _unsettled((found, problem))


def _fractions(amounts):
    """Columns scaled to sum 1; those of zeros stay."""
    total = amounts.sum(axis=0)
    return amounts / np.where(total > 0, total, 1.0)


def _check_size(n_phases, navigation, pixels, channels):
    """Raise ValueError for a number of phases the data cannot bear."""
    if n_phases is None:
        raise ValueError(
            "The number of phases is not given. Say how many to look for with "
            "`s.decomposition(algorithm='espm', output_dimension=3)`."
        )
    if isinstance(n_phases, bool) or not isinstance(n_phases, (int, np.integer)):
        raise ValueError(f"`output_dimension` must be an integer, got {n_phases!r}.")
    n_pixels = int(np.prod(navigation)) if pixels is None else int(pixels.sum())
    if n_pixels == 0:
        raise ValueError(
            "All pixels are masked. In `navigation_mask`, True means left out: give "
            "the inverse mask, or none."
        )
    if not channels.any():
        raise ValueError(
            "All channels are masked. In `signal_mask`, True means left out: give the "
            "inverse mask, or none."
        )
    largest = min(n_pixels, int(channels.sum()))
    if not 1 <= n_phases <= largest:
        raise ValueError(
            f"`output_dimension` is {n_phases}, but must be between 1 and {largest} "
            f"for {n_pixels} pixels and {int(channels.sum())} channels in use."
        )


def _check_lines(model, channels):
    """Raise ValueError for elements whose lines are all in masked channels."""
    kept = model.G[channels].sum(axis=0) / model.G.sum(axis=0)
    lost = [
        column.element
        for column, share in zip(model.columns, kept, strict=True)
        if column.kind == "element" and share < MIN_SHARE
    ]
    if lost:
        raise ValueError(
            f"The lines of {', '.join(lost)} are in channels that `signal_mask` leaves "
            "out, so nothing can be said about them. Unmask their channels, or remove "
            "them with `s.set_elements([...])`."
        )


def _fixed_entries(fixed_composition, model, n_phases) -> np.ndarray | None:
    """Array of fixed values of W, NaN where free."""
    if fixed_composition is None or fixed_composition == {}:
        return None
    rows = np.flatnonzero(model.element_columns)
    row_of = dict(zip(model.elements, rows, strict=True))
    fixed = np.full((len(model.columns), n_phases), np.nan)
    shape = "phase number -> {element: fraction}, such as {0: {'Si': 0.0}}"
    if not isinstance(fixed_composition, Mapping):
        raise TypeError(
            f"`fixed_composition` must map {shape}; got {fixed_composition!r}."
        )
    for phase, fractions in fixed_composition.items():
        if not isinstance(fractions, Mapping):
            raise TypeError(
                f"`fixed_composition` must map {shape}; got {fractions!r} for phase "
                f"{phase!r}."
            )
        if phase not in range(n_phases):
            raise ValueError(
                f"`fixed_composition` names phase {phase!r}, but the phases are "
                f"0 to {n_phases - 1}."
            )
        for element, fraction in fractions.items():
            if element not in row_of:
                raise ValueError(
                    f"`fixed_composition` names {element!r}, which is not among the "
                    f"elements {list(model.elements)}. Add it with "
                    f"`s.add_elements(['{element}'])`."
                )
            if not (isinstance(fraction, Real) and 0 <= fraction <= 1):
                raise ValueError(
                    f"`fixed_composition` gives {element} in phase {phase} the atomic "
                    f"fraction {fraction!r}; it must be between 0 and 1."
                )
            fixed[row_of[element], phase] = fraction
    return fixed


def _largest_first(found: Factorization, problem: Problem) -> Factorization:
    """Sort the phases by the counts that belong to them."""
    share = problem.spectra(found.W).sum(axis=0) * found.H.sum(axis=0)
    order = np.argsort(-share, kind="stable")
    return replace(
        found,
        W=np.ascontiguousarray(found.W[:, order]),
        H=np.ascontiguousarray(found.H[:, order]),
    )


def _analysis(model, problem, counts, found, errors, used, pixels, navigation):
    """Return the result in user units, over the whole map and energy axis."""
    D = problem.spectra(found.W)
    in_counts = problem.simplex != "abundances"
    scale = D.sum(axis=0) if in_counts else np.ones(found.W.shape[1])
    scale = np.maximum(scale, np.finfo(float).tiny)
    spectra = np.full((used.size, found.W.shape[1]), np.nan)
    spectra[used] = D / scale
    loadings = found.H * scale
    if pixels is not None:
        everywhere = np.full((pixels.size, loadings.shape[1]), np.nan)
        everywhere[pixels] = loadings
        loadings = everywhere
    covariance, pull, stopped = errors
    fractions = found.W[model.element_columns].sum(axis=0)
    mean = D @ found.H.sum(axis=0) + 1e-9
    residuals = deviance_residuals(counts.spectrum, mean)
    # channels of few counts deviate by less than 1 each
    expected = max(1.0, expected_deviance(mean) - len(model.columns))
    return PhaseAnalysis(
        model=model,
        W=found.W,
        covariance=covariance,
        pull=pull,
        spectra=spectra,
        loadings=loadings,
        atoms=fractions / scale,
        channels=used,
        fingerprint=fingerprint(counts),
        objective=found.objective,
        misfit=float((residuals**2).sum() / expected),
        history=found.history,
        n_iter=found.n_iter,
        converged=found.converged,
        interrupted=found.interrupted or stopped,
        n_starts=len(found.objectives),
        n_agreeing=found.n_agreeing,
    )


def _errors(counts, problem, found, n_jobs):
    """Covariance of W, pull on it, and whether the user did not want to wait."""
    try:
        errors = composition_covariance(
            counts, problem, found.W, found.H, n_jobs=n_jobs
        )
        return *errors, False
    except KeyboardInterrupt:
        n_columns, k = found.W.shape
        unknown = np.full((k, n_columns, n_columns), np.nan)
        return unknown, np.full_like(found.W, np.nan), True
