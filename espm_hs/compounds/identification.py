"""Which compound a composition is: probabilities of names.

A measured composition p with the covariance C of its errors is compared with the
composition c of each candidate, over the elements that can be compared. Its evidence is
the density of p: N(p; c, C) of a compound, and its mean over all positions of a solid
solution. Compounds are seldom ideal; with a small probability, the elements that were
found may be off by `IMPURITIES` besides. The alternatives are a mixture of two
candidates, and "none of these": some of the elements, in any proportion. Evidence times
prior probability, divided by the sum over all, is the probability. What the errors
leave open is "none of these", too: there the prior alone would choose a name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple

import numpy as np
from scipy.optimize import nnls
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from scipy.special import betaln, chdtrc, gammaln, ndtr, ndtri

from espm_hs.compounds.tables import Compound

#: Compounds that differ by less, at.%, are one.
SAME = 0.1
#: Prior probability that it is none of the candidates.
NONE = 0.05
#: That it is a mixture of two of them; together with `NONE`, the share of what is not
# pure and known.
MIXTURE = 0.005
# Shares of each of two in a mixture; beyond them it is one with impurities.
_SHARES = 0.15, 0.85
#: At.% by which elements of real compounds are off, and how probable that is.
IMPURITIES, IMPURE = 1.5, 0.03
# An element is found, and may be an impurity, from so many standard errors on.
_FOUND = 2.0
#: A solid solution, which stands for many compositions, counts as so many compounds.
SERIES = 5.0
# Positions of solid solutions in mixtures.
_STEPS = 5
# Mixtures have no more than so many parts to choose from, and a chi-square that is by
# so much larger than the least one makes them improbable.
_MOST_MIXED, _FAR = 800, 50.0
# Variance of a percentage of which nothing is known.
_NOTHING_KNOWN = 100.0**2 / 12
# Points that stand for the normal distribution of a position.
_POINTS = 512
# Of the names of one entry, so many are shown.
_SHOWN = 3


@dataclass(frozen=True)
class Match:
    """A name for a composition.

    Attributes
    ----------
    kind
        "compound", "solid solution", "mixture" or "none".
    names
        Of all compounds that have this composition, the most frequent one first; of
        both parts of a mixture.
    formulas
        Their formulas.
    probability
        That the name is right, all alternatives considered.
    p_value
        Probability of errors larger than those found, if the name is right; NaN for
        "none".
    position
        Of a solid solution or mixture: label, percent and standard error of each end
        member (of the formulas; of the atoms in a mixture).
    alone
        Symbol of the only element of a compound that is compared, where it has others,
        such as O of BeO: that element does not bear out the names. Else empty.
    """

    kind: str
    names: tuple[str, ...]
    formulas: tuple[str, ...]
    probability: float
    p_value: float
    position: tuple[tuple[str, float, float], ...] = ()
    alone: str = ""

    @property
    def name(self) -> str:
        """The first name that is borne out; of a mixture, both."""
        if self.kind == "mixture":
            return " + ".join(self.names) or "another mixture of two"
        return _borne_out(self) if self.names else "none of these"

    @property
    def where(self) -> str:
        """Position in a solid solution or mixture, such as "Fo 88 ± 2"."""
        shown = [x for x in self.position if x[1] >= 1 or x[1] >= 2 * x[2]]
        # the second of two parts follows from the first
        shown = shown[:1] if len(self.position) == 2 else shown
        return ", ".join(
            f"{label} {x:.0f} ± {max(e, 0.5):.0f}" for label, x, e in shown
        )

    @property
    def others(self) -> str:
        """Further names of the same composition."""
        of_one = self.kind in ("compound", "solid solution")
        rest = self.names[0 if self.alone else 1 :] if of_one else ()
        more = f" and {len(rest) - _SHOWN} more" if len(rest) > _SHOWN else ""
        return ", ".join(rest[:_SHOWN]) + more

    def __str__(self) -> str:
        """Name with the position."""
        return f"{self.name}, {self.where}" if self.where else self.name


def _borne_out(one: Match | Candidate) -> str:
    """Return the first name, or the only element that is compared."""
    return f"{one.alone} with what is not seen" if one.alone else one.names[0]


@dataclass(frozen=True, eq=False)
class Candidate:
    """What a composition is compared with: compounds that look the same.

    Parameters
    ----------
    compounds
        The most frequent one first.
    labels
        Of the end members.
    members
        At.% of the elements that are compared, shape (n_members, n_elements).
    atoms
        Atoms of these elements in the formula of each member.
    weight
        Prior probability, relative to others.
    alone
        As of `Match`, of the compound that comes first.
    """

    compounds: tuple[Compound, ...]
    labels: tuple[str, ...]
    members: np.ndarray
    atoms: np.ndarray
    weight: float
    alone: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Different names."""
        return tuple(dict.fromkeys(one.name for one in self.compounds))

    @property
    def formulas(self) -> tuple[str, ...]:
        """Different formulas."""
        return tuple(dict.fromkeys(one.formula for one in self.compounds))


