"""Where a fit begins."""

from __future__ import annotations

import numpy as np
from sklearn.utils.extmath import randomized_svd

from espm_hs.factorization.counts import Counts
from espm_hs.factorization.problem import Problem
from espm_hs.factorization.updates import normalise

NAMED_STARTS = ("nndsvd", "random")


def starting_spectra(
    counts: Counts, n_components: int, init: str, rng: np.random.Generator
) -> np.ndarray:
    """Spectra of shape (n_channels, n_components), each with sum 1."""
    if init == "random":
        mean = counts.spectrum + counts.total / counts.n_channels
        D = mean[:, None] * rng.exponential(size=(counts.n_channels, n_components))
    else:
        D = _nndsvd_spectra(counts, n_components, rng)
    return D / D.sum(axis=0)


def _nndsvd_spectra(counts, n_components, rng):
    """Non-negative double SVD (Boutsidis & Gallopoulos 2008) of scaled counts.

    Rows and columns are divided by the square root of their sums first, which
    evens out Poisson noise (Keenan & Kotula 2004); zeros of the result are filled
    with a little of the mean spectrum, since zeros never leave a multiplicative
    update.
    """
    pixel_scale = _root(counts.per_pixel)
    channel_scale = _root(counts.spectrum)
    scaled = counts.to_csr()
    scaled.data /= np.repeat(pixel_scale, np.diff(counts.indptr))
    scaled.data /= channel_scale[counts.channels]
    rank = min(n_components, *scaled.shape)
    seed = int(rng.integers(2**31))
    U, S, V = randomized_svd(scaled, rank, random_state=seed)

    filling = counts.spectrum / counts.total
    D = np.empty((counts.n_channels, n_components))
    for j in range(n_components):
        if j >= rank:
            D[:, j] = filling * rng.exponential(size=filling.size)
            continue
        positive = [np.maximum(sign * V[j], 0) for sign in (1, -1)]
        strength = [
            np.linalg.norm(v) * np.linalg.norm(np.maximum(sign * U[:, j], 0))
            for v, sign in zip(positive, (1, -1), strict=True)
        ]
        part = positive[int(np.argmax(strength))] * channel_scale * np.sqrt(S[j])
        D[:, j] = part / part.sum() + 0.1 * filling
    return D


def _root(sums):
    """Root of sums, those far below the mean raised so that they can divide."""
    return np.sqrt(np.maximum(sums, 1e-2 * sums.mean()))


def composition_of(problem: Problem, D: np.ndarray, n_iter: int = 200) -> np.ndarray:
    """Variables V, shape (n_columns, n_components), whose spectra come close to D.

    Minimises the Kullback-Leibler divergence between D (columns of sum 1) and the
    model, by multiplicative updates under the constraints of the problem.
    """
    counts = problem.variable_sum
    V = np.divide(1.0, counts, out=np.zeros_like(counts), where=counts > 0)
    V = normalise(problem, V, V)
    if problem.G is None and problem.fixed is None:
        return normalise(problem, D, V)
    for _ in range(n_iter):
        model = problem.spectra(problem.compose(V))
        ratio = np.divide(D, model, out=np.zeros_like(D), where=model > 0)
        target = V * problem.project(ratio)
        V = np.divide(target, counts, out=np.zeros_like(V), where=counts > 0)
        V = normalise(problem, V, V)
    return V
