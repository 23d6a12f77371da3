"""Samples whose spectra differ from place to place, by mixture and by thickness."""

from contextlib import nullcontext
from dataclasses import replace

import hyperspy.api as hs
import numpy as np
import pytest
from conftest import make_map
from hypothesis import given, settings
from hypothesis import strategies as st

from espm_hs.decomposition import search, self_consistency
from espm_hs.decomposition.self_consistency import in_places, phases_in_places
from espm_hs.factorization import (
    Counts,
    Factorization,
    LostComponent,
    Problem,
    composition_covariance,
    divergence_of_fit,
    factorize,
    mixing_ranges,
)
from espm_hs.metrics import match_phases
from espm_hs.physics import SpectrumModel, mass_absorption_coefficient
from espm_hs.physics.xray.elements import atomic_weight
from espm_hs.quantification.bootstrap import _expected
from espm_hs.simulation import Effects, Experiment, Phase, record
from espm_hs.simulation.phantoms import wedge

SHAPE = (24, 24)
OXIDES = [
    Phase("Fe2O3", {"Fe": 2, "O": 3}, 5.2),
    Phase("MgO", {"Mg": 1, "O": 1}, 3.6),
]
FOIL = [
    Phase("Al2O3", {"Al": 2, "O": 3}, 3.9),
    Phase("Pt3Ni", {"Pt": 3, "Ni": 1}, 18.0),
]
pytestmark = pytest.mark.filterwarnings("ignore:The fit did not converge")


def a_model(phases, nm=100.0, density=4.0, **options):
    elements = sorted({e for phase in phases for e in phase.composition})
    return SpectrumModel(
        0.01 * np.arange(1, 1001),
        200.0,
        elements,
        take_off_angle=18.0,
        thickness=nm,
        density=density,
        **options,
    )


def experiment(phases, thickness, counts=600.0, local=True):
    """Return a measurement of which the mean mass thickness is known."""
    mass = thickness @ [phase.density for phase in phases]
    nm = thickness.sum(axis=-1).mean()
    model = a_model(phases, nm, mass.mean() / nm)
    effects = Effects(local_absorption=local)
    return Experiment(model, phases, thickness, counts, effects=effects)