# -- candidates ----------------------------------------------------------------------


def candidates(
    compounds: Iterable[Compound],
    elements: Sequence[str],
    unseen: Collection[str],
    weights: Sequence[float] | None = None,
) -> list[Candidate]:
    """Return what a composition may be compared with.

    Parameters
    ----------
    compounds
        Of a database.
    elements
        Symbols that are compared.
    unseen
        Symbols that are not compared, but may be in the sample. Compounds of other
        elements than these and the compared ones are left out; solid solutions keep the
        end members that are possible.
    weights
        Prior probability of each compound, relative to others; None: the same.

    Returns
    -------
    list of Candidate
        Those with compositions that agree within `SAME` are one, with the largest
        weight of them.
    """
    row = {symbol: i for i, symbol in enumerate(elements)}
    known, hidden = row.keys() | set(unseen), set(unseen)
    found = []
    compounds = list(compounds)
    for compound, weight in zip(
        compounds, [1.0] * len(compounds) if weights is None else weights, strict=True
    ):
        # most compounds have other elements, which is quickly seen
        if not (compound.may_vary or compound.elements <= known):
            continue
        members = [
            (label, {symbol: x for symbol, x in atoms.items() if symbol not in hidden})
            for label, atoms in compound.members
            if atoms.keys() <= known and not atoms.keys() <= hidden
        ]
        # a solid solution of which one end is possible is that compound
        if len(members) >= min(2, len(compound.members)):
            found.append(_candidate(compound, members, row, weight))
    return _merged(found)


def _candidate(compound, members, row, weight) -> Candidate:
    amounts = np.zeros((len(members), len(row)))
    for one, (_, atoms) in zip(amounts, members, strict=True):
        one[[row[symbol] for symbol in atoms]] = list(atoms.values())
    atoms = amounts.sum(axis=1)
    percent = 100 * amounts / atoms[:, None]
    labels = tuple(label for label, _ in members)
    # ends that differ in what is not seen only are one
    keep = [
        i for i, one in enumerate(percent)
        if (np.abs(percent[:i] - one).max(axis=1, initial=0.0) > SAME).all()
    ]  # fmt: skip
    labels = tuple(labels[i] for i in keep)
    weight *= SERIES if len(keep) > 1 else 1.0
    seen = [symbol for symbol, i in row.items() if amounts[:, i].any()]
    alone = seen[0] if len(seen) == 1 and len(compound.elements) > 1 else ""
    return Candidate((compound,), labels, percent[keep], atoms[keep], weight, alone)


def _merged(found: list[Candidate]) -> list[Candidate]:
    """Join the candidates of equal composition."""
    sizes = sorted({len(one.members) for one in found})
    merged = []
    for size in sizes:
        some = [one for one in found if len(one.members) == size]
        ordered = [one.members[np.lexsort(one.members.T)].ravel() for one in some]
        pairs = cKDTree(ordered).query_pairs(SAME, np.inf, output_type="ndarray")
        shape = (len(some), len(some))
        links = coo_array((np.ones(len(pairs)), pairs.T), shape)
        _, group = connected_components(links, directed=False)
        first = sorted(range(len(some)), key=lambda i: _order(some[i]))
        groups: dict[int, list[Candidate]] = {}
        for i in first:
            groups.setdefault(int(group[i]), []).append(some[i])
        merged += [_joined(group) for group in groups.values()]
    return merged


