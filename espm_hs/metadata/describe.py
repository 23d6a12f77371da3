"""What there is and what an analysis would use, in words: defaults, what is missing.

`information` is behind ``s.info()`` and ``espm-hs info``, which say the same.
"""

from __future__ import annotations

import html
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from prettytable import PrettyTable

from espm_hs.factorization import summed_spectrum
from espm_hs.metadata.reader import (
    OF_FILMS,
    energy_axis,
    guessed_by,
    in_header,
    item,
    model_class,
    of_file,
    read,
    segments,
    stated,
)
from espm_hs.metadata.schema import FIT, ITEMS, Item, Tree
from espm_hs.physics import BulkModel, SpectrumModel
from espm_hs.physics.bulk.unknowns import USUAL_COATING
from espm_hs.physics.xray.emission import check_beam_energy
from espm_hs.physics.xray.unknowns import (
    BULK,
    LEAST_BEAM,
    USUAL_FACTOR,
    USUAL_THICKNESS,
)

if TYPE_CHECKING:
    from hyperspy.axes import DataAxis

#: Name, value, remark.
Row = tuple[str, str, str]

_NUMBERS = (
    *("thickness", "density"),
    *("elevation_angle", "azimuth_angle", "energy_resolution_MnKa"),
)
# Only where there is something to say.
_IF_STATED = ("minimum_energy", "live_time")
# Without one of these the self-absorption is that of a usual film.
_SAMPLE = ("thickness", "density")


# Degrees, for models of which only the lines matter.
_ANY_ANGLE = 35.0
# A longer value moves the remarks of its row alone.
_WIDEST_VALUE = 28


@dataclass(frozen=True)
class Info:
    """What a signal is and what an analysis of it would use.

    Parameters
    ----------
    title
        Of the signal.
    rows
        Name, value and remark: what is a default, what is missing and which call sets
        it, what the header of the file says otherwise.
    n_facts
        How many of the rows, the first, say what the signal is.
    """

    title: str
    rows: tuple[Row, ...]
    n_facts: int = 0

    def text(self, before: str = "", after: str = "") -> str:
        """Return lines of text, with words before and after the title."""
        names = max(len(name) for name, _, _ in self.rows)
        values = min(_WIDEST_VALUE, max(len(value) for _, value, _ in self.rows))
        lines = [f"   {n:{names}}  {v:{values}}  {r}".rstrip() for n, v, r in self.rows]
        return "\n".join([f"{before}{self.title}{after}", *lines])

    def __str__(self) -> str:
        return self.text()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        table = PrettyTable(["", "value", "remark"], align="l")
        table.add_rows([list(row) for row in self.rows])
        return f"<b>{html.escape(self.title)}</b>{table.get_html_string()}"


def shape_text(signal: Any) -> str:
    """Return the shape of a signal as HyperSpy shows it, "(x, y|energy)"."""
    axes = signal.axes_manager
    sizes = axes.navigation_shape, axes.signal_shape
    return f"({'|'.join(', '.join(map(str, some)) for some in sizes)})"


def counts_per_pixel(signal: Any) -> float:
    """Return the mean of all counts of a pixel, in all channels."""
    total = float(summed_spectrum(signal.data).sum()) if signal.data.size else 0.0
    return total / max(1, signal.axes_manager.navigation_size)


def information(signal: Any) -> Info:
    """Say what a signal is and what an analysis of it would use.

    Parameters
    ----------
    signal
        An EDS signal of HyperSpy.

    Raises
    ------
    ValueError
        If what should be a number in the metadata is not.
    """
    axis, trees = signal.axes_manager[-1], (signal.metadata, signal.original_metadata)
    mean = counts_per_pixel(signal)
    remark = "" if mean else f"there is nothing to decompose{of_file(trees[0])}"
    if mean and signal.data.dtype.kind == "f":
        total = mean * max(1, signal.axes_manager.navigation_size)
        # sums of whole numbers are whole, but for the rounding of the mean
        if abs(total - np.rint(total)) > 1e-3 + 1e-12 * total:
            remark = "no whole number of counts: scaled, averaged or smoothed?"
    energy = "-"
    if axis.size:
        energy = f"{axis.low_value:.4g} to {axis.high_value:.4g} {axis.units}"
    facts: tuple[Row, ...] = (
        ("shape", shape_text(signal), ""),
        ("data type", str(signal.data.dtype), ""),
        ("counts per pixel", f"{mean:.1f}", remark),
        ("energy", energy, f"{axis.size} channels"),
    )
    rows = describe(*trees, axis if axis.size else None)
    title = item(trees[0], "General.title") or "untitled"
    return Info(str(title), (*facts, *rows), len(facts))


