"""Poisson regression of one spectrum on known columns, and how good it is."""

from __future__ import annotations

import numpy as np
from scipy.optimize import nnls
from scipy.special import gammaln, xlogy

# Share of the mean count that is added to the model, so that a count where the model
# is zero costs much but not infinitely much.
FLOOR = 1e-9
# Fisher scoring swings when a step gains more than this part of what the last one did.
SWINGING = 0.1
# Share of the expected curvature that is added to the observed one, which is singular
# where fewer channels than columns have counts.
EXPECTED = 1e-3


def fit_spectrum(
    G: np.ndarray,
    x: np.ndarray,
    *,
    start: np.ndarray | None = None,
    tol: float = 1e-10,
    max_iter: int = 50,
) -> tuple[np.ndarray, np.ndarray]:
    """Find non-negative weights that make G w the most likely mean of Poisson counts.

    Fisher scoring, that is, least squares with the variances of the last model under
    w >= 0, with a step that is halved until the likelihood does not fall. Where counts
    are few, what they say differs from what they are expected to say, and such steps
    swing about the optimum: Newton's method takes over.

    Parameters
    ----------
    G
        Shape (n_channels, n_columns), non-negative.
    x
        Counts, shape (n_channels,).
    start
        First weights, shape (n_columns,); None: even shares of the counts.
    tol
        Relative fall of the divergence at which to stop.
    max_iter
        Largest number of steps.

    Returns
    -------
    w : ndarray of shape (n_columns,)
        Weights.
    y : ndarray of shape (n_channels,)
        Model of the counts, positive everywhere.
    """
    total = G.sum(axis=0)
    scale = np.where(total > 0, total, 1.0)  # columns of zeros get no weight
    A = G / scale
    floor = FLOOR * max(x.sum(), 1.0) / x.size
    even = np.where(total > 0, x.sum() / A.shape[1], 0.0)
    w = even if start is None else start * scale
    y = A @ w + floor
    F = divergence(x, y)
    newton, last_fall = False, np.inf
    for _ in range(max_iter):
        if newton:
            variance = y**2 / (x + EXPECTED * y)
            aim = (y - floor) + (x - y) * (variance / y)
            target = _weighted_nnls(A, aim, variance)
        else:
            target = _weighted_nnls(A, x - floor, y)
        step, fall = 1.0, -1.0
        while fall < 0 and step > 1e-6:
            trial = w + step * (target - w)
            y = A @ trial + floor
            fall = F - divergence(x, y)
            step /= 2
        if fall <= 0:
            break
        w, F = trial, F - fall
        if fall <= tol * max(F, 1.0):
            break
        newton = newton or fall > SWINGING * last_fall
        last_fall = fall
    return w / scale, A @ w + floor


def _weighted_nnls(A, b, variance):
    """Minimise sum((A w - b)**2 / variance) over w >= 0, by the normal equations."""
    weighted = A / variance[:, None]
    normal = A.T @ weighted
    diagonal = np.diag(normal)
    scale = np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    # a trace of ridge: columns may be the same
    ridge = 1e-13 * np.eye(scale.size)
    R = np.linalg.cholesky(normal / np.outer(scale, scale) + ridge).T
    target = np.linalg.solve(R.T, (weighted.T @ b) / scale)
    return nnls(R, target, maxiter=100 * scale.size)[0] / scale


def divergence(x: np.ndarray, y: np.ndarray) -> float:
    """Return the divergence of counts x from their means y: half the deviance."""
    return 0.5 * float((deviance_residuals(x, y) ** 2).sum())


def deviance_residuals(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the signed root of each channel's deviance; the squares add up to it."""
    with np.errstate(divide="ignore", invalid="ignore"):
        logarithm = np.where(x > 0, x * np.log(x / y), 0.0)
    return np.sign(x - y) * np.sqrt(np.maximum(2 * (logarithm + y - x), 0.0))


def expected_deviance(y: np.ndarray) -> float:
    """Return the mean deviance of Poisson counts with means y from these means.

    Near 1 for each channel with many counts, less or more with few: at low counts this
    takes the place of the degrees of freedom.
    """
    y = np.asarray(y, dtype=float)
    if not np.all(y >= 0):
        raise ValueError(f"Means of counts must not be negative, got {y.min():g}.")
    y = y[y > 0]  # no counts where none are expected
    many = y > 30
    # the next term of the expansion is of order y**-2
    total = float((1 + 1 / (6 * y[many])).sum())
    few = y[~many]
    counts = np.arange(100)[:, None]
    for start in range(0, few.size, 1000):
        mean = few[None, start : start + 1000]
        square = (
            deviance_residuals(counts, np.broadcast_to(mean, (100, mean.size))) ** 2
        )
        logs = xlogy(counts, mean) - mean - gammaln(counts + 1)
        probability = np.exp(logs)
        total += float((probability * square).sum())
    return total


def deviance_ratio(x: np.ndarray, y: np.ndarray, n_columns: int) -> float:
    """Return the deviance of counts from a model over its expectation.

    Parameters
    ----------
    x, y
        Counts and model of each channel.
    n_columns
        Number of columns that were fitted.
    """
    y = y + 1e-9
    # channels of few counts deviate by less than 1 each
    expected = max(1.0, expected_deviance(y) - n_columns)
    return float((deviance_residuals(x, y) ** 2).sum() / expected)
