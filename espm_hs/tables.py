"""Tables of compositions: as text for the terminal, as CSV for other programs."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from espm_hs import metrics, simulation
from espm_hs.analysis import to_percent


def composition_table(signal) -> str:
    """
    Atomic percent of each phase as text.

    Parameters
    ----------
    signal : EDSespmSpectrum
        Decomposed.

    Returns
    -------
    str
        A line for each element, a column for each phase: percent and one standard
        deviation. Above, the share of the counts that each phase explains.
    """
    found = signal.analysis_results()
    percent, error = _percent(found, "atomic")
    loadings = signal.learning_results.loadings
    counts = np.nansum(loadings, axis=0) * np.nansum(found.spectra, axis=0)
    heads = "".join(f"{f'phase {j}':>16}" for j in range(found.n_phases))
    shares = "".join(f"{100 * c / counts.sum():>15.1f}%" for c in counts)
    lines = [f"{'at.%':8}{heads}", f"{'counts':8}{shares}"]
    for i, element in enumerate(found.elements):
        cells = (
            f"{f'{p:.2f} ± {e:.2f}':>16}"
            for p, e in zip(percent[i], error[i], strict=True)
        )
        lines.append(f"{element:8}{''.join(cells)}")
    return "\n".join(lines)


def fit_remarks(found) -> str:
    """
    How good a fit is, and whether it came to its end.

    Parameters
    ----------
    found : PhaseAnalysis
        Result of a decomposition.

    Returns
    -------
    str
        One line, or two.
    """
    lines = [
        f"Deviance of the summed spectrum per degree of freedom: {found.misfit:.3g} "
        "(about 1 if the model is complete)"
    ]
    if not found.converged:
        lines.append(
            f"The fit did not converge in {found.n_iter} iterations: look at the maps "
            "before you trust the numbers."
        )
    return "\n".join(lines)


def comparison_table(signal) -> str:
    """
    Found against true composition of a simulated map.

    Parameters
    ----------
    signal : EDSespmSpectrum
        Simulated, decomposed into at least as many phases as it has.

    Returns
    -------
    str
        Two lines for each phase, with the angle between its spectra in degrees.
    """
    truth = simulation.ground_truth(signal)
    found = signal.analysis_results()
    percent, error = _percent(found, "atomic")
    order, angles = metrics.match_phases(found.spectra, truth.spectra)
    rows = [found.elements.index(symbol) for symbol in truth.elements]
    heads = "".join(f"{symbol:>13}" for symbol in truth.elements)
    lines = [f"{'':16}{heads}{'angle':>9}"]
    for j, (partner, angle) in enumerate(zip(order, angles, strict=True)):
        cells = "".join(
            f"{f'{percent[i, partner]:.1f} ± {error[i, partner]:.1f}':>13}"
            for i in rows
        )
        true = "".join(f"{100 * x:>7.1f}{'':6}" for x in truth.composition[:, j])
        lines.append(f"{truth.names[j]:10}found {cells}{angle:>8.2f}°")
        lines.append(f"{'':10}true  {true}".rstrip())
    return "\n".join(lines)


def write_composition(signal, path: Path) -> None:
    """
    Write a table with a line for each phase and element.

    Parameters
    ----------
    signal : EDSespmSpectrum
        Decomposed.
    path : Path
        A CSV file; its columns are atomic and weight percent with their errors.
    """
    found = signal.analysis_results()
    atomic, atomic_error = _percent(found, "atomic")
    weight, weight_error = _percent(found, "weight")
    with open(path, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(
            [
                "phase",
                "element",
                "atomic percent",
                "error of atomic percent",
                "weight percent",
                "error of weight percent",
            ]
        )
        for j in range(atomic.shape[1]):
            for i, element in enumerate(found.elements):
                columns = (atomic, atomic_error, weight, weight_error)
                table.writerow([j, element, *(f"{c[i, j]:.4f}" for c in columns)])


def _percent(found, units) -> tuple[np.ndarray, np.ndarray]:
    """Percentages and standard deviations, both (n_elements, n_phases)."""
    _, percent, variance = to_percent(found, units)
    return percent, np.sqrt(variance)
