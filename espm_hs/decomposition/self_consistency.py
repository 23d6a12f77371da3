"""Self-absorption by the composition that is found."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np

from espm_hs.decomposition.result import phase_matrices
from espm_hs.factorization import Factorization, factorize, fit_spectrum
from espm_hs.physics import SpectrumModel

# The composition that absorbs is iterated until no fraction moves by more.
SETTLED = 1e-3
MAX_ABSORPTION_ROUNDS = 20
# Iterations of a fit, when nothing else is said.
MAX_ITER = 1000


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


def settle_phases(counts, problem, found, model, channels, **options):
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
        found = continued(found, again)
        if np.abs(_fractions(found.W[rows]) - last).max() < SETTLED:
            return found, problem
    return _unsettled((found, problem))


def continued(found: Factorization, again: Factorization) -> Factorization:
    """Return the second of two fits with the starts and the way of both."""
    return replace(
        again,
        objectives=found.objectives,
        n_agreeing=found.n_agreeing,
        n_iter=found.n_iter + again.n_iter,
        history=np.concatenate((found.history, again.history)),
    )


def _fractions(amounts):
    """Columns scaled to sum 1; those of zeros stay."""
    total = amounts.sum(axis=0)
    return amounts / np.where(total > 0, total, 1.0)
