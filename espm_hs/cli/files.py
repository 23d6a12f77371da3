"""Files that are read, and names of those that are written.

The command line starts with this module and must not wait for what takes long to
import: that is imported in the functions that need it.
"""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from espm_hs.output import NO_ZSPY, has_zspy, in_a_line

if TYPE_CHECKING:
    from espm_hs.signals import EDSespmSpectrum

# Seconds that reading may take, and that each byte adds: a corrupt file can lead its
# reader around in circles, where no Ctrl-C stops it.
PATIENCE = 600.0
PATIENCE_PER_BYTE = 1e-6
# Formats of two files, of which the header alone is opened.
_COMPANIONS = {".rpl": ".raw"}


def read_spectra(path: str | Path, lazy: bool = False) -> list[EDSespmSpectrum]:
    """Read the EDS signals of a file.

    Parameters
    ----------
    path
        A file that HyperSpy reads.
    lazy
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
    import hyperspy.api as hs

    from espm_hs.metadata.reader import item
    from espm_hs.metadata.schema import BULK_TYPE
    from espm_hs.signals import EDSespmSEMSpectrum, EDSespmSpectrum

    path = Path(path)
    n_bytes = _check_there(path)
    _forbid_pickles()
    try:
        with _not_forever(PATIENCE + PATIENCE_PER_BYTE * n_bytes):
            # a list, since HyperSpy takes one name for a pattern
            loaded = hs.load([str(path)], lazy=lazy)
    except Exception as error:
        if missing := _missing(path, error):
            raise OSError(missing) from error
        # readers fail in all ways at what they cannot read
        raise OSError(
            f"the file cannot be read: is it complete, and of the format that its name "
            f"says? ({in_a_line(error)})"
        ) from error
    signals = loaded if isinstance(loaded, list) else [loaded]
    types = [str(item(s.metadata, "Signal.signal_type") or "none") for s in signals]
    named = [s for s, t in zip(signals, types, strict=True) if t.startswith("EDS")]
    for signal in named:
        of_bulk = item(signal.metadata, "Signal.signal_type") == BULK_TYPE
        signal.set_signal_type(BULK_TYPE if of_bulk else "EDS_espm")
    kinds = EDSespmSpectrum, EDSespmSEMSpectrum
    spectra = [signal for signal in named if isinstance(signal, kinds)]
    if spectra:
        return spectra
    if named:
        axes = named[0].axes_manager.signal_dimension
        raise ValueError(
            f"the EDS signal in this file has {axes} signal axes; needed is one, that "
            "of the energy. Load it, call s.as_signal1D(axis) and save it as .hspy."
        )
    raise ValueError(
        "no EDS spectrum in this file; its signal types are: "
        f"{', '.join(sorted(set(types))) or 'none at all'}. If one of them is an EDS "
        "map, load it, call s.set_signal_type('EDS_espm') and save it as .hspy."
    )


def _missing(path: Path, error: BaseException | None) -> str:
    """Name the package or the other file that a reader lacks; empty if it is neither.

    Readers may have raised something else because of it.
    """
    other = path.with_suffix(_COMPANIONS.get(path.suffix.lower(), path.suffix))
    beside = {name.lower() for name in os.listdir(path.parent)}
    if other.name.lower() not in beside:
        return _belongs(other.name)
    while error is not None:
        if isinstance(error, ImportError) and error.name:
            return (
                f"a package that reads this format is missing: {error.name}. Install "
                "all of them, `pip install 'rosettasciio[all]'`."
            )
        if isinstance(error, FileNotFoundError) and error.filename:
            return _belongs(os.path.basename(os.fsdecode(error.filename)))
        error = error.__cause__ or error.__context__
    return ""


def _belongs(name: str) -> str:
    return (
        f"a file that belongs to this one is missing: {name}. Put it into the same "
        "folder, under this name."
    )


def _check_there(path: Path) -> int:
    """Return the size of a file; raise OSError if there is none to read."""
    if not path.exists():
        raise FileNotFoundError("there is no such file.")
    if path.suffix == ".zspy" and not has_zspy():
        raise OSError(NO_ZSPY)
    if path.is_dir():
        if path.suffix != ".zspy":
            raise IsADirectoryError("this is a folder; give the files in it.")
        return 0
    if not os.access(path, os.R_OK):
        raise PermissionError("permission to read the file is denied.")
    n_bytes = path.stat().st_size
    if n_bytes == 0 and path.is_file():
        raise OSError("the file is empty.")
    return n_bytes


@contextmanager
def _not_forever(seconds: float) -> Iterator[None]:
    """End the process, if it works for another one, after so many seconds."""
    if multiprocessing.parent_process() is None:
        yield
        return
    with open(os.devnull, "w") as nowhere:
        faulthandler.dump_traceback_later(seconds, exit=True, file=nowhere)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()


def _forbid_pickles() -> None:
    """Take from zarr, the format of .zspy, the codec that runs code of a file."""
    if not has_zspy():
        return
    from numcodecs.registry import codec_registry

    codec_registry.pop("pickle", None)


def choose_map(spectra: Sequence[EDSespmSpectrum]) -> EDSespmSpectrum:
    """Pick the signal to decompose: of the maps the one with most counts.

    Readers differ in what they put first: a file may hold, beside the map, its summed
    spectrum and spectra of regions.

    Parameters
    ----------
    spectra
        At least one.

    Returns
    -------
    EDSespmSpectrum
        A single spectrum only if there is no map.
    """
    maps = [s for s in spectra if s.axes_manager.navigation_dimension > 0] or spectra
    return maps[0] if len(maps) == 1 else max(maps, key=total_counts)


def total_counts(signal: EDSespmSpectrum) -> float:
    """Sum of all counts."""
    from espm_hs.factorization import summed_spectrum

    return float(summed_spectrum(signal.data).sum())


def results_of(path: Path, folder: Path) -> tuple[Path, ...]:
    """Files of the results for a map.

    Parameters
    ----------
    path
        The map.
    folder
        Of the results.

    Returns
    -------
    tuple of Path
        Map with results, figure, table and report.
    """
    names = ("espm.hspy", "phases.png", "composition.csv", "report.html")
    return tuple(folder / f"{path.stem}_{name}" for name in names)
