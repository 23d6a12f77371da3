"""What an analysis would use, in words: values, defaults, what is missing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from espm_hs.metadata.reader import energy_axis, in_header, item, read, stated
from espm_hs.metadata.schema import ITEMS, Item, Tree
from espm_hs.physics import SpectrumModel
from espm_hs.physics.xray.emission import check_beam_energy
from espm_hs.physics.xray.unknowns import USUAL_FACTOR, USUAL_THICKNESS

if TYPE_CHECKING:
    from hyperspy.axes import DataAxis

#: Name, value, remark.
Row = tuple[str, str, str]

_NUMBERS = (
    *("thickness", "density"),
    *("elevation_angle", "azimuth_angle", "energy_resolution_MnKa"),
)
# Without one of these the self-absorption is that of a usual film.
_SAMPLE = ("thickness", "density")


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
    rows = [_number("beam_energy", *trees)]
    for name, example in (("elements", None), ("stray_elements", ["Cu"])):
        rows.append(_elements(ITEMS[name], example, trees, axis))
    rows += [_number(name, *trees) for name in _NUMBERS]
    rows += _not_used("elevation_angle", *trees)
    known = ITEMS["detector"]
    rows.append(
        (known.shown, "SDD", f"missing, with a window or without: {known.call()}")
        if stated("detector", *trees)[0] is None
        else (known.shown, "as set", "")
    )
    return rows


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
    elif lost := _without_a_line(read("beam_energy", *trees), axis, symbols):
        kept = [symbol for symbol in symbols if symbol not in lost]
        remark = f"no line of {', '.join(lost)} in the energy range"
        remark += f": {known.call(kept)}" if kept else ""
    return known.shown, ", ".join(symbols) or nothing, remark


def _without_a_line(
    beam_energy: float | None, axis: DataAxis | None, elements: Iterable[str]
) -> list[str]:
    """Return those of the elements that a model of this axis would not take."""
    if axis is None or beam_energy is None:
        return []
    try:
        energy, beam = energy_axis(axis), check_beam_energy(beam_energy)
    except (TypeError, ValueError):  # an axis or a beam that no model takes
        return []
    lost = []
    for element in elements:
        try:
            SpectrumModel(energy, beam, [element], background=False)
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
