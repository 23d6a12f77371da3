"""Items of the metadata that an analysis uses, each described once, and their units.

Reader, writer, `describe`, the windows of `espm_hs.gui`, the template of the settings
file and the messages are made from it. The one table of units is pint's.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import inf, isfinite, nan, pi
from numbers import Real
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from hyperspy.misc.utils import DictionaryTreeBrowser

    from espm_hs.physics import Detector


# Spellings that pint does not take, or not in all versions. That of "mev" is left
# alone, as it may mean meV or MeV.
_SPELLINGS = {"ev": "eV", "kev": "keV"}
_IN_FULL = "electronvolt"


@lru_cache
def per_unit(unit: str, wanted: str) -> float | None:
    """Return how many of one unit another one holds.

    Parameters
    ----------
    unit
        Name of the unit, such as "eV" or "kiloelectronvolt". Blanks around it do not
        matter, nor does the case of "keV" and "eV".
    wanted
        Name of the unit to convert to.

    Returns
    -------
    float or None
        None if the first is no such unit.
    """
    # pint is slow to import, and not needed by simulations on plain arrays
    import pint

    name, lower = unit.strip(), unit.strip().lower()
    if lower.endswith(_IN_FULL):
        name = lower.removesuffix(_IN_FULL) + "eV"
    name = _SPELLINGS.get(lower, name)
    if not re.fullmatch(r"[^\W\d]+", name):
        return None  # pint would compute a formula, however large its numbers are
    try:
        found = pint.get_application_registry().Quantity(1.0, name).to(wanted)
    except (pint.errors.PintError, ValueError):
        return None
    # pint goes through base units, which costs the last digits
    return float(f"{found.magnitude:.12g}")


#: Metadata of a HyperSpy signal, or a node of them.
Tree: TypeAlias = "DictionaryTreeBrowser"

# The checks of `espm_hs.physics` are imported where they are needed: the command line
# reads the schema, and must not wait for the physics.

#: Node of what only this package writes.
NODE = "EDS_espm"
#: Nodes of results, of the truth of a simulation, and of the settings of a batch.
RESULTS, TRUTH, BATCH = f"{NODE}.results", f"{NODE}.truth", f"{NODE}.batch"
#: Nodes of eXSpy.
TEM = "Acquisition_instrument.TEM"
EDS = f"{TEM}.Detector.EDS"
#: Where the scanning microscope is, of bulk samples, and the type of their signals.
SEM, BULK_TYPE = "Acquisition_instrument.SEM", "EDS_espm_SEM"


@dataclass(frozen=True)
class Item:
    """One item of the metadata.

    Parameters
    ----------
    name
        Name of the item in calls.
    path
        Where the item is in the metadata.
    sentence
        What the item is.
    check
        What makes the value that a user gives plain, or raises ValueError or
        TypeError; None for numbers above 0.
    unit
        Unit of a number.
    most
        Largest value of a number. None: any number can be in the metadata, also a
        negative one, and others check it.
    excess
        What a larger number would mean, for the message.
    usual
        Lowest and highest number that are given without a question.
    default
        What eXSpy fills in where a file says nothing: such a value counts as not
        stated.
    method
        Method of the signal that sets the item.
    argument
        How the argument of the call begins, ``name=`` if not given.
    example
        Value in the call, for messages.
    title
        Name of the item in tables and messages, ``name`` if not given.
    label
        Name and unit of the item in windows, if it is shown there.
    """

    name: str
    path: str
    sentence: str
    check: Callable[[Any], Any] | None = None
    unit: str = ""
    most: float | None = None
    excess: str = ""
    usual: tuple[float, float] | None = None
    default: float | None = None
    method: str = "set_analysis_parameters"
    argument: str | None = None
    example: str = "..."
    title: str = ""
    label: str = ""

    @property
    def shown(self) -> str:
        """Name of the item in tables and messages."""
        return self.title or self.name

    @property
    def _most(self) -> float:
        return inf if self.most is None else self.most

    def call(self, value: Any = None) -> str:
        """Return the call that sets the item to a value, or to an example of one."""
        argument = f"{self.name}=" if self.argument is None else self.argument
        return f"s.{self.method}({argument}{self.example if value is None else value})"

    def is_stated(self, value: Any) -> bool:
        """Whether there is a value that somebody meant."""
        is_default = isinstance(value, Real) and value == self.default
        return value is not None and not is_default

    def given(self, value: Any) -> Any:
        """Return a value that a user gives as what metadata can hold.

        Raises
        ------
        ValueError, TypeError
            If the value makes no sense, naming the item.
        """
        if self.check is not None:
            return self.check(value)
        is_number = isinstance(value, Real) and not isinstance(value, bool)
        needed = f"a positive number in {self.unit}"
        if is_number and value > self._most:
            needed = f"at most {self.most:g} {self.unit}"
        elif is_number and 0 < value < inf:
            self._question(float(value))
            return float(value)
        raise ValueError(f"`{self.name}` must be {needed}, got {value!r}.")

    def _question(self, value: float) -> None:
        """Warn of a length that is likely to be in another unit than it should be."""
        if self.usual is None or self.usual[0] <= value <= self.usual[1]:
            return
        units = {"µm": 1e3, "Å": 0.1, "m": 1e9, "pm": 1e-3}
        likely = (u for u, nm in units.items() if 5 <= nm * value <= 1000)
        unit = next(likely, None)
        other = f" If it is in {unit}, give {units[unit] * value:g}." if unit else ""
        warnings.warn(
            f"`{self.name}` is {value:g} {self.unit}, where {self.usual[0]:g} to "
            f"{self.usual[1]:g} {self.unit} are usual.{other}",
            UserWarning,
            stacklevel=6,
        )

    def read(self, value: Any) -> Any:
        """Return a value of the metadata, which may come from others, as plain data.

        A number may be 0.

        Raises
        ------
        ValueError
            If the value makes no sense, naming the item and the call that sets it.
        """
        if self.check is None:
            return self._read_number(value)
        if isinstance(value, str) and "elements" in self.name:
            value = [value]  # a list of one, of which some writers make a text
        try:
            return self.check(value)
        except (TypeError, ValueError) as error:
            raise self.refusal(f"in the metadata cannot be used. {error}") from None

    def _read_number(self, value: Any) -> float:
        try:
            number = nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            number = nan
        if not isfinite(number):
            needed = f"needed is a number in {self.unit}"
            raise self.refusal(f"in the metadata is {value!r}; {needed}.")
        if self.most is not None and number < 0:
            raise self.refusal(f"in the metadata is {number:g}, which is negative.")
        if number > self._most:
            raise self.refusal(f"in the metadata is {number:g}, {self.excess}.")
        return number

    def refusal(self, problem: str) -> ValueError:
        """Return the error for a value, with the call that sets a better one."""
        unit = f" ({self.unit})" if self.unit else ""
        return ValueError(f"{self.path} {problem} Set it with `{self.call()}`{unit}.")


def as_detector(value: Detector | str | Mapping) -> Detector:
    """Return the detector of a preset's name or a dictionary, or the one that it is.

    Raises
    ------
    ValueError, TypeError
        If it is none of these, or out of range.
    """
    from espm_hs.physics import Detector

    if isinstance(value, Detector):
        return value
    if isinstance(value, str):
        return Detector.preset(value)
    if isinstance(value, Mapping):
        return Detector.from_dict(value)
    raise TypeError(
        "`detector` must be the name of a preset such as 'windowless', or an "
        f"espm_hs.physics.Detector; got {value!r}."
    )


#: A bulk sample without a coating.
UNCOATED = "none"
#: A mass thickness that is to be fitted, and what the counts decide.
FIT, AUTO = "fit", "auto"


def _share(value: Any) -> float:
    if isinstance(value, Real) and not isinstance(value, bool):
        share = float(value)
        if 0 <= share <= 1:
            return share
    raise ValueError(f"`thickness_error` must be a share from 0 to 1, got {value!r}.")


def _pile_up(value: Any) -> bool | float | str:
    """Check whether and how sum peaks are to be modelled."""
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, str) and value == AUTO:
        return AUTO
    if isinstance(value, Real) and 1 <= float(value) <= 1e4:
        return float(value)
    raise ValueError(
        "`pile_up` must be 'auto', True, False, or the pulse-pair resolution, 1 to "
        f"10000 ns; got {value!r}."
    )


def _mass_thickness(value: Any) -> float | str:
    if isinstance(value, str) and value == FIT:
        return FIT
    is_number = isinstance(value, Real) and not isinstance(value, bool | str)
    number = float(value) if is_number else nan
    if not 0 <= number <= 1:  # 1 kg/m2 is 0.2 mm of a mineral
        raise ValueError(
            "`mass_thickness` must be 'fit', or from 0 (no absorption) to 1 kg/m2, got "
            f"{value!r}."
        )
    return number


def _symbols(value: Any) -> list[str]:
    if not isinstance(value, list | tuple | np.ndarray):
        raise ValueError(f"It is {value!r}; needed is a list of symbols.")
    return [str(element) for element in value]


def _stray_elements(value: Any) -> list[str]:
    from espm_hs.physics.xray.arguments import checked_elements

    return list(checked_elements(value, "`stray_elements`"))


def _split_lines(value: Any) -> dict:
    from espm_hs.physics.xray.arguments import checked_split

    return checked_split(value)


def _line_factors(value: Any) -> dict[str, float]:
    from espm_hs.physics.xray.arguments import checked_line_factors

    return checked_line_factors(value)


def _standards(value: Any) -> dict[str, dict]:
    from espm_hs.arguments import check_mapping
    from espm_hs.physics.xray.line_factors import Standard

    check_mapping("standards", value, "keys to tables of factors of lines")
    return {str(key): Standard.from_dict(one).to_dict() for key, one in value.items()}


def _angles(value: Any) -> list[float]:
    from espm_hs.physics.xray.arguments import checked_angles

    angles = checked_angles(value)
    return [angles] if isinstance(angles, float) else list(angles or ())


def _coating(value: Any) -> str:
    """Check a coating; the text of one, or that there is none."""
    from espm_hs.physics.bulk.model import checked_coating, coating_text

    if isinstance(value, str) and value.strip().lower() == UNCOATED:
        return UNCOATED
    found = checked_coating(value)
    return UNCOATED if found is None else coating_text(found)


def _spectra(value: Any) -> dict[str, np.ndarray]:
    """Check spectra by label; whether they fit the axis, the model says."""
    from espm_hs.arguments import check_mapping
    from espm_hs.physics.xray.arguments import checked_spectrum

    check_mapping("extra_spectra", value, "labels to spectra over the channels")
    return {label: checked_spectrum(label, one) for label, one in value.items()}


_MICROSCOPE = "set_microscope_parameters"
_TILT_BETA = f"{TEM}.Stage.tilt_beta"

#: Name -> item, in the order in which they are shown.
ITEMS: dict[str, Item] = {item.name: item for item in (
    Item("beam_energy", f"{TEM}.beam_energy", "Energy of the electrons of the beam.",
         unit="keV", method=_MICROSCOPE, example="200",
         title="beam energy", label="Beam energy (keV)"),
    Item("elements", "Sample.elements", "Elements of the sample, which are quantified.",
         _symbols, method="set_elements", argument="", example="['O', 'Si', ...]"),
    Item("stray_elements", f"{NODE}.stray_elements",
         "System or spurious elements, which are fitted and never quantified.",
         _stray_elements, title="stray elements"),
    Item("thickness", "Sample.thickness", "Thickness of the sample along the beam.",
         # 1 mm: a larger value is in another unit than it says
         unit="nm", most=1e6, excess="which no electron passes", usual=(1.0, 5000.0),
         label="Thickness (nm)"),
    Item("mass_thickness", f"{NODE}.mass_thickness",
         "Thickness times density in kg/m2 where none is set, or 'fit'.",
         _mass_thickness, title="mass thickness", example="'fit'"),
    Item("thickness_error", f"{NODE}.thickness_error",
         "Relative standard error of the thickness, 0.2 where none is stated.",
         _share, title="error of the thickness", example="0.1"),
    Item("thickness_units", "Sample.thickness_units",
         "Unit of the thickness, the metre where none is stated.",
         str, argument="thickness="),
    Item("density", "Sample.density", "Mean density of the sample.",
         # osmium has 22.6
         unit="g/cm3", most=30.0, excess="more than any matter has",
         label="Density (g/cm³)"),
    Item("elevation_angle", f"{EDS}.elevation_angle",
         "Angle between the detector and the horizontal plane, at the sample.",
         unit="degrees", default=35.0, method=_MICROSCOPE,
         label="Elevation of the detector (°)"),
    Item("azimuth_angle", f"{EDS}.azimuth_angle",
         "Direction of the detector in the horizontal plane.",
         unit="degrees", default=0.0, method=_MICROSCOPE),
    Item("energy_resolution_MnKa", f"{EDS}.energy_resolution_MnKa",
         "Full width at half maximum of the peak of Mn Kα.",
         unit="eV", default=130.0, method=_MICROSCOPE,
         label="Resolution at Mn Kα (eV)"),
    Item("minimum_energy", f"{NODE}.minimum_energy",
         "Energy from which spectra are fitted.",
         unit="keV", most=100.0, excess="more than any spectrum is fitted from",
         label="Fitted from (keV)"),
    Item("tilt_stage", f"{TEM}.Stage.tilt_alpha", "Tilt of the stage.",
         unit="degrees", method=_MICROSCOPE),
    Item("tilt_beta", _TILT_BETA, "Tilt of the stage about its second axis.",
         unit="degrees", method="metadata.set_item", argument=f"'{_TILT_BETA}', ",
         example="0.0"),
    Item("take_off_angle", f"{NODE}.take_off_angle",
         "Take-off angle of each detector, in the place of tilts and position.",
         _angles),
    Item("detector", f"{NODE}.detector",
         "Layers, crystal and peak shape of the detector.",
         lambda value: as_detector(value).to_dict()),
    Item("split_lines", f"{NODE}.split_lines",
         "Which lines of an element count for the composition.", _split_lines),
    Item("line_factors", f"{NODE}.line_factors",
         "Factors on the emission of families of lines.", _line_factors),
    Item("standards", f"{NODE}.standards",
         "k-factors or zeta factors of standards, which go before line_factors.",
         _standards, method="calibrate_line_factors", argument="standard, composition",
         example="", title="standards"),
    Item("extra_spectra", f"{NODE}.extra_spectra",
         "Spectra of a background of the user's own.", _spectra),
    Item("coating", f"{NODE}.coating",
         "Layer that makes the surface of a bulk sample conduct, or 'none'.",
         _coating, example="'C 15 nm'"),
    Item("pile_up", f"{NODE}.pile_up",
         "Whether sum peaks are modelled, or the pulse-pair resolution in ns.",
         _pile_up, title="pile-up", example="True"),
    Item("beam_current", f"{TEM}.beam_current", "Current of the beam.",
         unit="nA", method=_MICROSCOPE, title="beam current"),
    Item("live_time", f"{EDS}.live_time", "Time in which the detector counted.",
         unit="s", method=_MICROSCOPE, title="live time"),
    Item("real_time", f"{EDS}.real_time", "Live time and dead time of the detector.",
         unit="s", method=_MICROSCOPE, title="real time"),
    Item("live_time_pixels", f"{NODE}.live_time_pixels",
         "Number of pixels that the live time is for.",
         unit="pixels", argument="live_time_of=", example="'pixel'",
         title="what the live time is for"),
    Item("solid_angle", f"{NODE}.solid_angle",
         "Solid angle of the detector, seen from the sample.",
         unit="sr", most=4 * pi, excess="more than the whole sphere", example="0.7",
         title="solid angle of the detector"),
)}  # fmt: skip


def instrument_path(metadata: Tree, path: str) -> str:
    """Return where an item is in metadata that may be those of a scanning microscope.

    Parameters
    ----------
    metadata
        Of a signal.
    path
        Of the item, by the schema.
    """
    if not path.startswith(TEM) or metadata.has_item(TEM):
        return path
    return path.replace(TEM, SEM, 1) if metadata.has_item(SEM) else path


def check_node(metadata: Tree) -> None:
    """Raise ValueError if something else is where this package keeps its own."""
    node = metadata.get_item(NODE)
    if node is not None and not hasattr(node, "as_dictionary"):
        raise ValueError(
            f"{NODE} in the metadata is {node!r}; needed is a node with the parameters "
            f"of the analysis. Remove it with `del s.metadata.{NODE}`."
        )
