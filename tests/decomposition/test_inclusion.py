"""Phases that no pixel shows without another one."""

import numpy as np
import pytest

from espm_hs import metrics, simulation
from espm_hs.decomposition.separation import find_inclusion
from espm_hs.factorization import Counts, Penalties, Problem, factorize, uptake

# Columns: four elements of the sample, a background.
ELEMENTS = np.array([True] * 4 + [False])
HOST = np.array([0.4, 0.6, 0.0, 0.0, 0.2])
CORE = np.array([0.2, 0.0, 0.8, 0.0, 0.3])
FAR = np.array([0.0, 0.0, 0.0, 1.0, 0.1])
ALL = np.ones((3, 3), bool)


def covariance(size=0.005):
    return np.stack([np.eye(5) * size**2] * 3)


def find(W, taken=5.0, allowed=ALL, size=0.005):
    """Return what is found, and the pairs that were looked at."""
    asked = []

    def answer(pairs):
        asked.extend(pairs)
        return dict.fromkeys(pairs, taken)

    return find_inclusion(W, covariance(size), ELEMENTS, allowed, answer), asked


@pytest.fixture
def W():
    """Composition of a host, of a core with some of it, and of something else."""
    return np.stack([HOST, (CORE + HOST) / 2, FAR], axis=1)


def test_the_host_is_taken_out_as_far_as_elements_permit(W):
    found, asked = find(W)
    assert asked == [(1, 0)]
    assert (found.phase, found.other, found.columns.tolist()) == (1, 0, [1])
    assert found.amount == pytest.approx(0.5)


def test_nothing_is_taken_out_without_a_reason(W):
    assert find(W, taken=2.0)[0] is None
    forbidden = ALL.copy()
    forbidden[1, 0] = False
    assert find(W, allowed=forbidden) == (None, [])
    assert find(W, size=0.5) == (None, [])
    W[:, 1] = 0.9 * CORE + 0.1 * HOST  # too little of it
    assert find(W) == (None, [])


def test_solid_solutions_are_left_alone():
    """Neither phases of the same elements, nor those of one lattice."""
    pair = np.zeros((3, 3), bool)
    pair[0, 1] = pair[1, 0] = True
    rich = np.array([0.3, 0.1, 0.0, 0.6, 0.2])
    poor = np.array([0.1, 0.3, 0.0, 0.6, 0.2])
    assert find(np.stack([rich, poor, FAR], axis=1), allowed=pair) == (None, [])
    # the first element takes the place of the second, the others stay as they are
    doped = np.array([0.2, 0.1, 0.3, 0.4, 0.2])
    pure = np.array([0.0, 0.3, 0.3, 0.4, 0.2])
    assert find(np.stack([doped, pure, FAR], axis=1), allowed=pair) == (None, [])
    doped = np.array([0.2, 0.1, 0.5, 0.2, 0.2])  # nor do these
    assert find(np.stack([doped, pure, FAR], axis=1), allowed=pair)[1] == [(0, 1)]


def fitted(seen_alone, seed=0):
    """Counts of a core in its host, or of both alone, and their fit."""
    rng = np.random.default_rng(seed)
    G = np.abs(rng.standard_normal((60, 4))) ** 3
    G /= G.sum(axis=0)
    H = np.zeros((300, 2))
    H[:200, 0] = 600.0
    H[150:, 1] = 600.0
    host = np.array([0.4, 0.6, 0.0, 0.0])
    core = np.array([0.2, 0.0, 0.8, 0.0])
    if seen_alone:
        core = (core + 0.4 * host) / 1.4
    else:
        H[150:, 0] = 600.0 * rng.uniform(0.3, 1.2, 150)
    X = rng.poisson(H @ (G @ np.stack([host, core], 1)).T)
    problem = Problem(60, 2, G=G, penalties=Penalties(1.0))
    found = factorize(Counts.from_array(X), problem, init="pure", max_iter=300)
    order = np.argsort(-found.W[1])  # the host has more of the second element
    return X, problem, found.W[:, order], found.H[:, order]


def test_few_counts_take_up_more_of_a_host():
    X, *fit = fitted(seen_alone=False)
    assert uptake(Counts.from_array(X), *fit, [(1, 0)])[1, 0] > 3


def test_few_counts_take_up_nothing_where_a_phase_is_alone():
    for seed in range(3):
        X, *fit = fitted(seen_alone=True, seed=seed)
        assert abs(uptake(Counts.from_array(X), *fit, [(1, 0)])[1, 0]) < 1.5


def test_uptake_needs_integers():
    X, *fit = fitted(seen_alone=False)
    assert uptake(Counts.from_array(0.5 * X), *fit, [(1, 0)]) == {(1, 0): 0.0}
    assert uptake(Counts.from_array(X), *fit, []) == {}


@pytest.mark.parametrize("dose", [40, 200])
def test_core_without_its_shell(dose):
    """Found together with it, by 15 degrees, if only F is asked."""
    s = simulation.core_shell((64, 64), counts_per_pixel=dose, seed=0)
    found = s.decomposition(
        algorithm="espm",
        output_dimension=3,
        smoothness=0,
        print_info=False,
        return_info=True,
    )
    truth = s.ground_truth()
    order, angles = metrics.match_phases(found.spectra, truth.spectra)
    assert angles.max() < 2
    oxygen = found.composition[found.elements.index("O"), order[1]]
    assert oxygen == 0


def test_a_phase_in_the_boundary_keeps_what_it_shares():
    """The glass has aluminium of its own, and is pure nowhere."""
    s = simulation.grain_boundary((64, 64), counts_per_pixel=60, seed=0)
    found = s.decomposition(
        algorithm="espm",
        output_dimension=3,
        smoothness=0,
        print_info=False,
        return_info=True,
    )
    truth = s.ground_truth()
    order, angles = metrics.match_phases(found.spectra, truth.spectra)
    assert angles.max() < 5
    assert found.composition[found.elements.index("Al"), order[2]] > 0.03
