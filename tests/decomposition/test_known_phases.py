"""What is known of phases: it holds exactly, and the others become better known."""

import copy

import hyperspy.api as hs
import numpy as np
import pytest
from conftest import ELEMENTS, FORMATS, make_map

from espm_hs import metrics, simulation
from espm_hs.decomposition.prior_knowledge import read_known_phases
from espm_hs.physics import SpectrumModel, atomic_weight

QUIET = {"algorithm": "espm", "print_info": False}
CORE = {"Fe": 0.16, "Pt": 0.84}


def percents(s, **options):
    return {q.metadata.Sample.elements[0]: q.data for q in s.quantify(**options)}


def angles(s):
    """Order of the true phases among those found, and angles to them."""
    return metrics.match_phases(s.analysis_results().spectra, s.ground_truth().spectra)


def test_a_core_known_by_name_gives_the_shell():
    s = simulation.core_shell(counts_per_pixel=40, seed=2)
    s.decomposition(
        output_dimension=3, known_phases={"core": {"composition": CORE}}, **QUIET
    )
    order, found = angles(s)
    assert order[1] == 0
    assert found.max() < 1
    percent = percents(s)
    shell = {symbol: percent[symbol][order[2]] for symbol in ("Fe", "O", "C")}
    assert shell["Fe"] / (shell["Fe"] + shell["O"]) == pytest.approx(3 / 7, abs=0.02)
    assert shell["C"] < 1
    assert percent["Fe"][0] == pytest.approx(16)
    assert s.quantify()[0].metadata.Signal.Noise_properties.variance.data[0] == 0
    entries = [one for one in s.print_quantification().entries if one.phase == 0]
    assert all(one.error == 0 and one.limit is None for one in entries)


def test_absent_elements():
    """Without this the core is found with the oxygen of the shell around it."""
    s = simulation.core_shell(counts_per_pixel=40, seed=1)
    known = {"core": {"absent": ["O", "C"]}}
    s.decomposition(output_dimension=3, known_phases=known, **QUIET)
    order, found = angles(s)
    assert order[1] == 0
    assert found.max() < 1
    percent = percents(s)
    assert percent["O"][0] == percent["C"][0] == 0
    assert percent["Fe"][0] == pytest.approx(16, abs=2)


def test_absent_elements_have_no_free_lines_either():
    s = simulation.core_shell((32, 32), counts_per_pixel=100)
    known = {"film": {"absent": ["Fe", "O", "Pt", "Cu"]}}
    s.decomposition(output_dimension=3, known_phases=known, **QUIET)
    found = s.analysis_results()
    for column, amount in zip(found.model.columns, found.W[:, 0], strict=True):
        gone = column.element in ("Fe", "O", "Pt", "Cu")
        assert (amount == 0) == gone or column.kind == "background", column
    assert percents(s)["C"][0] == pytest.approx(100)


@pytest.mark.parametrize("seed", [1, 2])
def test_ratio(seed):
    s = simulation.grain_boundary((64, 64), counts_per_pixel=12, seed=seed)
    s.decomposition(output_dimension=3, smoothness=0, **QUIET)
    before = angles(s)[1][2]
    known = {"glass": {"ratio": {"Al/Si": 0.4, "O/Si": 2.9}}}
    s.decomposition(output_dimension=3, smoothness=0, known_phases=known, **QUIET)
    order, found = angles(s)
    assert order[2] == 0
    assert found[2] < before / 2
    percent = percents(s)
    assert percent["Al"][0] == pytest.approx(0.4 * percent["Si"][0])
    assert percent["O"][0] == pytest.approx(2.9 * percent["Si"][0])


def test_errors_of_a_ratio_are_in_that_ratio():
    s = simulation.particles((24, 24), counts_per_pixel=200)
    known = {"taenite": {"ratio": {"Fe/Ni": 1.9}, "absent": ["O", "Mg", "Si"]}}
    s.decomposition(output_dimension=3, known_phases=known, **QUIET)
    found = s.analysis_results()
    iron, nickel = (found.elements.index(symbol) for symbol in ("Fe", "Ni"))
    fractions, covariance = found.composition[:, 0], found.covariance[0]
    assert fractions[iron] == pytest.approx(1.9 * fractions[nickel])
    assert covariance[iron, iron] == pytest.approx(1.9**2 * covariance[nickel, nickel])
    assert covariance[iron, nickel] == pytest.approx(1.9 * covariance[nickel, nickel])


