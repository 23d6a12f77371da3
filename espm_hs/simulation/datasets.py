"""Built-in data sets, as signals that carry their own truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from espm_hs.physics import SpectrumModel
from espm_hs.simulation.forward import Simulation, simulate_counts
from espm_hs.simulation.phantoms import Sphere, spheres_in_matrix

# Where the truth is kept in the metadata.
_TRUTH = "EDS_espm.truth"

#: A chondrite in small: metal and ilmenite in olivine. Iron is in all three phases;
#: the L lines of Ti and Fe touch the K line of O, and those of Ni and stray Cu overlap.
CHONDRITE = {
    "olivine": {"O": 4.0, "Mg": 1.8, "Si": 1.0, "Fe": 0.2},
    "taenite": {"Fe": 0.65, "Ni": 0.35},
    "ilmenite": {"O": 3.0, "Mg": 0.1, "Ti": 1.0, "Fe": 0.9},
}


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
    maps : array, shape (*navigation, n_phases)
        Share of the counts of each pixel that comes from each phase.
    spectra : array, shape (n_channels, n_phases)
        Spectra of the phases without noise, of sum 1.
    """

    names: tuple[str, ...]
    elements: tuple[str, ...]
    composition: np.ndarray
    maps: np.ndarray
    spectra: np.ndarray

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


def particles(
    shape: tuple[int, int] = (64, 64), counts_per_pixel: float = 100, seed: int = 0
):
    """
    Map of two particles in a matrix.

    Taenite (iron-nickel metal) and ilmenite (FeTiO3), each a sphere, in olivine, with
    stray copper of the grid: 200 keV, foil of 100 nm, 2 nm per pixel, 1024 channels
    of 10 eV. The foil cuts both spheres, so that there are pixels of each particle
    alone and, around them, mixtures with olivine.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns.
    counts_per_pixel : float
        Expected number of counts of a pixel.
    seed : int
        The same seed gives the same map.

    Returns
    -------
    EDSespmSpectrum
        With beam energy, elements, thickness, density and stray elements set, ready
        for ``decomposition(algorithm="espm", output_dimension=3)``. `ground_truth`
        tells what was put in.

    Raises
    ------
    ValueError
        If shape or counts_per_pixel make no sense.

    Examples
    --------
    >>> s = particles(counts_per_pixel=50)
    >>> s.decomposition(algorithm="espm", output_dimension=3)
    >>> ground_truth(s)
    """
    elements = ["O", "Mg", "Si", "Ti", "Fe", "Ni"]
    model = SpectrumModel(
        0.01 * np.arange(1024),
        beam_energy=200,
        elements=elements,
        stray_elements=["Cu"],
        take_off_angle=22,
        thickness=100,
        density=4.0,
    )
    metal = Sphere(y=0.36, x=0.33, radius=0.22, thickness=1.6)
    oxide = Sphere(y=0.66, x=0.70, radius=0.22, thickness=1.7)
    simulation = simulate_counts(
        model,
        list(CHONDRITE.values()),
        spheres_in_matrix(shape, [metal, oxide]),
        counts_per_pixel,
        background=[[0.02, 0.04, 0.06], [0.05, 0.05, 0.08], [0.03, 0.04, 0.07]],
        stray={"Cu": 0.03},
        seed=seed,
    )
    signal = _as_signal(simulation, model, nm_per_pixel=2.0)
    signal.metadata.General.title = "Simulated particles in olivine"
    _set_parameters(signal, model)
    _set_truth(signal, simulation, list(CHONDRITE), elements)
    return signal


def ground_truth(signal) -> GroundTruth:
    """
    Return what a simulated map was made from.

    Parameters
    ----------
    signal : HyperSpy signal
        Simulated here; may have been saved and loaded.

    Returns
    -------
    GroundTruth

    Raises
    ------
    ValueError
        If the signal is not a simulated one.
    """
    stored = signal.metadata.get_item(_TRUTH)
    if stored is None:
        raise ValueError(
            "The metadata of the signal hold no EDS_espm.truth: only simulated maps "
            "have one. Make one with espm_hs.simulation.particles()."
        )
    return GroundTruth(
        names=tuple(str(name) for name in stored["names"]),
        elements=tuple(str(symbol) for symbol in stored["elements"]),
        composition=np.asarray(stored["composition"]),
        maps=np.asarray(stored["maps"]),
        spectra=np.asarray(stored["spectra"]),
    )


def _as_signal(simulation: Simulation, model: SpectrumModel, nm_per_pixel: float):
    """Signal of simulated counts, axes calibrated."""
    # HyperSpy takes seconds to import and the functions on plain arrays do without
    import hyperspy.api as hs

    energy = model.energy
    axes = [
        {"name": name, "size": size, "scale": nm_per_pixel, "units": "nm"}
        for name, size in zip("yx", simulation.counts.shape[:2], strict=True)
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
    signal = hs.signals.Signal1D(simulation.counts, axes=axes)
    signal.set_signal_type("EDS_espm")
    return signal


def _set_parameters(signal, model: SpectrumModel) -> None:
    """Tell the signal, as a user would, what the model knows."""
    signal.set_microscope_parameters(
        beam_energy=model.beam_energy,
        elevation_angle=model.take_off_angle,
        azimuth_angle=0.0,
        tilt_stage=0.0,
        energy_resolution_MnKa=model.detector.resolution,
        live_time=1e-3 * float(signal.axes_manager.navigation_size),
    )
    signal.set_elements(list(model.elements))
    signal.set_analysis_parameters(
        thickness=model.thickness,
        density=model.density,
        stray_elements=list(model.stray_elements),
    )


def _set_truth(
    signal, simulation: Simulation, names: Sequence[str], elements: Sequence[str]
) -> None:
    """Write the truth to the metadata: text and plain arrays, which files keep."""
    phases: Sequence[Mapping[str, float]] = simulation.compositions
    fractions = [[phase.get(symbol, 0.0) for phase in phases] for symbol in elements]
    signal.metadata.set_item(
        _TRUTH,
        {
            "names": list(names),
            "elements": list(elements),
            "composition": np.array(fractions),
            "maps": simulation.abundances,
            "spectra": simulation.spectra,
        },
    )
