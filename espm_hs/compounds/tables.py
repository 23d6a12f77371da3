"""Tables of compounds: those of the package, and users' own."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from pathlib import Path
from typing import Any

from espm_hs.arguments import check_choice, did_you_mean, plain_float
from espm_hs.compounds.formulas import BETWEEN_MEMBERS, end_members

_SYMBOL = re.compile("[A-Z][a-z]?")
#: Names of the databases of the package -> files of which they consist.
DATABASES = {
    "minerals": ("more_minerals", "minerals"),
    "compounds": ("materials",),
    "all": ("materials", "more_minerals", "minerals"),
}


@dataclass(frozen=True)
class Compound:
    """A compound, or a solid solution of several.

    Parameters
    ----------
    name
        What it is called.
    formula
        As `end_members` reads it.
    weight
        How much more frequent it is than others, if that is to count.
    """

    name: str
    formula: str
    weight: float = 1.0

    @cached_property
    def members(self) -> tuple[tuple[str, dict[str, float]], ...]:
        """Labels and atoms of the end members, of which a compound has one."""
        return end_members(self.formula)

    @cached_property
    def elements(self) -> frozenset[str]:
        """Symbols of all end members, without reading the formula to its end."""
        parts = self.formula.split(BETWEEN_MEMBERS)
        return frozenset(
            x for part in parts for x in _SYMBOL.findall(part.rpartition(":")[2])
        )

    @property
    def may_vary(self) -> bool:
        """Whether it may be a solid solution."""
        return BETWEEN_MEMBERS in self.formula or "," in self.formula

    def __str__(self) -> str:
        return self.name


@cache
def _packaged(database: str) -> tuple[Compound, ...]:
    """Return a database of the package."""
    found: list[Compound] = []
    for name in DATABASES[database]:
        path = resources.files("espm_hs.compounds").joinpath("data", f"{name}.csv")
        with path.open(encoding="utf-8") as file:
            found += _rows(file, f"{name}.csv")
    return tuple(found)


def read_compounds(database: Any = "all") -> tuple[Compound, ...]:
    """Return the compounds of a database.

    Parameters
    ----------
    database
        "minerals", "compounds" or "all" of the package; the path of a CSV file with a
        column ``formula`` and, if wanted, ``name`` and ``weight``; a list of formulas;
        a mapping of names to formulas; compounds; or a list of any of these. Formulas
        of solid solutions are read as `end_members` does.

    Returns
    -------
    tuple of Compound

    Raises
    ------
    ValueError
        If there is no such database, a formula cannot be read, or there is nothing.
    OSError
        If the file cannot be read.
    TypeError
        If it is something else.
    """
    if isinstance(database, str) and database in DATABASES:
        return _packaged(database)
    found = tuple(_own(database))
    if not found:
        raise ValueError("`database` has no compound: give at least one formula.")
    for compound in found:
        _ = compound.members  # raises for what cannot be read
    return found


def _own(database: Any) -> Iterator[Compound]:
    """Yield the compounds of what is no database of the package."""
    if isinstance(database, Compound):
        yield database
    elif isinstance(database, Path) or _is_file(database):
        with open(database, encoding="utf-8-sig", newline="") as file:
            yield from _rows(file, str(database))
    elif isinstance(database, str):
        check_choice("database", database, DATABASES)
    elif isinstance(database, Mapping):
        for name, formula in database.items():
            yield Compound(str(name), formula)
    elif isinstance(database, Iterable):
        for one in database:
            is_word = isinstance(one, str) and not (one in DATABASES or _is_file(one))
            yield from (Compound(one, one),) if is_word else read_compounds(one)
    else:
        raise TypeError(
            "`database` must be 'minerals', 'compounds', 'all', the path of a CSV "
            f"file, or a list of formulas such as ['(Mg,Fe)O']; got {database!r}."
        )


def _is_file(word: Any) -> bool:
    return isinstance(word, str) and word.lower().endswith(".csv")


def _rows(file: Iterable[str], name: str) -> Iterator[Compound]:
    """Yield the compounds of a CSV file."""
    reader = csv.DictReader(file)
    if "formula" not in (reader.fieldnames or ()):
        raise ValueError(
            f"{name} has the columns {list(reader.fieldnames or ())}; needed is "
            "'formula', and beside it may be 'name' and 'weight'."
        )
    for row in reader:
        where = f"{name}, line {reader.line_num}"
        if None in row:
            raise ValueError(
                f"{where} has more cells than columns: put formulas with commas in "
                'quotes, "(Mg,Fe)O".'
            )
        formula = (row["formula"] or "").strip()
        weight = _weight(row.get("weight"), where)
        yield Compound((row.get("name") or formula).strip(), formula, weight)


def _weight(text: str | None, where: str) -> float:
    try:
        weight = float(text or 1.0)
    except ValueError:
        weight = float("nan")
    if not 0 < weight < float("inf"):
        raise ValueError(f"{where}: the weight is {text!r}; it must be above 0.")
    return weight


def find_compound(name: str, database: Any = "all") -> Compound:
    """Return the compound of a name.

    Parameters
    ----------
    name
        Such as "anorthite"; upper and lower case are the same.
    database
        See `read_compounds`.

    Raises
    ------
    ValueError
        If none has this name; names the nearest one.
    """
    compounds = read_compounds(database)
    for compound in compounds:
        if compound.name.casefold() == name.strip().casefold():
            return compound
    hint = did_you_mean(name, [compound.name for compound in compounds])
    raise ValueError(f"The database has no compound {name!r}.{hint}")


def prior_weights(compounds: Iterable[Compound], prior: Any) -> list[float]:
    """Return how probable compounds are beforehand, relative to each other.

    Parameters
    ----------
    compounds
        Of a database.
    prior
        None: all are as likely. "frequency": by their weights in the database. A
        mapping of names to relative weights; 1 for what is not named.

    Raises
    ------
    ValueError
        If a word is unknown, a name is in no database, or a weight is not above 0.
    TypeError
        If a weight is no number.
    """
    compounds = list(compounds)
    if isinstance(prior, str) and prior == "frequency":
        return [one.weight for one in compounds]
    if not isinstance(prior, Mapping):
        check_choice("prior", prior, ("frequency", None))
    given = {str(name).casefold(): x for name, x in (prior or {}).items()}
    names = [one.name.casefold() for one in compounds]
    for name, weight in given.items():
        if name not in names:
            hint = did_you_mean(name, names)
            raise ValueError(f"`prior` has {name!r}, which no database has.{hint}")
        if not 0 < plain_float(f"prior[{name!r}]", weight) < float("inf"):
            raise ValueError(f"`prior[{name!r}]` is {weight!r}; it must be above 0.")
    return [float(given.get(name, 1.0)) for name in names]
