"""Factors on the emission of families: what standards and tables say together.

k-factors of several standards, measured or given, make factors with errors. Zeta
factors (M. Watanabe and D. B. Williams, J. Microsc. 221 (2006) 89) are k-factors of a
known scale: with the mass thickness rt and the number of electrons D,

    C_A rt = zeta_A I_A / D,    zeta_A = m_A / (s_A Omega / 4 pi)  (kg/m2)

where I_A are the counts that a film without absorption would give, m_A is the mass of
an atom, s_A its emission cross section x efficiency, and Omega the solid angle of the
detector.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from espm_hs.arguments import check_mapping, check_number
from espm_hs.physics.xray.arguments import checked_line_errors
from espm_hs.physics.xray.detector import FILM, Detector
from espm_hs.physics.xray.elements import atomic_weight
from espm_hs.physics.xray.emission import parse_line
from espm_hs.physics.xray.kfactors import KFactorTable, checked_factor, detected
from espm_hs.physics.xray.uncertainty import LineErrors
from espm_hs.physics.xray.unknowns import DETECTOR, GROWN, LAYER_ERROR
from espm_hs.shown_table import ShownTable, data_frame

if TYPE_CHECKING:
    import pandas

#: Name of the solid angle among the line factors that zeta factors imply.
SOLID_ANGLE = "solid angle"
# zeta in kg/m2 of a base in atomic mass units / cm2 and a solid angle of 1 sr
_ZETA = 4 * np.pi * 1.66053906892e-27 / 1e-4
# Nothing is known better, as a relative error.
_FINEST = 1e-6
# A table disagrees with others where it is off by so many standard errors.
_DISAGREES = 3.0


class Standard(NamedTuple):
    """k-factors, or zeta factors, of families with errors, measured or given.

    Attributes
    ----------
    kfactors
        By family, like "Fe_K", by weight.
    errors
        By family, relative errors by independent causes, each of which moves all
        families together. If there are none, they are known as well as atomic data.
    absolute
        Whether they are zeta factors, kg/m2.
    name
        Of the standard or the table.
    """

    kfactors: Mapping[str, float]
    errors: Mapping[str, Sequence[float]] = MappingProxyType({})
    absolute: bool = False
    name: str = "the table"

    @classmethod
    def of_table(
        cls,
        table: KFactorTable | Mapping[str, float],
        beam_energy: float,
        detector: Detector,
        error: float | None = None,
        absolute: bool = False,
    ) -> Standard:
        """Return what a table says of whole families.

        Parameters
        ----------
        table
            k-factors, or zeta factors, by line; those of a mapping are by weight.
        beam_energy
            keV.
        detector
            Detector that saw the lines.
        error
            Relative error of each of them; None: that of atomic data.
        absolute
            Whether they are zeta factors.

        Raises
        ------
        ValueError
            If there are none, a name is not understood or has no line, two lines belong
            to one family, or a k-factor is not a positive number.
        TypeError
            If it is no table.
        """
        factors, basis = table if isinstance(table, KFactorTable) else (table, "weight")
        if not isinstance(factors, Mapping):
            raise TypeError(
                "`standard` must be a signal of this type, see "
                "`standard.set_signal_type('EDS_espm')`, or factors of lines, such as "
                f"{{'Fe_Ka': 1.3}}; got {type(factors).__name__}."
            )
        if error is not None:
            check_number("error", error, 0, 1)
        found: dict[str, float] = {}
        for name, k in factors.items():
            element, _, _ = line = parse_line(name)
            if line.key in found:
                raise ValueError(
                    f"There are two factors of the family {line.key}, of which {name} "
                    "is one. Give one of them."
                )
            of_line, of_family = (
                detected(one, beam_energy, "weight", detector)
                for one in (name, line.key)
            )
            found[line.key] = checked_factor(k, name) * of_line / of_family
            if basis == "atomic":
                found[line.key] *= atomic_weight(element)
        if not found:
            raise ValueError("There are no factors of lines, such as {'Fe_Ka': 1.3}.")
        if error is None:
            return cls(found, absolute=absolute)
        rows = (error * np.eye(len(found))).tolist()
        return cls(found, dict(zip(found, rows, strict=True)), absolute)

    @classmethod
    def from_dict(cls, stored: Any) -> Standard:
        """Return the standard whose fields a mapping has.

        Raises
        ------
        ValueError, TypeError
            If it has others, or they cannot be used.
        """
        check_mapping("standards", stored, "fields of a table of factors to values")
        if unknown := [name for name in stored if name not in cls._fields]:
            raise ValueError(f"A standard has {cls._fields}; found {unknown}.")
        kfactors = stored.get("kfactors", {})
        check_mapping("kfactors", kfactors, "families to numbers")
        factors = {parse_line(x).key: checked_factor(k, x) for x, k in kfactors.items()}
        errors = checked_line_errors(stored.get("errors"))
        if len(factors) < len(kfactors):
            raise ValueError(
                f"`kfactors` names a family more than once: {', '.join(kfactors)}."
            )
        if not factors or (errors and errors.keys() != factors.keys()):
            raise ValueError(
                "A standard has factors and errors of the same families; found factors "
                f"of {[*factors]} and errors of {[*errors]}."
            )
        rest = {x: stored[x] for x in ("absolute", "name") if x in stored}
        return cls(factors, errors, **rest)

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers and text."""
        return {
            "kfactors": dict(self.kfactors),
            "errors": {name: list(row) for name, row in self.errors.items()},
            "absolute": bool(self.absolute),
            "name": str(self.name),
        }


