"""The work behind the command line: files in, results out."""

import shlex
import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask
import numpy as np
from joblib import effective_n_jobs
from sklearn.exceptions import ConvergenceWarning

from espm_hs import plotting, simulation
from espm_hs.cli.advice import for_command_line
from espm_hs.cli.files import (
    choose_map,
    read_spectra,
    results_of,
)
from espm_hs.cli.html_report import write_report
from espm_hs.cli.maps import (
    apply_settings,
    check_beam_energy,
    declare,
    number_of_phases,
    phase_number_figure,
    save_figure,
    write_results,
)
from espm_hs.cli.settings import Settings
from espm_hs.cli.tables import (
    composition_table,
    fit_facts,
    text_lines,
)
from espm_hs.cli.workers import Outcome
from espm_hs.decomposition.cautions import PhaseWarning
from espm_hs.decomposition.result import PhaseAnalysis
from espm_hs.factorization.counts.storage import memory_for_counts
from espm_hs.factorization.kernels.pixel_updates import block_pass
from espm_hs.metadata.describe import Info, counts_per_pixel, shape_text
from espm_hs.metadata.reader import item, read
from espm_hs.metadata.schema import BATCH, RESULTS
from espm_hs.metadata.writer import write_parameters
from espm_hs.output import check_targets, finished_files, printable
from espm_hs.progress import stage
from espm_hs.quantification.percent_with_errors import to_percent
from espm_hs.quantification.report import report
from espm_hs.signals import EDSespmSpectrum
from espm_hs.signals._masks import shown_progress
from espm_hs.simulation import metrics

# Shares of the time that is left of a file, as a rule: of reading it, of the number of
# phases, and of the phases; the rest goes into figures and files.
OF_READING, OF_NUMBER, OF_FIT = 0.05, 0.6, 0.6

# -- information ------------------------------------------------------------------


def file_info(path: str | Path) -> str:
    """Say what a file holds and what a decomposition of it would use.

    Parameters
    ----------
    path
        A file that HyperSpy reads.

    Returns
    -------
    str
        A paragraph for each EDS signal.
    """
    spectra = read_spectra(path)
    chosen = choose_map(spectra)
    paragraphs: list[str] = []
    described: dict[tuple, int] = {}
    for number, signal in enumerate(spectra, start=1):
        found = signal.info()
        # the detectors of a Velox file would repeat the same rows
        facts, rows = found.rows[: found.n_facts], found.rows[found.n_facts :]
        first = described.setdefault(rows, number)
        if first != number:
            found = Info(found.title, (*facts, ("parameters", f"as of {first}", "")))
        mark = "  <- decompose uses this one" if signal is chosen else ""
        paragraphs.append(found.text(f"{number}. ", mark))
    return for_command_line("\n\n".join(paragraphs))


# -- decomposing ---------------------------------------------------------------------


def decompose_file(path: str | Path, folder: str | Path, settings: Settings) -> Outcome:
    """Decompose the map of a file and write the results.

    Parameters
    ----------
    path
        A file that HyperSpy reads.
    folder
        Where NAME_espm.hspy, NAME_phases.png, NAME_composition.csv and
        NAME_report.html go; is made, older files of these names are replaced. None of
        them appears half-written.
    settings
        What is wanted.

    Returns
    -------
    Outcome
        With the table of the compositions and remarks on the fit.

    Raises
    ------
    OSError, ValueError, TypeError
        If the file cannot be read, or settings are missing or make no sense.
    KeyboardInterrupt
        If the user interrupts the fit; nothing is written then.
    """
    path, folder = Path(path), Path(folder)
    record = settings.record
    check_targets(results_of(path, folder))
    if settings.resume and (before := _done_before(path, folder, settings)):
        return before
    told = ""
    with shown_progress(settings.progress, printable(path.name)):
        with stage(OF_READING, "reading"):
            signal = choose_map(read_spectra(path, settings.lazy))
        apply_settings(signal, settings)
        if settings.calibrate:
            signal.refine_calibration(print_info=False)
        if settings.phases == "auto":
            with stage(OF_NUMBER):
                number, told = number_of_phases([signal], settings)
            settings = replace(settings, phases=number)
        with stage(OF_FIT):
            found, seconds = _decompose(signal, settings)
        with stage(name="writing"):
            names = None
            if settings.identify:
                names = signal.identify_phases(settings.identify, rename=True)
            write_parameters(signal.metadata, {BATCH: record})
            write_results(signal, path, folder, names)
    said = [composition_table(signal), *([str(names)] if names else [])]
    said = [told, *said] if told else said
    text = "\n".join([*said, _remarks(signal, found), f"{seconds:.1f} s"])
    return Outcome(str(path), "done", text, fit_facts(signal, seconds))


