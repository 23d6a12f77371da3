"""Compiled loops over pixels, and how they are compiled."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from numba import njit

COMPILE = {"cache": True, "nogil": True, "error_model": "numpy"}
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
        kernel = njit(**{**COMPILE, **options})(function)
        # what numba calls for new types, and only then; there is none, and nothing to
        # hold back, where compilation is switched off
        compile_for = getattr(kernel, "_compile_for_args", None)
        if compile_for is None:
            return kernel

        def held(*arguments: Any, **named: Any) -> Any:
            with without_interrupts():
                return compile_for(*arguments, **named)

        kernel._compile_for_args = held
        return kernel

    return decorate


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