def _order(one: Candidate) -> tuple[int, float, int, int]:
    """Sort those with all their end members first, then the most frequent ones.

    Among equals, few elements and short names, which are those in common use, go first.
    """
    (compound,) = one.compounds
    lost = len(compound.members) - len(one.labels)
    return lost, -compound.weight, len(compound.elements), len(compound.name)


def _joined(group: list[Candidate]) -> Candidate:
    first = group[0]
    return Candidate(
        tuple(compound for one in group for compound in one.compounds),
        first.labels,
        first.members,
        first.atoms,
        max(one.weight for one in group),
        first.alone,
    )


# -- evidence ------------------------------------------------------------------------


class _Pairs(NamedTuple):
    """Mixtures: parts, log evidence, chi-square, share of the other and its error."""

    one: np.ndarray
    other: np.ndarray
    log: np.ndarray
    square: np.ndarray
    share: np.ndarray
    error: np.ndarray


class _Errors:
    """Normal errors of a composition, in the coordinates that determine it.

    Parameters
    ----------
    percent
        Shape (n,), which add up to 100.
    covariance
        Shape (n, n).
    """

    def __init__(self, percent: np.ndarray, covariance: np.ndarray) -> None:
        self.percent = percent
        # the largest one follows from the others
        self.rest = np.delete(np.arange(percent.size), np.argmax(percent))
        some = covariance[np.ix_(self.rest, self.rest)]
        self.covariance = some + SAME**2 * np.eye(self.rest.size)
        root = np.linalg.cholesky(self.covariance)
        self.whitening = np.linalg.inv(root)
        half = np.log(np.diag(root)).sum()
        self.constant = -half - self.rest.size / 2 * np.log(2 * np.pi)

    def residuals(self, compositions: np.ndarray) -> np.ndarray:
        """Standardised differences from compositions, shape (..., n - 1)."""
        return (compositions - self.percent)[..., self.rest] @ self.whitening.T

    def of_points(self, compositions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log evidence and chi-square of each composition."""
        square = (self.residuals(compositions) ** 2).sum(axis=-1)
        return self.constant - square / 2, square

    def of_simplex(self, members: np.ndarray) -> tuple[float, float, np.ndarray]:
        """Log evidence, chi-square, and positions that are likely, (n_points, m).

        The prior of the position is even. A normal law stands for what the errors leave
        of it; its part inside is counted.
        """
        ends = self.residuals(members)
        directions = (ends[1:] - ends[0]).T
        d = directions.shape[1]
        information = directions.T @ directions
        information += 1e-9 * np.trace(information) * np.eye(d)
        centre = -np.linalg.solve(information, directions.T @ ends[0])
        root = np.linalg.cholesky(np.linalg.inv(information))
        inner = centre + _normal_points(d) @ root.T
        weights = np.column_stack([1 - inner.sum(axis=1), inner])
        inside = (weights >= 0).all(axis=1)
        nearest, shares = _nearest(ends)
        if inside.any():
            square = ((ends[0] + directions @ centre) ** 2).sum()
            share = inside.mean()
            weights = weights[inside]
        else:
            square, weights, share = nearest, shares, 0.5 / _POINTS
        volume = (
            d / 2 * np.log(2 * np.pi) + np.log(np.diag(root)).sum() + gammaln(d + 1)
        )
        return self.constant - square / 2 + volume + np.log(share), nearest, weights

    def of_pairs(self, compositions: np.ndarray) -> _Pairs:
        """Mixtures of two compositions each that are not far from the best one."""
        ends = self.residuals(compositions)
        gram = ends @ ends.T
        own = np.diag(gram)
        length = np.maximum(own[:, None] + own - 2 * gram, 1e-12)
        share = (own[:, None] - gram) / length
        square = np.maximum(own[:, None] - share**2 * length, 0)
        low, high = _SHARES
        possible = np.triu((share > 0) & (share < 1), 1)
        best = square[possible].min(initial=np.inf)
        one, other = np.nonzero(possible & (square < best + _FAR))
        square, share = square[one, other], share[one, other]
        error = 1 / np.sqrt(length[one, other])
        mass = ndtr((high - share) / error) - ndtr((low - share) / error)
        mass = np.maximum(mass, 1e-300) / (high - low)
        width = np.log(error) + np.log(2 * np.pi) / 2
        log = self.constant - square / 2 + width + np.log(mass)
        return _Pairs(one, other, log, square, share, error)

    def of_nothing(self) -> float:
        """Log evidence of any proportion of any of the elements.

        Each number of elements is as likely, and so is each choice of them. That which
        is not chosen is zero within its errors.
        """
        n = self.percent.size
        errors = np.sqrt(np.diag(self.covariance))
        order = np.argsort(self.percent[self.rest] / errors)
        values, covariance = self.percent[self.rest][order], self.covariance
        covariance = covariance[np.ix_(order, order)]
        # each face of the simplex leaves the first ones of this order at zero
        root = np.linalg.cholesky(covariance)
        z = np.linalg.solve(root, values)
        steps = -(z**2) / 2 - np.log(np.diag(root)) - np.log(2 * np.pi) / 2
        absent = np.concatenate(([0.0], np.cumsum(steps)))
        k = n - np.arange(n)
        choices = np.log(n + 1) + betaln(n - k + 1, k + 1)  # of -log binomial
        within = gammaln(k) - (k - 1) * np.log(100)
        return float(np.logaddexp.reduce(absent + within + choices - np.log(n)))


@cache
def _normal_points(d: int) -> np.ndarray:
    """Points that stand for a normal law in d dimensions, shape (n_points, d)."""
    from scipy.stats import qmc  # takes half a second

    even = qmc.Sobol(d, scramble=False).random(_POINTS)
    # moved by half a step off the corner, where they begin
    return ndtri((even + 0.5 / _POINTS) % 1)


def _nearest(ends: np.ndarray) -> tuple[float, np.ndarray]:
    """Chi-square and shares of the mixture of ends that is nearest to the origin."""
    heavy = 1e3 * max(1.0, float(np.abs(ends).max(initial=0.0)))
    shares, _ = nnls(
        np.vstack([ends.T, np.full(len(ends), heavy)]),
        np.append(np.zeros(ends.shape[1]), heavy),
    )
    shares /= shares.sum()
    return float(((shares @ ends) ** 2).sum()), shares[None, :]


# -- names ---------------------------------------------------------------------------


def identify(
    percent: np.ndarray,
    covariance: np.ndarray,
    among: Sequence[Candidate],
    *,
    none: float = NONE,
    mixtures: bool = True,
) -> list[Match]:
    """Return names for a composition, the most probable first.

    Parameters
    ----------
    percent
        At.%, shape (n_elements,), with the sum 100.
    covariance
        Of its errors, shape (n_elements, n_elements).
    among
        See `candidates`.
    none
        Prior probability that it is none of them.
    mixtures
        Whether two of them may be mixed.

    Returns
    -------
    list of Match
        All candidates, the likeliest mixture, all others, and "none".
    """
    exact = _Errors(percent, covariance)
    loose = _Errors(percent, covariance + _impurities(percent, covariance))
    mixed = MIXTURE if mixtures and len(among) > 1 else 0.0
    found = [(np.log(none) + exact.of_nothing(), Match("none", (), (), 0.0, np.nan))]
    points = [one for one in among if len(one.members) == 1]
    series = [one for one in among if len(one.members) > 1]
    whole = sum(one.weight for one in among)
    prior = {id(one): (1 - none - mixed) * one.weight / whole for one in among}
    for one, log, match in (
        *_of_points(points, exact, loose),
        *(_of_series(one, exact, loose) for one in series),
    ):
        found.append((np.log(prior[id(one)]) + log, match))
    if mixed:
        some = _mixtures(points, series, exact)
        found += [(np.log(mixed) + log, match) for log, match in some]
    logs = np.array([log for log, _ in found])
    shares = np.exp(logs - np.logaddexp.reduce(logs))
    worst = np.diag(covariance).max(initial=0.0)
    left_open = worst / (worst + _NOTHING_KNOWN)
    shares *= 1 - left_open
    shares[0] += left_open
    return [
        replace(found[i][1], probability=float(shares[i]))
        for i in np.lexsort((-logs, -shares))
    ]


def _impurities(percent: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Covariance of what impurities do to the elements that are found."""
    errors = np.sqrt(np.diag(covariance))
    found = percent > np.maximum(_FOUND * errors, SAME)
    closing = np.eye(percent.size) - percent[:, None] / 100
    return IMPURITIES**2 * (closing * found) @ closing.T


def _both(exact, loose):
    """Join the evidence without and with impurities; the chi-square is the first's."""
    joined = np.logaddexp(np.log(1 - IMPURE) + exact[0], np.log(IMPURE) + loose[0])
    return joined, exact[1]


def _of_points(
    points: list[Candidate], exact: _Errors, loose: _Errors
) -> Iterator[tuple[Candidate, float, Match]]:
    """Yield log evidence and name of each compound."""
    if not points:
        return
    at = np.array([one.members[0] for one in points])
    logs, squares = _both(exact.of_points(at), loose.of_points(at))
    values = chdtrc(max(1, exact.percent.size - 1), squares)
    rows = zip(points, logs.tolist(), values.tolist(), strict=True)
    for one, log, value in rows:
        match = Match("compound", one.names, one.formulas, 0.0, value, (), one.alone)
        yield one, log, match


def _of_series(
    one: Candidate, exact: _Errors, loose: _Errors
) -> tuple[Candidate, float, Match]:
    """Log evidence and name of a solid solution."""
    both = [errors.of_simplex(one.members) for errors in (exact, loose)]
    log, square = _both(*both)
    likely = both[int(both[1][0] + np.log(IMPURE) > both[0][0] + np.log(1 - IMPURE))][2]
    # shares of the atoms as shares of the formulas
    moles = likely / one.atoms
    moles = 100 * moles / moles.sum(axis=1, keepdims=True)
    mean, error = moles.mean(axis=0), moles.std(axis=0)
    position = tuple(zip(one.labels, mean.tolist(), error.tolist(), strict=True))
    freedom = max(1, exact.percent.size - len(one.members))
    value = float(chdtrc(freedom, square))
    kind = "solid solution"
    return one, log, Match(kind, one.names, one.formulas, 0.0, value, position)


def _mixtures(
    points: list[Candidate], series: list[Candidate], exact: _Errors
) -> Iterator[tuple[float, Match]]:
    """Yield log evidence and name of the likeliest mixture, and of all others."""
    parts = list(_parts(points, series))
    owners = np.array([number for number, _, _ in parts])
    pairs = exact.of_pairs(np.array([composition for *_, composition in parts]))
    different = owners[pairs.one] != owners[pairs.other]
    if not different.any():
        return
    pairs = _Pairs(*(x[different] for x in pairs))
    logs = pairs.log - np.log(len(parts) * (len(parts) - 1) / 2)
    best = int(logs.argmax())
    one, other = parts[pairs.one[best]][1], parts[pairs.other[best]][1]
    second, error = 100 * float(pairs.share[best]), 100 * float(pairs.error[best])
    shares = ((one, 100 - second), (other, second))
    value = chdtrc(max(1, exact.percent.size - 2), pairs.square[best])
    match = Match(
        "mixture",
        (_borne_out(one), _borne_out(other)),
        (one.formulas[0], other.formulas[0]),
        0.0,
        float(value),
        tuple((_borne_out(x), share, error) for x, share in shares),
    )
    yield float(logs[best]), match
    rest = np.logaddexp.reduce(np.delete(logs, best), initial=-np.inf)
    yield float(rest), Match("mixture", (), (), 0.0, float("nan"))


def _parts(
    points: list[Candidate], series: list[Candidate]
) -> Iterator[tuple[int, Candidate, np.ndarray]]:
    """Yield what mixtures consist of: compounds, and solid solutions in steps."""
    steps = sum(len(one.members) - 1 for one in series) * (_STEPS + 1)
    frequent = sorted(points, key=_simplicity)[: max(0, _MOST_MIXED - steps)]
    for number, one in enumerate([*frequent, *series]):
        first, *others = one.members
        if not others:
            yield number, one, first
        for end in others:
            for share in np.linspace(0, 1, _STEPS + 1):
                yield number, one, (1 - share) * first + share * end


def _simplicity(one: Candidate) -> tuple[float, int]:
    """Sort the most frequent first, then those of few elements."""
    return -one.compounds[0].weight, int((one.members[0] > 0).sum())
