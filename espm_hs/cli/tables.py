"""Tables of the phases of a map, as text for the terminal and as CSV."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from espm_hs import simulation
from espm_hs.cli.summaries import csv_table
from espm_hs.quantification.composition import Basis, to_percent
from espm_hs.quantification.report import report
from espm_hs.simulation import metrics

# As in an entry of the report.
ERRORS = ("counts", "bias", "line data")


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
    heads = "".join(f"{label:>16}" for label in found.labels)
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
    How good a fit is, and what else to know before trusting it.

    Parameters
    ----------
    found : PhaseAnalysis
        Result of a decomposition.

    Returns
    -------
    str
        A line for each.
    """
    return "\n".join(report(found).footer())


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
        A CSV file; its columns are atomic and weight percent with their errors, and,
        for elements that are not found, the limits of detection.
    """
    found = signal.analysis_results()
    with csv_table(path) as table:
        errors = [f"error of {{}}: {name}" for name in ERRORS]
        names = ["{}", *errors, "detection limit of {}"]
        units = ("atomic", "weight")
        head = [name.format(f"{unit} percent") for unit in units for name in names]
        table.writerow(["phase", "element", *head])
        pairs = zip(
            *(report(found, Basis(unit)).entries for unit in units), strict=True
        )
        for atomic, weight in pairs:
            numbers = [*atomic[2:], *weight[2:]]
            cells = ["" if x is None else f"{x:.4f}" for x in numbers]
            table.writerow([atomic.phase, atomic.element, *cells])


def fit_facts(signal, seconds: float | None = None) -> dict[str, str]:
    """
    Say what the table of many maps has of one.

    Parameters
    ----------
    signal : EDSespmSpectrum
        Decomposed.
    seconds : float, optional
        How long it took.

    Returns
    -------
    dict
        Name -> text.
    """
    found = signal.analysis_results()
    n_pixels, counts, _ = found.fingerprint
    return {
        "map": " x ".join(str(n) for n in signal.data.shape),
        "counts per pixel": f"{counts / n_pixels:.1f}",
        "phases": str(found.n_phases),
        "misfit": f"{found.misfit:.3g}",
        "starts that agree": f"{found.n_agreeing} of {found.n_starts}",
        "converged": "yes" if found.converged else "no",
        "seconds": "" if seconds is None else f"{seconds:.1f}",
    }


def _percent(found, units) -> tuple[np.ndarray, np.ndarray]:
    """Percentages and standard deviations, both (n_elements, n_phases)."""
    _, percent, variance = to_percent(found, Basis(units))
    return percent, np.sqrt(variance)
