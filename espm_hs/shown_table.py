"""Tables of results: as text, in notebooks as HTML, and as data frames of pandas."""

from __future__ import annotations

import html
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from prettytable import PrettyTable

if TYPE_CHECKING:
    import pandas


class ShownTable(ABC):
    """A table with remarks, shown as text, and in notebooks as HTML."""

    #: So many columns, from the first on, are flush left.
    n_left: ClassVar[int] = 1

    @property
    @abstractmethod
    def header(self) -> tuple[str, ...]:
        """Names of the columns."""

    @abstractmethod
    def rows(self) -> list[tuple[str, ...]]:
        """Return the lines as text."""

    def footer(self) -> list[str]:
        """Return what is to be said below the table."""
        return []

    def __str__(self) -> str:
        table = text_table(self.header, self.rows(), self.header[: self.n_left])
        return "\n".join([table, *self.footer()])

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return html_table(self.header, self.rows(), self.footer())


def text_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[str]
) -> str:
    """Return a table as text, in which each phase is named once.

    Parameters
    ----------
    header
        Names of the columns; some may be the same, such as "±".
    rows
        Lines, the phase first.
    left
        Columns that are flush left.
    """
    before = ["", *(row[0] for row in rows)]
    lines = [
        ["" if row[0] == last else row[0], *row[1:]]
        for row, last in zip(rows, before[:-1], strict=True)
    ]
    table = PrettyTable(_unlike(header), border=False)
    table.align = "r"
    for name in left:
        table.align[name] = "l"
    table.add_rows(lines)
    return table.get_string()


def html_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str]
) -> str:
    """Return a table and what is to be said below it, as HTML."""
    table = PrettyTable(_unlike(header))
    table.add_rows([list(row) for row in rows])
    below = "<br>".join(map(html.escape, notes))
    return f"{table.get_html_string()}<p>{below}</p>"


def _unlike(header: Sequence[str]) -> list[str]:
    """Return names of columns that look the same and differ, as PrettyTable needs."""
    return [name + " " * header[:i].count(name) for i, name in enumerate(header)]


def data_frame(rows: Any, columns: Sequence[str]) -> pandas.DataFrame:
    """Return a table of pandas.

    Raises
    ------
    ImportError
        If pandas is not installed.
    """
    try:
        import pandas
    except ImportError:
        raise ImportError(
            "A data frame needs pandas: install it, `pip install pandas`, or take what "
            "the object holds."
        ) from None
    return pandas.DataFrame(rows, columns=columns)
