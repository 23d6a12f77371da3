"""What is said of phases that are not well known, and how much of it."""

import warnings
from argparse import Namespace
from dataclasses import replace

import hyperspy.api as hs
import numpy as np
import pytest

import espm_hs
from benchmarks.accuracy.zoo import cases
from espm_hs.decomposition.ambiguity import (
    Answer,
    alternatives,
    apart,
    ranges,
    spread,
    told_apart,
)
from espm_hs.decomposition.cautions import (
    Caution,
    PhaseWarning,
    empty_phases,
    in_short,
    listed,
    one_sentence,
    phase_cautions,
)
from espm_hs.quantification.percent_with_errors import Basis
from espm_hs.quantification.report import report
from espm_hs.simulation import DATASETS

QUIET = {"algorithm": "espm", "print_info": False, "smoothness": 0}
LABELS = ["phase 0", "core", "phase 2"]
KNOWN = {
    "labels": LABELS,
    "empty": {},
    "apart": 30 * np.ones((3, 3)) + np.diag([np.inf] * 3),
    "told": 5 * np.ones((3, 3)) + np.diag([np.inf] * 3),
    "alternatives": None,
    "wide": {},
    "bias": np.zeros((2, 3)),
}


def found(**changes):
    return list(phase_cautions(**{**KNOWN, **changes}))


# -- answers of the starts -----------------------------------------------------------

KEPT = Answer(1000.0, np.array([[3.0, 0.0], [1.0, 2.0]]), np.eye(2))


def swapped(objective, composition):
    """An answer whose phases have the other order, and whose spectra are longer."""
    return Answer(objective, np.array(composition)[:, ::-1], 7 * np.eye(2)[:, ::-1])


def test_starts_are_matched_to_the_phases_that_are_kept():
    other = swapped(1010.0, [[1.0, 0.0], [1.0, 5.0]])
    low, high = alternatives(KEPT, [other])
    np.testing.assert_allclose(low, [[0.5, 0.0], [0.25, 1.0]])
    np.testing.assert_allclose(high, [[0.75, 0.0], [0.5, 1.0]])


def test_starts_that_fit_worse_do_not_count():
    other = swapped(1100.0, [[1.0, 0.0], [1.0, 5.0]])
    low, high = alternatives(KEPT, [other])
    np.testing.assert_array_equal(low, high)
    low, high = alternatives(KEPT, [other], close=200.0)
    assert np.ptp([low, high], axis=0).max() == 0.25


def test_a_start_without_elements_tells_nothing():
    low, high = alternatives(KEPT, [swapped(1000.0, [[0.0, 0.0], [0.0, 1.0]])])
    np.testing.assert_array_equal(low, high)
    np.testing.assert_allclose(low, [[0.75, 0.0], [0.25, 1.0]])


def test_ranges_hold_mixtures_and_other_answers():
    composition = np.array([[0.5, 1.0], [0.5, 0.0]])
    low, high = ranges(composition)
    np.testing.assert_array_equal([low, high], [composition, composition])
    feasible = np.zeros((2, 2, 2))
    feasible[0, 0, 1] = 0.25
    low, high = ranges(composition, feasible)
    np.testing.assert_allclose([low[0], high[0]], [[1 / 3, 1.0], [0.5, 1.0]])
    others = np.stack([composition - [[0.3, 0.0], [0.0, 0.0]], composition])
    low, high = ranges(composition, feasible, others)
    np.testing.assert_allclose([low[0], high[0]], [[0.2, 1.0], [0.5, 1.0]])


def test_spread_of_what_the_counts_leave_open():
    """Its ends are two standard errors away; the sum of all fractions stays."""
    composition = np.array([[0.5, 1.0], [0.5, 0.0]])
    np.testing.assert_array_equal(spread(composition), np.zeros((2, 2, 2)))
    feasible = np.zeros((2, 2, 2))
    feasible[0, 0, 1] = 0.25  # a third of the first, less a quarter of the second
    half = (1 / 3 - 0.5) / 2
    expected = half**2 * np.array([[1, -1], [-1, 1]])
    np.testing.assert_allclose(spread(composition, feasible)[0], expected, atol=1e-15)
    feasible[1, 0, 1] = 0.1  # and it may lack a tenth of it
    more = 0.05 / 2
    both = spread(composition, feasible)[0]
    np.testing.assert_allclose(both[0], (half**2 + more**2) * np.array([1, -1]))
    others = np.stack([composition - [[0.2, 0.0], [0.0, 0.0]], composition])
    wide = spread(composition, None, others)
    # of an element that is half of it, the other takes half of the change
    assert wide[0] == pytest.approx(0.1**2 * np.array([[0.25, -0.25], [-0.25, 0.25]]))
    np.testing.assert_array_equal(wide[1], 0)


