"""Models whose matrix depends on the composition, consistent with what is found.

The composition follows from the matrix and the matrix from the composition, so both are
found in turn until the composition has settled. The composition that counts is that of
each phase, or, `in_places`, that of all phases that a pixel holds, with their amount.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from espm_hs.decomposition.ambiguity import closed
from espm_hs.factorization import (
    Factorization,
    FitOptions,
    LostComponent,
    Problem,
    factorize,
    fit_spectrum,
)
from espm_hs.factorization.counts.counts import AnyCounts
from espm_hs.factorization.problem import sums_in_places
from espm_hs.physics.linear_model import LinearModel
from espm_hs.progress import stage

# The composition has settled when no fraction moves by more.
SETTLED = 1e-3
MAX_ROUNDS = 20
# Share that a round has of the time that is left, as a rule: the first are the longest.
A_ROUND = 0.5
# What is fitted while matrices still move takes so many passes, and twice as many then.
FIRST_PASSES = 22
# Pixels are sorted into so many places at most, with channels of their own, of which
# there may be so many that 16 bits hold their numbers.
MOST_PLACES, MOST_CHANNELS = 32, 1 << 16
# Places in which the factors of columns have this standard deviation are not divided,
# nor those in which the counts could not tell what deviates, by so many nats.
ALIKE, LEAST_TOLD = 0.005, 1.0
# Columns with fewer of all counts do not say which pixels are alike.
LEAST_OF_COLUMN = 1e-3
# Pixels of less than this part of the amount of sample around a mean atom hold none.
LEAST_AMOUNT = 0.1


# Says of a fit whether it pays to go on.
Judge = Callable[[AnyCounts, Problem, Factorization], bool]


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
        fractions = closed(weights[model.element_columns])
        if np.abs(fractions - last).max() < SETTLED or fractions.sum() == 0:
            return model
        last, model = fractions, _refined(model, fractions)
    warn_unsettled(model)
    return model


def self_consistent_phases(
    counts: AnyCounts,
    problem: Problem,
    found: Factorization,
    model: LinearModel,
    in_use: Callable[[np.ndarray], np.ndarray],
    options: FitOptions,
) -> tuple[Factorization, Problem]:
    """Give each phase the matrix of its own composition, until that settles.

    F depends on the composition through G here, so this goes on outside the
    factorisation, which starts each time from where it stood.

    Parameters
    ----------
    counts, problem, found
        The fit so far.
    model, in_use
        The model, and what makes its matrices those of the channels that are fitted.
    options
        Those of `espm_hs.factorization.factorize`; ``max_iter`` is for all rounds.
    """

    def own(problem: Problem, found: Factorization) -> tuple[Problem, np.ndarray]:
        last = closed(found.W[model.element_columns])
        return replace(problem, G=in_use(phase_matrices(model, last))), found.H

    found, problem, settled = consistent_fit(
        counts, problem, found, model.element_columns, own, options
    )
    if not settled:
        warn_unsettled(model)
    return found, problem


def consistent_fit(
    counts: AnyCounts,
    problem: Problem,
    found: Factorization,
    rows: np.ndarray,
    own: Callable[[Problem, Factorization], tuple[Problem, np.ndarray]],
    options: FitOptions,
) -> tuple[Factorization, Problem, bool]:
    """Go on with the matrices of what was found, until its composition settles.

    Parameters
    ----------
    counts, problem, found, options
        As in `self_consistent_phases`.
    rows
        Boolean, shape (n_columns,): rows of W that are fractions of elements.
    own
        Returns the problem with the matrices of a fit, and the H of this fit in it.

    Returns
    -------
    found, problem, settled
        Not settled if the composition still moved after the last round.
    """
    left = options.max_iter - found.n_iter
    for _ in range(MAX_ROUNDS):
        if found.interrupted or left <= 0:
            return found, problem, True
        last = closed(found.W[rows])
        again_of, H = own(problem, found)
        try:
            with stage(A_ROUND):
                again = factorize(
                    counts,
                    again_of,
                    init=(found.W, H),
                    options=replace(options, n_init=1, max_iter=left),
                )
        except LostComponent:  # the counts do not bear out a phase
            return found, problem, True
        left -= again.n_iter
        found, problem = continued(found, again), again_of
        if np.abs(closed(found.W[rows]) - last).max() < SETTLED:
            return found, problem, True
    return found, problem, False


@dataclass(frozen=True, eq=False)
class Places:
    """Where the sample is how: pixels of about the same mixture and amount.

    Parameters
    ----------
    number
        Place of each pixel, shape (n_pixels,).
    composition
        Fractions of the elements, shape (n_places, n_elements).
    amount
        As a multiple of the mean amount where there is any, shape (n_places,).
    atoms
        Atoms in a loading of each phase, over those of its W, (n_places, n_phases).
    """

    number: np.ndarray
    composition: np.ndarray
    amount: np.ndarray
    atoms: np.ndarray | None = None

    def matrices(self, model: LinearModel, channels: np.ndarray) -> np.ndarray:
        """Return the matrix of each place, (n_places, n_channels, n_columns)."""
        pairs = zip(self.composition.tolist(), self.amount.tolist(), strict=True)
        return np.stack(
            [
                model.G_at(dict(zip(model.elements, x, strict=True)), y)[channels]
                for x, y in pairs
            ]
        )


def phases_in_places(
    counts: AnyCounts,
    problem: Problem,
    found: Factorization,
    model: LinearModel,
    channels: np.ndarray,
    options: FitOptions,
    sizes: np.ndarray,
    pays: Judge | None = None,
) -> tuple[AnyCounts, Factorization, Problem, Places] | None:
    """Give each pixel the matrix of what it holds, until the composition settles.

    Parameters
    ----------
    counts, problem, found, model, options
        As in `self_consistent_phases`, which comes before.
    channels
        Boolean, shape (n_channels,): channels in use.
    sizes
        How many pixels of the map each of these is the sum of, shape (n_pixels,).
    pays
        Asked once, after some passes, whether to go on; None: to the end.

    Returns
    -------
    counts, found, problem, places
        Counts that have channels of their own in each place, and their fit; None if
        that does not pay.
    """
    rows, left = model.element_columns, options.max_iter

    def held(atoms: np.ndarray | float) -> np.ndarray:
        """Atoms of each element in a pixel of the map, if a loading has so many."""
        return (np.asarray(found.H) * atoms) @ found.W[rows].T / sizes[:, None]

    made = model.G[channels].sum(axis=0) * (found.W @ found.H.sum(axis=0))
    made = np.where(made > LEAST_OF_COLUMN * counts.total, made, 0.0)
    number = _sorted(model, held(1.0), made, MOST_CHANNELS // counts.n_channels)
    places = _places(model, number, held(1.0))
    counts = counts.in_places(number, len(places.amount))
    # matrices that still move are no reason to fit them to the end
    passes = FIRST_PASSES
    for _ in range(MAX_ROUNDS):
        matrices = places.matrices(model, channels)
        problem, H, atoms = in_places(problem, found, matrices, number)
        with stage(A_ROUND):
            again = factorize(
                counts,
                problem,
                init=(found.W, H),
                options=replace(options, n_init=1, max_iter=max(min(passes, left), 1)),
            )
        if pays is not None and not (again.interrupted or pays(counts, problem, again)):
            return None
        pays, left = None, left - again.n_iter
        last, before = closed(found.W[rows]), places
        found = continued(found, again)
        places = replace(_places(model, number, held(atoms[number])), atoms=atoms)
        moved = (
            np.abs(closed(found.W[rows]) - last).max(),
            np.abs(places.composition - before.composition).max(),
        )
        settled = max(moved) < SETTLED
        if (settled and found.converged) or found.interrupted or left <= 0:
            return counts, found, problem, places
        passes = left if settled else 2 * passes
    warn_unsettled(model)
    return counts, found, problem, places


def in_places(
    problem: Problem, found: Factorization, matrices: np.ndarray, number: np.ndarray
) -> tuple[Problem, np.ndarray, np.ndarray]:
    """Return the problem of several places for a fit, its loadings, and atoms in them.

    A loading of a phase makes the same number of counts everywhere, as in a problem of
    one place: what differs is of how many atoms it consists. How that depends on W is
    followed from round to round.

    Parameters
    ----------
    problem, found
        The problem before, and its fit.
    matrices
        Shape (n_places, n_channels, n_columns), or (n_places, n_phases, n_channels,
        n_columns) where they differ from phase to phase.
    number
        Place of each pixel, shape (n_pixels,).

    Returns
    -------
    problem, H, atoms
        Atoms in a loading of each phase, over those of its W, (n_places, n_phases).
    """
    H = np.asarray(found.H) * problem.totals(problem.spectra(found.W))
    return of_places(problem, found.W, H, matrices, number)


def of_places(
    problem: Problem,
    W: np.ndarray,
    counts: np.ndarray,
    matrices: np.ndarray,
    number: np.ndarray,
) -> tuple[Problem, np.ndarray, np.ndarray]:
    """As `in_places`, for loadings in counts."""
    n, *_, n_channels, n_columns = matrices.shape
    shares = sums_in_places(number, counts, n)
    total = shares.sum(axis=0)
    shares = np.where(total > 0, shares / np.where(total > 0, total, 1.0), 1 / n)
    sums = matrices.sum(axis=-2)
    if matrices.ndim == 3:
        sums = sums @ W
        matrices = matrices[:, None]
    else:
        sums = np.einsum("mjc,cj->mj", sums, W)
    mean = (shares * sums).sum(axis=0)
    mean = np.where(mean > 0, mean, 1.0)
    atoms = mean / np.where(sums > 0, sums, mean)
    G = atoms.T[:, :, None, None] * (matrices / n).swapaxes(0, 1)
    G = G.reshape(problem.n_components, n * n_channels, n_columns)
    problem = replace(
        problem, n_channels=n * n_channels, G=G, places=number, shares=shares
    )
    return problem, counts / mean, atoms


def spectra_in_places(
    model: LinearModel,
    channels: np.ndarray,
    W: np.ndarray,
    number: np.ndarray,
    held: np.ndarray,
) -> np.ndarray:
    """Return the spectrum of each phase in each place, for one count of it.

    Parameters
    ----------
    model, channels
        Physics, and the channels in use, boolean, shape (n_channels,).
    W
        Shape (n_columns, n_phases).
    number, held
        Place of each pixel, and atoms of each element in it, (n_pixels, n_elements).

    Returns
    -------
    numpy.ndarray
        Shape (n_places, n_used, n_phases).
    """
    spectra = _places(model, number, held).matrices(model, channels) @ W
    total = spectra.sum(axis=1, keepdims=True)
    return spectra / np.where(total > 0, total, 1.0)


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


def _mixtures(model: LinearModel, held: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return fractions (n_pixels, n_elements) and amounts, for the atoms in pixels.

    The mean amount is that of the sample, without the holes in it. A hole has the
    composition of the whole.
    """
    whole = held.sum(axis=0)
    whole = whole + (0.0 if whole.any() else 1.0)
    whole = whole / whole.sum()
    total = held.sum(axis=1, keepdims=True)
    composition = np.where(total > 0, held / np.where(total > 0, total, 1.0), whole)
    amount = held @ model.weights
    if not amount.any():
        return composition, amount
    around_an_atom = (amount**2).sum() / amount.sum()
    return composition, amount / amount[amount > LEAST_AMOUNT * around_an_atom].mean()


