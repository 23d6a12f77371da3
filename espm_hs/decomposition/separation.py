"""Phases that contain another one: overlaps, inclusions and support films.

What the counts cannot tell apart, the composition of the phases can: of every element
that only the other phase has, a phase that contains it has the same share. All three
searches return an `Overlap`, which `separate` takes out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from espm_hs.decomposition.surroundings import (
    LEAST_MISSING,
    SURROUNDED,
    UNEVEN,
    enclosed_in,
    evened,
    films_of,
    from_place_to_place,
    missing_atoms,
    surroundings,
    unevenness,
)
from espm_hs.factorization import Grid

# Ratios agree when they lie within so many standard errors.
AGREEMENT = 2.0
# A fraction is not zero if it is so many times its error.
CERTAIN = 3.0
# A fraction is taken as known to this part of itself at best.
BEST_PRECISION = 0.005
# Phases overlap if chance would make their elements agree less often than this, ratios
# being spread evenly over a factor of 100 ...
LARGEST_CHANCE = 0.001
# ... or, where all elements of the other phase agree, less often than this ...
CHANCE_OF_ALL = 0.1
DECADES = np.log(100.0)
# ... and if at least so much of the other phase is in it. Nearly all of it is only if
# that is a film, or if elements would agree less often than this.
LEAST_OVERLAP, MOST_OVERLAP, CHANCE_OF_MOST = 0.05, 0.75, 0.03
# A phase is nowhere alone if an eighth of the counts would put more of the other one
# into it by so many of their standard errors. So many are sure: nothing else has to say
# that the other one is around, or that no pixel shows the phase alone.
LEAST_UPTAKE, SURE_UPTAKE = 2.5, 4.0
# A phase takes the place of another one if so many of its atoms are missing there for
# each of its own, what it has of the other one included.
TAKES_PLACE = 0.8
# It lies on the other one if hardly any are missing for what it has besides.
LIES_ON = 0.25
# Without a film, holes are so many times closer to what elements say than to its place.
CLEARLY = 2.0
# Less of an inclusion is a matter of what the phase is made of.
LEAST_INCLUSION = 0.2
# A phase lacks an element of which it has less than this part of what another one, in
# the share that pixels show, would bring. That one is nearly all that they show.
HARDLY_ANY, NEARLY_ALL = 0.3, 0.9
# An even film varies by less than this part of itself. With as much of it taken out as
# makes it even, this part of what is left of a phase may be less than nothing; an
# element that makes up less than this part of that is gone; and so much has to be left.
EVEN, LESS_THAN_NOTHING, NEARLY_GONE, LEFT = 0.14, 0.4, 0.1, 0.05
# Elements of a film are in the proportions of what lies on it if no further apart.
ALIKE = 2.0
# Most of a film says how much of it is in a phase: so much of its atoms.
MOST_OF_FILM = 0.7
# A coating that is nearly all one element tells nothing: the core may be an alloy.
ONE_ELEMENT = 0.9
# What is left of a matrix in what lies in it is less than this, if no elements agree.
# An element of which the matrix has so much is one of its main ones.
LARGEST_REMNANT, MAIN = 1 / 3, 0.4
# It is just a little where the matrix does not take the place of so much and several
# elements are left: the phase may be a grain beside it that has an element of it.
LITTLE_REMNANT, ENCLOSED = 0.15, 0.6
# More of the matrix may be left, but not most of the phase, where elements agree, or
# where they make up so little of the phase that it probably has none of them.
MOST_REMNANT, TRACE = 0.6, 0.03


Pairs = list[tuple[int, int]]


@dataclass(frozen=True)
class Overlap:
    """A phase whose spectrum contains that of another one.

    Parameters
    ----------
    phase, other
        Numbers of the phases.
    amount
        Atoms of the other phase for each atom of the phase.
    columns
        Columns of the model that the phase has from the other one alone.
    chance
        Probability that their amounts agree by chance.
    sure
        Whether single pixels that show the phase alone are no reason to doubt it.
    """

    phase: int
    other: int
    amount: float
    columns: np.ndarray
    chance: float = 0.0
    sure: bool = True


class _Amounts:
    """W with its standard errors, both of shape (n_columns, n_phases)."""

    def __init__(self, W: np.ndarray, covariance: np.ndarray, elements: np.ndarray):
        variance = np.diagonal(covariance, axis1=1, axis2=2).T
        self.W, self.errors = W, np.sqrt(np.maximum(variance, 0.0))
        self.present = elements[:, None] & (CERTAIN * self.errors < W)

    def ratios(self, columns: np.ndarray, i: int, j: int):
        """Return what phase i has of some columns over what j has, and its errors."""
        own, others = self.W[columns, i], self.W[columns, j]
        ratio = own / others
        error = np.hypot(self.errors[columns, i], ratio * self.errors[columns, j])
        return ratio, np.maximum(error / others, BEST_PRECISION)

    def shared_part(self, i: int, j: int) -> Overlap | None:
        """Return what of phase j may be in i, None if that is less than its error."""
        known = np.flatnonzero(self.present[:, j])
        if known.size == 0:
            return None
        ratio, error = self.ratios(known, i, j)
        if not np.isfinite(error).all():
            return None
        alike = ratio - AGREEMENT * error <= (ratio + AGREEMENT * error).min()
        ratio, error = ratio[alike], error[alike]
        weight = error**-2.0
        amount = float(weight @ ratio / weight.sum())
        if amount < max(CERTAIN / np.sqrt(weight.sum()), LEAST_OVERLAP):
            return None
        width = np.minimum(2 * AGREEMENT * error / amount / DECADES, 1.0)
        # the one that is known best says where the others would have to be
        chance = float(np.prod(np.sort(width)[1:]))
        return Overlap(i, j, amount, known[alike], chance)

    def shared_parts(self, allowed: np.ndarray) -> list[Overlap]:
        """Return those of all pairs of phases of which one may hold the other."""
        pairs = np.argwhere(allowed & ~np.eye(len(allowed), dtype=bool))
        found = (self.shared_part(i, j) for i, j in pairs.tolist())
        return [overlap for overlap in found if overlap is not None]

    def largest_remnant(self, one: Overlap, around: float) -> float:
        """Return how much of a matrix may be left in what it surrounds by so much."""
        if _likely_none(self.W, one):
            return MOST_REMNANT
        left = np.delete(self.present[:, one.phase], one.columns)
        simple = np.count_nonzero(left) == 1
        return LARGEST_REMNANT if simple or around > ENCLOSED else LITTLE_REMNANT

    def has_more(self, one: Overlap) -> bool:
        """Whether a phase has an element that another one lacks."""
        return bool((self.present[:, one.phase] & ~self.present[:, one.other]).any())

    def all_agree(self, shared: Overlap) -> bool:
        """Whether a phase has all elements of another one in the same proportions."""
        all_of_it = self.present[:, shared.other].sum()
        return self.has_more(shared) and shared.columns.size == all_of_it

    def solid_solution(self, shared: Overlap) -> bool:
        """Whether two phases are members of one series rather than one in the other."""
        i, j = shared.phase, shared.other
        if not self.has_more(shared):
            return True
        left = self.present[:, j].copy()
        left[shared.columns] = False
        ratio, error = self.ratios(left, i, j)
        apart = np.abs(np.subtract.outer(ratio, ratio)) / np.hypot.outer(error, error)
        np.fill_diagonal(apart, np.inf)
        return bool((apart < AGREEMENT).any())


def find_overlap(
    W: np.ndarray,
    covariance: np.ndarray,
    elements: np.ndarray,
    over: np.ndarray | None = None,
    allowed: np.ndarray | None = None,
    films: np.ndarray | None = None,
) -> Overlap | None:
    """Return the overlap that is least likely by chance, None if all may be chance.

    Parameters
    ----------
    W
        Shape (n_columns, n_phases).
    covariance
        Of W, shape (n_phases, n_columns, n_columns).
    elements
        Boolean, shape (n_columns,): columns that are elements of the sample.
    over
        Boolean, shape (n_phases, n_phases): whether the phase of a column, which was
        taken out of others, lies around that of a row, too: the foil is thicker than
        what lies in it; None: none does.
    allowed
        Boolean, shape (n_phases, n_phases): whether the phase of a row may have that of
        a column taken out of it; None: all may.
    films
        Boolean, shape (n_phases,): phases on which others lie; None: none.

    Notes
    -----
    Where a phase i lies everywhere in another one, j, the counts cannot tell W_i from
    W_i + a W_j, the rest of W_j H_j being so much less; the fit prefers the sum, which
    has fewer phases in a pixel. Of every element that only j has, the sum has a times
    as much as j: the smallest of the ratios W_ci / W_cj agree.
    """
    if allowed is None:
        allowed = np.ones((W.shape[1], W.shape[1]), bool)
    amounts = _Amounts(W, covariance, elements)

    def may_be(one: Overlap) -> bool:
        film = films is not None and films[one.other]
        if one.amount > MOST_OVERLAP and one.chance > CHANCE_OF_MOST and not film:
            return False
        all_agree = one.chance < CHANCE_OF_ALL and amounts.all_agree(one)
        lies_over = over is not None and over[one.phase, one.other]
        return bool(lies_over or all_agree)

    likely = [
        one
        for one in amounts.shared_parts(allowed)
        if one.chance < LARGEST_CHANCE or may_be(one)
    ]
    return min(likely, key=lambda one: one.chance, default=None)


def find_inclusion(
    W: np.ndarray,
    covariance: np.ndarray,
    elements: np.ndarray,
    allowed: np.ndarray,
    uptake: Callable[[Pairs], dict[tuple[int, int], float]],
    hosts: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Overlap | None:
    """Return what is surest to be another phase in a phase, None if nothing is.

    Parameters
    ----------
    W, covariance, elements, allowed
        As in `find_overlap`.
    uptake
        As `espm_hs.factorization.uptake`, of pairs of phases; called once if there are
        any.
    hosts
        As `hosts_of`, of what phases may have of others; None: all may be hosts.

    Notes
    -----
    An overlap of one or two elements cannot be told by their amounts. It can where the
    preference for few phases in a pixel has gone further than the counts like: a phase
    that no pixel shows alone takes up more of its host the fewer counts there are. Its
    host is taken out as far as elements permit, since among answers that the counts
    allow, that with the fewer elements is the simpler.

    In a solid solution no pixel need show its end members either, and they need not be
    simple. A phase is one if it has no element that the other one lacks, or if two of
    the elements that are left are in both in the same proportion.
    """
    amounts = _Amounts(W, covariance, elements)
    found = {
        (one.phase, one.other): one
        for one in amounts.shared_parts(allowed)
        if one.amount >= LEAST_INCLUSION and not amounts.solid_solution(one)
    }
    if not found:
        return None
    held = np.zeros_like(allowed, dtype=float)
    for pair, one in found.items():
        held[pair] = one.amount
    able = allowed if hosts is None else hosts(held)
    taken = uptake(list(found))
    needed = np.where(able, LEAST_UPTAKE, SURE_UPTAKE)
    enough = [pair for pair in found if taken[pair] > needed[pair]]
    surest = max(enough, key=taken.__getitem__, default=None)
    if surest is None:
        return None
    return replace(found[surest], sure=taken[surest] > SURE_UPTAKE)


def inclusions(
    W: np.ndarray,
    H: np.ndarray,
    covariance: np.ndarray,
    elements: np.ndarray,
    feasible_ranges: np.ndarray | None,
    free: np.ndarray,
) -> dict[tuple[int, int], float]:
    """Return which phases are seen only with another one, whose place they take.

    Parameters
    ----------
    W, covariance, elements
        As in `find_overlap`.
    H
        Shape (n_pixels, n_phases), in atoms.
    feasible_ranges
        See `espm_hs.factorization.mixing_ranges`; None: nothing is known.
    free
        Boolean, shape (n_phases,): phases of which nothing is known.

    Returns
    -------
    dict
        (phase, other) -> share of the other one that all pixels show with the phase.

    Notes
    -----
    A phase that lacks several elements of its host at once does so for a reason: it
    has none of the host. One element may be lacking as no less of it is possible.
    """
    found: dict[tuple[int, int], float] = {}
    if feasible_ranges is None:
        return found
    H, present = np.asarray(H), _Amounts(W, covariance, elements).present
    for phase in np.flatnonzero(free).tolist():
        other = int(np.argmax(feasible_ranges[1, phase]))
        share = float(feasible_ranges[1, phase, other])
        lacking = np.count_nonzero(present[:, other] & ~present[:, phase])
        if share < LARGEST_REMNANT or lacking > 1 or not free[other]:
            continue
        missing = missing_atoms(H[:, [other, phase]])[0][0, 1]
        with_share = share + (1 - share) * missing
        if with_share > TAKES_PLACE and missing > LIES_ON:
            found[phase, other] = share
    return found


def lacks_several(
    W: np.ndarray,
    covariance: np.ndarray,
    elements: np.ndarray,
    phase: int,
    shares: np.ndarray,
) -> bool:
    """Return whether a phase lacks several elements of the one that it is seen with.

    Parameters
    ----------
    W, covariance, elements
        As in `find_overlap`.
    phase
        Its number.
    shares
        Of each phase, in the purest pixels of this one, shape (n_phases,).

    Notes
    -----
    A spectrum that follows the noise leaves what pixels show until an element is gone.
    If several of one host are, there are two answers that counts hardly tell apart, and
    that without any of the host is the simpler. Between two neighbours noise may lead
    away from both, and elements of each are gone: that tells nothing.
    """
    amounts = _Amounts(W, covariance, elements)
    beside = np.where(np.arange(len(shares)) == phase, 0.0, shares)
    most, brought = W[:, phase] + CERTAIN * amounts.errors[:, phase], W @ beside
    lacking = elements & (brought > TRACE) & (most < HARDLY_ANY * brought)
    one_host = beside.max() > NEARLY_ALL * beside.sum()
    return bool(one_host and np.count_nonzero(lacking) > 1)


def remnants(
    W: np.ndarray,
    H: np.ndarray,
    covariance: np.ndarray,
    elements: np.ndarray,
    grid: Grid,
    free: np.ndarray,
    atoms: np.ndarray | None = None,
) -> list[Overlap]:
    """Return what phases have of the phase that they lie in.

    Parameters
    ----------
    W, covariance, elements, grid
        As in `find_films`; the fractions of the elements add up to 1.
    H
        Shape (n_pixels, n_phases), in counts.
    free
        Boolean, shape (n_phases,): phases of which nothing is known.
    atoms
        H in atoms; None: as in counts.

    Notes
    -----
    A grain that nowhere reaches through the foil shows some of its matrix in every
    pixel, the same in all of them: neither counts nor penalties take that out.
    That an element of the matrix is not in the grain at all is more likely than that
    there is just a little of it, the more so the less that is. A trace of it tells of
    more of the matrix, and so do several elements that agree. Where none of that is so,
    more than a little is taken out if the matrix is nearly all that lies around, or if
    what is left is one element. Among members of a series main elements alone are
    likely not to be there. What lies on the other one rather than in it has as much of
    it as that one has holes from place to place, a film below both put aside.
    """
    atoms, amounts = H if atoms is None else atoms, _Amounts(W, covariance, elements)
    around = surroundings(H, grid)
    beside = surroundings(np.where(films_of(atoms, grid), 0.0, H), grid)
    inside, on_it = ((x > SURROUNDED) & (x > x.T) for x in (around, beside))
    holes, _ = missing_atoms(from_place_to_place(np.asarray(atoms), grid))

    def is_left(one: Overlap) -> bool:
        pair = one.phase, one.other
        if on_it[pair] and one.amount < MOST_REMNANT and _lies_on(one, holes, CLEARLY):
            return True
        main = W[one.columns, one.other].max() > MAIN or not amounts.solid_solution(one)
        least = amounts.largest_remnant(one, around[pair])
        return bool(inside[pair] and main and one.amount < least)

    parts = amounts.shared_parts((inside | on_it) & free & free[:, None])
    return [one for one in parts if is_left(one)]


def coatings(
    W: np.ndarray,
    H: np.ndarray,
    covariance: np.ndarray,
    elements: np.ndarray,
    grid: Grid,
    free: np.ndarray,
) -> list[Overlap]:
    """Return what phases have of a coating that encloses them on all sides.

    Parameters
    ----------
    W, covariance, elements, grid, free
        As in `remnants`.
    H
        Loadings in atoms, shape (n_pixels, n_phases).

    Notes
    -----
    Seen from above, a closed shell lies over what it encloses in every pixel, and
    counts do not tell it apart from that. Around it there is nothing, or a film that is
    everywhere. A coating of a single element tells nothing: the core may be an alloy.
    """
    amounts, H = _Amounts(W, covariance, elements), np.asarray(H)
    films = films_of(H, grid)
    enclosed, free = enclosed_in(np.where(films, 0.0, H), grid), free & ~films
    compound = W[elements].max(axis=0) < ONE_ELEMENT * W[elements].sum(axis=0)
    return [
        one
        for one in amounts.shared_parts(enclosed & compound & free & free[:, None])
        if one.amount < MOST_REMNANT and amounts.has_more(one)
    ]


def _likely_none(W: np.ndarray, one: Overlap) -> bool:
    """Whether what a phase would lose is not in it, more likely than by chance."""
    return is_trace(W, one) or one.chance < CHANCE_OF_ALL


def is_trace(W: np.ndarray, one: Overlap) -> bool:
    """Whether a phase has just a trace of what it would lose altogether."""
    return bool(W[one.columns, one.phase].sum() < TRACE)


def find_films(
    W: np.ndarray,
    H: np.ndarray,
    covariance: np.ndarray,
    elements: np.ndarray,
    grid: Grid,
    allowed: np.ndarray,
) -> list[Overlap]:
    """Return a support film in the phases that lie on it, an entry for each of these.

    Parameters
    ----------
    W, covariance, elements, allowed
        As in `find_overlap`; the fractions of the elements add up to 1.
    H
        Shape (n_pixels, n_phases), in atoms.
    grid
        Neighbours of the pixels.

    Notes
    -----
    What lies on a film is found with the film in it, and the map of the film has holes
    there. Two witnesses say how much of the film it is: its elements, and the holes. A
    phase that lies inside of another one takes its place instead, atom for atom; it
    counts as on a film only if the holes are closer to what the elements say. The film
    is everywhere once they are filled up.
    """
    H = np.asarray(H)
    missing, _ = missing_atoms(H)
    everything = np.ones_like(allowed)
    shared = _Amounts(W, covariance, elements).shared_parts(everything)
    told = np.zeros_like(missing)
    for one in shared:
        told[one.other, one.phase] = one.amount
    # nothing takes the place of a film: a phase that does lies in a matrix
    displaced = (missing > LEAST_MISSING) & (missing - told > LIES_ON)
    films: dict[int, list[Overlap]] = {}
    for one in shared:
        pair = one.other, one.phase
        most = W[one.columns, one.other].sum() >= MOST_OF_FILM
        if most and _lies_on(one, missing) and allowed[pair[::-1]]:
            films.setdefault(one.other, []).append(one)
    films = {film: on_it for film, on_it in films.items() if not displaced[film].any()}
    uneven = {}
    for film, on_it in films.items():
        filled = H[:, film] + sum(one.amount * H[:, one.phase] for one in on_it)
        uneven[film] = unevenness(filled, grid)
    film = min(uneven, key=lambda one: uneven[one], default=-1)
    return films[film] if uneven and uneven[film] < UNEVEN**2 else []


def even_film(
    W: np.ndarray,
    elements: np.ndarray,
    H: np.ndarray,
    noise: np.ndarray,
    allowed: np.ndarray,
) -> list[Overlap]:
    """Return an even film in the phases that lie on it, an entry for each of these.

    Parameters
    ----------
    W, elements, allowed
        As in `find_films`.
    H, noise
        As in `espm_hs.decomposition.surroundings.evened`.

    Notes
    -----
    How much of a film is in a phase follows from its being even, whatever elements the
    two have. It is a film if no other phase then has less than nothing of an element:
    most of what takes the place of a matrix has, since the matrix is not there.
    """
    for film in range(W.shape[1]):
        told, errors, uneven = evened(H, noise, film)
        if not uneven < EVEN**2:
            continue
        others = np.delete(np.arange(W.shape[1]), film).tolist()
        parts = [
            _of_film(W, elements, phase, film, told[phase], errors[phase])
            for phase in others
        ]
        on_it = [x for x in parts if x is not None and allowed[x.phase, film]]
        if None not in parts and (on_it := [x for x in on_it if x.columns.size]):
            return on_it
    return []


def _of_film(
    W: np.ndarray,
    elements: np.ndarray,
    phase: int,
    film: int,
    told: float,
    error: float,
) -> Overlap | None:
    """Return what a phase has of a film; None if that cannot be."""
    left = W[:, phase] - told * W[:, film]
    less, more = (
        np.sum(x[elements]) for x in (np.minimum(left, 0), np.maximum(left, 0))
    )
    if more < max(LEFT, CERTAIN * error) or -less > LESS_THAN_NOTHING * more:
        return None
    near = np.maximum(CERTAIN * error * W[:, film], NEARLY_GONE * more)
    there = elements & (W[:, film] > NEARLY_GONE) & (W[:, phase] > 0)
    gone = np.flatnonzero(there & (left < near) & (told > CERTAIN * error))
    amount = W[gone, phase].sum() / max(W[gone, film].sum(), np.finfo(float).tiny)
    if amount < LEAST_OVERLAP:
        gone = gone[:0]
    return Overlap(phase, film, float(amount), gone)


def in_film(W: np.ndarray, elements: np.ndarray, film: int) -> list[Overlap]:
    """Return what a film may have of what lies on it, as much as elements allow.

    A film that has just one element of a phase, or several but not in its proportions,
    has it of its own. What is returned is to be taken out one after the other.
    """
    found: list[Overlap] = []
    for phase in np.delete(np.arange(W.shape[1]), film).tolist():
        own = np.flatnonzero(elements & (W[:, phase] > TRACE))
        ratio = W[own, film] / W[own, phase]
        least = float(ratio.min(initial=1.0))
        agree = np.count_nonzero(ratio < ALIKE * least)
        if 0 < least < MOST_OVERLAP and agree > 1:
            found.append(Overlap(film, phase, least, own[ratio == least]))
            W, _ = separate(W, np.zeros((1, W.shape[1])), found[-1], elements)
    return found


def _lies_on(one: Overlap, missing: np.ndarray, closer: float = 1.0) -> bool:
    """Whether the map of the other phase has the holes that the elements tell of.

    They are so many times closer to that than to the place of an atom.
    """
    hole = missing[one.other, one.phase]
    holes = closer * abs(hole - one.amount) < 1 - hole
    return bool(LEAST_MISSING * one.amount < hole and holes)


def separate(
    W: np.ndarray, H: np.ndarray, overlap: Overlap, elements: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Take the other phase out of a phase, and map it where it was.

    Parameters
    ----------
    W
        Shape (n_columns, n_phases).
    H
        Shape (n_pixels, n_phases).
    overlap
        What to take out.
    elements
        Boolean, shape (n_columns,): rows of W that add up to 1.

    Returns
    -------
    W, H
        New arrays with nearly the same product.
    """
    W, H = W.copy(), H.copy()
    i, j = overlap.phase, overlap.other
    W[:, i] = np.maximum(W[:, i] - overlap.amount * W[:, j], 0.0)
    W[overlap.columns, i] = 0.0
    H[:, j] += overlap.amount * H[:, i]
    whole = W[elements, i].sum()
    if whole > 0:
        W[:, i] /= whole
        H[:, i] *= whole
    return W, H