def describe(
    metadata: Tree, original_metadata: Tree | None, axis: DataAxis | None = None
) -> list[Row]:
    """List what an analysis would use: (name, value, remark).

    The remark says what is a default, what is missing and which call sets it.

    Parameters
    ----------
    metadata, original_metadata
        The two trees of an EDS signal.
    axis
        Energy axis of the signal, to name elements that have no line on it; None: not
        checked.

    Raises
    ------
    ValueError
        If what should be a number in the metadata is not.
    """
    trees = metadata, original_metadata
    rows = [_number("beam_energy", *trees), *_bulk(metadata, original_metadata)]
    for name, example in (("elements", None), ("stray_elements", ["Cu"])):
        rows.append(_elements(ITEMS[name], example, trees, axis))
    of_bulk = issubclass(model_class(metadata), BulkModel)
    of_films = OF_FILMS if of_bulk else ()
    rows += [_number(name, *trees) for name in _NUMBERS if name not in of_films]
    rows += _not_used("elevation_angle", *trees)
    rows += [
        _number(name, *trees) for name in _IF_STATED if read(name, *trees) is not None
    ]
    if parts := segments(*trees):
        azimuths = ", ".join(f"{one:g}" for one in parts)
        rows.append(("segments", str(len(parts)), f"azimuths of {azimuths} degrees"))
    known = ITEMS["detector"]
    rows.append(
        (known.shown, "SDD", f"missing, with a window or without: {known.call()}")
        if stated("detector", *trees)[0] is None
        else (known.shown, "as set", "")
    )
    return rows


def _bulk(metadata: Tree, original_metadata: Tree | None) -> list[Row]:
    """Row of a beam that is one for bulk samples, where nobody says it is a film."""
    beam = read("beam_energy", metadata, original_metadata)
    film = read("thickness", metadata, original_metadata) is not None
    film |= read("mass_thickness", metadata) not in (None, FIT)
    if issubclass(model_class(metadata), BulkModel):
        coating = read("coating", metadata)
        usual = f"missing, 0 to {USUAL_COATING:g} nm of carbon: "
        remark = "" if coating else usual + ITEMS["coating"].call()
        return [("sample", "bulk", ""), ("coating", coating or "-", remark)]
    if beam is None or beam >= LEAST_BEAM or film:
        return []
    return [("sample", "bulk?", BULK.format(beam))]


def _number(name: str, metadata: Tree, original_metadata: Tree | None) -> Row:
    """Row of a number, with what is a default, missing, or read from elsewhere."""
    known = ITEMS[name]
    value = read(name, metadata, original_metadata)
    _, program = stated(name, metadata, original_metadata)
    # eXSpy's own stand without a unit
    unit = f" {known.unit}" if known.default is None else ""
    remark = ""
    if value is None:
        remark = f"missing: {known.call()}"
        if name in _SAMPLE:
            call = "s.set_analysis_parameters(thickness=, density=)"
            mass = read("mass_thickness", metadata)
            usual = f"{USUAL_THICKNESS:g} nm within a factor of {USUAL_FACTOR:g}"
            stands = usual if mass is None else f"mass thickness: {mass}"
            remark = f"missing, {stands}: {call}"
    elif program:
        default = item(metadata, known.path)
        instead = "" if default is None else f", not eXSpy's default of {default:g}"
        remark = f"from the header of {program}{instead}: {known.call()}"
    elif not known.is_stated(value):
        remark = f"eXSpy's default, not measured: {known.call()}"
    return known.shown, "-" if value is None else f"{value:g}{unit}", remark


def _elements(
    known: Item,
    example: list | None,
    trees: tuple[Tree, Tree | None],
    axis: DataAxis | None,
) -> Row:
    """Row of elements, with those that have no line on the axis."""
    symbols = read(known.name, *trees) or []
    remark, nothing = "", "-" if example is None else "none"
    if not symbols:
        remark = known.call(example) if example else f"missing: {known.call()}"
    elif program := guessed_by(known.name, *trees):
        remark = f"a guess of {program}, to be checked: s.identify_elements()"
    kind, beam = model_class(trees[0]), read("beam_energy", *trees)
    if lost := _without_a_line(kind, beam, axis, symbols):
        kept = [symbol for symbol in symbols if symbol not in lost]
        remark = f"no line of {', '.join(lost)} in the energy range"
        remark += f": {known.call(kept)}" if kept else ""
    return known.shown, ", ".join(symbols) or nothing, remark


def _without_a_line(
    kind: type[SpectrumModel],
    beam_energy: float | None,
    axis: DataAxis | None,
    elements: Iterable[str],
) -> list[str]:
    """Return those of the elements that a model of this axis would not take."""
    if axis is None or beam_energy is None:
        return []
    try:
        energy = energy_axis(axis)
        beam = check_beam_energy(beam_energy, kind.BEAM_ENERGIES)
    except (TypeError, ValueError):  # an axis or a beam that no model takes
        return []
    lost = []
    for element in elements:
        try:
            kind(energy, beam, [element], background=False, take_off_angle=_ANY_ANGLE)
        except ValueError:
            lost.append(element)
    return lost


def _not_used(name: str, metadata: Tree, original_metadata: Tree | None) -> list[Row]:
    """Row of what the header of the file says otherwise than the metadata."""
    used, program = stated(name, metadata, original_metadata)
    header, _ = in_header(name, metadata, original_metadata)
    if program or used is None or header is None or abs(header - float(used)) < 0.5:
        return []
    call = ITEMS[name].call(f"{header:.1f}")
    return [("elevation in the file's header", f"{header:.1f}", f"not used: {call}")]