# -- cautions ------------------------------------------------------------------------


def test_nothing_is_said_of_phases_that_are_well_known():
    assert not found()
    assert one_sentence([], LABELS, ()) is None


def test_each_phase_has_its_own_cautions():
    moves = np.zeros((2, 2, 3))
    moves[1, :, 1] = 0.01, 0.12
    bias = np.array([[0, 0.01, -0.3], [0, 0, 0.2]])
    some = found(alternatives=moves, bias=bias, wide={0: "A wide range"})
    assert [(one.kind, one.phase) for one in some] == [
        ("range", 0),
        ("starts", 1),
        ("bias", 2),
    ]
    assert "Core differs by up to 12 at.%" in some[1].sentence
    assert in_short(some, LABELS) == (
        "phase 0 wide range; core starts differ; phase 2 bias"
    )
    assert all(one.advice for one in some)


def test_a_phase_that_is_nowhere_alone_is_said_to_be_extrapolated():
    (one,) = found(shown=np.array([0.95, 0.41, 0.7]))
    assert (one.kind, one.phase) == ("beyond", 1)
    assert one.sentence.startswith("Core is nowhere alone")
    assert "41 %" in one.sentence
    assert not found(shown=np.ones(3))


def test_of_an_empty_phase_nothing_else_is_said():
    some = found(
        empty={2: "none of Fe found"}, bias=np.ones((2, 3)), wide={2: "A wide range"}
    )
    assert [one.kind for one in some if one.phase == 2] == ["empty"]
    assert "empty" in some[-1].sentence


def test_the_same_phase_twice():
    near = KNOWN["apart"].copy()
    near[0, 2] = near[2, 0] = 0.2
    some = found(apart=near)
    assert [(one.kind, one.phase) for one in some] == [
        ("duplicate", 0),
        ("duplicate", 2),
    ]
    assert some[0].sentence == "Phase 0 is the same as phase 2"
    assert one_sentence(some, LABELS, ()).startswith(
        "Phases 0 and 2 are the same as others; see"
    )


def test_phases_that_differ_by_less_than_the_noise():
    told = KNOWN["told"].copy()
    told[0, 2] = told[2, 0] = 1.4
    some = found(told=told)
    assert [(one.kind, one.phase) for one in some] == [("alike", 0), ("alike", 2)]
    assert some[0].sentence.startswith("Phase 0 and phase 2 differ by less than the")
    assert "Phases 0 and 2 are not well known" in one_sentence(some, LABELS, ())


def test_how_well_counts_tell_phases_apart():
    """As well as the likelihood of simulated counts does."""
    rng = np.random.default_rng(0)
    spectra = rng.dirichlet(np.full(20, 5.0), 2).T
    spectra[:, 1] = 0.8 * spectra[:, 0] + 0.2 * spectra[:, 1]
    told = told_apart(np.vstack([3.0 * spectra, [np.nan, np.nan]]), 400)
    X = rng.multinomial(400, spectra[:, 0], 20_000)
    ratio = X @ np.log(spectra[:, 0] / spectra[:, 1])
    assert told[0, 1] == pytest.approx(ratio.mean() / ratio.std(), rel=0.05)
    assert np.isinf(np.diag(told)).all()
    assert np.isinf(told_apart(spectra, 0)).all()


def test_a_continuum_that_is_cut_into_phases_says_so():
    """Tissue in resin, of which no pixel shows one of the two alone."""
    given = Namespace(smoke=False, half="held_out", only="bone", forward="own")
    result = next(cases(given)).signal.decomposition(
        output_dimension=3, return_info=True, **QUIET
    )
    assert sum(one.kind == "alike" for one in result.cautions) == 2


