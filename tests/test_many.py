"""Files that are worked on at the same time."""

import os
from pathlib import Path

from espm_hs import many


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