class LineFactor(NamedTuple):
    """One line of the table of `LineFactors`; errors are relative.

    Attributes
    ----------
    family
        Like "Fe_K".
    factor, factor_error
        On its emission: 1 stands for atomic data and the efficiency of the detector.
    kfactor, kfactor_error
        By weight, relative to a reference.
    zeta, zeta_error
        Zeta factor, kg/m2; NaN where there is no solid angle.
    """

    family: str
    factor: float
    factor_error: float
    kfactor: float
    kfactor_error: float
    zeta: float
    zeta_error: float


@dataclass(frozen=True, eq=False, repr=False)
class LineFactors(ShownTable):
    """What tables of k-factors, zeta factors and standards make of atomic data.

    Parameters
    ----------
    factors
        By family, factor on its emission; with zeta factors, `SOLID_ANGLE` in sr, too.
    errors
        By the same names, relative errors by independent causes, each of which moves
        all families together.
    bases
        Of each family, atomic weight over what is counted of an atom, 1/cm2.
    reference
        Family that k-factors are relative to.
    unused
        Families that atomic data know better than the tables do; they stay as they are.
    disagreements
        Where tables disagree.
    """

    factors: Mapping[str, float]
    errors: Mapping[str, Sequence[float]]
    bases: Mapping[str, float]
    reference: str
    unused: tuple[str, ...] = ()
    disagreements: tuple[str, ...] = ()

    header = (
        *("family", "factor", "error", "k", "error of k"),
        *("zeta (kg/m2)", "its error"),
    )

    @property
    def solid_angle(self) -> float | None:
        """Solid angle with which the dose explains zeta factors, sr."""
        return self.factors.get(SOLID_ANGLE)

    @property
    def arguments(self) -> dict[str, Any]:
        """Arguments of `SpectrumModel`."""
        used = [name for name in self.bases if name not in self.unused]
        return {
            "line_factors": {name: self.factors[name] for name in used},
            "line_factor_errors": {name: self.errors[name] for name in used},
        }

    def relative_to(self, reference: str) -> LineFactors:
        """Return the same with k-factors that are relative to another family.

        Parameters
        ----------
        reference
            Family, or a line of it.

        Raises
        ------
        ValueError
            If it has no factor.
        """
        key = parse_line(reference).key
        if key not in self.bases:
            known = ", ".join(self.bases)
            raise ValueError(f"{reference!r} has no line factor; {known} have.")
        return replace(self, reference=key)

    @property
    def entries(self) -> tuple[LineFactor, ...]:
        """A line for each family."""
        ks = self._per_reference(self.reference, 1.0)
        zetas = self._per_reference(SOLID_ANGLE, _ZETA)
        spread = {name: float(np.linalg.norm(row)) for name, row in self.errors.items()}
        return tuple(
            LineFactor(name, self.factors[name], spread[name], *ks[name], *zetas[name])
            for name in self.bases
        )

    def _per_reference(self, name: str, unit: float) -> dict[str, tuple[float, float]]:
        """Return k-factors, or zeta factors, with their relative errors."""
        if name not in self.factors:
            return dict.fromkeys(self.bases, (np.nan, np.nan))
        # a solid angle is large where counts are many, as a factor is
        sign = 1 if name == SOLID_ANGLE else -1
        scale = unit * (self.factors[name] / self.bases.get(name, 1.0)) ** -sign
        other = sign * np.array(self.errors[name])
        return {
            family: (
                float(scale * base / self.factors[family]),
                float(np.linalg.norm(np.array(self.errors[family]) + other)),
            )
            for family, base in self.bases.items()
        }

    def rows(self) -> list[tuple[str, ...]]:
        """Return the lines as text, with errors in percent."""
        rows = []
        for name, *numbers in self.entries:
            cells = [f"{x:.4g}" for x in numbers]
            cells[1::2] = [f"{100 * x:.1f} %" for x in numbers[1::2]]
            rows.append((name, *("-" if "nan" in x else x for x in cells)))
        return rows

    def footer(self) -> list[str]:
        """Say what k-factors are relative to, and what tables do not agree on."""
        notes = [f"k-factors by weight, relative to {self.reference}."]
        if self.solid_angle is not None:
            error = float(np.linalg.norm(self.errors[SOLID_ANGLE]))
            notes.append(
                f"Solid angle {self.solid_angle:.3g} sr ± {100 * error:.1f} %."
            )
        if self.unused:
            unused = ", ".join(self.unused)
            notes.append(f"Known better by atomic data, and not used: {unused}.")
        return [*notes, *self.disagreements]

    def to_dataframe(self) -> pandas.DataFrame:
        """Return the entries as a table of pandas, with relative errors.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        return data_frame(list(self.entries), LineFactor._fields)


def combined(
    tables: Iterable[Standard],
    beam_energy: float,
    detector: Detector,
    unknown: Sequence[str] = (),
) -> LineFactors:
    """Return the line factors with which a model agrees with tables as well as it can.

    Parameters
    ----------
    tables
        At least one.
    beam_energy, detector, unknown
        As `SpectrumModel` has them that will get the factors.

    Raises
    ------
    ValueError
        If a family has no line.

    Notes
    -----
    Least squares in the logarithms of the factors. Each table of k-factors has a free
    scale; the scale of zeta factors is the solid angle, common to all. What tables
    leave open is a common factor of all families that they relate to each other: their
    mean is expected to be that of atomic data, within their errors.
    """
    tables = sorted(tables, key=repr)
    families = sorted({family for table in tables for family in table.kfactors})
    bases = {
        name: 1 / detected(name, beam_energy, "weight", detector) for name in families
    }
    usual = {x: _usual(x, beam_energy, detector, unknown) for x in families}
    known = {x: error for x, (_, error) in usual.items()}
    scales = [SOLID_ANGLE if x.absolute else f"scale {i}" for i, x in enumerate(tables)]
    names = [*families, *dict.fromkeys(sorted(scales, key=SOLID_ANGLE.__ne__))]
    pairs = list(zip(tables, scales, strict=True))
    seen = [_observed(*pair, bases, known, names) for pair in pairs]
    groups = [
        sorted(names.index(x) for x in group if x in usual) for group in _related(pairs)
    ]
    expected = _levels(groups, seen, np.array([usual[x] for x in families]))
    mean, covariance = _solved([*seen, *expected])
    spread = dict(zip(names, np.sqrt(np.diag(covariance)).tolist(), strict=True))
    given = {name for table in tables if not table.errors for name in table.kfactors}
    worse = [x for x in families if spread[x] > known[x] and x not in given]
    kept = [*families, SOLID_ANGLE][: len(families) + (SOLID_ANGLE in names)]
    factors = np.exp(mean[: len(kept)]).tolist()
    rows = np.linalg.cholesky(covariance[: len(kept), : len(kept)]).tolist()
    return LineFactors(
        dict(zip(kept, factors, strict=True)),
        dict(zip(kept, rows, strict=True)),
        bases,
        min(families, key=lambda x: (spread[x], x)),
        tuple(worse),
        tuple(_disagreements(tables, seen, mean, covariance)),
    )


def _usual(
    name: str, beam_energy: float, detector: Detector, unknown: Sequence[str]
) -> tuple[float, float]:
    """Return the logarithm of a factor that nobody has measured, and its error."""
    atomic = LineErrors().of(*name.split("_")).total

    def lost(**changes: Any) -> float:
        now, then = (
            detected(name, beam_energy, "weight", one)
            for one in (detector, detector.replace(**changes))
        )
        return float(np.log(now / then))

    if DETECTOR in unknown:
        depth = lost(layers=(*detector.layers, *FILM))
        return -depth / 2, float(np.hypot(atomic, depth / np.sqrt(12)))
    layers = tuple((x, (1 + LAYER_ERROR) * um) for x, um in detector.layers)
    stated = bool(detector.layers or detector.curve)
    carbon = detector.carbon + GROWN[1] * stated
    return 0.0, float(np.hypot(atomic, lost(layers=layers, carbon=carbon)))


_Seen = tuple[np.ndarray, np.ndarray, np.ndarray]


def _observed(
    table: Standard,
    scale: str,
    bases: Mapping[str, float],
    known: Mapping[str, float],
    names: list[str],
) -> _Seen:
    """Return what a table says: of which sums of unknowns, their values and errors."""
    own = sorted(table.kfactors)
    design = np.array([[float(x in (name, scale)) for x in names] for name in own])
    unit = _ZETA if table.absolute else 1.0
    values = np.log([unit * bases[name] / table.kfactors[name] for name in own])
    rows = np.diag([known[name] for name in own])
    if table.errors:
        rows = np.array([table.errors[name] for name in own])
    return design, values, rows @ rows.T + _FINEST**2 * np.eye(len(own))


def _related(pairs: Iterable[tuple[Standard, str]]) -> list[set[str]]:
    """Return groups of families and scales that tables relate to each other."""
    groups: list[set[str]] = []
    for table, scale in pairs:
        joined = {scale, *table.kfactors}
        for other in [group for group in groups if group & joined]:
            joined |= other
            groups.remove(other)
        groups.append(joined)
    return groups


def _solved(seen: Sequence[_Seen]) -> tuple[np.ndarray, np.ndarray]:
    """Return what observations say of the unknowns, and its covariance."""
    size = seen[0][0].shape[1]
    information, target = np.zeros((size, size)), np.zeros(size)
    for design, value, covariance in seen:
        weighted = np.linalg.solve(covariance, design).T
        information += weighted @ design
        target += weighted @ value
    covariance = np.linalg.inv(information)
    return covariance @ target, covariance


def _levels(
    groups: list[list[int]], seen: Sequence[_Seen], usual: np.ndarray
) -> Iterator[_Seen]:
    """Yield what is expected of the mean of each group of families.

    Weights are those of the best estimate of the common factor: a family that tables or
    atomic data hardly know does not set the level of the others.
    """
    size = seen[0][0].shape[1]
    value, error = usual.T
    known = [min(group, key=error.__getitem__) for group in groups]
    fixed = [(np.eye(size)[[i]], np.zeros(1), np.eye(1)) for i in known]
    _, relative = _solved([*seen, *fixed])
    for group, i in zip(groups, known, strict=True):
        # as errors of ratios to the best known family
        others = np.ix_(group, group)
        differences = relative[others] - relative[i, i]
        weight = np.linalg.solve(
            differences + np.diag(error[group] ** 2), np.ones(len(group))
        )
        weight /= weight.sum()
        design = np.zeros((1, size))
        design[0, group] = weight
        variance = weight**2 @ error[group] ** 2
        yield design, np.array([weight @ value[group]]), np.array([[variance]])


def _disagreements(
    tables: list[Standard], seen: list[_Seen], mean: np.ndarray, spread: np.ndarray
) -> Iterator[str]:
    """Say where tables are off from what all of them say together, once a family."""
    worst: dict[str, tuple[float, float, str]] = {}
    for table, (design, value, covariance) in zip(tables, seen, strict=True):
        off = value - design @ mean
        # what is left of the error where the table itself is part of the mean
        left = np.diag(covariance - design @ spread @ design.T)
        z = np.abs(off) / np.sqrt(np.maximum(left, _FINEST**2))
        for name, one, far in zip(sorted(table.kfactors), off, z, strict=True):
            is_shared = sum(name in other.kfactors for other in tables) > 1
            if is_shared and far > max(_DISAGREES, worst.get(name, (0.0,))[0]):
                worst[name] = (float(far), float(np.expm1(one)), table.name)
    for name, (far, off, which) in worst.items():
        yield (
            f"{which} disagrees with the others on {name}: by {100 * off:+.1f} %, "
            f"{far:.1f} standard errors."
        )
