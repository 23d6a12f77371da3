"""The map of a file before and after its phases are found, alone or with others."""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from espm_hs import plotting
from espm_hs.cli.advice import for_command_line
from espm_hs.cli.files import read_spectra, results_of
from espm_hs.cli.html_report import write_report
from espm_hs.cli.settings import SAMPLE, Settings
from espm_hs.cli.tables import text_lines, write_composition
from espm_hs.compounds import read_compounds
from espm_hs.metadata.learning import learned
from espm_hs.metadata.reader import item, read
from espm_hs.metadata.schema import NODE
from espm_hs.model_selection.n_phases_and_binning import PhaseNumber
from espm_hs.output import finished_files
from espm_hs.quantification.phase_names import PhaseNames
from espm_hs.signals import EDSespmSpectrum
from espm_hs.signals._model_selection import PHASE_NUMBER
from espm_hs.signals._together import estimate_number_together


def declare(signal: EDSespmSpectrum, settings: Settings) -> None:
    """Write the settings to the metadata."""
    if settings.elements is not None:
        signal.set_elements(list(settings.elements))
    microscope = {
        "beam_energy": settings.beam_energy,
        "elevation_angle": settings.elevation,
    }
    if any(value is not None for value in microscope.values()):
        signal.set_microscope_parameters(**microscope)
    with _options_named("--elements, --stray, --thickness, --density, --detector"):
        signal.set_analysis_parameters(
            thickness=settings.thickness,
            density=settings.density,
            thickness_error=settings.thickness_error,
            mass_thickness=settings.mass_thickness,
            pile_up=settings.pile_up,
            detector=settings.detector,
            stray_elements=settings.stray,
        )


def check_beam_energy(signal: EDSespmSpectrum) -> None:
    """Raise ValueError for a signal of which the beam energy is not known."""
    if read("beam_energy", signal.metadata, signal.original_metadata) is None:
        raise ValueError(
            "the file has no beam energy: give it in keV, --beam-energy 200."
        )


def apply_settings(signal: EDSespmSpectrum, settings: Settings) -> None:
    """Write the settings to the metadata and check that nothing needed is missing."""
    if settings.identify:
        read_compounds(settings.identify)
    declare(signal, settings)
    # the messages of the signal name Python calls, these the options
    trees = signal.metadata, signal.original_metadata
    if not read("elements", *trees):
        raise ValueError(
            "the file names no elements: give them, --elements O,Mg,Si, or ask which "
            "ones its spectrum shows, `espm-hs elements FILE`."
        )
    check_beam_energy(signal)
    known = [read(name, *trees) for name in SAMPLE]
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


def phase_number_figure(path: Path) -> str:
    """Return the name of the figure of how well numbers of phases predict counts."""
    return f"{path.stem}_phase_number.png"


def number_of_phases(
    signals: Sequence[EDSespmSpectrum], settings: Settings, most: int = 7
) -> tuple[int, str]:
    """Find how many phases the counts of a map, or of several together, bear out.

    Returns
    -------
    number, text
        The number, and what speaks for it.
    """
    fit = settings.fit or {}
    names = "n_init", "random_state", "n_jobs", "calibration"
    options = {name: fit[name] for name in names if name in fit}
    with redirect_stdout(io.StringIO()) as printed:
        first, *others = signals
        estimate = (
            partial(estimate_number_together, signals)
            if others
            else first.estimate_number_of_phases
        )
        numbers = range(1, most + 1)
        best = estimate(numbers, show_progressbar=settings.progress, **options)
    found = PhaseNumber.from_dict(item(first.metadata, PHASE_NUMBER))
    rows = [["phases", "fail to predict, nats", "draws differ"]]
    rows += [
        [str(n), f"{loss:.1f} ± {error:.1f}", f"{angle:.1f}°"]
        for n, loss, error, angle in zip(
            found.numbers, found.mean, found.error, found.angles, strict=True
        )
    ]
    said = f"The counts bear out {best} phase{'s' if best > 1 else ''}."
    remarks = for_command_line(printed.getvalue())
    return best, "\n".join([*text_lines(rows), said, remarks]).rstrip()


def write_results(
    signal: EDSespmSpectrum,
    path: Path,
    folder: Path,
    names: PhaseNames | None = None,
) -> None:
    """Write map, figure, table and report of a map that was decomposed."""
    results, figure, table, report = results_of(path, folder)
    with finished_files(folder) as new:
        if item(signal.metadata, PHASE_NUMBER) is not None:
            with new(phase_number_figure(path)) as file:
                save_figure(signal.plot_number_of_phases(), file)
        with new(figure.name) as file:
            save_figure(plotting.plot_phases(signal), file)
        with new(table.name) as file:
            write_composition(signal, file)
        with new(report.name) as file:
            write_report(signal, file, str(path), names)
        # the last to come to its place: where it is, the others are
        with new(results.name) as file:
            signal.save(file, show_progressbar=False)
            _check_written(signal, file)


def _check_written(signal: EDSespmSpectrum, file: Path) -> None:
    """Raise OSError for results that are not whole: writers pass over what fails."""
    (written,) = read_spectra(file, lazy=True)
    wanted, found = (_items(item(one.metadata, NODE)) for one in (signal, written))
    lost = sorted(wanted - found)
    if lost or learned(written).loadings is None:
        raise OSError(f"not all of it was written: {', '.join(lost[:3]) or 'maps'}.")


def _items(node: dict) -> set[str]:
    """Names of all items of a node of metadata."""
    names = set()
    for name, value in node.items():
        inside = _items(value) if isinstance(value, dict) else ()
        names |= {name, *(f"{name}.{one}" for one in inside)}
    return names


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure, and let go of it."""
    figure.savefig(path, dpi=150)
    plt.close(figure)
