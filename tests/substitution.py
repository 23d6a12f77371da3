"""Tests of other packages, with our classes in the place of theirs."""

import importlib.util
import sys
import types
from pathlib import Path

import exspy

from espm_hs.signals import EDSespmSpectrum, LazyEDSespmSpectrum


def espm_particles():
    s = exspy.data.EDS_TEM_FePt_nanoparticles()
    s.set_signal_type("EDS_espm")
    return s


def tests_of(name: str, replaced: dict[str, str]) -> dict:
    """Return tests and fixtures of a module, tests by names that no other module has.

    ``replaced`` is what stands for their classes -> what stands for ours.
    """
    spec = importlib.util.find_spec(name)
    if spec is None:  # a package without its tests
        return {}
    source = Path(spec.origin).read_text(encoding="utf-8")
    for theirs, ours in replaced.items():
        source = source.replace(theirs, ours)
    module = types.ModuleType(f"substituted.{name}")
    module.EDSTEMSpectrum = module.EDSespmSpectrum = EDSespmSpectrum
    module.LazyEDSespmSpectrum = LazyEDSespmSpectrum
    module.espm_particles = espm_particles
    sys.modules[module.__name__] = module  # where pytest looks for classes
    exec(compile(source, spec.origin, "exec"), vars(module))
    found = {}
    for key, thing in vars(module).items():
        if key.lower().startswith("test"):
            found[f"{key}_{name.rpartition('test_')[2]}"] = thing
        elif _is_fixture(thing):
            found[key] = thing
    return found


def _is_fixture(thing) -> bool:
    # a class of its own since pytest 8.4, an attribute before
    return type(thing).__name__ == "FixtureFunctionDefinition" or hasattr(
        thing, "_pytestfixturefunction"
    )
