"""Simulated maps: that they are what they say."""

import tracemalloc

import hyperspy.api as hs
import numpy as np
import pytest
from click.testing import CliRunner
from scipy.stats import chi2

from espm_hs import simulation
from espm_hs.cli.main import main
from espm_hs.factorization import fit_spectrum
from espm_hs.physics import (
    BulkModel,
    Detector,
    SpectrumModel,
    atomic_weight,
    mass_absorption_coefficient,
)
from espm_hs.simulation import DATASETS, Effects, Experiment, Phase, ground_truth

ALLOY = Phase("alloy", {"Fe": 0.65, "Ni": 0.35}, 8.0)
SILICA = Phase("silica", {"Si": 1, "O": 2}, 2.2)
FOIL = {"thickness": 120, "density": 4.0, "take_off_angle": 25}
ALL_EFFECTS = Effects(
    local_absorption=True,
    low_energy_shift=20,
    tail=0.05,
    gain_drift=0.004,
    tilt=-5,
    shadowing=0.4,
    dead_time=0.3,
    hole_counts={"Cu": 0.05},
    background_exponent=0.2,
)


def make_model(**options):
    return SpectrumModel(
        0.02 * np.arange(500),
        200,
        ["O", "Si", "Fe", "Ni"],
        stray_elements=["Cu"],
        **options,
    )


def make_maps(shape=(6, 5), seed=0):
    rng = np.random.default_rng(seed)
    return rng.dirichlet([0.5, 0.5], shape) * rng.uniform(40, 160, shape)[..., None]


def both(counts=60.0, effects=None, model=None, **options):
    model = model or make_model(**FOIL)
    maps = options.pop("maps", make_maps())
    return Experiment(model, [ALLOY, SILICA], maps, counts, effects=effects, **options)


# -- phases


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (({"Fe": 1.0}, 0), "density"),
        (({"Fe": -1.0}, 5), "impossible: .* non-negative"),
        (({}, 5), "no element at all"),
        (({"Fe": 0.0}, 5), "a fraction above 0"),
        (({"Xx": 1.0}, 5), "Xx"),
    ],
)
def test_phases_that_make_no_sense(arguments, message):
    with pytest.raises(ValueError, match=message):
        Phase("impossible", *arguments)


def test_atoms_of_a_phase():
    # silicon: 5.00e22 atoms per cm3, 1e-7 of that in a nm times a cm2
    assert Phase("", {"Si": 1}, 2.33).atoms_per_volume == pytest.approx(
        5.0e15, rel=2e-3
    )


# -- means


def test_shares_of_background_and_stray_lines():
    model = make_model()
    phases = [
        Phase("a", ALLOY.composition, 8, 0.1),
        Phase("b", SILICA.composition, 2, 0.3),
    ]
    made = Experiment(model, phases, make_maps(), stray={"Cu": 0.05})
    np.testing.assert_allclose(made.spectra.sum(axis=0), 1)
    kinds = np.array([column.kind for column in model.columns])
    for spectrum, background in zip(made.spectra.T, (0.1, 0.3), strict=True):
        weights = np.linalg.lstsq(model.G, spectrum, rcond=None)[0]
        parts = weights * model.G.sum(axis=0)
        assert parts[kinds == "background"].sum() == pytest.approx(background)
        assert parts[kinds == "stray"].sum() == pytest.approx(0.05)


def test_lines_follow_the_composition():
    model = make_model(background=False)
    spectrum = Experiment(
        model, [Phase("", ALLOY.composition, 8, 0)], [[100.0]]
    ).spectra[:, 0]
    weights = np.linalg.lstsq(model.G, spectrum, rcond=None)[0]
    by_label = {c.label: w for c, w in zip(model.columns, weights, strict=True)}
    assert by_label["Ni"] / by_label["Fe"] == pytest.approx(35 / 65)
    assert by_label["Fe L"] == pytest.approx(by_label["Fe"])
    assert by_label["Si"] == pytest.approx(0, abs=1e-9)


