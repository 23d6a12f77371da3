"""Names for phases and regions of signals."""

from dataclasses import replace

import hyperspy.api as hs
import numpy as np
import pytest

from espm_hs import simulation
from espm_hs.compounds.identification import Match
from espm_hs.physics import SpectrumModel
from espm_hs.quantification.percent_with_errors import Basis, to_percent
from espm_hs.quantification.phase_names import (
    Choice,
    PhaseNames,
    known_from_database,
    name_phases,
    of_phases,
    of_regions,
)
from espm_hs.quantification.report import report

PHASES = {"olivine", "ilmenite series", "FeNi"}


@pytest.fixture(scope="module")
def decomposed():
    s = simulation.particles(shape=(20, 20), counts_per_pixel=150)
    s.decomposition(
        algorithm="espm", output_dimension=3, n_init=1, print_info=False,
        show_progressbar=False,
    )  # fmt: skip
    return s


@pytest.fixture
def s(decomposed):
    return decomposed.deepcopy()


def test_phases_of_a_simulation_are_named(s):
    found = s.identify_phases()
    assert {some[0].name for some in found.matches} == PHASES
    (olivine,) = (x[0] for x in found.matches if x[0].name == "olivine")
    label, value, error = olivine.position[0]
    assert (label, olivine.probability > 0.9) == ("Fo", True)
    assert abs(value - 90) < 3 * error + 1
    assert "wadsleyite" in olivine.names
    for text in (str(found), found._repr_html_()):
        assert "olivine, Fo 9" in text
        assert "H, Li, Be" in text
        assert "Simplest formulas" in text
    frame = found.to_dataframe()
    assert set(frame.phase) == set(found.labels)
    assert frame.groupby("phase").probability.sum().to_numpy() == pytest.approx(1)


def test_errors_are_those_of_the_report(s):
    analysis = s.analysis_results()
    percent, covariance = of_phases(analysis, Basis())
    _, expected, _ = to_percent(analysis)
    assert pytest.approx(expected) == percent.T
    errors = {(x.phase, x.element): x.error for x in report(analysis).entries}
    for j in range(3):
        for i, element in enumerate(analysis.elements):
            error = np.sqrt(covariance[j, i, i])
            assert error == pytest.approx(errors[j, element], rel=1e-6, abs=1e-9)
    # what is closed has no error along the sum
    assert np.abs(covariance.sum(axis=1)).max() < 1e-6


def test_a_phase_that_may_be_mixed_may_have_another_name(s):
    """The metal holds nothing of others, unless the counts leave that open."""
    analysis = s.analysis_results()
    names = name_phases(analysis, Choice())
    metal = next(j for j, x in enumerate(names.matches) if x[0].name == "FeNi")
    wide = np.zeros((2, 3, 3))
    wide[1, metal] = 0.5
    wide[:, metal, metal] = 0
    open_ = name_phases(replace(analysis, feasible_ranges=wide), Choice())
    assert names.matches[metal][0].probability > 0.9
    assert {x.name: x.probability for x in open_.matches[metal]}["FeNi"] < 0.8
    # the others are as well known as before
    for j in {0, 1, 2} - {metal}:
        assert open_.matches[j][0].name == names.matches[j][0].name
        assert open_.matches[j][0].probability > 0.9


def test_what_quantify_does_not_know_has_no_name(s):
    """A phase of which noise leaves the elements unknown is not compared."""
    analysis = s.analysis_results()
    basis = Basis(elements=["Ni"])
    percent, _ = of_phases(analysis, basis)
    _, expected, _ = to_percent(analysis, basis)
    np.testing.assert_array_equal(np.isnan(percent), np.isnan(expected.T))
    assert np.isnan(percent).any()


def test_the_rest_of_the_mixtures_is_no_name():
    some = Match("mixture", (), ("MgO", "FeO"), 0.9, 0.5)
    found = PhaseNames(("phase 0",), ((some,),), ((),), ())
    assert found.likely == {}
    assert found.for_unnamed([""]) == [""]


