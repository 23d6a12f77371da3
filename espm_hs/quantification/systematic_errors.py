"""Errors of atomic data and of look-alikes, which no number of counts makes smaller."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real

import numpy as np

from espm_hs.arguments import check_mapping
from espm_hs.decomposition.result import PhaseAnalysis
from espm_hs.physics import SpectrumModel

#: Relative standard uncertainty of emission, by family. K: fluorescence yields to 2-3 %
#: (Krause, J. Phys. Chem. Ref. Data 8 (1979) 307, above Z = 20) and ionisation relative
#: to other K shells; L and M: yields and Coster-Kronig rates to 5-15 %, ionisation to
#: 10 % and more (Campbell, At. Data Nucl. Data Tables 85 (2003) 291; Llovet et al.,
#: J. Phys. Chem. Ref. Data 43 (2014) 013102).
LINE_ERRORS = {"K": 0.03, "L": 0.10, "M": 0.15}
# Columns are look-alikes where the data know a combination of them with less than this
# share of the information on each of them alone, ...
ALIKE = 0.02
# ... and those belong to it that make up this share of the combination.
INVOLVED = 0.3


def line_errors(
    analysis: PhaseAnalysis, given: Mapping[str, float] | None = None
) -> np.ndarray:
    """Return the relative error of the amount of each element that atomic data cause.

    Parameters
    ----------
    analysis
        Result of a decomposition.
    given
        Family ("K", "L", "M") or element -> relative standard uncertainty that differs
        from `LINE_ERRORS`; a standard that was measured makes it small.

    Returns
    -------
    numpy.ndarray
        Shape (n_elements,). Where lines of several families count, it is that of the
        mean, weighted with the counts that they make.

    Raises
    ------
    ValueError
        If a name is neither family nor element, or a value is no share.
    TypeError
        If they are no mapping.
    """
    given = {} if given is None else given
    what = "families or elements to relative errors, such as {'L': 0.05}"
    check_mapping("line_errors", given, what)
    given = dict(given)
    known = [*LINE_ERRORS, *analysis.elements]
    for name, value in given.items():
        if name not in known or not isinstance(value, Real) or not 0 <= value < 1:
            raise ValueError(
                f"`line_errors` has {name!r}: {value!r}; needed are relative errors "
                f"from 0 to 1 by {', '.join(known)}, such as {{'L': 0.05}}."
            )
    model, table, errors = analysis.model, LINE_ERRORS | given, []
    if not isinstance(model, SpectrumModel):  # another physics has no such data
        return np.zeros(len(analysis.elements))
    columns = [column for column in model.columns if column.kind == "element"]
    for element, column in zip(analysis.elements, columns, strict=True):
        lines = [x for x in model.emission_lines if x.element == element]
        lines = [x for x in lines if x.family in (column.family or "")]
        counts = [x.cross_section * model.detector.efficiency(x.energy) for x in lines]
        mean = np.average([table[x.family] for x in lines], weights=counts)
        errors.append(given.get(element, float(mean)))
    return np.array(errors)


def look_alikes(analysis: PhaseAnalysis) -> list[str]:
    """Name what the data can hardly tell apart.

    Parameters
    ----------
    analysis
        Result of a decomposition.

    Returns
    -------
    list of str
        Texts like "Pt and Zr L" for columns of the model, "phases 0 and 2" for spectra
        of phases. Backgrounds are free to resemble each other.
    """
    channels = analysis.channels
    spectra = analysis.spectra[channels]
    mean = spectra.mean(axis=1)
    weight = 1 / np.sqrt(np.where(mean > 0, mean, np.inf))
    columns = analysis.model.columns
    lines = [i for i, column in enumerate(columns) if column.kind != "background"]
    G = analysis.G.mean(axis=0)[channels]
    alike = _alike((G * weight[:, None])[:, lines], [columns[i].label for i in lines])
    names = [name or str(j) for j, name in enumerate(analysis.knowledge.names)]
    phases = _alike(spectra * weight[:, None], names)
    return [*alike, *(f"phases {group}" for group in phases)]


def _alike(matrix: np.ndarray, names: list[str]) -> list[str]:
    """Name groups of columns that a combination of them nearly cancels."""
    length = np.linalg.norm(matrix, axis=0)
    matrix = matrix / np.where(length > 0, length, 1.0)
    values, vectors = np.linalg.eigh(matrix.T @ matrix)
    groups = []
    for value, vector in zip(values, vectors.T, strict=True):
        involved = np.flatnonzero(np.abs(vector) > INVOLVED)
        if value < ALIKE and involved.size > 1:
            *first, last = (names[i] for i in involved)
            groups.append(f"{', '.join(first)} and {last}")
    return groups
