"""Where the two solvers end with the default sparsity: lower F is not always truer.

Prints F, the angles between found and true spectra, and the passes over the counts that
were needed, for simulated maps and both solvers. Run with

    python benchmarks/accuracy/basins.py
"""

from benchmarks.runner import listed, publish, run, size, some
from espm_hs import metrics
from espm_hs.simulation import DATASETS

CASES = [("mantle", 293), ("mantle", 18), ("core_shell", 40), ("grain_boundary", 60)]
HEADER = ("data", "counts", "solver", "F", "passes", "angles (°)")


def main(given):
    rows = []
    for name, counts in some(CASES, given):
        s = DATASETS[name](counts_per_pixel=counts, **size(given))
        truth = s.ground_truth()
        for solver in ("mu", "newton"):
            found = s.decomposition(
                algorithm="espm",
                output_dimension=len(truth.names),
                solver=solver,
                print_info=False,
                return_info=True,
            )
            _, angles = metrics.match_phases(found.spectra, truth.spectra)
            cells = f"{found.objective:.0f}", found.n_iter, listed(angles, ".1f")
            rows.append((name, counts, solver, *cells))
    publish(HEADER, rows)


if __name__ == "__main__":
    run(main, __doc__)