def test_spectra_of_phases_are_those_of_the_fit():
    """Background and lines, absorbed by the phase itself, are columns of its G."""
    model = make_model(**FOIL)
    made = both(model=model)
    for phase, spectrum in zip(made.phases, made.spectra.T, strict=True):
        own = model.replace(composition=phase.composition)
        weights = np.linalg.lstsq(own.G, spectrum, rcond=None)[0]
        assert np.abs(own.G @ weights - spectrum).max() < 1e-12
        assert weights.min() > -1e-9


def test_counts_composition_and_thickness_come_back_without_noise():
    model = make_model(**FOIL)
    for phase in (ALLOY, SILICA):
        made = Experiment(model, [phase], [[80.0]], 500)
        means = made.expected()[0]
        own = model.replace(composition=phase.composition)
        weights, fitted = fit_spectrum(own.G, means, tol=1e-16, max_iter=500)
        assert fitted.sum() == pytest.approx(500, rel=1e-6)
        atoms = weights[model.element_columns]
        expected = [phase.composition.get(e, 0) for e in model.elements]
        np.testing.assert_allclose(atoms / atoms.sum(), expected, atol=1e-6)
        # columns are in barn per atom, the dose says how many electrons asked
        per_area = atoms.sum() * 1e24 / made.dose
        grams = sum(x * atomic_weight(e) for e, x in phase.composition.items())
        thickness = per_area / 6.02214076e23 * grams / phase.density * 1e7
        assert thickness == pytest.approx(80, rel=1e-6)


def test_mean_counts_are_as_asked():
    for effects in (None, ALL_EFFECTS):
        made = both(37.0, effects)
        found = made.expected().sum(axis=-1).mean()
        assert found == pytest.approx(37, rel=2e-3)  # drift pushes a few off the axis


# -- effects


def test_local_absorption_by_another_way():
    """Lines of one pixel against the sum over phases, element by element."""
    model = make_model(background=False, **FOIL)
    maps = np.array([[30.0, 90.0]])
    phases = [
        Phase("a", ALLOY.composition, 8, 0),
        Phase("b", SILICA.composition, 2.2, 0),
    ]
    made = Experiment(model, phases, maps, effects=Effects(local_absorption=True))
    masses = {
        e: sum(
            t * 1e-7 * p.density * p.mass_fractions.get(e, 0)
            for t, p in zip(maps[0], phases, strict=True)
        )
        for e in model.elements
    }
    total = sum(masses.values())
    thin = model.replace(thickness=None, density=None)
    atoms = {e: m / atomic_weight(e) for e, m in masses.items()}
    spectra = []
    for line in (0.5249, 1.7397, 6.4):  # O K, Si K, Fe K
        mu = mass_absorption_coefficient(
            {e: m / total for e, m in masses.items()}, line
        )
        chi = mu * total / np.sin(np.radians(25))
        spectra.append(-np.expm1(-chi) / chi)
    peaks = [round(e / 0.02) for e in (0.5249, 1.7397, 6.4)]
    weights = [atoms.get(column.element, 0) for column in thin.columns]
    unabsorbed = thin.G @ np.where(
        [c.kind == "stray" for c in thin.columns], 0, weights
    )
    ratio = made.expected()[0] / np.where(unabsorbed > 0, unabsorbed, np.inf)
    found = ratio[peaks] / ratio[peaks[2]]
    np.testing.assert_allclose(found, np.array(spectra) / spectra[2], rtol=2e-3)


def test_local_absorption_of_an_even_foil_is_that_of_the_model():
    model = make_model(thickness=120, density=8.0, take_off_angle=25)
    maps = np.full((2, 1), 120.0)
    own, local = (
        Experiment(model, [ALLOY], maps, effects=Effects(local_absorption=flag))
        for flag in (False, True)
    )
    means = [made.expected() / made.dose for made in (own, local)]
    np.testing.assert_allclose(*means, rtol=1e-10)
    # the sums behind the dose are computed from groups of lines and channels
    assert own.dose == pytest.approx(local.dose, rel=1e-5)


def test_detector_and_angle_of_the_true_model():
    true = both(effects=ALL_EFFECTS).true_model
    assert true.detector.low_energy_shift == 20
    assert true.detector.tail == 0.05
    assert true.take_off_angle == 20.0
    two = make_model(thickness=120, density=4.0, take_off_angle=(20, 30))
    assert both(effects=ALL_EFFECTS, model=two).true_model.take_off_angle == (15, 25)
    plain = both(effects=Effects(dead_time=0.5))
    assert plain.true_model is plain.model


