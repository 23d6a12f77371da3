"""Where a fit begins."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.optimize import linear_sum_assignment, nnls

from espm_hs.factorization.counts.counts import AnyCounts
from espm_hs.factorization.counts.distributed import Scattered
from espm_hs.factorization.problem import Problem
from espm_hs.factorization.solvers.base import normalise

NAMED_STARTS = ("nndsvd", "pure", "clusters", "random")
# What the next starts are when the named ones are used up, again and again: clusters,
# so many of them for each component, and chance.
FURTHER_STARTS = ("clusters 2", "clusters 1", "clusters 4", "random")
# Of these the first maps are known as well.
MAPPED_STARTS = ("clusters", "clusters 1")
# Clusters of fewer pixels are no candidates for a component.
LEAST_OF_CLUSTER = 2
# Clusters are exchanged for better ones so many times at most.
EXCHANGES = 3
# A pure spectrum is summed over this share of the pixels.
POOLED = 0.01
# Share of all the rest in a component that was given with what it must not have.
FILLING = 0.1
# Updates of a spectrum, to see how close to it the constraints allow to come.
TRIALS = 30
# Directions of singular values below this part of the largest are rounding.
ROUNDING = 1e-9
# Of a large map only so many pixels are looked at.
PIXELS_TO_START = 1 << 15


def start(
    counts: AnyCounts, problem: Problem, init, rng
) -> tuple[np.ndarray, np.ndarray]:
    """First V and H of a fit: spectra of sum 1 and counts, or shares and counts."""
    W, H = (None, None) if isinstance(init, str) else init
    if W is None:
        name = init if isinstance(init, str) else "nndsvd"
        D = starting_spectra(counts, problem, name, rng)
        V = _composition_in_places(problem, D)
        scale = np.full(problem.n_components, 1.0)
    else:
        V = problem.variables(W)
        scale = (V * problem.variable_sum).sum(axis=0)
        even = even_composition(problem)
        denied = ((np.asarray(W) > 0) & (problem.compose(V) == 0)).any(axis=0)
        # what takes the place of what a component must not have starts small
        V = normalise(problem, V, even) + np.where(denied, FILLING * even, 0.0)
        V = normalise(problem, V, even)
        if problem.free_scales:
            heights = problem.heights(problem.compose(V))
            scale = scale * heights[problem.places]
    if problem.simplex == "abundances":
        V = V * counts.mean_counts
    even = even_abundances(counts, problem)
    if H is None:
        return V, even
    if not isinstance(H, Scattered):
        H = np.array(H, dtype=np.float64, order="C")
    H = _where_allowed(H * scale, even, problem)
    if problem.simplex == "abundances":
        total = H.sum(axis=1, keepdims=True)
        return V, np.where(total > 0, H / np.where(total > 0, total, 1), even)
    return V, H * (counts.total / max(H.sum(axis=0).sum(), np.finfo(float).tiny))


def _composition_in_places(problem, D):
    """V of starting spectra D, each of which is known where it has counts."""
    if problem.shares is None:
        return composition_of(problem, assigned(problem, D))
    D = assigned(problem, D)
    of_places = D.reshape(problem.n_places, -1, problem.n_components).sum(axis=1)
    V = composition_of(replace(problem, shares=of_places), D)
    return normalise(problem, V, even_composition(problem))


def even_abundances(counts: AnyCounts, problem: Problem) -> np.ndarray:
    """H in which the components share each pixel equally."""
    k = problem.n_components
    open_to = np.ones((1, k)) if problem.support is None else problem.support
    shares = open_to / open_to.sum(axis=1, keepdims=True)
    if problem.simplex == "abundances":
        return np.broadcast_to(shares, (counts.n_pixels, k)).copy()
    return counts.per_pixel[:, None] * shares


def _where_allowed(H, even, problem):
    """Keep H to its support; pixels and components left with nothing start evenly."""
    kept = problem.allowed(H)
    bare = kept.sum(axis=1, keepdims=True) == 0
    bare = bare & (H.sum(axis=1, keepdims=True) > 0)
    kept = np.where(bare, even, kept)
    lost = kept.sum(axis=0) == 0
    kept[:, lost] = even[:, lost]
    return kept


class LostComponent(ValueError):
    """A fit cannot go on from where a component is zero everywhere."""


def check_start(init, problem: Problem, n_pixels: int):
    """Raise ValueError unless init is a known name or fitting arrays."""
    if isinstance(init, str):
        if init not in NAMED_STARTS:
            raise ValueError(
                f"`init` must be one of {NAMED_STARTS} or a pair of arrays (W, H), "
                f"got {init!r}."
            )
        return
    if not (isinstance(init, tuple) and len(init) == 2):
        raise ValueError(
            f"`init` must be one of {NAMED_STARTS} or a pair (W, H), either of which "
            f"may be None; got {type(init).__name__}."
        )
    k = problem.n_components
    for name, array, rows in zip(
        "WH", init, (problem.n_columns, n_pixels), strict=True
    ):
        if array is None:
            continue
        if not isinstance(array, Scattered):
            array = np.asarray(array)
        if array.shape != (rows, k):
            raise ValueError(
                f"The start {name} has shape {array.shape}, needed is {(rows, k)}."
            )
        if isinstance(array, Scattered):
            continue  # comes from a fit
        if not np.isfinite(array).all() or array.min() < 0:
            raise ValueError(f"The start {name} must be finite and non-negative.")
        empty = np.flatnonzero(array.sum(axis=0) == 0)
        if empty.size:
            raise LostComponent(
                f"Components {empty.tolist()} of the start {name} are all zero, and "
                "zeros never leave a multiplicative update."
            )


def starting_spectra(
    counts: AnyCounts, problem: Problem, init: str, rng: np.random.Generator
) -> np.ndarray:
    """Spectra of shape (n_channels, n_components), each with sum 1."""
    D = _spectra_of_start(counts, problem, init, rng)
    return D / D.sum(axis=0)


def _spectra_of_start(counts, problem, init, rng):
    """Spectra of a named start, of any sum."""
    n_components = problem.n_components
    if init == "random":
        mean = counts.spectrum + counts.total / counts.n_channels
        return mean[:, None] * rng.exponential(size=(counts.n_channels, n_components))
    name, _, per_component = init.partition(" ")
    sample = counts.sample(PIXELS_TO_START)
    # singular vectors of places that share no channel would be places
    if name == "nndsvd" and problem.n_places == 1:
        return _nndsvd_spectra(sample, n_components, rng)
    axes = _axes(sample, problem, rng)
    if name == "pure":
        return _pure_spectra(sample, axes, n_components, rng)
    each = int(per_component or 2)
    return _cluster_spectra(sample, axes, n_components, rng, each)


def name_of_start(number: int, init):
    """Kind of the n-th of several starts: the one asked for, then all others."""
    if number == 0 or not isinstance(init, str):
        return init
    names = [name for name in ("nndsvd", "pure") if name != init]
    if number <= len(names):
        return names[number - 1]
    return FURTHER_STARTS[(number - len(names) - 1) % len(FURTHER_STARTS)]


def _scaled_svd(counts, n_components, rng):
    """Leading singular vectors of scaled counts, and the roots they were divided by.

    Rows and columns are divided by the square root of their sums first, which
    evens out Poisson noise (Keenan & Kotula 2004).
    """
    # importing it takes a second
    from sklearn.utils.extmath import randomized_svd

    pixel_scale = _root(counts.per_pixel)
    channel_scale = _root(counts.spectrum)
    scaled = counts.to_csr()
    scaled.data /= np.repeat(pixel_scale, np.diff(counts.indptr))
    scaled.data /= channel_scale[counts.channels]
    rank = min(n_components, *scaled.shape)
    seed = int(rng.integers(2**31))
    return *randomized_svd(scaled, rank, random_state=seed), pixel_scale, channel_scale


def _axes(counts, problem, rng):
    """Axes of the space in which pixels are compared, shape (n_channels, n_axes).

    The counts of a pixel times these axes, divided by the sum of its counts, are its
    place. Noise reaches it equally in all directions. Where spectra are mixtures of the
    columns of G, of all that a pixel holds only their amounts can differ, as a fit with
    the weights of the mean spectrum finds them: a single count in an empty channel,
    which scaled counts make much of, is not among these.
    """
    G, k = problem.G, problem.n_components
    if problem.n_places > 1:
        whitened = _whitened_in_places(counts, problem)
    elif G is None or G.ndim != 2:
        _, S, V, _, channel_scale = _scaled_svd(counts, k, rng)
        return (V[ROUNDING * S[0] < S] / channel_scale).T
    else:
        weighted, information = _weighted(G, counts.spectrum)
        information, turned = np.linalg.eigh(information)
        told = information > ROUNDING * information[-1]
        whitened = weighted @ (turned[:, told] / np.sqrt(information[told]))
    amounts = counts.to_csr() @ whitened / _root(counts.per_pixel)[:, None]
    _, S, V = np.linalg.svd(amounts, full_matrices=False)
    return whitened @ V[:k][S[:k] > ROUNDING * S[0]].T


def _weighted(G, spectrum):
    """G over the mean spectrum, and what counts in that proportion tell of amounts."""
    seen = spectrum > 0
    weighted = np.zeros_like(G)
    weighted[seen] = G[seen] / spectrum[seen, None]
    return weighted, G.T @ weighted


def _whitened_in_places(counts, problem):
    """Axes of amounts that all places have in common: those of the simplex rows.

    In each place they are what is found with the weights of its mean spectrum beside
    the other columns, and noise of all places together reaches them equally.
    """
    rows, n = problem.rows_on_simplex, problem.n_places
    parts, common = [], 0.0
    mean = np.mean(problem.G, axis=0).reshape(n, -1, problem.n_columns)
    for G, spectrum in zip(mean, counts.spectrum.reshape(n, -1), strict=True):
        weighted, information = _weighted(G, spectrum)
        beside = information[np.ix_(rows, ~rows)]
        others = np.linalg.pinv(information[np.ix_(~rows, ~rows)], ROUNDING, True)
        alone = information[np.ix_(rows, rows)] - beside @ others @ beside.T
        score = weighted[:, rows] - weighted[:, ~rows] @ others @ beside.T
        parts.append(score @ np.linalg.pinv(alone, ROUNDING, True))
        common = common + alone
    told, turned = np.linalg.eigh(common)
    return np.concatenate(parts) @ (turned * np.sqrt(np.maximum(told, 0.0)))


def _places(counts, axes):
    """Return where pixels are, shape (n_pixels, n_axes)."""
    return counts.to_csr() @ axes / _root(counts.per_pixel)[:, None] ** 2


def _pure_spectra(counts, axes, n_components, rng):
    """Spectra of the pixels that are least like mixtures of the others.

    Successive projection (Araujo et al. 2001) in the space of the leading singular
    vectors: the pixel furthest from those already found, and the pixels that lie
    furthest in its direction, are summed.
    """
    place = _places(counts, axes)
    furthest = np.linalg.norm(place, axis=1).max()
    # what few counts say of a pixel is noise
    place[counts.per_pixel < 0.5 * counts.per_pixel.mean()] = 0.0
    X = counts.to_csr()
    n_pooled = max(1, round(POOLED * counts.n_pixels))
    filling = counts.spectrum / counts.total
    D = np.empty((counts.n_channels, n_components))
    for j in range(n_components):
        length = np.linalg.norm(place, axis=1)
        if length.max() <= ROUNDING * furthest:  # all are mixtures of what there is
            D[:, j] = filling * rng.exponential(size=filling.size)
            continue
        away = place @ place[np.argmax(length)]
        pooled = np.argpartition(-away, n_pooled - 1)[:n_pooled]
        spectrum = X[pooled].sum(axis=0)
        D[:, j] = spectrum / spectrum.sum() + 0.1 * filling
        centre = place[pooled].mean(axis=0)
        place = place - np.outer(place @ centre, centre) / (centre @ centre)
    return D


def _cluster_spectra(counts, axes, n_components, rng, per_component):
    """Spectra of those clusters of pixels that all others are mixtures of.

    The clusters are found by k-means in the space of the leading singular vectors of
    scaled counts, which noise hardly reaches. Of more clusters than components, those
    are taken whose sums leave the least of all sums unexplained.
    """
    # importing it takes a second
    from sklearn.cluster import KMeans

    place = _places(counts, axes)
    # what few counts say of a pixel is noise
    heard = counts.per_pixel >= 0.5 * counts.per_pixel.mean()
    n_clusters = min(per_component * n_components, len(np.unique(place[heard], axis=0)))
    seed = int(rng.integers(2**31))
    members = KMeans(n_clusters, n_init=4, random_state=seed).fit_predict(place[heard])
    # of pixels that are alike k-means makes fewer clusters than it is asked for
    indicator = np.eye(n_clusters)[members][:, np.unique(members)]
    n_clusters = indicator.shape[1]
    sums = counts.to_csr()[heard].T @ indicator
    points = axes.T @ sums
    candidates = np.flatnonzero(indicator.sum(axis=0) >= LEAST_OF_CLUSTER)
    if candidates.size < n_components:
        candidates = np.arange(n_clusters)
    filling = counts.spectrum / counts.total
    D = np.empty((counts.n_channels, n_components))
    chosen = _corners(
        points, sums.sum(axis=0), candidates, min(n_components, n_clusters)
    )
    for j in range(n_components):
        if j < len(chosen):
            D[:, j] = sums[:, chosen[j]] / sums[:, chosen[j]].sum() + 1e-3 * filling
        else:  # all are mixtures of what there is
            D[:, j] = filling * rng.exponential(size=filling.size)
    return D


def _corners(points, counts, candidates, number):
    """Choose those points of which the others are sums, as well as there are such.

    Parameters
    ----------
    points
        Shape (n_axes, n_points), each the sum of so many counts.
    counts
        Shape (n_points,).
    candidates
        Which points may be chosen.
    number
        How many are.
    """
    chosen: list[int] = []
    left = points / counts
    for _ in range(number):
        length = np.full(len(counts), -1.0)
        length[candidates] = np.linalg.norm(left[:, candidates], axis=0)
        length[chosen] = -1.0
        chosen.append(int(np.argmax(length)))
        corner = left[:, chosen[-1]]
        size = max(corner @ corner, np.finfo(float).tiny)
        left = left - np.outer(corner, corner @ left) / size
    weighted = points / np.sqrt(counts)  # its noise is about the same in all points
    corners = weighted / np.maximum(
        np.linalg.norm(weighted, axis=0), np.finfo(float).tiny
    )

    def unexplained(chosen):
        return sum(nnls(corners[:, chosen], point)[1] ** 2 for point in weighted.T)

    least = unexplained(chosen)
    for _ in range(EXCHANGES):
        before = least
        for place in range(number):
            for other in set(candidates.tolist()).difference(chosen):
                trial = [*chosen[:place], other, *chosen[place + 1 :]]
                if (now := unexplained(trial)) < least:
                    least, chosen = now, trial
        if least == before:
            break
    return chosen


def _nndsvd_spectra(counts, n_components, rng):
    """Non-negative double SVD (Boutsidis & Gallopoulos 2008) of scaled counts.

    Zeros of the result are filled with a little of the mean spectrum, since zeros
    never leave a multiplicative update.
    """
    U, S, V, _, channel_scale = _scaled_svd(counts, n_components, rng)
    rank = np.count_nonzero(ROUNDING * S[0] < S)
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
    V = even = even_composition(problem)
    if problem.G is None and problem.fixed is None and problem.ties is None:
        return normalise(problem, D, even)
    for _ in range(n_iter):
        model = problem.spectra(problem.compose(V))
        ratio = np.divide(D, model, out=np.zeros_like(D), where=model > 0)
        target = V * problem.project(ratio)
        V = np.divide(target, counts, out=np.zeros_like(V), where=counts > 0)
        # fixed fractions may leave a component nothing to share with its start
        V = normalise(problem, V, even)
    return V


def even_composition(problem: Problem) -> np.ndarray:
    """Variables V of which all make the same counts, spectra of sum 1."""
    counts = problem.variable_sum
    even = np.divide(1.0, counts, out=np.zeros_like(counts), where=counts > 0)
    return normalise(problem, even, even)


def assigned(problem: Problem, D: np.ndarray) -> np.ndarray:
    """Spectra D in the order in which they suit the constraints of the components.

    A component of which something is known takes the spectrum that comes closest to it,
    and leaves the others to the rest.
    """
    k = problem.n_components
    if problem.fixed is None and problem.ties is None:
        return D
    cost = np.zeros((k, k))  # of spectrum i in component j
    for shift in range(k):
        order = (np.arange(k) + shift) % k
        V = composition_of(problem, D[:, order], n_iter=TRIALS)
        model = problem.spectra(problem.compose(V))
        cost[order, np.arange(k)] = _divergence(D[:, order], model)
        if problem.ties is not None:
            # rows that are tied to each other are not meant to be both zero
            tied = (problem.ties > 0).sum(axis=1).T > 1
            cost[order, np.arange(k)] -= (V * problem.variable_sum * tied).sum(axis=0)
    return D[:, linear_sum_assignment(cost.T)[1]]


def _divergence(D, model):
    """Kullback-Leibler divergence of spectra of sum 1, one for each column."""
    floor = 1e-6 / len(D)
    return np.sum(D * np.log((D + floor) / (model + floor)), axis=0)
