"""Files: what is read, and what is written and has its name once it is complete.

The command line starts with this module and must not wait for what takes long to
import: that is imported in the functions that need it.
"""

from __future__ import annotations

import errno
import faulthandler
import multiprocessing
import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from espm_hs.cli.workers import in_a_line

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
    if path.is_dir():
        if path.suffix != ".zspy":
            raise IsADirectoryError("this is a folder; give the files in it.")
        return 0
    if not path.exists():
        raise FileNotFoundError("there is no such file.")
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


# One of them is in every folder that zarr, the format of .zspy, writes.
_ZARR_FILES = {".zgroup", "zarr.json"}
# What is left for the file: nothing of the disk, of the quota, of the largest size.
_FULL = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}


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


def check_targets(files: Iterable[Path]) -> None:
    """Raise OSError if files could not be written, before there is work to lose.

    Parameters
    ----------
    files
        They, and their folders, need not be there yet.
    """
    for file in files:
        there = next(one for one in file.absolute().parents if os.path.lexists(one))
        if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
            raise OSError(
                f"{file} cannot be written: {there} is no folder to write to."
            )
        try:
            os.lstat(there / file.name)  # of too long a name, wherever it is
        except FileNotFoundError:
            pass
        except (OSError, ValueError) as error:
            raise OSError(f"{file} cannot be written: {in_a_line(error)}") from None
        known = file.is_file() or file.suffix == ".zspy" or file.is_symlink()
        if os.path.lexists(file) and not known:
            raise OSError(f"{file} is there already and no file: name another one.")


@contextmanager
def finished_files(
    folder: Path,
) -> Iterator[Callable[[str], AbstractContextManager[Path]]]:
    """Files that come to their place once all are complete.

    Parameters
    ----------
    folder
        Is made if needed.

    Yields
    ------
    callable
        Takes the name of a file and returns a context, in which it is written to the
        path that the context has; on the same disk, so that moving it is one step.
        The files are moved in the order in which they were written. An OSError of the
        context names the file, and a full disk.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written: list[str] = []
    with _hidden_folder(folder) as unfinished:

        @contextmanager
        def new(name: str) -> Iterator[Path]:
            with _errors_that_name(folder / name):
                yield unfinished / name
            written.append(name)

        yield new
        for name in written:
            _replace(unfinished / name, folder / name)


@contextmanager
def _errors_that_name(file: Path) -> Iterator[None]:
    """Say which file could not be written, and whether the disk is full."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        if is_full(error):
            text = f"{file} cannot be written: the disk is full."
            raise OSError(errno.ENOSPC, text) from error
        if isinstance(error, OSError):
            text = f"{file} cannot be written: {in_a_line(error)}"
            raise OSError(text) from error
        raise


@contextmanager
def _hidden_folder(parent: Path) -> Iterator[Path]:
    """Folder that is gone in the end, also if Ctrl-C comes while it is made or removed.

    The standard library's temporary folders stay then.
    """
    folder = parent / f".espm-hs-{uuid.uuid4().hex[:12]}"
    try:
        folder.mkdir()
        yield folder
    finally:
        try:
            shutil.rmtree(folder)
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise


def is_full(error: BaseException | None) -> bool:
    """Whether an error, or one behind it, says that the disk is full.

    Parameters
    ----------
    error
        HDF5 hides the number of the error in its text.
    """
    while error is not None:
        if getattr(error, "errno", None) in _FULL:
            return True
        if any(os.strerror(code) in str(error) for code in _FULL):
            return True
        error = error.__cause__ or error.__context__
    return False


def _replace(new: Path, target: Path) -> None:
    """Move a file, or the folder that a .zspy is, to the place of an older one.

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
    with _hidden_folder(target.parent) as aside:
        old = aside / target.name
        os.replace(target, old)
        try:
            os.replace(new, target)
        except BaseException:
            os.replace(old, target)
            raise
