"""Atoms per area, mass thickness and thickness of simulated foils."""

import numpy as np
import pytest

from espm_hs.calibration.energy_scale import absorbing_mass_thickness
from espm_hs.physics import SpectrumModel
from espm_hs.simulation import Effects, Experiment, Phase, record

QUIET = {"algorithm": "espm", "print_info": False}
ENERGY = 0.01 * np.arange(1200)


# Columns of their own for each element, with K and L lines together.
APART = {"Ga": None, "As": None}


def foil(counts=4000, shape=(6, 30), thickest=200.0, effects=None, **parameters):
    """One compound whose thickness rises from left to right."""
    parameters = {
        "take_off_angle": 25.0,
        "thickness": 100.0,
        "density": 5.3,
    } | parameters
    model = SpectrumModel(ENERGY, 200.0, ["As", "Ga"], **parameters)
    depth = np.broadcast_to(np.linspace(20, thickest, shape[1]), shape)
    phase = Phase("GaAs", {"Ga": 1, "As": 1}, 5.3, 0.05)
    return Experiment(model, [phase], depth[..., None], counts, effects=effects)


@pytest.fixture(scope="module")
def s():
    """Wedge whose pixels were left to themselves."""
    s = record(foil(), 1)
    s.decomposition(output_dimension=1, smoothness=0.0, **QUIET)
    return s


def test_mass_thickness_of_a_wedge_with_dose(s):
    truth = s.ground_truth()
    expected = 1e-6 * 5.3 * truth.thickness[..., 0]
    found = s.estimate_mass_thickness()
    assert found.metadata.General.title == "Mass thickness"
    assert found.axes_manager.navigation_shape == (30, 6)
    assert found.data.sum() == pytest.approx(expected.sum(), rel=0.01)
    # each column to 3 %
    by_column = found.data.mean(axis=0) / expected[0]
    assert np.abs(by_column - 1).max() < 0.03
    error = np.sqrt(found.metadata.Signal.Noise_properties.variance.data)
    assert 0.8 < ((found.data - expected) / error).std() < 1.2


def test_thickness_and_atoms_per_area(s):
    truth = s.ground_truth()
    thickness = s.estimate_thickness()
    assert thickness.data.mean() == pytest.approx(truth.thickness.mean(), rel=0.01)
    twice = s.estimate_thickness(density=[10.6])
    np.testing.assert_allclose(2 * twice.data, thickness.data)
    gallium, arsenic = (q.data for q in s.estimate_areal_densities(["Ga", "As"]))
    per_nm3 = 5.3e-21 * 6.02214e23 / 144.645 * truth.thickness.mean()
    assert gallium.mean() == pytest.approx(per_nm3, rel=0.02)
    assert arsenic.mean() == pytest.approx(per_nm3, rel=0.02)


def test_phases_add_up():
    s = record(foil(shape=(4, 10)), 1)
    s.decomposition(output_dimension=2, **QUIET)
    parts = s.estimate_mass_thickness("phases")
    assert parts.data.shape == (2, 4, 10)
    np.testing.assert_allclose(parts.data.sum(axis=0), s.estimate_mass_thickness().data)
    assert parts.inav[:, :, 1].axes_manager.navigation_shape == (10, 4)


@pytest.mark.parametrize("thickness", [100.0, 300.0])
def test_mass_thickness_from_absorption_alone(thickness):
    """Within its error, from nothing but the ratio of K to L lines."""
    made = foil(6000, thickest=2 * thickness, thickness=thickness, split_lines=APART)
    mean, rng = made.expected().sum(axis=(0, 1)), np.random.default_rng(0)
    start = made.model.replace(thickness=100.0, density=1.0)
    value, error = np.transpose(
        [absorbing_mass_thickness(start, rng.poisson(mean)) for _ in range(12)]
    )
    truth = 1e-6 * 5.3 * thickness
    assert error.max() < 0.02 * truth
    z = (value - truth) / error
    assert abs(z.mean()) < 3 / np.sqrt(12)
    assert 0.5 < z.std() < 1.5
    assert (np.abs(z) < 1.96).mean() > 0.8


def test_absorption_alone_without_a_current():
    s = record(foil(6000, split_lines=APART), 1)
    del s.metadata.Acquisition_instrument.TEM.beam_current
    found = s.estimate_mass_thickness()
    assert found.data.shape == (1,)
    error = np.sqrt(found.metadata.Signal.Noise_properties.variance.data[0])
    assert abs(found.data[0] - 1e-6 * 5.3 * 100) < 3 * error


def test_absorption_alone_sees_where_the_photons_come_from():
    """Of a wedge whose pixels each absorb by their own thickness."""
    effects = Effects(local_absorption=True)
    made = foil(6000, split_lines=APART, effects=effects)
    spectrum = made.expected().sum(axis=(0, 1))
    found, _ = absorbing_mass_thickness(made.model, spectrum)
    depth = 1e-6 * 5.3 * made.thickness
    assert found == pytest.approx((depth**2).sum() / depth.sum(), rel=0.04)
    assert found > 1.1 * depth.mean()


class TestDose:
    @pytest.fixture
    def eds(self, s):
        return s.deepcopy()

    def test_live_time_of_the_map(self, eds):
        before = eds.estimate_mass_thickness().data
        eds.set_microscope_parameters(live_time=0.01 * 180)
        eds.set_analysis_parameters(live_time_of="map")
        np.testing.assert_allclose(eds.estimate_mass_thickness().data, before)
        # a part of the map has pixels of the same dose
        assert eds.inav[:3].metadata.EDS_espm.live_time_pixels == 180

    def test_what_is_missing_is_named_with_its_call(self, eds):
        del eds.metadata.EDS_espm.solid_angle
        del eds.metadata.EDS_espm.live_time_pixels
        message = r"live_time_of='pixel'.* and .*solid_angle=0.7"
        with pytest.raises(ValueError, match=message):
            eds.estimate_mass_thickness(method="dose")
        with pytest.raises(ValueError, match="live_time_of"):
            eds.estimate_areal_densities()

    def test_a_dose_that_contradicts_the_thickness(self, eds):
        eds.set_microscope_parameters(live_time=1.0)
        with pytest.warns(UserWarning, match="live time"):
            eds.estimate_mass_thickness()

    @pytest.mark.parametrize(
        "bad", [{"live_time_of": "frame"}, {"solid_angle": 20}, {"solid_angle": 0}]
    )
    def test_bad_parameters(self, eds, bad):
        with pytest.raises(ValueError, match=next(iter(bad))):
            eds.set_analysis_parameters(**bad)

    def test_bad_arguments(self, eds):
        with pytest.raises(ValueError, match="method"):
            eds.estimate_mass_thickness(method="zeta")
        with pytest.raises(ValueError, match="target"):
            eds.estimate_mass_thickness("maps")
        with pytest.raises(ValueError, match="one for each of the 1 phases"):
            eds.estimate_thickness(density=[1, 2])
        del eds.metadata.Sample.density
        with pytest.raises(ValueError, match=r"s.estimate_thickness\(density="):
            eds.estimate_thickness()
