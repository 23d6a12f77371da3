"""Parts of the error of a composition, and what they are worth with other tables."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from espm_hs import simulation
from espm_hs.analysis import decompose
from espm_hs.physics import SpectrumModel
from espm_hs.physics.xray.uncertainty import LIGHT_CORRELATION, SPREADS
from espm_hs.quantification.percent_with_errors import ERROR_PARTS, to_percent
from espm_hs.quantification.report import fit_problems, report
from espm_hs.simulation import Experiment, Phase

GLOSSARY = Path(__file__).parents[2] / "docs" / "glossary.md"


def analysis_of(composition, counts=1e6):
    """Result of a film that absorbs nothing, measured once."""
    model = SpectrumModel(0.01 * np.arange(1500), 200, list(composition))
    phase = Phase("film", composition, 5.0, 0.2)
    spectrum = Experiment(model, [phase], [50.0]).spectra[:, 0]
    drawn = np.random.default_rng(0).poisson(counts * spectrum / spectrum.sum())
    return decompose(drawn[None], model, 1)


@pytest.fixture(scope="module")
def titanate():
    return analysis_of({"Ba": 1, "Ti": 1, "O": 3})


def test_parts_have_one_name_everywhere(titanate):
    table = report(titanate)
    assert table.header[3:8] == ERROR_PARTS
    terms = GLOSSARY.read_text("utf-8").splitlines()
    for part in ERROR_PARTS:
        assert part in str(table)
        assert {part, f"{part} error"} & {*terms}
    for entry in table.entries:
        found = entry.counting, entry.bias, entry.atomic_data
        assert entry.errors == (*found, entry.absorption, entry.detector)
        assert entry.error == pytest.approx(np.linalg.norm(entry.errors))
        # the names that they had first
        assert (entry.statistical, entry.systematic) == found[::2]


def test_first_names_in_data_frames(titanate):
    pytest.importorskip("pandas")
    frame = report(titanate).to_dataframe()
    assert (frame["statistical"] == frame["counting"]).all()
    assert (frame["systematic"] == frame["atomic_data"]).all()
    parts = frame[["counting", "bias", "atomic_data", "absorption", "detector"]]
    expected = np.linalg.norm(parts, axis=1)
    np.testing.assert_allclose(frame["total"], expected)


def test_what_does_not_fit_has_larger_counting_errors(titanate):
    """By the root of the deviance ratio; a lucky fit has no smaller ones."""
    fair, poor, lucky = (replace(titanate, misfit=x) for x in (1.03, 4.0, 0.8))
    for one, factor in ((poor, 2.0), (lucky, 1.0)):
        for ours, theirs in zip(report(one).entries, report(fair).entries, strict=True):
            assert ours.counting == pytest.approx(factor * theirs.counting)
            assert ours.atomic_data == theirs.atomic_data
        _, _, variance = to_percent(one)
        np.testing.assert_allclose(variance, factor**2 * to_percent(fair)[2])


def test_shares_within_a_family_reach_other_elements(titanate):
    """Ba L lines stand on Ti K: what is known of Ti alone is not all."""
    known = dict.fromkeys(("Ti", "O"), 0.0)
    overlapped = {x.element: x for x in report(titanate, errors=known).entries}
    exact = {**known, "Ba": 0.0}
    assert all(x.atomic_data < 1e-6 for x in report(titanate, errors=exact).entries)
    # Ba itself moves Ti by its share of 100 %: all else is overlap
    ratio = overlapped["Ti"].percent / overlapped["O"].percent
    closure = overlapped["O"].atomic_data * ratio
    assert overlapped["Ti"].atomic_data > 1.1 * closure


def test_what_is_known_beforehand_has_no_error_of_atomic_data():
    s = simulation.particles((8, 8), counts_per_pixel=300)
    s.decomposition(
        algorithm="espm",
        output_dimension=3,
        fixed_composition={0: {"Mg": 0.2, "Ni": 0.0}},
        print_info=False,
    )
    entries = {(x.phase, x.element): x for x in report(s.analysis_results()).entries}
    assert entries[0, "Ni"].atomic_data < 1e-9


class TestOtherTables:
    @pytest.fixture(autouse=True)
    def _tables(self):
        pytest.importorskip("fisx")
        pytest.importorskip("xraydb")

    def test_spreads_are_those_of_the_tables(self):
        from benchmarks.accuracy.relaxation_tables import light_correlation, spreads

        assert light_correlation() == pytest.approx(LIGHT_CORRELATION, abs=0.05)
        found = spreads()
        assert [x[:3] for x in found] == [x[:3] for x in SPREADS]
        # other versions of the tables may differ a little
        np.testing.assert_allclose(
            [x[3:] for x in found], [x[3:] for x in SPREADS], atol=0.01
        )

    @pytest.mark.parametrize("table", ["fisx", "xraydb"])
    def test_compounds(self, table):
        from benchmarks.accuracy.line_tables import study

        found = study(table, False, ["MgAl2O4", "BaTiO3", "CeO2", "InP"], [200.0])
        assert all(abs(one.z) < 2 for one in found)
        assert np.median([one.entry.error for one in found]) < 4

    @pytest.mark.parametrize(
        ("compound", "element", "tolerance"),
        [("BaTiO3", "Ti", 2), ("CeO2", "Ce", 4), ("InP", "In", 3)],
    )
    def test_amounts_from_the_lines_of_fisx(self, compound, element, tolerance):
        from benchmarks.accuracy.line_tables import study

        for one in study("fisx", False, [compound], [200.0]):
            if one.entry.element == element:
                assert one.entry.percent == pytest.approx(one.true, abs=tolerance)


def test_what_was_refined_is_not_refined_again(titanate):
    """Advice that was followed already is none."""
    poor = replace(titanate, misfit=4.0, calibration={})
    (advice,) = fit_problems(poor)
    assert "refine_calibration" in advice
    refined = {"offset": 3.0, "deviance_before": 9.0, "deviance_after": 4.0}
    (advice,) = fit_problems(replace(poor, calibration=refined))
    assert "refine_calibration" not in advice