def _places(model: LinearModel, number: np.ndarray, held: np.ndarray) -> Places:
    """Return the mean of each place, of the atoms in its pixels."""
    n_pixels = np.bincount(number)
    _, amount = _mixtures(model, held)
    atoms = np.stack([np.bincount(number, x) for x in held.T], axis=1)
    composition, _ = _mixtures(model, atoms)
    return Places(number, composition, np.bincount(number, amount) / n_pixels)


def _sorted(
    model: LinearModel, held: np.ndarray, made: np.ndarray, most: int
) -> np.ndarray:
    """Sort pixels into places, in each of which columns have about the same factors.

    Where the logarithms of the factors differ most from their mean, those above it
    become a place of their own.

    Parameters
    ----------
    model, held
        The model, and atoms of each element in the pixels, (n_pixels, n_elements).
    made
        Counts of the columns, shape (n_columns,), 0 for those that do not matter.
    most
        Places that there may be, if these are fewer than `MOST_PLACES`.

    Returns
    -------
    numpy.ndarray
        Place of each pixel, shape (n_pixels,).
    """
    logs = np.log(model.column_factors(*_mixtures(model, held))[:, made > 0])
    number, per_pixel = np.zeros(len(logs), int), made[made > 0] / len(logs)

    def off(place: int) -> np.ndarray:
        """Return sums of squares in a place, 0 for columns in which it is even."""
        inside = logs[number == place]
        squares = ((inside - inside.mean(axis=0)) ** 2).sum(axis=0)
        uneven = squares > len(inside) * ALIKE**2
        told = per_pixel * squares / 2 > LEAST_TOLD
        return np.where(uneven & told, squares, 0.0)

    sums = [off(0)]
    while len(sums) < min(MOST_PLACES, most) and np.any(sums):
        place, column = divmod(int(np.argmax(sums)), logs.shape[1])
        inside = number == place
        mean = logs[inside, column].mean()
        number[inside & (logs[:, column] > mean)] = len(sums)
        sums[place] = off(place)
        sums.append(off(len(sums)))
    return number


def _refined(model: LinearModel, fractions: np.ndarray) -> LinearModel:
    """Return the model of a composition, shape (n_elements,); zeros leave it as is."""
    if fractions.sum() == 0:
        return model
    return model.refined(dict(zip(model.elements, fractions.tolist(), strict=True)))


def warn_unsettled(model: LinearModel) -> None:
    """Warn that the composition and the model chase each other."""
    warnings.warn(
        f"The composition still moves by more than {100 * SETTLED:g} at.% after "
        f"{MAX_ROUNDS} rounds in which the model was refined with it. "
        f"{model.advice.get('unsettled', '')}".strip(),
        UserWarning,
        stacklevel=4,
    )
