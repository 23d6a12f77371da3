"""The signal classes, as a HyperSpy user meets them."""

import copy
import inspect
import re

import exspy
import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np
import pytest
from conftest import ELEMENTS, FORMATS, PHASES, make_map
from scipy.optimize import linear_sum_assignment
from sklearn.exceptions import ConvergenceWarning

from espm_hs.decomposition.decompose import DecompositionOptions
from espm_hs.physics import Detector
from espm_hs.signals import EDSespmSpectrum, LazyEDSespmSpectrum

QUIET = {"algorithm": "espm", "print_info": False}


def test_type_from_other_signals():
    data = np.ones((2, 3, 50))
    tem = exspy.signals.EDSTEMSpectrum(data)
    plain = hs.signals.Signal1D(data)
    sem = exspy.signals.EDSSEMSpectrum(data)
    sem.set_microscope_parameters(beam_energy=20, elevation_angle=30)
    for s in (tem, plain, sem):
        s.set_signal_type("EDS_espm")
        assert type(s) is EDSespmSpectrum
        assert s.metadata.Signal.signal_type == "EDS_espm"
    assert sem.metadata.Acquisition_instrument.TEM.beam_energy == 20
    assert sem.get_take_off_angle() == pytest.approx(30)
    lazy = hs.signals.Signal1D(data).as_lazy()
    lazy.set_signal_type("EDS_espm")
    assert type(lazy) is LazyEDSespmSpectrum


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s.inav[1:, 2],
        lambda s: s.isig[10:90],
        lambda s: s.isig[1.0:3.0],
        lambda s: s.rebin(scale=(1, 3, 2)),
        lambda s: s.deepcopy(),
        lambda s: s.sum(),
        lambda s: s.sum(0),
        lambda s: s.transpose(navigation_axes=[1, 0]),
        lambda s: s + 1,
    ],
    ids=[
        "inav",
        "isig",
        "isig_energy",
        "rebin",
        "deepcopy",
        "sum",
        "sum_axis",
        "transpose",
        "plus",
    ],
)
def test_type_survives(eds, change):
    for s in (eds, eds.as_lazy()):
        changed = change(s)
        expected = LazyEDSespmSpectrum if s._lazy else EDSespmSpectrum
        assert type(changed) is expected
        assert changed.metadata.Signal.signal_type == "EDS_espm"


def test_lazy_and_back(eds):
    lazy = eds.as_lazy()
    assert type(lazy) is LazyEDSespmSpectrum
    lazy.compute()
    assert type(lazy) is EDSespmSpectrum


class TestExspyMethods:
    """What eXSpy offers for EDS_TEM does the same under our type."""

    @pytest.fixture
    def pair(self, eds):
        twin = eds.deepcopy()
        twin.set_signal_type("EDS_TEM")
        assert type(twin) is exspy.signals.EDSTEMSpectrum
        return eds, twin

    def test_take_off_angle(self, pair):
        for s in pair:
            s.set_microscope_parameters(
                elevation_angle=18, azimuth_angle=45, tilt_stage=5
            )
            s.metadata.Acquisition_instrument.TEM.Stage.tilt_beta = 3
        ours, theirs = (s.get_take_off_angle() for s in pair)
        assert ours == theirs != 18

    def test_lines_windows_and_intensities(self, pair):
        results = []
        for s in pair:
            s.add_lines()
            background = s.estimate_background_windows()
            windows = s.estimate_integration_windows()
            intensities = s.get_lines_intensity(
                background_windows=background, integration_windows=windows
            )
            results.append((background, windows, [i.data for i in intensities]))
        np.testing.assert_array_equal(results[0][0], results[1][0])
        np.testing.assert_array_equal(results[0][1], results[1][1])
        for ours, theirs in zip(results[0][2], results[1][2], strict=True):
            np.testing.assert_array_equal(ours, theirs)

    def test_quantification(self, pair):
        results = []
        for s in pair:
            intensities = s.get_lines_intensity(["Fe_Ka", "Ni_Ka"])
            found = s.quantification(intensities, method="CL", factors=[1.3, 1.5])
            results.append([q.data for q in found])
        np.testing.assert_array_equal(results[0], results[1])

    def test_model(self, pair):
        results = []
        for s in pair:
            total = s.sum()
            total.add_lines()
            model = total.create_model()
            model.fit()
            results.append(model.as_signal().data)
        np.testing.assert_allclose(results[0], results[1])

    def test_plot_with_lines(self, pair):
        ours = pair[0].sum()
        ours.plot(xray_lines=True)
        assert ours._xray_markers
        plt.close("all")

    @pytest.mark.parametrize("algorithm", ["SVD", "NMF", "ORPCA"])
    def test_other_decompositions(self, pair, algorithm):
        for s in pair:
            s.change_dtype("float64")
            s.decomposition(algorithm=algorithm, output_dimension=2, print_info=False)
        ours, theirs = (s.learning_results for s in pair)
        np.testing.assert_allclose(np.abs(ours.factors), np.abs(theirs.factors))
        np.testing.assert_allclose(np.abs(ours.loadings), np.abs(theirs.loadings))
        assert ours.decomposition_algorithm == algorithm

    def test_positional_arguments_as_in_exspy(self, pair):
        for s in pair:
            s.change_dtype("float64")
            s.decomposition(True, 3.0, False, output_dimension=2, print_info=False)
        ours, theirs = (s.learning_results for s in pair)
        np.testing.assert_allclose(np.abs(ours.loadings), np.abs(theirs.loadings))


