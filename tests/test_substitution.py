"""Tests of eXSpy and HyperSpy themselves, our class in the place of theirs."""

import importlib.util
import sys
import types
from pathlib import Path

import exspy
import pytest
from matplotlib.testing.conftest import mpl_test_settings  # noqa: F401, as eXSpy's

from espm_hs.signals import EDSespmSpectrum, LazyEDSespmSpectrum

# What stands for their classes in their tests -> what stands for ours.
EXSPY = {
    "from exspy.signals import EDSTEMSpectrum": "",
    'set_signal_type("EDS_TEM")': 'set_signal_type("EDS_espm")',
    "exspy.data.EDS_TEM_FePt_nanoparticles()": "espm_particles()",
}
HYPERSPY = {
    "hs.signals.Signal1D(": "EDSespmSpectrum(",
    "signals.Signal1D(": "EDSespmSpectrum(",
    "LazySignal1D(": "LazyEDSespmSpectrum(",
}
# Beside these there are algorithms that know nothing of signals.
LEARN = ("decomposition", "export", "learning_results")
LEARN_LONG = ("bss", "cluster", "lazy_decomposition")


def espm_particles():
    s = exspy.data.EDS_TEM_FePt_nanoparticles()
    s.set_signal_type("EDS_espm")
    return s


def _module(name: str, replaced: dict) -> dict:
    """Return what a module of tests holds, our class in the place of theirs."""
    spec = importlib.util.find_spec(name)
    if spec is None:  # a package without its tests
        return {}
    source = Path(spec.origin).read_text(encoding="utf-8")
    for theirs, ours in replaced.items():
        source = source.replace(theirs, ours)
    module = types.ModuleType(f"{__name__}.{name}")
    module.EDSTEMSpectrum = module.EDSespmSpectrum = EDSespmSpectrum
    module.LazyEDSespmSpectrum = LazyEDSespmSpectrum
    module.espm_particles = espm_particles
    sys.modules[module.__name__] = module  # where pytest looks for classes
    exec(compile(source, spec.origin, "exec"), vars(module))
    return vars(module)


def _tests_of(name: str, replaced: dict, *marks) -> dict:
    """Return the tests of a module by names that no other module has."""
    tests = {}
    for key, test in _module(name, replaced).items():
        if key.lower().startswith("test"):
            for mark in marks:
                test = mark(test)
            tests[f"{key}_{name.rpartition('test_')[2]}"] = test
    return tests


@pytest.fixture
def no_vacuum(monkeypatch):
    """Leave out what eXSpy changes in HyperSpy's decomposition: its default mask.

    It takes pixels without a channel of one count, as all of HyperSpy's tests have, for
    vacuum.
    """
    monkeypatch.delattr(exspy.signals.EDSTEMSpectrum, "decomposition")


for _name in ("signals.test_eds_tem", "models.test_edsmodel"):
    globals().update(_tests_of(f"exspy.tests.{_name}", EXSPY))
_unmasked = pytest.mark.usefixtures("no_vacuum")
for _name in LEARN:
    _of = f"hyperspy.tests.learn.test_{_name}"
    globals().update(_tests_of(_of, HYPERSPY, _unmasked))
for _name in LEARN_LONG:
    _of = f"hyperspy.tests.learn.test_{_name}"
    globals().update(_tests_of(_of, HYPERSPY, _unmasked, pytest.mark.slow))
