"""A search for examples that fail: the random tests, over and over, with other seeds.

    python benchmarks/robustness/search.py [--minutes 60] [--seed SEED] [pytest's words]

Tests of hypothesis, of which `make test` always draws the same examples, and the tests
that are marked `random` are run in rounds. Each round has a seed of its own, which is
shown; what fails is kept in build/search/SEED.txt. The round is made again by `--seed`;
the example itself, once it is known, belongs to the test (`@example`).
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time

from benchmarks.runner import ROOT, argument, run

RESULTS = ROOT / "build" / "search"
# As in the Makefile.
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def one_round(seed: int, paths: list[str], smoke: bool) -> bool:
    """Run the random tests with a seed; whether all of them pass."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            *("-m", "(hypothesis or random) and not slow"),
            *("--hypothesis-profile=search", f"--hypothesis-seed={seed}"),
            *(["--collect-only"] if smoke else ["-n", "auto"]),
            *(paths or ["tests"]),
        ],
        cwd=ROOT,
        env={**os.environ, **ENVIRONMENT, "PYTHONHASHSEED": str(seed)},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        RESULTS.mkdir(parents=True, exist_ok=True)
        (RESULTS / f"{seed}.txt").write_text(done.stdout + done.stderr, "utf-8")
    last = (done.stdout.splitlines() or [""])[-1]
    print(f"seed {seed}: {last}", flush=True)
    return done.returncode == 0


def main(given):
    end, failed = time.monotonic() + 60 * given.minutes, []
    while True:
        seed = given.seed if given.seed is not None else secrets.randbelow(2**31)
        if not one_round(seed, given.paths, given.smoke):
            failed.append(seed)
        if given.seed is not None or time.monotonic() > end:
            break
    if failed:
        raise SystemExit(f"Failures are in {RESULTS}, of the seeds {failed}.")


if __name__ == "__main__":
    run(
        main,
        __doc__,
        argument("--minutes", type=float, default=60.0, smoke=0.0, help="at least"),
        argument("--seed", type=int, help="of a single round, made again"),
        argument("paths", nargs="*", help="tests, all of them by default"),
    )
