"""A decomposition knows nothing of its model but the protocol of linear models.

The model here has nothing to do with the physics of the package: vibrational bands of
molecules over a wavenumber axis, Gaussian, on a constant and a linear background.
"""

import re
from pathlib import Path

import hyperspy.api as hs
import numpy as np
import pytest
from conftest import FORMATS

import espm_hs
from espm_hs.decomposition.decompose import DecompositionOptions, decompose
from espm_hs.decomposition.result import PhaseAnalysis
from espm_hs.decomposition.starts import previous_start
from espm_hs.metrics import match_phases
from espm_hs.physics.linear_model import Column, LinearModel, register_model
from espm_hs.quantification.percent_with_errors import to_percent
from espm_hs.quantification.pixels import pixel_composition

MOLECULES = {
    "water": [(1640, 30, 1.0)],
    "ethanol": [(880, 12, 1.0), (1050, 15, 0.8), (1450, 18, 0.5)],
    "acetone": [(790, 10, 1.0), (1710, 14, 0.7)],
    "benzene": [(992, 8, 1.0), (1178, 10, 0.2), (1610, 12, 0.3)],
}
AXIS = np.linspace(700, 1800, 220)
# Mole fractions of four molecules in each of three phases.
TRUTH = np.array([[0.7, 0.0, 0.0], [0.3, 0.1, 0.0], [0.0, 0.9, 0.25], [0.0, 0.0, 0.75]])


@register_model("bands of a test")
class Bands(LinearModel):
    """Gaussian bands, whose width may grow with the share of water."""

    def __init__(self, broadening=0.0, water=0.25):
        self.broadening, self.water = broadening, water
        self.refinements = 0

    @property
    def G(self):
        wider = 1 + self.broadening * self.water
        columns = []
        for bands in MOLECULES.values():
            shapes = [
                height * np.exp(-0.5 * ((AXIS - centre) / (wider * width)) ** 2)
                for centre, width, height in bands
            ]
            columns.append(np.sum(shapes, axis=0) + 1e-6)
        flat = np.full(AXIS.size, 0.05)
        return np.stack([*columns, flat, 0.1 * (AXIS - 690) / 1110], axis=1)

    @property
    def channels(self):
        return AXIS > 720

    @property
    def columns(self):
        named = [Column("element", name, None, name) for name in MOLECULES]
        others = [Column("background", None, None, x) for x in ("flat", "rising")]
        return (*named, *others)

    @property
    def depends_on_composition(self):
        return self.broadening > 0

    def refined(self, composition):
        assert set(composition) == set(MOLECULES)
        share = composition["water"] / sum(composition.values())
        return Bands(self.broadening, float(share))

    @property
    def advice(self):
        return {"unsettled": "Dry the sample."}

    def to_dict(self):
        return {"broadening": self.broadening, "water": self.water}

    @classmethod
    def from_dict(cls, description):
        return cls(float(description["broadening"]), float(description["water"]))


