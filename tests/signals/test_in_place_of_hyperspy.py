"""HyperSpy's own tests of decompositions, our class in the place of theirs."""

import exspy
import pytest
from substitution import tests_of

REPLACED = {
    "hs.signals.Signal1D(": "EDSespmSpectrum(",
    "signals.Signal1D(": "EDSespmSpectrum(",
    "LazySignal1D(": "LazyEDSespmSpectrum(",
}
# Beside these there are algorithms that know nothing of signals.
MODULES = (
    "bss",
    "cluster",
    "decomposition",
    "export",
    "lazy_decomposition",
    "learning_results",
)


def leave_out_vacuum(patch):
    """Leave out what eXSpy changes in HyperSpy's decomposition: its default mask.

    It takes pixels without a channel of one count, as all of these tests have, for
    vacuum.
    """
    patch.delattr(exspy.signals.EDSTEMSpectrum, "decomposition")


@pytest.fixture(autouse=True)
def no_vacuum(monkeypatch):
    leave_out_vacuum(monkeypatch)


with pytest.MonkeyPatch.context() as _patch:  # some modules decompose as they begin
    leave_out_vacuum(_patch)
    for _name in MODULES:
        globals().update(tests_of(f"hyperspy.tests.learn.test_{_name}", REPLACED))
del tests_of  # is no test
