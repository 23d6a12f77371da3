"""What leaves the package: text for terminals, tables, and files that are complete.

The command line starts with this module and must not wait for what takes long to
import.
"""

from __future__ import annotations

import csv
import errno
import os
import re
import shutil
import uuid
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec
from pathlib import Path

# An error says what is wrong in so many characters; files can hold any text.
LONGEST = 500
# Spreadsheets take cells that begin with these for formulas, unless they are numbers.
_FORMULA = re.compile(r"[=+\-@\t\r]")
_NUMBER = re.compile(r"-?[\d.]+(e[+-]?\d+)?")
# One of them is in every folder that zarr, the format of .zspy, writes.
_ZARR_FILES = {".zgroup", "zarr.json"}
# RosettaSciIO takes zarr 2, which has no compiled package for Python 3.14.
NO_ZSPY = (
    "the format .zspy needs zarr 2, which is not installed: it is not made for Python "
    "3.14 and later. Use .hspy."
)
# What is left for the file: nothing of the disk, of the quota, of the largest size.
_FULL = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}


def has_zspy() -> bool:
    """Whether files .zspy can be read and written."""
    return find_spec("zarr") is not None


def in_a_line(error: BaseException) -> str:
    """Message of an error; with its type when it was not written for users."""
    text = printable(" ".join(str(error).split()))
    if len(text) > LONGEST:
        text = f"{text[:LONGEST]} ..."
    if isinstance(error, MemoryError):
        return f"there is not enough memory. {text}".rstrip()
    if isinstance(error, (ValueError, TypeError, RuntimeError, OSError)) and text:
        return text
    return f"{type(error).__name__}: {text}"


def printable(text: str) -> str:
    """Text without what would steer a terminal or cannot be encoded; lines stay."""
    return "".join(x if x.isprintable() or x == "\n" else "\ufffd" for x in text)


def warn_unconverged(n_iter: int, max_iter: int, tol: float, stacklevel: int) -> None:
    """Warn that a fit ended before its time, in the place of the caller's caller."""
    from sklearn.exceptions import ConvergenceWarning  # takes a second

    warnings.warn(
        f"The fit did not converge in {n_iter} iterations. Raise "
        f"`max_iter` (now {max_iter}) or `tol` (now {tol:g}).",
        ConvergenceWarning,
        stacklevel=stacklevel + 1,
    )


def write_csv(path: Path, rows: Iterable[Sequence[object]]) -> None:
    """Write a table in which no text is a formula.

    Parameters
    ----------
    path
        A CSV file; an older one is replaced.
    rows
        The lines. Names from files and metadata that a spreadsheet would take for a
        formula get an apostrophe in front.
    """
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(
            [_harmless(str(cell)) for cell in row] for row in rows
        )


def _harmless(cell: str) -> str:
    text = printable(cell)
    is_formula = _FORMULA.match(cell) and not _NUMBER.fullmatch(cell)
    return f"'{text}" if is_formula else text


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
