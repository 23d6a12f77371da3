"""Settings files of the command line: written with comments, read with checks."""

from __future__ import annotations

import sys
from collections.abc import Collection
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TEMPLATE = """\
# Settings of a decomposition:  espm-hs decompose --settings {name} FILE...
# A line that begins with # is not in force and shows a default or an example.
# Options of the command line go before what stands here.

# How many phases to look for.
phases = 3

# Elements of the sample. Without this line: as each file says.
# elements = ["O", "Mg", "Si", "Fe"]

# Elements that the beam hits besides: grid, holder, film, contamination. They are
# fitted and never quantified. "espm-hs info FILE" tells what a file says.
# stray = ["Cu", "C"]

# With both of these the sample absorbs its own X-rays.
# thickness = 100      # nm
# density = 4.5        # g/cm3

# In place of what the file says.
# beam_energy = 200    # keV
# elevation = 18       # of the detector, degrees

# Fit energy scale and peak width to the summed spectrum first.
calibrate = true

# The fit. The defaults are good; see docs/phases.md.
# sparsity = 1.0       # how strongly pixels are pulled to few phases, or "auto"
# smoothness = "auto"  # of the maps: "auto", or a number, 0 for none
# binning = 4          # pixels along each axis summed to find phases
# starts = 4           # the best of so many is kept
# seed = 0             # of the random numbers

# How the work is done.
# lazy = false         # maps larger than the memory
# workers = 1          # files at the same time
# jobs = -1            # threads; -1 for all cores
# resume = false       # leave out files that these settings were done with
# output = "results"   # folder

# What is known of phases, by name; they get the lowest numbers. See
# docs/prior_knowledge.md.
# [known_phases.core]
# composition = {{ Fe = 0.16, Pt = 0.84 }}
# [known_phases.film]
# absent = ["Fe", "O", "Pt"]
"""


def write_template(path: Path) -> None:
    """
    Write a settings file with a comment for each setting.

    Raises
    ------
    FileExistsError
        If there is such a file: it may hold work.
    """
    with open(path, "x", encoding="utf-8") as file:
        file.write(TEMPLATE.format(name=path.name))


def read_settings(path: Path, known: Collection[str]) -> dict:
    """
    Read a settings file.

    Parameters
    ----------
    path : Path
        A TOML file.
    known : collection of str
        Names that it may hold.

    Returns
    -------
    dict
        Name -> value.

    Raises
    ------
    ValueError
        If it is no TOML or holds other names.
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
    return found