def matched(found, truth):
    """Order of the found phases (columns) that suits the true ones best."""
    distance = np.abs(found[:, :, None] - truth[:, None, :]).sum(axis=0)
    rows, columns = linear_sum_assignment(distance)
    return rows[np.argsort(columns)]


def test_finds_phases_maps_and_compositions():
    s = make_map((20, 18), counts_per_pixel=1500)
    s.decomposition(output_dimension=3, **QUIET)
    percent = np.array([q.data for q in s.quantify()])
    truth = 100 * np.array([[p.get(e, 0) for p in PHASES] for e in ELEMENTS])
    order = matched(percent, truth)
    assert np.abs(percent[:, order] - truth).max() < 4
    assert percent.sum(axis=0) == pytest.approx(100)

    results = s.learning_results
    assert results.factors.shape == (500, 3)
    assert results.loadings.shape == (360, 3)
    assert results.decomposition_algorithm == "espm"
    used = s.physical_model().channels
    assert np.isnan(results.factors[~used]).all()
    np.testing.assert_allclose(results.factors[used].sum(axis=0), 1)
    counts = s.data[..., used].sum()
    assert results.loadings.sum() == pytest.approx(counts, rel=1e-6)


@pytest.mark.parametrize("shape", [(), (40,), (5, 8), (3, 4, 5)])
def test_any_number_of_navigation_axes(shape):
    s = make_map(shape, counts_per_pixel=2000)
    k = 2 if shape else 1
    s.decomposition(output_dimension=k, smoothness=0.1, **QUIET)
    s.decomposition(output_dimension=k, **QUIET)
    n_pixels = int(np.prod(shape))
    assert s.learning_results.loadings.shape == (n_pixels, k)
    loadings = s.get_decomposition_loadings()
    assert loadings.data.shape == ((k, *shape) if k > 1 else (1,))
    s.plot_decomposition_results()
    if k > 1:  # HyperSpy cannot draw the legend of a single factor
        s.plot_decomposition_factors()
    if len(shape) in (1, 2):
        s.plot_decomposition_loadings()
    plt.close("all")
    assert s.get_decomposition_factors().data.squeeze().shape == (
        (k, 500) if k > 1 else (500,)
    )
    model = s.get_decomposition_model()
    assert model.data.shape == s.data.shape
    assert type(model) is EDSespmSpectrum
    used = ~np.isnan(s.learning_results.factors[:, 0])
    assert model.data[..., used].sum() == pytest.approx(
        s.data[..., used].sum(), rel=1e-5
    )
    pixels = s.quantify("pixels")
    assert pixels[0].data.shape == (shape or (1,))
    if shape:
        assert pixels[0].axes_manager.navigation_shape == shape[::-1]
    total = sum(q.data for q in pixels)
    np.testing.assert_allclose(total, 100)


def test_hyperspy_plots(eds):
    eds.decomposition(output_dimension=3, **QUIET)
    eds.plot_decomposition_factors()
    eds.plot_decomposition_loadings()
    eds.plot_decomposition_results()
    eds.get_decomposition_factors().plot()
    plt.close("all")


