"""Settings of the command line, and the files that hold them."""

import json
import re
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from espm_hs.metadata.schema import ITEMS
from espm_hs.output import printable

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# Settings of several symbols.
LISTS = ("elements", "stray")
# What absorbs.
SAMPLE = ("thickness", "density")
# What else is said of it, and of the detector.
FURTHER = ("thickness_error", "mass_thickness", "pile_up", "detector")
# Settings that are numbers of the schema, by their names there.
_NUMBERS = {name: name for name in (*SAMPLE, "beam_energy")}
_NUMBERS["elevation"] = "elevation_angle"

# "[thickness]" stands for the unit of the thickness in the schema.
_TEMPLATE = """\
# Settings of a decomposition:  espm-hs decompose --settings {name} FILE...
# A line that begins with # is not in force and shows a default or an example.
# Options of the command line go before what stands here.

# How many phases to look for, or "auto" for as many as the counts bear out.
phases = 3

# Elements of the sample. Without this line: as each file says.
# elements = ["O", "Mg", "Si", "Fe"]

# Elements that the beam hits besides: grid, holder, film, contamination. They are
# fitted and never quantified. "espm-hs info FILE" tells what a file says.
# stray = ["Cu", "C"]

# With both of these the sample absorbs its own X-rays.
# thickness = 100      # [thickness]
# density = 4.5        # [density]
# thickness_error = 0.2  # relative
# mass_thickness = "fit"  # or a number in kg/m2, 0 for no absorption

# Sum peaks; also true, false, or the pulse-pair resolution in ns.
# pile_up = "auto"

# In place of what the file says.
# beam_energy = 200    # [beam_energy]
# elevation = 18       # of the detector, [elevation_angle]
# detector = "windowless"  # or "polymer_window": what is in front of the crystal

# Fit energy scale and peak width to the summed spectrum first, and write them to the
# axis of the results.
calibrate = true
# In the model alone, where it does not fit; "never" leaves it as it is.
# calibration = "auto"

# The fit. The defaults are good; see docs/phases.md.
# sparsity = 1.0       # how strongly pixels are pulled to few phases, or "auto"
# smoothness = "auto"  # of the maps: "auto", or a number, 0 for none
# binning = 4          # pixels along each axis summed to find phases
# end_members = "auto"  # or "outside", or "observed": what pixels show
# local_absorption = "auto"  # asks the counts; or true: of each place, or false
# starts = 4           # the best of so many is kept
# seed = 0             # of the random numbers

# Names for the phases, with probabilities: "minerals", "compounds", "all" of both, or a
# CSV file of formulas.
# identify = "all"

# How the work is done.
# lazy = false         # maps larger than the memory
# workers = 1          # files at the same time
# jobs = -1            # threads; -1 for all cores
# resume = false       # leave out files that these settings were done with
# together = false     # find the same phases in the maps of all files
# output = "results"   # folder

# What is known of phases, by name; they get the lowest numbers. See
# docs/prior_knowledge.md.
# [known_phases.core]
# composition = {{ Fe = 0.16, Pt = 0.84 }}
# [known_phases.film]
# absent = ["Fe", "O", "Pt"]
"""
TEMPLATE = re.sub(r"\[(\w+)\]", lambda found: ITEMS[found[1]].unit, _TEMPLATE)


