"""Where the two solvers end with the default sparsity: lower F is not always truer.

Prints F, the angles between found and true spectra, and the passes over the counts that
were needed, for simulated maps and both solvers. Run with

    python benchmarks/basins.py
"""

import hyperspy.api as hs

from espm_hs import metrics, simulation

CASES = [("mantle", 293), ("mantle", 18), ("core_shell", 40), ("grain_boundary", 60)]


def main():
    """Print the table."""
    hs.preferences.General.show_progressbar = False
    print(f"{'data':16}{'counts':>7}  {'solver':8}{'F':>11}{'passes':>8}  angles (°)")
    for name, counts in CASES:
        s = simulation.DATASETS[name](counts_per_pixel=counts)
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
            shown = " ".join(f"{angle:5.1f}" for angle in angles)
            print(
                f"{name:16}{counts:7}  {solver:8}{found.objective:11.0f}"
                f"{found.n_iter:8}  {shown}"
            )


if __name__ == "__main__":
    main()