def test_composition_signals_follow_exspy(eds):
    eds.decomposition(output_dimension=3, **QUIET)
    for target in ("phases", "pixels"):
        for units in ("atomic", "weight"):
            for symbol, q in zip(ELEMENTS, eds.quantify(target, units), strict=True):
                assert q.metadata.General.title == f"{units} percent of {symbol}"
                assert q.metadata.Sample.elements == [symbol]
                spread = q.metadata.Signal.Noise_properties.variance
                assert spread.data.shape == q.data.shape
                assert (spread.data >= 0).all()
                assert q.axes_manager.signal_dimension == 0
    maps = eds.quantify("pixels")
    assert maps[0].axes_manager.navigation_shape == (7, 9)
    for ours, axis in zip(
        maps[0].axes_manager.navigation_axes,
        eds.axes_manager.navigation_axes,
        strict=True,
    ):
        assert (ours.size, ours.scale, ours.units) == (
            axis.size,
            axis.scale,
            axis.units,
        )
    hs.plot.plot_images(maps)


def test_weight_percent_and_chosen_elements(eds):
    from espm_hs.physics import atomic_weight

    eds.decomposition(output_dimension=2, **QUIET)
    atomic = np.array([q.data for q in eds.quantify(elements=["Ni", "Fe"])])
    weight = np.array([q.data for q in eds.quantify("phases", "weight", ["Ni", "Fe"])])
    mass = atomic * np.array([[atomic_weight("Ni")], [atomic_weight("Fe")]])
    np.testing.assert_allclose(weight, 100 * mass / mass.sum(axis=0))
    with pytest.raises(ValueError, match="Au"):
        eds.quantify(elements=["Au"])
    with pytest.raises(ValueError, match="units"):
        eds.quantify(units="molar")
    with pytest.raises(ValueError, match="target"):
        eds.quantify("maps")
    with pytest.raises(ValueError, match="Fe more than once"):
        eds.quantify(elements=["Fe", "Ni", "Fe"])


def test_other_decompositions_replace_the_phases(eds):
    eds.set_analysis_parameters(stray_elements=["Cu"])
    eds.change_dtype("float64")
    eds.decomposition(output_dimension=2, **QUIET)
    with pytest.raises(ValueError, match="centre"):
        eds.decomposition(algorithm="SVD", centre="everything", print_info=False)
    assert eds.quantify()[0].data.shape == (2,)  # a failure replaces nothing
    eds.decomposition(algorithm="SVD", output_dimension=2, print_info=False)
    with pytest.raises(RuntimeError, match="no phases yet"):
        eds.quantify()
    assert list(eds.metadata.EDS_espm.stray_elements) == ["Cu"]


def edited(s):
    s.data[0, 0, 200] += 1
    return s


def cropped(s):
    s.crop_signal(0.5, 8.0)
    return s


@pytest.mark.parametrize(
    "change", [lambda s: s.transpose(navigation_axes=[1, 0]), cropped, edited]
)
def test_pixels_of_data_that_moved(change):
    s = make_map((8, 8))
    s.decomposition(output_dimension=2, **QUIET)
    s.quantify("pixels")
    moved = change(s)
    with pytest.raises(RuntimeError, match="no longer those that were decomposed"):
        moved.quantify("pixels")
    assert moved.quantify()[0].data.shape == (2,)  # the phases are still known


def test_pixels_slab_by_slab_give_the_same(eds, monkeypatch):
    from espm_hs.quantification import pixels as quantification

    eds.decomposition(output_dimension=3, **QUIET)
    whole = eds.quantify("pixels")
    shapes = []
    covariance = quantification.abundance_covariance
    monkeypatch.setattr(quantification, "SLAB", 13)
    monkeypatch.setattr(
        quantification,
        "abundance_covariance",
        lambda counts, D, H, **rest: (
            shapes.append(len(H)) or covariance(counts, D, H, **rest)
        ),
    )
    for ours, theirs in zip(eds.quantify("pixels"), whole, strict=True):
        ours, theirs = (s.metadata.Signal.Noise_properties for s in (ours, theirs))
        np.testing.assert_allclose(ours.variance.data, theirs.variance.data)
    assert max(shapes) == 7  # a row of the map


