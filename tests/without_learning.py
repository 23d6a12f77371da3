"""A HyperSpy as version 3 will be, without machine learning: call `take_out` first.

What HyperSpy's pull request 3673 takes out is taken out of the one that is installed:
what signals inherit of it, the lazy decomposition, `learning_results`, and what eXSpy
builds on these. What HyperSpy then still says of `learning_results` is passed over.
"""

from exspy.signals import EDSTEMSpectrum
from hyperspy._signals.lazy import LazySignal
from hyperspy.signal import MVA, BaseSignal, MVATools

copy, load = BaseSignal._deepcopy_with_new_data, BaseSignal._load_dictionary
to_dictionary = BaseSignal._to_dictionary


def _deepcopy_with_new_data(self, *args, copy_learning_results=True, **kwargs):
    # with False it would delete what is not there
    return copy(self, *args, copy_learning_results=True, **kwargs)


def _load_dictionary(self, given):
    return load(self, {k: v for k, v in given.items() if k != "learning_results"})


def _to_dictionary(self, *args, **kwargs):
    # today's writer of .hspy insists on a group of this name
    return to_dictionary(self, *args, **kwargs) | {"learning_results": {}}


def take_out():
    """Change HyperSpy for the rest of this process, which must be one of its own.

    To import this module changes nothing: pytest does, in search of examples.
    """
    BaseSignal._to_dictionary = _to_dictionary
    BaseSignal._deepcopy_with_new_data = _deepcopy_with_new_data
    BaseSignal._load_dictionary = _load_dictionary
    for owner in (MVA, MVATools):
        for name in set(vars(owner)) - set(vars(type("", (), {}))):
            delattr(owner, name)
    for owner in (LazySignal, EDSTEMSpectrum):
        if "decomposition" in vars(owner):
            del owner.decomposition

    for name in ("decomposition", "learning_results", "get_decomposition_loadings"):
        assert not hasattr(EDSTEMSpectrum([1.0]), name), name
