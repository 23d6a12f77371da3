"""Where numbers come from: versions and options, as plain text and numbers."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from numbers import Real

import numpy as np

# Packages whose version can change a result.
PACKAGES = ("espm-hs", "hyperspy", "exspy", "numpy", "scipy", "numba", "xraylib")
# Stands for None, which not every writer takes.
NOTHING = "none"


def provenance(options: Mapping) -> dict:
    """Versions of the packages and options of a decomposition, ready to be stored.

    Parameters
    ----------
    options
        Name -> value; arrays are described by their shape, generators by their type.

    Returns
    -------
    dict
        "versions" and "options", holding text, numbers and booleans only.
    """
    return {
        "versions": {name: version(name) for name in PACKAGES},
        "options": {name: _plain(value) for name, value in options.items()},
    }


def read_options(stored: Mapping) -> dict:
    """Return options from what `provenance` made of them.

    Parameters
    ----------
    stored
        Its "options".

    Raises
    ------
    ValueError
        If it is something else.
    """
    if not isinstance(stored, Mapping):
        raise ValueError(
            f"The stored options are damaged: they are {stored!r}. Find the phases "
            "again with `s.decomposition(algorithm='espm', output_dimension=...)`."
        )
    return {
        name: None if isinstance(value, str) and value == NOTHING else value
        for name, value in stored.items()
    }


def calibration_record(found) -> dict:
    """Return what a `Calibration` changed, ready to be stored.

    Parameters
    ----------
    found : Calibration
        Result of `calibrate`.
    """
    names, before, after = zip(*found.rows(), strict=True)
    return {
        "quantities": list(names),
        "before": list(before),
        "after": list(after),
        "errors": dict(found.errors),
    }


def _plain(value):
    """Return numbers and text as every writer takes them, the rest described."""
    if value is None:
        return NOTHING
    if isinstance(value, (str, bool, np.bool_)):
        return value if isinstance(value, str) else bool(value)
    if isinstance(value, Real):
        return int(value) if isinstance(value, (int, np.integer)) else float(value)
    if isinstance(value, Mapping):
        return _text(value)
    if isinstance(value, (tuple, list)) and all(isinstance(x, Real) for x in value):
        return [float(x) for x in value]
    if isinstance(value, (tuple, list)):
        return "(" + ", ".join(str(_plain(one)) for one in value) + ")"
    return _text(value)


def _text(value) -> str:
    """Write out what is given by name: no file takes all names for those of groups."""
    if isinstance(value, Mapping):
        inner = (f"{name!r}: {_text(one)}" for name, one in value.items())
        return f"{{{', '.join(inner)}}}"
    return f"array {value.shape}" if isinstance(value, np.ndarray) else repr(value)