def test_a_fit_that_does_not_converge_warns(eds, capsys):
    with pytest.warns(ConvergenceWarning, match="2 iterations.*`max_iter`.*`tol`"):
        eds.decomposition(output_dimension=3, max_iter=2, **QUIET)
    with pytest.warns(ConvergenceWarning):
        eds.decomposition(algorithm="espm", output_dimension=3, max_iter=2)
    printed = capsys.readouterr().out
    assert "not converged" in printed
    misfit = eds.analysis_results().misfit
    assert f"deviance ratio {misfit:.3g}" in printed


@pytest.mark.parametrize("extension", FORMATS)
def test_saved_and_loaded(eds, tmp_path, extension):
    eds.set_analysis_parameters(
        thickness=80,
        density=4.0,
        stray_elements=["Cu"],
        split_lines={"Fe": "families"},
        detector=Detector.preset("windowless"),
    )
    mask = np.zeros((7, 9), bool)
    mask[2, 3] = True
    eds.decomposition(output_dimension=3, navigation_mask=mask, **QUIET)
    eds.save(tmp_path / f"map.{extension}")
    loaded = hs.load(tmp_path / f"map.{extension}")
    assert type(loaded) is EDSespmSpectrum
    for target in ("phases", "pixels"):
        pairs = zip(eds.quantify(target), loaded.quantify(target), strict=True)
        for before, after in pairs:
            np.testing.assert_array_equal(before.data, after.data)
            np.testing.assert_array_equal(
                before.metadata.Signal.Noise_properties.variance.data,
                after.metadata.Signal.Noise_properties.variance.data,
            )
    np.testing.assert_array_equal(eds.physical_model().G, loaded.physical_model().G)
    np.testing.assert_array_equal(
        eds.learning_results.loadings, loaded.learning_results.loadings
    )
    # a slice of the map still knows its phases, but no longer has the maps
    part = loaded.inav[:3, :2]
    np.testing.assert_array_equal(part.quantify()[0].data, eds.quantify()[0].data)
    with pytest.raises(RuntimeError, match="learning_results"):
        part.quantify("pixels")


def test_results_of_an_unknown_version(eds):
    eds.decomposition(output_dimension=2, **QUIET)
    eds.metadata.EDS_espm.results.version = 99
    with pytest.raises(ValueError, match="99"):
        eds.quantify()


def test_lazy_gives_the_same_bits(eds):
    lazy = eds.as_lazy()
    for s in (eds, lazy):
        s.decomposition(output_dimension=3, smoothness=0.1, **QUIET)
    np.testing.assert_array_equal(
        eds.learning_results.loadings, lazy.learning_results.loadings
    )
    for ours, theirs in zip(
        eds.quantify("pixels"), lazy.quantify("pixels"), strict=True
    ):
        np.testing.assert_array_equal(ours.data, theirs.data)


def test_masks_follow_hyperspy(eds):
    """An array mask is (x, y), a signal mask in array order; True is left out."""
    mask = np.zeros((7, 9), bool)
    mask[5, 1] = True  # x = 5, y = 1
    as_signal = eds.sum(-1)
    as_signal.data = mask.T
    channels = np.zeros(500, bool)
    channels[400:] = True
    for navigation_mask in (mask, as_signal):
        eds.decomposition(
            output_dimension=2,
            navigation_mask=navigation_mask,
            signal_mask=channels,
            **QUIET,
        )
        maps = eds.learning_results.loadings.reshape(9, 7, 2)
        assert np.isnan(maps[1, 5]).all()
        assert np.isnan(maps).sum() == 2
        assert np.isnan(eds.learning_results.factors[400:]).all()
        assert np.isnan(eds.quantify("pixels")[0].inav[5, 1].data).all()
        np.testing.assert_array_equal(eds.learning_results.navigation_mask, mask.T)
    with pytest.raises(ValueError, match=r"\(7, 9\)"):
        eds.decomposition(output_dimension=2, navigation_mask=mask.T, **QUIET)
    with pytest.raises(ValueError, match=r"\(500,\)"):
        eds.decomposition(output_dimension=2, signal_mask=mask, **QUIET)


def test_vacuum_threshold_as_in_exspy(eds):
    eds.inav[:2, :].data[...] = 0
    eds.data[:, :2] = 0
    eds.decomposition(output_dimension=2, navigation_mask=0.5, **QUIET)
    masked = eds.learning_results.navigation_mask
    np.testing.assert_array_equal(masked, eds.vacuum_mask(0.5).data)
    assert masked[:, 0].all()


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int16, int])
def test_vacuum_threshold_of_any_number_type(eds, kind):
    eds.data[:, :2] = 0
    eds.decomposition(output_dimension=2, navigation_mask=kind(1), **QUIET)
    masked = eds.learning_results.navigation_mask
    np.testing.assert_array_equal(masked, eds.vacuum_mask(1.0).data)


