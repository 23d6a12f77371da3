"""eXSpy's own tests of EDS signals and models, our class in the place of theirs."""

import importlib.util
import types
from pathlib import Path

from matplotlib.testing.conftest import mpl_test_settings  # noqa: F401, as eXSpy's

from espm_hs.signals import EDSespmSpectrum

# What stands for eXSpy's class in its tests -> what stands for ours.
REPLACED = {
    "from exspy.signals import EDSTEMSpectrum": "",
    'set_signal_type("EDS_TEM")': 'set_signal_type("EDS_espm")',
    "exspy.data.EDS_TEM_FePt_nanoparticles()": "espm_particles()",
}


def espm_particles():
    import exspy

    s = exspy.data.EDS_TEM_FePt_nanoparticles()
    s.set_signal_type("EDS_espm")
    return s


def _tests_of(name: str) -> dict:
    """Return the tests of a module of eXSpy, our class in the place of its own."""
    spec = importlib.util.find_spec(name)
    if spec is None:  # a package of eXSpy without its tests
        return {}
    source = Path(spec.origin).read_text()
    for theirs, ours in REPLACED.items():
        source = source.replace(theirs, ours)
    module = types.ModuleType(name)
    module.EDSTEMSpectrum, module.espm_particles = EDSespmSpectrum, espm_particles
    exec(compile(source, spec.origin, "exec"), vars(module))
    tests = vars(module).items()
    return {key: test for key, test in tests if key.lower().startswith("test")}


globals().update(_tests_of("exspy.tests.signals.test_eds_tem"))
globals().update(_tests_of("exspy.tests.models.test_edsmodel"))