def test_phases_are_compared_by_spectra_and_by_composition():
    composition = np.array([[1.0, 2.0, 1.0], [1.0, 2.02, 3.0]])
    spectra = np.array([[1.0, 1.0, 0.5], [0.0, 1.0, 0.0]])
    near = apart(composition, spectra)
    assert near[0, 1] == pytest.approx(0.25, abs=0.01)
    assert near[0, 2] == pytest.approx(0, abs=1e-6)
    assert near[1, 2] == pytest.approx(24.75, abs=0.01)
    assert np.isinf(np.diag(near)).all()


def test_which_phases_are_empty():
    fractions = np.array([[0.5, 0.5, 0.0, 0.5, 0.5], [0.5, 0.5, 0.0, 0.5, 0.5]])
    covariance = np.zeros((5, 2, 2))
    covariance[1] = 1e56 * np.eye(2)
    atoms = np.array([1.0, 1.0, 1.0, 1e-28, 2.0])
    counts = np.array([1e5, 1e5, 1e5, 1e5, 3.0])
    known = fractions, covariance, atoms
    assert empty_phases(*known, counts).tolist() == [False, True, True, True, True]
    assert empty_phases(*known, None).tolist() == [False, True, True, True, False]


def test_a_warning_is_one_sentence_that_names_each_phase_once():
    some = [
        Caution("bias", 2, ""),
        Caution("range", 0, ""),
        Caution("empty", 1, ""),
        Caution("starts", 2, ""),
        Caution("overlap", None, ""),
    ]
    assert one_sentence(some, LABELS, ("A step.",)) == (
        "Core is empty, phases 0 and 2 are not well known and the search chose among "
        "answers that the counts allow; see `s.print_quantification()`."
    )
    assert listed(["phase 1"]) == "phase 1"


# -- in results ----------------------------------------------------------------------


def core_shell_map(**options):
    s = DATASETS["core_shell"]((32, 32), counts_per_pixel=40, seed=0)
    with pytest.warns(PhaseWarning, match="not well known"):
        s.decomposition(output_dimension=3, **QUIET, **options)
    return s.analysis_results()


@pytest.fixture(scope="module")
def core_shell():
    return core_shell_map()


@pytest.fixture(scope="module")
def not_separated():
    """With film left in the other two: ranges are wide then, and errors are small."""
    return core_shell_map(separation=False)


def test_the_class_of_the_warning_is_public():
    assert espm_hs.PhaseWarning is PhaseWarning