def test_drift_moves_peaks_from_row_to_row():
    maps = np.tile([100.0, 0.0], (3, 2, 1))
    made = both(effects=Effects(gain_drift=0.02), maps=maps)
    energy = made.model.energy
    around = (energy > 5.5) & (energy < 6.8)
    means = made.expected()[:, 0, around]
    centre = (means * energy[around]).sum(axis=1) / means.sum(axis=1)
    shift = np.diff(centre)
    np.testing.assert_allclose(shift, 0.01 * centre[1], rtol=0.05)


def test_shadowing_darkens_the_last_column():
    maps = np.tile([100.0, 0.0], (3, 5, 1))
    totals = both(effects=Effects(shadowing=0.4), maps=maps).expected().sum(axis=-1)
    np.testing.assert_allclose(totals / totals[:, :1], [[1, 0.9, 0.8, 0.7, 0.6]] * 3)


def test_dead_time_flattens_the_map():
    maps = np.array([[50.0, 0], [100, 0], [150, 0]])
    totals = both(effects=Effects(dead_time=0.5), maps=maps).expected().sum(axis=-1)
    rate = np.array([0.5, 1.0, 1.5])
    expected = rate / (1 + rate)
    np.testing.assert_allclose(totals / totals[1], expected / expected[1])


def test_hole_counts_are_there_without_a_sample():
    maps = np.array([[[0.0, 0.0], [100.0, 0.0]]])
    made = both(effects=Effects(hole_counts={"Cu": 0.1, "Mo": 0.1}), maps=maps)
    means = made.expected()[0]
    assert means[0].sum() == pytest.approx(0.2 * 60)
    assert means.sum() == pytest.approx(2 * 60)
    copper = round(8.04 / 0.02)
    assert means[0, copper] == pytest.approx(means[1, copper], rel=0.2)


def test_background_exponent_tilts_the_background():
    maps = np.array([[100.0, 0.0]])
    plain, steep = (
        both(effects=Effects(background_exponent=p), maps=maps).expected()[0]
        for p in (0, 0.5)
    )
    energy = make_model().energy
    free = [np.argmin(abs(energy - e)) for e in (3.0, 5.0)]
    ratio = steep[free] / plain[free]
    assert ratio[0] / ratio[1] == pytest.approx((5 / 3) ** 0.5, rel=1e-3)


@pytest.mark.parametrize(
    "wrong",
    [
        {"tail": -0.1},
        {"shadowing": 2},
        {"dead_time": 1},
        {"gain_drift": 1},
        {"hole_counts": {"Cu": 1.2}},
        {"hole_counts": {"Cu": -0.2}},
    ],
)
def test_effects_out_of_range(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Effects(**wrong)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"phases": [Phase("gold", {"Au": 1.0}, 19)]}, "gold contains Au"),
        ({"phases": [Phase("x", {"Fe": 1}, 8, (0.1, 0.2))]}, "or 3 numbers"),
        ({"phases": [Phase("x", {"Fe": 1}, 8, -0.1)]}, "must not be negative"),
        (
            {"phases": [Phase("x", {"Fe": 1}, 8, 0.8)], "stray": {"Cu": 0.3}},
            "leaves nothing",
        ),
        ({"stray": {"Mo": 0.1}}, r"stray_elements=\['Cu', 'Mo'\]"),
        ({"stray": {"Cu": -0.1}}, "must not be negative"),
        ({"thickness": np.ones((2, 2))}, "each of the 1 phases"),
        ({"thickness": np.full((2, 1), -0.5)}, "not negative"),
        ({"thickness": np.zeros((2, 1))}, "sample is empty"),
        ({"counts_per_pixel": -1}, "above 0"),
        ({"effects": Effects(local_absorption=True)}, "take_off_angle"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, message):
    given = {"phases": [ALLOY], "thickness": np.ones((2, 1)), **arguments}
    with pytest.raises(ValueError, match=message):
        Experiment(make_model(), **given)


