"""The work behind the command line: files in, results out."""

from __future__ import annotations

import os
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np
from sklearn.exceptions import ConvergenceWarning

from espm_hs import analysis, plotting, simulation
from espm_hs.tables import (
    comparison_table,
    composition_table,
    fit_remarks,
    write_composition,
)

# One of them is in every folder that zarr, the format of .zspy, writes.
_ZARR_FILES = {".zgroup", "zarr.json"}


@dataclass(frozen=True)
class Settings:
    """
    What the user asks of a decomposition; None keeps what the file says.

    Attributes
    ----------
    phases : int
        Number of phases.
    elements, stray : sequence of str or None
        Symbols of the elements of the sample, and of those from outside of it.
    beam_energy : float or None
        keV.
    elevation : float or None
        Of the detector, degrees.
    thickness, density : float or None
        nm, g/cm3.
    fit : dict
        Further arguments of ``decomposition(algorithm="espm")``.
    progress : bool
        Show a progress bar.
    """

    phases: int
    elements: Sequence[str] | None = None
    stray: Sequence[str] | None = None
    beam_energy: float | None = None
    elevation: float | None = None
    thickness: float | None = None
    density: float | None = None
    fit: dict | None = None
    progress: bool = False


# -- reading -----------------------------------------------------------------------


def read_spectra(path: str | Path) -> list:
    """
    Read the EDS signals of a file.

    Parameters
    ----------
    path : str or Path
        A file that HyperSpy reads.

    Returns
    -------
    list of EDSespmSpectrum
        In the order of the file.

    Raises
    ------
    OSError, ValueError
        If the file cannot be read or holds no EDS spectrum.
    """
    loaded = hs.load(str(path))
    signals = loaded if isinstance(loaded, list) else [loaded]
    types = [str(s.metadata.get_item("Signal.signal_type") or "none") for s in signals]
    spectra = [s for s, t in zip(signals, types, strict=True) if t.startswith("EDS")]
    if not spectra:
        raise ValueError(
            "no EDS spectrum in this file; its signal types are: "
            f"{', '.join(sorted(set(types)))}. If one of them is an EDS map, load it, "
            "call s.set_signal_type('EDS_espm') and save it as .hspy."
        )
    for signal in spectra:
        signal.set_signal_type("EDS_espm")
    return spectra


def choose_map(spectra: Sequence):
    """
    Pick the signal to decompose: of the maps the one with most counts.

    Readers differ in what they put first: a file may hold, beside the map, its summed
    spectrum and spectra of regions.

    Parameters
    ----------
    spectra : sequence of EDSespmSpectrum
        At least one.

    Returns
    -------
    EDSespmSpectrum
        A single spectrum only if there is no map.
    """
    maps = [s for s in spectra if s.axes_manager.navigation_dimension > 0]
    return max(maps or spectra, key=_total)


def _total(signal) -> float:
    """Sum of all counts."""
    return float(np.asarray(signal.data.sum(dtype=float)))


def file_info(path: str | Path) -> str:
    """
    Say what a file holds and what a decomposition of it would use.

    Parameters
    ----------
    path : str or Path
        A file that HyperSpy reads.

    Returns
    -------
    str
        A paragraph for each EDS signal.
    """
    spectra = read_spectra(path)
    chosen = choose_map(spectra)
    paragraphs, described = [], {}
    for number, signal in enumerate(spectra, start=1):
        axis = signal.axes_manager.signal_axes[0]
        rows = tuple(analysis.describe(signal.metadata, signal.original_metadata, axis))
        # the detectors of a Velox file would repeat the same rows
        first = described.setdefault(rows, number)
        known = rows if first == number else [("parameters", f"as of {first}", "")]
        paragraphs.append(_signal_info(number, signal, signal is chosen, known))
    return "\n\n".join(paragraphs)


def _signal_info(number: int, signal, chosen: bool, described: Sequence) -> str:
    axis = signal.axes_manager.signal_axes[0]
    pixels = max(1, signal.axes_manager.navigation_size)
    energy = f"{axis.low_value:.4g} to {axis.high_value:.4g} {axis.units}"
    shape = " x ".join(str(n) for n in signal.data.shape)
    facts = [
        ("shape", shape, ""),
        ("data type", str(signal.data.dtype), ""),
        ("counts per pixel", f"{_total(signal) / pixels:.1f}", ""),
        ("energy", energy, f"{axis.size} channels"),
        *described,
    ]
    title = signal.metadata.get_item("General.title") or "untitled"
    mark = "  <- decompose uses this one" if chosen else ""
    names = max(len(name) for name, _, _ in facts)
    values = min(28, max(len(value) for _, value, _ in facts))
    lines = [f"{number}. {title}{mark}"]
    lines += [f"   {n:{names}}  {v:{values}}  {r}".rstrip() for n, v, r in facts]
    return "\n".join(lines)


# -- decomposing ---------------------------------------------------------------------


def decompose_file(path: str | Path, folder: str | Path, settings: Settings) -> str:
    """
    Decompose the map of a file and write the results.

    Parameters
    ----------
    path : str or Path
        A file that HyperSpy reads.
    folder : str or Path
        Where NAME_espm.hspy, NAME_phases.png and NAME_composition.csv go; is made,
        older files of these names are replaced. None of them appears half-written.
    settings : Settings
        What is wanted.

    Returns
    -------
    str
        Table of the compositions, with remarks on the fit.

    Raises
    ------
    OSError, ValueError, TypeError
        If the file cannot be read, or settings are missing or make no sense.
    KeyboardInterrupt
        If the user interrupts the fit; nothing is written then.
    """
    signal = choose_map(read_spectra(path))
    _apply(signal, settings)
    found, seconds = _decompose(signal, settings)
    with _finished_files(Path(folder)) as unfinished:
        name = Path(path).stem
        _save_figure(plotting.plot_phases(signal), unfinished / f"{name}_phases.png")
        write_composition(signal, unfinished / f"{name}_composition.csv")
        signal.save(unfinished / f"{name}_espm.hspy")
    return f"{composition_table(signal)}\n{fit_remarks(found)}\n{seconds:.1f} s"


