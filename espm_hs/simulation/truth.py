"""The truth behind a simulated map, kept in its metadata."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from espm_hs.metadata.reader import energy_axis, item, kev_per_unit
from espm_hs.metadata.schema import TRUTH
from espm_hs.metadata.transaction import write_parameters
from espm_hs.simulation.experiment import Experiment


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """
    What a simulated map was made from.

    Attributes
    ----------
    names : tuple of str
        Names of the phases.
    elements : tuple of str
        Symbols.
    composition : array, shape (n_elements, n_phases)
        Atomic fractions.
    thickness : array, shape (*navigation, n_phases)
        Of each phase in each pixel, nm.
    spectra : array, shape (n_channels, n_phases)
        Spectra of the phases without noise, of sum 1 over the simulated channels.
    density : array, shape (n_phases,)
        g/cm3.
    dose : float
        Electrons of a pixel x share of the sphere that the detector covers.
    """

    names: tuple[str, ...]
    elements: tuple[str, ...]
    composition: np.ndarray
    thickness: np.ndarray
    spectra: np.ndarray
    density: np.ndarray
    dose: float

    @property
    def maps(self) -> np.ndarray:
        """Share of each phase in the thickness of a pixel; 0 where there is nothing."""
        whole = self.thickness.sum(axis=-1, keepdims=True)
        return self.thickness / np.where(whole > 0, whole, 1.0)

    def __repr__(self) -> str:
        lines = []
        for name, fractions in zip(self.names, self.composition.T, strict=True):
            parts = [
                f"{symbol} {100 * x:.1f}"
                for symbol, x in zip(self.elements, fractions, strict=True)
                if x > 0
            ]
            lines.append(f"{name} (at.%): {', '.join(parts)}")
        return "\n".join(lines)


def store_truth(signal, experiment: Experiment) -> None:
    """
    Write the truth to the metadata: text and plain arrays, which files keep.

    Parameters
    ----------
    signal : HyperSpy signal
        Of the counts of the experiment.
    experiment : Experiment
    """
    energy = experiment.model.energy
    truth = {
        "names": [phase.name for phase in experiment.phases],
        "elements": list(experiment.model.elements),
        "composition": experiment.composition,
        "thickness": experiment.thickness,
        "spectra": experiment.spectra,
        "density": np.array([phase.density for phase in experiment.phases]),
        "dose": experiment.dose,
        "energy": {
            "offset": float(energy[0]),
            "scale": float(energy[1] - energy[0]),
        },
    }
    write_parameters(signal.metadata, {TRUTH: truth})


def ground_truth(signal) -> GroundTruth:
    """
    Return what a simulated map was made from.

    Parameters
    ----------
    signal : HyperSpy signal
        Simulated here; may have been saved and loaded, or cut along the energy.

    Returns
    -------
    GroundTruth
        Its spectra on the energy axis of the signal.

    Raises
    ------
    ValueError
        If the signal is not a simulated one, or not the whole map any more.
    """
    stored = item(signal.metadata, TRUTH)
    if stored is None:
        raise ValueError(
            "The metadata of the signal hold no EDS_espm.truth: only simulated maps "
            "have one. Make one with espm_hs.simulation.particles()."
        )
    thickness = np.asarray(stored["thickness"])
    shape = signal.axes_manager.navigation_shape[::-1]
    if shape != thickness.shape[:-1]:
        raise ValueError(
            f"The map has shape {shape}, its truth {thickness.shape[:-1]}: it was cut "
            "or binned since it was simulated. Ask the whole map for its ground_truth "
            "and cut the arrays alike."
        )
    return GroundTruth(
        names=tuple(str(name) for name in stored["names"]),
        elements=tuple(str(symbol) for symbol in stored["elements"]),
        composition=np.asarray(stored["composition"]),
        thickness=thickness,
        spectra=_on_axis_of(signal, np.asarray(stored["spectra"]), stored["energy"]),
        density=np.asarray(stored["density"]),
        dose=float(stored["dose"]),
    )


def _on_axis_of(signal, spectra: np.ndarray, energy) -> np.ndarray:
    """Rows of the spectra that belong to the channels of the signal."""
    axis = signal.axes_manager.signal_axes[0]
    offset, scale = float(energy["offset"]), float(energy["scale"])
    rows = round((energy_axis(axis)[0] - offset) / scale) + np.arange(axis.size)
    same_scale = np.isclose(axis.scale * kev_per_unit(axis), scale)
    if not same_scale or rows[0] < 0 or rows[-1] >= len(spectra):
        raise ValueError(
            "The energy axis was binned or changed since the map was simulated: ask "
            "the map as it was made for its ground_truth."
        )
    return spectra[rows]
