"""Small problems with known truth."""

import json
import os
from importlib.util import find_spec
from types import SimpleNamespace

import hyperspy.api as hs
import numpy as np
import pytest
from hypothesis import settings

hs.preferences.General.show_progressbar = False
# Side by side with other workers, "all cores" is one: more threads would only wait for
# each other. Tests of threads say how many they want.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("LOKY_MAX_CPU_COUNT", "1")
# No test is about time: a busy machine must not make one fail. The suite draws the same
# examples in every run, on every machine; `make search` draws others in each.
settings.register_profile("suite", deadline=None, derandomize=True, database=None)
settings.register_profile("search", deadline=None, print_blob=True)
settings.load_profile("suite")


# Formats of HyperSpy; zarr 2 has no compiled package for Python 3.14.
FORMATS = ("hspy", "zspy") if find_spec("zarr") else ("hspy",)
needs_zspy = pytest.mark.skipif("zspy" not in FORMATS, reason="zarr 2 is not there")


def make_problem(seed=0, shape=(12, 10), n_channels=60, n_columns=5, k=3, counts=80):
    """Counts of k components mixed from n_columns known spectra."""
    rng = np.random.default_rng(seed)
    G = 0.02 + 5 * rng.random((n_channels, n_columns)) ** 6
    W = rng.dirichlet(np.full(n_columns, 0.6), k).T
    D = G @ W
    D_sum = D.sum(axis=0)
    n_pixels = int(np.prod(shape))
    H = rng.dirichlet(np.full(k, 0.5), n_pixels) * counts / D_sum
    X = rng.poisson(H @ D.T).astype(np.uint16)
    return SimpleNamespace(G=G, W=W, H=H, X=X, shape=shape, k=k)


@pytest.fixture(scope="session")
def small():
    """One small problem, shared because nothing may change it."""
    problem = make_problem()
    problem.X.setflags(write=False)
    return problem


PHASES = [{"Si": 0.33, "O": 0.67}, {"Fe": 0.7, "Ni": 0.3}, {"Ti": 0.4, "O": 0.6}]
ELEMENTS = ["Fe", "Ni", "O", "Si", "Ti"]


def make_map(shape=(9, 7), counts_per_pixel=300, seed=0, offset=-0.1, size=500):
    """EDSespmSpectrum of three phases; ``shape`` in array order."""
    from espm_hs.physics import SpectrumModel
    from espm_hs.simulation import Experiment, Phase

    energy = offset + 0.02 * np.arange(size)
    model = SpectrumModel(energy, 200.0, ELEMENTS)
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.full(3, 0.3), shape)
    phases = [Phase(str(i), PHASES[i], 5.0, 0.05) for i in range(3)]
    counts = Experiment(model, phases, shares, counts_per_pixel).counts(seed)
    s = hs.signals.Signal1D(counts.toarray().reshape(*shape, size))
    axis = s.axes_manager[-1]
    axis.name, axis.units, axis.offset, axis.scale = "Energy", "keV", offset, 0.02
    s.set_signal_type("EDS_espm")
    s.set_microscope_parameters(beam_energy=200, live_time=10.0)
    s.set_elements(ELEMENTS)
    s.set_analysis_parameters(mass_thickness=0, detector="windowless")
    s.metadata.General.title = "simulated"
    return s


@pytest.fixture
def eds():
    """Small map of three phases, for the test to change as it likes."""
    return make_map()


def roughness(grid, H):
    """Squared differences of neighbours, weighted, summed over their pairs."""
    total = 0.0
    for row, others in zip(H, grid.neighbours, strict=True):
        for other, weight in zip(others, grid.weights, strict=True):
            if other >= 0:
                total += 0.5 * weight * ((row - H[other]) ** 2).sum()
    return total


@pytest.fixture
def toolkit(monkeypatch):
    """HyperSpy with ipywidgets as its toolkit, whether it has its own or not."""
    from hyperspy.ui_registry import UI_REGISTRY

    from espm_hs.gui import WIDGETS, register_widgets

    monkeypatch.setattr("espm_hs.gui.TOOLKIT_REGISTRY", {"ipywidgets"})
    monkeypatch.setattr("hyperspy.ui_registry.TOOLKIT_REGISTRY", {"ipywidgets"})
    for key in WIDGETS:
        monkeypatch.setitem(UI_REGISTRY, key, dict(UI_REGISTRY[key]))
    register_widgets()


def record(table, what, *numbers):
    """Keep how much was tried, for the tables of benchmarks/robustness/faults.py."""
    if path := os.environ.get("ESPM_HS_RECORD"):
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps([table, what, *numbers]) + "\n")
