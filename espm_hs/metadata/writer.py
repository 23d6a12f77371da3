"""What is written to a signal, which gets all of it or stays as it was.

Parameters that a user sets are checked first; the versions and options behind a result
are written as plain text and numbers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache
from importlib.metadata import version
from numbers import Real
from typing import Any

import numpy as np

from espm_hs.metadata.learning import kept_beside
from espm_hs.metadata.reader import density, guessed_by, kev_per_unit, read
from espm_hs.metadata.schema import (
    ITEMS,
    NODE,
    Tree,
    as_detector,
    check_node,
    instrument_path,
)


class AllOrNothing:
    """Takes back what was written to a signal if an error or Ctrl-C came in between.

    Computing comes before, with the signal as it is; this is for the lines that write.
    It is no generator: one that is interrupted at its end would take back what was
    complete, whenever it is collected.

    Parameters
    ----------
    signal
        Its metadata, factors, loadings and first signal axis are looked after.
    """

    def __init__(self, signal: Any) -> None:
        self.signal = signal

    def __enter__(self) -> AllOrNothing:
        self.axis = self.signal.axes_manager.signal_axes[0]
        # other axes than uniform ones have none, and cannot be analysed either
        self.scale = {
            name: getattr(self.axis, name)
            for name in ("offset", "scale")
            if hasattr(self.axis, name)
        }
        spaces = [*_nodes(self.signal.metadata), *kept_beside(self.signal)]
        self.before = [(space, dict(space)) for space in spaces]
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        if kind is None:
            return
        for space, items in self.before:
            space.clear()
            space.update(items)
        for name, value in self.scale.items():
            if getattr(self.axis, name) != value:
                setattr(self.axis, name, value)


def _nodes(metadata: Tree) -> Iterator[dict]:
    """Items of each node of HyperSpy metadata."""
    items = vars(metadata)
    yield items
    for item in items.values():
        value = item.get("_dtb_value_") if isinstance(item, dict) else None
        if isinstance(value, type(metadata)):
            yield from _nodes(value)


def write_parameters(metadata: Tree, items: Mapping[str, Any]) -> None:
    """Write values by their paths, replacing whole nodes and keeping the others.

    Raises
    ------
    ValueError
        If something else is where the parameters of this package belong.
    """
    check_node(metadata)
    if metadata.get_item(NODE) is None:
        remove(metadata, NODE)  # nothing, under the name of the node
    for path, value in items.items():
        path = instrument_path(metadata, path)
        # a dictionary would be merged into the node that is there
        remove(metadata, path)
        metadata.set_item(path, value)


def remove(metadata: Tree, path: str) -> None:
    """Remove what is at a path, if there is anything."""
    if metadata.has_item(path):
        parent, _, name = path.rpartition(".")
        delattr(metadata.get_item(parent) if parent else metadata, name)


# Packages whose version can change a result.
PACKAGES = ("espm-hs", "hyperspy", "exspy", "numpy", "scipy", "numba", "xraylib")
# Stands for None, which not every writer takes.
NOTHING = "none"


@cache
def _versions() -> dict[str, str]:
    """Return the versions of these packages, which files on disk name."""
    return {name: version(name) for name in PACKAGES}


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
        "versions": dict(_versions()),
        "options": {name: _plain(value) for name, value in options.items()},
    }


def read_options(stored: Any) -> dict:
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


def calibration_record(found: Any) -> dict:
    """Return what a `Calibration` changed, ready to be stored.

    Parameters
    ----------
    found
        The `Calibration` that `calibrate` returns.
    """
    names, before, after = zip(*found.rows(), strict=True)
    return {
        "quantities": list(names),
        "before": list(before),
        "after": list(after),
        "errors": dict(found.errors),
    }


def _plain(value: Any) -> Any:
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


def _text(value: Any) -> str:
    """Write out what is given by name: no file takes all names for those of groups."""
    if isinstance(value, Mapping):
        inner = (f"{name!r}: {_text(one)}" for name, one in value.items())
        return f"{{{', '.join(inner)}}}"
    return f"array {value.shape}" if isinstance(value, np.ndarray) else repr(value)


def check_parameters(**given: Any) -> dict[str, Any]:
    """Check analysis parameters and return them as what metadata can hold.

    Parameters
    ----------
    **given
        Values by the names of the schema; None: not given. The resolution that a
        `Detector` or its dictionary states goes to ``energy_resolution_MnKa``, that of
        a preset does not.

    Returns
    -------
    dict
        Path in the metadata -> value, for the parameters that were given.

    Raises
    ------
    ValueError, TypeError
        If a value is out of range, naming the parameter.
    """
    items = {}
    for name, value in given.items():
        if value is None:
            continue
        known = ITEMS[name]
        items[known.path] = known.given(value)
        if known.path.startswith("Sample."):
            items[f"{known.path}_units"] = known.unit
    detector = given.get("detector")
    if detector is None or isinstance(detector, str):
        return items
    if not isinstance(detector, Mapping) or "resolution" in detector:
        path = ITEMS["energy_resolution_MnKa"].path
        items[path] = as_detector(detector).resolution
    return items


def check_stray(
    metadata: Tree, stray: Iterable[str], original_metadata: Tree | None = None
) -> tuple[list[str], str]:
    """Return the elements of the sample that stray ones leave, and who guessed them.

    Parameters
    ----------
    metadata, original_metadata
        The two trees of a signal.
    stray
        Symbols of elements that are to be stray.

    Returns
    -------
    elements
        Of the sample.
    program
        Name of the program that took stray elements for some of the sample; empty if
        the sample has none of them.

    Raises
    ------
    ValueError
        If somebody has put one of them among the elements of the sample.
    """
    trees = metadata, original_metadata
    sample = read("elements", *trees) or []
    left = [element for element in sample if element not in stray]
    if left == sample:
        return sample, ""
    if program := guessed_by("elements", *trees):
        return left, program
    names = ", ".join(element for element in sample if element not in left)
    raise ValueError(
        f"{names} cannot be both in the sample and stray: the same lines would count "
        f"twice. Leave {names} out of `stray_elements`, or set the elements of the "
        f"sample without it first, with `{ITEMS['elements'].call(left or None)}`."
    )


def check_calibration(metadata: Tree, parameters: Collection[str]) -> None:
    """Raise ValueError if what is to be calibrated could not be written.

    A mass thickness becomes a thickness by the density.
    """
    if "mass_thickness" in parameters and density(metadata) is None:
        raise ValueError(
            "To write a fitted mass thickness as a thickness the density is needed: "
            "set it with `s.set_analysis_parameters(thickness=..., density=...)` (nm, "
            "g/cm3)."
        )


def calibrated_parameters(metadata: Tree, found: Any) -> dict[str, Any]:
    """Return the items that a `Calibration` changes, but for the energy axis."""
    after = found.after
    items = check_parameters(detector=after.detector)
    if after.minimum_energy != found.before.minimum_energy:
        items |= check_parameters(minimum_energy=after.minimum_energy)
    if "mass_thickness" in found.errors:
        # kg/m2 over g/cm3 is 1e-3 m
        thickness = 1e6 * after.mass_thickness / density(metadata)
        items |= check_parameters(thickness=thickness)
    return items


def write_calibration(signal: Any, found: Any) -> None:
    """Write a `Calibration` to energy axis and metadata of a signal, or nothing."""
    axis = signal.axes_manager.signal_axes[0]
    unit = kev_per_unit(axis)
    first, second = found.after.energy[:2]
    items = calibrated_parameters(signal.metadata, found)
    items[f"{NODE}.calibration"] = calibration_record(found)
    with AllOrNothing(signal):
        axis.offset, axis.scale = float(first) / unit, float(second - first) / unit
        write_parameters(signal.metadata, items)