# -- counts


def consistent(summed, means):
    """Whether sums of Poisson counts agree with their means, at 1 in 10^5."""
    seen = means > 5
    square = (summed - means)[seen] ** 2 / means[seen]
    low, high = chi2.ppf([1e-5, 1 - 1e-5], seen.sum())
    return low < square.sum() < high


@pytest.mark.parametrize("effects", [None, ALL_EFFECTS], ids=["plain", "all effects"])
@pytest.mark.parametrize("counts", [60, 3000], ids=["few", "many"])
def test_mean_and_variance_of_a_thousand_draws(effects, counts):
    """Photon by photon or channel by channel, the counts are Poisson."""
    made = both(counts, effects, maps=make_maps((2, 2)))
    means = made.expected().reshape(4, -1)
    rng = np.random.default_rng(5)
    total, square = np.zeros(means.shape), np.zeros(means.shape)
    for _ in range(1000):
        drawn = made.counts(rng).toarray().astype(float)
        total += drawn
        square += drawn**2
    assert consistent(total, 1000 * means)
    bright = means > 0.2
    mean = total[bright] / 1000
    variance = (square[bright] - 1000 * mean**2) / 999
    # of the sample variance of Poisson numbers
    error = np.sqrt((2 * mean**2 + mean) / 1000)
    assert np.abs((variance - mean) / error).max() < 5
    assert abs(((variance - mean) / error).mean()) < 4 / np.sqrt(bright.sum())


def test_smallest_type_and_seed():
    def draw(counts, seed=1):
        return both(counts, maps=make_maps((2, 2))).counts(seed)

    assert draw(60).dtype == np.uint8
    assert draw(3e4).dtype == np.uint16
    assert draw(3e7).dtype == np.uint32
    assert (draw(50) != draw(50)).nnz == 0
    assert (draw(50) != draw(50, seed=2)).nnz > 0


def test_counts_are_never_dense():
    maps = np.tile([60.0, 40.0], (64, 64, 1))
    made = both(20, maps=maps)
    tracemalloc.start()
    drawn = made.counts()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert drawn.shape == (4096, 500)
    assert peak < 4096 * 500


# -- data sets


def test_no_counts_are_not_the_usual_ones():
    with pytest.raises(ValueError, match="counts_per_pixel"):
        simulation.experiment("particles", counts_per_pixel=0)


def test_command_line_knows_all_data_sets():
    found = CliRunner().invoke(main, ["simulate", "--help"]).output
    assert f"{{{'|'.join(DATASETS)}}}" in found
    for name in DATASETS:
        assert f"\n  {name}  " in found


@pytest.mark.parametrize("name", DATASETS)
def test_data_sets_are_ready_to_decompose(name, tmp_path):
    s = DATASETS[name]((20, 16), counts_per_pixel=40, seed=4)
    assert s.metadata.Signal.signal_type == "EDS_espm"
    assert s.data.shape[:2] == (20, 16)
    assert s.data.mean(axis=(0, 1)).sum() == pytest.approx(40, rel=0.05)
    assert [a.units for a in s.axes_manager.navigation_axes] == ["nm", "nm"]
    made = simulation.experiment(name, (20, 16), 40)
    model = s.physical_model()
    np.testing.assert_allclose(model.G, made.model.G)

    s.save(tmp_path / "map.hspy")
    truth, again = s.ground_truth(), hs.load(tmp_path / "map.hspy").ground_truth()
    assert again.names == truth.names == tuple(phase.name for phase in made.phases)
    assert again.elements == truth.elements
    for array in ("composition", "thickness", "maps", "spectra", "density"):
        np.testing.assert_array_equal(getattr(again, array), getattr(truth, array))
    assert again.dose == truth.dose > 0
    np.testing.assert_allclose(truth.composition.sum(axis=0), 1)
    np.testing.assert_allclose(truth.maps.sum(axis=-1), 1)


