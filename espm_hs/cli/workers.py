"""Worker pool: files in other processes, of which one that fails stops no other.

The pools of libraries promise less: that of `concurrent.futures` ends as a whole when
one of its processes dies, pebble ends a process that works without letting it remove
half-written files, and its time limit is that of a whole task, whereas here only
reading a file has one (`espm_hs.cli.files`).
"""

import multiprocessing
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from multiprocessing import connection
from typing import Any, NoReturn

from espm_hs.output import in_a_line

# With what a process ends that waited in vain for a reader, see `espm_hs.cli.files`.
HUNG = 1
# Seconds that a process has to clean up before it is killed.
PATIENCE = 10.0
# Seconds after which it is told again, if the interpreter has swallowed that.
AGAIN = 0.01


@dataclass(frozen=True)
class Outcome:
    """What became of a file.

    Attributes
    ----------
    path
        The file.
    state
        "done", "done before" or "failed".
    text
        Of the result, or of the error.
    facts
        What a table of all files says of it.
    """

    path: str
    state: str
    text: str
    facts: Mapping = field(default_factory=dict)


def run_all(
    paths: Sequence[str],
    work: Callable[[str], Outcome],
    n_workers: int = 1,
    prepare: Callable[[], object] | None = None,
) -> Generator[Outcome]:
    """Work on files, and go on whatever happens to one of them.

    Parameters
    ----------
    paths
        The files.
    work
        Takes a path, returns its outcome. It goes to other processes, so it must be a
        function of a module.
    n_workers
        Processes that work at the same time; 0 works in this one.
    prepare
        Called in each process first.

    Yields
    ------
    Outcome
        As soon as a file is done; an exception becomes a failure, and so does a
        process that dies: readers of corrupt files crash, and large maps take more
        memory than there is.
    """
    if n_workers == 0:
        for path in paths:
            yield _attempt(work, path)
        return
    waiting = deque(paths)
    idle: list[_Process] = []
    busy: dict[Any, _Process] = {}
    try:
        while waiting or busy:
            while waiting and len(busy) < n_workers:
                process = idle.pop() if idle else _Process(prepare)
                busy[process.pipe] = process
                process.start(work, waiting.popleft())
            for pipe in connection.wait(list(busy)):
                outcome, process = busy[pipe].outcome(), busy.pop(pipe)
                if process.alive:
                    idle.append(process)
                yield outcome
    finally:
        for process in busy.values():
            process.process.terminate()
        for process in (*busy.values(), *idle):
            process.end()


class _Process:
    """A process that works on one file after the other."""

    def __init__(self, prepare: Callable[[], object] | None):
        # forks of a process with threads can lock up
        context = multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=_serve, args=(other, prepare))
        with _ctrl_c_later():
            self.process.start()
        other.close()
        self.alive = True

    def start(self, work: Callable[[str], Outcome], path: str) -> None:
        self.path = path
        with suppress(ConnectionError):  # `outcome` finds it dead
            self.pipe.send((work, path))

    def outcome(self) -> Outcome:
        """Return what became of the file; not before `pipe` is ready."""
        try:
            return self.pipe.recv()
        except (EOFError, ConnectionError):
            self.alive = False
            self.process.join()
            return Outcome(self.path, "failed", _death(self.process.exitcode))

    def end(self) -> None:
        """Let it go, by force if it does not."""
        self.pipe.close()
        self.process.join(PATIENCE)
        self.process.kill()
        self.process.join()


@contextmanager
def _ctrl_c_later() -> Iterator[None]:
    """Let Ctrl-C wait, and keep it from processes that are started here."""
    if not hasattr(signal, "pthread_sigmask"):  # on Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(pipe: connection.Connection, prepare: Callable[[], object] | None) -> None:
    """Work on files until no more come, or until told to stop."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _stop)
    prepare_once = cache(prepare or (lambda: None))

    def prepared_work(path: str) -> Outcome:
        prepare_once()  # or, after a failure, again with the next file
        return work(path)

    with heard(SystemExit, signal.SIGTERM), suppress(EOFError, ConnectionError):
        while True:
            work, path = pipe.recv()
            pipe.send(_attempt(prepared_work, path))
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _stop(*_: object) -> NoReturn:
    """Leave at once, through whatever cleans up."""
    raise SystemExit


@contextmanager
def heard(error: type[BaseException], number: int) -> Iterator[None]:
    """Raise what a signal raises again, if a callback of the interpreter swallows it.

    Callbacks of weak references are all over Python's imports, and an error in one
    of them is shown and forgotten: Ctrl-C would do nothing.

    Parameters
    ----------
    error
        What the handler of the signal raises.
    number
        Of the signal.
    """
    main = threading.main_thread().ident or 0

    def told_again() -> None:
        if hasattr(signal, "pthread_kill"):
            # raised in this thread, it would wait for a call of the main one to end
            signal.pthread_kill(main, number)
        else:
            signal.raise_signal(number)

    def hook(lost: Any) -> None:
        if issubclass(lost.exc_type, error):
            threading.Timer(AGAIN, told_again).start()
        else:
            before(lost)

    before, sys.unraisablehook = sys.unraisablehook, hook
    try:
        yield
    finally:
        sys.unraisablehook = before


def _death(code: int | None) -> str:
    """Say why a process is gone, as far as its exit code tells."""
    corrupt = "the file is corrupt in a way that its reader does not notice"
    if code == HUNG:
        return f"reading it came to no end: {corrupt}"
    end = f"exit code {code}"
    if code is not None and code < 0:
        end = signal.Signals(-code).name
    return f"its process died ({end}): {corrupt}, or it took more memory than there is"


def _attempt(work: Callable[[str], Outcome], path: str) -> Outcome:
    try:
        return work(path)
    except Exception as error:  # whatever one file does must not stop the others
        return Outcome(path, "failed", in_a_line(error))
