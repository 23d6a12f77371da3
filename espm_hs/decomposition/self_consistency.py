"""Models whose matrix depends on the composition, consistent with what is found.

The composition follows from the matrix and the matrix from the composition, so both are
found in turn until the composition has settled.
"""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np

from espm_hs.factorization import (
    Factorization,
    FitOptions,
    LostComponent,
    Problem,
    factorize,
    fit_spectrum,
)
from espm_hs.factorization.counts.counts import AnyCounts
from espm_hs.physics.linear_model import LinearModel

# The composition has settled when no fraction moves by more.
SETTLED = 1e-3
MAX_ROUNDS = 20


def phase_matrices(model: LinearModel, composition: np.ndarray) -> np.ndarray:
    """Return the matrix of each phase, refined with the phase's own composition.

    Parameters
    ----------
    model
        The model; the matrices are all the same if it does not depend on the
        composition. A phase without elements has that of the model itself.
    composition
        Atomic fractions, shape (n_elements, n_phases).

    Returns
    -------
    numpy.ndarray
        Shape (n_phases, n_channels, n_columns).
    """
    if not model.depends_on_composition:
        return np.broadcast_to(model.G, (composition.shape[1], *model.G.shape))
    return np.stack([_refined(model, one).G for one in composition.T])


def self_consistent_model(
    model: LinearModel, spectrum: np.ndarray, channels: np.ndarray
) -> LinearModel:
    """Return the model with the composition that the summed spectrum implies.

    The spectrum is fitted again with the composition of the last fit until no atomic
    fraction moves by more than 0.1 %.

    Parameters
    ----------
    model
        The model; it is returned as it is if it does not depend on the composition.
    spectrum
        Summed counts, shape (channels.sum(),).
    channels
        Boolean, shape (n_channels,): channels in use.
    """
    if not model.depends_on_composition:
        return model
    last = np.zeros(len(model.elements))
    for _ in range(MAX_ROUNDS):
        weights, _ = fit_spectrum(model.G[channels], spectrum)
        fractions = _fractions(weights[model.element_columns])
        if np.abs(fractions - last).max() < SETTLED or fractions.sum() == 0:
            return model
        last, model = fractions, _refined(model, fractions)
    _warn_unsettled(model)
    return model


def self_consistent_phases(
    counts: AnyCounts,
    problem: Problem,
    found: Factorization,
    model: LinearModel,
    channels: np.ndarray,
    options: FitOptions,
) -> tuple[Factorization, Problem]:
    """Give each phase the matrix of its own composition, until that settles.

    F depends on the composition through G here, so this goes on outside the
    factorisation, which starts each time from where it stood.

    Parameters
    ----------
    counts, problem, found
        The fit so far.
    model, channels
        The model and the channels in use.
    options
        Those of `espm_hs.factorization.factorize`; ``max_iter`` is for all rounds.
    """
    left = options.max_iter - found.n_iter
    rows = model.element_columns
    for _ in range(MAX_ROUNDS):
        if found.interrupted or left <= 0:
            return found, problem
        last = _fractions(found.W[rows])
        own = replace(problem, G=phase_matrices(model, last)[:, channels])
        try:
            again = factorize(
                counts,
                own,
                init=(found.W, found.H),
                options=replace(options, n_init=1, max_iter=left),
            )
        except LostComponent:  # the counts do not bear out a phase
            return found, problem
        left -= again.n_iter
        found, problem = continued(found, again), own
        if np.abs(_fractions(found.W[rows]) - last).max() < SETTLED:
            return found, problem
    _warn_unsettled(model)
    return found, problem


def continued(found: Factorization, again: Factorization) -> Factorization:
    """Return the second of two fits with the starts and the way of both."""
    return replace(
        again,
        objectives=found.objectives,
        n_agreeing=found.n_agreeing,
        ends=found.ends,
        n_iter=found.n_iter + again.n_iter,
        history=np.concatenate((found.history, again.history)),
    )


def _refined(model: LinearModel, fractions: np.ndarray) -> LinearModel:
    """Return the model of a composition, shape (n_elements,); zeros leave it as is."""
    if fractions.sum() == 0:
        return model
    return model.refined(dict(zip(model.elements, fractions.tolist(), strict=True)))


def _fractions(amounts: np.ndarray) -> np.ndarray:
    """Return columns scaled to sum 1; those of zeros stay."""
    total = amounts.sum(axis=0)
    return amounts / np.where(total > 0, total, 1.0)


def _warn_unsettled(model: LinearModel) -> None:
    """Warn that the composition and the model chase each other."""
    warnings.warn(
        f"The composition still moves by more than {100 * SETTLED:g} at.% after "
        f"{MAX_ROUNDS} rounds in which the model was refined with it. "
        f"{model.advice.get('unsettled', '')}".strip(),
        UserWarning,
        stacklevel=4,
    )
