"""How well lines are known: the spread between maintained tables of atomic data.

Tables of yields, Coster-Kronig probabilities and rates differ, and nobody knows which
is right. Their root mean square difference from ours is taken for the relative standard
uncertainty of the emission of a family, and, in the same manner, of the shares of its
multiplets. A multiplet is all lines of an initial subshell that end in one orbital,
such as L3 M4,5: within it tables agree. Ionisation is the same for all tables and comes
on top.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from espm_hs.physics.xray.elements import atomic_number
from espm_hs.physics.xray.model import SpectrumModel

# Of the subshells 1 to 7
_ORBITALS = " sppddff"

#: Shares of the emission of a family from which a multiplet is strong, or medium.
STRONG, MEDIUM = 0.15, 0.03


class Spread(NamedTuple):
    """How tables differ in a family of lines of some elements.

    Attributes
    ----------
    family
        "K", "L" or "M".
    first, last
        Atomic numbers of these elements.
    total
        Relative standard uncertainty of the emission of the family.
    strong, medium, weak
        That of the share that a multiplet has in it, by the size of the share.
    """

    family: str
    first: int
    last: int
    total: float
    strong: float
    medium: float
    weak: float


#: Relative standard uncertainty of ionisation, by shell, as a judgement: measurements
#: are off by 10.9 % (root mean square; X. Llovet et al., J. Phys. Chem. Ref. Data 43
#: (2014) 013102), but most of that is theirs, and ratios are better known.
IONISATION = {"K": 0.02, "L": 0.04, "M": 0.06}

#: Spread between xraylib (as it is used here), fisx, EADL and Elam's table, printed by
#: benchmarks/accuracy/line_tables.py. 1 stands for what is not known.
SPREADS = (
    Spread("K", 5, 5, 0.7, 0.0, 1.0, 1.0),
    Spread("K", 6, 6, 0.526, 0.0, 1.0, 1.0),
    Spread("K", 7, 7, 0.278, 0.0, 1.0, 1.0),
    Spread("K", 8, 8, 0.147, 0.0, 1.0, 1.0),
    Spread("K", 9, 9, 0.109, 0.0, 1.0, 1.0),
    Spread("K", 10, 15, 0.099, 0.066, 0.738, 1.0),
    Spread("K", 16, 20, 0.088, 0.029, 0.307, 1.0),
    Spread("K", 21, 35, 0.031, 0.011, 0.078, 0.537),
    Spread("K", 36, 60, 0.02, 0.029, 0.074, 0.092),
    Spread("K", 61, 92, 0.026, 0.099, 0.156, 1.0),
    Spread("L", 13, 20, 0.778, 0.184, 0.169, 0.914),
    Spread("L", 21, 31, 0.134, 0.684, 0.854, 0.78),
    Spread("L", 32, 45, 0.041, 0.092, 0.463, 0.648),
    Spread("L", 46, 56, 0.108, 0.032, 0.129, 0.372),
    Spread("L", 57, 69, 0.088, 0.028, 0.112, 0.23),
    Spread("L", 70, 80, 0.042, 0.04, 0.22, 0.274),
    Spread("L", 81, 92, 0.029, 0.047, 0.1, 0.142),
    Spread("M", 32, 59, 0.507, 1.0, 0.955, 0.732),
    Spread("M", 60, 70, 0.08, 0.622, 1.0, 0.756),
    Spread("M", 71, 78, 0.076, 0.143, 0.194, 0.354),
    Spread("M", 79, 86, 0.022, 0.065, 0.157, 0.39),
    Spread("M", 87, 92, 0.146, 0.076, 1.0, 0.573),
)


#: Correlation of the K errors of elements up to Ca: where a table has a larger yield
#: than another one of one of them, it has of all. Printed by the same script.
LIGHT_CORRELATION = 0.8
_LIGHTEST_K = range(5, 21)


def multiplet(transition: str) -> str:
    """Return the multiplet of a transition.

    Parameters
    ----------
    transition
        In IUPAC notation, with groups of final subshells joined: "L3M5", "L3N45".

    Returns
    -------
    str
        Initial subshell, final shell and its orbital: "L3Md", "L3Nd".

    Raises
    ------
    ValueError
        If it is none.
    """
    split = re.fullmatch(r"(K|[LM]\d)([L-Q])(\d*)", transition)
    if split is None:
        raise ValueError(f"{transition!r} is no transition such as 'L3M5'.")
    initial, shell, numbers = split.groups()
    orbital = _ORBITALS[int(numbers[0])] if numbers else ""
    return f"{initial}{shell}{orbital}"


@dataclass(frozen=True)
class LineErrors:
    """Relative standard uncertainties of lines.

    Parameters
    ----------
    given
        By family ("K") or element ("Fe"): what the user knows of its emission better,
        or worse, than tables. Shares within a family are no worse than that.
    spreads
        What tables say.
    """

    given: Mapping[str, float] = field(default_factory=dict)
    spreads: tuple[Spread, ...] = SPREADS

    def of(self, element: str, family: str) -> Spread:
        """Return the uncertainties of a family.

        Parameters
        ----------
        element
            Symbol.
        family
            "K", "L" or "M".
        """
        z = atomic_number(element)
        found = Spread(family, z, z, 1.0, 1.0, 1.0, 1.0)
        for one in self.spreads:
            if one.family == family and one.first <= z <= one.last:
                total = float(np.hypot(one.total, IONISATION[family]))
                found = one._replace(total=total)
        known = self.given.get(element, self.given.get(family))
        if known is None:
            return found
        shares = (min(share, known) for share in found[-3:])
        return Spread(family, z, z, known, *shares)


class Multiplets(NamedTuple):
    """Multiplets of the lines of a model.

    Attributes
    ----------
    column
        Column of G that each is a part of, shape (n_multiplets,).
    spectra
        That part of the column, shape (n_channels, n_multiplets).
    covariance
        Of the relative errors of their emission, shape (n_multiplets, n_multiplets).
    """

    column: np.ndarray
    spectra: np.ndarray
    covariance: np.ndarray


def multiplets(model: SpectrumModel, errors: LineErrors) -> Multiplets:
    """Return the parts of the columns of a model that have errors of their own.

    Parameters
    ----------
    model
        Physics of the sample.
    errors
        Uncertainties of the lines.

    Notes
    -----
    The error of a multiplet is that of its family and that of its share, b less the
    mean of b over the family, as shares add up to 1; all b are independent. Errors of
    families are, too, but for the K lines of light elements, and those that standards
    have in common.
    """
    known = model._unabsorbed
    lines = known.lines
    absorbing = model.composition or dict.fromkeys(model.elements, 1.0)
    escaping, _ = model.emerging(absorbing)
    keys = [
        (int(column), line.element, line.family, multiplet(line.transition))
        for column, line in zip(lines.column, lines.emitted, strict=True)
    ]
    groups = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    member = np.zeros((len(keys), len(groups)))
    member[np.arange(len(keys)), [groups[key] for key in keys]] = 1.0
    spectra = known.line_spectra() @ (member * escaping[:, None])
    emitted = member.T @ [line.cross_section for line in lines.emitted]
    families = list(dict.fromkeys(key[1:3] for key in keys))
    of_family = np.array([families.index(key[1:3]) for key in groups])
    total = _of_families(families, errors, model.line_factor_errors)
    covariance = total[np.ix_(of_family, of_family)]
    for i, (element, family) in enumerate(families):
        own = np.flatnonzero(of_family == i)
        spread = errors.of(element, family)
        covariance[np.ix_(own, own)] += shares_covariance(emitted[own], spread)
    return Multiplets(np.array([key[0] for key in groups]), spectra, covariance)


def _of_families(
    families: list[tuple[str, str]],
    errors: LineErrors,
    measured: Mapping[str, Sequence[float]],
) -> np.ndarray:
    """Covariance of the relative errors of the emission of families."""
    by_tables = np.array([not {*x} & errors.given.keys() for x in families])
    known = np.array([f"{x}_{family}" in measured for x, family in families])
    known &= by_tables
    total = np.where(known, 0.0, [errors.of(*family).total for family in families])
    light = by_tables & [
        family == "K" and atomic_number(element) in _LIGHTEST_K
        for element, family in families
    ]
    correlation = np.where(np.outer(light, light), LIGHT_CORRELATION, 0.0)
    np.fill_diagonal(correlation, 1.0)
    covariance = correlation * np.outer(total, total)
    if known.any():
        chosen = (families[i] for i in np.flatnonzero(known))
        causes = np.array([measured[f"{x}_{family}"] for x, family in chosen])
        covariance[np.ix_(known, known)] += causes @ causes.T
    return covariance


def shares_covariance(emitted: np.ndarray, spread: Spread) -> np.ndarray:
    """Return the covariance of the relative errors of the multiplets of a family.

    That of their shares alone, without the error of the family as a whole.

    Parameters
    ----------
    emitted
        Emission of each multiplet, shape (n_multiplets,), in any unit.
    spread
        Uncertainties of the family.
    """
    share = emitted / emitted.sum()
    sizes = [share >= STRONG, share >= MEDIUM]
    error = np.select(sizes, (spread.strong, spread.medium), spread.weak)
    less_mean = np.eye(len(share)) - share
    return (less_mean * error**2) @ less_mean.T
