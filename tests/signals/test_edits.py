"""Phases renamed, reordered, merged, dropped and split off by hand."""

import warnings

import hyperspy.api as hs
import numpy as np
import pytest
from test_input import state

from espm_hs import PhaseWarning, simulation
from espm_hs.factorization.matching import match_phases

QUIET = {"print_info": False, "show_progressbar": False}
SHAPE = (24, 20)


def decompose(s, **options):
    usual = {"output_dimension": 3, "n_init": 1}
    s.decomposition(algorithm="espm", **QUIET, **usual | options)
    return s


@pytest.fixture(scope="module")
def decomposed():
    return decompose(simulation.particles(SHAPE, counts_per_pixel=100))


@pytest.fixture
def s(decomposed):
    return decomposed.deepcopy()


def loadings(s):
    return s.learning_results.loadings


def percent(s):
    return np.array([one.data for one in s.quantify()])


def variances(s):
    return np.array([one.get_noise_variance().data for one in s.quantify()])


def parts(s):
    """Phases of the truth that those of the result are, by number."""
    found, known = s.analysis_results(), s.ground_truth()
    used = found.channels
    order, angles = match_phases(found.spectra[used], known.spectra[used])
    return order, angles


def test_names_are_shown_and_kept(s, tmp_path):
    s.rename_phases({0: "olivine", 2: "oxide"})
    assert s.analysis_results().labels == ["olivine", "phase 1", "oxide"]
    s.rename_phases({"phase 1": "metal", "oxide": ""})
    found = s.analysis_results()
    assert found.labels == ["olivine", "metal", "phase 2"]
    assert found.edits == (
        "renamed phase 0 to olivine, phase 2 to oxide",
        "renamed phase 1 to metal, oxide to phase 2",
    )
    assert "renamed phase 0 to olivine" in str(found)
    s.save(tmp_path / "map.hspy")
    loaded = hs.load(tmp_path / "map.hspy")
    assert loaded.analysis_results().labels == found.labels
    assert loaded.analysis_results().edits == found.edits
    table = loaded.print_quantification()
    assert table.names == ("olivine", "metal", "2")
    assert any("renamed phase 0 to olivine" in one for one in table.remarks)
    assert "olivine" in loaded.plot_phases().axes[0].get_title(loc="left")
    assert loaded.phase_map().names == ("olivine", "metal", "phase 2")
    decompose(loaded, init="previous", output_dimension=None)
    again = loaded.analysis_results()
    assert again.labels == found.labels
    assert again.edits == (*found.edits, "fitted again")


def test_names_of_a_fit_go_before_those_of_the_last(s):
    s.rename_phases({0: "olivine", 1: "metal"})
    known = {"Metal": {"absent": ["Si"]}}
    decompose(s, init="previous", known_phases=known)
    # phase 1 would have the name of phase 0
    assert s.analysis_results().labels == ["Metal", "phase 1", "phase 2"]


def test_names_change_nothing_else(s):
    before, maps = percent(s), loadings(s).copy()
    s.rename_phases({1: "metal"})
    np.testing.assert_array_equal(percent(s), before)
    np.testing.assert_array_equal(loadings(s), maps)
    edits = s.analysis_results().edits
    s.rename_phases({1: "metal"})  # the same again is no edit
    assert s.analysis_results().edits == edits


def test_one_way_of_renaming(s):
    s.identify_phases(rename=True)
    found = s.analysis_results()
    assert "olivine" in found.knowledge.names
    assert found.edits[-1].startswith("renamed phase")
    s.rename_phases({"olivine": "mine"})
    s.identify_phases(rename=True)  # names that were given stay
    assert "mine" in s.analysis_results().labels


