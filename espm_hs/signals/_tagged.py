"""What is found, as signals titled and tagged like eXSpy's."""

from __future__ import annotations

import dask.array as da
import hyperspy.api as hs

from espm_hs.arguments import check_choice


def check_target(target) -> None:
    """Raise ValueError for a target that is not known."""
    check_choice("target", target, ("phases", "pixels"))


def phase_axis(found) -> list[dict]:
    """Axis of signals that have a number for each phase."""
    return [{"name": "Phase", "size": found.n_phases, "navigate": True}]


def tagged(title, values, axes, elements=None):
    """One signal, titled and tagged as eXSpy's are."""
    metadata = {"General": {"title": title}}
    if elements is not None:
        metadata["Sample"] = {"elements": elements}
    signal = hs.signals.BaseSignal(values, axes=axes, metadata=metadata)
    return signal.as_lazy() if isinstance(values, da.Array) else signal


def with_variance(title, values, variance, axes, elements=None):
    """One signal with its variance."""
    signal = tagged(title, values, axes, elements)
    signal.set_noise_variance(tagged(f"Variance of {title}", variance, axes))
    return signal
