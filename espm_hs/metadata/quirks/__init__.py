"""What file formats and programs write in a way of their own.

Each is a small module, listed in `QUIRKS`, that declares

- ``PROGRAM``: its name, for remarks;
- ``METADATA``, ``ORIGINAL``: the items that all of its files have, in
  HyperSpy's metadata and in those of the file itself;
- ``READS``: name of an item of the schema -> function that finds it;
- maybe ``GUESSES``: name of an item -> function that finds what the program has put
  into the metadata by a guess of its own, and ``azimuths``, a function that finds the
  azimuths of the segments of the detector, degrees.

Such a function takes two others, which look up an item of the two trees by its path,
and returns a value in the unit of the schema, or None. It is asked only for what the
metadata do not state.
"""

from collections.abc import Callable
from typing import Any

from espm_hs.metadata.quirks import emsa, espm_package, velox

#: Looks an item up by its path; None where there is none.
Lookup = Callable[[str], Any]

QUIRKS = (espm_package, velox, emsa)
