"""Numbers from phases: composition, oxygen, errors."""

import sys
from importlib.metadata import version

import hyperspy.api as hs
import numpy as np
import pytest
from conftest import ELEMENTS, FORMATS, make_map

from espm_hs import simulation
from espm_hs.decomposition.cautions import look_alikes
from espm_hs.metrics import match_phases
from espm_hs.physics import SpectrumModel, atomic_weight
from espm_hs.physics.xray.kfactors import kfactors
from espm_hs.physics.xray.uncertainty import LIGHT_CORRELATION, LineErrors
from espm_hs.quantification.percent_with_errors import VALENCES, Basis, oxygen_per_atom
from espm_hs.quantification.report import report
from espm_hs.shown_table import data_frame
from espm_hs.simulation import Phase

QUIET = {"algorithm": "espm", "print_info": False}


def percents(s, *args, **kwargs):
    """Symbol -> percent of `quantify`."""
    return {q.metadata.Sample.elements[0]: q.data for q in s.quantify(*args, **kwargs)}


def variances(s, *args, **kwargs):
    return {
        q.metadata.Sample.elements[0]: q.metadata.Signal.Noise_properties.variance.data
        for q in s.quantify(*args, **kwargs)
    }


@pytest.fixture(scope="module")
def s():
    s = make_map((6, 5), counts_per_pixel=3000)
    s.decomposition(output_dimension=2, **QUIET)
    return s


@pytest.fixture(scope="module")
def grains():
    s = simulation.particles((24, 24), counts_per_pixel=60)
    s.decomposition(output_dimension=3, **QUIET)
    return s


class TestOxygenByStoichiometry:
    @pytest.mark.parametrize("target", ["phases", "pixels"])
    def test_balances_the_charge(self, s, target):
        found = percents(s, target, oxygen="stoichiometry")
        assert list(found) == ELEMENTS
        np.testing.assert_allclose(sum(found.values()), 100)
        cations = [e for e in ELEMENTS if e != "O"]
        charge = sum(found[e] * VALENCES[e] for e in cations)
        np.testing.assert_allclose(2 * found["O"], charge)
        # the ratios of the others are the measured ones
        measured = percents(s, target)
        np.testing.assert_allclose(
            found["Fe"] * measured["Ti"], found["Ti"] * measured["Fe"]
        )

    def test_own_valences(self, s):
        found = percents(s, elements=["Fe"], oxygen={"Fe": 3})
        np.testing.assert_allclose(found["Fe"], 40)
        np.testing.assert_allclose(found["O"], 60)
        weight = percents(s, units="weight", elements=["Fe"], oxygen={"Fe": 3})
        mass = 2 * atomic_weight("Fe"), 3 * atomic_weight("O")
        np.testing.assert_allclose(weight["O"], 100 * mass[1] / sum(mass))

    def test_error_of_what_follows_from_the_cations(self, s):
        """Oxides of one cation have no error; those of two one of rank 1."""
        spread = variances(s, elements=["Fe"], oxygen="stoichiometry")
        np.testing.assert_allclose(spread["O"], 0, atol=1e-12)
        spread = variances(s, elements=["Si", "Ti"], oxygen="stoichiometry")
        np.testing.assert_allclose(spread["O"], 0, atol=1e-12)  # both are tetravalent
        np.testing.assert_allclose(spread["Si"], spread["Ti"])

    def test_anions_take_the_place_of_oxygen(self):
        assert oxygen_per_atom(["Ca", "F"], "stoichiometry").tolist() == [1, -0.5]

    def test_errors(self, s):
        with pytest.raises(ValueError, match=r"none for Ar.*oxygen=\{'Ar': 2\}"):
            oxygen_per_atom(["Ar", "Mg"], "stoichiometry")
        with pytest.raises(TypeError, match="Fe must be a number"):
            s.quantify(oxygen={"Fe": "II"})
        with pytest.raises(ValueError, match="'measured', 'stoichiometry'"):
            s.quantify(oxygen="guessed")


def test_stray_and_free_columns_do_not_count(eds):
    eds.set_analysis_parameters(stray_elements=["Cu"])
    eds.decomposition(output_dimension=2, **QUIET)
    assert list(percents(eds)) == ELEMENTS
    np.testing.assert_allclose(sum(percents(eds).values()), 100)