def test_reordered_phases_are_the_same(s):
    s.rename_phases({0: "a"})
    before, spread, maps = percent(s), variances(s), loadings(s).copy()
    pixels = [one.data for one in s.quantify("pixels")]
    s.reorder_phases([2, "a", 1])
    np.testing.assert_array_equal(percent(s), before[:, [2, 0, 1]])
    np.testing.assert_allclose(variances(s), spread[:, [2, 0, 1]])
    np.testing.assert_array_equal(loadings(s), maps[:, [2, 0, 1]])
    np.testing.assert_allclose([one.data for one in s.quantify("pixels")], pixels)
    found = s.analysis_results()
    assert found.labels == ["phase 0", "a", "phase 2"]
    assert found.edits[-1] == "reordered as phase 2, a, phase 1"
    s.print_quantification()


def test_two_halves_of_a_phase_are_merged_to_the_whole(decomposed):
    """A phase that two share, by halves of the map, is what three phases find."""
    s = decomposed.deepcopy()
    left = np.zeros(SHAPE, bool)
    left[:, :10] = True
    olivine = int(parts(s)[0][0])
    maps = {j: np.ones(SHAPE, bool) for j in range(4)}
    maps[0], maps[3] = left, ~left
    found = s.analysis_results()
    order = [olivine, *(j for j in range(3) if j != olivine), olivine]
    known = {j: {"map": maps[j]} for j in (0, 3)}
    start = np.maximum(found.W[:, order], 1e-9)
    decompose(s, output_dimension=4, known_phases=known, init=(start, None))
    model = s.get_decomposition_model().data
    s.merge_phases([0, 3], name="olivine")
    merged = s.analysis_results()
    assert (merged.n_phases, merged.labels[0]) == (3, "olivine")
    expected = percent(decomposed)[:, order[:3]]
    np.testing.assert_allclose(percent(s), expected, atol=1.5)
    error = np.sqrt(variances(s)) + np.sqrt(variances(decomposed)[:, order[:3]])
    assert (np.abs(percent(s) - expected) < 3 * error + 0.2).all()
    # what the map looks like stays
    again = s.get_decomposition_model().data
    assert np.nansum(np.abs(again - model)) < 0.02 * np.nansum(model)
    total = merged.counts.sum()
    assert total == pytest.approx(np.nansum(loadings(s)), rel=0.02)


def test_a_merged_phase_is_the_mean_of_its_parts(s):
    found = s.analysis_results()
    totals = loadings(s).sum(axis=0)
    maps = loadings(s).copy()
    s.merge_phases(["phase 1", 2])
    merged = s.analysis_results()
    atoms = (totals * found.atoms)[1:]
    composition = found.composition[:, 1:] @ atoms / atoms.sum()
    np.testing.assert_allclose(merged.composition[:, 1], composition, atol=1e-12)
    spectrum = found.spectra[:, 1:] @ totals[1:] / totals[1:].sum()
    np.testing.assert_allclose(merged.spectra[:, 1], spectrum)
    np.testing.assert_array_equal(loadings(s), [[a, b + c] for a, b, c in maps])
    assert merged.atoms[1] * totals[1:].sum() == pytest.approx(atoms.sum())
    assert merged.edits == ("merged phase 1, phase 2",)
    # moved by what is not known as much as its parts are
    moved = found.unknowns.responses * found.composition
    expected = moved[..., 1:] @ atoms / atoms.sum()
    found_moved = merged.unknowns.responses[..., 1] * merged.composition[:, 1]
    np.testing.assert_allclose(found_moved, expected, atol=1e-12)
    s.print_quantification()
    s.plot_phases()


def test_a_merged_phase_is_fitted_again(s):
    merged = s.deepcopy()
    merged.merge_phases([1, 2])
    s.merge_phases([1, 2], refit=True)
    found = s.analysis_results()
    assert found.edits == ("merged phase 1, phase 2", "fitted again")
    assert found.n_phases == 2
    expected = decompose(
        merged, output_dimension=2, init="previous", separation=False,
        calibration="never", local_absorption=False,
    )  # fmt: skip
    np.testing.assert_allclose(percent(s), percent(expected), atol=0.5)


