"""Numbers that users give."""

from numbers import Real
from typing import Any


def plain_float(name: str, value: Any) -> float:
    """
    Plain number.

    Parameters
    ----------
    name : str
        Of the argument, for the message.
    value
        May be a number of numpy.

    Returns
    -------
    float

    Raises
    ------
    TypeError
        If it is none.
    """
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f"`{name}` must be a number, got {value!r}.")
    return float(value)
