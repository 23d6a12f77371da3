"""The extra "cluster": the same bits from the workers of dask as from this process."""

import numpy as np
from distributed import Client, LocalCluster

from espm_hs import simulation


def loadings(s):
    """Return maps of two phases."""
    s.decomposition(algorithm="espm", output_dimension=2, n_init=1, print_info=False)
    return s.learning_results.loadings


if __name__ == "__main__":  # workers import this
    here = loadings(simulation.particles((24, 24)))
    lazy = simulation.particles((24, 24)).as_lazy()
    lazy.rechunk((12, 12), inplace=True) if hasattr(lazy, "rechunk") else None
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as two,
        Client(two),
    ):
        there = loadings(lazy)
    np.testing.assert_array_equal(here, there)
    print("two workers give the same bits")