class TestErrors:
    def test_pull_of_few_counts(self, grains):
        """It leaves no fraction negative, and fades with the counts."""
        found = grains.analysis_results()
        pull = found.pull[found.model.element_columns]
        assert np.abs(pull).max() > 1e-4
        assert (found.pull <= found.W).all()
        more = simulation.particles((24, 24), counts_per_pixel=3000)
        more.decomposition(output_dimension=3, **QUIET)
        found = more.analysis_results()
        less = found.pull[found.model.element_columns]
        assert np.linalg.norm(less) < 0.5 * np.linalg.norm(pull)

    def test_one_phase_has_no_pull(self, eds):
        """Its abundances are the counts of the pixels."""
        eds.decomposition(output_dimension=1, **QUIET)
        assert not eds.analysis_results().pull.any()

    def test_variance_holds_counts_and_pull(self, grains):
        table = report(grains.analysis_results())
        stated = variances(grains)
        for entry in table.entries:
            variance = stated[entry.element][entry.phase]
            expected = entry.counting**2 + entry.bias**2
            assert variance == pytest.approx(expected, rel=1e-6, abs=1e-12)

    def test_atomic_data(self, grains):
        """Two elements of one family: the error of a ratio, and none of one alone."""
        found = grains.analysis_results()
        alone = report(found, Basis(elements=["Fe"])).entries
        assert all(entry.atomic_data < 1e-6 for entry in alone)
        mg, si = (LineErrors().of(e, "K").total for e in ("Mg", "Si"))
        relative = np.sqrt(mg**2 + si**2 - 2 * LIGHT_CORRELATION * mg * si)
        entries = report(found, Basis(elements=["Mg", "Si"])).entries
        # where one is not found, the other is all there is
        pure = {entry.phase for entry in entries if entry.limit is not None}
        assert len(pure) < found.n_phases
        for entry in entries:
            if entry.phase not in pure:
                x = entry.percent / 100
                # NaN in a phase that has neither
                assert entry.atomic_data == pytest.approx(
                    100 * x * (1 - x) * relative, rel=0.02, nan_ok=True
                )
        exact = report(found, errors=dict.fromkeys("KLM", 0.0))
        assert all(entry.atomic_data < 1e-6 for entry in exact.entries)
        with pytest.raises(ValueError, match="'N'"):
            report(found, errors={"N": 0.1})

    def test_detection_limits(self, grains):
        """What is not there is below its limit; what is there has none."""
        found, truth = grains.analysis_results(), grains.ground_truth()
        order, _ = match_phases(found.spectra, truth.spectra)
        entries = {(e.phase, e.element): e for e in report(found).entries}
        for j, partner in enumerate(order):
            for symbol, x in zip(truth.elements, truth.composition[:, j], strict=True):
                limit = entries[partner, symbol].limit
                assert (limit is None) or 100 * x < max(limit, 3.0)
                if x > 0.1:
                    assert limit is None

    def test_limits_are_at_most_the_whole(self, grains):
        """A part of the map that lacks a phase says nothing of it."""
        part = grains.inav[:8, :8]
        part.decomposition(init="previous", **QUIET)
        limits = [e.limit for e in report(part.analysis_results()).entries]
        assert max(x for x in limits if x is not None) <= 100

    def test_report(self, grains, capsys):
        table = grains.print_quantification()
        assert str(table) in capsys.readouterr().out
        assert "at.%" in str(table)
        assert "Deviance of the summed spectrum over its expectation: " in str(table)
        page = table._repr_html_()
        assert page.count("<tr>") == 1 + len(table.entries)
        assert "&lt; " in page
        assert "wt.%" in str(grains.print_quantification("weight"))

    def test_data_frame(self, grains):
        pandas = pytest.importorskip("pandas")
        frame = report(grains.analysis_results()).to_dataframe()
        assert isinstance(frame, pandas.DataFrame)
        assert list(frame.columns[:3]) == ["phase", "element", "percent"]
        np.testing.assert_allclose(frame.groupby("phase").percent.sum(), 100)

    def test_bootstrap_agrees_with_the_stated_errors(self, grains):
        repeated = grains.bootstrap_quantification(n=8, show_progressbar=False)
        stated = variances(grains)
        ratios = []
        for q in repeated:
            assert q.data.shape == (3, 8)
            symbol = q.metadata.Sample.elements[0]
            big = q.data.mean(axis=1) > 5
            ratios += list(
                q.data.std(axis=1, ddof=1)[big] / np.sqrt(stated[symbol][big])
            )
        assert 0.4 < np.sqrt(np.mean(np.square(ratios))) < 1.5
        with pytest.raises(ValueError, match="at least 2"):
            grains.bootstrap_quantification(n=1)


def test_look_alikes_are_named():
    columns = np.array([[1, 2, 3.0], [2, 1, 0], [1, 2.02, 3], [0, 1, 1]]).T
    assert look_alikes(columns, ["Pt", "O", "Zr L", "Fe"]) == ["Pt and Zr L"]


def test_a_bad_model_is_said_to_be_bad():
    s = simulation.particles((12, 12), counts_per_pixel=2000)
    s.set_elements(["Fe", "Mg", "O", "Ti"])
    s.decomposition(output_dimension=3, **QUIET)
    table = report(s.analysis_results())
    assert table.misfit > 3
    assert "s.identify_elements()" in str(table)


