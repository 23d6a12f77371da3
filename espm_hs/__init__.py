"""Physics-guided decomposition of STEM-EDX spectrum images in HyperSpy."""

import importlib
import importlib.util
import warnings

# Imported on first use: HyperSpy reads the entry point of every extension when
# it starts, and must not pay for numba and xraylib then.
_LAZY = {
    "EspmNMF": "espm_hs.factorization",
    "JointResult": "espm_hs.quantification.joint",
    "PhaseWarning": "espm_hs.decomposition.cautions",
    "physics": None,
    "factorization": None,
    "decompose_together": "espm_hs.signals._together",
    "estimate_number_together": "espm_hs.signals._together",
    "analysis": None,
    "compounds": None,
    "metrics": None,
    "simulation": None,
    "signals": None,
}

__all__ = [
    "EspmNMF",
    "JointResult",
    "PhaseWarning",
    "analysis",
    "compounds",
    "decompose_together",
    "estimate_number_together",
    "factorization",
    "metrics",
    "physics",
    "signals",
    "simulation",
]


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])


def __getattr__(name: str):
    if name == "__version__":  # that of the tag, see pyproject.toml
        from importlib.metadata import version

        return version("espm-hs")
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _LAZY[name]
    if home is None:
        return importlib.import_module(f"{__name__}.{name}")
    return getattr(importlib.import_module(home), name)


def take_over_signal_type() -> None:
    """Make espm_hs alone stand for EDS_espm, and say so.

    Where espm is installed beside espm_hs, HyperSpy would take whichever class it read
    first. It does not import packages to find out what they register, so this can only
    act once espm_hs is imported: by the user, by HyperSpy when it opens a file that
    espm_hs wrote, or with one of its lazy signals.

    Warns
    -----
    UserWarning
        If espm had registered the signal type, too.
    """
    from hyperspy.extensions import ALL_EXTENSIONS

    signals = ALL_EXTENSIONS["signals"]
    others = [
        name
        for name, entry in signals.items()
        if entry["signal_type"] == "EDS_espm"
        and entry["module"].partition(".")[0] == "espm"
    ]
    for name in others:
        del signals[name]
    if others:
        warnings.warn(
            "espm and espm_hs are both installed, and both call their signal type "
            "'EDS_espm'. From now on it is that of espm_hs, in this session. Signals "
            "made before keep their class: s.set_signal_type('EDS_espm') turns them "
            "into espm_hs's. Uninstall one of the packages to end this message; "
            "docs/migration.md says what replaces each call of espm.",
            stacklevel=2,
        )


if importlib.util.find_spec("espm") is not None:
    take_over_signal_type()