def simulated(model, shape=(14, 12), counts=800, seed=0):
    """Counts of three phases, each with its own G, and their mixtures, in blocks."""
    rng = np.random.default_rng(seed)
    blocks = rng.dirichlet(np.full(3, 0.15), tuple(size // 2 for size in shape))
    maps = np.kron(blocks, np.ones((2, 2, 1)))
    W = np.vstack([TRUTH, np.full((2, 3), 0.3)])
    spectra = np.stack(
        [
            model.refined(dict(zip(MOLECULES, TRUTH[:, j], strict=True))).G @ W[:, j]
            for j in range(3)
        ],
        axis=1,
    )
    spectra[~model.channels] = 0
    spectra /= spectra.sum(axis=0)
    return rng.poisson(counts * maps @ spectra.T), spectra


def found_in(counts, model, **options):
    usual = {"sparsity": 1.0, "n_init": 2, "random_state": 0, "n_jobs": 1}
    return decompose(counts, model, 3, **usual | options)


@pytest.fixture(scope="module", params=[0.0, 2.0], ids=["fixed", "self-consistent"])
def example(request):
    """Model, counts, true spectra and phases; smooth maps."""
    model = Bands(request.param)
    counts, spectra = simulated(model)
    found = found_in(counts, model, smoothness="auto", binning=2)
    return model, counts, spectra, found


def test_phases_and_compositions(example):
    _, _, spectra, found = example
    used = found.channels
    order, angles = match_phases(found.spectra[used], spectra[used])
    assert angles.max() < 3
    assert np.abs(found.composition[:, order] - TRUTH).max() < 0.05
    assert found.elements == tuple(MOLECULES)
    assert found.misfit < 1.5
    assert "columns of the model: water, ethanol" in str(found)


def test_each_phase_has_the_matrix_of_its_composition(example):
    model, _, _, found = example
    assert (np.ptp(found.G, axis=0).max() > 0) == model.depends_on_composition
    expected = np.einsum("jec,cj->ej", found.G, found.W)[found.channels]
    expected /= expected.sum(axis=0)
    np.testing.assert_allclose(found.spectra[found.channels], expected, atol=1e-4)


def test_errors_and_feasible_ranges(example):
    *_, found = example
    variance = np.diagonal(found.composition_covariance, axis1=1, axis2=2)
    assert np.isfinite(variance).all()
    assert 0 < np.sqrt(variance.max()) < 0.1
    assert found.feasible_ranges.shape == (2, 3, 3)
    assert found.mixing is found.feasible_ranges
    assert len(found.ambiguities) == 3
    assert "phase 0" in str(found.ambiguities[0]).lower()


def test_maps_are_smooth_and_hold_all_counts(example):
    _, counts, _, found = example
    assert found.smoothness.shape == (3,)
    total = counts[..., found.channels].sum()
    assert found.loadings.sum() == pytest.approx(total, rel=1e-6)
    symbols, percent, variance = to_percent(found)
    assert symbols == list(MOLECULES)
    np.testing.assert_allclose(percent.sum(axis=0), 100)
    assert (variance >= 0).all()
    _, pixels, _ = pixel_composition(found, counts, found.loadings)
    np.testing.assert_allclose(pixels.sum(axis=0), 100)


@pytest.mark.parametrize("extension", FORMATS)
def test_a_file_and_back(example, tmp_path, extension):
    model, counts, _, found = example
    s = hs.signals.Signal1D(counts)
    s.metadata.set_item("Result.phases", found.to_dict())
    s.save(tmp_path / f"map.{extension}")
    stored = hs.load(tmp_path / f"map.{extension}").metadata.Result.phases
    read = PhaseAnalysis.from_dict(stored.as_dictionary())
    for name in ("W", "covariance", "bias", "spectra", "feasible_ranges", "G"):
        np.testing.assert_array_equal(getattr(read, name), getattr(found, name))
    assert read.elements == found.elements
    assert isinstance(read.model, Bands)
    assert read.model.broadening == model.broadening
    assert str(read) == str(found)


def test_the_model_is_built_when_it_is_needed(example, monkeypatch):
    *_, found = example
    stored = found.to_dict()
    monkeypatch.setattr(Bands, "from_dict", lambda *_: pytest.fail("it was built"))
    read = PhaseAnalysis.from_dict(stored)
    np.testing.assert_array_equal(to_percent(read)[1], to_percent(found)[1])
    assert read.composition_covariance.shape == (3, 4, 4)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "of another planet"},
        {"model": {}},
        {"model": {"broadening": "wide", "water": 0.1}},
        {"columns": list("abcdef")},
        {"channels": np.ones(219, bool), "spectra": np.ones((219, 3))},
    ],
)
def test_a_damaged_description_is_told_when_it_is_needed(example, change):
    *_, found = example
    read = PhaseAnalysis.from_dict(found.to_dict() | change)
    assert read.elements == tuple(MOLECULES)
    with pytest.raises(ValueError, match=r"stored phases are damaged .*again with"):
        _ = read.model
    with pytest.raises(ValueError, match="damaged"):
        _ = read.G


@pytest.mark.parametrize(
    "change",
    [
        {"model": None},
        {"model": "bands"},
        {"elements": ["water"]},
        {"element_columns": np.ones(2, bool)},
        {"columns": ["water"]},
        {"unknowns": {"names": ["x"], "factors": np.ones((4, 3)), "responses": 2.0}},
    ],
)
def test_what_does_not_belong_together_is_told_at_once(example, change):
    *_, found = example
    with pytest.raises(ValueError, match="stored phases are damaged"):
        PhaseAnalysis.from_dict(found.to_dict() | change)