def test_energy_axis_in_ev_gives_the_same(eds):
    in_ev = eds.deepcopy()
    axis = in_ev.axes_manager[-1]
    axis.units, axis.offset, axis.scale = "eV", axis.offset * 1e3, axis.scale * 1e3
    for s in (eds, in_ev):
        s.decomposition(output_dimension=2, **QUIET)
    np.testing.assert_allclose(
        in_ev.learning_results.loadings, eds.learning_results.loadings, rtol=1e-6
    )


def test_noise_peak_is_left_out(eds):
    spiked = eds.deepcopy()
    spiked.change_dtype("uint32")
    spiked.data[..., :10] += 10_000  # strobe peak below 0.1 keV
    for s in (eds, spiked):
        s.decomposition(output_dimension=2, **QUIET)
    np.testing.assert_array_equal(
        eds.learning_results.loadings, spiked.learning_results.loadings
    )


def test_fixed_composition():
    s = make_map((12, 10), counts_per_pixel=1500)
    wanted = {0: {"Si": 0.0, "Ti": 0.0}, 2: {"Fe": 0.7, "Ni": 0.3}}
    s.decomposition(output_dimension=3, fixed_composition=wanted, **QUIET)
    percent = dict(zip(ELEMENTS, (q.data for q in s.quantify()), strict=True))
    assert percent["Si"][0] == percent["Ti"][0] == 0
    assert percent["Fe"][2] == pytest.approx(70)
    assert percent["Ni"][2] == pytest.approx(30)
    assert percent["O"][2] == 0
    spread = s.quantify()[0].metadata.Signal.Noise_properties.variance.data
    assert spread[2] == 0


@pytest.mark.parametrize("simplex", ["elements", "abundances", None])
def test_simplex(eds, simplex):
    eds.decomposition(output_dimension=3, simplex=simplex, **QUIET)
    if simplex == "abundances":
        np.testing.assert_allclose(eds.learning_results.loadings.sum(axis=1), 1)
    assert sum(q.data for q in eds.quantify()) == pytest.approx(100)
    for q in eds.quantify("pixels"):
        assert np.isfinite(q.data).all()


def test_return_info_and_print_info(eds, capsys):
    found = eds.decomposition(algorithm="espm", output_dimension=2, return_info=True)
    assert found.n_phases == 2
    # F starts again after each step, and falls otherwise
    assert (np.diff(found.history) > 0).sum() <= len(found.steps)
    printed = capsys.readouterr().out
    assert "Found 2 phases: deviance ratio" in printed
    assert "Fe L" in printed
    assert eds.decomposition(output_dimension=2, **QUIET) is None
    options = {"separation": False, "return_info": True}
    plain = eds.decomposition(output_dimension=2, **QUIET, **options)
    assert np.diff(plain.history).max() <= 0


# HyperSpy 2.2 does not export it
(LazySignal,) = (
    one for one in LazyEDSespmSpectrum.mro() if one.__name__ == "LazySignal"
)


@pytest.mark.parametrize(
    ("kind", "parent", "others"),
    [
        (EDSespmSpectrum, hs.signals.BaseSignal, LazySignal),
        (LazyEDSespmSpectrum, LazySignal, hs.signals.BaseSignal),
    ],
)
def test_help_shows_all_options(kind, parent, others):
    """Ours with their defaults, and what eXSpy and HyperSpy have for their own."""
    shown = inspect.signature(kind.decomposition).parameters
    assert kind.decomposition.__name__ == "decomposition"
    assert shown["algorithm"].default == "SVD"
    defaults = {"smoothness": "auto", "n_init": 4, "tol": 1e-4, "binning": "auto"}
    assert defaults.items() <= {n: x.default for n, x in shown.items()}.items()
    theirs = set(
        inspect.signature(exspy.signals.EDSTEMSpectrum.decomposition).parameters
    )
    has, has_not = (
        set(inspect.signature(one.decomposition).parameters) for one in (parent, others)
    )
    assert theirs | has <= set(shown)
    # ours, too; HyperSpy 2.2 has it for maps in memory alone
    assert not (has_not - has - {"return_info"}) & set(shown)
    documented = inspect.getdoc(kind.decomposition)
    for name in DecompositionOptions.__dataclass_fields__:
        if name not in ("pixel_size", "callback", "check_every", "names"):
            name = {"local": "local_absorption"}.get(name, name)
            assert name in shown
            assert f"\n{name}\n" in documented