def test_a_dropped_phase_leaves_its_counts_to_the_others(s):
    counts = s.data[..., s.analysis_results().channels].sum()
    kept = percent(s)[:, [0, 2]]
    s.drop_phases([1])
    found = s.analysis_results()
    assert (found.n_phases, found.edits) == (2, ("dropped phase 1",))
    np.testing.assert_allclose(percent(s), kept)
    assert np.nansum(loadings(s)) == pytest.approx(counts, rel=0.02)
    assert found.misfit > 2
    s.quantify("pixels")


def test_a_region_becomes_a_phase(s):
    """A particle that two phases had to hide comes back."""
    order, _ = parts(s)
    ilmenite = int(order[2])
    known = s.ground_truth()
    shares = known.thickness / known.thickness.sum(axis=-1, keepdims=True)
    before = percent(s)[:, order]
    s.drop_phases([ilmenite])
    bad = s.analysis_results().misfit
    s.split_phase(shares[..., 2] > 0.99, name="ilmenite")
    found = s.analysis_results()
    assert found.labels[-1] == "ilmenite"
    assert found.edits[-1] == "split ilmenite off"
    assert found.misfit < bad / 2
    new, angles = parts(s)
    assert new[2] == 2
    assert angles[2] < 8
    np.testing.assert_allclose(percent(s)[:, 2], before[:, 2], atol=3)
    r = np.corrcoef(loadings(s)[:, 2], shares[..., 2].ravel())[0, 1]
    assert r > 0.95
    s.print_quantification()
    s.rename_phases({0: "a"})
    s.merge_phases([0, 1])
    s.split_phase(shares[..., 1] > 0.99, refit=True)
    assert s.analysis_results().edits[-1] == "fitted again"
    assert s.analysis_results().n_phases == 3


def test_masks_stay(s):
    mask = np.zeros(SHAPE, bool)
    mask[:3] = True
    decompose(s, navigation_mask=hs.signals.Signal2D(mask).T)
    for edit in (
        lambda: s.reorder_phases([1, 0, 2]),
        lambda: s.merge_phases([0, 2]),
        lambda: s.drop_phases([1]),
    ):
        edit()
        out = np.isnan(loadings(s)[:, 0]).reshape(SHAPE)
        np.testing.assert_array_equal(out, mask)
        np.testing.assert_array_equal(s.learning_results.navigation_mask, mask)


def test_lazy_maps_are_edited_too(s):
    lazy = s.as_lazy()
    lazy.drop_phases([1])
    s.drop_phases([1])
    np.testing.assert_allclose(loadings(lazy), loadings(s), rtol=1e-6)


def test_local_absorption_is_kept(s):
    decompose(s, local_absorption=True)
    pixels = [one.data for one in s.quantify("pixels")]
    s.reorder_phases([2, 1, 0])
    np.testing.assert_allclose([one.data for one in s.quantify("pixels")], pixels)
    s.merge_phases([0, 1])
    s.quantify("pixels")


def test_a_part_of_the_map_is_renamed_only(s):
    part = s.inav[:5, :5]
    part.rename_phases({0: "a"})
    assert part.analysis_results().labels[0] == "a"
    part.reorder_phases([1, 0, 2])
    assert part.analysis_results().labels[1] == "a"
    with pytest.raises(RuntimeError, match="maps of the phases"):
        part.merge_phases([0, 1])


