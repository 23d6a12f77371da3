"""Cliff-Lorimer k-factors: tables of others as line factors, and those of the model.

With C the fractions and I the counts of two elements in a film that absorbs nothing,
C_A / C_B = k_AB I_A / I_B (G. Cliff and G. W. Lorimer, J. Microsc. 103 (1975) 203). By
numbers of atoms ("atomic")

    k_AB = s_B / s_A,    s = sum over the lines of emission cross section x efficiency

and by mass ("weight") k_AB = (s_B / M_B) / (s_A / M_A), with the atomic weights M.

Which lines a k-factor is about, its name says: "Fe_Ka" all alpha lines together (Ka1,
Ka2), "Fe_Ka1" that line, "Fe_K" or "Fe K" the whole family. Tables of software that
fits families often write "Ka" but mean the family: give them as "K".
"""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, cast

from espm_hs.physics.xray.arguments import checked_line_factors
from espm_hs.physics.xray.detector import Detector
from espm_hs.physics.xray.elements import atomic_weight
from espm_hs.physics.xray.emission import emission_lines, parse_line

Basis = Literal["weight", "atomic"]
_BASES = ("weight", "atomic")


class KFactorTable(NamedTuple):
    """k-factors of a file.

    Attributes
    ----------
    kfactors
        By line, like "Fe_Ka".
    basis
        What they relate.
    """

    kfactors: dict[str, float]
    basis: str


_WRONG_BASIS = 'The basis must be "weight" or "atomic", found {!r}.'


def kfactors(
    lines: Iterable[str],
    beam_energy: float,
    *,
    reference: str = "Si_Ka",
    basis: Basis = "weight",
    detector: Detector | str | None = None,
) -> dict[str, float]:
    """Return the k-factors of the atomic data and the efficiency of a detector.

    Parameters
    ----------
    lines
        Lines or families, like "Fe_Ka", "Fe_Ka1" or "Fe_K".
    beam_energy
        keV.
    reference
        Line or family B of k_AB.
    basis
        Whether they relate masses or numbers of atoms.
    detector
        Or the name of a preset; default "windowless".

    Returns
    -------
    dict of str to float
        k_AB as the module defines it, by the names given.

    Raises
    ------
    ValueError
        If a name is not understood or has no line, or the basis is neither.
    """
    if basis not in _BASES:
        raise ValueError(_WRONG_BASIS.format(basis))
    used = Detector.of(detector)
    base = detected(reference, beam_energy, basis, used)
    return {name: base / detected(name, beam_energy, basis, used) for name in lines}


# inside of functions that take k-factors under that name
_of_model = kfactors


def line_factors_from_kfactors(
    kfactors: Mapping[str, float],
    beam_energy: float,
    *,
    reference: str,
    basis: Basis,
    detector: Detector | str | None = None,
) -> dict[str, float]:
    """Line factors with which a `SpectrumModel` agrees with a table of k-factors.

    Parameters
    ----------
    kfactors
        By line or family; measured on standards or written by a vendor.
    beam_energy
        Beam energy of the table, keV.
    reference
        Line or family that keeps the factor 1. k-factors are divided by that of the
        reference if the table has it, else they are taken as relative to it.
    basis
        Whether the table relates masses or numbers of atoms.
    detector
        Detector of the model that will get the factors, or the name of a preset;
        "windowless" by default. Its efficiency is part of the k-factors.

    Returns
    -------
    dict of str to float
        By family ("Fe_K"): k-factor of the model over that of the table. The lines
        within a family keep their ratios.

    Raises
    ------
    ValueError
        If a name is not understood or has no line, two lines belong to one family, a
        k-factor is not a positive number, or the basis is neither.
    """
    given = {name: checked_factor(k, name) for name, k in kfactors.items()}
    ours = _of_model(
        given, beam_energy, reference=reference, basis=basis, detector=detector
    )
    wanted = parse_line(reference)
    units = [k for name, k in given.items() if parse_line(name) == wanted]
    unit = units[0] if units else 1.0
    return checked_line_factors(
        {name: ours[name] * unit / k for name, k in given.items()}
    )


