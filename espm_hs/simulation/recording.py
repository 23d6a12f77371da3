"""Simulated counts as a signal, with the metadata that a microscope would write."""

from __future__ import annotations

import numpy as np
from scipy.constants import elementary_charge
from scipy.sparse import csr_array

from espm_hs.physics import Detector, SpectrumModel
from espm_hs.simulation.experiment import Experiment
from espm_hs.simulation.truth import store_truth

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
):
    """
    Draw the counts of an experiment as a signal.

    Parameters
    ----------
    experiment : Experiment
        Its model fills the metadata; its effects do not.
    seed : int or numpy.random.Generator
        The same seed gives the same counts.
    pixel_size : float
        nm.
    title : str
        Of the signal.
    lazy : bool
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
    signal.set_signal_type("EDS_espm")
    signal.metadata.General.title = title
    _set_parameters(signal, model)
    _set_exposure(signal, experiment)
    store_truth(signal, experiment)
    return signal


def _lazily(counts: csr_array, shape: tuple[int, ...]):
    """Dask array of the counts, in chunks of whole rows of the map."""
    import dask.array as da
    from dask import delayed

    row = int(np.prod(shape[1:])) * counts.dtype.itemsize
    per_chunk = max(1, int(_CHUNK / row))
    pixels = int(np.prod(shape[1:-1]))
    chunks = []
    for first in range(0, shape[0], per_chunk):
        n = min(per_chunk, shape[0] - first)
        block = counts[first * pixels : (first + n) * pixels]
        dense = delayed(_dense)(block, (n, *shape[1:]))
        chunks.append(da.from_delayed(dense, (n, *shape[1:]), counts.dtype))
    return da.concatenate(chunks)


def _dense(block: csr_array, shape: tuple[int, ...]) -> np.ndarray:
    return block.toarray().reshape(shape)


def _axes(shape: tuple[int, ...], energy: np.ndarray, pixel_size: float) -> list[dict]:
    names = ["z", "y", "x"][-(len(shape) - 1) :] if len(shape) > 1 else []
    axes = [
        {"name": name, "size": size, "scale": pixel_size, "units": "nm"}
        for name, size in zip(names, shape[:-1], strict=True)
    ]
    axes.append(
        {
            "name": "Energy",
            "size": energy.size,
            "offset": float(energy[0]),
            "scale": float(energy[1] - energy[0]),
            "units": "keV",
        }
    )
    return axes


def _set_parameters(signal, model: SpectrumModel) -> None:
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
    signal.set_elements(list(model.elements))
    usual = model.detector == Detector.preset(
        "windowless", resolution=model.detector.resolution
    )
    signal.set_analysis_parameters(
        thickness=model.thickness,
        density=model.density,
        stray_elements=list(model.stray_elements),
        split_lines=model.split_lines or None,
        line_factors=model.line_factors or None,
        detector=None if usual else model.detector,
        take_off_angle=angle if isinstance(angle, tuple) else None,
    )


def _set_exposure(signal, experiment: Experiment) -> None:
    """Write the times of a pixel and the beam current that give the dose."""
    charge = experiment.dose * 4 * np.pi / _SOLID_ANGLE * elementary_charge * 1e9  # nC
    live_share = 1 - experiment.effects.dead_time
    signal.set_microscope_parameters(
        beam_current=charge * live_share / _LIVE_TIME,
        live_time=_LIVE_TIME,
        real_time=_LIVE_TIME / live_share,
    )
    signal.set_analysis_parameters(solid_angle=_SOLID_ANGLE, live_time_of="pixel")
