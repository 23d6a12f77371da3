"""Simulated counts as a signal: the metadata of a microscope, and the truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
from dask import delayed
from scipy.constants import elementary_charge
from scipy.sparse import csr_array

from espm_hs.metadata.reader import energy_axis, item, kev_per_unit
from espm_hs.metadata.schema import BULK_TYPE, ITEMS, TRUTH, UNCOATED
from espm_hs.metadata.writer import write_parameters
from espm_hs.physics import BulkModel, SpectrumModel
from espm_hs.simulation.experiment import Experiment

if TYPE_CHECKING:
    from hyperspy.signals import BaseSignal

# Of the detector and of a pixel: common values, from which follows the current.
_SOLID_ANGLE = 0.7  # sr
_LIVE_TIME = 0.01  # s

# Dense size of the chunks of a lazy signal, bytes.
_CHUNK = 64e6


def record(
    experiment: Experiment,
    seed: int | np.random.Generator = 0,
    *,
    pixel_size: float = 1.0,
    title: str = "",
    lazy: bool = False,
) -> BaseSignal:
    """Draw the counts of an experiment as a signal.

    Parameters
    ----------
    experiment
        Its model fills the metadata; its effects do not.
    seed
        The same seed gives the same counts.
    pixel_size
        nm.
    title
        Of the signal.
    lazy
        Keep the counts sparse and make chunks of them dense when they are asked for:
        for maps as large as the memory.

    Returns
    -------
    EDSespmSpectrum or LazyEDSespmSpectrum
        With beam energy, current, times, angle, elements, stray elements, thickness
        and density set; `ground_truth` tells what was put in.
    """
    # HyperSpy takes seconds to import and simulation on plain arrays does without
    import hyperspy.api as hs

    counts = experiment.counts(seed)
    model = experiment.model
    shape = (*experiment.shape, model.energy.size)
    data = _lazily(counts, shape) if lazy else counts.toarray().reshape(shape)
    signal = hs.signals.Signal1D(data, axes=_axes(shape, model.energy, pixel_size))
    signal = signal.as_lazy() if lazy else signal
    of_bulk = isinstance(model, BulkModel)
    signal.set_signal_type(BULK_TYPE if of_bulk else "EDS_espm")
    signal.metadata.General.title = title
    _set_parameters(signal, model)
    _set_exposure(signal, experiment)
    _store_truth(signal, experiment)
    return signal


def _lazily(counts: csr_array, shape: tuple[int, ...]) -> da.Array:
    """Dask array of the counts, in chunks of whole rows of the map."""
    row = int(np.prod(shape[1:])) * counts.dtype.itemsize
    pixels = int(np.prod(shape[1:-1]))
    step = max(1, int(_CHUNK / row))
    chunks = []
    for first in range(0, shape[0], step):
        last = min(first + step, shape[0])
        part = (last - first, *shape[1:])
        dense = delayed(_dense)(counts[first * pixels : last * pixels], part)
        chunks.append(da.from_delayed(dense, part, counts.dtype))
    return da.concatenate(chunks)


def _dense(block: csr_array, shape: tuple[int, ...]) -> np.ndarray:
    return block.toarray().reshape(shape)


def _axes(shape: tuple[int, ...], energy: np.ndarray, pixel_size: float) -> list[dict]:
    names = ["z", "y", "x"][-(len(shape) - 1) :] if len(shape) > 1 else []
    axes = [
        {"name": name, "size": size, "scale": pixel_size, "units": "nm"}
        for name, size in zip(names, shape[:-1], strict=True)
    ]
    last = {"name": "Energy", "size": energy.size, "units": "keV"}
    return [*axes, last | _scale(energy)]


def _scale(energy: np.ndarray) -> dict[str, float]:
    """Of an axis, keV."""
    return {"offset": float(energy[0]), "scale": float(energy[1] - energy[0])}


def _set_parameters(signal: BaseSignal, model: SpectrumModel) -> None:
    """Tell the signal, as a user would, what the model knows."""
    signal.set_microscope_parameters(
        beam_energy=model.beam_energy,
        azimuth_angle=0.0,
        tilt_stage=0.0,
        energy_resolution_MnKa=model.detector.resolution,
    )
    angle = model.take_off_angle
    if isinstance(angle, float):
        signal.set_microscope_parameters(elevation_angle=angle)
    stated = ITEMS["elevation_angle"].is_stated(angle) and isinstance(angle, float)
    signal.set_elements(list(model.elements))
    sample: dict[str, Any]
    if isinstance(model, BulkModel):
        sample = {"coating": model.coating or UNCOATED}
    else:
        sample = {
            "thickness": model.thickness or None,
            "mass_thickness": None if model.thickness else 0.0,
            "density": model.density,
        }
    signal.set_analysis_parameters(
        **sample,
        stray_elements=list(model.stray_elements),
        split_lines=model.split_lines or None,
        line_factors=model.line_factors or None,
        detector=model.detector,
        take_off_angle=None if stated else angle,
    )


def _set_exposure(signal: BaseSignal, experiment: Experiment) -> None:
    """Write the times of a pixel and the beam current that give the dose."""
    charge = experiment.dose * 4 * np.pi / _SOLID_ANGLE * elementary_charge * 1e9  # nC
    live_share = 1 - experiment.effects.dead_time
    signal.set_microscope_parameters(
        beam_current=charge * live_share / _LIVE_TIME,
        live_time=_LIVE_TIME,
        real_time=_LIVE_TIME / live_share,
    )
    signal.set_analysis_parameters(solid_angle=_SOLID_ANGLE, live_time_of="pixel")


# -- truth ---------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """What a simulated map was made from.

    Attributes
    ----------
    names
        Names of the phases.
    elements
        Symbols.
    composition
        Shape (n_elements, n_phases). Atomic fractions.
    thickness
        Shape (*navigation, n_phases). Of each phase in each pixel, nm.
    spectra
        Shape (n_channels, n_phases). Spectra of the phases without noise, of sum 1 over
        the simulated channels.
    density
        Shape (n_phases,). g/cm3.
    dose
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


def _store_truth(signal: BaseSignal, experiment: Experiment) -> None:
    """Write the truth to the metadata: text and plain arrays, which files keep.

    Parameters
    ----------
    signal
        Of the counts of the experiment.
    experiment
    """
    truth = {
        "names": [phase.name for phase in experiment.phases],
        "elements": list(experiment.model.elements),
        "composition": experiment.composition,
        "thickness": experiment.thickness,
        "spectra": experiment.spectra,
        "density": np.array([phase.density for phase in experiment.phases]),
        "dose": experiment.dose,
        "energy": _scale(experiment.model.energy),
    }
    write_parameters(signal.metadata, {TRUTH: truth})


def ground_truth(signal: BaseSignal) -> GroundTruth:
    """Return what a simulated map was made from.

    Parameters
    ----------
    signal
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
    spectra = np.asarray(stored["spectra"])
    return GroundTruth(
        names=tuple(map(str, stored["names"])),
        elements=tuple(map(str, stored["elements"])),
        composition=np.asarray(stored["composition"]),
        thickness=thickness,
        spectra=_on_axis_of(signal, spectra, stored["energy"]),
        density=np.asarray(stored["density"]),
        dose=float(stored["dose"]),
    )


def _on_axis_of(
    signal: BaseSignal, spectra: np.ndarray, energy: Mapping[str, float]
) -> np.ndarray:
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
