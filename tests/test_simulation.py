"""Simulated maps: that they are what they say."""

import tracemalloc

import hyperspy.api as hs
import numpy as np
import pytest

from espm_hs.physics import SpectrumModel
from espm_hs.simulation import (
    Sphere,
    ground_truth,
    match_phases,
    particles,
    phase_spectra,
    simulate_counts,
    spectral_angles,
    spheres_in_matrix,
)

ALLOY = {"Fe": 0.65, "Ni": 0.35}
SILICA = {"Si": 1.0, "O": 2.0}


@pytest.fixture(scope="module")
def model():
    return SpectrumModel(
        0.02 * np.arange(500), 200, ["O", "Si", "Fe", "Ni"], stray_elements=["Cu"]
    )


# -- phantoms


def test_shares_add_up_to_one():
    maps = spheres_in_matrix(
        (31, 47), [Sphere(0.3, 0.3, 0.2, 1.5), Sphere(0.7, 0.7, 0.25, 3.0)]
    )
    assert maps.shape == (31, 47, 3)
    assert maps.min() >= 0
    np.testing.assert_allclose(maps.sum(axis=-1), 1)


def test_sphere_is_projected():
    # through the centre of a sphere in a foil of 4 radii: half of it is sphere
    share = Sphere(0.5, 0.5, 0.4, 4.0).share((101, 101))
    assert share[50, 50] == pytest.approx(0.5)
    # half a radius off: sqrt(1 - 1/4) of that; outside nothing
    distance = (70 - 50) / (0.4 * 101)
    assert share[50, 70] == pytest.approx(0.5 * np.sqrt(1 - distance**2))
    assert share[50, 95] == 0
    # a foil thinner than the sphere holds nothing else in the middle
    cut = Sphere(0.5, 0.5, 0.4, 1.0).share((101, 101))
    assert cut[50, 50] == 1
    # volume of an uncut sphere: 4/3 pi r3 over the thickness of the foil
    assert share.sum() * 4 == pytest.approx(4 / 3 * np.pi * (0.4 * 101) ** 2, rel=0.01)


def test_overlapping_spheres_are_refused():
    twice = [Sphere(0.5, 0.5, 0.3, 1.5)] * 2
    with pytest.raises(ValueError, match=r"fill up to 2\.00"):
        spheres_in_matrix((20, 20), twice)


# -- spectra


def test_shares_of_background_and_stray_lines(model):
    kinds = np.array([column.kind for column in model.columns])
    spectra = phase_spectra(
        model, [ALLOY, SILICA], background=[0.1, 0.3], stray={"Cu": 0.05}
    )
    np.testing.assert_allclose(spectra.sum(axis=0), 1)
    for spectrum, background in zip(spectra.T, (0.1, 0.3), strict=True):
        weights = np.linalg.lstsq(model.G, spectrum, rcond=None)[0]
        parts = weights * model.G.sum(axis=0)
        assert parts[kinds == "background"].sum() == pytest.approx(background)
        assert parts[kinds == "stray"].sum() == pytest.approx(0.05)


def test_lines_follow_the_composition(model):
    spectrum = phase_spectra(model, [ALLOY], background=0)[:, 0]
    weights = np.linalg.lstsq(model.G, spectrum, rcond=None)[0]
    by_label = {c.label: w for c, w in zip(model.columns, weights, strict=True)}
    assert by_label["Ni"] / by_label["Fe"] == pytest.approx(35 / 65)
    assert by_label["Fe L"] == pytest.approx(by_label["Fe"])
    assert by_label["Si"] == pytest.approx(0, abs=1e-9)


def test_each_phase_absorbs_by_itself(model):
    thick = model.replace(thickness=200, density=5, take_off_angle=20)
    thin, absorbed = (phase_spectra(m, [SILICA], background=0) for m in (model, thick))
    own = thick.replace(composition={"Si": 1 / 3, "O": 2 / 3})
    weights = [SILICA.get(column.element, 0) for column in own.columns]
    weights = np.where([c.kind == "stray" for c in own.columns], 0, weights)
    expected = own.G @ weights
    np.testing.assert_allclose(absorbed[:, 0], expected / expected.sum(), atol=1e-12)
    oxygen = round(0.525 / 0.02)
    assert absorbed[oxygen] / absorbed.sum() < 0.97 * thin[oxygen] / thin.sum()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"compositions": [{"Au": 1.0}]}, "contains Au, which the model has not"),
        ({"background": [0.1, 0.2]}, r"shape \(1, 3\)"),
        ({"background": -0.1}, "must not be negative"),
        ({"background": 0.8, "stray": {"Cu": 0.3}}, "leaves nothing"),
        ({"stray": {"Mo": 0.1}}, r"stray_elements=\['Cu', 'Mo'\]"),
        ({"abundances": np.ones((2, 2))}, "one entry for each of the 1 phases"),
        ({"abundances": np.full((2, 1), 0.5)}, "add up to 1"),
        ({"counts_per_pixel": -1}, "0 or more"),
    ],
)
def test_what_makes_no_sense_is_refused(model, arguments, message):
    given = {
        "compositions": [ALLOY],
        "abundances": np.ones((2, 1)),
        "counts_per_pixel": 10,
        **arguments,
    }
    with pytest.raises(ValueError, match=message):
        simulate_counts(model, **given)


