"""eXSpy's own tests of signals and models, our class in the place of theirs."""

from matplotlib.testing.conftest import mpl_test_settings  # noqa: F401, as eXSpy's
from substitution import tests_of

REPLACED = {
    "from exspy.signals import EDSTEMSpectrum": "",
    'set_signal_type("EDS_TEM")': 'set_signal_type("EDS_espm")',
    "exspy.data.EDS_TEM_FePt_nanoparticles()": "espm_particles()",
}
globals().update(tests_of("exspy.tests.signals.test_eds_tem", REPLACED))
globals().update(tests_of("exspy.tests.models.test_edsmodel", REPLACED))
del tests_of  # is no test
