"""What the counts leave open about phases whose truth is known, and what asking costs.

For each simulated map: CPU time of the decomposition and of the search for the ranges,
and for each phase the line that `decomposition` prints, with the true amount of the
element that is named. Run with

    python benchmarks/accuracy/feasible_ranges.py
"""

import time
from unittest.mock import patch

import numpy as np

from benchmarks.runner import run, size, some
from espm_hs import metrics
from espm_hs.decomposition import search
from espm_hs.simulation import DATASETS

# Data set, counts per pixel, and what is said to be known.
CASES = [
    ("particles", 20, None),
    ("grain_boundary", 60, None),
    ("core_shell", 40, None),
    ("core_shell", 40, {1: {"C": 0.0, "O": 0.0}}),
    ("mantle", 18, None),
    ("mantle", 293, None),
]


def main(given):
    seconds, ask = [], search.mixing_ranges

    def timed(*args, **kwargs):
        start = time.process_time()
        answer = ask(*args, **kwargs)
        seconds.append(time.process_time() - start)
        return answer

    options = {"algorithm": "espm", "output_dimension": 3, "print_info": False}
    # compile first
    DATASETS["particles"]((24, 24)).decomposition(**options)
    for name, dose, fixed in some(CASES, given):
        s = DATASETS[name](counts_per_pixel=dose, **size(given))
        start = time.process_time()
        with patch.object(search, "mixing_ranges", timed):
            s.decomposition(fixed_composition=fixed, **options)
        whole = time.process_time() - start
        print(
            f"\n{name}, {dose} counts per pixel, known: {fixed or 'nothing'}; "
            f"{whole:.1f} s, of which ranges {seconds[-1]:.2f} s"
        )
        found, truth = s.analysis_results(), s.ground_truth()
        order, _ = metrics.match_phases(found.spectra, truth.spectra)
        for doubt in found.doubts:
            true = int(np.flatnonzero(order == doubt.phase)[0])
            element = doubt.elements[int(np.argmax(doubt.high - doubt.low))]
            amount = 100 * truth.composition[truth.elements.index(element), true]
            shown = "" if doubt.other is None else f" (true: {amount:.1f})"
            print(f"  {doubt}{shown}")
        rows = [found.elements.index(element) for element in truth.elements]
        errors = metrics.composition_errors(
            100 * found.composition[rows][:, order], 100 * truth.composition
        )
        shown = ", ".join(
            f"{n} {x:.1f}" for n, x in zip(truth.names, errors, strict=True)
        )
        print(f"  largest errors (at.%): {shown}", flush=True)


if __name__ == "__main__":
    run(main, __doc__)