# -- counts


def test_counts_are_poisson_around_the_truth(model):
    abundances = np.tile([0.3, 0.7], (40, 50, 1))
    drawn = simulate_counts(model, [ALLOY, SILICA], abundances, 60, seed=3)
    assert drawn.counts.dtype == np.uint8
    assert drawn.counts.shape == (40, 50, 500)
    expected = 60 * drawn.spectra @ [0.3, 0.7]
    summed = drawn.counts.sum(axis=(0, 1))
    seen = expected > 0.01
    chi_square = (summed - 2000 * expected)[seen] ** 2 / (2000 * expected)[seen]
    assert chi_square.mean() == pytest.approx(1, abs=5 * np.sqrt(2 / seen.sum()))
    # channels are independent, pixels too: variance = mean at the highest peak
    peak = drawn.counts[..., expected.argmax()].astype(float)
    assert peak.var() / peak.mean() == pytest.approx(1, abs=0.15)
    assert drawn.counts.sum(axis=-1).var() == pytest.approx(60, rel=0.15)


def test_many_counts_follow_the_same_law(model):
    # more counts than channels are drawn channel by channel
    drawn = simulate_counts(model, [ALLOY], np.ones((300, 1)), 5000)
    expected = 300 * 5000 * drawn.spectra[:, 0]
    seen = expected > 100
    chi_square = (drawn.counts.sum(axis=0) - expected)[seen] ** 2 / expected[seen]
    assert chi_square.mean() == pytest.approx(1, abs=5 * np.sqrt(2 / seen.sum()))
    assert drawn.counts.sum(axis=1).var() == pytest.approx(5000, rel=0.4)


def test_smallest_type_and_seed(model):
    def draw(counts, seed=1):
        return simulate_counts(
            model, [ALLOY], np.ones((3, 1)), counts, seed=seed
        ).counts

    assert draw(1e4).dtype == np.uint16
    assert draw(1e7).dtype == np.uint32
    np.testing.assert_array_equal(draw(50), draw(50))
    assert (draw(50) != draw(50, seed=2)).any()


def test_counts_per_pixel_may_be_a_map(model):
    wanted = np.array([[0.0, 2000.0], [500.0, 0.0]])
    drawn = simulate_counts(model, [ALLOY], np.ones((2, 2, 1)), wanted)
    found = drawn.counts.sum(axis=-1)
    assert (found[wanted == 0] == 0).all()
    np.testing.assert_allclose(found, wanted, atol=5 * np.sqrt(2000))


def test_no_map_of_floats_in_memory(model):
    abundances = np.ones((64, 64, 1))
    tracemalloc.start()
    drawn = simulate_counts(model, [ALLOY], abundances, 30)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * drawn.counts.nbytes


# -- data sets


def test_particles_are_ready_to_decompose(tmp_path):
    s = particles((16, 20), counts_per_pixel=40, seed=4)
    assert s.metadata.Signal.signal_type == "EDS_espm"
    assert s.data.shape == (16, 20, 1024)
    assert [a.units for a in s.axes_manager.navigation_axes] == ["nm", "nm"]
    model = s.physical_model()
    assert model.beam_energy == 200
    assert model.thickness == pytest.approx(100)
    assert model.stray_elements == ("Cu",)

    s.save(tmp_path / "map.hspy")
    truth, again = ground_truth(s), ground_truth(hs.load(tmp_path / "map.hspy"))
    assert again.names == truth.names == ("olivine", "taenite", "ilmenite")
    assert again.elements == truth.elements
    for name in ("composition", "maps", "spectra"):
        np.testing.assert_array_equal(getattr(again, name), getattr(truth, name))
    np.testing.assert_allclose(truth.composition.sum(axis=0), 1)
    assert truth.maps.shape == (16, 20, 3)
    assert "taenite (at.%): Fe 65.0, Ni 35.0" in repr(truth)


def test_truth_of_a_measured_signal_is_refused():
    with pytest.raises(ValueError, match="only simulated maps"):
        ground_truth(hs.signals.Signal1D(np.ones(5)))


# -- comparison


def test_phases_are_matched_whatever_their_order():
    true = np.random.default_rng(0).random((30, 3))
    found = np.column_stack([true.mean(axis=1), 5 * true[:, [2, 0, 1]]])
    found[4] = np.nan
    order, angles = match_phases(found, true)
    assert order.tolist() == [2, 3, 1]
    np.testing.assert_allclose(angles, 0, atol=1e-5)
    with pytest.raises(ValueError, match="3 true phases"):
        match_phases(true[:, :2], true)


def test_angle_of_known_vectors():
    found = spectral_angles([[1.0, 0.0], [1.0, 2.0]], [[0.0], [3.0]])
    np.testing.assert_allclose(found, [[45.0], [0.0]], atol=1e-6)
