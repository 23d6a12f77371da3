"""EspmNMF obeys scikit-learn's contract."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.estimator_checks import parametrize_with_checks

from espm_hs import EspmNMF


@parametrize_with_checks(
    [EspmNMF(), EspmNMF(simplex="abundances"), EspmNMF(simplex=None, sparsity=0.1)]
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def test_shapes_and_reconstruction(small):
    nmf = EspmNMF(3, small.G, random_state=0)
    loadings = nmf.fit_transform(small.X)
    assert loadings.shape == (120, 3)
    assert nmf.components_.shape == (3, 60)
    assert nmf.W_.shape == (5, 3)
    np.testing.assert_allclose(nmf.components_, (small.G @ nmf.W_).T)
    model = nmf.inverse_transform(loadings)
    assert model.sum() == pytest.approx(small.X.sum(), rel=1e-6)
    np.testing.assert_allclose(nmf.transform(small.X), loadings)


def test_sparse_input_gives_the_same(small):
    dense = EspmNMF(3, small.G, random_state=0).fit(small.X)
    for container in (sp.csr_matrix, sp.csc_array):
        other = clone(dense).fit(container(small.X))
        np.testing.assert_array_equal(other.W_, dense.W_)


def test_smoothness_needs_the_shape_of_the_map(small):
    with pytest.raises(ValueError, match="navigation_shape"):
        EspmNMF(3, small.G, smoothness=1.0).fit(small.X)
    with pytest.raises(ValueError, match="120 rows"):
        EspmNMF(3, small.G, smoothness=1.0, navigation_shape=(5, 5)).fit(small.X)
    smooth = EspmNMF(3, small.G, smoothness=5.0, navigation_shape=(12, 10))
    rough = EspmNMF(3, small.G, smoothness=0.0, navigation_shape=(12, 10))

    def roughness(nmf):
        return np.abs(
            np.diff(nmf.fit_transform(small.X).reshape(12, 10, 3), axis=0)
        ).sum()

    assert roughness(smooth) < roughness(rough)


@pytest.mark.parametrize("shape", [7, (), (12.0, 10.0), (-12, -10), "map"])
def test_bad_shape_of_the_map(small, shape):
    with pytest.raises(ValueError, match="`navigation_shape` must be a tuple"):
        EspmNMF(3, small.G, navigation_shape=shape).fit(small.X)
    with pytest.raises(ValueError, match="`navigation_shape` must be a tuple"):
        EspmNMF(3, small.G, navigation_shape=120).fit(small.X)


@pytest.mark.parametrize("rows", [[True] * 4, [1, 1, 1, 0, 0], True])
def test_bad_simplex_rows(small, rows):
    with pytest.raises(ValueError, match=r"`simplex_rows` must be .*\(5,\)"):
        EspmNMF(3, small.G, simplex_rows=rows).fit(small.X)


def test_a_fit_that_does_not_converge_warns(small):
    with pytest.warns(ConvergenceWarning, match="`max_iter`"):
        nmf = EspmNMF(3, small.G, max_iter=2, random_state=0).fit(small.X)
    assert not nmf.converged_


@pytest.mark.parametrize("bad", [0, -1, 1.5, "many", True])
def test_bad_number_of_components(small, bad):
    with pytest.raises(ValueError, match="n_components"):
        EspmNMF(bad).fit(small.X)


def test_loadings_of_other_components_have_no_model(small):
    nmf = EspmNMF(3, small.G, random_state=0).fit(small.X)
    with pytest.raises(ValueError, match=r"X has 2 columns; .* of 3 components"):
        nmf.inverse_transform(np.ones((4, 2)))


def test_names_of_components(small):
    nmf = EspmNMF(3, small.G, random_state=0).fit(small.X)
    names = [f"espmnmf{i}" for i in range(3)]
    assert nmf.get_feature_names_out().tolist() == names


def test_a_random_state_of_old_gives_what_its_next_number_does(small):
    """Each fit draws one from it, so that fits differ and repeat together."""

    def fitted(state):
        return EspmNMF(3, small.G, init="random", n_init=1, random_state=state).fit(
            small.X
        )

    seed = np.random.RandomState(4).randint(2**31)
    found, expected = fitted(np.random.RandomState(4)), fitted(seed)
    np.testing.assert_array_equal(found.W_, expected.W_)
