"""The maps of several files, decomposed together."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sklearn.exceptions import ConvergenceWarning

from espm_hs import plotting
from espm_hs.cli.files import choose_map, read_spectra, results_of
from espm_hs.cli.maps import (
    apply_settings,
    number_of_phases,
    save_figure,
    write_results,
)
from espm_hs.cli.settings import Settings
from espm_hs.cli.tables import write_csv
from espm_hs.decomposition.cautions import PhaseWarning
from espm_hs.metadata.schema import BATCH
from espm_hs.metadata.writer import write_parameters
from espm_hs.output import check_targets, finished_files
from espm_hs.quantification.joint import JointResult
from espm_hs.signals._together import decompose_together

TABLE, RESULT, FIGURE = "together.csv", "together.json", "together.png"


def decompose_files(
    paths: Sequence[str | Path], folder: str | Path, settings: Settings
) -> str:
    """Find one set of phases in the maps of several files, and write the results.

    Parameters
    ----------
    paths
        Files that HyperSpy reads.
    folder
        Where the results of each map go, as `espm_hs.cli.batch.decompose_file` writes
        them, and together.csv, together.json and together.png, those of all maps.
    settings
        What is wanted.

    Returns
    -------
    str
        Table of phases and maps.

    Raises
    ------
    OSError, ValueError, TypeError
        If a file cannot be read, or settings are missing or make no sense.
    KeyboardInterrupt
        If the user interrupts the fit; nothing is written then.
    """
    files, folder = [Path(path) for path in paths], Path(folder)
    record = settings.record
    ours = [folder / name for name in (TABLE, RESULT, FIGURE)]
    check_targets([*ours, *(one for file in files for one in results_of(file, folder))])
    signals = []
    for file in files:
        signals.append(choose_map(read_spectra(file, settings.lazy)))
        apply_settings(signals[-1], settings)
        if settings.calibrate:
            signals[-1].refine_calibration(print_info=False)
    told = []
    if settings.phases == "auto":
        number, text = number_of_phases(signals, settings)
        settings, told = replace(settings, phases=number), [text]
    start = time.perf_counter()
    with warnings.catch_warnings():
        # said in the report of each map
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", PhaseWarning)
        warnings.filterwarnings("ignore", "The fit was interrupted")
        result = decompose_together(
            signals,
            settings.phases,
            names=[file.stem for file in files],
            show_progressbar=settings.progress,
            print_info=False,
            **(settings.fit or {}),
        )
    if any(signal.analysis_results().interrupted for signal in signals):
        raise KeyboardInterrupt
    seconds = time.perf_counter() - start
    for file, signal in zip(files, signals, strict=True):
        write_parameters(signal.metadata, {BATCH: record})
        write_results(signal, file, folder)
    _write(result, folder)
    return "\n".join([*told, f"{result}", f"{seconds:.1f} s"])


def _write(result: JointResult, folder: Path) -> None:
    """Write what is known of all maps."""
    frame = result.to_dataframe()
    with finished_files(folder) as new:
        with new(FIGURE) as file:
            save_figure(plotting.plot_joint(result), file)
        with new(TABLE) as file:
            write_csv(file, [[*frame.columns], *frame.to_numpy().tolist()])
        with new(RESULT) as file:
            result.save(file)
