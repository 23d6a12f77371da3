"""Phases that are nowhere wider than a bin."""

import hyperspy.api as hs
import numpy as np
import pytest

from espm_hs.factorization.single_pixels import SinglePixels
from espm_hs.metrics import match_phases
from espm_hs.physics import SpectrumModel
from espm_hs.simulation import Experiment, Phase, particles

SHAPE, COUNTS = (48, 48), 40.0
ELEMENTS = ["Fe", "Ni", "Ti"]
# both have all elements, so that none tells how much of the matrix is in the layers
PHASES = [{"Fe": 0.85, "Ni": 0.1, "Ti": 0.05}, {"Fe": 0.3, "Ni": 0.1, "Ti": 0.6}]


@pytest.fixture(scope="module")
def layered():
    """Map of a matrix with layers of one pixel, and the spectra of both."""
    return map_with_layers(COUNTS, [5])


@pytest.fixture(scope="module")
def few_counts():
    """The same with layers of three pixels, at few counts."""
    return map_with_layers(8.0, [4, 5, 6])


def map_with_layers(counts, columns, share=1.0):
    """Map with layers in some of 16 columns, and the spectra of both phases."""
    model = SpectrumModel(-0.1 + 0.02 * np.arange(500), 200.0, ELEMENTS)
    profile = np.zeros(16)
    profile[columns] = share
    layer = np.broadcast_to(np.tile(profile, SHAPE[1] // 16), SHAPE)
    shares = np.stack([1 - layer, layer], axis=-1)
    phases = [Phase(str(i), PHASES[i], 5.0, 0.05) for i in range(2)]
    made = Experiment(model, phases, shares, counts)
    s = hs.signals.Signal1D(made.counts(0).toarray().reshape(*SHAPE, -1))
    axis = s.axes_manager[-1]
    axis.name, axis.units, axis.offset, axis.scale = "Energy", "keV", -0.1, 0.02
    s.set_signal_type("EDS_espm")
    s.set_microscope_parameters(beam_energy=200, live_time=10.0)
    s.set_elements(ELEMENTS)
    s.set_analysis_parameters(mass_thickness=0, detector="windowless")
    return s, made.spectra


def error_of(s, spectra, **options):
    """Angle between the layer that is found and the true one, in degrees."""
    s.decomposition(algorithm="espm", output_dimension=2, **options)
    _, angles = match_phases(s.analysis_results().spectra, spectra)
    return angles[1]


def test_layers_that_bins_mix_are_what_single_pixels_show(layered):
    s, spectra = layered
    mixed = error_of(s, spectra, binning=4)
    assert s.analysis_results().gains == ()
    alone = error_of(s, spectra)
    assert s.analysis_results().binning > 1
    assert any("single pixels" in step for step in s.analysis_results().gains)
    assert mixed > 20
    assert alone < 4


def test_what_bins_show_is_left_as_it_is():
    s = particles(shape=(32, 32), counts_per_pixel=60)
    s.decomposition(algorithm="espm", output_dimension=3)
    assert s.analysis_results().binning > 1
    assert s.analysis_results().gains == ()


def test_few_counts_of_single_pixels_show_layers_apart(few_counts):
    s, spectra = few_counts
    mixed = error_of(s, spectra, binning=5)
    assert not s.analysis_results().gains
    alone = error_of(s, spectra)
    found = s.analysis_results()
    assert found.binning > 1
    assert any("single pixels" in step for step in found.gains)
    assert mixed > 20
    assert alone < 6
    # the stated errors know of it
    percent = 100 * found.composition[found.elements.index("Ti"), 1]
    error = 100 * np.sqrt(found.covariance[1].diagonal()[found.element_columns][-1])
    assert abs(percent - 60) < 3 * error + 5


def test_layers_that_fade_are_what_single_pixels_show():
    """Bins mix them, whatever their size is."""
    fading = [0.15, 0.5, 0.85, 1.0, 0.85, 0.5, 0.15]
    s, spectra = map_with_layers(60.0, np.arange(4, 11), fading)
    alone = error_of(s, spectra)
    found = s.analysis_results()
    assert any("single pixels" in step for step in found.gains)
    mixed = error_of(s, spectra, binning=found.binning)
    assert alone < 0.6 * mixed


def test_single_pixels_that_nobody_waits_for_leave_all_as_it_was(
    few_counts, monkeypatch
):
    s, spectra = few_counts

    def stopped(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(SinglePixels, "fit", stopped)
        with pytest.warns(UserWarning, match="interrupted"):
            found = error_of(s, spectra)
    assert s.analysis_results().interrupted
    before = error_of(s, spectra, binning=s.analysis_results().binning)
    assert found == pytest.approx(before, abs=1)
