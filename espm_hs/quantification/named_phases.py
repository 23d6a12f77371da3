"""Whether phases that were named beforehand are where what was said of them is true."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from espm_hs.decomposition.constraints import Knowledge
from espm_hs.decomposition.regions import fit_regions
from espm_hs.decomposition.result import PhaseAnalysis
from espm_hs.quantification.pixels import Array
from espm_hs.quantification.regions import Regions
from espm_hs.quantification.report import total_covariance

# Pixels show a phase where it has this share of the counts.
PURE = 0.9
# What others have in such pixels moves a fraction by so much, beside all errors.
TOLERANCE = 0.03
# Chi-square by degree of freedom from which pixels contradict what was said, and the
# factor by which another phase must be closer to it.
CONTRADICTS, CLOSER = 9.0, 4.0


def contradicted_names(
    analysis: PhaseAnalysis, data: Array, loadings: np.ndarray
) -> Iterator[str]:
    """Say which named phases have pixels that another phase's constraints are true of.

    A fit keeps what was said of a phase, wherever its map leads it. So the pixels that
    each phase has almost for itself are fitted freely, and what was said of a name is
    compared with the compositions found there.

    Parameters
    ----------
    analysis
        Result of a decomposition.
    data
        Counts, shape (*navigation, n_channels).
    loadings
        Shape (n_pixels, n_phases), NaN in pixels left out.

    Yields
    ------
    str
        A sentence for each name that fits the pixels of another phase better.
    """
    known = analysis.knowledge
    said = {j: statements(known, j, analysis.element_columns) for j in _named(known)}
    if known.single_elements or not any(len(A) for A, _ in said.values()):
        return
    counts = loadings * np.nansum(analysis.spectra, axis=0)
    total = np.nan_to_num(counts.sum(axis=1, keepdims=True))
    shares = np.nan_to_num(counts) / np.maximum(total, 1e-300)
    inside = shares > PURE
    there = np.flatnonzero(inside.any(axis=0)).tolist()
    if not there:
        return
    spectra = Regions.of(inside[:, there]).spectra(data, analysis.channels)
    names = [analysis.labels[j] for j in there]
    fits = fit_regions(analysis.model, analysis.channels, spectra, names)
    free = {j: one for j, one in zip(there, fits, strict=True) if one is not None}
    for j, (A, b) in said.items():
        off = {q: _distance(one, A, b) for q, one in free.items()} if len(A) else {}
        best = min(off, key=lambda q: off[q], default=j)
        if analysis.empty[j] and best != j and off[best] < 1:
            yield (
                f"{known.names[j]!r} is nowhere, and {analysis.labels[best]}, with "
                f"{_found(free[best])}, is what it should be. Check `known_phases`."
            )
        elif j in off and off[j] > CONTRADICTS and off[best] * CLOSER < off[j]:
            yield (
                f"{known.names[j]!r} should have {_words(analysis, j)}, and where it "
                f"is there is {_found(free[j])}; {analysis.labels[best]}, with "
                f"{_found(free[best])}, fits that better. Check `known_phases`."
            )


def _named(known: Knowledge) -> list[int]:
    """Return the phases that have names."""
    return [j for j, name in enumerate(known.names) if name]


def statements(
    known: Knowledge, j: int, elements: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return what was said of the composition of a phase as A x = b.

    Parameters
    ----------
    known
        What was said.
    j
        Number of the phase.
    elements
        Boolean, shape (n_columns,): rows of W that are fractions.

    Returns
    -------
    A, b
        Shapes (n_statements, n_elements) and (n_statements,), for fractions x.
    """
    fixed, ties = known.fixed[elements, j], known.ties[j][elements]
    one = np.eye(len(fixed))
    rows = [(one[i], fixed[i]) for i in np.flatnonzero(np.isfinite(fixed))]
    for together in ties.T:
        first, *others = np.flatnonzero(together).tolist() or [0]
        for i in others:
            row = one[i] * together[first] - one[first] * together[i]
            rows.append((row / np.linalg.norm(row), 0.0))
    A = np.array([row for row, _ in rows]).reshape(-1, len(fixed))
    return A, np.array([value for _, value in rows])


def _distance(one: PhaseAnalysis, A: np.ndarray, b: np.ndarray) -> float:
    """Return chi-square by degree of freedom of statements about a free fit."""
    whole = one.composition[:, 0].sum()
    if not whole > 0:
        return np.inf
    covariance = A @ total_covariance(one)[0] @ A.T / whole**2
    covariance += TOLERANCE**2 * np.eye(len(A))
    off = A @ one.composition[:, 0] / whole - b
    return float(off @ np.linalg.solve(covariance, off) / len(A))


def _words(analysis: PhaseAnalysis, j: int) -> str:
    """Say what was said of a phase."""
    fixed = analysis.knowledge.fixed[analysis.element_columns, j]
    pairs = zip(analysis.elements, fixed, strict=True)
    parts = [f"{name} {100 * x:.0f}" for name, x in pairs if np.isfinite(x)]
    return f"{', '.join(parts)} at.%" if parts else "the ratios that were given"


def _found(one: PhaseAnalysis) -> str:
    """Say what the largest fractions of a free fit are."""
    whole = max(one.composition[:, 0].sum(), 1e-300)
    percent = 100 * one.composition[:, 0] / whole
    order = np.argsort(-percent)[:3].tolist()
    return f"{', '.join(f'{one.elements[i]} {percent[i]:.0f}' for i in order)} at.%"
