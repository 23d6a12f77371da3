"""What is said of elements that are not there: NaN and a sentence, in every table."""

import csv
import warnings

import numpy as np
import pytest
from conftest import ELEMENTS, make_map
from hypothesis import given, settings
from hypothesis import strategies as st

from espm_hs.cli.tables import composition_table, write_composition
from espm_hs.quantification.percent_with_errors import closed

QUIET = {"algorithm": "espm", "print_info": False, "show_progressbar": False}
QUICK = {"n_init": 2, "max_iter": 100, "calibration": "never"}


def decomposed(s, n=2, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        s.decomposition(output_dimension=n, **QUIET, **QUICK | options)
    return s


@pytest.fixture(scope="module")
def half():
    """A map of which the second phase is background, as no element is known to be."""
    s = make_map((6, 6), 400, size=300)
    return decomposed(s, known_phases={1: {"absent": [*ELEMENTS]}})


@pytest.fixture(scope="module")
def foreign():
    """A map that has none of its elements."""
    s = make_map((6, 6), 400, size=300)
    s.set_elements(["Na", "Al"])
    s.set_analysis_parameters(stray_elements=ELEMENTS)
    return decomposed(s)


def percent_and_error(signals):
    values = np.array([one.data for one in signals])
    noise = [one.metadata.Signal.Noise_properties.variance.data for one in signals]
    return values, np.sqrt(noise)


@pytest.mark.parametrize("target", ["phases", "pixels"])
@pytest.mark.parametrize("units", ["atomic", "weight"])
def test_no_error_is_above_100_percent(half, foreign, target, units):
    for s in (half, foreign):
        values, errors = percent_and_error(s.quantify(target, units))
        assert np.array_equal(np.isnan(values), np.isnan(errors))
        assert not (errors > 100).any()
        known = ~np.isnan(values).any(axis=0)
        np.testing.assert_allclose(values[:, known].sum(axis=0), 100)
        # of a composition all is known or nothing
        assert np.isnan(values[:, ~known]).all()


def test_a_phase_without_elements_is_nan_and_named(half, tmp_path):
    values, _ = percent_and_error(half.quantify())
    assert np.isnan(values[:, 1]).all()
    assert not np.isnan(values[:, 0]).any()
    table = half.print_quantification()
    assert "none of Fe, Ni, O, Si, Ti found" in str(table)
    assert [row[1] for row in table.rows() if row[0] == "1"] == ["empty"]
    frame = table.to_dataframe()
    assert frame[frame.phase == 1].percent.isna().all()
    assert "empty" in composition_table(half)
    write_composition(half, tmp_path / "table.csv")
    with open(tmp_path / "table.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * len(ELEMENTS)
    assert {row["atomic percent"] for row in rows if row["phase"] == "1"} == {"nan"}


def test_what_an_empty_phase_has_instead_is_named(foreign):
    found = foreign.analysis_results()
    table = str(foreign.print_quantification())
    for j in np.flatnonzero(found.empty):
        sentence = f"Phase {j} is empty: none of Al, Na found, its counts are "
        assert sentence in str(found)
        assert sentence in table
        assert " stray" in table.split(sentence)[1].splitlines()[0]
    assert found.empty.any()


def test_elements_that_are_in_no_phase(half):
    """Closed to 100 %, what is left of an element by rounding would be all of it."""
    s = half.deepcopy()
    s.set_elements([*ELEMENTS, "Au"])
    decomposed(s, 1)
    # no gold
    with pytest.warns(UserWarning, match="No phase has any of Au"):
        (only,) = s.quantify(elements=["Au"])
    assert np.isnan(only.data).all()
    with pytest.warns(UserWarning, match="No phase has any of Au"):
        (maps,) = s.quantify("pixels", elements=["Au"])
    assert np.isnan(maps.data).all()
    assert "No phase has any of Au" in str(s.print_quantification(elements=["Au"]))


def test_pixels_without_counts():
    s = make_map((6, 6), 300, size=300)
    s.data[1, 2] = s.data[4, 4] = 0
    decomposed(s, smoothness=1.0)
    values, errors = percent_and_error(s.quantify("pixels"))
    none = s.data.sum(axis=-1) == 0
    assert np.isnan(values[:, none]).all()
    assert np.isnan(errors[:, none]).all()
    assert np.isfinite(values[:, ~none]).all()


@given(st.lists(st.floats(0, 1e-12), min_size=3, max_size=3), st.integers(0, 2**31))
@settings(max_examples=30)
def test_rests_of_phases_are_no_composition(rest, seed):
    """Whatever is left of them by rounding, in any pixel."""
    per_loading = np.random.default_rng(seed).random((4, 3)) * np.array([1, 0, 0])
    loadings = np.array([[rest[0], 1.0, 5.0]])
    from espm_hs.quantification.pixels import there

    percent, _ = closed(per_loading, there(loadings))
    assert np.isnan(percent).all()


@pytest.mark.parametrize("counts", [2, 40])
def test_next_to_no_counts_bear_out_no_phases(counts):
    rng = np.random.default_rng(counts)
    s = make_map((6, 6), 1, size=300)
    s.data[:] = 0
    np.add.at(s.data.reshape(-1), rng.integers(60 * 36, s.data.size, counts), 1)
    kept = s.isig[20:]
    total = int(kept.data.sum())
    with pytest.warns(UserWarning, match=f"{total} counts do not bear out 2 phases"):
        kept.decomposition(output_dimension=2, **QUIET, calibration="never")
    found = kept.analysis_results()
    assert f"{total} counts do not bear out 2 phases" in str(found)


@pytest.mark.parametrize(("seed", "counts"), [(2, 40), (3, 40), (6, 40), (5, 72)])
def test_few_counts_are_decomposed_whatever_the_starts_find(seed, counts):
    """k-means left clusters without pixels, the sums of which became NaN."""
    s = make_map((4, 4), counts / 16, seed=seed, size=250)
    if seed % 2:
        s.set_analysis_parameters(thickness=100.0, density=5.0)
    decomposed(s, 3, n_init=4)
    assert s.analysis_results().n_phases == 3


@pytest.mark.parametrize("lost_at", range(1, 8))
def test_a_step_that_empties_a_phase_does_not_cost_the_fit(monkeypatch, lost_at):
    """Whichever of the fits that go on from another it is."""
    from espm_hs.decomposition import search, self_consistency

    usual, gone_on = search.factorize, []

    def factorize(counts, problem, *, init, **options):
        if isinstance(init, tuple):
            gone_on.append(init)
            if len(gone_on) == lost_at:
                W, H = init[0], np.array(init[1])
                H[:, 1] = 0
                init = (W, H)
        return usual(counts, problem, init=init, **options)

    monkeypatch.setattr(search, "factorize", factorize)
    monkeypatch.setattr(self_consistency, "factorize", factorize)
    s = make_map((6, 6), 100, seed=1, size=300)
    s.set_analysis_parameters(thickness=200.0, density=5.0)
    decomposed(s, 3, n_init=4)
    found = s.analysis_results()
    assert found.n_phases == 3
    assert np.isfinite(found.objective)
    assert gone_on


def test_one_element_within_its_noise_is_not_all_of_a_phase():
    """Alone it is 100 % of itself without any error, whatever there is of it."""
    s = make_map((6, 6), 400, size=300, seed=5)
    s.add_elements(["Cr"])
    decomposed(s, 1)
    (entry,) = (x for x in s.print_quantification().entries if x.element == "Cr")
    # of noise the fit makes more than one and less than two standard errors
    assert 1 < entry.percent / entry.counting < 2
    with pytest.warns(UserWarning, match="No phase has any of Cr"):
        (only,) = s.quantify(elements=["Cr"])
    assert np.isnan(only.data).all()


def test_no_counts_are_said_so_before_any_are_held_out():
    s = make_map((6, 6), 1, size=300)
    s.data[:] = 0
    with pytest.raises(ValueError, match="are zero: there is nothing to decompose"):
        s.estimate_number_of_phases([1, 2], show_progressbar=False)