def test_an_element_alone_is_no_name_of_a_phase():
    some = Match("compound", ("beryllia", "ice"), ("BeO",), 0.9, 0.5, alone="O")
    found = PhaseNames(("phase 1",), ((some,),), ((),), ())
    assert found.likely == {}
    assert "O with what is not seen" in str(found)
    assert "beryllia, ice" in str(found)


def test_a_region_of_one_phase_is_that_phase(s):
    analysis = s.analysis_results()
    percent, covariance = of_phases(analysis, Basis())
    totals = 1e6 * np.eye(3)
    found, spread = of_regions(analysis, Basis(), totals)
    assert found == pytest.approx(percent)
    assert (np.linalg.eigvalsh(spread - covariance) > -1e-9).all()


def test_a_region_is_the_mean_of_its_pixels(s):
    """Weighted by their atoms."""
    analysis, loadings = s.analysis_results(), s.learning_results.loadings
    found, _ = of_regions(analysis, Basis(), loadings[:30].sum(axis=0)[None])
    atoms = analysis.composition * analysis.atoms / analysis.composition.sum(axis=0)
    expected = (atoms @ loadings[:30].T).sum(axis=1)
    assert found[0] == pytest.approx(100 * expected / expected.sum())


def test_regions_in_all_forms(s):
    labels = np.full((20, 20), -1)
    labels[:3], labels[5:9] = 4, 7
    by_label = s.identify_phases("minerals", labels)
    assert by_label.labels == ("region 4", "region 7")
    image = hs.signals.BaseSignal(labels == 7).transpose(navigation_axes=2)
    step = s.axes_manager[0].scale
    roi = hs.roi.RectangularROI(0, 5 * step, 20 * step, 9 * step)
    named = s.identify_phases(
        "minerals", {"array": labels == 7, "signal": image, "roi": roi}
    )
    assert named.labels == ("array", "signal", "roi")
    for some in named.matches:
        assert [x.name for x in some] == [x.name for x in by_label.matches[1]]
        assert some[0].probability == pytest.approx(by_label.matches[1][0].probability)
    circle = hs.roi.CircleROI(10 * step, 10 * step, 3 * step)
    assert s.identify_phases("minerals", circle).labels == ("region",)


@pytest.mark.parametrize(
    ("regions", "words"),
    [
        (np.zeros((3, 3), int), "has shape"),
        (np.zeros((3, 3), bool), "has shape"),
        (np.zeros((20, 20), bool), "no pixel"),
        (np.zeros((20, 20)), "label map of integers"),
        ({}, "no region"),
        ({"a": "b"}, "label map of integers"),
        (np.full((20, 20), -1), "no region"),
    ],
)
def test_what_is_no_region(s, regions, words):
    with pytest.raises(ValueError, match=words):
        s.identify_phases(regions=regions)


def test_names_are_kept(s, tmp_path):
    before = s.analysis_results()
    s.identify_phases(rename=True)
    assert set(s.analysis_results().labels) == PHASES
    s.save(tmp_path / "named.hspy")
    loaded = hs.load(tmp_path / "named.hspy")
    assert set(loaded.analysis_results().labels) == PHASES
    assert "olivine" in str(loaded.print_quantification())
    titles = [ax.get_title(loc="left") for ax in loaded.plot_phases().axes]
    assert set(titles) >= PHASES
    assert before.composition == pytest.approx(loaded.analysis_results().composition)
    # a name that is there stays
    loaded.identify_phases(["Fe | Ni"], rename=True)
    assert set(loaded.analysis_results().labels) == PHASES


def test_phases_of_one_name_are_told_apart(s):
    found = s.identify_phases(
        {"thing": "(Mg,Fe)2SiO4", "Thing": "Fe | Ni", "THING": "(Fe,Mg)TiO3"}
    )
    names = found.for_unnamed(["", "", ""])
    assert len({name.casefold() for name in names}) == 3


