"""Files that are worked on at the same time."""

import os
import signal
import time
import weakref
from pathlib import Path

import pytest

from espm_hs.cli import workers as many
from espm_hs.output import in_a_line


def test_workers_are_processes_of_their_own(tmp_path):
    paths = [str(tmp_path / name) for name in ("a", "die", "b", "fail", "c")]
    outcomes = list(many.run_all(paths, _pretend, 2, _prepare))
    states = {Path(one.path).name: one.state for one in outcomes}
    assert states.pop("die") == states.pop("fail") == "failed"
    assert set(states.values()) == {"done"}
    texts = {Path(one.path).name: one.text for one in outcomes}
    assert "died" in texts["die"]
    assert texts["fail"] == "no such thing"
    pids = {texts[name] for name in "abc"}
    assert str(os.getpid()) not in pids
    assert len(pids) <= 3


def _prepare():
    os.environ["PREPARED"] = "yes"


def _pretend(path):
    name = Path(path).name
    if name == "die":
        os._exit(9)
    if name == "fail":
        raise ValueError("no such thing")
    assert os.environ["PREPARED"] == "yes"
    return many.Outcome(path, "done", str(os.getpid()))


def _grow(path):
    """Work that takes ever more memory, of which there is a limit."""
    resource = pytest.importorskip("resource")
    resource.setrlimit(resource.RLIMIT_AS, (1 << 31, 1 << 31))
    kept = []
    while path == "large":
        kept.append(bytearray(1 << 26))
    return many.Outcome(path, "done", "")


def _deaf(path):
    """Work that no Ctrl-C reaches."""
    if path == "endless":
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        signal.pause()
    return many.Outcome(path, "done", "")


def _told_in_a_callback(path):
    """Work that is told to stop where the interpreter swallows what is raised."""

    class Thing:
        pass

    def callback(_):
        signal.raise_signal(signal.SIGTERM)
        sum(range(1000))

    thing = Thing()
    reference = weakref.ref(thing, callback)
    del thing
    time.sleep(600)  # a call that only a signal to its own thread interrupts
    return many.Outcome(path, "done", str(reference))


on_posix = pytest.mark.skipif(os.name != "posix", reason="needs signals and limits")


@on_posix
def test_not_enough_memory():
    outcomes = list(many.run_all(["large", "small"], _grow))
    assert [one.state for one in outcomes] == ["failed", "done"]
    assert "not enough memory" in outcomes[0].text


@on_posix
def test_processes_end_with_the_first_one(monkeypatch):
    """Also those that do not listen."""
    monkeypatch.setattr(many, "PATIENCE", 0.1)
    outcomes = many.run_all(["quick", "endless"], _deaf, 2)
    assert next(outcomes).path == "quick"
    outcomes.close()
    assert not many.multiprocessing.active_children()


@pytest.mark.parametrize(
    ("code", "says"),
    [(-11, "SIGSEGV"), (many.HUNG, "came to no end"), (9, "exit code 9")],
)
def test_deaths_are_explained(code, says):
    assert says in many._death(code)


def test_errors_are_short_and_steer_no_terminal():
    text = in_a_line(ValueError("\x1b[2Jbad\udcff " + "long " * 1000))
    assert text.isprintable()
    assert len(text) < 600
    assert in_a_line(KeyError("W")) == "KeyError: 'W'"
    assert in_a_line(MemoryError()) == "there is not enough memory."


@on_posix
def test_stops_although_a_callback_swallowed_that(capfd):
    (outcome,) = many.run_all(["a"], _told_in_a_callback, 1)
    assert outcome.state == "failed"
    assert not capfd.readouterr().err
