"""Physics-guided decomposition of STEM-EDX spectrum images in HyperSpy."""

import importlib
import importlib.util

__version__ = "0.1.0"

# Imported on first use: HyperSpy reads the entry point of every extension when
# it starts, and must not pay for numba and xraylib then.
_LAZY = {
    "EspmNMF": "espm_hs.factorization",
    "physics": None,
    "factorization": None,
    "analysis": None,
    "metrics": None,
    "simulation": None,
    "signals": None,
}

__all__ = [
    "EspmNMF",
    "analysis",
    "factorization",
    "metrics",
    "physics",
    "signals",
    "simulation",
]


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])


def __getattr__(name: str):
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _LAZY[name]
    if home is None:
        return importlib.import_module(f"{__name__}.{name}")
    return getattr(importlib.import_module(home), name)


if importlib.util.find_spec("espm") is not None:
    from espm_hs.coexistence import take_over_signal_type

    take_over_signal_type()