@pytest.mark.parametrize("as_signal", [True, False])
def test_spectrum(as_signal):
    """Measured where the phase is pure, it says what the phase is made of."""
    s = simulation.particles((40, 40), counts_per_pixel=200, seed=3)
    there = s.ground_truth().maps[..., 1] > 0.99
    if as_signal:
        rows, columns = np.nonzero(there)
        part = s.inav[columns.min() + 2 : columns.max() - 1]
        spectrum = part.inav[:, rows.min() + 2 : rows.max() - 1].sum()
    else:
        spectrum = s.data[there].sum(axis=0).astype(float)
        spectrum[:5] = np.nan  # channels that are not in use
    known = {2: {"spectrum": spectrum}}
    s.decomposition(output_dimension=3, known_phases=known, **QUIET)
    order, found = angles(s)
    assert order[1] == 2
    assert found.max() < 1.5
    percent, truth = percents(s), s.ground_truth()
    for symbol, fraction in zip(truth.elements, truth.composition[:, 1], strict=True):
        assert percent[symbol][2] == pytest.approx(100 * fraction, abs=2)
    for q in s.quantify():
        assert q.metadata.Signal.Noise_properties.variance.data[2] == pytest.approx(0)


def test_the_unit_of_a_spectrum_does_not_matter():
    s = make_map((8, 8))
    spectrum = s.data[2, 3].astype(float) + 0.1
    found = []
    for unit in (1.0, 1e-6):
        known = {0: {"spectrum": unit * spectrum}}
        s.decomposition(output_dimension=3, known_phases=known, **QUIET)
        found.append(s.analysis_results().composition[:, 0])
    np.testing.assert_allclose(*found, atol=1e-7)


@pytest.mark.parametrize("simplex", ["elements", "abundances"])
@pytest.mark.parametrize("smoothness", [0, 5.0, "auto"])
@pytest.mark.parametrize("sparsity", [0, 1.0])
def test_map_holds_exactly(simplex, smoothness, sparsity):
    s = simulation.particles((30, 26), counts_per_pixel=50, seed=1)
    there = s.ground_truth().maps[..., 1:] > 0
    known = {"metal": {"map": there[..., 0]}, "oxide": {"map": there[..., 1]}}
    s.decomposition(
        output_dimension=3,
        known_phases=known,
        simplex=simplex,
        smoothness=smoothness,
        sparsity=sparsity,
        **QUIET,
    )
    order, found = angles(s)
    assert order.tolist() == [2, 0, 1]
    assert found.max() < 4
    loadings = s.learning_results.loadings.reshape(30, 26, 3)
    assert (loadings[..., :2][~there] == 0).all()
    # only there, and nearly everywhere there
    assert (loadings[..., :2][there] > 0).mean() > 0.8


def test_a_map_improves_maps_and_spectra():
    s = simulation.grain_boundary((64, 64), counts_per_pixel=12, seed=1)
    truth = s.ground_truth()
    errors = []
    for known in (None, {"glass": {"map": truth.thickness[..., 2] > 1}}):
        s.decomposition(output_dimension=3, known_phases=known, smoothness=0, **QUIET)
        order, found = angles(s)
        loadings = s.learning_results.loadings[:, order].reshape(64, 64, 3)
        errors.append([*metrics.map_errors(loadings, truth.thickness)[0], found[2]])
    assert order[2] == 0
    assert (np.array(errors[1]) < np.array(errors[0])).all()


