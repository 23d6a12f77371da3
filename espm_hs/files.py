"""Files: what is read from them, and how they are written."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path

import hyperspy.api as hs

from espm_hs.factorization import summed_spectrum
from espm_hs.many import in_a_line

# One of them is in every folder that zarr, the format of .zspy, writes.
_ZARR_FILES = {".zgroup", "zarr.json"}


def read_spectra(path: str | Path, lazy: bool = False) -> list:
    """
    Read the EDS signals of a file.

    Parameters
    ----------
    path : str or Path
        A file that HyperSpy reads.
    lazy : bool
        Read the counts when they are needed.

    Returns
    -------
    list of EDSespmSpectrum
        In the order of the file.

    Raises
    ------
    OSError, ValueError
        If the file cannot be read or holds no EDS spectrum.
    """
    try:
        loaded = hs.load(str(path), lazy=lazy)
    except Exception as error:
        if not Path(path).exists():
            raise
        # readers fail in all ways at what they cannot read
        raise OSError(
            f"the file cannot be read: is it complete, and of the format that its name "
            f"says? ({in_a_line(error)})"
        ) from error
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
    maps = [s for s in spectra if s.axes_manager.navigation_dimension > 0] or spectra
    return maps[0] if len(maps) == 1 else max(maps, key=total_counts)


def total_counts(signal) -> float:
    """Sum of all counts."""
    return float(summed_spectrum(signal.data).sum())


@contextmanager
def finished_files(folder: Path):
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