def a_wedge(local=True):
    y, x = np.indices(SHAPE)
    share = ((y // 6 + x // 6) % 2).astype(float)
    shares = np.stack((share, 1 - share), axis=-1)
    thickness = wedge(SHAPE, 20, 300)[..., None] * shares
    return experiment(OXIDES, thickness, local=local)


def particles():
    y, x = np.indices(SHAPE)
    inside = np.zeros(SHAPE)
    for cy, cx in ((6, 6), (17, 9), (10, 18)):
        inside += 20 * np.sqrt(np.maximum(25.0 - (y - cy) ** 2 - (x - cx) ** 2, 0))
    return experiment(FOIL, np.stack((150 - inside, inside), axis=-1))


def decomposed(s, **options):
    usual = {"output_dimension": 2, "smoothness": 0, "n_init": 1, "binning": 1}
    quiet = {"print_info": False, "show_progressbar": False, "return_info": True}
    return s.decomposition(algorithm="espm", **usual | quiet | options)


def errors(source, s, found):
    """Largest errors of the phases, and of maps in the mean of blocks, at.%."""
    true = source.composition
    order, _ = match_phases(np.nan_to_num(found.spectra), source.spectra)
    atoms = source.thickness * [phase.atoms_per_volume for phase in source.phases]
    maps = atoms @ true.T
    maps = 100 * maps / maps.sum(axis=-1, keepdims=True)
    off = np.stack([one.data for one in s.quantify("pixels")], axis=-1) - maps
    means = off.reshape(4, 6, 4, 6, -1).mean(axis=(1, 3))
    return 100 * np.abs(found.composition[:, order] - true).max(), np.abs(means).max()


@pytest.mark.parametrize("make", [a_wedge, particles])
def test_local_absorption_is_right_where_there_is_some(make):
    source = make()
    s = record(source, 0)
    plain = decomposed(s, local_absorption=False)
    without = errors(source, s, plain)
    found = decomposed(s, local_absorption=True)
    phases, maps = errors(source, s, found)
    assert phases < without[0] / 3
    assert maps < without[1] / 3
    assert found.objective < plain.objective - 100
    assert found.misfit < plain.misfit
    # loadings are counts, as without
    total = np.nansum(found.loadings)
    np.testing.assert_allclose(total, np.asarray(s.data)[..., found.channels].sum())


def test_the_counts_say_whether_absorption_is_local():
    """It is in a wedge; it is not where all was simulated without, or is not known."""
    wedged, here = record(a_wedge(), 0), "Each place absorbs"
    asked, told = (decomposed(wedged, local_absorption=x) for x in ("auto", True))
    np.testing.assert_array_equal(asked.places, told.places)
    np.testing.assert_allclose(asked.composition, told.composition, atol=2e-3)
    assert here in str(asked)
    assert here in str(wedged.print_quantification())
    even = record(a_wedge(local=False), 0)
    plain, asked = (decomposed(even, local_absorption=x) for x in (False, "auto"))
    assert asked.places is None
    assert asked.objective == plain.objective
    assert here not in str(asked)
    del wedged.metadata.Sample.thickness
    assert decomposed(wedged).places is None


@pytest.mark.parametrize("what", ["a lost phase", "an interruption"])
def test_asking_for_places_leaves_all_as_it_was(small, monkeypatch, what):
    """Nobody asked for places: what happens there is no reason to have no result."""
    plain = decomposed(small.deepcopy(), local_absorption=False)

    def ends_early(*given, **options):
        if what == "a lost phase":
            raise LostComponent
        return replace(factorize(*given, **options), interrupted=True)

    def asked(*given):
        with monkeypatch.context() as patched:
            patched.setattr(self_consistency, "factorize", ends_early)
            return phases_in_places(*given)

    monkeypatch.setattr(search, "phases_in_places", asked)
    warned = pytest.warns(UserWarning, match="interrupted")
    with warned if what == "an interruption" else nullcontext():
        found = decomposed(small.deepcopy())
    assert found.interrupted == (what == "an interruption")
    assert found.places is None
    assert found.objective == plain.objective
    np.testing.assert_array_equal(found.W, plain.W)


@pytest.fixture(scope="module")
def small():
    return record(a_wedge(), 1)


def test_a_file_keeps_what_maps_are_made_with(small, tmp_path):
    s = small.deepcopy()
    found = decomposed(s, local_absorption=True, n_init=1)
    assert found.atoms_in_places.shape == (found.places.max() + 1, 2)
    s.save(tmp_path / "map.hspy")
    again = hs.load(tmp_path / "map.hspy")
    stored = again.analysis_results()
    np.testing.assert_array_equal(stored.atoms_in_places, found.atoms_in_places)
    for target in ("phases", "pixels"):
        for one, other in zip(s.quantify(target), again.quantify(target), strict=True):
            np.testing.assert_array_equal(one.data, other.data)
    two = {"n": 2, "show_progressbar": False}
    drawn = [
        np.stack([x.data for x in one.bootstrap_quantification(**two)])
        for one in (s, again)
    ]
    np.testing.assert_array_equal(*drawn)
    damaged = stored.to_dict() | {"atoms_in_places": np.ones((3, 5))}
    with pytest.raises(ValueError, match="damaged"):
        type(stored).from_dict(damaged)


def test_repetitions_are_drawn_from_the_spectra_of_each_place(small):
    """What is drawn has the mean of the true counts in each place, not of the map."""
    s, source = small.deepcopy(), a_wedge()
    found = decomposed(s, local_absorption=True)
    expected = _expected(found, found.loadings, SHAPE).compute()
    true = source.expected()
    kept = found.channels
    thin, thick = (np.s_[:, :4], np.s_[:, -4:])
    for here in (thin, thick):
        ours, theirs = (x[here][..., kept].sum(axis=(0, 1)) for x in (expected, true))
        low = s.axes_manager[-1].axis[kept] < 0.8  # O K, that is absorbed
        share = [x[low].sum() / x.sum() for x in (ours, theirs)]
        assert share[0] == pytest.approx(share[1], rel=0.02)
    mean = np.nan_to_num(found.spectra) @ np.nansum(found.loadings, axis=0)
    np.testing.assert_allclose(expected.sum(axis=(0, 1)), mean, rtol=2e-3, atol=1e-6)


def test_lazy_and_threads_give_the_same_bits(small):
    mask = np.zeros(SHAPE, bool)
    mask[:2, 3:9] = True
    options = {"local_absorption": True, "n_init": 1, "max_iter": 40, "binning": 2}
    options |= {"navigation_mask": mask}
    one = decomposed(small.deepcopy(), n_jobs=1, **options)
    lazy = small.as_lazy()
    for other in (
        decomposed(small.deepcopy(), n_jobs=3, **options),
        decomposed(lazy, **options),
    ):
        assert one.objective == other.objective
        for name in ("W", "loadings", "covariance", "places", "atoms_in_places"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    made = np.stack([x.data.compute() for x in lazy.quantify("pixels")])
    assert np.isnan(made[:, mask.T]).all()
    assert np.isfinite(made[:, ~mask.T]).all()


def test_an_even_sample_of_one_phase_absorbs_as_that_phase():
    s = record(experiment(OXIDES[:1], np.full((8, 8, 1), 120.0), 3000.0), 0)
    plain, local = (
        decomposed(s, output_dimension=1, local_absorption=x) for x in (False, True)
    )
    np.testing.assert_allclose(local.composition, plain.composition, atol=3e-4)
    np.testing.assert_allclose(local.objective, plain.objective, rtol=1e-4)


def test_what_cannot_be_local_is_said(small):
    s = small.deepcopy()
    with pytest.raises(
        ValueError, match="`local_absorption` must be True, False or 'auto', got 'yes'"
    ):
        decomposed(s, local_absorption="yes")
    with pytest.raises(ValueError, match="simplex='elements'"):
        decomposed(s, local_absorption=True, simplex="abundances")
    with pytest.raises(ValueError, match=r"nothing is local.*thickness=\.\.\., dens"):
        decomposed(make_map(), local_absorption=True)


def test_elements_as_phases_absorb_locally(small):
    s = small.deepcopy()
    found = decomposed(
        s, output_dimension=None, known_phases="elements", local_absorption=True
    )
    assert found.places.max() > 3


# -- the model of a place ------------------------------------------------------------


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.floats(0.0, 1.0), min_size=3, max_size=3).filter(
        lambda x: sum(x) > 0.1
    ),
    st.floats(0.0, 5.0),
)
def test_factors_of_columns(fractions, amount):
    model = a_model(FOIL[:1] + OXIDES[:1], 90.0, 5.0, stray_elements=["Cu"])
    fractions = np.array(fractions) / np.sum(fractions)
    symbols = ("Al", "Fe", "O")
    assert model.elements == symbols
    got = model.column_factors(fractions[None], np.array([amount]))[0]
    lines = model.sources().lines
    mass = {e: x * atomic_weight(e) for e, x in zip(symbols, fractions, strict=True)}
    sums = np.zeros((2, len(model.columns)))
    for energy, area, column, own in zip(
        lines.energy, lines.area, lines.column, lines.absorbed, strict=True
    ):
        mu = sum(m * mass_absorption_coefficient(e, energy) for e, m in mass.items())
        depth = mu / sum(mass.values()) * amount * 90e-7 * 5.0  # g/cm2
        chi = depth / np.sin(np.radians(18))
        share = (1 - np.exp(-chi)) / chi if own and chi > 1e-8 else 1.0
        sums[:, column] += area * share, area
    seen = sums[1] > 0
    np.testing.assert_allclose(got[seen], sums[0, seen] / sums[1, seen], rtol=1e-6)
    np.testing.assert_array_equal(got[~seen], 1.0)


def test_the_matrix_of_a_place():
    model = a_model(FOIL, composition={"Al": 2, "O": 3, "Pt": 1})
    np.testing.assert_allclose(model.G_at(model.composition, 1.0), model.G, rtol=1e-12)
    np.testing.assert_array_equal(
        model.weights, [atomic_weight(e) for e in model.elements]
    )
    there = {"Al": 1, "O": 2, "Pt": 3}
    thick = a_model(FOIL, 250.0, composition=there)
    elements = model.element_columns
    np.testing.assert_allclose(
        model.G_at(there, 2.5)[:, elements], thick.G[:, elements], rtol=1e-9
    )
    # the background is absorbed as well, and not scaled back
    none = model.G_at(there, 0.0).sum(axis=0)
    assert np.all(model.G_at(there, 2.5).sum(axis=0) < none)


# -- counts in places ----------------------------------------------------------------


@pytest.fixture(scope="module")
def example():
    rng = np.random.default_rng(0)
    G = rng.random((3, 12, 5)) + 0.05
    number = rng.integers(3, size=60)
    W = rng.dirichlet(np.ones(5), 2).T
    H = 40 * rng.random((60, 2))
    y = np.einsum("pec,ck,pk->pe", G[number], W, H)
    return G, number, W, H, rng.poisson(y), Problem(12, 2, G=G.mean(axis=0))


def fit(W, H):
    return Factorization(W, H, 0.0, np.zeros(1), 0, True)


def test_the_objective_is_that_of_the_means_of_pixels(example):
    G, number, W, H, X, problem = example
    problem, loadings, atoms = in_places(problem, fit(W, H), G, number)
    counts = Counts.from_array(X).in_places(number, 3)
    assert (counts.n_channels, counts.total) == (36, X.sum())
    y = np.einsum("pec,ck,pk->pe", G[number], W, loadings * atoms[number])
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = (y - X + np.where(X > 0, X * np.log(X / y), 0.0)).sum()
    F = divergence_of_fit(counts, problem, W, loadings)
    np.testing.assert_allclose(F, expected, rtol=1e-8)
    # the same counts of a loading in all places
    made = (G.sum(axis=1) @ W) * atoms
    np.testing.assert_allclose(made, np.broadcast_to(made[0], made.shape))
    np.testing.assert_allclose(problem.totals(problem.spectra(W)), made[0])
    D = problem.mean_of(problem.spectra(W))
    np.testing.assert_allclose(D @ loadings.sum(axis=0), y.sum(axis=0))


def test_places_that_are_alike_are_one_place(example):
    _, number, W, H, X, problem = example
    counts = Counts.from_array(X)
    one = factorize(counts, problem, init=(W, H), tol=1e-8, max_iter=300)
    split, loadings, _ = in_places(problem, one, np.stack([problem.G] * 3), number)
    apart = counts.in_places(number, 3)
    same = factorize(apart, split, init=(one.W, loadings), tol=1e-8, max_iter=300)
    np.testing.assert_allclose(same.objective, one.objective, rtol=1e-9)
    np.testing.assert_allclose(same.W, one.W, atol=1e-5)
    given = (apart, split, one.W, loadings), (counts, problem, one.W, one.H)
    for errors_of in (composition_covariance, lambda *x: [mixing_ranges(*x)]):
        for a, b in zip(*(errors_of(*x) for x in given), strict=True):
            # the draw of halves is another one
            if a.shape != W.shape:
                np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-9)