def read_kfactors(path: str | Path, *, basis: Basis | None = None) -> KFactorTable:
    """Read k-factors from a CSV file.

    Parameters
    ----------
    path
        File with a header that names the columns element, line, k and, unless it is
        given here, basis; in any order, others are ignored. Lines like "Ka" or "K";
        lines of text that start with # are comments.
    basis
        For all rows of a file without that column.

    Raises
    ------
    ValueError
        If a column is missing, a value is not understood, a line occurs twice, or the
        rows differ in basis; says in which line of the file.
    """
    found: dict[str, float] = {}
    for where, row in _rows(path, ("element", "line", "k")):
        try:
            name = f"{row['element']}_{row['line']}"
            parse_line(name)
            if name in found:
                raise ValueError(f"{name} occurs for the second time.")
            found[name] = checked_factor(row["k"], name)
            basis = _common_basis(row.get("basis"), basis)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error
    if basis is None:
        raise ValueError(f"{path} has no k-factors.")
    return KFactorTable(found, basis)


def detected(name: str, beam_energy: float, basis: Basis, detector: Detector) -> float:
    """Return emission times efficiency of a line, cm2 per atom or atomic mass unit.

    Raises
    ------
    ValueError
        If there is no such line.
    """
    wanted = parse_line(name)
    lines = [
        line
        for line in emission_lines(wanted.element, beam_energy)
        if wanted.includes(line.name.split()[1])
    ]
    if not lines:
        known = [x.name for x in emission_lines(wanted.element, beam_energy)]
        raise ValueError(
            f"There is no line {name!r}. Lines of {wanted.element} at {beam_energy:g} "
            f"keV: {', '.join(known) or 'none'}."
        )
    efficiency = detector.efficiency([line.energy for line in lines])
    sigma = sum(x.cross_section * e for x, e in zip(lines, efficiency, strict=True))
    return float(sigma / (atomic_weight(wanted.element) if basis == "weight" else 1))


def checked_factor(value: float | str, name: str) -> float:
    """Return a k-factor as a number, or raise ValueError."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = -1.0
    if not 0 < number < float("inf"):
        raise ValueError(
            f"The k-factor of {name} must be a positive number, found {value!r}."
        )
    return number


def _rows(
    path: str | Path, needed: Sequence[str]
) -> Iterator[tuple[str, dict[str, str]]]:
    """Rows of a CSV file as dicts, each with its place for messages."""
    header: list[str] = []
    with Path(path).open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file)
        for fields in reader:
            cells = [cell.strip() for cell in fields]
            where = f"{path}, line {reader.line_num}"
            if not any(cells) or cells[0].startswith("#"):
                continue
            if not header:
                header = [cell.lower() for cell in cells]
                if missing := [name for name in needed if name not in header]:
                    raise ValueError(
                        f"{where}: the header lacks {', '.join(missing)}, found "
                        f"{', '.join(cells)}."
                    )
                continue
            if len(cells) != len(header):
                raise ValueError(
                    f"{where}: {len(header)} columns are expected, found {len(cells)}."
                )
            yield where, dict(zip(header, cells, strict=True))


def _common_basis(found: str | None, basis: Basis | None) -> Basis:
    """Basis of a row; the same as of the rows before and the argument."""
    if found is None and basis is None:
        raise ValueError(
            "There is no column basis: add one, or say basis='weight' or 'atomic'."
        )
    name = basis if found is None else found.lower()
    if name not in _BASES:
        raise ValueError(_WRONG_BASIS.format(found))
    if basis is not None and name != basis:
        raise ValueError(f"The basis is {name!r}, but was {basis!r} before.")
    return cast(Basis, name)