def test_files_that_do_not_know_their_elements(example):
    """Results of before have the model alone."""
    *_, found = example
    stored = found.to_dict()
    del stored["elements"], stored["element_columns"]
    read = PhaseAnalysis.from_dict(stored)
    assert read.elements == found.elements
    np.testing.assert_array_equal(read.composition, found.composition)


def test_what_is_known_of_phases(example):
    model, counts, spectra, _ = example
    known = {
        "solvent": {
            "absent": ["acetone", "benzene"],
            "ratio": {"water/ethanol": 7 / 3},
        },
        "pure": {"spectrum": 1e5 * spectra[:, 1]},
    }
    found = found_in(counts, model, known_phases=known)
    assert found.labels == ["solvent", "pure", "phase 2"]
    np.testing.assert_allclose(found.composition[:2, 0], [0.7, 0.3], atol=1e-9)
    assert np.abs(found.composition[:, 1] - TRUTH[:, 1]).max() < 0.02
    single = decompose(counts, model, None, known_phases="elements", n_jobs=1)
    assert single.labels == [*MOLECULES, "background"]
    with pytest.raises(ValueError, match=r"'gold', which is not among .*'water'"):
        found_in(counts, model, known_phases={0: {"absent": ["gold"]}})


def test_going_on_from_earlier_phases(example):
    model, counts, _, found = example
    loadings = found.loadings
    start = previous_start(found, model, loadings)
    again = found_in(counts, model, init=start, binning=2)
    assert again.n_iter < found.n_iter
    used = found.channels
    _, angles = match_phases(again.spectra[used], found.spectra[used])
    assert angles.max() < 2


def test_advice_of_the_model(monkeypatch):
    from espm_hs.decomposition import self_consistency

    model = Bands(2.0)
    counts, _ = simulated(model, (4, 4))
    monkeypatch.setattr(self_consistency, "SETTLED", -1.0)
    with pytest.warns(UserWarning, match=r"still moves by more than.*Dry the sample\."):
        found_in(counts, model, n_init=1, max_iter=30)
    # and where rounds end before passes do
    monkeypatch.setattr(self_consistency, "MAX_ROUNDS", 1)
    for local in (False, True):
        with pytest.warns(UserWarning, match=r"after 1 rounds.*Dry the sample\."):
            found_in(counts, model, n_init=1, max_iter=200, local=local)


def test_places_of_any_model(example):
    model, counts, *_ = example
    if not model.depends_on_composition:
        with pytest.raises(ValueError, match="nothing is local"):
            found_in(counts, model, local=True)
        return
    found = found_in(counts, model, local=True, n_init=1, max_iter=60)
    # all factors are 1, so that all places are alike
    assert found.places.tolist() == [0] * 168
    np.testing.assert_allclose(found.atoms_in_places, np.ones((1, 3)))


def test_options_travel_as_one_object(example):
    model, counts, *_ = example
    options = DecompositionOptions(sparsity=None, n_init=2, random_state=0, n_jobs=1)
    assert options.sparsity == 1.0
    assert DecompositionOptions(sparsity=None, known_phases="elements").sparsity == 0
    ours = decompose(counts, model, 3, options)
    np.testing.assert_array_equal(ours.W, found_in(counts, model).W)
    with pytest.raises(TypeError, match="sparcity"):
        decompose(counts, model, 3, options, sparcity=1.0)


@pytest.mark.parametrize(
    "bad",
    [{"binning": 0}, {"smoothness": [1.0, "auto"]}, {"n_init": 0}, {"solver": "best"}],
)
def test_options_check_themselves(bad):
    with pytest.raises(ValueError, match=f"`{next(iter(bad))}`"):
        DecompositionOptions(**bad)


def test_no_word_of_one_physics():
    """Nor in docstrings and messages: other physics come through the same code."""
    words = "xray|x-ray|detector|thickness|absor|emission|stray|kev|oxygen"
    folder = Path(espm_hs.__file__).parent / "decomposition"
    for file in folder.rglob("*.py"):
        found = re.findall(words, file.read_text().lower())
        assert not found, f"{file.name}: {found}"