@dataclass(frozen=True)
class Settings:
    """What the user asks of a decomposition; None keeps what the file says.

    Parameters
    ----------
    phases
        Number of phases, or "auto" for as many as the counts bear out.
    elements, stray
        Symbols of the elements of the sample, and of the system or spurious ones.
    beam_energy
        Beam energy in keV.
    elevation
        Elevation of the detector in degrees.
    detector
        Name of a preset of `espm_hs.physics.Detector`, such as "windowless".
    thickness, density
        Thickness of the sample in nm, and its density in g/cm3.
    thickness_error, mass_thickness
        Relative error of the thickness, and what takes its place: kg/m2 or "fit".
    pile_up
        Whether there are sum peaks, "auto", or the pulse-pair resolution in ns.
    fit
        Further arguments of ``decomposition(algorithm="espm")``.
    progress
        Whether to show a progress bar.
    lazy
        Whether to read maps chunk by chunk.
    calibrate
        Whether to fit energy scale and peak width first.
    workers
        Number of processes that share the cores and the memory.
    resume
        Whether to leave files alone that were done before, in the same way.
    identify
        Database of names for the phases, see `espm_hs.compounds.read_compounds`.
    """

    phases: int | str
    elements: Sequence[str] | None = None
    stray: Sequence[str] | None = None
    beam_energy: float | None = None
    elevation: float | None = None
    thickness: float | None = None
    density: float | None = None
    thickness_error: float | None = None
    mass_thickness: float | str | None = None
    pile_up: bool | float | str | None = None
    detector: str | None = None
    fit: dict | None = None
    progress: bool = False
    lazy: bool = False
    calibrate: bool = False
    workers: int = 1
    resume: bool = False
    identify: str | None = None

    @property
    def record(self) -> str:
        """All settings that decide the result, as text."""
        fit = {k: v for k, v in (self.fit or {}).items() if k != "n_jobs"}
        names = ("phases", "elements", "stray", "beam_energy", "elevation", "calibrate")
        values = {name: getattr(self, name) for name in (*names, *SAMPLE)}
        extra = {name: getattr(self, name) for name in (*FURTHER, "identify")}
        # as it was written before there were these
        values |= {name: x for name, x in extra.items() if x is not None}
        return json.dumps(values | fit, sort_keys=True)


def write_template(path: Path) -> None:
    """Write a settings file with a comment for each setting.

    Raises
    ------
    FileExistsError
        If there is such a file: it may hold work.
    """
    text = TEMPLATE.format(name=printable(path.name).replace("\n", " "))
    with open(path, "x", encoding="utf-8") as file:
        try:
            file.write(text)
            file.flush()
        except BaseException:
            path.unlink()
            raise


def read_settings(path: Path, known: Collection[str]) -> dict:
    """Read a settings file.

    Parameters
    ----------
    path
        A TOML file.
    known
        Names that it may hold.

    Returns
    -------
    dict
        Name -> value.

    Raises
    ------
    ValueError
        If it is no TOML, holds other names or values that no setting can have, or an
        output outside of the present folder.
    """
    with open(path, "rb") as file:
        try:
            found = tomllib.load(file)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{path} is no TOML: {error}") from None
    if unknown := [name for name in found if name not in known]:
        raise ValueError(
            f"{path} has no setting {', '.join(map(repr, unknown))}; those that there "
            f"are: {', '.join(sorted(known))}. `espm-hs init` writes all of them."
        )
    for name, value in found.items():
        _check_setting(path, name, value)
    if (folder := found.get("output")) is not None and not _is_below(folder):
        raise ValueError(
            f"{path} has the output {folder!r}; in a file, which may come from others, "
            "it must be a folder below the present one. Name another one with --output."
        )
    return found


def _is_below(folder: Any) -> bool:
    """Whether a folder is relative and stays inside, on any system."""
    if not isinstance(folder, str) or not folder.isprintable():
        return False
    paths = PurePosixPath(folder), PureWindowsPath(folder)
    if any(one.anchor or ".." in one.parts for one in paths):
        return False
    # a link may come along with the file
    return Path(folder).resolve().is_relative_to(Path.cwd().resolve())


def _check_setting(path: Path, name: str, value: Any) -> None:
    """Raise ValueError for a value that the setting cannot have."""
    if name in _NUMBERS:
        try:
            ITEMS[_NUMBERS[name]].given(value)
        except ValueError as error:
            raise ValueError(f"{path} has {name} = {value!r}: {error}") from None
    if name == "known_phases":
        right, needed = isinstance(value, dict), "a table for each phase"
    elif name in LISTS:
        several = value if isinstance(value, list) else [value]
        right, needed = (
            all(isinstance(one, str) for one in several),
            "a list of symbols",
        )
    else:
        right = isinstance(value, str | bool | int | float)
        needed = "text, a number, true or false"
    if not right:
        raise ValueError(
            f"{path} has {name} = {printable(str(value))}; needed is {needed}."
        )
