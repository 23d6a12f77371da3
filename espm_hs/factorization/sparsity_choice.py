"""How strongly a fit should prefer few components in a pixel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from espm_hs.factorization.counts.counts import Counts
from espm_hs.factorization.cross_validation import FITTED, held_out, strips, thin
from espm_hs.factorization.problem import Penalties, Problem
from espm_hs.factorization.solvers.multi_start import factorize, uninterrupted

# Strengths that are tried, and the one that is taken unless another one is better by so
# many standard errors.
STRENGTHS = (0.1, 0.3, 1.0, 3.0, 10.0)
USUAL = 2
USUAL_SPARSITY = STRENGTHS[USUAL]
SIGNIFICANT = 2.0
# Draws of the counts that are set aside.
N_THINNINGS = 3


def choose_sparsity(
    counts: Counts,
    problem: Problem,
    *,
    n_init: int = 1,
    random_state=None,
    n_jobs: int | None = None,
) -> float:
    """Sparsity with which components of most of the counts predict the others best.

    Parameters
    ----------
    counts
        The data, n_pixels x n_channels.
    problem
        G and constraints.
    n_init
        Starts of the fit with the usual strength, from which the others go on.
    random_state
        Seed: None, int or `numpy.random.Generator`.
    n_jobs
        As in `factorize`.

    Returns
    -------
    float
        1, the usual strength, unless another one is better by two standard errors of
        the difference over three draws; also if the values are not integers.

    Notes
    -----
    Held-out counts see what the term does to abundances: too weak it leaves their
    noise, too strong it makes mixtures pure. They do not see how far components are
    mixed with each other, since that leaves all means as they are.
    """
    loss = sparsity_losses(
        counts, problem, n_init=n_init, random_state=random_state, n_jobs=n_jobs
    )
    gain = loss[:, [USUAL]] - loss
    error = gain.std(axis=0, ddof=1) / np.sqrt(N_THINNINGS)
    certain = gain.mean(axis=0) > SIGNIFICANT * error
    best = np.argmax(np.where(certain, gain.mean(axis=0), 0.0))
    return STRENGTHS[best] if certain.any() else USUAL_SPARSITY


def sparsity_losses(
    counts: Counts,
    problem: Problem,
    *,
    n_init: int = 1,
    random_state=None,
    n_jobs: int | None = None,
) -> np.ndarray:
    """Negative log-likelihood of counts that were set aside, for each strength.

    Parameters
    ----------
    counts, problem, n_init, random_state, n_jobs
        As in `choose_sparsity`.

    Returns
    -------
    numpy.ndarray
        Shape (n_thinnings, n_strengths), in nats but for a constant; zeros if there is
        nothing to set aside.
    """
    loss = np.zeros((N_THINNINGS, len(STRENGTHS)))
    if not counts.integer:
        return loss
    seen = strips(counts.n_pixels)
    problem, counts = replace(problem, grid=None).take(seen), counts.take(seen)
    rng = np.random.default_rng(random_state)
    options = {"random_state": rng, "n_jobs": n_jobs}
    for row in loss:
        fitted, others = thin(counts, FITTED, rng)
        if not (fitted.n_nonzeros and others.n_nonzeros):
            return np.zeros_like(loss)
        fits = _fits(fitted, problem, n_init, options)
        row[:] = [_loss(others, problem, fits[x]) for x in STRENGTHS]
    return loss


def _fits(counts, problem, n_init, options):
    """Fit with each strength, outwards from the usual one."""
    fits = {}
    for way in (STRENGTHS[USUAL:], STRENGTHS[USUAL::-1]):
        last = fits.get(USUAL_SPARSITY)
        for strength in way:
            if strength not in fits:
                start = {"n_init": n_init} if last is None else {"init": last}
                sparse = replace(problem, penalties=Penalties(strength))
                found = uninterrupted(factorize(counts, sparse, **start, **options))
                fits[strength] = found.W, found.H
            last = fits[strength]
    return fits


def _loss(others, problem, fit):
    W, H = fit
    return held_out(others, (1 / FITTED - 1) * problem.spectra(W), H)
