"""Units of energies and lengths: the one table, which is pint's."""

from __future__ import annotations

import re
from functools import lru_cache

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