class TestContinuing:
    def test_from_where_it_stood(self, eds):
        # smooth maps are no part of what the phases minimise
        options = {"smoothness": 0.0, "tol": 1e-7, **QUIET}
        eds.decomposition(output_dimension=3, max_iter=5000, **options)
        before = eds.analysis_results()
        eds.decomposition(init="previous", **options)
        after = eds.analysis_results()
        assert after.objective <= before.objective * (1 + 1e-9)
        assert after.n_iter < 0.5 * before.n_iter
        np.testing.assert_allclose(after.composition, before.composition, atol=2e-3)

    def test_with_another_element_and_a_part_of_the_map(self, eds):
        eds.set_elements(["Fe", "O", "Si", "Ti"])
        eds.decomposition(output_dimension=3, **QUIET)
        eds.set_elements(ELEMENTS)
        part = eds.inav[:5]
        part.decomposition(init="previous", **QUIET)
        assert part.analysis_results().elements == tuple(sorted(ELEMENTS))
        assert percents(part)["Ni"].max() > 10

    def test_errors(self, eds):
        with pytest.raises(RuntimeError, match="no phases yet"):
            eds.decomposition(init="previous", **QUIET)
        eds.decomposition(output_dimension=2, **QUIET)
        with pytest.raises(ValueError, match="has 2 phases"):
            eds.decomposition(init="previous", output_dimension=3, **QUIET)


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("extension", FORMATS)
def test_everything_survives_a_file(tmp_path, extension, lazy):
    s = simulation.particles((10, 9), counts_per_pixel=400)
    s.refine_calibration(["offset", "gain"], print_info=False)
    fixed = {0: {"Ni": 0.0}}
    s.decomposition(output_dimension=3, fixed_composition=fixed, **QUIET)
    s.save(tmp_path / f"map.{extension}")
    loaded = hs.load(tmp_path / f"map.{extension}", lazy=lazy)
    assert str(report(loaded.analysis_results())) == str(report(s.analysis_results()))
    np.testing.assert_array_equal(
        loaded.estimate_mass_thickness("phases").data,
        s.estimate_mass_thickness("phases").data,
    )
    for ours, theirs in zip(
        s.quantify("pixels"), loaded.quantify("pixels"), strict=True
    ):
        np.testing.assert_array_equal(ours.data, theirs.data)
    results = loaded.metadata.EDS_espm.results
    assert results.options.sparsity == 1.0
    assert results.options.init == "nndsvd"
    assert results.versions.as_dictionary()["hyperspy"] == version("hyperspy")
    errors = loaded.metadata.EDS_espm.calibration.errors.as_dictionary()
    assert set(errors) == {"offset", "gain"}
    repeated = (
        one.bootstrap_quantification(2, show_progressbar=False) for one in (s, loaded)
    )
    for ours, theirs in zip(*repeated, strict=True):
        np.testing.assert_array_equal(ours.data, theirs.data)
    loaded.decomposition(init="previous", **QUIET)
    # without the plugin the file is an ordinary signal with ordinary metadata
    plain = hs.load(tmp_path / f"map.{extension}", signal_type="", lazy=lazy)
    assert plain.metadata.EDS_espm.results.W.shape[1] == 3


def test_as_cliff_and_lorimer():
    """Within 0.5 at.% of eXSpy on a thin foil, both with the same k-factors."""
    lines = ["Ni_Ka", "Ti_Ka"]
    energy = 0.01 * np.arange(1100)
    model = SpectrumModel(energy, 200.0, ["Ni", "Ti"], take_off_angle=22.0)
    phases = [Phase("NiTi", {"Ni": 0.4, "Ti": 0.6}, 6.5, 0.01)]
    made = simulation.Experiment(model, phases, np.full((4, 5, 1), 50.0), 30_000)
    s = simulation.record(made)
    s.decomposition(output_dimension=1, **QUIET)
    ours = percents(s)
    windows = s.estimate_background_windows(xray_lines=lines)
    intensities = s.get_lines_intensity(lines, background_windows=windows)
    factors = kfactors(lines, 200.0)
    theirs = s.quantification(
        intensities,
        method="CL",
        factors=[factors[line] for line in lines],
        composition_units="atomic",
        navigation_mask=None,
    )
    for symbol, q in zip(["Ni", "Ti"], theirs, strict=True):
        assert q.metadata.Sample.elements == [symbol]
        assert ours[symbol][0] == pytest.approx(q.data.mean(), abs=0.5)
        assert ours[symbol][0] == pytest.approx({"Ni": 40, "Ti": 60}[symbol], abs=0.5)


def test_a_data_frame_without_pandas(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install pandas"):
        data_frame([(1,)], ["a"])