def elements_of_file(path: str | Path, settings: Settings, false_names: float) -> str:
    """Say which elements the summed spectrum of a file shows.

    Parameters
    ----------
    path
        A file that HyperSpy reads.
    settings
        Elements that are known of, and the beam energy.
    false_names
        Largest probability that a name is false.

    Returns
    -------
    str
        A line for each element, and the options of a decomposition with them.
    """
    signal = choose_map(read_spectra(path))
    declare(signal, settings)
    check_beam_energy(signal)
    found = signal.identify_elements(false_names=false_names, print_info=False)
    text = str(found)
    if found.elements:
        text = f"{text}\n{_decompose_with(signal, path, found.elements)}"
    return for_command_line(text)


# Elements that a spectrum shows and its file does not name are often these, from grid,
# holder, preparation and contamination.
_OFTEN_STRAY = frozenset({"C", "Cu", "Ga", "Mo", "Pt"})


def _decompose_with(
    signal: EDSespmSpectrum, path: str | Path, elements: Sequence[str]
) -> str:
    """Say how to decompose with elements that were found."""
    trees = signal.metadata, signal.original_metadata
    of_sample = set(read("elements", *trees) or ())
    declared = set(read("stray_elements", *trees) or ())
    habitual = (_OFTEN_STRAY & set(elements)) - of_sample - declared
    stray = [x for x in elements if x in declared | habitual]
    own = [x for x in elements if x not in stray]
    options = {"elements": ",".join(own), "stray": ",".join(stray)}
    given = " ".join(f"--{name} {text}" for name, text in options.items() if text)
    command = f"espm-hs decompose {shlex.quote(str(path))} -n auto {given}"
    which = ", ".join(x for x in stray if x in habitual)
    why = f" ({which}, which often are)" if which else ""
    return (
        "Those of the sample go to --elements, those of grid, holder and column to "
        f"--stray{why}; check both: {command}"
    )


def phases_of_file(
    path: str | Path, folder: str | Path, settings: Settings, most: int
) -> str:
    """Say how many phases the counts of a map bear out, and draw why.

    Parameters
    ----------
    path
        A file that HyperSpy reads.
    folder
        Where NAME_phase_number.png goes.
    settings
        What is known of sample and microscope.
    most
        Largest number to try.

    Returns
    -------
    str
        A line for each number, and the one to take.
    """
    path, folder = Path(path), Path(folder)
    figure = folder / phase_number_figure(path)
    check_targets([figure])
    signal = choose_map(read_spectra(path))
    apply_settings(signal, settings)
    _, told = number_of_phases([signal], settings, most)
    with finished_files(folder) as new, new(figure.name) as file:
        save_figure(signal.plot_number_of_phases(), file)
    return f"{told}\nWritten: {figure}"


def report_file(
    path: str | Path, target: str | Path | None = None, identify: str | None = None
) -> Path:
    """Write the report of a map that was decomposed before.

    Parameters
    ----------
    path
        A file with results, as `decompose_file` or ``s.save`` write it.
    target
        The HTML file; beside the map if not given.
    identify
        Database of names for the phases; None: they are not named.

    Returns
    -------
    Path
        The HTML file.

    Raises
    ------
    OSError, ValueError, RuntimeError
        If the file cannot be read or holds no phases.
    """
    path = Path(path)
    signal = _with_phases(path)
    if target is None:
        target = path.with_name(f"{_stem(path)}_report.html")
    target = Path(target)
    check_targets([target])
    names = signal.identify_phases(identify) if identify else None
    with finished_files(target.parent) as new, new(target.name) as file:
        write_report(signal, file, str(path), names)
    return target


def export_file(
    path: str | Path,
    folder: str | Path,
    what: list[str] | None = None,
    oxygens: float | None = None,
) -> list[Path]:
    """Write what papers and other programs need of a map that was decomposed before.

    Parameters
    ----------
    path
        A file with results, as `decompose_file` or ``s.save`` write it.
    folder, what, oxygens
        As in ``s.export``.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    OSError, ValueError, RuntimeError, ImportError
        If the file cannot be read or holds no phases, or ``what`` cannot be written.
    """
    path = Path(path)
    signal = _with_phases(path)
    return signal.export(folder, what, _stem(path), oxygens)


def _with_phases(path: Path) -> EDSespmSpectrum:
    """Read the map of a file that has phases."""
    signals = [s for s in read_spectra(path) if item(s.metadata, RESULTS)]
    if not signals:
        raise ValueError(
            f"the file holds no phases yet: find them, `espm-hs decompose {path.name}`."
        )
    return signals[0]


def _stem(path: Path) -> str:
    """Return how the names of all files of a map begin."""
    return path.stem.removesuffix("_espm")


def _done_before(path: Path, folder: Path, settings: Settings) -> Outcome | None:
    """Return the outcome of the same work if it is there, and newer than the map."""
    files = results_of(path, folder)
    changed = path.stat().st_mtime
    if not all(f.exists() and f.stat().st_mtime >= changed for f in files):
        return None
    try:
        (signal,) = read_spectra(files[0], lazy=True)
        if item(signal.metadata, BATCH) != settings.record:
            return None
        facts = fit_facts(signal)
    except (OSError, ValueError, RuntimeError):
        return None  # damaged since
    return Outcome(str(path), "done before", f"as in {files[0]}", facts)