def test_pixels_without_a_phase_are_sure_of_it():
    s = simulation.particles((20, 20), counts_per_pixel=300)
    there = s.ground_truth().maps[..., 1] > 0
    known = {"metal": {"map": there, "composition": {"Fe": 0.65, "Ni": 0.35}}}
    s.decomposition(output_dimension=3, known_phases=known, **QUIET)
    nickel = s.quantify("pixels", elements=["Ni", "O"])[0]
    variance = nickel.metadata.Signal.Noise_properties.variance.data
    olivine = s.ground_truth().maps[..., 0] > 0.99
    s.decomposition(
        output_dimension=3,
        known_phases={"metal": {"composition": {"Fe": 0.65, "Ni": 0.35}}},
        **QUIET,
    )
    before = s.quantify("pixels", elements=["Ni", "O"])[0]
    before = before.metadata.Signal.Noise_properties.variance.data
    assert variance[olivine].mean() < 0.5 * before[olivine].mean()


def test_a_binned_pixel_may_hold_what_one_of_its_pixels_may():
    s = simulation.particles((36, 36), counts_per_pixel=20)
    there = s.ground_truth().maps[..., 1] > 0
    for binning in (1, 2):
        known = {"metal": {"map": there}}
        s.decomposition(
            output_dimension=3, known_phases=known, binning=binning, **QUIET
        )
        loadings = s.learning_results.loadings[:, 0].reshape(36, 36)
        assert (loadings[~there] == 0).all()
        assert (loadings[there] > 0).mean() > 0.8
        assert angles(s)[0][1] == 0


def test_maps_and_navigation_mask():
    s = simulation.particles((24, 20), counts_per_pixel=100)
    there = s.ground_truth().maps[..., 1] > 0
    outside = np.zeros((24, 20), bool)
    outside[:, 15:] = True
    known = {"metal": {"map": hs.signals.Signal2D(there)}}
    s.decomposition(
        output_dimension=3, known_phases=known, navigation_mask=outside.T, **QUIET
    )
    loadings = s.learning_results.loadings[:, 0].reshape(24, 20)
    assert np.isnan(loadings[outside]).all()
    assert (loadings[~outside & ~there] == 0).all()
    assert (loadings[~outside & there] > 0).mean() > 0.8


@pytest.fixture(scope="module")
def found():
    s = simulation.particles((24, 24), counts_per_pixel=300, seed=1)
    s.decomposition(known_phases="elements", **QUIET)
    return s


class TestElements:
    """One component for each element: maps of elements instead of phases."""

    def test_each_component_is_one_element(self, found):
        analysis = found.analysis_results()
        names = ["Fe", "Mg", "Ni", "O", "Si", "Ti", "Cu", "background"]
        assert analysis.labels == names
        for column, row in zip(analysis.model.columns, analysis.W, strict=True):
            owner = names.index(column.element or "background")
            assert (np.delete(row, owner) == 0).all()
        for i, q in enumerate(found.quantify()):
            expected = [*(100.0 * (np.arange(6) == i)), np.nan, np.nan]
            np.testing.assert_allclose(q.data, expected, atol=1e-12)
        lines = str(found.print_quantification()).splitlines()
        assert sum(line.startswith(("Cu", "background")) for line in lines) == 0

    def test_maps_are_the_composition_of_the_pixels(self, found):
        truth = found.ground_truth()
        symbols = truth.elements
        mass = np.array([atomic_weight(symbol) for symbol in symbols])
        atoms = truth.thickness * truth.density / (mass @ truth.composition)
        expected = atoms @ truth.composition.T
        expected *= 100 / expected.sum(axis=-1, keepdims=True)
        for symbol, q in percents(found, target="pixels").items():
            error = q - expected[..., symbols.index(symbol)]
            assert np.sqrt((error**2).mean()) < 4, symbol
            assert abs(error.mean()) < 1, symbol

    def test_all_absorb_alike(self, found):
        assert np.ptp(found.analysis_results().G, axis=0).max() == 0

    def test_no_sparsity_unless_asked_for(self, found):
        assert found.metadata.EDS_espm.results.options.sparsity == 0
        assert found.analysis_results().n_starts == 1

    def test_other_numbers_of_components(self, found):
        with pytest.raises(ValueError, match="makes 8 components: Fe, Mg, Ni"):
            found.decomposition(known_phases="elements", output_dimension=3, **QUIET)
        with pytest.raises(ValueError, match="fixed_composition"):
            found.decomposition(
                known_phases="elements", fixed_composition={0: {"Fe": 1.0}}, **QUIET
            )