@pytest.mark.parametrize("given", [{}, {"max_iter": 300}, {"navigation_mask": None}])
def test_others_get_what_was_given_and_nothing_else(eds, monkeypatch, given):
    calls = []
    monkeypatch.setattr(
        exspy.signals.EDSTEMSpectrum,
        "decomposition",
        lambda self, *args, **kwargs: calls.append((args, kwargs)),
    )
    eds.decomposition(False, algorithm="NMF", **given)
    assert calls == [((False,), {"algorithm": "NMF", **given})]


def test_interrupt_keeps_the_best_so_far(eds, monkeypatch):
    from espm_hs.signals import _masks

    class Bar:
        n = 0

        def __init__(self, *args, **kwargs):
            pass

        def update(self, n):
            self.n += n
            if self.n > 20:
                raise KeyboardInterrupt

        def set_description_str(self, *args, **kwargs):
            pass

        def close(self):
            pass

    monkeypatch.setattr(_masks, "progressbar", Bar)
    with pytest.warns(UserWarning, match="interrupted"):
        eds.decomposition(output_dimension=3, tol=0, **QUIET)
    assert eds.quantify()[0].data.shape == (3,)


class TestErrors:
    """One clear message each; nothing is changed."""

    @pytest.fixture(autouse=True)
    def nothing_changes(self, eds):
        self.eds = eds
        yield
        np.testing.assert_array_equal(eds.data, self.data)
        assert str(eds.metadata.as_dictionary()) == self.metadata
        assert eds.learning_results.loadings is None

    def fails(self, message, kind=ValueError, **options):
        self.data = self.eds.data.copy()
        self.metadata = str(copy.deepcopy(self.eds.metadata.as_dictionary()))
        with pytest.raises(kind, match=message):
            self.eds.decomposition(**{**QUIET, "output_dimension": 2, **options})

    def test_no_elements(self):
        del self.eds.metadata.Sample.elements
        self.fails("s.set_elements")

    def test_no_beam_energy(self):
        del self.eds.metadata.Acquisition_instrument.TEM.beam_energy
        self.fails(r"s.set_microscope_parameters\(beam_energy=200\)")

    def test_element_without_a_line_in_range(self):
        self.eds.set_elements(["Fe", "H"])
        self.fails("H")

    def test_element_whose_lines_are_masked(self):
        channels = np.zeros(500, bool)
        channels[300:] = True  # above 5.9 keV, where Fe K and Ni K are
        self.fails("Fe, Ni.*signal_mask", signal_mask=channels)

    def test_negative_counts(self):
        self.eds.change_dtype("int16")
        self.eds.data[1, 2, 100] = -1
        self.fails("Negative")

    def test_counts_that_are_not_finite(self):
        self.eds.change_dtype("float32")
        self.eds.data[1, 2, 100] = np.nan
        self.fails("NaN")

    def test_complex(self):
        self.eds.data = self.eds.data.astype(complex)
        self.fails("omplex", TypeError)

    def test_all_pixels_masked(self):
        self.fails("True means left out", navigation_mask=np.ones((7, 9), bool))

    def test_all_channels_masked(self):
        self.fails("True means left out", signal_mask=np.ones(500, bool))

    def test_nothing_counted(self):
        self.eds.data[...] = 0
        self.fails("nothing to decompose")

    @pytest.mark.parametrize("k", [None, 0, -1, 64, 2.5, "2", True])
    def test_output_dimension(self, k):
        self.fails("output_dimension", output_dimension=k)

    @pytest.mark.parametrize(
        ("fixed", "message"),
        [
            ({0: {"Si": 1.5}}, "between 0 and 1"),
            ({0: {"Si": 0.7, "Fe": 0.7}}, "add up to 1.4"),
            ({5: {"Si": 0.1}}, "0 to 1"),
            ({0: {"Au": 0.1}}, "s.add_elements"),
        ],
    )
    def test_fixed_composition(self, fixed, message):
        self.fails(message, fixed_composition=fixed)

    @pytest.mark.parametrize(
        "option",
        [
            {"sparsity": -1},
            {"smoothness": np.nan},
            {"simplex": "all"},
            {"init": "pca"},
            {"n_init": 0},
            {"max_iter": 0},
            {"tol": -1},
        ],
    )
    def test_options(self, option):
        self.fails(next(iter(option)), **option)

    def test_units_of_the_energy_axis(self):
        self.eds.axes_manager[-1].units = "nm"
        self.fails("keV")

    def test_thickness_without_density(self):
        self.eds.set_analysis_parameters(thickness=100)
        self.fails(r"s.set_analysis_parameters\(density=")

    @pytest.mark.parametrize(
        "mask",
        [np.zeros((7, 9)), np.zeros((7, 9), int).tolist(), "vacuum", np.array(1.0)],
        ids=["float", "list", "text", "array"],
    )
    def test_navigation_mask_is_boolean(self, mask):
        self.fails("`navigation_mask` is .*True = left out", navigation_mask=mask)

    @pytest.mark.parametrize("mask", [np.zeros(500, int), 1.0, "noise"])
    def test_signal_mask_is_boolean(self, mask):
        self.fails("`signal_mask` is .*True = left out", signal_mask=mask)

    @pytest.mark.parametrize("kind", [hs.signals.Signal1D, hs.signals.Signal2D])
    def test_mask_with_signal_axes(self, kind):
        self.fails("mask.T", navigation_mask=kind(np.zeros((9, 7), bool)))

    @pytest.mark.parametrize("name", ["centre", "sparcity", "svd_solver", "copy"])
    def test_unknown_argument(self, name):
        message = rf"algorithm='espm'\)` does not know `{name}`.*sparsity, smoothness"
        self.fails(message, TypeError, **{name: None})

    def test_near_miss_of_an_option(self):
        self.fails("Did you mean `sparsity`", TypeError, sparcity=1.0)
        self.fails("Did you mean `n_init`", TypeError, n_inits=2, max_iter=3)
        self.fails("Did you mean `output_dimension`", TypeError, n_phases=3)

    @pytest.mark.parametrize(
        ("item", "value", "call"),
        [
            ("Sample.density", "abc", r"s.set_analysis_parameters\(density="),
            ("Sample.thickness", "thin", r"s.set_analysis_parameters\(thickness="),
            (
                "Acquisition_instrument.TEM.beam_energy",
                "200 kV",
                r"s.set_microscope_parameters\(beam_energy=200",
            ),
            (
                "Acquisition_instrument.TEM.Detector.EDS.energy_resolution_MnKa",
                np.nan,
                r"s.set_microscope_parameters\(energy_resolution_MnKa=",
            ),
            (
                "Acquisition_instrument.TEM.Detector.EDS.elevation_angle",
                [18, 18],
                r"s.set_microscope_parameters\(elevation_angle=",
            ),
        ],
    )
    def test_metadata_that_are_no_number(self, item, value, call):
        self.eds.metadata.set_item(item, value)
        self.fails(rf"{item}.*{re.escape(repr(value))}.*{call}")

    def test_thickness_in_nm_without_units(self):
        self.eds.metadata.set_item("Sample.thickness", 100.0)
        self.eds.metadata.set_item("Sample.density", 4.0)
        self.fails(r"read in metres.*s.set_analysis_parameters\(thickness=")

    def test_positional_argument(self):
        self.data = self.eds.data.copy()
        self.metadata = str(self.eds.metadata.as_dictionary())
        with pytest.raises(TypeError, match="by name"):
            self.eds.decomposition(True, **QUIET)

    def test_quantify_before_decomposition(self):
        self.data = self.eds.data.copy()
        self.metadata = str(self.eds.metadata.as_dictionary())
        with pytest.raises(RuntimeError, match="decomposition"):
            self.eds.quantify()