def test_oxygen_and_elements(s):
    without = s.identify_phases("minerals", oxygen="ignore")
    assert any("xygen" in line for line in without.remarks)
    assert any("olivine" in x[0].names for x in without.matches)
    some = s.identify_phases("minerals", elements=["Mg", "Si"])
    assert any("forsterite" in x[0].names for x in some.matches)
    analysis = s.analysis_results()
    # badly known: larger errors of oxygen, on purpose
    wide = analysis.covariance.copy()
    row = np.flatnonzero(analysis.element_columns)[analysis.elements.index("O")]
    wide[:, row, row] += 0.2**2
    analysis.__dict__["covariance"] = wide
    assert any("xygen" in x for x in name_phases(analysis, Choice()).remarks)
    measured = name_phases(analysis, Choice(oxygen="measured")).remarks
    assert not any("xygen" in x for x in measured)


def test_prior_of_names(s):
    two = {"one": "Mg1.8Fe0.2SiO4", "other": "Mg1.8Fe0.2SiO4·H2O"}
    found = s.identify_phases({**two, "third": "(Mg,Fe)2SiO4"}, prior={"third": 1000})
    assert any(x[0].name == "third" and x[0].probability > 0.9 for x in found.matches)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"oxygen": "no"}, "`oxygen` must be"),
        ({"none": 0}, "`none` must be"),
        ({"prior": "often"}, "`prior` must be"),
        ({"database": "mine"}, "`database` must be"),
        ({"elements": ["Xx"]}, "`elements` is"),
    ],
)
def test_arguments(s, arguments, words):
    with pytest.raises(ValueError, match=words):
        s.identify_phases(**arguments)


def test_compounds_as_known_phases(s):
    s.decomposition(
        algorithm="espm", output_dimension=3, n_init=1, print_info=False,
        known_phases={
            "ilmenite": "from database",
            "olivine": {"composition": "from database", "absent": ["Ni", "Ti"]},
        },
        show_progressbar=False,
    )  # fmt: skip
    found = s.analysis_results()
    assert found.labels == ["ilmenite", "olivine", "phase 2"]
    ilmenite = dict(zip(found.elements, found.composition[:, 0], strict=True))
    assert [ilmenite[x] for x in ("O", "Ti", "Fe")] == pytest.approx([0.6, 0.2, 0.2])
    olivine = dict(zip(found.elements, found.composition[:, 1], strict=True))
    assert olivine["O"] == pytest.approx(4 * olivine["Si"])
    assert olivine["Ti"] == olivine["Ni"] == 0
    assert 0 < olivine["Fe"] < olivine["Mg"]


ENERGY = np.arange(0.2, 20, 0.01)
MODEL = SpectrumModel(ENERGY, 200.0, ["O", "Mg", "Si", "Fe"])


def test_what_a_table_says_of_a_phase():
    known = known_from_database("talc", MODEL)["composition"]
    assert known == pytest.approx({"O": 12 / 19, "Mg": 3 / 19, "Si": 4 / 19, "Fe": 0})
    known = known_from_database("Olivine", MODEL)
    assert known == {"ratio": {"Si/O": 0.25}}
    with pytest.raises(ValueError, match=r"has Al, Ca, .*add_elements"):
        known_from_database("anorthite", MODEL)
    with pytest.raises(ValueError, match="no compound 'olivin'"):
        known_from_database("olivin", MODEL)
    with pytest.raises(TypeError, match="needed is a name"):
        known_from_database(0, MODEL)
    without = SpectrumModel(np.arange(0.83, 20, 0.01), 200.0, ["Fe"])
    with pytest.raises(ValueError, match=r"nothing of .* can be decomposed"):
        known_from_database("ice", without)


def test_elements_that_no_spectrum_shows():
    assert {"H", "He", "Li", "Be"} <= MODEL.unseen
    assert MODEL.unseen.isdisjoint({"O", "Mg", "Si", "Fe", "Al", "U"})
    high = SpectrumModel(np.arange(0.83, 20, 0.01), 200.0, ["Mg", "Si", "Fe"])
    assert {"C", "N", "O", "F"} <= high.unseen
    assert "Na" not in high.unseen


def test_regions_are_not_renamed(s):
    """The name of a region that was asked for was ignored."""
    before = s.analysis_results().labels
    with pytest.raises(ValueError, match="`rename` names phases"):
        s.identify_phases(regions=np.ones((20, 20), bool), rename=True)
    assert s.analysis_results().labels == before