def test_a_phase_of_stray_elements_and_background_alone():
    s = make_map((8, 8))
    known = {"holder": {"absent": ELEMENTS}}
    s.decomposition(output_dimension=3, known_phases=known, **QUIET)
    found = s.analysis_results()
    assert (found.composition[:, 0] == 0).all()
    assert "of the counts, none of the elements\n" in str(found)
    assert np.isfinite(s.quantify("pixels")[0].data).all()
    # it has no row in the table; that others differ from it is said below
    lines = str(s.print_quantification()).splitlines()
    assert not any(line.startswith("holder") for line in lines)


def test_known_phases_keep_their_number_and_the_others_are_sorted():
    s = simulation.particles((30, 30), counts_per_pixel=100)
    known = {1: {"composition": {"Fe": 0.65, "Ni": 0.35}}}
    s.decomposition(output_dimension=3, known_phases=known, **QUIET)
    assert angles(s)[0].tolist() == [0, 1, 2]
    counts = s.learning_results.loadings.sum(axis=0)
    assert counts[0] > counts[2]


def test_names_take_the_numbers_that_are_left():
    s = make_map((8, 8))
    known = {
        "metal": {"absent": ["Si", "Ti"]},
        0: {"absent": ["Fe"]},
        "oxide": {"absent": ["Ni"]},
    }
    s.decomposition(output_dimension=4, known_phases=known, **QUIET)
    labels = ["phase 0", "metal", "oxide", "phase 3"]
    assert s.analysis_results().labels == labels
    assert percents(s)["Fe"][0] == percents(s)["Si"][1] == percents(s)["Ni"][2] == 0


def test_names_are_shown():
    s = make_map((8, 8))
    known = {"iron": {"composition": {"Fe": 0.7, "Ni": 0.3}}}
    s.decomposition(output_dimension=3, known_phases=known, **QUIET)
    assert "known phases: 0 iron" in str(s.analysis_results())
    table = str(s.print_quantification())
    assert "\n iron " in table
    assert "\n 1 " in table
    titles = [axes.get_title(loc="left") for axes in s.plot_phases().axes]
    assert [title for title in titles if title] == ["iron", "Phase 1", "Phase 2"]
    legend = s.plot_fit().legends[0].get_texts()
    assert {"iron", "phase 1"} <= {text.get_text() for text in legend}


def test_fixed_composition_is_the_same_as_composition():
    s = make_map((8, 8))
    fractions = {"Fe": 0.7, "Ni": 0.3}
    found = []
    for options in (
        {"fixed_composition": {0: fractions}},
        {"known_phases": {0: {"composition": fractions}}},
        {"known_phases": {"alloy": {"composition": fractions}}},
    ):
        s.decomposition(output_dimension=3, **options, **QUIET)
        found.append(s.analysis_results().W)
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