def test_seed_and_lazy_give_the_same_counts():
    eager, lazy = (
        simulation.mantle((12, 10), counts_per_pixel=18, seed=3, lazy=flag)
        for flag in (False, True)
    )
    assert lazy._lazy
    assert lazy.data.dtype == eager.data.dtype
    np.testing.assert_array_equal(lazy.data.compute(), eager.data)
    other = simulation.mantle((12, 10), counts_per_pixel=18, seed=4)
    assert (other.data != eager.data).any()


def test_mantle_is_that_of_the_paper():
    made = simulation.experiment("mantle")
    assert made.shape == (128, 128)
    assert made.model.energy[[0, -1]] == pytest.approx([0.3, 20.09])
    truth = made.phases[1].composition
    assert truth["Mg"] == pytest.approx(0.522 / 1.05)
    maps = made.thickness / 100
    np.testing.assert_allclose(maps.sum(axis=-1), 1)
    assert maps[..., 1:].max() == pytest.approx(0.5, abs=1e-3)
    overlap = (maps[..., 1] > 0) & (maps[..., 2] > 0)
    assert 0 < overlap.sum() < 0.2 * (maps[..., 1] > 0).sum()
    assert made.expected()[:4].shape == (4, 128, 1980)


def test_effects_stay_unknown_to_the_metadata():
    s = simulation.particles((8, 8), effects=ALL_EFFECTS)
    assert s.physical_model().detector == Detector.preset("windowless")
    assert s.physical_model().take_off_angle == pytest.approx(22)
    eds = s.metadata.Acquisition_instrument.TEM.Detector.EDS
    assert eds.live_time / eds.real_time == pytest.approx(0.7)


def test_exposure_tells_the_dose():
    s = simulation.particles((8, 8))
    tem = s.metadata.Acquisition_instrument.TEM
    charge = tem.beam_current * 1e-9 * tem.Detector.EDS.live_time
    electrons = charge / 1.602176634e-19
    assert electrons * 0.7 / (4 * np.pi) == pytest.approx(s.ground_truth().dose)


def test_truth_of_cut_maps():
    s = simulation.particles((8, 8))
    spectra = s.ground_truth().spectra
    np.testing.assert_array_equal(
        s.isig[100:300].ground_truth().spectra, spectra[100:300]
    )
    with pytest.raises(ValueError, match=r"\(8, 4\).*\(8, 8\)"):
        s.inav[:4].ground_truth()
    with pytest.raises(ValueError, match="energy axis"):
        s.rebin(scale=(1, 1, 2)).ground_truth()


def test_truth_of_a_measured_signal_is_refused():
    with pytest.raises(ValueError, match="only simulated maps"):
        ground_truth(hs.signals.Signal1D(np.ones(5)))


def test_unknown_data_set():
    with pytest.raises(ValueError, match="particles, grain_boundary"):
        simulation.experiment("moon")


# -- bulk samples


def bulk(**options):
    return BulkModel(
        0.01 * np.arange(1600),
        15.0,
        ["O", "Si"],
        stray_elements=["Al"],
        take_off_angle=40.0,
        **options,
    )


def test_stray_lines_of_bulk_samples_have_their_share_of_the_counts():
    plain, both_of = (
        Experiment(bulk(), [SILICA], np.ones((1, 1)), 1e5, stray=stray).spectra[:, 0]
        for stray in ({}, {"Al": 0.1})
    )
    energy = bulk().energy
    aluminium = abs(energy - 1.487) < 0.1
    more = both_of[aluminium].sum() - 0.9 * plain[aluminium].sum()
    assert more == pytest.approx(0.1, rel=0.15)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"stray": {"Al": 0.99}}, "leaves nothing for its own lines"),
        ({"effects": Effects(local_absorption=True)}, "are effects of films"),
        ({"effects": Effects(background_exponent=0.1)}, "are effects of films"),
    ],
)
def test_what_bulk_samples_cannot_have(arguments, message):
    with pytest.raises(ValueError, match=message):
        Experiment(bulk(), [SILICA], np.ones((1, 1)), 1e3, **arguments)


def test_the_truth_shows_its_compositions():
    text = repr(ground_truth(simulation.particles((4, 4), 50)))
    assert text.splitlines()[0].startswith("olivine (at.%): Fe 2.9, Mg 25.7, O 57.1")
    assert len(text.splitlines()) == 3
