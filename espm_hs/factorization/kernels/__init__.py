"""Compiled loops over pixels, and how they are compiled."""

from __future__ import annotations

import gc
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from numba import njit
from numba.core import event


def _kept_on_disk() -> bool:
    """Whether there is a folder for compiled code, for which numba looks in several.

    Beside the package, in the folder of the user, and where NUMBA_CACHE_DIR says;
    where none can be written to, it refuses to compile for the disk.
    """
    try:
        njit(cache=True)(_kept_on_disk)
    except RuntimeError:
        return False
    return True


COMPILE = {
    "cache": _kept_on_disk(),
    "nogil": True,
    "error_model": "numpy",
    # what C would need to call it, for which nothing asks
    "no_cfunc_wrapper": True,
}
# Nothing is made in what is called for each pixel: without counting references to its
# arrays, which would take longer than the arithmetic, and without what Python would
# need to call it.
CALLED = {**COMPILE, "_nrt": False, "no_cpython_wrapper": True}
# Products may be added without rounding in between.
CONTRACT = {"contract"}


def compiled(**options: Any) -> Callable:
    """Compile a function that Python calls; a decorator, options as of `numba.njit`.

    Numba compiles, or loads from disk, at the first call with arguments of new types,
    and Ctrl-C would leave it in a state in which all that follows fails.
    """

    def decorate(function: Callable) -> Callable:
        kept = COMPILE["cache"] and options.get("cache", True)
        kernel = njit(**{**COMPILE, **options, "cache": kept})(function)
        # what numba calls for new types, and only then; there is none, and nothing to
        # hold back, where compilation is switched off
        compile_for = getattr(kernel, "_compile_for_args", None)
        if compile_for is None:
            return kernel

        def held(*arguments: Any, **named: Any) -> Any:
            told = event.install_listener("numba:compile", _Teller())
            with without_interrupts(), _without_collecting(), told:
                return compile_for(*arguments, **named)

        kernel._compile_for_args = held
        return kernel

    return decorate


class _Teller(event.Listener):
    """Says that code is compiled, when it is not found on disk."""

    def on_start(self, _: event.Event) -> None:
        """Say it."""
        _say_once()

    def on_end(self, _: event.Event) -> None:
        """Say nothing: that it has ended is seen."""


@cache
def _say_once() -> None:
    """Print one line, in a process once: waiting without a word looks like a fault.

    What reads the output of a program gets none of it.
    """
    # programs without a window of their own have none
    terminal = sys.stdout is not None and sys.stdout.isatty()
    shown = terminal or "ipykernel" in sys.modules
    print(
        "Compiling for this processor, which takes about ten seconds,",
        "once (espm-hs compile does so beforehand)."
        if COMPILE["cache"]
        else "each time: numba finds no folder to keep compiled code in. Set "
        "NUMBA_CACHE_DIR to one that can be written to.",
        file=sys.stdout if shown else sys.stderr,
        flush=True,
    )


@contextmanager
def _without_collecting() -> Iterator[None]:
    """Leave what a compiler has made and no longer needs until it has ended.

    To look through all that is in memory, again and again, is a tenth of its time.
    """
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


@contextmanager
def without_interrupts() -> Iterator[None]:
    """Hold Ctrl-C back, which Python raises in the main thread alone."""
    before = signal.getsignal(signal.SIGINT)
    # a handler that is not Python's could not be put back
    if threading.current_thread() is not threading.main_thread() or before is None:
        yield
        return
    came = []
    signal.signal(signal.SIGINT, lambda *_: came.append(True))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if came:
            signal.raise_signal(signal.SIGINT)
