"""Arguments that users give: what they must be, said in one way everywhere."""

import difflib
from collections.abc import Iterable, Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np


def did_you_mean(
    name: str, known: Iterable[str], elsewhere: Mapping[str, str] | None = None
) -> str:
    """Return the question after the known name that is nearest to an unknown one.

    Parameters
    ----------
    name, known
        The unknown name, and the known ones.
    elsewhere
        Names that others have for known ones.

    Returns
    -------
    str
        With a blank before it; empty if no name is near.
    """
    elsewhere = elsewhere or {}
    near = difflib.get_close_matches(name, [*known, *elsewhere], 1)
    return f" Did you mean `{elsewhere.get(near[0], near[0])}`?" if near else ""


def check_choice(name: str, value: Any, choices: Iterable[str | None]) -> None:
    """
    Refuse what is none of several words.

    Parameters
    ----------
    name : str
        Of the argument.
    value
        As given.
    choices : iterable of str, or None
        Those that there are.

    Raises
    ------
    ValueError
        Names the argument, what was given and the choices.
    """
    choices = list(choices)
    if (value is None or isinstance(value, str)) and value in choices:
        return
    *first, last = map(repr, choices)
    raise ValueError(f"`{name}` must be {', '.join(first)} or {last}, got {value!r}.")


def check_flag(name: str, value: Any, auto: bool = False) -> None:
    """
    Refuse what is neither True nor False.

    Parameters
    ----------
    name : str
        Of the argument.
    value
        As given.
    auto
        Whether it may also be "auto".

    Raises
    ------
    ValueError
        Names the argument and what was given.
    """
    if not (isinstance(value, bool) or (auto and value == "auto")):
        choice = "True, False or 'auto'" if auto else "True or False"
        raise ValueError(f"`{name}` must be {choice}, got {value!r}.")


def check_mapping(name: str, value: Any, what: str) -> None:
    """
    Refuse what is no mapping.

    Parameters
    ----------
    name : str
        Of the argument.
    value
        As given.
    what : str
        What it maps to what, with an example.

    Raises
    ------
    TypeError
        Names the argument, what was given and what is needed.
    """
    if not isinstance(value, Mapping):
        raise TypeError(f"`{name}` must map {what}; got {value!r}.")


def check_number(
    name: str,
    value: float,
    low: float = -np.inf,
    high: float = np.inf,
    *,
    above: bool = False,
    whole: bool = False,
) -> None:
    """
    Refuse what is no finite number in a range.

    Parameters
    ----------
    name : str
        Of the argument.
    value : float
        Its value.
    low, high : float
        Limits, which belong to the range.
    above : bool
        The lower limit does not belong to it.
    whole : bool
        Nothing but integers.

    Raises
    ------
    ValueError
        If it is out of range.
    """
    is_number = isinstance(value, Integral if whole else Real) and np.isfinite(value)
    if is_number and low <= value <= high and not (above and value == low):
        return
    needed = ["an integer" if whole else "a finite number"]
    if low > -np.inf:
        needed.append(f"above {low:g}" if above else f"of at least {low:g}")
    if high < np.inf:
        needed.append(f"and at most {high:g}")
    raise ValueError(f"`{name}` must be {' '.join(needed)}, found {value!r}.")


def plain_float(name: str, value: Any) -> float:
    """
    Plain number.

    Parameters
    ----------
    name : str
        Of the argument.
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


def float_array(name: str, value: Any) -> np.ndarray:
    """
    Array of numbers.

    Parameters
    ----------
    name : str
        Of the argument.
    value
        Number, or nested lists or array of numbers.

    Returns
    -------
    array of float64

    Raises
    ------
    TypeError
        If there is something else in it, such as text.
    """
    try:
        found = np.asarray(value)
    except ValueError:  # lists of different lengths
        found = np.array(None)
    if found.dtype.kind not in "biuf":
        raise TypeError(f"`{name}` must consist of numbers, got {value!r}.")
    return found.astype(float, copy=False)


def generator(random_state: Any, name: str = "random_state") -> np.random.Generator:
    """
    Source of random numbers.

    Parameters
    ----------
    random_state : int, None or numpy.random.Generator
        As numpy takes it.
    name : str
        Of the argument.

    Raises
    ------
    ValueError
        If it is something else.
    """
    try:
        return np.random.default_rng(random_state)
    except (TypeError, ValueError):
        raise ValueError(
            f"`{name}` must be an integer >= 0, None or a numpy.random.Generator; got "
            f"{random_state!r}."
        ) from None