def test_a_map_without_doubts_warns_of_nothing():
    s = DATASETS["particles"]((32, 32), counts_per_pixel=200, seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", PhaseWarning)
        s.decomposition(output_dimension=3, **QUIET)
    text = str(s.analysis_results())
    assert "phases at least 54° apart; " in text


def worst(analysis):
    """A result of which everything that there is has to be said, and eight phases."""
    k, n = 8, len(analysis.elements)
    several = np.arange(k) % 3
    alternatives = np.zeros((2, n, k))
    alternatives[1] = 1.0
    return replace(
        analysis,
        knowledge=type(analysis.knowledge)(
            ("a",) * k,
            analysis.knowledge.fixed[:, several],
            analysis.knowledge.ties[several],
        ),
        W=analysis.W[:, several],
        covariance=analysis.covariance[several],
        bias=analysis.bias[:, several] + 0.5,
        spectra=analysis.spectra[:, several],
        atoms=analysis.atoms[several],
        smoothness=analysis.smoothness[several],
        feasible_ranges=np.full((2, k, k), 0.9),
        alternatives=alternatives,
        surroundings=None,
        shown=np.full(k, 0.3),
        counts=np.array([0.0] * 2 + [1e5] * 6),
        n_agreeing=1,
        steps=("A film was taken out.", "Another one was left."),
    )


def test_a_fit_prints_few_lines_whatever_is_to_be_said(core_shell):
    bad = worst(core_shell)
    kinds = {one.kind for one in bad.cautions}
    assert kinds >= {"empty", "duplicate", "starts", "bias"}
    text = str(bad)
    assert text.count("\n") < 13
    assert "A film was taken out. Another one was left." in text
    assert "also: " in text
    for number in range(8):
        assert [one for one in bad.cautions if one.phase == number]


def test_of_a_degenerate_result_nobody_says_that_it_is_sure(core_shell):
    none = np.zeros_like(core_shell.feasible_ranges)
    nothing_open = replace(
        core_shell, feasible_ranges=none, bias=0 * core_shell.bias, n_agreeing=4
    )
    said = "the counts leave no room for mixtures"
    assert said in str(nothing_open)
    spectra = core_shell.spectra[:, [0, 0, 2]]
    twice = replace(nothing_open, spectra=spectra)
    assert said not in str(twice)
    assert said not in "".join(map(str, twice.ambiguities[:2]))
    two_counts = replace(nothing_open, counts=np.array([1.0, 1.0, 0.0]))
    assert said not in str(two_counts)
    assert str(two_counts).count("is empty") == 3


def test_an_empty_phase_is_called_empty(core_shell):
    wild = core_shell.covariance.copy()
    wild[1] *= 1e56
    empty = replace(core_shell, covariance=wild)
    table = report(empty)
    assert [row[1] for row in table.rows() if row[0] == "1"] == ["empty"]
    nothing = [entry for entry in table.entries if entry.phase == 1]
    assert {entry.phase for entry in table.entries} == {0, 1, 2}
    assert np.isnan([(one.percent, *one.errors, one.error) for one in nothing]).all()
    assert "phase 1 empty" in str(table)
    assert "e+" not in str(table)


def test_the_range_is_in_the_table_where_it_is_wider_than_the_error(not_separated):
    entries = report(not_separated).entries
    shown = {(row[0], row[1]): row[-1] for row in report(not_separated).rows()}
    low, high = 100 * not_separated.ranges
    for entry in entries:
        row = not_separated.elements.index(entry.element)
        assert entry.low == pytest.approx(low[row, entry.phase])
        assert entry.high == pytest.approx(high[row, entry.phase])
        is_shown = bool(shown[str(entry.phase), entry.element])
        assert is_shown == (entry.high - entry.low > 2 * entry.error)
    assert any(shown.values())
    frame = report(not_separated).to_dataframe()
    assert list(frame.columns[-3:]) == ["total", "low", "high"]


@pytest.mark.parametrize("basis", [Basis("weight"), Basis(elements=["C", "Pt"])])
def test_ranges_in_other_units_hold_the_composition(not_separated, basis):
    table = report(not_separated, basis)
    entries = [entry for entry in table.entries if entry.phase not in table.empty]
    for entry in entries:
        assert entry.low <= entry.percent + 1e-9
        assert entry.percent <= entry.high + 1e-9
        assert entry.low >= -1e-9
        assert entry.high <= 100 + 1e-9
    assert max(entry.high - entry.low for entry in entries) > 30


def test_everything_is_stored(core_shell, tmp_path):
    stored = worst(core_shell)
    s = hs.signals.Signal1D(np.zeros(3))
    s.metadata.set_item("found", stored.to_dict())
    s.save(tmp_path / "found.hspy")
    metadata = hs.load(tmp_path / "found.hspy").metadata
    again = type(stored).from_dict(metadata.found.as_dictionary())
    assert again.steps == stored.steps
    assert again.cautions == stored.cautions
    np.testing.assert_array_equal(again.ranges, stored.ranges)


def test_results_of_before_have_no_such_fields(core_shell):
    before = {"counts": None, "alternatives": None, "steps": ()}
    old = replace(core_shell, **before).to_dict()
    assert not {"steps", "alternatives", "counts"} & set(old)
    again = type(core_shell).from_dict(old)
    assert again.steps == ()
    assert again.alternatives is None
    assert not again.empty.any()


def test_that_starts_disagree_is_said_where_it_is_not_known_of_which_phases(core_shell):
    one = replace(core_shell, n_starts=4, n_agreeing=1, alternatives=None)
    assert "1 of 4 starts ended in this optimum" in str(report(one))
    sure = replace(one, n_agreeing=4)
    assert "starts ended" not in str(report(sure))
