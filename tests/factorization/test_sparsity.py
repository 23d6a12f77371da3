"""Sparsity chosen by counts that were set aside."""

import numpy as np
import pytest
from conftest import make_map

from espm_hs.factorization import Counts, Problem, choose_sparsity

N_PIXELS = 150


def make(concentration, dose, seed=0):
    """Return counts and problem of pixels that mix three components."""
    rng = np.random.default_rng(seed)
    G = rng.dirichlet(np.full(40, 0.3), 5).T
    W = rng.dirichlet(np.full(5, 0.3), 3).T
    shares = rng.dirichlet(np.full(3, concentration), N_PIXELS)
    counts = Counts.from_array(rng.poisson(dose * shares @ (G @ W).T))
    return counts, Problem(40, 3, G=G)


def test_mixtures_ask_for_less():
    """Pixels that hold all components, and counts enough to see it."""
    counts, problem = make(concentration=1.0, dose=3000)
    assert choose_sparsity(counts, problem, random_state=0) == 0.1


def test_too_few_counts_to_say():
    counts, problem = make(concentration=3.0, dose=30)
    assert choose_sparsity(counts, problem, random_state=0) == 1.0


def test_nothing_to_choose():
    counts, problem = make(concentration=1.0, dose=3000)
    halves = Counts.from_array(0.5 * counts.to_csr().toarray())
    assert choose_sparsity(halves, problem) == 1.0
    single = Counts.from_array(np.eye(40, dtype=int)[:1])
    assert choose_sparsity(single, Problem(40, 1)) == 1.0


def test_the_same_seed_chooses_the_same():
    counts, problem = make(concentration=1.0, dose=300)
    options = {"random_state": 3, "n_init": 2}
    chosen = {choose_sparsity(counts, problem, n_jobs=n, **options) for n in (1, 2)}
    assert len(chosen) == 1


@pytest.mark.parametrize("lazy", [False, True])
def test_of_a_signal(lazy):
    s = make_map(shape=(12, 12), counts_per_pixel=400)
    s = s.as_lazy() if lazy else s
    options = {"algorithm": "espm", "output_dimension": 3, "print_info": False}
    s.decomposition(sparsity="auto", **options)
    found = s.analysis_results()
    assert f"sparsity {found.sparsity:.3g}" in str(found)
    # as if it had been given
    s.decomposition(sparsity=found.sparsity, **options)
    np.testing.assert_array_equal(s.analysis_results().W, found.W)
    # and repetitions of the measurement are fitted with it
    assert len(s.bootstrap_quantification(2)) == len(found.elements)


def test_of_few_counts_the_usual_strength_is_the_default():
    """Of few counts a part of any strength acts, chosen or not."""
    s = make_map(shape=(12, 12), counts_per_pixel=3)
    options = {"algorithm": "espm", "output_dimension": 2, "print_info": False}
    s.decomposition(sparsity="auto", **options)
    found = s.analysis_results()
    assert found.sparsity == pytest.approx(1.0)
    s.decomposition(**options)
    np.testing.assert_array_equal(s.analysis_results().W, found.W)