def _apply(signal, settings: Settings) -> None:
    """Write the settings to the metadata and check that nothing needed is missing."""
    if settings.elements is not None:
        signal.set_elements(list(settings.elements))
    microscope = {
        "beam_energy": settings.beam_energy,
        "elevation_angle": settings.elevation,
    }
    if any(value is not None for value in microscope.values()):
        signal.set_microscope_parameters(**microscope)
    with _options_named("--elements, --stray, --thickness, --density"):
        signal.set_analysis_parameters(
            thickness=settings.thickness,
            density=settings.density,
            stray_elements=settings.stray,
        )
    # the messages of the signal name Python calls, these the options
    metadata = signal.metadata
    if not metadata.get_item("Sample.elements"):
        raise ValueError("the file names no elements: give them, --elements O,Mg,Si.")
    if metadata.get_item("Acquisition_instrument.TEM.beam_energy") is None:
        raise ValueError(
            "the file has no beam energy: give it in keV, --beam-energy 200."
        )
    known = [metadata.get_item(f"Sample.{n}") for n in ("thickness", "density")]
    if (known[0] is None) != (known[1] is None):
        missing = "--density (g/cm3)" if known[1] is None else "--thickness (nm)"
        raise ValueError(f"absorption needs thickness and density: give {missing} too.")
    with _options_named("--elements, --stray"):
        signal.physical_model()


@contextmanager
def _options_named(options: str) -> Iterator[None]:
    """Add the options to messages that name Python calls."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{error} (The options: {options}.)") from None


def _decompose(signal, settings: Settings) -> tuple[analysis.PhaseAnalysis, float]:
    """
    Run the decomposition; return its result and the seconds it took.

    Raises
    ------
    KeyboardInterrupt
        If the user interrupted it: nobody can look at what there is so far.
    """
    start = time.perf_counter()
    with warnings.catch_warnings():
        # said below the table, and by the exit code
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", "The fit was interrupted")
        found = signal.decomposition(
            algorithm="espm",
            output_dimension=settings.phases,
            show_progressbar=settings.progress,
            print_info=False,
            return_info=True,
            **(settings.fit or {}),
        )
    if found.interrupted:
        raise KeyboardInterrupt
    return found, time.perf_counter() - start


@contextmanager
def _finished_files(folder: Path):
    """
    Folder to write files to, which move to their place once all are complete.

    Parameters
    ----------
    folder : Path
        Is made if needed.

    Yields
    ------
    Path
        On the same disk, so that moving a file is one step.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".espm-hs-", dir=folder) as unfinished:
        yield Path(unfinished)
        for file in sorted(Path(unfinished).iterdir()):
            _replace(file, folder / file.name)


def _replace(new: Path, target: Path) -> None:
    """
    Move a file, or the folder that a .zspy is, to the place of an older one.

    Raises
    ------
    OSError
        If the older one is a folder and not a .zspy.
    """
    if not (new.is_dir() and target.is_dir()):
        os.replace(new, target)
        return
    entries = {entry.name for entry in target.iterdir()}
    if entries and not entries & _ZARR_FILES:
        raise FileExistsError(f"{target} is a folder of other files: move it away.")
    # a folder cannot take the place of another one in a single step
    with tempfile.TemporaryDirectory(prefix=".espm-hs-", dir=target.parent) as aside:
        old = Path(aside, target.name)
        os.replace(target, old)
        try:
            os.replace(new, target)
        except BaseException:
            os.replace(old, target)
            raise


def _save_figure(figure, path: Path) -> None:
    figure.savefig(path, dpi=150)
    plt.close(figure)


# -- simulation ----------------------------------------------------------------------


def demo(folder: str | Path, seed: int = 0) -> str:
    """
    Decompose a simulated map and compare the result with what was put in.

    Parameters
    ----------
    folder : str or Path
        Where map.hspy and phases.png go.
    seed : int
        Of the counts.

    Returns
    -------
    str
        Table of found and true compositions.
    """
    signal = simulation.particles(seed=seed)
    found, seconds = _decompose(signal, Settings(phases=3))
    with _finished_files(Path(folder)) as unfinished:
        _save_figure(plotting.plot_phases(signal), unfinished / "phases.png")
        signal.save(unfinished / "map.hspy")
    counts = _total(signal) / signal.axes_manager.navigation_size
    shape = " x ".join(str(n) for n in signal.data.shape)
    return (
        f"Simulated map, {shape}, {counts:.0f} counts per pixel. Composition, at.%:\n\n"
        f"{comparison_table(signal)}\n\n"
        f"{fit_remarks(found)}\n"
        f"Decomposition: {seconds:.1f} s"
    )


def simulate(name: str, path: str | Path, seed: int, **options) -> None:
    """
    Write a built-in data set, with its truth in the metadata.

    Parameters
    ----------
    name : str
        One of ``simulation.DATASETS``.
    path : str or Path
        File, ending in .hspy or .zspy.
    seed : int
        Of the counts.
    **options
        Shape and counts_per_pixel that differ from those of the data set.
    """
    path = Path(path)
    # lazy: of a large map only a few chunks are ever dense
    signal = simulation.DATASETS[name](seed=seed, lazy=True, **options)
    with _finished_files(path.parent) as unfinished:
        signal.save(unfinished / path.name)
