"""What `espm_hs.analysis` offered before still works with the arguments that it had."""

import numpy as np
import pytest

from espm_hs import analysis
from espm_hs.quantification.percent_with_errors import Basis


@pytest.fixture(scope="module")
def decomposed():
    from espm_hs.simulation import particles

    s = particles((12, 12), counts_per_pixel=200)
    s.decomposition(algorithm="espm", output_dimension=2, n_init=1, print_info=False)
    return s


def test_every_name_is_there():
    assert all(getattr(analysis, name) is not None for name in analysis.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = analysis.nothing


def test_units_elements_and_oxygen_as_three_arguments(decomposed):
    found, data = decomposed.analysis_results(), decomposed.data
    choice = ("weight", ["Fe", "Mg", "Si"], "stoichiometry")
    symbols, percent, _ = analysis.to_percent(found, *choice)
    ours = decomposed.quantify("phases", *choice)
    assert symbols == [one.metadata.Sample.elements[0] for one in ours]
    np.testing.assert_array_equal(percent, [one.data for one in ours])
    same = analysis.to_percent(found, Basis(*choice))[1]
    np.testing.assert_array_equal(percent, same)
    loadings = decomposed.learning_results.loadings
    pixels = analysis.pixel_composition(found, data, loadings, *choice)[1]
    ours = decomposed.quantify("pixels", *choice)
    np.testing.assert_array_equal(pixels, [one.data for one in ours])
    assert {one.element for one in analysis.report(found, *choice).entries} == {
        *symbols
    }


def test_amounts_of_some_elements(decomposed):
    found, dose = decomposed.analysis_results(), 1e10
    symbols, per_loading = analysis.areal_densities(found, dose, ["Fe"])
    assert symbols == ["Fe"]
    assert per_loading.shape == (1, 2)
    some = analysis.mass_thicknesses(found, dose, elements=["Fe"])
    assert np.all(some <= analysis.mass_thicknesses(found, dose))


def test_estimates_from_data_and_model(decomposed):
    model, few = decomposed.physical_model(), {"n_thinnings": 2, "n_init": 1}
    number = analysis.estimate_number(
        decomposed.data, model, [1, 2], sparsity=0.5, random_state=0, **few
    )
    assert number.numbers.tolist() == [1, 2]
    binning = analysis.choose_binning(
        decomposed.data, model, 2, [1, 2], random_state=0, **few
    )
    assert binning.numbers.tolist() == [1, 2]
