"""Compounds and minerals: formulas, tables, and names for compositions.

The minerals are those of NeXLCore (National Institute of Standards and Technology,
public domain), completed by solid solutions and some that it lacks; the materials are
those that electron microscopes are mostly pointed at.
"""

from espm_hs.compounds.formulas import end_members, parse_formula
from espm_hs.compounds.tables import Compound, find_compound, read_compounds

__all__ = [
    "Compound",
    "end_members",
    "find_compound",
    "parse_formula",
    "read_compounds",
]
