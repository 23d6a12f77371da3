"""Whatever goes wrong, a signal is as it was or holds a whole result.

Faults are injected: an error is raised at the n-th event of the interpreter, for n over
the whole of a call. Those of the standard library's threads are left out, in which
CPython itself loses locks.
"""

import os
import sys
import threading
import warnings

import dask.array as da
import numpy as np
import pytest
from conftest import make_map

# Modules in whose functions no fault is raised.
SPARED = ("threading", "concurrent", "queue", "importlib", "weakref", "contextlib")
QUIET = {"algorithm": "espm", "print_info": False, "show_progressbar": False}


class Fault:
    """Raises an error at the n-th event, calls and returns, of the threads that run."""

    def __init__(self, n, error=KeyboardInterrupt, in_threads=False):
        self.n, self.error, self.in_threads = n, error, in_threads
        self.count, self.where = 0, None

    def __enter__(self):
        if self.in_threads:
            threading.setprofile(self)
        sys.setprofile(self)
        return self

    def __exit__(self, *_):
        sys.setprofile(None)
        threading.setprofile(None)

    def __call__(self, frame, event, argument):
        name = frame.f_globals.get("__name__", "")
        if self.where is not None or name.split(".")[0] in (*SPARED, __name__):
            return
        self.count += 1
        if self.count == self.n:
            self.where = f"{event} in {name}.{frame.f_code.co_name}:{frame.f_lineno}"
            raise self.error