@pytest.mark.parametrize("extension", FORMATS)
def test_what_was_known_survives_a_file(tmp_path, extension):
    s = make_map((9, 7), counts_per_pixel=500)
    known = {
        "metal / alloy": {"ratio": {"Fe/Ni": 7 / 3}, "absent": ["Si"]},
        2: {"map": np.arange(63).reshape(9, 7) > 20},
        "oxide": {"spectrum": s.data[3, 2] + 0.5},
    }
    s.decomposition(output_dimension=4, known_phases=known, **QUIET)
    s.save(tmp_path / f"map.{extension}")
    loaded = hs.load(tmp_path / f"map.{extension}")
    labels = ["metal / alloy", "oxide", "phase 2", "phase 3"]
    assert loaded.analysis_results().labels == labels
    ours, theirs = s.analysis_results().knowledge, loaded.analysis_results().knowledge
    for name in ("fixed", "ties", "support"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
    assert "Fe/Ni" in loaded.metadata.EDS_espm.results.options.known_phases
    repeated = (
        one.bootstrap_quantification(2, show_progressbar=False) for one in (s, loaded)
    )
    data = {}
    for ours, theirs in zip(*repeated, strict=True):
        np.testing.assert_array_equal(ours.data, theirs.data)
        data[ours.metadata.Sample.elements[0]] = ours.data
    iron, nickel, silicon = (data[symbol] for symbol in ("Fe", "Ni", "Si"))
    np.testing.assert_allclose(iron[0], 7 / 3 * nickel[0])
    assert (silicon[0] == 0).all()


@pytest.mark.parametrize("with_H", [True, False])
def test_going_on_with_more_knowledge(with_H):
    """A start that contradicts what is known is brought into line."""
    s = simulation.particles((24, 24), counts_per_pixel=100)
    truth = s.ground_truth()
    if with_H:
        s.decomposition(output_dimension=3, **QUIET)
        order = angles(s)[0]
        metal, oxide = int(order[1]), int(order[2])
        start = "previous"
    else:
        metal, oxide = 1, 2
        found = np.zeros((14, 3))
        found[:6], found[6:] = truth.composition, 0.1
        # nothing of what the metal is made of
        found[[0, 2], 1], found[3, 1] = 0.0, 1.0
        start = (found, None)
    known = {
        metal: {"absent": ["O", "Mg", "Si", "Ti"], "map": truth.maps[..., 1] > 0},
        oxide: {"ratio": {"O/Ti": 3.0}},
    }
    number = {} if with_H else {"output_dimension": 3}
    s.decomposition(init=start, known_phases=known, **number, **QUIET)
    percent = percents(s)
    assert percent["O"][metal] == percent["Mg"][metal] == 0
    assert percent["Ni"][metal] == pytest.approx(35, abs=5)
    assert percent["O"][oxide] == pytest.approx(3 * percent["Ti"][oxide])
    loadings = s.learning_results.loadings[:, metal].reshape(24, 24)
    assert (loadings[truth.maps[..., 1] == 0] == 0).all()


def test_lazy(tmp_path):
    s = simulation.particles((20, 20), counts_per_pixel=100)
    there = s.ground_truth().maps[..., 1] > 0
    known = {"metal": {"map": there}, "oxide": {"spectrum": s.inav[14, 13]}}
    s.decomposition(output_dimension=3, known_phases=known, **QUIET)
    lazy = s.as_lazy()
    known["metal"]["map"] = hs.signals.Signal2D(there).as_lazy()
    known["oxide"]["spectrum"] = lazy.inav[14, 13]
    lazy.decomposition(output_dimension=3, known_phases=known, **QUIET)
    np.testing.assert_array_equal(lazy.analysis_results().W, s.analysis_results().W)


MODEL = SpectrumModel(
    -0.1 + 0.02 * np.arange(500), 200.0, ELEMENTS, stray_elements=["Cu"]
)


def read(known, n_phases=3, **options):
    return read_known_phases(
        known,
        options.get("fixed"),
        options.get("model", MODEL),
        n_phases,
        navigation=(5, 4),
        pixels=options.get("pixels"),
        channels=MODEL.channels,
    )


def test_ratios_that_hang_together():
    """Fe : Ni : O : Si = 6 : 3 : 2 : 1, said in any order."""
    amounts = {"Fe": 6.0, "Ni": 3.0, "O": 2.0, "Si": 1.0}
    for pairs in (
        ["Fe/Ni", "Ni/O", "O/Si"],
        ["Si/Fe", "O/Ni", "Ni/Fe"],
        ["Fe/Ni", "O/Si", "Si/Ni"],
    ):
        ratios = {
            pair: np.divide(*(amounts[x] for x in pair.split("/"))) for pair in pairs
        }
        ties = read({0: {"ratio": ratios}}).ties[0][:5, :5]
        lead = int(np.flatnonzero(ties[0])[0])
        np.testing.assert_allclose(
            ties[:4, lead] / ties[3, lead], [amounts[x] for x in ELEMENTS[:4]]
        )
        assert ties[4, 4] == ties[lead, lead] == 1
        assert (ties > 0).sum() == 5


def test_rounded_fractions_are_the_whole():
    known = read({0: {"composition": {"Fe": 0.1, "Ni": 0.2, "O": 0.7}}})
    rows = MODEL.element_columns
    assert known.fixed[rows, 0].sum() == pytest.approx(1, abs=1e-12)
    assert known.fixed[rows, 0].tolist()[-2:] == [0, 0]
    # nor has it free lines of what it does not contain; stray ones it may have
    for column, fixed in zip(MODEL.columns, known.fixed[:, 0], strict=True):
        if column.element == "Ti":
            assert fixed == 0
        if column.kind in ("stray", "background"):
            assert np.isnan(fixed)


HALF = np.arange(20).reshape(5, 4) < 10
SPECTRUM = np.ones(500)


@pytest.mark.parametrize(
    ("known", "message"),
    [
        (["core"], "must be a mapping such as .*or 'elements'"),
        ("element", "must be a mapping such as .*or 'elements'"),
        ({0: ["Fe"]}, r"`known_phases\[0\]` must be a mapping"),
        ({"core": {}}, r"`known_phases\['core'\]` says nothing.*absent, composition"),
        ({"core": {"mask": HALF}}, "has 'mask'; needed is any of absent"),
        ({5: {"absent": ["Fe"]}}, "names phase 5, but the phases are 0 to 2"),
        ({-1: {"absent": ["Fe"]}}, "names phase -1"),
        ({True: {"absent": ["Fe"]}}, "True; needed is a phase number or a name"),
        ({1.0: {"absent": ["Fe"]}}, "1.0; needed is a phase number or a name"),
        ({"1": {"absent": ["Fe"]}}, "A name has letters"),
        ({" ": {"absent": ["Fe"]}}, "A name has letters"),
        (
            {"Core": {"absent": ["Fe"]}, "core ": {"absent": ["O"]}},
            "two phases of the name 'core'",
        ),
        (
            {x: {"absent": ["Fe"]} for x in "abcd"},
            "about 4 phases, but `output_dimension` is 3",
        ),
        ({0: {"absent": "Fe"}}, r"`known_phases\[0\]\['absent'\]` must be a list"),
        ({0: {"absent": ["Au"]}}, r"'Au', which is not .*s.add_elements\(\['Au'\]\)"),
        ({0: {"absent": [*ELEMENTS], "composition": {"Fe": 0.0}}}, None),
        ({0: {"composition": ["Fe"]}}, "must map elements to atomic fractions"),
        ({0: {"composition": {"Au": 0.1}}}, r"s.add_elements\(\['Au'\]\)"),
        ({0: {"composition": {"Cu": 0.1}}}, "'Cu', which is not among the elements"),
        ({0: {"composition": {"Fe": 1.2}}}, "fraction 1.2; it must be between 0 and 1"),
        ({0: {"composition": {"Fe": -0.2}}}, "between 0 and 1"),
        ({0: {"composition": {"Fe": "much"}}}, "between 0 and 1"),
        ({0: {"composition": {"Fe": np.nan}}}, "between 0 and 1"),
        ({0: {"composition": {"Fe": 0.7, "O": 0.7}}}, "add up to 1.4"),
        (
            {0: {"composition": dict.fromkeys(ELEMENTS, 0.1)}},
            "add up to 0.5, and no element is left",
        ),
        (
            {0: {"composition": {"Fe": 0.5}, "absent": ["O", "Ni", "Si", "Ti"]}},
            "add up to 0.5, and no element is left",
        ),
        (
            {"a": {"composition": {"Fe": 0.5}, "absent": ["Fe"]}},
            r"\['absent'\]` has Fe, but .*\['composition'\]` says that it makes 0.5",
        ),
        ({0: {"ratio": ("Fe", "O", 2)}}, "must map pairs of elements"),
        ({0: {"ratio": {}}}, "must map pairs of elements"),
        ({0: {"ratio": {"Fe": 2}}}, "has 'Fe'; needed is a pair such as {'Fe/O'"),
        ({0: {"ratio": {("Fe", "O"): 2}}}, "needed is a pair such as {'Fe/O'"),
        ({0: {"ratio": {"Fe/Au": 2}}}, r"s.add_elements\(\['Au'\]\)"),
        ({0: {"ratio": {"Fe/Fe": 1}}}, "the ratio of an element to itself"),
        ({0: {"ratio": {"Fe/O": 0}}}, "must be a number above 0.*'absent'"),
        ({0: {"ratio": {"Fe/O": np.inf}}}, "must be a number above 0"),
        ({0: {"ratio": {"Fe/O": 1, "O/Fe": 1}}}, "'O/Fe' follows from the others"),
        (
            {0: {"ratio": {"Fe/O": 1, "O/Si": 2, "Fe/Si": 3}}},
            "'Fe/Si' follows from the others",
        ),
        (
            {0: {"ratio": {"Fe/O": 1}, "absent": ["Fe"]}},
            "is about Fe, of which the amount in this phase is known already",
        ),
        (
            {0: {"ratio": {"Si/O": 1}, "composition": {"Fe": 0.5, "Ni": 0.5}}},
            "is about Si, of which",
        ),
        ({0: {"spectrum": np.ones(7)}}, r"shape \(7,\); needed .* \(500,\)"),
        ({0: {"spectrum": "pure"}}, "needed are numbers of shape"),
        ({0: {"spectrum": -SPECTRUM}}, "not negative"),
        ({0: {"spectrum": 0 * SPECTRUM}}, "not all zero"),
        ({0: {"spectrum": np.nan * SPECTRUM}}, "finite"),
        (
            {"a": {"spectrum": SPECTRUM, "absent": ["Fe"], "ratio": {"O/Si": 1}}},
            "says all of the composition. Leave out absent and ratio",
        ),
        ({0: {"map": HALF.T}}, r"shape \(4, 5\); needed is \(5, 4\).* transposed"),
        ({0: {"map": HALF[:3]}}, r"shape \(3, 4\); needed is \(5, 4\)"),
        ({0: {"map": HALF.astype(int)}}, "of type int64; needed is True where"),
        ({0: {"map": HALF & ~HALF}}, "True in none of the pixels in use"),
        ({j: {"map": HALF} for j in range(3)}, "10 pixels hold no phase at all"),
    ],
)
def test_what_makes_no_sense(known, message):
    if message is None:
        read(known)
        return
    with pytest.raises((ValueError, TypeError), match=message):
        read(known)


def test_without_a_background_there_is_nothing_beside_the_elements():
    bare = MODEL.replace(background=False, stray_elements=[])
    known = {0: {"absent": ELEMENTS}}
    read(known)
    with pytest.raises(ValueError, match="leaves nothing that the phase could be made"):
        read(known, model=bare)


def test_a_map_that_is_masked_away():
    with pytest.raises(ValueError, match="none of the pixels in use"):
        read({0: {"map": HALF}}, pixels=~HALF.ravel())


def test_two_arguments_about_one_phase():
    with pytest.raises(ValueError, match="in `known_phases` and in `fixed_comp"):
        read({0: {"absent": ["Fe"]}}, fixed={0: {"O": 0.5}})
    both = read({0: {"absent": ["Fe"]}}, fixed={1: {"O": 0.5}})
    assert np.nansum(both.fixed) == 0.5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scale": 0.01}, "has 500 channels of 0.01 keV from -0.1 keV, the map 500"),
        ({"offset": 0.3}, "from 0.3 keV"),
        ({"units": "eV"}, "of 0.02 eV"),
    ],
)
def test_a_spectrum_on_another_axis(change, message):
    s = make_map((4, 4))
    spectrum = s.sum()
    for name, value in change.items():
        setattr(spectrum.axes_manager[-1], name, value)
    metadata = copy.deepcopy(s.metadata.as_dictionary())
    known = {"a": {"spectrum": spectrum}}
    with pytest.raises(ValueError, match=message):
        s.decomposition(output_dimension=2, known_phases=known, **QUIET)
    with pytest.raises(ValueError, match=r"\['a'\]\['spectrum'\]` holds 16 spectra"):
        s.decomposition(
            output_dimension=2, known_phases={"a": {"spectrum": s}}, **QUIET
        )
    assert s.learning_results.loadings is None
    assert str(s.metadata.as_dictionary()) == str(metadata)


def test_a_spectrum_of_fewer_channels():
    s = make_map((4, 4))
    known = {"a": {"spectrum": s.sum().isig[:400]}}
    with pytest.raises(ValueError, match=r"has 400 channels of 0\.02 keV"):
        s.decomposition(output_dimension=2, known_phases=known, **QUIET)