@pytest.mark.parametrize(
    ("method", "arguments", "message"),
    [
        ("rename_phases", ({3: "a"},), "names phase 3"),
        ("rename_phases", ({0: "7"},), "A name has letters"),
        ("rename_phases", ({0: "a", 1: "A"},), "two phases of the name"),
        ("rename_phases", ({0: 7},), "needed is a text"),
        ("rename_phases", (["a"],), "must map"),
        ("merge_phases", ([0],), "2 or more"),
        ("merge_phases", ([0, 0],), "2 or more"),
        ("merge_phases", (3,), "2 or more"),
        ("merge_phases", ([0, 1], None, 1), "`refit` must be"),
        ("merge_phases", ([0, 1], 7), "needed is a text"),
        ("reorder_phases", ([0, 1],), "there are 3"),
        ("drop_phases", ([0, 1, 2],), "one has to be left"),
        ("drop_phases", (["x"],), "names phase 'x'"),
        ("split_phase", (np.zeros(SHAPE, bool),), "has no pixel"),
        ("split_phase", (None,), "`region` is None; needed is a part of the map"),
        ("split_phase", ({"a": np.ones(SHAPE, bool), "b": np.ones(SHAPE, bool)},),
         "holds 2 regions"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_changes_nothing(s, method, arguments, message):
    before = state(s)
    with pytest.raises((ValueError, TypeError), match=message):
        getattr(s, method)(*arguments)
    assert state(s) == before


# -- names that do not fit -----------------------------------------------------------


METAL = {"Fe": 0.65, "Ni": 0.35}


def olivine_alone(s):
    known = s.ground_truth()
    shares = known.thickness / known.thickness.sum(axis=-1, keepdims=True)
    return shares[..., 0] > 0.99


def test_a_name_on_another_phase_is_told(s):
    """A composition that was given for pixels of another phase."""
    said = {"metal": {"composition": METAL, "map": olivine_alone(s)}}
    with pytest.warns(PhaseWarning, match=r"'metal' is nowhere, and phase \d, with Fe"):
        decompose(s, known_phases=said)


def test_a_name_that_is_somewhere_else_is_told(s):
    """Pixels that have to be a phase by its map, and are another one."""
    olivine = olivine_alone(s)
    said = {
        "oxide": {"absent": ["Mg", "Si"], "map": olivine},
        "others": {"map": ~olivine},
        "more": {"map": ~olivine},
    }
    with pytest.warns(PhaseWarning, match=r"'oxide' should have Mg 0, Si 0 at.%.*O 5"):
        decompose(s, known_phases=said)


@pytest.mark.parametrize(
    "said",
    [
        {"composition": METAL},
        {"absent": ["Si"], "ratio": {"Fe/Ni": 65 / 35}},
        {"absent": ["Si", "Mg", "Ti", "O"]},
    ],
)
def test_a_name_on_its_own_phase_is_not(s, said):
    with warnings.catch_warnings():
        warnings.simplefilter("error", PhaseWarning)
        decompose(s, known_phases={"metal": said})


def test_elements_are_split_by_no_region():
    s = simulation.particles((12, 10), counts_per_pixel=100)
    decompose(s, output_dimension=None, known_phases="elements")
    before = state(s)
    with pytest.raises(ValueError, match="The components are elements, and a region"):
        s.split_phase(np.eye(12, 10, dtype=bool))
    assert state(s) == before


def test_a_region_without_counts_is_no_phase(s):
    s.data[:2, :2] = 0
    decompose(s)
    empty = np.zeros(SHAPE, bool)
    empty[:2, :2] = True
    before = state(s)
    with pytest.raises(ValueError, match="There are no counts in `region`"):
        s.split_phase(empty)
    assert state(s) == before


def test_a_phase_that_is_split_off_may_be_anywhere(s):
    """Others keep the places that were given for them."""
    left = np.zeros(SHAPE, bool)
    left[:, :10] = True
    decompose(s, known_phases={"here": {"map": left}})
    s.split_phase(~left & (np.indices(SHAPE)[0] < 6), name="new", refit=False)
    support = s.analysis_results().knowledge.support
    assert support.shape == (left.size, 4)
    np.testing.assert_array_equal(support[:, 0].reshape(SHAPE), left)
    assert support[:, 1:].all()


def test_a_chosen_smoothness_stays_as_it_is(s):
    decompose(s, smoothness=0.3)
    s.drop_phases([1])
    assert s.analysis_results().smoothness.tolist() == [0.3, 0.3]