def _decompose(
    signal: EDSespmSpectrum, settings: Settings
) -> tuple[PhaseAnalysis, float]:
    """Run the decomposition; return its result and the seconds it took.

    Raises
    ------
    KeyboardInterrupt
        If the user interrupted it: nobody can look at what there is so far.
    """
    start = time.perf_counter()
    fit = dict(settings.fit or {})
    shared = {}
    if settings.workers > 1:
        # the cores and the memory are for all of them
        fit.setdefault("n_jobs", max(1, effective_n_jobs(-1) // settings.workers))
        if np.isfinite(memory := memory_for_counts() / settings.workers):
            shared["espm_hs.counts-in-memory"] = int(memory)
    with warnings.catch_warnings(), dask.config.set(shared):
        # said below the table, and by the exit code
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", PhaseWarning)
        warnings.filterwarnings("ignore", "The fit was interrupted")
        found = signal.decomposition(
            algorithm="espm",
            output_dimension=settings.phases,
            show_progressbar=settings.progress,
            print_info=False,
            return_info=True,
            **fit,
        )
    if found.interrupted:
        raise KeyboardInterrupt
    return found, time.perf_counter() - start


def _remarks(signal: EDSespmSpectrum, found: PhaseAnalysis) -> str:
    """How good a fit is, and what else to know before trusting it, line by line."""
    lines = report(found, remarks=signal._remarks(found)).footer()
    return for_command_line("\n".join(lines))


# -- simulation ----------------------------------------------------------------------


def demo(folder: str | Path, seed: int = 0) -> str:
    """Decompose a simulated map and compare the result with what was put in.

    Parameters
    ----------
    folder
        Where map.hspy and phases.png go.
    seed
        Of the counts.

    Returns
    -------
    str
        Table of found and true compositions.
    """
    signal = simulation.particles(seed=seed)
    found, seconds = _decompose(signal, Settings(phases=3))
    with finished_files(Path(folder)) as new:
        with new("phases.png") as file:
            save_figure(plotting.plot_phases(signal), file)
        with new("map.hspy") as file:
            signal.save(file)
    counts = counts_per_pixel(signal)
    return (
        f"Simulated map, {shape_text(signal)}, {counts:.0f} counts per pixel. "
        "Composition, at.%:\n\n"
        f"{_comparison(signal)}\n\n"
        f"{_remarks(signal, found)}\n"
        f"Decomposition: {seconds:.1f} s"
    )


def compile_kernels() -> tuple[str, float]:
    """Compile what decompositions need, by decomposing small maps.

    Returns
    -------
    folder, seconds
        Where the kernels of the fit are kept, and how long it took.

    Raises
    ------
    ValueError
        If there is no folder to keep them in.
    """
    begun = time.perf_counter()
    folder = block_pass(0, False, True).stats.cache_path
    if folder is None:
        raise ValueError(
            "There is no folder that can be written to, for compiled code: set the "
            "variable NUMBA_CACHE_DIR to one that the later runs can read."
        )
    # pixels hold their counts as 8-bit numbers and as those of 16 bits
    for counts in (20, 2000):
        signal = simulation.mantle(shape=(8, 8), counts_per_pixel=counts, seed=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for one in (signal, signal.as_lazy()):
                _decompose(one, Settings(phases=3))
            signal.quantify("pixels")
            signal.estimate_number_of_phases((2, 3), show_progressbar=False)
    return folder, time.perf_counter() - begun


def _comparison(signal: EDSespmSpectrum) -> str:
    """Found and true composition of each phase, and the angle of their spectra."""
    truth = simulation.ground_truth(signal)
    found = signal.analysis_results()
    symbols, percent, variance = to_percent(found)
    order, angles = metrics.match_phases(found.spectra, truth.spectra)
    places = [symbols.index(symbol) for symbol in truth.elements]
    rows = [["", "", *truth.elements, "angle"]]
    for j, (partner, angle) in enumerate(zip(order, angles, strict=True)):
        values, errors = percent[places, partner], variance[places, partner] ** 0.5
        cells = (f"{p:.1f} ± {e:.1f}" for p, e in zip(values, errors, strict=True))
        # below the values that were found
        true = (f"{100 * x:.1f}{'':6}" for x in truth.composition[:, j])
        rows.append([truth.names[j], "found", *cells, f"{angle:.2f}°"])
        rows.append(["", "true", *true, ""])
    return "\n".join(text_lines(rows, n_left=2))


def simulate(name: str, path: str | Path, seed: int, **options: Any) -> None:
    """Write a built-in data set, with its truth in the metadata.

    Parameters
    ----------
    name
        One of ``simulation.DATASETS``.
    path
        File, ending in .hspy or .zspy.
    seed
        Of the counts.
    **options
        Shape and counts_per_pixel that differ from those of the data set.
    """
    path = Path(path)
    # lazy: of a large map only a few chunks are ever dense
    signal = simulation.DATASETS[name](seed=seed, lazy=True, **options)
    with finished_files(path.parent) as new, new(path.name) as file:
        signal.save(file, show_progressbar=False)
