"""What is known of phases, from the user's signals to arrays."""

from __future__ import annotations

from collections.abc import Mapping

import hyperspy.api as hs
import numpy as np

# Energies of a known spectrum and of the map agree within this part of a channel.
SAME_CHANNEL = 0.01


def arrays_of(signal, known_phases):
    """Return ``known_phases`` with the spectra and maps that are signals as arrays.

    Parameters
    ----------
    signal : EDSespmSpectrum
        The map that they are about.
    known_phases
        As in its `decomposition`; what makes no sense is left for later checks.

    Raises
    ------
    ValueError
        If a spectrum is several, or on another energy axis.
    """
    if not isinstance(known_phases, Mapping):
        return known_phases
    return {
        key: {
            kind: _array(signal, value, f"`known_phases[{key!r}][{kind!r}]`")
            if kind in ("spectrum", "map")
            else value
            for kind, value in kinds.items()
        }
        if isinstance(kinds, Mapping)
        else kinds
        for key, kinds in known_phases.items()
    }


def _array(signal, value, where):
    if not isinstance(value, hs.signals.BaseSignal):
        return np.asarray(value)
    if where.endswith("['map']`"):
        return np.asarray(value.data)
    data = np.asarray(value.data)
    if data.size != data.shape[-1]:
        raise ValueError(
            f"{where} holds {data.size // data.shape[-1]} spectra; needed is one. Take "
            "their sum, `.sum()`."
        )
    ours, theirs = signal.axes_manager.signal_axes[0], value.axes_manager[-1]
    if not _same_energies(ours, theirs):
        raise ValueError(
            f"{where} has {theirs.size} channels of {theirs.scale:g} {theirs.units} "
            f"from {theirs.offset:g} {theirs.units}, the map {ours.size} of "
            f"{ours.scale:g} {ours.units} from {ours.offset:g} {ours.units}. Give a "
            "spectrum over the channels of the map, or an array if they are the same."
        )
    return data.ravel()


def _same_energies(ours, theirs) -> bool:
    ends = np.array([ours.axis[[0, -1]], theirs.axis[[0, -1]]])
    apart = np.abs(ends[0] - ends[1]).max()
    same_unit = str(ours.units).lower() == str(theirs.units).lower()
    return (
        ours.size == theirs.size
        and same_unit
        and bool(apart <= SAME_CHANNEL * abs(ours.scale))
    )
