"""The protocol between physics and decomposition, with a toy and with the X-rays."""

import pickle

import numpy as np
import pytest

from espm_hs.physics import (
    Column,
    Detector,
    LinearModel,
    SpectrumModel,
    linear_model,
    read_model,
    register_model,
)

ENERGY = -0.2 + 0.01 * np.arange(2048)


class Bands(LinearModel):
    """Gaussian bands on a flat background, as little as a model can be."""

    def __init__(self, centres):
        self.centres = dict(centres)

    @property
    def G(self):
        x = np.arange(50)
        bands = [np.exp(-0.5 * (x - c) ** 2) for c in self.centres.values()]
        return np.stack([*bands, np.ones(50)], axis=1)

    @property
    def channels(self):
        return np.ones(50, bool)

    @property
    def columns(self):
        bands = [Column("element", name, None, name) for name in self.centres]
        return (*bands, Column("background", None, None, "flat"))

    def to_dict(self):
        return {"centres": self.centres}

    @classmethod
    def from_dict(cls, description):
        return cls(description["centres"])


@pytest.fixture
def registry(monkeypatch):
    monkeypatch.setattr(linear_model, "_MODELS", dict(linear_model._MODELS))


def test_a_toy_needs_five_members():
    model = Bands({"a": 10, "b": 30})
    assert model.elements == ("a", "b")
    assert model.element_columns.tolist() == [True, True, False]
    assert not model.depends_on_composition
    assert model.refined({"a": 1.0}) is model
    assert model.parameters == {}
    assert model.with_parameters() is model
    np.testing.assert_array_equal(model.G_at({"a": 1.0}, 2.0), model.G)
    assert model.weights.tolist() == [1, 1]
    assert (model.column_factors(np.ones((4, 2)), np.ones(4)) == 1).all()
    assert model.advice.get("unsettled") is None
    with pytest.raises(ValueError, match=r"no parameters.*gain"):
        model.with_parameters(gain=1.0)


def test_stored_models_are_read_by_their_kind(registry):
    register_model("bands")(Bands)
    assert Bands.kind == "bands"
    again = read_model("bands", Bands({"a": 7}).to_dict())
    assert isinstance(again, Bands)
    assert again.centres == {"a": 7}
    with pytest.raises(ValueError, match=r"'bands'.* already"):
        register_model("bands")(SpectrumModel)
    with pytest.raises(ValueError, match=r"kind 'rays'.*'bands'.*'xray'"):
        read_model("rays", {})


def test_files_without_a_kind_hold_xray_models():
    model = SpectrumModel(ENERGY, 200, ["O", "Fe"])
    for kind in (None, model.kind):
        again = read_model(kind, model.to_dict())
        assert isinstance(again, SpectrumModel)
        np.testing.assert_array_equal(again.G, model.G)


def thick(**options):
    given = {"thickness": 150, "density": 5, "take_off_angle": 20} | options
    return SpectrumModel(ENERGY, 200, ["O", "Si", "Fe"], **given)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"stray_elements": ["Cu"], "take_off_angle": [18, 25]},
        {"detector": Detector(tail=0.03, escape_peak=True)},
        {"background": False, "extra_spectra": {"hole": np.linspace(0, 1, 2048)}},
        {"thickness": None, "density": None},
    ],
)
def test_refined_is_replace(options):
    model = thick(**options)
    before = model.G.copy()
    composition = {"O": 0.6, "Si": 0.1, "Fe": 0.3}
    refined, replaced = (
        model.refined(composition),
        model.replace(composition=composition),
    )
    assert model.depends_on_composition == (options.get("density", 5) is not None)
    np.testing.assert_array_equal(refined.G, replaced.G)
    assert np.array_equal(refined.G, before) != model.depends_on_composition
    assert refined.to_dict() == replaced.to_dict()
    np.testing.assert_array_equal(model.G, before)
    assert model.composition is None


def test_equal_settings_share_what_the_sample_does_not_absorb():
    model = thick()
    assert model.replace(thickness=30)._unabsorbed is model._unabsorbed
    assert SpectrumModel.from_dict(model.to_dict())._unabsorbed is model._unabsorbed
    moved = model.replace(minimum_energy=0.3)
    assert moved._unabsorbed is not model._unabsorbed
    assert moved.channels.sum() < model.channels.sum()


def test_a_model_can_be_sent_to_a_worker():
    model = thick(detector=Detector(tail=0.03, escape_peak=True))
    known = model.G
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.G, known)
    other = {"O": 1.0}
    np.testing.assert_array_equal(again.refined(other).G, model.refined(other).G)


def test_refined_checks_the_composition():
    with pytest.raises(ValueError, match="non-negative"):
        thick().refined({"O": -1.0})


def test_parameters_say_what_the_model_has():
    model = thick(detector=Detector(resolution=128, low_energy_shift=20))
    found = model.parameters
    assert found["offset"].value == found["gain"].value == 0
    assert found["noise"].value == pytest.approx(model.detector.fwhm(0.0))
    assert found["fano_factor"].value == 0.12
    assert found["low_energy_shift"].value == 20
    assert found["mass_thickness"].value == pytest.approx(7.5e-4)
    assert found["mass_thickness"].unit == "kg/m2"
    for one in found.values():
        assert one.low <= one.value <= one.high
        assert one.spread > 0


def test_with_parameters():
    model = thick()
    moved = model.with_parameters(offset=10.0, gain=1.0)
    np.testing.assert_allclose(
        moved.energy, ENERGY[0] + 0.01 + 1.01 * 0.01 * np.arange(2048)
    )
    assert moved.detector == model.detector
    wide = model.with_parameters(noise=90.0, fano_factor=0.1, low_energy_shift=15.0)
    assert wide.detector.fwhm(0.0) == pytest.approx(90)
    assert wide.detector.fano_factor == 0.1
    assert wide.detector.low_energy_shift == 15
    np.testing.assert_array_equal(wide.energy, model.energy)
    thin = model.with_parameters(mass_thickness=1e-4)
    assert thin.mass_thickness == pytest.approx(1e-4)
    assert thin.detector == model.detector
    with pytest.raises(ValueError, match=r"no parameters.*colour"):
        model.with_parameters(colour=1.0)


def test_advice_on_what_does_not_settle():
    assert "thickness and density" in thick().advice["unsettled"]