class TestAnalysisParameters:
    def test_written_and_read_back(self, eds):
        eds.set_analysis_parameters(thickness=100, density=4.5, stray_elements=["Cu"])
        model = eds.physical_model()
        assert model.thickness == 100
        assert model.mass_thickness == pytest.approx(4.5e-4)
        labels = [column.label for column in model.columns]
        assert any("Cu" in label for label in labels)
        # what is not given stays
        eds.set_analysis_parameters(density=5.0)
        assert eds.physical_model().thickness == 100
        assert eds.physical_model().density == 5.0
        assert list(eds.physical_model().stray_elements) == ["Cu"]

    def test_split_lines_replace_the_old_ones(self, eds):
        eds.set_analysis_parameters(split_lines={"Fe": 3.0})
        eds.set_analysis_parameters(split_lines={"Ni": "families"})
        assert dict(eds.physical_model().split_lines) == {"Ni": "families"}

    def test_thickness_without_units_is_in_metres(self, eds):
        eds.metadata.set_item("Sample.thickness", 1e-7)
        eds.metadata.set_item("Sample.density", 4.0)
        assert eds.physical_model().thickness == pytest.approx(100)

    @pytest.mark.parametrize(
        "bad",
        [
            {"thickness": -1},
            {"thickness": "thin"},
            {"density": np.nan},
            {"stray_elements": "Cu"},
            {"stray_elements": ["Xx"]},
            {"split_lines": ["Fe"]},
            {"detector": "golden"},
            {"detector": 3},
            {"thickness": True},
            {"thickness": 1e7},
            {"stray_elements": ["Cu", "Cu"]},
            {"stray_elements": 29},
            {"stray_elements": ["Cu", "Fe"]},  # Fe is in the sample
            {"split_lines": {"Fe": "K"}},
            {"split_lines": {"Fe": -3}},
        ],
    )
    def test_bad_values_write_nothing(self, eds, bad):
        before = str(eds.metadata.as_dictionary())
        with pytest.raises((ValueError, TypeError)):
            eds.set_analysis_parameters(**{"density": 3.0, **bad})
        assert str(eds.metadata.as_dictionary()) == before

    def test_stored_as_the_model_reads_them(self, eds):
        eds.set_analysis_parameters(stray_elements=[29], split_lines={26: None})
        assert list(eds.metadata.EDS_espm.stray_elements) == ["Cu"]
        assert eds.metadata.EDS_espm.split_lines.as_dictionary() == {"Fe": "none"}
        assert eds.physical_model().stray_elements == ("Cu",)

    def test_stray_elements_of_the_sample(self, eds):
        with pytest.raises(ValueError, match=r"Fe cannot be both.*s.set_elements"):
            eds.set_analysis_parameters(stray_elements=["Cu", "Fe"])

    @pytest.mark.parametrize(
        "detector", [Detector(resolution=150), {"resolution": 150}]
    )
    def test_resolution_of_the_detector(self, eds, detector):
        eds.set_analysis_parameters(detector=detector)
        microscope = eds.metadata.Acquisition_instrument.TEM
        assert microscope.Detector.EDS.energy_resolution_MnKa == 150
        assert eds.physical_model().detector.resolution == 150
        # a preset says nothing about the resolution of this detector
        eds.set_analysis_parameters(detector="polymer_window")
        assert eds.physical_model().detector.resolution == 150

    def test_a_single_element_as_text(self, eds):
        eds.metadata.Sample.elements = "Fe"
        assert eds.physical_model().elements == ("Fe",)

    def test_overrides(self, eds):
        assert eds.physical_model(beam_energy=80.0).beam_energy == 80
        assert eds.physical_model(elements=["Fe"]).elements == ("Fe",)

    def test_absorption_changes_the_composition(self):
        """Light lines of a thick sample count for more when absorption is known."""
        s = make_map((5, 5), counts_per_pixel=20_000).sum()
        found = []
        for thickness in (None, 500):
            if thickness:
                s.set_analysis_parameters(thickness=thickness, density=5.0)
            s.decomposition(output_dimension=1, **QUIET)
            found.append(s.quantify(elements=["O", "Fe"])[0].data[0])
        assert found[1] > found[0] + 3


def test_a_model_needs_phases(eds):
    with pytest.raises(RuntimeError, match="decomposition"):
        eds.get_decomposition_model()


@pytest.mark.parametrize("what", ["number_of_phases", "binning"])
def test_estimates_are_plotted_where_asked(what):
    s = make_map((8, 8), 100)
    options = {"n_thinnings": 2, "n_init": 1, "show_progressbar": False, "plot": True}
    plt.close("all")
    if what == "binning":
        s.estimate_binning(2, binnings=(1, 2), **options)
    else:
        s.estimate_number_of_phases((1, 2), **options)
    (figure,) = map(plt.figure, plt.get_fignums())
    assert figure.axes[0].lines
    plt.close("all")
