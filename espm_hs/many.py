"""Many files, several at a time: one that fails stops no other."""

from __future__ import annotations

import multiprocessing
import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Outcome:
    """
    What became of a file.

    Attributes
    ----------
    path : str
        The file.
    state : str
        "done", "done before" or "failed".
    text : str
        Of the result, or of the error.
    facts : Mapping
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
) -> Iterator[Outcome]:
    """
    Work on files, and go on whatever happens to one of them.

    Parameters
    ----------
    paths : sequence of str
        The files.
    work : callable
        Takes a path, returns its outcome. With several workers it goes to other
        processes, so it must be a function of a module.
    n_workers : int
        Processes that work at the same time; 1 works in this one.
    prepare : callable, optional
        Called in each process first.

    Yields
    ------
    Outcome
        As soon as a file is done; an exception becomes a failure, and so does a
        process that dies, as it does when it runs out of memory.
    """
    if n_workers == 1:
        for path in paths:
            yield _attempt(work, path)
        return
    # each thread has a process of its own, so that a death hits one file only
    processes: queue.SimpleQueue = queue.SimpleQueue()
    stopped = threading.Event()

    def one(path):
        if stopped.is_set():
            raise KeyboardInterrupt
        try:
            process = processes.get_nowait()
        except queue.Empty:
            process = _process(prepare)
        try:
            found = process.submit(_attempt, work, path).result()
        except BrokenProcessPool:
            process.shutdown()
            text = "its process died; perhaps it took more memory than there is"
            return Outcome(path, "failed", text)
        processes.put(process)
        return found

    threads = ThreadPoolExecutor(n_workers)
    try:
        for task in as_completed([threads.submit(one, path) for path in paths]):
            yield task.result()
    finally:
        stopped.set()
        threads.shutdown(cancel_futures=True)
        while not processes.empty():
            processes.get().shutdown()


def _process(prepare) -> ProcessPoolExecutor:
    # forks of a process with threads can lock up
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(1, context, prepare)


def _attempt(work, path) -> Outcome:
    try:
        return work(path)
    except Exception as error:  # whatever one file does must not stop the others
        return Outcome(path, "failed", in_a_line(error))


def in_a_line(error: Exception) -> str:
    """Message of an error; with its type when it was not written for users."""
    text = " ".join(str(error).split())
    if isinstance(error, (ValueError, TypeError, RuntimeError, OSError)) and text:
        return text
    return f"{type(error).__name__}: {text}"
