"""How often the number of phases is found on maps that it was not tuned on.

    python benchmarks/accuracy/zoo_phase_number.py [--half held_out] [--only steel]

The maps are those of `zoo.py`; `estimate_number_of_phases` chooses from 2 to 8.
"""

from __future__ import annotations

import argparse

from benchmarks.accuracy.zoo import ARGUMENTS, cases
from benchmarks.runner import publish, run, some

CANDIDATES = range(2, 9)


def main(given: argparse.Namespace) -> None:
    """Print found and true numbers, and how many are right."""
    # one thread: such a map is too small for more
    options = {"n_jobs": 1} | ({"n_thinnings": 2, "n_init": 1} if given.smoke else {})
    candidates, rows, right = some(CANDIDATES, given, 2), [], 0
    for case in cases(given):
        found = case.signal.estimate_number_of_phases(candidates, **options)
        true = len(case.experiment.phases)
        right += found == true
        rows.append((str(case), found, true, "" if found == true else "wrong"))
        print(*rows[-1], sep="  ", flush=True)
    title = f"Number of phases, {given.half} half"
    publish(("map", "found", "true", ""), rows, title=title)
    print(f"{right} of {len(rows)} right ({100 * right / len(rows):.0f} %)")


if __name__ == "__main__":
    run(main, __doc__, *ARGUMENTS)
