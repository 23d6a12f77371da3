"""Small problems with known truth."""

from types import SimpleNamespace

import hyperspy.api as hs
import numpy as np
import pytest

hs.preferences.General.show_progressbar = False


def make_problem(seed=0, shape=(12, 10), n_channels=60, n_columns=5, k=3, counts=80):
    """Counts of k components mixed from n_columns known spectra."""
    rng = np.random.default_rng(seed)
    G = 0.02 + 5 * rng.random((n_channels, n_columns)) ** 6
    W = rng.dirichlet(np.full(n_columns, 0.6), k).T
    D = G @ W
    D_sum = D.sum(axis=0)
    n_pixels = int(np.prod(shape))
    H = rng.dirichlet(np.full(k, 0.5), n_pixels) * counts / D_sum
    X = rng.poisson(H @ D.T).astype(np.uint16)
    return SimpleNamespace(G=G, W=W, H=H, X=X, shape=shape, k=k)


@pytest.fixture(scope="session")
def small():
    """One small problem, shared because nothing may change it."""
    problem = make_problem()
    problem.X.setflags(write=False)
    return problem
