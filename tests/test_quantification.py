"""Numbers from phases: composition, oxygen, errors."""

import numpy as np
import pytest
from conftest import ELEMENTS, make_map

from espm_hs.analysis.stoichiometry import VALENCES, oxygen_per_atom
from espm_hs.physics import atomic_weight

QUIET = {"algorithm": "espm", "print_info": False}


def percents(s, *args, **kwargs):
    """Symbol -> percent of `quantify`."""
    return {q.metadata.Sample.elements[0]: q.data for q in s.quantify(*args, **kwargs)}


def variances(s, *args, **kwargs):
    return {
        q.metadata.Sample.elements[0]: q.metadata.Signal.Noise_properties.variance.data
        for q in s.quantify(*args, **kwargs)
    }


class TestOxygenByStoichiometry:
    @pytest.fixture(scope="class")
    def s(self):
        s = make_map((6, 5), counts_per_pixel=3000)
        s.decomposition(output_dimension=2, **QUIET)
        return s

    @pytest.mark.parametrize("target", ["phases", "pixels"])
    def test_balances_the_charge(self, s, target):
        found = percents(s, target, oxygen="stoichiometry")
        assert list(found) == ELEMENTS
        np.testing.assert_allclose(sum(found.values()), 100)
        cations = [e for e in ELEMENTS if e != "O"]
        charge = sum(found[e] * VALENCES[e] for e in cations)
        np.testing.assert_allclose(2 * found["O"], charge)
        # the ratios of the others are the measured ones
        measured = percents(s, target)
        np.testing.assert_allclose(
            found["Fe"] * measured["Ti"], found["Ti"] * measured["Fe"]
        )

    def test_own_valences(self, s):
        found = percents(s, elements=["Fe"], oxygen={"Fe": 3})
        np.testing.assert_allclose(found["Fe"], 40)
        np.testing.assert_allclose(found["O"], 60)
        weight = percents(s, units="weight", elements=["Fe"], oxygen={"Fe": 3})
        mass = 2 * atomic_weight("Fe"), 3 * atomic_weight("O")
        np.testing.assert_allclose(weight["O"], 100 * mass[1] / sum(mass))

    def test_error_of_what_follows_from_the_cations(self, s):
        """Oxides of one cation have no error; those of two one of rank 1."""
        spread = variances(s, elements=["Fe"], oxygen="stoichiometry")
        np.testing.assert_allclose(spread["O"], 0, atol=1e-12)
        spread = variances(s, elements=["Si", "Ti"], oxygen="stoichiometry")
        np.testing.assert_allclose(spread["O"], 0, atol=1e-12)  # both are tetravalent
        np.testing.assert_allclose(spread["Si"], spread["Ti"])

    def test_anions_take_the_place_of_oxygen(self):
        assert oxygen_per_atom(["Ca", "F"], "stoichiometry").tolist() == [1, -0.5]

    def test_errors(self, s):
        with pytest.raises(ValueError, match=r"none for Ar.*oxygen=\{'Ar': 2\}"):
            oxygen_per_atom(["Ar", "Mg"], "stoichiometry")
        with pytest.raises(TypeError, match="Fe must be a number"):
            s.quantify(oxygen={"Fe": "II"})
        with pytest.raises(ValueError, match="'measured', 'stoichiometry'"):
            s.quantify(oxygen="guessed")


def test_stray_and_free_columns_do_not_count(eds):
    eds.set_analysis_parameters(stray_elements=["Cu"])
    eds.decomposition(output_dimension=2, **QUIET)
    assert list(percents(eds)) == ELEMENTS
    np.testing.assert_allclose(sum(percents(eds).values()), 100)
