"""What is not known of sample and detector, and what that makes of amounts."""

import numpy as np
import pytest

from espm_hs.physics import Detector, SpectrumModel
from espm_hs.physics.linear_model import Unknowns
from espm_hs.physics.xray.unknowns import USUAL_THICKNESS, usual_density

ENERGY = 0.01 * np.arange(2048)
FILM = {"thickness": 90.0, "density": 5.12, "take_off_angle": 18.0}
AMOUNTS = np.array([3.0, 1.0, 1.0])


def model(elements=("O", "Sr", "Ti"), **options):
    return SpectrumModel(ENERGY, 200, elements, **options)


def counted(m, composition):
    """Counts of an atom of each element in a sample of a composition."""
    return m.refined(composition).G[:, : len(m.elements)].sum(axis=0)


def test_nothing_is_open_of_an_ideal_detector_without_a_sample():
    found = model(detector="ideal").unknowns(AMOUNTS)
    assert found.names == ()
    np.testing.assert_array_equal(found.factors, 1)


def test_a_given_thickness_moves_amounts_by_its_error():
    """As another thickness does, and by nothing on average."""
    exact = model(**FILM, thickness_error=0.05, detector="ideal")
    names, factors, responses = exact.unknowns(AMOUNTS)
    assert names == ("thickness",)
    np.testing.assert_allclose(factors, 1, atol=0.003)
    stoichiometric = {"O": 3, "Sr": 1, "Ti": 1}
    thicker = exact.replace(thickness=90 * np.exp(0.05))
    moved = counted(exact, stoichiometric) / counted(thicker, stoichiometric)
    # the composition that absorbs changes, too, which is less
    np.testing.assert_allclose(responses[0], moved - 1, rtol=0.3, atol=1e-3)
    assert responses[0, 0] > 10 * abs(responses[0, 2])


@pytest.mark.parametrize("density", [None, 5.12])
def test_a_thickness_that_is_not_stated_is_a_usual_one(density):
    """What a film of the median makes of amounts is what is found, within the error."""
    m = model(
        density=density,
        take_off_angle=18.0,
        unknown=["thickness"],
        detector="ideal",
    )
    film = m.replace(
        thickness=USUAL_THICKNESS, density=usual_density(m, AMOUNTS), unknown=()
    )
    seen = AMOUNTS * counted(film, {"O": 3, "Sr": 1, "Ti": 1}) / counted(m, {"O": 1})
    names, factors, responses = m.unknowns(seen)
    assert names == ("thickness",)
    shares = seen * factors / (seen * factors).sum()
    np.testing.assert_allclose(shares, [0.6, 0.2, 0.2], atol=0.02)
    assert 0.2 < responses[0, 0] < 0.5


def test_the_middle_of_usual_angles_and_their_error():
    m = model(**FILM, unknown=["take_off_angle"], detector="ideal")
    names, _, responses = m.unknowns(AMOUNTS)
    assert names == ("thickness", "take_off_angle")
    # a lower detector sees less oxygen, of which there is more then
    assert responses[1, 0] > 0.05
    # without any absorption no angle matters
    assert (
        model(unknown=["take_off_angle"], detector="ideal").unknowns(AMOUNTS)[0] == ()
    )


def test_a_window_that_may_be_there():
    m = model(unknown=["detector"])
    names, factors, responses = m.unknowns(AMOUNTS)
    assert names == ("detector",)
    windows = [Detector.preset(x).efficiency(0.525) for x in ("windowless", "superx")]
    polymer = Detector.preset("polymer_window").efficiency(0.525)
    # half of the logarithm of what the film stops, the grid aside
    film = 0.5 * np.log(windows[0] * 0.77 / polymer)
    assert np.log(factors[0]) == pytest.approx(film, abs=0.05)
    assert responses[0, 0] > 10 * abs(responses[0, 1])


def test_layers_of_a_given_detector_are_not_exact():
    _, factors, responses = model(detector="polymer_window").unknowns(AMOUNTS)
    np.testing.assert_allclose(factors, 1, atol=1e-3)
    assert 0.05 < responses[0, 0] < 0.15
    assert abs(responses[0, 1]) < 0.02


@pytest.mark.parametrize(
    ("composition", "density"),
    [
        ({"Sr": 1, "Ti": 1, "O": 3}, 5.12),
        ({"Si": 1, "O": 2}, 2.65),
        ({"Fe": 1, "Pt": 1}, 15.0),
        ({"Zn": 1, "S": 1}, 4.1),
        ({"Ga": 1, "N": 1}, 6.15),
        ({"In": 1, "P": 1}, 4.81),
        ({"Si": 1}, 2.33),
    ],
)
def test_usual_density(composition, density):
    m = model(tuple(composition))
    found = usual_density(m, np.array(list(composition.values()), float))
    assert found == pytest.approx(density, rel=0.15)


def test_amounts_at_another_thickness():
    m = model(**FILM, detector="ideal")
    np.testing.assert_allclose(m.amounts_at(AMOUNTS, m.mass_thickness), AMOUNTS)
    none = m.amounts_at(AMOUNTS, 0.0)
    assert none[0] < 0.6 * AMOUNTS[0]
    thin = m.replace(thickness=None, density=None)
    np.testing.assert_allclose(thin.amounts_at(none, m.mass_thickness), AMOUNTS, 1e-3)


@pytest.mark.parametrize("unknown", ["weather", ["thickness", "weather"], 3, [None]])
def test_other_unknowns_are_refused(unknown):
    with pytest.raises(ValueError, match="`unknown` must be some of"):
        model(unknown=unknown)


@pytest.mark.parametrize("error", [-0.1, 1.5])
def test_other_errors_are_refused(error):
    with pytest.raises(ValueError, match="`thickness_error` must be a share"):
        model(thickness_error=error)


def test_unknowns_are_stored_with_the_model():
    m = model(density=3.0, unknown=["thickness", "detector"], thickness_error=0.1)
    again = SpectrumModel.from_dict(m.to_dict())
    assert again.unknown == m.unknown
    assert again.thickness_error == 0.1
    for one, other in zip(again.unknowns(AMOUNTS), m.unknowns(AMOUNTS), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_model_that_knows_itself():
    assert Unknowns.none(2, 3).responses.shape == (0, 2, 3)
